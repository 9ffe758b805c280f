"""Solvers of growing accuracy on one network: errors of f and of ∇L, angle between gradients, work."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Gauss, NeuralODE, Params, SolveIVP
from refimpl.solvers import Solver
from verification import Config
from verification.fit import PowerLaw, power_law
from verification.statements._data import DIM, Array, inputs
from verification.statements._effort import Effort, misalignment, spend

WIDTH, COUNT, HORIZON = 64, 4, 2.0
"""n, inputs from each source, and T."""

TRUTH = Gauss(rtol=1e-13)

PARTS = ("gradient", "output")
"""What of an `Effort` is held against the truth."""

ADAPTIVE = {"RK23": (3, 3), "RK45": (5, 5), "DOP853": (8, 8), "Radau": (5, 4)}
"""Order of the method, and of the step length in the local error estimate that is held at the tolerance.

scipy lets an explicit pair go on with the better of its two values, so both are the same; Radau's estimate is of
order 3.
"""


@dataclass(frozen=True)
class Ladder:
    """One family of solvers on one network and batch.

    Parameters
    ----------
    method : str
    setting : array, shape (k,)
        rtol, or the number of time points of a fixed grid, from coarse to fine.
    output, gradient : array, shape (k,)
        ‖f − f*‖ / ‖f*‖ over the batch and ‖∇L − ∇L*‖ / ‖∇L*‖.
    angle : array, shape (k,)
        1 − cos of the angle between ∇L and ∇L*.
    passes : array, shape (k,)
        Evaluations of φ or φ' at the state, a sample.
    """

    method: str
    setting: Array
    output: Array
    gradient: Array
    angle: Array
    passes: Array

    def order(self, quantity: str) -> PowerLaw:
        """Exponent of `quantity` in the setting, over the finer half, where fewer lower-order terms are left."""
        half = _finer(self.setting.size)
        return power_law(self.setting[half:], getattr(self, quantity)[half:])

    @property
    def finer(self) -> Array:
        """The settings that `order` is fitted to."""
        return self.setting[_finer(self.setting.size) :]

    @property
    def by_work(self) -> PowerLaw:
        """Exponent of the gradient's error in the number of passes, over the finer half."""
        half = _finer(self.setting.size)
        return power_law(self.passes[half:], self.gradient[half:])


def _finer(size: int) -> int:
    """Where the finer half begins; no fewer than four settings."""
    return min(size // 2, size - 4)


def families(full: bool) -> dict[str, list[Solver]]:
    """Solvers by method, from coarse to fine."""
    last = {"RK23": 8 if full else 7, "RK45": 10, "DOP853": 10, "Radau": 8}
    # Half decades where steps are few: their whole number makes a staircase of the error.
    spacing = {"RK23": 1.0, "RK45": 0.5, "DOP853": 0.5, "Radau": 0.5}
    tolerances = {method: 10.0 ** -np.arange(3.0, last[method] + 0.1, spacing[method]) for method in last}
    adaptive: dict[str, list[Solver]] = {
        method: [SolveIVP(method, rtol=rtol, atol=rtol / 100) for rtol in values.tolist()]
        for method, values in tolerances.items()
    }
    fixed: dict[str, list[Solver]] = {
        "Euler": [Euler(2**k) for k in range(4, 13 if full else 11)],
        "Gauss": [Gauss(nodes, 4) for nodes in range(1, 7)],
    }
    return {**fixed, **adaptive}


def climb(
    net: NeuralODE, theta: Params, X: Array, y: Array, methods: dict[str, list[Solver]]
) -> tuple[list[Ladder], Effort]:
    """All families on one network, and the truth they are held against."""
    truth = spend(net, theta, X, y, TRUTH)
    return [_ladder(method, solvers, net, theta, X, y, truth) for method, solvers in methods.items()], truth


def _ladder(
    method: str, solvers: Sequence[Solver], net: NeuralODE, theta: Params, X: Array, y: Array, truth: Effort
) -> Ladder:
    found = [spend(net, theta, X, y, solver) for solver in solvers]
    return Ladder(
        method,
        np.asarray([_setting(solver) for solver in solvers]),
        np.asarray([apart(effort.output, truth.output) for effort in found]),
        np.asarray([apart(effort.gradient, truth.gradient) for effort in found]),
        np.asarray([misalignment(effort.gradient, truth.gradient) for effort in found]),
        np.asarray([effort.passes for effort in found]),
    )


def _setting(solver: Solver) -> float:
    if isinstance(solver, SolveIVP):
        return solver.rtol
    if isinstance(solver, Euler):
        return float(solver.depth)
    assert isinstance(solver, Gauss)
    assert solver.nodes is not None
    assert solver.steps is not None
    return float(solver.nodes * solver.steps)


def apart(a: Array, b: Array) -> float:
    """‖a − b‖ / ‖b‖."""
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def average(ladders: Sequence[Ladder]) -> Ladder:
    """Geometric means over networks: one adaptive solve is a staircase in rtol, with an integer number of steps."""

    def mean(name: str) -> Array:
        values: Array = np.exp(np.mean([np.log(getattr(ladder, name)) for ladder in ladders], axis=0))
        return values

    return Ladder(ladders[0].method, ladders[0].setting, *map(mean, ("output", "gradient", "angle", "passes")))


@dataclass(frozen=True)
class Network:
    """One network with one batch, and whatever was solved on it.

    Parameters
    ----------
    roads, output_roads : (float, float)
        Distance of the truth about ∇L and about f from DOP853, and what it may be.
    """

    name: str
    source: str
    net: NeuralODE
    theta: Params
    X: Array
    y: Array
    ladders: Sequence[Ladder]
    roads: tuple[float, float]
    output_roads: tuple[float, float]

    @property
    def label(self) -> str:
        return f"{self.name}, {self.source}"


def solve_all(config: Config) -> list[Network]:
    """Softplus and tanh networks, each on digits and on the sphere."""
    methods, X = families(config.full), inputs(config, COUNT)
    cases = [
        (name, source, draw) for draw in range(5 if config.full else 1) for name in ("softplus", "tanh") for source in X
    ]
    found = []
    for name, source, draw in config.progress(cases, "network"):
        net = NeuralODE(name, horizon=HORIZON)
        theta = net.init(WIDTH, DIM, seed=config.rng("theta", name, draw))
        y = np.where(config.rng("y", source, draw).random(COUNT) < 0.5, -1.0, 1.0)
        ladders, truth = climb(net, theta, X[source], y, methods)
        loose, tight = (spend(net, theta, X[source], y, SolveIVP(rtol=r, atol=r / 100)) for r in (1e-10, 1e-12))
        roads, output_roads = (
            (apart(fine, exact), apart(coarse, fine) + 1e-13)
            for coarse, fine, exact in ((getattr(e, part) for e in (loose, tight, truth)) for part in PARTS)
        )
        found.append(Network(name, source, net, theta, X[source], y, ladders, roads, output_roads))
    return found


def of(networks: Sequence[Network], method: str) -> list[Ladder]:
    """The ladders of one method."""
    return [ladder for network in networks for ladder in network.ladders if ladder.method == method]
