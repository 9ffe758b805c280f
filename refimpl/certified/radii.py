"""How far λ_min(K_∞) can fall when inputs leave the sphere by roundings of their norms (python-flint).

On norms r_i the coefficient of G^{∘k} is the matrix a_k(r_i, r_j) of a positive semi-definite kernel on norms. Its
Schur complement at the norm r of the sphere is positive semi-definite,

    [a_k(r_i, r_j)] ⪰ a_k v vᵀ,     a_k = a_k(r, r),     v_i = a_k(r_i, r)/a_k = 1 + e_i,

hence K_∞ ⪰ Σ_k a_k (I + E_k) G^{∘k} (I + E_k). Write G^{∘k} = Φ_kᵀ Φ_k, F for the blocks √a_k Φ_k, and A = FᵀF for the
partial sum on the sphere. The right-hand side is the Gram matrix of F + δF with the blocks √a_k Φ_k E_k, and projected
on the range of F this is F (I + A⁻¹ Σ_k a_k G^{∘k} E_k). Therefore

    λ_min(K_∞) ≥ (1 − η)² λ_min(A),     η = Σ_k max|e_i| a_k ‖A⁻¹ G^{∘k}‖.

No factor of a condition number of A is lost: the smallest eigenvalue may be 1e-70.
"""

from __future__ import annotations

import math

try:
    from flint import arb, arb_mat
except ImportError as error:  # pragma: no cover
    raise ImportError("a certificate needs python-flint, the extra `proof`: pip install 'refimpl[proof]'") from error

from refimpl.certified.ball import precision
from refimpl.certified.directions import gram_of_directions, horner
from refimpl.certified.eigenvalue import PRECISIONS, Rows
from refimpl.quadrature import Host

DIGITS = 8
"""Bits of η that have to be known."""


def weakening(X: Host, radius: float, coefficients: Host, slopes: Host) -> float:
    """η for the rows of X, whose norms are next to `radius`; inf if 2048 bits do not show it.

    Parameters
    ----------
    X : ndarray, shape (N, d)
    radius : float
    coefficients, slopes : ndarray, shape (count,)
        a_k ≥ 0 and ∂ log a_k(r, radius)/∂ log r at r = radius: max|e_i| is taken as twice what they say to first order,
        and as twice the change of the norms at least.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.asarray([[1.0, 0.0], [0.6 + 1e-16, 0.8]])
    >>> weakening(X, 1.0, np.ones(3), np.arange(3.0)) < 1e-14
    True
    """
    for bits in PRECISIONS:
        with precision(bits):
            eta = _weakening(X, radius, coefficients, slopes)
            if eta is not None and eta.rel_accuracy_bits() >= DIGITS:
                return float(eta.upper())
    return math.inf


def _weakening(X: Host, radius: float, coefficients: Host, slopes: Host) -> arb | None:
    G = gram_of_directions(X)
    try:
        inverse = _symmetric([[horner(rho, coefficients) for rho in row] for row in G]).inv()
    except ZeroDivisionError:
        return None
    total, power = arb(0), [[arb(1)] * len(row) for row in G]
    for a, slope in zip(coefficients.tolist(), slopes.tolist(), strict=True):
        if a > 0:
            total += 2 * max(abs(slope), 1.0) * arb(a) * _frobenius(inverse * _symmetric(power))
        power = [[z * rho for z, rho in zip(row, cosines, strict=True)] for row, cosines in zip(power, G, strict=True)]
    return total * _spread(X, radius)


def _symmetric(rows: Rows) -> arb_mat:
    """From the lower triangle."""
    N = len(rows)
    return arb_mat([[rows[max(i, j)][min(i, j)] for j in range(N)] for i in range(N)])


def _spread(X: Host, radius: float) -> arb:
    """max |r_i/r − 1|."""
    norms = [sum((arb(z) * arb(z) for z in row), arb(0)).sqrt() for row in X.tolist()]
    return max((abs(norm / arb(radius) - 1).upper() for norm in norms), default=arb(0))


def _frobenius(A: arb_mat) -> arb:
    return (A * A.transpose()).trace().sqrt()
