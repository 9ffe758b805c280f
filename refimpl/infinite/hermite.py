"""Hermite expansion of the dual activations, for φ analytic near the real line.

    φ(√s z) = Σ_k α_k(s) he_k(z),     E[φ(a)φ(b)] = Σ_k α_k(s₁) α_k(s₂) ρ^k     (Mehler),

with he_k the normalised Hermite polynomials and ρ the correlation of a and b. It needs few terms if φ is analytic
near the real line: a pole at distance d makes α_k² fall like exp(−2d √(2k/s)), so their number grows like s/d².
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from itertools import product

import numpy as np

from refimpl.activations import Activation, is_builtin
from refimpl.backend import Array, clip, device, from_host, namespace, slices, to_host
from refimpl.errors import AccuracyError
from refimpl.infinite.sectors import geometric_mean
from refimpl.quadrature import Host

MAX_TERMS = 4096
"""Longest Hermite expansion; a larger variance raises `AccuracyError`."""

# The weight exp(−z²/4) that remains beside a Hermite function is 1e-17 here.
_CUTOFF = 12.5
_MIN_POINTS, _MAX_POINTS = 64, 2048
# Change of a coefficient on halving the step that counts as rounding.
_TABLE_ERROR = 16 * float(np.finfo(np.float64).eps)
# Values of φ held at a time.
_BLOCK = 1 << 20

TILE_ROWS, TILE_COLUMNS = 64, 256
"""Of a product. With the 12 nodes of a block that stays below the 2¹⁸ multiplications, with a vector 9216, up to which
OpenBLAS uses one thread."""

GROWS = "; for smooth φ they grow with the variance of h: make T, sigma_w or sigma_u |x| smaller (rtol changes nothing)"


@dataclass(frozen=True, eq=False)
class HermiteDual:
    """Mehler's sums for φ and for φ', each prepared when it is first asked for.

    Parameters
    ----------
    activation : Activation
    s1 : array, shape (..., M1)
    s2 : array, shape (..., M2)
        Variances; leading axes broadcast.
    rtol : float
        Error that truncation may leave, relative to (E[φ(a)²] E[φ(b)²])^½.
    """

    activation: Activation
    s1: Array
    s2: Array
    rtol: float
    _whole: tuple[HermiteDual, Array, Array] | None = None

    def take(self, first: Array, second: Array) -> HermiteDual:
        """The same at variances s1[first] and s2[second], of shapes (B, M1) and (B, M2); nothing is expanded anew."""
        xp = namespace(self.s1, self.s2)
        s1, s2 = xp.take(self.s1, first, axis=0), xp.take(self.s2, second, axis=0)
        return HermiteDual(self.activation, s1, s2, self.rtol, (self, first, second))

    def value(self, c: Array) -> Array:
        """E[φ(a)φ(b)]."""
        return _sums(c, self._scale, self._phi)[0]

    def slope(self, c: Array) -> Array:
        """E[φ'(a)φ'(b)]."""
        return _sums(c, self._scale, self._dphi)[0]

    def both(self, c: Array) -> tuple[Array, Array]:
        """`value(c)` and `slope(c)` in one sweep."""
        value, slope = _sums(c, self._scale, self._phi, self._dphi)
        return value, slope

    def value_in_row(self, i: int, c: Array) -> Array:
        """E[φ(a)φ(b)] for the i-th variance of a only; c and the result have shape (..., M2)."""
        series = tuple(replace(part, a1=part.a1[..., i, :], a2=part.a2[..., 0, :]) for part in self._phi)
        return _sums(c, self._scale[..., i, :], series)[0]

    @cached_property
    def _phi(self) -> tuple[_Series, ...]:
        if self._whole is not None:
            whole, first, second = self._whole
            return tuple(series.take(first, second) for series in whole._phi)
        given = self.activation
        return _mehler(given.name + ": φ", given.phi, given.parity, self.s1, self.s2, self.rtol)

    @cached_property
    def _dphi(self) -> tuple[_Series, ...]:
        if self._whole is not None:
            whole, first, second = self._whole
            return tuple(series.take(first, second) for series in whole._dphi)
        given = self.activation
        parity = {"odd": "even", "even": "odd", None: None}[given.parity]
        return _mehler(given.name + ": φ'", given.dphi, parity, self.s1, self.s2, self.rtol)

    @cached_property
    def _scale(self) -> Array:
        """√(s₁s₂), or 1 where it is 0."""
        xp = namespace(self.s1, self.s2)
        g = geometric_mean(xp, self.s1[..., :, None], self.s2[..., None, :])
        return xp.where(g > 0, g, xp.ones_like(g))


@dataclass(frozen=True, eq=False)
class _Series:
    """Σ_j a_j(s₁) a_j(s₂) ρ^(2j + parity): the even or the odd half of Mehler's sum.

    Parameters
    ----------
    a1 : array, shape (J, ..., M1, 1)
    a2 : array, shape (J, ..., 1, M2)
    parity : int
        0 or 1.
    tail1, tail2 : ndarray, shapes (rows of s1, J) and (rows of s2, J)
        Σ_{j≥J} a_j² relative to E[φ²], the largest in each row of variances.
    allowed : float
        Error that truncation may leave.
    """

    a1: Array
    a2: Array
    parity: int
    tail1: Host
    tail2: Host
    allowed: float

    def take(self, first: Array, second: Array) -> _Series:
        """At the rows `first` of s1 and `second` of s2, without the terms that these do not need."""
        xp = namespace(self.a1, self.a2)
        rows1, rows2 = to_host(first), to_host(second)
        bounds = np.sqrt(np.max(self.tail1[rows1] * self.tail2[rows2], axis=0, initial=0.0))
        length = int(np.count_nonzero(bounds > self.allowed))
        a1, a2 = xp.take(self.a1[:length, ...], first, axis=1), xp.take(self.a2[:length, ...], second, axis=1)
        return _Series(a1, a2, self.parity, self.tail1[rows1], self.tail2[rows2], self.allowed)

    def __call__(self, rho: Array, square: Array) -> Array:
        total = 0.0 * square
        for j in reversed(range(self.a1.shape[0])):  # Horner in ρ²
            total *= square
            total += self.a1[j, ...] * self.a2[j, ...]
        return rho * total if self.parity else total


def _sums(c: Array, scale: Array, *expansions: tuple[_Series, ...]) -> list[Array]:
    """Several expansions at the correlation c / scale."""
    xp = namespace(c, scale)
    rho = clip(xp, c / scale, -1.0, 1.0)
    square = rho * rho
    return [sum(series(rho, square) for series in expansion) for expansion in expansions]


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
    distinct, where = np.unique(to_host(s), return_inverse=True)  # many pairs share their variances
    # The table is made on the host. A built-in φ is evaluated there as well: its values need not be brought back.
    on_host = is_builtin(function)
    where1, where2 = where[:rows], where[0 if same else rows :]
    allowed = max(rtol, float(xp.finfo(s.dtype).eps)) / 8  # for each parity
    parities = {"even": (0,), "odd": (1,), None: (0, 1)}[parity]
    terms, points = 64, _MIN_POINTS
    # The largest variances take the most terms: they alone find how many, and then all of them are looked at.
    chosen = np.unique([part.max() for part in (where1, where2) if part.size])
    while True:
        arguments = distinct[chosen] if on_host else from_host(xp, distinct[chosen], like=s)
        halves, change = _coefficients(function, parities, arguments, terms, points)
        if change > _TABLE_ERROR:
            if points >= _MAX_POINTS:
                raise _inaccurate(name, s, change, "the coefficients of the Hermite expansion do not converge")
            points *= 2
            continue
        squares = [half**2 for half in halves]
        norms = sum(np.sum(square, axis=1) for square in squares)
        tails, lengths, left_out = [], [], []
        for square in squares:
            tails.append(np.cumsum(square[:, ::-1], axis=1)[:, ::-1] / np.where(norms > 0, norms, 1.0)[:, None])
            tail1, tail2 = (np.max(tails[-1][np.isin(chosen, part)], axis=0, initial=0.0) for part in (where1, where2))
            bounds = np.sqrt(tail1 * tail2)
            lengths.append(int(np.count_nonzero(bounds > allowed)))
            left_out.append(float(bounds[min(MAX_TERMS // 2, 3 * terms // 8)]))
        if max(left_out) > allowed:  # at least a quarter of the table to spare: what lies beyond it is smaller still
            if terms >= 2 * MAX_TERMS:
                raise _inaccurate(
                    name, s, max(left_out), f"{MAX_TERMS} terms of the Hermite expansion are not enough", GROWS
                )
            terms *= 2
        elif chosen.size < distinct.size:
            chosen = np.arange(distinct.size)
        else:
            break
    series, indices = [], [xp.asarray(part, device=device(s)) for part in (where1, where2)]
    for half, tail, length, odd in zip(halves, tails, lengths, parities, strict=True):
        table = from_host(xp, np.ascontiguousarray(half[:, :length].T), like=s)
        a1, a2 = (xp.take(table, index, axis=1) for index in indices)
        a1 = xp.reshape(a1, (length, *s1.shape, 1))
        a2 = xp.reshape(a2, (length, *s2.shape[:-1], 1, s2.shape[-1]))
        tail1, tail2 = (
            np.max(tail[part, :length].reshape(math.prod(shape[:-1]), shape[-1], length), axis=1, initial=0.0)
            for part, shape in ((where1, s1.shape), (where2, s2.shape))
        )
        series.append(_Series(a1, a2, odd, tail1, tail2, allowed))
    return tuple(series)


def _inaccurate(name: str, s: Array, reached: float, reason: str, advice: str = "") -> AccuracyError:
    largest = float(np.max(to_host(s)))
    return AccuracyError(
        f"{name} at variances up to {largest:.3g}: {reason}; relative error reached {reached:.1e}{advice}",
        reached=reached,
    )


def _coefficients(
    function: Callable[[Array], Array], parities: tuple[int, ...], s: Array, terms: int, points: int
) -> tuple[list[Host], float]:
    """α_k(s) = E[f(√s z) he_k(z)], k < `terms`, and how much halving the step changed them.

    Parameters
    ----------
    function : callable
        The function f.
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
    """left @ right, summed in blocks: one running sum over all nodes rounds α_0 by up to 4 units of the last place.

    Each product is too small for a BLAS to share among its threads, which would wait for each other.
    """
    total = np.zeros((left.shape[0], right.shape[1]))
    for rows, columns in product(slices(left.shape[0], TILE_ROWS), slices(right.shape[1], TILE_COLUMNS)):
        for block in slices(right.shape[0], length):
            total[rows, columns] += left[rows, block] @ right[block, columns]
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
