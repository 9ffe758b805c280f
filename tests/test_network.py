from __future__ import annotations

import copy

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refimpl
from refimpl import AccuracyError, Activation, Euler, Gauss, NeuralODE, Params, SolveIVP
from tests import formulas

SOLVERS = (None, SolveIVP(), SolveIVP("LSODA"), SolveIVP("Radau"), Gauss(), Gauss(3, 2), Euler(4))
METHODS = ("predict", "loss", "gradient", "jacobian", "ntk", "trajectory")
case = formulas.make("softplus", n=6, d=3, N=4)
net, theta, X, y = case.net, case.theta, case.X, case.y


def call(method, theta=theta, X=X, y=y, solver=None, net=net):
    arguments = {"loss": (y,), "gradient": (y,), "trajectory": (np.asarray([0.0, 1.0]),)}.get(method, ())
    return getattr(net, method)(theta, X, *arguments, solver=solver)


def arrays(result):
    """Every array that a method returned."""
    if isinstance(result, (refimpl.Params, refimpl.Jacobian)):
        return result.U, result.W, result.v
    return (result.h, result.adjoint) if isinstance(result, refimpl.Trajectory) else (result,)


# --- results ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", SOLVERS, ids=str)
def test_an_empty_batch_gives_empty_results_of_the_right_shapes(solver):
    n, d, empty = 6, 3, X[:0]
    assert net.predict(theta, empty, solver).shape == (0,)
    assert net.loss(theta, empty, y[:0], solver) == 0.0
    gradient, J = net.gradient(theta, empty, y[:0], solver), net.jacobian(theta, empty, solver)
    assert (gradient.U.shape, gradient.W.shape, gradient.v.shape) == ((n, d), (n, n), (n,))
    assert gradient.norm() == 0.0
    assert (J.U.shape, J.W.shape, J.v.shape) == ((0, n, d), (0, n, n), (0, n))
    assert net.ntk(theta, empty, solver=solver).shape == (0, 0)
    assert net.ntk(theta, empty, X, solver).shape == (0, 4)
    assert net.ntk(theta, X, empty, solver).shape == (4, 0)
    times = np.asarray([0.0, 1.0])
    assert net.trajectory(theta, empty, times, solver).h.shape == (2, 0, n)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("N", [0, 4])
@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("solver", [None, SolveIVP(rtol=1e-5), Gauss(rtol=1e-5), Gauss(3, 2), Euler(4)], ids=str)
def test_results_keep_the_floating_dtype_of_inputs_and_parameters(method, N, dtype, solver):
    single = Params(*(block.astype(dtype) for block in (theta.U, theta.W, theta.v)))
    result = call(method, single, X[:N].astype(dtype), y[:N].astype(dtype), solver)
    if method != "loss":
        assert {array.dtype for array in arrays(result)} == {np.dtype(dtype)}


@pytest.mark.parametrize("method", METHODS)
def test_integers_count_as_float64_and_mixed_floats_promote(method):
    whole = np.asarray([[1, -2, 0], [3, 1, 1]])
    single = Params(*(block.astype(np.float32) for block in (theta.U, theta.W, theta.v)))
    expected = arrays(call(method, theta, whole.astype(float), np.asarray([1.0, 2.0])))
    for value, truth in zip(arrays(call(method, theta, whole, np.asarray([1, 2]))), expected, strict=True):
        np.testing.assert_array_equal(value, truth)
    if method != "loss":
        for parameters, inputs in ((single, whole), (single, X[:2]), (theta, X[:2].astype(np.float32))):
            assert {a.dtype for a in arrays(call(method, parameters, inputs, y[:2]))} == {np.dtype(float)}


