"""Estimates at finite width: Gauss schemes of two orders, refined until nothing but rounding is between them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from refimpl.certified.quantities import Request, Value, flat, norm
from refimpl.certified.rounding import (
    DRAWS,
    EPS,
    allowance,
    disturbed_scheme,
    disturbed_sweep,
    disturbed_system,
)
from refimpl.errors import AccuracyError
from refimpl.finite import adjoint, residual
from refimpl.finite.escape import raise_if_escaping
from refimpl.finite.forward import StageDivergenceError, march
from refimpl.finite.system import System
from refimpl.quadrature import Host
from refimpl.scheme import Scheme, gauss

SCHEMES = (
    (8, 1), (12, 1), (16, 1), (24, 1), (20, 2), (24, 2), (20, 4), (24, 4), (20, 8), (24, 8), (20, 16), (24, 16),
    (20, 32), (24, 32), (20, 64), (24, 64),
)  # fmt: skip
"""Nodes and steps that are tried, in this order; each scheme has another order than the one before it."""

OF_RESULT = 4 * EPS
"""Roundings of the result itself, after the last sum: common factors, and the last place."""


@dataclass(frozen=True, eq=False)
class Batch:
    """A system, and the size σ_u |U| |x| of the terms of its h_0, shape (n, N)."""

    system: System
    input_size: Host


@dataclass(frozen=True, eq=False)
class Estimate:
    """A quantity, and an estimate of its error in the 2-norm."""

    value: Value
    error: float


def estimate(request: Request, batches: tuple[Batch, ...], rtol: float) -> Estimate:
    """The quantity that `request` asks for; `batches` hold the system for X, and that for X2 if there is one.

    Raises
    ------
    AccuracyError
        No two schemes agree, or a neuron comes near a kink. (Whether the error is small enough, the caller decides.)
    BlowUpError
        The solution escapes to infinity before T.
    """
    coarse: Host | None = None
    best: Estimate | None = None
    failure: StageDivergenceError | None = None
    last, kept, near_kink = math.inf, 0.0, False
    with np.errstate(over="ignore", invalid="ignore"):
        for scheme in _schemes(batches[0].system.horizon):
            try:
                solutions = [adjoint.solve(batch.system, scheme) for batch in batches]
            except StageDivergenceError as error:
                coarse, failure = None, error
                continue
            value = request.evaluate([solution.sweep for solution in solutions])
            fine = flat(value)
            if not bool(np.all(np.isfinite(fine))):
                raise AccuracyError(f"the {request.quantity} overflows float64")
            if coarse is not None:
                change, size = norm(fine - coarse), norm(fine)
                # Worth the disturbed solutions once the change is small, or falls no more.
                if change <= max(1e-9 * size, 1e3 * kept) or change > last / 4:
                    near_kink = not all(_stays_clear_of_kinks(batch.system, scheme) for batch in batches)
                    if not near_kink:
                        kept = _rounding(request, batches, scheme, fine)
                        found = Estimate(value, _safety(batches) * change + kept + OF_RESULT * size)
                        seen = max(residual.hidden(solution) for solution in solutions) <= max(rtol, 1e-12)
                        if seen and (best is None or found.error < best.error):
                            best = found
                        if seen and change <= kept + OF_RESULT * size:
                            break
                        if best is not None and change > last / 4 and scheme.steps > 4:
                            break  # it falls no more
                last = change
            coarse = fine
    if best is not None:
        return best
    if failure is not None and coarse is None:
        raise_if_escaping(batches[0].system, failure)
    name = batches[0].system.activation.name
    if near_kink:
        raise AccuracyError(f"a neuron crosses a kink of {name}, or comes so near that its {request.quantity} is open")
    raise AccuracyError(f"no two Gauss schemes agree on the {request.quantity}: {name} is too steep on [0, T]")


def _schemes(horizon: float) -> Iterator[Scheme]:
    return (gauss(nodes, steps, horizon) for nodes, steps in SCHEMES)


def _safety(batches: tuple[Batch, ...]) -> float:
    """Error of a scheme in units of its change from the one before: convergence may be algebraic."""
    activation = batches[0].system.activation
    return 1.0 if activation.analytic or activation.kinks else 10.0  # on one side of its kinks φ is analytic


def _rounding(request: Request, batches: tuple[Batch, ...], scheme: Scheme, undisturbed: Host) -> float:
    """What rounding may have changed of the result, infinite if the disturbed equations were not solved."""
    changes = list[float]()
    for seed in range(4 * DRAWS):  # the sweeps over the stages may take a disturbance for a divergence, now and then
        with suppress(StageDivergenceError):
            result = _disturbed_result(request, batches, scheme, np.random.default_rng(seed))
            changes.append(norm(result - undisturbed))
        if len(changes) == DRAWS:
            return allowance(changes)
    return math.inf


def _disturbed_result(request: Request, batches: tuple[Batch, ...], scheme: Scheme, rng: np.random.Generator) -> Host:
    tableau = disturbed_scheme(scheme, rng)
    systems = [disturbed_system(batch.system, batch.input_size, rng) for batch in batches]
    sweeps = [disturbed_sweep(adjoint.solve(system, tableau).sweep, rng) for system in systems]
    return flat(request.evaluate(sweeps, systems[0].v))


def _stays_clear_of_kinks(system: System, scheme: Scheme) -> bool:
    """Whether no neuron can cross a kink, or touch it: seen at the nodes, and by how fast it moves in between.

    A neuron that does not move at all may rest on one: its φ' is a matter of convention then.
    """
    kinks = system.activation.kinks
    if not kinks:
        return True
    nodes = np.concatenate([[0.0], scheme.c, [1.0]])
    widths = (np.diff(nodes) * scheme.step)[:, None, None]

    def rate(h: Host) -> Host:
        return np.asarray(system.W @ system.activation.phi(h))

    for step in march(system, scheme):
        h = np.concatenate([step.start[None], step.stages, step.end[None]])
        speed = np.abs(np.concatenate([rate(step.start)[None], step.rates, rate(step.end)[None]]))
        reach = 2 * widths * np.maximum(speed[1:], speed[:-1])
        for kink in kinks:
            distance = h - kink
            same = (distance > 0) == (distance[0] > 0)
            if not (np.all(same) and np.all(np.abs(distance[1:]) + np.abs(distance[:-1]) >= reach)):
                return False
            if np.any((distance[0] == 0) & (np.max(speed, axis=0) > 0)):
                return False
    return True
