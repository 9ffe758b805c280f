"""Exponents in the width n and limits n → ∞, measured on independent networks, and the verdicts that rest on them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from verification import Verdict
from verification.statements._data import Array
from verification.statements._statistics import LEVEL, at_infinite_width, decided, falling


@dataclass(frozen=True)
class Exponent:
    """A power of n, with the half-widths of its intervals at 95 % and at `LEVEL`."""

    value: float
    half: float
    wider: float

    @property
    def falls(self) -> bool:
        """Whether the quantity falls with n, by the interval that is printed."""
        return self.value + self.half < 0

    @property
    def decided(self) -> str:
        """The intervals that decide, in the words of a claim: that of 95 % tells whether the quantity falls."""
        return falling(self.value, self.half, self.wider)

    def meets(self, predicted: float) -> Verdict:
        """Verdict on n^predicted for a predicted < 0: an interval that misses it refutes it, on either side."""
        return self._verdict(abs(self.value - predicted) <= self.wider)

    def at_most(self, predicted: float) -> Verdict:
        """Verdict on O(n^predicted) for a predicted < 0."""
        return self._verdict(self.value - self.wider <= predicted)

    def _verdict(self, consistent: bool) -> Verdict:
        """One that meets the prediction and 0 alike decides nothing."""
        if not consistent:
            return Verdict.FAILS
        return Verdict.HOLDS if self.falls else Verdict.UNDECIDED

    def scope(self, verdict: Verdict) -> str:
        """Why `verdict` is undecided, if it is."""
        if verdict is not Verdict.UNDECIDED:
            return ""
        return f"The 95 % interval of an exponent, {self.value:.2f} ± {self.half:.2f}, reaches 0."


@dataclass(frozen=True)
class Limit:
    """A mean over networks extrapolated to n = ∞, where it should be one, with half-widths as of `Exponent`.

    Parameters
    ----------
    curved : (float, float)
        The same with a bias C/n + D/n², and the half-width of its interval at `LEVEL`.
    nears : bool
        Whether the mean is closer to one at the largest width than at the smallest.
    """

    value: float
    half: float
    wider: float
    curved: tuple[float, float]
    nears: bool

    @classmethod
    def of(cls, values: Array, widths: Array) -> Limit:
        """From values (draws, W) at three widths or more, with a bias C/n."""
        means, (curved, _, wider) = np.abs(values.mean(axis=0) - 1), at_infinite_width(values, widths, 2)
        return cls(*at_infinite_width(values, widths), (curved, wider), bool(means[-1] < means[0]))

    @property
    def decided(self) -> str:
        """The interval that decides, in the words of a claim."""
        return decided(self.value - self.wider, self.value + self.wider)

    @property
    def score(self) -> float:
        """Distance from one, in half-widths at `LEVEL`."""
        return abs(self.value - 1) / self.wider

    def verdict(self, allowed: float = 1.0) -> Verdict:
        """Verdict on the limit one, for a `score` up to `allowed`: it fails where D/n² does not mend it."""
        if self.score <= allowed:
            return Verdict.HOLDS
        value, wider = self.curved
        return Verdict.UNDECIDED if self.nears and abs(value - 1) <= allowed * wider else Verdict.FAILS

    def scope(self, verdict: Verdict) -> str:
        """Why `verdict` is undecided, if it is."""
        if verdict is not Verdict.UNDECIDED:
            return ""
        return f"A mean nears 1 but is extrapolated to {self.value:.3f} ± {self.wider:.3f}: the bias is not yet C/n."


def exponent(widths: Array, values: Array) -> Exponent:
    """Least squares for log value = c_g + exponent · log n, with a constant c_g for each group.

    Parameters
    ----------
    widths : array, shape (W,)
    values : array, shape (groups, W, draws)
        Positive, from networks that are all independent.

    Notes
    -----
    Intervals are Student's, from the scatter of the single networks about the lines.
    """
    groups, count, draws = values.shape
    logs = np.log(values) - np.log(values).mean(axis=(1, 2), keepdims=True)
    x = (np.log(widths) - np.log(widths).mean())[None, :, None]
    spread = groups * draws * float(np.sum(x**2))
    slope = float(np.sum(x * logs)) / spread
    degrees = groups * count * draws - groups - 1
    error = np.sqrt(float(np.sum((logs - slope * x) ** 2)) / degrees / spread)
    half, wider = (float(stats.t.ppf((1 + level) / 2, degrees) * error) for level in (0.95, LEVEL))
    return Exponent(slope, half, wider)


def rms_exponent(widths: Array, square: Array) -> Exponent:
    """Exponent of the root mean square over draws, from squares (draws, W) of networks that are all independent.

    The errors of the means over draws, carried to log √mean by the delta method; intervals are Student's.
    """
    draws = len(square)
    x = np.log(widths) - np.log(widths).mean()
    weights = x / (x @ x) / 2
    mean = square.mean(axis=0)
    error = float(np.linalg.norm(weights * square.std(axis=0, ddof=1) / mean)) / np.sqrt(draws)
    half, wider = (float(stats.t.ppf((1 + level) / 2, draws - 1) * error) for level in (0.95, LEVEL))
    return Exponent(float(weights @ np.log(mean)), half, wider)


def spread_exponent(values: Array, widths: Array) -> tuple[Array, Array]:
    """Exponents of the standard deviation over draws, and their standard errors, from values (draws, W, …).

    With the sample variance s², Var(log s) ≈ (m₄/m₂² − 1)/(4 draws) for its central moments m₂ and m₄.
    """
    draws = len(values)
    centred = values - values.mean(axis=0)
    second, fourth = np.mean(centred**2, axis=0), np.mean(centred**4, axis=0)
    x = np.log(widths) - np.log(widths).mean()
    weights = x / (x @ x)
    slopes = np.tensordot(weights, np.log(second) / 2, axes=1)
    errors = np.sqrt(np.tensordot(weights**2, (fourth / second**2 - 1) / (4 * draws), axes=1))
    return slopes, errors
