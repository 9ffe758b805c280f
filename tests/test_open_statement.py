"""What the statement on open directions rests on, where a pencil or a closed form knows the answer."""

from __future__ import annotations

from math import factorial

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from scipy.linalg import expm

from refimpl import Euler, Gauss, NeuralODE, Params, train
from refimpl.data import sphere
from refimpl.training import SGD, Adam, Momentum, linearize
from refimpl.training.optimizers import GradientDescent
from verification import Agreement
from verification.catalogue import PAPER, available
from verification.statements._open_claims import two_models
from verification.statements._open_driven import driven_kernel, driven_limit
from verification.statements._open_features import at_infinity, first_order, scaled
from verification.statements._open_linear import bessel, by_exponential
from verification.statements._open_optimizers import (
    RULES,
    all_epochs,
    jacobian,
    linear_model,
    mean_epoch,
    momentum_modes,
    sgd_product,
)
from verification.statements._open_plain import rule_roads
from verification.statements._open_solvers import pairing

EPS = float(np.finfo(float).eps)


def kernel(N: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    J = rng.standard_normal((N, 3 * N))
    return J, rng.standard_normal(N)


@pytest.mark.parametrize("rule", [GradientDescent(), Momentum(beta=0.5), SGD(batch_size=2)])
def test_linear_rules_see_the_jacobian_through_the_kernel_alone(rule: object) -> None:
    J, residual = kernel(5)
    rotated = J @ np.linalg.qr(np.random.default_rng(1).standard_normal((15, 15)))[0]
    rate = 0.5 / np.linalg.eigvalsh(J @ J.T)[-1]
    a, b = (linear_model(M, residual, rule, rate, 9) for M in (J, rotated))
    np.testing.assert_allclose(a, b, atol=9 * 15 * EPS * np.abs(residual).max())


def test_gradient_descent_on_the_linear_model_is_the_linearised_dynamics() -> None:
    J, residual = kernel(5)
    K = J @ J.T
    rate, steps = 0.5 / np.linalg.eigvalsh(K)[-1], 9
    line = linearize(K, np.zeros(5), residual, rate, np.arange(steps + 1)).predictions
    found = linear_model(J, residual, GradientDescent(), rate, steps)
    np.testing.assert_allclose(found, line, atol=steps * 15 * EPS * np.abs(residual).max())


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])  # modes of both kinds: real roots and complex ones
def test_momentum_modes_are_those_of_the_update_rule(beta: float) -> None:
    J, residual = kernel(5)
    K = J @ J.T
    rate, steps = 0.9 / np.linalg.eigvalsh(K)[-1], 20
    found = linear_model(J, residual, Momentum(beta=beta), rate, steps)
    gap = np.abs((1 + beta - rate * np.linalg.eigvalsh(K)) ** 2 - 4 * beta).min() ** 0.5
    modes = momentum_modes(K, residual, rate, beta, steps)
    np.testing.assert_allclose(modes, found, atol=64 * steps * 15 * EPS * np.abs(residual).max() / gap)


def test_sgd_is_a_product_along_its_batches() -> None:
    J, residual = kernel(5)
    K, rule = J @ J.T, SGD(batch_size=2, seed=3)  # the last batch of an epoch has one sample
    rate = 0.2 / np.linalg.eigvalsh(K)[-1]
    found = linear_model(J, residual, rule, rate, 7)
    np.testing.assert_allclose(sgd_product(K, residual, rate, rule, 7), found, atol=64 * 15 * EPS)


@pytest.mark.parametrize("N", [2, 4, 6])
def test_mean_epoch_in_closed_form_is_the_mean_over_all_orders(N: int) -> None:
    J, _ = kernel(N)
    K = J @ J.T / np.linalg.eigvalsh(J @ J.T)[-1]
    np.testing.assert_allclose(mean_epoch(K, 0.7), all_epochs(K, 0.7), atol=8 * N * EPS)


