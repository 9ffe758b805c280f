"""Optimise-then-discretise against discretise-then-optimise, on the grids of Euler's and of Gauss's schemes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Gauss, Jacobian, NeuralODE, Params
from verification import Config
from verification.statements._adjoints import euler_backwards, gauss_collocation
from verification.statements._data import DIM, Array
from verification.statements._resnets import distance

FEW = 24
"""Width of the networks whose collocation equations are solved as one dense system."""

EPS = float(np.finfo(float).eps)

VARIANTS = {"stored": "$h_t$ stored", "solved back": "$h_t$ solved back"}


@dataclass(frozen=True)
class Swapped:
    """‖∇f by optimise-then-discretise − ∇f^L‖ / ‖∇f^L‖ of Euler's method, by variant, against depth."""

    depths: Array
    differences: Mapping[str, Array]
    label: str


def swap(label: str, net: NeuralODE, theta: Params, X: Array, depths: Array) -> Swapped:
    """Both variants at every depth."""
    differences: dict[str, list[float]] = {variant: [] for variant in VARIANTS}
    for depth in depths.astype(int).tolist():
        exact = net.jacobian(theta, X, Euler(depth))
        for variant in VARIANTS:
            naive = euler_backwards(net, theta, X, depth, stored=variant == "stored")
            differences[variant].append(_frobenius(naive, exact))
    return Swapped(depths, {variant: np.asarray(d) for variant, d in differences.items()}, label)


def _frobenius(a: Jacobian, b: Jacobian) -> float:
    """‖a − b‖ / ‖b‖ over all inputs and parameters."""
    pairs = ((a.U, b.U), (a.W, b.W), (a.v, b.v))
    return float(np.sqrt(sum(np.sum((p - q) ** 2) for p, q in pairs) / sum(np.sum(q**2) for _, q in pairs)))


@dataclass(frozen=True)
class Symplectic:
    """Gauss schemes of one step with few nodes."""

    nodes: Array
    difference: Array
    error: Array
    rounding: Array


def symplectic(config: Config, X: Array, nodes: list[int]) -> Symplectic:
    """The worse of a softplus and a tanh network, at the inputs X."""
    difference, error = np.zeros((2, len(nodes))), np.zeros((2, len(nodes)))
    for i, name in enumerate(("softplus", "tanh")):
        net = NeuralODE(name)
        theta = net.init(FEW, DIM, seed=config.rng("few", name))
        truth = net.jacobian(theta, X, Gauss())
        for j, m in enumerate(nodes):
            discrete = net.jacobian(theta, X, Gauss(m, 1))
            difference[i, j] = distance(gauss_collocation(net, theta, X, m), discrete)
            error[i, j] = distance(discrete, truth)
    sizes = np.asarray(nodes, dtype=np.float64)
    return Symplectic(sizes, difference.max(axis=0), error.max(axis=0), 4 * FEW * sizes * EPS)
