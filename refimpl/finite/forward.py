"""The forward ODE (1) under a scheme: h_i = h_0 + Σ_j a_ij W φ(h_j)."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from refimpl.backend import Array, Namespace, from_host, overflow_is_checked
from refimpl.errors import BlowUpError
from refimpl.finite.system import System
from refimpl.quadrature import Host
from refimpl.scheme import Scheme

MAX_SWEEPS = 100
"""Fixed-point sweeps per step before a step counts as too long."""


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


@overflow_is_checked()
def forward(system: System, scheme: Scheme) -> Flow:
    """Solve (1) under `scheme`.

    Raises
    ------
    StageDivergenceError
        The stage equations of some step have no solution within reach of fixed-point sweeps.
    BlowUpError
        h overflows, as it can for a ResNet with a φ that grows faster than linearly.
    """
    xp, h = system.xp, system.h0
    m, shape = scheme.b.size, tuple(system.h0.shape)
    phi = xp.empty((scheme.size, *shape), dtype=h.dtype, device=h.device)
    dphi, boundary = xp.empty_like(phi), xp.empty((scheme.steps + 1, *shape), dtype=h.dtype, device=h.device)
    boundary[0, ...] = h
    for k in range(scheme.steps):
        stages, rates = step_forward(system, scheme, k, h)
        inside = slice(k * m, (k + 1) * m)
        phi[inside, ...], dphi[inside, ...] = system.activation.value_and_slope(stages)
        h = h + combine(xp, scheme.b * scheme.step, rates)
        boundary[k + 1, ...] = h
    if not _all_finite(xp, h):
        reached = next(k for k in range(scheme.steps) if not _all_finite(xp, boundary[k + 1, ...])) * scheme.step
        raise BlowUpError(f"h overflows after t = {reached:.9g}, before T = {scheme.horizon:g}", time=reached)
    return Flow(phi, dphi, boundary)


@dataclass(frozen=True, eq=False)
class Arrival:
    """The end of a forward solution of which only the two outermost steps were kept.

    Parameters
    ----------
    terminal : array, shape (n, N)
        h_T.
    first, last : array, shape (m, n, N)
        Rates W φ(h_j) at the nodes of the first and of the last step.
    """

    terminal: Array
    first: Array
    last: Array


@overflow_is_checked()
def arrive(system: System, scheme: Scheme) -> Arrival:
    """Solve (1) for h_T alone; errors as in `forward`."""
    h, outermost = system.h0, list[Array]()
    for k in range(scheme.steps):
        _, rates = step_forward(system, scheme, k, h)
        if k in (0, scheme.steps - 1):
            outermost.append(rates)
        h = h + combine(system.xp, scheme.b * scheme.step, rates)
    if not _all_finite(system.xp, h):
        forward(system, scheme)  # tells when it overflows
    return Arrival(h, outermost[0], outermost[-1])


def combine(xp: Namespace, coefficients: Host, stages: Array) -> Array:
    """Σ_j coefficients_ij stages_j over the first axis of `stages`, of shape (m, n, N)."""
    return xp.tensordot(from_host(xp, coefficients, stages), stages, axes=1)


def step_forward(system: System, scheme: Scheme, k: int, start: Array) -> tuple[Array, Array]:
    """Stages h_i and rates W φ(h_i) of step `k` from `start`, both (m, n, N)."""
    xp, W = system.xp, system.weights(k)
    solution = solve_stages(
        xp, scheme.A * scheme.step, start, lambda stages: xp.matmul(W, system.activation.phi(stages))
    )
    if solution is None:
        raise StageDivergenceError(k * scheme.step, start)
    return solution


def solve_stages(
    xp: Namespace, tableau: Host, start: Array, rate: Callable[[Array], Array]
) -> tuple[Array, Array] | None:
    """Solve h_i = start + Σ_j tableau_ij rate(h)_j by fixed-point sweeps, to rounding.

    Parameters
    ----------
    tableau : ndarray, shape (m, m)
    start : array, shape (n, N)
    rate : callable
        Maps stages (m, n, N) to rates (m, n, N).

    Returns
    -------
    (stages, rates) : arrays of shape (m, n, N), or None
        None if the sweeps do not converge. Under Euler, whose tableau is zero, there is nothing to solve.

    Notes
    -----
    A sweep's change is measured for the worst sample, relative to that sample's own size, so that a row of the
    batch never depends on its neighbours. The sweeps stop when the change is a few units of rounding, or when it
    no longer falls and is within the rounding that products of length n leave behind.
    """
    stages = xp.broadcast_to(start, (tableau.shape[0], *start.shape))
    rates = rate(stages)
    if not tableau.any():
        return stages, rates
    eps = float(xp.finfo(start.dtype).eps)
    noise = 8 * eps * math.sqrt(start.shape[0])
    changes: list[float] = []
    while len(changes) < MAX_SWEEPS:
        update = start + combine(xp, tableau, rates)
        changes.append(_relative_change(xp, update, stages))
        stages, rates = update, rate(update)
        if changes[-1] <= 2 * eps:
            return stages, rates
        if len(changes) > 1 and changes[-2] / 2 < changes[-1] <= noise:
            return stages, rates
        if not math.isfinite(changes[-1]) or (len(changes) > 12 and changes[-1] >= changes[-7]):
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
    return _largest_ratio(xp, xp.linalg.vector_norm(change / largest, axis=-2), size)


def _relative_change(xp: Namespace, new: Array, old: Array) -> float:
    """Like `relative_distance`, in the cheaper maximum norm: enough to see an iteration stand still."""
    if 0 in new.shape:
        return 0.0
    return _largest_ratio(xp, xp.max(xp.abs(new - old), axis=-2), xp.max(xp.abs(new), axis=-2))


def _largest_ratio(xp: Namespace, change: Array, size: Array) -> float:
    ratio = xp.where(change == 0, xp.zeros_like(change), change / xp.where(size == 0, xp.ones_like(size), size))
    return float(xp.max(ratio))


def _all_finite(xp: Namespace, h: Array) -> bool:
    return bool(xp.all(xp.isfinite(h)))
