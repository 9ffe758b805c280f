"""Gradient descent on one quadratic neuron, and the search for steps beyond its blow-up."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import assume, find, given, settings
from hypothesis import strategies as st

from refimpl import DivergenceError, train
from verification.statements._quadratic_step import RATE, START, TARGET, Neuron, by_package

EPS = float(np.finfo(float).eps)
numbers = st.floats(-1.5, 1.5)


@given(numbers, numbers, numbers)
@settings(max_examples=8)
def test_the_neuron_in_closed_form_is_the_network(u: float, w: float, v: float) -> None:
    assume(w * u < 1)  # well before the blow-up at w u = 2
    neuron = Neuron(u, w, v)
    net, theta = neuron.network
    X = np.ones((1, 1))
    J = net.jacobian(theta, X)
    scale = 1 + max(map(abs, neuron.gradient))
    assert abs(net.predict(theta, X)[0] - neuron.output) <= 1e-8 * scale  # a few dozen steps of rtol 1e-10
    found = [J.U[0, 0, 0], J.W[0, 0, 0], J.v[0, 0]]
    np.testing.assert_allclose(found, neuron.gradient, atol=1e-8 * scale)


def test_a_step_beyond_the_blow_up_is_found_with_small_whole_numbers() -> None:
    def leaves(case: tuple[int, int, int, int, int]) -> bool:
        u, w, v, y, halvings = case
        neuron, rate = Neuron(float(u), float(w), float(v)), 0.5**halvings
        return neuron.blow_up > 1 and neuron.step(float(y), rate).blow_up < 1

    small = st.integers(-2, 3)
    settings_ = settings(max_examples=2000, derandomize=True, database=None)
    found = find(st.tuples(small, small, small, small, st.integers(0, 6)), leaves, settings=settings_)
    assert leaves(found)
    assert sum(map(abs, found)) <= sum(map(abs, (START.u, START.w, START.v, TARGET, 3)))


def test_the_step_of_the_report_can_be_checked_with_a_pencil() -> None:
    assert START.output == 2
    assert START.gradient == (8, 4, 2)
    after = START.step(TARGET, RATE)
    assert (after.u, after.w, after.v) == (2, 1.5, 1.25)
    assert abs(after.blow_up - 2 / 3) <= EPS
    moved, time = by_package()
    np.testing.assert_allclose(moved, [2, 1.5, 1.25], rtol=1e-8)
    assert abs(time - 2 / 3) <= 1e-8
    assert Neuron(1.0, -1.0, 1.0).blow_up == math.inf


def test_training_says_so_at_that_step() -> None:
    net, theta = START.network
    with pytest.raises(DivergenceError) as caught:
        train(net, theta, np.ones((1, 1)), np.asarray([TARGET]), lr=RATE, steps=3)
    assert caught.value.step == 1
