"""Σ = E[φ(a)φ(b)] and D = E[φ'(a)φ'(b)] of a centred Gaussian pair, in fixed point.

A closed form takes variances s₁, s₂ and a covariance c of any shapes that broadcast. The activations made of the
logistic function have none: `Hermite` takes variances s₁ of shape (m,), s₂ of shape (n,) and c of shape (m, n).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from refimpl.oracle.fixed import Fixed, Ints

Form: TypeAlias = Callable[[Fixed, Ints, Ints, Ints], tuple[Ints, Ints]]

LEAKY_SLOPE = 0.01
"""The float that it is, not one hundredth: the definition of the package."""

AT_REST = frozenset({"tanh", "erf", "gelu", "silu", "sin", "identity", "quadratic", "relu", "leaky_relu", "elu"})
"""φ(0) = 0: an input x = 0 stays at 0."""


def identity(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """φ(z) = z."""
    return c, fx.one + 0 * c


def quadratic(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """φ(z) = z²/2: the fourth moments of Isserlis."""
    return (s1 * s2 + 2 * c * c) >> (fx.bits + 2), c


def sin(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """2 sin a sin b = cos(a − b) − cos(a + b), and E[cos z] = exp(−E[z²]/2)."""
    difference, total = fx.exp(c - ((s1 + s2) >> 1)), fx.exp(-c - ((s1 + s2) >> 1))
    return (difference - total) >> 1, (difference + total) >> 1


def cos(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """2 cos a cos b = cos(a − b) + cos(a + b)."""
    slope, value = sin(fx, s1, s2, c)
    return value, slope


def erf(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """Williams (1996): Σ = (2/π) arctan(2c/r), D = 4/(πr), with r² = (1 + 2s₁)(1 + 2s₂) − 4c²."""
    r = fx.root((fx.one + 2 * s1) * (fx.one + 2 * s2) - 4 * c * c)
    return fx.div(2 * fx.atan2(2 * c, r), fx.pi), fx.div(4 * fx.div(fx.one + 0 * c, r), fx.pi)


def gelu(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """Stein's lemma, from E[ϕ(a)ϕ(b)] = 1/(2πr), r² = (1 + s₁)(1 + s₂) − c², and E[Φ(a)Φ(b)] = ¼ + arctan(c/r)/2π."""
    t1, t2 = fx.one + s1, fx.one + s2
    delta = t1 * t2 - c * c
    r = fx.root(delta)
    density = fx.div(fx.div(fx.one + 0 * c, r), 2 * fx.pi)
    orthant = (fx.one >> 2) + fx.div(fx.atan2(c, r), 2 * fx.pi)
    shares = fx.div(c, t1) + fx.div(c, t2)
    determinant = (s1 * s2 - c * c) >> fx.bits
    value = fx.mul(c, orthant) + fx.mul(determinant + fx.mul(c, shares), density)
    return value, orthant + fx.mul(shares + fx.div(c, delta >> fx.bits), density)


