"""Fixed-point numbers for the limit: NumPy arrays of Python integers, each a multiple of 2^−bits.

An integer product costs a tenth of what one of `mpmath` floats does, and the limit kernel needs some hundred million.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
from mpmath import libmp

from refimpl.oracle.series import Context, Number

Ints: TypeAlias = Any
"""An int, or an array of them with dtype object, that stands for itself times 2^−bits."""


class Fixed:
    """Arithmetic with a step of 2^−bits; sums and differences are those of the integers.

    Parameters
    ----------
    ctx : mpmath.MPContext
        Where numbers come from and go to.
    bits : int

    Examples
    --------
    >>> from mpmath import MPContext
    >>> fx = Fixed(MPContext(), 80)
    >>> half = fx.number(0.5)
    >>> fx.mpf(fx.mul(half, half)), fx.mpf(fx.sqrt(fx.one // 4)), fx.mpf(fx.exp(0))
    (mpf('0.25'), mpf('0.5'), mpf('1.0'))
    """

    def __init__(self, ctx: Context, bits: int) -> None:
        self.ctx, self.bits, self.one = ctx, bits, 1 << bits
        precision = bits + 20
        self.pi = libmp.pi_fixed(bits)
        self.exp = self._elementwise(lambda x: libmp.mpf_exp(x, precision))
        self.log = self._elementwise(lambda x: libmp.mpf_log(x, precision))
        self.sin = self._elementwise(lambda x: libmp.mpf_sin(x, precision))
        self.sqrt = self._vectorised(lambda x: math.isqrt(x << bits), 1)
        self.root = self._vectorised(math.isqrt, 1)
        """Square root of a number with twice the bits."""
        self.atan2 = self._vectorised(self._atan2, 2)

    def _atan2(self, y: int, x: int) -> int:
        ratio = libmp.mpf_atan2(libmp.from_int(y), libmp.from_int(x), self.bits + 20)
        return int(libmp.to_fixed(ratio, self.bits))

    def _elementwise(self, function: Callable[[Any], Any]) -> Callable[[Ints], Ints]:
        bits = self.bits
        return self._vectorised(lambda x: int(libmp.to_fixed(function(libmp.from_man_exp(x, -bits)), bits)), 1)

    @staticmethod
    def _vectorised(function: Callable[..., int], count: int) -> Callable[..., Ints]:
        vectorised: Callable[..., Ints] = np.frompyfunc(function, count, 1)
        return vectorised

    def number(self, x: Number) -> int:
        """The integer that stands for x, an mpf or float."""
        return int(libmp.to_fixed(self.ctx.convert(x)._mpf_, self.bits))

    def array(self, rows: Any) -> Ints:
        """The same for a list, or a list of equally long lists, of mpf's."""
        return np.asarray([self.array(row) if isinstance(row, list) else self.number(row) for row in rows], object)

    def mpf(self, x: int) -> Number:
        """The number that x stands for."""
        return self.ctx.mpf(x) / self.ctx.mpf(self.one)

    def mul(self, a: Ints, b: Ints) -> Ints:
        """The elementwise product."""
        return (a * b) >> self.bits

    def matmul(self, a: Ints, b: Ints) -> Ints:
        """The product of matrices or vectors, as of `numpy.dot`."""
        return np.dot(a, b) >> self.bits

    def div(self, a: Ints, b: Ints) -> Ints:
        """The elementwise quotient."""
        return (a << self.bits) // b
