"""One body on every array library: same numbers as NumPy, results of the kind that came in."""

from __future__ import annotations

import platform

import numpy as np
import pytest

from refimpl import BlowUpError, Euler, Gauss, NeuralODE, Params, SolveIVP
from refimpl.backend import float_dtype, is_numpy, keep_freed_memory, namespace, to_host
from tests import formulas

pytestmark = pytest.mark.usefixtures("one_torch_thread")


def convert(xp, case, dtype="float64"):
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, case.y)
    U, W, v, X, y = (xp.asarray(np.asarray(a, dtype=dtype)) for a in arrays)
    return Params(U, W, v), X, y


def same(value, truth, kind, rtol):
    assert type(value) is type(kind)
    assert value.device == kind.device
    value = to_host(value)
    assert value.dtype == truth.dtype
    assert np.linalg.norm(value - truth) <= rtol * np.linalg.norm(truth)


@pytest.mark.parametrize(
    ("activation", "solver"),
    [(name, Gauss()) for name in ("softplus", "erf", "quadratic")]
    + [(name, Gauss(4, 2)) for name in (*formulas.ANALYTIC, "relu")]
    + [(name, Euler(5)) for name in (*formulas.ANALYTIC, "quadratic", "relu", "elu", "leaky_relu")],
    ids=str,
)
def test_every_method_gives_the_numbers_of_numpy_in_the_kind_that_came_in(xp, activation, solver):
    case = formulas.make(activation, n=6, N=3, horizon=0.5)
    net, rtol = case.net, 1e-13 + case.rounding
    theta, X, y = convert(xp, case)
    same(net.predict(theta, X, solver), net.predict(case.theta, case.X, solver), X, rtol)
    assert abs(net.loss(theta, X, y, solver) / net.loss(case.theta, case.X, case.y, solver) - 1) < rtol
    results = (
        (net.gradient(theta, X, y, solver), net.gradient(case.theta, case.X, case.y, solver)),
        (net.jacobian(theta, X, solver), net.jacobian(case.theta, case.X, solver)),
    )
    for result, expected in results:
        for block in ("U", "W", "v"):
            same(getattr(result, block), getattr(expected, block), X, rtol)
    same(net.ntk(theta, X, solver=solver), net.ntk(case.theta, case.X, solver=solver), X, rtol)
    same(net.ntk(theta, X, X[:2, :], solver), net.ntk(case.theta, case.X, case.X[:2], solver), X, rtol)
    times = np.asarray([0.0, 0.3, 0.5])
    one, two = (
        net.trajectory(*arguments, solver) for arguments in ((theta, X, xp.asarray(times)), (case.theta, case.X, times))
    )
    same(one.h, two.h, X, rtol)
    same(one.adjoint, two.adjoint, X, rtol)


def test_layered_weights_run_on_every_library(xp):
    case, solver = formulas.make("tanh", layers=3), Euler(3, shared=False)
    theta, X, y = convert(xp, case)
    net = case.net
    same(net.ntk(theta, X, solver=solver), net.ntk(case.theta, case.X, solver=solver), X, case.rounding)
    same(net.gradient(theta, X, y, solver).W, net.gradient(case.theta, case.X, case.y, solver).W, X, case.rounding)
    same(net.jacobian(theta, X, solver).W, net.jacobian(case.theta, case.X, solver).W, X, case.rounding)


@pytest.mark.parametrize("solver", [None, Gauss(rtol=1e-5), Euler(4)], ids=str)
@pytest.mark.parametrize("N", [0, 3])
def test_float32_stays_float32_on_every_library(xp, solver, N):
    case = formulas.make("gelu", N=3)
    theta, X, y = convert(xp, case, "float32")
    X, y, net = X[:N, :], y[:N], case.net
    results = [net.predict(theta, X, solver), net.ntk(theta, X, solver=solver), net.gradient(theta, X, y, solver).W]
    results += [net.jacobian(theta, X, solver).U, net.trajectory(theta, X, xp.asarray([0.0, 1.0]), solver).h]
    for result in results:
        assert type(result) is type(X)
        assert result.dtype == xp.float32


