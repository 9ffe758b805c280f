"""The explicit constant of proposition 2: it holds at every depth, is sharp where it can be, and refuses the rest."""

from __future__ import annotations

import math

import array_api_strict
import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from refimpl import Activation, Euler, Gauss, NeuralODE, Params, SolveIVP
from refimpl.data import sphere
from refimpl.theory import depth_bound, mean_depth_bound
from tests import formulas
from verification.statements._depth_counterexamples import EXACT, PENCIL, concentrated

EPS = np.finfo(float).eps


def gradients(net, theta, X, solver):
    J = net.jacobian(theta, X, solver)
    return {name: getattr(J, name).reshape(len(X), -1) for name in ("U", "W", "v")}


def assert_bound_holds(case, depths):
    net, theta, X = case.net, case.theta, case.X
    bound, exact = depth_bound(net, theta, X), gradients(net, theta, X, Gauss(rtol=1e-13))
    f, K = net.predict(theta, X, Gauss(rtol=1e-13)), net.ntk(theta, X, solver=Gauss(rtol=1e-13))
    total = np.concatenate(list(exact.values()), axis=1)
    assert (np.linalg.norm(total, axis=1) <= bound.size * (1 + 1e-12)).all()
    for L in depths:
        found = gradients(net, theta, X, Euler(L))
        rounding = (1e-13 + case.rounding + L * EPS) * bound.size
        for name, block in found.items():
            error = np.linalg.norm(block - exact[name], axis=1)
            assert (error <= getattr(bound, name) / L + rounding).all(), (name, L)
        error = np.linalg.norm(np.concatenate(list(found.values()), axis=1) - total, axis=1)
        assert (error <= bound.gradient / L + 2 * rounding).all(), L
        scale = np.linalg.norm(case.scaled[2]) * np.linalg.norm(net.phi.phi(net.sigma_u * X @ theta.U.T), axis=1)
        assert (np.abs(net.predict(theta, X, Euler(L)) - f) <= bound.output / L + rounding + EPS * scale).all(), L
        rounding = np.outer(rounding, bound.size)
        assert (np.abs(net.ntk(theta, X, solver=Euler(L)) - K) <= bound.ntk / L + rounding + rounding.T).all(), L


EVERY = st.lists(st.integers(1, 40), min_size=2, max_size=4, unique=True)


@given(case=formulas.cases(n=(1, 8), strongest=2.5), depths=EVERY)
def test_the_bound_holds_at_every_depth(case, depths):
    assert_bound_holds(case, [1, *depths])


@pytest.mark.slow
@settings(max_examples=1000)
@given(case=formulas.cases(n=(1, 24), strongest=3.0), depths=EVERY)
def test_the_bound_holds_on_a_thousand_networks(case, depths):
    assert_bound_holds(case, [1, 300, *depths])


@given(
    columns=st.lists(st.floats(-2, 2), min_size=4, max_size=4),
    horizon=st.floats(0.1, 2.0),
    depth=st.integers(1, 20),
    activation=st.sampled_from(["softplus", "cos", "tanh", "elu"]),
)
def test_the_bound_holds_for_two_neurons_that_drive_each_other(columns, horizon, depth, activation):
    W = np.asarray(columns).reshape(2, 2)
    net, X = NeuralODE(activation, horizon=horizon), np.array([[1.0], [-0.5]])
    case = formulas.Case(net, Params(np.array([[1.0], [2.0]]), W, np.array([1.0, -1.0])), X, None)
    if activation == "elu":  # Gauss does not converge: against a very deep network
        deep = 2000
        exact, bound = net.jacobian(case.theta, X, Euler(deep)), depth_bound(net, case.theta, X)
        found = net.jacobian(case.theta, X, Euler(depth))
        error = np.linalg.norm(found.W - exact.W, axis=(1, 2))
        assert (error <= bound.W * (1 / depth + 1 / deep)).all()
    else:
        assert_bound_holds(case, [depth])


