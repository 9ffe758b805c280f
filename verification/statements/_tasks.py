"""Regression problems on the unit sphere, as assumption 1 wants them: distinct inputs, targets ±1."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl import data
from verification import Config
from verification.statements._data import DIM, Array


@dataclass(frozen=True)
class Task:
    """Inputs (N, d) and (N_test, d) on the unit sphere with their targets (N,) and (N_test,)."""

    X: Array
    y: Array
    X_test: Array
    y_test: Array

    @property
    def everything(self) -> Array:
        """Training inputs, then test inputs."""
        return np.concatenate([self.X, self.X_test])


def tasks(config: Config, count: int, tested: int) -> dict[str, Task]:
    """Digits, 3 against 8; and random points of S^63, one side of a random hyperplane against the other."""
    found = data.digits((3, 8), n_train=count, n_test=tested, seed=config.rng("digits"))
    points = data.sphere(count + tested, DIM, seed=config.rng("sphere"))
    labels = np.where(points @ config.rng("hyperplane").standard_normal(DIM) > 0, 1.0, -1.0)
    return {
        "digits": Task(found.X_train, found.y_train, found.X_test, found.y_test),
        "sphere": Task(points[:count], labels[:count], points[count:], labels[count:]),
    }
