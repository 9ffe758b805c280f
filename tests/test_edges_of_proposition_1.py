"""Where proposition 1 ends: Hypothesis finds the counterexamples, and shrinks them to what a pencil can check."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

from refimpl import AccuracyError, KinkEvents, NeuralODE, Params, SolveIVP
from refimpl.finite.kinks import Crossing
from verification.statements import _saltation
from verification.statements._conventions import CASES, SLOPES, one_sided
from verification.statements._escape import escape
from verification.statements._not_unique import two_solutions
from verification.statements._pencil import INPUT, network, output_from, relu_with
from verification.statements._piecewise_linear import flow
from verification.statements._without_lipschitz import rank_one, time_carried

EPS = float(np.finfo(float).eps)

HUNT = settings(max_examples=2000, derandomize=True, database=None, deadline=None)


LARGEST = 2

SMALL = st.integers(-2, 2)


@st.composite
def networks(draw: Any, start: Any = SMALL) -> tuple[list[list[int]], list[int], list[int], int]:
    """W, h_0, v and T of a network of small integers, drawn neuron by neuron, so that one can be left out."""
    neurons = draw(st.lists(st.tuples(start, SMALL, *(SMALL,) * LARGEST), min_size=1, max_size=LARGEST))
    n = len(neurons)
    return (
        [list(row[2 : 2 + n]) for row in neurons],
        [row[0] for row in neurons],
        [row[1] for row in neurons],
        draw(st.integers(1, 4)),
    )


# --- without a Lipschitz constant ---------------------------------------------------------------------------------


def test_hypothesis_finds_a_quadratic_network_without_a_solution() -> None:
    """It shrinks to one neuron with W = h_0 = 1, ḣ = h²/2: h = 1/(1 − t/2) has no value at T = 2."""

    def large(_t: float, h: Any) -> float:
        return float(np.abs(h).max()) - 1e4

    large.terminal = True

    def seems_to_have_no_solution(case: Any) -> bool:
        W, start, _, horizon = case
        ahead = np.asarray(W) / 2
        return bool(solve_ivp(lambda _t, h: ahead @ (h * h), (0, horizon), start, events=large, rtol=1e-2).status == 1)

    W, start, v, horizon = find(networks(), seems_to_have_no_solution, settings=HUNT)
    assert (W, start, horizon) == ([[1]], [1], 2)
    assert time_carried(*network("quadratic", W, start, v, horizon + 1)) == pytest.approx(2.0, rel=1e-10)


@settings(max_examples=10)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_no_quadratic_network_ends_before_the_bound_from_norms(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    W, start = rng.standard_normal((n, n)), rng.standard_normal(n)
    assert escape(W, start) >= 2 / float(np.linalg.norm(W, 2) * np.linalg.norm(start)) * (1 - 1e-6)


@settings(max_examples=10)
@given(st.integers(1, 5), st.integers(0, 10**6))
def test_a_weight_matrix_of_rank_one_escapes_when_its_one_equation_does(n: int, seed: int) -> None:
    a, b, start = np.random.default_rng(seed).uniform(0.2, 2.0, (3, n))
    if n == 1:  # the discriminant is 0
        start, a = np.append(start, 1.0), np.append(a, 0.0)
        b = np.append(b, 1.0)
    # rtol in a hundred steps, each relative to every component; t* is monotone and of degree −1 in h_0
    assert rank_one(a, b, start) == pytest.approx(escape(np.outer(a, b), start, rtol=1e-10), rel=1e-8)


def test_the_time_carried_is_that_of_the_neuron_that_ends_first() -> None:
    net, theta = network("quadratic", np.diag([1.0, 2.0, -3.0]), [1.0, 1.0, 5.0], np.ones(3), 3.0)
    assert time_carried(net, theta) == pytest.approx(1.0, rel=1e-10)
    net, theta = network("quadratic", np.diag([1.0, 2.0, -3.0]), [1.0, 1.0, 5.0], np.ones(3), 0.9)
    assert time_carried(net, theta) == math.inf


def test_a_root_has_two_solutions_from_one_state() -> None:
    (stays, goes_on), residual = two_solutions()
    assert residual <= 32 * EPS
    before, after = np.linspace(0, 2, 5), np.linspace(2.5, 4, 4)
    np.testing.assert_array_equal(stays(before), goes_on(before))
    assert (stays(after) > goes_on(after)).all()


# --- where λ is no derivative -------------------------------------------------------------------------------------


def bend(W: Any, start: Any, v: Any, horizon: float, side: int) -> float:
    """f(h_0 + εe) − 2 f(h_0) + f(h_0 − εe) over ε: 0 in the limit if f has a derivative along e."""
    net, theta = network("relu", W, start, v, horizon)
    step = 2.0**-10
    moves = step * np.array([1.0, 0.0, -1.0])[:, None] * np.eye(len(start))[side]
    above, at, below = output_from(net, theta, np.asarray(start) + moves, SolveIVP(rtol=1e-7, atol=1e-10))
    return float(above - 2 * at + below) / step


@st.composite
def relu_inputs(draw: Any) -> tuple[Any, Any, Any, Any]:
    """U, W, v and x of small integers, with d = 1 or 2."""
    n, d, small = draw(st.integers(1, 2)), draw(st.integers(1, 2)), st.integers(-2, 2)
    inputs, neurons = st.lists(small, min_size=d, max_size=d), st.lists(small, min_size=n, max_size=n)
    U, W = draw(st.lists(inputs, min_size=n, max_size=n)), draw(st.lists(neurons, min_size=n, max_size=n))
    return U, W, draw(neurons), draw(inputs)


def has_no_derivative(case: Any) -> bool:
    U, W, v, x = case
    start = (np.asarray(U) @ np.asarray(x)).tolist()
    return any(abs(bend(W, start, v, 1.0, i)) > 0.1 for i in range(len(start)))


def test_hypothesis_finds_an_input_at_which_the_adjoint_is_no_derivative() -> None:
    """x = 0, one neuron, W = 0: f = max(h_0, 0)."""
    U, W, v, x = find(relu_inputs(), has_no_derivative, settings=HUNT)
    assert (U, W, x) == ([[0]], [[0]], [0])
    assert abs(v[0]) == 1


def test_hypothesis_finds_an_input_other_than_zero_too() -> None:
    """U = (0, 1) and x = (1, 0): every U has such x, but each x has probability 0 of such U."""

    def elsewhere(case: Any) -> bool:
        U, _, _, x = case
        return any(x) and any(map(any, U)) and len(U) == 1 and has_no_derivative(case)

    U, W, _, x = find(relu_inputs(), elsewhere, settings=HUNT)
    assert W == [[0]]
    assert np.dot(U[0], x) == 0
    assert sorted(map(abs, U[0])) == [0, 1] == sorted(map(abs, x))


@settings(max_examples=10)
@given(st.integers(1, 4), st.integers(0, 10**6))
def test_at_x_0_no_relu_network_has_the_derivative(n: int, seed: int) -> None:
    """f is positively homogeneous in h_0, and 0 on the negative orthant: along e = (1, …, 1) its slopes are f(e), 0."""
    net = NeuralODE("relu")
    theta = net.init(n, 1, seed=seed)
    states = np.array([[1.0], [-1.0], [1e-3]]) * np.ones(n)
    above, below, near = output_from(net, theta, states, KinkEvents(rtol=1e-9))
    assert below == 0
    assert near == pytest.approx(1e-3 * above, rel=1e-8)
    assert above != 0


def test_a_differentiable_activation_has_the_derivative_at_x_0_too() -> None:
    net = NeuralODE("softplus")
    theta = net.init(16, 2, seed=0)
    adjoint = net.trajectory(theta, np.zeros((1, 2)), np.zeros(1)).adjoint[0, 0]
    for side in (1.0, -1.0):
        states = side * 1e-4 * np.array([0.0, 1.0, 4.0, 16.0])[:, None] * np.ones(16)
        slope, error = one_sided(output_from(net, theta, states))
        assert abs(side * slope - adjoint.sum()) <= error < 1e-4


# --- what φ'(0) decides -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
@pytest.mark.parametrize("slope", SLOPES)
def test_the_adjoint_at_a_kink_is_that_of_the_closed_form(case: Any, slope: float) -> None:
    assert case.solved(slope) == pytest.approx(case.adjoint(slope), rel=10 * case.rtol, abs=10 * case.rtol)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_the_slopes_of_the_branches_give_the_one_sided_derivatives(case: Any) -> None:
    for side, expected, slope in ((-1.0, case.below, 0.0), (1.0, case.above, 1.0)):
        found, error = case.one_sided(side)
        assert abs(found - expected) <= error < 0.1
        assert case.adjoint(slope) == expected


def test_hypothesis_finds_a_gradient_that_is_decided_by_convention() -> None:
    """It shrinks to two neurons from 1: ḣ_2 = φ(h_2), ḣ_1 = φ(h_1) − φ(h_2), where h_1 = (1 − t) eᵗ is 0 at T = 1."""

    def undecided(case: Any) -> bool:
        W, start, v, horizon = case
        if not np.any(W):
            return False
        try:
            end = flow(*network("relu", W, start, v, horizon), np.ones(1)).end
        except ArithmeticError:  # two neurons on the kink at once
            return False
        return bool((np.abs(end) <= 64 * EPS)[np.asarray(v) != 0].any())

    W, start, v, horizon = find(networks(start=SMALL.filter(bool)), undecided, settings=HUNT)
    net, theta = network("relu", W, start, v, horizon)
    assert (len(start), np.abs(W).max(), np.abs(start).max(), horizon) == (2, 1, 1, 1)
    neuron = int(np.argmin(np.abs(flow(net, theta, np.ones(1)).end)))
    assert abs(bend(W, start, v, horizon, neuron)) > 0.5
    with pytest.raises(AccuracyError, match=f"neuron {neuron} of input 0 is on the kink 0 at T"):
        net.jacobian(theta, INPUT, KinkEvents())


def test_hypothesis_finds_a_convention_outside_the_subdifferential() -> None:
    """ḣ = w max(h, 0) from 0 with φ'(0) = 1/2: λ_0 = e^{w/2}/2 is above e^w for w < −2 log 2, so first for w = −2."""

    def outside(w: int) -> bool:
        net, theta = network(relu_with(0.5), [[w]], [0.0], [1.0], 1.0)
        adjoint = net.jacobian(theta, INPUT, KinkEvents(rtol=1e-9)).U.item()
        above = output_from(net, theta, np.array([[1.0]]), KinkEvents(rtol=1e-9))[0]  # homogeneous: the derivative
        return not 0 <= adjoint <= above * (1 + 1e-6)

    assert find(st.integers(-5, 5), outside, settings=HUNT) == -2


