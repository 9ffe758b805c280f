"""Norms and angles, all that the limit sees of the inputs: down to the smallest angles, up to the largest norms."""

from __future__ import annotations

import itertools
import math
from typing import Any

import mpmath as mp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from refimpl.backend import to_host
from refimpl.infinite.inputs import LARGEST_NORM, NEARLY_PARALLEL, Pairs, angles, pairs_of

EPS = float(np.finfo(float).eps)

entries = st.floats(-10, 10, width=64).map(lambda z: 0.0 if abs(z) < 1e-3 else z)
scales = st.floats(-140, 140).map(lambda exponent: 10.0**exponent)
angle = st.one_of(st.floats(0, math.pi), st.floats(-16, 0).map(lambda exponent: 10.0**exponent))


def matrices(rows: int, columns: int) -> st.SearchStrategy[Any]:
    return arrays(float, st.tuples(st.integers(1, rows), st.integers(1, columns)), elements=entries)


def true_cosine(x: Any, y: Any) -> float:
    with mp.workdps(60):
        x, y = [mp.mpf(float(a)) for a in x], [mp.mpf(float(b)) for b in y]
        lengths = mp.sqrt(mp.fdot(x, x) * mp.fdot(y, y))
        return float(mp.fdot(x, y) / lengths) if lengths else 0.0


def exactly_rotated(dim: int, rng: np.random.Generator) -> Any:
    """A signed permutation: an orthogonal matrix whose products do not round."""
    return np.eye(dim)[rng.permutation(dim)] * rng.choice([-1.0, 1.0], dim)


@given(matrices(4, 5), scales)
def test_cosines_and_norms_are_those_of_multiprecision(X: Any, scale: float) -> None:
    norms, norms2, cosine = angles(np, scale * X, None)
    d = X.shape[1]
    for i, row in enumerate(scale * X):
        assert norms[i] == norms2[i] == pytest.approx(math.hypot(*map(float, row)), rel=(d + 4) * EPS, abs=0)
    for i, j in itertools.product(range(len(X)), repeat=2):
        assert abs(cosine[i, j] - true_cosine(scale * X[i], scale * X[j])) <= (d + 4) * EPS


@given(matrices(4, 5), st.floats(0.1, 10))
def test_cosine_of_a_row_with_itself_is_exactly_one_and_with_its_opposite_minus_one(X: Any, factor: float) -> None:
    _, _, cosine = angles(np, X, np.concatenate([X, -X, 4.0 * X]))
    N, nonzero = len(X), np.any(X != 0, axis=1)
    for k, sign in enumerate((1.0, -1.0, 1.0)):  # a power of 2 leaves the direction as it is, bit by bit
        np.testing.assert_array_equal(np.diag(cosine[:, k * N : (k + 1) * N]), np.where(nonzero, sign, 0.0))
    _, _, stretched = angles(np, X, factor * X)
    np.testing.assert_array_equal(np.diag(stretched), np.where(nonzero, 1.0, 0.0))


@given(angle, st.integers(0, 1000), st.integers(2, 40), st.sampled_from([1.0, -1.0]))
def test_a_small_angle_costs_no_more_than_the_rounding_of_the_inputs(
    theta: float, seed: int, dim: int, sign: float
) -> None:
    rng = np.random.default_rng(seed)
    basis = np.linalg.qr(rng.standard_normal((dim, 2)))[0].T
    x, y = basis[0], sign * (math.cos(theta) * basis[0] + math.sin(theta) * basis[1])
    _, _, cosine = angles(np, x[None], y[None])
    truth = true_cosine(x, y)
    # θ of unit vectors known to eps each is known to some eps, so 1 − |cos θ| to some θ eps, and it is rounded to eps/2
    bound = 8 * EPS * math.sin(theta) + 2 * EPS if abs(truth) > 0.99 else (dim + 4) * EPS
    assert abs(cosine[0, 0] - truth) <= bound


