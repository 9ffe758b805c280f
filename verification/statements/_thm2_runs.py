"""The runs behind the claims on theorem 2."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from verification import Config
from verification.statements._descents import Descent, Ensemble, descend, ensemble, initial
from verification.statements._stepsize import Problem, problem
from verification.statements._tasks import Task, tasks

COUNT = 8
"""Inputs from each source."""

SAFE, NEAR = 0.5, 0.9
"""Step sizes as parts of η* = (2λ_max − λ_0)/λ_max², the largest that the linear dynamics with K_∞ allow."""

LONG = 2.0
"""Horizon at which the Frobenius norm fails."""

COMPLETE = {False: 64, True: 512}
"""Width of the network that is trained to the end, in the quick and in the full run."""

CONVERGED = 1e-6
"""Part of the initial loss at which training counts as converged."""


@dataclass(frozen=True)
class Experiment:
    """All runs: with either reading of η ≤ 1/‖X‖², and with parts of the largest stable step."""

    spectral: tuple[Ensemble, ...]
    frobenius: tuple[Ensemble, ...]
    safe: tuple[Ensemble, ...]
    near: Ensemble
    other_counts: tuple[Ensemble, ...]
    complete: Descent

    @property
    def all(self) -> tuple[Ensemble, ...]:
        return (*self.spectral, *self.frobenius, *self.safe, self.near, *self.other_counts)


def enough(of: Problem) -> int:
    """Steps with η = 1/λ_max after which (14) leaves `CONVERGED` of the loss."""
    return int(np.ceil(np.log(CONVERGED) / np.log1p(-of.least / of.largest)))


def experiment(config: Config, problems: Mapping[tuple[str, str], Problem], digits: Task) -> Experiment:
    full = config.full
    widths = (64, 128, 256, 512) if full else (32, 64, 128)
    seeds, steps, few = (10, 20, 8) if full else (8, 10, 5)
    softplus = [problems["softplus", source] for source in ("digits", "sphere")]
    tanh = [problems["tanh", source] for source in ("digits", "sphere")]
    long = problem("softplus", "digits", digits.X, digits.y, LONG)
    sphere, chosen = softplus[1], [*softplus, tanh[1], *([tanh[0]] if full else [])]
    largest = widths[-1:]
    counts = []
    for count in (4, 16):
        task = tasks(config, count, 1)["sphere"]
        of = problem("softplus", "sphere", task.X, task.y)
        counts.append(ensemble(config, of, SAFE * of.edge, widths[:1], seeds, steps))
    theta = initial(config, sphere, COMPLETE[full], 0)
    return Experiment(
        spectral=(
            *(ensemble(config, of, 1 / of.spectral**2, widths, seeds, few) for of in softplus),
            *(ensemble(config, of, 1 / of.spectral**2, largest, seeds, steps) for of in tanh),
        ),
        frobenius=(
            ensemble(config, long, 1 / long.frobenius**2, widths, seeds, few),
            ensemble(config, tanh[1], 1 / tanh[1].frobenius ** 2, largest, seeds, steps),
        ),
        safe=tuple(ensemble(config, of, SAFE * of.edge, widths, seeds, steps) for of in chosen),
        near=ensemble(config, sphere, NEAR * sphere.edge, widths, seeds, steps),
        other_counts=tuple(counts),
        complete=descend(sphere, theta, 1 / sphere.largest, enough(sphere)),
    )