@settings(max_examples=20)
@given(formulas.cases(n=(1, 20)), st.sampled_from([None, Gauss(rtol=1e-5), Gauss(4, 2), Euler(5)]))
def test_float32_is_as_accurate_as_its_rounding_and_its_tolerance(case, solver):
    # Both in the same rounded data, so that only the arithmetic differs.
    single = [block.astype(np.float32) for block in (case.theta.U, case.theta.W, case.theta.v, case.X, case.y)]
    double = [block.astype(float) for block in single]
    exact = Gauss() if solver is None or solver == Gauss(rtol=1e-5) else solver
    tolerance = case.rounding / formulas.EPS * np.finfo(np.float32).eps / 8 + 1e-4 * (exact is not solver)

    def results(blocks, solver):
        theta = Params(*blocks[:3])
        net, X, y = case.net, *blocks[3:]
        return net.ntk(theta, X, solver=solver), net.jacobian(theta, X, solver), net.gradient(theta, X, y, solver)

    (K, J, g), (K64, J64, g64) = results(single, solver), results(double, exact)
    assert formulas.relative(K, K64) < tolerance
    assert formulas.relative(formulas.flat(J), formulas.flat(J64)) < tolerance
    scale = np.linalg.norm(formulas.flat(J64)) * (1 + np.abs(double[4]).max())
    assert np.linalg.norm(g.ravel() - g64.ravel()) < tolerance * (scale + g64.norm())


@pytest.mark.parametrize("method", METHODS)
def test_the_default_solver_on_numpy_is_the_adaptive_one(method):
    for value, truth in zip(arrays(call(method)), arrays(call(method, solver=SolveIVP())), strict=True):
        np.testing.assert_array_equal(value, truth)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("solver", [None, Gauss(), Euler(3)], ids=str)
def test_arguments_are_left_as_they_were_and_may_be_read_only_or_in_any_order(method, solver):
    def awkward(array):
        copy = np.asfortranarray(array) if array.ndim > 1 else np.repeat(array, 2)[::2]
        copy.flags.writeable = False
        return copy

    blocks = [awkward(block) for block in (theta.U, theta.W, theta.v)]
    result = call(method, Params(*blocks), awkward(X), awkward(y), solver)
    for value, truth in zip(arrays(result), arrays(call(method, solver=solver)), strict=True):
        np.testing.assert_allclose(value, truth, rtol=0, atol=1e-9)


# --- initialisation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layers", [None, 3])
def test_init_draws_U_then_W_then_v_from_the_default_generator(layers):
    drawn = net.init(width=5, dim=2, seed=7, layers=layers)
    rng = np.random.default_rng(7)
    np.testing.assert_array_equal(drawn.U, rng.standard_normal((5, 2)))
    np.testing.assert_array_equal(drawn.W, rng.standard_normal((5, 5) if layers is None else (3, 5, 5)))
    np.testing.assert_array_equal(drawn.v, rng.standard_normal(5))


@pytest.mark.parametrize(
    "seed", [0, [1, 2], np.int64(3), np.random.SeedSequence(4), np.random.PCG64(5)], ids=lambda s: type(s).__name__
)
def test_init_takes_every_kind_of_seed(seed):
    same = copy.deepcopy(seed)
    assert (net.init(3, 2, seed) - net.init(3, 2, same)).norm() == 0.0


def test_init_goes_on_with_a_generator_and_is_random_without_a_seed():
    rng = np.random.default_rng(0)
    assert (net.init(3, 2, rng) - net.init(3, 2, rng)).norm() > 0
    assert (net.init(3, 2) - net.init(3, 2)).norm() > 0


@pytest.mark.parametrize("dtype", [np.float32, "float32", np.dtype(np.float32), np.float64])
def test_init_rounds_the_same_draws_to_the_dtype_asked_for(dtype):
    drawn, full = net.init(4, 2, 0, dtype=dtype), net.init(4, 2, 0)
    assert drawn.W.dtype == np.dtype(dtype)
    np.testing.assert_array_equal(drawn.W, full.W.astype(dtype))
    assert net.init(4, 2, 0, like=np.zeros(1, dtype)).W.dtype == np.dtype(dtype)


