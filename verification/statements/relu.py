"""The figure with ReLU: does the gradient of a deep ResNet stay away from that of the Neural ODE?"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refimpl import Euler, NeuralODE
from verification import Agreement, Claim, Config, Origin, Result, Verdict
from verification.numerals import rounded
from verification.statements import _statistics as statistics
from verification.statements._contacts import claims as contact_claims
from verification.statements._data import DIM, Array, inputs, powers_of_two
from verification.statements._piecewise_linear import gradient
from verification.statements._relu_by_hand import (
    constructed_roads,
    control_road,
    crossings_road,
    network_roads,
    plateau_road,
)
from verification.statements._relu_constructed import claims as constructed_claims
from verification.statements._relu_constructed import constructed
from verification.statements._relu_curves import Curves, Exact, curves, flat
from verification.statements._relu_deep import deep as deep_network
from verification.statements._relu_deep_report import agreements as deep_roads
from verification.statements._relu_deep_report import claims as deep_claims
from verification.statements._relu_deep_report import floors as deep_floors
from verification.statements._relu_reference import floor, references, roads
from verification.statements._relu_report import figure, floors, slopes, wide
from verification.statements._relu_wide import FLAT, SHALLOWEST, Draws, Prediction, leading, monte_carlo
from verification.statements._statistics import decided, jointly, mean_square_exponent, meets

ID = "relu"
TITLE = "With ReLU the gradient difference remains constant as the depth increases"
CLAIM = (
    r"With ReLU the difference of the outputs of a ResNet of depth $L$ and of the Neural ODE decays as $1/L$, while "
    r"the difference of their gradients remains constant as $L$ increases."
)

COUNT = 4
"""Inputs from each source in the deep networks; the many networks see the first of each."""

TOLERANCE = 0.05
"""Largest deviation of a slope from −1: crossings fall anywhere between two layers, so L ‖∇f^L − ∇f‖ fluctuates."""


def run(config: Config) -> Result:
    X = inputs(config, COUNT)
    stacked, first = np.concatenate(list(X.values())), np.stack([points[0] for points in X.values()])
    net, width = NeuralODE("relu"), 64
    exact = Exact.of(net, net.init(width, DIM, seed=config.rng("deep")), stacked)
    solved = references(exact)
    depths = powers_of_two(0, 15 if config.full else 13)
    deep = {"relu": curves(exact, depths, {name: found.gradient for name, found in solved.items()})}
    leaky = Exact.of(NeuralODE("leaky_relu"), exact.theta, first)
    deep["leaky_relu"] = curves(leaky, depths[:12])

    plan = {128: (64, 12), 512: (24, 12)} if config.full else {128: (20, 10)}
    many = [Draws.of(config, net, n, draws, powers_of_two(0, top), first) for n, (draws, top) in plan.items()]
    limit = Prediction.of(net, powers_of_two(0, 9 if config.full else 7), 2048 if config.full else 512)
    deepest, control = deep_network(config)
    made_up = constructed(powers_of_two(0, 17 if config.full else 13))
    special, special_roads = constructed_claims(made_up)
    special += contact_claims()
    plateau, end_of_plateau = _plateau(config, net, first, many, limit)
    return Result(
        claims=[
            _rate(deep, "output", width), _constant(deep["relu"]), _rate(deep, "gradient", width), plateau,
            _mean_square(many, limit), _rate(deep, "ntk", width),
            floor(deep["relu"], solved), *deep_claims(deepest, control), *special,
        ],
        agreements=[
            *roads(config), *network_roads(exact, first), *network_roads(leaky, first), end_of_plateau,
            *(road.on(*MEAN) for road in (*monte_carlo(many, limit), leading(net, limit, first[0]))),
            *deep_roads(config, deepest), control_road(config, control), crossings_road(config, deepest.width),
            *special_roads, *constructed_roads(made_up),
        ],
        experiment=(
            r"ReLU ResNets (6) with $L = 1, 2, 4, \dots$ layers against the Neural ODE of the same $\theta$, $T = 1$. "
            r"Between two crossings of the kink the ODE is linear; its output and gradient are computed to rounding "
            r"from matrix exponentials between the crossings, which are isolated one by one, so that no tolerance of a "
            rf"solver enters. One network of $n = {width}$ is followed to $L = {depths[-1]:g}$ at {COUNT} images of "
            rf"digits and {COUNT} points of the sphere $S^{{63}}$; many networks at one of each. The gradient "
            r"difference is the Euclidean norm over all entries of $\theta$ (and over the inputs, for one network). "
            r"Slopes of one network are taken over those depths beyond the last at which a neuron of the last layer "
            r"is on in the ResNet and off in the Neural ODE, or the other way round. One smaller network is followed "
            rf"to $L = {deepest.depths[-1]:g}$, and those that are constructed."
        ),
        size={
            "n": width, "networks": 1, "d": DIM, "N": 2 * COUNT, "L": depths.astype(int),
            "many networks: n": [case.width for case in many], "of each n": [len(case.gradient) for case in many],
            "their N": len(first), "their L": [int(case.depths[-1]) for case in many],
            "deepest network: n": deepest.width, "its N": 1, "its L": f"8 to {deepest.depths[-1]:g}",
            "L at infinite width": limit.depths.astype(int),
            "L of the constructed": f"1 to {2 ** (16 if config.full else 12)}",
            "crossings per input": round(exact.crossings, 1),
            "smallest rate at a crossing": rounded(exact.slowest),
        },
        figure=figure(deep["relu"], many[0], limit, solved, made_up, deepest),
        alt=(
            "Three log-log panels. Above: gradient difference against depth for many random networks; the root mean "
            "square follows the predicted curve of slope minus one half, while a single input's curve, drawn bold, is "
            "flat over many doublings of depth. Below: one network; output and gradient differences to the exact "
            "Neural ODE fall with slope minus one, while those to gradients from an adaptive solver with loose "
            "tolerance level off. At the bottom: constructed networks; on the kink at the end the difference is "
            "constant, near it constant up to a depth, for a touch of slope minus one half; a random one falls with "
            "slope minus one, and so does its extrapolation."
        ),
        caption=(
            rf"Above: {len(many[0].gradient)} networks with $n = {many[0].width}$ at one digit and one random point "
            r"(thin), the root mean square with 95 % intervals, the prediction for $n \to \infty$, and the input whose "
            r"curve is constant for longest (thick). "
            rf"Below: one network with $n = {width}$, against the exact gradient and against gradients by RK45. At the "
            r"bottom: the constructed networks, and a random one with its extrapolation "
            r"$2 \nabla_\theta f^{2L} - \nabla_\theta f^L$."
        ),
        tables=[slopes(deep), floors(deep["relu"], solved, exact), deep_floors(deepest), wide(many, limit)],
    )  # fmt: skip


# One network, L → ∞


_TEXT = {
    "output": (r"f", "as in a smooth problem, since a crossing costs $O(L^{-2})$ only"),
    "gradient": (r"\nabla_\theta f", "once every neuron of the last layer has its sign right"),
    "ntk": (r"K_\theta", "once every neuron of the last layer has its sign right"),
}


MEAN = ("gradient-mean-square",)


def _rate(deep: Mapping[str, Curves], quantity: str, width: int) -> Claim:
    symbol, when = _TEXT[quantity]
    text = (
        rf"The difference of ${symbol}$ decays as $1/L$, {when}: its slope is $-1 \pm {TOLERANCE}$ in a network of "
        rf"$n = {width}$ with ReLU and with leaky ReLU"
    )
    name, origin = f"{quantity}-rate", Origin.PAPER if quantity == "output" else Origin.OURS
    if min(int(found.settled.sum()) for found in deep.values()) < 4:
        scope = "Fewer than four depths lie beyond the last wrong sign."
        return Claim(name, f"{text}.", Verdict.UNDECIDED, None, -1, scope=scope, origin=origin)
    fits = {phi: found.slope(found.values(quantity)) for phi, found in deep.items()}
    phi, worst = max(fits.items(), key=lambda item: abs(item[1].slope + 1))
    verdict = jointly(statistics.near(fit.slope, -1.0, TOLERANCE, fit.uncertainty) for fit in fits.values())
    return Claim(
        name,
        f"{text} (measured: {phi}, the one furthest from $-1$).",
        verdict,
        measured=worst.slope,
        predicted=-1,
        uncertainty=worst.uncertainty,
        scope=statistics.off_within_uncertainty(TOLERANCE) if verdict is Verdict.UNDECIDED else "",
        origin=origin,
    )


def _constant(found: Curves) -> Claim:
    printed = r"As printed, for one network as $L$ increases, the difference of $\nabla_\theta f$ remains constant"
    how = (
        "(measured: its slope against the exact gradient; refuted if it is below $-1/2$ by more than its uncertainty, "
        "closer to the $-1$ of the next claim than to 0)."
    )
    if int(found.settled.sum()) < 4:
        scope = "Fewer than four depths lie beyond the last wrong sign."
        return Claim("gradient-constant", f"{printed}.", Verdict.UNDECIDED, None, 0, scope=scope, origin=Origin.PAPER)
    fit = found.slope(found.norm)
    falls = fit.slope + fit.uncertainty < -0.5
    return Claim(
        "gradient-constant",
        (r"The difference of $\nabla_\theta f$ does not remain constant in one network as $L$ increases, as printed, "
         rf"but falls {how}") if falls else f"{printed} {how}",
        Verdict.FAILS if falls else Verdict.HOLDS if abs(fit.slope) <= fit.uncertainty else Verdict.UNDECIDED,
        measured=fit.slope,
        predicted=0,
        uncertainty=fit.uncertainty,
        scope=(
            r"It falls as $1/L$ beyond a depth of order $n$, for almost every network; over random networks its root "
            r"mean square falls as $L^{-1/2}$."
        ),
        origin=Origin.PAPER,
    )  # fmt: skip


# Many networks


def _plateau(config: Config, net: NeuralODE, X: Array, many: list[Draws], limit: Prediction) -> tuple[Claim, Agreement]:
    """The height of a plateau follows from the wrong signs alone: λ_T with them, but the h_t of the Neural ODE."""
    case = max(many, key=lambda case: case.longest[0])
    ratio, start, end, draw, i = case.longest
    theta, x, L = case.theta(config, net, draw), X[i : i + 1], int(case.depths[end])
    jacobian = net.jacobian(theta, x, Euler(L))
    (_, exact, _), (_, wrong, _) = gradient(net, theta, x), gradient(net, theta, x, on=jacobian.v > 0)
    height = float(np.linalg.norm(flat(jacobian) - flat(exact)))
    predicted = float(np.linalg.norm(flat(wrong) - flat(exact)))
    rest = float(np.linalg.norm(flat(jacobian) - flat(wrong)))
    share = float(limit.depths[-1] * limit.mismatch[-1])
    caused = ratio >= 4 and rest <= 0.2 * height and case.wrong[draw, start : end + 1, i].min() >= 1
    return Claim(
        "gradient-plateau",
        rf"Over a finite range of depths and at one input the difference of $\nabla_\theta f$ can remain constant, to "
        rf"{FLAT:.0%}, as long as neurons of the last layer have the wrong sign (measured: its height at the end of "
        r"the longest such range, which must be two doublings of $L$ at least; predicted: the change of $\nabla_\theta "
        r"f$ if those signs are wrong in $\lambda_T$ and nothing else is; uncertainty: the rest, which must be a fifth "
        r"of the height at most).",
        Verdict.HOLDS_WITH_SCOPE if caused else Verdict.UNDECIDED,
        measured=height,
        predicted=predicted,
        uncertainty=rest,
        scope=(
            rf"A random network with $n = {case.width}$, from $L = {case.depths[start]:g}$ to {L}; an input has about "
            rf"${share:.2f}\, n/L$ wrong signs in the mean, so that the last one disappears at a depth of order $n$."
        ),
        origin=Origin.PAPER,
    ), plateau_road(net, theta, x, L, height)  # fmt: skip


def _mean_square(many: list[Draws], limit: Prediction) -> Claim:
    case = max(many, key=lambda case: len(case.gradient))
    part = (case.depths >= SHALLOWEST) & (case.depths <= case.width / 4)  # deeper, the mean is one rare event
    predicted = limit.slope(case.width / 4)
    slope, half, wider = mean_square_exponent(case.square[:, part], case.depths[part])
    low, high = slope - wider, slope + wider
    verdict = mean_square_verdict((low, high), predicted, limit.exponent)
    tail, error = limit.exponent
    return Claim(
        "gradient-mean-square",
        r"Over random networks the root mean square of $\|\nabla_\theta f^L - \nabla_\theta f\|$ decays as $L^{-1/2}$, "
        r"because a share $p/L$ of the neurons of the last layer has the wrong sign (measured: the slope at infinite "
        r"width as $L \to \infty$, from the recursion for two depths; the networks by themselves do not tell it from "
        rf"every other rate: over $L = {case.depths[part][0]:g}, \dots, {case.depths[part][-1]:g}$ their slope is "
        rf"${slope:.2f}$, 95 %: ${slope - half:.2f}$ to ${slope + half:.2f}$, at infinite width ${predicted:.2f}$; "
        rf"{decided(low, high)}, which must hold the latter and not 0).",
        verdict,
        measured=tail,
        predicted=-0.5,
        uncertainty=error,
        scope="" if verdict is not Verdict.UNDECIDED else "The interval of the networks reaches 0: too few.",
    )


def mean_square_verdict(
    networks: tuple[float, float], predicted: float, limit: tuple[float, float]
) -> Verdict:  # fmt: skip
    """From the interval of the networks' slope, that at infinite width over the same depths, and its limit ± error."""
    tail, error = limit
    return jointly([meets(*networks, predicted), meets(tail - error, tail + error, -0.5)])
