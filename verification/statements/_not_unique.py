"""φ(z) = √|z| has no Lipschitz constant, and one state has two solutions."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.integrate import solve_ivp

from verification import Agreement, Claim, Verdict, compare
from verification.statements._data import Array

STEPS = 100
"""Steps of the solver on either side of 0, each with an error of rtol."""


def two_solutions() -> tuple[list[Callable[[Array], Array]], float]:
    """φ(z) = √|z|, ḣ = −φ(h), h_0 = 1: h reaches 0 at t = 2, and may stay there or go on downwards; and the residual.

    Largest |h_t − h_0 + ∫_0^t φ(h)| of either at t = 1, 2, 3, 4, with a Gauss quadrature that is exact on every piece.
    """

    def stays(t: Array) -> Array:
        return np.where(t < 2, (1 - t / 2) ** 2, 0.0)

    def goes_on(t: Array) -> Array:
        return np.where(t < 2, (1 - t / 2) ** 2, -((t - 2) ** 2) / 4)

    x, weights = leggauss(8)
    residuals = []
    for h in (stays, goes_on):
        integrals = [weights @ np.sqrt(np.abs(h(k + (1 + x) / 2))) / 2 for k in range(4)]
        residuals.append(np.abs(h(np.arange(1.0, 5.0)) - 1 + np.cumsum(integrals)).max())
    return [stays, goes_on], float(max(residuals))


def _goes_on_by_solver(move: float, rtol: float) -> float:
    """h at t = 4 by DOP853: down from 1 to `move` above 0, and on from as far below, where φ is Lipschitz again.

    In between it takes ∫ dh/√|h| = 4 √move.
    """

    def reached(_t: float, h: Array) -> float:
        return float(h[0]) - move

    reached.terminal = True  # type: ignore[attr-defined]  # the protocol of solve_ivp
    end, h = 0.0, 1.0
    for start, events in ((1.0, [reached]), (-move, None)):
        found = solve_ivp(
            lambda _t, h: -np.sqrt(np.abs(h)), (end, 4.0), [start], "DOP853", events=events, rtol=rtol, atol=rtol * move
        )
        end, h = float(found.t[-1]) + 4 * math.sqrt(move), float(found.y[0, -1])
    return h


def not_unique() -> tuple[Claim, Agreement]:
    """That uniqueness needs a Lipschitz constant, and a solver that finds the other solution."""
    (stays, goes_on), residual = two_solutions()
    apart, allowed = float(np.abs(stays(np.array(4.0)) - goes_on(np.array(4.0)))), 32 * float(np.finfo(float).eps)
    move = 1e-10
    by_solver = compare(
        r"$h_4$ of the solution of $\dot h = -\sqrt{|h|}$ that goes on below 0",
        {"closed form": float(goes_on(np.array(4.0))), "DOP853, moved over the zero": _goes_on_by_solver(move, 1e-10)},
        allowed=2 * STEPS * 1e-10,
        because=r"a hundred steps of rtol 1e-10 on either side of 0; $\delta h$ grows like $\sqrt{|h|} \le 1$",
        claims=("hypothesis-needed-uniqueness",),
    )  # fmt: skip
    return Claim(
        "hypothesis-needed-uniqueness",
        r"Nor need they be unique, even where they exist: for $\phi(z) = \sqrt{|z|}$, $n = 1$, $\dot h = -\phi(h)$, "
        r"$h_0 = 1$ the solution $(1 - t/2)^2$ reaches 0 at $t = 2$, and $h_t = 0$ and $h_t = -(t - 2)^2/4$ both go "
        r"on (measured: their distance at $T = 4$; both satisfy the integral equation to rounding). It happens with a "
        r"positive probability: whenever $W U x < 0$ and $|U x| < W^2 T^2 / 4$ (with all $\sigma = 1$).",
        Verdict.HOLDS if residual <= allowed < apart else Verdict.FAILS,
        measured=apart,
        predicted=1,
        uncertainty=allowed,
    ), by_solver  # fmt: skip
