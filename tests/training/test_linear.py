from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given
from hypothesis import strategies as st

import refimpl
from refimpl import AccuracyError, Gauss, NeuralODE, linearize
from refimpl.backend import to_host

EPS = float(np.finfo(float).eps)
ARRAYS = ("eigenvalues", "predictions", "loss", "test_predictions", "test_loss")


def kernel_problem(which="finite", N=40, N_test=15):
    """Kernels, targets and initial outputs of a real network on the digits."""
    data = refimpl.data.digits((3, 8), n_train=N, n_test=N_test)
    net, solver = NeuralODE("softplus"), Gauss(6, 1)
    theta = net.init(width=128, dim=64, seed=0)
    X, X_test = data.X_train, data.X_test
    if which == "finite":
        K, K_test = net.ntk(theta, X, solver=solver), net.ntk(theta, X_test, X, solver)
    else:
        K, K_test = net.limit().ntk(X), net.limit().ntk(X_test, X)
    return K, data.y_train, net.predict(theta, X, solver), K_test, net.predict(theta, X_test, solver), data.y_test


# --- against other roads ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["finite", "limit"])
@pytest.mark.parametrize("fraction", [1.0, 1.9])
def test_closed_forms_are_what_five_thousand_explicit_steps_give(which, fraction):
    K, y, u0, K_test, u0_test, _ = kernel_problem(which)
    lr = fraction / np.linalg.eigvalsh(K)[-1]
    found = linearize(K, y, u0, lr, np.arange(5001), K_test, u0_test)
    u, test, scale, worst = u0.copy(), u0_test.copy(), np.linalg.norm(u0 - y), 0.0
    for k in range(5001):
        worst = max(worst, np.linalg.norm(found.predictions[k] - u), np.linalg.norm(found.test_predictions[k] - test))
        residual = u - y
        u, test = u - lr * (K @ residual), test - lr * (K_test @ residual)
    # Eigenvalues are known to a few eps λ_max, and k steps add k times as much: 5,000 · 2 eps · O(1) = 1e-12 at most.
    assert worst < 1e-12 * scale


@pytest.mark.parametrize("which", ["finite", "limit"])
def test_the_end_is_kernel_regression(which):
    K, y, u0, K_test, u0_test, y_test = kernel_problem(which)
    end = linearize(K, y, u0, "stable", math.inf, K_test, u0_test, y_test)
    coefficients = scipy.linalg.cho_solve(scipy.linalg.cho_factor(K), u0 - y)
    # Both solve (K + E) α = u⁰ − y with ‖E‖ a few eps ‖K‖, and K_test E-perturbs to K_test K⁻¹ E α.
    amplified = np.linalg.norm(np.linalg.solve(K, K_test.T), 2) * np.linalg.norm(coefficients)
    bound = 2 * 8 * EPS * np.linalg.norm(K, 2) * amplified
    assert bound < 1e-9
    assert np.linalg.norm(end.test_predictions - (u0_test - K_test @ coefficients)) < bound
    np.testing.assert_array_equal(end.predictions, y)
    assert end.loss == 0.0
    assert end.test_loss == pytest.approx(np.sum((end.test_predictions - y_test) ** 2) / 2, rel=64 * EPS)


@pytest.mark.parametrize("which", ["finite", "limit"])
def test_explicit_steps_until_nothing_moves_arrive_at_the_end(which):
    K, y, u0, K_test, u0_test, _ = kernel_problem(which, N=10)
    values = np.linalg.eigvalsh(K)
    u, test, lr = u0.copy(), u0_test.copy(), 1 / values[-1]
    for _ in range(math.ceil(40 * values[-1] / values[0])):  # e^{−40} is below rounding
        residual = u - y
        u, test = u - lr * (K @ residual), test - lr * (K_test @ residual)
    end = linearize(K, y, u0, "stable", math.inf, K_test, u0_test)
    # As above: eps times the condition number, here below 1,000.
    assert values[-1] < 1000 * values[0]
    for found, truth in ((end.predictions, u), (end.test_predictions, test)):
        assert np.linalg.norm(found - truth) < 1e-12 * np.linalg.norm(u0 - y)


