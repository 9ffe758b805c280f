"""The ODE (1) for a kinked φ: smooth integration between the crossings of a kink, which are located.

φ is continuous, so ḣ = W φ(h) is continuous across a kink, and so are h and λ: the saltation matrix is the identity.
What jumps is λ̇ = −φ'(h) ⊙ Wᵀλ. On the *arc* between two crossings every neuron stays on one smooth branch of φ, and a
method of high order keeps its order if none of its steps leaves the arc. A step is taken on the continued branches;
where its dense output, a polynomial, shows a neuron that leaves its branch, the step is taken again up to that time,
until the neuron stands on the kink.

Where a neuron comes so near a kink that the error of h decides whether it crosses, h hardly depends on that, but λ
does: with ḧ and a distance uncertain by τ, it is on the wrong branch for up to 2 √(2τ/ḧ). Such a touch is recorded.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from refimpl.errors import AccuracyError
from refimpl.finite.approach import NODES, SLACK, Approach, approaches
from refimpl.finite.branches import Branches
from refimpl.finite.steps import Step, steps
from refimpl.quadrature import Host

MOST_CORRECTIONS = 10
"""Times that the step to a crossing is taken again."""

MOST_CROSSINGS = 1000
"""Crossings for each neuron, above which a solution is not followed."""

UNCERTAIN = 10.0
"""Error of h, in units of the local tolerance times its largest entry so far."""

ROUNDINGS = 16.0
"""Distance from a kink, in roundings of the largest state, at which a neuron stands on it."""

EPS = float(np.finfo(float).eps)


class UndecidedError(AccuracyError):
    """A smaller tolerance might decide whether a neuron crosses a kink."""


@dataclass(frozen=True)
class Crossing:
    """A neuron that passes a kink: when, which, where, and ḣ there; it is transversal if that is not 0."""

    time: float
    neuron: int
    kink: float
    speed: float


@dataclass(frozen=True)
class Touch:
    """A neuron that comes within the error of h to a kink: when, which, where, and what ∫ φ'(h) dt depends on it."""

    time: float
    neuron: int
    kink: float
    change: float


@dataclass(frozen=True, eq=False)
class Dense:
    """A function of time from the dense outputs between the ascending `times`.

    Parameters
    ----------
    times : ndarray, shape (steps + 1,)
    outputs : sequence of callables
        Times (k,) to values (n, k), one for each step.
    """

    times: Host
    outputs: Sequence[Callable[[Any], Host]]

    def __call__(self, t: Host | float) -> Host:
        """Values at a time, (n,), or at times of shape (k,), (n, k)."""
        step = np.clip(np.searchsorted(self.times, t, side="right") - 1, 0, len(self.outputs) - 1)
        if np.ndim(t) == 0:
            return self.outputs[int(step)](t)
        first = self.outputs[0](np.asarray(t)[:0])
        values = np.empty((first.shape[0], np.size(t)))
        for j in np.unique(step):
            values[:, step == j] = self.outputs[j](np.asarray(t)[step == j])
        return values


@dataclass(frozen=True, eq=False)
class Arc:
    """A stretch of time in which every neuron stays on its branch of φ.

    Parameters
    ----------
    state : Dense
        h.
    branch : ndarray of int, shape (n,)
    resting : ndarray of bool, shape (n,)
        Neurons that stand still on a kink all the time: for these φ' is the convention of the activation.
    """

    state: Dense
    branch: Any
    resting: Any


@dataclass(frozen=True, eq=False)
class Path:
    """The solution of (1) for one input.

    Parameters
    ----------
    arcs : tuple of Arc
        In the order of time; together they fill [0, T].
    crossings : tuple of Crossing
    touches : tuple of Touch
        Where it is not decided whether a neuron crosses.
    end : ndarray, shape (n,)
        h_T.
    """

    arcs: tuple[Arc, ...]
    crossings: tuple[Crossing, ...]
    touches: tuple[Touch, ...]
    end: Host


def follow(branches: Branches, W: Host, start: Host, horizon: float, rtol: float) -> Path:
    """Solve (1) from `start`, shape (n,), with the local tolerance `rtol` relative to the largest state.

    Raises
    ------
    UndecidedError
        A neuron touches a kink such that its crossing is not found.
    AccuracyError
        A step cannot be taken.
    """
    return _Walk(branches, W, horizon, rtol, start.copy()).to_the_end()


