"""One step of gradient descent that ends where (1) has no solution up to T: one neuron with φ(z) = z²/2."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refimpl import BlowUpError, NeuralODE, Params, SolveIVP
from verification import Agreement, Claim, Verdict, compare
from verification.statements._data import Array


@dataclass(frozen=True)
class Neuron:
    """ḣ = w h²/2, h_0 = u, f = v h_T²/2 with x = 1: h_T = u/(1 − w u T/2), up to t* = 2/(w u) if w u > 0."""

    u: float
    w: float
    v: float
    T: float = 1.0

    @property
    def blow_up(self) -> float:
        """t*."""
        return 2 / (self.w * self.u) if self.w * self.u > 0 else math.inf

    @property
    def output(self) -> float:
        """f, for T < t*."""
        h = self.u / (1 - self.w * self.u * self.T / 2)
        return self.v * h**2 / 2

    @property
    def gradient(self) -> tuple[float, float, float]:
        """∂f/∂u, ∂f/∂w and ∂f/∂v; with r = 1 − w u T/2, ∂h_T/∂u = 1/r² and ∂h_T/∂w = u² T/(2 r²)."""
        r = 1 - self.w * self.u * self.T / 2
        h = self.u / r
        return self.v * h / r**2, self.v * h * self.u**2 * self.T / (2 * r**2), h**2 / 2

    def step(self, y: float, rate: float) -> Neuron:
        """One step of (5)."""
        residual = self.output - y
        moved = (p - rate * residual * g for p, g in zip((self.u, self.w, self.v), self.gradient, strict=True))
        return Neuron(*moved, self.T)

    @property
    def network(self) -> tuple[NeuralODE, Params]:
        """The same for the package."""
        net = NeuralODE("quadratic", horizon=self.T)
        return net, Params(np.asarray([[self.u]]), np.asarray([[self.w]]), np.asarray([self.v]))


START, TARGET, RATE = Neuron(1.0, 1.0, 1.0), 3.0, 1 / 8
"""f = 2, ∇f = (8, 4, 2) and t* = 2; the step leads to (2, 3/2, 5/4) and t* = 2/3 < T = 1."""


def by_package() -> tuple[Array, float]:
    """(u, w, v) after the step, and the time at which the solver meets the blow-up; inf if it does not."""
    net, theta = START.network
    X, y = np.ones((1, 1)), np.asarray([TARGET])
    after = theta + -RATE * net.gradient(theta, X, y)
    moved = np.asarray([after.U[0, 0], after.W[0, 0], after.v[0]])
    try:
        net.predict(after, X, SolveIVP())
    except BlowUpError as error:
        return moved, error.time
    return moved, math.inf


def one_step() -> Claim:
    after, found = START.step(TARGET, RATE), by_package()[1]
    seen = START.blow_up > START.T > found
    return Claim(
        "training-step",
        r"Assumption 1 is not idle: without a Lipschitz constant a step of (5) with $\eta \le 1/\|X\|^2$ may end at a "
        r"$\theta$ for which (1) has no solution up to $T$. One neuron, $T = x = u = w = v = 1$, $y = 3$, "
        r"$\eta = 1/8$: $f = 2$ and $\nabla f = (8, 4, 2)$, the step leads to $u = 2$, $w = 3/2$, and $t^* = 2/(w u)$ "
        r"goes from 2 to $2/3$ (measured: the blow-up time that the solver meets).",
        Verdict.HOLDS if seen else Verdict.UNDECIDED,
        measured=found, predicted=after.blow_up, uncertainty=1e-8,
        scope="" if seen else "The solver did not meet the blow-up.",
    )  # fmt: skip


def one_step_road() -> Agreement:
    after = START.step(TARGET, RATE)
    moved, time = by_package()
    return compare(
        r"$\theta$ after the step, and its blow-up time ($n = 1$)",
        {
            "SolveIVP": [*moved, time],
            "with a pencil": [after.u, after.w, after.v, after.blow_up],
        },
        allowed=1e-8, because="100 steps of rtol 1e-10", claims=("training-step",),
    )  # fmt: skip
