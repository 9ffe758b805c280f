"""float32: as accurate as its rounding allows, against float64, the model of `tests.rounding` and multiprecision."""

from __future__ import annotations

from itertools import pairwise

import mpmath
import numpy as np
import pytest

import refimpl
from refimpl import Euler, Gauss, Params, activations, train
from refimpl.backend import to_host
from refimpl.oracle import limit as oracle_limit
from refimpl.oracle.finite import Problem, ode, resnet
from refimpl.scheme import gauss
from tests import formulas
from tests.rounding import U, allowed, answers

pytestmark = pytest.mark.usefixtures("one_torch_thread")

ctx = mpmath.MPContext()
ctx.dps = 30
QUANTITIES = ("predict", "gradient", "ntk")


def rounded(case):
    """The case with parameters and data that float32 holds exactly, in float64."""
    theta = Params(*(block.astype(np.float32).astype(float) for block in (case.theta.U, case.theta.W, case.theta.v)))
    return formulas.Case(case.net, theta, *(np.asarray(a, np.float32).astype(float) for a in (case.X, case.y)))


def in_single(case, xp=np):
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, case.y)
    U_, W, v, X, y = (xp.asarray(array.astype(np.float32)) for array in arrays)
    return Params(U_, W, v), X, y


def scheme_of(solver, horizon):
    return solver.scheme(horizon) if isinstance(solver, Euler) else gauss(solver.nodes, solver.steps, horizon)


def computed(net, theta, X, y, solver):
    """f, ∇L and K_θ in the precision of the arguments, as float64 on the host."""
    found = (net.predict(theta, X, solver), net.gradient(theta, X, y, solver).ravel(), net.ntk(theta, X, solver=solver))
    return {name: to_host(value).astype(float) for name, value in zip(QUANTITIES, found, strict=True)}


@pytest.mark.parametrize("solver", [Gauss(6, 1), Euler(4)], ids=str)
@pytest.mark.parametrize("activation", list(activations.BUILTIN))
def test_float32_is_as_near_to_float64_as_its_roundings_allow(activation, solver):
    horizon = 0.2 if activation == "quadratic" else 0.5  # well before it escapes
    case = rounded(formulas.make(activation, n=16, N=4, horizon=horizon))
    limits, exact = allowed(case, scheme_of(solver, horizon)), answers(case, scheme_of(solver, horizon), None)
    found = computed(case.net, *in_single(case), solver)
    double = computed(case.net, case.theta, case.X, case.y, solver)
    for name in QUANTITIES:
        assert np.linalg.norm(double[name] - exact[name]) <= 1e-12 * np.linalg.norm(exact[name])
        assert 0 < np.linalg.norm(found[name] - double[name]) <= limits[name]
        assert limits[name] <= 4e-5 * np.linalg.norm(double[name])


@pytest.mark.parametrize("activation", ["gelu", "silu", "relu"])
def test_float32_is_as_accurate_on_every_library(xp, activation):
    solver, case = Gauss(6, 1), rounded(formulas.make(activation, n=12, N=3, horizon=0.5))
    limits, exact = allowed(case, gauss(6, 1, 0.5)), answers(case, gauss(6, 1, 0.5), None)
    for name, value in computed(case.net, *in_single(case, xp), solver).items():
        assert np.linalg.norm(value - exact[name]) <= limits[name]


def test_products_with_ten_bits_would_be_noticed():
    """As tensor cores make them, if a library is told that it may (TF32)."""
    case = rounded(formulas.make("softplus", n=16, N=4, horizon=0.5))
    limits, exact = allowed(case, gauss(6, 1, 0.5)), answers(case, gauss(6, 1, 0.5), None)
    mantissa, exponent = np.frexp(case.theta.W)
    coarse = Params(case.theta.U, np.ldexp(np.round(mantissa * 2**11) / 2**11, exponent), case.theta.v)
    found = computed(case.net, *in_single(formulas.Case(case.net, coarse, case.X, case.y)), Gauss(6, 1))
    assert all(np.linalg.norm(found[name] - exact[name]) > limits[name] for name in QUANTITIES)


def test_the_default_solvers_of_float32_keep_their_tolerance_and_its_roundings(xp):
    """An error of ρ in h_T, φ(h_T), λ_0 and ∂f/∂W is one of ρ ‖v‖ ‖φ(h_T)‖ in f, and one of 2ρ ‖∇f‖ ‖∇f̄‖ in K_θ."""
    case = rounded(formulas.make("tanh", n=16, N=4, horizon=1.0))
    limits, exact = allowed(case, gauss(16, 1, 1.0)), answers(case, gauss(16, 1, 1.0), None)
    theta, X, _ = in_single(case, xp)
    rtol = 1e-5
    phi_T = np.linalg.norm(case.net.jacobian(case.theta, case.X).v, axis=1)  # (σ_v/√n) ‖φ(h_T)‖
    in_f = rtol * np.linalg.norm(case.theta.v) * np.linalg.norm(phi_T)
    assert np.linalg.norm(to_host(case.net.predict(theta, X)) - exact["predict"]) <= limits["predict"] + in_f
    in_K = 2 * rtol * np.trace(exact["ntk"])
    assert np.linalg.norm(to_host(case.net.ntk(theta, X)) - exact["ntk"]) <= limits["ntk"] + in_K


MULTIPRECISION = ["gelu", "relu"]
SLOWER = [pytest.param(name, marks=pytest.mark.slow) for name in activations.BUILTIN if name not in MULTIPRECISION]


