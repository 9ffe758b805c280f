"""K_∞ against closed forms and roads that share no code with it; its symmetries; its promises of accuracy."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest
import scipy.integrate
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.polynomial import legendre
from scipy.special import iv, ndtr

import refimpl
from refimpl import AccuracyError, Activation, BlowUpError, Euler, Gauss, NeuralODE, activations
from refimpl.backend import to_host
from refimpl.infinite.kernel import DIRECT_PAIRS, KINKED_RTOL, Limit

EPS = float(np.finfo(float).eps)
RTOL = Gauss().rtol
MANY = math.isqrt(2 * DIRECT_PAIRS) + 3  # rows whose Gram matrix is read off the curve

CHEAP = ["erf", "gelu", "sin", "cos"]  # analytic, with a closed form of the dual: some 20 ms a solve
ANALYTIC = [*CHEAP, "softplus", "tanh", "silu", "sigmoid"]
KINKED = ["relu", "leaky_relu", "elu"]

few = settings(max_examples=10)
sigmas = st.floats(0.3, 1.8)
cosines = st.one_of(st.floats(-1, 1), st.sampled_from([-1.0, 0.0, 1.0]))
norms = st.floats(0.2, 2.0)
networks = st.builds(
    NeuralODE,
    activation=st.sampled_from(CHEAP),
    horizon=st.floats(0.2, 1.5),
    sigma_u=st.floats(0.5, 1.5),
    sigma_w=st.floats(0.3, 1.3),
    sigma_v=st.floats(0.3, 2.0),
)


def plane(*inputs: tuple[float, float]) -> Any:
    """Rows (norm, angle) in the plane."""
    return np.asarray([[norm * math.cos(angle), norm * math.sin(angle)] for norm, angle in inputs])


def two(rho: float, first: float = 1.0, second: float = 1.0) -> Any:
    return np.asarray([[first, 0.0], [second * rho, second * math.sqrt((1 - rho) * (1 + rho))]])


def kernel(net: NeuralODE, X: Any, solver: Any = None) -> float:
    """K(x_0, x_1)."""
    return float(net.limit(solver).ntk(X[:1], X[1:2])[0, 0])


def scale_of(gram: Any) -> Any:
    """√(K(x,x) K(x̄,x̄)), to which accuracy is relative."""
    root = np.sqrt(np.diag(gram))
    return np.outer(root, root)


def assert_within(found: Any, expected: Any, rtol: float, scale: Any) -> None:
    error, allowed = np.abs(found - expected), rtol * np.asarray(scale)
    assert np.all(error <= allowed), f"errors up to {np.max(error):.3g}, allowed are {np.max(allowed):.3g}"


# ------------------------------------------------------------------------------------------- known numbers


@pytest.mark.parametrize(
    ("name", "rho", "value", "tolerance"),
    [
        ("softplus", 0.3, 1.49236665115878961, 1e-14),
        ("tanh", 0.3, 0.28418486854386465, 1e-14),
        ("relu", 1.0, 1.862918254093143, 1e-12),
    ],
)
def test_known_values(name: str, rho: float, value: float, tolerance: float) -> None:
    assert abs(kernel(NeuralODE(name), two(rho)) - value) <= tolerance


@given(sigmas, sigmas, sigmas, st.sampled_from([0.5, 1.0, 3.0]), cosines, norms, norms)
@settings(max_examples=25)
def test_identity_has_the_bessel_kernel(
    sigma_u: float, sigma_w: float, sigma_v: float, horizon: float, rho: float, first: float, second: float
) -> None:
    X = two(rho, first, second)
    Z, q = sigma_w * horizon, sigma_u**2 * (X @ X.T)
    size = sigma_v**2 * (2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z))
    limit = NeuralODE("identity", horizon, sigma_u, sigma_w, sigma_v).limit()
    assert_within(limit.ntk(X), q * size, 1e-13, size * scale_of(q))
    assert_within(limit.nngp(X), sigma_v**2 * iv(0, 2 * Z) * q, 1e-13, size * scale_of(q))


@pytest.mark.parametrize("depth", [1, 3, 7, 64])
@given(sigmas, sigmas, sigmas, st.floats(0.1, 3), cosines)
@settings(max_examples=8)
def test_identity_has_the_binomial_kernel_at_every_depth(
    depth: int, sigma_u: float, sigma_w: float, sigma_v: float, horizon: float, rho: float
) -> None:
    X = two(rho)
    z, q = sigma_w * horizon / depth, sigma_u**2 * (X @ X.T)
    squares = [math.comb(depth, k) ** 2 * z ** (2 * k) for k in range(depth + 1)]
    size = sigma_v**2 * (2 * math.fsum(squares) + math.fsum(k * term for k, term in enumerate(squares)))
    limit = NeuralODE("identity", horizon, sigma_u, sigma_w, sigma_v).limit(Euler(depth))
    assert_within(limit.ntk(X), q * size, 1e-13, size * scale_of(q))
    assert_within(limit.nngp(X), sigma_v**2 * math.fsum(squares) * q, 1e-13, size * scale_of(q))


@given(sigmas, sigmas, st.floats(0.3, 2), cosines, norms)
@few
def test_identity_has_bessel_fields(sigma_w: float, sigma_v: float, horizon: float, rho: float, norm: float) -> None:
    X = two(rho, norm, 1.0)
    fields = NeuralODE("identity", horizon, sigma_w=sigma_w, sigma_v=sigma_v).limit().fields(X[0], X[1])
    np.testing.assert_array_equal(fields.t, fields.t_adjoint)
    t, later = fields.t, horizon - fields.t
    assert ((t > 0) & (t < horizon)).all()
    S = iv(0, 2 * sigma_w * np.sqrt(np.outer(t, t)))
    P = sigma_v**2 * iv(0, 2 * sigma_w * np.sqrt(np.outer(later, later)))
    q = float(X[0] @ X[1])
    top = float(iv(0, 2 * sigma_w * horizon))
    # a field at the nodes has no more than the order of the scheme, and the scheme was chosen for K_∞ to 1e-12
    for field, truth, size in ((fields.S, q * S, norm), (fields.Sigma, q * S, norm), (fields.P, P, sigma_v**2)):
        np.testing.assert_allclose(field, truth, rtol=0, atol=10 * RTOL * top * size)


@given(st.integers(1, 9), sigmas, sigmas, st.floats(0.3, 2), cosines)
@few
def test_under_euler_the_adjoint_of_node_j_belongs_to_the_next_layer(
    depth: int, sigma_w: float, sigma_v: float, horizon: float, rho: float
) -> None:
    X, step = two(rho), horizon / depth
    fields = NeuralODE("identity", horizon, sigma_w=sigma_w, sigma_v=sigma_v).limit(Euler(depth)).fields(*X)
    np.testing.assert_allclose(fields.t, step * np.arange(depth), rtol=4 * EPS)
    np.testing.assert_allclose(fields.t_adjoint, step * np.arange(1, depth + 1), rtol=4 * EPS)

    def discrete_bessel(i: int, j: int) -> float:
        """Σ_k C(i,k) C(j,k) z^2k, the I₀ of i and j layers."""
        return math.fsum(math.comb(i, k) * math.comb(j, k) * (sigma_w * step) ** (2 * k) for k in range(depth + 1))

    layers = range(depth)
    S = np.asarray([[discrete_bessel(i, j) for j in layers] for i in layers])
    P = np.asarray([[discrete_bessel(depth - 1 - i, depth - 1 - j) for j in layers] for i in layers])
    np.testing.assert_allclose(fields.S, (X[0] @ X[1]) * S, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(fields.P, sigma_v**2 * P, rtol=1e-13)


# ------------------------------------------------- road: the recursion of the ResNet, expectation by expectation


def hermite_expectation(f: Callable[[Any], Any], s1: float, s2: float, c: float) -> float:
    """E[f(a) f(b)] by the product Gauss–Hermite rule."""
    z, w = np.polynomial.hermite_e.hermegauss(90)
    w = w / math.sqrt(2 * math.pi)
    b = c / math.sqrt(s1) * z[:, None] + math.sqrt(max(s2 - c * c / s1, 0.0)) * z
    return float(w @ (f(math.sqrt(s1) * z)[:, None] * f(b)) @ w)


def half_line_expectation(slope: bool, s1: float, s2: float, c: float) -> float:
    """E[max(a, 0) max(b, 0)], or P(a, b > 0), by an integral over a of the expectation of b given a."""
    mean, spread = c / math.sqrt(s1), math.sqrt(max(s2 - c * c / s1, 0.0))

    def given_a(z: float) -> float:
        m = mean * z
        if spread < 1e-7 * math.sqrt(s2):
            inner = float(m > 0) if slope else max(m, 0.0)
        else:
            tail = float(ndtr(m / spread))
            inner = tail if slope else m * tail + spread * math.exp(-((m / spread) ** 2) / 2) / math.sqrt(2 * math.pi)
        return (1.0 if slope else math.sqrt(s1) * z) * inner * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    return float(scipy.integrate.quad(given_a, 0, 13, epsabs=1e-14, epsrel=1e-13, limit=200)[0])


Expectation = Callable[[float, float, float], float]
PLAIN: dict[str, tuple[Expectation, Expectation]] = {
    name: (partial(hermite_expectation, f), partial(hermite_expectation, df))
    for name, f, df in (
        ("softplus", lambda z: np.logaddexp(0, z), lambda z: 1 / (1 + np.exp(-z))),
        ("quadratic", lambda z: z * z / 2, lambda z: z),
        ("sin", np.sin, np.cos),
        ("gelu", lambda z: z * ndtr(z), lambda z: ndtr(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)),
    )
}
PLAIN["relu"] = partial(half_line_expectation, False), partial(half_line_expectation, True)


def resnet_recursion(net: NeuralODE, depth: int, q11: float, q12: float, q22: float) -> float:
    """K_∞^L by the recursions of h^ℓ and λ^ℓ with shared weights, entry by entry.

    S^{k,m} = q + (σ_w T/L)² Σ_{i<k, j<m} Σ^{ij},     P^{k,m} = P^{L,L} + (σ_w T/L)² Σ_{i≥k, j≥m} D^{ij} P^{i+1,j+1}.
    """
    value, slope = PLAIN[net.phi.name]
    factor, L = (net.sigma_w * net.horizon / depth) ** 2, depth

    def forward(q: float, var1: list[float] | None, var2: list[float] | None) -> tuple[Any, Any]:
        S, Sigma = np.full((L + 1, L + 1), q), np.zeros((L + 1, L + 1))
        for n in range(L + 1):  # by the larger index, so that Var h^n is there when it is needed
            for k, m in [(k, n) for k in range(n)] + [(n, m) for m in range(n)] + [(n, n)]:
                S[k, m] = q + factor * Sigma[:k, :m].sum()
            first, second = (np.diag(S) if var is None else var for var in (var1, var2))
            for k, m in [(k, n) for k in range(n)] + [(n, m) for m in range(n)] + [(n, n)]:
                Sigma[k, m] = value(first[k], second[m], S[k, m])
        return S, Sigma

    variance1, variance2 = (np.diag(forward(q, None, None)[0]) for q in (q11, q22))
    S, Sigma = forward(q12, variance1, variance2)
    D = np.asarray([[slope(variance1[k], variance2[m], S[k, m]) for m in range(L + 1)] for k in range(L + 1)])
    P = np.full((L + 1, L + 1), net.sigma_v**2 * D[L, L])
    for k, m in itertools.product(range(L - 1, -1, -1), repeat=2):
        P[k, m] += factor * (D[k:L, m:L] * P[k + 1 :, m + 1 :]).sum()
    P[L, :L] = P[:L, L] = P[L, L]
    return float(net.sigma_v**2 * Sigma[L, L] + factor * (Sigma[:L, :L] * P[1:, 1:]).sum() + q12 * P[0, 0])


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


def arcsine(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    product = (1 + 2 * s1) * (1 + 2 * s2)
    return 2 / math.pi * np.arcsin(2 * c / np.sqrt(product)), 4 / math.pi / np.sqrt(product - 4 * c * c)


def sine(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    decay = np.exp(-(s1 + s2) / 2)
    return decay * np.sinh(c), decay * np.cosh(c)


def arc_cosine(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    size = np.sqrt(s1 * s2)
    theta = np.arccos(np.clip(c / size, -1, 1))
    return size * (np.sin(theta) + (math.pi - theta) * np.cos(theta)) / (2 * math.pi), (math.pi - theta) / (2 * math.pi)


def absolute(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    """φ = |z| is max(z, 0) + max(−z, 0)."""
    (value, slope), (mirrored, mirrored_slope) = arc_cosine(s1, s2, c), arc_cosine(s1, s2, -c)
    return 2 * (value + mirrored), 2 * (slope - mirrored_slope)


Dual = Callable[[Any, Any, Any], tuple[Any, Any]]
DUALS: dict[str, Dual] = {"erf": arcsine, "sin": sine, "relu": arc_cosine, "abs": absolute}


def midpoint_kernel(dual: Dual, net: NeuralODE, steps: int, q11: float, q12: float, q22: float) -> float:
    """K_∞ with every integral replaced by the midpoint rule on `steps` cells."""
    to_middle = (np.tri(steps) - np.eye(steps) / 2) * net.horizon / steps
    coupling = net.sigma_w**2
    cell = (net.horizon / steps) ** 2

    def fixed(update: Callable[[Any], Any], start: float) -> Any:
        field = np.full((steps, steps), start)
        for _ in range(100):
            new = update(field)
            if np.abs(new - field).max() <= 4 * EPS * np.abs(new).max():
                return new
            field = new
        raise AssertionError("no convergence")

    def variance(q: float) -> tuple[Any, float]:
        def update(S: Any) -> Any:
            s = np.diag(S)
            return (
                q + coupling * to_middle @ dual(s[:, None], s, np.minimum(S, np.sqrt(np.outer(s, s))))[0] @ to_middle.T
            )

        S = fixed(update, q)
        s = np.diag(S)
        return s, q + coupling * cell * dual(s[:, None], s, S)[0].sum()

    (s1, end1), (s2, end2) = variance(q11), variance(q22)
    S = fixed(lambda S: q12 + coupling * to_middle @ dual(s1[:, None], s2, S)[0] @ to_middle.T, q12)
    Sigma, D = dual(s1[:, None], s2, S)
    Sigma_end, D_end = dual(end1, end2, q12 + coupling * cell * Sigma.sum())
    terminal = net.sigma_v**2 * D_end
    P = fixed(lambda P: terminal + coupling * to_middle.T @ (D * P) @ to_middle, float(terminal))
    initial = terminal + coupling * cell * (D * P).sum()
    return float(net.sigma_v**2 * Sigma_end + coupling * cell * (Sigma * P).sum() + q12 * initial)


def romberg(values: list[float]) -> tuple[float, float]:
    """Limit of values at L, 2L, 4L … with an expansion in 1/L², and the last correction."""
    order, correction = 1, math.inf
    while len(values) > 1:
        order *= 4
        extrapolated = [fine + (fine - coarse) / (order - 1) for coarse, fine in itertools.pairwise(values)]
        correction, values = abs(extrapolated[-1] - values[-1]), extrapolated
    return values[0], correction


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


# ------------------------------------------------------------------------------------------------ structure


def sphere(N: int, dim: int, seed: int) -> Any:
    return refimpl.data.sphere(N, dim, seed=seed)


@given(networks, st.integers(1, 5), st.integers(1, 4), st.integers(0, 1000))
@few
def test_gram_matrices_are_symmetric_bit_by_bit_and_positive(net: NeuralODE, N: int, dim: int, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((N, dim))
    for gram in (net.limit().ntk(X), net.limit().nngp(X)):
        np.testing.assert_array_equal(gram, gram.T)
        assert np.linalg.eigvalsh(gram)[0] >= -N * RTOL * gram.max()


@pytest.mark.parametrize("name", ["softplus", "tanh", "relu", "sin"])
def test_the_gram_matrix_read_off_the_curve_is_symmetric_and_positive(name: str) -> None:
    X = sphere(2 * MANY, 3, seed=5)
    gram = NeuralODE(name).limit().ntk(X)
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram)[0] >= -len(X) * (KINKED_RTOL if name == "relu" else RTOL) * gram.max()


@pytest.mark.parametrize("name", [*CHEAP, "softplus", "relu"])
@given(seed=st.integers(0, 1000))
@settings(max_examples=3)
def test_blocks_of_a_larger_gram_matrix_are_the_kernels_of_its_parts(name: str, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((5, 3))
    X[3] = X[0]
    limit = NeuralODE(name).limit()
    whole = limit.ntk(X)
    rtol = KINKED_RTOL if name == "relu" else RTOL
    assert_within(limit.ntk(X[:2], X[2:]), whole[:2, 2:], 2 * rtol, scale_of(whole)[:2, 2:])
    assert_within(limit.ntk(X[:2]), whole[:2, :2], 2 * rtol, scale_of(whole)[:2, :2])
    assert_within(limit.ntk(X[2:], X[:2]), whole[2:, :2], 2 * rtol, scale_of(whole)[2:, :2])


@pytest.mark.parametrize("name", ["erf", "sin"])
@pytest.mark.parametrize(("small", "large"), [(1e-6, 50.0), (1e-3, 30.0), (0.1, 10.0)])
def test_a_row_does_not_depend_on_its_batch(name: str, small: float, large: float) -> None:
    rows = np.asarray([[small, 0.0], [0.0, large]])
    limit = NeuralODE(name).limit(Gauss(rtol=1e-11))
    together = limit.ntk(rows)
    for k in range(2):
        alone = limit.ntk(rows[k : k + 1])[0, 0]
        assert together[k, k] == pytest.approx(alone, rel=2e-11, abs=0)


@given(networks, st.integers(0, 1000), st.integers(2, 4))
@few
def test_rotations_and_permutations_of_the_inputs_change_nothing(net: NeuralODE, seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((4, dim))
    rotation, order = np.linalg.qr(rng.standard_normal((dim, dim)))[0], rng.permutation(4)
    gram = net.limit().ntk(X)
    assert_within(net.limit().ntk(X @ rotation), gram, RTOL, scale_of(gram))
    moved = net.limit().ntk(X[order])
    assert_within(moved, gram[order][:, order], RTOL, scale_of(gram)[order][:, order])


@given(networks, st.floats(0.2, 5), cosines, norms)
@few
def test_the_kernel_has_the_scaling_symmetries_of_the_equations(
    net: NeuralODE, factor: float, rho: float, norm: float
) -> None:
    X = two(rho, 1.0, norm)
    gram = net.limit().ntk(X)

    def agree(found: Any) -> None:
        assert_within(found, gram, 2 * RTOL, scale_of(gram))

    # only σ_u x matters, σ_v² is a factor, and time can be measured in other units
    agree(dataclasses.replace(net, sigma_u=net.sigma_u * factor).limit().ntk(X / factor))
    agree(dataclasses.replace(net, sigma_v=net.sigma_v * factor).limit().ntk(X) / factor**2)
    faster = dataclasses.replace(net, sigma_w=net.sigma_w * factor, horizon=net.horizon / factor)
    agree(faster.limit().ntk(X))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "identity"])
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), cosines)
@settings(max_examples=5)
def test_homogeneous_activations_give_a_bihomogeneous_kernel(name: str, a: float, b: float, rho: float) -> None:
    limit, X = NeuralODE(name).limit(), two(rho)
    gram = limit.ntk(X)
    tolerance = KINKED_RTOL if NeuralODE(name).phi.kinks else RTOL
    scaled = limit.ntk(a * X, b * X)
    assert_within(scaled, a * b * gram, 2 * tolerance, a * b * scale_of(gram))


@given(st.sampled_from(["erf", "sin", "tanh", "identity"]), st.floats(-1, 1), norms, st.floats(0.3, 1.2))
@few
def test_an_odd_activation_gives_an_odd_kernel(name: str, rho: float, norm: float, horizon: float) -> None:
    limit, X = NeuralODE(name, horizon).limit(), two(rho, 1.0, norm)
    gram = limit.ntk(X)
    assert_within(limit.ntk(X, -X), -gram, RTOL, scale_of(gram))


@pytest.mark.parametrize("name", ["cos", "quadratic"])
@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_an_even_activation_gives_an_even_kernel_at_a_short_horizon(name: str, rho: float) -> None:
    """As T → 0: Σ is even in ρ, and D and q are odd."""
    limit, X = NeuralODE(name, horizon=1e-6).limit(), two(rho)
    assert_within(limit.nngp(X, -X), limit.nngp(X), 1e-10, scale_of(limit.nngp(X)))
    assert_within(limit.ntk(X, -X), limit.ntk(X), 1e-10, scale_of(limit.ntk(X)))


@pytest.mark.parametrize("name", [*CHEAP, "softplus", *KINKED])
def test_a_zero_input_has_finite_kernels_that_small_inputs_approach(name: str) -> None:
    limit, row = NeuralODE(name).limit(), np.asarray([1.0, 0.5])
    X = np.asarray([0 * row, row, 1e-7 * row])
    gram, nngp = limit.ntk(X), limit.nngp(X)
    assert np.isfinite(gram).all()
    assert np.isfinite(nngp).all()
    assert_within(gram[0], gram[2], 1e-6, gram[1, 1])  # K_∞ is Lipschitz in x, with a constant near 2
    assert_within(limit.ntk(X[:1]), gram[:1, :1], 2e-15, np.maximum(gram[:1, :1], EPS))


@pytest.mark.parametrize("N", [3, MANY])
@pytest.mark.parametrize("name", ["erf", "softplus", "relu", "elu"])
def test_duplicates_have_bitwise_equal_entries(name: str, N: int) -> None:
    X = sphere(N - 1, 3, seed=2)
    X = np.vstack([X, X[:1]])
    gram = NeuralODE(name, horizon=0.5).limit().ntk(X)
    assert np.isfinite(gram).all()
    assert gram[0, 0] == gram[-1, -1] == gram[0, -1] == gram[-1, 0]
    np.testing.assert_array_equal(gram[0], gram[-1])


@pytest.mark.parametrize("N", [2, MANY])
def test_all_rows_equal(N: int) -> None:
    for name in ("softplus", "relu"):
        gram = NeuralODE(name).limit().ntk(np.tile([[0.6, 0.8]], (N, 1)))
        assert (gram == gram[0, 0]).all()
        assert gram[0, 0] == pytest.approx(kernel(NeuralODE(name), two(1.0)), rel=1e-12)


@pytest.mark.parametrize("exponent", [-12.0, -10.0, -9.0, -8.5, -8.0, -7.7, -7.5, -7.0, -6.5, -6.0, -5.0, -4.0])
@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_nearly_parallel_inputs_have_the_accuracy_that_was_asked_for(name: str, exponent: float) -> None:
    """K(θ) = K(0) − κ θ + O(θ²) for φ' with a jump; κ from a larger angle, where nothing is delicate."""
    net, theta, probe = NeuralODE(name), 10.0**exponent, 1e-3
    X = plane((1.0, 0.0), (1.0, theta), (1.0, probe))
    gram = net.limit(Gauss(rtol=1e-10)).ntk(X[[0, 2]])
    kappa = (gram[0, 0] - gram[0, 1]) / probe
    try:
        found = kernel(net, X[:2])
    except AccuracyError:  # the cosine in double precision leaves no more
        assert 1e-8 < theta < 1e-6
        return
    assert abs(found - (gram[0, 0] - kappa * theta)) <= KINKED_RTOL * gram[0, 0] + 4 * theta * probe