@pytest.mark.parametrize("dtype", [int, np.int32, complex, bool, np.float16, "nonsense", "int8", 3.0])
def test_init_refuses_a_dtype_that_cannot_hold_normal_numbers(dtype):
    with pytest.raises(TypeError, match=r"^dtype must be float32 or float64, got"):
        net.init(4, 2, 0, dtype=dtype)


@pytest.mark.parametrize(("seed", "error"), [(-1, ValueError), ("a", TypeError), (1.5, TypeError)])
def test_init_names_a_seed_that_numpy_refuses(seed, error):
    with pytest.raises(error, match=f"^seed must be anything .* got {seed!r}"):
        net.init(4, 2, seed)


@pytest.mark.parametrize("name", ["width", "dim", "layers"])
@pytest.mark.parametrize(
    ("value", "error"), [(0, ValueError), (-1, ValueError), (2.0, TypeError), ("3", TypeError), (True, TypeError)]
)
def test_init_names_the_size_that_is_not_a_positive_integer(name, value, error):
    with pytest.raises(error, match=f"^{name} must be an integer ≥ 1, got"):
        net.init(**({"width": 3, "dim": 2} | {name: value}))


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["horizon", "sigma_u", "sigma_w", "sigma_v"])
@pytest.mark.parametrize(
    ("value", "error"),
    [(value, ValueError) for value in (0, -1.0, np.nan, np.inf)]
    + [(value, TypeError) for value in ("1", 1j, True, None)],
)
def test_a_network_names_the_number_that_is_not_positive_and_finite(name, value, error):
    with pytest.raises(error, match=f"^{name} must be"):
        NeuralODE(**{name: value})


def test_an_unknown_activation_raises_and_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"softplus.*quadratic.*relu.*swish"):
        NeuralODE("swish")
    with pytest.raises(TypeError, match="activation must be"):
        NeuralODE(np.tanh)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("bad", [None, 3, (theta.U, theta.W, theta.v), theta.U])
def test_theta_that_is_no_params_raises(method, bad):
    with pytest.raises(TypeError, match="theta must be a Params"):
        call(method, theta=bad)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("solver", ["dopri5", SolveIVP, 3])
def test_a_solver_that_is_none_raises(method, solver):
    with pytest.raises(TypeError, match="solver must be"):
        call(method, solver=solver)


@pytest.mark.parametrize("method", METHODS)
def test_one_input_as_a_vector_raises_and_is_told_how_to_become_a_row(method):
    for targets in (y[:1], y[:3]):
        with pytest.raises(ValueError, match=r"X must have shape \(N, d\), got \(3,\).*X\[None\]"):
            call(method, X=X[0], y=targets)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.asarray(1.0), ValueError, r"X must have shape \(N, d\)"),
        (np.ones((4, 3, 1)), ValueError, r"X must have shape \(N, d\).*\(4, 3, 1\)"),
        (np.ones((4, 0)), ValueError, r"X must have shape \(N, d\) with d ≥ 1"),
        (np.ones((4, 2)), ValueError, r"X must have d = 3 columns.*\(4, 2\)"),
        (np.full((4, 3), np.nan), ValueError, "X must be finite"),
        (np.full((4, 3), np.inf), ValueError, "X must be finite"),
        (np.ones((4, 3), complex), TypeError, "X must hold float64, float32 or integers, got dtype complex128"),
        (np.ones((4, 3), bool), TypeError, "X must hold .* got dtype bool"),
        (np.ones((4, 3), np.float16), TypeError, "X must hold .* got dtype float16"),
        (np.ones((4, 3), np.longdouble), TypeError, "X must hold"),
        (np.ones((4, 3), object), TypeError, "X must hold"),
        ([[1.0, 2.0, 3.0]] * 4, TypeError, "X must come from NumPy"),
        (np.matrix(np.ones((4, 3))), TypeError, "X must come from NumPy"),
        (np.ma.ones((4, 3)), TypeError, "X must come from NumPy"),
        (None, TypeError, "X must come from NumPy"),
    ],
)
def test_inputs_that_are_no_finite_real_matrix_of_the_right_width_raise(method, bad, error, message):
    with pytest.raises(error, match=message):
        call(method, X=bad)


