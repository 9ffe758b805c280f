from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import erfcx, ndtr, owens_t

from refimpl import activations
from refimpl.activations import Activation
from refimpl.backend import to_host
from refimpl.errors import AccuracyError
from refimpl.infinite.closed_forms import closed_form
from refimpl.infinite.dual import dual, hermite_dual
from refimpl.infinite.hermite import _blocked_product
from refimpl.infinite.sectors import geometric_mean, sector_form
from refimpl.quadrature import gauss_legendre, radial_rule

EPS = float(np.finfo(float).eps)
ALL = list(activations.BUILTIN)
KINKED = ["relu", "leaky_relu", "elu"]
ANALYTIC = [name for name in ALL if name not in KINKED]
CLOSED = [name for name in ALL if closed_form(activations.get(name)) is not None]
CORRELATIONS = np.asarray([-1.0, -0.999999, -0.5, 0.0, 0.3, 0.999, 0.999999, 1.0])

# An oracle that shares nothing with the package: φ and φ' in multiprecision.
ORACLE: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "softplus": (lambda z: mp.log1p(mp.exp(z)), lambda z: 1 / (1 + mp.exp(-z))),
    "sigmoid": (lambda z: 1 / (1 + mp.exp(-z)), lambda z: 1 / (2 + mp.exp(z) + mp.exp(-z))),
    "tanh": (mp.tanh, lambda z: mp.sech(z) ** 2),
    "silu": (lambda z: z / (1 + mp.exp(-z)), lambda z: (1 + mp.exp(-z) * (1 + z)) / (1 + mp.exp(-z)) ** 2),
    "erf": (mp.erf, lambda z: 2 / mp.sqrt(mp.pi) * mp.exp(-z * z)),
    "gelu": (lambda z: z * mp.ncdf(z), lambda z: mp.ncdf(z) + z * mp.npdf(z)),
    "sin": (mp.sin, mp.cos),
    "cos": (mp.cos, lambda z: -mp.sin(z)),
    "quadratic": (lambda z: z * z / 2, lambda z: z),
    "identity": (lambda z: z, lambda z: mp.mpf(1)),
}


def pair(name: str, s1: Any, s2: Any, c: Any) -> tuple[float, float]:
    value, slope = dual(activations.get(name), np.asarray([s1]), np.asarray([s2])).both(np.asarray([[c]]))
    return float(value[0, 0]), float(slope[0, 0])


def scale(name: str, s1: float, s2: float) -> tuple[float, float]:
    """(E[φ(a)²] E[φ(b)²])^½ and the same for φ'."""
    first, second = pair(name, s1, s1, s1), pair(name, s2, s2, s2)
    return math.sqrt(first[0] * second[0]), math.sqrt(first[1] * second[1])


def tolerance(name: str, s1: float, s2: float, c: float, slope: float) -> tuple[float, float]:
    """Rounding: eight units of the scale, and what two of c do to value and slope (|E[φ''φ'']| ≤ sup |φ''|²).

    For φ with a kink φ'' is a Dirac mass, and the derivative of the slope is its density at (0, 0).
    """
    values, slopes = scale(name, s1, s2)
    curvature = activations.get(name).dlipschitz ** 2
    if math.isinf(curvature):
        determinant = max((math.sqrt(s1 * s2) - c) * (math.sqrt(s1 * s2) + c), EPS * s1 * s2)
        curvature = 1 / (2 * math.pi * math.sqrt(determinant))
    return 8 * EPS * values + 2 * EPS * abs(c * slope), 8 * EPS * slopes + 2 * EPS * abs(c) * curvature


def trapezoid_oracle(name: str, s1: float, s2: float, c: float, step: float) -> tuple[float, float]:
    """E[φ(a)φ(b)] and E[φ'(a)φ'(b)] by the trapezoidal rule in the plane, in 25 digits."""
    with mp.workdps(25):
        h1, h2, g = mp.sqrt(s1), mp.sqrt(s2), mp.sqrt(mp.mpf(s1) * s2)
        rho = mp.mpf(c) / g
        rest = mp.sqrt(max(0, 1 - rho * rho))
        nodes = [step * k for k in range(-int(9 / step), int(9 / step) + 1)]
        weights = [step * mp.npdf(z) for z in nodes]
        sums = []
        for f in ORACLE[name]:
            total = mp.mpf(0)
            for z, w in zip(nodes, weights, strict=True):
                if rest == 0:
                    inner = f(h2 * rho * z)
                else:
                    inner = mp.fsum(
                        v * f(h2 * (rho * z + rest * y)) for y, v in zip(nodes, weights, strict=True) if w * v > 1e-20
                    )
                total += w * f(h1 * z) * inner
            sums.append(float(total))
    return sums[0], sums[1]


