"""λ_t against central differences of f in the state h_t itself, with a bound on their error."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refimpl import Gauss, NeuralODE, Params, SolveIVP
from verification import Config
from verification.statements._data import Array
from verification.statements._integrate import apart, flow

ACCURACY = 1e-12
"""Relative accuracy that `Gauss()` promises."""

DIRECTIONS = 4
"""Orthonormal directions along which h_t is moved."""

SMALL = 1e-4
"""Step for a kinked φ, so small that hardly a kink lies within it."""


@dataclass(frozen=True)
class Derivative:
    """λ_t against central differences with `step`; error and its bound are relative to ‖λ_t‖."""

    activation: str
    source: str
    t: float
    step: float
    error: float
    allowed: float


class Perturbed:
    """f as a function of the state at time t: h_t is moved, then carried on to T by `flow`."""

    def __init__(self, config: Config, net: NeuralODE, theta: Params, x: Array) -> None:
        self.net, self.theta = net, theta
        self.times = net.horizon * np.linspace(0.0, 1.0, 5)
        random = config.rng("directions").standard_normal((theta.width, DIRECTIONS))
        self.directions = np.linalg.qr(random)[0].T
        kinked = bool(net.phi.kinks)
        solvers = [SolveIVP(rtol=1e-8, atol=1e-10), SolveIVP()] if kinked else [Gauss(rtol=ACCURACY)]
        paths = [net.trajectory(theta, x[None], self.times, solver) for solver in solvers]
        self.h, self.adjoint = paths[-1].h[:, 0], paths[-1].adjoint[:, 0]
        # Gauss promises its accuracy; with a kink nobody does, so take how far 100 times the tolerance moves λ_t.
        self.road = [apart(paths[0].adjoint[i], paths[-1].adjoint[i]) if kinked else ACCURACY for i in range(5)]

    def differences(self, i: int, step: float, rtol: float = 1e-13) -> tuple[Array, float]:
        """Central differences at times[i] along all directions; and δ, so that rounding moves them by at most δ/step.

        δ counts one rounding of h_t for each time step and one for each of the n terms of a product, carried to f by λ.
        """
        net, theta, h = self.net, self.theta, self.h[i]
        moved = np.concatenate([h + step * self.directions, h - step * self.directions])
        steps, remaining = 0, net.horizon - float(self.times[i])
        if remaining > 0:
            moved, steps = flow(net, theta, moved, remaining, rtol, "DOP853")
        f = net.phi.phi(moved) @ theta.v * net.sigma_v / math.sqrt(theta.width)
        largest = np.linalg.norm(self.adjoint, axis=1).max() * np.linalg.norm(self.h, axis=1).max()
        rounding = math.sqrt(DIRECTIONS) * float(np.finfo(float).eps) * (steps + theta.width) * float(largest)
        return (f[:DIRECTIONS] - f[DIRECTIONS:]) / (2 * step), rounding

    def error(self, i: int, differences: Array) -> float:
        """Distance to λ_t along the directions, relative to ‖λ_t‖."""
        return float(np.linalg.norm(differences - self.directions @ self.adjoint[i]) / np.linalg.norm(self.adjoint[i]))

    def model(self, i: int) -> tuple[float, float]:
        """c and δ of the error c ε² + δ/ε of a central difference with step ε: c by Richardson from two large steps."""
        (wide, _), (narrow, rounding) = self.differences(i, 0.02), self.differences(i, 0.01)
        return float(np.linalg.norm(wide - narrow)) / (3 * 0.01**2), rounding

    def check(self, i: int) -> tuple[float, float, float]:
        """Step, relative error and its bound at times[i].

        An analytic φ gets the step of least error by the model. With a kink f is only piecewise smooth, so the error
        is judged by what moves the value: twice the step, and 100 times the tolerance.
        """
        if self.net.phi.kinks:
            step = SMALL
            (value, rounding), (wide, _) = self.differences(i, step), self.differences(i, 2 * step)
            loose, _ = self.differences(i, step, rtol=1e-11)
            bound = float(np.linalg.norm(value - wide) + np.linalg.norm(value - loose)) + rounding / step
        else:
            c, rounding = self.model(i)
            step = float((rounding / (2 * c)) ** (1 / 3))
            value, _ = self.differences(i, step)
            bound = c * step**2 + rounding / step
        return step, self.error(i, value), bound / float(np.linalg.norm(self.adjoint[i])) + self.road[i]
