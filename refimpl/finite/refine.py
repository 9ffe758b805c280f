"""How fine must a Gauss scheme be? Refine until two schemes agree, each solved to rounding.

This serves every φ, and every time in between; for the ends of an analytic φ see `refimpl.finite.adapt`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TypeVar

from refimpl.errors import AccuracyError
from refimpl.finite.escape import raise_if_escaping
from refimpl.finite.forward import StageDivergenceError, march
from refimpl.finite.system import System
from refimpl.scheme import Scheme, gauss

NODES = (8, 12, 16, 24)
"""Nodes a step that are tried, in this order, when neither they nor the steps are given."""

STEPS = (1, 2, 4, 8, 16, 32, 64)
"""Steps that are tried, in this order, when they are not given."""

Solution = TypeVar("Solution")


def refine(
    system: System,
    nodes: int | None,
    steps: int | None,
    rtol: float,
    solve: Callable[[Scheme], Solution],
    distance: Callable[[Solution, Solution], float],
    hidden: Callable[[Solution], float],
) -> Solution:
    """Solution on the first Gauss scheme that agrees within `rtol` with the scheme before it.

    Parameters
    ----------
    nodes, steps : int or None
        None: chosen here. With both given there is nothing to choose and the scheme is used as it is.
    solve : callable
        Scheme → solution.
    distance : callable
        Relative distance of a coarse and a fine solution.
    hidden : callable
        What a layer between two nodes may hide of a solution, relative to it.

    Raises
    ------
    AccuracyError
        No two schemes agree; carries the smallest distance seen.
    BlowUpError
        The solution escapes to infinity before T.
    """
    if nodes is not None and steps is not None:
        return _solve_as_given(system, gauss(nodes, steps, system.horizon), solve)
    candidates = _candidates(nodes, steps, system.horizon)
    coarse, failure = None, None
    history = History(candidates[-1].size, smooth=bool(system.activation.analytic))
    for scheme in candidates:
        try:
            fine = solve(scheme)
        except StageDivergenceError as error:
            coarse, failure = None, error
            continue
        if coarse is not None:
            history.distances.append((scheme.size, distance(coarse, fine)))
            if history.reaches(rtol):
                history.hidden = hidden(fine)
                if history.hidden <= rtol:
                    _check_kinks(system, scheme, rtol)
                    return fine
            if history.is_hopeless(rtol):
                break
        coarse = fine
    if failure is not None:
        raise_if_escaping(system, failure)
    why = "successive Gauss schemes differ by"
    if not history.distances:
        raise AccuracyError(f"rtol={rtol:.3g} was asked for, but the steps of no two Gauss schemes were short enough")
    if history.reaches(rtol):
        why = "between the nodes of the Gauss schemes a layer may hide"
    advice = "" if system.activation.analytic else f": {system.activation.name} is not analytic, use {_advised(system)}"
    raise AccuracyError(f"rtol={rtol:.3g} was asked for, but {why} {history.best:.3g}{advice}", reached=history.best)


@dataclass
class History:
    """Distances of successive schemes, and what they promise.

    Parameters
    ----------
    largest : int
        Nodes of the finest scheme that would be tried.
    smooth : bool
        Whether φ is analytic. If not, convergence is algebraic and irregular: then distances a tenth of rtol are asked
        for, and what the observed order cannot reach is not tried.
    distances : list of (int, float)
        Nodes of the finer scheme, and its distance from the coarser one.
    hidden : float
        What a layer between two nodes may hide of the last solution, since schemes agree; 0 before that.
    """

    largest: int
    smooth: bool
    distances: list[tuple[int, float]] = field(default_factory=list)
    hidden: float = 0.0

    @property
    def _errors(self) -> list[float]:
        """What two successive distances say of the error; one alone may be luck."""
        safety = 1 if self.smooth else 10
        distances = [distance for _, distance in self.distances]
        return [safety * max(pair) for pair in pairwise(distances)]

    @property
    def best(self) -> float:
        """Smallest rtol that any scheme so far would have met."""
        return max(min(self._errors, default=math.inf), self.hidden)

    def reaches(self, rtol: float) -> bool:
        """Whether the last scheme counts as accurate to `rtol`."""
        return len(self._errors) > 0 and self._errors[-1] <= rtol

    def is_hopeless(self, rtol: float) -> bool:
        """Whether the observed algebraic order does not lead to `rtol`, with a factor 100 to spare."""
        if self.smooth or len(self.distances) < 3:
            return False
        (first, start), (last, end) = self.distances[0], self.distances[-1]
        order = max(1.0, math.log(start / end) / math.log(last / first)) if 0 < end < start else 1.0
        return bool(end * (last / self.largest) ** order > 100 * rtol)


def _advised(system: System) -> str:
    return "KinkEvents" if system.activation.kinks else "SolveIVP"


def _check_kinks(system: System, scheme: Scheme, rtol: float) -> None:
    """Refuse a gradient behind a jump of φ' that some neuron crosses."""
    if math.isinf(system.activation.dlipschitz) and _crosses_a_kink(system, scheme):
        raise AccuracyError(
            f"a neuron crosses a kink of {system.activation.name}, which is not analytic, use {_advised(system)}: "
            f"no Gauss scheme can promise rtol={rtol:.3g} for the gradient"
        )


def _crosses_a_kink(system: System, scheme: Scheme) -> bool:
    """Whether some neuron is seen on both sides of a jump of φ' on its way, ends included.

    The gradient of the scheme then has an error that no distance of schemes bounds: all of them can miss a crossing
    between an end and their outermost node.
    """
    xp = system.xp
    for step in march(system, scheme):
        for kink in system.activation.kinks:
            side = step.start > kink
            if bool(xp.any((step.stages > kink) != side)) or bool(xp.any((step.end > kink) != side)):
                return True
    return False


def _candidates(nodes: int | None, steps: int | None, horizon: float) -> list[Scheme]:
    """Schemes from coarse to fine."""
    if steps is not None:
        return [gauss(m, steps, horizon) for m in (*NODES, 32, 48)]
    if nodes is not None:
        return [gauss(nodes, count, horizon) for count in STEPS]
    return [gauss(m, 1, horizon) for m in NODES] + [gauss(NODES[-1], count, horizon) for count in STEPS[1:]]


def _solve_as_given(system: System, scheme: Scheme, solve: Callable[[Scheme], Solution]) -> Solution:
    try:
        return solve(scheme)
    except StageDivergenceError as failure:
        raise_if_escaping(system, failure)
        raise AccuracyError(f"{failure}: the step of length {scheme.step:.3g} is too long, use more steps") from failure
