"""Gauss rules to the last place: nodes of the schemes, and of the quadratures behind the dual expectations."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.polynomial import legendre
from scipy.linalg import eigh_tridiagonal

Host: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
"""A float64 array on the host."""


@lru_cache(maxsize=64)
def gauss_legendre(nodes: int) -> tuple[Host, Host]:
    """Nodes and weights of the Gauss–Legendre rule on [0, 1], correct to the last place.

    The weights of `numpy.polynomial.legendre.leggauss` and of `scipy.special.roots_legendre` are off by 1e-15 at 20
    nodes and 4e-15 at 50, more than all other errors here together. So its nodes start Newton's iteration on P_n in
    integers with 128 bits behind the binary point, where w = 2/((1 − x²) P_n'(x)²) is evaluated too.

    Examples
    --------
    >>> x, w = gauss_legendre(2)
    >>> x.round(6).tolist(), w.tolist()
    ([0.211325, 0.788675], [0.5, 0.5])
    """
    one = 1 << 128

    def legendre_pair(x: int) -> tuple[int, int]:
        previous, current = one, x
        for k in range(1, nodes):
            previous, current = current, ((2 * k + 1) * (x * current // one) - k * previous) // (k + 1)
        return current, nodes * (previous - x * current // one) * one // (one - x * x // one)

    points, weights = np.empty(nodes), np.empty(nodes)
    for i, start in enumerate(legendre.leggauss(nodes)[0]):
        x = int(math.ldexp(start, 64)) << 64
        for _ in range(2):  # 1e-16, 1e-30, rounding
            value, slope = legendre_pair(x)
            x -= value * one // slope
        slope = legendre_pair(x)[1]
        points[i] = (one + x) / (2 * one)
        weights[i] = one**3 / ((one - x * x // one) * slope**2)
    return points, weights


def lagrange(nodes: int, y: Host) -> Host:
    """ℓ_j(y) for the Lagrange polynomials ℓ_j of the Gauss nodes on [0, 1].

    Parameters
    ----------
    nodes : int
    y : ndarray, any shape

    Returns
    -------
    ndarray, shape ``(*y.shape, nodes)``

    Notes
    -----
    With P_k the Legendre polynomials on [0, 1], ℓ_j = b_j Σ_k (2k+1) P_k(c_j) P_k exactly for k < nodes: no Vandermonde
    system is solved, so this is stable.

    Examples
    --------
    >>> c, _ = gauss_legendre(4)
    >>> (lagrange(4, np.asarray([0.5])) @ c**3).round(14).tolist()
    [0.125]
    """
    return legendre.legvander(2 * y - 1, nodes - 1) @ _lagrange_coefficients(nodes)


def lagrange_integrals(nodes: int, y: Host) -> Host:
    """∫_0^y ℓ_j, shape ``(*y.shape, nodes)``: the continuous Runge–Kutta tableau of the Gauss nodes.

    From (2k+1) ∫_0^y P_k = (P_{k+1}(y) − P_{k−1}(y)) / 2.

    Examples
    --------
    >>> lagrange_integrals(2, np.asarray([0.5, 1.0])).round(6).tolist()
    [[0.466506, 0.033494], [0.5, 0.5]]
    """
    P = legendre.legvander(2 * y - 1, nodes)
    k = np.arange(1, nodes)
    integrals = np.concatenate([(P[..., 1:2] + 1) / 2, (P[..., 2:] - P[..., :-2]) / (4 * k + 2)], axis=-1)
    return integrals @ _lagrange_coefficients(nodes)


@lru_cache(maxsize=64)
def _lagrange_coefficients(nodes: int) -> Host:
    """Legendre coefficients (row k) of ℓ_j (column j)."""
    c, b = gauss_legendre(nodes)
    return (2 * np.arange(nodes) + 1)[:, None] * legendre.legvander(2 * c - 1, nodes - 1).T * b


@lru_cache(maxsize=64)
def kronrod_extension(nodes: int) -> tuple[Host, Host]:
    """The m + 1 nodes on [0, 1] that Kronrod adds to the m Gauss nodes, and their weights in the rule of all 2m + 1.

    They interlace with the Gauss nodes; the rule is exact up to degree 3m + 1. The added nodes are the zeros of the
    polynomial E of degree m + 1 with ∫ P_m E P_k = 0 for k ≤ m, here found from its Legendre coefficients (Monegato,
    Stieltjes polynomials and related quadrature rules, SIAM Review 24, 1982).

    Examples
    --------
    >>> c, b = gauss_legendre(7)
    >>> t, w = kronrod_extension(7)
    >>> np.round(2 * t[:4] - 1, 12).tolist()
    [-0.991455371121, -0.86486442336, -0.586087235468, -0.207784955008]
    """
    x, w = gauss_legendre(2 * nodes + 2)
    P = legendre.legvander(2 * x - 1, nodes + 1)
    products = (P[:, : nodes + 1].T * (w * P[:, nodes])) @ P
    coefficients = np.append(np.linalg.solve(products[:, :-1], -products[:, -1]), 1.0)
    added = (1 + np.sort(legendre.legroots(coefficients).real)) / 2
    both = np.concatenate([gauss_legendre(nodes)[0], added])
    first = np.zeros(2 * nodes + 1)
    first[0] = 1.0  # ∫ P_k
    weights = np.linalg.solve(legendre.legvander(2 * both - 1, 2 * nodes).T, first)
    return added, np.asarray(weights[nodes:])


@lru_cache(maxsize=16)
def radial_rule(nodes: int) -> tuple[Host, Host]:
    """Gauss rule for the weight r exp(−r²/2) on r > 0, the density of the radius of a standard normal pair.

    Lanczos' method with full reorthogonalisation, on a fine discretisation of [0, 13], gives the recurrence
    coefficients (Gautschi, *Orthogonal Polynomials*, Oxford 2004, section 2.2); 2e-37 of the mass lies outside.

    Examples
    --------
    >>> r, w = radial_rule(8)
    >>> [round(float(w @ r**k), 12) for k in (0, 2, 4)]
    [1.0, 2.0, 8.0]
    """
    x, w = gauss_legendre(200)
    r = 13.0 * x
    w = 13.0 * w * r * np.exp(-0.5 * r * r)
    basis = np.zeros((nodes + 1, r.size))  # orthonormal polynomials times √w
    basis[0] = np.sqrt(w / w.sum())
    diagonal, off_diagonal = np.empty(nodes), np.empty(nodes)
    for k in range(nodes):
        following = r * basis[k]
        diagonal[k] = basis[k] @ following
        for _ in range(2):
            following -= (basis[: k + 1] @ following) @ basis[: k + 1]
        off_diagonal[k] = math.sqrt(following @ following)
        basis[k + 1] = following / off_diagonal[k]
    points, vectors = eigh_tridiagonal(diagonal, off_diagonal[:-1])
    return points, w.sum() * vectors[0] ** 2
