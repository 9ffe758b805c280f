"""Records of large arrays show themselves in a line, with the shapes of the arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import refimpl

net = refimpl.NeuralODE()
X = refimpl.data.sphere(20, 10, seed=0)
theta = net.init(width=50, dim=10, seed=0)
euler = refimpl.Euler(2)
THETA = "Params(U=(50, 10), W=(50, 50), v=(50,))"


def step() -> Any:
    seen: list[Any] = []
    refimpl.train(net, theta, X, X[:, 0], lr=0.1, steps=1, solver=euler, callback=seen.append)
    return seen[0]


RECORDS = {
    "parameters": (lambda: theta, THETA),
    "a step of training": (step, f"TrainingStep(step=0, loss=½Σr², theta={THETA}, predictions=(20,))"),
    "a Jacobian": (lambda: net.jacobian(theta, X, euler), "Jacobian(U=(20, 50, 10), W=(20, 50, 50), v=(20, 50))"),
    "a trajectory": (
        lambda: net.trajectory(theta, X, np.zeros(3), euler),
        "Trajectory(t=(3,), h=(3, 20, 50), adjoint=(3, 20, 50))",
    ),
    "fields": (
        lambda: net.limit(refimpl.Gauss(nodes=8, steps=1)).fields(X[0], X[1]),
        "Fields(t=(8,), S=(8, 8), Sigma=(8, 8), t_adjoint=(8,), P=(8, 8))",
    ),
    "digits": (
        refimpl.data.digits,
        "Digits(X_train=(268, 64), y_train=(268,), X_test=(89, 64), y_test=(89,))",
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_a_record_shows_the_shapes_of_its_arrays(name: str) -> None:
    make, shown = RECORDS[name]
    record = make()
    assert repr(record).replace(repr(getattr(record, "loss", None)), "½Σr²") == shown
