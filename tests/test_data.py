from __future__ import annotations

import dataclasses
import hashlib
from importlib.resources import files
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl.data import Digits, digits, sphere

EPS = np.finfo(np.float64).eps
PAIRS = list(combinations(range(10), 2))
COUNTS = (178, 182, 177, 183, 181, 182, 181, 179, 174, 180)  # images of each digit, as the source states them

seeds = st.integers(0, 2**64 - 1)


def stored() -> tuple[np.ndarray, np.ndarray]:
    with files("refimpl.data").joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return archive["images"], archive["labels"]


def norm_error(d: int) -> float:
    """Bound on | ‖x/‖x‖‖ − 1 |: (d/2 + 1) eps/2 for each of the two norms, eps/2 for the division, rounded up."""
    return (d + 4) * EPS / 2


# --- points on the sphere


@given(N=st.integers(0, 20), d=st.integers(1, 50), seed=seeds)
def test_sphere_points_have_unit_norm(N: int, d: int, seed: int) -> None:
    X = sphere(N, d, seed)
    assert X.shape == (N, d)
    assert X.dtype == np.float64
    assert np.all(np.abs(np.linalg.norm(X, axis=1) - 1.0) <= norm_error(d))


@given(seed=seeds)
def test_sphere_in_one_dimension_is_exactly_plus_or_minus_one(seed: int) -> None:
    assert set(np.abs(sphere(30, 1, seed)).ravel().tolist()) == {1.0}


@given(N=st.integers(1, 10), d=st.integers(2, 5), seed=seeds)
def test_same_seed_gives_same_points_and_another_seed_other_points(N: int, d: int, seed: int) -> None:
    assert np.array_equal(sphere(N, d, seed), sphere(N, d, seed))
    assert not np.array_equal(sphere(N, d, seed), sphere(N, d, seed + 1))


def test_sphere_draws_from_a_generator_and_advances_it() -> None:
    random = np.random.default_rng(3)
    first, second = sphere(4, 3, random), sphere(4, 3, random)
    assert np.array_equal(first, sphere(4, 3, 3))
    assert not np.array_equal(first, second)


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_sphere_points_have_the_moments_of_the_uniform_distribution(d: int) -> None:
    """E x_1^{2k} = 1·3·…·(2k−1) / (d(d+2)…(d+2k−2)); points of a cube, normalised, would differ at k = 2."""
    N = 40_000
    X = sphere(N, d, seed=1)
    m2, m4, m8 = (np.prod([(2 * j + 1) / (d + 2 * j) for j in range(k)]) for k in (1, 2, 4))
    six_sigma = 6.0 / np.sqrt(N)
    assert np.all(np.abs(X.mean(axis=0)) <= six_sigma * np.sqrt(m2))
    assert np.all(np.abs(X.T @ X / N - m2 * np.eye(d)) <= six_sigma * np.sqrt(m4) + d * EPS)
    assert np.all(np.abs((X**4).mean(axis=0) - m4) <= six_sigma * np.sqrt(m8 - m4**2) + d * EPS)