@given(angle, st.booleans(), st.booleans())
def test_angles_are_those_of_the_inputs_however_small(theta: float, opposite: bool, second: bool) -> None:
    """Of (1, 0) and (cos θ, sin θ), whose rounded entries have the angle atan2; acos is used up to a cosine near 1."""
    sign = -1.0 if opposite else 1.0
    x, y = np.array([[1.0, 0.0]]), np.array([[math.cos(theta), math.sin(theta)]])
    exact = abs(math.atan2(y[0, 1], y[0, 0]))
    exact = math.pi - exact if opposite else exact
    if second:
        pairs, _ = pairs_of(np, sign * x, y, directions_only=False)
        (found,) = pairs.angle
    else:
        pairs, _ = pairs_of(np, np.concatenate([sign * x, y]), None, directions_only=False)
        found = pairs.angle[1]
        assert pairs.angle[0] == pairs.angle[2] == 0
    assert abs(found - exact) <= 8 * EPS / math.sqrt(1 - NEARLY_PARALLEL**2)
    if abs(math.cos(theta)) > NEARLY_PARALLEL:
        assert abs(found - exact) <= 4 * EPS * (1 + exact)


@given(matrices(4, 4), matrices(3, 4))
def test_zero_rows_have_norm_zero_and_cosine_zero(X: Any, Y: Any) -> None:
    X, Y = np.vstack([X, np.zeros_like(X[:1])]), np.zeros((len(Y), X.shape[1]))
    norms, norms2, cosine = angles(np, X, Y)
    assert norms[-1] == 0
    assert not norms2.any()
    assert not cosine.any()


@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e149])
def test_no_square_of_a_norm_overflows_or_underflows(size: float) -> None:
    norms, _, cosine = angles(np, size * np.asarray([[3.0, 4.0], [4.0, 3.0]]), None)
    np.testing.assert_allclose(norms / size, [5, 5], rtol=4 * EPS)
    np.testing.assert_allclose(cosine, [[1, 0.96], [0.96, 1]], rtol=8 * EPS)


