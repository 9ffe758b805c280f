"""The multiprecision oracle against closed forms, differences, SciPy and itself at another order."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import mpmath
import numpy as np
import pytest

from refimpl import AccuracyError, BlowUpError, Euler, NeuralODE, Params, SolveIVP, activations
from refimpl.oracle.finite import Problem, ode, resnet
from refimpl.oracle.series import KINKED, rule

ctx = mpmath.MPContext()
ctx.dps = 40
TINY = ctx.mpf(10) ** -35
"""Forty digits less what the sums of some hundred terms, and two or three nearly equal ones, cost."""

ALL = list(activations.BUILTIN)
TIGHT = SolveIVP(rtol=1e-12, atol=1e-14)


def exact(array):
    return [exact(part) for part in array] if getattr(array, "ndim", 0) else ctx.mpf(float(array))


def problem(name, W, v, h0):
    W = [[ctx.mpf(w) for w in row] for row in W]
    return Problem(ctx, name, W, [ctx.mpf(z) for z in v], [ctx.mpf(z) for z in h0])


def drawn(name, n=3, seed=0, scale=1.0):
    rng = np.random.default_rng(seed)
    return problem(name, scale * rng.normal(size=(n, n)), rng.normal(size=n), rng.normal(size=n))


def apart(mine, other):
    if isinstance(mine, list):
        return max(apart(a, b) for a, b in zip(mine, other, strict=True))
    return abs(mine - other)


def spread(first, second):
    parts = ("terminal", "adjoint", "output", "weights")
    return max(apart(getattr(first, part), getattr(second, part)) for part in parts)


FUNCTIONS = {
    "softplus": lambda z: ctx.log1p(ctx.exp(z)),
    "sigmoid": lambda z: 1 / (1 + ctx.exp(-z)),
    "tanh": ctx.tanh,
    "erf": ctx.erf,
    "gelu": lambda z: z * ctx.ncdf(z),
    "silu": lambda z: z / (1 + ctx.exp(-z)),
    "sin": ctx.sin,
    "cos": ctx.cos,
    "identity": lambda z: z,
    "quadratic": lambda z: z**2 / 2,
    "relu": lambda z: z if z > 0 else 0 * z,
    "leaky_relu": lambda z: z if z > 0 else ctx.mpf(0.01) * z,
    "elu": lambda z: z if z > 0 else ctx.expm1(z),
}


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("start", [-1.25, 0.75])
def test_series_along_a_curve_are_those_of_numerical_differentiation(name, start):
    curve = [ctx.mpf(c) for c in (start, -0.5, 0.3, 0.7, -0.2)] + [ctx.zero] * 3
    extend, value, slope = rule(ctx, name, start > 0), [], []
    for k in range(8):
        y, p = extend(curve[: k + 1])
        value.append(y)
        slope.append(p)
    phi = FUNCTIONS[name]
    with ctx.workdps(120):
        expected = ctx.taylor(lambda t: phi(ctx.polyval(curve[::-1], t)), 0, 7)
        expected_slope = ctx.taylor(lambda t: ctx.diff(phi, ctx.polyval(curve[::-1], t), h=ctx.mpf(10) ** -50), 0, 5)
    assert apart(value, expected) < TINY
    assert apart(slope[:6], expected_slope) < 1e-30


def test_identity_is_a_matrix_exponential():
    case, T = drawn("identity"), ctx.mpf(1.5)
    W, v, h0 = ctx.matrix(case.W), ctx.matrix(case.v), ctx.matrix(case.h0)
    flow = ctx.expm(T * W)
    found = ode(case, T)
    assert apart(found.terminal, list(flow * h0)) < TINY
    assert apart(found.adjoint, list(flow.T * v)) < TINY
    # ∫ exp((T−s)Wᵀ) v h_0ᵀ exp(sWᵀ) ds is a block of an exponential (Van Loan 1978).
    n = 3
    block = ctx.zeros(2 * n)
    block[:n, :n], block[:n, n:], block[n:, n:] = W.T, v * h0.T, W.T
    expected = ctx.expm(T * block)[:n, n:]
    assert apart(found.weights, expected.tolist()) < TINY


@pytest.mark.parametrize("growth", [-3.0, 0.5, 8.0])
def test_one_neuron_of_tanh(growth):
    found = ode(problem("tanh", [[growth]], [1.0], [0.7]), ctx.one)
    end = ctx.asinh(ctx.sinh(ctx.mpf(0.7)) * ctx.exp(growth))
    assert apart(found.terminal, [end]) < TINY
    assert abs(found.output - ctx.tanh(end)) < TINY
    slope = ctx.cosh(ctx.mpf(0.7)) * ctx.exp(growth) / ctx.cosh(end)  # ∂h_T/∂h_0
    assert apart(found.adjoint, [(1 - ctx.tanh(end) ** 2) * slope]) < TINY


def test_one_neuron_of_the_quadratic_blows_up():
    def case(horizon):
        return ode(problem("quadratic", [[2.0]], [1.0], [0.5]), ctx.mpf(horizon))

    assert apart(case(1.75).terminal, [ctx.mpf(0.5) / (1 - ctx.mpf(1.75) / 2)]) < 1e3 * TINY
    with pytest.raises(BlowUpError) as caught:
        case(2.25)
    assert abs(caught.value.time - 2) < 1e-12


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_a_crossing_is_met_where_it_is(name):
    """h_1 falls at the rate 2 from 1, through 0 at t = 1/2, and drives h_3."""
    found = ode(problem(name, [[0, -2, 0], [0, 0, 0], [1, 0, 0]], [0, 0, 1], [1.0, 1.0, 0.25]), ctx.one)
    below = {"relu": ctx.zero, "leaky_relu": -ctx.mpf(0.01) / 4, "elu": -ctx.exp(-1) / 2}[name]
    integral = ctx.mpf(1) / 4 + below
    assert apart(found.terminal, [-1, 1, ctx.mpf(0.25) + integral]) < TINY
    assert abs(found.weights[2][0] - integral) < TINY


@pytest.mark.parametrize("name", sorted(KINKED))
def test_a_crossing_on_a_curved_way_is_met_to_all_digits(name):
    """h_1 bends, since h_2 grows like e^t, and drives h_3; seen by two orders, whose steps bracket it differently."""
    case = problem(name, [[0.3, -2, 0], [0, 1, 0.5], [1, 0, 0]], [0.2, 0.3, 1], [1.0, 0.8, 0.25])
    first, second = ode(case, ctx.one, 30), ode(case, ctx.one, 21)
    assert first.terminal[0] < 0
    assert spread(first, second) < TINY


@pytest.mark.parametrize("name", sorted(KINKED))
def test_neurons_that_cross_together_are_both_moved_to_the_other_side(name):
    """h_1 and h_2 are one and the same, so that their sum is twice what it is for one."""
    single = ode(problem(name, [[0, -2, 0], [0, 0, 0], [2, 0, 0]], [0, 0, 1], [1.0, 1.0, 0.25]), ctx.one)
    W = [[0, 0, -2, 0], [0, 0, -2, 0], [0, 0, 0, 0], [1, 1, 0, 0]]
    double = ode(problem(name, W, [0, 0, 0, 1], [1.0, 1.0, 1.0, 0.25]), ctx.one)
    assert abs(double.terminal[3] - single.terminal[2]) < TINY
    assert abs(double.weights[3][0] - single.weights[2][0]) < TINY
    assert abs(double.weights[3][1] - single.weights[2][0]) < TINY


@pytest.mark.parametrize("name", ALL)
def test_a_residual_network_has_the_slopes_of_the_package_at_zero(name):
    net = NeuralODE(name)
    theta = Params(np.zeros((2, 1)), np.asarray([[1.0, 2.0], [0.5, 1.0]]), np.asarray([1.0, -3.0]))
    found = resnet(problem(name, theta.W / 2**0.5, theta.v / 2**0.5, [0.0, 0.0]), ctx.one, 1)
    J = net.jacobian(theta, np.ones((1, 1)), Euler(1))
    np.testing.assert_allclose(J.U[0, :, 0], [float(z) for z in found.adjoint], rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ALL)
def test_another_order_gives_the_same(name):
    case = drawn(name, n=2, seed=3)
    assert spread(ode(case, ctx.one / 2, 30), ode(case, ctx.one / 2, 22)) < TINY


@pytest.mark.parametrize("solve", [ode, lambda case, horizon: resnet(case, horizon, 5)], ids=["ode", "resnet"])
@pytest.mark.parametrize("name", ALL)
def test_gradients_are_those_of_differences(name, solve):
    case, horizon, step = drawn(name, n=2, seed=5), ctx.mpf(0.25), ctx.mpf(10) ** -12
    found = solve(case, horizon)

    def slope(moved):
        ahead, behind = (solve(moved(sign * step), horizon) for sign in (1, -1))
        return (ahead.output - behind.output) / (2 * step)

    def with_state(i, change):
        return replace(case, h0=[z + change * (j == i) for j, z in enumerate(case.h0)])

    def with_weight(i, k, change):
        W = [list(row) for row in case.W]
        W[i][k] += change
        return replace(case, W=W)

    for i in range(2):
        assert abs(slope(partial(with_state, i)) - found.adjoint[i]) < 1e-20
        for k in range(2):
            assert abs(slope(partial(with_weight, i, k)) - found.weights[i][k]) < 1e-20
    assert abs(ctx.fdot(case.v, found.phi) - found.output) < TINY


@pytest.mark.parametrize("name", ALL)
def test_the_package_agrees(name):
    net = NeuralODE(name, horizon=0.5, sigma_u=0.75, sigma_w=1.25, sigma_v=1.5)
    theta = net.init(3, 2, seed=1)
    x = np.asarray([[0.6, -0.8]])
    root = ctx.sqrt(3)
    case = Problem(
        ctx, name, [[ctx.mpf(1.25) * w / root for w in row] for row in exact(theta.W)],
        [ctx.mpf(1.5) * z / root for z in exact(theta.v)],
        [ctx.mpf(0.75) * ctx.fdot(row, exact(x[0])) for row in exact(theta.U)],
    )  # fmt: skip
    for solver, found, tolerance in (
        (TIGHT, ode(case, ctx.mpf(0.5)), 1e-8 if name in KINKED else 1e-11),
        (Euler(3), resnet(case, ctx.mpf(0.5), 3), 1e-14),
    ):
        J = net.jacobian(theta, x, solver)
        weights = np.asarray([[float(z) for z in row] for row in found.weights]) * 1.25 / 3**0.5
        np.testing.assert_allclose(net.predict(theta, x, solver), [float(found.output)], rtol=0, atol=tolerance)
        np.testing.assert_allclose(J.W[0], weights, rtol=0, atol=tolerance)
        adjoint = np.asarray([float(z) for z in found.adjoint])
        np.testing.assert_allclose(J.U[0], 0.75 * np.outer(adjoint, x[0]), rtol=0, atol=tolerance)


def test_what_depends_on_the_convention_at_the_kink_is_refused():
    with pytest.raises(AccuracyError, match="rests on the kink of relu"):
        ode(problem("relu", [[0.0, 1.0], [0.0, 0.0]], [1, 1], [0.0, -1.0]), ctx.one)
    touching = problem("relu", [[0, 2, -1], [0, 0, 1], [0, 0, 0]], [1, 1, 1], [0.25, 0.0, 1.0])
    with pytest.raises(AccuracyError, match="touches the kink"):  # h_3 = 1, h_2 = t, h_1 = (t − 1/2)²
        ode(touching, ctx.one)


@pytest.mark.parametrize("name", [name for name in ALL if name not in KINKED])
def test_a_neuron_that_drives_no_other_is_followed_as_closely(name):
    """Its φ is in ∂f/∂W, but in no h: ∂f/∂W_21 = ∫ λ_2 φ(h_1) dt, with h_1 linear in t and λ_2 = φ'(h_2) constant."""
    case = problem(name, [[0, 0, 8], [0, 0, 0], [0, 0, 0]], [1, 1, 1], [-4.0, 0.5, 0.25])
    rate = FUNCTIONS[name](ctx.mpf(0.25))
    found = ode(case, ctx.one)
    expected = ctx.quad(lambda t: FUNCTIONS[name](-4 + 8 * rate * t), ctx.linspace(0, 1, 9))
    slope = rule(ctx, name)([ctx.mpf(0.5)])[1]
    assert abs(found.weights[1][0] - slope * expected) < 1e3 * TINY


@pytest.mark.parametrize("name", sorted(KINKED))
def test_a_network_at_rest_has_the_adjoint_of_the_convention(name):
    case = drawn(name, n=2, seed=4)
    found = ode(replace(case, h0=[ctx.zero] * 2), ctx.mpf(1.5))
    slope = {"relu": ctx.zero, "leaky_relu": ctx.mpf(0.01), "elu": ctx.one}[name]
    flow = ctx.expm(slope * ctx.mpf(1.5) * ctx.matrix(case.W).T)
    assert found.terminal == [0, 0]
    assert found.output == 0
    assert found.weights == [[0, 0], [0, 0]]
    assert apart(found.adjoint, list(flow * ctx.matrix([slope * z for z in case.v]))) < TINY


def test_an_unknown_activation_raises():
    with pytest.raises(ValueError, match=r"the oracle knows cos, elu, .* got 'mish'"):
        ode(drawn("mish"), ctx.one)
