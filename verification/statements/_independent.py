"""Infinitely wide ResNets whose layers have independent weights: another limit than with shared ones.

With h^ℓ = h^{ℓ−1} + (T/L) (σ_w/√n) W_ℓ φ(h^{ℓ−1}) and independent W_ℓ, covariances between layers add nothing, and with
z = σ_w T/L, Σ^ℓ = E[φ(h^ℓ) φ(h̄^ℓ)], D^ℓ = E[φ'(h^ℓ) φ'(h̄^ℓ)], the covariances S^ℓ of h and P^ℓ of its adjoint obey

    S^ℓ = S^{ℓ−1} + z² Σ^{ℓ−1} ,    S^0 = q ,        P^{ℓ−1} = P^ℓ (1 + z² D^{ℓ−1}) ,    P^L = σ_v² D^L ,
    K = σ_v² Σ^L + z² Σ_ℓ Σ^{ℓ−1} P^ℓ + q P^0 .

L terms of order 1/L² leave q and σ_v² D(q) as L → ∞: K → σ_v² [Σ(q) + q D(q)], the kernel without the drift.

With the step √(T/L) instead, z² = σ_w² T/L, and the sums tend to integrals: a stochastic differential equation, with

    dS/dt = σ_w² Σ(S) ,   S_0 = q ,       dP/dt = −σ_w² D P ,   P_T = σ_v² D_T ,
    K = σ_v² Σ_T + σ_w² ∫ Σ P dt + q P_0 .
"""

from __future__ import annotations

import numpy as np
from scipy.integrate import solve_ivp

from refimpl import NeuralODE
from refimpl.infinite.dual import dual
from verification.statements._by_hand import expectation
from verification.statements._data import Array

POINTS = 48
"""Gauss–Hermite nodes for either normal variable."""


def independent_kernels(net: NeuralODE, X: Array, depth: int, power: float = 1.0) -> tuple[Array, Array]:
    """K and the covariance σ_v² Σ^L of f for n → ∞ at the rows of X (N, d), each (N, N); the step is (T/L)^power."""
    q = net.sigma_u**2 * X @ X.T
    step, S, layers = (net.sigma_w * (net.horizon / depth) ** power) ** 2, q, []
    for _ in range(depth + 1):
        layers.append(_layer(net, S))
        S = S + step * layers[-1][0]
    Sigma, D = layers[-1]
    P, weights = net.sigma_v**2 * D, np.zeros_like(q)
    for before, slope in reversed(layers[:-1]):
        weights = weights + step * before * P
        P = P * (1 + step * slope)
    nngp = net.sigma_v**2 * Sigma
    return nngp + weights + q * P, nngp


def without_drift(net: NeuralODE, X: Array) -> tuple[Array, Array]:
    """The same for h_T = h_0: K = σ_v² [Σ(q) + q D(q)] and σ_v² Σ(q)."""
    q = net.sigma_u**2 * X @ X.T
    Sigma, D = _layer(net, q)
    return net.sigma_v**2 * (Sigma + q * D), net.sigma_v**2 * Sigma


def diffusion_kernels(net: NeuralODE, X: Array, rtol: float = 1e-9) -> tuple[Array, Array]:
    """The same for the step √(T/L) and L → ∞, by integrating the equations for S and P."""
    q, T, shape = net.sigma_u**2 * X @ X.T, net.horizon, (len(X), len(X))

    def fields(S: Array) -> tuple[Array, Array]:
        variance = np.diagonal(S)
        return dual(net.phi, variance, variance).both(S)

    def forward(_t: float, S: Array) -> Array:
        return net.sigma_w**2 * fields(S.reshape(shape))[0].ravel()

    ahead = solve_ivp(forward, (0, T), q.ravel(), method="DOP853", rtol=rtol, atol=rtol, dense_output=True)
    Sigma_T, D_T = fields(ahead.sol(T).reshape(shape))

    def backward(t: float, y: Array) -> Array:
        P = y[: q.size].reshape(shape)
        Sigma, D = fields(ahead.sol(t).reshape(shape))
        return np.concatenate([-(net.sigma_w**2) * (D * P).ravel(), -(net.sigma_w**2) * (Sigma * P).ravel()])

    start = np.concatenate([net.sigma_v**2 * D_T.ravel(), np.zeros(q.size)])
    end = solve_ivp(backward, (T, 0), start, method="DOP853", rtol=rtol, atol=rtol).y[:, -1]
    P0, weights = end[: q.size].reshape(shape), end[q.size :].reshape(shape)
    nngp = net.sigma_v**2 * Sigma_T
    return nngp + weights + q * P0, nngp


def _layer(net: NeuralODE, S: Array) -> tuple[Array, Array]:
    variance = np.diagonal(S)
    Sigma, D = (expectation(f, variance, variance, S, POINTS) for f in (net.phi.phi, net.phi.dphi))
    return (Sigma + Sigma.T) / 2, (D + D.T) / 2
