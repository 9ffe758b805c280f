"""Gram matrices by tiles: each entry is what its pair has, wherever in the matrix the pair stands."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import Euler, Gauss, NeuralODE
from refimpl.backend import to_host
from refimpl.infinite import gram as tiling
from refimpl.infinite.evaluation import Evaluation
from refimpl.infinite.inputs import inputs_of
from refimpl.infinite.kernel import KINKED_RTOL
from tests.infinite.limits import EPS, MANY, RTOL, assert_within, plane, sphere

SOLVED = 128  # at a time: pairs that are not read off a curve


def pair_by_pair(limit: Any, X: Any, Y: Any) -> Any:
    return np.concatenate([limit.ntk(X[i : i + 1], Y[j : j + SOLVED]) for i in range(len(X))
                           for j in range(0, len(Y), SOLVED)], axis=None).reshape(len(X), len(Y))  # fmt: skip


@pytest.fixture
def small_tiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiling, "TILE", 5)


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize(("name", "solver"), [("erf", None), ("relu", None), ("leaky_relu", Euler(3))])
def test_every_tile_holds_the_kernels_of_its_pairs(name: str, solver: Any) -> None:
    X, limit, norms = sphere(MANY, 3, seed=1), NeuralODE(name).limit(solver), np.ones(MANY)
    Y = np.vstack([sphere(MANY, 3, seed=2)[:11], X[7:8], -X[4:5], X[3] + np.asarray([1e-7, 0, 0])])
    Y /= np.linalg.norm(Y, axis=1, keepdims=True)
    truth, own = pair_by_pair(limit, X, Y), pair_by_pair(limit, X, X)
    if limit.net.phi.homogeneous:  # K(cx, c̄x̄) = c c̄ K(x, x̄)
        norms = np.linspace(0.5, 3, MANY)
        X, truth, own = X * norms[:, None], norms[:, None] * truth, norms[:, None] * own * norms
    whole = limit.ntk(X, Y)
    size = np.sqrt(np.outer(np.diag(limit.ntk(X)), np.diag(limit.ntk(Y))))
    # the curve: interpolated to rtol, from values of that error, and so is the truth
    rtol = KINKED_RTOL if limit.net.phi.kinks else RTOL
    assert_within(whole, truth, 3 * rtol, size)
    gram = limit.ntk(X)
    np.testing.assert_array_equal(gram, gram.T)
    scale = np.sqrt(np.outer(np.diag(gram), np.diag(gram)))
    assert_within(gram, own, 3 * rtol, scale)


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_duplicates_are_one_input_in_whichever_tile_they_are(name: str) -> None:
    X = sphere(2 * tiling.TILE + 9, 7, seed=3)
    X[-1], X[tiling.TILE + 5] = X[0], X[1]
    limit = NeuralODE(name).limit()
    gram, whole = limit.ntk(X), limit.ntk(X, X.copy())
    np.testing.assert_array_equal(gram, gram.T)
    for one, other in ((0, -1), (1, tiling.TILE + 5)):
        assert gram[one, one] == gram[other, other] == gram[one, other] == whole[one, other] == whole[one, one]
    # BLAS sums the 7 products of a cosine in an order that may depend on where it stands; |dK/dρ| ≤ 4 up to 0.99,
    # and K loses a few units in the last place to each of some 25 steps of Clenshaw
    for found, expected in ((gram[0], gram[-1]), (gram[1], gram[tiling.TILE + 5]), (gram, whole)):
        assert_within(found, expected, 64 * EPS, gram[0, 0])


@pytest.mark.usefixtures("small_tiles")
@pytest.mark.parametrize("name", ["erf", "relu"])
def test_a_gram_matrix_by_tiles_is_the_same_in_every_library(xp: Any, name: str) -> None:
    X, limit = sphere(MANY, 3, seed=4), NeuralODE(name).limit()
    X[5], X[13] = X[17], -X[2]
    X = 2 * X if name == "erf" else np.linspace(1, 2, MANY)[:, None] * X
    for other in (None, X[3:12]):
        found = limit.ntk(xp.asarray(X), None if other is None else xp.asarray(other))
        truth = limit.ntk(X, other)
        assert type(found) is type(xp.asarray(X))
        assert_within(to_host(found), truth, 1e-13, np.abs(truth).max())


@given(st.integers(1, 12), st.integers(1, 12), st.booleans())
@settings(max_examples=20)
def test_tiles_cover_the_matrix_once(N: int, N2: int, symmetric: bool) -> None:
    X, Y = np.ones((N, 1)), np.ones((N2, 1))
    inputs = inputs_of(np, X, None if symmetric else Y, directions_only=False)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tiling, "TILE", 4)
        counts = np.zeros(inputs.shape)
        for rows, columns in tiling.tiles(inputs):
            tiling.put(np, counts, counts[rows, columns] + 1, rows, columns, symmetric)
    np.testing.assert_array_equal(counts, np.ones(inputs.shape))


def test_the_diagonal_tile_takes_its_upper_half() -> None:
    gram, block = np.zeros((3, 3)), np.arange(9.0).reshape(3, 3)
    tiling.put(np, gram, block, slice(0, 3), slice(0, 3), symmetric=True)
    np.testing.assert_array_equal(gram, [[0, 1, 2], [1, 4, 5], [2, 5, 8]])
    tiling.put(np, gram, block, slice(0, 3), slice(0, 3), symmetric=False)
    np.testing.assert_array_equal(gram, block)


@pytest.mark.usefixtures("small_tiles")
def test_angles_and_cosines_of_a_tile_are_those_of_its_pairs() -> None:
    """Also the small ones, which inner products do not have: to their own precision."""
    thetas = np.asarray([0, 1e-12, 1e-9, 1e-4, 0.1, 0.5, 1.5, math.pi / 2, 3.0, math.pi - 1e-7, math.pi])
    X = plane(*((1.0, theta) for theta in thetas))
    inputs = inputs_of(np, X, None, directions_only=False)
    # the rounding of the sines and cosines in X, in all angles but the small ones from (1, 0)
    between = np.abs(thetas[:, None] - thetas)
    np.testing.assert_allclose(tiling.angles(np, inputs), between, rtol=0, atol=8 * EPS)
    np.testing.assert_allclose(tiling.angles(np, inputs)[0, :4], thetas[:4], rtol=4 * EPS)
    cosines = tiling.cosines(np, inputs)
    np.testing.assert_allclose(cosines, np.cos(between), rtol=0, atol=4 * EPS)
    np.testing.assert_array_equal(cosines, cosines.T)
    assert (np.diag(cosines) == 1).all()
    assert (np.diag(tiling.angles(np, inputs)) == 0).all()


@pytest.mark.parametrize("turn", [np.asarray, np.transpose], ids=["wide", "tall"])
def test_distinct_entries_are_counted_up_to_a_limit(turn: Any) -> None:
    gram = turn([[3.0, 1.0, 2.0], [1.0, 3.0, 2.0]])
    found = tiling.distinct(gram, 3)
    assert found is not None
    assert found.tolist() == [1, 2, 3]
    assert tiling.distinct(gram, 2) is None
    few = tiling.distinct(gram, 2, lambda entries: entries < 3)
    assert few is not None
    assert few.tolist() == [1, 2]


@pytest.mark.parametrize("turn", [np.asarray, np.transpose], ids=["wide", "tall"])
def test_the_span_of_a_matrix_leaves_small_entries_out(turn: Any) -> None:
    gram = turn([[0.0, 2.0, 1.0], [2.0, 0.0, 3.0]])
    assert tiling.span(np, gram, 0.5) == (1.0, 3.0)
    assert tiling.span(np, gram, 4.0) == (math.inf, 3.0)


def test_values_are_looked_up_at_points_in_any_order() -> None:
    function = tiling.looked_up(np, np.asarray([1.0, 2.0, 5.0]), np.asarray([10.0, 20.0, 50.0]))
    np.testing.assert_array_equal(function(np.asarray([[5.0, 1.0], [2.0, 5.0]])), [[50, 10], [20, 50]])


@pytest.mark.parametrize("name", ["softplus", "relu"])
def test_many_rows_of_few_directions_are_solved_for_as_few_pairs(name: str, monkeypatch: Any) -> None:
    """And so exactly as those pairs are alone."""
    angles = [0.0, 0.4, 1.9]
    X = plane(*((1.0, angle) for angle in angles * 100))
    limit = NeuralODE(name).limit(Gauss(rtol=1e-9))
    monkeypatch.setattr(Evaluation, "curve", None)
    gram = limit.ntk(X)
    # relu goes through the angle, and back
    np.testing.assert_allclose(gram[:3, :3], limit.ntk(X[:3]), rtol=64 * EPS)
    np.testing.assert_array_equal(gram, np.tile(gram[:3, :3], (100, 100)))
    np.testing.assert_allclose(limit.ntk(X, X[:2]), gram[:, :2], rtol=64 * EPS)
