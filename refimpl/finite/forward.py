"""The forward ODE (1) under a scheme: h_i = h_0 + Σ_j a_ij W φ(h_j)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from refimpl.backend import Array, Namespace, from_host, overflow_is_checked, slices
from refimpl.errors import AccuracyError, BlowUpError
from refimpl.finite.system import System
from refimpl.quadrature import Host
from refimpl.scheme import Scheme

MAX_SWEEPS = 100
"""Fixed-point sweeps per step before a step counts as too long."""

BLOCK = 2**14
"""Entries that are looked at together: temporaries of this size stay in the cache."""


class StageDivergenceError(ArithmeticError):
    """The stage equations of a step were not solved: the step is too long, or the solution escapes.

    Carries the start of the step, `time`, and the state there, `state`, of shape (n, N).
    """

    def __init__(self, time: float, state: Array) -> None:
        super().__init__(f"the stage equations of the step from t = {time:.6g} did not converge")
        self.time = time
        self.state = state


@dataclass(frozen=True, eq=False)
class Flow:
    """Forward solution under a scheme of m nodes in all.

    Parameters
    ----------
    phi, dphi : array, shape (m, n, N)
        φ(h_j) and φ'(h_j) at the nodes.
    boundary : array, shape (steps + 1, n, N)
        h at the ends of the steps, h_0 first and h_T last.
    """

    phi: Array
    dphi: Array
    boundary: Array

    @property
    def terminal(self) -> Array:
        """h_T, shape (n, N)."""
        return self.boundary[-1, ...]


class Step(NamedTuple):
    """One time step of (1): its number, h at its start, stages h_j and rates W φ(h_j), (m, n, N), and h at its end."""

    k: int
    start: Array
    stages: Array
    rates: Array
    end: Array


def march(system: System, scheme: Scheme) -> Iterator[Step]:
    """Solve (1) under `scheme`, step after step.

    Raises
    ------
    StageDivergenceError
        The stage equations of some step have no solution within reach of fixed-point sweeps.
    """
    h = system.h0
    for k in range(scheme.steps):
        stages, rates = step_forward(system, scheme, k, h)
        end = h + combine(system.xp, scheme.b * scheme.step, rates)
        yield Step(k, h, stages, rates, end)
        h = end


def check_end(system: System, scheme: Scheme, terminal: Array) -> None:
    """Make sure that h_T has not overflowed; looked at once, since a device has to be waited for.

    Raises
    ------
    BlowUpError, AccuracyError
        It has; with a polynomial φ of degree 2 or more that counts as a blow-up.
    """
    xp = system.xp
    if bool(xp.all(xp.isfinite(terminal))):
        return
    time = next(step.k for step in march(system, scheme) if not bool(xp.all(xp.isfinite(step.end)))) * scheme.step
    message = f"h overflows {terminal.dtype} after t = {time:.9g}, before T = {scheme.horizon:g}"
    if system.activation.degree is None or system.activation.degree < 2:
        raise AccuracyError(message)
    raise BlowUpError(message, time=time)


@overflow_is_checked()
def forward(system: System, scheme: Scheme) -> Flow:
    """φ, φ' and h of the solution under `scheme`; errors as in `march` and `check_end`."""
    xp, h = system.xp, system.h0
    m, shape = scheme.b.size, tuple(system.h0.shape)
    phi = xp.empty((scheme.size, *shape), dtype=h.dtype, device=h.device)
    dphi, boundary = xp.empty_like(phi), xp.empty((scheme.steps + 1, *shape), dtype=h.dtype, device=h.device)
    boundary[0, ...] = h
    for step in march(system, scheme):
        inside = slice(step.k * m, (step.k + 1) * m)
        phi[inside, ...], dphi[inside, ...] = system.activation.value_and_slope(step.stages)
        boundary[step.k + 1, ...] = step.end
    check_end(system, scheme, boundary[-1, ...])
    return Flow(phi, dphi, boundary)


@overflow_is_checked()
def terminal_state(system: System, scheme: Scheme) -> Array:
    """h_T alone, shape (n, N); keeps nothing of the way there. Errors as in `forward`."""
    h = system.h0
    for step in march(system, scheme):
        h = step.end
    check_end(system, scheme, h)
    return h


def combine(xp: Namespace, coefficients: Host, stages: Array) -> Array:
    """Σ_j coefficients_ij stages_j over the first axis of `stages`, of shape (m, n, N)."""
    m, *shape = stages.shape
    flat = xp.reshape(stages, (m, math.prod(shape)))
    return xp.reshape(xp.matmul(from_host(xp, coefficients, stages), flat), (*coefficients.shape[:-1], *shape))


