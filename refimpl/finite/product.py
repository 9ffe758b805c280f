"""W φ at the nodes of a step, or Wᵀ λ, in half the time where single precision is enough."""

from __future__ import annotations

import math

from refimpl.backend import Array
from refimpl.finite.rows import times
from refimpl.finite.system import System

SINGLE = 2.0**-20
"""What a product in single precision rounds, relative to its terms: eight times their rounding."""

ROUGH = 1e-4
"""Change of a sweep above which its products may be rounded to single precision: the later sweeps damp that as well."""

FALLS = 0.5
"""Ratio of two changes up to which they are those of the sweeps, and not of the rounding."""


class Product:
    """Products for one sweep of Picard's iteration after the other.

    Parameters
    ----------
    system : System
    rtol : float
        Tolerance of the sweeps.
    transposed : bool
        Wᵀ λ in place of W φ.

    Notes
    -----
    Single precision is enough while the sweeps are good to a few digits, for the reason in `refimpl.finite.climb`. And
    it is enough for the change between two sweeps on the same nodes, once that is small.
    """

    def __init__(self, system: System, rtol: float, *, transposed: bool = False) -> None:
        self.xp = system.xp
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
            return self._in_single(factors)
        if last is not None and self.single is not None and change <= self.small:
            products = last[1]
            products += self._in_single(factors - last[0])
        else:
            products = times(xp, factors, self.W)
        self.last = (factors, products)
        return products

    def _in_single(self, factors: Array) -> Array:
        """Each sample at each node is rounded in units of its own size: none is too small for single precision."""
        xp = self.xp
        scale = xp.max(xp.abs(factors), axis=-1, keepdims=True)
        scale = xp.where(scale == 0, xp.ones_like(scale), scale)
        product = times(xp, xp.astype(factors / scale, xp.float32), self.single)
        return xp.astype(product, factors.dtype) * scale
