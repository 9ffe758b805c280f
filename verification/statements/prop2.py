"""Proposition 2: gradients of ResNets of depth L approach those of the Neural ODE as 1/L."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from refimpl import Euler, Gauss, Params, SolveIVP
from verification import Agreement, Claim, Config, Origin, Result, Verdict, compare
from verification.statements._data import DIM, Array, inputs
from verification.statements._expansion import expansion
from verification.statements._prop2_constants import study
from verification.statements._prop2_expansion import expansion_claim, expansions_agree, refinement
from verification.statements._prop2_figures import constants_table, rates_figure, slopes_table
from verification.statements._resnets import (
    QUANTITIES,
    SHALLOWEST,
    Case,
    Curve,
    Point,
    backpropagate,
    curves_of,
    distance,
    output_coefficient,
    point,
)
from verification.statements._statistics import near, off_within_uncertainty

ID = "prop2"
TITLE = r"Gradients of deep ResNets converge to those of the Neural ODE, with one $C$ for almost every $\theta$"
CLAIM = (
    r"If $\phi$ and $\phi'$ are Lipschitz continuous, then almost surely "
    r"$\|\nabla_\theta f^L(x) - \nabla_\theta f(x)\| \le C L^{-1}$, where $C > 0$ depends on the Lipschitz constants, "
    r"$T$ and $\|x\|$."
)

COUNT = 8
"""Inputs from each source."""

TOLERANCE = 0.03
"""Largest deviation of a slope from −1 that still counts as the rate 1/L over these depths."""

GRADIENT = ("gradient-rate", "constant", "leading-coefficient", "gradient-coefficient")
KERNEL = ("ntk-rate", "ntk-coefficient")
OF = {"gradient": GRADIENT[:3], "output": ("output-rate",), "NTK": KERNEL[:1]}
"""Claims on each quantity."""

GROWS = 2**0.5
"""Factor over a doubling of L by which what should be bounded counts as growing."""

STEADY = 0.01
"""Largest change of L ‖·‖ from L/2 to L: 1 + r/L for 1 + 2r/L is a factor of 1 − r/L."""


def run(config: Config) -> Result:
    cases = _cases(config.full)
    X = inputs(config, COUNT)
    curves: list[Curve] = []
    agreements: list[Agreement] = []
    outputs: list[tuple[Array, Array]] = []
    refined: list[float] = []
    for case in config.progress(cases, "network"):
        theta, stacked = case.theta(config), np.concatenate(list(X.values()))
        truth = point(case.net, theta, stacked, Gauss())
        theory = None
        if case.draw == 0 and case.width <= 256:
            theory = expansion(case.net, theta, stacked)
            refined.append(refinement(theory, expansion(case.net, theta, stacked, rtol=1e-8)))
        found, levels = curves_of(case, theta, X, truth, theory)
        curves += found
        outputs.append((output_coefficient(case.net, theta, stacked), levels))
        if case.draw == 0:
            agreements += _solvers_agree(case, theta, stacked, truth)
    agreements += [_richardson_agrees(curves, quantity) for quantity in QUANTITIES]
    agreements.append(_coefficients_agree(outputs))
    agreements += [
        expansions_agree(curves, quantity, max(refined)).on(*claims)
        for quantity, claims in {"gradient": GRADIENT, "output": OF["output"], "NTK": KERNEL}.items()
    ]
    claims = [_rate(curves, quantity) for quantity in ("gradient", "output", "NTK")]
    claims += [_bounded(curves), _leading(curves)]
    claims += [expansion_claim(curves, quantity, max(refined)) for quantity in ("gradient", "NTK")]
    constants = study(config)
    return Result(
        claims=[*claims, *constants.claims],
        agreements=[*agreements, *constants.agreements],
        experiment=(
            rf"ResNets (6) with $L = 1, 2, 4, \dots$ layers against the Neural ODE with the same $\theta$, $T = 1$, "
            rf"at {COUNT} images of digits (3 and 8) and {COUNT} random points of the sphere $S^{{63}}$. The output "
            r"difference is a Euclidean norm over the inputs, the gradient difference a Frobenius norm over the inputs "
            r"and all entries of $\theta = (U, W, v)$, the NTK difference a Frobenius norm. The Neural ODE is solved "
            r"to 12 digits by Gauss collocation. Slopes are least-squares fits over $L \ge 16$. " + constants.experiment
        ),
        size={
            "n": sorted({case.width for case in cases}),
            "d": DIM,
            "N": 2 * COUNT,
            "L": [int(depth) for depth in max(cases, key=lambda case: case.deepest).depths],
            **constants.size,
            "activations": list(dict.fromkeys(case.activation for case in cases)),
            "seeds": max(case.draw for case in cases) + 1,
        },
        figure=rates_figure(curves),
        alt=(
            "Two log-log panels, handwritten digits above and random points on the sphere below: differences of "
            "output, gradient and NTK between a softplus ResNet and the Neural ODE against depth. From depth 16 on all "
            "three curves are parallel to the dashed line of slope minus one."
        ),
        caption=(
            r"Difference of ResNet and Neural ODE for softplus, "
            rf"$n = {curves[0].case.width}$, $T = 1$; dashed: the predicted rate $1/L$ through the last point."
        ),
        tables=[slopes_table(curves), constants_table(curves), *constants.tables],
    )


def _cases(full: bool) -> list[Case]:
    if not full:
        return [Case("softplus", 256, 1024), Case("tanh", 256, 1024)]
    smooth = ("softplus", "tanh", "erf", "gelu", "silu", "sin")
    return [
        *(Case(activation, 256, 4096) for activation in smooth),
        *(Case(activation, 256, 1024, draw) for activation in smooth[:2] for draw in range(1, 10)),
        *(Case(activation, 1024, 1024) for activation in smooth[:2]),
    ]


def _solvers_agree(case: Case, theta: Params, X: Array, truth: Point) -> list[Agreement]:
    net, name = case.net, f"{case.activation}, $n = {case.width}$"
    loose, tight = (net.jacobian(theta, X, SolveIVP(rtol=rtol, atol=rtol / 100)) for rtol in (1e-10, 1e-12))
    bound = 1e-12 + distance(loose, tight)
    depth = SHALLOWEST
    layers, by_hand = net.jacobian(theta, X, Euler(depth)), backpropagate(net, theta, X, depth)
    finest = SolveIVP(rtol=1e-12, atol=1e-14)
    return [
        Agreement(
            rf"$\nabla_\theta f$ ({name})", ("Gauss collocation", "SolveIVP"),
            distance(tight, truth.jacobian), bound,
            "1e-12 promised by Gauss, plus the change of DOP853 from rtol 1e-10 to 1e-12 (worst of the blocks U, W, v)",
            GRADIENT,
        ),
        compare(
            rf"$K_\theta$ ({name})",
            {"Gauss collocation": truth.quantities(slice(None))["NTK"], "SolveIVP": net.ntk(theta, X, solver=finest)},
            allowed=2 * bound, because="twice the error of the gradient; a Gram matrix of Jacobians against ntk()",
            claims=KERNEL,
        ),
        Agreement(
            rf"$\nabla_\theta f^{{{depth}}}$ ({name})", ("Euler scheme", "backpropagation written out"),
            distance(layers, by_hand), depth * case.width * float(np.finfo(float).eps),
            "one rounding for each of n terms in each of L layers", (*GRADIENT, *KERNEL),
        ),
        compare(
            rf"$f^{{{depth}}}$ ({name})",
            {"Euler scheme": net.predict(theta, X, Euler(depth)), "layers written out": by_hand.v @ theta.v},
            allowed=depth * case.width * float(np.finfo(float).eps),
            because="one rounding for each of n terms in each of L layers", claims=OF["output"],
        ),
    ]  # fmt: skip


def _richardson_agrees(curves: Sequence[Curve], quantity: str) -> Agreement:
    worst = max((c for c in curves if c.quantity == quantity), key=lambda c: c.extrapolated / (c.error + 1e-12))
    return Agreement(
        f"${QUANTITIES[quantity]}$ (the case closest to its bound)",
        ("Gauss collocation", "Richardson extrapolation of the ResNets"),
        worst.extrapolated,
        worst.error + 1e-12,
        "change from five to six depths in the extrapolation, plus 1e-12 promised by Gauss",
        OF[quantity],
    )


def _coefficients_agree(outputs: Sequence[tuple[Array, Array]]) -> Agreement:
    def apart(predicted: Array, levels: Array) -> tuple[float, float]:
        once = 2 * levels[1:] - levels[:-1]
        size = np.linalg.norm(predicted)
        return float(np.linalg.norm(once[-1] - predicted) / size), float(np.linalg.norm(once[-1] - once[-2]) / size)

    difference, allowed = max((apart(*pair) for pair in outputs), key=lambda p: p[0] / p[1])
    return Agreement(
        r"$\lim_{L \to \infty} L (f^L - f) = \frac{T}{2} \int_0^T \langle \dot\lambda_t, \dot h_t \rangle dt$",
        ("ResNets minus Neural ODE", "theory of Euler's leading error"),
        difference,
        allowed,
        "the last change of the extrapolated limit, which falls fourfold with every doubling of L",
        OF["output"],
    )


def _rate(curves: Sequence[Curve], quantity: str) -> Claim:
    """Over all depths in the fit, or else between the two deepest: a small leading coefficient delays the rate."""
    mine = [curve for curve in curves if curve.quantity == quantity]
    worst = max(mine, key=lambda curve: abs(curve.slope.slope + 1))
    final = max((curve.final for curve in mine), key=lambda slope: abs(slope + 1))
    deepest = max(curve.case.deepest for curve in mine)
    symbol = QUANTITIES[quantity]
    late, scope = abs(final + 1) <= TOLERANCE, ""
    uncertainty = max(worst.slope.uncertainty, abs(worst.final - worst.slope.slope))
    verdict = near(worst.slope.slope, -1.0, TOLERANCE, uncertainty)
    if verdict is Verdict.UNDECIDED:
        scope = off_within_uncertainty(TOLERANCE)
    if verdict is not Verdict.HOLDS and late:
        verdict = Verdict.HOLDS_WITH_SCOPE
        scope = (
            f"${symbol}$, {worst.case.activation}, {worst.source}: the leading coefficient happens to be small, and "
            rf"only between the two deepest ResNets all slopes are within {TOLERANCE} of $-1$ (furthest: {final:.3f})."
        )
    return Claim(
        f"{quantity.lower()}-rate",
        rf"For these networks and $16 \le L \le {deepest}$ the difference of ${symbol}$ decays as $1/L$: its slope is "
        rf"$-1 \pm {TOLERANCE}$ (measured: the one furthest from $-1$).",
        verdict,
        measured=worst.slope.slope,
        predicted=-1,
        uncertainty=uncertainty,
        scope=scope,
        origin=Origin.PAPER,
    )


def _bounded(curves: Sequence[Curve]) -> Claim:
    mine = [curve for curve in curves if curve.quantity == "gradient"]
    growth = max((float(curve.scaled[-1] / curve.scaled[-2]) for curve in mine), key=lambda ratio: abs(ratio - 1))
    steady = abs(growth - 1) <= STEADY
    verdict = Verdict.HOLDS if steady else Verdict.FAILS if growth >= GROWS else Verdict.UNDECIDED
    return Claim(
        "constant",
        r"$L \|\nabla_\theta f^L - \nabla_\theta f\|$ stays bounded over all measured $L \ge 1$: it no longer changes "
        rf"at the deepest pair (measured: its factor over the last doubling of $L$; margin {STEADY}, by which a second "
        rf"term, $r/L$ of the first, changes it if $|r| \le {STEADY * max(c.case.deepest for c in mine):.2g}$; the "
        r"largest values are tabulated).",
        verdict,
        measured=growth,
        predicted=1,
        uncertainty=max(abs(float(c.scaled[-1] / c.scaled[-2] - c.scaled[-2] / c.scaled[-3])) for c in mine),
        scope="It still changes at the deepest pair." if verdict is Verdict.UNDECIDED else "",
        origin=Origin.PAPER,
    )


def _leading(curves: Sequence[Curve]) -> Claim:
    mine = [curve for curve in curves if curve.quantity == "gradient"]
    worst = max(mine, key=lambda c: abs(c.limit[0] - c.leading) / c.limit[1])
    measured, change = worst.limit
    return Claim(
        "leading-coefficient",
        r"$\lim_{L \to \infty} L \|\nabla_\theta f^L - \nabla_\theta f\|$ is what an expansion in powers of $1/L$ of "
        rf"the ResNets alone predicts ({worst.case.activation}, {worst.source}: the case of largest deviation).",
        Verdict.HOLDS if abs(measured - worst.leading) <= change else Verdict.FAILS,
        measured=measured,
        predicted=worst.leading,
        uncertainty=change,
    )