def step_forward(system: System, scheme: Scheme, k: int, start: Array) -> tuple[Array, Array]:
    """Stages h_i and rates W φ(h_i) of step `k` from `start`, both (m, n, N)."""
    xp, W = system.xp, system.weights(k)

    def terms(stages: Array) -> Array:
        phi, dphi = system.activation.value_and_slope(stages)
        return xp.matmul(xp.abs(W), xp.abs(phi) + xp.abs(dphi * stages))

    solution = solve_stages(
        xp, scheme.A * scheme.step, start, lambda stages: xp.matmul(W, system.activation.phi(stages)), terms
    )
    if solution is None:
        raise StageDivergenceError(k * scheme.step, start)
    return solution


def solve_stages(
    xp: Namespace, tableau: Host, start: Array, rate: Callable[[Array], Array], terms: Callable[[Array], Array]
) -> tuple[Array, Array] | None:
    """Solve h_i = start + Σ_j tableau_ij rate(h)_j by fixed-point sweeps, to rounding.

    Parameters
    ----------
    tableau : ndarray, shape (m, m)
    start : array, shape (n, N)
    rate : callable
        Maps stages (m, n, N) to rates (m, n, N).
    terms : callable
        Maps stages to Σ |terms| of the sums that make up their rates, times which rates are uncertain by rounding.

    Returns
    -------
    (stages, rates) : arrays of shape (m, n, N), or None
        None if the sweeps do not converge. Under Euler, whose tableau is zero, there is nothing to solve.

    Notes
    -----
    A sweep's change is measured for the worst sample, relative to that sample's own size, so that a row of the
    batch never depends on its neighbours. The sweeps stop when the change is a few units of rounding, or when it
    no longer falls and is within the rounding that products of length n leave behind; and not before it is within
    the rounding of every single neuron, since one far below the others may be about to grow past them.
    """
    if not tableau.any():  # a layer of a ResNet
        stages = xp.expand_dims(start, axis=0)
        return stages, rate(stages)
    stages = xp.broadcast_to(start, (tableau.shape[0], *start.shape))
    rates = rate(stages)
    eps, tiny = (float(getattr(xp.finfo(start.dtype), name)) for name in ("eps", "smallest_normal"))
    noise = 8 * eps * math.sqrt(start.shape[0])
    changes: list[float] = []
    while len(changes) < MAX_SWEEPS:
        update = start + combine(xp, tableau, rates)
        changes.append(relative_change(xp, update, stages))
        change, stages, rates = update - stages, update, rate(update)
        if changes[-1] <= 2 * eps or (len(changes) > 1 and changes[-2] / 2 < changes[-1] <= noise):
            size = tiny / eps + xp.abs(start) + combine(xp, np.abs(tableau), terms(stages))
            if largest_ratio(xp, xp.abs(change), size) <= noise:
                return stages, rates
        elif not math.isfinite(changes[-1]) or (len(changes) > 12 and changes[-1] >= changes[-7]):
            break
    return None


def relative_distance(xp: Namespace, new: Array, old: Array) -> float:
    """max over leading axes and samples of ‖new − old‖ / ‖new‖, with norms over the neurons (axis −2)."""
    return relative_size(xp, new - old, new)


def relative_size(xp: Namespace, change: Array, reference: Array) -> float:
    """max over leading axes and samples of ‖change‖ / ‖reference‖, with norms over the neurons (axis −2)."""
    if 0 in reference.shape:
        return 0.0
    largest = xp.max(xp.abs(reference), axis=-2, keepdims=True)
    largest = xp.where(largest == 0, xp.ones_like(largest), largest)  # so that no square over- or underflows
    size = xp.linalg.vector_norm(reference / largest, axis=-2)
    return largest_ratio(xp, xp.linalg.vector_norm(change / largest, axis=-2), size)


def relative_change(xp: Namespace, new: Array, old: Array) -> float:
    """Like `relative_size` of new − old, in the cheaper maximum norm: enough to see an iteration stand still."""
    if 0 in new.shape:
        return 0.0
    if new.ndim == 2:
        new, old = new[None, ...], old[None, ...]
    m, *shape = new.shape
    blocks = list(slices(m, max(1, BLOCK // math.prod(shape))))
    change = [xp.max(xp.abs(new[block, ...] - old[block, ...]), axis=-2) for block in blocks]
    size = [xp.max(xp.abs(new[block, ...]), axis=-2) for block in blocks]
    return largest_ratio(xp, xp.concat(change), xp.concat(size))


def largest_size(xp: Namespace, values: Array) -> Array:
    """max_j |values_j| of (m, n, N): (n, N)."""
    largest = xp.abs(values[0, ...])
    for j in range(1, values.shape[0]):
        largest = xp.maximum(largest, xp.abs(values[j, ...]))
    return largest


def largest_ratio(xp: Namespace, change: Array, size: Array) -> float:
    """max of change / size, both ≥ 0; zero counts as one where it is divided by."""
    return float(xp.max(change / xp.where(size == 0, xp.ones_like(size), size)))