@pytest.mark.parametrize("copies", [2, 10])
def test_nearly_parallel_inputs_are_told_apart_among_many(copies: int) -> None:
    """Two directions 9e-9 apart have the cosine 1 in double precision, and K_∞ that differ by 3e-9."""
    net, theta = NeuralODE("relu"), 9e-9
    two_directions = net.limit().ntk(plane((1.0, 0.0), (1.0, 1e-3)))
    kappa = (two_directions[0, 0] - two_directions[0, 1]) / 1e-3
    gram = net.limit().ntk(plane(*[(1.0, 0.0), (1.0, theta)] * copies))
    expected = gram[0, 0] - kappa * theta
    assert_within(gram[::2, 1::2], expected, KINKED_RTOL, gram[0, 0])


@pytest.mark.parametrize("name", ["softplus", "elu", "erf"])
def test_the_kernel_is_continuous_at_equal_inputs(name: str) -> None:
    X = plane((1.0, 0.0), (1.0, 1e-9), (1.0 + 1e-9, 0.0))
    gram = NeuralODE(name).limit().ntk(X)
    assert_within(gram, gram[0, 0], 1e-8, gram[0, 0])


@pytest.mark.parametrize("name", ["softplus", "relu", "leaky_relu", "elu"])
def test_antipodal_inputs(name: str) -> None:
    X = np.asarray([[0.6, 0.8], [-0.6, -0.8]])
    gram = NeuralODE(name).limit().ntk(X)
    near = NeuralODE(name).limit().ntk(X[:1], plane((1.0, math.atan2(0.8, 0.6) + math.pi - 1e-6)))
    assert_within(gram[0, 1], near, 1e-5, gram[0, 0])


