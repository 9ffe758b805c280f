"""Which solver with which adjoint: alignment of gradients for every residual, early and late in training, and cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Gauss, NeuralODE, Params, SolveIVP
from refimpl.solvers import Solver
from verification import Agreement, Config
from verification.statements._adjoints import euler_backwards
from verification.statements._data import DIM, Array, inputs
from verification.statements._discrete import METHODS, Tableau, accepted, gradient, output
from verification.statements._effort import spend
from verification.statements._open_solver_roads import (
    Pairing,
    backpropagated,
    differences,
    late,
    one_residual,
    recounted,
    rows,
    truth,
)

HORIZON, WIDTH, COUNT = 2.0, 64, 8

DEPTHS = (1, 2, 4, 8, 16, 32)

TARGETS = (1e-3, 1e-6)
"""Errors of ∇L for which the table names the cheapest setting."""


def pairing(label: str, exact: Array, other: Array) -> Pairing:
    """Of the Jacobians J and J̃, shape (N, P)."""
    values, vectors = np.linalg.eigh(exact @ exact.T)
    change, cross = other - exact, other @ exact.T
    low, high = (float(np.linalg.norm(e @ change) / np.linalg.norm(e @ exact)) for e in (vectors[:, 0], vectors[:, -1]))
    symmetric = np.linalg.eigvalsh((cross + cross.T) / 2)
    distance = float(np.linalg.norm(change, 2)) / float(np.sqrt(values[-1]))
    return Pairing(
        label, distance, high, low, float(np.sqrt(values[-1] / values[0])), float(symmetric[0] / values[0])
    )  # fmt: skip


@dataclass(frozen=True)
class Cost:
    """Cheapest setting for an error of ∇L: `passes` of a state through φ or φ', or evaluations of the rate."""

    solver: str
    adjoint: str
    target: float
    setting: str
    passes: float
    error: float


@dataclass(frozen=True)
class Design:
    """What was found."""

    pairings: Sequence[Pairing]
    costs: Sequence[Cost]
    roads: Sequence[Agreement]


def design(config: Config) -> Design:
    """Euler's grids from a single step, adaptive methods at a loose tolerance; then what an error of ∇L costs."""
    X, pairings, roads = inputs(config, COUNT)["digits"], list[Pairing](), list[Agreement]()
    y = np.where(config.rng("solver targets").random(COUNT) < 0.5, -1.0, 1.0)
    costs: list[Cost] = []
    for name in ("softplus", "tanh"):
        net = NeuralODE(name, horizon=HORIZON)
        theta = net.init(WIDTH, DIM, seed=config.rng("solvers", name))
        for depth in DEPTHS:
            exact, other = net.jacobian(theta, X, Euler(depth)), euler_backwards(net, theta, X, depth, stored=True)
            pairings.append(pairing(f"{name}, Euler, $L = {depth}$", rows(exact), rows(other)))
        for method in METHODS:
            times, _ = accepted(net, theta, X, method, 1e-2, 1e-4)
            held = gradient(net, theta, X, Tableau.of(method), times)
            other = net.jacobian(theta, X, SolveIVP(method, rtol=1e-2, atol=1e-4))
            pairings.append(pairing(f"{name}, {method}, rtol 1e-2", rows(held), rows(other)))
            if method == "DOP853":
                roads.append(differences(config, net, theta, X, method, times, held))
        if name == "softplus":
            costs = _costs(net, theta, X, y)
            exact, other = net.jacobian(theta, X, Euler(4)), euler_backwards(net, theta, X, 4, stored=True)
            roads += [
                one_residual(exact, other, X), backpropagated(net, theta, X, exact),
                late(net, theta, X, pairings[DEPTHS.index(4)], other), recounted(net, theta, X),
                truth(net, theta, X, y),
            ]  # fmt: skip
    return Design(pairings, costs, roads)


def _costs(net: NeuralODE, theta: Params, X: Array, y: Array) -> list[Cost]:
    truth = net.gradient(theta, X, y, Gauss(rtol=1e-13)).ravel()

    def error(g: Array) -> float:
        return float(np.linalg.norm(g - truth) / np.linalg.norm(truth))

    rows: dict[tuple[str, str], list[tuple[str, float, float]]] = {}
    for method in METHODS:
        for k in np.arange(2.0, 8.5, 0.5):
            rtol, setting = float(10.0**-k), f"rtol $10^{{-{k:g}}}$"
            effort = spend(net, theta, X, y, SolveIVP(method, rtol=rtol, atol=rtol / 100))
            tableau, (times, rates) = Tableau.of(method), accepted(net, theta, X, method, rtol, rtol / 100)
            held = gradient(net, theta, X, tableau, times)
            g = held.transpose_apply(output(net, theta, X, tableau, times) - y).ravel()
            work = rates + tableau.weights.size * (times.size - 1)
            rows.setdefault((method, "optimise first"), []).append((setting, effort.passes, error(effort.gradient)))
            rows.setdefault((method, "discretise first"), []).append((setting, float(work), error(g)))
            if max(error(g), error(effort.gradient)) <= TARGETS[-1]:
                break
    fixed: dict[str, list[tuple[str, Solver]]] = {
        "Euler": [(f"$L = {2**k}$", Euler(2**k)) for k in range(3, 10)],
        "Gauss": [(f"{m} nodes", Gauss(m, 1)) for m in range(2, 9)],
    }
    for name, solvers in fixed.items():
        kind = "one and the same" if name == "Gauss" else "discretise first"
        for setting, solver in solvers:
            effort = spend(net, theta, X, y, solver)
            rows.setdefault((name, kind), []).append((setting, effort.passes, error(effort.gradient)))
    found = []
    for (solver, adjoint), settings in rows.items():
        for target in TARGETS:
            good = [each for each in settings if each[2] <= target]
            if good:
                setting, passes, reached = min(good, key=lambda each: each[1])
                found.append(Cost(solver, adjoint, target, setting, passes, reached))
            else:  # Euler's error is C/L
                _, passes, reached = settings[-1]
                found.append(Cost(solver, adjoint, target, "extrapolated", passes * reached / target, target))
    return found
