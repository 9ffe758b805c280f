"""How far each network of the experiment went, beside what the linearised theory predicts for it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.statements._data import DIM, Array
from verification.statements._linear_theory import BlockKernels, dual_path, travelled
from verification.statements._wide_training import BLOCKS, Problem, Run, Study

EXPONENTS = {"W": -1.0, "U": -0.5, "v": -0.5}
"""Of the relative distance: a bounded change over the norm of n², nd and n entries."""

FAR = 1e12
"""So many steps that every mode of K_∞ has come to its end."""


@dataclass(frozen=True)
class Distances:
    """Of all runs of a study, with leading axes (sources, widths, draws).

    Parameters
    ----------
    measured, predicted : array, shape (…, 4, steps + 1)
        ‖θ^k − θ^0‖ of `BLOCKS`, of the network and of the linearised theory with K_∞ from the same u^0.
    end : array, shape (…)
        The prediction for k → ∞, √((u^0 − y)ᵀ K_∞⁻¹ (u^0 − y)).
    start : array, shape (…, 4)
        ‖θ^0‖ of `BLOCKS`.
    entry : array, shape (…)
        Largest change of a single entry of θ.
    """

    study: Study
    blocks: BlockKernels
    measured: Array
    predicted: Array
    end: Array
    start: Array
    entry: Array

    @property
    def ratio(self) -> Array:
        """Measured over predicted at the last step, shape (sources, widths, draws)."""
        found: Array = self.measured[..., 0, -1] / self.predicted[..., 0, -1]
        return found

    def nears(self, block: int) -> bool:
        """Whether the mean of measured over predicted at the last step is closer to one at the largest width."""
        ratio = self.measured[..., block, -1] / self.predicted[..., block, -1]
        off = np.abs(ratio.mean(axis=(0, 2)) - 1)
        return bool(off[-1] < off[0])

    @property
    def deviation(self) -> Array:
        """max_k |measured − predicted| / predicted at the last step, root mean square over the blocks."""
        change = np.abs(self.measured - self.predicted).max(axis=-1) / self.predicted[..., -1]
        found: Array = np.sqrt(np.mean(change[..., 1:] ** 2, axis=-1))
        return found

    @property
    def relative(self) -> Array:
        """‖θ^K − θ^0‖ / ‖θ^0‖ of `BLOCKS`, shape (sources, widths, draws, 4)."""
        found: Array = self.measured[..., -1] / self.start
        return found

    @property
    def norms(self) -> Array:
        """√E‖θ^0‖² of `BLOCKS`, from the number of entries, shape (widths, 4)."""
        n = self.study.widths
        return np.sqrt(np.stack([n * (n + DIM + 1), n**2, n * DIM, n], axis=1))

    def predicted_relative(self) -> Array:
        """Root mean square over the draws and sources of the predicted distance over `norms`, shape (widths, 4)."""
        found: Array = np.sqrt(np.mean(self.predicted[..., -1] ** 2, axis=(0, 1, 2))) / self.norms
        return found


def distances(study: Study) -> Distances:
    steps = np.append(np.arange(study.steps + 1.0), FAR)
    blocks = BlockKernels.of(study.net)
    kernels = {source: blocks(problem.X) for source, problem in study.problems.items()}

    def predict(problem: Problem, run: Run) -> Array:
        path = dual_path(problem.K, run.predictions[0] - problem.y, problem.rate, steps)
        parts = [problem.K, *(kernels[problem.source][block] for block in BLOCKS[1:])]
        return np.stack([travelled(path, K) for K in parts])

    predicted = study.each(predict)
    return Distances(
        study, blocks, study.each(lambda _, run: run.distance), predicted[..., :-1], predicted[..., 0, -1],
        study.each(lambda _, run: run.start), study.each(lambda _, run: run.entry[0]),
    )  # fmt: skip