def conditional_oracle(name: str, s1: float, s2: float, c: float) -> tuple[float, float]:
    """The same for the kinked φ: E over a of φ(a) E[φ(b) | a], whose inner mean is elementary; in 22 digits."""
    left = {"relu": mp.mpf(0), "leaky_relu": mp.mpf(0.01), "elu": None}[name]

    def phi(z: Any) -> Any:
        return z if z > 0 else mp.expm1(z) if left is None else left * z

    def dphi(z: Any) -> Any:
        return mp.mpf(1) if z > 0 else mp.exp(z) if left is None else left

    def mean_phi(m: Any, sd: Any) -> Any:
        if sd == 0:
            return phi(m)
        up, density = mp.ncdf(m / sd), sd * mp.npdf(m / sd)
        if left is None:
            return m * up + density + mp.exp(m + sd * sd / 2) * mp.ncdf(-m / sd - sd) - mp.ncdf(-m / sd)
        return m * up + density + left * (m * mp.ncdf(-m / sd) - density)

    def mean_dphi(m: Any, sd: Any) -> Any:
        if sd == 0:
            return dphi(m)
        tail = mp.exp(m + sd * sd / 2) * mp.ncdf(-m / sd - sd) if left is None else left * mp.ncdf(-m / sd)
        return mp.ncdf(m / sd) + tail

    with mp.workdps(22):
        h1, h2 = mp.sqrt(s1), mp.sqrt(s2)
        rho = mp.mpf(c) / (h1 * h2)
        rest = mp.sqrt(max(0, 1 - rho * rho))
        layer = [k * rest / abs(rho) for k in (0.3, 1, 3, 8)] if rho != 0 else []
        points = sorted({mp.mpf(0), *(mp.mpf(k) for k in (1, 2, 4, 8, 13)), *(k for k in layer if k < 13)})
        points = sorted({*points, *(-p for p in points)})
        value = mp.quad(
            lambda z: phi(h1 * z) * mean_phi(h2 * rho * z, h2 * rest) * mp.npdf(z), points, method="gauss-legendre"
        )
        slope = mp.quad(
            lambda z: dphi(h1 * z) * mean_dphi(h2 * rho * z, h2 * rest) * mp.npdf(z), points, method="gauss-legendre"
        )
    return float(value), float(slope)


def covariance(s1: float, s2: float, rho: float) -> float:
    return float(rho * geometric_mean(np, np.asarray(s1), np.asarray(s2)))


@pytest.mark.parametrize("name", ANALYTIC)
@pytest.mark.parametrize(("s1", "s2", "rho"), [(0.3, 2.0, -0.7), (1.7, 0.9, 0.999), (0.7, 0.7, 1.0)])
def test_analytic_duals_equal_multiprecision_quadrature(name: str, s1: float, s2: float, rho: float) -> None:
    c = covariance(s1, s2, rho)
    # Aliasing: exp(−2π d/step) with d = (π/2)/√s the distance of the nearest pole, but for powers of 2π/step.
    expected = trapezoid_oracle(name, s1, s2, c, step=0.125 if name == "tanh" else 0.2)
    tolerances = tolerance(name, s1, s2, c, expected[1])
    for got, want, allowed in zip(pair(name, s1, s2, c), expected, tolerances, strict=True):
        assert abs(got - want) <= allowed


@pytest.mark.parametrize("name", KINKED)
@pytest.mark.parametrize("rho", [-1.0, -0.5, 0.3, 0.999999])
@pytest.mark.parametrize(("s1", "s2"), [(1e-6, 1e-6), (3.0, 0.2), (25.0, 25.0)])
def test_kinked_duals_equal_multiprecision_quadrature(name: str, s1: float, s2: float, rho: float) -> None:
    c = covariance(s1, s2, rho)
    expected = conditional_oracle(name, s1, s2, c)
    tolerances = tolerance(name, s1, s2, c, expected[1])
    for got, want, allowed in zip(pair(name, s1, s2, c), expected, tolerances, strict=True):
        assert abs(got - want) <= allowed


