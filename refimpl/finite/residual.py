"""What the nodes of a Gauss scheme do not see: how far (1) and (3) are from being satisfied between them.

A layer or a spike of a rate so thin that it lies between two neighbouring nodes, or between an end of a step and the
outermost node, leaves the stages of all schemes alike: they agree, and are wrong. Between the nodes the collocation
polynomial itself tells. Where φ(h) along it differs by δ from the polynomial through its values at the nodes, a layer
in a gap of width w can have been missed that moves h by w |W| |δ|: neuron by neuron, since two steps that make a spike
of W φ are each seen from afar. What the flow makes of that until T counts as well. Looked at are both ends of every
step and the middle of every gap.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from refimpl.backend import Array, Namespace, from_host, overflow_is_checked
from refimpl.finite.adjoint import Solution
from refimpl.finite.forward import StageDivergenceError, check_end, combine, march, relative_size, step_forward
from refimpl.finite.system import System
from refimpl.quadrature import Host, gauss_legendre, lagrange, lagrange_integrals
from refimpl.scheme import Scheme


@dataclass(frozen=True, eq=False)
class Arrival:
    """h_T of a forward solution, (n, N), and step by step how far a layer in some gap may have moved h, (n, N) each."""

    system: System
    scheme: Scheme
    terminal: Array
    missed: list[Array]

    def hidden(self) -> float:
        """How much of h_T and of φ(h_T), each relative to itself, that may be; for the worst sample."""
        system, terminal = self.system, self.terminal
        return _share_of_end(system, terminal, _displacement(system, self.scheme, terminal, self.missed))


@overflow_is_checked()
def arrive(system: System, scheme: Scheme) -> Arrival:
    """Solve (1) for h_T alone; errors as in `refimpl.finite.forward.forward`."""
    h, missed = system.h0, []
    for step in march(system, scheme):
        phi = system.activation.phi(step.stages)
        missed.append(_between_nodes(system, scheme, step.start, phi, step.rates)[2])
        h = step.end
    check_end(system, scheme, h)
    return Arrival(system, scheme, h, missed)


@overflow_is_checked()
def hidden(solution: Solution) -> float:
    """How much of h_T, φ(h_T), λ_0 and ∂f/∂W, each relative to itself, a layer in a gap may hide; worst sample."""
    system, scheme, flow, backward = solution.system, solution.scheme, solution.flow, solution.backward
    xp, m, Wt = system.xp, scheme.b.size, system.xp.matrix_transpose(system.W)
    gaps = _gaps(m)
    largest_phi, largest_adjoint = (xp.max(xp.abs(z), axis=0) for z in (flow.phi, backward.stages))
    missed, found = [], [0.0]
    for k in range(scheme.steps):
        inside = slice(k * m, (k + 1) * m)
        phi, adjoint = flow.phi[inside, ...], backward.stages[inside, ...]
        h, jump, moved = _between_nodes(system, scheme, flow.boundary[k, ...], phi, xp.matmul(system.W, phi))
        missed.append(moved)
        slope_there = system.activation.dphi(h)
        slopes = flow.dphi[inside, ...] * xp.matmul(Wt, adjoint)
        later = backward.boundary[k + 1, ...]
        adjoint_there = later + combine(xp, scheme.step * (scheme.b - gaps.integrals), slopes)
        defect = slope_there * xp.matmul(Wt, adjoint_there) - combine(xp, gaps.values, slopes)
        found += [
            relative_size(xp, gaps.times(xp, scheme.step, defect), backward.boundary[0, ...]),
            relative_size(xp, gaps.times(xp, 1 / scheme.steps, jump), largest_phi),
            relative_size(
                xp, gaps.times(xp, 1 / scheme.steps, adjoint_there - combine(xp, gaps.values, adjoint)), largest_adjoint
            ),
        ]
    displaced = _displacement(system, scheme, flow.terminal, missed)
    return max(_share_of_end(system, flow.terminal, displaced), *found)


@dataclass(frozen=True, eq=False)
class Gaps:
    """The gaps of a step of unit length with m nodes, and a point in each.

    Parameters
    ----------
    widths : ndarray, shape (m + 1,)
    values, integrals : ndarray, shape (m + 1, m)
        ℓ_j and ∫_0 ℓ_j at the points.
    """

    widths: Host
    values: Host
    integrals: Host

    def times(self, xp: Namespace, factor: float, stack: Array) -> Array:
        """factor × width of the gap × |entries| of a stack (m + 1, n, N)."""
        return xp.abs(from_host(xp, factor * self.widths, stack)[:, None, None] * stack)


@lru_cache(maxsize=64)
def _gaps(nodes: int) -> Gaps:
    c, _ = gauss_legendre(nodes)
    points = np.concatenate([[0.0], (c[1:] + c[:-1]) / 2, [1.0]])
    widths = np.diff(np.concatenate([[0.0], c, [1.0]]))
    return Gaps(widths, lagrange(nodes, points), lagrange_integrals(nodes, points))


def _between_nodes(
    system: System, scheme: Scheme, start: Array, phi: Array, rates: Array
) -> tuple[Array, Array, Array]:
    """Between the nodes of one step: h, what φ(h) jumps there, and the most by which one gap may have moved h.

    Parameters
    ----------
    start : array, shape (n, N)
        h at the start of the step.
    phi, rates : array, shape (m, n, N)
        φ(h_j) and W φ(h_j).

    Returns
    -------
    h, jump : arrays, shape (m + 1, n, N)
    moved : array, shape (n, N)
    """
    xp, gaps = system.xp, _gaps(scheme.b.size)
    h = start + combine(xp, scheme.step * gaps.integrals, rates)
    jump = system.activation.phi(h) - combine(xp, gaps.values, phi)
    moved = xp.matmul(xp.abs(system.W), gaps.times(xp, scheme.step, jump))
    return h, jump, xp.max(moved, axis=0)


def _displacement(system: System, scheme: Scheme, terminal: Array, missed: list[Array]) -> Array:
    """How far layers in the gaps may have moved h_T: by what each moves h where it acts, or by what becomes of it.

    What the flow makes of a displacement until T is seen on a neighbouring solution, which starts every step displaced
    by `missed`, with signs at random. Rounding is not followed: two schemes do not have it in common.
    """
    xp, h = system.xp, system.h0
    moved = xp.max(xp.stack(missed), axis=0)
    rounding = float(xp.finfo(h.dtype).eps) * math.sqrt(h.shape[0])
    if not bool(xp.any(xp.max(moved, axis=0) > rounding * xp.max(xp.abs(terminal), axis=0))):
        return moved
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(scheme.steps, h.shape[0], 1))
    for k, displacement in enumerate(missed):
        start = h + from_host(xp, signs[k], h) * displacement
        try:
            _, rates = step_forward(system, scheme, k, start)
        except StageDivergenceError:
            return xp.full_like(terminal, math.inf)
        h = start + combine(xp, scheme.b * scheme.step, rates)
    return xp.maximum(moved, xp.abs(h - terminal))


def _share_of_end(system: System, terminal: Array, moved: Array) -> float:
    """What a displacement `moved` ≥ 0 of h_T is of h_T, and what it makes of φ(h_T), each relative to itself."""
    xp, phi = system.xp, system.activation.phi
    at_end = phi(terminal)
    change = xp.maximum(xp.abs(phi(terminal + moved) - at_end), xp.abs(phi(terminal - moved) - at_end))
    return max(relative_size(xp, moved, terminal), relative_size(xp, change, at_end))
