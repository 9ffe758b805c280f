"""The learning rate: a number, or a name for one."""

from __future__ import annotations

import math

import numpy as np

from refimpl.backend import square
from refimpl.training.optimizers import Optimizer
from refimpl.training.problem import Problem

NAMES = ("theorem", "stable")


def positive(name: str, value: float, allowed: str) -> float:
    """`value` as a float, if it is a positive, finite number; `allowed` is what the error says is."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be {allowed}, got {value!r}")
    return float(value)


def check_rate(lr: float | str, optimizer: Optimizer) -> float | str:
    """A number as a float, a name as it is, if it is allowed for `optimizer`.

    Raises
    ------
    TypeError, ValueError
        Neither a positive, finite number nor a name that makes sense for the optimiser.
    """
    allowed = "a positive, finite number" + "".join(f" or {name!r}" for name in NAMES)
    if isinstance(lr, str):
        if lr not in NAMES:
            raise ValueError(f"lr must be {allowed}, got {lr!r}")
        if lr not in optimizer.named_rates:
            raise ValueError(
                f"lr={lr!r} has no meaning for {optimizer!r}: 1/‖X‖² (theorem) is for gradient descent, 1/λ_max(K_θ) "
                "(stable) for gradient descent and momentum; give a number"
            )
        return lr
    return positive("lr", lr, allowed)


def learning_rate(lr: float | str, problem: Problem) -> float:
    """The number: 1/‖X‖² with the spectral norm for "theorem", 1/λ_max(K_θ⁰) for "stable".

    Raises
    ------
    ValueError
        Where that is 1/0: no inputs, or inputs (or a kernel) that are zero.
    """
    if isinstance(lr, float):
        return lr
    xp, X = problem.xp, problem.X
    if X.shape[0] == 0:
        raise ValueError(f"lr={lr!r} needs at least one input, got X of shape {tuple(X.shape)}")
    if lr == "theorem":
        largest, what = square(float(xp.linalg.matrix_norm(X, ord=2))), "X"
    else:
        K = problem.net.ntk(problem.start, X, solver=problem.solver)
        largest, what = float(xp.linalg.eigvalsh(K)[-1]), "the tangent kernel"
    if not (0 < largest < math.inf and math.isfinite(1 / largest)):
        raise ValueError(f"lr={lr!r} has no value: {what} is zero, or too small or too large; give a number")
    return 1 / largest
