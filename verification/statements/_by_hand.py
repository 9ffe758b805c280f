"""K_∞ written out in forty lines: a road that shares nothing with the package but φ and φ'."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial import hermite_e, legendre

from refimpl import NeuralODE

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]


def limit_kernel(net: NeuralODE, rho: Array, nodes: int = 10, points: int = 64) -> Array:
    """K_∞ = σ_v² Σ^{T,T} + σ_w² ∬ Σ^{t,s} P^{t,s} dt ds + q P^{0,0} of unit vectors with x·x̄ = ρ.

    Parameters
    ----------
    net : NeuralODE
        φ analytic, and T short enough for the fixed point to be reached in 40 sweeps.
    rho : array, shape (B,)
    nodes : int
        Gauss–Legendre nodes in time.
    points : int
        Gauss–Hermite nodes of either of the two normal variables; the expectations are plain double sums.

    Returns
    -------
    array, shape (B,)
    """
    times = _Times(net.horizon, nodes)
    variance = np.diagonal(_covariance(net, times, net.sigma_u**2, None, points))
    return np.asarray([_pair(net, times, net.sigma_u**2 * float(cosine), variance, points) for cosine in rho])


def limit_variance(net: NeuralODE, nodes: int = 10, points: int = 64) -> float:
    """S^{T,T}(x, x) = lim ‖h_T‖²/n of a unit vector, with nodes and points as in `limit_kernel`."""
    return float(_covariance(net, _Times(net.horizon, nodes), net.sigma_u**2, None, points)[-1, -1])


class _Times:
    """∫_0^{t_i} at Gauss–Legendre nodes t_i and at T, as a matrix; all of it by integrating Legendre polynomials."""

    def __init__(self, horizon: float, nodes: int) -> None:
        x, _ = legendre.leggauss(nodes)
        ends = np.append(x, 1.0)
        primitives = [legendre.legval(ends, legendre.legint(unit, lbnd=-1)) for unit in np.eye(nodes)]
        self.forward = horizon / 2 * np.stack(primitives, axis=1) @ np.linalg.inv(legendre.legvander(x, nodes - 1))
        self.total = self.forward[-1]
        self.backward = self.total - self.forward[:-1]  # ∫_{t_i}^T


def expectation(f: Callable[[Array], Array], s1: Array, s2: Array, c: Array, points: int) -> Array:
    """E[f(a) f(b)] for Var a = s1 (M,), Var b = s2 (M2,) and Cov(a, b) = c (M, M2): b given a is normal again."""
    z, weights = hermite_e.hermegauss(points)
    weights = weights / np.sqrt(2 * np.pi)
    mean = (c / np.sqrt(s1)[:, None])[:, :, None] * z
    spread = np.sqrt(np.maximum(s2 - c**2 / s1[:, None], 0.0))
    given_a = f(mean[..., None] + spread[:, :, None, None] * z) @ weights
    mean_over_a: Array = np.einsum("ik,ijk,k->ij", f(np.sqrt(s1)[:, None] * z), given_a, weights)
    return mean_over_a


def _covariance(net: NeuralODE, times: _Times, q: float, variance: Array | None, points: int) -> Array:
    """S^{t,s} at the nodes and at T, from S = q + σ_w² ∬ Σ; without `variance` that of one input with itself."""
    m = times.total.size
    S = np.full((m + 1, m + 1), q)
    for _ in range(40):
        s = np.diagonal(S)[:m] if variance is None else variance[:m]
        Sigma = expectation(net.phi.phi, s, s, S[:m, :m], points)
        new = q + net.sigma_w**2 * times.forward @ Sigma @ times.forward.T
        S, change = new, np.abs(new - S).max()
        if change <= 1e-14 * np.abs(S).max():
            return S
    raise ArithmeticError(f"S still changes by {change:.3g} after 40 sweeps")


def _pair(net: NeuralODE, times: _Times, q: float, variance: Array, points: int) -> float:
    phi, dphi, b = net.phi.phi, net.phi.dphi, times.total
    S = _covariance(net, times, q, variance, points)
    nodes, end = variance[:-1], variance[-1:]
    Sigma, D = (expectation(f, nodes, nodes, S[:-1, :-1], points) for f in (phi, dphi))
    Sigma_T, D_T = (float(expectation(f, end, end, S[-1:, -1:], points)[0, 0]) for f in (phi, dphi))
    P = np.full_like(D, net.sigma_v**2 * D_T)
    for _ in range(40):
        P = net.sigma_v**2 * D_T + net.sigma_w**2 * times.backward @ (D * P) @ times.backward.T
    initial = net.sigma_v**2 * D_T + net.sigma_w**2 * b @ (D * P) @ b
    return float(net.sigma_v**2 * Sigma_T + net.sigma_w**2 * b @ (Sigma * P) @ b + q * initial)
