"""ReLU networks whose gradient difference does not decay as 1/L, and what crossings make of the error of a ResNet."""

from __future__ import annotations

from dataclasses import replace
from math import factorial
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from refimpl import Euler, KinkEvents, NeuralODE
from refimpl.data import sphere
from verification.config import Config
from verification.statements import _relu_deep
from verification.statements._contacts import contact, time_above
from verification.statements._data import DIM, inputs
from verification.statements._pencil import INPUT, network
from verification.statements._piecewise_linear import flow, gradient
from verification.statements._relu_constructed import GAP, constructed, on_the_kink, third, third_by_euler, touching
from verification.statements._relu_curves import flat
from verification.statements._relu_deep import Deep, backpropagated, deep, deepest_network, followed, same_changes
from verification.statements._relu_deep_report import bounded, crossing_places, extrapolation

EPS = float(np.finfo(float).eps)

HUNT = settings(max_examples=2000, derandomize=True, database=None, deadline=None)

SMALL = st.integers(-1, 1)


def stays_apart(case: Any) -> bool:
    """Whether ‖∇f^L − ∇f‖ is about the same at L = 32 and L = 128, with φ'(0) = 0 for neurons that are at 0 at T."""
    neurons, v, horizon = case
    W, start = [row[1 : 1 + len(neurons)] for row in neurons], [row[0] for row in neurons]
    if not np.any(W):
        return False
    net, theta = network("relu", W, start, v[: len(start)], horizon)
    try:
        end = flow(net, theta, INPUT[0]).end
    except ArithmeticError:  # two neurons on the kink at once
        return False
    if np.abs(end).min() > 64 * EPS:
        return False
    exact = flat(gradient(net, theta, INPUT, on=end[None] > 64 * EPS)[1])
    levels = [float(np.linalg.norm(flat(net.jacobian(theta, INPUT, Euler(L))) - exact)) for L in (32, 128)]
    return levels[1] > 0.5 * levels[0] > 0.05


def test_hypothesis_finds_a_network_whose_gradient_difference_is_constant() -> None:
    """It shrinks to h_2 = eᵗ and h_1 = (1 − t) eᵗ, on the kink at T = 1, to which the ResNet comes from above."""
    row = st.tuples(SMALL.filter(bool), SMALL, SMALL)
    networks = st.tuples(st.lists(row, min_size=1, max_size=2), st.tuples(SMALL, SMALL), st.integers(1, 3))
    neurons, v, horizon = find(networks, stays_apart, settings=HUNT)
    assert horizon == 1
    if v[0] == 0:  # the same network with its neurons exchanged
        neurons, v = [(start, w2, w1) for start, w1, w2 in reversed(neurons)], (v[1], v[0])
    assert neurons == [(1, 1, -1), (1, 0, 1)]
    assert (abs(v[0]), v[1]) == (1, 0)


@settings(max_examples=10)
@given(st.integers(1, 500))
def test_resnets_of_every_depth_are_above_the_kink_on_which_the_ode_ends(depth: int) -> None:
    """h_1^L = Δ (1 + Δ)^{L−1} > 0, so that λ_T = 1 where φ'(0) = 0 says 0."""
    net, theta, _ = on_the_kink(0.0)
    step = 1 / depth
    value = net.predict(theta, INPUT, Euler(depth))[0]
    assert value == pytest.approx(step * (1 + step) ** (depth - 1), rel=1e-9)
    # λ^0 = ((1 + Δ)^L, −L Δ (1 + Δ)^{L−1}) by induction
    U = net.jacobian(theta, INPUT, Euler(depth)).U[0, :, 0]
    np.testing.assert_allclose(U, [(1 + step) ** depth, -((1 + step) ** (depth - 1))], rtol=8 * depth * EPS)


@settings(max_examples=12)
@given(st.integers(3, 400))
def test_near_the_kink_the_level_ends_at_one_over_the_distance(inverse: int) -> None:
    """Layers ℓ = L with 1 − δ > ℓΔ/(1 + Δ), that is L < 1/δ − 1, have the wrong sign."""
    net, theta, exact = on_the_kink(1 / inverse)
    for depth, wrong in ((inverse - 2, True), (inverse, False)):
        level = float(np.linalg.norm(flat(net.jacobian(theta, INPUT, Euler(depth))) - flat(exact)))
        assert (level > 1) == wrong
        assert wrong or level < 2 / depth  # (1 + 1/L)^L against e


