"""Proposition 1: the forward and backward ODEs have unique solutions, and λ_t = ∂f/∂h_t."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence

import numpy as np

from refimpl import BlowUpError, NeuralODE, activations
from verification import Agreement, Claim, Config, Result, Verdict
from verification.fit import power_law, second_term
from verification.statements._conventions import claims as what_slopes_decide
from verification.statements._data import DIM, Array, inputs
from verification.statements._every_input import almost_every_input, every_input
from verification.statements._perturb import SMALL, Derivative, Perturbed
from verification.statements._prop1_report import accuracies, derivatives, figure
from verification.statements._prop1_solved import Solved, solve
from verification.statements._saltation import claims as saltation
from verification.statements._saltation import crossings
from verification.statements._without_lipschitz import claims as without_lipschitz

ID = "prop1"
TITLE = r"The ODEs are well posed, and $\lambda_t = \partial f / \partial h_t$ at almost every input, not at all"
CLAIM = (
    r"If $\phi$ is Lipschitz continuous, then almost surely the forward ODE and the backward ODE have unique solutions "
    r"$h_t$ and $\lambda_t$ on $[0, T]$ for every input $x$, and $\lambda_t = \partial f / \partial h_t$."
)

LIPSCHITZ = tuple(name for name, phi in activations.BUILTIN.items() if math.isfinite(phi.lipschitz))

HORIZONS = (1.0, 3.0)

PERTURBED_WIDTH = 32
"""n of the networks whose states are moved."""


def _existence(solved: Sequence[Solved], asked: int) -> Claim:
    return Claim(
        "existence",
        rf"For each of the {len(LIPSCHITZ)} Lipschitz activations, $T = 1$ and $T = 3$, every draw of $\theta$ and "
        r"every input, $h_t$ and $\lambda_t$ reach the other end of $[0, T]$, and two integrators that share "
        r"$\phi$ only arrive at the same $h_T$ and $\lambda_0$ (measured: networks solved).",
        Verdict.HOLDS if len(solved) == asked else Verdict.FAILS,
        measured=len(solved),
        predicted=asked,
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
    )


def _adjoint(id: str, text: str, found: Sequence[Derivative]) -> Claim:
    largest = max(found, key=lambda d: d.error)
    holds = all(d.error <= d.allowed for d in found)
    return Claim(
        id, text, Verdict.HOLDS if holds else Verdict.FAILS,
        measured=largest.error, predicted=0, uncertainty=largest.allowed,
    )  # fmt: skip


def _two_derivatives(core: str, because: str, found: Sequence[Derivative]) -> Agreement:
    worst = max(found, key=lambda d: d.error / d.allowed)
    quantity = rf"$\lambda_t$, {worst.activation} (the case closest to its bound)"
    return Agreement(quantity, (core, "central differences, DOP853"), worst.error, worst.allowed, because)


def run(config: Config) -> Result:
    draws, sizes = (5, {False: (256, 8), True: (48, 2)}) if config.full else (1, {False: (64, 2), True: (24, 1)})
    solved, asked = _solve_all(config, draws, sizes)
    smooth, smooth_curve, c = _perturb(config, "softplus", np.logspace(-1, -9, 17))
    kinked, kinked_curve, _ = _perturb(config, "relu", np.logspace(-1, -9, 9))
    crossed = crossings(config)
    outside, outside_roads, ends = without_lipschitz(config)
    kinks, kink_roads, sides = saltation(crossed)
    conventions, convention_roads, cases = what_slopes_decide()
    claims = [
        _existence(solved, asked),
        _gronwall(
            "uniqueness-forward",
            r"Solutions neither split nor merge faster than Gronwall allows: $e^{-\Lambda t} \le \|h_t(x) - h_t(x')\| "
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
        _adjoint(
            "adjoint-analytic",
            r"Softplus: moving $h_t$ and solving on to $T$ changes $f$ as $\lambda_t$ says, at every tested "
            r"$t \in [0, T]$ (measured: largest relative error of central differences).",
            smooth,
        ),
        _order(*smooth_curve),
        _adjoint(
            "adjoint-kinked",
            r"ReLU: the same, almost surely (proof: docs/mathematics.md, Kinks): $f$ need not have a derivative where "
            r"a component of $h_T$ vanishes, and "
            rf"the small step $10^{{{math.log10(SMALL):.0f}}}$ keeps clear of that with high probability.",
            kinked,
        ),
        every_input(config),
        almost_every_input(config),
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
            _two_derivatives("Gauss collocation", quotient, smooth),
            _two_derivatives("SolveIVP", moves, kinked),
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


def _perturb(config: Config, activation: str, steps: Array) -> tuple[list[Derivative], tuple[Array, Array], float]:
    """Checks of λ_t at all times; the errors of λ_0 for all `steps` at a digit; the c of their predicted c ε²."""
    net = NeuralODE(activation)
    theta = net.init(PERTURBED_WIDTH, DIM, seed=config.rng("theta", activation, "perturbed"))
    f = {source: Perturbed(config, net, theta, X[0]) for source, X in inputs(config, 1).items()}
    found = [
        Derivative(activation, source, t, *moved.check(i))
        for source, moved in f.items()
        for i, t in enumerate(moved.times.tolist())
    ]
    digit = f["digits"]
    errors = np.asarray([digit.error(0, digit.differences(0, step)[0]) for step in steps])
    return found, (steps, errors), digit.model(0)[0] / float(np.linalg.norm(digit.adjoint[0]))


def _order(steps: Array, errors: Array) -> Claim:
    large = steps > 0.99e-3
    order, margin = power_law(steps[large], errors[large]), 0.05
    why = second_term(margin, 0.1, 2, r"\varepsilon")
    return Claim(
        "adjoint-order",
        r"What is left for softplus is the truncation of the central difference: the error falls as $\varepsilon^2$ "
        r"for $10^{-3} \le \varepsilon \le 10^{-1}$ (measured: the slope; "
        f"{why}).",
        Verdict.HOLDS if abs(order.slope - 2) <= margin else Verdict.FAILS,
        measured=order.slope,
        predicted=2,
        uncertainty=order.uncertainty,
    )