@given(st.integers(0, 12), st.fractions(Fraction(1, 8), Fraction(2), max_denominator=64))
def test_small_cases_agree_with_exact_arithmetic(steps, lr):
    lr = Fraction(float(lr))
    K, K_test = [[Fraction(2), Fraction(1)], [Fraction(1), Fraction(2)]], [Fraction(1, 2), Fraction(-1, 4)]
    y, u, test = [Fraction(1), Fraction(-3)], [Fraction(1, 4), Fraction(0)], Fraction(1, 8)
    found = linearize(
        np.asarray(K, dtype=float), np.asarray(y, dtype=float), np.asarray(u, dtype=float), float(lr), steps,
        np.asarray([K_test], dtype=float), np.asarray([test], dtype=float), np.zeros(1),
    )  # fmt: skip
    for _ in range(steps):
        r = [u[i] - y[i] for i in range(2)]
        u = [u[i] - lr * sum(K[i][j] * r[j] for j in range(2)) for i in range(2)]
        test -= lr * sum(K_test[j] * r[j] for j in range(2))
    # The largest factor is |1 − 3η| ≤ 5 a step; a dozen steps at a few roundings each.
    growth = max(1.0, abs(1 - 3 * float(lr))) ** steps
    np.testing.assert_allclose(found.predictions, np.asarray(u, float), rtol=0, atol=16 * 13 * EPS * 4 * growth)
    np.testing.assert_allclose(found.test_predictions, [float(test)], rtol=0, atol=16 * 13 * EPS * 8 * growth)
    assert found.test_loss == pytest.approx(found.test_predictions[0] ** 2 / 2, rel=4 * EPS)


def test_outputs_linear_in_the_parameters_are_trained_exactly_like_this():
    # f = (σ_v/√n) vᵀφ(h_T) with only v moving is linear; here the whole map is, for any features J.
    rng = np.random.default_rng(0)
    J, J_test, theta = rng.standard_normal((5, 9)), rng.standard_normal((3, 9)), rng.standard_normal(9)
    y, lr = rng.standard_normal(5), 0.05
    u0, u0_test = J @ theta, J_test @ theta
    found = linearize(J @ J.T, y, u0, lr, np.arange(31), J_test @ J.T, u0_test)
    for k in range(31):
        # 30 steps of products of nine numbers of order 1.
        np.testing.assert_allclose(found.predictions[k], J @ theta, rtol=0, atol=30 * 64 * EPS)
        np.testing.assert_allclose(found.test_predictions[k], J_test @ theta, rtol=0, atol=30 * 64 * EPS)
        theta = theta - lr * J.T @ (J @ theta - y)


# --- shapes, kinds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("steps", [3, 0, math.inf, [1, 2], (0, math.inf), np.arange(4), np.asarray(2), []])
def test_results_have_the_shape_of_the_steps_in_front(steps):
    K, y, u0, K_test, u0_test, y_test = kernel_problem(N=6, N_test=4)
    found, shape = linearize(K, y, u0, "stable", steps, K_test, u0_test, y_test), np.shape(steps)
    assert found.predictions.shape == (*shape, 6)
    assert found.test_predictions.shape == (*shape, 4)
    assert np.shape(found.loss) == np.shape(found.test_loss) == found.steps.shape == shape
    assert found.eigenvalues.shape == (6,)
    assert found.steps.tolist() == np.asarray(steps, dtype=float).tolist()


def test_at_step_0_nothing_has_moved():
    K, y, u0, K_test, u0_test, _ = kernel_problem(N=6)
    found = linearize(K, y, u0, 0.1, 0, K_test, u0_test)
    np.testing.assert_allclose(found.predictions, u0, rtol=0, atol=64 * EPS * np.linalg.norm(u0 - y))
    np.testing.assert_array_equal(found.test_predictions, u0_test)


