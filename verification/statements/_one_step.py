"""One step of gradient descent against (8): the defect is ½ η² D²f[∇L, ∇L] to leading order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl import Gauss, NeuralODE, Params
from verification.statements._data import Array
from verification.statements._tasks import Task

HALVINGS = 7
"""Step sizes η = 2^-j / λ_max, j = 0, …, HALVINGS − 1."""


@dataclass(frozen=True)
class Defect:
    """The defect u^1 − y − (I − ηH^0)(u^0 − y) of one network for a sequence of η.

    Parameters
    ----------
    rates : array, shape (HALVINGS,)
        η, each half the one before.
    defect : array, shape (HALVINGS, N)
    second : array, shape (N,)
        ½ D²f(x_i)[∇L, ∇L], from adjoint Jacobians.
    second_error : float
        Error estimate of `second`, in the Euclidean norm.
    solver_error : float
        What the solver may add to an entry of `defect`, in the Euclidean norm.
    """

    activation: str
    source: str
    rates: Array
    defect: Array
    second: Array
    second_error: float
    solver_error: float

    @property
    def norm(self) -> Array:
        """Euclidean, shape (HALVINGS,)."""
        norms: Array = np.linalg.norm(self.defect, axis=1)
        return norms

    @property
    def order(self) -> tuple[float, float]:
        """The exponent of η at η → 0, and its last change: local exponents are 2 + O(η), so one term is removed."""
        local = np.log2(self.norm[:-1] / self.norm[1:])
        once = 2 * local[1:] - local[:-1]
        return float(once[-1]), float(abs(once[-1] - once[-2]))

    @property
    def limit(self) -> tuple[Array, float]:
        """lim defect/η², one and two terms of its expansion in η removed; the last change is its error estimate."""
        column = self.defect / self.rates[:, None] ** 2
        once = 2 * column[1:] - column[:-1]
        twice = (4 * once[1:] - once[:-1]) / 3
        return twice[-1], float(np.linalg.norm(twice[-1] - once[-1]))


def defect(activation: str, source: str, theta: Params, task: Task, rate: float, solver: Gauss) -> Defect:
    """Take the step with η = `rate` and its halves, each from the same θ^0."""
    net = NeuralODE(activation)
    rates = np.ldexp(rate, -np.arange(HALVINGS))
    u, gradient = net.predict(theta, task.X, solver), net.gradient(theta, task.X, task.y, solver)
    predicted = net.ntk(theta, task.X, solver=solver) @ (u - task.y)
    steps = [net.predict(theta + -float(eta) * gradient, task.X, solver) - u + eta * predicted for eta in rates]
    second, error = second_derivative(net, theta, task.X, gradient, solver)
    size = float(np.linalg.norm(u))
    return Defect(activation, source, rates, np.stack(steps), second / 2, error / 2, solver.rtol * size)


def second_derivative(net: NeuralODE, theta: Params, X: Array, direction: Params, solver: Gauss) -> tuple[Array, float]:
    """D²f[g, g] at every input: central differences of ⟨∇f(θ + εg), g⟩ in ε, the ∇f from the adjoint equation.

    Two steps, and Richardson's removal of their ε² term; the change is the error estimate. θ moves by 1/5 and 1/10.
    """

    def slope(step: float) -> Array:
        sides = (net.jacobian(theta + sign * step * direction, X, solver).apply(direction) for sign in (1.0, -1.0))
        ahead, behind = sides
        return np.asarray((ahead - behind) / (2 * step), dtype=np.float64)

    step = 0.1 / direction.norm()
    wide, narrow = slope(2 * step), slope(step)
    value = (4 * narrow - wide) / 3
    return value, float(np.linalg.norm(value - narrow))
