"""Gram matrices on the sphere: the curve K(ρ), or K(θ), put in place of the matrix of cosines, tile by tile.

A tile and the few arrays of its size that Clenshaw's recurrence needs stay in the cache of a core, so that the matrix
itself is read and written once. Of a symmetric matrix only the tiles on and above the diagonal are evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from refimpl.backend import Array, Namespace, clip, from_host, slices, to_host
from refimpl.infinite.inputs import Inputs
from refimpl.quadrature import Host

TILE = 128
"""Rows and columns of a tile: 128 KiB an array."""

Elementwise = Callable[[Array], Array]


def tiles(inputs: Inputs) -> Iterator[tuple[slice, slice]]:
    """Rows and columns of the tiles; without those below the diagonal if the matrix is symmetric."""
    N, N2 = inputs.shape
    for rows in slices(N, TILE):
        for columns in slices(N2, TILE):
            if not (inputs.symmetric and columns.start < rows.start):
                yield rows, columns


def put(xp: Namespace, gram: Array, block: Array, rows: slice, columns: slice, symmetric: bool) -> None:
    """`block` into its place; of a symmetric matrix also its transpose, bit by bit."""
    if symmetric and rows == columns:
        block = xp.triu(block) + xp.triu(block, k=1).T
    gram[rows, columns] = block
    if symmetric and rows != columns:
        gram[columns, rows] = block.T


def transform(xp: Namespace, inputs: Inputs, gram: Array, function: Elementwise) -> Array:
    """function(gram) entry by entry, times the norms that were taken out of the inputs; in place."""
    for rows, columns in tiles(inputs):
        block = function(gram[rows, columns])
        if inputs.scale is not None and inputs.scale2 is not None:
            block = block * (inputs.scale[rows][:, None] * inputs.scale2[columns][None, :])
        put(xp, gram, block, rows, columns, inputs.symmetric)
    return gram


def cosines(xp: Namespace, inputs: Inputs) -> Array:
    """The cosines ρ (N, N2)."""
    gram = inputs.products(xp)
    for rows, columns in tiles(inputs):
        put(xp, gram, inputs.cosines(xp, gram[rows, columns], rows, columns), rows, columns, inputs.symmetric)
    return gram


def angles(xp: Namespace, inputs: Inputs) -> Array:
    """The angles θ (N, N2)."""
    gram = inputs.products(xp)
    for rows, columns in tiles(inputs):
        put(xp, gram, inputs.angles(xp, gram[rows, columns], rows, columns), rows, columns, inputs.symmetric)
    return gram


def distinct(gram: Array, most: float, chosen: Callable[[Host], Any] | None = None) -> Host | None:
    """The different entries of a matrix, ascending, those of `chosen` alone; None if they are more than `most`.

    A few rows settle it for most matrices. Below the diagonal of a symmetric matrix nothing is new.
    """
    seen = np.empty(0)
    for part in slices(gram.shape[0], max(1, TILE * TILE // gram.shape[1])):
        entries = to_host(gram[part, :]).ravel()
        if chosen is not None:
            entries = entries[chosen(entries)]
        seen = np.union1d(seen, entries)
        if len(seen) > most:
            return None
    return seen


def span(xp: Namespace, gram: Array, least: float) -> tuple[float, float]:
    """The smallest entry from `least` on, and the largest of all; the former infinite if there is none."""
    low, high = math.inf, -math.inf
    for part in slices(gram.shape[0], max(1, TILE * TILE // gram.shape[1])):
        entries = gram[part, :]
        low = min(low, float(xp.min(xp.where(entries < least, math.inf, entries))))
        high = max(high, float(xp.max(entries)))
    return low, high


def looked_up(xp: Namespace, points: Host, values: Array) -> Elementwise:
    """A function that has the `values` at the `points`, ascending, and is asked for no others."""
    table = from_host(xp, points, values)

    def function(block: Array) -> Array:
        index = xp.searchsorted(table, xp.reshape(block, (-1,)))
        return xp.reshape(xp.take(values, clip(xp, index, 0, len(points) - 1)), tuple(block.shape))

    return function
