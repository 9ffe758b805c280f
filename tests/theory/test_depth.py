"""The explicit constant of proposition 2: it holds at every depth, is sharp where it can be, and refuses the rest."""

from __future__ import annotations

import math

import array_api_strict
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import Activation, Euler, Gauss, NeuralODE, Params, SolveIVP
from refimpl.data import sphere
from refimpl.theory import depth_bound
from tests import formulas

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


def test_the_gradient_bound_of_one_linear_neuron_is_within_a_factor_of_two():
    """∂f/∂w = u v T e^{wT}: the coefficient of 1/L is u v T (wT + (wT)²/2) e^{wT}."""
    w, T = 0.7, 1.3
    net, X = NeuralODE("identity", horizon=T), np.ones((1, 1))
    theta = Params(np.ones((1, 1)), np.array([[w]]), np.ones(1))
    coefficient = T * (w * T + (w * T) ** 2 / 2) * math.exp(w * T)
    bound = depth_bound(net, theta, X)
    assert coefficient <= bound.W[0] <= 2 * coefficient


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


# φ'' = −sin does not fade where |z| is large, as that of the built-in activations does
wavy = Activation(
    phi=lambda z: z + np.sin(z), dphi=lambda z: 1 + np.cos(z), name="wavy", lipschitz=2.0, dlipschitz=1.0, parity="odd"
)


def concentrated(n):
    """A network with the norms of a random one, ‖U‖ ~ √n, ‖W‖/√n ~ 1 and ‖v‖/√n ~ 1, where two neurons have it all.

    The second drives itself and the first, whose state moves by √n and whose Euler error is of the order √n/L. What the
    first starts from puts its φ'' at T at ±1; nothing depends on it but f.
    """
    net, X = NeuralODE(wavy, horizon=0.5), np.ones((1, 1))
    U, W, v = np.zeros((n, 1)), np.zeros((n, n)), np.zeros(n)
    U[1], W[0, 1], W[1, 1], v[0] = math.sqrt(n), math.sqrt(n), math.sqrt(n), math.sqrt(n)
    end = net.trajectory(Params(U, W, v), X, np.array([0.5]), EXACT).h[0, 0, 0]
    U[0] = math.pi / 2 - end % math.pi
    return net, Params(U, W, v), X


EXACT = SolveIVP(rtol=1e-12, atol=1e-13)


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