@pytest.mark.parametrize("method", ["loss", "gradient"])
@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.ones(3), ValueError, r"y must have shape \(4,\) to fit X, got \(3,\)"),
        (np.ones((4, 1)), ValueError, r"y must have shape \(4,\) to fit X, got \(4, 1\)"),
        (np.asarray(1.0), ValueError, r"y must have shape \(4,\)"),
        (np.full(4, np.nan), ValueError, "y must be finite"),
        (np.ones(4, complex), TypeError, "y must hold"),
        (np.ones(4, bool), TypeError, "y must hold"),
        ([1.0] * 4, TypeError, "y must come from"),
        (np.ma.ones(4), TypeError, "y must come from"),
        (None, TypeError, "y must come from"),
    ],
)
def test_targets_that_do_not_fit_raise(method, bad, error, message):
    with pytest.raises(error, match=message):
        call(method, y=bad)


@pytest.mark.parametrize(
    ("bad", "error", "message"),
    [
        (np.asarray(0.5), ValueError, r"t must have shape \(k,\), got \(\)"),
        (np.zeros((2, 1)), ValueError, r"t must have shape \(k,\)"),
        (np.asarray([-0.1]), ValueError, r"t must lie in \[0, 1\]"),
        (np.asarray([0.0, 1.1]), ValueError, r"t must lie in \[0, 1\]"),
        (np.asarray([np.nan]), ValueError, "t must"),
        (np.asarray([0j]), TypeError, "t must hold"),
        (np.asarray([True]), TypeError, "t must hold"),
        ([0.0], TypeError, "t must come from"),
        (0.5, TypeError, "t must come from"),
    ],
)
def test_times_outside_the_horizon_or_of_another_kind_raise(bad, error, message):
    with pytest.raises(error, match=message):
        net.trajectory(theta, X, bad)


def test_the_second_batch_of_a_kernel_is_checked_like_the_first():
    with pytest.raises(ValueError, match=r"^X2 must have d = 3 columns"):
        net.ntk(theta, X, np.ones((2, 2)))
    with pytest.raises(ValueError, match=r"^X2 .* X2\[None\]"):
        net.ntk(theta, X, np.ones(3))
    with pytest.raises(TypeError, match=r"^X2 must come from"):
        net.ntk(theta, X, [[1.0, 2.0, 3.0]])


# --- solvers and what they take -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [Euler, lambda k: Gauss(nodes=k), lambda k: Gauss(steps=k)])
@pytest.mark.parametrize(("value", "error"), [(0, ValueError), (-3, ValueError), (2.5, TypeError), (True, TypeError)])
def test_counts_of_solvers_are_positive_integers(make, value, error):
    with pytest.raises(error, match="must be an integer ≥ 1, got"):
        make(value)


@pytest.mark.parametrize("value", [0, -1e-3, np.nan, np.inf])
def test_tolerances_are_positive_and_finite(value):
    for make in (lambda v: SolveIVP(rtol=v), lambda v: SolveIVP(atol=v), lambda v: Gauss(rtol=v)):
        with pytest.raises(ValueError, match=r"tol must be"):
            make(value)
    with pytest.raises(ValueError, match="rtol must be below 1"):
        Gauss(rtol=1.0)


@pytest.mark.parametrize("make", [lambda v: Gauss(rtol=v), lambda v: SolveIVP(rtol=v)])
@pytest.mark.parametrize("value", ["3", None, True, 1j])
def test_a_tolerance_that_is_no_number_is_named(make, value):
    with pytest.raises(TypeError, match=r"^rtol must be a real number, got"):
        make(value)


def test_an_unknown_method_of_scipy_raises_and_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"DOP853.*LSODA.*'dopri5'"):
        SolveIVP("dopri5")


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("solver", [Gauss(rtol=1e-16), SolveIVP(rtol=1e-16), Gauss(nodes=4, rtol=1e-16)], ids=str)
def test_a_tolerance_below_the_dtype_raises_with_what_it_could_be(method, solver):
    with pytest.raises(AccuracyError, match="float64") as caught:
        call(method, solver=solver)
    assert 1e-16 < caught.value.reached < 1e-13