def relu(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """The arc-cosine kernels of Cho and Saul (2009); D = 0 where a variance is 0, by φ'(0) = 0."""
    height = fx.root(np.maximum(s1 * s2 - c * c, 0))
    angle = np.where((s1 > 0) & (s2 > 0), fx.atan2(height, -c), 0)  # π − θ
    return fx.div(height + fx.mul(angle, c), 2 * fx.pi), fx.div(angle, 2 * fx.pi)


def leaky_relu(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
    """φ(z) = αz + (1 − α) max(z, 0), and E[a max(b, 0)] = c/2."""
    alpha = fx.number(LEAKY_SLOPE)
    beta = fx.one - alpha
    value, slope = relu(fx, s1, s2, c)
    halves = (np.where(s1 > 0, 1, 0) + np.where(s2 > 0, 1, 0)).astype(object)
    value = fx.mul(alpha, c) + fx.mul(fx.mul(beta, beta), value)
    return value, fx.mul(alpha, alpha) + (fx.mul(alpha, beta) * halves >> 1) + fx.mul(fx.mul(beta, beta), slope)


CLOSED: dict[str, Form] = {
    "identity": identity, "quadratic": quadratic, "sin": sin, "cos": cos, "erf": erf, "gelu": gelu,
    "relu": relu, "leaky_relu": leaky_relu,
}  # fmt: skip


# --- no closed form -----------------------------------------------------------------------------------------------

# Every one of these φ and φ' is a constant, plus a multiple of z, plus a function of a parity, given for z ≥ 0.


def _half_tanh(fx: Fixed, z: Ints) -> Ints:
    e = fx.exp(-z)
    return fx.div(fx.one - e, fx.one + e)


def _bell(fx: Fixed, y: Ints) -> Ints:
    return fx.one - fx.mul(y, y)


def _log_cosh(fx: Fixed, z: Ints) -> Ints:
    return (z >> 1) + fx.log(fx.one + fx.exp(-z))


def _silu_slope(fx: Fixed, z: Ints) -> Ints:
    y = _half_tanh(fx, z)
    return (y >> 1) + (fx.mul(z, _bell(fx, y)) >> 2)


def matrix(entries: Callable[[Ints, Ints], Ints], rows: int, columns: int, symmetric: bool) -> Ints:
    """The matrix of `entries`, from arrays of row and of column numbers; a symmetric one at half the price."""
    i, j = np.triu_indices(rows) if symmetric else map(np.ravel, np.indices((rows, columns)))
    values = np.empty((rows, columns), object)
    values[i, j] = found = entries(i, j)
    if symmetric:
        values[j, i] = found
    return values


Half: TypeAlias = tuple[float, float, int, Callable[[Fixed, Ints], Ints]]
"""Constant, factor of z, parity (0 even, 1 odd) of the rest, the rest."""

PARTS: dict[str, tuple[Half, Half]] = {
    "softplus": ((0, 0.5, 0, _log_cosh), (0.5, 0, 1, lambda fx, z: _half_tanh(fx, z) >> 1)),
    "sigmoid": (
        (0.5, 0, 1, lambda fx, z: _half_tanh(fx, z) >> 1),
        (0, 0, 0, lambda fx, z: _bell(fx, _half_tanh(fx, z)) >> 2),
    ),
    "silu": ((0, 0.5, 0, lambda fx, z: fx.mul(z, _half_tanh(fx, z)) >> 1), (0.5, 0, 1, _silu_slope)),
    "tanh": (
        (0, 0, 1, lambda fx, z: _half_tanh(fx, 2 * z)),
        (0, 0, 0, lambda fx, z: _bell(fx, _half_tanh(fx, 2 * z))),
    ),
}


class Hermite:
    """E[f(a)f(b)] = Σ_k α_k(s₁) α_k(s₂) ρ^k (Mehler) for f = φ or φ', with α_k(s) = E[f(√s z) h_k(z)].

    The α_k come from the trapezoidal rule. The spectrum of h_k(z) exp(−z²/2) is w^k exp(−w²/2)/√k!, a bell of width 1
    about √k, and so is α_k's own integral; the rule takes 2√k + 9 for its highest frequency, and ends at the z where
    |h_k(z)| exp(−z²/2) ≤ exp(−z²/4) has dropped below what is asked for.

    Parameters
    ----------
    fx : Fixed
    name : str
        A key of `PARTS`.
    slope : bool
        φ' instead of φ.
    tolerance : float
        What may be left out of E[f²], relatively.
    """

    def __init__(self, fx: Fixed, name: str, slope: bool, tolerance: float) -> None:
        self.fx, self.tolerance = fx, tolerance
        constant, linear, self.parity, self.rest = PARTS[name][slope]
        self.constant, self.linear = fx.number(constant**2), fx.number(linear**2)
        self._table(48)

    def _table(self, terms: int) -> None:
        fx = self.fx
        frequency = 2 * math.sqrt(terms) + 9
        end = 2 * math.sqrt(-math.log(self.tolerance) + 3)
        count = math.ceil(end * frequency / (2 * math.pi))
        wide = Fixed(fx.ctx, 2 * fx.bits)
        step = fx.ctx.mpf(end) / count
        self.z = fx.array([step * i for i in range(count + 1)])
        density = wide.array([2 * step * fx.ctx.npdf(step * i) for i in range(count + 1)])
        density[0] >>= 1
        roots = [fx.sqrt(k * fx.one) for k in range(terms + 1)]
        before, now, rows = 0 * self.z, fx.one + 0 * self.z, []
        for k in range(terms):
            if k % 2 == self.parity:
                rows.append((now * density) >> wide.bits)
            before, now = now, fx.div(fx.mul(self.z, now) - fx.mul(roots[k], before), roots[k + 1])
        self.table, self.terms = np.asarray(rows, object), terms

    def coefficients(self, s: Ints) -> Ints:
        """α_k(s) for k = parity, parity + 2, …, shape (terms/2, m), as many as the largest variance needs."""
        fx = self.fx
        while True:
            root = fx.sqrt(s)
            f = self.rest(fx, fx.mul(root[:, None], self.z[None, :]))
            alpha = fx.matmul(self.table, f.T)
            last = max(float(abs(x)) for x in alpha[-2:].ravel()) / fx.one
            size = max(float(x) / fx.one for x in (alpha * alpha).sum(0) >> fx.bits)
            # The α_k² fall like exp(−c√k): a tail of some √K/c of the last.
            if last**2 * self.terms <= self.tolerance * size:
                return alpha
            if self.terms > 6000:
                raise ArithmeticError("too many Hermite coefficients")
            self._table(int(1.4 * self.terms) // 2 * 2)

    def __call__(self, s1: Ints, s2: Ints, c: Ints) -> Ints:
        """Σ or D, shape (m, n); symmetric where s₂ is the very array s₁."""
        fx = self.fx
        alpha = self.coefficients(s1)
        other = alpha if s2 is s1 else self.coefficients(s2)
        if len(other) != len(alpha):  # x̄ needed more of them
            alpha = self.coefficients(s1)

        def series(i: Ints, j: Ints) -> Ints:
            covariance, scale = c[i, j], fx.sqrt(fx.mul(s1[i], s2[j]))
            rho = fx.div(covariance, np.maximum(scale, 1)) * np.where(scale > 0, 1, 0)
            square, total = fx.mul(rho, rho), 0 * covariance
            for first, second in zip(alpha[::-1], other[::-1], strict=True):
                total = (total * square + first[i] * second[j]) >> fx.bits
            if self.parity:
                total = fx.mul(total, rho)
            return total + self.constant + fx.mul(self.linear, covariance)

        return matrix(series, len(s1), len(s2), s1 is s2)
