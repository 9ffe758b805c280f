"""Gradient descent of many random networks, and what (13) and (14) say of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from refimpl import Gauss, Params, train
from refimpl.errors import TrainingError
from refimpl.training import TrainingStep, linearize
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._stepsize import Problem

RISEN = 1e3
"""A run whose loss has risen by this factor ends: (14) is decided, and the solver need not follow it further."""


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
    ended : bool
        Whether it ended early, because the loss had risen too far.
    """

    loss: Array
    distance: Array
    linear: Array
    ended: bool

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
    def latest_break(self) -> int:
        """The step at which the last of the widest networks has broken (14); 0 if one never does."""
        firsts = []
        for run in self.runs[-1]:
            broken = run.loss[1:] > run.loss[0] * self.problem.promise(self.rate, len(run.loss) - 1)[1:]
            firsts.append(int(broken.argmax()) + 1 if broken.any() else 0)
        return 0 if 0 in firsts else max(firsts)

    @property
    def constants(self) -> Array:
        """C ‖X‖ of (13), shape (widths, seeds)."""
        return np.asarray([[run.constant(self.problem) for run in row] for row in self.runs])


def initial(config: Config, of: Problem, width: int, seed: int) -> Params:
    """The same parameters whatever the inputs and the step size."""
    return of.net.init(width, DIM, seed=config.rng("theta", of.net.phi.name, width, seed))


def solver(of: Problem) -> Gauss:
    """Exact to 9 digits on softplus networks, to 6 on tanh; its gradients are exact for the discrete network."""
    return Gauss(nodes=6, steps=math.ceil(of.net.horizon))


def descend(of: Problem, theta: Params, rate: float, steps: int) -> Descent:
    """Train one network. A run that explodes is kept up to there, if (14) is broken by then."""
    most = RISEN * of.net.loss(theta, of.X, of.y, solver(of))

    def risen(at: TrainingStep) -> bool:
        return at.loss > most

    try:
        run = train(of.net, theta, of.X, of.y, lr=rate, steps=steps, solver=solver(of), callback=risen)
    except TrainingError as error:  # θ^k is far away, and its equations are stiff
        if error.history is None or of.keeps(error.history.loss, rate):
            raise
        run = error.history
    kernel = of.net.ntk(theta, of.X, solver=solver(of))
    line = linearize(kernel, of.y, run.predictions[0], rate, np.arange(run.steps + 1), rtol=1e-12)
    return Descent(run.loss, run.distance, line.loss, run.steps < steps)


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
