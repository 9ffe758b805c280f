"""Dual activation functions: E[φ(a)φ(b)] and E[φ'(a)φ'(b)] for a centred Gaussian pair (a, b).

Three roads, tried in this order: a closed form (`closed_forms`); for φ with its only kink at 0, a quadrature over
the four sectors in which the signs of a and b are fixed (`sectors`); for every other φ the Hermite expansion
(`hermite`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from refimpl.activations import Activation
from refimpl.backend import Array, float_dtype, namespace, to_host
from refimpl.errors import AccuracyError
from refimpl.infinite.closed_forms import closed_form
from refimpl.infinite.hermite import HermiteDual
from refimpl.infinite.sectors import sector_form

Elementwise: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Array]]


class Dual(Protocol):
    """Σ(c) = E[φ(a)φ(b)] and D(c) = E[φ'(a)φ'(b)] as functions of the covariance c, at fixed variances.

    `c` has shape (..., M1, M2) and so have the results; leading axes broadcast against those of the variances.
    A covariance beyond ±√(s₁s₂), where rounding can put it, counts as ±√(s₁s₂) (identity and quadratic φ: as it is).
    """

    def take(self, first: Array, second: Array) -> Dual:
        """The same at the variances s1[first] and s2[second], shapes (B, M1) and (B, M2): nothing is prepared anew."""
        ...

    def value(self, c: Array) -> Array:
        """E[φ(a)φ(b)]."""
        ...

    def value_in_row(self, i: int, c: Array) -> Array:
        """E[φ(a)φ(b)] for the i-th variance of a only; c and the result have shape (..., M2)."""
        ...

    def slope(self, c: Array) -> Array:
        """E[φ'(a)φ'(b)], which is d value/dc (Price's theorem)."""
        ...

    def both(self, c: Array) -> tuple[Array, Array]:
        """`value(c)` and `slope(c)` in one sweep."""
        ...


def dual(activation: Activation, s1: Array, s2: Array, rtol: float = 1e-15) -> Dual:
    """Dual activation of φ and of φ' at the variances `s1` of a and `s2` of b.

    Parameters
    ----------
    activation : Activation
    s1 : array, shape (..., M1)
        Variances of a, ≥ 0. At 0, a = 0 almost surely.
    s2 : array, shape (..., M2)
        Variances of b, ≥ 0; leading axes broadcast against those of `s1`.
    rtol : float
        Error that truncation or quadrature may leave, relative to (E[φ(a)²] E[φ(b)²])^½ for the value and to the
        same with φ' for the slope. Not taken below the precision of the dtype.
        Rounding comes on top: a few units of the last place, and what two units of c would do.

    Returns
    -------
    Dual
        Everything that depends on the variances alone is prepared here, once.

    Raises
    ------
    TypeError
        Arrays of different kinds.
    ValueError
        A variance that is negative or not finite, a 0-d array, or rtol ≤ 0.
    AccuracyError
        More than `MAX_TERMS` terms would be needed (a large variance), φ is not smooth enough for the expansion,
        or has a kink away from 0 and no closed form. Two resolutions of the sector quadrature are compared at
        each call, which can raise it too.

    Notes
    -----
    Mehler's formula and dual activations: Daniely, Frostig and Singer, *Toward deeper understanding of neural
    networks*, NeurIPS 2016. At a kink φ' takes the value that the activation gives it, which matters at
    variance 0 alone.

    Examples
    --------
    >>> import numpy as np
    >>> from refimpl import activations
    >>> pair = dual(activations.relu, np.asarray([1.0]), np.asarray([1.0]))
    >>> pair.value(np.asarray([[1.0]])), pair.slope(np.asarray([[0.0]]))
    (array([[0.5]]), array([[0.25]]))
    """
    s1, s2 = _checked(s1, s2, rtol)
    form = closed_form(activation)
    if form is not None:
        return _Elementwise(form, s1[..., :, None], s2[..., None, :])
    if activation.kinks == (0.0,):
        return _Elementwise(sector_form(activation, rtol), s1[..., :, None], s2[..., None, :])
    if activation.kinks:
        raise AccuracyError(
            f"no closed form of E[φ(a)φ(b)] is known for {activation.name!r}, and quadrature handles a kink at 0 "
            f"only, got kinks={activation.kinks}"
        )
    return hermite_dual(activation, s1, s2, rtol)


def is_elementwise(activation: Activation) -> bool:
    """Whether `dual` is a formula in variances and covariance, which costs nothing to prepare."""
    return closed_form(activation) is not None or activation.kinks == (0.0,)


def _checked(s1: Array, s2: Array, rtol: float) -> tuple[Array, Array]:
    """The variances in a common floating dtype; one array where they are one."""
    xp = namespace(s1, s2)
    dtype = float_dtype(xp, s1=s1, s2=s2)
    for name, s in (("s1", s1), ("s2", s2)):
        if s.ndim == 0:
            raise ValueError(f"{name} must have shape (..., M), got a 0-d array")
        if not bool(xp.all(xp.isfinite(s) & (s >= 0))):
            raise ValueError(f"{name} must hold finite variances >= 0, got {to_host(s)}")
    if not rtol > 0:
        raise ValueError(f"rtol must be > 0, got {rtol!r}")
    first = xp.astype(s1, dtype, copy=False)
    return first, first if s2 is s1 else xp.astype(s2, dtype, copy=False)


@dataclass(frozen=True, eq=False)
class _Elementwise:
    """A formula in (s₁, s₂, c), with the variances along the last two axes."""

    form: Elementwise
    s1: Array
    s2: Array

    def take(self, first: Array, second: Array) -> Dual:
        xp = namespace(self.s1, self.s2)
        return _Elementwise(self.form, xp.take(self.s1, first, axis=0), xp.take(self.s2, second, axis=0))

    def both(self, c: Array) -> tuple[Array, Array]:
        return self.form(self.s1, self.s2, c)

    def value(self, c: Array) -> Array:
        return self.both(c)[0]

    def value_in_row(self, i: int, c: Array) -> Array:
        return self.form(self.s1[..., i, :], self.s2[..., 0, :], c)[0]

    def slope(self, c: Array) -> Array:
        return self.both(c)[1]


def hermite_dual(activation: Activation, s1: Array, s2: Array, rtol: float = 1e-15) -> Dual:
    """`dual` by Hermite expansion, whether or not there is a closed form; φ analytic near the real line.

    Examples
    --------
    >>> import numpy as np
    >>> from refimpl import activations
    >>> s, c = np.asarray([1.0]), np.asarray([[0.5]])
    >>> hermite_dual(activations.erf, s, s).value(c).round(7), dual(activations.erf, s, s).value(c).round(7)
    (array([[0.2163469]]), array([[0.2163469]]))
    """
    return HermiteDual(activation, *_checked(s1, s2, rtol), rtol)
