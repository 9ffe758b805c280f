"""Infinitely wide ResNets whose layers have independent weights: another limit than with shared ones.

With h^ℓ = h^{ℓ−1} + (T/L) (σ_w/√n) W_ℓ φ(h^{ℓ−1}) and independent W_ℓ, covariances between layers add nothing, and with
z = σ_w T/L, Σ^ℓ = E[φ(h^ℓ) φ(h̄^ℓ)], D^ℓ = E[φ'(h^ℓ) φ'(h̄^ℓ)], the covariances S^ℓ of h and P^ℓ of its adjoint obey

    S^ℓ = S^{ℓ−1} + z² Σ^{ℓ−1} ,    S^0 = q ,        P^{ℓ−1} = P^ℓ (1 + z² D^{ℓ−1}) ,    P^L = σ_v² D^L ,
    K = σ_v² Σ^L + z² Σ_ℓ Σ^{ℓ−1} P^ℓ + q P^0 .

L terms of order 1/L² leave q and σ_v² D(q) as L → ∞: K → σ_v² [Σ(q) + q D(q)], the kernel without the drift.
"""

from __future__ import annotations

import numpy as np

from refimpl import NeuralODE
from verification.statements._by_hand import expectation
from verification.statements._data import Array

POINTS = 48
"""Gauss–Hermite nodes for either normal variable."""


def independent_kernels(net: NeuralODE, X: Array, depth: int) -> tuple[Array, Array]:
    """K and the covariance σ_v² Σ^L of f for n → ∞ at the rows of X (N, d), each (N, N)."""
    q = net.sigma_u**2 * X @ X.T
    step, S, layers = (net.sigma_w * net.horizon / depth) ** 2, q, []
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


def _layer(net: NeuralODE, S: Array) -> tuple[Array, Array]:
    variance = np.diagonal(S)
    Sigma, D = (expectation(f, variance, variance, S, POINTS) for f in (net.phi.phi, net.phi.dphi))
    return (Sigma + Sigma.T) / 2, (D + D.T) / 2
