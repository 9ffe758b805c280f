"""The leading term of the expansion of a ResNet in 1/L, for the gradient and the NTK: no ResNet is run here.

With Δ = T/L, 𝒲 = σ_w W/√n and v̂ = σ_v v/√n,

    h^ℓ = h_t + Δ e_t + O(Δ²),    ė = 𝒲 (φ'(h) ⊙ (e − ḣ/2)),                                               e_0 = 0
    λ^ℓ = λ_t + Δ μ_t + O(Δ²),    μ̇ = −φ'(h) ⊙ 𝒲ᵀ(μ + λ̇/2) − φ''(h) ⊙ (e − ḣ/2) ⊙ 𝒲ᵀλ,    μ_T = φ''(h_T) ⊙ e_T ⊙ v̂

and the blocks of the gradient follow; the derivation is in the documentation, under "Depth".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit

from refimpl import Jacobian, NeuralODE, Params
from verification.statements._data import Array

NODES = 32
"""Gauss nodes for the integral over [0, T]."""


def _normal(z: Array) -> Array:
    density: Array = np.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)
    return density


def _logistic(z: Array) -> tuple[Array, Array]:
    """The logistic function s, and s' = s (1 − s)."""
    s = expit(z)
    return s, s * (1 - s)


def _silu(z: Array) -> Array:
    s, slope = _logistic(z)
    curvature: Array = slope * (2 + z * (1 - 2 * s))
    return curvature


CURVATURE: MappingProxyType[str, Callable[[Array], Array]] = MappingProxyType(
    {
        "softplus": lambda z: _logistic(z)[1],
        "sigmoid": lambda z: _logistic(z)[1] * (1 - 2 * expit(z)),
        "tanh": lambda z: -2 * np.tanh(z) * (1 - np.tanh(z) ** 2),
        "erf": lambda z: -4 / math.sqrt(math.pi) * z * np.exp(-(z**2)),
        "gelu": lambda z: (2 - z**2) * _normal(z),
        "silu": _silu,
        "sin": lambda z: -np.sin(z),
        "cos": lambda z: -np.cos(z),
        "identity": np.zeros_like,
    }
)
"""φ'' of the analytic Lipschitz activations."""


@dataclass(frozen=True)
class Expansion:
    """f^L = f + c/L + O(L⁻²) and ∇f^L = ∇f + ∇c/L + O(L⁻²), at N inputs.

    Parameters
    ----------
    output : array, shape (N,)
        c.
    gradient, coefficient : Jacobian
        ∇f and ∇c.
    """

    output: Array
    gradient: Jacobian
    coefficient: Jacobian

    @property
    def ntk(self) -> Array:
        """lim L (K_θ^L − K_θ) = ⟨∇c(x), ∇f(x̄)⟩ + ⟨∇f(x), ∇c(x̄)⟩, shape (N, N)."""
        cross: Array = flat(self.coefficient) @ flat(self.gradient).T
        return cross + cross.T

    def quantities(self, rows: slice) -> dict[str, Array]:
        """The coefficients at the inputs `rows`, by the names of `_resnets.QUANTITIES`."""
        return {"output": self.output[rows], "gradient": flat(self.coefficient)[rows], "NTK": self.ntk[rows, rows]}


def flat(J: Jacobian) -> Array:
    """A Jacobian as a matrix (N, size of θ), in the order U, W, v."""
    matrix: Array = np.concatenate([block.reshape(len(J.v), -1) for block in (J.U, J.W, J.v)], axis=1)
    return matrix


def expansion(
    net: NeuralODE, theta: Params, X: Array, *, curvature: Callable[[Array], Array] | None = None, rtol: float = 1e-10
) -> Expansion:
    """The expansion by DOP853 for (h, e) forward and (λ, μ) backward; `curvature` is φ'' if φ is not built in."""
    T, root, shape = net.horizon, math.sqrt(theta.width), (2, len(X), theta.width)
    W, out, bend = net.sigma_w / root * theta.W, net.sigma_v / root * theta.v, curvature or CURVATURE[net.phi.name]

    def forward(_t: float, y: Array) -> Array:
        h, e = y.reshape(shape)
        phi, dphi = net.phi.value_and_slope(h)
        rate = phi @ W.T
        return np.stack([rate, (dphi * (e - rate / 2)) @ W.T]).ravel()

    def backward(t: float, y: Array) -> Array:
        (h, e), (lam, mu) = states.sol(t).reshape(shape), y.reshape(shape)
        phi, dphi = net.phi.value_and_slope(h)
        driven = lam @ W
        rate = -dphi * driven
        return np.stack([rate, -dphi * ((mu + rate / 2) @ W) - bend(h) * (e - phi @ W.T / 2) * driven]).ravel()

    options = {"method": "DOP853", "rtol": rtol, "atol": rtol * 1e-3, "dense_output": True}
    start = net.sigma_u * X @ theta.U.T
    states = solve_ivp(forward, (0.0, T), np.stack([start, 0 * start]).ravel(), **options)
    h, e = states.y[:, -1].reshape(shape)
    phi, dphi = net.phi.value_and_slope(h)
    last = np.stack([dphi * out, bend(h) * e * out])
    adjoints = solve_ivp(backward, (T, 0.0), last.ravel(), **options)
    lam, mu = adjoints.y[:, -1].reshape(shape)
    scale_w, scale_v = net.sigma_w / root, net.sigma_v / root
    x, weights = np.polynomial.legendre.leggauss(NODES)
    times = T * (1 + x) / 2
    (h_t, e_t), (lam_t, mu_t) = (
        np.stack([solution.sol(t).reshape(shape) for t in times], axis=1) for solution in (states, adjoints)
    )
    value, slope = net.phi.value_and_slope(h_t)
    left, right = mu_t - slope * (lam_t @ W) / 2, slope * (e_t - value @ W.T / 2)

    def integral(a: Array, b: Array) -> Array:
        """∫ a bᵀ dt for each input, (N, n, n), of values at the nodes (NODES, N, n)."""
        weighted = T / 2 * weights[:, None, None] * a
        product: Array = weighted.transpose(1, 2, 0) @ b.transpose(1, 0, 2)
        return product

    of_W = scale_w * integral(lam_t, value)
    coefficient_of_W = T * scale_w * (integral(left, value) + integral(lam_t, right))
    inputs = net.sigma_u * X[:, None, :]
    return Expansion(
        T * np.sum(last[0] * e, axis=1),
        Jacobian(lam[:, :, None] * inputs, of_W, scale_v * phi),
        Jacobian(T * mu[:, :, None] * inputs, coefficient_of_W, T * scale_v * dphi * e),
    )