def test_integers_and_mixed_floats_promote_to_float64_on_every_library(xp):
    case = formulas.make("gelu", N=3)
    double, X, y = convert(xp, case)
    single, X32, y32 = convert(xp, case, "float32")
    whole, counts = xp.asarray([[1, 2, 3], [0, 1, 0]]), xp.asarray([1, 2])
    net, solver = case.net, Euler(3)
    mixtures = (double, X32, y32), (single, X, y), (double, whole, counts), (single, whole, counts)
    for theta, inputs, targets in mixtures:
        assert net.predict(theta, inputs, solver).dtype == xp.float64
        assert net.gradient(theta, inputs, targets, solver).W.dtype == xp.float64
        assert net.loss(theta, inputs, targets, solver) > 0
    assert net.ntk(single, X32, X, solver).dtype == xp.float64
    assert net.ntk(single, X, X32, solver).dtype == xp.float64
    assert (single + double).U.dtype == xp.float64
    assert net.jacobian(double, X, solver).transpose_apply(xp.asarray([1, 2, 3])).U.dtype == xp.float64


def test_the_default_solver_runs_on_every_library(xp):
    case = formulas.make("tanh")
    theta, X, _ = convert(xp, case)
    same(case.net.predict(theta, X), case.net.predict(case.theta, case.X, Gauss()), X, 1e-8)


def test_solve_ivp_works_on_numpy_only_and_names_gauss(xp):
    case = formulas.make()
    theta, X, y = convert(xp, case)
    if is_numpy(xp):
        return
    for solver in (SolveIVP(), SolveIVP("Radau")):
        for attempt in (
            lambda s: case.net.predict(theta, X, s),
            lambda s: case.net.ntk(theta, X, solver=s),
            lambda s: case.net.gradient(theta, X, y, s),
            lambda s: case.net.trajectory(theta, X, xp.asarray([0.0]), s),
        ):
            with pytest.raises(TypeError, match="NumPy arrays only: use Gauss"):
                attempt(solver)


def test_arrays_of_two_libraries_in_one_call_raise_and_name_both(xp):
    case = formulas.make()
    theta, X, _ = convert(xp, case)
    if is_numpy(xp):
        return
    net = case.net
    for attempt in (
        lambda: net.predict(theta, case.X),
        lambda: net.predict(case.theta, X),
        lambda: net.ntk(theta, X, case.X),
        lambda: net.loss(theta, X, case.y),
        lambda: net.gradient(theta, X, case.y),
        lambda: net.trajectory(theta, X, np.asarray([0.0])),
        lambda: Params(theta.U, theta.W, case.theta.v),
        lambda: theta + case.theta,
        lambda: theta.dot(case.theta),
        lambda: net.jacobian(theta, X).apply(case.theta),
        lambda: net.jacobian(theta, X).transpose_apply(case.y),
    ):
        with pytest.raises(TypeError, match=r"mixture: .*numpy"):
            attempt()


def test_init_like_an_array_gives_the_same_draws_in_its_library_and_dtype(xp):
    net = NeuralODE()
    for dtype in (xp.float64, xp.float32):
        kind = xp.zeros(1, dtype=dtype)
        theta = net.init(4, 2, seed=0, like=kind)
        assert type(theta.W) is type(kind)
        assert theta.W.dtype == dtype
        np.testing.assert_array_equal(to_host(theta.W), net.init(4, 2, seed=0).W.astype(to_host(kind).dtype))
    assert net.init(4, 2, seed=0, like=xp.zeros(1, dtype=xp.int64)).U.dtype == xp.float64
    assert net.init(4, 2, seed=0, like=xp.zeros(1), dtype=xp.float32).U.dtype == xp.float32


def test_params_and_jacobians_calculate_on_every_library(xp):
    case = formulas.make()
    theta, X, y = convert(xp, case)
    for scalar in (2, 0.5, np.float64(0.5), np.float32(0.5)):
        for product in (scalar * theta, theta * scalar):
            assert isinstance(product, Params)
            same(product.W, float(scalar) * case.theta.W, X, 1e-15)
    total = theta - 0.5 * theta + (-theta)
    same(total.ravel(), -0.5 * case.theta.ravel(), X, 1e-15)
    assert abs(theta.dot(theta) / theta.norm() ** 2 - 1) < 1e-14
    J, expected = case.net.jacobian(theta, X, Euler(2)), case.net.jacobian(case.theta, case.X, Euler(2))
    same(J.apply(theta), expected.apply(case.theta), X, 1e-12)
    same(J.transpose_apply(y).W, expected.transpose_apply(case.y).W, X, 1e-12)


