"""Inputs of different norms: what is interpolated in the norms is what is solved pair by pair, or is not used."""

from __future__ import annotations

import math
from typing import Any

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import AccuracyError, Activation, Euler, Gauss, NeuralODE
from refimpl.backend import to_host
from refimpl.infinite import evaluation
from refimpl.infinite.evaluation import NNGP, NTK, Evaluation
from refimpl.infinite.gram import cosines
from refimpl.infinite.inputs import Pairs, inputs_of
from refimpl.infinite.norms import interpolate_in_norms
from refimpl.infinite.pairs import kernels
from refimpl.infinite.resolution import coarsest
from refimpl.oracle.limit import limit as multiprecision
from refimpl.scheme import gauss
from refimpl.solvers import Solver
from tests.infinite.limits import EPS, RTOL, assert_within, scale_of, sphere


def spread(N: int, dim: int, ratio: float, seed: int) -> Any:
    """Rows with norms between 1 and `ratio`, both included."""
    share = np.random.default_rng(seed).uniform(0, 1, N)
    share[:2] = 0, 1
    return sphere(N, dim, seed) * ratio ** share[:, None]


def interpolates(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few the pairs are; nothing else is left."""
    monkeypatch.setattr(evaluation, "SOLVED_PAIRS", 0)
    monkeypatch.setattr(evaluation, "interpolate_in_norms", lambda *given: interpolate_in_norms(*given[:-1], 10**9))
    monkeypatch.setattr(Evaluation, "_pair_by_pair", None)


def exponential(pairs: Pairs) -> tuple[Any, Any]:
    """K(x, x̄) = exp(x·x̄), positive definite and entire."""
    r, s = pairs.radii[pairs.first], pairs.radii[pairs.second]
    return np.exp(r * s * pairs.cosine), np.exp(pairs.radii**2)


@pytest.mark.parametrize("which", [NTK, NNGP])
@pytest.mark.parametrize(
    ("name", "solver", "ratio"),
    [
        ("erf", None, 1.7),
        ("sin", Gauss(rtol=1e-9), 2.0),
        pytest.param("softplus", None, 1.4, marks=pytest.mark.slow),
        ("gelu", Euler(5), 3.0),
        ("erf", Euler(200), 2.0),
    ],
)
def test_the_interpolant_is_as_accurate_as_solving_pair_by_pair(
    name: str, solver: Solver | None, ratio: float, which: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    limit, rtol = NeuralODE(name, 0.8, sigma_v=1.3).limit(solver), 1e-9 if name == "sin" else RTOL
    X, Y = spread(9, 3, ratio, 1), spread(7, 3, ratio, 2)
    Y[2], Y[3] = X[1], -X[2]
    function = (limit.ntk, limit.nngp)[which]
    truth, own, scale = function(X, Y), function(X), scale_of(limit.ntk(np.vstack([X, Y])))
    interpolates(monkeypatch)
    gram = function(X)
    # rtol of the interpolation, and of what it is compared with
    assert_within(function(X, Y), truth, 2 * rtol, scale[:9, 9:])
    assert_within(gram, own, 2 * rtol, scale[:9, :9])
    np.testing.assert_array_equal(gram, gram.T)


def test_many_inputs_are_not_solved_pair_by_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    X, limit = spread(140, 4, 1.3, 3), NeuralODE("erf", 0.5).limit()
    X[-1], X[-2] = X[0], X[1]
    some = np.asarray([0, 1, 5, 77])
    truth = limit.ntk(X[some], X[-20:])
    with monkeypatch.context() as patch:
        patch.setattr(Evaluation, "_pair_by_pair", None)
        gram = limit.ntk(X)
    np.testing.assert_array_equal(gram, gram.T)
    assert_within(gram[some, -20:], truth, 2 * RTOL, scale_of(gram)[some, -20:])
    # an input and its duplicate: BLAS rounds by some 20 additions, and cosines by 4
    assert_within(gram[[0, 1]], gram[[-1, -2]], 64 * EPS, gram.max())
    assert_within(gram[0, -1], gram[0, 0], 64 * EPS, gram[0, 0])


def test_an_interpolated_kernel_is_that_of_multiprecision(monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = mpmath.MPContext()
    one = ctx.one
    truth = multiprecision(ctx, "erf", one, (one, one, one), (one, one / 2, 2 * one))
    X = np.vstack([[1.0, 0.0], [0.5, math.sqrt(1.75)], spread(5, 2, 1.9, 4)])
    interpolates(monkeypatch)
    gram = NeuralODE("erf").limit().ntk(X)
    assert abs(float(truth.ntk - ctx.mpf(float(gram[0, 1])))) <= 2 * RTOL * scale_of(gram)[0, 1]


@given(st.floats(0.05, 1), st.floats(1.05, 4), st.integers(0, 100))
@settings(max_examples=10)
def test_a_known_kernel_is_interpolated_for_any_norms(lowest: float, ratio: float, seed: int) -> None:
    highest = min(lowest * ratio, 2.0)
    found = interpolate_in_norms(exponential, exponential, (lowest, highest), 1e-12, 10**9)
    X = lowest * spread(6, 3, highest / lowest, seed)
    inputs = inputs_of(np, X, X[:3], directions_only=False)
    truth = np.exp(X @ X[:3].T)
    size = np.exp(np.sum(X * X, axis=1) / 2)
    assert_within(found.gram(np, inputs, cosines(np, inputs)), truth, 1e-12, np.outer(size, size[:3]))


def test_values_of_pairs_are_those_of_the_gram_matrix() -> None:
    found = interpolate_in_norms(exponential, exponential, (0.5, 1.5), 1e-12, 10**9)
    X = 0.5 * spread(5, 3, 3.0, 6)
    inputs = inputs_of(np, X, None, directions_only=False)
    gram = found.gram(np, inputs, cosines(np, inputs))
    np.testing.assert_allclose(
        found.values(inputs.pairs(np)), gram[np.triu_indices(5)], rtol=0, atol=64 * EPS * gram.max()
    )


def test_an_interpolant_that_solutions_do_not_confirm_is_refused() -> None:
    def other(pairs: Pairs) -> tuple[Any, Any]:
        kernel, square = exponential(pairs)
        return kernel * (1 + 1e-8 * np.cos(40 * pairs.cosine)), square

    with pytest.raises(AccuracyError, match="interpolation in the norms leaves") as caught:
        interpolate_in_norms(exponential, other, (0.5, 1.5), 1e-10, 10**9)
    assert caught.value.reached is not None
    assert 1e-9 < caught.value.reached < 1.1e-8


WRONG = {
    "opposite": lambda r, s, rho: rho < -0.5,
    "parallel": lambda r, s, rho: rho > 0.5,
    "small": lambda r, s, rho: np.maximum(r, s) < 0.7,
    "large": lambda r, s, rho: np.minimum(r, s) > 1.2,
    "small and large": lambda r, s, rho: (np.minimum(r, s) < 0.7) & (np.maximum(r, s) > 1.2),
}


@pytest.mark.parametrize("where", WRONG)
def test_an_interpolant_is_refused_wherever_it_is_wrong(where: str) -> None:
    def other(pairs: Pairs) -> tuple[Any, Any]:
        kernel, square = exponential(pairs)
        off = WRONG[where](pairs.radii[pairs.first], pairs.radii[pairs.second], pairs.cosine)
        return kernel * (1 + 1e-8 * off), square

    with pytest.raises(AccuracyError, match="interpolation in the norms leaves"):
        interpolate_in_norms(exponential, other, (0.5, 1.5), 1e-10, 10**9)


@pytest.mark.parametrize("rough", ["cosine", "norm"])
def test_a_kernel_that_is_not_smooth_is_refused(rough: str) -> None:
    def kernel(pairs: Pairs) -> tuple[Any, Any]:
        values, square = exponential(pairs)
        if rough == "cosine":
            return values * (1 + np.abs(pairs.cosine - 0.1)), square
        return values * (1 + np.abs(pairs.radii[pairs.first] - 0.7)), square

    with pytest.raises(AccuracyError, match="is not enough") as caught:
        interpolate_in_norms(kernel, kernel, (0.5, 1.5), 1e-9, 10**9)
    assert caught.value.reached is not None
    assert caught.value.reached > 1e-10


def test_no_more_pairs_are_solved_than_are_allowed() -> None:
    solved = 0

    def counted(pairs: Pairs) -> tuple[Any, Any]:
        nonlocal solved
        solved += len(pairs)
        return exponential(pairs)

    with pytest.raises(AccuracyError, match="may take") as caught:
        interpolate_in_norms(counted, counted, (0.5, 1.5), 1e-12, 100)
    assert solved < 1000  # the curves that give the degrees
    most = int(str(caught.value).split("take ")[1].split()[0])
    solved = 0
    interpolate_in_norms(counted, counted, (0.5, 1.5), 1e-12, most)
    assert solved < most + 1000


def test_a_kernel_that_vanishes_is_refused() -> None:
    def zero(pairs: Pairs) -> tuple[Any, Any]:
        return np.zeros(len(pairs)), np.zeros(len(pairs.radii))

    with pytest.raises(AccuracyError, match="vanishes"):
        interpolate_in_norms(zero, zero, (0.5, 1.5), 1e-12, 10**9)


@pytest.mark.parametrize("case", ["kinked", "zero row", "not confirmed"])
def test_what_cannot_be_interpolated_is_solved_pair_by_pair(case: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name = {"kinked": "elu", "zero row": "cos"}.get(case, "erf")  # cos(0) = 1: the kernel does not vanish there
    limit = NeuralODE(name, 0.5).limit()
    X = spread(3, 2, 1.2, 5)
    if case == "zero row":
        X[2] = 0
    truth = limit.ntk(X)
    monkeypatch.setattr(evaluation, "SOLVED_PAIRS", 0)
    if case == "not confirmed":
        monkeypatch.setattr(evaluation, "interpolate_in_norms", refuse)
    np.testing.assert_array_equal(limit.ntk(X), truth)


def refuse(*_: Any) -> Any:
    raise AccuracyError("too rough")


def test_interpolated_gram_matrices_are_the_same_in_every_library(xp: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    interpolates(monkeypatch)
    X, limit = spread(9, 3, 1.5, 7), NeuralODE("erf", 0.5).limit()
    for other in (None, X[2:6]):
        found = limit.ntk(xp.asarray(X), None if other is None else xp.asarray(other))
        truth = limit.ntk(X, other)
        assert type(found) is type(xp.asarray(X))
        assert_within(to_host(found), truth, 64 * EPS, np.abs(truth).max())


def test_interpolated_gram_matrices_are_on_the_device_of_the_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    strict = pytest.importorskip("array_api_strict")
    interpolates(monkeypatch)
    device, limit = strict.Device("device1"), NeuralODE("erf", 0.5).limit()
    assert limit.ntk(strict.asarray(spread(9, 3, 1.5, 7), device=device)).device == device


@pytest.mark.parametrize("rtol", [1e-4, 1e-12])
def test_the_scheme_for_all_norms_is_no_finer_than_the_tolerance_asks_for(rtol: float) -> None:
    net, radii = NeuralODE("erf", 2.0), np.asarray([0.5, 2.0])
    scheme = coarsest(np, net, Gauss(), radii, rtol)
    pairs = Pairs(radii, np.asarray([0, 0, 1]), np.asarray([0, 1, 1]), np.asarray([0.3, -0.6, 0.9]))
    found, truth = (kernels(np, net, s, pairs) for s in (scheme, gauss(64, 1, 2.0)))
    assert_within(found.ntk, truth.ntk, rtol, np.sqrt(truth.diagonal[pairs.first] * truth.diagonal[pairs.second]))
    assert (scheme.size > 8) == (rtol < 1e-10)


def test_a_scheme_that_is_given_is_taken() -> None:
    assert coarsest(np, NeuralODE("erf"), Gauss(6, 2), np.ones(1), 1e-12).size == 12
    assert coarsest(np, NeuralODE("erf"), Euler(7), np.ones(1), 1e-12).size == 7
    assert coarsest(np, NeuralODE("erf"), Euler(1000), np.ones(1), 1e-12).size < 20


def test_activations_of_one_library_are_not_given_the_arrays_of_another(monkeypatch: pytest.MonkeyPatch) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("array_api_compat")
    own = Activation(lambda z: torch.sin(z), lambda z: torch.cos(z), name="sine of torch", parity="odd")
    X = torch.asarray(spread(5, 2, 1.3, 8))
    truth = NeuralODE("sin", 0.5).limit().ntk(X)
    interpolates(monkeypatch)
    assert_within(to_host(NeuralODE(own, 0.5).limit().ntk(X)), to_host(truth), 2 * RTOL, float(truth.max()))
