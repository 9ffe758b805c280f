"""A proved lower bound of the smallest eigenvalue of a symmetric matrix of balls (python-flint).

Matrices are lower triangles, row by row.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

try:
    from flint import arb
except ImportError as error:  # pragma: no cover
    raise ImportError("a certificate needs python-flint, the extra `proof`: pip install 'refimpl[proof]'") from error

from refimpl.certified.ball import precision

Rows = Sequence[Sequence[arb]]
"""Lower triangle."""

PRECISIONS = (128, 256, 512, 1024, 2048)
"""Working bits that are tried."""


def eigenvalue_bound(matrix: Callable[[], Rows]) -> tuple[float, float] | None:
    """A number that no eigenvalue is below, to within a tenth the largest that can be proved, and its log10.

    Parameters
    ----------
    matrix : callable
        The lower triangle, in balls of the precision in force.

    Returns
    -------
    (bound, log10) or None
        None if the matrix cannot be proved to be positive definite with 2048 bits. The bound is 0.0 where it is below
        the smallest float; its logarithm is not.

    Notes
    -----
    All pivots of the elimination of A − cI are balls above 0: then A − cI is positive definite, and c < λ_min.

    Examples
    --------
    >>> bound, digits = eigenvalue_bound(lambda: [[arb(2)], [arb(1), arb(2)]])
    >>> 0.9 < bound < 1, -0.1 < digits < 0
    (True, True)
    """
    for bits in PRECISIONS:
        with precision(bits):
            if not _is_positive(matrix(), arb(0)):
                continue
        with precision(2 * bits):
            return _largest_shift(matrix())
    return None


def _largest_shift(rows: Rows) -> tuple[float, float]:
    high = math.ceil(max(float(row[i].log().upper()) for i, row in enumerate(rows)) / math.log(2)) + 1
    low = high - 1
    while not _is_positive(rows, arb(2) ** low):  # it ends: with the shift 0 the pivots are positive
        high, low = low, low - 2 * (high - low)
    while high - low > 1:
        middle = (high + low) // 2
        high, low = (high, middle) if _is_positive(rows, arb(2) ** middle) else (middle, low)
    shift = next(arb(2) ** low * k / 16 for k in range(31, 15, -1) if _is_positive(rows, arb(2) ** low * k / 16))
    logarithm = float((shift.log() / arb(10).log()).lower())
    bound = math.ldexp(float(shift / arb(2) ** low), low) if low > -1070 else 0.0
    return bound, logarithm


def _is_positive(rows: Rows, shift: arb) -> bool:
    """Whether A − shift I is proved to be positive definite, by elimination without square roots."""
    lower: list[list[arb]] = []
    pivots: list[arb] = []
    for i, row in enumerate(rows):
        scaled: list[arb] = []
        for j in range(i):
            scaled.append(row[j] - sum((scaled[k] * lower[j][k] for k in range(j)), arb(0)))
        factors = [value / pivot for value, pivot in zip(scaled, pivots, strict=True)]
        pivot = row[i] - shift - sum((a * b for a, b in zip(scaled, factors, strict=True)), arb(0))
        if not pivot > 0:
            return False
        lower.append(factors)
        pivots.append(pivot)
    return True
