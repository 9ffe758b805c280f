"""Is K_∞ strictly positive definite on given inputs? A bound, a null vector, or neither.

For a built-in φ that is no polynomial the answer is known for all inputs: there is a null vector that f itself shows,
or K_∞ is strictly positive definite (`docs/mathematics.md`, "All inputs"). How large λ_min is takes a bound.

On a sphere K_∞ = Σ_k a_k G^{∘k} with a_k ≥ 0 and G the Gram matrix of the directions, whose powers entry by entry are
positive semi-definite (Schur). Every partial sum with lower bounds a_k⁻ of the coefficients is therefore below it:

    λ_min(K_∞) ≥ λ_min(Σ_{k≤M} a_k⁻ G^{∘k}).

With different norms a_k becomes a positive semi-definite matrix a_k(|x_i|, |x_j|), and
λ_min(K_∞) ≥ Σ_k min_i a_k(|x_i|, |x_i|) λ_min(G^{∘k}), again by Schur.

The eigenvalue of the partial sum is bounded in ball arithmetic, from the directions of the inputs as they are: that is
proved. The coefficients are those of `refimpl.infinite.power_series`, less a hundred times their estimated error: that
is not. Inputs whose norms differ by no more than `SPREAD` are taken as points of one sphere, of their mean norm to 14
digits, which is what normalised rows are meant to be. For the inputs as they are the bound is then multiplied by
(1 − η)², where η is what the norms can do (`refimpl.certified.radii`). If η > 1/4 there is none for the inputs as they
are, for of many nearly equal directions the roundings of the norms themselves might move λ_min by a multiple of itself;
that of the points of the sphere is given beside it.

Sources: I. J. Schoenberg, Positive definite functions on spheres (1942), for the series; I. Schur (1911) for the
powers.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from refimpl.activations import BUILTIN
from refimpl.errors import AccuracyError
from refimpl.infinite.convergence import LimitProblem
from refimpl.infinite.covariance import CovarianceDivergenceError
from refimpl.infinite.inputs import norms_in_range, pairs_of
from refimpl.infinite.null_vectors import null_vector, ratio
from refimpl.infinite.power_series import log_slopes, power_series
from refimpl.quadrature import Host
from refimpl.solvers import Gauss

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


WEAKENED = 0.25
"""Largest η for which the bound is given for inputs whose norms differ by roundings."""

ALL_INPUTS = "φ is no polynomial, and K_∞ is strictly positive definite for all inputs on which f shows no null vector"


@dataclass(frozen=True, eq=False)
class Certificate:
    """Whether K_∞ of some inputs is strictly positive definite.

    Parameters
    ----------
    strictly_positive : bool or None
        None is undecided.
    lower_bound : float
        λ_min(K_∞) of X as it is, is at least this, if the coefficients are as accurate as they are estimated to be. 0
        unless `strictly_positive`, or if the bound is below the smallest float, or none is known.
    null_vector : ndarray, shape (N,), or None
        A unit vector u with K_∞ u = 0, if it is not strictly positive definite.
    reason : str
        Why.
    log10_bound : float
        log10 of the bound, also of one below the smallest float; −∞ if there is none.
    log10_bound_on_sphere : float
        Where X has no bound because its norms differ by roundings that matter: log10 of a bound of λ_min(K_∞) at other
        inputs, r x_i/|x_i| with the mean norm r. −∞ elsewhere.
    """

    strictly_positive: bool | None
    lower_bound: float
    null_vector: Host | None
    reason: str
    log10_bound: float = -math.inf
    log10_bound_on_sphere: float = -math.inf


def positivity(net: NeuralODE, X: Host) -> Certificate:
    """The certificate for inputs X of shape (N, d) in double precision; see `Limit.positivity`."""
    exact = [[Fraction(float(z)) for z in row] for row in X]
    if not exact:
        return Certificate(True, math.inf, None, "there are no inputs", math.inf)
    norms = norms_in_range(X)
    _refuse_blow_up(net, X, norms)
    found = null_vector(net, exact)
    if found is not None:
        vector, reason = found
        return Certificate(False, 0.0, vector / np.linalg.norm(vector), reason)
    if net.phi != BUILTIN.get(net.phi.name):
        return Certificate(None, 0.0, None, "the coefficients of an activation of one's own are not certified")
    bound = _bound(net, X, norms, exact)
    if bound.strictly_positive is None and net.phi.degree is None:
        return replace(bound, strictly_positive=True, reason=f"{ALL_INPUTS}; but there is no bound: {bound.reason}")
    return bound


def _refuse_blow_up(net: NeuralODE, X: Host, norms: Host) -> None:
    """Raise `BlowUpError` where a polynomial φ has no K_∞ up to T: the variance of the largest input escapes first."""
    if net.phi.degree is None or net.phi.degree < 2:
        return
    largest = int(np.argmax(norms))
    pair, _ = pairs_of(np, X[largest : largest + 1], None, directions_only=False)
    with suppress(AccuracyError):  # nobody knows: the bound says the same, or is one of its own accuracy
        LimitProblem(net, Gauss()).kernels(np, pair)


def _bound(net: NeuralODE, X: Host, norms: Host, exact: Sequence[Sequence[Fraction]]) -> Certificate:
    if not norms.all():
        return Certificate(None, 0.0, None, "an input is zero, and has no direction")
    try:
        if np.ptp(norms) <= SPREAD * norms.max():
            return _on_sphere(net, X, float(f"{norms.mean():.14g}"))  # 1 for normalised rows
        if any(ratio(x, y) is not None for x, y in combinations(exact, 2)):
            return Certificate(None, 0.0, None, "inputs are collinear: every power of the Gram matrix is singular")
        return _of_different_norms(net, X, norms)
    except (AccuracyError, CovarianceDivergenceError) as error:
        return Certificate(None, 0.0, None, f"the coefficients are not known well enough: {error}")


# --- bounds -------------------------------------------------------------------------------------------------------


def _coefficients(net: NeuralODE, radius: float, count: int) -> Host:
    """Lower bounds a_k⁻."""
    found = power_series(net, radius, count, RTOL.get(net.phi.name, 1e-9))
    lower: Host = found.ntk * (1 - MARGIN * found.error)
    return np.maximum(lower, 0.0)


def _on_sphere(net: NeuralODE, X: Host, radius: float) -> Certificate:
    from refimpl.certified.directions import partial_sum
    from refimpl.certified.eigenvalue import eigenvalue_bound
    from refimpl.certified.radii import weakening

    count, best = len(X) + MORE_TERMS, None
    while True:
        lower = _coefficients(net, radius, count)
        found = eigenvalue_bound(partial(partial_sum, X, lower))
        if found is None:
            break
        grown = best is None or found[1] > best[1] + WORTHWHILE
        best = (*found, lower) if best is None or found[1] > best[1] else best
        if not grown or 2 * count > MOST_TERMS:
            break
        count *= 2
    if best is None:
        return Certificate(None, 0.0, None, "the partial sum of the power series cannot be proved positive definite")
    bound, digits, lower = best
    eta = weakening(X, radius, lower, log_slopes(net, radius, len(lower)))
    terms = f"λ_min of the first {len(lower)} terms of the power series in ρ is at least"
    if eta > WEAKENED:
        where = f"at the directions of X on the sphere of radius {radius:.17g}, not at X as it is,"
        reason = f"roundings of the norms may move λ_min by a multiple of itself; {where} {terms} 10^{digits:.2f}"
        return Certificate(None, 0.0, None, reason, log10_bound_on_sphere=digits)
    factor = (1 - eta) ** 2 * (1 - 1e-15)
    digits += math.log10(factor)
    return Certificate(True, bound * factor, None, f"at X as it is {terms} 10^{digits:.2f}", digits)


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
        True, float(total), None, f"from λ_min(G^∘k) for {len(used)} values of k up to {used[-1]}, by Schur",
        math.log10(total),
    )  # fmt: skip