def test_a_touch_costs_half_of_the_order() -> None:
    found = constructed(4.0 ** np.arange(2, 6))
    ratios = found.touch[:-1] / found.touch[1:]
    assert np.abs(ratios - 2).max() < 0.35  # the number of layers on the wrong side is whole: 2√(2L) of them, ± 1
    assert found.on[-1] == pytest.approx(GAP, rel=2 / 1024)
    net, theta, adjoint = touching()
    assert net.jacobian(theta, INPUT, KinkEvents(1e-5)).U[0, :, 0] == pytest.approx(adjoint, rel=1e-4)


@pytest.mark.parametrize("feed", [0.0, 1.0])
@pytest.mark.parametrize("order", [2, 3, 4, 5])
def test_contacts_are_of_the_order_that_is_asked_for(order: int, feed: float) -> None:
    """h_1 = (t − 1)^k/k!, less (t − 1/2)²/2 before the crossing at t = 1/2 of what feeds into it."""
    net, theta = contact(order, feed)
    t = np.linspace(0, 2, 9)
    expected = (t - 1) ** order / factorial(order) - feed * np.minimum(t - 0.5, 0) ** 2 / 2
    h = net.trajectory(theta, INPUT, t).h[:, 0, 0]
    np.testing.assert_allclose(h, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("order", [2, 4, 6])
def test_an_even_contact_is_missed_between_zeros_of_a_hermite_polynomial(order: int) -> None:
    """The times are those with s^k He_k(s) < 0, in units of √Δ; each is known to two layers."""
    roots = np.polynomial.hermite_e.hermeroots([0] * order + [1])
    lengths = np.diff(roots)[::2]
    depth = 1024
    step = 2 / depth
    missed = 2 - time_above(order, depth)
    assert abs(missed - lengths.sum() * np.sqrt(step)) <= 2 * lengths.size * step


@settings(max_examples=20)
@given(st.integers(1, 1000))
def test_what_an_odd_contact_costs_before_and_after_it_cancels(depth: int) -> None:
    """Three zeros, each known to two layers, mirrored at the contact."""
    assert abs(time_above(3, depth) - 1) <= 3 * 2 * 2 / depth


@settings(max_examples=10)
@given(st.integers(1, 1000).filter(lambda depth: depth % 3))
def test_the_layers_behind_a_crossing_are_counted(depth: int) -> None:
    assert abs(third_by_euler(depth) - third(depth)) <= 4 * depth * EPS


@given(st.integers(4, 16))
def test_the_place_of_a_crossing_within_a_step_spoils_the_extrapolation(k: int) -> None:
    """L (2λ^{2L} − λ^L − λ)/λ → {2L/3} − {L/3} = ±1/3, with O(1/L) left."""
    L = 2**k
    assert L * (2 * third(2 * L) - third(L)) == pytest.approx(1 / 3 if L % 3 == 1 else -1 / 3, abs=4 / L)
    assert abs(4 * L * third(4 * L) - L * third(L)) <= 4 / L  # at the same place within a step


@pytest.mark.parametrize("activation", ["relu", "softplus", "leaky_relu"])
@pytest.mark.parametrize("depth", [1, 2, 33])
def test_backpropagation_written_out_is_that_of_the_package(activation: str, depth: int) -> None:
    net = NeuralODE(activation, horizon=1.3, sigma_u=0.9, sigma_w=1.2, sigma_v=0.8)
    theta, X = net.init(9, 4, seed=1), sphere(1, 4, seed=2)
    own, layers = backpropagated(net, theta, X[0], depth)
    expected = flat(net.jacobian(theta, X, Euler(depth)))[0]
    assert np.linalg.norm(own - expected) <= 8 * (depth + 9) * EPS * np.linalg.norm(expected)
    assert layers.shape == (depth + 1, 9)


def made_up(fractions: Any) -> Deep:
    """A difference that is (A + θ J)/L exactly, with θ the fractional part of L/3."""
    A, J = np.array([3.0, 0.0, 1.0]), np.array([0.0, 1.0, -1.0])
    depths, fitted = 2.0 ** np.arange(3, 17), np.arange(101.0, 117.0)
    rows = [(A + np.outer(fractions(L), J)) for L in (depths, fitted)]
    places, of_fit = fractions(depths)[:, None], fractions(fitted)[:, None]
    return Deep(3, depths, rows[0] / depths[:, None], np.ones(3), places, rows[1], of_fit, 1.0, np.ones(14, dtype=bool))


def test_an_error_made_of_places_is_found_to_be_that() -> None:
    found = made_up(lambda L: L / 3 - np.floor(L / 3))
    assert found.remainder.max() <= 64 * EPS
    assert found.slope(found.extrapolated).slope == pytest.approx(-1, abs=0.01)
    level = (found.depths * found.norm).max()
    assert level < found.ceiling
    # Places seen are 1/3 and 2/3, which leaves −1/3 ≤ θ ≤ 4/3; the largest ‖A + θ J‖ is at both ends.
    assert found.ceiling == pytest.approx(np.linalg.norm([3.0, 4 / 3, -1 / 3]))


def grown(found: Deep, power: float) -> Deep:
    """Differences that fall as L^{power − 1}, also at the depths of the fit."""
    fitted = np.arange(101.0, 117.0)[:, None] ** power * found.fitted
    return replace(found, differences=found.depths[:, None] ** power * found.differences, fitted=fitted)


@pytest.mark.parametrize("power", [0.1, 0.2, 0.5, 0.9])
def test_a_difference_that_falls_more_slowly_than_one_over_the_depth_is_not_bounded_by_it(power: float) -> None:
    """Its remainder grows with it: an allowance from the depths that are judged would be the triangle inequality."""
    found = made_up(lambda L: L / 3 - np.floor(L / 3))
    assert bounded(found).verdict.value == "holds"
    assert bounded(grown(found, power)).verdict.value == "fails-as-stated"
    assert crossing_places(grown(found, power)).verdict.value == "fails-as-stated"


def test_a_depth_with_another_crossing_is_left_out_and_nothing_is_allowed_for_it() -> None:
    found = made_up(lambda L: L / 3 - np.floor(L / 3))
    off = found.depths == 64
    spoiled = replace(found, differences=np.where(off[:, None], 12 * found.differences, found.differences))
    assert bounded(spoiled).uncertainty > 1
    assert extrapolation(spoiled).measured < -1.2
    judged = replace(spoiled, aligned=~off)
    assert judged.depths[judged.settled][0] == 128
    assert bounded(judged).uncertainty <= 1e-10
    assert extrapolation(judged).verdict.value == "holds"
    assert extrapolation(judged).measured == pytest.approx(-1, abs=0.01)
    nowhere = replace(found, aligned=found.depths < 60000)
    assert {claim(nowhere).verdict.value for claim in (bounded, extrapolation, crossing_places)} == {"undecided"}


def test_extrapolation_that_does_help_fails_the_claim_that_it_does_not() -> None:
    found = made_up(lambda L: 0 * L)
    second = found.differences + found.depths[:, None] ** -2.0
    assert extrapolation(replace(found, differences=second)).verdict.value == "fails-as-stated"


def test_crossings_are_compared_by_neuron_and_layer() -> None:
    h = np.array([[-1.0, 1.0], [1.0, 1.0], [2.0, -1.0]])
    assert same_changes(h, [(2.0, 1), (1.0 + 1e-12, 0)])
    assert not same_changes(h, [(1.0, 0)])
    assert not same_changes(h, [(1.0, 1), (2.0, 0)])
    assert not same_changes(h, [(1.0, 0), (1.0, 0), (2.0, 1)])


@pytest.mark.slow
def test_the_error_of_random_networks_is_made_of_places(monkeypatch: Any) -> None:
    monkeypatch.setattr(_relu_deep, "DEEPEST", 13)
    for seed in range(6):
        found, control = deep(Config("relu", seed=seed))
        last = found.depths >= 1024
        assert found.remainder[last].max() < 0.01
        assert (found.depths * found.norm)[last].max() <= found.ceiling * 1.01
        assert abs(control.slope(control.extrapolated).slope + 2) < 0.05


@pytest.mark.parametrize(("seed", "same"), [(0, True), (2, False)])
def test_the_deepest_network_is_the_first_that_crosses_the_kink(seed: int, same: bool) -> None:
    """With seed 2 the first network of n = 16 does not cross it, and a comparison of no speeds raised."""
    config = Config("relu", seed)
    first = NeuralODE("relu").init(16, DIM, seed=config.rng("deepest", 16))
    found = deepest_network(config, 16)
    assert np.array_equal(found.W, first.W) is same
    assert followed(found, inputs(config, 1)["sphere"][0]).crossings
