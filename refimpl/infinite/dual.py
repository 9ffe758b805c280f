"""Dual activation functions: E[φ(a)φ(b)] and E[φ'(a)φ'(b)] for a centred Gaussian pair (a, b).

Three roads, tried in this order: a closed form (`closed_forms`); for φ with its only kink at 0, a quadrature over
the four sectors in which the signs of a and b are fixed (`sectors`); for every other φ the Hermite expansion

    φ(√s z) = Σ_k α_k(s) he_k(z),     E[φ(a)φ(b)] = Σ_k α_k(s₁) α_k(s₂) ρ^k     (Mehler),

with he_k the normalised Hermite polynomials and ρ the correlation of a and b. It needs few terms if φ is analytic
near the real line: a pole at distance d makes α_k² fall like exp(−2d √(2k/s)), so their number grows like s/d².
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol, TypeAlias

import numpy as np

from refimpl.activations import Activation
from refimpl.backend import Array, float_dtype, from_host, namespace, to_host
from refimpl.errors import AccuracyError
from refimpl.infinite.closed_forms import closed_form
from refimpl.infinite.sectors import geometric_mean, sector_form

Host: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]
Elementwise: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Array]]

MAX_TERMS = 4096
"""Longest Hermite expansion; a larger variance raises `AccuracyError`."""

# The weight exp(−z²/4) that remains beside a Hermite function is 1e-17 here.
_CUTOFF = 12.5
_MIN_POINTS, _MAX_POINTS = 64, 2048
# Change of a coefficient on halving the step that counts as rounding.
_TABLE_ERROR = 16 * float(np.finfo(np.float64).eps)
# Values of φ held at a time.
_BLOCK = 1 << 20


class Dual(Protocol):
    """Σ(c) = E[φ(a)φ(b)] and D(c) = E[φ'(a)φ'(b)] as functions of the covariance c, at fixed variances.

    `c` has shape (..., M1, M2) and so have the results; leading axes broadcast against those of the variances.
    A covariance beyond ±√(s₁s₂), where rounding can put it, counts as ±√(s₁s₂).
    """

    def value(self, c: Array) -> Array:
        """E[φ(a)φ(b)]."""
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
        same with φ' for the slope. Rounding comes on top, a few units of the last place of `s1`'s dtype.

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

    def both(self, c: Array) -> tuple[Array, Array]:
        return self.form(self.s1, self.s2, c)

    def value(self, c: Array) -> Array:
        return self.both(c)[0]

    def slope(self, c: Array) -> Array:
        return self.both(c)[1]


@dataclass(frozen=True, eq=False)
class _Series:
    """Σ_j a_j(s₁) a_j(s₂) ρ^(2j + parity): the even or the odd half of Mehler's sum.

    Parameters
    ----------
    a1 : array, shape (J, ..., M1, 1)
    a2 : array, shape (J, ..., 1, M2)
    parity : int
        0 or 1.
    """

    a1: Array
    a2: Array
    parity: int

    def __call__(self, rho: Array, square: Array) -> Array:
        total = 0.0 * square
        for j in reversed(range(self.a1.shape[0])):  # Horner in ρ²
            total *= square
            total += self.a1[j, ...] * self.a2[j, ...]
        return rho * total if self.parity else total


@dataclass(frozen=True, eq=False)
class _Hermite:
    """Mehler's sums for φ and for φ', over g = √(s₁s₂)."""

    g: Array
    phi: tuple[_Series, ...]
    dphi: tuple[_Series, ...]

    def value(self, c: Array) -> Array:
        return self._sums(c, self.phi)[0]

    def slope(self, c: Array) -> Array:
        return self._sums(c, self.dphi)[0]

    def both(self, c: Array) -> tuple[Array, Array]:
        value, slope = self._sums(c, self.phi, self.dphi)
        return value, slope

    def _sums(self, c: Array, *expansions: tuple[_Series, ...]) -> list[Array]:
        xp = namespace(c, self.g)
        rho = c / xp.where(self.g > 0, self.g, xp.ones_like(self.g))
        rho = xp.minimum(xp.maximum(rho, -xp.ones_like(rho)), xp.ones_like(rho))
        square = rho * rho
        return [sum(series(rho, square) for series in expansion) for expansion in expansions]


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
    s1, s2 = _checked(s1, s2, rtol)
    xp = namespace(s1, s2)
    opposite = {"odd": "even", "even": "odd", None: None}[activation.parity]
    return _Hermite(
        geometric_mean(xp, s1[..., :, None], s2[..., None, :]),
        _mehler(activation.name + ": φ", activation.phi, activation.parity, s1, s2, rtol),
        _mehler(activation.name + ": φ'", activation.dphi, opposite, s1, s2, rtol),
    )


def _mehler(
    name: str, function: Callable[[Array], Array], parity: str | None, s1: Array, s2: Array, rtol: float
) -> tuple[_Series, ...]:
    """Mehler's sum for `function`, without the terms that together stay below `rtol` at every correlation.

    By Cauchy and Schwarz the terms from K on are at most the geometric mean of the tails Σ_{k≥K} α_k² at s₁ and at
    s₂. The tails are summed from the table itself, so they are known far below the rounding error of E[φ²].
    """
    xp = namespace(s1, s2)
    same = s1 is s2
    rows = math.prod(s1.shape)
    s = xp.reshape(s1, (-1,)) if same else xp.concat((xp.reshape(s1, (-1,)), xp.reshape(s2, (-1,))))
    allowed = max(rtol, float(xp.finfo(s.dtype).eps)) / 8  # for each parity
    parities = {"even": (0,), "odd": (1,), None: (0, 1)}[parity]
    terms, points = 64, _MIN_POINTS
    while True:
        halves, change = _coefficients(function, parities, s, terms, points)
        if change > _TABLE_ERROR:
            if points >= _MAX_POINTS:
                raise _inaccurate(name, s, change, "the coefficients of the Hermite expansion do not converge")
            points *= 2
            continue
        squares = [half**2 for half in halves]
        norms = sum(np.sum(square, axis=1) for square in squares)
        lengths, left_out = [], []
        for square in squares:
            tails = np.cumsum(square[:, ::-1], axis=1)[:, ::-1] / np.where(norms > 0, norms, 1.0)[:, None]
            tail1, tail2 = (np.max(part, axis=0, initial=0.0) for part in (tails[:rows], tails[0 if same else rows :]))
            bounds = np.sqrt(tail1 * tail2)
            lengths.append(int(np.count_nonzero(bounds > allowed)))
            left_out.append(float(bounds[min(MAX_TERMS // 2, 3 * terms // 8)]))
        if max(left_out) <= allowed:  # at least a quarter of the table to spare: what lies beyond it is smaller still
            break
        if terms >= 2 * MAX_TERMS:
            raise _inaccurate(name, s, max(left_out), f"{MAX_TERMS} terms of the Hermite expansion are not enough")
        terms *= 2
    series = []
    for half, length, odd in zip(halves, lengths, parities, strict=True):
        columns = from_host(xp, half[:, :length].T, like=s)
        a1 = xp.reshape(columns[:, :rows], (length, *s1.shape, 1))
        a2 = xp.reshape(columns[:, 0 if same else rows :], (length, *s2.shape[:-1], 1, s2.shape[-1]))
        series.append(_Series(a1, a2, odd))
    return tuple(series)


def _inaccurate(name: str, s: Array, reached: float, reason: str) -> AccuracyError:
    largest = float(np.max(to_host(s)))
    return AccuracyError(
        f"{name} at variances up to {largest:.3g}: {reason}; relative error reached {reached:.1e}", reached=reached
    )


def _coefficients(
    function: Callable[[Array], Array], parities: tuple[int, ...], s: Array, terms: int, points: int
) -> tuple[list[Host], float]:
    """α_k(s) = E[f(√s z) he_k(z)], k < `terms`, and how much halving the step changed them.

    Parameters
    ----------
    function : callable
        f.
    parities : tuple of int
        Which of the even (0) and odd (1) k to compute.
    s : array, shape (n,)
        Variances.

    Returns
    -------
    halves : list of ndarray, shape (n, terms / 2)
        For each parity.
    change : float
        Largest |α_k(coarse) − α_k| relative to (Σ_k α_k²)^½; inf if a value is not finite.

    Notes
    -----
    Trapezoidal rule: its error falls exponentially with 1/step for f analytic in a strip, so that the change
    bounds it with much to spare.
    """
    xp = namespace(s)
    z, table = _hermite_table(terms, points + 4 * math.isqrt(terms))
    coarse = z.size // 2 + 1
    root = xp.sqrt(xp.astype(s, xp.float64))
    nodes = from_host(xp, z, like=root)
    rows = max(1, _BLOCK // z.size)
    halves: list[list[Host]] = [[] for _ in parities]
    changes, norms = np.zeros(s.shape[0]), np.zeros(s.shape[0])
    for start in range(0, s.shape[0], rows):
        block = slice(start, min(start + rows, s.shape[0]))
        argument = root[block][:, None] * nodes
        right, left = to_host(function(argument)), to_host(function(-argument))
        for half, odd in zip(halves, parities, strict=True):
            folded = right - left if odd else right + left
            weights = table[odd::2].T
            first = _blocked_product(folded[:, :coarse], weights[:coarse])
            second = _blocked_product(folded[:, coarse:], weights[coarse:])
            half.append(first + second)
            changes[block] = np.maximum(changes[block], np.max(np.abs(first - second), axis=1))
            norms[block] += np.sum(half[-1] ** 2, axis=1)
    relative = changes / np.sqrt(np.where(norms > 0, norms, 1.0))
    change = float(np.max(relative, initial=0.0))
    empty = np.zeros((0, terms // 2))
    return [np.concatenate([empty, *half]) for half in halves], change if math.isfinite(change) else math.inf


def _blocked_product(left: Host, right: Host, length: int = 12) -> Host:
    """left @ right, summed in blocks: one running sum over all nodes rounds α_0 by up to 4 units of the last place."""
    total = np.zeros((left.shape[0], right.shape[1]))
    for block in (slice(start, start + length) for start in range(0, right.shape[0], length)):
        total += left[:, block] @ right[block]
    return total


@lru_cache(maxsize=16)
def _hermite_table(terms: int, points: int) -> tuple[Host, Host]:
    """Nodes z ≥ 0, and he_k(z) times the weight of the folded trapezoidal rule, shape (terms, nodes).

    The nodes of the rule with twice the step come first.
    """
    z = np.linspace(0.0, _CUTOFF, 2 * (points // 2) + 1)
    z = np.concatenate((z[::2], z[1::2]))
    # ψ_k = he_k exp(−z²/4) is bounded, and its recurrence is stable forwards: the error grows like √k, to 1e-15 at
    # k = 100 in float64. In the extended precision that most platforms have, nothing of it is left.
    x = z.astype(np.longdouble)
    step = _CUTOFF / np.longdouble(z.size - 1)
    weight = step / np.sqrt(8 * np.arctan(np.longdouble(1))) * np.exp(-x * x / 4)
    weight[0] /= 2  # z = 0 stands for itself and for −z
    previous, current = np.zeros_like(x), np.exp(-x * x / 4)
    table = np.empty((terms, z.size))
    for k in range(terms):
        table[k] = current * weight
        order = np.longdouble(k)
        previous, current = current, (x * current - np.sqrt(order) * previous) / np.sqrt(order + 1)
    return z, table