def test_what_was_not_asked_for_is_none():
    K, y, u0, K_test, u0_test, _ = kernel_problem(N=4)
    found = linearize(K, y, u0, 0.1, 3)
    assert found.test_predictions is None
    assert found.test_loss is None
    assert linearize(K, y, u0, 0.1, 3, K_test, u0_test).test_loss is None
    assert found.lr == 0.1
    assert linearize(K, y, u0, "stable", 3).lr == pytest.approx(1 / np.linalg.eigvalsh(K)[-1], rel=16 * EPS)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_every_library_gives_the_numbers_of_numpy_in_the_kind_and_dtype_that_came_in(xp, dtype):
    arrays = [array.astype(dtype) for array in kernel_problem(N=6, N_test=4)]
    K, y, u0, *test = arrays
    expected = linearize(*(a.astype(float) for a in (K, y, u0)), 0.01, [1, 50], *(a.astype(float) for a in test))
    K, y, u0, *test = (xp.asarray(array) for array in arrays)
    found = linearize(K, y, u0, 0.01, xp.asarray([1, 50]), *test)
    for name in ARRAYS:
        value, truth = getattr(found, name), getattr(expected, name)
        assert type(value) is type(K)
        assert value.dtype == K.dtype
        # Work in double precision, results rounded once.
        rounding = 2 * np.finfo(dtype).eps + 1e-13
        assert np.linalg.norm(to_host(value) - truth) <= rounding * np.linalg.norm(truth)
    one = linearize(K, y, u0, 0.01, 50, *test)
    # Products with one row may be summed in another order than those with two.
    np.testing.assert_allclose(to_host(one.predictions), to_host(found.predictions[1, ...]), atol=1e-13, rtol=1e-6)


def test_results_are_on_the_device_of_the_arrays():
    strict = pytest.importorskip("array_api_strict")
    device = strict.Device("device1")
    K, y, u0, *test = (strict.asarray(array, device=device) for array in kernel_problem(N=6, N_test=4))
    for steps in (50, strict.asarray([1, 50], device=device)):
        found = linearize(K, y, u0, 0.01, steps, *test)
        assert {getattr(found, name).device for name in ARRAYS} == {device}


def test_integers_are_taken_as_numbers():
    found = linearize(np.asarray([[2, 0], [0, 1]]), np.asarray([1, -1]), np.zeros(2, int), 0.5, 1)
    np.testing.assert_allclose(found.predictions, [1.0, -0.5], rtol=0, atol=4 * EPS)


def test_an_empty_training_set_leaves_the_test_outputs_alone():
    empty = np.zeros((0, 0)), np.zeros(0), np.zeros(0)
    found = linearize(*empty, 0.1, [0, 5, math.inf], np.zeros((2, 0)), np.ones(2))
    assert found.eigenvalues.shape == (0,)
    assert found.predictions.shape == (3, 0)
    assert found.loss.tolist() == [0.0, 0.0, 0.0]
    assert found.test_predictions.tolist() == [[1.0, 1.0]] * 3


def test_modes_without_a_kernel_stay_where_they_are():
    K = np.asarray([[1.0, 1.0], [1.0, 1.0]])  # the same input twice
    found = linearize(K, np.asarray([1.0, 0.0]), np.zeros(2), 0.5, [1, 10**9, math.inf], K[:1], np.zeros(1))
    # The mean of the targets is reached, their difference never moves.
    np.testing.assert_allclose(found.predictions, [[0.5, 0.5]] * 3, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found.predictions[[0, 2]], [[0.5, 0.5]] * 2, rtol=0, atol=8 * EPS)
    np.testing.assert_allclose(found.test_predictions[[0, 2]], [[0.5]] * 2, rtol=0, atol=8 * EPS)


def test_a_kernel_that_is_zero_leaves_the_outputs_where_they_are():
    u0, none = np.asarray([0.5, -1.0]), np.zeros((1, 2))
    found = linearize(np.zeros((2, 2)), np.ones(2), u0, 0.5, [3, math.inf], none, np.ones(1))
    assert found.predictions.tolist() == [u0.tolist()] * 2
    assert found.test_predictions.tolist() == [[1.0]] * 2


def test_outputs_that_are_the_targets_end_as_they_are_at_any_learning_rate():
    y = np.asarray([1.0, -2.0])
    assert linearize(np.diag([1.0, 4.0]), y, y, 3.0, math.inf).predictions.tolist() == y.tolist()


