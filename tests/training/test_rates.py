from __future__ import annotations

import numpy as np
import pytest

import refimpl
from refimpl import SGD, Adam, Euler, GradientDescent, Momentum, Params
from refimpl.training.problem import check
from refimpl.training.rates import check_rate, learning_rate
from tests import formulas

case = formulas.make("tanh", n=6, d=3, N=7)


def problem(X=case.X, theta=case.theta):
    return check(case.net, theta, X, np.zeros(len(X)), None, None, Euler(5))


def test_theorem_is_one_over_the_square_of_the_spectral_norm_of_the_inputs():
    expected = 1 / np.linalg.eigvalsh(case.X.T @ case.X)[-1]
    # The largest eigenvalue of a Gram matrix and the square of a singular value are both accurate to a few roundings.
    assert learning_rate("theorem", problem()) == pytest.approx(expected, rel=64 * formulas.EPS)


def test_stable_is_one_over_the_largest_eigenvalue_of_the_tangent_kernel():
    J = formulas.flat(case.net.jacobian(case.theta, case.X, Euler(5)))
    expected = 1 / np.linalg.norm(J, ord=2) ** 2
    assert learning_rate("stable", problem()) == pytest.approx(expected, rel=case.rounding)


@pytest.mark.parametrize("rule", [GradientDescent(), Momentum(), SGD(), Adam()], ids=str)
def test_a_number_is_taken_as_it_is_by_every_rule(rule):
    for lr in (0.25, np.float32(0.25), 1):
        assert type(check_rate(lr, rule)) is float
        assert check_rate(lr, rule) == lr
    assert learning_rate(0.25, problem()) == 0.25


@pytest.mark.parametrize(
    ("name", "allowed"),
    [("theorem", {"GradientDescent"}), ("stable", {"GradientDescent", "Momentum"})],
)
def test_a_name_is_refused_where_it_has_no_meaning(name, allowed):
    for rule in (GradientDescent(), SGD(), Momentum(), Adam()):
        if type(rule).__name__ in allowed:
            assert check_rate(name, rule) == name
        else:
            with pytest.raises(ValueError, match=f"lr='{name}' has no meaning for {type(rule).__name__}"):
                check_rate(name, rule)


@pytest.mark.parametrize(
    ("lr", "error"),
    [(value, ValueError) for value in (0, -1.0, np.nan, np.inf, "fast")]
    + [(value, TypeError) for value in (True, None, np.ones(1), 1j)],
)
def test_anything_else_raises_and_the_message_says_what_is_allowed(lr, error):
    with pytest.raises(error, match=r"^lr must be a positive, finite number or 'theorem' or 'stable', got"):
        check_rate(lr, GradientDescent())


@pytest.mark.parametrize("name", ["theorem", "stable"])
def test_a_name_that_would_divide_by_zero_raises(name):
    with pytest.raises(ValueError, match=f"lr='{name}' needs at least one input"):
        learning_rate(name, problem(case.X[:0]))
    zero = problem(np.zeros((2, 3)), Params(case.theta.U, case.theta.W, 0 * case.theta.v))
    what = {"theorem": "X", "stable": "the tangent kernel"}[name]
    with pytest.raises(ValueError, match=f"lr='{name}' has no value: {what} is zero"):
        learning_rate(name, zero)


def test_names_work_on_every_library_and_say_in_the_history_what_they_were(xp):
    theta = Params(*(xp.asarray(block) for block in (case.theta.U, case.theta.W, case.theta.v)))
    for name in ("theorem", "stable"):
        lr = refimpl.train(
            case.net, theta, xp.asarray(case.X), xp.asarray(case.y), lr=name, steps=0, solver=Euler(5)
        ).lr
        assert type(lr) is float
        assert lr == pytest.approx(learning_rate(name, problem()), rel=case.rounding)


@pytest.mark.parametrize("size", [1e160, 1e-160])
def test_inputs_whose_norm_has_no_square_or_no_inverse_square_give_no_rate(size):
    with pytest.raises(ValueError, match="lr='theorem' has no value: X is zero, or too small or too large"):
        learning_rate("theorem", problem(np.full((2, 3), size)))


@pytest.mark.parametrize("size", [1e-154, 1e-3, 0.5, 1e3, 1e153])
def test_theorem_has_a_value_for_inputs_of_any_other_size(size):
    X = size * np.eye(3)
    assert learning_rate("theorem", problem(X)) == pytest.approx(1 / size**2, rel=16 * formulas.EPS)
