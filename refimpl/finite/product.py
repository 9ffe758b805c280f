"""W φ at the nodes of a step, or Wᵀ λ, in half the time where single precision is enough."""

from __future__ import annotations

import math

from refimpl.backend import Array
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
        Wᵀ in place of W.

    Notes
    -----
    Single precision is enough while the sweeps are good to a few digits: an error ε of the k-th of K sweeps comes out
    as ε (κΔ)^(K−k) / (K−k)!, which is ε times the binomial coefficient of K and k when compared with how far the k-th
    sweep itself is from the solution. And it is enough for the change between two sweeps on the same nodes, once that
    is small.
    """

    def __init__(self, system: System, rtol: float, *, transposed: bool = False) -> None:
        self.xp = system.xp
        matrices = system.W, system.single_weights
        self.W, self.single = (W if W is None or not transposed else self.xp.matrix_transpose(W) for W in matrices)
        self.small = rtol / (16 * SINGLE)
        self.last: tuple[Array, Array] | None = None
        self.before = math.inf

    def __call__(self, factors: Array, change: float) -> Array:
        """Products (m, n, N) of `factors` likewise, from a sweep after the one that changed by `change`.

        They take the place of the last ones, if these are as many.
        """
        xp = self.xp
        if self.last is not None and self.last[0].shape != factors.shape:
            self.last = None
        last = self.last
        rough = self.single is not None and change > ROUGH and change <= FALLS * self.before
        self.before = change
        update = self.single is not None and change <= self.small
        products = xp.empty_like(factors) if last is None else last[1]
        for j in range(factors.shape[0]):
            factor = factors[j, ...]
            if rough:
                products[j, ...] = self._in_single(factor)
            elif update and last is not None:
                products[j, ...] += self._in_single(factor - last[0][j, ...])
            else:
                products[j, ...] = xp.matmul(self.W, factor)
        self.last = None if rough else (factors, products)
        return products

    def _in_single(self, factor: Array) -> Array:
        """Each sample is rounded in units of its own size: none is too small for single precision."""
        xp = self.xp
        scale = xp.max(xp.abs(factor), axis=0, keepdims=True)
        scale = xp.where(scale == 0, xp.ones_like(scale), scale)
        product = xp.matmul(self.single, xp.astype(factor / scale, xp.float32))
        return xp.astype(product, factor.dtype) * scale
