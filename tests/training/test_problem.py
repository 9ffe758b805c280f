from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import SGD, Euler, Gauss, NeuralODE, Params, SolveIVP
from refimpl.solvers import Solver
from refimpl.training.problem import check
from tests import formulas

case = formulas.make("tanh", n=6, d=3, N=7)
X_test = np.random.default_rng(5).standard_normal((4, 3))


def problem(case=case, X_test=X_test, y_test=None, solver=Euler(5)):  # noqa: B008 - frozen
    return check(case.net, case.theta, case.X, case.y, X_test, y_test, solver)


@dataclass(frozen=True)
class Counting(Solver):
    """Euler's method that writes down how many samples it is given, and for what."""

    calls: list = field(default_factory=list)

    def terminal(self, system):
        self.calls.append(("forward", system.h0.shape[1]))
        return Euler(5).terminal(system)

    def sweep(self, system):
        self.calls.append(("both", system.h0.shape[1]))
        return Euler(5).sweep(system)

    def trajectory(self, system, times):
        raise AssertionError("not needed for training")


@pytest.mark.parametrize("layers", [None, 5])
def test_outputs_and_gradient_are_those_of_the_network(layers):
    case = formulas.make("tanh", n=6, d=3, N=7, layers=layers)
    solver = Euler(5, shared=layers is None)
    outputs, test, gradient = problem(case, solver=solver).evaluate(case.theta, None)
    # The same operations in the same order.
    np.testing.assert_array_equal(outputs, case.net.predict(case.theta, case.X, solver))
    np.testing.assert_array_equal(test, case.net.predict(case.theta, X_test, solver))
    np.testing.assert_array_equal(gradient, case.net.gradient(case.theta, case.X, case.y, solver).ravel())


@given(st.integers(1, 6), st.integers(0, 2**32))
def test_a_batch_gives_all_outputs_and_its_share_of_the_gradient(size, seed):
    batch = np.random.default_rng(seed).permutation(7)[:size]
    outputs, test, gradient = problem().evaluate(case.theta, batch)
    whole, whole_test, _ = problem().evaluate(case.theta, None)
    # Products of another shape may be summed in another order.
    assert formulas.relative(outputs, whole) < case.rounding
    assert formulas.relative(test, whole_test) < case.rounding
    expected = (7 / size) * case.net.gradient(case.theta, case.X[batch], case.y[batch], Euler(5)).ravel()
    assert formulas.relative(gradient, expected) < case.rounding


