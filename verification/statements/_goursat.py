"""Σ^{t,s} and K^{t,s} of one pair of inputs on uniform grids, extrapolated: a road without the package's schemes.

    ∂²S/∂t∂s = σ_w² Σ ,  S = q on t = 0 and s = 0 ;    ∂²P/∂t∂s = σ_w² D P ,  P = σ_v² D^{T,T} on t = T and s = T ,

with Σ = E[φφ̄] and D = E[φ'φ̄'] at the covariance S. Integrated twice by the trapezoidal rule, errors are a series in
even powers of the step, and Romberg's scheme removes one power with every halving.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from refimpl import NeuralODE
from verification.statements._by_hand import expectation
from verification.statements._data import Array

Dual = Callable[[Array, Array, Array], tuple[Array, Array]]
"""Variances (M,), (M,) and covariances (M, M) → E[φφ̄] and E[φ'φ̄'], each (M, M)."""

SWEEPS = 60


def hermite_dual(net: NeuralODE, points: int) -> Dual:
    """Plain double sums over Gauss–Hermite nodes, for analytic φ."""
    return lambda s1, s2, c: (
        expectation(net.phi.phi, s1, s2, c, points),
        expectation(net.phi.dphi, s1, s2, c, points),
    )


def arc_cosine_dual(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """Closed form for ReLU (Cho and Saul, 2009)."""
    scale = np.sqrt(np.outer(s1, s2))
    angle = np.arccos(np.clip(c / scale, -1.0, 1.0))
    return scale * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi), (np.pi - angle) / (2 * np.pi)


@dataclass(frozen=True)
class Solution:
    """Fields on the coarsest grid and the three terms of K_∞, after extrapolation.

    Parameters
    ----------
    t : array, shape (M + 1,)
    S, Sigma, P : array, shape (M + 1, M + 1)
        Covariance of h, Σ^{t,s}, and P, the limit of ⟨λ_t, λ̄_s⟩.
    terms : array, shape (3,)
        σ_v² Σ^{T,T}, σ_w² ∬ Σ P, q P^{0,0}.
    literal : array, shape (2,)
        K_∞ if Σ^{t,s} meant one thing in all terms: E[φ(h_t)φ(h̄_s)], or E[h_t h̄_s].
    error : float
        Last change of the extrapolation, relative to the largest value; worst of all fields and terms.
    """

    t: Array
    S: Array
    Sigma: Array
    P: Array
    terms: Array
    literal: Array
    error: float

    @property
    def kernel(self) -> float:
        return float(self.terms.sum())


def solve(net: NeuralODE, rho: float, dual: Dual, coarsest: int, levels: int) -> Solution:
    """Romberg on grids of coarsest · 2^k steps, k < levels, for unit vectors with x·x̄ = ρ."""
    rows = [_on_grid(net, rho, dual, coarsest * 2**k, 2**k) for k in range(levels)]
    table, corners = rows, [rows[-1]]
    for order in range(1, levels):
        table = [
            tuple(b + (b - a) / (4**order - 1) for a, b in zip(coarse, fine, strict=True))
            for coarse, fine in pairwise(table)
        ]
        corners.append(table[-1])
    last, before = corners[-1], corners[-2]
    error = max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in zip(last, before, strict=True))
    S, Sigma, P, terms, literal = last
    return Solution(np.linspace(0.0, net.horizon, coarsest + 1), S, Sigma, P, terms, literal, error)


def _on_grid(net: NeuralODE, rho: float, dual: Dual, steps: int, stride: int) -> tuple[Array, ...]:
    """S, Σ, P on every `stride`-th point of a grid, the terms, and K_∞ in the two literal readings."""
    w, q = net.sigma_w**2, net.sigma_u**2 * rho
    until = _cumulative(net.horizon, steps)
    variance = np.diagonal(_covariance(dual, until, w, net.sigma_u**2, None))
    S = _covariance(dual, until, w, q, variance)
    Sigma, D = dual(variance, variance, S)
    terminal, after = net.sigma_v**2 * D[-1, -1], until[::-1, ::-1]
    P = _fixed_point(lambda P: terminal + w * after @ (D * P) @ after.T, np.full_like(D, terminal))
    integral = until[-1]
    terms = np.asarray([net.sigma_v**2 * Sigma[-1, -1], w * integral @ (Sigma * P) @ integral, q * P[0, 0]])
    of_phi = terms[:2].sum() + Sigma[0, 0] * P[0, 0]
    of_h = net.sigma_v**2 * S[-1, -1] + w * integral @ (S * P) @ integral + S[0, 0] * P[0, 0]
    part = (slice(None, None, stride),) * 2
    return S[part], Sigma[part], P[part], terms, np.asarray([of_phi, of_h])


def _covariance(dual: Dual, until: Array, w: float, q: float, variance: Array | None) -> Array:
    def update(S: Array) -> Array:
        s = np.diagonal(S) if variance is None else variance
        new: Array = q + w * until @ dual(s, s, S)[0] @ until.T
        return new

    return _fixed_point(update, np.full_like(until, q))


def _fixed_point(update: Callable[[Array], Array], start: Array) -> Array:
    for _ in range(SWEEPS):
        new = update(start)
        change, start = float(np.abs(new - start).max()), new
        if change <= 1e-14 * float(np.abs(new).max()):
            return new
    raise ArithmeticError(f"the fields still change by {change:.3g} after {SWEEPS} sweeps")


def _cumulative(horizon: float, steps: int) -> Array:
    """∫_0^{t_i} by the trapezoidal rule, as a matrix on the values at the grid."""
    h = horizon / steps
    matrix = np.tril(np.full((steps + 1, steps + 1), h))
    matrix[:, 0] /= 2
    matrix[np.diag_indices(steps + 1)] /= 2
    matrix[0, 0] = 0.0
    return matrix
