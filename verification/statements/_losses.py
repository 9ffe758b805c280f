"""The losses and outputs of each network of the experiment, beside the linearised dynamics from the same u^0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from verification.statements._data import Array
from verification.statements._linear_theory import classified, linearized
from verification.statements._wide_training import Problem, Run, Study


@dataclass(frozen=True)
class Losses:
    """Of all runs of a study, with leading axes (sources, widths, draws).

    Parameters
    ----------
    loss, test_loss : array, shape (…, 2, steps + 1)
        Of the network, and of the linearised dynamics with K_∞.
    regression : array, shape (…)
        Test loss of kernel regression with K_∞, the linearised dynamics at k = ∞.
    gap : array, shape (…, 3)
        max_k ‖u^k − u^k_lin‖ / ‖u^0 − y‖ on the training inputs, the same on the test inputs, and on the training
        inputs with the network's own K_θ at step 0 in place of K_∞.
    correct : array, shape (…, 4)
        Share of all test inputs with the right sign: the network at the last step, the linearised dynamics there and
        at k = ∞; and the share where the first two agree.
    slowest : array, shape (sources,)
        −2 log(1 − ηλ_min(K_∞)), the rate at which the slowest mode of the loss decays.
    """

    study: Study
    loss: Array
    test_loss: Array
    regression: Array
    gap: Array
    correct: Array
    slowest: Array

    def rate(self) -> Array:
        """−log(L_K / L_{K−m}) / m over the last quarter of the steps, shape (sources, widths, draws, 2)."""
        m = self.study.steps // 4
        found: Array = np.log(self.loss[..., -1 - m] / self.loss[..., -1]) / m
        return found

    def speed(self) -> Array:
        """min_k −log(L_k / L_0) / k over that of the slowest mode, for the networks; shape (sources, widths, draws)."""
        k = np.arange(1, self.study.steps + 1)
        rates = -np.log(self.loss[..., 0, 1:] / self.loss[..., 0, :1]) / k
        found: Array = rates.min(axis=-1) / self.slowest[:, None, None]
        return found

    def growth(self) -> Array:
        """max_k L_{k+1} / L_k of the networks, shape (sources, widths, draws)."""
        found: Array = (self.loss[..., 0, 1:] / self.loss[..., 0, :-1]).max(axis=-1)
        return found


def losses(study: Study) -> Losses:
    k = np.arange(study.steps + 1)

    def pairs(problem: Problem, run: Run) -> Array:
        theory = linearized(problem, run, k)
        return np.asarray([[run.loss, theory.loss], [run.test_loss, theory.test_loss]])

    def gaps(problem: Problem, run: Run) -> list[float]:
        limit, own = linearized(problem, run, k), linearized(problem, run, k, run.kernel[0])
        scale = float(np.linalg.norm(run.predictions[0] - problem.y))
        test_scale = float(np.linalg.norm(run.test_predictions[0] - problem.y_test[: problem.curve]))
        return [
            _farthest(run.predictions, limit.predictions) / scale,
            _farthest(run.test_predictions, limit.test_predictions) / test_scale,
            _farthest(run.predictions, own.predictions) / scale,
        ]

    def correct(problem: Problem, run: Run) -> list[float]:
        signs = [np.sign(run.test_ends[1]), *(np.sign(classified(problem, run, K)) for K in (study.steps, np.inf))]
        shares = [float(np.mean(sign == problem.y_test)) for sign in signs]
        return [*shares, float(np.mean(signs[0] == signs[1]))]

    both = study.each(pairs)
    end = study.each(lambda problem, run: np.asarray(linearized(problem, run, np.inf).test_loss))
    slowest = [-2 * np.log1p(-p.rate * np.linalg.eigvalsh(p.K)[0]) for p in study.problems.values()]
    return Losses(
        study, both[..., 0, :, :], both[..., 1, :, :], end, study.each(gaps), study.each(correct), np.asarray(slowest)
    )


def _farthest(measured: Array, predicted: Array | None) -> float:
    return float(np.linalg.norm(measured - np.asarray(predicted), axis=1).max())
