"""Proposition 1: the forward and backward ODEs have unique solutions, and λ_t = ∂f/∂h_t."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import numpy as np

from refimpl import BlowUpError, activations
from verification import Agreement, Claim, Config, Origin, Result, Verdict
from verification.statements._conventions import claims as what_slopes_decide
from verification.statements._data import DIM, Array, inputs
from verification.statements._every_input import almost_every_input, every_input
from verification.statements._perturb import SMALL
from verification.statements._prop1_adjoint import PERTURBED_WIDTH, adjoint, order, perturb, two_derivatives
from verification.statements._prop1_report import accuracies, derivatives, figure
from verification.statements._prop1_solved import Solved, solve
from verification.statements._saltation import claims as saltation
from verification.statements._saltation import crossings
from verification.statements._without_lipschitz import claims as without_lipschitz

ID = "prop1"
TITLE = r"The ODEs are well posed, and $\lambda_t = \partial f / \partial h_t$ at every input"
CLAIM = (
    r"If $\phi$ is Lipschitz continuous, then almost surely the forward ODE and the backward ODE have unique solutions "
    r"$h_t$ and $\lambda_t$ on $[0, T]$ for every input $x$, and $\lambda_t = \partial f / \partial h_t$."
)

LIPSCHITZ = tuple(name for name, phi in activations.BUILTIN.items() if math.isfinite(phi.lipschitz))

HORIZONS = (1.0, 3.0)


SOLUTIONS = ("existence", "uniqueness-forward", "uniqueness-backward")
"""Claims on the networks that are solved on two roads."""


def _existence(solved: Sequence[Solved], asked: int, inputs: int) -> Claim:
    return Claim(
        "existence",
        r"With a Lipschitz $\phi$ the forward and the backward ODE have a solution on all of $[0, T]$: in each of the "
        rf"{asked} networks tried, {len(LIPSCHITZ)} activations with $T = 1$ and with $T = 3$, "
        rf"$h_t$ and $\lambda_t$ reach the other end of $[0, T]$ at up to {inputs} inputs, and two integrators that "
        r"share $\phi$ only arrive at the same $h_T$ and $\lambda_0$ (measured: networks solved).",
        Verdict.HOLDS if len(solved) == asked else Verdict.UNDECIDED,
        measured=len(solved),
        predicted=asked,
        scope="" if len(solved) == asked else "A solver gave up, which is no proof that there is nothing to find.",
        origin=Origin.PAPER,
    )


def _two_roads(solved: Sequence[Solved]) -> list[Agreement]:
    found = []
    for kinked, core, own in ((False, "Gauss collocation", "DOP853"), (True, "SolveIVP", "LSODA")):
        promise = "change of SolveIVP likewise" if kinked else "1e-12 promised by Gauss"
        for quantity in ("h_T", r"\lambda_0", "h_0"):
            pairs = [case.differences[quantity] for case in solved if case.kinked == kinked]
            difference, allowed = max(pairs, key=lambda pair: pair[0] / pair[1])
            back = quantity == "h_0"
            found.append(
                Agreement(
                    rf"${quantity}$, {'kinked' if kinked else 'analytic'} $\phi$ (the case closest to its bound)",
                    ("the given initial state" if back else core, f"{own}, written out"),
                    difference,
                    allowed,
                    f"change of {own} with 100 times the tolerance" + ("" if back else f", {promise}"),
                    SOLUTIONS[:1] if back else SOLUTIONS,
                )
            )
        for way, quantity in (("forward", r"\|h_t - h'_t\|"), ("backward", r"\|\lambda_t\|")):
            difference, allowed = max(
                (case.growth[way] for case in solved if case.kinked == kinked), key=lambda pair: pair[0] / pair[1]
            )
            found.append(
                Agreement(
                    rf"growth of $\log {quantity}$ over $[0, T]$, {'kinked' if kinked else 'analytic'} $\phi$ (the "
                    "case closest to its bound)",
                    (core, f"{own}, written out"),
                    difference,
                    allowed,
                    f"change of {own} with 100 times the tolerance; {promise}, carried to the logarithm",
                    (f"uniqueness-{way}",),
                )
            )
    return found


def _gronwall(id: str, text: str, solved: Sequence[Solved], rates: Sequence[Array]) -> Claim:
    worst = max(float(np.abs(rate / case.exponents[:, None]).max()) for case, rate in zip(solved, rates, strict=True))
    return Claim(
        id,
        text + " (measured: largest logarithm of the ratio, as a fraction of its bound).",
        Verdict.HOLDS if worst <= 1 else Verdict.FAILS,
        measured=worst,
        predicted=r"$\le 1$",
        origin=Origin.PAPER,
    )


def run(config: Config) -> Result:
    draws, sizes = (5, {False: (256, 8), True: (48, 2)}) if config.full else (1, {False: (64, 2), True: (24, 1)})
    solved, asked = _solve_all(config, draws, sizes)
    smooth, smooth_curve, c, digit = perturb(config, "softplus", np.logspace(-1, -9, 17))
    kinked, kinked_curve, _, _ = perturb(config, "relu", np.logspace(-1, -9, 9))
    (every, from_ones), (almost, along_ones) = every_input(config), almost_every_input(config)
    falls, order_road = order(*smooth_curve, digit)
    crossed = crossings(config)
    outside, outside_roads, ends = without_lipschitz(config)
    kinks, kink_roads, sides = saltation(crossed)
    conventions, convention_roads, cases = what_slopes_decide()
    claims = [
        _existence(solved, asked, 2 * max(count for _, count in sizes.values())),
        _gronwall(
            "uniqueness-forward",
            r"Solutions are unique, as far as distances can tell: those above neither split nor merge faster than "
            r"Gronwall's bound, on which uniqueness rests, allows: $e^{-\Lambda t} \le \|h_t(x) - h_t(x')\| "
            r"/ \|h_0(x) - h_0(x')\| \le e^{\Lambda t}$ with $\Lambda = \sigma_w \|W\|_2 \mathrm{Lip}(\phi) / \sqrt n$",
            solved,
            [case.forward for case in solved],
        ),
        _gronwall(
            "uniqueness-backward",
            r"The same for the linear backward ODE: $e^{-\Lambda (T - t)} \le \|\lambda_t\| / \|\lambda_T\| \le "
            r"e^{\Lambda (T - t)}$",
            solved,
            [case.backward for case in solved],
        ),
        adjoint(
            "adjoint-analytic",
            r"Softplus: moving $h_t$ and solving on to $T$ changes $f$ as $\lambda_t$ says, at every tested "
            r"$t \in [0, T]$ (measured: largest relative error of central differences).",
            smooth,
        ),
        falls,
        adjoint(
            "adjoint-kinked",
            r"ReLU: the same, almost surely (proof: docs/mathematics.md, Kinks): $f$ need not have a derivative where "
            r"a component of $h_T$ vanishes, and "
            rf"the small step $10^{{{math.log10(SMALL):.0f}}}$ keeps clear of that with high probability (measured: "
            r"largest relative error of central differences).",
            kinked,
        ),
        every,
        almost,
        *kinks,
        *conventions,
        *outside,
    ]
    quotient = "truncation and rounding of the difference quotient, 1e-12 promised by Gauss"
    moves = "change of the quotient with twice the step, change of both roads with 100 times the tolerance, rounding"
    return Result(
        claims=claims,
        agreements=[
            *_two_roads(solved),
            two_derivatives("adjoint-analytic", "Gauss collocation", quotient, smooth),
            two_derivatives("adjoint-kinked", "SolveIVP", moves, kinked),
            order_road,
            from_ones,
            along_ones,
            *outside_roads,
            *kink_roads,
            *convention_roads,
        ],
        experiment=(
            r"The theorem is that of Picard and Lindelöf, and numbers do not prove it: no finite run covers every $x$ "
            r"or excludes a second solution. What can be measured are its consequences. Each network is solved forward "
            r"and backward by two integrators that share $\phi$ only, at images of digits and at random points of the "
            r"sphere; from $h_T$ the ODE is integrated back to $h_0$. Distances of solutions are held against "
            r"Gronwall's bound, on which uniqueness rests. For $\lambda_t = \partial f / \partial h_t$, $h_t$ itself "
            r"is moved along random directions at $t = 0, T/4, T/2, 3T/4, T$. Then the edges: what happens without a "
            r"Lipschitz constant; at a crossing of a kink, from both sides; and, in the smallest networks that meet a "
            r"kink in each possible way, what the value of $\phi'$ there decides."
        ),
        size={
            "n": sorted({PERTURBED_WIDTH, *(width for width, _ in sizes.values())}),
            "d": DIM,
            "N": [2 * count for _, count in sizes.values()],
            "T": HORIZONS,
            "activations": LIPSCHITZ,
            "seeds": draws,
        },
        figure=figure({"softplus": smooth_curve, "relu": kinked_curve}, c, solved, crossed[0]),
        alt=(
            "Above: relative error of central differences against their step on log-log axes, a V: along the "
            "predicted line of slope two to about 1e-11 for softplus, then up again with slope minus one; ReLU lies "
            "above it. Below: log growth of distances between solutions and of the adjoint state against Gronwall's "
            "exponent; all points lie inside the wedge between plus and minus the exponent. At the bottom: a component "
            "of the adjoint state where its neuron crosses the kink of ReLU, a continuous curve whose slope changes "
            "there as predicted."
        ),
        caption=(
            r"Above: $\lambda_0$ against central differences of $f$ with step $\varepsilon$ in $h_0$; the dashed line "
            r"of slope 2 is predicted from two large steps, with no constant fitted to the others; ReLU is off it "
            r"where a kink lies within the step, and where the tolerance $10^{-13}$ shows. Below: growth of "
            r"$\|h_t(x) - h_t(x')\|$ and of $\|\lambda_{T-t}\|$ for all activations; dashed: Gronwall's bounds. At the "
            r"bottom: $\lambda_i$ where neuron $i$ of a ReLU network crosses zero; the dotted line is the slope before."
        ),
        tables=[accuracies(solved), derivatives([*smooth, *kinked]), sides, cases, ends],
    )


def _solve_all(config: Config, draws: int, sizes: dict[bool, tuple[int, int]]) -> tuple[list[Solved], int]:
    """The networks that could be solved, and how many there are."""
    cases = [(a, T, draw) for a in LIPSCHITZ for T in HORIZONS for draw in range(draws)]
    solved = []
    for activation, horizon, draw in config.progress(cases, "network"):
        width, count = sizes[bool(activations.get(activation).kinks)]
        X = np.concatenate(list(inputs(config, count).values()))
        with contextlib.suppress(BlowUpError):
            solved.append(solve(config, activation, horizon, draw, width, X))
    return solved, len(cases)
