"""K_∞ on the sphere of one norm: the curve, its coefficients, and whether its error estimate is honest."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from numpy.polynomial import chebyshev

from refimpl import AccuracyError, Euler, Gauss, NeuralODE
from refimpl.backend import to_host
from refimpl.infinite.inputs import LARGEST_NORM
from refimpl.infinite.sphere import (
    SphereKernel,
    chebyshev_coefficients,
    interpolate_in_rho,
    interpolate_in_theta,
    lobatto_points,
)

EPS = float(np.finfo(float).eps)
CHEAP = ["erf", "gelu", "sin", "cos", "quadratic", "identity"]

cosines = st.one_of(st.floats(-1, 1), st.sampled_from([-1.0, 0.0, 1.0]))
# cos θ with θ spread over all scales at both ends of the curve
extreme = st.builds(lambda e, sign: sign * math.cos(10.0**e), st.floats(-6, 0.19), st.sampled_from([1.0, -1.0]))


def direct(net: NeuralODE, radius: float, rho: Any, solver: Any = None) -> Any:
    """K(ρ) without the curve."""
    rho = np.asarray(rho)
    x = np.asarray([[radius, 0.0]])
    return net.limit(solver).ntk(x, radius * np.stack([rho, np.sqrt((1 - rho) * (1 + rho))], axis=-1))[0]


@pytest.fixture(scope="module")
def softplus() -> SphereKernel:
    return NeuralODE("softplus").limit().on_sphere()


@pytest.fixture(scope="module")
def relu() -> SphereKernel:
    return NeuralODE("relu").limit().on_sphere()


@given(st.sampled_from(CHEAP), st.floats(0.3, 1.4), st.floats(0.3, 1.1), st.lists(cosines, min_size=1, max_size=8))
@settings(max_examples=25)
def test_the_error_estimate_covers_the_true_error(name: str, horizon: float, radius: float, rho: list[float]) -> None:
    net = NeuralODE(name, horizon)
    curve = net.limit().on_sphere(radius)
    truth = direct(net, radius, rho, Gauss(nodes=32, steps=2))
    assert np.abs(curve(np.asarray(rho)) - truth).max() <= curve.error <= 1e-11 * curve(1.0)


@given(st.lists(cosines, min_size=1, max_size=8))
@settings(max_examples=10)
def test_the_error_estimate_covers_the_true_error_for_softplus(softplus: SphereKernel, rho: list[float]) -> None:
    truth = direct(NeuralODE("softplus"), 1.0, rho, Gauss(nodes=32, steps=1))
    assert np.abs(softplus(np.asarray(rho)) - truth).max() <= softplus.error


@given(st.lists(st.one_of(cosines, extreme), min_size=1, max_size=8))
@settings(max_examples=20)
def test_the_error_estimate_covers_the_true_error_for_relu(relu: SphereKernel, rho: list[float]) -> None:
    truth = direct(NeuralODE("relu"), 1.0, rho)  # itself within rtol, which the estimate counts once
    assert np.abs(relu(np.asarray(rho)) - truth).max() <= 2 * relu.error


@pytest.mark.parametrize("rtol", [1e-3, 1e-6])
@pytest.mark.parametrize("name", ["gelu", "relu"])
def test_a_loose_tolerance_gives_a_curve_that_knows_it(name: str, rtol: float) -> None:
    net, rho = NeuralODE(name), np.linspace(-1, 1, 101)
    curve = net.limit(Gauss(rtol=rtol)).on_sphere()
    assert np.abs(curve(rho) - direct(net, 1.0, rho)).max() <= curve.error <= 5 * rtol * curve(1.0)


@pytest.mark.slow  # 10 s
@pytest.mark.parametrize("name", ["elu", "leaky_relu", "tanh"])
def test_the_error_estimate_covers_the_true_error_for_the_others(name: str) -> None:
    net = NeuralODE(name, 1.0)
    curve = net.limit().on_sphere(0.8)
    rho = np.concatenate([np.linspace(-1, 1, 41), np.cos(10.0 ** np.linspace(-5, 0, 21))])
    assert np.abs(curve(rho) - direct(net, 0.8, rho)).max() <= 2 * curve.error


@pytest.mark.parametrize("depth", [1, 2, 7, 32])
@pytest.mark.parametrize("name", ["gelu", "relu", "leaky_relu"])
def test_the_curve_of_a_resnet(name: str, depth: int) -> None:
    net, rho = NeuralODE(name, 0.9), np.linspace(-1, 1, 31)
    curve = net.limit(Euler(depth)).on_sphere(0.7)
    assert np.abs(curve(rho) - direct(net, 0.7, rho, Euler(depth))).max() <= curve.error <= 1e-8


@pytest.mark.parametrize("horizon", [0.1, 3.0])
def test_relu_has_a_curve_at_short_and_long_horizons(horizon: float) -> None:
    net, rho = NeuralODE("relu", horizon), np.linspace(-1, 1, 9)
    curve = net.limit().on_sphere()
    assert np.abs(curve(rho) - direct(net, 1.0, rho)).max() <= 2 * curve.error


@given(st.sampled_from(["relu", "identity"]), st.floats(1e-3, 1e3))
@settings(max_examples=3)
def test_a_homogeneous_activation_scales_with_the_squared_radius(name: str, radius: float) -> None:
    limit, rho = NeuralODE(name, 0.7).limit(), np.linspace(-0.99, 0.99, 7)
    curve, unit = limit.on_sphere(radius), limit.on_sphere()
    assert curve.radius == radius
    assert np.abs(curve(rho) / radius**2 - unit(rho)).max() <= 2 * unit.error


def test_the_coefficients_are_the_curve(softplus: SphereKernel) -> None:
    rho = np.linspace(-1, 1, 33)
    assert softplus.variable == "rho"
    np.testing.assert_array_equal(softplus.breaks, [-1, 1])
    assert softplus.coefficients.ndim == 2
    expected = chebyshev.chebval(rho, softplus.coefficients[0])
    np.testing.assert_allclose(softplus(rho), expected, rtol=0, atol=64 * EPS * softplus(1.0))


def test_the_coefficients_of_a_kinked_activation_are_the_curve_in_theta(relu: SphereKernel) -> None:
    assert relu.variable == "theta"
    assert relu.coefficients.shape[0] == len(relu.breaks) - 1
    np.testing.assert_allclose(relu.breaks[[0, -1]], [0, math.pi], rtol=EPS)
    assert (np.diff(relu.breaks) > 0).all()
    for low, high, row in zip(relu.breaks, relu.breaks[1:], relu.coefficients, strict=False):
        u = np.linspace(-0.9, 0.9, 5)
        theta = (low + high) / 2 + (high - low) / 2 * u
        # cos and back costs eps/θ in θ, with |dK/dθ| < 1; on the first panel that is 1e-11
        atol = 256 * EPS + 4 * EPS / np.minimum(theta, math.pi - theta)
        assert (np.abs(relu(np.cos(theta)) - chebyshev.chebval(u, row)) <= atol).all()


def test_the_identity_is_a_line() -> None:
    curve = NeuralODE("identity").limit().on_sphere(2.0)
    coefficients = curve.coefficients[0]
    assert np.abs(np.delete(coefficients, 1)).max() <= 16 * EPS * coefficients[1]
    assert curve(0.5) == pytest.approx(coefficients[1] / 2, rel=16 * EPS)


@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 3), (1, 0, 2)])
@pytest.mark.parametrize("fixture", ["softplus", "relu"])
def test_arrays_of_any_shape_are_taken_elementwise(fixture: str, shape: tuple[int, ...], request: Any) -> None:
    curve = request.getfixturevalue(fixture)
    rho = np.linspace(-1, 1, max(1, math.prod(shape)))[: math.prod(shape)].reshape(shape)
    values = curve(rho)
    assert np.shape(values) == shape
    np.testing.assert_array_equal(np.ravel(values), [curve(float(r)) for r in rho.ravel()])


def test_numbers_give_floats(softplus: SphereKernel, relu: SphereKernel) -> None:
    for curve in (softplus, relu):
        for rho in (0.5, np.float64(0.5), 1, -1, 0):
            assert type(curve(rho)) is float
    assert type(softplus.error) is float
    assert type(relu.error) is float
    assert softplus.error <= 1e-11


def test_integers_count_as_double_precision(softplus: SphereKernel, relu: SphereKernel) -> None:
    for curve in (softplus, relu):
        values = curve(np.asarray([-1, 0, 1]))
        assert values.dtype == np.float64
        np.testing.assert_array_equal(values, curve(np.asarray([-1.0, 0.0, 1.0])))


def test_single_precision_stays_single(softplus: SphereKernel) -> None:
    rho = np.asarray([0.25, -1, 1], np.float32)
    values = softplus(rho)
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values, softplus(rho.astype(float)).astype(np.float32))


def test_every_library_gives_the_same_curve(xp: Any, softplus: SphereKernel, relu: SphereKernel) -> None:
    rho = np.asarray([[-1.0, -0.9999, 0.0], [0.3, 0.999999, 1.0]])
    for curve in (softplus, relu):
        found = curve(xp.asarray(rho))
        assert type(found) is type(xp.asarray(rho))
        np.testing.assert_allclose(to_host(found), curve(rho), rtol=1e-13)


@pytest.mark.parametrize("fixture", ["softplus", "relu"])
@pytest.mark.parametrize("rho", [1.1, -1.0001, math.nan, math.inf, np.asarray([0.0, 2.0]), np.asarray([math.nan])])
def test_rho_outside_the_curve_raises(fixture: str, rho: Any, request: Any) -> None:
    with pytest.raises(ValueError, match=r"rho must lie in \[-1, 1\]"):
        request.getfixturevalue(fixture)(rho)


def test_rounding_beyond_the_ends_is_forgiven(softplus: SphereKernel, relu: SphereKernel) -> None:
    for curve in (softplus, relu):
        assert curve(1 + 2 * EPS) == curve(1.0)
        assert curve(-1 - 2 * EPS) == curve(-1.0)


@pytest.mark.parametrize("rho", [[0.3], "0.3", None, np.asarray([0.3 + 0j]), np.asarray([True])])
def test_rho_that_is_no_array_of_real_numbers_raises(softplus: SphereKernel, rho: Any) -> None:
    with pytest.raises(TypeError):
        softplus(rho)


@pytest.mark.parametrize("radius", [0.0, -1.0, math.inf, math.nan, "1", None, np.ones(1), 1j, LARGEST_NORM, 1e200])
@pytest.mark.parametrize("name", ["erf", "relu"])
def test_a_bad_radius_raises_and_is_named(name: str, radius: Any) -> None:
    with pytest.raises((ValueError, TypeError), match="radius"):
        NeuralODE(name).limit().on_sphere(radius)


def test_a_tolerance_below_rounding_raises() -> None:
    with pytest.raises(AccuracyError, match="rtol=1"):
        NeuralODE("erf").limit(Gauss(rtol=1e-16)).on_sphere()


def test_a_curve_that_is_no_polynomial_raises_and_says_what_was_reached() -> None:
    with pytest.raises(AccuracyError, match="degree 512 in ρ") as caught:
        interpolate_in_rho(lambda rho: np.abs(rho - 0.1), radius=1.0, rtol=1e-6)
    assert caught.value.reached is not None
    assert 1e-6 < caught.value.reached < 1e-1


def test_a_curve_that_is_not_smooth_inside_raises() -> None:
    with pytest.raises(AccuracyError, match="interpolation in θ") as caught:
        interpolate_in_theta(lambda rho: np.abs(rho - 0.1), radius=1.0, rtol=1e-6)
    assert caught.value.reached is not None
    assert caught.value.reached > 1e-6


def test_the_coefficients_are_those_of_the_interpolant() -> None:
    """Of random values, so that none of the coefficients is small; 17 terms of size 1."""
    values = np.random.default_rng(0).uniform(-1, 1, 17)
    np.testing.assert_allclose(
        chebyshev.chebval(lobatto_points(16), chebyshev_coefficients(values)), values, rtol=0, atol=64 * EPS
    )


@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize("interpolate", [interpolate_in_rho, interpolate_in_theta])
def test_what_was_reached_is_relative_to_the_size_of_the_curve(interpolate: Any, size: float) -> None:
    found = []
    for scale in (1.0, size):
        with pytest.raises(AccuracyError) as caught:
            interpolate(lambda rho, scale=scale: scale * np.abs(rho - 0.1), radius=1.0, rtol=1e-6)
        found.append(caught.value.reached)
    assert found[1] == pytest.approx(found[0], rel=1e-9)
    if interpolate is interpolate_in_theta:
        assert f"reaches {found[0]:.3g}" in str(caught.value)


@pytest.mark.parametrize("interpolate", [interpolate_in_rho, interpolate_in_theta])
def test_a_function_that_is_zero_has_a_curve(interpolate: Any) -> None:
    curve = interpolate(np.zeros_like, radius=1.0, rtol=1e-9)
    assert (curve(0.3), curve.error) == (0.0, 0.0)


@given(cosines, cosines)
@example(math.cos(0.9), math.cos(2.0))  # two panels: π/2 is between them
@example(math.cos(0.3), math.cos(2.0))
@settings(max_examples=30)
def test_part_of_a_curve_is_that_part(one: float, other: float) -> None:
    span = min(one, other), max(one, other)

    def function(rho: Any) -> Any:
        return 1 + (math.pi - np.arccos(rho)) * rho + np.sqrt((1 - rho) * (1 + rho))

    curve = interpolate_in_theta(function, radius=1.0, rtol=1e-9, span=span)
    low, high = curve.domain
    assert low <= span[0] + 4 * EPS
    assert high >= span[1] - 4 * EPS
    rho = np.clip(np.linspace(*span, 9), low, high)
    assert np.abs(curve(rho) - function(rho)).max() <= curve.error
    if high < 0.9:
        with pytest.raises(ValueError, match="rho must lie in"):
            curve(high + 0.05)


@pytest.mark.parametrize("gap", [0.0, EPS, 4 * EPS, 1e-13, 1e-9])
@pytest.mark.parametrize("at", [-0.5, 0.0, 0.3, 0.999])
def test_a_curve_of_next_to_no_width(at: float, gap: float) -> None:
    curve = interpolate_in_theta(lambda rho: 1 + np.arccos(rho), radius=1.0, rtol=1e-9, span=(at, at + gap))
    rho = np.clip(np.asarray([at, at + gap / 2, at + gap]), *curve.domain)
    np.testing.assert_allclose(curve(rho), 1 + np.arccos(at + gap / 2), rtol=1e-7 if gap > 1e-10 else 1e-11)


def test_plot_draws_the_curve(softplus: SphereKernel, relu: SphereKernel) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    for curve in (softplus, relu):
        axes = curve.plot()
        x, y = axes.lines[0].get_data()
        np.testing.assert_allclose([min(x), max(x)], [-1, 1])
        np.testing.assert_array_equal(y, curve(np.asarray(x)))
        assert (axes.get_xlabel(), axes.get_ylabel(), axes.get_title()) == ("ρ", "kernel", "|x| = 1")
        assert curve.plot(axes) is axes
        assert len(axes.lines) == 2
        plt.close(axes.figure)


def test_without_matplotlib_plot_says_how_to_get_it(softplus: SphereKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(ImportError, match=r"^plot needs matplotlib: pip install 'refimpl\[plot\]'$"):
        softplus.plot()