@pytest.mark.parametrize("s", [1e-10, 1e-4, 1.0, 30.0, 1e4, 1e6])
def test_slope_of_elu_is_the_one_from_owens_t(s: float) -> None:
    # D = P(+, +) + 2 E[exp(b); a > 0 > b] + E[exp(a + b); a, b < 0] at ρ = 0: products of erfc, at every variance.
    _, slope = pair("elu", s, s, 0.0)
    half = 0.5 * erfcx(math.sqrt(s / 2))
    assert abs(slope - (0.5 + half) ** 2) <= 8 * EPS
    # At ρ ≠ 0 with Owen's T, which loses exp(s/2) of its digits.
    if s <= 1:
        rho, q = 0.6, 0.8
        h = math.sqrt(s)
        wedge = 0.5 * (ndtr(rho * h) + ndtr(-h)) + owens_t(rho * h, q / rho) - 0.5
        mixed = math.exp(s / 2) * wedge
        both = math.exp(s * (1 + rho)) * bivariate_normal(-h * (1 + rho), rho)
        expected = 0.25 + math.asin(rho) / (2 * math.pi) + 2 * mixed + both
        assert abs(pair("elu", s, s, rho * s)[1] - expected) <= 32 * EPS * math.exp(s)


def bivariate_normal(h: float, rho: float) -> float:
    """P(a, b < h) for unit variances and correlation ρ (Owen 1956)."""
    return float(ndtr(h) - 2 * owens_t(h, math.sqrt((1 - rho) / (1 + rho))))


@pytest.mark.parametrize("name", KINKED)
def test_closed_forms_with_a_kink_equal_the_sector_quadrature(name: str) -> None:
    s = np.asarray([0.0, 1e-3, 0.4, 3.0])
    g = geometric_mean(np, s[:, None], s)
    c = CORRELATIONS[:, None, None] * g
    values, slopes = scales(name, s)
    expected = dual(activations.get(name), s, s).both(c)
    got = sector_form(activations.get(name), 1e-15)(s[:, None], s, c)
    # √(s₁s₂ − c²) and the angle are computed alike in both; the rule promises 16 eps, the elu form √(3/1e-3) of them.
    assert np.all(np.abs(got[0] - expected[0]) <= 64 * EPS * values)
    assert np.all(np.abs(got[1] - expected[1]) <= 16 * EPS * slopes)