def test_sphere_draws_again_where_a_draw_has_no_direction() -> None:
    class ZeroFirst(np.random.Generator):
        """Its first draw has a row of zeros, as a continuous distribution has with probability 2^−52."""

        draws = 0

        def standard_normal(self, size: tuple[int, ...]) -> np.ndarray:
            values = super().standard_normal(size)
            if self.draws == 0:
                values[1] = 0.0
            self.draws += 1
            return values

    X = sphere(3, 2, ZeroFirst(np.random.PCG64(0)))
    assert np.all(np.abs(np.linalg.norm(X, axis=1) - 1.0) <= norm_error(2))


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((-1, 3), ValueError, "N must be at least 0, got -1"),
        ((2, 0), ValueError, "d must be at least 1, got 0"),
        ((2.0, 3), TypeError, "N must be an integer, got 2.0"),
        ((2, "3"), TypeError, "d must be an integer, got '3'"),
        ((True, 3), TypeError, "N must be an integer, got True"),
        ((2, 3, -1), ValueError, "seed must be anything that numpy.random.default_rng takes, got -1"),
        ((2, 3, "a"), TypeError, "seed must be anything that numpy.random.default_rng takes, got 'a'"),
    ],
)
def test_sphere_names_the_bad_argument(arguments: tuple[object, ...], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        sphere(*arguments)
    assert message in str(caught.value)


# --- handwritten digits


def test_stored_digits_are_the_published_ones() -> None:
    images, labels = stored()
    assert images.dtype == labels.dtype == np.uint8
    assert tuple(np.bincount(labels)) == COUNTS
    table = np.column_stack([images, labels])
    assert hashlib.sha256(table.tobytes()).hexdigest() == (
        "68aea062d35a127749050fa0e52dca09d6569ac08092c925610e0954e172dde2"  # rows of the CSV file, as bytes
    )


def test_stored_digits_take_less_than_100_kilobytes_and_name_their_licence() -> None:
    data = files("refimpl.data")
    assert len(data.joinpath("digits.npz").read_bytes()) < 100_000
    assert "CC BY 4.0" in data.joinpath("digits.LICENSE.txt").read_text(encoding="utf-8")


def test_no_two_images_are_parallel_so_all_45_pairs_have_distinct_points() -> None:
    """In integers: by Cauchy-Schwarz, G_ij² = G_ii G_jj exactly where two images are parallel."""
    images, labels = stored()
    gram = images.astype(np.int64) @ images.astype(np.int64).T
    square, bound = gram**2, np.outer(np.diag(gram), np.diag(gram))
    np.fill_diagonal(square, 0)
    for pair in PAIRS:
        members = np.flatnonzero(np.isin(labels, pair))
        assert np.all((square < bound)[np.ix_(members, members)]), pair


def smallest_angle(X: np.ndarray) -> float:
    """Of any two rows, by 2 arctan(‖x − y‖ / ‖x + y‖), which keeps its digits for nearly parallel rows."""
    gaps = [np.linalg.norm(x - X[:i], axis=1) / np.linalg.norm(x + X[:i], axis=1) for i, x in enumerate(X) if i]
    return float(2.0 * np.arctan(min(gap.min() for gap in gaps)))


@pytest.mark.parametrize("pair", PAIRS)
def test_points_of_a_pair_are_separated(pair: tuple[int, int]) -> None:
    """The closest two of all images are 0.0937 apart (both show a 1); of the default pair (3, 8), 0.1516."""
    data = digits(pair)
    angle = smallest_angle(np.concatenate([data.X_train, data.X_test]))
    assert angle >= 0.0937
    if pair == (3, 8):
        assert angle == pytest.approx(0.1516, abs=5e-5)  # half a unit of the last digit stated


@pytest.mark.parametrize("pair", PAIRS)
def test_split_uses_every_image_of_the_two_classes_once(pair: tuple[int, int]) -> None:
    images, labels = stored()
    data = digits(pair)
    X = np.concatenate([data.X_train, data.X_test])
    y = np.concatenate([data.y_train, data.y_test])
    for digit, target in zip(pair, (1.0, -1.0), strict=True):
        assert np.count_nonzero(y == target) == COUNTS[digit]
        expected = images[labels == digit] / np.linalg.norm(images[labels == digit].astype(float), axis=1)[:, None]
        assert np.array_equal(np.unique(X[y == target], axis=0), np.unique(expected, axis=0))


@given(pair=st.sampled_from(PAIRS), fraction=st.floats(0.0, 1.0, exclude_max=True), seed=seeds)
def test_digits_are_unit_vectors_with_targets_one_and_minus_one(
    pair: tuple[int, int], fraction: float, seed: int
) -> None:
    data = digits(pair, test_fraction=fraction, seed=seed)
    total = COUNTS[pair[0]] + COUNTS[pair[1]]
    assert len(data.X_test) == round(fraction * total)
    for X, y in ((data.X_train, data.y_train), (data.X_test, data.y_test)):
        assert X.shape == (len(y), 64)
        assert X.dtype == y.dtype == np.float64
        assert np.all(np.abs(np.linalg.norm(X, axis=1) - 1.0) <= norm_error(64))
        assert np.all(np.abs(y) == 1.0)


@given(n=st.integers(1, 100), seed=seeds)
def test_smaller_training_set_is_the_beginning_of_a_larger_one_and_the_test_set_stays(n: int, seed: int) -> None:
    small, whole = digits(n_train=n, seed=seed), digits(seed=seed)
    assert len(small.X_train) == len(small.y_train) == n
    assert np.array_equal(small.X_train, whole.X_train[:n])
    assert np.array_equal(small.y_train, whole.y_train[:n])
    assert np.array_equal(small.X_test, whole.X_test)
    assert np.array_equal(digits(n_test=5, seed=seed).X_test, whole.X_test[:5])


def test_swapping_the_classes_flips_the_targets() -> None:
    one, other = digits((3, 8), seed=5), digits((8, 3), seed=5)
    assert np.array_equal(one.X_train, other.X_train)
    assert np.array_equal(one.y_train, -other.y_train)


def test_same_seed_gives_the_same_split_and_another_seed_another() -> None:
    assert np.array_equal(digits(seed=1).X_train, digits(seed=1).X_train)
    assert not np.array_equal(digits(seed=1).X_train, digits(seed=2).X_train)


def test_digits_are_frozen() -> None:
    data = digits(n_train=2, n_test=2)
    assert isinstance(data, Digits)
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.X_train = data.X_test


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"classes": (3,)}, ValueError, "classes must be a pair of digits, got (3,)"),
        ({"classes": "38"}, ValueError, "classes must be a pair of digits, got '38'"),
        ({"classes": 3}, ValueError, "classes must be a pair of digits, got 3"),
        ({"classes": (3, 3)}, ValueError, "classes must be two different digits from 0 to 9, got (3, 3)"),
        ({"classes": (3, 10)}, ValueError, "classes must be two different digits from 0 to 9, got (3, 10)"),
        ({"classes": (-1, 3)}, ValueError, "classes[0] must be at least 0, got -1"),
        ({"classes": (3, 8.0)}, TypeError, "classes[1] must be an integer, got 8.0"),
        ({"test_fraction": 1.0}, ValueError, "test_fraction must be in [0, 1), got 1.0"),
        ({"test_fraction": float("nan")}, ValueError, "test_fraction must be in [0, 1), got nan"),
        ({"test_fraction": "0.5"}, TypeError, "test_fraction must be a number in [0, 1), got '0.5'"),
        ({"n_train": 0}, ValueError, "n_train must be at least 1, got 0"),
        ({"n_train": 269}, ValueError, "n_train must be at most 268 for this split, got 269"),
        ({"n_test": 90}, ValueError, "n_test must be at most 89 for this split, got 90"),
        ({"n_train": 1.5}, TypeError, "n_train must be an integer, got 1.5"),
        ({"seed": -1}, ValueError, "seed must be anything that numpy.random.default_rng takes, got -1"),
    ],
)
def test_digits_names_the_bad_argument(arguments: dict[str, object], error: type[Exception], message: str) -> None:
    with pytest.raises(error) as caught:
        digits(**arguments)
    assert message in str(caught.value)
