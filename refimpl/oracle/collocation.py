"""Gauss's nodes on [0, 1] and the integrals of the polynomials through them, in fixed point."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from mpmath import MPContext

from refimpl.oracle.finite import _gauss_nodes
from refimpl.oracle.fixed import Fixed, Ints


@dataclass(frozen=True)
class Nodes:
    """m nodes c and weights b on [0, 1], and what is linear in the values there.

    Parameters
    ----------
    fx : Fixed
    c, b : (m,) ints
    """

    fx: Fixed
    c: Ints
    b: Ints

    def legendre(self, x: Ints) -> tuple[Ints, Ints]:
        """P_n(2x − 1) and ∫₀ˣ P_n(2y − 1) dy for n < m, of the shape of x with m in front."""
        fx, m = self.fx, len(self.c)
        z = 2 * x - fx.one
        values = [fx.one + 0 * x, z]
        for n in range(1, m):
            values.append(((2 * n + 1) * fx.mul(z, values[n]) - n * values[n - 1]) // (n + 1))
        integrals = [x] + [(values[n + 1] - values[n - 1]) // (4 * n + 2) for n in range(1, m)]
        return np.asarray(values[:m], object), np.asarray(integrals[:m], object)

    def _projection(self) -> Ints:
        """Legendre coefficients from values, shape (m, m); exact, for the rule is exact to degree 2m − 1."""
        degrees = np.arange(len(self.c)).astype(object)
        return self.fx.mul((2 * degrees + 1)[:, None] * self.legendre(self.c)[0], self.b[None, :])

    def to(self, x: Ints) -> tuple[Ints, Ints]:
        """Matrices that take values at the nodes to the polynomial's at x, and to its integrals from 0 to x."""
        values, integrals = self.legendre(x)
        projection = self._projection()
        return self.fx.matmul(values.T, projection), self.fx.matmul(integrals.T, projection)


def gauss(fx: Fixed, count: int) -> Nodes:
    """The m = `count` nodes of Gauss and Legendre.

    Examples
    --------
    >>> from mpmath import MPContext
    >>> nodes = gauss(Fixed(MPContext(), 60), 2)
    >>> [round(c / 2**60, 12) for c in nodes.c], [round(b / 2**60, 12) for b in nodes.b]
    ([0.211324865405, 0.788675134595], [0.5, 0.5])
    """
    return Nodes(fx, *_rule(fx.bits, count))


@lru_cache(maxsize=256)
def _rule(bits: int, count: int) -> tuple[Ints, Ints]:
    ctx = MPContext()
    ctx.prec = bits + 40
    fx, pairs = Fixed(ctx, bits), sorted(_gauss_nodes(ctx, count))
    return fx.array([x for x, _ in pairs]), fx.array([b for _, b in pairs])