def scales(name: str, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`scale` for all pairs of the variances."""
    value, slope = (np.sqrt(np.diagonal(part)) for part in dual(activations.get(name), s, s).both(np.diag(s)))
    return value[:, None] * value, slope[:, None] * slope


@pytest.mark.parametrize("name", [name for name in CLOSED if name not in KINKED])
@pytest.mark.parametrize("few", [3, 6])
def test_hermite_expansion_equals_the_closed_form(name: str, few: int) -> None:
    s = np.asarray([0.0, 1e-8, 0.1, 1.0, 5.0, 20.0])
    c = CORRELATIONS[:, None, None] * geometric_mean(np, s[:few, None], s)
    values, slopes = (full[:few] for full in scales(name, s))
    closed, series = (make(activations.get(name), s[:few], s).both(c) for make in (dual, hermite_dual))
    # Truncation 1e-15/4 and rounding; two units of c move the slope by sup |φ''|² |c| at most.
    moved = 3 * EPS * np.abs(c)
    assert np.all(np.abs(series[0] - closed[0]) <= 8 * EPS * values + moved * np.abs(closed[1]))
    assert np.all(np.abs(series[1] - closed[1]) <= 8 * EPS * slopes + moved * activations.get(name).dlipschitz ** 2)


@pytest.mark.parametrize("name", ALL)
def test_slope_is_the_derivative_of_the_value(name: str) -> None:
    s1, s2, c, h = np.asarray([1.3]), np.asarray([0.8]), 0.45, 1e-2
    moments = dual(activations.get(name), s1, s2)
    shifts = np.asarray([-4, -2, -1, 1, 2, 4])
    v = moments.value((c + h * shifts)[:, None, None])[:, 0, 0]
    d1, d2, d4 = ((v[3 + k] - v[2 - k]) / (2 * h * 2**k) for k in range(3))
    # Two Richardson steps leave O(h⁶) with the seventh derivative of Σ, below 6! (g − c)⁻⁶ g for all of them.
    richardson = (64 * d1 - 20 * d2 + d4) / 45
    g = math.sqrt(1.3 * 0.8)
    remainder = 64 / math.factorial(7) * h**6 * math.factorial(6) * (g - c) ** -6
    rounding = 2 * 8 * EPS * scale(name, 1.3, 0.8)[0] / h
    assert abs(richardson - moments.slope(np.asarray([[c]]))[0, 0]) <= remainder + rounding


variances = st.just(0.0) | st.floats(1e-30, 4.0)
correlations = st.floats(-1.0, 1.0)


@pytest.mark.parametrize("name", ALL)
@settings(max_examples=20)
@given(s1=variances, s2=variances, rho=correlations)
def test_duals_are_finite_symmetric_and_obey_cauchy_schwarz(name: str, s1: float, s2: float, rho: float) -> None:
    c = covariance(s1, s2, rho)
    forward, backward = pair(name, s1, s2, c), pair(name, s2, s1, c)
    for moment, mirrored, bound in zip(forward, backward, scale(name, s1, s2), strict=True):
        # The elu form loses √(s₁/s₂): an absolute error of 8 eps of the larger variance.
        allowed = 16 * EPS * (bound + max(s1, s2))
        assert abs(moment) <= bound + allowed
        assert abs(moment - mirrored) <= allowed


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("seed", range(3))
def test_gram_matrices_of_duals_are_positive_semidefinite(name: str, seed: int) -> None:
    factor = np.random.default_rng(seed).standard_normal((6, 3))  # rank 3: some directions are exact null directions
    gram = factor @ factor.T
    s = np.diagonal(gram).copy()
    for moment in dual(activations.get(name), s, s).both(gram):
        noise = 64 * EPS * np.trace(moment)
        assert np.linalg.eigvalsh(0.5 * (moment + moment.T))[0] >= -noise


@pytest.mark.parametrize("name", [name for name in ALL if activations.get(name).parity])
def test_parity_of_the_activation_is_exact_in_the_dual(name: str) -> None:
    s1, s2 = np.asarray([0.5, 2.0]), np.asarray([1.0])
    c = np.asarray([[0.3], [-1.1]])
    sign = 1 if activations.get(name).parity == "even" else -1
    for make in (dual, hermite_dual):
        (value, slope), (mirrored, mirrored_slope) = (make(activations.get(name), s1, s2).both(x) for x in (c, -c))
        np.testing.assert_array_equal(mirrored, sign * value)
        np.testing.assert_array_equal(mirrored_slope, -sign * slope)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "identity"])
@given(s1=st.floats(1e-3, 4.0), s2=st.floats(1e-3, 4.0), rho=correlations, power=st.integers(-8, 8))
def test_homogeneous_duals_scale_exactly_by_powers_of_four(
    name: str, s1: float, s2: float, rho: float, power: int
) -> None:
    c = covariance(s1, s2, rho)
    value, slope = pair(name, s1, s2, c)
    assert pair(name, s1 * 4.0**power, s2 * 4.0**power, c * 4.0**power) == (value * 4.0**power, slope)


@pytest.mark.parametrize("name", ALL)
def test_perfect_correlation_is_exact_for_any_variance(name: str) -> None:
    s = np.random.default_rng(0).uniform(0.1, 4.0, 50)
    x, w = gauss_legendre(160)
    z, w = 13 * x, 13 * w * np.exp(-0.5 * (13 * x) ** 2) / math.sqrt(2 * math.pi)
    phi, dphi = activations.get(name).phi, activations.get(name).dphi
    argument = np.sqrt(s)[:, None] * z
    for sign in (1, -1):
        value, slope = (np.diagonal(part) for part in dual(activations.get(name), s, s).both(np.diag(sign * s)))
        for moment, f in ((value, phi), (slope, dphi)):
            expected = (f(argument) * f(sign * argument) + f(-argument) * f(-sign * argument)) @ w
            size = (f(argument) ** 2 + f(-argument) ** 2) @ w
            assert np.all(np.abs(moment - expected) <= 16 * EPS * size + 2 * EPS * s)


@pytest.mark.parametrize("name", [name for name in ALL if activations.get(name).degree is None])
def test_covariance_beyond_its_bound_counts_as_the_bound(name: str) -> None:
    s1, s2 = np.asarray([0.7]), np.asarray([1.9])
    bound = geometric_mean(np, s1[:, None], s2)
    for beyond in (np.nextafter(bound, np.inf), 1.5 * bound):
        for sign in (1, -1):
            at, past = (dual(activations.get(name), s1, s2).both(sign * c) for c in (bound, beyond))
            np.testing.assert_array_equal(past, at)


@pytest.mark.parametrize("name", ALL)
def test_variance_zero_makes_the_variable_zero(name: str) -> None:
    activation = activations.get(name)
    x, w = gauss_legendre(160)
    z, w = 13 * x, 13 * w * np.exp(-0.5 * (13 * x) ** 2) / math.sqrt(2 * math.pi)
    zero, b = np.zeros(1), math.sqrt(1.7) * z
    value, slope = pair(name, 0.0, 1.7, 0.0)
    assert abs(value - float(activation.phi(zero)[0]) * float((activation.phi(b) + activation.phi(-b)) @ w)) <= 4 * EPS
    assert (
        abs(slope - float(activation.dphi(zero)[0]) * float((activation.dphi(b) + activation.dphi(-b)) @ w)) <= 4 * EPS
    )
    value, slope = pair(name, 0.0, 0.0, 0.0)
    assert value == pytest.approx(float(activation.phi(zero)[0]) ** 2, abs=EPS)
    assert slope == pytest.approx(float(activation.dphi(zero)[0]) ** 2, abs=2 * EPS)


@pytest.mark.parametrize("name", ["sin", "cos", "erf", "relu", "gelu", "elu"])
@pytest.mark.parametrize("s", [1e4, 1e6])
def test_closed_forms_keep_their_digits_at_large_variances(name: str, s: float) -> None:
    c = s - 2.0
    with mp.workdps(30):
        expected = {
            "sin": lambda: mp.exp(-s) * mp.sinh(c),
            "cos": lambda: mp.exp(-s) * mp.cosh(c),
            "erf": lambda: 2 / mp.pi * mp.asin(2 * mp.mpf(c) / (1 + 2 * mp.mpf(s))),
            "relu": lambda: (mp.sqrt(mp.mpf(s) ** 2 - c * c) + (mp.pi - mp.acos(mp.mpf(c) / s)) * c) / (2 * mp.pi),
            "gelu": lambda: gelu_by_price(s, c),
            "elu": lambda: mp.mpf(conditional_oracle("elu", s, s, c)[0]),
        }[name]()
    assert abs(pair(name, s, s, c)[0] - float(expected)) <= 4 * EPS * scale(name, s, s)[0]


@pytest.mark.parametrize("s", [1e4, 1e6])
def test_elu_keeps_its_digits_at_large_variances_and_perfect_correlation(s: float) -> None:
    value, slope = pair("elu", s, s, s)
    with mp.workdps(30):
        erfcx_root = mp.exp(s / 2) * mp.erfc(mp.sqrt(s / 2)) / 2, mp.exp(2 * s) * mp.erfc(mp.sqrt(2 * s)) / 2
        expected = mp.mpf(s) / 2 + erfcx_root[1] - 2 * erfcx_root[0] + 0.5, 0.5 + erfcx_root[1]
    assert value == pytest.approx(float(expected[0]), rel=4 * EPS)
    assert slope == pytest.approx(float(expected[1]), rel=4 * EPS)


def test_sin_and_cos_lose_nothing_to_the_size_of_the_variances() -> None:
    s1, s2, c = 1e6 + 0.1, 1e6 + 0.7, 1e6 - 0.3  # s₁ + s₂ alone is off by 1e-10
    with mp.workdps(30):
        decay = mp.exp(-(mp.mpf(s1) + mp.mpf(s2)) / 2)
        sinh, cosh = float(decay * mp.sinh(c)), float(decay * mp.cosh(c))
    assert pair("sin", s1, s2, c) == pytest.approx((sinh, cosh), rel=8 * EPS)
    assert pair("cos", s1, s2, c) == pytest.approx((cosh, sinh), rel=8 * EPS)


@pytest.mark.parametrize("distance", [1e-3, 1e-9, 1e-15])
@pytest.mark.parametrize("sign", [1, -1])
def test_relu_keeps_its_digits_next_to_perfect_correlation(distance: float, sign: int) -> None:
    s = 0.7
    c = sign * s * (1 - distance)
    with mp.workdps(30):
        opening = mp.pi - mp.acos(mp.mpf(c) / mp.mpf(s))
        value = (mp.sqrt(mp.mpf(s) ** 2 - mp.mpf(c) ** 2) + opening * c) / (2 * mp.pi)
    got = pair("relu", s, s, c)
    assert got[0] == pytest.approx(float(value), rel=0, abs=2 * EPS * s * float(opening))
    assert got[1] == pytest.approx(float(opening / (2 * mp.pi)), rel=4 * EPS)


def gelu_by_price(s: float, c: float) -> Any:
    """Σ(c) = Σ(0) + c D(0) + ∫₀^c (c − u) E[φ''φ''](u) du, where φ'' = (2 − z²)ϕ(z) leaves a Gaussian integral."""

    def curvature(u: Any) -> Any:
        delta = (1 + mp.mpf(s)) ** 2 - u * u
        v, k = (s * (1 + mp.mpf(s)) - u * u) / delta, u / delta  # variance and covariance tilted by ϕ(a)ϕ(b)
        return (4 - 4 * v + v * v + 2 * k * k) / (2 * mp.pi * mp.sqrt(delta))

    value = s * s / (2 * mp.pi * (1 + mp.mpf(s)))
    points = [0, *(c - s * mp.mpf(10) ** -k for k in range(1, 6) if s * 10**-k > 1), c]
    return value + c * mp.mpf(1) / 4 + mp.quad(lambda u: (c - u) * curvature(u), points)


@pytest.mark.parametrize("name", ALL)
def test_every_library_gives_the_same_numbers(xp: Any, name: str) -> None:
    s1, s2 = np.asarray([[0.0, 0.5, 1.3]]), np.asarray([[0.9, 1.3], [0.2, 0.0]])
    # Away from ±1 for a kink: there a unit of √(s₁s₂), in which libraries differ, is one of √(unit) in the angle.
    rho = np.linspace(-0.9, 0.9, 5) if name in KINKED else CORRELATIONS[[0, 1, 2, 3, 7]]
    c = rho[:, None, None, None] * geometric_mean(np, s1[..., :, None], s2[..., None, :])
    expected = dual(activations.get(name), s1, s2).both(c)
    moments = dual(activations.get(name), xp.asarray(s1), xp.asarray(s2))
    got = moments.both(xp.asarray(c))
    alone = moments.value(xp.asarray(c)), moments.slope(xp.asarray(c))
    for want, array, single in zip(expected, got, alone, strict=True):
        assert array.shape == (5, 2, 3, 2)
        assert type(array) is type(xp.asarray(c))
        # Libraries differ by a few units in exp, erf and sin alone; atan2 sees √(g − c), where none do.
        np.testing.assert_allclose(to_host(array), want, rtol=0, atol=16 * EPS)
        np.testing.assert_array_equal(to_host(array), to_host(single))


@pytest.mark.parametrize("name", ALL)
def test_float32_stays_float32_and_is_right_to_its_precision(name: str) -> None:
    s = np.asarray([0.3, 1.1], dtype=np.float32)
    c = np.asarray([[0.3, -0.2], [0.1, 0.4]], dtype=np.float32)
    exact = dual(activations.get(name), s.astype(float), s.astype(float)).both(c.astype(float))
    for got, want in zip(dual(activations.get(name), s, s).both(c), exact, strict=True):
        assert got.dtype == np.float32
        np.testing.assert_allclose(got, want, rtol=0, atol=16 * float(np.finfo(np.float32).eps))


def test_leading_axes_broadcast_and_empty_arrays_stay_empty() -> None:
    rng = np.random.default_rng(3)
    s1, s2 = rng.uniform(0.5, 1, (4, 1, 3)), rng.uniform(0.5, 1, (1, 5, 2))
    c = rng.uniform(-0.5, 0.5, (4, 5, 3, 2))
    for name in ALL:
        activation = activations.get(name)
        value, slope = dual(activation, s1, s2).both(c)
        assert value.shape == slope.shape == c.shape
        single = dual(activation, s1[2, 0], s2[0, 3]).both(c[2, 3])
        np.testing.assert_allclose((value[2, 3], slope[2, 3]), single, rtol=0, atol=8 * EPS)
        for empty in dual(activation, s1[:, :, :0], s2).both(c[:, :, :0]):
            assert empty.shape == (4, 5, 0, 2)


def test_a_looser_tolerance_takes_fewer_terms_and_keeps_its_promise() -> None:
    s = np.asarray([5.0])
    fine, coarse = (dual(activations.tanh, s, s, rtol) for rtol in (1e-15, 1e-5))
    assert 3 * coarse._phi[0].a1.shape[0] < fine._phi[0].a1.shape[0]
    c = CORRELATIONS[:, None, None] * 5.0
    for moment in ("value", "slope"):
        exact = getattr(fine, moment)(c)
        change = np.max(np.abs(getattr(coarse, moment)(c) - exact)) / np.max(np.abs(exact))
        assert 1e-9 < change < 1e-5


def test_a_users_kinked_activation_goes_through_the_sectors() -> None:
    absolute = Activation(np.abs, np.sign, name="|z|", kinks=(0.0,), parity="even")
    s1, s2, rho = np.asarray([2.0]), np.asarray([0.5]), 0.6
    value, slope = dual(absolute, s1, s2).both(np.asarray([[rho]]))
    assert value[0, 0] == pytest.approx(2 / math.pi * (0.8 + rho * math.asin(rho)), rel=16 * EPS)
    assert slope[0, 0] == pytest.approx(2 / math.pi * math.asin(rho), rel=16 * EPS)


@pytest.mark.parametrize(
    ("activation", "variance", "reason"),
    [
        (activations.tanh, 100.0, "variances up to 100: 4096 terms"),
        (activations.softplus, 1e4, "variances up to 1e"),
        (activations.elu, 1e8, "elu: a variance of 1e"),
        (Activation(lambda z: np.abs(z) ** 3, lambda z: 3 * z * np.abs(z), name="|z|³"), 1.0, "do not converge|terms"),
        (Activation(lambda z: np.maximum(z - 1, 0), lambda z: 1.0 * (z > 1), kinks=(1.0,)), 1.0, "kink at 0 only"),
        (
            Activation(lambda z: np.maximum(np.abs(z) - 1, 0), lambda z: np.sign(z) * (np.abs(z) > 1), kinks=(0.0,)),
            1.0,
            "both sides of 0",
        ),
    ],
)
def test_what_cannot_be_met_raises_and_says_why(activation: Activation, variance: float, reason: str) -> None:
    s = np.asarray([variance])
    with pytest.raises(AccuracyError, match=reason):
        dual(activation, s, s).both(0.5 * s[:, None])


@pytest.mark.parametrize(
    ("s1", "rtol", "error", "message"),
    [
        (np.asarray(1.0), 1e-15, ValueError, "s1 must have shape"),
        (np.asarray([-1e-300]), 1e-15, ValueError, "s1 must hold finite variances"),
        (np.asarray([np.nan]), 1e-15, ValueError, "s1 must hold finite variances"),
        (np.asarray([np.inf]), 1e-15, ValueError, "s1 must hold finite variances"),
        (np.asarray([1j]), 1e-15, TypeError, "s1 must hold float64"),
        ([1.0], 1e-15, TypeError, "arrays must come from"),
        (np.asarray([1.0]), 0.0, ValueError, "rtol must be > 0"),
        (np.asarray([1.0]), math.nan, ValueError, "rtol must be > 0"),
    ],
)
def test_bad_arguments_are_named(s1: Any, rtol: float, error: type[Exception], message: str) -> None:
    for name in ("relu", "tanh"):
        with pytest.raises(error, match=message):
            dual(activations.get(name), s1, np.asarray([1.0]), rtol)


def test_integer_variances_count_as_float64() -> None:
    s = np.asarray([1, 2])
    for name in ALL:
        np.testing.assert_array_equal(
            dual(activations.get(name), s, s).value(0.5 * np.eye(2)),
            dual(activations.get(name), 1.0 * s, 1.0 * s).value(0.5 * np.eye(2)),
        )


@pytest.mark.parametrize("nodes", [1, 2, 7, 24, 61, 128])
def test_gauss_legendre_integrates_powers_to_the_last_place(nodes: int) -> None:
    x, w = gauss_legendre(nodes)
    assert np.all(w > 0)
    for power in range(2 * nodes):
        # A node off by half a unit moves x^p by p/2 units, and where that matters x^p is concentrated at x ≈ 1.
        assert math.fsum(w * x**power) == pytest.approx(1 / (power + 1), rel=(2 + power / 2) * EPS)


def test_radial_rule_integrates_low_powers() -> None:
    r, w = radial_rule(40)
    for power in range(12):
        expected = 2 ** (power / 2) * math.gamma(1 + power / 2)
        assert w @ r**power == pytest.approx(expected, rel=8 * (power + 2) * EPS)


@pytest.mark.parametrize(
    ("s1", "s2", "rho"),
    [(1e-18, 1e4, 0.6), (1e-26, 9.0, -0.5), (1e-40, 1.0, 0.6), (1e-100, 4.0, 0.6), (1e-5, 1e4, 0.6), (1e-3, 1e4, -0.9),
     (9e-5, 2.0, 0.3), (1e-8, 1e-8, 0.5)],
)  # fmt: skip
def test_elu_keeps_its_digits_between_variances_of_very_different_size(s1: float, s2: float, rho: float) -> None:
    """Relative to the root of E[φ(a)²] E[φ(b)²], which for small s₁ and large s₂ is about √(s₁ s₂ / 2)."""
    with mp.workdps(60):  # beyond the 50 that tell exp(√s₁) from one
        c = rho * float(np.sqrt(s1)) * float(np.sqrt(s2))
        correlation, a, b = mp.mpf(c) / mp.sqrt(mp.mpf(s1) * mp.mpf(s2)), mp.sqrt(mp.mpf(s1)), mp.mpf(s2)

        def given_a(x: Any) -> Any:
            """φ(√s₁ x) E[φ(b) | a], with b | a ~ N(m, v)."""
            m, v = mp.sqrt(b) * correlation * x, b * (1 - correlation**2)
            root, z = mp.sqrt(v), a * x
            mean = m * mp.ncdf(m / root) + root * mp.npdf(m / root)
            mean += mp.exp(m + v / 2) * mp.ncdf(-(m + v) / root) - mp.ncdf(-m / root)
            return (z if z > 0 else mp.expm1(z)) * mean * mp.npdf(x)

        truth = float(mp.quad(given_a, [-15, -8, -4, -2, -1, 0, 1, 2, 4, 8, 15]) / (a * mp.sqrt(b)))
    found = dual(activations.elu, np.asarray([s1]), np.asarray([s2])).value(np.asarray([[c]]))[0, 0]
    assert found / np.sqrt(s1) / np.sqrt(s2) == pytest.approx(truth, abs=1e-14)


def test_elu_of_a_pair_does_not_depend_on_its_batch() -> None:
    """Tiny variances switch on a series that is no good for large ones next to them; and they share the nodes."""
    form = closed_form(activations.elu)
    assert form is not None
    s1, s2 = np.asarray([1e-8, 1e4, 1e4, 3.0, 0.05]), np.asarray([2.0, 1.0, 30.0, 2.0, 1e-6])
    c = 0.5 * np.sqrt(s1) * np.sqrt(s2)
    together = form(s1, s2, c)
    alone = [form(s1[i : i + 1], s2[i : i + 1], c[i : i + 1]) for i in range(5)]
    assert (np.abs(together[0] - [value[0] for value, _ in alone]) <= 1e-14 * np.sqrt(s1 * s2)).all()
    np.testing.assert_allclose(together[1], [slope[0] for _, slope in alone], rtol=0, atol=1e-14)


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "erf", "relu"])
@pytest.mark.parametrize("first", [[0, 0, 0], [1, 0, 1], [2, 1, 0]])
def test_duals_of_pairs_are_taken_from_those_of_all_rows(name: str, first: list[int]) -> None:
    """Also where a few small variances need fewer terms than the large ones beside them."""
    phi, s1 = activations.get(name), np.asarray([[0.1, 0.2], [4.0, 5.0], [1.0, 0.0]])
    s2, second = np.asarray([[0.3], [3.0], [0.1]]), np.asarray([0, 2, 1])
    c = 0.7 * np.sqrt(s1[first][:, :, None] * s2[second][:, None, :])
    taken, direct = dual(phi, s1, s2).take(np.asarray(first), second), dual(phi, s1[first], s2[second])
    for found, expected in zip(taken.both(c), direct.both(c), strict=True):
        np.testing.assert_allclose(found, expected, rtol=0, atol=8 * EPS * np.abs(expected).max())
    row, expected = taken.value_in_row(1, c[:, 1, :]), direct.value(c)[:, 1, :]
    np.testing.assert_allclose(row, expected, rtol=0, atol=8 * EPS * np.abs(expected).max())


class Recorded(np.ndarray):
    """An array that notes the number of multiplications of each product of matrices that it is in."""

    sizes: list[tuple[int, int, int]]

    def __array_ufunc__(self, ufunc: Any, method: str, *inputs: Any, **options: Any) -> Any:
        plain = [np.asarray(part) for part in inputs]
        if ufunc is np.matmul:
            self.sizes.append((*plain[0].shape, plain[1].shape[1]))
        return getattr(ufunc, method)(*plain, **options)

    def __array_finalize__(self, parent: Any) -> None:
        self.sizes = getattr(parent, "sizes", [])


@pytest.mark.parametrize("rows", [1, 130])
def test_coefficients_are_products_too_small_for_the_threads_of_a_blas(rows: int) -> None:
    rng = np.random.default_rng(0)
    left, right = rng.standard_normal((rows, 30)).view(Recorded), rng.standard_normal((2048, 30)).T
    found = _blocked_product(left, right)
    assert sum(math.prod(size) for size in left.sizes) == rows * 30 * 2048
    for m, k, n in left.sizes:
        assert k * n < 9216 if m == 1 else m * k * n < 2**18
    plain = np.asarray(left)
    rounding = 2 * 30 * EPS * (np.abs(plain) @ np.abs(right))  # of two sums of 30 products
    assert (np.abs(found - plain @ right) <= rounding).all()
