"""Claims on the two orders for adaptive methods, and the coarsest grid, on which one of them climbs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, NeuralODE, Params
from verification import Agreement, Claim, Verdict, compare
from verification.fit import power_law
from verification.statements._adaptive_orders import EPS, TOLERANCES, Orders, geometric
from verification.statements._adjoints import euler_backwards
from verification.statements._data import Array
from verification.statements._solvers_claims import DIRECTION, FEW_STEPS, STAIRCASE, share_of_error, slope


def adaptive_order_matters(found: Sequence[Orders]) -> Claim:
    fits = {}
    for method in TOLERANCES:
        mean = geometric(found, method)
        fits[method] = power_law(mean["rtol"], mean["difference"])
    method = max(fits, key=lambda name: abs(fits[name].slope - 1))
    return slope(
        "adaptive-order-matters",
        r"Adaptive explicit methods: (3), solved by the method with steps of its own, gives another gradient than the "
        r"chain rule through the accepted steps of (1), with $f$ the same to the last bits; their relative distance is "
        rf"proportional to rtol (measured: the exponent furthest from 1, {method}; {FEW_STEPS}).",
        fits[method], 1.0, STAIRCASE,
    )  # fmt: skip


def adaptive_alignment(found: Sequence[Orders]) -> Claim:
    means = {method: geometric(found, method) for method in TOLERANCES}
    fits = {method: power_law(mean["difference"], mean["angle"]) for method, mean in means.items()}
    method = max(fits, key=lambda name: abs(fits[name].slope - 2))
    loosest = ", ".join(f"{name} {mean['angle'][0]:.0e}" for name, mean in means.items())
    return slope(
        "adaptive-alignment",
        r"Between the two orders $1 - \cos$ is the square of that distance, so proportional to $\mathrm{rtol}^2$; at "
        rf"rtol $10^{{-3}}$: {loosest} (measured: the exponent furthest from 2, {method}; "
        f"{share_of_error(means[method]['difference'])}).",
        fits[method], 2.0, DIRECTION,
    )  # fmt: skip


@dataclass(frozen=True)
class OneNeuron:
    """f^1 = v u (1 + w T) x: one linear neuron, one Euler step, x = 1.

    ∇f^1 in (u, w, v) is (v (1 + w T), v u T, u (1 + w T)). Euler's method for (3) and (4) backwards from T has λ_T = v
    beside h_T instead of h_0 in ∂f/∂w: v u T (1 + w T), and the same elsewhere.
    """

    u: float
    w: float
    v: float
    T: float

    @property
    def exact(self) -> Array:
        """∇f^1."""
        grown = 1 + self.w * self.T
        return np.asarray([self.v * grown, self.v * self.u * self.T, self.u * grown])

    @property
    def swapped(self) -> Array:
        """Optimise first."""
        return self.exact * np.asarray([1.0, 1 + self.w * self.T, 1.0])

    def by_package(self) -> tuple[Array, Array]:
        """The same two, from the code that every network goes through."""
        net = NeuralODE("identity", horizon=self.T)
        theta = Params(np.asarray([[self.u]]), np.asarray([[self.w]]), np.asarray([self.v]))
        X = np.ones((1, 1))
        found = net.jacobian(theta, X, Euler(1)), euler_backwards(net, theta, X, 1, stored=True)
        exact, swapped = (np.asarray([J.U[0, 0, 0], J.W[0, 0, 0], J.v[0, 0]]) for J in found)
        return exact, swapped


CLIMBS = OneNeuron(u=1.0, w=-1.0, v=1.0, T=2.0)
"""∇f^1 = (−1, 2, −1), and (−1, −2, −1) by optimise-then-discretise: ⟨·, ·⟩ = −2."""


def cosine(a: Array, b: Array) -> float:
    """Of the angle between a and b."""
    return float(a @ b / (np.linalg.norm(a) * np.linalg.norm(b)))


def descent() -> Claim:
    exact, swapped = CLIMBS.by_package()
    found = cosine(exact, swapped)
    holds = found < 0 and np.linalg.norm(swapped - exact) >= np.linalg.norm(exact)
    return Claim(
        "descent-direction",
        r"Optimise-then-discretise need not give a descent direction of the loss that is trained, that of the discrete "
        r"network; where the relative distance of the two gradients is below 1 it does. On coarse grids it can be "
        r"larger and the step climbs: one linear neuron, one Euler step, $T = 2$, $x = u = v = 1$, $w = -1$ has "
        r"$\nabla f^1 = (-1, 2, -1)$ in $(u, w, v)$, and $(-1, -2, -1)$ by Euler's method for (3) (measured: their "
        r"cosine).",
        Verdict.HOLDS if holds else Verdict.UNDECIDED,
        measured=found, predicted=cosine(CLIMBS.exact, CLIMBS.swapped), uncertainty=4 * EPS,
        scope="" if holds else "The counterexample was not reproduced.",
    )  # fmt: skip


def one_neuron_road() -> Agreement:
    return compare(
        r"$\nabla f^1$ of one linear neuron, in both orders",
        {
            "with a pencil": np.concatenate([CLIMBS.exact, CLIMBS.swapped]),
            "Euler scheme, and (3) by hand": np.concatenate(CLIMBS.by_package()),
        },
        allowed=4 * EPS, because="a few roundings", claims=("descent-direction",),
    )  # fmt: skip