def test_relu_of_antipodal_inputs_is_the_midpoint_solution() -> None:
    net = NeuralODE("relu")
    truth, correction = romberg([midpoint_kernel(arc_cosine, net, 16 << k, 1.0, -1.0, 1.0) for k in range(5)])
    # |t − s| is gone at ρ = −1, but √(ε² + t² + s²) at the corner makes Romberg slow: its correction bounds its error
    assert abs(kernel(net, np.asarray([[1.0, 0.0], [-1.0, 0.0]])) - truth) <= 10 * correction + KINKED_RTOL


@pytest.mark.parametrize("name", ["softplus", "relu"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_rows_and_one_row(name: str, dtype: Any) -> None:
    limit, none, one = NeuralODE(name).limit(), np.zeros((0, 2), dtype), np.ones((1, 2), dtype)
    for function in (limit.ntk, limit.nngp):
        for pair, shape in (((none,), (0, 0)), ((none, one), (0, 1)), ((one, none), (1, 0)), ((none, none), (0, 0))):
            assert function(*pair).shape == shape
            assert function(*pair).dtype == dtype
        assert function(one).shape == (1, 1)


@given(networks, st.lists(st.just(0.0) | st.floats(1e-60, 2) | st.floats(-2, -1e-60), min_size=1, max_size=4))
@few
def test_one_dimensional_inputs_are_embedded_in_the_plane(net: NeuralODE, values: list[float]) -> None:
    X = np.asarray(values)[:, None]
    gram = net.limit().ntk(X)
    assert_within(net.limit().ntk(np.hstack([0 * X, X, 0 * X])), gram, 1e-13, gram.max())


# ------------------------------------------------------------------------------ the curve and the direct road


@pytest.mark.parametrize("name", ["erf", "gelu", "sin", "quadratic", "softplus", "tanh"])
@given(radius=st.floats(0.2, 1.1), seed=st.integers(0, 100))
@settings(max_examples=1)
def test_many_pairs_agree_with_few(name: str, radius: float, seed: int) -> None:
    limit, X = NeuralODE(name).limit(), radius * sphere(MANY, 3, seed)
    for function in (limit.ntk, limit.nngp):
        whole = function(X)
        few_pairs = function(X[:5], X[5:12])
        assert_within(whole[:5, 5:12], few_pairs, 1e-12, scale_of(whole)[:5, 5:12])
        assert_within(function(X[:MANY], X)[:5, 5:12], few_pairs, 1e-12, scale_of(whole)[:5, 5:12])


@pytest.mark.parametrize(("name", "horizon"), [("relu", 1.0), ("leaky_relu", 0.5), ("relu", 3.0)])
def test_many_pairs_agree_with_few_for_a_kinked_activation(name: str, horizon: float) -> None:
    limit, X = NeuralODE(name, horizon).limit(), sphere(MANY, 2, seed=1)
    whole = limit.ntk(X)
    assert_within(whole[:5, 5:12], limit.ntk(X[:5], X[5:12]), 2 * KINKED_RTOL, scale_of(whole)[:5, 5:12])


@pytest.mark.parametrize("rows", ["orthonormal", "simplex", "turned"])
def test_many_pairs_at_one_angle(rows: str) -> None:
    """All off-diagonal cosines are equal, exactly or but for rounding: the curve has no span to stand on."""
    X = np.eye(MANY) if rows == "orthonormal" else np.eye(MANY) - 1 / MANY
    if rows == "turned":
        X = X @ np.linalg.qr(np.random.default_rng(0).standard_normal((MANY, MANY)))[0]
    limit = NeuralODE("relu").limit()
    gram, few_pairs = limit.ntk(X), limit.ntk(X[:2])
    off_diagonal = gram[~np.eye(MANY, dtype=bool)]
    assert_within(off_diagonal, few_pairs[0, 1], 2 * KINKED_RTOL, few_pairs[0, 0])


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("name", ["relu", "elu", "gelu"])
def test_many_pairs_agree_with_few_at_finite_depth(name: str, depth: int) -> None:
    limit, X = NeuralODE(name).limit(Euler(depth)), sphere(MANY, 2, seed=1)
    whole = limit.ntk(X)
    rtol = KINKED_RTOL if NeuralODE(name).phi.kinks else RTOL
    assert_within(whole[:5, 5:12], limit.ntk(X[:5], X[5:12]), rtol, scale_of(whole)[:5, 5:12])


def test_one_row_of_another_norm_among_many() -> None:
    X = sphere(MANY, 3, seed=0)
    X[-1] *= 1.5
    limit = NeuralODE("erf").limit()
    gram = limit.ntk(X)
    assert_within(gram[:-1, :-1], limit.ntk(X[:-1]), 2e-12, gram.max())


# ------------------------------------------------------------------------------------ the accuracy contract


@given(networks, cosines, norms, st.floats(-11, -3).map(lambda exponent: 10.0**exponent))
@settings(max_examples=20)
def test_the_result_is_within_rtol_of_a_finer_one(net: NeuralODE, rho: float, norm: float, rtol: float) -> None:
    X = two(rho, 1.0, norm)
    fine = net.limit(Gauss(nodes=40, steps=2)).ntk(X)
    assert_within(net.limit(Gauss(rtol=rtol)).ntk(X), fine, rtol, scale_of(fine))
    assert_within(net.limit(Gauss(nodes=6, rtol=rtol)).ntk(X), fine, rtol, scale_of(fine))


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("rho", [-1.0, -0.999, -0.3, 0.0, 0.9, 0.9999, 1.0])
def test_relu_is_within_rtol_of_a_finer_result(rtol: float, rho: float) -> None:
    net, X = NeuralODE("relu", horizon=1.5), two(rho)
    fine = net.limit(Gauss(rtol=1e-11)).ntk(X)
    assert_within(net.limit(Gauss(rtol=rtol)).ntk(X), fine, rtol + 1e-11, scale_of(fine))


@pytest.mark.parametrize("name", ["softplus", "tanh", "sin", "erf", "gelu"])
def test_a_long_horizon_agrees_between_two_schemes(name: str) -> None:
    net, X = NeuralODE(name, horizon=3.0), two(0.3)
    coarse, fine = (net.limit(Gauss(nodes=nodes, steps=1)).ntk(X) for nodes in (26, 36))
    assert_within(coarse, fine, 1e-11, scale_of(fine))


def test_a_given_scheme_is_taken_as_it_is() -> None:
    """One node in one step is the midpoint rule, far from K_∞; no tolerance applies."""
    net, X = NeuralODE("erf", sigma_u=0.9, sigma_w=1.1), two(0.3)
    q = [net.sigma_u**2 * value for value in (1.0, 0.3, 1.0)]
    for steps in (1, 5):
        found = kernel(net, X, Gauss(nodes=1, steps=steps, rtol=1e-15))
        assert found == pytest.approx(midpoint_kernel(arcsine, net, steps, *q), rel=1e-13)


def test_a_given_scheme_is_taken_as_it_is_for_a_kinked_activation_too() -> None:
    net = NeuralODE("relu", sigma_w=1.1)
    found = kernel(net, two(0.3), Gauss(nodes=1, steps=5))
    assert found == pytest.approx(midpoint_kernel(arc_cosine, net, 5, 1.0, 0.3, 1.0), rel=1e-12)


@pytest.mark.parametrize("name", ["softplus", "erf", "relu"])
def test_a_tolerance_below_rounding_raises(name: str) -> None:
    with pytest.raises(AccuracyError, match="rtol=1"):
        NeuralODE(name).limit(Gauss(rtol=1e-16)).ntk(two(0.3))


def test_a_tolerance_that_its_steps_cannot_reach_raises_and_says_what_was_reached() -> None:
    with pytest.raises(AccuracyError, match=r"rtol=1e-12 was asked for") as caught:
        NeuralODE("erf", horizon=3.0).limit(Gauss(nodes=1, rtol=1e-12)).ntk(two(0.3))
    assert caught.value.reached is not None
    assert 1e-12 < caught.value.reached < 1


@pytest.mark.parametrize("size", [1e20, 1e100])
@pytest.mark.parametrize("name", ["softplus", "gelu", "elu"])
def test_a_norm_that_is_out_of_reach_raises_instead_of_a_wrong_number(name: str, size: float) -> None:
    with pytest.raises((AccuracyError, ValueError)):
        NeuralODE(name).limit().ntk(size * two(0.3))


def test_a_norm_at_which_rounding_shows_raises() -> None:
    """For erf D is of the order of 1/|x|, at the mercy of the rounding of S = |x|² + O(1): 4e-10 of K_∞ at 1e8."""
    with pytest.raises(AccuracyError):
        NeuralODE("erf").limit().ntk(np.asarray([[1e8, 0.0]]))


@pytest.mark.parametrize("sigma_u", [30.0, 300.0])
def test_erf_at_a_large_variance_and_a_small_angle_is_right_or_refused(sigma_u: float) -> None:
    """The value at 300 is known from a Goursat solver in multiple precision: 165.0099171456787."""
    X, Y = np.asarray([[1.0, 0.0]]), np.asarray([[math.cos(2e-3), math.sin(2e-3)]])
    limit = NeuralODE("erf", sigma_u=sigma_u).limit()
    if sigma_u == 300:
        with pytest.raises(AccuracyError, match="double precision"):
            limit.ntk(X, Y)
    else:
        assert limit.ntk(X, Y).shape == (1, 1)


@pytest.mark.parametrize("name", ["erf", "elu"])
def test_kernels_of_tiny_inputs_scale_with_them_or_are_refused(name: str) -> None:
    """For |x| → 0 beside a fixed x̄ the kernel is linear in |x|: φ(h(x)) − φ(0) is."""
    limit, y = NeuralODE(name).limit(), 3 * two(0.3)[1:]
    one, other = (limit.ntk(np.asarray([[size, 0.0]]), y)[0, 0] / size for size in (1e-8, 1e-60))
    assert one == pytest.approx(other, rel=1e-7)
    with pytest.raises(ValueError, match="norm 0 or above 1e-70"):
        limit.ntk(np.asarray([[1e-100, 0.0]]), y)


def test_a_variance_that_only_grows_is_out_of_reach_and_does_not_blow_up() -> None:
    """φ(z) = z without its constants: nothing tells it from a function that grows faster."""
    own = Activation(lambda z: 1 * z, np.ones_like, name="own identity")
    with pytest.raises(AccuracyError):
        NeuralODE(own, horizon=130).limit().ntk(np.ones((1, 1)))


# ---------------------------------------------------------------------------------------------- blow-up

QUADRATIC_BLOW_UP = (
    1.9302  # ± 0.0002, T* at σ_w σ_u |x| = 1: 64 nodes a step reach 1.92575, 1.92788, 1.92900 on 1, 2, 4 steps
)


@given(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.5, 2), st.floats(1.05, 5))
@settings(max_examples=4)
def test_the_quadratic_limit_blows_up_at_its_time(sigma_u: float, sigma_w: float, norm: float, beyond: float) -> None:
    blow_up = QUADRATIC_BLOW_UP / (sigma_w * sigma_u * norm)
    net = NeuralODE("quadratic", beyond * blow_up, sigma_u=sigma_u, sigma_w=sigma_w)
    with pytest.raises(BlowUpError, match="escapes to infinity") as caught:
        net.limit().ntk(norm * np.asarray([[0.6, 0.8], [0.0, 0.1]]))
    assert 0.98 * blow_up <= caught.value.time <= 1.0001 * blow_up


@pytest.mark.parametrize("share", [0.9975, 0.9995])
def test_just_below_the_blow_up_time_the_quadratic_limit_is_out_of_reach_and_not_gone(share: float) -> None:
    with pytest.raises(AccuracyError):
        NeuralODE("quadratic", share * QUADRATIC_BLOW_UP).limit().ntk(np.asarray([[0.6, 0.8]]))


@pytest.mark.parametrize(
    ("horizon", "truth"),
    [(1.5, None), (1.8, None), (1.85, 391898.1605217), (1.9, 24963053.7112)],
)
def test_below_the_blow_up_time_the_quadratic_limit_exists(horizon: float, truth: float | None) -> None:
    """Above that it may be too steep for the tolerance, but it does not blow up; 256 nodes have it to 12 digits."""
    net, X = NeuralODE("quadratic", horizon), two(1.0)
    fine = kernel(net, X, Gauss(nodes=16, steps=16))
    assert truth is None or fine == pytest.approx(truth, rel=1e-11)
    try:
        found = kernel(net, X)
    except AccuracyError:
        assert horizon > 1.82
    else:
        assert found == pytest.approx(fine, rel=1e-11)


def test_a_resnet_of_quadratic_activations_is_finite_beyond_the_blow_up_time() -> None:
    net = NeuralODE("quadratic", horizon=2.5)
    assert kernel(net, two(0.3), Euler(3)) == pytest.approx(resnet_recursion(net, 3, 1.0, 0.3, 1.0), rel=1e-11)


def test_an_activation_of_unknown_lipschitz_constant_does_not_blow_up() -> None:
    own = Activation(np.sin, np.cos, name="own sine", parity="odd")
    assert own.lipschitz == math.inf
    with pytest.raises(AccuracyError):
        NeuralODE(own, horizon=20.0).limit().ntk(two(0.3))


# --------------------------------------------------------------------------------- dtypes, libraries, errors


@pytest.mark.parametrize("name", ["softplus", "erf", "relu"])
def test_single_precision_is_the_rounded_double_result(name: str) -> None:
    X = two(0.3, 1.0, 0.5).astype(np.float32)
    limit = NeuralODE(name).limit()
    for function in (limit.ntk, limit.nngp):
        found = function(X)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, function(X.astype(float)).astype(np.float32))
        assert function(X, X.astype(float)).dtype == np.float64
    fields = limit.fields(*X)
    assert {getattr(fields, field.name).dtype for field in dataclasses.fields(fields)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
def test_integers_count_as_double_precision(dtype: Any) -> None:
    X = np.asarray([[1, 0], [1, 1]], dtype)
    found = NeuralODE("erf").limit().ntk(X)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, NeuralODE("erf").limit().ntk(X.astype(float)))


