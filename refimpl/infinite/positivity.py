"""Is K_∞ strictly positive definite on given inputs? A bound, a null vector, or neither.

On a sphere K_∞ = Σ_k a_k G^{∘k} with a_k ≥ 0 and G the Gram matrix of the directions, whose powers entry by entry are
positive semi-definite (Schur). Every partial sum with lower bounds a_k⁻ of the coefficients is therefore below it:

    λ_min(K_∞) ≥ λ_min(Σ_{k≤M} a_k⁻ G^{∘k}).

With different norms a_k becomes a positive semi-definite matrix a_k(|x_i|, |x_j|), and
λ_min(K_∞) ≥ Σ_k min_i a_k(|x_i|, |x_i|) λ_min(G^{∘k}), again by Schur.

The eigenvalue of the partial sum is bounded in ball arithmetic, from the directions of the inputs as they are: that is
proved. The coefficients are those of `refimpl.infinite.power_series`, less a hundred times their estimated error: that
is not. Inputs whose norms differ by no more than `SPREAD` are taken as points of one sphere, of their mean norm, which
is what normalised rows are meant to be, and the bound is that of these points: of directions within 1e-7 of each other
the roundings of the norms themselves can move λ_min by a multiple of itself.

Sources: I. J. Schoenberg, Positive definite functions on spheres (1942), for the series; I. Schur (1911) for the
powers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from refimpl.activations import BUILTIN
from refimpl.errors import AccuracyError
from refimpl.infinite.inputs import norms_in_range
from refimpl.infinite.power_series import power_series
from refimpl.quadrature import Host

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

SPREAD = 1e-14
"""Relative spread of norms up to which inputs count as lying on one sphere: unit vectors are so only up to rounding."""

MARGIN = 100.0
"""Times that the estimated relative error of a coefficient is taken off it."""

MORE_TERMS = 16
"""Terms beyond k = N − 1, from which on no power of G is singular for want of rank."""

MOST_TERMS = 160
"""Terms up to which their number is doubled …"""

WORTHWHILE = 0.05
"""… while that raises log10 of the bound by this much: the coefficients of a kinked φ fall slowly."""

RTOL = {"relu": 1e-5, "leaky_relu": 1e-5, "elu": 1e-6}
"""Relative accuracy of the coefficients; 1e-9 for the others."""


@dataclass(frozen=True, eq=False)
class Certificate:
    """Whether K_∞ of some inputs is strictly positive definite.

    Parameters
    ----------
    strictly_positive : bool or None
        None is undecided.
    lower_bound : float
        λ_min(K_∞) is at least this, if the coefficients are as accurate as they are estimated to be: for X as it is if
        its norms are equal or differ by more than 1e-14 of them, otherwise for r x_i/|x_i| with the mean norm r. 0
        unless `strictly_positive`, or if the bound is below the smallest float.
    null_vector : ndarray, shape (N,), or None
        A unit vector u with K_∞ u = 0, if it is not strictly positive definite.
    reason : str
        Why.
    """

    strictly_positive: bool | None
    lower_bound: float
    null_vector: Host | None
    reason: str


def positivity(net: NeuralODE, X: Host) -> Certificate:
    """The certificate for inputs X of shape (N, d) in double precision; see `Limit.positivity`."""
    exact = [[Fraction(float(z)) for z in row] for row in X]
    if not exact:
        return Certificate(True, np.inf, None, "there are no inputs")
    norms = norms_in_range(X)
    found = _null_vector(net, exact)
    if found is not None:
        vector, reason = found
        return Certificate(False, 0.0, vector / np.linalg.norm(vector), reason)
    if net.phi != BUILTIN.get(net.phi.name):
        return Certificate(None, 0.0, None, "the coefficients of an activation of one's own are not certified")
    if not all(any(row) for row in exact):
        return Certificate(None, 0.0, None, "an input is zero, and has no direction")
    try:
        if np.ptp(norms) <= SPREAD * norms.max():
            return _on_sphere(net, X, float(norms.mean()))
        return _of_different_norms(net, X, norms)
    except AccuracyError as error:
        return Certificate(None, 0.0, None, f"the coefficients are not known well enough: {error}")


# --- null vectors -------------------------------------------------------------------------------------------------


def _null_vector(net: NeuralODE, X: Sequence[Sequence[Fraction]]) -> tuple[Host, str] | None:
    """A null vector that f itself shows: a linear relation between ∇f at some inputs that holds for every θ."""
    phi, N = net.phi, len(X)
    vanishes = phi.phi(np.zeros(1)).item() == 0
    for i in range(N):
        if vanishes and not any(X[i]):
            return _unit(N, {i: 1.0}), f"input {i} is zero and φ(0) = 0: f and ∇f vanish there"
    for i in range(N):
        for j in range(i):
            if X[i] == X[j]:
                return _unit(N, {i: 1.0, j: -1.0}), f"inputs {j} and {i} are equal"
            if phi.parity == "odd" and all(a == -b for a, b in zip(X[i], X[j], strict=True)):
                return _unit(N, {i: 1.0, j: 1.0}), f"inputs {j} and {i} are antipodal and φ is odd, and so is f"
            ratio = _ratio(X[i], X[j]) if phi.homogeneous else None
            if ratio is not None and (ratio > 0 or phi.degree == 1):
                return _unit(N, {i: 1.0, j: -float(ratio)}), f"inputs {j} and {i} are collinear and φ is homogeneous"
    if phi.degree == 1:
        relation = _relation(X)
        if relation is not None:
            return relation, "φ is linear and the inputs are linearly dependent"
    return None


def _unit(N: int, entries: dict[int, float]) -> Host:
    vector = np.zeros(N)
    for i, value in entries.items():
        vector[i] = value
    return vector


def _ratio(x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction | None:
    """c with x = c y ≠ 0, exactly; None if there is none."""
    pivot = next(k for k, z in enumerate(y) if z)
    c = x[pivot] / y[pivot]
    return c if all(a == c * b for a, b in zip(x, y, strict=True)) else None


def _relation(X: Sequence[Sequence[Fraction]]) -> Host | None:
    """u ≠ 0 with Σ u_i x_i = 0, by elimination in rationals; None if the inputs are independent."""
    basis: list[tuple[list[Fraction], list[Fraction]]] = []
    for i, row in enumerate(X):
        vector, combination = list(row), [Fraction(int(i == j)) for j in range(len(X))]
        for pivot_row, pivot_combination in basis:
            column = next(k for k, z in enumerate(pivot_row) if z)
            factor = vector[column] / pivot_row[column]
            if factor:
                vector = [a - factor * b for a, b in zip(vector, pivot_row, strict=True)]
                combination = [a - factor * b for a, b in zip(combination, pivot_combination, strict=True)]
        if not any(vector):
            largest = max(abs(z) for z in combination)
            return np.asarray([float(z / largest) for z in combination])
        basis.append((vector, combination))
    return None


# --- bounds -------------------------------------------------------------------------------------------------------


def _coefficients(net: NeuralODE, radius: float, count: int) -> Host:
    """Lower bounds a_k⁻."""
    found = power_series(net, radius, count, RTOL.get(net.phi.name, 1e-9))
    lower: Host = found.ntk * (1 - MARGIN * found.error)
    return np.maximum(lower, 0.0)


def _on_sphere(net: NeuralODE, X: Host, radius: float) -> Certificate:
    from refimpl.certified.directions import partial_sum
    from refimpl.certified.eigenvalue import eigenvalue_bound

    count, terms, best = len(X) + MORE_TERMS, 0, None
    while True:
        lower = _coefficients(net, radius, count)
        found = eigenvalue_bound(partial(partial_sum, X, lower))
        if found is None:
            break
        grown = best is None or found[1] > best[1] + WORTHWHILE
        best, terms = (found, count) if best is None or found[1] > best[1] else (best, terms)
        if not grown or 2 * count > MOST_TERMS:
            break
        count *= 2
    if best is None:
        return Certificate(None, 0.0, None, "the partial sum of the power series cannot be proved positive definite")
    return Certificate(
        True, best[0], None,
        f"on the sphere of radius {radius:.17g} λ_min of the first {terms} terms of the power series in ρ is at least "
        f"10^{best[1]:.2f}",
    )  # fmt: skip


def _of_different_norms(net: NeuralODE, X: Host, norms: Host) -> Certificate:
    from refimpl.certified.directions import entrywise_power
    from refimpl.certified.eigenvalue import eigenvalue_bound

    count = len(X) + MORE_TERMS
    lower = np.min([_coefficients(net, radius, count) for radius in np.unique(norms).tolist()], axis=0)
    total, used = 0.0, list[int]()
    for k in range(count):
        if lower[k] == 0:
            continue
        found = eigenvalue_bound(partial(entrywise_power, X, k))
        if found is not None and found[0] > 0:
            total, used = total + lower[k] * found[0] * (1 - 1e-12), [*used, k]
    if not used:
        return Certificate(None, 0.0, None, "no power of the Gram matrix of the directions can be proved regular")
    return Certificate(
        True, float(total), None, f"from λ_min(G^∘k) for {len(used)} values of k up to {used[-1]}, by Schur"
    )
