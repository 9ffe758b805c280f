"""Σ and D of ELU in fixed point: the plane in polar coordinates, closed in the radius, Gauss's rule in the angle.

In the quadrant a, b > 0 of opening ψ = π − θ, cos θ = ρ, the pair is a = √s₁ r sin x, b = √s₂ r sin(ψ − x), 0 ≤ x ≤ ψ,
with the density r exp(−r²/2)/2π; in the one where the signs differ the same with θ for ψ. The radius leaves

    m₀(κ) = ∫₀^∞ exp(−κr − r²/2) dr = √(π/2) erfcx(κ/√2),    m₁ = 1 − κm₀,    m₂ = m₀ − κm₁

with κ = √s sin x.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from mpmath import MPContext

from refimpl.oracle.collocation import gauss
from refimpl.oracle.fixed import Fixed, Ints
from refimpl.oracle.series import Number

Form: TypeAlias = Callable[[Fixed, Ints, Ints, Ints], tuple[Ints, Ints]]


def elu(angles: int) -> Form:
    """The form with so many nodes in every quadrant, more for variances above 1."""

    def form(fx: Fixed, s1: Ints, s2: Ints, c: Ints) -> tuple[Ints, Ints]:
        s1, s2, c = np.broadcast_arrays(s1, s2, c)
        largest = max(float(s1.max()), float(s2.max())) / fx.one
        nodes = gauss(fx, int(np.ceil(angles * max(1.0, largest**0.25))))
        mills = _mills(fx.bits, int(np.ceil(2 * largest**0.5)))
        h1, h2 = fx.sqrt(s1)[..., None], fx.sqrt(s2)[..., None]
        height = fx.root(np.maximum(s1 * s2 - c * c, 0))
        same = fx.atan2(height, -c)
        opposite = fx.pi - same

        def mean(opening: Ints, values: Ints) -> Ints:
            return fx.div(fx.mul(opening, fx.matmul(values, nodes.b)), 2 * fx.pi)

        def moments(kappa: Ints) -> tuple[Ints, Ints]:
            m0 = mills(kappa)
            m1 = fx.one - fx.mul(kappa, m0)
            return m1, m0 - fx.mul(kappa, m1)

        value, slope = fx.div(height + fx.mul(same, c), 2 * fx.pi), fx.div(same, 2 * fx.pi)
        rest = mills(0 * fx.one)
        sine = fx.sin(fx.mul(opposite[..., None], nodes.c))
        for h, kappa in ((h1, fx.mul(h2, sine[..., ::-1])), (h2, fx.mul(h1, sine[..., ::-1]))):
            m1, m2 = moments(kappa)  # E[a (exp(b) − 1)] and E[exp(b)]
            value = value + mean(opposite, fx.mul(fx.mul(h, sine), m2 - rest))
            slope = slope + mean(opposite, m1)
        sine = fx.sin(fx.mul(same[..., None], nodes.c))
        kappa1, kappa2 = fx.mul(h1, sine), fx.mul(h2, sine[..., ::-1])
        both = moments(kappa1 + kappa2)[0]  # E[(exp(a) − 1)(exp(b) − 1)] and E[exp(a + b)]
        value = value + mean(same, both - moments(kappa1)[0] - moments(kappa2)[0] + fx.one)
        return value, slope + mean(same, both)

    return form


@lru_cache(maxsize=64)
def _mills(bits: int, largest: int) -> Callable[[Ints], Ints]:
    """m₀ on [0, `largest`], as a polynomial: an erfc for every angle would take most of the time."""
    ctx = MPContext()
    ctx.prec = bits + 60
    fx, half = Fixed(ctx, bits), ctx.mpf(largest) / 2

    def exact(z: Number) -> Number:
        kappa = half * (1 + z)
        return ctx.sqrt(ctx.pi / 2) * ctx.erfc(kappa / ctx.sqrt(2)) * ctx.exp(kappa * kappa / 2)

    degree, error = 20, 1.0
    while error > 1e-26:
        degree += 8
        coefficients, error = ctx.chebyfit(exact, [-1, 1], degree, error=True)
    numbers = [fx.number(z) for z in coefficients]

    def evaluate(kappa: Ints) -> Ints:
        z, total = 2 * kappa // largest - fx.one, 0
        for number in numbers:
            total = ((total * z) >> bits) + number
        return total

    return evaluate