def test_a_kernel_of_low_rank_ends_at_the_least_squares_fit():
    rng = np.random.default_rng(1)
    J, J_test, y = rng.standard_normal((8, 3)), rng.standard_normal((2, 3)), rng.standard_normal(8)
    found = linearize(J @ J.T, y, np.zeros(8), "stable", math.inf, J_test @ J.T, np.zeros(2))
    fit = np.linalg.lstsq(J, y)[0]
    # Condition numbers of a few, twice rounded; eigenvalues of rounding size are not divided by.
    np.testing.assert_allclose(found.predictions, J @ fit, rtol=0, atol=1e-12)
    np.testing.assert_allclose(found.test_predictions, J_test @ fit, rtol=0, atol=1e-12)


def test_arguments_are_left_as_they_were():
    arrays = kernel_problem(N=5, N_test=3)
    for array in arrays:
        array.flags.writeable = False
    K, y, u0, *test = arrays
    linearize(K, y, u0, "stable", [1, math.inf], *test)


# --- what raises --------------------------------------------------------------------------------------------------


def test_no_end_is_given_where_training_does_not_end():
    K, y = np.diag([1.0, 4.0]), np.asarray([1.0, 1.0])
    with pytest.raises(ValueError, match=r"steps=inf needs ηλ < 2 .* λ = 4 has ηλ = 2$"):
        linearize(K, y, np.zeros(2), 0.5, [1, math.inf])
    assert linearize(K, np.asarray([1.0, 0.0]), np.zeros(2), 0.5, math.inf).predictions.tolist() == [1.0, 0.0]
    assert linearize(K, y, np.zeros(2), 0.49, math.inf).predictions.tolist() == [1.0, 1.0]


def test_a_small_but_present_mode_that_grows_has_no_end_however_inaccurate_the_kernel():
    """The accuracy of K says nothing of u0 − y, which is as it was given."""
    lam, u0 = np.linspace(1, 2, 100), np.ones(100)
    u0[-1] = 1e-5
    with pytest.raises(ValueError, match="needs ηλ < 2"):
        linearize(np.diag(lam), np.zeros(100), u0, 1.0004, math.inf, rtol=1e-6)


def test_growth_beyond_the_largest_number_raises():
    with pytest.raises(AccuracyError, match="overflows float64"):
        linearize(np.eye(1), np.ones(1), np.zeros(1), 3.0, 10**4)
    with pytest.raises(AccuracyError, match="overflows float32"):
        linearize(np.eye(1, dtype=np.float32), np.ones(1), np.zeros(1, np.float32), 3.0, 200)


