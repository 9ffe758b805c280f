"""Taylor series of φ(h(t)) and φ'(h(t)) from that of h(t), one coefficient after the other, in any precision.

For y = f(h) and p = f'(h) the chain rule y' = p h' gives y_k = (1/k) Σ_j j h_j p_(k−j), which needs p up to k − 1 only.
Every activation is a chain of such rules and of products. Between kinks φ is one analytic function: its branch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

Number: TypeAlias = Any
"""An mpf of the context in use."""

Series: TypeAlias = list[Number]
Context: TypeAlias = Any
"""An `mpmath.MPContext`."""

Rule: TypeAlias = Callable[[Series], tuple[Number, Number]]
"""Takes the coefficients h_0 … h_k, called with k = 0, 1, … in turn; gives those of φ(h) and φ'(h) at k."""

KINKED = frozenset({"relu", "leaky_relu", "elu"})


def chain(ctx: Context, h: Series, p: Series) -> Number:
    """Coefficient k ≥ 1 of ∫ p dh, from h_1 … h_k and p_0 … p_(k−1)."""
    k = len(h) - 1
    return ctx.fdot([j * h[j] for j in range(1, k + 1)], p[k - 1 :: -1]) / k


def product(ctx: Context, a: Series, b: Series) -> Number:
    """Coefficient k of ab, from a_0 … a_k and b_0 … b_k."""
    return ctx.fdot(a, b[::-1])


def rule(ctx: Context, name: str, positive: bool = True) -> Rule:
    """The rule of the built-in activation `name`; a kinked one on its branch h > 0, or else h < 0.

    Raises
    ------
    ValueError
        An activation that the oracle does not know.
    """
    if name in KINKED:
        return _exponential(ctx) if name == "elu" and not positive else _line(ctx, _slope(ctx, name, positive))
    if name not in _RULES:
        raise ValueError(f"the oracle knows {', '.join(sorted({*_RULES, *KINKED}))}; got {name!r}")
    return _RULES[name](ctx)


def _slope(ctx: Context, name: str, positive: bool) -> Number:
    # The float that the slope 0.01 is, not one hundredth: the definition of the package.
    return ctx.one if positive else ctx.mpf(0.01) if name == "leaky_relu" else ctx.zero


def _line(ctx: Context, slope: Number) -> Rule:
    return lambda h: (slope * h[-1], slope if len(h) == 1 else ctx.zero)


def _exponential(ctx: Context) -> Rule:
    e: Series = []

    def step(h: Series) -> tuple[Number, Number]:
        value = chain(ctx, h, e) if e else ctx.expm1(h[0])
        e.append(value if e else ctx.exp(h[0]))
        return value, e[-1]

    return step


class _Logistic:
    """s = 1/(1 + e^(−h)) and s' = s − s² along h."""

    def __init__(self, ctx: Context) -> None:
        self.ctx, self.s, self.q = ctx, list[Number](), list[Number]()

    def extend(self, h: Series) -> None:
        self.s.append(chain(self.ctx, h, self.q) if self.s else 1 / (1 + self.ctx.exp(-h[0])))
        self.q.append(self.s[-1] - product(self.ctx, self.s, self.s))


def _softplus(ctx: Context) -> Rule:
    logistic = _Logistic(ctx)

    def step(h: Series) -> tuple[Number, Number]:
        value = chain(ctx, h, logistic.s) if logistic.s else ctx.log1p(ctx.exp(h[0]))
        logistic.extend(h)
        return value, logistic.s[-1]

    return step


def _sigmoid(ctx: Context) -> Rule:
    logistic = _Logistic(ctx)

    def step(h: Series) -> tuple[Number, Number]:
        logistic.extend(h)
        return logistic.s[-1], logistic.q[-1]

    return step


def _silu(ctx: Context) -> Rule:
    logistic = _Logistic(ctx)

    def step(h: Series) -> tuple[Number, Number]:
        logistic.extend(h)
        return product(ctx, h, logistic.s), logistic.s[-1] + product(ctx, h, logistic.q)

    return step


def _tanh(ctx: Context) -> Rule:
    y: Series = []
    p: Series = []

    def step(h: Series) -> tuple[Number, Number]:
        y.append(chain(ctx, h, p) if y else ctx.tanh(h[0]))
        p.append((ctx.one if not p else ctx.zero) - product(ctx, y, y))
        return y[-1], p[-1]

    return step


class _Bell:
    """exp(−c h²) along h."""

    def __init__(self, ctx: Context, c: Number) -> None:
        self.ctx, self.c, self.square, self.e = ctx, c, list[Number](), list[Number]()

    def extend(self, h: Series) -> None:
        self.square.append(-self.c * product(self.ctx, h, h))
        self.e.append(chain(self.ctx, self.square, self.e) if self.e else self.ctx.exp(self.square[0]))


def _erf(ctx: Context) -> Rule:
    bell, factor = _Bell(ctx, ctx.one), 2 / ctx.sqrt(ctx.pi)

    def step(h: Series) -> tuple[Number, Number]:
        value = factor * chain(ctx, h, bell.e) if bell.e else ctx.erf(h[0])
        bell.extend(h)
        return value, factor * bell.e[-1]

    return step


def _gelu(ctx: Context) -> Rule:
    bell, factor, cdf = _Bell(ctx, ctx.one / 2), 1 / ctx.sqrt(2 * ctx.pi), list[Number]()

    def step(h: Series) -> tuple[Number, Number]:
        cdf.append(factor * chain(ctx, h, bell.e) if cdf else ctx.erfc(-h[0] / ctx.sqrt(2)) / 2)
        bell.extend(h)
        return product(ctx, h, cdf), cdf[-1] + factor * product(ctx, h, bell.e)

    return step


def _trigonometric(ctx: Context, cosine: bool) -> Rule:
    y: Series = []
    p: Series = []  # sine and its derivative, or cosine and its derivative: either way p' = −y h'

    def step(h: Series) -> tuple[Number, Number]:
        if y:
            value, slope = chain(ctx, h, p), -chain(ctx, h, y)
        else:
            value, slope = (ctx.cos(h[0]), -ctx.sin(h[0])) if cosine else (ctx.sin(h[0]), ctx.cos(h[0]))
        y.append(value)
        p.append(slope)
        return value, slope

    return step


def _quadratic(ctx: Context) -> Rule:
    return lambda h: (product(ctx, h, h) / 2, h[-1])


_RULES: dict[str, Callable[[Context], Rule]] = {
    "softplus": _softplus,
    "sigmoid": _sigmoid,
    "silu": _silu,
    "tanh": _tanh,
    "erf": _erf,
    "gelu": _gelu,
    "sin": lambda ctx: _trigonometric(ctx, False),
    "cos": lambda ctx: _trigonometric(ctx, True),
    "identity": lambda ctx: _line(ctx, ctx.one),
    "quadratic": _quadratic,
}
