"""Gradient descent (5) as a loop of its own, for any solver: a run of the wide networks on a second road."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from verification import Agreement
from verification.statements._data import Array
from verification.statements._two_kernels import Road, on_both
from verification.statements._wide_training import SOLVER, Run, Study


@dataclass(frozen=True)
class Descent:
    """What `Run` holds of the same names, of one network: losses, outputs, and how far it went.

    Parameters
    ----------
    loss, test_loss : array, shape (K + 1,)
    predictions, test_predictions : array, shape (K + 1, N) and (K + 1, curve)
    distance : array, shape (4, K + 1)
        ‖θ^k − θ^0‖ and its parts W, U, v.
    entry : array, shape (1,)
        Largest change of a single entry, from step 0 to the end.
    """

    loss: Array
    test_loss: Array
    predictions: Array
    test_predictions: Array
    distance: Array
    entry: Array


def descend(study: Study, road: Road) -> Descent:
    """The first network of the narrowest, on the digits: θ ← θ − η Σ_i (f(x_i) − y_i) ∇f(x_i)."""
    problem, theta = study.problems["digits"], study.runs["digits"][0][0].theta0
    assert theta is not None
    start, net, solver = theta, study.net, road.solver
    both, targets = (np.concatenate(pair)[: len(problem.X) + problem.curve] for pair in (
        (problem.X, problem.X_test), (problem.y, problem.y_test)
    ))  # fmt: skip
    outputs, moved = [], []
    for k in range(study.steps + 1):
        outputs.append(net.predict(theta, both, solver))
        change = theta - start
        moved.append([float(np.linalg.norm(block)) for block in (change.W, change.U, change.v)])
        if k < study.steps:
            residual = outputs[-1][: len(problem.X)] - problem.y
            theta = theta - problem.rate * net.jacobian(theta, problem.X, solver).transpose_apply(residual)
    f, parts, N = np.stack(outputs), np.transpose(moved), len(problem.X)
    squares = (f - targets) ** 2 / 2
    entry = max(float(np.abs(block).max()) for block in (change.W, change.U, change.v))
    return Descent(
        squares[:, :N].sum(axis=1), squares[:, N:].sum(axis=1), f[:, :N], f[:, N:],
        np.stack([np.sqrt(np.sum(parts**2, axis=0)), *parts]), np.asarray([entry]),
    )  # fmt: skip


def written_out(
    study: Study, quantity: str, measure: Callable[[Run | Descent], Array], claims: Sequence[str]
) -> Agreement:
    """`measure` of the run of the experiment, and of the loop along scipy's solution of the ODE and its adjoint."""

    def found(road: Road) -> Array:
        return measure(descend(study, road))

    where = f"{study.activation}, digits, $n = {int(study.widths[0])}$"
    roads = "train() with Gauss collocation", "the loop (5) written out, along scipy.integrate"
    return on_both(f"{quantity} ({where})", found, SOLVER, claims, roads, measure(study.runs["digits"][0][0]))
