"""Solvers that share no code agree within the errors they promise."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import AccuracyError, Euler, Gauss, NeuralODE, Params, SolveIVP
from refimpl.data import sphere
from tests import formulas

TIGHT = SolveIVP(rtol=1e-12, atol=1e-14)
METHODS = ("DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA")


def on_the_sphere(activation, n, N, d=10):
    case = formulas.make(activation, n=n, d=d, N=N)
    return formulas.Case(case.net, case.theta, sphere(N, d, seed=2), case.y)


def assert_same_gradient_and_kernel(case, solver, other, tolerance):
    net, theta, X, y = case.net, case.theta, case.X, case.y
    assert formulas.relative(net.gradient(theta, X, y, solver), net.gradient(theta, X, y, other)) < tolerance
    assert formulas.relative(net.ntk(theta, X, solver=solver), net.ntk(theta, X, solver=other)) < tolerance


@pytest.mark.parametrize("activation", formulas.ANALYTIC)
def test_adaptive_and_gauss_agree_to_eleven_digits(activation):
    assert_same_gradient_and_kernel(on_the_sphere(activation, n=48, N=8), TIGHT, Gauss(), 1e-11)


@pytest.mark.slow
@pytest.mark.parametrize("activation", formulas.ANALYTIC)
def test_adaptive_and_gauss_agree_to_eleven_digits_at_width_256(activation):
    assert_same_gradient_and_kernel(on_the_sphere(activation, n=256, N=32), TIGHT, Gauss(), 1e-11)


@pytest.mark.parametrize("activation", ["elu", "relu", "leaky_relu"])
@pytest.mark.parametrize("rtol", [1e-2, 1e-4, 1e-6])
def test_gauss_on_a_kinked_activation_is_as_accurate_as_asked_for_or_raises(activation, rtol):
    case = on_the_sphere(activation, n=12, N=3)
    J, reached = None, np.inf
    try:
        J = case.net.jacobian(case.theta, case.X, Gauss(rtol=rtol))
    except AccuracyError as error:
        reached = error.reached
    if J is None:
        assert reached is None or reached > rtol
        return
    truth = case.net.jacobian(case.theta, case.X, Gauss(4, 1000))
    for block, expected in zip((J.U, J.W, J.v), (truth.U, truth.W, truth.v), strict=True):
        for row, expected_row in zip(block, expected, strict=True):
            assert formulas.relative(row, expected_row) < rtol


@settings(max_examples=25)
@given(formulas.cases(strongest=4.0), st.sampled_from([1e-3, 1e-5, 1e-8, 1e-11]))
def test_gauss_keeps_its_promise_on_accuracy_for_every_sample(case, rtol):
    J = case.net.jacobian(case.theta, case.X, Gauss(rtol=rtol))
    truth = case.net.jacobian(case.theta, case.X, Gauss(16, 64))
    for name in ("U", "W", "v"):
        block, expected = getattr(J, name), getattr(truth, name)
        for row, expected_row in zip(block, expected, strict=True):
            assert formulas.relative(row, expected_row) < rtol + case.rounding


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("rtol", [1e-5, 1e-8])
def test_every_method_of_scipy_is_within_a_hundred_times_its_local_tolerance(method, rtol):
    for activation in ("softplus", "sin"):
        case = formulas.make(activation, n=6, N=3)
        assert_same_gradient_and_kernel(case, SolveIVP(method, rtol=rtol, atol=1e-2 * rtol), Gauss(), 100 * rtol)


@pytest.mark.parametrize("method", METHODS)
def test_a_tighter_tolerance_gives_a_smaller_error(method):
    case = formulas.make("gelu", n=6, N=3, horizon=1.5)
    truth = case.net.ntk(case.theta, case.X, solver=Gauss())
    errors = [
        formulas.relative(case.net.ntk(case.theta, case.X, solver=SolveIVP(method, rtol=rtol, atol=rtol)), truth)
        for rtol in (1e-3, 1e-6, 1e-9)
    ]
    assert errors[1] < 0.05 * errors[0]
    assert errors[2] < 0.05 * errors[1]


@pytest.mark.parametrize("activation", formulas.ANALYTIC)
def test_euler_error_in_the_gradient_falls_like_one_over_the_depth(activation):
    case = formulas.make(activation, n=24, d=5, N=6)

    def gradient(solver):
        return case.net.gradient(case.theta, case.X, case.y, solver).ravel()

    truth = gradient(Gauss())
    depths = (32, 64, 128, 256)
    found = [gradient(Euler(depth)) for depth in depths]
    errors = [np.linalg.norm(g - truth) for g in found]
    for depth, error, half in zip(depths, errors, errors[1:], strict=False):
        # error(L) = c₁/L + c₂/L² + …, so the ratio is 2 + O(1/L).
        assert abs(error / half - 2) < 8 / depth
    scaled = np.asarray(errors) * depths
    assert scaled.max() < 1.5 * scaled.min()
    for power in (2, 3, 4):
        # Without its term in 1/L^(power − 1), the error falls with the next one.
        factor = 2 ** (power - 1)
        found = [(factor * fine - coarse) / (factor - 1) for coarse, fine in itertools.pairwise(found)]
        errors = [np.linalg.norm(g - truth) for g in found]
        for error, half in itertools.pairwise(errors):
            assert abs(np.log2(error / half) - power) < 0.5
    assert errors[-1] < 1e-6 * np.linalg.norm(truth)


@pytest.mark.parametrize("solver", [TIGHT, Gauss(), Gauss(8, 4)], ids=str)
@settings(max_examples=20)
@given(case=formulas.cases(("identity",), n=(1, 8)), seed=st.integers(0, 2**32))
def test_identity_activation_is_the_matrix_exponential_and_its_frechet_derivative(solver, case, seed):
    net, theta, X = case.net, case.theta, case.X
    U, W, v = case.scaled
    n, tolerance = len(v), 1e-11 + case.rounding
    direction = np.random.default_rng(seed).standard_normal((n, n))
    flow, derivative = scipy.linalg.expm_frechet(net.horizon * W, net.horizon * net.sigma_w / np.sqrt(n) * direction)
    terminal = net.trajectory(theta, X, np.asarray([net.horizon]), solver).h[0]
    assert formulas.relative(terminal, X @ U.T @ flow.T) < tolerance
    J = net.jacobian(theta, X, solver)
    scale = np.linalg.norm(J.W, axis=(1, 2)) * np.linalg.norm(direction)
    assert (np.abs((J.W * direction).sum((1, 2)) - X @ U.T @ derivative.T @ v) < tolerance * scale).all()
    assert formulas.relative(J.U, net.sigma_u * (v @ flow)[None, :, None] * X[:, None, :]) < tolerance
    assert formulas.relative(J.v, net.sigma_v / np.sqrt(n) * X @ U.T @ flow.T) < tolerance


def test_gauss_refuses_a_gradient_behind_a_crossing_that_its_nodes_do_not_see():
    """h_1 = ε cos 10t − 0.1 sin 10t crosses 0 at t ≈ 0.005, before the first node of every scheme that is tried."""
    root = np.sqrt(2.0)
    theta = Params(
        np.asarray([[0.005], [1.0]]), root * np.asarray([[0, -1.0], [100.0, 0]]), root * np.asarray([0, 1.0])
    )
    with pytest.raises(AccuracyError, match="relu"):
        NeuralODE("relu").jacobian(theta, np.ones((1, 1)), Gauss())


def test_one_agreement_of_two_schemes_by_chance_is_not_enough():
    """W is where 8 and 12 nodes agree on h_T, and both are wrong by 1e-3."""
    theta = Params(np.asarray([[0.1]]), np.asarray([[7.764822511384249]]), np.ones(1))
    net = NeuralODE("gelu")
    exact = net.predict(theta, np.ones((1, 1)), SolveIVP(rtol=1e-12, atol=1e-14))
    np.testing.assert_allclose(exact, [58.9968615915984], rtol=1e-10)
    np.testing.assert_allclose(net.predict(theta, np.ones((1, 1)), Gauss()), exact, rtol=1e-10)
