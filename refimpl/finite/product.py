"""W φ at the nodes of a step, or Wᵀ λ, in half the time where single precision is enough."""

from __future__ import annotations

import math

from refimpl.backend import Array, slices
from refimpl.finite.rows import BLOCK, in_blocks, times
from refimpl.finite.system import System

SINGLE = 2.0**-20
"""What a product in single precision rounds, relative to its terms: eight times their rounding."""

ROUGH = 1e-4
"""Change of a sweep above which its products may be rounded to single precision: the later sweeps damp that as well."""

FALLS = 0.5
"""Ratio of two changes up to which they are those of the sweeps, and not of the rounding."""


ROWS = 256
"""Rows of a product in single precision at least, for what stands beside it; more are no quicker."""


class Product:
    """Products for one sweep of Picard's iteration after the other.

    Parameters
    ----------
    system : System
    rtol : float
        Tolerance of the sweeps.
    transposed : bool
        Wᵀ λ in place of W φ.
    room : bool
        All states are large enough for single precision; else each sample at each node is rounded in its own units.

    Notes
    -----
    Single precision is enough while the sweeps are good to a few digits, for the reason in `refimpl.finite.climb`. And
    it is enough for the change between two sweeps on the same nodes, once that is small.
    """

    def __init__(self, system: System, rtol: float, *, transposed: bool = False, room: bool = False) -> None:
        self.xp, self.room = system.xp, room
        self.W, self.single = system.W, system.single_weights
        if not transposed:  # states are rows
            self.W = self.xp.matrix_transpose(self.W)
            self.single = None if self.single is None else self.xp.matrix_transpose(self.single)
        self.small = rtol / (16 * SINGLE)
        self.last: tuple[Array, Array] | None = None
        self.before = math.inf

    def __call__(self, factors: Array, change: float) -> Array:
        """Products (m, N, n) of `factors` likewise, from a sweep after the one that changed by `change`.

        They take the place of the last ones, if these are as many. Factors in single precision have such products.
        """
        xp = self.xp
        if factors.dtype != self.W.dtype:
            self.before = change
            return times(xp, factors, self.single)
        if self.last is not None and self.last[0].shape != factors.shape:
            self.last = None
        last = self.last
        rough = self.single is not None and change > ROUGH and change <= FALLS * self.before
        self.before = change
        if rough:
            self.last = None
            return self._add_in_single(xp.zeros_like(factors), factors, None)
        if last is not None and self.single is not None and change <= self.small:
            products = self._add_in_single(last[1], factors, last[0])
        else:
            products = times(xp, factors, self.W)
        self.last = (factors, products)
        return products

    def _add_in_single(self, products: Array, factors: Array, last: Array | None) -> Array:
        """Add those of `factors` less the `last` ones."""
        xp, n = self.xp, factors.shape[-1]
        total, new = (xp.reshape(array, (-1, n)) for array in (products, factors))
        old = None if last is None else xp.reshape(last, (-1, n))
        for part in slices(new.shape[0], max(ROWS, BLOCK // n)):
            if self.room:
                total[part, :] += xp.matmul(self._difference(new, old, part), self.single)
                continue
            change = new[part, :] if old is None else new[part, :] - old[part, :]
            scale = xp.max(xp.abs(change), axis=-1, keepdims=True)
            scale = xp.where(scale == 0, xp.ones_like(scale), scale)
            change = xp.matmul(xp.astype(change / scale, xp.float32), self.single)
            total[part, :] += xp.astype(change, factors.dtype) * scale
        return xp.reshape(total, factors.shape)

    def _difference(self, new: Array, old: Array | None, part: slice) -> Array:
        """Some rows of `new` less those of `old`, in single precision."""
        xp = self.xp
        if old is None:
            return xp.astype(new[part, :], xp.float32)
        return in_blocks(xp, lambda one, other: xp.astype(one - other, xp.float32), new[part, :], old[part, :])
