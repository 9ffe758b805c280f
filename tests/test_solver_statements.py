"""Gradients in both orders on adaptive steps, and the search for steps that climb."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from refimpl import Euler, NeuralODE
from verification.statements._alignment import CLIMBS, OneNeuron, cosine
from verification.statements._discrete import METHODS, Tableau, accepted, gradient, output

EPS = float(np.finfo(float).eps)
integers = st.integers(-3, 3).map(float)
neurons = st.builds(OneNeuron, u=integers, w=integers, v=integers, T=st.integers(1, 3).map(float))


@pytest.mark.parametrize("method", [*METHODS, "Euler"])
def test_tableaus_are_consistent_and_explicit(method: str) -> None:
    tableau = Tableau.of(method)
    assert abs(tableau.weights.sum() - 1) <= 64 * EPS
    assert not np.triu(tableau.matrix).any()


@pytest.mark.parametrize("activation", ["softplus", "tanh"])
def test_chain_rule_through_eulers_steps_is_backpropagation(activation: str) -> None:
    net = NeuralODE(activation, horizon=1.5, sigma_u=0.9, sigma_w=1.2, sigma_v=1.1)
    theta, X = net.init(width=12, dim=3, seed=0), np.random.default_rng(1).standard_normal((4, 3))
    depth, times = 9, np.linspace(0, 1.5, 10)
    found, exact = gradient(net, theta, X, Tableau.of("Euler"), times), net.jacobian(theta, X, Euler(depth))
    for name in ("U", "W", "v"):
        a, b = getattr(found, name), getattr(exact, name)
        assert np.abs(a - b).max() <= depth * 12 * EPS * np.abs(b).max()  # n terms in each of L layers
    f = net.predict(theta, X, Euler(depth))
    assert np.abs(output(net, theta, X, Tableau.of("Euler"), times) - f).max() <= depth * 12 * EPS * np.abs(f).max()


@pytest.mark.parametrize("method", METHODS)
def test_chain_rule_through_accepted_steps_is_the_derivative_of_their_output(method: str) -> None:
    net = NeuralODE("tanh", horizon=2.0)
    theta, X = net.init(width=10, dim=2, seed=2), np.asarray([[1.0, 0.0], [0.6, 0.8]])
    tableau, (times, _) = Tableau.of(method), accepted(net, theta, X, method, 1e-2, 1e-4)
    direction = net.init(width=10, dim=2, seed=3)
    along = gradient(net, theta, X, tableau, times).apply(direction)

    def quotient(step: float) -> np.ndarray:
        ahead, behind = (output(net, theta + s * direction, X, tableau, times) for s in (step, -step))
        return (ahead - behind) / (2 * step)

    wide, narrow, finest = (quotient(step) for step in (8e-3, 4e-3, 2e-3))
    coarse, better = (4 * narrow - wide) / 3, (4 * finest - narrow) / 3
    assert np.abs(better - along).max() <= np.abs(better - coarse).max() + 1e-11  # rounding, 100 eps over the step
    assert np.abs(better - coarse).max() < 1e-6 * np.abs(along).max()


def climbs(neuron: OneNeuron) -> bool:
    exact, swapped = neuron.exact, neuron.swapped
    return bool(exact.any() and swapped.any() and exact @ swapped < 0)


def test_a_step_that_climbs_is_found_and_is_no_larger_than_the_one_reported() -> None:
    found = find(neurons, climbs, settings=settings(max_examples=500, derandomize=True, database=None))
    assert climbs(found)
    assert abs(found.u) + abs(found.w) + abs(found.v) + found.T <= 8
    exact, swapped = found.by_package()
    np.testing.assert_allclose(exact, found.exact, rtol=8 * EPS, atol=8 * EPS)
    np.testing.assert_allclose(swapped, found.swapped, rtol=8 * EPS, atol=8 * EPS)


def test_the_counterexample_can_be_checked_with_a_pencil() -> None:
    assert CLIMBS.exact.tolist() == [-1.0, 2.0, -1.0]
    assert CLIMBS.swapped.tolist() == [-1.0, -2.0, -1.0]
    assert abs(cosine(CLIMBS.exact, CLIMBS.swapped) + 1 / 3) <= 4 * EPS


@given(neurons)
def test_no_step_climbs_whose_gradient_is_closer_than_its_own_length(neuron: OneNeuron) -> None:
    exact, swapped = neuron.exact, neuron.swapped
    if np.linalg.norm(swapped - exact) < np.linalg.norm(exact):
        assert exact @ swapped > 0
