"""Gradient descent of finite networks against the linearised dynamics (8), along growing widths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Gauss, NeuralODE, Params, train
from refimpl.training import History, TrainingStep, linearize
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._tasks import Task

SOLVER = Gauss(nodes=6, steps=1)
"""Exact to 9 digits on softplus networks, to 6 on tanh; its gradients are exact for the discrete network."""

QUANTITIES = {
    "one step": r"$\|u^1 - y - (I - \eta H^0)(u^0 - y)\|$ over $\frac{1}{2} \eta^2 \|\nabla L\|^2$",
    "drift": r"$\sup_k \|H^k - H^0\| / \|H^0\|$ over $\|u^0 - y\|$",
    "frozen": r"$\sup_k \|u^k - u_{\mathrm{lin}}^k\|$ with $K_{\theta^0}$, over $\|u^0 - y\|^2$",
    "frozen, test": r"the same at test inputs",
    "limit": r"$\sup_k \|u^k - u_{\mathrm{lin}}^k\|$ with $K_\infty$, over $\|u^0 - y\|$",
    "limit, test": r"the same at test inputs",
}
"""What is measured on each network, and over which power of the residual.

To leading order in 1/n the first four are forms in the residual u^0 − y of that degree, whose size is random and does
not settle with width; divided by it, what is left depends on the network alone and has a rate that can be measured.
"""

RELATIVE = ("frozen", "frozen, test", "limit", "limit, test")
"""These are also given as they are, over ‖u^0 − y‖."""


@dataclass(frozen=True)
class Study:
    """One activation on one task.

    Parameters
    ----------
    widths : array, shape (M,)
    lr : float
        η = 1/λ_max(K_∞).
    steps : int
    found : dict
        Each of `QUANTITIES`, each of `RELATIVE` with ", relative" behind it, and "loss", the part of the initial loss
        that the last step leaves; all of shape (paths, M).
    """

    activation: str
    source: str
    widths: Array
    lr: float
    steps: int
    found: dict[str, Array]


def network(config: Config, net: NeuralODE, path: int, widest: int) -> Params:
    """Path `path`: one infinite array of N(0, 1) entries, cut to the largest width."""
    return net.init(widest, DIM, seed=config.rng("infinite array", net.phi.name, path))


def narrowed(array: Params, n: int) -> Params:
    """The network of width n is the upper left block."""
    return Params(array.U[:n], array.W[:n, :n], array.v[:n])


def study(
    config: Config, activation: str, source: str, task: Task, widths: Sequence[int], paths: int, steps: int
) -> Study:
    """Train `paths` nested networks of all `widths`."""
    net = NeuralODE(activation)
    limit = net.limit().ntk(task.everything)
    N = len(task.X)
    lr = 1 / float(np.linalg.eigvalsh(limit[:N, :N])[-1])
    rows = []
    for path in config.progress(range(paths), f"{activation}, {source}, path"):
        array = network(config, net, path, max(widths))
        rows.append([follow(net, narrowed(array, n), task, limit, lr, steps) for n in widths])
    found = {name: np.asarray([[run[name] for run in row] for row in rows]) for name in rows[0][0]}
    return Study(activation, source, np.asarray(widths, dtype=np.float64), lr, steps, found)


def follow(net: NeuralODE, theta: Params, task: Task, limit: Array, lr: float, steps: int) -> dict[str, float]:
    """One network: what `Study` lists."""
    N, kernel, drift = len(task.X), net.ntk(theta, task.everything, solver=SOLVER), [0.0]
    initial = kernel[:N, :N]

    def compare(at: TrainingStep) -> None:
        if at.step in {steps // 2, steps}:
            change = net.ntk(at.theta, task.X, solver=SOLVER) - initial
            drift.append(float(np.linalg.norm(change) / np.linalg.norm(initial)))

    run = train(net, theta, task.X, task.y, task.X_test, lr=lr, steps=steps, solver=SOLVER, callback=compare)
    residual = run.predictions[0] - task.y
    size, gradient = float(np.linalg.norm(residual)), float(residual @ initial @ residual)  # ‖∇L‖² = rᵀ H r
    found = {"drift": max(drift) / size, "loss": float(run.loss[-1] / run.loss[0])}
    for name, K, degree in (("frozen", kernel, 2), ("limit", limit, 1)):
        apart, apart_test = (sup / size for sup in deviations(run, K, task))
        found |= {f"{name}, relative": float(apart.max()), f"{name}, test, relative": float(apart_test.max())}
        found |= {part: found[f"{part}, relative"] * size ** (1 - degree) for part in (name, f"{name}, test")}
        if name == "frozen":
            found["one step"] = float(apart[1]) * size / (lr**2 * gradient / 2)
    return found


def deviations(run: History, kernel: Array, task: Task) -> tuple[Array, Array]:
    """‖u^k − u_lin^k‖ at the training and at the test inputs for k = 0, …, K; `kernel` belongs to all inputs."""
    assert run.test_predictions is not None
    N = len(task.X)
    line = linearize(
        kernel[:N, :N], task.y, run.predictions[0], run.lr, np.arange(run.steps + 1),
        kernel[N:, :N], run.test_predictions[0], rtol=1e-12,
    )  # fmt: skip
    assert line.test_predictions is not None
    apart: Array = np.linalg.norm(run.predictions - line.predictions, axis=1)
    apart_test: Array = np.linalg.norm(run.test_predictions - line.test_predictions, axis=1)
    return apart, apart_test