@pytest.mark.parametrize(("name", "N"), [("erf", 3), ("erf", MANY), ("relu", 3), ("relu", MANY), ("softplus", 3)])
def test_every_library_gives_the_same_kernels_in_its_own_kind(xp: Any, name: str, N: int) -> None:
    X = sphere(N, 2, seed=4)
    X[2] = X[1]
    ours, limit = xp.asarray(X), NeuralODE(name).limit()
    pairs = [(limit.ntk(ours), limit.ntk(X)), (limit.ntk(ours[:2, :], ours), limit.ntk(X[:2], X))]
    pairs += [(limit.nngp(ours), limit.nngp(X)), (limit.ntk(ours[:0, :]), limit.ntk(X[:0]))]
    if N == 3:
        fields, expected = limit.fields(ours[0, :], ours[1, :]), limit.fields(X[0], X[1])
        pairs += [(getattr(fields, f.name), getattr(expected, f.name)) for f in dataclasses.fields(fields)]
    for found, truth in pairs:
        assert type(found) is type(ours)
        assert found.dtype == xp.float64
        assert_within(to_host(found), truth, 1e-13, max(1.0, np.max(np.abs(truth), initial=0.0)))


@pytest.mark.parametrize(
    ("X", "X2", "error", "message"),
    [
        (np.ones(2), None, ValueError, r"X\[None\]"),
        (np.ones((1, 2)), np.ones(2), ValueError, r"X2\[None\]"),
        (np.ones((1, 2)), np.ones((1, 3)), ValueError, r"X2 must have d = 2 columns like X, got shape \(1, 3\)"),
        (np.ones((1, 0)), None, ValueError, "d ≥ 1"),
        (np.ones((1, 2, 3)), None, ValueError, r"\(N, d\)"),
        (np.asarray([[np.nan, 1.0]]), None, ValueError, "X must be finite"),
        (np.ones((1, 2)), np.asarray([[np.inf, 1.0]]), ValueError, "X2 must be finite"),
        (np.ones((1, 2), complex), None, TypeError, "X must hold float64, float32 or integers, got dtype complex128"),
        (np.ones((1, 2)), np.ones((1, 2), complex), TypeError, "X2 must hold"),
        (np.ones((1, 2), bool), None, TypeError, "got dtype bool"),
        (np.ones((1, 2), np.float16), None, TypeError, "got dtype float16"),
        ([[1.0, 2.0]], None, TypeError, "X must come from"),
        (np.ones((1, 2)), [[1.0, 2.0]], TypeError, "X2 must come from"),
        (1e160 * np.ones((1, 2)), None, ValueError, "norm below"),
        (np.ones((1, 2)), 1e160 * np.ones((1, 2)), ValueError, "norm below"),
    ],
)
def test_bad_inputs_raise_and_are_named(X: Any, X2: Any, error: type[Exception], message: str) -> None:
    for name in ("erf", "relu"):
        limit = NeuralODE(name).limit()
        for function in (limit.ntk, limit.nngp):
            with pytest.raises(error, match=message):
                function(X, X2)


