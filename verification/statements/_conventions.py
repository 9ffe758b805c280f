"""Where λ_t depends on the value that is given to φ' at a kink: smallest networks, each with its closed form."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, KinkEvents, NeuralODE, Params
from verification import Agreement, Claim, Table, Verdict, compare
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._pencil import INPUT, network, output_from, relu_with

SLOPES = (0.0, 0.5, 1.0)
"""Values that φ'(0) of ReLU may be given."""

PRECISE = KinkEvents(rtol=1e-10)
OUTPUT = KinkEvents(rtol=1e-10)


@dataclass(frozen=True)
class Case:
    """A ReLU network whose first neuron meets the kink; f = φ(h_1) at T.

    Parameters
    ----------
    name : str
    W, start : nested sequence, sequence
    horizon : float
    adjoint : callable
        Closed form of the first component of λ_0, from φ'(0).
    below, above : float
        Closed forms of the one-sided derivatives of f in the first component of h_0.
    rtol : float
        Tolerance of `KinkEvents`. A touch costs half of the digits: an error δ in h leaves a dip of length √δ.
    depth : int or None
        Of the ResNet that takes the place of `KinkEvents` where that must refuse, and that is the ODE's exact solution.
    """

    name: str
    W: Sequence[Sequence[float]]
    start: Sequence[float]
    horizon: float
    adjoint: Callable[[float], float]
    below: float
    above: float
    rtol: float = PRECISE.rtol
    depth: int | None = None

    def network(self, slope: float) -> tuple[NeuralODE, Params]:
        """The network, with φ'(0) = `slope`."""
        return network(relu_with(slope), self.W, self.start, np.eye(len(self.start))[0], self.horizon)

    def solved(self, slope: float) -> float:
        """The first component of λ_0 by a solver."""
        net, theta = self.network(slope)
        solver = KinkEvents(self.rtol) if self.depth is None else Euler(self.depth)
        return float(net.jacobian(theta, INPUT, solver).U[0, 0, 0])

    def one_sided(self, side: float) -> tuple[float, float]:
        """The derivative of f in the first component of h_0 from above (`side` 1) or from below (−1), and its error."""
        net, theta = self.network(0.0)
        first = np.eye(len(self.start))[0]
        states = np.asarray(self.start) + side * STEP * STEPS[:, None] * first
        slope, error = one_sided(output_from(net, theta, states, OUTPUT))
        return side * slope, error + 10 * OUTPUT.rtol / STEP


STEP, STEPS = 1e-4, np.array([0.0, 1.0, 4.0, 16.0])
"""A state on a kink is moved by a step, and by these multiples of it."""


def one_sided(f: Array) -> tuple[float, float]:
    """The slope of f from its values at the `STEPS`, with the change from another step as its error.

    A touch of the kink leaves a term √ε in the difference quotient, which is extrapolated away.
    """
    quotient = (f[1:] - f[0]) / (STEP * STEPS[1:])
    fine, coarse = 2 * quotient[:-1] - quotient[1:]
    return float(fine), abs(float(fine - coarse))


E = math.e
CASES = (
    Case("crosses before $T$", [[1, 1], [0, 0]], [-1, 1], 2.0, lambda c: E, E, E),
    Case(  # h_1 = e^{t−1} − t ≥ 0
        "touches before $T$", [[1, 1, -2], [0, 0, 1], [0, 0, 0]], [1 / E, 1, 1], 2.0, lambda c: E**2, E**2, E**2, 1e-5
    ),
    Case("arrives at $T$", [[0, 1], [0, 0]], [-1, 1], 1.0, lambda c: c, 0.0, 1.0, depth=8),  # h_1 = t − 1
    Case("rests up to $T$", [[-2]], [0], 1.0, lambda c: c * math.exp(-2 * c), 0.0, math.exp(-2)),
    Case(  # h_2 = t − 1 drives it from t = 1 on
        "rests up to $T/2$", [[1, 1, 0], [0, 0, 1], [0, 0, 0]], [0, -1, 1], 2.0, lambda c: E ** (1 + c), E, E**2
    ),
)
DECIDED = CASES[:2]
"""The kink is met during no time and not at T: f has a derivative, and φ'(0) does not matter."""


