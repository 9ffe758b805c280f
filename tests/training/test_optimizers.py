from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import SGD, Adam, GradientDescent, Momentum
from refimpl.backend import to_host
from refimpl.training import Optimizer, optimizers

EPS = float(np.finfo(float).eps)
RULES = (GradientDescent(), SGD(), Momentum(), Momentum(0.0), Adam(), Adam(0.5, 0.25, 1e-3))


def path(rule, gradients, lr, theta):
    """θ after every update with the given gradients."""
    state, found = rule.start(theta), []
    for gradient in gradients:
        state, update = rule.update(state, gradient)
        theta = theta - lr * update
        found.append(theta)
    return found


def gradients(count=50, size=7, seed=0):
    """Gradients whose sizes spread over twelve orders of magnitude."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(size) * 10.0 ** rng.integers(-6, 7, size) for _ in range(count)]


# --- the formulas, by hand ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", [GradientDescent(), SGD()], ids=str)
def test_gradient_descent_subtracts_the_gradient(rule):
    (theta,) = path(rule, [np.asarray([1.0, -4.0])], 0.25, np.asarray([1.0, 2.0]))
    assert theta.tolist() == [0.75, 3.0]


def test_momentum_keeps_half_of_what_it_had_if_beta_is_a_half():
    one, two = np.asarray([1.0]), np.asarray([4.0])
    # m: 1, then 0.5 + 4 = 4.5, then 2.25 + 1 = 3.25; all exact in binary.
    found = path(Momentum(0.5), [one, two, one], 1.0, np.asarray([0.0]))
    assert [theta.item() for theta in found] == [-1.0, -5.5, -8.75]


def test_adam_follows_algorithm_1_of_its_paper():
    beta1, beta2, eps, lr = 0.9, 0.99, 1e-3, 0.1
    given_gradients = [2.0, -1.0, 0.5]
    theta, m, v, expected = 1.0, 0.0, 0.0, []
    for t, g in enumerate(given_gradients, start=1):
        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g * g
        theta -= lr * (m / (1 - beta1**t)) / (math.sqrt(v / (1 - beta2**t)) + eps)
        expected.append(theta)
    found = path(Adam(beta1, beta2, eps), [np.asarray([g]) for g in given_gradients], lr, np.asarray([1.0]))
    # A dozen roundings a step, of numbers below 2.
    np.testing.assert_allclose([theta.item() for theta in found], expected, rtol=0, atol=3 * 12 * 2 * EPS)


@given(st.floats(0, 0.99), st.integers(0, 2**32))
def test_momentum_is_the_heavy_ball_of_polyak(beta, seed):
    rng, lr = np.random.default_rng(seed), 0.1
    slopes = [rng.standard_normal(4) for _ in range(10)]
    found = path(Momentum(beta), slopes, lr, np.zeros(4))
    before, theta, expected = np.zeros(4), np.zeros(4), []
    for slope in slopes:
        before, theta = theta, theta - lr * slope + beta * (theta - before)
        expected.append(theta)
    # Each of 10 steps rounds a few numbers of the size of θ, and later steps carry it on by at most 1/(1 − β) ≤ 100
    # and by no more than the number of steps.
    scale = max(np.abs(expected).max(), 1.0)
    np.testing.assert_allclose(found, expected, rtol=0, atol=10 * 10 * 8 * EPS * scale)


def test_adam_moves_by_the_sign_of_the_first_gradient_at_any_scale():
    for scale in (1e-3, 1.0, 1e3):
        (theta,) = path(Adam(), [np.asarray([scale, -scale])], 0.5, np.zeros(2))
        # ĝ/(|ĝ| + eps) is 1 up to eps/scale = 1e-5.
        np.testing.assert_allclose(theta, [-0.5, 0.5], rtol=1.1e-5)


# --- another implementation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (GradientDescent(), lambda torch, p, lr: torch.optim.SGD(p, lr=lr)),
        (SGD(), lambda torch, p, lr: torch.optim.SGD(p, lr=lr)),
        (Momentum(), lambda torch, p, lr: torch.optim.SGD(p, lr=lr, momentum=0.9)),
        (Momentum(0.5), lambda torch, p, lr: torch.optim.SGD(p, lr=lr, momentum=0.5)),
        (Adam(), lambda torch, p, lr: torch.optim.Adam(p, lr=lr)),
        (Adam(0.8, 0.9, 1e-4), lambda torch, p, lr: torch.optim.Adam(p, lr=lr, betas=(0.8, 0.9), eps=1e-4)),
    ],
    ids=lambda part: "" if callable(part) else str(part),
)
def test_update_rules_are_those_of_pytorch(rule, make):
    torch = pytest.importorskip("torch")
    lr, steps = 0.05, gradients()
    parameter = torch.nn.Parameter(torch.zeros(7, dtype=torch.float64))
    other = make(torch, [parameter], lr)
    largest = 0.0
    for gradient, theta in zip(steps, path(rule, steps, lr, np.zeros(7)), strict=True):
        parameter.grad = torch.asarray(gradient)
        other.step()
        expected = parameter.detach().numpy()
        largest = max(largest, np.abs(expected).max())
        # No more than 16 roundings a step, of numbers no larger than the largest θ and, under momentum, than ten of
        # the largest update.
        bound = len(steps) * 16 * EPS * (largest + 10 * lr * np.abs(steps).max() * (not isinstance(rule, Adam)))
        np.testing.assert_allclose(theta, expected, rtol=0, atol=bound)


# --- what every rule keeps to -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_an_update_changes_neither_the_state_nor_the_gradient(rule):
    first, second = gradients(2)
    state, _ = rule.update(rule.start(first), first)
    copies = [moment.copy() for moment in state.moments], second.copy()
    one, two = rule.update(state, second), rule.update(state, second)
    np.testing.assert_array_equal(one[1], two[1])
    for moment, copy in zip((*state.moments, second), (*copies[0], copies[1]), strict=True):
        np.testing.assert_array_equal(moment, copy)
    assert state.count == 1
    assert one[0].count == 2
    assert len(state.moments) == rule.moments


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_update_rules_run_on_every_library_and_keep_the_dtype(xp, rule, dtype):
    steps = [gradient.astype(dtype) for gradient in gradients(5)]
    expected = path(rule, steps, 0.1, np.zeros(7, dtype))
    kind = xp.zeros(7, dtype=getattr(xp, dtype))
    for theta, truth in zip(path(rule, [xp.asarray(g) for g in steps], 0.1, kind), expected, strict=True):
        assert type(theta) is type(kind)
        assert theta.dtype == kind.dtype
        assert truth.dtype == np.dtype(dtype)
        # Libraries may fuse or reorder the dozen operations of a step.
        np.testing.assert_allclose(to_host(theta), truth, rtol=5 * 16 * np.finfo(dtype).eps)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_gradient_of_zero_moves_nothing(rule):
    for theta in path(rule, [np.zeros(3)] * 3, 1.0, np.ones(3)):
        assert theta.tolist() == [1.0, 1.0, 1.0]


# --- mini-batches -------------------------------------------------------------------------------------------------


@given(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**40), st.integers(0, 5))
def test_every_epoch_takes_every_sample_once(N, batch_size, seed, epoch):
    rule = SGD(batch_size, seed)
    length = math.ceil(N / batch_size)
    batches = [rule.batch(epoch * length + i, N) for i in range(length)]
    if batch_size >= N:
        assert batches == [None]
    else:
        assert sorted(np.concatenate(batches).tolist()) == list(range(N))
        assert [len(batch) for batch in batches[:-1]] == [batch_size] * (length - 1)


def test_orders_change_with_the_epoch_and_with_the_seed_and_with_nothing_else():
    def orders(seed):
        return [SGD(50, seed).batch(2 * epoch, 100).tolist() for epoch in range(3)]

    assert orders(0) == orders(0)
    assert len({tuple(order) for seed in (0, 1, 2**80) for order in orders(seed)}) == 9


@pytest.mark.parametrize("rule", [GradientDescent(), Momentum(), Adam()], ids=str)
def test_the_other_rules_take_all_samples(rule):
    assert rule.batch(3, 100) is None


# --- settings -----------------------------------------------------------------------------------------------------


def test_names_give_the_usual_defaults():
    assert optimizers.get("gd") == GradientDescent()
    assert optimizers.get("sgd") == SGD(batch_size=32, seed=0)
    assert optimizers.get("momentum") == Momentum(beta=0.9)
    assert optimizers.get("adam") == Adam(beta1=0.9, beta2=0.999, eps=1e-8)
    assert optimizers.get(Adam(0.5)) == Adam(0.5)


def test_an_unknown_optimiser_raises_and_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"gd, sgd, momentum, adam; got 'lbfgs'"):
        optimizers.get("lbfgs")
    for bad in (Adam, None, 3):
        with pytest.raises(TypeError, match="optimizer must be a name or an Optimizer"):
            optimizers.get(bad)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_settings_are_frozen_and_hashable(rule):
    assert isinstance(rule, Optimizer)
    assert hash(rule) == hash(dataclasses.replace(rule))
    for field in dataclasses.fields(rule):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(rule, field.name, 0.5)


@pytest.mark.parametrize("name", ["beta", "beta1", "beta2"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(1.0, ValueError), (-0.1, ValueError), (np.nan, ValueError), ("0.9", TypeError), (True, TypeError)],
)
def test_decays_lie_between_0_and_1(name, value, error):
    with pytest.raises(error, match=rf"^{name} must be a number in \[0, 1\), got"):
        (Momentum if name == "beta" else Adam)(**{name: value})


@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (np.inf, ValueError), (None, TypeError)])
def test_eps_of_adam_is_positive_and_finite(value, error):
    with pytest.raises(error, match=r"^eps must be a positive, finite number, got"):
        Adam(eps=value)


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("batch_size", 0, ValueError),
        ("batch_size", 2.0, TypeError),
        ("batch_size", True, TypeError),
        ("seed", -1, ValueError),
        ("seed", None, TypeError),
    ],
)
def test_batch_size_and_seed_are_integers(name, value, error):
    with pytest.raises(error, match=f"^{name} must be an integer ≥ "):
        SGD(**{name: value})


def test_settings_become_plain_numbers():
    assert type(SGD(np.int64(3)).batch_size) is int
    assert type(Momentum(np.float32(0.5)).beta) is float
    assert repr(Adam(np.float64(0.5), 0, 1)) == "Adam(beta1=0.5, beta2=0.0, eps=1.0)"
