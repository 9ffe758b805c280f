"""Gradient descent of many random networks, and what (13) and (14) say of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from refimpl import Gauss, Params, train
from refimpl.errors import DivergenceError
from refimpl.training import linearize
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._stepsize import Problem

SOLVER = Gauss(nodes=6, steps=1)
"""Exact to 9 digits on softplus networks, to 6 on tanh; its gradients are exact for the discrete network."""


@dataclass(frozen=True)
class Descent:
    """One network, trained.

    Parameters
    ----------
    loss : array, shape (K + 1,)
        L(θ^k).
    distance : array, shape (K + 1,)
        ‖θ^k − θ^0‖.
    linear : array, shape (K + 1,)
        The loss of the linear dynamics with K_{θ^0}.
    diverged : bool
        Whether the loss became so large that training was given up.
    """

    loss: Array
    distance: Array
    linear: Array
    diverged: bool

    def constant(self, of: Problem) -> float:
        """C ‖X‖ of (13): sup_k ‖θ^k − θ^0‖ λ_0 / √L(θ^0)."""
        return float(self.distance.max()) * of.least / float(np.sqrt(self.loss[0]))


@dataclass(frozen=True)
class Ensemble:
    """Networks of several widths with one step size; `runs` by width, one for each seed."""

    problem: Problem
    rate: float
    widths: Array
    runs: tuple[tuple[Descent, ...], ...]

    @property
    def kept(self) -> Array:
        """Whether (14) held at every step, shape (widths, seeds)."""
        return np.asarray([[self.problem.keeps(run.loss, self.rate) for run in row] for row in self.runs])

    @property
    def kept_linear(self) -> Array:
        """Whether it holds in the linear dynamics with K_{θ^0}, over as many steps."""
        return np.asarray([[self.problem.keeps(run.linear, self.rate) for run in row] for row in self.runs])

    @property
    def constants(self) -> Array:
        """C ‖X‖ of (13), shape (widths, seeds)."""
        return np.asarray([[run.constant(self.problem) for run in row] for row in self.runs])


def initial(config: Config, of: Problem, width: int, seed: int) -> Params:
    """The same parameters whatever the inputs and the step size."""
    return of.net.init(width, DIM, seed=config.rng("theta", of.net.phi.name, width, seed))


def descend(of: Problem, theta: Params, rate: float, steps: int) -> Descent:
    """Train one network; a run that diverges is kept up to there."""
    try:
        run, diverged = train(of.net, theta, of.X, of.y, lr=rate, steps=steps, solver=SOLVER), False
    except DivergenceError as error:
        if error.history is None:
            raise
        run, diverged = error.history, True
    kernel = of.net.ntk(theta, of.X, solver=SOLVER)
    line = linearize(kernel, of.y, run.predictions[0], rate, np.arange(run.steps + 1))
    return Descent(run.loss, run.distance, line.loss, diverged)


def ensemble(config: Config, of: Problem, rate: float, widths: Sequence[int], seeds: int, steps: int) -> Ensemble:
    """`seeds` networks of each width."""
    runs = [
        tuple(descend(of, initial(config, of, n, seed), rate, steps) for seed in range(seeds))
        for n in config.progress(widths, f"{of.name}, width")
    ]
    return Ensemble(of, rate, np.asarray(widths, dtype=np.float64), tuple(runs))


def share(kept: Array) -> tuple[float, float, float]:
    """The fraction of True, and its Clopper–Pearson interval at 95 %."""
    interval = stats.binomtest(int(kept.sum()), kept.size).proportion_ci(0.95, "exact")
    return float(kept.mean()), float(interval.low), float(interval.high)