# --- a crossing ---------------------------------------------------------------------------------------------------


def test_perturbations_would_jump_if_the_rate_did(monkeypatch: Any) -> None:
    """With a step instead of ReLU, ḣ jumps by the column W_i, and the saltation matrix is I + W_i e_iᵀ / ḣ_i."""
    W = np.array([[1.0, 2.0], [3.0, 0.0]])

    def moved(_net: Any, _theta: Any, state: Any, duration: float) -> Any:
        until = -state[0] / W[0, 1]  # h_1 < 0 < h_2
        return state + W[:, 1] * duration + W[:, 0] * (duration - until)

    monkeypatch.setattr(_saltation, "_moved", moved)
    monkeypatch.setattr(_saltation, "_weights", lambda *_: W)
    theta, crossing = Params(np.ones((2, 1)), W, np.ones(2)), Crossing(0.25, 0, 0.0, 2.0)
    times, still = np.array([[0.0, 0.2], [0.3, 0.5]]), (np.zeros(2), np.zeros(2))
    found, error = _saltation._saltation(NeuralODE("relu"), theta, np.array([-0.5, 1.0]), crossing, times, still)
    assert abs(found - 3.0 / 2.0) <= error < 1e-8


def test_the_rate_of_the_adjoint_jumps_by_the_closed_form() -> None:
    """ḣ_1 = φ(h_1) + 1 from −1: λ_1 = e^{T−t} after t = 1, and constant before, so that its rate jumps from 0 to −e."""
    net, theta = network("relu", [[1.0, 1.0], [0.0, 0.0]], [-1.0, 1.0], [1.0, 0.0], 2.0)
    found = _saltation.measure(net, theta, np.ones(1), Crossing(1.0, 0, 0.0, 1.0), 0.05)
    for jump in (found.rates, found.by_definition, found.predicted):
        assert abs(jump[0] + math.e) <= found.error + 0.05**4  # λ is continued by polynomials of degree 4
    assert found.saltation <= found.saltation_error < 1e-7
    assert found.jump <= 1e-8
