"""The limit kernel in multiprecision: against closed forms, quadrature, other resolutions, and the package."""

from __future__ import annotations

import math
from itertools import pairwise

import mpmath
import numpy as np
import pytest
import scipy.special

from refimpl import AccuracyError, Euler, Gauss, NeuralODE, activations
from refimpl.oracle import kinked
from refimpl.oracle import limit as module
from refimpl.oracle.collocation import gauss
from refimpl.oracle.duals import AT_REST, CLOSED, PARTS
from refimpl.oracle.elu import elu
from refimpl.oracle.fixed import Fixed
from refimpl.oracle.limit import limit, limit_resnet
from refimpl.oracle.series import KINKED

ctx = mpmath.MPContext()
ctx.dps = 40
ALL = list(activations.BUILTIN)
SIGMAS = (ctx.mpf(0.75), ctx.mpf(1.25), ctx.mpf(1.5))
HALF = ctx.one / 2


def inner(X):
    x, y = ([ctx.mpf(float(z)) for z in row] for row in X)
    return ctx.fdot(x, x), ctx.fdot(x, y), ctx.fdot(y, y)


def package(name, horizon, X, solver=None):
    sigma_u, sigma_w, sigma_v = map(float, SIGMAS)
    net = NeuralODE(name, horizon=horizon, sigma_u=sigma_u, sigma_w=sigma_w, sigma_v=sigma_v)
    kernels = net.limit(solver or Gauss(rtol=1e-12))
    X = np.asarray(X, float)
    return kernels.ntk(X)[0, 1], kernels.nngp(X)[0, 1]


def agrees(found, expected, X, rtol=1e-12):
    for mine, other in zip((found.ntk, found.nngp), expected, strict=True):
        assert abs(float(mine) - other) <= rtol * max(abs(other), 1e-3 * float(abs(found.ntk)))


PAIR = [[1.0, 0.0], [0.6, 0.8]]
NORMS = [[1.0, 0.5], [0.25, -0.75]]
ANTIPODAL = [[1.0, 0.0], [-1.0, 0.0]]


# --- closed forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [0.5, 1.0, 3.0])
def test_identity_is_bessel_to_26_digits(horizon):
    T, (u, w, v) = ctx.mpf(horizon), SIGMAS
    found, q, z = limit(ctx, "identity", T, SIGMAS, inner(NORMS)), u**2 * inner(NORMS)[1], w * T
    exact = q * v**2 * (2 * ctx.besseli(0, 2 * z) + z * ctx.besseli(1, 2 * z))
    assert abs(found.ntk - exact) <= found.error <= 1e-26 * abs(exact)
    assert abs(found.nngp - q * v**2 * ctx.besseli(0, 2 * z)) <= found.error


@pytest.mark.parametrize("depth", [1, 4, 16])
def test_identity_of_a_resnet_is_a_sum_of_squared_binomials(depth):
    T, (u, w, v) = ctx.mpf(1.5), SIGMAS
    found, q, z = limit_resnet(ctx, "identity", T, SIGMAS, inner(PAIR), depth), u**2 * inner(PAIR)[1], w * T / depth
    exact = q * v**2 * ctx.fsum((2 + k) * ctx.binomial(depth, k) ** 2 * z ** (2 * k) for k in range(depth + 1))
    assert abs(found.ntk - exact) <= found.error <= 1e-22 * abs(exact)


FUNCTIONS = {
    "softplus": lambda z: np.logaddexp(0, z),
    "sigmoid": scipy.special.expit,
    "silu": lambda z: z * scipy.special.expit(z),
    "tanh": np.tanh,
    "erf": scipy.special.erf,
    "gelu": lambda z: z * scipy.special.ndtr(z),
    "sin": np.sin,
    "cos": np.cos,
    "identity": lambda z: z,
    "quadratic": lambda z: z**2 / 2,
}


