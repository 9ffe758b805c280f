"""Σ and D along a power series of the covariance S, one coefficient after the other, in fixed point.

With Σ = E[φ(a)φ(b)] a function of S at fixed variances, D is its derivative and E = E[φ''(a)φ''(b)] that of D (Price).
Hence, with ' for the derivative in the series' own variable, Σ' = D S' and D' = E S':

    k Σ_k = Σ_{j=1}^k j S_j D_{k−j},     k D_k = Σ_{j=1}^k j S_j E_{k−j}.

For the closed forms E, or D itself, is algebraic in S, and all costs O(k) products a coefficient. The activations made
of the logistic function have no closed form: there Σ is a Taylor series in S − S_0, and its powers cost O(k²).

Arrays hold one entry for each pair of times, shape (m,).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from refimpl.oracle.duals import CLOSED, Hermite
from refimpl.oracle.fixed import Fixed, Ints


def convolution(
    fx: Fixed, a: Sequence[Ints], b: Sequence[Ints], k: int, first: int = 0, last: int | None = None
) -> Ints:
    """Σ_j a_j b_{k−j} over `first` ≤ j ≤ `last` (by default k)."""
    last = k if last is None else last
    return sum((a[j] * b[k - j] for j in range(first, last + 1)), 0 * a[0]) >> fx.bits


class Chain:
    """Σ and D along S, from the values at its constant coefficient.

    Parameters
    ----------
    fx : Fixed
    name : str
        An activation of `duals.CLOSED` without kinks.
    s1, s2, S0 : (m,) ints
        Variances and the constant coefficient of the covariance.
    """

    def __init__(self, fx: Fixed, name: str, s1: Ints, s2: Ints, S0: Ints) -> None:
        self.fx, self.S, self.weighted = fx, [S0], [0 * S0]
        sigma, slope = CLOSED[name](fx, s1, s2, S0)
        self.Sigma, self.D = [sigma], [slope]

    def known(self, k: int) -> Ints:
        """Σ_k but for the term D_0 S_k, from S_0 … S_{k−1}."""
        return convolution(self.fx, self.weighted, self.D, k, 1, k - 1) // k

    def extend(self, S: Ints) -> None:
        """Take in S_k, and append Σ_k and D_k."""
        k = len(self.S)
        known = self.known(k)
        self.S.append(S)
        self.weighted.append(k * S)
        self.Sigma.append(known + self.fx.mul(self.D[0], S))
        self.D.append(self._slope(k))

    def _slope(self, k: int) -> Ints:
        raise NotImplementedError

    def _integral(self, rate: Sequence[Ints], k: int) -> Ints:
        """Coefficient k of ∫ rate dS."""
        return convolution(self.fx, self.weighted, rate, k, 1) // k


class Linear(Chain):
    """φ(z) = z: D = 1."""

    def _slope(self, k: int) -> Ints:
        return 0 * self.S[0]


class Quadratic(Chain):
    """φ(z) = z²/2: D = S."""

    def _slope(self, k: int) -> Ints:
        return self.S[k]


class Trigonometric(Chain):
    """φ'' = −φ, so E = Σ: sin and cos."""

    def _slope(self, k: int) -> Ints:
        return self._integral(self.Sigma, k)


class Power:
    """y = c p^α along a series p, from p y' = α p' y, with 2α an integer."""

    def __init__(self, fx: Fixed, twice: int, p0: Ints, y0: Ints) -> None:
        self.fx, self.twice, self.p, self.y = fx, twice, [p0], [y0]

    def extend(self, p: Ints) -> None:
        """Take in p_k and append y_k."""
        k = len(self.p)
        self.p.append(p)
        total = sum((((self.twice * j - 2 * (k - j)) * self.p[j]) * self.y[k - j] for j in range(1, k + 1)), 0 * p)
        self.y.append(total // (2 * k * self.p[0]))


class Erf(Chain):
    """D = 4/(π r) with r² = (1 + 2s₁)(1 + 2s₂) − 4S²."""

    def __init__(self, fx: Fixed, name: str, s1: Ints, s2: Ints, S0: Ints) -> None:
        super().__init__(fx, name, s1, s2, S0)
        size = fx.mul(fx.one + 2 * s1, fx.one + 2 * s2) - 4 * fx.mul(S0, S0)
        self.slope = Power(fx, -1, size, self.D[0])

    def _slope(self, k: int) -> Ints:
        self.slope.extend(-4 * convolution(self.fx, self.S, self.S, k))
        return self.slope.y[k]


class Gelu(Chain):
    """D = F + S (1/t₁ + 1/t₂) y + S z, with y = 1/(2π√Δ), F = ∫ y dS, z = 1/(2πΔ^{3/2}), Δ = t₁t₂ − S², t = 1 + s."""

    def __init__(self, fx: Fixed, name: str, s1: Ints, s2: Ints, S0: Ints) -> None:
        super().__init__(fx, name, s1, s2, S0)
        t1, t2 = fx.one + s1, fx.one + s2
        delta = fx.mul(t1, t2) - fx.mul(S0, S0)
        density = fx.div(fx.div(fx.one + 0 * S0, fx.sqrt(delta)), 2 * fx.pi)
        self.density, self.bend = Power(fx, -1, delta, density), Power(fx, -3, delta, fx.div(density, delta))
        self.shares = fx.div(fx.one + 0 * t1, t1) + fx.div(fx.one + 0 * t2, t2)

    def _slope(self, k: int) -> Ints:
        fx, S = self.fx, self.S
        square = -convolution(fx, S, S, k)
        self.density.extend(square)
        self.bend.extend(square)
        outer = fx.mul(self.shares, convolution(fx, S, self.density.y, k)) + convolution(fx, S, self.bend.y, k)
        return self._integral(self.density.y, k) + outer


CHAINS: dict[str, type[Chain]] = {
    "identity": Linear, "quadratic": Quadratic, "sin": Trigonometric, "cos": Trigonometric, "erf": Erf, "gelu": Gelu,
}  # fmt: skip


class Taylor:
    """The same for the activations of `duals.PARTS`, from Taylor coefficients g_n of Σ in the covariance at S_0."""

    def __init__(self, fx: Fixed, g: Ints) -> None:
        self.fx, self.g = fx, g
        self.S: list[Ints] = [0 * g[0]]
        self.slopes = [(n + 1) * g[n + 1] for n in range(len(g) - 1)]
        self.Sigma, self.D = [g[0]], [self.slopes[0]]
        self.powers: list[list[Ints]] = [[], self.S]  # powers[n][k]: coefficient k of (S − S_0)^n

    def known(self, k: int) -> Ints:
        """Σ_k but for the term D_0 S_k, from S_0 … S_{k−1}."""
        zero = self.S[0]
        for n in range(2, k + 1):
            if len(self.powers) <= n:
                self.powers.append([zero] * n)
            if len(self.powers[n]) == k:
                self.powers[n].append(convolution(self.fx, self.S, self.powers[n - 1], k, 1, k - n + 1))
        return sum((self.fx.mul(self.g[n], self.powers[n][k]) for n in range(2, k + 1)), zero)

    def extend(self, S: Ints) -> None:
        """Take in S_k, and append Σ_k and D_k."""
        k = len(self.S)
        known = self.known(k)
        self.S.append(S)
        self.Sigma.append(known + self.fx.mul(self.D[0], S))
        self.D.append(sum((self.fx.mul(self.slopes[n], self.powers[n][k]) for n in range(1, k + 1)), self.S[0]))


def taylor(dual: Hermite, s: Ints, c: Ints, count: int) -> list[Ints]:
    """g_n = (∂/∂c)^n Σ / n! for n ≤ `count`, at variances s of shape (m,) and covariances c (m, m)."""
    fx = dual.fx
    alpha = dual.coefficients(s)
    orders = [2 * k + dual.parity for k in range(len(alpha))]
    scale = fx.sqrt(fx.mul(s[:, None], s[None, :]))
    rho = fx.div(c, scale)
    products = [fx.mul(a[:, None], a[None, :]) for a in alpha]
    powers = [fx.one + 0 * c]
    for _ in range(orders[-1]):
        powers.append(fx.mul(powers[-1], rho))
    g, inverse = [], fx.one + 0 * c
    for n in range(count + 1):
        terms = (math.comb(k, n) * fx.mul(p, powers[k - n]) for k, p in zip(orders, products, strict=True) if k >= n)
        g.append(fx.mul(sum(terms, 0 * c), inverse))
        inverse = fx.div(inverse, scale)
    g[0] = g[0] + dual.constant + fx.mul(dual.linear, c)
    g[1] = g[1] + dual.linear
    return g