@pytest.mark.parametrize("size", [1, 2, 3, 6])
def test_estimates_of_an_epoch_average_to_the_gradient(size):
    rule, total, N = SGD(size, seed=3), 0.0, 7
    for step in range(-(-N // size)):
        batch = rule.batch(step, N)
        total = total + len(batch) / N * problem().evaluate(case.theta, batch)[2]
    exact = problem().evaluate(case.theta, None)[2]
    # The estimates are N/B terms of Σ r_i ∇f(x_i), which may cancel in the sum.
    terms = sum(np.linalg.norm(problem().evaluate(case.theta, np.asarray([i]))[2]) / N for i in range(N))
    assert np.linalg.norm(total - exact) < case.rounding * terms


def test_every_sample_is_solved_for_once():
    counting = Counting()
    training = problem(solver=counting)
    training.evaluate(case.theta, None)
    assert counting.calls == [("both", 7), ("forward", 4)]
    counting.calls.clear()
    training.evaluate(case.theta, np.asarray([5, 0]))
    assert counting.calls == [("both", 2), ("forward", 5 + 4)]
    counting.calls.clear()
    training.outputs(case.theta)
    assert counting.calls == [("forward", 7 + 4)]


def test_a_vector_of_parameters_and_its_blocks_are_the_same():
    for layers in (None, 2):
        case = formulas.make(n=3, d=2, layers=layers)
        back = problem(case, X_test=None).params(case.theta.ravel())
        assert (back - case.theta).norm() == 0.0


def test_without_a_solver_the_default_of_the_library_is_taken(xp):
    blocks = (xp.asarray(block) for block in (case.theta.U, case.theta.W, case.theta.v))
    arguments = case.net, Params(*blocks), xp.asarray(case.X), xp.asarray(case.y), None, None
    assert check(*arguments, None).solver == (SolveIVP() if xp is np else Gauss())
    assert check(*arguments, Euler(3)).solver == Euler(3)


@pytest.mark.parametrize("of_X", [np.float32, np.float64])
@pytest.mark.parametrize("of_theta", [np.float32, np.float64])
def test_targets_and_test_set_are_rounded_to_the_dtype_of_parameters_and_inputs(of_theta, of_X):
    theta = Params(*(block.astype(of_theta) for block in (case.theta.U, case.theta.W, case.theta.v)))
    training = check(case.net, theta, case.X.astype(of_X), np.arange(7), X_test, np.ones(4), None)
    arrays = training.start.W, training.X, training.y, training.X_test, training.y_test
    assert {array.dtype for array in arrays} == {np.promote_types(of_theta, of_X)}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"net": "softplus"}, TypeError, "net must be a NeuralODE, got 'softplus'"),
        ({"theta": None}, TypeError, "theta must be a Params, got NoneType"),
        ({"theta": case.theta.U}, TypeError, "theta must be a Params, got ndarray"),
        ({"solver": "euler"}, TypeError, "solver must be SolveIVP, Gauss, Euler, KinkEvents or None, got 'euler'"),
        ({"X": None}, TypeError, "X must come from NumPy"),
        ({"X": case.X.tolist()}, TypeError, "X must come from NumPy"),
        ({"y": None}, TypeError, "y must come from NumPy"),
        ({"X": case.X[0]}, ValueError, r"X must have shape \(N, d\), got \(3,\)"),
        ({"X": case.X[:, :2]}, ValueError, r"X must have d = 3 columns to fit theta.U, got shape \(7, 2\)"),
        ({"X": np.full((7, 3), np.nan)}, ValueError, "X must be finite"),
        ({"X": case.X * 1j}, TypeError, "X must hold float64, float32 or integers"),
        ({"y": case.y[:6]}, ValueError, r"y must have shape \(7,\), one for each row, got \(6,\)"),
        ({"y": case.y[:, None]}, ValueError, r"y must have shape \(7,\), one for each row, got \(7, 1\)"),
        ({"y": case.y * np.inf}, ValueError, "y must be finite"),
        ({"y": case.y > 0}, TypeError, "y must hold float64, float32 or integers"),
        ({"X_test": X_test[0]}, ValueError, r"X_test must have shape \(N, d\), got \(3,\): .* X_test\[None\]"),
        ({"X_test": X_test[:, :1]}, ValueError, "X_test must have d = 3 columns"),
        ({"X_test": X_test, "y_test": np.ones(3)}, ValueError, r"y_test must have shape \(4,\)"),
        ({"X_test": X_test, "y_test": np.full(4, np.nan)}, ValueError, "y_test must be finite"),
        ({"y_test": np.ones(4)}, ValueError, "y_test was given without X_test"),
        ({"X_test": X_test.tolist()}, TypeError, "X_test must come from NumPy"),
    ],
)
def test_what_does_not_fit_raises_and_is_named(changed, error, message):
    arguments = {"net": case.net, "theta": case.theta, "X": case.X, "y": case.y}
    arguments |= {"X_test": None, "y_test": None, "solver": None} | changed
    with pytest.raises(error, match=message):
        check(**arguments)


def test_a_target_that_overflows_single_precision_is_named():
    theta = Params(*(block.astype(np.float32) for block in (case.theta.U, case.theta.W, case.theta.v)))
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="y must be finite in float32"):
        check(NeuralODE(), theta, case.X.astype(np.float32), np.full(7, 1e300), None, None, None)