def mean(f, a, b, c):
    """E[f(a)f(b)] by the trapezoidal rule in the plane, which converges geometrically."""
    z = np.arange(-9, 9, 0.0625)
    weight = 0.0625 * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    rho = c / math.sqrt(a * b)
    other = rho * z[:, None] + math.sqrt(1 - rho**2) * z[None, :]
    return weight @ (f(math.sqrt(a) * z)[:, None] * f(math.sqrt(b) * other)) @ weight


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_expectations_are_those_of_quadrature(name):
    """One layer of T = 1 has S_TT = q + Σ_00, and its Σ_TT is the NNGP."""
    q, f = (1.0, 0.375, 1.25), FUNCTIONS[name]
    pairs = ((q[0], q[0], q[0]), (q[0], q[2], q[1]), (q[2], q[2], q[2]))
    end = [c + mean(f, a, b, c) for a, b, c in pairs]
    found = limit_resnet(ctx, name, ctx.one, (ctx.one,) * 3, tuple(map(ctx.mpf, q)), 1)
    assert abs(float(found.nngp) - mean(f, end[0], end[2], end[1])) < 1e-14 * (1 + abs(float(found.nngp)))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
@pytest.mark.parametrize("rho", [-0.9, 0.3])
def test_expectations_of_kinked_activations_are_those_of_quadrature(name, rho):
    """In polar coordinates, the plane cut along the two kinks."""

    def f(z):
        return z if z > 0 else {"relu": 0 * z, "leaky_relu": 0.01 * z, "elu": math.expm1(z)}[name]

    fx, a, b = Fixed(ctx, 140), 1.0, 1.5
    c = rho * math.sqrt(a * b)
    form = elu(32) if name == "elu" else CLOSED[name]
    arrays = [np.asarray([fx.number(z)], object) for z in (a, b, c)]
    value, slope = (float(fx.mpf(z[0])) for z in form(fx, *arrays))
    radius, weight = np.polynomial.legendre.leggauss(60)
    radius, weight = 5 * (radius + 1), 5 * weight
    angles, angle_weight = np.polynomial.legendre.leggauss(24)
    other = math.acos(rho)  # b = √b r cos(angle − other)
    cuts = sorted({-math.pi / 2, math.pi / 2, other - math.pi / 2, other + math.pi / 2, 3 * math.pi / 2})
    cuts = [t for t in cuts if -math.pi / 2 <= t <= 3 * math.pi / 2]
    total = 0.0
    for low, high in pairwise(cuts):
        for t, wt in zip(angles, angle_weight, strict=True):
            angle = (low + high) / 2 + t * (high - low) / 2
            for r, wr in zip(radius, weight, strict=True):
                density = wt * (high - low) / 2 * wr * r * math.exp(-r * r / 2) / (2 * math.pi)
                total += density * f(math.sqrt(a) * r * math.cos(angle)) * f(math.sqrt(b) * r * math.cos(angle - other))
    assert abs(value - total) < 1e-12
    # Price: D = ∂Σ/∂c
    step = fx.number(1e-12)
    ahead, behind = (form(fx, arrays[0], arrays[1], arrays[2] + sign * step)[0][0] for sign in (1, -1))
    assert abs(float(fx.mpf(ahead - behind)) / 2e-12 - slope) < 1e-12


# --- the package --------------------------------------------------------------------------------------------------


HEAVY = ("elu", "tanh", "silu", "softplus")


@pytest.mark.parametrize("name", [pytest.param(n, marks=pytest.mark.slow if n in HEAVY else ()) for n in ALL])
def test_the_package_agrees(name):
    found = limit(ctx, name, HALF, SIGMAS, inner(PAIR))
    agrees(found, package(name, 0.5, PAIR), PAIR)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in ALL if name != "elu"])
def test_the_package_agrees_for_other_norms(name):
    found = limit(ctx, name, HALF, SIGMAS, inner(NORMS))
    agrees(found, package(name, 0.5, NORMS), NORMS)