@pytest.mark.parametrize("dtype", ["complex128", "bool"])
def test_complex_and_boolean_inputs_raise_on_every_library(xp, dtype):
    case = formulas.make()
    theta, X, _ = convert(xp, case)
    with pytest.raises(TypeError, match="X must hold float64, float32 or integers"):
        case.net.predict(theta, xp.astype(X, getattr(xp, dtype)), Euler(2))


@pytest.mark.parametrize("solver", [Gauss(), Gauss(8, 4), Euler(4000)], ids=str)
def test_escape_to_infinity_is_found_on_every_library(xp, solver):
    theta = Params(xp.ones((1, 1), dtype=xp.float64), xp.ones((1, 1), dtype=xp.float64), xp.ones(1, dtype=xp.float64))
    with pytest.raises(BlowUpError) as caught:
        NeuralODE("quadratic", horizon=3.0).predict(theta, xp.ones((1, 1), dtype=xp.float64), solver)
    assert abs(caught.value.time - 2) < 0.02


def test_tensors_that_ask_for_gradients_are_taken_without_a_warning():
    torch = pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    case = formulas.make()
    blocks = [torch.asarray(b).requires_grad_() for b in (case.theta.U, case.theta.W, case.theta.v)]
    X, y = torch.asarray(case.X).requires_grad_(), torch.asarray(case.y).requires_grad_()
    theta = Params(*blocks)
    theta.W.requires_grad_()  # in place, after `Params` has looked
    for solver in (Gauss(), Euler(3)):
        expected = case.net.gradient(case.theta, case.X, case.y, solver)
        found = case.net.gradient(theta, X, y, solver)
        assert np.linalg.norm(to_host(found.W) - expected.W) < 1e-12 * expected.norm()
        assert not any(block.requires_grad for block in (found.U, found.W, found.v))
        assert abs(case.net.loss(theta, X, y, solver) - case.net.loss(case.theta, case.X, case.y, solver)) < 1e-11


@pytest.mark.parametrize("array", [[1.0], (1.0,), 1.0, np.float64(1.0), np.matrix([[1.0]]), np.ma.ones(1), None, "x"])
def test_namespace_refuses_what_is_no_array_and_says_what_is_allowed(array):
    with pytest.raises(TypeError, match="NumPy, CuPy, PyTorch or array-api-strict"):
        namespace(array)


def test_float_dtype_follows_the_table_of_promotion(xp):
    single, double, whole = (xp.zeros(1, dtype=t) for t in (xp.float32, xp.float64, xp.int32))
    assert float_dtype(xp, a=single) == xp.float32
    for arrays in ({"a": double}, {"a": whole}, {"a": single, "b": double}, {"a": single, "b": whole}):
        assert float_dtype(xp, **arrays) == xp.float64


@pytest.mark.parametrize("solver", [Gauss(4, 2), Gauss(), Euler(5)], ids=str)
@pytest.mark.parametrize(("n", "N"), [(40, 2), (2, 9)], ids=["kernel by nodes", "kernel by rows"])
def test_every_quantity_stays_on_the_device_of_the_input(solver, n, N):
    strict = pytest.importorskip("array_api_strict")
    device, case = strict.Device("device1"), formulas.make(n=n, N=N, horizon=0.5)
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, case.y)
    U, W, v, X, y = (strict.asarray(np.asarray(a), device=device) for a in arrays)
    theta = Params(U, W, v)
    gradient, jacobian = case.net.gradient(theta, X, y, solver), case.net.jacobian(theta, X, solver)
    results = [case.net.predict(theta, X, solver), case.net.ntk(theta, X, solver=solver)]
    results.append(case.net.ntk(theta, X, X[:1, :], solver))
    results += [getattr(part, block) for part in (gradient, jacobian) for block in ("U", "W", "v")]
    assert all(result.device == device for result in results)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other allocators are left as they are")
def test_freed_memory_is_used_again():
    """Sixteen arrays of 8 MiB, each of them 2,048 pages: kept pages are not asked for again."""

    import resource  # not on every system

    def pages_asked_for():
        before = resource.getrusage(resource.RUSAGE_THREAD).ru_minflt
        arrays = [np.ones(2**20) for _ in range(16)]
        del arrays
        return resource.getrusage(resource.RUSAGE_THREAD).ru_minflt - before

    keep_freed_memory()
    pages_asked_for()
    assert pages_asked_for() < 2048
