"""The leading terms in 1/L of the verification, by roads that share nothing with its differential equations."""

from __future__ import annotations

import dataclasses
import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import comb

from refimpl import Euler, Gauss, NeuralODE
from refimpl.errors import AccuracyError
from tests import formulas
from verification.statements import _depth_bounds
from verification.statements._depth_counterexamples import (
    EXACT,
    concentrated,
    concentrated_coefficient,
    exceedance,
    integrated_exceedance,
    linear_neuron,
    one_linear_neuron,
)
from verification.statements._depth_widths import Widths, limit_coefficient, linear_coefficient
from verification.statements._expansion import CURVATURE, expansion, flat
from verification.statements._resnets import output_coefficient

EPS = float(np.finfo(float).eps)


@pytest.mark.parametrize("name", CURVATURE)
def test_curvature_is_the_derivative_of_the_slope(name):
    z, phi = np.linspace(-4, 4, 33), NeuralODE(name).phi
    value, error = formulas.romberg_derivative(lambda s: phi.dphi(z + s), 0.05)
    assert (np.abs(CURVATURE[name](z) - value) <= 4 * error + 1e-11).all()  # dphi is accurate to a few eps, over 0.05/8


@settings(max_examples=8)
@given(case=formulas.cases(n=(1, 6), N=(1, 2), strongest=2.0), seed=st.integers(0, 2**32))
def test_the_coefficient_of_the_gradient_is_the_gradient_of_the_coefficient(case, seed):
    """∇ lim L (f^L − f) by central differences of (T/2) ∫ ⟨λ̇, ḣ⟩ dt in θ, which knows neither e nor μ."""
    net, theta, X = case.net, case.theta, case.X
    direction = formulas.like(theta, np.random.default_rng(seed))
    found = expansion(net, theta, X)
    value, error = formulas.romberg_derivative(
        lambda s: output_coefficient(net, theta + direction * s, X), 0.1, levels=5
    )
    scale = np.linalg.norm(flat(found.coefficient), axis=1) + np.abs(found.output)
    # Gauss keeps 1e-12 of h and λ, and the smallest step is 0.1/16; DOP853 keeps 1e-10 a step
    allowed = 10 * error + 2e-9 * scale * math.exp(2 * net.horizon * np.linalg.norm(case.scaled[1], 2))
    assert (np.abs(found.coefficient.apply(direction) - value) <= allowed).all()
    assert (np.abs(found.output - output_coefficient(net, theta, X)) <= allowed).all()


@settings(max_examples=15)
@given(case=formulas.cases(n=(1, 6), N=(1, 2), strongest=2.0))
def test_the_gradient_of_the_expansion_is_that_of_the_package(case):
    found, exact = expansion(case.net, case.theta, case.X).gradient, case.net.jacobian(case.theta, case.X, Gauss())
    assert formulas.relative(flat(found), flat(exact)) <= 1e-8 + case.rounding


@pytest.mark.parametrize("activation", ["softplus", "tanh", "sin"])
def test_resnets_differentiated_by_the_complex_step_have_this_coefficient(activation):
    """Not a line of the package: the recursion (6) with complex numbers, and Richardson in 1/L."""
    case = formulas.make(activation, n=3, d=2, N=2, horizon=1.2, sigma_w=0.9)
    exact = formulas.complex_step_jacobian(lambda blocks: formulas.collocation(case, 8, 4, blocks), case.theta)
    found = expansion(case.net, case.theta, case.X)
    gradient, kernel = [], []
    for L in (16, 32, 64, 128, 256):
        resnet = formulas.complex_step_jacobian(lambda blocks, L=L: formulas.resnet(case, L, blocks), case.theta)
        gradient.append(L * (resnet - exact))
        kernel.append(L * (resnet @ resnet.T - exact @ exact.T))
    for levels, theory in ((gradient, flat(found.coefficient)), (kernel, found.ntk)):
        for order in range(1, 5):
            before, levels = levels, [b + (b - a) / (2**order - 1) for a, b in pairwise(levels)]
        assert formulas.relative(theory, levels[0]) <= formulas.relative(before[-1], levels[0]) + 1e-9
        assert formulas.relative(before[-1], levels[0]) < 1e-5


@given(u=st.floats(-2, 2), w=st.floats(-2, 2), v=st.floats(0.1, 2))
def test_one_linear_neuron_by_hand(u, w, v):
    """f^L = u v s^L = u v e^w (1 − w²/(2L) + O(L⁻²)) and K^L = (u² + v²) s^(2L) + (u v)² s^(2L − 2), s = 1 + w/L."""
    found, e = expansion(*linear_neuron(u, w, v)), math.exp(w)
    half = w**2 / 2
    by_hand = [-v * half * e, -u * v * (w + half) * e, -u * half * e]
    size = 1e-8 * (1 + abs(u)) ** 2 * (1 + v) ** 2 * e * max(e, 1)
    np.testing.assert_allclose(flat(found.coefficient)[0], by_hand, rtol=0, atol=size)
    np.testing.assert_allclose(found.output, -u * v * half * e, rtol=0, atol=size)
    kernel = -(e**2) * ((u**2 + v**2) * w**2 + (u * v) ** 2 * (w**2 + 2 * w))
    np.testing.assert_allclose(found.ntk[0, 0], kernel, rtol=0, atol=20 * size * (1 + e))