@given(st.integers(2, 30), st.integers(2, 20), st.floats(-3, 3), st.integers(0, 100))
def test_rows_on_a_sphere_have_one_radius(N: int, dim: int, exponent: float, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((N, dim))
    X *= 10.0**exponent / np.linalg.norm(X, axis=1, keepdims=True)
    pairs, scale = pairs_of(np, X, None, directions_only=False)
    assert pairs.radii.shape == (1,)
    assert pairs.radii[0] == pytest.approx(10.0**exponent, rel=8 * EPS)
    assert scale == 1


@pytest.mark.parametrize("gap", [1e-13, 1e-6, 1.0])
def test_radii_that_differ_are_kept_apart(gap: float) -> None:
    X = np.asarray([[1.0], [1.0 + gap], [1.0]])
    pairs, _ = pairs_of(np, X, None, directions_only=False)
    np.testing.assert_array_equal(pairs.radii, [1.0, 1.0 + gap])
    np.testing.assert_array_equal(pairs.first, [0, 0, 0, 1, 1, 0])
    np.testing.assert_array_equal(pairs.second, [0, 1, 0, 1, 0, 0])


@given(matrices(4, 3), st.integers(1, 4), st.integers(0, 100), st.floats(0.1, 5))
def test_pairs_run_row_by_row_with_the_covariances_of_the_inputs(X: Any, N2: int, seed: int, sigma_u: float) -> None:
    Y = np.random.default_rng(seed).standard_normal((N2, X.shape[1]))
    pairs, scale = pairs_of(np, X, Y, directions_only=False)
    assert len(pairs) == len(X) * N2
    assert scale == 1
    tolerance = 32 * EPS * sigma_u**2
    for k, (x, y) in enumerate(itertools.product(X, Y)):
        xx, xy, yy = (float(q[0]) for q in pairs[k : k + 1].covariances(np, sigma_u))
        size = np.linalg.norm(x) * np.linalg.norm(y)
        assert xx == pytest.approx(sigma_u**2 * (x @ x), rel=32 * EPS)
        assert yy == pytest.approx(sigma_u**2 * (y @ y), rel=32 * EPS)
        assert abs(xy - sigma_u**2 * (x @ y)) <= tolerance * size
        assert abs(xy) <= math.sqrt(xx * yy) * (1 + 4 * EPS)


@given(matrices(5, 3))
def test_without_a_second_matrix_the_pairs_are_the_upper_triangle(X: Any) -> None:
    upper, _ = pairs_of(np, X, None, directions_only=False)
    whole, _ = pairs_of(np, X, X, directions_only=False)
    keep = np.triu(np.ones((len(X), len(X)), bool)).ravel()
    np.testing.assert_array_equal(upper.radii[upper.first], whole.radii[whole.first][keep])
    np.testing.assert_array_equal(upper.radii[upper.second], whole.radii[whole.second][keep])
    np.testing.assert_allclose(upper.cosine, whole.cosine[keep], rtol=0, atol=8 * EPS)


@given(matrices(5, 3), st.floats(0.01, 100))
def test_covariances_of_an_input_with_its_duplicate_agree_bit_by_bit(X: Any, sigma_u: float) -> None:
    pairs, _ = pairs_of(np, X, X.copy(), directions_only=False)
    q11, q12, q22 = (np.diag(q.reshape(len(X), len(X))) for q in pairs.covariances(np, sigma_u))
    np.testing.assert_array_equal(q11, q22)
    np.testing.assert_array_equal(q11, q12)


@given(matrices(4, 3), matrices(3, 3))
def test_directions_only_puts_the_norms_in_front(X: Any, Y: Any) -> None:
    Y = np.resize(Y, (len(Y), X.shape[1]))
    pairs, scale = pairs_of(np, X, Y, directions_only=True)
    np.testing.assert_array_equal(pairs.radii, [1.0])
    np.testing.assert_allclose(
        scale, np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(Y, axis=1), rtol=16 * EPS, atol=0
    )
    np.testing.assert_allclose(pairs.cosine.reshape(scale.shape) * scale, X @ Y.T, rtol=0, atol=32 * EPS * scale.max())


@given(st.integers(0, 100), st.integers(2, 6))
def test_a_signed_permutation_of_the_coordinates_changes_angles_by_rounding_only(seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((5, dim))
    turned = X @ exactly_rotated(dim, rng)
    for before, after in zip(angles(np, X, None), angles(np, turned, None), strict=True):
        np.testing.assert_allclose(after, before, rtol=0, atol=(dim + 4) * EPS * float(np.abs(before).max()))


@pytest.mark.parametrize("shapes", [((0, 2), None), ((0, 2), (3, 2)), ((3, 2), (0, 2)), ((0, 2), (0, 2))])
def test_no_rows_give_no_pairs(shapes: tuple[Any, Any]) -> None:
    X, Y = (None if shape is None else np.ones(shape) for shape in shapes)
    assert X is not None
    pairs, scale = pairs_of(np, X, Y, directions_only=False)
    assert len(pairs) == 0
    pairs, scale = pairs_of(np, X, Y, directions_only=True)
    assert len(pairs) == 0
    assert scale.shape == (len(X), len(X if Y is None else Y))


@pytest.mark.parametrize("second", [False, True])
def test_a_norm_whose_square_overflows_raises(second: bool) -> None:
    small, large = np.ones((1, 2)), np.asarray([[0.0, 10 * LARGEST_NORM]])
    with pytest.raises(ValueError, match=r"norm below 1e\+150, got 1e\+151"):
        pairs_of(np, small if second else large, large if second else None, directions_only=False)


def test_a_slice_of_pairs_is_those_pairs() -> None:
    pairs = Pairs(np.asarray([1.0, 2.0]), np.asarray([0, 1, 1]), np.asarray([1, 0, 1]), np.asarray([0.1, 0.2, 0.3]))
    some = pairs[1:3]
    assert len(some) == 2
    np.testing.assert_allclose(some.covariances(np, 2.0), [[16, 16], [1.6, 4.8], [4, 16]], rtol=4 * EPS)


def test_pairs_are_the_same_in_every_library(xp: Any) -> None:
    rng = np.random.default_rng(3)
    X, Y = rng.standard_normal((6, 3)), rng.standard_normal((4, 3))
    X[1], X[2], Y[0], Y[1] = X[0], 0, X[3], -X[4] * (1 + 1e-12)
    for other in (None, Y):
        expected, _ = pairs_of(np, X, other, directions_only=False)
        found, _ = pairs_of(xp, xp.asarray(X), None if other is None else xp.asarray(other), directions_only=False)
        for name in ("radii", "first", "second", "cosine"):
            array = getattr(found, name)
            assert type(array) is type(xp.asarray(X))
            np.testing.assert_allclose(to_host(array), getattr(expected, name), rtol=0, atol=8 * EPS)
