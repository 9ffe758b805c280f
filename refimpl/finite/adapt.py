"""The Gauss scheme that a tolerance needs, for analytic φ: as few nodes as the defect allows, and steps that converge.

`refimpl.finite.refine` compares whole solutions of successive schemes, each solved to rounding, and serves every φ.
Where φ is analytic one solution with its defect says as much, and every refinement starts from the solution before it.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

from refimpl.backend import Namespace, is_numpy, keep_freed_memory, slices
from refimpl.errors import AccuracyError
from refimpl.finite import defect, sweep
from refimpl.finite.escape import raise_if_escaping
from refimpl.finite.forward import StageDivergenceError
from refimpl.finite.refine import STEPS
from refimpl.finite.system import Sweep, System
from refimpl.scheme import Scheme, gauss

LEAST = 5
"""Fewest nodes a step: fewer have too few points to see anything."""

MOST = 24
"""Most nodes a step where steps may be added."""

MOST_ALONE = 48
"""Most nodes a step where they may not."""

STALLED = 0.5
"""Factor by which more nodes have to lower the error at least."""

ITERATION = 16.0
"""How much closer than the tolerance the sweeps of all steps together get to the scheme: λ sees every error of h."""

SHARE = 0.25
"""Part of the tolerance that the estimated error may be: some errors are three times their estimate."""


MORE = 6
"""Nodes that are added at a time at most."""

STATES = 8
"""States (n, N) for each node that a solution and its defect take, about."""

SHARE_OF_JACOBIAN = 1 / 20
"""Part of the memory of the N × n² Jacobian that they may take together where inputs are solved for in batches."""

LEAST_BATCH, LEAST_MEMORY = 16, 1 << 20
"""Inputs of a batch at least, and values of all states below which there are none."""


@dataclass(frozen=True, eq=False)
class Adapted:
    """A solution that meets its tolerance: forward, and unless h_T alone was asked for, backward."""

    scheme: Scheme
    forward: sweep.Forward
    backward: sweep.Backward | None

    def sweep(self, system: System, rtol: float) -> Sweep:
        """Both together, as the contraction wants them, with ∂f/∂W to a part of `rtol`."""
        assert self.backward is not None
        phi, adjoint = (system.xp.matrix_transpose(part) for part in self.backward.gradient.shortened(rtol))
        terminal = self.forward.boundary[-1, ...].T
        terminal_phi = system.activation.phi(terminal)
        return Sweep(None, phi, adjoint, terminal, terminal_phi, self.backward.boundary[0, ...].T)


def in_batches(system: System, nodes: int | None, steps: int | None, rtol: float) -> Sweep:
    """What the contraction needs of a solution as in `adapt`, found for some inputs at a time to save memory."""
    n, N = system.h0.shape
    batch, parts = _batch(n, N, nodes or _first_guess(rtol)) if is_numpy(system.xp) else N, []
    for columns in slices(N, batch):
        part = adapt(system.part(columns), nodes, steps, rtol, adjoint=True).sweep(system, rtol)
        if batch == N:
            return part
        parts.append(_copied(system.xp, part))  # all else of the solution goes
        del part
    return _joined(system.xp, parts)


def _batch(n: int, N: int, nodes: int) -> int:
    """Inputs that are solved for at a time on so many nodes."""
    if STATES * nodes * n * N <= LEAST_MEMORY:
        return N
    count = math.ceil(STATES * nodes / (SHARE_OF_JACOBIAN * n))
    return max(LEAST_BATCH, math.ceil(N / count))


def _copied(xp: Namespace, sweep: Sweep) -> Sweep:
    arrays = (sweep.phi, sweep.adjoint, sweep.terminal, sweep.terminal_phi, sweep.initial_adjoint)
    return Sweep(None, *(xp.asarray(array, copy=True) for array in arrays))


def _joined(xp: Namespace, parts: list[Sweep]) -> Sweep:
    """Those of all samples; with fewer terms of ∂f/∂W for some, the others are zero."""
    terms = max(part.phi.shape[0] for part in parts)
    N, n = sum(part.phi.shape[2] for part in parts), parts[0].phi.shape[1]
    both = []
    for name in ("phi", "adjoint"):
        rows = xp.zeros((terms, N, n), dtype=parts[0].phi.dtype, device=parts[0].phi.device)
        start = 0
        for part in parts:
            values = xp.matrix_transpose(getattr(part, name))
            rows[: values.shape[0], start : start + values.shape[1], :] = values
            start += values.shape[1]
        both.append(xp.matrix_transpose(rows))
    ends = (
        xp.concat([getattr(part, name) for part in parts], axis=1)
        for name in ("terminal", "terminal_phi", "initial_adjoint")
    )
    return Sweep(None, *both, *ends)


def adapt(system: System, nodes: int | None, steps: int | None, rtol: float, *, adjoint: bool) -> Adapted:
    """Solution that is accurate to `rtol`; `nodes` and `steps` are chosen here where they are None.

    Raises
    ------
    AccuracyError
        No scheme reaches `rtol`; carries the smallest that one could have been asked for, as far as it is known.
    BlowUpError
        The solution escapes to infinity before T.
    """
    if is_numpy(system.xp):
        keep_freed_memory()
    best, failure = math.inf, None
    for count in STEPS if steps is None else (steps,):
        try:
            found = _with_steps(system, nodes, count, rtol, adjoint=adjoint, alone=steps is not None)
        except StageDivergenceError as error:
            failure = error
            continue
        if isinstance(found, Adapted):
            return found
        best, failure = min(best, found), None
    if failure is not None:
        raise_if_escaping(system, failure)
    if math.isinf(best):
        raise AccuracyError(f"rtol={rtol:.3g} was asked for, but the steps of no Gauss scheme were short enough")
    promised = best / SHARE
    raise AccuracyError(
        f"rtol={rtol:.3g} was asked for, but between its nodes the best Gauss scheme may be off by {promised:.3g}",
        reached=promised,
    )


def _with_steps(
    system: System, nodes: int | None, steps: int, rtol: float, *, adjoint: bool, alone: bool
) -> Adapted | float:
    """Add nodes until `rtol` is met; else the smallest error seen."""
    patient = alone or steps == STEPS[-1]
    most = nodes or (MOST_ALONE if alone else MOST)
    m, forward, backward, errors = nodes or _first_guess(rtol), None, None, dict[int, float]()
    tight = rtol / (ITERATION * steps)
    while True:
        scheme = gauss(m, steps, system.horizon)
        forward = sweep.forward(system, scheme, tight, forward, patient=patient)
        seen = defect.of_forward(system, scheme, forward)
        error = defect.error_forward(system, forward, seen)
        if adjoint and error <= SHARE * rtol:
            if backward is None:
                errors.clear()  # which were those of h alone
            backward = sweep.backward(system, scheme, forward, tight, backward, patient=patient)
            error = max(error, defect.error_backward(system, scheme, forward, seen, backward))
        if error <= SHARE * rtol:
            return Adapted(scheme, forward, backward)
        errors[m] = error
        stalls = sum(new > STALLED * old for old, new in itertools.pairwise([*errors.values()][-3:]))
        if m >= most or not error < math.inf or stalls > alone:  # where no steps may be added, one is not the end
            return min(errors.values())
        wanted = SHARE * rtol if backward is not None or not adjoint else SHARE * rtol / 8  # λ needs more than h
        more = _more_nodes(errors, wanted)
        if not patient and len(errors) > 1 and m + more > most:
            return min(errors.values())
        m = min(most, m + min(MORE, more))


def _first_guess(rtol: float) -> int:
    """Nodes that are enough where the solution has its singularities about T away from [0, T]: a digit a node."""
    return max(LEAST, min(MOST, math.ceil(0.9 * -math.log10(rtol) + 0.5)))


def _more_nodes(errors: dict[int, float], wanted: float) -> int:
    """Nodes to add for an error as `wanted`, after those of `errors`: as the last two tell, else as if r^(2 nodes)."""
    nodes, error = [*errors.items()][-1]
    fall = max(math.log(1 / error), 0.4) / nodes if error < 1 else 0.4 / nodes
    if len(errors) > 1:
        before, old = [*errors.items()][-2]
        fall = max(math.log(old / error) / (nodes - before), 0.4 / nodes)
    return max(1, math.ceil(math.log(error / wanted) / fall))