GIVEN = {"K": np.eye(2), "y": np.ones(2), "u0": np.zeros(2), "lr": 0.1, "steps": 1}
TEST = {"K_test": np.ones((3, 2)), "u0_test": np.zeros(3)}


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"K": np.ones((2, 3))}, ValueError, r"K must have shape \(2, 2\), got \(2, 3\)"),
        ({"K": np.ones(2)}, ValueError, r"K must have shape \(2, 2\), got \(2,\)"),
        ({"K": np.asarray(1.0)}, ValueError, r"K must have shape \(0, 0\), got \(\)"),
        ({"K": np.eye(2) * np.nan}, ValueError, "K must be finite"),
        ({"K": np.eye(2) * 1j}, TypeError, "K must hold"),
        ({"K": np.asarray([[1.0, 0.5], [0.0, 1.0]])}, ValueError, "K must be symmetric"),
        ({"K": -np.eye(2)}, ValueError, "K must be positive semi-definite .* from -1 to -1; .* give .* as rtol"),
        ({"y": np.ones(3)}, ValueError, r"y must have shape \(2,\), got \(3,\)"),
        ({"y": [1.0, 1.0]}, TypeError, "y must come from NumPy"),
        ({"y": None}, TypeError, "y must come from NumPy"),
        ({"u0": np.ones((2, 1))}, ValueError, r"u0 must have shape \(2,\)"),
        ({"u0": np.full(2, np.inf)}, ValueError, "u0 must be finite"),
        ({"lr": 0.0}, ValueError, "lr must be a positive, finite number or 'stable', got 0.0"),
        ({"lr": "theorem"}, ValueError, "lr must be a positive, finite number or 'stable', got 'theorem'"),
        ({"lr": None}, TypeError, "lr must be a positive, finite number or 'stable', got None"),
        ({"lr": "stable", "K": np.zeros((2, 2))}, ValueError, "lr='stable' divides by zero"),
        ({"steps": -1}, ValueError, "steps must be whole numbers from 0"),
        ({"steps": 1.5}, ValueError, "steps must be whole numbers from 0"),
        ({"steps": math.nan}, ValueError, "steps must be whole numbers from 0"),
        ({"steps": -math.inf}, ValueError, "steps must be whole numbers from 0"),
        ({"steps": 2**54}, ValueError, "steps must be whole numbers from 0"),
        ({"steps": [[1]]}, ValueError, r"in an array of shape \(\) or \(M,\)"),
        ({"steps": "all"}, TypeError, "steps must be whole numbers"),
        ({"steps": True}, TypeError, "steps must be whole numbers"),
        ({"steps": [[1], [1, 2]]}, TypeError, "steps must be whole numbers"),
        ({"rtol": 0.0}, ValueError, r"rtol must be a number in \(0, 1\) or None, got 0.0"),
        ({"rtol": 1.0}, ValueError, r"rtol must be a number in \(0, 1\) or None, got 1.0"),
        ({"rtol": "1e-9"}, TypeError, r"rtol must be a number in \(0, 1\) or None"),
        ({"K_test": np.ones((3, 2))}, ValueError, "K_test needs u0_test"),
        ({"u0_test": np.ones(3)}, ValueError, "u0_test was given without K_test"),
        ({"y_test": np.ones(3)}, ValueError, "y_test was given without K_test"),
        (TEST | {"K_test": np.ones((3, 3))}, ValueError, r"K_test must have shape \(3, 2\), got \(3, 3\)"),
        (TEST | {"K_test": np.asarray(1.0)}, ValueError, r"K_test must have shape \(0, 2\), got \(\)"),
        (TEST | {"u0_test": np.zeros(2)}, ValueError, r"u0_test must have shape \(3,\), got \(2,\)"),
        (TEST | {"y_test": np.zeros(2)}, ValueError, r"y_test must have shape \(3,\), got \(2,\)"),
    ],
)
def test_what_does_not_fit_raises_and_is_named(changed, error, message):
    with pytest.raises(error, match=message):
        linearize(**(GIVEN | changed))


def test_a_kernel_of_stated_accuracy_may_be_indefinite_by_as_much():
    K = np.diag([1.0, -1e-10])
    with pytest.raises(ValueError, match="positive semi-definite"):
        linearize(K, np.ones(2), np.zeros(2), 0.5, math.inf)
    found = linearize(K, np.ones(2), np.zeros(2), 0.5, math.inf, rtol=1e-9)
    assert found.predictions.tolist() == [1.0, 0.0]


@pytest.mark.parametrize("diagonal", [[4.0], [0.0, 4.0], [0.0, 0.0, 4.0], [4.0, 1.0, 2.0]])
def test_stable_is_one_over_the_largest_eigenvalue_whatever_the_others(diagonal):
    N = len(diagonal)
    assert linearize(np.diag(diagonal), np.ones(N), np.zeros(N), "stable", 1).lr == 0.25


@pytest.mark.parametrize("largest", [1e-308, 2.0**-60, 0.5, 2.0**60])
def test_stable_takes_a_kernel_of_any_size(largest):
    found = linearize(np.diag([largest / 4, largest]), np.ones(2), np.zeros(2), "stable", 1)
    assert found.lr == pytest.approx(1 / largest, rel=4 * EPS)


def test_the_largest_number_of_steps_is_taken():
    # At ηλ = 2 the sign alternates: 2⁵³ is even, the number before it is odd.
    found = linearize(np.eye(1), np.zeros(1), np.ones(1), 2.0, [2**53 - 1, 2**53])
    assert found.predictions.tolist() == [[-1.0], [1.0]]


@pytest.mark.parametrize("diagonal", [[0.0], [1e-310, 0.0], [0.0, 0.0]])
def test_stable_needs_an_eigenvalue_that_can_be_divided_by(diagonal):
    N = len(diagonal)
    with pytest.raises(ValueError, match="lr='stable' divides by zero"):
        linearize(np.diag(diagonal), np.ones(N), np.zeros(N), "stable", 1)