def test_the_mean_of_sgd_departs_from_gradient_descent_at_the_smallest_problem() -> None:
    """The search ends at N = 2 and K = diag(0, 1); for K = I and η = 1/2 an epoch ends at the targets."""

    def departs(entries: list[int]) -> bool:
        K = np.diag(np.asarray(entries, dtype=float))
        descent = np.linalg.matrix_power(np.eye(len(K)) - K / 2, 2)
        return bool(np.abs(mean_epoch(K, 0.5) - descent).max() > 1e-9)

    even = st.sampled_from([2, 4]).flatmap(lambda N: st.lists(st.integers(0, 3), min_size=N, max_size=N))
    found = find(even, departs, settings=settings(max_examples=500, derandomize=True, database=None))
    assert len(found) == 2
    assert sum(found) == 1  # one nonzero entry suffices
    np.testing.assert_array_equal(all_epochs(np.eye(2), 0.5), np.zeros((2, 2)))


def test_two_models_with_one_kernel_part_under_adam_and_not_under_gradient_descent() -> None:
    models = np.asarray([[1.0, 1.0]]), np.asarray([[np.sqrt(2), 0.0]])
    assert abs(two_models() - np.sqrt(2)) <= 1e-7  # Adam's eps of 1e-8, beside gradients of 1, in both
    paths = [linear_model(J, -np.ones(1), GradientDescent(), 0.1, 5) for J in models]
    np.testing.assert_allclose(*paths, atol=16 * EPS)


@given(st.integers(0, 10**6))
@settings(max_examples=10)
def test_adams_first_step_lies_along_the_kernel_for_gaussian_jacobians(seed: int) -> None:
    """E[J_i sign(J·r)] = √(2/π) (K r)_i / √(rᵀ K r) for Gaussian columns of J; P of them leave an error of 1/√P."""
    rng = np.random.default_rng(seed)
    N, P = 3, 40_000
    J, r = rng.standard_normal((N, N)) @ rng.standard_normal((N, P)) / np.sqrt(P), rng.standard_normal(N)
    step = -linear_model(J, r, Adam(), 1.0, 1)[1] + r
    K = J @ J.T
    predicted = np.sqrt(2 * P / np.pi) * K @ r / np.sqrt(r @ K @ r)
    assert np.linalg.norm(step - predicted) <= 6 * np.sqrt(np.trace(K))  # six standard deviations


def test_the_scale_of_f_leaves_the_residual_and_the_rate_of_the_modes_alone() -> None:
    net = NeuralODE("tanh")
    theta, X, y = net.init(16, 3, seed=0), sphere(3, 3, seed=1), np.asarray([1.0, -1.0, 1.0])
    K = net.ntk(theta, X, solver=Gauss(5, 1))
    large, larger = (scaled("tanh", theta, X, y, alpha, K) for alpha in (1e4, 4e4))
    assert abs(larger.drift * 4 / large.drift - 1) < 1e-3  # the next term is O(1/α)
    constant, error = first_order("tanh", theta, X, y, K)
    assert abs(larger.drift * larger.alpha / constant - 1) <= error / constant + 1e-3


def test_a_limit_is_found_below_a_correction_of_the_root_of_the_width() -> None:
    widths, noise = np.asarray([32.0, 64.0, 128.0]), np.random.default_rng(0).standard_normal((3, 40))
    exact = np.repeat(0.5 + 3 * widths[:, None] ** -0.5, 4, axis=1)
    value, half, wider = at_infinity(widths, exact)
    assert abs(value - 0.5) <= 64 * EPS
    assert half <= wider <= 1e-12
    value, half, wider = at_infinity(widths, 3 * widths[:, None] ** -0.5 + 0.1 * noise)
    assert abs(value) <= wider  # and no limit where there is none
    assert 0 < half < wider


def test_linear_state_space_kernels() -> None:
    net = NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    theta, X = net.init(9, 3, seed=0), sphere(4, 3, seed=1)
    np.testing.assert_allclose(by_exponential(net, theta, X), net.ntk(theta, X, solver=Gauss()), rtol=1e-11)
    np.testing.assert_allclose(bessel(net, X), net.limit().ntk(X), rtol=1e-12, atol=1e-12)


