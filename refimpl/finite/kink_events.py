"""Solutions with located crossings for a whole batch, each sample refined until two tolerances agree."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

import numpy as np

from refimpl.backend import Array, overflow_is_checked
from refimpl.errors import AccuracyError
from refimpl.finite.branches import Branches
from refimpl.finite.escape import raise_if_escaping
from refimpl.finite.ivp import SMALLEST_RTOL
from refimpl.finite.kink_adjoint import Course, along
from refimpl.finite.kinks import EPS, Path, Touch, UndecidedError, follow
from refimpl.finite.system import Sweep, System
from refimpl.quadrature import Host

APART = 10.0
"""Factor between the tolerances of two solutions that are compared."""

Found = TypeVar("Found")


class Doubt(NamedTuple):
    """What of the gradient is not decided, and the touch that decides most of it."""

    effect: float
    touch: Touch


@overflow_is_checked()
def terminal(system: System, rtol: float, distance: Callable[[System, Array, Array], float]) -> Array:
    """h_T, shape (n, N)."""
    branches, W, _ = _parts(system)
    ends = []
    for one in _samples(system):

        def solve(local: float, one: System = one) -> Path:
            return _followed(one, branches, W, local)

        def apart(coarse: Path, fine: Path, one: System = one) -> float:
            return distance(one, coarse.end[:, None], fine.end[:, None])

        ends.append(_refined(solve, apart, rtol)[1].end.astype(system.h0.dtype))
    return np.stack(ends, axis=1)


@overflow_is_checked()
def courses(system: System, rtol: float, distance: Callable[[System, Sweep, Sweep], float]) -> list[Course]:
    """Forward and adjoint solution of every sample.

    Raises
    ------
    AccuracyError
        Two tolerances do not agree to `rtol`, or φ' jumps at a kink on which a neuron is at T, or which one touches.
    BlowUpError
        The solution escapes to infinity before T.
    """
    branches, W, v = _parts(system)
    found = []
    for i, one in enumerate(_samples(system)):

        def solve(local: float, one: System = one) -> Course:
            return along(branches, W, v, _followed(one, branches, W, local), local)

        def apart(coarse: Course, fine: Course, one: System = one) -> float:
            return distance(one, _joined(one, [coarse]), _joined(one, [fine]))

        def doubt(course: Course, apart: Callable[[Course, Course], float] = apart) -> Doubt | None:
            if not (touches := course.path.touches):
                return None
            other = along(branches, W, v, course.path, course.rtol, touches)
            return Doubt(apart(course, other), max(touches, key=lambda touch: touch.change))

        coarse, fine = _refined(solve, apart, rtol, doubt)
        _check_terminal_slope(coarse, fine, v, i, rtol)
        found.append(fine)
    return found


def sweep(system: System, rtol: float, distance: Callable[[System, Sweep, Sweep], float]) -> Sweep:
    """Forward and adjoint states at nodes of its own for each sample."""
    return _joined(system, courses(system, rtol, distance))


def trajectory(
    system: System, rtol: float, times: Host, distance: Callable[[System, Sweep, Sweep], float]
) -> tuple[Array, Array]:
    """h_t and λ_t at `times`, each of shape (len(times), n, N)."""
    states = [course.states(times) for course in courses(system, rtol, distance)]
    h, lam = (np.stack(parts, axis=2) for parts in zip(*states, strict=True))
    return h, lam


def _parts(system: System) -> tuple[Branches, Host, Host]:
    return Branches(system.activation), system.W.astype(float), system.v.astype(float)


def _samples(system: System) -> list[System]:
    return [replace(system, h0=system.h0[:, i : i + 1]) for i in range(system.h0.shape[1])]


def _followed(one: System, branches: Branches, W: Host, local: float) -> Path:
    """`follow`, or `BlowUpError` where a step cannot be taken because the solution escapes."""
    try:
        return follow(branches, W, one.h0[:, 0].astype(float), one.horizon, local)
    except UndecidedError:
        raise
    except AccuracyError as error:
        raise_if_escaping(one, error)
        raise


def _refined(
    solve: Callable[[float], Found],
    distance: Callable[[Found, Found], float],
    rtol: float,
    doubt: Callable[[Found], Doubt | None] = lambda _found: None,
) -> tuple[Found, Found]:
    """Two solutions that agree to `rtol`, the coarser first, and of the finer no more than that is in doubt."""
    coarse: Found | None = None
    refusal: AccuracyError | None = None
    for local in _tolerances(rtol):
        try:
            fine = solve(local)
        except UndecidedError as error:
            coarse, refusal = None, error
            continue
        if coarse is not None:
            refusal = _refusal(distance(coarse, fine), doubt(fine), rtol)
            if refusal is None:
                return coarse, fine
        coarse = fine
    assert refusal is not None
    raise refusal


def _tolerances(rtol: float) -> Iterator[float]:
    """Local ones, two at least, each `APART` times the next, down to the smallest."""
    local = max(rtol / APART, APART * SMALLEST_RTOL)
    while local > SMALLEST_RTOL:
        yield local
        local /= APART
    yield SMALLEST_RTOL


def _refusal(apart: float, doubt: Doubt | None, rtol: float) -> AccuracyError | None:
    """What stands against a solution: its distance from another, or that with its touches taken the other way."""
    if doubt is not None and doubt.effect > max(apart, rtol):
        touch = doubt.touch
        return AccuracyError(
            f"neuron {touch.neuron} touches the kink {touch.kink:g} near t = {touch.time:.6g}: whether it crosses is "
            f"not decided, and about {doubt.effect:.2g} of the gradient depends on it",
            reached=doubt.effect,
        )
    if apart > rtol:
        return AccuracyError(f"rtol={rtol:.3g} is out of reach: two solutions differ by {apart:.3g}", reached=apart)
    return None


def _joined(system: System, found: list[Course]) -> Sweep:
    """Nodes with weight 0 fill up what a sample has less than another."""
    dtype, n, N = system.h0.dtype, system.h0.shape[0], len(found)
    most = max(course.quadrature[0].size for course in found)
    weights = np.zeros((most, N), dtype=dtype)
    phi, adjoint = np.zeros((2, most, n, N), dtype=dtype)
    for i, course in enumerate(found):
        b, values, lam = course.quadrature
        weights[: b.size, i], phi[: b.size, :, i], adjoint[: b.size, :, i] = b, values, lam
    end = np.stack([course.path.end for course in found], axis=1).astype(dtype)
    start = np.stack([course.start for course in found], axis=1).astype(dtype)
    return Sweep(weights, phi, adjoint, end, system.activation.phi(end), start)


def _check_terminal_slope(coarse: Course, fine: Course, v: Host, sample: int, rtol: float) -> None:
    """Make sure that φ'(h_T) is decided: λ_T jumps where h_T passes a kink with a jump of φ'."""
    branches, path, last = fine.branches, fine.path, fine.path.arcs[-1]
    uncertain = APART * float(np.max(np.abs(path.end - coarse.path.end))) + 100 * EPS * float(np.max(np.abs(path.end)))
    for edge in (last.branch, last.branch + 1):
        near: Any = np.abs(path.end - branches.edges[edge]) <= uncertain
        matters = near & ~last.resting & (branches.jumps[edge] * np.abs(v) > rtol * np.linalg.norm(v))
        if matters.any():
            neuron = int(np.flatnonzero(matters)[0])
            raise AccuracyError(
                f"neuron {neuron} of input {sample} is on the kink {branches.edges[edge][neuron]:g} at T, as far as "
                f"can be told (to {uncertain:.2g}), and φ' jumps there: the gradient is not decided"
            )