def test_arrays_of_different_libraries_raise() -> None:
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="mixture"):
        NeuralODE("erf").limit().ntk(np.ones((1, 2)), strict.ones((1, 2)))


@pytest.mark.parametrize(
    ("net", "X"),
    [
        (NeuralODE("quadratic"), 1e100 * np.ones((1, 2))),
        (NeuralODE("erf", sigma_u=1e10), 1e149 * np.ones((1, 2))),
        (NeuralODE("relu", sigma_u=1e160), np.ones((1, 2))),
        (NeuralODE("erf", sigma_v=1e160), np.ones((1, 2))),
        (NeuralODE("erf", sigma_w=1e160), np.ones((1, 2))),
    ],
)
def test_what_overflows_raises_without_a_warning_or_nan(net: NeuralODE, X: Any) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        net.limit().ntk(X)


@pytest.mark.parametrize(
    ("solver", "error", "message"),
    [
        (refimpl.SolveIVP(), TypeError, "solver must be Gauss, Euler or None"),
        (Gauss, TypeError, "solver must be"),
        ("gauss", TypeError, "solver must be"),
        (Euler(3, shared=False), ValueError, "shared weights"),
    ],
)
def test_another_solver_raises(solver: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NeuralODE().limit(solver)


@pytest.mark.parametrize(
    ("x", "x2", "error", "message"),
    [
        (np.ones((1, 2)), np.ones(2), ValueError, r"x must have shape \(d,\), got \(1, 2\)"),
        (np.ones(2), np.ones((1, 2)), ValueError, r"x2 must have shape \(d,\)"),
        (np.ones(2), np.ones(3), ValueError, "x2 must have d = 2 columns like x"),
        (np.asarray([np.nan, 1]), np.ones(2), ValueError, "x must be finite"),
        (np.ones(2, complex), np.ones(2), TypeError, "x must hold"),
        ([1.0], np.ones(1), TypeError, "x must come from"),
    ],
)
def test_bad_inputs_of_fields_raise_and_are_named(x: Any, x2: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NeuralODE("erf").limit().fields(x, x2)


def test_limits_are_values() -> None:
    net = NeuralODE("erf")
    assert net.limit() == Limit(net)
    assert net.limit(Euler(2)) == net.limit(Euler(2)) != net.limit(Euler(3))
    assert hash(net.limit()) == hash(Limit(net))


# ------------------------------------------------------------------------------------------ your own activation


def softened(beta: float) -> Activation:
    """log(1 + exp(βz))/β."""
    return Activation(
        lambda z: np.logaddexp(0.0, beta * z) / beta,
        lambda z: 1 / (1 + np.exp(-beta * z)),
        name=f"softplus, beta = {beta:g}",
        lipschitz=1.0,
        dlipschitz=beta / 4,
    )


@given(cosines, norms)
@settings(max_examples=5)
def test_softplus_of_another_sharpness_is_softplus_in_other_units(rho: float, norm: float) -> None:
    """βh follows the softplus network of input scale β σ_u, and f is 1/β times its output."""
    beta, X = 2.0, two(rho, 0.6, 0.6 * norm)
    own = NeuralODE(softened(beta), sigma_w=0.8).limit().ntk(X)
    builtin = NeuralODE("softplus", sigma_u=beta, sigma_w=0.8).limit().ntk(X) / beta**2
    # K_v and K_W scale with f², and K_U with f² too since U enters as β σ_u U
    assert_within(own, builtin, 2 * RTOL, scale_of(own))


@pytest.mark.parametrize("solver", [None, Euler(5)], ids=["builtin default", "depth 5"])
def test_a_copy_of_a_builtin_activation_without_its_closed_form_agrees_with_it(solver: Any) -> None:
    own = Activation(np.sin, np.cos, name="own sine", lipschitz=1.0, dlipschitz=1.0, parity="odd")
    X = two(0.3, 1.0, 1.2)
    expected = NeuralODE("sin").limit(solver).ntk(X)
    assert_within(NeuralODE(own).limit(solver).ntk(X), expected, 2 * RTOL, scale_of(expected))


ABS = Activation(np.abs, np.sign, name="abs", lipschitz=1.0, parity="even", kinks=(0.0,), homogeneous=True)


def absolute_resnet(net: NeuralODE, depth: int, rho: float) -> float:
    """The recursion of `resnet_recursion` for |z|, from the closed form of its dual."""
    PLAIN["abs"] = (lambda s1, s2, c: float(absolute(s1, s2, c)[0]), lambda s1, s2, c: float(absolute(s1, s2, c)[1]))
    try:
        return resnet_recursion(net, depth, 1.0, rho, 1.0)
    finally:
        del PLAIN["abs"]


@pytest.mark.parametrize("rho", [0.3, -0.9, 1.0])
def test_a_kinked_activation_of_your_own_agrees_with_its_closed_form_at_finite_depth(rho: float) -> None:
    net = NeuralODE(ABS, horizon=0.8)
    found = net.limit(Euler(3)).ntk(two(rho))
    expected = absolute_resnet(net, 3, rho)
    assert_within(found[0, 1], expected, 1e-11, found[0, 0])


@pytest.mark.parametrize("rho", [0.3, 1.0])
def test_a_kinked_activation_of_your_own_agrees_with_its_closed_form_in_the_continuum(rho: float) -> None:
    """To the default rtol, or it raises `AccuracyError`."""
    net = NeuralODE(ABS, horizon=0.8)
    truth, correction = romberg([midpoint_kernel(absolute, net, 16 << k, 1.0, rho, 1.0) for k in range(6)])
    scale, more = romberg([midpoint_kernel(absolute, net, 16 << k, 1.0, 1.0, 1.0) for k in range(4)])
    assert max(correction, more) <= 1e-8
    try:
        found = kernel(net, two(rho))
    except AccuracyError:
        return
    assert abs(found - truth) <= (KINKED_RTOL + 1e-8) * scale


@pytest.mark.parametrize("solver", [None, Gauss(), Euler(3)], ids=repr)
def test_a_kink_away_from_zero_raises(solver: Any) -> None:
    shifted = Activation(
        lambda z: np.maximum(z - 1, 0), lambda z: (z > 1) * 1.0, name="shifted", lipschitz=1.0, kinks=(1.0,)
    )
    with pytest.raises(AccuracyError, match="shifted"):
        NeuralODE(shifted).limit(solver).ntk(two(0.3))


def test_an_undeclared_kink_is_noticed() -> None:
    """|z| without `kinks`: the Hermite expansion converges algebraically, and says so."""
    with pytest.raises(AccuracyError, match="undeclared"):
        NeuralODE(Activation(np.abs, np.sign, name="undeclared", lipschitz=1.0)).limit().ntk(two(0.3))


def test_builtin_activations_all_have_a_limit() -> None:
    X = two(0.5, 0.8, 0.8)
    for name in activations.BUILTIN:
        gram = NeuralODE(name, horizon=0.5).limit().ntk(X)
        assert np.isfinite(gram).all()
        assert np.linalg.eigvalsh(gram)[0] > 0 or name == "cos"
