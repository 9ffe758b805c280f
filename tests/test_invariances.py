"""What must not change when the same network is written in another way."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import Euler, Gauss, NeuralODE, Params, SolveIVP
from tests import formulas

SOLVERS = (Euler(5), Gauss(4, 2), Gauss(), SolveIVP())
solvers = st.sampled_from(SOLVERS)
few = settings(max_examples=25)


def tolerance(case, solver):
    """Euler and given Gauss schemes differ by rounding, the others by their tolerances, amplified by the flow."""
    amplified = case.rounding / formulas.EPS
    return amplified * {Euler: formulas.EPS, Gauss: 1e-13, SolveIVP: 1e-11}[type(solver)]


def assert_same(case, solver, other, X2=None, factor=1.0, kernel_factor=1.0):
    """f and K_θ of `other`, a case or (net, theta, X), against those of `case`."""
    net, theta, X = other.net, other.theta, other.X
    rtol = tolerance(case, solver)
    f, K = case.net.predict(case.theta, case.X, solver), case.net.ntk(case.theta, case.X, solver=solver)
    scale = np.sqrt(np.diag(K)).max() + np.abs(f).max()
    np.testing.assert_allclose(net.predict(theta, X, solver) / factor, f, rtol=0, atol=rtol * scale)
    np.testing.assert_allclose(net.ntk(theta, X, solver=solver) / kernel_factor, K, rtol=0, atol=rtol * np.trace(K))


def other(case, theta=None, X=None, **settings_):
    net = case.net
    keep = {name: getattr(net, name) for name in ("activation", "horizon", "sigma_u", "sigma_w", "sigma_v")}
    return formulas.Case(
        NeuralODE(**(keep | settings_)),
        case.theta if theta is None else theta,
        case.X if X is None else X,
        case.y,
    )


@few
@given(formulas.cases(d=(2, 4)), solvers, st.integers(0, 2**32))
def test_a_rotation_of_the_inputs_and_of_U_together_changes_nothing(case, solver, seed):
    d = case.theta.dim
    Q, _ = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))
    theta = Params(case.theta.U @ Q, case.theta.W, case.theta.v)
    assert_same(case, solver, other(case, theta, case.X @ Q))


@few
@given(formulas.cases(n=(2, 8)), solvers, st.integers(0, 2**32))
def test_a_permutation_of_the_neurons_changes_nothing(case, solver, seed):
    p = np.random.default_rng(seed).permutation(case.theta.width)
    theta = Params(case.theta.U[p], case.theta.W[np.ix_(p, p)], case.theta.v[p])
    assert_same(case, solver, other(case, theta))


@few
@given(formulas.cases(), solvers, st.floats(0.1, 10.0))
def test_a_factor_may_stand_in_sigma_u_or_in_the_inputs(case, solver, c):
    assert_same(case, solver, other(case, X=case.X / c, sigma_u=case.net.sigma_u * c))


@few
@given(formulas.cases(), st.sampled_from(SOLVERS), st.floats(-2, 2))
def test_a_factor_in_sigma_v_stands_in_front_of_the_output_and_squared_in_front_of_the_kernel(case, solver, log):
    c = 10.0**log
    assert_same(case, solver, other(case, sigma_v=case.net.sigma_v * c), factor=c, kernel_factor=c * c)


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("c", [1e-12, 1e-6, 1e6])
def test_a_very_small_or_large_sigma_v_costs_no_accuracy(solver, c):
    case = formulas.make("softplus", n=6)
    assert_same(case, solver, other(case, sigma_v=c), factor=c, kernel_factor=c * c)


@pytest.mark.parametrize("solver", [*SOLVERS, Gauss(24, 4)], ids=str)
@pytest.mark.parametrize("c", [1e-200, 1e-8, 1e8, 1e200])
def test_a_homogeneous_network_is_as_accurate_for_very_small_and_large_inputs(solver, c):
    case = formulas.make("identity", n=6)
    f = case.net.predict(case.theta, case.X, solver)
    scaled = case.net.predict(case.theta, c * case.X, solver)
    assert formulas.relative(scaled / c, f) < tolerance(case, solver)


@few
@given(formulas.cases(), solvers, st.floats(0.2, 5.0))
def test_only_the_product_of_sigma_w_and_the_horizon_matters(case, solver, c):
    assert_same(case, solver, other(case, horizon=case.net.horizon / c, sigma_w=case.net.sigma_w * c))
    moved = other(case, horizon=case.net.horizon / c, sigma_w=case.net.sigma_w * c)
    one, two = (k.net.jacobian(k.theta, k.X, solver) for k in (case, moved))
    scale = np.linalg.norm(formulas.flat(one))
    for block in ("U", "W", "v"):
        difference = np.linalg.norm(getattr(one, block) - getattr(two, block))
        assert difference < tolerance(case, solver) * scale


@few
@given(formulas.cases(), solvers, st.floats(0.2, 5.0))
def test_a_factor_may_stand_in_sigma_w_or_in_W_where_the_kernel_block_of_W_takes_its_square(case, solver, c):
    theta = Params(case.theta.U, case.theta.W * c, case.theta.v)
    moved = other(case, theta, sigma_w=case.net.sigma_w / c)
    one, two = (k.net.jacobian(k.theta, k.X, solver) for k in (case, moved))
    scale = np.linalg.norm(formulas.flat(one))
    for block, factor in (("U", 1.0), ("W", c), ("v", 1.0)):
        difference = np.linalg.norm(getattr(one, block) - factor * getattr(two, block))
        assert difference < tolerance(case, solver) * scale


@few
@given(formulas.cases(("tanh", "erf", "sin", "identity")), solvers)
def test_an_odd_activation_makes_an_odd_network(case, solver):
    assert_same(case, solver, other(case, X=-case.X), factor=-1.0)


@pytest.mark.parametrize("solver", [SolveIVP(), SolveIVP("RK45", rtol=1e-6), Gauss(), Gauss(8, 4), Euler(6)], ids=str)
@pytest.mark.parametrize("activation", ["softplus", "sin", "tanh"])
def test_a_row_does_not_depend_on_its_batch_even_if_one_sample_is_much_harder(solver, activation):
    case = formulas.make(activation, n=12, d=3, N=65, horizon=1.5)
    X = case.X.copy()
    X[17] *= 30.0
    net, theta = case.net, case.theta
    K = net.ntk(theta, X, solver=solver)
    f = net.predict(theta, X, solver)
    rtol = tolerance(case, solver) if not isinstance(solver, SolveIVP) else 50 * solver.rtol
    for row in (0, 17, 64):
        alone = X[row : row + 1]
        kernel = net.ntk(theta, alone, solver=solver)
        np.testing.assert_allclose(K[row, row], kernel[0, 0], rtol=rtol)
        atol = rtol * np.sqrt(kernel[0, 0]) * (1 + np.linalg.norm(alone))
        np.testing.assert_allclose(f[row], net.predict(theta, alone, solver)[0], rtol=0, atol=atol)


def test_a_hard_sample_among_easy_ones_is_solved_as_accurately_as_alone():
    # A norm over the whole batch would allow the hard one √65 times the error; single errors scatter by a factor 3.
    solver, in_batch, alone = SolveIVP(rtol=1e-6, atol=1e-8), [], []
    for activation in ("sin", "softplus"):
        for seed, size in enumerate((3.0, 5.0, 10.0, 20.0, 30.0)):
            case = formulas.make(activation, n=12, N=65, seed=seed, horizon=1.5)
            X = 1e-3 * case.X
            X[17] *= 1e3 * size
            hard = X[17:18]
            truth = case.net.ntk(case.theta, hard, solver=Gauss())[0, 0]
            in_batch.append(abs(case.net.ntk(case.theta, X, solver=solver)[17, 17] / truth - 1))
            alone.append(abs(case.net.ntk(case.theta, hard, solver=solver)[0, 0] / truth - 1))
    assert np.mean(np.log(in_batch)) < np.mean(np.log(alone)) + np.log(3)


@pytest.mark.parametrize("solver", [*map(SolveIVP, ("DOP853", "Radau", "BDF", "LSODA")), Gauss(), Euler(4)], ids=str)
def test_duplicate_rows_are_welcome_and_give_equal_rows(solver):
    case = formulas.make("gelu")
    X = case.X[[0, 1, 0, 0]]
    K, f = case.net.ntk(case.theta, X, solver=solver), case.net.predict(case.theta, X, solver)
    assert np.ptp(f[[0, 2, 3]]) <= 1e-9 * np.abs(f).max()
    assert np.ptp(K[[0, 2, 3]], axis=0).max() <= 1e-9 * np.abs(K).max()
    assert case.net.gradient(case.theta, X, case.y[:4], solver).norm() > 0


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
@pytest.mark.parametrize("activation", [*formulas.ANALYTIC, "relu", "leaky_relu", "elu", "quadratic"])
def test_the_origin_is_an_input_like_any_other(solver, activation):
    case = formulas.make(activation, n=4, N=2)
    X = np.zeros((2, 3))
    f, J = case.net.predict(case.theta, X, solver), case.net.jacobian(case.theta, X, solver)
    assert np.isfinite(formulas.flat(J)).all()
    assert not J.U.any()
    if case.net.phi.parity == "odd" or activation in ("relu", "leaky_relu", "elu", "quadratic", "gelu", "silu"):
        assert not f.any()
    np.testing.assert_allclose(
        case.net.ntk(case.theta, X, solver=solver), formulas.flat(J) @ formulas.flat(J).T, rtol=1e-12, atol=1e-300
    )
