"""Schemes from coarse to fine, and how far two of them are apart."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from refimpl.backend import Array, Namespace, to_host
from refimpl.infinite.inputs import Pairs
from refimpl.infinite.layers import layers
from refimpl.infinite.pairs import Kernels, kernels
from refimpl.scheme import Scheme, gauss
from refimpl.solvers import Euler, Gauss

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

NODES = (8, 12, 16, 24, 32, 48, 64)
"""Gauss nodes on [0, T], or for all layers, that are tried, in this order."""

STEPS = (1, 2, 4, 8)
"""Steps that are tried, in this order, when the nodes are given."""

FEW_LAYERS = 96
"""Layers of a ResNet up to which each of them is a node."""


def candidates(solver: Gauss, horizon: float) -> Iterator[Scheme]:
    """Gauss schemes from coarse to fine."""
    if solver.nodes is None:
        yield from (gauss(nodes, solver.steps or 1, horizon) for nodes in NODES)
    else:
        yield from (
            gauss(solver.nodes, steps, horizon) for steps in (STEPS if solver.steps is None else (solver.steps,))
        )


def few_nodes(net: NeuralODE, solver: Gauss | Euler) -> Iterator[Scheme]:
    """Schemes from coarse to fine that stand for all the layers of `solver`; none where it has few, or φ a kink."""
    if isinstance(solver, Euler) and not net.phi.kinks and solver.depth > FEW_LAYERS:
        yield from (layers(nodes, solver.depth, net.horizon) for nodes in NODES if 2 * nodes < solver.depth)


def coarsest(xp: Namespace, net: NeuralODE, solver: Gauss | Euler, radii: Array, rtol: float) -> Scheme:
    """The coarsest scheme that agrees with the next one to `rtol` for norms `radii`, parallel, opposite and orthogonal.

    The finest of all, if there is none.
    """
    first, second = (np.repeat(index, 3) for index in np.triu_indices(radii.shape[0]))
    host = Pairs(to_host(radii), first, second, np.tile([-1.0, 0.0, 1.0], len(first) // 3))
    pairs = host.like(xp, radii)
    if isinstance(solver, Euler):
        schemes = [*few_nodes(net, solver), solver.scheme(net.horizon)]
    else:
        schemes = list(candidates(solver, net.horizon))
    found: list[Kernels] = []
    for scheme, finer in itertools.pairwise(schemes):
        found = found[-1:] or [kernels(xp, net, scheme, pairs)]
        found.append(kernels(xp, net, finer, pairs))
        if distance(xp, pairs, *found) <= rtol:
            return scheme
    return schemes[-1]


def distance(xp: Namespace, pairs: Pairs, coarse: Kernels, fine: Kernels) -> float:
    """Largest change of K_∞ and NNGP relative to √(K(x,x) K(x̄,x̄))."""
    scale = xp.sqrt(xp.take(fine.diagonal, pairs.first) * xp.take(fine.diagonal, pairs.second))
    change = xp.abs(fine.ntk - coarse.ntk) + xp.abs(fine.nngp - coarse.nngp)
    on_diagonal = xp.abs(fine.diagonal - coarse.diagonal)
    return max(_largest_ratio(xp, change, scale), _largest_ratio(xp, on_diagonal, fine.diagonal))


def _largest_ratio(xp: Namespace, change: Array, scale: Array) -> float:
    ratio = xp.where(change == 0, change, change / xp.where(scale == 0, xp.ones_like(scale), scale))
    return float(xp.max(ratio))
