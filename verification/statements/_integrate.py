"""Equations (1) and (3) straight to scipy: a road that shares nothing with the package but φ and φ'."""

from __future__ import annotations

import math

import numpy as np
from scipy.integrate import solve_ivp

from refimpl import NeuralODE, Params
from verification.statements._data import Array


def flow(net: NeuralODE, theta: Params, h: Array, duration: float, rtol: float, method: str) -> tuple[Array, int]:
    """States (N, n) that `h` (N, n) reaches after `duration`, and the number of steps."""
    W = net.sigma_w / math.sqrt(theta.width) * theta.W

    def rate(_t: float, y: Array) -> Array:
        rates: Array = (net.phi.phi(y.reshape(h.shape)) @ W.T).ravel()
        return rates

    solution = solve_ivp(rate, (0.0, duration), h.ravel(), method=method, rtol=rtol, atol=rtol / 100)
    return solution.y[:, -1].reshape(h.shape), solution.t.size - 1


def there_and_back(net: NeuralODE, theta: Params, X: Array, rtol: float, method: str) -> dict[str, Array]:
    """h_T; then the pair (h, λ) from T back to 0: λ_0, and the h_0 that h_T came from."""
    root = math.sqrt(theta.width)
    W, v = net.sigma_w / root * theta.W, net.sigma_v / root * theta.v
    end, _ = flow(net, theta, net.sigma_u * X @ theta.U.T, net.horizon, rtol, method)
    start = np.stack([end, net.phi.dphi(end) * v])

    def rate(_t: float, y: Array) -> Array:
        h, adjoint = y.reshape(start.shape)
        phi, dphi = net.phi.value_and_slope(h)
        return np.stack([phi @ W.T, -dphi * (adjoint @ W)]).ravel()

    solution = solve_ivp(rate, (net.horizon, 0.0), start.ravel(), method=method, rtol=rtol, atol=rtol / 100)
    h0, adjoint = solution.y[:, -1].reshape(start.shape)
    return {"h_T": end, r"\lambda_0": adjoint, "h_0": h0}


def apart(a: Array, b: Array) -> float:
    """‖a − b‖ / ‖b‖ of the worst sample; the last axis is the vector."""
    return float((np.linalg.norm(a - b, axis=-1) / np.linalg.norm(b, axis=-1)).max())