@pytest.mark.slow
@pytest.mark.parametrize("X", [ANTIPODAL, [[1.0], [1.0]], [[0.0, 0.0], [0.6, 0.8]], [[1e-6, 0.0], [0.0, 2e-6]]])
@pytest.mark.parametrize("name", [name for name in ALL if name not in KINKED])
def test_the_package_agrees_for_special_pairs(name, X):
    found = limit(ctx, name, HALF, SIGMAS, inner(X))
    rtol = 1e-12
    if name == "silu" and X[0][0] == 1e-6:
        # At right angles K is of the order of E[φ(√s z)] E[φ(√s̄ z)]. silu(√s z) = √s z/2 + s z²/4 − …, whose first term
        # cancels in a quadrature up to eps E|√s z/2| < eps √s, 4 eps/√s of what is left; with s̄ = 4s, 6 eps/√s in all.
        rtol += 6 * np.finfo(float).eps / float(SIGMAS[0] * X[0][0])
    agrees(found, package(name, 0.5, X), X, rtol)


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
@pytest.mark.slow
@pytest.mark.parametrize("X", [ANTIPODAL, [[0.75], [0.75]]])
def test_the_package_agrees_where_kinks_meet(name, X):
    found = limit(ctx, name, HALF, SIGMAS, inner(X))
    agrees(found, package(name, 0.5, X), X)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("X", [PAIR, NORMS, ANTIPODAL])
def test_the_package_agrees_for_resnets(name, X):
    found = limit_resnet(ctx, name, HALF, SIGMAS, inner(X), 3)
    agrees(found, package(name, 0.5, X, Euler(3)), X)


# --- properties ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=() if n == "identity" else pytest.mark.slow)
        for n in ("identity", "gelu", "tanh", "sigmoid")
    ],
)
def test_the_bound_covers_the_error_and_two_resolutions_agree(name, monkeypatch):
    """The truth is a run that starts where the first one ended, at another tolerance."""
    first = limit(ctx, name, ctx.one, SIGMAS, inner(NORMS))
    monkeypatch.setattr(module, "LADDER", (19, 25, 31))
    second = limit(ctx, name, ctx.one, SIGMAS, inner(NORMS))
    assert abs(first.ntk - second.ntk) <= first.error
    assert abs(first.nngp - second.nngp) <= first.error
    assert first.error <= (1e-26 if name in CLOSED else 1e-22) * abs(first.ntk)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_the_bound_covers_the_error_of_kinked_activations(name, monkeypatch):
    first = limit(ctx, name, ctx.one, SIGMAS, inner(ANTIPODAL))
    monkeypatch.setattr(module, "KINKED_LADDER", (12, 15, 18))
    second = limit(ctx, name, ctx.one, SIGMAS, inner(ANTIPODAL))
    assert abs(first.ntk - second.ntk) <= first.error <= 1e-11 * abs(first.ntk)


@pytest.mark.parametrize("name", sorted(AT_REST))
def test_an_input_at_rest_has_no_kernel(name):
    X = [[0.0], [0.5]]
    for found in (limit(ctx, name, HALF, SIGMAS, inner(X)), limit_resnet(ctx, name, HALF, SIGMAS, inner(X), 2)):
        assert found.ntk == found.nngp == 0


@pytest.mark.parametrize("name", ["sigmoid", "cos"])
def test_an_input_zero_that_does_not_rest_agrees_with_the_package(name):
    X = [[0.0], [0.5]]
    agrees(limit(ctx, name, HALF, SIGMAS, inner(X)), package(name, 0.5, X), X)
    agrees(limit_resnet(ctx, name, HALF, SIGMAS, inner(X), 2), package(name, 0.5, X, Euler(2)), X)