@dataclass(eq=False)
class _Walk:
    """Where a solution has arrived, and the arcs behind it."""

    branches: Branches
    W: Host
    horizon: float
    rtol: float
    h: Host
    time: float = 0.0
    largest: float = 0.0
    first: float | None = None
    branch: Any = None
    resting: Any = None
    steps: list[Step] = field(default_factory=list)
    arcs: list[Arc] = field(default_factory=list)
    crossings: list[Crossing] = field(default_factory=list)
    touches: list[Touch] = field(default_factory=list)

    def to_the_end(self) -> Path:
        """From arc to arc, until T."""
        self.branch, self.largest = self.branches.of(self.h, self._rate(self.h)), float(np.max(np.abs(self.h)))
        self.resting = np.zeros(self.h.shape, dtype=bool)
        while self.horizon - self.time > self._shortest:
            self._arc()
            if len(self.crossings) > MOST_CROSSINGS * self.h.size:
                raise AccuracyError(f"more than {MOST_CROSSINGS} crossings a neuron before t = {self.time:.6g}")
        self._close()
        return Path(tuple(self.arcs), tuple(self.crossings), tuple(self.touches), self.h)

    @property
    def _shortest(self) -> float:
        """Time that rounding cannot tell from none."""
        return ROUNDINGS * float(np.spacing(self.horizon))

    def _rate(self, h: Host) -> Host:
        rate: Host = self.W @ (self.branches.activation.phi(h))
        return rate

    def _steps(self, bound: float, first: float | None) -> Iterator[Step]:
        """Steps on the present branches, continued beyond their ends."""
        branch, W, phi = self.branch, self.W, self.branches.phi

        def rate(_t: float, h: Host) -> Host:
            value: Host = W @ phi(branch, h)
            return value

        return steps(rate, self.time, self.h, bound, self.rtol, first)

    def _arc(self) -> None:
        """Steps on the present branches, up to T or to the first crossing."""
        for step in self._steps(self.horizon, self.first):
            self.first = step.size
            exit_, resting = self._look(step)
            if exit_ is not None:
                u, approach = exit_
                moment = step.start + u * (step.end - step.start)
                self._cross(moment, approach.neuron, float(self.branches.edges[approach.edge]))
                return
            if (resting != self.resting).any():  # others stand still than before
                self._close()
                self.resting = resting
            self._take(step)

    def _take(self, step: Step) -> None:
        self.steps.append(step)
        self.time, self.h = step.end, step.y

    def _look(self, step: Step) -> tuple[tuple[float, Approach] | None, Any]:
        """The first exit of a neuron from its branch, with its u in [0, 1]; and who rests on a kink.

        Touches before that are recorded.
        """
        length = step.end - step.start
        self.largest = max(self.largest, float(np.max(np.abs(step.y))))
        uncertain = UNCERTAIN * self.rtol * self.largest
        values = step.output(step.start + length * NODES)
        near, resting = approaches(self.branches, self.branch, values, self.h, uncertain)
        exits = [(u, approach) for approach in near if (u := approach.exit()) is not None]
        first = min(exits, key=lambda exit_: exit_[0], default=None)
        until = SLACK + (1.0 if first is None else first[0])
        for approach in near:
            from_rest = approach.on and (self.time == 0 or self.resting[approach.neuron])  # and so exactly on the kink
            if touch := approach.touch(uncertain, SLACK if from_rest else -SLACK, until):
                self._record(approach, step.start + touch[0] * length, touch[1] * length)
        return first, resting

    def _record(self, approach: Approach, time: float, duration: float) -> None:
        jump, kink = float(self.branches.jumps[approach.edge]), float(self.branches.edges[approach.edge])
        if jump > 0:
            self.touches.append(Touch(time, approach.neuron, kink, jump * duration))

    def _cross(self, moment: float, neuron: int, kink: float) -> None:
        """Take the step again, up to the time at which the neuron stands on the kink, and change its branch."""
        for _ in range(MOST_CORRECTIONS):
            if moment - self.time <= self._shortest:  # it stands there already, as far as rounding can tell
                if any(crossing.neuron == neuron and crossing.time == self.time for crossing in self.crossings[-2:]):
                    break
                self._change_branch(neuron, kink)
                return
            taken = list(self._steps(moment, moment - self.time))
            h = taken[-1].y
            gap, speed = h[neuron] - kink, self._rate(h)[neuron]
            there = abs(gap) <= EPS * max(ROUNDINGS / 4 * np.max(np.abs(h)), abs(speed) * self.horizon)
            if there or (moment == self.horizon and self._inside(h[neuron], neuron)):
                for step in taken:
                    self._take(step)
                if there:
                    self._change_branch(neuron, kink)
                return
            if speed == 0:
                break
            moment = min(moment - gap / speed, self.horizon)
        raise UndecidedError(
            f"neuron {neuron} touches the kink {kink:g} near t = {moment:.6g}: whether it crosses is not decided"
        )

    def _inside(self, value: float, neuron: int) -> bool:
        branch = self.branch[neuron]
        return bool(self.branches.edges[branch] <= value <= self.branches.edges[branch + 1])

    def _change_branch(self, neuron: int, kink: float) -> None:
        """Put a neuron on the kink, and on the branch beyond it."""
        h, branch = self.h.copy(), self.branch.copy()
        h[neuron] = kink
        branch[neuron] += 1 if kink == self.branches.edges[branch[neuron] + 1] else -1
        self._close()
        self.crossings.append(Crossing(self.time, neuron, kink, float(self._rate(h)[neuron])))
        self.h, self.branch = h, branch

    def _close(self) -> None:
        """End the present arc."""
        if self.steps:
            times = np.asarray([self.steps[0].start, *(step.end for step in self.steps)])
            dense = Dense(times, tuple(step.output for step in self.steps))
            self.arcs.append(Arc(dense, self.branch, self.resting))
        self.steps = []
