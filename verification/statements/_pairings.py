"""Moments of a Gaussian matrix by Wick's formula: every pairing, counted."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache


@lru_cache(maxsize=256)
def trace_moment(j: int, k: int) -> dict[int, int]:
    """E tr(W^j W^{⊤k}) / n^{1 + (j+k)/2} for W (n, n) with entries N(0, 1), as {power of n: coefficient}.

    A pairing of the j + k factors identifies their indices two by two, and contributes n to the number of indices that
    stay different.

    Examples
    --------
    >>> trace_moment(2, 0), trace_moment(2, 2)
    ({-1: 1}, {0: 1, -2: 2})
    """
    length = j + k
    if length % 2:
        return {}
    if length == 0:
        return {0: 1}
    ends = [(p, (p + 1) % length) if p < j else ((p + 1) % length, p) for p in range(length)]
    powers: dict[int, int] = {}
    for pairs in _pairings(tuple(range(length))):
        label = list(range(length))
        for a, b in pairs:
            for u, w in zip(ends[a], ends[b], strict=True):
                old, new = label[u], label[w]
                label = [new if x == old else x for x in label]
        power = len(set(label)) - 1 - length // 2
        powers[power] = powers.get(power, 0) + 1
    return dict(sorted(powers.items(), reverse=True))


def _pairings(items: tuple[int, ...]) -> Iterator[list[tuple[int, int]]]:
    if not items:
        yield []
        return
    first, rest = items[0], items[1:]
    for i, partner in enumerate(rest):
        for others in _pairings(rest[:i] + rest[i + 1 :]):
            yield [(first, partner), *others]
