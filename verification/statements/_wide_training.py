"""Networks of growing width trained on the same data with the same rate: the experiment behind the three figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from refimpl import Gauss, NeuralODE, Params, data, train
from refimpl.training import TrainingStep
from verification import Config
from verification.statements._data import DIM, Array

SOLVER = Gauss(nodes=6, steps=1)
"""A fixed scheme, whose gradient is the exact one of its own output; that it is accurate enough is checked."""

COUNT = 8
"""Training inputs from each source."""

BLOCKS = ("all", "W", "U", "v")
"""θ and its blocks, in the order of the arrays below."""


@dataclass(frozen=True)
class Problem:
    """Two classes with targets ±1, and the limiting kernel on them.

    Parameters
    ----------
    X, X_test : array, shape (N, d) and (N_test, d)
    y, y_test : array, shape (N,) and (N_test,)
    K, K_test : array, shape (N, N) and (N_test, N)
        K_∞ among the training inputs, and between test and training inputs.
    curve : int
        The first so many test inputs are followed through all of training.
    """

    source: str
    X: Array
    y: Array
    X_test: Array
    y_test: Array
    K: Array
    K_test: Array
    curve: int

    @property
    def rate(self) -> float:
        """η = 3/(4 λ_max(K_∞)) for every network: stable as long as λ_max(K_θ) < (8/3) λ_max(K_∞)."""
        return 0.75 / float(np.linalg.eigvalsh(self.K)[-1])


@dataclass(frozen=True)
class Run:
    """One network in training.

    Parameters
    ----------
    theta0, theta : Params or None
        At step 0 and at the end; kept for the first draw only.
    loss, test_loss : array, shape (K + 1,)
        The latter over the test inputs that are followed.
    predictions, test_predictions : array, shape (K + 1, N) and (K + 1, curve)
    test_ends : array, shape (2, N_test)
        Outputs at all test inputs, at step 0 and at the end.
    distance : array, shape (4, K + 1)
        ‖θ^k − θ^0‖ of `BLOCKS`.
    start : array, shape (4,)
        ‖θ^0‖ of `BLOCKS`.
    entry : array, shape (4,)
        Largest change of a single entry, from step 0 to the end.
    kernel : array, shape (M, N, N)
        K_θ at the steps `Study.looks`.
    kernel_test : array, shape (curve, N)
        K_θ between the test inputs that are followed and the training inputs, at step 0.
    """

    theta0: Params | None
    theta: Params | None
    loss: Array
    test_loss: Array
    predictions: Array
    test_predictions: Array
    test_ends: Array
    distance: Array
    start: Array
    entry: Array
    kernel: Array
    kernel_test: Array


@dataclass(frozen=True)
class Study:
    """All runs of one activation: `runs[source][width index][draw]`."""

    net: NeuralODE
    problems: dict[str, Problem]
    widths: Array
    draws: int
    steps: int
    every: int
    runs: dict[str, list[list[Run]]]

    @property
    def activation(self) -> str:
        return self.net.phi.name

    @property
    def looks(self) -> list[int]:
        """Steps at which K_θ is looked at."""
        return list(range(0, self.steps + 1, self.every))

    def each(self, measure: Callable[[Problem, Run], float | Sequence[float] | Array]) -> Array:
        """`measure` of every run, shape (sources, widths, draws, …)."""
        return np.asarray(
            [
                [[measure(problem, run) for run in runs] for runs in self.runs[source]]
                for source, problem in self.problems.items()
            ]
        )


_done: dict[tuple[int, bool], list[Study]] = {}


def trained(config: Config) -> Sequence[Study]:
    """The experiment, run once in a process for each seed and size, whichever statement asks first."""
    key = config.seed, config.full
    if key not in _done:
        common = replace(config, statement="wide training")  # the same numbers for every statement
        plan = {"softplus": (4, 12, 96, 8), "tanh": (4, 8, 48, 8)} if config.full else {"softplus": (3, 5, 20, 4)}
        _done[key] = [_study(common, activation, *size) for activation, size in plan.items()]
    return _done[key]


def _study(config: Config, activation: str, count: int, draws: int, steps: int, every: int) -> Study:
    net = NeuralODE(activation)
    problems = {problem.source: problem for problem in _problems(config, net)}
    widths = 32 * 2 ** np.arange(count)
    empty: dict[str, list[list[Run]]] = {source: [] for source in problems}
    study = Study(net, problems, widths.astype(float), draws, steps, every, empty)
    for source, problem in problems.items():
        for n in config.progress(widths.tolist(), f"{activation}, {source}, width"):
            thetas = [net.init(n, DIM, seed=config.rng(activation, source, n, draw)) for draw in range(draws)]
            runs = [_run(study, problem, theta, keep=draw == 0) for draw, theta in enumerate(thetas)]
            study.runs[source].append(runs)
    return study


def _problems(config: Config, net: NeuralODE) -> list[Problem]:
    curve = 32 if config.full else 16
    digits = data.digits((3, 8), n_train=COUNT, seed=config.rng("digits"))
    points = data.sphere(COUNT + curve, DIM, seed=config.rng("sphere"))
    labels = np.sign(points @ config.rng("labels").standard_normal(DIM))
    sets = {
        "digits": (digits.X_train, digits.y_train, digits.X_test, digits.y_test),
        "sphere": (points[:COUNT], labels[:COUNT], points[COUNT:], labels[COUNT:]),
    }
    limit = net.limit()
    return [
        Problem(source, X, y, X_test, y_test, limit.ntk(X), limit.ntk(X_test, X), curve)
        for source, (X, y, X_test, y_test) in sets.items()
    ]


def _run(study: Study, problem: Problem, theta: Params, keep: bool) -> Run:
    net, kernels, looks = study.net, list[Array](), set(study.looks)

    def look(step: TrainingStep) -> None:
        if step.step in looks:
            kernels.append(net.ntk(step.theta, problem.X, solver=SOLVER))

    followed = problem.X_test[: problem.curve], problem.y_test[: problem.curve]
    history = train(
        net, theta, problem.X, problem.y, *followed, lr=problem.rate, steps=study.steps, solver=SOLVER, callback=look
    )
    assert history.test_loss is not None
    assert history.test_predictions is not None
    ends = [net.predict(at, problem.X_test, SOLVER) for at in (theta, history.theta)]
    start, change = ([getattr(p, block) for block in BLOCKS[1:]] for p in (theta, history.theta - theta))
    entry = [float(np.abs(block).max()) for block in change]
    return Run(
        theta if keep else None, history.theta if keep else None,
        history.loss, history.test_loss, history.predictions, history.test_predictions, np.stack(ends),
        np.stack([history.distance, history.distance_W, history.distance_U, history.distance_v]),
        np.asarray([theta.norm(), *(np.linalg.norm(block) for block in start)]),
        np.asarray([max(entry), *entry]), np.stack(kernels),
        net.ntk(theta, followed[0], problem.X, solver=SOLVER),
    )  # fmt: skip