@pytest.mark.parametrize("name", ["sin", "erf", "tanh"])
def test_odd_activations_have_odd_kernels(name):
    p, q, r = inner(NORMS)
    one, other = (limit_resnet(ctx, name, HALF, SIGMAS, (p, sign * q, r), 4) for sign in (1, -1))
    assert abs(one.ntk + other.ntk) <= one.error
    assert abs(one.nngp + other.nngp) <= one.error


@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_the_kernel_of_homogeneous_activations_scales(name):
    one, other = (limit(ctx, name, HALF, SIGMAS, inner([x, y])) for x, y in (
        ([1.0, 0.0], [0.0, 1.0]), ([4.0, 0.0], [0.0, 0.25])))  # fmt: skip
    assert abs(one.ntk - other.ntk) <= one.error


def test_midpoints_converge_to_the_kernel_of_relu():
    """Romberg on the residual networks' own limit knows nothing of triangles: Richardson in 1/L."""
    found = limit(ctx, "relu", HALF, SIGMAS, inner(PAIR)).ntk
    layers = [limit_resnet(ctx, "relu", HALF, SIGMAS, inner(PAIR), L).ntk for L in (1, 2, 4, 8, 16)]
    for k in range(1, len(layers)):
        layers = [(2**k * b - a) / (2**k - 1) for a, b in pairwise(layers)]
    assert abs(layers[0] - found) < 1e-6 * found


@pytest.mark.parametrize("count", [5, 8])
def test_the_integrals_over_parts_of_the_square_are_exact_for_polynomials(count):
    grid = kinked.triangle(120, count)
    fx, c = grid.fx, grid.nodes.c
    t, s = np.repeat(c, count), fx.mul(np.repeat(c, count), np.tile(c, count))
    f = fx.mul(t, s) + t + s  # symmetric: ts + t + s

    def primitive(a, b):
        a, b = float(a) / fx.one, float(b) / fx.one
        return a * a * b * b / 4 + a * a * b / 2 + a * b * b / 2

    for found, expected in (
        (fx.matmul(grid.forward, f), [primitive(a, b) for a, b in zip(t, s, strict=True)]),
        (fx.matmul(grid.late, f), [primitive(a, a) for a in c]),
        (fx.matmul(grid.early, f), [primitive(a, a) for a in s]),
        (fx.matmul(grid.backward, f), [
            primitive(fx.one, fx.one) - primitive(a, fx.one) - primitive(fx.one, b) + primitive(a, b)
            for a, b in zip(t, s, strict=True)]),
    ):  # fmt: skip
        np.testing.assert_allclose([float(z) / fx.one for z in found], expected, rtol=0, atol=1e-14)


def test_the_integration_matrix_is_exact_for_polynomials():
    nodes = gauss(Fixed(ctx, 100), 6)
    fx = nodes.fx
    cubes = [fx.mul(fx.mul(c, c), c) for c in nodes.c]
    found = fx.matmul(nodes.to(nodes.c)[1], np.asarray(cubes, object))
    assert max(abs(4 * a - fx.mul(c3, c)) for a, c3, c in zip(found, cubes, nodes.c, strict=True)) < 1000


def test_a_kernel_that_blows_up_raises():
    with pytest.raises(AccuracyError, match="escapes to infinity"):
        limit(ctx, "quadratic", ctx.mpf(4), (ctx.one,) * 3, (ctx.one,) * 3)


def test_what_elu_is_not_known_for_raises():
    for horizon, X in ((1.5, PAIR), (0.5, NORMS)):
        with pytest.raises(AccuracyError, match="of one norm only"):
            limit(ctx, "elu", ctx.mpf(horizon), SIGMAS, inner(X))


def test_an_unknown_activation_raises():
    with pytest.raises(ValueError, match=r"the oracle knows cos, elu, .* got 'mish'"):
        limit(ctx, "mish", ctx.one, SIGMAS, inner(PAIR))


def test_every_activation_has_its_expectations():
    assert {*CLOSED, *PARTS, "elu"} == set(ALL)