@pytest.mark.parametrize("solver", [Gauss(12, 1), Euler(3)], ids=str)
@pytest.mark.parametrize("activation", MULTIPRECISION + SLOWER)
def test_float32_is_as_near_to_thirty_digits(activation, solver):
    case = rounded(formulas.make(activation, n=5, N=2, horizon=0.25))
    exact = in_multiprecision(case, solver)
    limits = allowed(case, scheme_of(solver, 0.25))
    missed = answers(case, scheme_of(solver, 0.25), None)  # what the scheme leaves of the ODE
    for name, value in computed(case.net, *in_single(case), solver).items():
        of_scheme = np.linalg.norm(missed[name] - exact[name])
        assert of_scheme <= 1e-10 * np.linalg.norm(exact[name])
        assert np.linalg.norm(value - exact[name]) <= limits[name] + of_scheme


def in_multiprecision(case, solver):
    U_, W, v = case.scaled
    net, n = case.net, case.theta.v.shape[0]
    rows, outputs = [], []
    for x in case.X:
        h0 = [ctx.fdot(map(ctx.mpf, row), map(ctx.mpf, x)) for row in U_]
        problem = Problem(ctx, net.phi.name, [[ctx.mpf(w) for w in row] for row in W], [ctx.mpf(z) for z in v], h0)
        horizon = ctx.mpf(net.horizon)
        answer = resnet(problem, horizon, solver.depth) if isinstance(solver, Euler) else ode(problem, horizon)
        adjoint, weights, phi = (np.array(part, dtype=float) for part in (answer.adjoint, answer.weights, answer.phi))
        blocks = net.sigma_u * np.outer(adjoint, x), net.sigma_w / n**0.5 * weights, net.sigma_v / n**0.5 * phi
        rows.append(np.concatenate([block.ravel() for block in blocks]))
        outputs.append(float(answer.output))
    J, f = np.stack(rows), np.asarray(outputs)
    return {"predict": f, "gradient": (f - case.y) @ J, "ntk": J @ J.T}


@pytest.mark.parametrize("activation", [pytest.param("softplus", marks=pytest.mark.slow), "relu", "erf"])
def test_the_limit_of_float32_inputs_is_that_of_float64_rounded_once(xp, activation):
    limit = refimpl.NeuralODE(activation, horizon=0.5).limit(Gauss(rtol=1e-9))
    X = np.asarray([[0.6, -0.8], [0.1, 0.2]], np.float32)
    found, wide = limit.ntk(xp.asarray(X)), limit.ntk(xp.asarray(X.astype(float)))
    assert found.dtype == xp.float32
    np.testing.assert_array_equal(to_host(found), to_host(wide).astype(np.float32))


@pytest.mark.parametrize("activation", ["erf", pytest.param("tanh", marks=pytest.mark.slow)])
def test_the_limit_of_float32_inputs_is_that_of_multiprecision_rounded_once(activation):
    X = np.asarray([[0.6, -0.8], [0.1, 0.2]], np.float32)
    x, y = ([ctx.mpf(float(z)) for z in row] for row in X)
    inner = ctx.fdot(x, x), ctx.fdot(x, y), ctx.fdot(y, y)
    exact = oracle_limit.limit(ctx, activation, ctx.mpf(1), (ctx.one,) * 3, inner)
    K = refimpl.NeuralODE(activation).limit().ntk(X)
    scale = np.sqrt(float(K[0, 0]) * float(K[1, 1]))
    assert abs(float(K[0, 1]) - float(exact.ntk)) <= U * abs(float(exact.ntk)) + 1e-12 * scale


def test_every_step_of_training_in_float32_is_right_and_the_errors_only_add_up(xp):
    """A step is that of its own θ^k to within η times the error of ∇L and the rounding of θ; and what the steps before
    left behind grows no faster than (I − ηH) lets it, with H the Hessian of L along the way."""
    solver, lr, steps = Euler(3), 0.05, 4
    case = rounded(formulas.make("gelu", n=5, d=2, N=3, horizon=0.5))
    net, seen = case.net, []
    theta, X, y = in_single(case, xp)
    single = train(
        net, theta, X, y, lr=lr, steps=steps, solver=solver, callback=lambda step: seen.append(wide(step.theta))
    )
    double = train(net, case.theta, case.X, case.y, lr=lr, steps=steps, solver=solver)
    total = 0.0
    for k, (before, after) in enumerate(pairwise(seen)):
        here = formulas.Case(net, before, case.X, case.y)
        limits, gradient = allowed(here, scheme_of(solver, 0.5)), net.gradient(before, case.X, case.y, solver)
        found = to_host(single.predictions[k, ...]).astype(float)
        assert np.linalg.norm(found - net.predict(before, case.X, solver)) <= limits["predict"]
        step = (after - (before - lr * gradient)).norm()
        local = lr * limits["gradient"] + U * (after.norm() + lr * gradient.norm())
        assert step <= local
        total = total * np.linalg.norm(np.eye(before.ravel().size) - lr * hessian(here, solver), 2) + local
    assert (wide(single.theta) - double.theta).norm() <= total < 1e-5 * double.theta.norm()


def wide(theta):
    return Params(*(to_host(block).astype(float) for block in (theta.U, theta.W, theta.v)))


def hessian(case, solver, step=1e-5):
    """Of L, by central differences of ∇L."""
    vector, columns = case.theta.ravel(), []
    n, d = case.theta.U.shape

    def gradient(at):
        blocks = at[: n * d].reshape(n, d), at[n * d : -n].reshape(n, n), at[-n:]
        return case.net.gradient(Params(*blocks), case.X, case.y, solver).ravel()

    for direction in np.eye(vector.size):
        columns.append((gradient(vector + step * direction) - gradient(vector - step * direction)) / (2 * step))
    return np.stack(columns)
