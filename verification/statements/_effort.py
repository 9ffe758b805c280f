"""What a solver spends: how often it passes a batch of states through φ or φ'."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, fields, replace
from typing import TypeVar

import numpy as np

from refimpl import Activation, NeuralODE, Params
from refimpl.solvers import Solver
from verification.statements._data import Array

Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Watched(Activation):
    """An activation of which every call is counted, so that none is made to look whether it fits its argument."""

    def check_at(self, z: Array) -> None:
        """What it watches has been looked at."""


@dataclass
class Counter:
    """Entries that went through φ, φ' or both at once; one product with W comes with almost every one of them."""

    entries: int = 0

    def watch(self, function: Callable[[Array], Found]) -> Callable[[Array], Found]:
        """`function`, counted."""

        def counted(z: Array) -> Found:
            self.entries += z.size
            return function(z)

        return counted

    def activation(self, phi: Activation) -> Activation:
        """The same φ, counted."""
        given = {each.name: getattr(phi, each.name) for each in fields(phi)}
        watched = {name: self.watch(getattr(phi, name)) for name in ("phi", "dphi")}
        return Watched(**given | watched | {"both": self.watch(phi.value_and_slope)})


@dataclass(frozen=True)
class Effort:
    """The gradient ∇L that a solver gives, the outputs f, and the passes that the gradient took.

    Parameters
    ----------
    gradient : array, shape (parameters,)
    output : array, shape (N,)
    passes : float
        Evaluations of φ or φ' at the whole state, a sample; those of the dense output and of the quadrature included.
    """

    gradient: Array = field(repr=False)
    output: Array = field(repr=False)
    passes: float


def spend(net: NeuralODE, theta: Params, X: Array, y: Array, solver: Solver) -> Effort:
    """Solve for f and for ∇L, and count what ∇L costs."""
    counter = Counter()
    watched = replace(net, activation=counter.activation(net.phi))
    gradient = watched.gradient(theta, X, y, solver).ravel()
    passes = counter.entries / (theta.width * len(X))
    return Effort(gradient, net.predict(theta, X, solver), passes)


def misalignment(a: Array, b: Array) -> float:
    """1 − cos of the angle between a and b, without cancellation: ½ ‖a/‖a‖ − b/‖b‖‖²."""
    return float(np.sum((a / np.linalg.norm(a) - b / np.linalg.norm(b)) ** 2)) / 2