def claims() -> tuple[list[Claim], list[Agreement], Table]:
    """What φ'(0) decides."""
    solved = np.array([[case.solved(slope) for slope in SLOPES] for case in CASES])
    exact = np.array([[case.adjoint(slope) for slope in SLOPES] for case in CASES])
    errors = np.abs(solved - exact).max(axis=1)
    allowed = np.array([10 * case.rtol * case.above for case in CASES])
    closest = int(np.argmax(errors / allowed))
    sides = [(case, *case.one_sided(side), expected) for case in CASES for side, expected in _expected(case)]
    worst = max(sides, key=lambda found: abs(found[1] - found[3]) / found[2])
    agreements = [
        Agreement(
            rf"$\lambda_0$ at a kink, $\phi'(0) = 0, 1/2, 1$ ({CASES[closest].name}: the case closest to its bound)",
            ("closed form", "KinkEvents, or Euler where that refuses"),
            float(errors[closest]),
            float(allowed[closest]),
            "rtol of KinkEvents, with a factor of 10 between the tolerances that it compares",
            ("convention", "convention-outside"),
        ),
        Agreement(
            f"one-sided derivative of $f$ in $h_0$ ({worst[0].name}: the case closest to its bound)",
            ("closed form", "extrapolated one-sided differences, KinkEvents"),
            abs(worst[1] - worst[3]),
            worst[2],
            "the change with four times the step, and the error of $f$ over the step",
            ("convention", "convention-outside"),
        ),
    ]
    decides, layers = _decides(solved)
    return [decides, _outside(solved)], [*agreements, layers], _table(solved)


def _expected(case: Case) -> tuple[tuple[float, float], tuple[float, float]]:
    return (-1.0, case.below), (1.0, case.above)


def _decides(solved: Array) -> tuple[Claim, Agreement]:
    """In the ResNet of the first case a layer falls on the kink: with φ'(0) = 1 it has one layer more that is on."""
    case, depth = CASES[0], 1024
    layers = [net.jacobian(theta, INPUT, Euler(depth)).U[0, 0, 0] for net, theta in map(case.network, (0.0, 1.0))]
    change = float(layers[1] / layers[0]) - 1
    predicted, allowed = case.horizon / depth, 4 * depth * float(np.finfo(float).eps)
    ends = [
        abs(row[0] - case.below) + abs(row[-1] - case.above) <= 20 * case.rtol * case.above
        for case, row in zip(CASES, solved, strict=True)
    ]
    holds = all(ends) and abs(change - predicted) <= allowed
    on = np.asarray([depth // 2 - 1, depth // 2])  # layers of h_1 > 0, and with them the one on the kink
    by_hand = compare(
        rf"$\lambda_0^L$ with a layer on the kink, $\phi'(0) = 0$ and 1, $L = {depth}$",
        {"Euler": layers, "a factor $1 + T/L$ for every layer that is on": (1 + case.horizon / depth) ** on},
        allowed=allowed, because="a few roundings in each layer", claims=("convention",),
    )  # fmt: skip
    return Claim(
        "convention",
        r"The value that $\phi'$ is given at a kink matters only where a component of $h$ is on the kink at $T$ or "
        r"for a time of positive length and its $v_i$ or $(\mathcal{W}^\top \lambda)_i$ is not 0, and the slopes of "
        r"the two branches then give the two one-sided derivatives of $f$. At a crossing or a touch before $T$ it "
        r"does not, and in a ResNet with a layer on the kink at the crossing it changes $\lambda_0$ by $T/L$ "
        rf"(measured: relative change from 0 to 1 at $L = {depth}$).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=change,
        predicted=predicted,
        uncertainty=allowed,
    ), by_hand  # fmt: skip


def _outside(solved: Array) -> Claim:
    """n = 1, ḣ = −2 φ(h), h_0 = 0: λ_0 = c e^{−2c}, and f is e^{−2} (h_0)₊."""
    case, found = CASES[3], float(solved[3, 1])
    return Claim(
        "convention-outside",
        r"A value of $\phi'(0)$ between the slopes need not give a $\lambda_0$ between the one-sided derivatives, that "
        r"is in Clarke's subdifferential: for $n = 1$, $\dot h = -2 \max(h, 0)$, $h_0 = 0$, $T = 1$ these are 0 and "
        r"$e^{-2} = 0.135$, while $\phi'(0) = 1/2$ gives $\lambda_0 = e^{-1}/2$ (predicted).",
        Verdict.HOLDS if found - case.above > 100 * case.rtol else Verdict.FAILS,
        measured=found,
        predicted=case.adjoint(0.5),
        uncertainty=10 * case.rtol,
    )


def _table(solved: Array) -> Table:
    rows: list[tuple[Value, ...]] = [
        (
            case.name,
            len(case.start),
            *(rounded(value, 6) for value in row),
            round(case.below, 6),
            round(case.above, 6),
        )
        for case, row in zip(CASES, solved, strict=True)
    ]
    head = ["the first neuron …", "$n$", *(rf"$\lambda_0$, $\phi'(0) = {c:g}$" for c in SLOPES)]
    head += [r"$\partial f / \partial h_0$ from below", "from above"]
    return Table(
        "Smallest ReLU networks that meet the kink, and what $\\phi'(0)$ decides (first component)", head, rows
    )