@pytest.mark.parametrize("L", [1, 2, 7])
def test_the_pencil_knows_the_network(L):
    net, theta, X = linear_neuron(1.5, -0.8, 2.0)
    difference = flat(net.jacobian(theta, X, Euler(L))) - flat(net.jacobian(theta, X, Gauss()))
    np.testing.assert_allclose(difference[0], one_linear_neuron(1.5, -0.8, 2.0, L), rtol=1e-11)


@pytest.mark.parametrize("C", [0.1, 1.0, 10.0])
def test_the_chance_to_exceed_a_constant_is_the_same_sampled_and_integrated(C):
    sampled, error = exceedance(C, np.random.default_rng(0))
    integrated, change = integrated_exceedance(C)
    assert abs(sampled - integrated) <= 5 * error + change
    assert change < 2e-2 * max(integrated, 1e-3)


def test_neurons_at_rest_may_be_left_out_of_the_concentrated_network():
    full, reduced = (concentrated(16, width) for width in (None, 2))
    for L in (8, 256):
        a, b = (np.linalg.norm(n.jacobian(t, X, Euler(L)).U - n.jacobian(t, X, EXACT).U) for n, t, X in (full, reduced))
        assert a == pytest.approx(b, rel=1e-8)
    assert 256 * a == pytest.approx(concentrated_coefficient(16), rel=0.02)  # the next term is of the order 1/L


@pytest.mark.parametrize("T", [0.3, 1.0, 2.5])
def test_the_limit_kernel_of_a_linear_network_loses_this_much_per_layer(T):
    """K_∞^L / (q σ_v²) = Σ (k + 2) C(L, k)² (Z/L)^2k summed as it stands, and the 1/L term of every coefficient."""
    net, X, k = NeuralODE("identity", horizon=T, sigma_w=1.1), np.eye(2), np.arange(80)
    factorials = np.concatenate([[1.0], np.cumprod(1.0 / k[1:])])
    series = -float(np.sum((k + 2) * k * (k - 1) * (1.1 * T) ** (2 * k) * factorials**2))
    assert linear_coefficient(net, X)[0] == pytest.approx(series, rel=1e-13)
    L = 4000
    deep, half = (
        n * float(np.sum((k + 2.0) * ((comb(n, k) * (1.1 * T / n) ** k) ** 2 - ((1.1 * T) ** k * factorials) ** 2)))
        for n in (L, L // 2)
    )
    assert 2 * deep - half == pytest.approx(series, rel=20 * (1 + T) ** 4 / L**2 + 1e-8)
    found, change = limit_coefficient(net, X, 128)
    assert abs(found[0] - series) <= 4 * change[0] + 128 * 1e-12 * net.limit().ntk(X)[0, 0]
    assert found[1] == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize("block", ["U", "W", "v", "output"])
def test_a_bound_that_is_a_tenth_too_small_is_seen_to_break(block, monkeypatch):
    neuron, right = linear_neuron(1.0, 1.0, 1.0), _depth_bounds.depth_bound
    assert _depth_bounds.instance(*neuron, [1, 99]).holds

    def small(net, theta, X):
        bound = right(net, theta, X)
        return dataclasses.replace(bound, **{block: 0.9 * getattr(bound, block)})

    monkeypatch.setattr(_depth_bounds, "depth_bound", small)
    assert not _depth_bounds.instance(*neuron, [1, 99]).holds


def test_exponents_are_fitted_draw_by_draw():
    n, draws = np.asarray([16.0, 64.0, 256.0]), np.asarray([[1.0], [2.0], [3.0]])
    found = Widths("tanh", n, draws * n**0.5, np.zeros((3, 3, 2)), draws * n**0, draws * n**-1.0)
    for values, slope in ((found.largest, 0.5), (found.bound, 0.0), (found.mean_bound, -1.0)):
        assert found.exponent(values) == pytest.approx((slope, 0.0), abs=1e-12)


def test_a_network_that_no_scheme_solves_to_the_last_digit_is_compared_to_what_can_be_had(monkeypatch):
    neuron, exact = linear_neuron(1.0, 1.0, 1.0), NeuralODE.jacobian

    def never(net, theta, X, solver=None):
        if isinstance(solver, Gauss) and solver.rtol < 1e-11:
            raise AccuracyError("between its nodes")
        return exact(net, theta, X, solver)

    monkeypatch.setattr(NeuralODE, "jacobian", never)
    assert _depth_bounds._most_accurate(*neuron)[1] == 1e-11
    assert _depth_bounds.instance(*neuron, [1, 99]).holds