def test_one_linear_neuron_attains_the_leading_constant_of_the_output():
    """φ(z) = z, w > 0: f^L = u v (1 + wT/L)^L and f = u v e^{wT}, so L (f − f^L) → u v (wT)²/2 e^{wT}, the bound."""
    w, T = 0.7, 1.3
    net, X = NeuralODE("identity", horizon=T), np.ones((1, 1))
    theta = Params(np.array([[1.5]]), np.array([[w]]), np.array([2.0]))
    bound = depth_bound(net, theta, X)
    assert bound.output[0] == pytest.approx(3.0 * (w * T) ** 2 / 2 * math.exp(w * T), rel=1e-13)
    L = 10**6
    difference = 3.0 * (math.exp(w * T) - math.exp(L * math.log1p(w * T / L)))
    assert L * difference == pytest.approx(bound.output[0], rel=1e-5)


def test_one_linear_neuron_attains_the_leading_constant_of_the_gradient():
    """∂f/∂w = u v T e^{wT}: the coefficient of 1/L is u v T (wT + (wT)²/2) e^{wT}."""
    w, T = 0.7, 1.3
    net, X = NeuralODE("identity", horizon=T), np.ones((1, 1))
    theta = Params(np.ones((1, 1)), np.array([[w]]), np.ones(1))
    coefficient = T * (w * T + (w * T) ** 2 / 2) * math.exp(w * T)
    assert depth_bound(net, theta, X).W[0] == pytest.approx(coefficient, rel=1e-13)


def test_one_curved_neuron_nearly_attains_the_bound_of_the_adjoint():
    """A short time, φ'' = Lip φ' and φ' near Lip φ: all that the adjoint misses adds up, with one sign."""
    near = Activation(  # the constants hold for |z| ≤ 0.01, where h stays
        phi=lambda z: 3 + z + 20 * z**2, dphi=lambda z: 1 + 40 * z, name="curved near 0", lipschitz=1.4, dlipschitz=40.0
    )
    net, X = NeuralODE(near, horizon=1e-3), np.ones((1, 1))
    theta = Params(np.full((1, 1), 0.006), np.ones((1, 1)), np.ones(1))
    bound = depth_bound(net, theta, X).U[0]
    L = 32
    error = np.linalg.norm(net.jacobian(theta, X, Euler(L)).U - net.jacobian(theta, X, SolveIVP(rtol=1e-13)).U)
    assert 0.75 * bound < L * error < bound


def test_a_bound_in_these_norms_must_grow_with_the_root_of_the_width():
    """L ‖∂f^L/∂U − ∂f/∂U‖ grows like √n at fixed norms: no C of the norms alone is uniform in n."""
    for n in (16, 64, 256):
        net, theta, X = concentrated(n)
        L = 64 * math.isqrt(n)
        error = np.linalg.norm(net.jacobian(theta, X, Euler(L)).U - net.jacobian(theta, X, EXACT).U)
        assert 0.2 * math.sqrt(n) < L * error < 0.4 * math.sqrt(n)  # the speed with which h_T arrives varies
        assert L * error <= depth_bound(net, theta, X).U[0] < 25 * math.sqrt(n)


@pytest.mark.parametrize("activation", ["softplus", "tanh"])
def test_at_random_parameters_the_difference_does_not_grow_with_the_width_but_the_bound_does(activation):
    net, X, constants, bounds = NeuralODE(activation), sphere(3, 8, seed=0), [], []
    for n in (64, 256):
        theta = net.init(n, 8, seed=1)
        found, exact = (net.jacobian(theta, X, solver) for solver in (Euler(64), Gauss()))
        squares = [np.sum((a - b) ** 2) for a, b in zip(vars(found).values(), vars(exact).values(), strict=True)]
        constants.append(64 * math.sqrt(sum(squares) / len(X)))
        bounds.append(np.sqrt(np.mean(depth_bound(net, theta, X).gradient ** 2)))
    assert 0.7 < constants[1] / constants[0] < 1.4
    assert bounds[1] > 1.5 * bounds[0]


