"""K_∞ and K_∞^L against roads that share no code with them, and the fields against their equations."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from numpy.polynomial import legendre

from refimpl import Euler, Gauss, NeuralODE
from refimpl.infinite.kernel import KINKED_RTOL
from tests.infinite.limits import EPS, RTOL, assert_within, cosines, few, kernel, networks, norms, scale_of, two
from tests.infinite.roads import DUALS, PLAIN, midpoint_kernel, resnet_recursion, romberg

# ------------------------------------------------- road: the recursion of the ResNet, expectation by expectation


@pytest.mark.parametrize("name", PLAIN)
@pytest.mark.parametrize("depth", [1, 2, 4])
@pytest.mark.parametrize(("rho", "norm"), [(0.3, 0.7), (-0.8, 1.0), (1.0, 1.0)])
def test_depth_L_agrees_with_the_recursion_entry_by_entry(name: str, depth: int, rho: float, norm: float) -> None:
    net = NeuralODE(name, horizon=0.9, sigma_u=0.8, sigma_w=1.2, sigma_v=0.7)
    X = two(rho, 1.0, norm)
    q11, q12, q22 = (net.sigma_u**2 * q for q in (1.0, rho * norm, norm * norm))
    expected = [resnet_recursion(net, depth, *q) for q in ((q11, q12, q22), (q11, q11, q11), (q22, q22, q22))]
    found = net.limit(Euler(depth)).ntk(X)
    # the product rule has 1e-12 for softplus, with poles at ±iπ; quad 1e-13
    assert_within(found, np.asarray([[expected[1], expected[0]], [expected[0], expected[2]]]), 1e-11, scale_of(found))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
@pytest.mark.parametrize("depth", [2, 7, 16])
def test_depth_L_on_the_diagonal_depends_on_sigma_w_T_alone(name: str, depth: int) -> None:
    """To rounding: for x = x̄ the angle is 0 at equal times, not the root of a rounding error."""
    x = np.asarray([[1.0, 0.0]])
    values = [
        NeuralODE(name, 0.9 / c, sigma_w=c).limit(Euler(depth)).ntk(x)[0, 0] for c in (0.5, 0.7, 0.9, 1.1, 1.3, 1.7)
    ]
    np.testing.assert_allclose(values, values[0], rtol=1e-12)


@pytest.mark.parametrize("name", ["softplus", "gelu", "sin", "relu"])
def test_depth_L_tends_to_the_continuum_like_1_over_L(name: str) -> None:
    net, X = NeuralODE(name), two(0.3)
    truth = kernel(net, X)
    depths = [16, 32, 64, 128]
    values = [kernel(net, X, Euler(depth)) for depth in depths]
    errors = [abs(value - truth) for value in values]
    for depth, coarse, fine in zip(depths, errors, errors[1:], strict=False):
        assert coarse / fine == pytest.approx(2, abs=8 / depth)
    # Richardson: three halvings remove 1/L, 1/L², 1/L³ (for the kinked φ at ρ < 1 the expansion goes that far too)
    table = list(values)
    for order in (1, 2, 3):
        table = [(2**order * fine - coarse) / (2**order - 1) for coarse, fine in itertools.pairwise(table)]
    assert abs(table[0] - truth) <= 1e-4 * errors[-1]


# -------------------------------------------------------- road: the Goursat problem by the midpoint rule and Romberg


GOURSAT = [
    ("erf", 0.3, 1.0, 1.0, 0),
    ("erf", -0.9, 2.0, 1.5, 0),
    ("erf", 1.0, 1.0, 1.0, 0),
    ("sin", 0.6, 0.5, 1.5, 0),
    ("sin", -1.0, 1.0, 1.0, 0),
    ("relu", 1.0, 1.0, 1.0, 1),
    ("relu", 0.3, 1.0, 1.0, 2),
    ("relu", -0.5, 2.0, 0.7, 2),
]


@pytest.mark.parametrize(("name", "rho", "norm", "horizon", "more"), GOURSAT)
def test_the_goursat_problem_solved_by_romberg_gives_the_same_kernel(
    name: str, rho: float, norm: float, horizon: float, more: int
) -> None:
    net = NeuralODE(name, horizon, sigma_u=0.9, sigma_w=1.1, sigma_v=0.8)
    q = [net.sigma_u**2 * value for value in (1.0, rho * norm, norm * norm)]
    truth, correction = romberg([midpoint_kernel(DUALS[name], net, 16 << k, *q) for k in range(4 + more)])
    scale = math.sqrt(math.prod(kernel(net, two(1.0, size, size)) for size in (1.0, norm)))
    assert correction <= 1e-10 * scale
    assert (
        abs(kernel(net, two(rho, 1.0, norm)) - truth) <= 1e-10 * scale + (KINKED_RTOL if name == "relu" else 0) * scale
    )


# -------------------------------------------------------------------------- the fields satisfy the equations


@given(networks, cosines, norms)
@few
def test_the_integral_form_of_the_kernel_holds_for_the_fields(net: NeuralODE, rho: float, norm: float) -> None:
    X = two(rho, 1.0, norm)
    limit = net.limit()
    fields, gram, nngp = limit.fields(*X), limit.ntk(X), limit.nngp(X)
    x, w = legendre.leggauss(len(fields.t))
    np.testing.assert_allclose(fields.t, net.horizon * (1 + x) / 2, rtol=1e-14)
    w = w * net.horizon / 2
    at_zero = np.linalg.solve(legendre.legvander(x, len(x) - 1).T, legendre.legvander(-1.0, len(x) - 1)[0])
    initial = at_zero @ fields.P @ at_zero  # P at (0, 0), of the interpolant
    q = net.sigma_u**2 * float(X[0] @ X[1])
    integral = net.sigma_w**2 * (w @ (fields.Sigma * fields.P) @ w)
    # The values at the nodes have the stage order of the scheme, half of that of K_∞, and extrapolation amplifies it:
    # √rtol is what a scheme chosen for rtol must leave.
    assert_within(nngp[0, 1] + integral + q * initial, gram[0, 1], math.sqrt(RTOL), scale_of(gram)[0, 1])


@given(networks, cosines, norms)
@few
def test_the_mixed_derivative_of_S_is_Sigma(net: NeuralODE, rho: float, norm: float) -> None:
    fields = net.limit(Gauss(nodes=24, steps=1)).fields(*two(rho, 1.0, norm))
    x = legendre.leggauss(24)[0]
    derivative = np.stack(
        [legendre.legval(x, legendre.legder(row)) for row in np.linalg.inv(legendre.legvander(x, 23)).T]
    )
    mixed = (2 / net.horizon) ** 2 * derivative.T @ fields.S @ derivative
    # the derivative of a polynomial of degree 24 amplifies rounding by up to 24² in each variable
    tolerance = 24**4 * EPS * (2 / net.horizon) ** 2 * np.abs(fields.S).max()
    np.testing.assert_allclose(mixed, net.sigma_w**2 * fields.Sigma, rtol=0, atol=tolerance)


@pytest.mark.parametrize("name", ["softplus", "relu"])
def test_the_fields_of_swapped_inputs_are_transposed(name: str) -> None:
    limit, (x, y) = NeuralODE(name).limit(), two(0.4, 1.0, 0.6)
    there, back = limit.fields(x, y), limit.fields(y, x)
    for field in ("S", "Sigma", "P"):
        one, other = getattr(there, field), getattr(back, field).T
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13 * np.abs(one).max())


def test_the_fields_of_a_kinked_activation_satisfy_the_integral_form() -> None:
    net, X = NeuralODE("relu"), two(-0.3)
    limit = net.limit(Gauss(rtol=1e-11))
    fields = limit.fields(*X)
    w = legendre.leggauss(len(fields.t))[1] / 2
    integral = w @ (fields.Sigma * fields.P) @ w
    # P(0,0) is P at the first node but for 2 t_0 ∫ D P, with D <= 1/2; at ρ < 0 the kink on t = s is next to none
    q, first = float(X[0] @ X[1]), float(fields.t[0])
    found = limit.nngp(X)[0, 1] + integral + q * fields.P[0, 0]
    assert abs(found - limit.ntk(X)[0, 1]) <= abs(q) * first * fields.P.max() + 1e-6
