"""Optimise-then-discretise against discretise-then-optimise for adaptive methods: distance, angle, cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from refimpl import Gauss, NeuralODE, Params, SolveIVP
from verification import Agreement
from verification.fit import PowerLaw, power_law
from verification.statements._data import Array
from verification.statements._discrete import Tableau, accepted, gradient, output
from verification.statements._effort import misalignment, spend

TOLERANCES = {"RK23": (3, 6), "RK45": (3, 9), "DOP853": (3, 10)}
"""First and last power of ten of rtol."""

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Orders:
    """∇L of one explicit adaptive method in both orders, on the same forward steps; arrays have shape (tolerances,).

    Parameters
    ----------
    rtol : array
    difference, angle : array
        ‖g − ĝ‖ / ‖ĝ‖ and 1 − cos, g from (3) solved by the same method at the same tolerance, ĝ the exact gradient of
        the discrete output on the accepted steps.
    continuous, discrete : array
        Relative errors of g and of ĝ against the gradient of the Neural ODE.
    continuous_work, discrete_work : array
        Passes of a state through φ or φ', a sample; and evaluations of the rate plus stages that are passed backwards.
    outputs : float
        Largest difference of the outputs f of the two, which are to be one.
    """

    label: str
    method: str
    rtol: Array
    difference: Array
    angle: Array
    continuous: Array
    discrete: Array
    continuous_work: Array
    discrete_work: Array
    outputs: float

    @property
    def by_tolerance(self) -> PowerLaw:
        """Exponent of the difference in rtol."""
        return power_law(self.rtol, self.difference)

    @property
    def alignment(self) -> PowerLaw:
        """Exponent of 1 − cos in the difference."""
        return power_law(self.difference, self.angle)


def both_orders(label: str, net: NeuralODE, theta: Params, X: Array, y: Array, method: str) -> Orders:
    """Every tolerance of one method."""
    truth = net.gradient(theta, X, y, Gauss(rtol=1e-13)).ravel()
    tableau, (first, last) = Tableau.of(method), TOLERANCES[method]
    rtol, rows, outputs = 10.0 ** -np.arange(first, last + 1.0), [], 0.0
    for tolerance in rtol.tolist():
        effort = spend(net, theta, X, y, SolveIVP(method, rtol=tolerance, atol=tolerance / 100))
        times, rates = accepted(net, theta, X, method, tolerance, tolerance / 100)
        f = output(net, theta, X, tableau, times)
        outputs = max(outputs, float(np.abs(f - effort.output).max()))
        exact = gradient(net, theta, X, tableau, times).transpose_apply(f - y).ravel()
        work = rates + tableau.weights.size * (times.size - 1)
        rows.append(
            (
                _apart(effort.gradient, exact), misalignment(effort.gradient, exact), _apart(effort.gradient, truth),
                _apart(exact, truth), effort.passes, float(work),
            )
        )  # fmt: skip
    return Orders(label, method, rtol, *np.asarray(rows).T, outputs)


def _apart(a: Array, b: Array) -> float:
    return float(np.linalg.norm(a - b) / np.linalg.norm(b))


def geometric(found: Sequence[Orders], method: str) -> Mapping[str, Array]:
    """Geometric means over the networks, by quantity."""
    names = ("difference", "angle", "continuous", "discrete", "continuous_work", "discrete_work")
    mine = [each for each in found if each.method == method]
    means = {name: np.exp(np.mean([np.log(getattr(each, name)) for each in mine], axis=0)) for name in names}
    return {"rtol": mine[0].rtol, **means}


def steps_are_the_packages(found: Sequence[Orders], net: NeuralODE, theta: Params, X: Array) -> Agreement:
    """f of the discrete network: the very output that `SolveIVP` gives."""
    worst = max(each.outputs for each in found)
    size = float(np.abs(net.predict(theta, X, SolveIVP())).max())
    steps = 300
    return Agreement(
        "$f$ on the accepted steps (every adaptive method and tolerance)",
        ("SolveIVP", "tableau of the method, written out"),
        worst, steps * theta.width * EPS * max(size, 1.0), f"one rounding for each of n terms in up to {steps} steps",
        ("adaptive-order-matters", "adaptive-alignment"),
    )  # fmt: skip


def discrete_gradient_road(label: str, net: NeuralODE, theta: Params, X: Array, direction: Params) -> Agreement:
    """The chain rule through RK45's steps against central differences on the same steps."""
    tableau = Tableau.of("RK45")
    times, _ = accepted(net, theta, X, "RK45", 1e-3, 1e-5)
    along = gradient(net, theta, X, tableau, times).apply(direction)

    def quotient(step: float) -> Array:
        ahead, behind = (output(net, theta + s * direction, X, tableau, times) for s in (step, -step))
        found: Array = (ahead - behind) / (2 * step)
        return found

    step = 2e-3
    values = [quotient(factor * step) for factor in (4, 2, 1)]
    coarse, better = ((4 * fine - twice) / 3 for twice, fine in pairwise(values))
    size = float(np.abs(output(net, theta, X, tableau, times)).max())
    rounding = 3 * np.sqrt(times.size * tableau.weights.size * theta.width) * EPS * size / step
    return Agreement(
        rf"derivative of $f$ on RK45's {times.size - 1} accepted steps, along a random direction ({label})",
        ("chain rule through the steps", "central differences on the same steps"),
        float(np.abs(better - along).max()), float(np.abs(better - coarse).max()) + float(rounding),
        "change of Richardson's value, and rounding", ("adaptive-order-matters", "adaptive-alignment"),
    )  # fmt: skip
