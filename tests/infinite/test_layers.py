"""Many layers by few nodes: the rule is exact for polynomials, and K_∞^L is that of all layers, to rounding."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import BlowUpError, Euler, NeuralODE
from refimpl.backend import to_host
from refimpl.infinite import convergence, resolution
from refimpl.infinite.layers import layers
from refimpl.oracle.limit import limit_resnet
from refimpl.scheme import gauss
from tests.infinite.limits import CHEAP, EPS, RTOL, assert_within, scale_of, two

rules = st.tuples(st.integers(1, 20), st.integers(1, 2000)).map(lambda pair: (pair[0], pair[0] + pair[1]))


def binomial(x: Fraction, p: int) -> Fraction:
    """C(x, p), a polynomial in x."""
    return math.prod((x - i for i in range(p)), start=Fraction(1)) / math.factorial(p)


@given(rules)
def test_sums_over_earlier_layers_are_exact_for_polynomials(rule: tuple[int, int]) -> None:
    """Σ_{l<k} C(l, p) = C(k, p + 1), and both are polynomials in k."""
    nodes, depth = rule
    scheme = layers(nodes, depth, 1.0)
    k = [Fraction(float(x)) * depth for x in scheme.c]
    for p in range(nodes):
        largest = binomial(Fraction(depth), p)
        values = np.asarray([float(binomial(x, p) / largest) for x in k])
        sums = np.asarray([float(binomial(x, p + 1) / largest / depth) for x in k])
        size = np.abs(values).max(initial=1.0)
        # a rounding of a node moves C(·, p) by its degree; the others are those of a sum with weights of sum < 1
        np.testing.assert_allclose(scheme.A @ values, sums, rtol=0, atol=4 * (p + nodes + 4) * EPS * size)


@given(rules)
def test_weights_are_positive_and_sum_polynomials_of_twice_the_degree(rule: tuple[int, int]) -> None:
    nodes, depth = rule
    scheme = layers(nodes, depth, 1.0)
    assert (scheme.b > 0).all()
    assert ((scheme.c >= 0) & (scheme.c <= 1 - 1 / depth + EPS) & (np.diff(scheme.c, prepend=-1) > 0)).all()
    x = np.arange(depth) / depth
    for p in range(2 * nodes):
        exact = math.fsum((2 * x - 1) ** p) / depth
        assert abs(scheme.b @ (2 * scheme.c - 1) ** p - exact) <= (2 * p + 8) * EPS


@given(rules)
def test_the_adjoint_tableau_sums_over_the_later_layers(rule: tuple[int, int]) -> None:
    nodes, depth = rule
    scheme = layers(nodes, depth, 1.0)
    later = scheme.b - scheme.A - np.eye(nodes) / depth
    np.testing.assert_allclose(scheme.adjoint, later, rtol=0, atol=16 * EPS * scheme.b.max() / scheme.b.min())


def test_as_many_nodes_as_layers_are_the_layers() -> None:
    scheme = layers(7, 8, 2.0)
    assert scheme.nodes.max() < 2 * 7 / 8
    # 7 nodes for 8 layers sum polynomials of degree 13 over them: all but one of the functions on the layers
    x = np.arange(8) / 8
    np.testing.assert_allclose(scheme.b @ scheme.c**7, np.mean(x**7), rtol=8 * EPS)


def test_infinitely_many_layers_are_the_rule_of_gauss() -> None:
    scheme, limit = layers(12, 10**12, 1.5), gauss(12, 1, 1.5)
    for found, expected in ((scheme.A, limit.A), (scheme.b, limit.b), (scheme.c, limit.c)):
        np.testing.assert_allclose(found, expected, rtol=0, atol=2e-12)


@pytest.mark.parametrize("depth", [97, 160])
@pytest.mark.parametrize("name", [*CHEAP, "identity", pytest.param("softplus", marks=pytest.mark.slow)])
def test_few_nodes_give_the_kernel_of_all_layers(name: str, depth: int, monkeypatch: Any) -> None:
    limit, X = NeuralODE(name, 1.2, 0.9, 1.1, 0.8).limit(Euler(depth)), two(0.3, 1.0, 1.4)
    with monkeypatch.context() as patch:
        patch.setattr(convergence.LimitProblem, "_resolved", None)  # few nodes do
        found = limit.ntk(X), limit.nngp(X)
    monkeypatch.setattr(resolution, "FEW_LAYERS", math.inf)
    truth = limit.ntk(X), limit.nngp(X)
    # the sums over layers, with roundings like those of a random walk, twice in a row
    for one, other in zip(found, truth, strict=True):
        assert_within(one, other, 4 * math.sqrt(depth) * EPS, scale_of(truth[0]))


@pytest.mark.parametrize("name", ["erf", "gelu"])
def test_a_long_horizon_takes_more_nodes_and_is_as_accurate(name: str, monkeypatch: Any) -> None:
    limit, X = NeuralODE(name, horizon=4.0).limit(Euler(150)), two(0.3, 1.0, 1.4)
    found = limit.ntk(X)
    monkeypatch.setattr(resolution, "FEW_LAYERS", math.inf)
    truth = limit.ntk(X)
    assert_within(found, truth, 4 * math.sqrt(150) * EPS, scale_of(truth))


@pytest.mark.slow  # 25 s
def test_a_hundred_layers_are_those_of_multiprecision() -> None:
    ctx = mpmath.MPContext()
    one, X = ctx.one, np.asarray([[1.0, 0.0], [0.5, math.sqrt(1.75)]])
    truth = limit_resnet(ctx, "erf", one, (one, one, one), (one, one / 2, 2 * one), 100)
    gram = NeuralODE("erf").limit(Euler(100)).ntk(X)
    # the entries of X round by EPS / 2 each, and K_∞ is Lipschitz in them with a constant below 4 times its size
    assert abs(float(truth.ntk - ctx.mpf(float(gram[0, 1])))) <= 8 * EPS * scale_of(gram)[0, 1]


@pytest.mark.parametrize("depth", [1000, 10**6])
@given(st.floats(0.3, 1.8), st.floats(0.3, 2), st.floats(-1, 1))
@settings(max_examples=5)
def test_identity_has_the_binomial_kernel_at_great_depths(
    depth: int, sigma_w: float, horizon: float, rho: float
) -> None:
    X, z = two(rho), sigma_w * horizon
    square, squares = 1.0, []  # (C(L, k) (z/L)^k)²
    for k in range(60):
        squares.append(square)
        square *= (z * (depth - k) / depth / (k + 1)) ** 2
    size = 2 * math.fsum(squares) + math.fsum(k * term for k, term in enumerate(squares))
    limit = NeuralODE("identity", horizon, sigma_w=sigma_w).limit(Euler(depth))
    assert_within(limit.ntk(X), (X @ X.T) * size, 1e-13, size)


@pytest.mark.parametrize("name", ["erf", pytest.param("softplus", marks=pytest.mark.slow)])
def test_the_kernel_of_many_layers_has_an_expansion_that_ends_in_the_ode(name: str) -> None:
    """K_∞^L = K_∞ + e_1/L + e_2/L² + …: three depths leave nothing of it, and five times their rounding."""
    net, X, L = NeuralODE(name), two(0.3, 1.0, 1.4), 10**6
    one, double, fourfold = (net.limit(Euler(depth)).ntk(X) for depth in (L, 2 * L, 4 * L))
    found = (8 * fourfold - 6 * double + one) / 3
    truth = net.limit().ntk(X)
    assert_within(found, truth, RTOL + 5 * 16 * EPS, scale_of(truth))


def test_where_few_nodes_do_not_resolve_the_layers_all_of_them_are_nodes(monkeypatch: Any) -> None:
    limit, X = NeuralODE("erf", horizon=3.0).limit(Euler(120)), two(0.3, 1.0, 1.4)
    with monkeypatch.context() as patch:
        patch.setattr(resolution, "NODES", (2, 3, 4))
        found = limit.ntk(X)
    monkeypatch.setattr(resolution, "FEW_LAYERS", math.inf)
    np.testing.assert_array_equal(found, limit.ntk(X))


def test_a_deep_resnet_of_quadratic_activations_blows_up() -> None:
    with pytest.raises(BlowUpError, match="escapes to infinity near t"):
        NeuralODE("quadratic", 8.0).limit(Euler(100)).ntk(two(0.3))


def test_fields_of_a_deep_resnet_are_given_at_its_layers() -> None:
    fields = NeuralODE("erf").limit(Euler(100)).fields(*two(0.3))
    np.testing.assert_allclose(fields.t, np.arange(100) / 100, rtol=4 * EPS)


def test_deep_resnets_have_the_same_limit_in_every_library(xp: Any) -> None:
    X, limit = two(0.3, 1.0, 1.4), NeuralODE("erf").limit(Euler(1000))
    found, truth = limit.ntk(xp.asarray(X)), limit.ntk(X)
    assert type(found) is type(xp.asarray(X))
    assert_within(to_host(found), truth, 64 * EPS, scale_of(truth))
