"""Means, exponents and limits n → ∞ of independent random networks, with intervals."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import stats

from verification import Verdict
from verification.statements._data import Array

LEVEL = 0.999
"""Confidence at which a verdict is taken; the intervals that are printed are the usual 95 %."""

RESOLUTION = 0.1
"""A relative difference that an experiment must be able to see before it calls two quantities equal."""


def student(values: Array) -> tuple[float, float, float]:
    """Mean of independent numbers (draws,), and the half-widths of its intervals at 95 % and at `LEVEL`."""
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    half, wider = (float(stats.t.ppf((1 + level) / 2, values.size - 1)) * error for level in (0.95, LEVEL))
    return float(values.mean()), half, wider


def slopes(values: Array, widths: Array) -> Array:
    """Least-squares exponents of positive `values` (..., widths) against width."""
    x = np.log(widths) - np.log(widths).mean()
    exponents: Array = np.log(values) @ x / (x @ x)
    return exponents


def at_infinite_width(values: Array, widths: Array, orders: int = 1) -> tuple[float, float, float]:
    """`student` of lim values (draws, widths), extrapolated draw by draw with a bias C/n + … + D/n^orders.

    The variance falls as 1/n.
    """
    weights = np.sqrt(widths)
    design = widths[:, None] ** -np.arange(orders + 1.0)
    intercept = (np.linalg.pinv(design * weights[:, None]) * weights)[0]
    return student(values @ intercept)


def mean_square_exponent(square: Array, x: Array) -> tuple[float, float, float]:
    """Exponent in x of the root mean square over draws, from squares (draws, len(x)), and half-widths as of `student`.

    Student's interval of the jackknife: the draws are independent, the entries of one draw need not be.
    """
    draws, total = len(square), square.sum(axis=0)
    centred = np.log(x) - np.log(x).mean()
    weights = centred / (centred @ centred) / 2
    found, without = float(np.log(total / draws) @ weights), np.log((total - square) / (draws - 1)) @ weights
    _, half, wider = student(draws * found - (draws - 1) * without)
    return found, half, wider


def root_mean_square(values: Array) -> tuple[Array, Array]:
    """Root mean square of `values` (draws, …) over the draws, and the half-width of its 95 % interval."""
    square = values**2
    return np.sqrt(square.mean(axis=0)), half_width(square)


def half_width(square: Array) -> Array:
    """Half-width of the 95 % interval of the root mean square of (draws, …), by the delta method."""
    draws = len(square)
    error = stats.t.ppf(0.975, draws - 1) * square.std(axis=0, ddof=1) / np.sqrt(draws)
    half: Array = error / (2 * np.sqrt(square.mean(axis=0)))
    return half


def interval(samples: Array, level: float) -> tuple[float, float]:
    """Quantiles that enclose `level` of the resampled values of a statistic of many hundred networks."""
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def decided(low: float, high: float) -> str:
    """By what a verdict was taken, in the words of a claim beside which the narrower 95 % interval is printed.

    Examples
    --------
    >>> decided(-0.771234, -0.5)
    'decided by the 99.9% interval, $-0.771$ to $-0.5$'
    """
    return rf"decided by the {LEVEL:.1%} interval, ${low:.3g}$ to ${high:.3g}$"


def falling(exponent: float, half: float, wider: float) -> str:
    """`decided`, of an exponent that has to be negative by the interval of 95 %, which is named if the other is not.

    Examples
    --------
    >>> falling(-0.5, 0.4, 0.6)
    'decided by the 99.9% interval, $-1.1$ to $0.1$, and that of 95%, which ends at $-0.1$'
    """
    words = decided(exponent - wider, exponent + wider)
    if not exponent + half < 0 < exponent + wider:
        return words
    return f"{words}, and that of 95%, which ends at ${exponent + half:.3g}$"


def meets(low: float, high: float, predicted: float) -> Verdict:
    """Verdict on a power `predicted` < 0, from the interval of an exponent.

    It fails where the interval misses it, on either side; an interval that holds 0 as well decides nothing.

    Examples
    --------
    >>> [meets(*found, -0.5).value for found in ((-0.6, -0.4), (-0.3, -0.1), (-1.1, -0.9), (-0.9, 0.1))]
    ['holds', 'fails-as-stated', 'fails-as-stated', 'undecided']
    """
    if not low <= predicted <= high:
        return Verdict.FAILS
    return Verdict.HOLDS if high < 0 else Verdict.UNDECIDED


def below(low: float, high: float, bound: float) -> Verdict:
    """Verdict on a number below `bound`, from its interval.

    Examples
    --------
    >>> [below(*found, 1.0).value for found in ((0.1, 0.9), (0.9, 1.1), (1.1, 1.9))]
    ['holds', 'undecided', 'fails-as-stated']
    """
    return Verdict.HOLDS if high < bound else Verdict.FAILS if low > bound else Verdict.UNDECIDED


def near(found: float, predicted: float, margin: float, uncertainty: float) -> Verdict:
    """Verdict on a number within `margin` of a prediction: it fails if it is off by more than that and `uncertainty`.

    Examples
    --------
    >>> [near(found, -1.0, 0.05, 0.02).value for found in (-1.04, -1.06, -0.92)]
    ['holds', 'undecided', 'fails-as-stated']
    """
    off = abs(found - predicted)
    return Verdict.HOLDS if off <= margin else Verdict.UNDECIDED if off <= margin + uncertainty else Verdict.FAILS


CLEAR = 1e-3
"""A relative difference of two numbers, both known to many digits, that is no matter of their error bounds."""

DOUBTED = f"The difference is above its error bound and below {CLEAR:g}: it is the bound that is doubted first."
"""Scope of a verdict of `equal`."""


def equal(difference: float, allowed: float) -> Verdict:
    """Verdict on the equality of two numbers: what is just above `allowed` says more of `allowed` than of them.

    Examples
    --------
    >>> [equal(difference, 1e-9).value for difference in (1e-10, 1e-8, 1e-2)]
    ['holds', 'undecided', 'fails-as-stated']
    """
    return Verdict.HOLDS if difference <= allowed else Verdict.FAILS if difference > CLEAR else Verdict.UNDECIDED


BETWEEN_ORDERS = "The order is off by more than the error of its extrapolation, but by less than a quarter."
"""Scope of a verdict of `order`."""


def order(found: float, predicted: float, error: float) -> Verdict:
    """Verdict on O(x^predicted) from an extrapolated order: it fails where it is lower by a quarter.

    Examples
    --------
    >>> [order(found, 2.0, 0.01).value for found in (2.005, 2.1, 1.9, 1.4)]
    ['holds', 'undecided', 'undecided', 'fails-as-stated']
    """
    if abs(found - predicted) <= error:
        return Verdict.HOLDS
    return Verdict.FAILS if found + error <= predicted - 0.25 else Verdict.UNDECIDED


def off_within_uncertainty(margin: float) -> str:
    """Why a verdict of `near` is undecided."""
    return f"The exponent is off by more than the margin {margin}, within its uncertainty."


def jointly(verdicts: Iterable[Verdict]) -> Verdict:
    """One false case fails all, then one open case leaves all open."""
    found = set(verdicts)
    return next((verdict for verdict in (Verdict.FAILS, Verdict.UNDECIDED) if verdict in found), Verdict.HOLDS)


def by_chance(found: Array, predicted: Array) -> float:
    """Probability that a prediction which knows no more than the number of successes in each row does as well.

    Fisher's exact test, one-sided, for all rows of `found` and `predicted` (rows, trials) of bool together.

    Examples
    --------
    >>> found = np.asarray([[True, False, False, True]])
    >>> [round(by_chance(found, predicted), 4) for predicted in (found, ~found)]
    [0.1667, 1.0]
    """
    chances: Array = np.ones(1)
    for row, guess in zip(found, predicted, strict=True):
        both = np.arange(row.size + 1)
        chances = np.convolve(chances, stats.hypergeom.pmf(both, row.size, row.sum(), guess.sum()))
    return float(min(1.0, chances[int((found & predicted).sum()) :].sum()))


def largest_score(draws: Array, expected: Array) -> tuple[float, float]:
    """Largest deviation of a mean over draws (draws, …) from `expected` in standard errors, and what `LEVEL` allows.

    Student's interval for all entries at once (Bonferroni).
    """
    flat = draws.reshape(len(draws), -1)
    error = flat.std(axis=0, ddof=1) / np.sqrt(len(flat))
    score = np.abs(flat.mean(axis=0) - expected.ravel()) / error
    allowed = stats.t.ppf(1 - (1 - LEVEL) / (2 * flat.shape[1]), len(flat) - 1)
    return float(score.max()), float(allowed)
