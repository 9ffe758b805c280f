"""The adjoint ODE (3) along a path with located crossings, and the quadrature of (4) on its smooth pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from refimpl.finite.branches import Branches
from refimpl.finite.kinks import Arc, Dense, Path, Touch
from refimpl.finite.panels import refined
from refimpl.finite.steps import Step, steps
from refimpl.quadrature import Host

NODES = 6
"""Gauss nodes a panel for (4); twice their number exceeds the order of DOP853."""


@dataclass(frozen=True, eq=False)
class Course:
    """Forward and adjoint solution for one input.

    Parameters
    ----------
    branches : Branches
    path : Path
    adjoint : tuple of Dense
        λ on every arc, from an end of size 1.
    start : ndarray, shape (n,)
        λ_0, from that end.
    scale : float
        Size of λ_T, to be put before both.
    rtol : float
        Local tolerance.
    """

    branches: Branches
    path: Path
    adjoint: tuple[Dense, ...]
    start: Host
    scale: float
    rtol: float

    def states(self, times: Host) -> tuple[Host, Host]:
        """h and λ at times (k,), both (k, n)."""
        starts = np.asarray([arc.state.times[0] for arc in self.path.arcs])
        of = np.searchsorted(starts, times, side="right") - 1
        h, lam = np.empty((2, times.size, self.start.size))
        for k in np.unique(of):
            inside = of == k
            h[inside] = self.path.arcs[k].state(times[inside]).T
            lam[inside] = self.scale * self.adjoint[k](times[inside]).T
        return h, lam

    @cached_property
    def quadrature(self) -> tuple[Host, Host, Host]:
        """Weights (M,), φ and λ, both (M, n), at Gauss nodes on panels that no step of either solution breaks."""

        def values(times: Host) -> tuple[Host, Host]:
            h, lam = self.states(times)
            return self.branches.activation.phi(h)[:, :, None], lam[:, :, None]

        parts = [dense.times for dense in (*(arc.state for arc in self.path.arcs), *self.adjoint)]
        weights, phi, adjoint = refined(values, np.unique(np.concatenate(parts)), NODES, self.rtol)
        return weights, phi[:, :, 0], adjoint[:, :, 0]


def along(branches: Branches, W: Host, v: Host, path: Path, rtol: float, touches: Sequence[Touch] = ()) -> Course:
    """Solve (3) along a path, arc after arc from T to 0; v and W are the scaled ones, of shape (n,) and (n, n).

    At `touches` the neuron is taken to be on the other branch: ∫ φ'(h) dt changes, and λ there by that times Wᵀλ.
    """
    last = path.arcs[-1]
    terminal = _slope(branches, last, path.end) * v
    scale = float(np.max(np.abs(terminal))) or 1.0
    lam, found = terminal / scale, list[Dense]()
    starts = [arc.state.times[0] for arc in path.arcs]
    of = [max(0, int(np.searchsorted(starts, touch.time, side="right")) - 1) for touch in touches]
    for k in range(len(path.arcs) - 1, -1, -1):
        there = [touch for touch, arc in zip(touches, of, strict=True) if arc == k]
        dense, lam = _on_arc(branches, W, path.arcs[k], lam, rtol, there)
        found.append(dense)
    return Course(branches, path, tuple(reversed(found)), scale * lam, scale, rtol)


def _slope(branches: Branches, arc: Arc, h: Host) -> Host:
    """φ'(h) on the branches of an arc; at a kink it is one-sided, but of a neuron that rests there a convention."""
    slope: Host = np.where(arc.resting, branches.activation.dphi(h), branches.dphi(arc.branch, h))
    return slope


def _on_arc(
    branches: Branches, W: Host, arc: Arc, end: Host, rtol: float, touches: Sequence[Touch]
) -> tuple[Dense, Host]:
    start, stop = float(arc.state.times[0]), float(arc.state.times[-1])

    def rate(t: float, lam: Host) -> Host:
        value: Host = -_slope(branches, arc, arc.state(t)) * (lam @ W)
        return value

    taken, time, lam = list[Step](), stop, end
    for touch in sorted(touches, key=lambda touch: -touch.time):
        until = min(max(touch.time, start), stop)
        taken += steps(rate, time, lam, until, rtol)
        time, lam = until, (taken[-1].y if taken else lam).copy()
        lam[touch.neuron] -= touch.change * (lam @ W)[touch.neuron]
    taken += steps(rate, time, lam, start, rtol)
    times = [stop, *(step.end for step in taken)]
    return Dense(np.asarray(times[::-1]), tuple(step.output for step in reversed(taken))), taken[-1].y