@pytest.mark.parametrize("solver", [Gauss(rtol=1e-9), SolveIVP(rtol=1e-9)], ids=str)
def test_a_tolerance_that_only_float64_can_meet_raises_for_float32(solver):
    single = Params(*(block.astype(np.float32) for block in (theta.U, theta.W, theta.v)))
    with pytest.raises(AccuracyError, match="float32"):
        net.predict(single, X.astype(np.float32), solver)


def test_a_tolerance_too_small_for_so_many_samples_says_so():
    with pytest.raises(AccuracyError, match="N=4") as caught:
        net.predict(theta, X, SolveIVP(rtol=3e-14))
    assert caught.value.reached > 3e-14


@pytest.mark.parametrize("method", ["Radau", "BDF", "LSODA"])
def test_implicit_methods_refuse_large_systems_and_say_for_which_n_and_N(method):
    large = net.init(width=1025, dim=3, seed=0)
    with pytest.raises(ValueError, match=rf"{method}.*n = 1025, N = 16.*DOP853"):
        net.predict(large, np.ones((16, 3)), SolveIVP(method))


@pytest.mark.parametrize("method", METHODS)
def test_layered_weights_need_euler_of_their_depth_and_the_error_says_so(method):
    layered = net.init(width=6, dim=3, seed=0, layers=2)
    for solver in (None, SolveIVP(), Gauss(), Gauss(3, 1)):
        with pytest.raises(ValueError, match="shared=False"):
            call(method, theta=layered, solver=solver)
    for parameters, solver in ((layered, Euler(2)), (layered, Euler(3, shared=False)), (theta, Euler(2, shared=False))):
        with pytest.raises(ValueError, match="W must have shape"):
            call(method, theta=parameters, solver=solver)


def test_gauss_on_a_kinked_activation_names_it_and_carries_what_it_reached():
    kinked = NeuralODE("relu")
    with pytest.raises(AccuracyError, match=r"relu is not analytic, use KinkEvents") as caught:
        kinked.predict(theta, X, Gauss())
    assert 1e-12 < caught.value.reached < 1


def test_gauss_on_an_activation_that_is_not_analytic_names_the_solver_that_serves_it():
    rough = Activation(lambda z: z * abs(z) ** 0.5, lambda z: 1.5 * abs(z) ** 0.5, name="rough", analytic=False)
    with pytest.raises(AccuracyError, match=r"rough is not analytic, use SolveIVP$"):
        NeuralODE(rough).predict(theta, X, Gauss())
    assert np.isfinite(NeuralODE(rough).predict(theta, X, SolveIVP())).all()


@pytest.mark.parametrize(
    ("sigma_u", "sigma_v", "size", "attempt"),
    [
        (1.0, 1e300, 1e10, lambda net, theta, X: net.predict(theta, X, Euler(2))),
        (1.0, 1.0, 1e200, lambda net, theta, X: net.ntk(theta, X)),
        (1.0, 1e300, 1.0, lambda net, theta, X: net.ntk(theta, X)),
        (1.0, 1.0, 1e200, lambda net, theta, X: net.loss(theta, X, np.ones(1))),
        (1.0, 1e300, 1e10, lambda net, theta, X: net.gradient(theta, X, np.ones(1), Euler(2))),
        (10.0, 1.0, 1.7e308, lambda net, theta, X: net.predict(theta, X)),
    ],
)
def test_results_that_overflow_raise_and_do_not_warn(sigma_u, sigma_v, size, attempt):
    theta = Params(np.ones((1, 1)), np.ones((1, 1)), np.ones(1))
    identity = NeuralODE("identity", sigma_u=sigma_u, sigma_v=sigma_v)
    with pytest.raises(AccuracyError, match="overflows float64"):
        attempt(identity, theta, size * np.ones((1, 1)))