def mean_squares(net, theta, X, solver):
    """∇f and f at readouts √n e_k, one after another: the mean square over them is that over any v of variance 1."""
    root = math.sqrt(theta.width)
    found = [gradients(net, Params(theta.U, theta.W, root * e), X, solver) for e in np.eye(theta.width)]
    outputs = np.stack([net.predict(Params(theta.U, theta.W, root * e), X, solver) for e in np.eye(theta.width)])
    return {name: np.stack([J[name] for J in found]) for name in found[0]} | {"output": outputs[:, :, None]}


def assert_mean_bound_holds(case, depths):
    net, theta, X = case.net, case.theta, case.X
    bound, exact = mean_depth_bound(net, theta, X), mean_squares(net, theta, X, Gauss(rtol=1e-13))
    for L in depths:
        found = mean_squares(net, theta, X, Euler(L))
        rounding = (1e-13 + case.rounding + L * EPS) * bound.size
        errors = {}
        for name in ("output", "U", "W", "v"):
            errors[name] = np.sqrt(np.mean(np.sum((found[name] - exact[name]) ** 2, axis=2), axis=0))
            states = np.linalg.norm(net.phi.phi(net.sigma_u * X @ theta.U.T), axis=1) * (name == "output")
            allowed = rounding + EPS * net.sigma_v * states
            assert (errors[name] <= getattr(bound, name) / L + allowed).all(), (name, L)
        total = np.sqrt(sum(errors[name] ** 2 for name in ("U", "W", "v")))
        assert (total <= bound.gradient / L + 2 * rounding).all(), L


@settings(max_examples=30)
@given(case=formulas.cases(n=(1, 5), strongest=2.5), depth=st.integers(1, 30))
def test_the_mean_square_over_the_readout_is_bounded_at_every_depth(case, depth):
    assert_mean_bound_holds(case, [1, depth])


@pytest.mark.slow
@settings(max_examples=100)
@given(case=formulas.cases(n=(1, 16), strongest=3.0), depths=EVERY)
def test_the_mean_square_over_the_readout_is_bounded_on_wider_networks(case, depths):
    assert_mean_bound_holds(case, [1, 300, *depths])


def test_for_one_neuron_with_readout_one_the_mean_is_the_bound_itself():
    net, X = NeuralODE("tanh"), np.ones((1, 1))
    theta = Params(np.full((1, 1), 0.3), np.full((1, 1), 1.2), np.ones(1))
    bounds = depth_bound(net, theta, X), mean_depth_bound(net, theta, X)
    for name in ("output", "U", "W", "v", "size", "gradient", "ntk"):
        a, b = (getattr(bound, name) for bound in bounds)
        np.testing.assert_allclose(a, b, rtol=8 * EPS)


def test_the_bound_of_the_mean_nearly_counts_what_two_curved_neurons_miss():
    """Short time, φ'' = Lip φ' and equal neurons: the entries of (φ'(h^L) − φ'(h_T)) ⊙ v̂ have mean squares that add."""
    near = Activation(
        phi=lambda z: 3 + z + 20 * z**2, dphi=lambda z: 1 + 40 * z, name="curved near 0", lipschitz=1.4, dlipschitz=40.0
    )
    net, X, n, L = NeuralODE(near, horizon=1e-3), np.ones((1, 1)), 4, 32
    theta = Params(np.full((n, 1), 0.006), np.full((n, n), 1 / math.sqrt(n)), np.ones(n))
    exact, found = (mean_squares(net, theta, X, s)["U"] for s in (SolveIVP(rtol=1e-13), Euler(L)))
    error = np.sqrt(np.mean(np.sum((found - exact) ** 2, axis=2)))
    bound = mean_depth_bound(net, theta, X).U[0]
    assert 0.6 * bound < L * error < bound


