"""Exponents along independent random paths, and how sure they are."""

from __future__ import annotations

import numpy as np
from scipy import stats

from verification.statements._data import Array

LEVEL = 0.999
"""Confidence at which a verdict is taken; the intervals that are printed are the usual 95 %."""


def slopes(values: Array, widths: Array) -> Array:
    """Least-squares exponents of positive `values` (..., widths) against width."""
    x = np.log(widths) - np.log(widths).mean()
    exponents: Array = np.log(values) @ x / (x @ x)
    return exponents


def student(values: Array) -> tuple[float, float, float]:
    """Mean of independent numbers, and the half-widths of its intervals at 95 % and at `LEVEL`."""
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    half, wider = (float(stats.t.ppf((1 + level) / 2, values.size - 1)) * error for level in (0.95, LEVEL))
    return float(values.mean()), half, wider


def rms(values: Array) -> tuple[Array, Array]:
    """Root mean square over the first axis, the paths, and the half-width of its 95 % interval (delta method)."""
    square = values**2
    root: Array = np.sqrt(square.mean(axis=0))
    t = stats.t.ppf(0.975, len(values) - 1)
    return root, t * square.std(axis=0, ddof=1) / np.sqrt(len(values)) / (2 * root)
