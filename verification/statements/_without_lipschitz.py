"""Proposition 1 without its hypothesis: solutions that end in finite time, and one state with two solutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import BlowUpError, Gauss, NeuralODE, Params, SolveIVP
from verification import Agreement, Claim, Config, Table, Verdict, compare
from verification.statements._data import Array
from verification.statements._escape import escape
from verification.statements._not_unique import not_unique
from verification.statements._pencil import INPUT, network

SOLVER = SolveIVP(rtol=1e-12, atol=1e-14)

STEPS = 100
"""Steps to a blow-up, each with an error of rtol."""


@dataclass(frozen=True)
class Escape:
    """A network with φ(z) = z²/2: when its solution escapes, the time of `BlowUpError`, and that of `escape`."""

    name: str
    exact: float
    found: float
    clock: float


def time_carried(net: NeuralODE, theta: Params) -> float:
    """`BlowUpError.time`, or inf if the network could be solved."""
    try:
        net.predict(theta, INPUT, SOLVER)
    except BlowUpError as error:
        return error.time
    return math.inf


def rank_one(a: Array, b: Array, start: Array) -> float:
    """Escape of ḣ = a bᵀ h²/2 for b > 0: h = h_0 + a g with ġ = α g² + β g + γ, a quadratic of discriminant ≤ 0.

    β² ≤ 4αγ by Cauchy and Schwarz, and the time is ∫_0^∞ dg/(α g² + β g + γ).
    """
    alpha, beta, gamma = float(b @ a**2) / 2, float(b @ (a * start)), float(b @ start**2) / 2
    root = math.sqrt(4 * alpha * gamma - beta**2)
    return 2 / root * (math.pi / 2 - math.atan(beta / root))


def escapes(config: Config) -> list[Escape]:
    """One neuron with other σ, and wider networks that one equation decides.

    All have t* decreasing in every component of h_0, and homogeneous of degree −1: relative errors ε in h move t* by ε
    at most.
    """
    rng, found = config.rng("escapes"), []
    for sigma_u, sigma_w in ((1.0, 1.0), (0.01, 30.0), (30.0, 0.01), (0.03, 0.1)):
        sign = rng.choice([-1.0, 1.0])
        w, u = sign * rng.uniform(0.5, 2.0, 2)
        exact = 2 / (sigma_w * w * sigma_u * u)
        net = NeuralODE("quadratic", horizon=2 * exact, sigma_u=sigma_u, sigma_w=sigma_w)
        time = time_carried(net, Params(np.array([[u]]), np.array([[w]]), np.ones(1)))
        clock = _clock(np.array([[sigma_w * w]]), np.array([sigma_u * u]), exact)
        found.append(Escape(rf"$n = 1$, $\sigma_u = {sigma_u:g}$, $\sigma_w = {sigma_w:g}$", exact, time, clock))
    for n in (3, 8):
        w, u, a = rng.uniform(0.5, 2.0, (3, n))
        for name, W, exact in (
            (f"$n = {n}$, diagonal", np.diag(w), float(np.min(2 / (w * u)))),
            (f"$n = {n}$, of rank one", np.outer(a, w), rank_one(a, w, u)),
        ):
            time = time_carried(*network("quadratic", W, u, np.ones(n), 2 * exact))
            found.append(Escape(name, exact, time, _clock(W, u, exact)))
    return found


def _clock(W: Array, start: Array, exact: float) -> float:
    """`escape` in units of the time that is expected, since it gives up after a hundred units."""
    return exact * escape(exact * W, start)


def _times(found: Sequence[Escape]) -> tuple[Claim, Agreement]:
    worst, allowed = max(abs(case.found / case.exact - 1) for case in found), STEPS * math.sqrt(8) * SOLVER.rtol
    clocks = compare(
        "times of escape, over their closed forms",
        {"BlowUpError of SolveIVP": [case.found / case.exact for case in found],
         "clock of growth, DOP853": [case.clock / case.exact for case in found], "closed form": np.ones(len(found))},
        allowed=STEPS * math.sqrt(8) * 1e-8,
        because="a hundred steps of rtol 1e-8 in each component", claims=("blow-up-time",),
    )  # fmt: skip
    return Claim(
        "blow-up-time",
        r"For other $\sigma_u$, $\sigma_w$, and for $n > 1$ with a diagonal $W$ or one of rank one, which reduce to "
        r"one equation, the solution ends at the time of the closed form, and BlowUpError carries it as its time "
        r"(measured: largest relative difference).",
        Verdict.HOLDS if worst <= allowed else Verdict.UNDECIDED,
        measured=worst,
        predicted=0,
        uncertainty=allowed,
        scope="" if worst <= allowed else "The solver misses a known escape time: a fault of the solver.",
    ), clocks  # fmt: skip


def _not_before(config: Config) -> tuple[Claim, list[Agreement]]:
    """‖h²‖ ≤ ‖h‖², so that ‖h‖ grows at most like the solution of ṙ = ‖𝒲‖ r²/2."""
    bounds, clocks, carried, changes = [], [], [], []
    for draw, width in enumerate((2, 4, 8, 16, 32)):
        rng = config.rng("not before", draw)
        W, start = rng.standard_normal((width, width)) / math.sqrt(width), rng.standard_normal(width)
        loose, tight = (escape(W, start, rtol=rtol) for rtol in (1e-6, 1e-8))
        if math.isinf(tight):
            continue  # it does not end within the patience, and so not before the bound
        bounds.append(2 / float(np.linalg.norm(W, 2) * np.linalg.norm(start)))
        clocks.append(tight)
        carried.append(time_carried(*network("quadratic", W, start, np.ones(width), 2 * tight)))
        changes.append(abs(loose / tight - 1))
    w, u = config.rng("not before", "one").uniform(0.5, 2.0, 2).tolist()
    sharp = escape(np.array([[w]]), np.array([u])) * w * u / 2
    ratio, change = min((c / b for c, b in zip(clocks, bounds, strict=True)), default=math.inf), max(changes, default=0)
    claim = Claim(
        "blow-up-bound",
        r"No solution ends before $2 / (\|\mathcal{W}\|_2 \|h_0\|)$, since $\|\phi(h)\| \le \|h\|^2/2$: up to there "
        rf"both ODEs have unique solutions for this $\phi$ too (measured: smallest ratio, {len(clocks)} of five random "
        r"networks with $n = 2, \dots, 32$ escape); one neuron that escapes attains it.",
        Verdict.HOLDS if ratio >= 1 else Verdict.FAILS,
        measured=ratio,
        predicted=r"$\ge 1$",
        uncertainty=change * ratio if clocks else None,
    )
    attained = compare(
        r"$t^* \|\mathcal{W}\|_2 \|h_0\| / 2$ for $n = 1$, and of random networks over that of the clock",
        {"clock of growth, DOP853": [sharp, *np.ones(len(clocks))],
         "closed form, and BlowUpError of SolveIVP": [1.0, *np.divide(carried, clocks)]},
        allowed=change + STEPS * (1e-8 + math.sqrt(32) * SOLVER.rtol),
        because="a hundred steps of rtol 1e-8, the change of the clock with 100 times the tolerance, and SolveIVP",
        claims=(claim.id,),
    )  # fmt: skip
    return claim, [attained]


def _one_neuron(config: Config) -> tuple[Claim, list[Agreement]]:
    """φ = z²/2 with n = 1: ḣ = s h²/2, so h_t = h_0 / (1 − s h_0 t/2) until t* = 2/(s h_0)."""
    h0, s = config.rng("quadratic").uniform(0.5, 2.0, 2).tolist()
    end = 2 / (s * h0)
    time = time_carried(*network("quadratic", [[s]], [h0], [1.0], 2 * end))
    allowed = STEPS * SOLVER.rtol
    found = abs(time / end - 1) <= allowed
    claim = Claim(
        "hypothesis-needed",
        r"Without a Lipschitz constant solutions need not exist on $[0, T]$: for $\phi(z) = z^2/2$ and $n = 1$, "
        r"$\dot h = s h^2 / 2$ escapes to infinity at $t = 2/(s h_0)$ (measured: where the solver finds it).",
        Verdict.HOLDS if found else Verdict.UNDECIDED,
        measured=time, predicted=end, uncertainty=allowed * end,
        scope="" if found else "The solver misses the known escape time by more than its error: a fault of the solver.",
    )  # fmt: skip
    half, theta = network("quadratic", [[s]], [h0], [1.0], end / 2)  # h = 2 h_0 here
    roads = {"closed form": 2 * h0**2} | {
        name: half.predict(theta, INPUT, solver)[0]
        for name, solver in (("Gauss collocation", Gauss()), ("SolveIVP", SOLVER))
    }
    because = "a relative error of 1e-12 in each of a hundred steps doubles on the way, and again in $h^2$"
    return claim, [
        compare(
            r"$h_t^2/2$ at half the escape time", roads, allowed=4 * allowed, because=because, claims=(claim.id,)
        ),
        compare(
            "time of escape of one neuron",
            {"BlowUpError of SolveIVP": time, "clock of growth, DOP853": _clock(np.array([[s]]), np.array([h0]), end)},
            allowed=STEPS * 1e-8, because="a hundred steps of rtol 1e-8", claims=(claim.id,),
        ),
    ]  # fmt: skip


def claims(config: Config) -> tuple[list[Claim], list[Agreement], Table]:
    """What is lost without a Lipschitz constant."""
    needed, by_hand = _one_neuron(config)
    bound, bounds = _not_before(config)
    found = escapes(config)
    (times, clocks), (unique, moved) = _times(found), not_unique()
    rows = [(case.name, case.exact, case.found, abs(case.found / case.exact - 1)) for case in found]
    head = [r"$\phi(z) = z^2/2$", "closed form", "time of BlowUpError", "relative difference"]
    table = Table("When solutions end", head, rows)
    return [needed, times, bound, unique], [*by_hand, clocks, *bounds, moved], table
