"""The coefficients of K_∞(ρ): against closed forms, against the limit itself, and their signs."""

from __future__ import annotations

import mpmath
import pytest

from refimpl import AccuracyError
from refimpl.oracle.limit import limit
from refimpl.oracle.power_series import power_series
from refimpl.oracle.series import KINKED

ctx = mpmath.MPContext()
ctx.dps = 40
SIGMAS = (ctx.mpf(0.75), ctx.mpf(1.25), ctx.mpf(1.5))
ANALYTIC = ["identity", "quadratic", "sin", "cos", "erf", "gelu", "softplus", "sigmoid", "silu", "tanh"]


def test_identity_has_one_coefficient_in_closed_form():
    a, error = power_series(ctx, "identity", ctx.one, SIGMAS, ctx.mpf(2), 3)
    (_, w, v), q = SIGMAS, 4 * SIGMAS[0] ** 2
    exact = q * v**2 * (2 * ctx.besseli(0, 2 * w) + w * ctx.besseli(1, 2 * w))
    assert a[0] == a[2] == 0
    assert abs(a[1] / exact - 1) <= error <= 1e-20


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n == "sin" else pytest.mark.slow) for n in ANALYTIC])
def test_the_sum_is_the_limit_and_no_coefficient_is_negative(name):
    radius, T, count = ctx.one / 2, ctx.one / 4, 12
    a, error = power_series(ctx, name, T, SIGMAS, radius, count)
    assert all(z >= 0 for z in a)
    assert error <= 1e-15
    if name in ("identity", "sin", "erf", "tanh"):
        assert all(z == 0 for z in a[::2])
    q = radius**2
    for rho in (ctx.zero, ctx.one / 16, -ctx.one / 8):
        found = limit(ctx, name, T, SIGMAS, (q, q * rho, q))
        # Coefficients fall, so that what is left out is below the last ones' geometric series.
        left_out = 2 * max(a[-2:]) * abs(rho) ** count
        assert abs(ctx.polyval(a[::-1], rho) - found.ntk) <= left_out + error * a[1] + found.error


@pytest.mark.parametrize("name", sorted(KINKED))
def test_kinked_activations_are_refused(name):
    with pytest.raises(AccuracyError, match="analytic activations only"):
        power_series(ctx, name, ctx.one, SIGMAS, ctx.one, 3)
