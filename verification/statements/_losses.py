"""The losses and outputs of each network of the experiment, beside the linearised dynamics from the same u^0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl import Linearization, Params
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._linear_theory import classified, linearized
from verification.statements._two_kernels import Road
from verification.statements._wide_training import SOLVER, Problem, Run, Study

UNTRAINED = 20
"""Further networks at each width and source, of which the outputs and kernels at step 0 are enough."""


@dataclass(frozen=True)
class Losses:
    """Of all runs of a study, with leading axes (sources, widths, draws).

    Parameters
    ----------
    loss, test_loss : array, shape (…, 2, steps + 1)
        Of the network, and of the linearised dynamics with K_∞.
    regression : array, shape (…)
        Test loss of kernel regression with K_∞, the linearised dynamics at k = ∞.
    gap, own : array, shape (…, 2)
        max_k ‖u^k − u^k_lin‖ / ‖u^0 − y‖ on the training and on the test inputs: to the linearised dynamics with K_∞,
        and to those with the network's own K_θ at step 0.
    kernel : array, shape (sources, widths, `UNTRAINED` draws, 2)
        The same between the linearised dynamics with K_θ at step 0 and with K_∞, of further networks.
    correct : array, shape (…, 4)
        Share of all test inputs with the right sign: the network at the last step, the linearised dynamics there and
        at k = ∞; and the share where the first two agree.
    slowest : array, shape (sources,)
        −log(1 − ηλ_min(K_∞)), the rate of (14); the slowest mode of the loss decays twice as fast.
    """

    study: Study
    loss: Array
    test_loss: Array
    regression: Array
    gap: Array
    own: Array
    kernel: Array
    correct: Array
    slowest: Array

    def rate(self) -> Array:
        """−log(L_K / L_{K−m}) / m over the last quarter of the steps, shape (sources, widths, draws, 2)."""
        m = self.study.steps // 4
        found: Array = np.log(self.loss[..., -1 - m] / self.loss[..., -1]) / m
        return found

    def speed(self) -> Array:
        """min_k −log(L_k / L_0) / k over `slowest`, for the networks; shape (sources, widths, draws)."""
        k = np.arange(1, self.study.steps + 1)
        rates = -np.log(self.loss[..., 0, 1:] / self.loss[..., 0, :1]) / k
        found: Array = rates.min(axis=-1) / self.slowest[:, None, None]
        return found

    def growth(self) -> Array:
        """max_k L_{k+1} / L_k of the networks, shape (sources, widths, draws)."""
        found: Array = (self.loss[..., 0, 1:] / self.loss[..., 0, :-1]).max(axis=-1)
        return found


def losses(config: Config, study: Study) -> Losses:
    k = np.arange(study.steps + 1)

    def pairs(problem: Problem, run: Run) -> Array:
        theory = linearized(problem, run.predictions[0], run.test_predictions[0], k)
        return np.asarray([[run.loss, theory.loss], [run.test_loss, theory.test_loss]])

    def gaps(problem: Problem, run: Run) -> Array:
        start = run.predictions[0], run.test_predictions[0]
        limit, own = linearized(problem, *start, k), linearized(problem, *start, k, run.kernel[0], run.kernel_test)
        outputs = run.predictions, run.test_predictions
        return np.stack([_differences(problem, *start, *outputs, theory) for theory in (limit, own)])

    def correct(problem: Problem, run: Run) -> list[float]:
        signs = [np.sign(run.test_ends[1]), *(np.sign(classified(problem, run, K)) for K in (study.steps, np.inf))]
        shares = [float(np.mean(sign == problem.y_test)) for sign in signs]
        return [*shares, float(np.mean(signs[0] == signs[1]))]

    both, apart = study.each(pairs), study.each(gaps)
    end = study.each(_regression_loss)
    slowest = [-np.log1p(-p.rate * np.linalg.eigvalsh(p.K)[0]) for p in study.problems.values()]
    return Losses(
        study, both[..., 0, :, :], both[..., 1, :, :], end, apart[..., 0, :], apart[..., 1, :],
        _kernel_differences(config, study), study.each(correct), np.asarray(slowest),
    )  # fmt: skip


def _regression_loss(problem: Problem, run: Run) -> Array:
    return np.asarray(linearized(problem, run.predictions[0], run.test_predictions[0], np.inf).test_loss)


def _kernel_differences(config: Config, study: Study) -> Array:
    """`Losses.kernel`, of networks that are not trained and therefore cheap."""
    found = []
    for source, problem in study.problems.items():
        for n in config.progress(study.widths.astype(int).tolist(), f"{study.activation}, {source}, untrained"):
            for draw in range(UNTRAINED):
                theta = untrained(config, study, source, n, draw)
                found.append(kernel_difference(study, problem, theta, Road(SOLVER)))
    return np.reshape(found, (len(study.problems), len(study.widths), UNTRAINED, 2))


def untrained(config: Config, study: Study, source: str, width: int, draw: int) -> Params:
    """One of the networks of `Losses.kernel`."""
    return study.net.init(width, DIM, seed=config.rng("untrained", study.activation, source, width, draw))


def kernel_difference(study: Study, problem: Problem, theta: Params, road: Road) -> Array:
    """`Losses.kernel` of one network, shape (2,)."""
    net, k, X_test = study.net, np.arange(study.steps + 1), problem.X_test[: problem.curve]
    start = net.predict(theta, problem.X, road.solver), net.predict(theta, X_test, road.solver)
    kernels = road.kernel(net, theta, problem.X), road.kernel(net, theta, X_test, problem.X)
    own, limit = linearized(problem, *start, k, *kernels), linearized(problem, *start, k)
    return _differences(problem, *start, own.predictions, own.test_predictions, limit)


def _differences(
    problem: Problem, u: Array, u_test: Array, outputs: Array, test_outputs: Array | None, theory: Linearization
) -> Array:
    """Largest differences over the steps, relative to ‖u^0 − y‖, on training and test inputs."""
    train = np.linalg.norm(outputs - theory.predictions, axis=1).max() / np.linalg.norm(u - problem.y)
    y_test = problem.y_test[: problem.curve]
    test = np.linalg.norm(np.asarray(test_outputs) - theory.test_predictions, axis=1).max()
    return np.asarray([train, test / np.linalg.norm(u_test - y_test)])
