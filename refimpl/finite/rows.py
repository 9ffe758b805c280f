"""States as rows, (nodes, N, n), as Picard's sweeps and the defect have them: one product with W serves all nodes.

Elsewhere in `refimpl.finite` states are columns, (nodes, n, N).
"""

from __future__ import annotations

from collections.abc import Callable

from refimpl.backend import Array, Namespace, slices
from refimpl.finite import forward

BLOCK = 1 << 15
"""Values that functions of single entries get at a time (256 KiB in float64): what they need stays in the cache."""


def rows_of(xp: Namespace, columns: Array) -> Array:
    """(n, N) → (N, n), with every row in one piece."""
    rows = xp.empty((columns.shape[1], columns.shape[0]), dtype=columns.dtype, device=columns.device)
    rows[...] = columns.T
    return rows


def times(xp: Namespace, states: Array, matrix: Array) -> Array:
    """`states` (…, n) times `matrix` (n, n), in one product for all rows."""
    return xp.reshape(xp.matmul(xp.reshape(states, (-1, states.shape[-1])), matrix), states.shape)


def in_blocks(xp: Namespace, function: Callable[..., Array], *arrays: Array) -> Array:
    """`function` of `arrays` (…, n), some rows at a time; it gives (…, n), or with the last axis gone (…)."""
    n, shape = arrays[0].shape[-1], arrays[0].shape
    rows = [xp.reshape(array, (-1, n)) for array in arrays]
    count, chunk = rows[0].shape[0], max(1, BLOCK // n)
    if count <= chunk:
        return function(*arrays)
    found: Array = None
    for part in slices(count, chunk):
        values = function(*(row[part, ...] for row in rows))
        if found is None:
            found = xp.empty((count, *values.shape[1:]), dtype=values.dtype, device=values.device)
        found[part, ...] = values
    return xp.reshape(found, (*shape[:-1], *found.shape[1:]))


def relative_change(xp: Namespace, new: Array, old: Array) -> float:
    """max of |new − old| / |new| in the maximum norm over the neurons: enough to see an iteration stand still."""
    if 0 in new.shape:
        return 0.0

    def of_block(one: Array, other: Array) -> Array:
        size = xp.max(xp.abs(one), axis=-1)
        return xp.max(xp.abs(one - other), axis=-1) / xp.where(size == 0, xp.ones_like(size), size)

    return float(xp.max(in_blocks(xp, of_block, new, old)))


def norms(xp: Namespace, values: Array) -> Array:
    """Euclidean norm of every row of `values`, (…, n); no square over- or underflows."""

    def of_block(block: Array) -> Array:
        unit = xp.max(xp.abs(block), axis=-1, keepdims=True)
        unit = xp.where(unit == 0, xp.ones_like(unit), unit)
        block = block / unit
        return unit[..., 0] * xp.sqrt(xp.vecdot(block, block))

    return in_blocks(xp, of_block, values)


def relative_size(xp: Namespace, change: Array, reference: Array) -> float:
    """max over leading axes and samples of ‖change‖ / ‖reference‖, with norms over the neurons."""
    return forward.relative_size(xp, xp.matrix_transpose(change), xp.matrix_transpose(reference))
