"""Hermite coefficients with small relative errors: against multiprecision integrals, and the signs they rest on."""

from __future__ import annotations

from functools import cache

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import AccuracyError
from refimpl.activations import BUILTIN
from refimpl.infinite.hermite_coefficients import hermite_magnitudes

mp = mpmath.MPContext()
mp.dps = 40

EXACT = {
    "softplus": lambda z: mp.log1p(mp.exp(z)),
    "sigmoid": lambda z: 1 / (1 + mp.exp(-z)),
    "tanh": mp.tanh,
    "silu": lambda z: z / (1 + mp.exp(-z)),
    "erf": mp.erf,
    "gelu": lambda z: z * mp.ncdf(z),
    "sin": mp.sin,
    "cos": mp.cos,
    "identity": lambda z: z,
    "quadratic": lambda z: z**2 / 2,
    "elu": lambda z: z if z > 0 else mp.expm1(z),
    "relu": lambda z: max(z, mp.zero),
    "leaky_relu": lambda z: z if z > 0 else mp.mpf(0.01) * z,
}


ROOTS = [mp.sqrt(j) for j in range(102)]


def hermite(k, z):
    """he_k, orthonormal under the normal distribution."""
    before, now = mp.zero, mp.one
    for j in range(k):
        before, now = now, (z * now - ROOTS[j] * before) / ROOTS[j + 1]
    return now


def coefficients(name, s, degrees):
    """α_k for every k of `degrees`; the integrals have their nodes, and φ there, in common."""
    root = mp.sqrt(mp.mpf(s))
    breaks = [-16, -8, -4, -2, 0, 2, 4, 8, 16]

    @cache
    def weighted(z):
        return EXACT[name](root * z) * mp.npdf(z)

    return [mp.quad(lambda z, k=k: weighted(z) * hermite(k, z), breaks) for k in degrees]


@pytest.mark.parametrize("name", sorted(BUILTIN))
@pytest.mark.parametrize("s", [pytest.param(s, marks=() if s == 1.0 else pytest.mark.slow) for s in (0.05, 1.0, 6.0)])
def test_hermite_coefficients_have_small_relative_errors(name, s):
    found = hermite_magnitudes(name, np.asarray([s, 2 * s]), 26)[:, 0]
    degrees = (0, 1, 2, 3, 6, 25)
    for k, exact in zip(degrees, map(abs, coefficients(name, s, degrees)), strict=True):
        if exact < 1e-35:  # what parity makes zero, up to the error of the quadrature
            assert found[k] == 0
        else:
            assert found[k] == pytest.approx(float(exact), rel=2e-13)


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_the_sign_of_a_coefficient_is_the_same_at_every_variance(name):
    z, weights = np.polynomial.hermite_e.hermegauss(150)
    s = np.geomspace(0.01, 20, 30)
    values = weights / np.sqrt(2 * np.pi) * BUILTIN[name].phi(np.sqrt(s)[:, None] * z)
    for k in range(9):
        found = values @ np.asarray([float(hermite(k, x)) for x in z])
        seen = np.sign(found[np.abs(found) > 1e-3 * np.abs(values).sum(axis=1)])  # beyond the error of the quadrature
        assert (seen == seen[:1]).all()


@given(name=st.sampled_from(sorted(BUILTIN)), s=st.floats(0.02, 20.0))
def test_the_squares_add_up_to_the_second_moment(name, s):
    """Parseval: Σ α_k² = E[φ²]; the tail that is left out is positive."""
    z, weights = np.polynomial.hermite_e.hermegauss(180)
    moment = weights @ BUILTIN[name].phi(np.sqrt(s) * z) ** 2 / np.sqrt(2 * np.pi)
    total = np.sum(hermite_magnitudes(name, np.asarray([s]), 300) ** 2)
    assert total <= moment * (1 + 2e-3)  # the quadrature sees a kink, or tanh at a large variance, to that
    assert total >= moment * (1 - 1e-2)


@pytest.mark.parametrize(
    "name",
    [pytest.param(n, marks=() if n == "tanh" else pytest.mark.slow) for n in ("softplus", "tanh", "gelu", "elu")],
)
def test_hermite_coefficients_far_below_rounding_keep_their_digits(name):
    k = 101 if name == "tanh" else 100
    found = hermite_magnitudes(name, np.asarray([0.25]), k + 1)[k, 0]
    [exact] = coefficients(name, 0.25, [k])
    assert found == pytest.approx(float(abs(exact)), rel=1e-12)
    assert found < (1e-2 if name == "elu" else 1e-12)


def test_a_variance_too_small_is_refused():
    with pytest.raises(AccuracyError, match="too many points"):
        hermite_magnitudes("tanh", np.asarray([1e-9]), 10)


def test_one_coefficient_alone_can_be_asked_for():
    assert hermite_magnitudes("gelu", np.asarray([1.0]), 1).shape == (1, 1)