def test_the_driven_kernel_is_the_square_of_the_gradient() -> None:
    """By central differences of f = v̂ᵀ (e^{T𝒲} − I) 𝒲⁻¹ σ_u U x, which shares no code with it."""
    net = NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    theta, x, n = net.init(4, 2, seed=0), np.asarray([0.6, -0.7]), 4

    def f(p: np.ndarray) -> float:
        U, W, v = p[:8].reshape(4, 2), 0.8 / 2 * p[8:24].reshape(4, 4), p[24:]
        return float(1.1 / np.sqrt(n) * v @ (expm(1.3 * W) - np.eye(n)) @ np.linalg.solve(W, 0.9 * U @ x))

    p, h = np.concatenate([theta.U.ravel(), theta.W.ravel(), theta.v]), 1e-4

    def square(step: float) -> float:
        return sum(((f(p + step * e) - f(p - step * e)) / (2 * step)) ** 2 for e in np.eye(p.size))

    wide, narrow = square(2 * h), square(h)
    found = driven_kernel(net, theta, x)
    assert abs((4 * narrow - wide) / 3 - found) <= abs(narrow - wide) + 1e-10 * found  # rounding, eps/h


def test_the_driven_limit_is_the_sum_of_its_series() -> None:
    """v and U: Σ_{k≥1} Z^{2k}/k!² each, W: Σ_{k≥1, l≥0} Z^{2(k+l+1)}/(k+l+1)!², over σ_w²."""
    net = NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    Z = 1.3 * 0.8
    single = sum(Z ** (2 * k) / factorial(k) ** 2 for k in range(1, 20))
    double = sum(Z ** (2 * (k + m + 1)) / factorial(k + m + 1) ** 2 for k in range(1, 20) for m in range(20))
    expected = (0.9 * 1.1 / 0.8) ** 2 * (2 * single + double)
    assert abs(driven_limit(net) / expected - 1) <= 64 * EPS


def test_a_linear_network_cannot_fit_an_even_target() -> None:
    """x = ±1 and y = (1, 1): f(−x) = −f(x), so that L ≥ 1 whatever θ."""
    net = NeuralODE("identity")
    theta, X, y = net.init(8, 1, seed=0), np.asarray([[1.0], [-1.0]]), np.ones(2)
    run = train(net, theta, X, y, lr="stable", steps=60, solver=Euler(4))
    assert run.loss.min() >= 1 - 4 * EPS
    assert run.loss[-1] - 1 < 1e-6


def test_pairing_of_a_jacobian_with_a_turned_one() -> None:
    J = np.asarray([[2.0, 0.0, 0.0], [0.0, 1.0, 0.0]])
    other = np.asarray([[2.0, 0.0, 0.0], [0.0, -1.0, 0.0]])
    found = pairing("turned", J, other)
    assert (found.distance, found.early, found.late) == (1.0, 0.0, 2.0)
    assert found.root_condition == 2.0
    assert found.slowest == -1.0  # the residual (0, 1) climbs
    assert found.share == 1.0


def test_jacobian_rows_are_in_the_order_of_the_parameters() -> None:
    net = NeuralODE("tanh")
    theta, X = net.init(5, 2, seed=0), sphere(3, 2, seed=1)
    direction = net.init(5, 2, seed=2)
    rows = jacobian(net, theta, X)
    expected = net.jacobian(theta, X, Euler(8)).apply(direction)
    np.testing.assert_allclose(rows @ direction.ravel(), expected, rtol=64 * EPS, atol=64 * EPS)
    assert isinstance(direction, Params)


def test_every_statement_of_the_paper_can_be_run() -> None:
    assert available() == tuple(PAPER)


@pytest.mark.parametrize("rule", ["gd", "momentum", "sgd", "adam"])
def test_training_written_out_sees_another_learning_rate(rule: str) -> None:
    net, X, y = NeuralODE("tanh"), sphere(4, 3, seed=1), np.asarray([1.0, -1.0, 1.0, -1.0])
    theta, steps, rate = net.init(6, 3, seed=2), 4, 0.01
    run = train(net, theta, X, y, optimizer=RULES[rule], lr=rate, steps=steps, solver=Euler(8)).predictions

    def road(lr: float) -> Agreement:
        return rule_roads(net, theta, X, y, {rule: (RULES[rule], lr)}, {rule: run}, steps)[0]

    assert road(rate).agree
    assert not road(1.001 * rate).agree
