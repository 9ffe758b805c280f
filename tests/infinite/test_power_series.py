"""The coefficients of K_∞(ρ): against the multiprecision oracle, closed forms, and the kernel itself."""

from __future__ import annotations

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import AccuracyError, Activation, NeuralODE
from refimpl.activations import BUILTIN
from refimpl.infinite import power_series as module
from refimpl.infinite.power_series import log_slopes, power_series
from refimpl.oracle.power_series import power_series as oracle

ctx = mpmath.MPContext()
ctx.dps = 40
ANALYTIC = ["identity", "quadratic", "sin", "cos", "erf", "gelu", "softplus", "sigmoid", "silu", "tanh"]
FAST = ("identity", "quadratic", "sin", "erf")


@pytest.mark.parametrize("name", [pytest.param(n, marks=() if n in FAST else pytest.mark.slow) for n in ANALYTIC])
def test_every_coefficient_agrees_with_the_oracle_relative_to_itself(name):
    net = NeuralODE(name, horizon=0.5, sigma_u=0.75, sigma_w=1.25, sigma_v=1.5)
    found = power_series(net, 1.0, 14)
    numbers = (ctx.mpf(0.75), ctx.mpf(1.25), ctx.mpf(1.5))
    exact, _ = oracle(ctx, name, ctx.mpf(0.5), numbers, ctx.one, 14)
    for mine, truth in zip(found.ntk, exact, strict=True):
        assert mine == pytest.approx(float(truth), rel=1e-13) if truth else mine == 0


@settings(max_examples=15)
@given(
    name=st.sampled_from(sorted(set(BUILTIN) - {"relu", "leaky_relu", "elu"})),
    horizon=st.floats(0.2, 1.2),
    radius=st.floats(0.4, 1.5),
    sigma=st.floats(0.6, 1.3),
)
def test_the_sum_is_the_kernel(name, horizon, radius, sigma):
    net = NeuralODE(name, horizon=horizon, sigma_u=sigma, sigma_v=1.5)
    if name == "quadratic" and horizon * radius * sigma > 0.9:
        return  # near its blow-up
    found = power_series(net, radius, 40)
    assert (found.ntk >= 0).all()
    assert (found.nngp >= 0).all()
    rho = np.asarray([-0.3, 0.0, 0.3])
    X = radius * np.column_stack([rho, np.sqrt(1 - rho**2)])
    anchor = np.asarray([[radius, 0.0]])
    for series, exact in ((found.ntk, net.limit().ntk(anchor, X)[0]), (found.nngp, net.limit().nngp(anchor, X)[0])):
        assert np.polynomial.Polynomial(series)(rho) == pytest.approx(exact, rel=1e-11, abs=1e-11 * series.sum())


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_kinked_activations_have_coefficients_too(name):
    net = NeuralODE(name)
    found = power_series(net, 1.0, 32, rtol=1e-5)
    rho = np.asarray([-0.4, 0.0, 0.4])
    assert np.polynomial.Polynomial(found.ntk)(rho) == pytest.approx(net.limit().on_sphere()(rho), rel=1e-5)
    assert (found.ntk > 0).all()


@pytest.mark.parametrize("name", ["sin", "erf", "tanh", "identity"])
def test_odd_activations_have_odd_coefficients_alone(name):
    found = power_series(NeuralODE(name), 1.0, 12)
    assert (found.ntk[::2] == 0).all()
    assert (found.nngp[::2] == 0).all()
    assert (found.ntk[1::2] > 0).all() == (name != "identity")


@pytest.mark.parametrize("name", ["identity", "leaky_relu", "relu"])
def test_coefficients_of_a_homogeneous_activation_grow_like_the_norm(name):
    """K(rx, x̄) = r K(x, x̄), power by power."""
    net, count = NeuralODE(name, sigma_u=0.8), 10
    exists = power_series(net, 0.7, count, rtol=1e-3).ntk > 0
    assert log_slopes(net, 0.7, count) == pytest.approx(np.where(exists, 1.0, 0.0), abs=1e-7)


def test_slopes_in_the_norm_are_those_of_sine_at_no_depth():
    """E sin a sin b = e^{−(q+q̄)/2} sinh(√(q q̄) ρ), and E cos a cos b has cosh: a_k grows like r^k e^{−q/2}, k odd."""
    net, k = NeuralODE("sin", horizon=1e-9, sigma_u=0.8), np.arange(9)
    q = (0.8 * 1.3) ** 2
    assert log_slopes(net, 1.3, 9) == pytest.approx(np.where(k % 2, k - q, 0.0), abs=1e-6)


def test_hermite_coefficients_far_below_rounding_keep_their_relative_accuracy():
    """The last is 1e-40 of the first; schemes of 8 and 12 nodes and finer ones agree in every one of them."""
    net = NeuralODE("softplus", horizon=0.5)
    coarse, fine = power_series(net, 0.5, 90, rtol=1e-3), power_series(net, 0.5, 90, rtol=1e-10)
    assert 0 < fine.ntk[-1] < 1e-40
    assert coarse.ntk == pytest.approx(fine.ntk, rel=1e-3)


def test_what_cannot_be_had_is_refused():
    own = Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2, name="tanh", parity="odd")
    with pytest.raises(ValueError, match="built-in activations only"):
        power_series(NeuralODE(own), 1.0, 4)
    with pytest.raises(AccuracyError, match="two resolutions differ"):
        power_series(NeuralODE("relu"), 1.0, 40, rtol=1e-12)


@pytest.mark.parametrize(("limit", "reason"), [("TERMS", "terms of the Hermite expansion"), ("SWEEPS", "not solved")])
def test_what_takes_too_long_is_refused(limit, reason, monkeypatch):
    monkeypatch.setattr(module, limit, 1)
    with pytest.raises(AccuracyError, match=reason):
        power_series(NeuralODE("softplus", horizon=4.0), 1.0, 20)


def test_the_number_of_terms_is_enough():
    assert module._enough(0.0, 4, 4)
    assert not module._enough(0.5, 8, 4)
    assert module._enough(0.5, 128, 4)
    with pytest.raises(AccuracyError, match="parallel"):
        module._enough(1.0, 128, 4)
