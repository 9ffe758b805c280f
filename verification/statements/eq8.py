"""Equation (8): the residual of the predictions shrinks by I − ηH at every step of gradient descent."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from refimpl import Gauss, NeuralODE, train
from refimpl.training import TrainingStep, linearize
from verification import Claim, Config, Origin, Result, Verdict
from verification.statements._data import DIM, Array
from verification.statements._eq8_edges import edge_claims, edge_roads, edges_table, pencil, refined, targets
from verification.statements._eq8_report import Whole, defect_table, figure, whole_table, width_table
from verification.statements._eq8_roads import apart, dynamics, fixed_time_road, limits, roads, sizes_road
from verification.statements._lazy import SOLVER, Study, deviations, study
from verification.statements._one_step import HALVINGS, Defect, defect
from verification.statements._statistics import BETWEEN_ORDERS, LEVEL, falling, order, slopes, student
from verification.statements._tasks import Task, tasks

ID = "eq8"

TITLE = r"The predictions follow linear dynamics with the NTK"

CLAIM = r"$u^{k+1} - y \approx (I - \eta H^k)(u^k - y)$, with $H^k$ the NTK Gram matrix at $\theta^k$."

COUNT, TESTED = 8, 4
"""Training and test inputs from each source."""

TRAINED = 1e-6
"""Part of the initial loss at which training counts as complete."""


def run(config: Config) -> Result:
    given = tasks(config, COUNT, TESTED)
    plan = {"softplus": 10, "tanh": 10} if config.full else {"softplus": 8}
    widths = (64, 128, 256, 512) if config.full else (32, 64, 128, 256)
    steps = 32 if config.full else 8
    studies = [
        study(config, activation, source, task, widths, paths, steps)
        for activation, paths in plan.items()
        for source, task in given.items()
    ]
    defects = _defects(config, given, widths[-1] if config.full else 64)
    whole = _whole(config, given, 256 if config.full else 64, 8000 if config.full else 400)
    one = widths[-1] if config.full else 64
    fixed = refined(config, given["sphere"], one)
    sizes = targets(config, given["sphere"], widths, 10 if config.full else 8)
    by_hand = [pencil(config, n) for n in (1, 16, 256)]
    return Result(
        claims=[
            _order(defects), _coefficient(defects),
            *(_rate(id, studies, *about) for id, about in _RATES.items()),
            _returns(whole), *edge_claims(fixed, sizes, by_hand),
        ],
        agreements=[
            roads(defects), *dynamics(config, given["sphere"], studies), limits(given), *edge_roads(by_hand),
            fixed_time_road(config, given["sphere"], fixed, one), sizes_road(config, given["sphere"], sizes),
        ],
        experiment=(
            rf"Gradient descent (5) on {COUNT} images of digits (3 against 8) and on {COUNT} random points of "
            rf"$S^{{63}}$ with labels $\pm 1$, {TESTED} more of each as test inputs, $T = 1$, "
            r"$\eta = 1 / \lambda_{\max}(K_\infty)$. First one step with $\eta$ and its halves: "
            r"by Taylor's theorem the defect of (8) is $\frac{1}{2} \eta^2 D^2 f[\nabla L, \nabla L] + O(\eta^3)$. "
            r"Then whole runs against the linear dynamics "
            r"with the initial kernel $K_{\theta^0}$ and with $K_\infty$, along nested networks: each path is one "
            r"infinite random array, the network of width $n$ its upper left block. In the NTK parameterisation "
            r"$\|\nabla L\| = O(1)$ and the second derivatives of $f$ form an operator of norm $O(n^{-1/2})$: no "
            r"direction gives more than $n^{-1/2}$. The gradient is not any direction: "
            r"$D^2 f(x_i)[\nabla f(x_j), \nabla f(x_k)]$ is odd in the last layer $v$, and so a sum of $n$ terms of "
            r"size $n^{-3/2}$ with random signs, $O(n^{-1})$. The same tensor moves $H^k$ and parts $u^k$ "
            r"from the dynamics with $K_{\theta^0}$. With $K_\infty$ the random error $K_{\theta^0} - K_\infty = "
            r"O(n^{-1/2})$ dominates. "
            rf"Exponents are means over paths of log-log fits; a verdict allows for their {LEVEL:.1%} interval and "
            r"asks that the exponent be negative at 95 %."
        ),
        size={
            "n": list(widths), "d": DIM, "N": COUNT, "N test": TESTED, "steps": steps,
            "steps of the complete run": max(found.run.steps for found in whole),
            "paths": max(plan.values()), "activations": list(dict.fromkeys(found.activation for found in defects)),
        },
        figure=figure(defects, studies, whole),
        alt=(
            "Three panels. Above, log-log: the defect of one gradient step against the step size lies on the dashed "
            "line that half the second derivative predicts, of slope two. Middle, log-log against width: the "
            "defect of one step, the drift of the kernel and the distance to the linear dynamics with the initial "
            "kernel fall parallel to slope minus one, the distance to those with the limiting kernel to slope minus "
            "one half. Below: the residual of one network over its whole training, on top of both linear dynamics."
        ),
        caption=(
            rf"Above: dashed, $\frac{{1}}{{2}} \eta^2 \|D^2 f[\nabla L, \nabla L]\|$ from adjoint Jacobians. Middle: "
            rf"{studies[0].activation}, random points, root mean square over {max(plan.values())} paths with 95 % "
            r"intervals, each over the power of the residual that the table names. "
            rf"Below: {whole[0].source}, $n = {whole[0].width}$."
        ),
        tables=[defect_table(defects), width_table(studies), whole_table(whole), *edges_table(fixed, sizes)],
        scope=(
            r"The sign $\approx$ states no size; checked are the order in $\eta$ and the rates in $n$ for these "
            r"networks in the NTK parameterisation, with $\eta \le 1 / \lambda_{\max}(K_\infty)$."
        ),
    )  # fmt: skip


_RATES = {
    "curvature": (
        "one step", -1.0,
        r"One step of size $\eta = 1/\lambda_{\max}$: the defect of (8) over $\frac{1}{2} \eta^2 \|\nabla L\|^2$ falls "
        r"with width as $n^{-1}$, inside the bound $n^{-1/2}$",
    ),
    "drift": (
        "drift", -1.0,
        r"The kernel hardly moves: $\|H^k - H^0\| / \|H^0\|$ over $\|u^0 - y\|$, the larger one of half way and the "
        r"last step, falls as $n^{-1}$, inside the bound $n^{-1/2}$",
    ),
    "frozen": (
        "frozen", -1.0,
        r"All steps: $\sup_k \|u^k - u_{\mathrm{lin}}^k\|$ over $\|u^0 - y\|^2$, with the initial kernel "
        r"$K_{\theta^0}$ in the linear dynamics, falls as $n^{-1}$",
    ),
    "frozen-test": (
        "frozen, test", -1.0,
        r"At inputs that are not trained on the distance to the linear dynamics with $K_{\theta^0}$ falls as "
        r"$n^{-1}$ too",
    ),
    "limit": (
        "limit", -0.5,
        r"All steps: $\sup_k \|u^k - u_{\mathrm{lin}}^k\|$ over $\|u^0 - y\|$, with the deterministic $K_\infty$, "
        r"falls as $n^{-1/2}$",
    ),
    "limit-test": (
        "limit, test", -0.5,
        r"At inputs that are not trained on the distance to the linear dynamics with $K_\infty$ falls as "
        r"$n^{-1/2}$ too",
    ),
}  # fmt: skip
"""By claim: the quantity of `_lazy`, its exponent in n, and what is said of it."""


def _defects(config: Config, given: Mapping[str, Task], width: int) -> list[Defect]:
    found = []
    for activation in ("softplus", "tanh"):
        net = NeuralODE(activation)
        for source, task in given.items():
            theta = net.init(width, DIM, seed=config.rng("one step", activation))
            rate = 1 / float(np.linalg.eigvalsh(net.limit().ntk(task.X))[-1])
            found.append(defect(activation, source, theta, task, rate, Gauss()))
    return found


def _order(defects: Sequence[Defect]) -> Claim:
    found, change = max((one.order for one in defects), key=lambda pair: abs(pair[0] - 2) / pair[1])
    verdict = order(found, 2, change)
    return Claim(
        "step-size",
        r"One step: the defect of (8), $u^{k+1} - y$ less $(I - \eta H^k)(u^k - y)$, is $O(\eta^2)$ (measured: the "
        rf"exponent at $\eta \to 0$, from {HALVINGS} halvings of $\eta$; the case furthest from 2 beside its error).",
        verdict,
        measured=found,
        predicted=2,
        uncertainty=change,
        scope=BETWEEN_ORDERS if verdict is Verdict.UNDECIDED else "",
        origin=Origin.PAPER,
    )


def _coefficient(defects: Sequence[Defect]) -> Claim:
    worst = max(defects, key=lambda found: apart(found)[0] / apart(found)[1])
    difference, allowed = apart(worst)
    size = float(np.linalg.norm(worst.limit[0]))
    return Claim(
        "coefficient",
        r"One step: the defect, over $\eta^2$, tends to $\frac{1}{2} \|D^2 f[\nabla L, \nabla L]\|$ as $\eta \to 0$ "
        rf"({worst.activation}, {worst.source}: furthest apart).",
        Verdict.HOLDS if difference <= allowed else Verdict.FAILS,
        measured=size,
        predicted=float(np.linalg.norm(worst.second)),
        uncertainty=allowed * size,
    )


def _exponents(studies: Sequence[Study], quantity: str) -> dict[str, Array]:
    """By activation, one exponent a path: the mean of both sources, which share the network."""
    return {
        name: np.mean([slopes(s.found[quantity], s.widths) for s in studies if s.activation == name], axis=0)
        for name in dict.fromkeys(s.activation for s in studies)
    }


def _rate(id: str, studies: Sequence[Study], quantity: str, predicted: float, text: str) -> Claim:
    found = [student(paths) for paths in _exponents(studies, quantity).values()]
    on_rate = all(abs(mean - predicted) <= wider and mean + half < 0 for mean, half, wider in found)
    misses = any(abs(mean - predicted) > wider for mean, _, wider in found)
    mean, half, wider = max(found, key=lambda one: abs(one[0] - predicted) / one[2])
    text = f"{text} (measured: the exponent; {falling(mean, half, wider)})."
    verdict = Verdict.HOLDS if on_rate else Verdict.FAILS if misses else Verdict.UNDECIDED
    scope = "" if on_rate or misses else "The interval of the exponent does not exclude that it is positive."
    return Claim(id, text, verdict, measured=mean, predicted=predicted, uncertainty=half, scope=scope)


def _whole(config: Config, given: Mapping[str, Task], width: int, steps: int) -> list[Whole]:
    found = []
    net = NeuralODE("softplus")
    for source in ("sphere", "digits") if config.full else ("sphere",):
        task = given[source]
        N, limit = len(task.X), net.limit().ntk(task.everything)
        theta = net.init(width, DIM, seed=config.rng("whole training"))
        kernel = net.ntk(theta, task.everything, solver=SOLVER)
        lr = 1 / float(np.linalg.eigvalsh(limit[:N, :N])[-1])
        done = TRAINED * net.loss(theta, task.X, task.y, solver=SOLVER)
        run = train(
            net, theta, task.X, task.y, task.X_test, lr=lr, steps=steps, solver=SOLVER,
            callback=_reached(done),
        )  # fmt: skip
        linear = {}
        for name, K in (("$K_{\\theta^0}$", kernel), ("$K_\\infty$", limit)):
            line = linearize(K[:N, :N], task.y, run.predictions[0], lr, np.arange(run.steps + 1), rtol=1e-12)
            linear[name] = np.sqrt(2 * line.loss)
        found.append(Whole(source, width, run, deviations(run, kernel, task)[0], linear))
    return found


def _reached(loss: float) -> Callable[[TrainingStep], bool]:
    return lambda at: at.loss <= loss


def _returns(whole: Sequence[Whole]) -> Claim:
    ratios = [float(found.apart[-1] / found.apart.max()) for found in whole]
    left = max(float(found.run.loss[-1] / found.run.loss[0]) for found in whole)
    complete = left <= TRAINED
    return Claim(
        "whole-training",
        rf"The distance does not build up: trained until {left:.1e} of the loss is left, a network of $n = "
        rf"{whole[0].width}$ is closer to the linear dynamics with $K_{{\theta^0}}$ than at its furthest (measured: "
        "the ratio of both distances).",
        Verdict.HOLDS if complete and max(ratios) < 0.5 else Verdict.UNDECIDED,
        measured=max(ratios),
        predicted="< 0.5",
        uncertainty=None,
        scope="" if complete else "The run ended before training was complete.",
    )
