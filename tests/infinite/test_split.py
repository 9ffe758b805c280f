"""K_∞ of kinked activations on the split square: against closed forms, and against the extrapolated midpoint rule."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import i0, i1

from refimpl import activations
from refimpl.activations import Activation
from refimpl.errors import AccuracyError
from refimpl.infinite import split, split_equations
from refimpl.infinite.closed_forms import closed_form
from refimpl.infinite.split import solve_split
from refimpl.infinite.triangle import Triangle, triangle

CHARTS = ("diagonal", "corner")
KINKED = (activations.relu, activations.leaky_relu, activations.elu)
EPS = float(np.finfo(float).eps)
UNIT = {"horizon": 1.0, "sigma_w": 1.0, "sigma_v": 1.0}


def solve(activation: Activation, q11: Any, q12: Any, q22: Any, rtol: float = 1e-9, **network: float) -> Any:
    q11, q12, q22 = (np.array(q, dtype=float) for q in np.broadcast_arrays(q11, q12, q22))
    return solve_split(activation, q11, q12, q22, **{**UNIT, **network}, rtol=rtol)


# --- the integrals


@pytest.mark.parametrize("chart", CHARTS)
@given(powers=st.tuples(st.integers(0, 4), st.integers(0, 4)))
def test_integrals_of_polynomials_on_two_triangles_are_exact(chart: Any, powers: tuple[int, int]) -> None:
    m, n = powers  # F = t^m s^n on s ≤ t, and t^n s^m mirrored: one polynomial on the whole square
    grid = triangle(chart, 48, 16)
    t, s = grid.t, grid.s
    F = np.stack([t**m * s**n, s**m * t**n])[..., None]
    forward = np.stack([t ** (m + 1) * s ** (n + 1), s ** (m + 1) * t ** (n + 1)]) / ((m + 1) * (n + 1))
    late_m, late_n = ((lambda x, k=k: (1 - x ** (k + 1)) / (k + 1)) for k in (m, n))
    backward = np.stack([late_m(t) * late_n(s), late_m(s) * late_n(t)])
    # 48 nodes leave no truncation error; a row has 768 weights of one sign but for rounding, and sums to 1 at most.
    np.testing.assert_allclose(grid.forward(F)[..., 0], forward, rtol=0, atol=4e-15)
    np.testing.assert_allclose(grid.backward(F)[..., 0], backward, rtol=0, atol=4e-15)
    np.testing.assert_allclose(grid.total(F), 1 / ((m + 1) * (n + 1)), rtol=0, atol=4e-15)


def test_kink_on_the_diagonal_is_integrated_exactly() -> None:
    grid = triangle("diagonal", 32, 12)
    F = (grid.t - grid.s)[None, :, None]
    expected = (grid.t**3 + grid.s**3 - (grid.t - grid.s) ** 3) / 6
    np.testing.assert_allclose(grid.forward(F)[0, :, 0], expected, rtol=0, atol=2e-15)
    tau = grid.profile_nodes
    np.testing.assert_allclose(grid.profile(F)[:, 0], tau**3 / 3, rtol=0, atol=2e-15)


def test_cone_in_the_corner_is_integrated_exactly() -> None:
    grid = triangle("corner", 40, 20)
    F = np.hypot(grid.t, grid.s)[None, :, None]
    np.testing.assert_allclose(grid.total(F), (np.sqrt(2) + np.arcsinh(1)) / 3, rtol=8 * EPS)


@pytest.mark.parametrize("chart", CHARTS)
@pytest.mark.parametrize("sides", [1, 2])
def test_interpolation_takes_each_side_from_its_triangle(chart: Any, sides: int) -> None:
    grid = Triangle(chart, 48, 16)
    field = (lambda t, s: np.exp(t - s)) if sides == 2 else (lambda t, s: np.exp(-abs(t - s)))
    F = np.stack([field(grid.t, grid.s), field(grid.s, grid.t)][:sides])[..., None]
    t = np.asarray([0.0, 1e-9, 0.3, 0.3, 0.9, 1.0])
    bound = np.e * 48**2 * EPS  # rounding of ℓ_j = w_j Σ_k (2k + 1) P_k(y_j) P_k over k < 48
    np.testing.assert_allclose(grid.interpolate(F, t)[0], field(t[:, None], t[None, :]), rtol=0, atol=bound)


# --- the kernel


@given(
    coupling=st.floats(0.01, 3.0),
    horizon=st.floats(0.5, 2.0),
    rho=st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1.0, 1.0)),
    norms=st.tuples(st.floats(0.1, 3.0), st.floats(0.1, 3.0)),
)
@settings(max_examples=8)
def test_identity_activation_has_the_bessel_solution(
    coupling: float, horizon: float, rho: float, norms: tuple[float, float]
) -> None:
    q11, q22 = norms[0] ** 2, norms[1] ** 2
    q12 = rho * norms[0] * norms[1] * (1 - 4 * EPS)
    sigma_w, sigma_v = coupling / horizon, 1.3
    found = solve(activations.identity, [q11], [q12], [q22], 1e-11, horizon=horizon, sigma_w=sigma_w, sigma_v=sigma_v)
    unit = sigma_v**2 * (2 * i0(2 * coupling) + coupling * i1(2 * coupling))
    assert found.error[0] <= 1e-11
    assert abs(found.kernel[0] - q12 * unit) <= found.error[0] * unit * norms[0] * norms[1]
    t = np.asarray([0.0, 0.25, 1.0]) * horizon
    S, Sigma, P = found.at(t)
    late = horizon - t
    variance = norms[0] * norms[1] * i0(2 * coupling)
    np.testing.assert_allclose(S[0], q12 * i0(2 * sigma_w * np.sqrt(np.outer(t, t))), rtol=0, atol=1e-11 * variance)
    np.testing.assert_allclose(Sigma, S, rtol=0, atol=1e-11 * variance)
    largest = sigma_v**2 * i0(2 * coupling)
    expected = sigma_v**2 * i0(2 * sigma_w * np.sqrt(np.outer(late, late)))
    np.testing.assert_allclose(P[0], expected, rtol=0, atol=1e-11 * largest)


def arc_cosine(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    """E[φφ] and E[φ'φ'] for ReLU (Cho and Saul 2009), independent of `closed_forms`."""
    theta = np.arccos(np.clip(c / np.sqrt(s1 * s2), -1, 1))
    return np.sqrt(s1 * s2) * (np.sin(theta) + (np.pi - theta) * np.cos(theta)) / (2 * np.pi), 0.5 - theta / (2 * np.pi)


def midpoint(
    dual: Callable[..., tuple[Any, Any]], q11: float, q12: float, q22: float, steps: int, horizon: float, sigma_w: float
) -> float:
    """K_∞ for σ_v = 1 under one-node Gauss quadrature on `steps` uniform steps, on the whole square."""
    h = horizon / steps

    def twice(F: Any) -> Any:
        for axis in (0, 1):
            F = h * (np.cumsum(F, axis) - F / 2)
        return F

    def fixed(step: Callable[[Any], Any], start: Any) -> Any:
        value, change = start, np.inf
        while change > 4 * EPS * np.max(np.abs(value)):
            new = step(value)
            previous, change = change, np.max(np.abs(new - value))
            value = new
            if previous <= change <= 1e-13 * np.max(np.abs(value)):
                break
        return value

    square = np.ones((steps, steps))
    variances, ends = [], []
    for q in (q11, q22):

        def following(S: Any, q: float = q) -> Any:
            s = np.diag(S).copy()
            return q + sigma_w**2 * twice(dual(s[:, None], s[None, :], S)[0])

        S = fixed(following, q * square)
        s = np.diag(S).copy()
        variances.append(s)
        ends.append(np.asarray(q + (sigma_w * h) ** 2 * dual(s[:, None], s[None, :], S)[0].sum()))
    s1, s2 = variances[0][:, None], variances[1][None, :]
    S = fixed(lambda S: q12 + sigma_w**2 * twice(dual(s1, s2, S)[0]), q12 * square)
    Sigma, D = dual(s1, s2, S)
    end = ends[0] if q11 == q12 == q22 else np.asarray(q12 + (sigma_w * h) ** 2 * Sigma.sum())
    Sigma_end, D_end = dual(*ends, end)
    P = fixed(lambda P: D_end + sigma_w**2 * twice((D * P)[::-1, ::-1])[::-1, ::-1], D_end * square)
    from_weights = (sigma_w * h) ** 2 * (Sigma * P).sum()
    return float(Sigma_end + from_weights + q12 * (D_end + (sigma_w * h) ** 2 * (D * P).sum()))


def romberg(
    *problem: Any, finest: int, columns: int, horizon: float = 1.0, sigma_w: float = 1.0
) -> tuple[float, float]:
    """Extrapolation in even powers of 1/L; its error is taken to be what halving all steps changes, and rounding."""

    def extrapolated(row: list[float]) -> float:
        for k in range(1, len(row)):
            row = [b + (b - a) / (4**k - 1) for a, b in itertools.pairwise(row)]
        return row[0]

    row = [midpoint(*problem, finest >> k, horizon, sigma_w) for k in reversed(range(columns))]
    value = extrapolated(row)
    rounding = finest * EPS  # of a running sum of so many terms of one sign
    return value, abs(extrapolated(row[1:]) - extrapolated(row[:-1])) + rounding * abs(value)


def test_relu_at_equal_inputs_has_the_known_value() -> None:
    found = solve(activations.relu, [1.0], [1.0], [1.0], rtol=1e-13)
    assert abs(found.kernel[0] - 1.862918254093143) <= 4e-15
    assert found.error[0] <= 1e-13


@pytest.mark.parametrize("rho", [-1.0, -0.99, 0.0, 0.3, 0.9, 0.99, 1.0])
def test_relu_agrees_with_the_extrapolated_midpoint_rule(rho: float) -> None:
    expected, uncertainty = romberg(arc_cosine, 1.0, rho, 1.0, finest=256, columns=5)
    if rho == -1.0:
        uncertainty = 2e-11  # a cone of degree 1 at the corner leaves terms between the even powers of 1/L
    found = solve(activations.relu, [1.0], [rho], [1.0], rtol=1e-12)
    assert uncertainty <= 2e-11
    assert abs(found.kernel[0] - expected) <= uncertainty + found.error[0] * 1.87


@pytest.mark.parametrize(("horizon", "sigma_w"), [(3.0, 1.0), (1.0, 2.0)])
@pytest.mark.parametrize("rho", [0.3, 1.0])
def test_relu_agrees_with_the_midpoint_rule_at_strong_coupling(rho: float, horizon: float, sigma_w: float) -> None:
    network = {"horizon": horizon, "sigma_w": sigma_w}
    expected, uncertainty = romberg(arc_cosine, 1.0, rho, 1.0, finest=256, columns=5, **network)
    found = solve(activations.relu, [1.0], [rho], [1.0], rtol=1e-11, **network)
    assert uncertainty <= 1e-10 * expected
    assert abs(found.kernel[0] - expected) <= uncertainty + found.error[0] * 26


@pytest.mark.parametrize(("rho", "q22"), [(0.3, 1.0), (1.0, 1.0), (-0.9, 2.0), (1.0, 2.0)])
def test_elu_agrees_with_the_midpoint_rule_for_equal_and_different_norms(rho: float, q22: float) -> None:
    dual = closed_form(activations.elu)
    expected, uncertainty = romberg(dual, 1.0, rho * np.sqrt(q22), q22, finest=64, columns=4)
    found = solve(activations.elu, [1.0], [rho * np.sqrt(q22)], [q22], rtol=1e-11)
    assert uncertainty <= 1e-9
    assert abs(found.kernel[0] - expected) <= uncertainty + found.error[0] * 6


@given(angle=st.floats(-5.0, 0.49).map(lambda power: 10.0**power), coupling=st.floats(0.1, 5.0), mirror=st.booleans())
@settings(max_examples=20)
def test_estimate_bounds_the_error_at_every_angle(angle: float, coupling: float, mirror: bool) -> None:
    q12 = [-np.cos(angle) if mirror else np.cos(angle)]
    rough = solve(activations.relu, [1.0], q12, [1.0], rtol=1e-6, sigma_w=coupling)
    size = solve(activations.relu, [1.0], [1.0], [1.0], rtol=1e-9, sigma_w=coupling).kernel
    finest = split_equations.Equations(rough._problem, *split.LEVELS[-2])
    (_, fields), *_ = finest.fields(np.asarray([0]))
    true_error = abs(rough.kernel - fields.terms.sum(axis=0)) / size
    assert true_error <= rough.error + finest.rounding(np.asarray([0]), fields.end)


@pytest.mark.parametrize("activation", KINKED, ids=lambda activation: activation.name)
def test_exchanging_the_inputs_transposes_everything(activation: Activation) -> None:
    there = solve(activation, [1.0, 1.0], [0.4, -0.9], [2.0, 3.0])
    back = solve(activation, [2.0, 3.0], [0.4, -0.9], [1.0, 1.0])
    np.testing.assert_allclose(there.kernel, back.kernel, rtol=1e-13)
    t = np.asarray([0.0, 0.4, 1.0])
    for field, mirrored in zip(there.at(t), back.at(t), strict=True):
        np.testing.assert_allclose(field, mirrored.transpose(0, 2, 1), rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "activation", [activations.relu, activations.leaky_relu], ids=lambda activation: activation.name
)
@given(scale=st.tuples(st.floats(1e-6, 1e6), st.floats(1e-6, 1e6)), rho=st.floats(-1, 1))
@settings(max_examples=5)
def test_homogeneous_kernels_scale_with_the_norms(
    activation: Activation, scale: tuple[float, float], rho: float
) -> None:
    a, b = scale
    rho *= 0.99  # at small angles the rounding of q12 itself would be seen
    unit = solve(activation, [1.0], [rho], [1.0])
    found = solve(activation, [a * a], [rho * a * b], [b * b])
    np.testing.assert_allclose(found.kernel, a * b * unit.kernel, rtol=0, atol=1e-12 * a * b)
    np.testing.assert_allclose(found.nngp, a * b * unit.nngp, rtol=0, atol=1e-12 * a * b)


@pytest.mark.parametrize("activation", KINKED, ids=lambda activation: activation.name)
def test_pairs_equal_up_to_rounding_get_the_diagonal_value(activation: Activation) -> None:
    q = 1.7
    pairs = solve(activation, [q] * 3, [q, q * (1 - EPS), q * (1 + EPS)], [q] * 3)
    np.testing.assert_array_equal(pairs.kernel, pairs.kernel[0])


@pytest.mark.parametrize("activation", KINKED, ids=lambda activation: activation.name)
def test_zero_input_gives_zero_and_no_nan(activation: Activation) -> None:
    found = solve(activation, [0.0, 0.0, 1.0], [0.0, 0.0, 0.0], [0.0, 1.0, 0.0])
    np.testing.assert_array_equal(found.kernel, 0)
    np.testing.assert_array_equal(found.nngp, 0)
    S, Sigma, P = found.at(np.asarray([0.0, 1.0]))
    np.testing.assert_array_equal(S, 0)
    np.testing.assert_array_equal(Sigma, 0)
    assert np.all(np.isfinite(P))


def test_a_pair_does_not_depend_on_its_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rho, q22 = np.linspace(-1, 1, 9), np.asarray([1.0, 2.0, 1.0, 3.0, 1.0, 1.0, 2.0, 1.0, 1.0])
    together = solve(activations.relu, 1.0, rho * np.sqrt(q22), q22)
    monkeypatch.setattr(split_equations, "_BLOCK", 1)
    alone = solve(activations.relu, 1.0, rho * np.sqrt(q22), q22)
    np.testing.assert_allclose(alone.kernel, together.kernel, rtol=0, atol=1e-14)
    empty = np.empty(0)
    assert solve(activations.relu, empty, empty, empty).kernel.shape == (0,)


@pytest.mark.parametrize("rho", [-1.0, 0.2, 1.0])
def test_fields_at_the_ends_give_the_kernels(rho: float) -> None:
    sigma_v, horizon, q12 = 1.5, 2.0, 2 * rho
    found = solve(activations.relu, [4.0, 4.0, 1.0], [q12, 4.0, 1.0], [1.0, 4.0, 1.0], sigma_v=sigma_v, horizon=horizon)
    S, Sigma, P = found.at(np.asarray([0.0, horizon]))
    end1, end2 = S[1, 1, 1], S[2, 1, 1]
    accuracy = 1e-9 * np.sqrt(end1 * end2)
    np.testing.assert_allclose(S[0, 0], q12, rtol=0, atol=accuracy)
    np.testing.assert_allclose(S[0, :, 0], q12, rtol=0, atol=accuracy)
    np.testing.assert_allclose(sigma_v**2 * Sigma[0, 1, 1], found.nngp[0], rtol=0, atol=accuracy * sigma_v**2)
    if rho < 1:  # at ρ = 1 the angle at T would be the root of an error
        slope = arc_cosine(end1, end2, S[0, 1, 1])[1]
        np.testing.assert_allclose(P[0, 1], sigma_v**2 * slope, rtol=0, atol=2e-9 * P.max())
    else:
        np.testing.assert_allclose(P[0, 1], sigma_v**2 / 2, rtol=0, atol=1e-9 * P.max())


def test_no_times_and_no_pairs_have_fields_too() -> None:
    for field in solve(activations.relu, [1.0, 2.0], [0.3, 0.3], [1.0, 1.0]).at(np.empty(0)):
        assert field.shape == (2, 0, 0)
    empty = np.empty(0)
    for field in solve(activations.relu, empty, empty, empty).at(np.asarray([0.0, 1.0])):
        assert field.shape == (0, 2, 2)


def test_the_accuracy_of_P_is_relative_to_its_size() -> None:
    t = np.asarray([0.0, 0.4, 1.0])
    # At this angle P needs finer grids than S and Σ do.
    P, small = (solve(activations.relu, [1.0], [0.99], [1.0], sigma_v=sigma_v).at(t)[2] for sigma_v in (1.0, 2.0**-20))
    np.testing.assert_array_equal(small * 2.0**40, P)  # bit by bit, since the same grids are tried


def test_fields_that_no_grid_resolves_raise_with_what_was_reached(monkeypatch: pytest.MonkeyPatch) -> None:
    found = solve(activations.relu, [1.0], [0.3], [1.0], 1e-12)
    monkeypatch.setattr(split, "LEVELS", split.LEVELS[:2])
    with pytest.raises(AccuracyError, match=r"rtol=1\.0e-12 was asked for, the fields reach") as caught:
        found.at(np.asarray([0.0, 0.5, 1.0]))
    assert caught.value.reached is not None
    assert 1e-12 < caught.value.reached < 1e-3


def test_custom_kink_is_solved_by_quadrature_of_its_dual() -> None:
    relu = Activation(
        phi=lambda z: np.maximum(z, 0), dphi=lambda z: np.where(z > 0, 1.0, 0.0), name="own", lipschitz=1, kinks=(0.0,)
    )
    own = solve(relu, [1.0], [0.5], [1.0], rtol=1e-6)
    np.testing.assert_allclose(own.kernel, solve(activations.relu, [1.0], [0.5], [1.0]).kernel, rtol=1e-6)


def test_a_diverging_column_becomes_nan_and_leaves_the_others_alone() -> None:
    found = split_equations.fixed_point(lambda value: np.asarray([0.5, 2.0]) * value + 1, np.ones((1, 3, 2)))
    np.testing.assert_allclose(found[..., 0], 2, rtol=4 * EPS)
    assert np.all(np.isnan(found[..., 1]))


# --- refusals


def test_angle_below_double_precision_raises_with_what_was_reached() -> None:
    with pytest.raises(AccuracyError, match=r"q12=0\.99999") as caught:
        solve(activations.relu, [1.0, 1.0], [0.0, np.cos(1e-5)], [1.0, 1.0], rtol=1e-12)
    assert 1e-12 < caught.value.reached < 1e-9


@pytest.mark.parametrize(
    ("activation", "sigma_w"), [(activations.relu, 12.0), (activations.relu, 1e4), (activations.elu, 12.0)]
)
def test_coupling_beyond_the_finest_grid_raises(activation: Activation, sigma_w: float) -> None:
    with pytest.raises(AccuracyError) as caught:
        solve(activation, [1.0], [0.3], [1.0], rtol=1e-11, sigma_w=sigma_w)
    assert caught.value.reached is None or caught.value.reached > 1e-11


def test_kink_away_from_zero_raises() -> None:
    hinge = Activation(phi=lambda z: np.maximum(z, 1), dphi=lambda z: np.where(z > 1, 1.0, 0.0), kinks=(1.0,))
    with pytest.raises(AccuracyError, match="kink"):
        solve(hinge, [1.0], [0.3], [1.0])


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"q11": np.asarray([-1.0])}, "q11"),
        ({"q22": np.asarray([np.nan])}, "q22"),
        ({"q12": np.asarray([1.1])}, "q12"),
        ({"q12": np.asarray([0.5, 0.5])}, "q11"),
        ({"q11": np.asarray([1], dtype=int)}, "q11"),
        ({"horizon": 0.0}, "horizon"),
        ({"sigma_w": np.inf}, "sigma_w"),
        ({"sigma_v": -1.0}, "sigma_v"),
        ({"rtol": 0.0}, "rtol"),
    ],
)
def test_bad_arguments_are_named(changed: dict[str, Any], message: str) -> None:
    one = np.ones(1)
    arguments: dict[str, Any] = {"q11": one, "q12": one, "q22": one, **UNIT, "rtol": 1e-9, **changed}
    with pytest.raises(ValueError, match=rf"^\|?{message}"):
        solve_split(activations.relu, **arguments)


@pytest.mark.parametrize("t", [np.asarray(0.5), np.asarray([1.1]), np.asarray([np.nan])])
def test_times_outside_the_horizon_are_named(t: Any) -> None:
    with pytest.raises(ValueError, match=r"^t must"):
        solve(activations.relu, [1.0], [0.3], [1.0]).at(t)