def test_the_bound_of_the_mean_has_a_limit_at_infinite_width():
    """‖W‖/√n → 2 (Bai and Yin 1993), less n^(−2/3); ‖φ(h_0)‖/√n and S/√n, W being independent, → E[φ(z)²]^½."""
    T, n = 0.25, 1024
    net, X = NeuralODE("softplus", horizon=T), sphere(1, 8, seed=0)
    z, weights = np.polynomial.hermite_e.hermegauss(60)
    S = math.sqrt(weights @ net.phi.phi(z) ** 2 / math.sqrt(2 * math.pi))
    kappa, m = 2.0, 0.25
    E, start = kappa * T / 2 * math.exp(kappa * T) * S, math.exp(kappa * T)  # E(T) and Λ(0)
    D = m * start * E + kappa**2 / 2 * T * start + m / 2 * kappa * S * start * T * math.exp(kappa * T)
    found = mean_depth_bound(net, net.init(n, 8, seed=1), X)
    assert found.U[0] == pytest.approx(T * D, rel=0.1)
    assert found.output[0] == pytest.approx(T * E, rel=0.1)
    assert found.v[0] == pytest.approx(T * E, rel=0.1)


@pytest.mark.parametrize(
    ("C", "weight"), [(10, 3), *(pytest.param(*each, marks=pytest.mark.slow) for each in [(100, 5), (1000, 7)])]
)
def test_hypothesis_finds_a_neuron_that_breaks_any_constant_of_lipschitz_constants_horizon_and_input(C, weight):
    """T = x = 1 and Lip φ = 1 throughout. It shrinks to U = 0, v = 1: ∂f/∂U = e^W, and 1 + W with one layer."""

    def breaks(case):
        activation, n, L, U, v, W = case
        net, theta = NeuralODE(activation), Params(np.full((n, 1), U), np.full((n, n), W), np.full(n, v))
        found, exact = (gradients(net, theta, np.ones((1, 1)), s) for s in (Euler(L), SolveIVP(rtol=1e-6)))
        return L * math.sqrt(sum(np.sum((found[name] - exact[name]) ** 2) for name in exact)) > C

    small = st.integers(-9, 9).map(float)
    cases = st.tuples(
        st.sampled_from(["identity", "softplus"]), st.integers(1, 3), st.integers(1, 4), small, small, small
    )
    smallest = ("identity", 1, 1, 0.0, 1.0, weight)
    assert find(cases, breaks, settings=settings(max_examples=1000, database=None)) == smallest
    assert (0, weight, 1) == PENCIL or C > 10  # the one in the report


def test_no_weights_mean_no_difference():
    net, X = NeuralODE("tanh"), sphere(2, 3, seed=0)
    theta = net.init(4, 3, seed=0)
    bound = depth_bound(net, Params(theta.U, 0 * theta.W, theta.v), X)
    assert bound.output.tolist() == [0.0, 0.0]
    assert bound.U.tolist() == [0.0, 0.0]
    assert bound.v.tolist() == [0.0, 0.0]


@pytest.mark.parametrize("activation", ["relu", "quadratic"])
def test_what_is_not_lipschitz_is_refused(activation):
    net = NeuralODE(activation)
    with pytest.raises(ValueError, match="φ and φ' must be Lipschitz"):
        depth_bound(net, net.init(4, 2, seed=0), np.ones((1, 2)))


def test_empty_bounds_and_layers_are_refused():
    net = NeuralODE("tanh", horizon=100.0)
    with pytest.raises(ValueError, match="κT"):
        depth_bound(net, net.init(4, 2, seed=0), np.ones((1, 2)))
    with pytest.raises(ValueError, match="W must be shared"):
        depth_bound(net, net.init(4, 2, seed=0, layers=3), np.ones((1, 2)))


def test_other_libraries_are_refused():
    net = NeuralODE("tanh")
    theta = net.init(4, 2, seed=0, like=array_api_strict.zeros(0, dtype=array_api_strict.float64))
    with pytest.raises(TypeError, match="NumPy arrays only"):
        depth_bound(net, theta, array_api_strict.ones((1, 2), dtype=array_api_strict.float64))
