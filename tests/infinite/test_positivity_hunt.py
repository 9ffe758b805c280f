"""Hypothesis hunts for two different inputs on the sphere whose K_∞ is singular, and shrinks them to x = ±1."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from refimpl import NeuralODE

HUNT = settings(
    max_examples=60, database=None, derandomize=True, suppress_health_check=list(HealthCheck),
    phases=(Phase.generate, Phase.shrink),  # whatever the profile leaves out
)  # fmt: skip


def pairs(names):
    vector = st.integers(1, 3).flatmap(
        lambda d: st.tuples(*[st.lists(st.integers(-3, 3), min_size=d, max_size=d).filter(any)] * 2)
    )
    return st.tuples(st.sampled_from(names), vector)


def is_singular(case):
    """Whether two different directions have λ_min(K_∞) within the accuracy 1e-12 of the kernel."""
    name, points = case
    X = np.asarray(points, dtype=float)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    if np.allclose(X[0], X[1]):
        return False
    K = NeuralODE(name, horizon=0.5).limit().ntk(X)
    return bool(np.linalg.eigvalsh(K)[0] <= 1e-11 * K[0, 0])


def test_the_proposition_as_stated_is_refuted_by_the_two_points_of_the_line():
    name, (x, y) = find(pairs(["softplus", "cos", "tanh", "erf"]), is_singular, settings=HUNT)
    assert name in ("tanh", "erf")
    assert sorted([x, y]) == [[-1], [1]]


def test_activations_that_are_not_odd_have_no_such_pair():
    with pytest.raises(NoSuchExample):
        find(pairs(["softplus", "cos", "gelu"]), is_singular, settings=HUNT)


def on_a_line(names):
    """Two different points of the line, neither of them zero."""
    pairs = [(x, y) for x in (1, 2, 3, -1, -2) for y in (1, 2, 3, -1, -2) if x < y]
    return st.tuples(st.sampled_from(names), st.sampled_from(pairs))


@cache
def is_singular_on_the_line(case):
    name, points = case
    K = NeuralODE(name, horizon=0.5).limit().ntk(np.asarray(points, dtype=float)[:, None])
    accuracy = 1e-8 if name in ("relu", "leaky_relu", "elu") else 1e-11
    return bool(np.linalg.eigvalsh(K)[0] <= accuracy * K.max())


def test_off_the_sphere_a_homogeneous_activation_is_refuted_by_one_and_two():
    name, points = find(on_a_line(["softplus", "cos", "relu"]), is_singular_on_the_line, settings=HUNT)
    assert name == "relu"
    assert points == (1, 2)


def test_collinear_inputs_refute_no_smooth_activation_that_is_not_odd():
    with pytest.raises(NoSuchExample):
        find(on_a_line(["softplus", "gelu", "cos"]), is_singular_on_the_line, settings=HUNT)
