"""Equations (10) and (11): does the order of the limits n → ∞ and L → ∞ matter?"""

from __future__ import annotations

import numpy as np

from refimpl import NeuralODE
from verification import Claim, Config, Origin, Result, Verdict, compare
from verification.fit import power_law, second_term
from verification.statements._data import DIM, Array, inputs, powers_of_two
from verification.statements._independent import independent_kernels, without_drift
from verification.statements._limits_architectures import (
    independent_orders,
    layers_road,
    ntk_limits,
    perceptron,
    sqrt_layers,
    step_edge,
)
from verification.statements._limits_exchange import as_stated, example, exchange, linear_plane
from verification.statements._limits_report import figure, plane_table, rate_table
from verification.statements._limits_roads import roads
from verification.statements._limits_stacks import shared_stack
from verification.statements._limits_values import values
from verification.statements._plane import Plane, planes
from verification.statements._statistics import (
    LEVEL,
    RESOLUTION,
    at_infinite_width,
    decided,
    jointly,
    mean_square_exponent,
    meets,
)

ID = "limits"
TITLE = "The limits of width and depth in either order"
CLAIM = (
    r"The NTK may depend on the order of limits, "
    r"$\lim_{L \to \infty} \lim_{n \to \infty} f_\theta^L \neq \lim_{n \to \infty} \lim_{L \to \infty} f_\theta^L$, as "
    r"in the example $a_{n,\ell} = n / (\ell + n)$."
)

COUNT = 2
"""Inputs from each source."""

WIDE = 64
"""Smallest width in the fits of n^{-1/2}: below, the next order makes them steeper by 0.05."""

TOLERANCE = 0.05
"""Largest deviation of an exponent in L from −1: the next order of the expansion, over depths from 16 on."""

REACHES_ZERO = f"The {LEVEL:.1%} interval of an exponent reaches 0: too few networks."


def run(config: Config) -> Result:
    net, X = NeuralODE("softplus"), np.concatenate(list(inputs(config, COUNT).values()))
    widths = powers_of_two(4, 11 if config.full else 9)
    depths = powers_of_two(0, 8 if config.full else 7)
    draws, coupled = 48, 192 if config.full else 96
    ntk, covariance = planes(config, net, X, widths, depths, draws)
    layers = powers_of_two(0, 10 if config.full else 7)
    apart = np.stack([independent_kernels(net, X, int(L))[0] for L in layers])
    reached, shared = without_drift(net, X)[0], ntk.wide[-1]
    gap = float(np.linalg.norm(reached - shared) / np.linalg.norm(shared))
    error = np.linalg.norm(apart - reached, axis=(1, 2)) / np.linalg.norm(reached)
    orders = [
        _order("ntk-order", r"the NTK $K_\theta^L$", ntk, Origin.PAPER),  # theorem 1
        _order("law-order", r"the law of $f_\theta^L(x)$, of covariance $\sigma_v^2 \Sigma^{T,T}$", covariance),
    ]
    (uniform, constants), (plane, plane_road) = exchange(config, net, X, covariance), linear_plane()
    (limits, extrapolated), (numbers, means) = example(), values(config, net, X, draws)
    drift = compare(
        "$K$ of independent layers with the step $T/L$, $L \\to \\infty$",
        {"one layer at $h_T = h_0$": reached, "recursion over layers, extrapolated": 2 * apart[-1] - apart[-2]},
        allowed=float(4 * error[-1] / layers[-1]),
        because="one term of the expansion removed: four times 1/L of the error at the largest L",
        claims=("independent-layers", "order-of-independent"),
    )
    third, third_roads = sqrt_layers(net, X, shared)
    edge, edge_road = step_edge(config)
    draws_of_stacks = 2000 if config.full else 500
    chains, chain_roads = perceptron(config, draws_of_stacks)
    stack, stack_road = shared_stack(config, 8 * draws_of_stacks)
    return Result(
        claims=[
            limits, *as_stated(orders, uniform, chains[:2], ntk_limits()), *orders, numbers,
            _width([ntk, covariance]), _depth([ntk, covariance]), _together(ntk), uniform, plane,
            _layers(layers, error, gap), third, *independent_orders(config, net, X, powers_of_two(4, 8), coupled),
            edge, *chains, stack,
        ],
        agreements=[
            extrapolated, *roads(config, net, X, ntk, covariance), means, constants, plane_road, drift, *third_roads,
            layers_road(config, net, X), edge_road, *chain_roads, stack_road,
        ],
        experiment=(
            rf"Softplus networks, $T = 1$, all $\sigma$ = 1, at {COUNT} images of digits (3 and 8) and {COUNT} points "
            r"of the sphere $S^{63}$: $K_\theta$ and the covariance of $f$ given $(U, W)$ on a grid of widths $n$ and "
            r"depths $L$, either of them up to $\infty$. At $n = \infty$ both are deterministic and computed without "
            r"randomness, for ResNets by the recursion of their layers; at $L = \infty$ the network is the Neural ODE "
            r"with the same $\theta$. Given $(U, W)$ the output is exactly Gaussian at every width, so its law "
            r"converges when that covariance does. Distances are Frobenius norms relative to the limit of both. Then "
            r"the same ResNets with independent weights in every layer, and linear networks in closed form."
        ),
        size={"n": widths.astype(int), "d": DIM, "N": len(X), "L": depths.astype(int), "draws": draws,
              "independent layers: draws": coupled},
        figure=figure(config, ntk, layers, error, gap),
        alt=(
            "Four panels. First: the plane of width and depth, infinity included, with the relative distance of the "
            "NTK to its limit as colours and numbers; measured and predicted numbers run together, and the distance "
            "vanishes towards the corner where both are infinite. Then, log-log: distance against width at fixed "
            "depth, falling with slope minus one half until the error of the depth shows; and distance to the Neural "
            "ODE of the same network against depth, falling with slope minus one at all widths, infinite width and "
            "independent layers included. Last: the size of the last layer without skip connection against depth over "
            "width; with weights of their own the widths share one curve that falls from one to zero, with shared "
            "weights it rises without bound."
        ),
        caption=(
            r"Above: root mean square of $\|K_\theta^L - K_\infty\| / \|K_\infty\|$ over networks, and in brackets "
            r"$\sqrt{c^2/n + \|K_\infty^L - K_\infty\|^2 / \|K_\infty\|^2}$ with one constant $c$ (at $n = \infty$: "
            r"$C/L$). Middle: the same at fixed depth. Then ResNets against the Neural ODE with the same $\theta$. "
            r"Below: linear stacks without the skip connection. At fixed $L/n$ their size does not tend to that of "
            r"$n \to \infty$ first (shared weights: means over 500 networks with 95 % intervals)."
        ),
        tables=[plane_table(ntk, "the NTK"), rate_table(ntk, covariance)],
    )  # fmt: skip


# The two orders


def _order(name: str, what: str, plane: Plane, origin: Origin = Origin.OURS) -> Claim:
    """Both iterated limits, in units of the limit itself: ≠ in (10), = by theorem 1."""
    first, error = plane.deep_after_wide
    second, half, wider = at_infinite_width(plane.along[:, :, -1], plane.widths)
    apart = second - first
    if abs(apart) > wider + error:
        verdict = Verdict.FAILS
    else:
        verdict = Verdict.HOLDS_WITH_SCOPE if wider + error <= RESOLUTION else Verdict.UNDECIDED
    return Claim(
        name,
        rf"Both orders give one limit for {what}, to {RESOLUTION:.0%} (measured: relative difference of the two "
        r"iterated limits; the one with $L \to \infty$ first extrapolates random networks to $n = \infty$; "
        rf"{decided(apart - wider - error, apart + wider + error)}).",
        verdict,
        measured=apart,
        predicted=0,
        uncertainty=half + error,
        scope=(
            r"The sign $\neq$ in (10) says what may happen, as in (11). For these networks, with shared weights and "
            r"the step $T/L$, it does not: Theorem 1 says so, and no difference is seen."
            if verdict is Verdict.HOLDS_WITH_SCOPE else "" if verdict is Verdict.FAILS
            else f"The interval is wider than {RESOLUTION:.0%}."
        ),
        origin=origin,
    )  # fmt: skip


# Rates in both directions


def _width(both: list[Plane]) -> Claim:
    wide = both[0].widths >= WIDE
    found = [mean_square_exponent(plane.square[:, wide, -1], plane.widths[wide]) for plane in both]
    verdict = jointly(meets(slope - wider, slope + wider, -0.5) for slope, _, wider in found)
    slope, half, wider = max(found, key=lambda one: abs(one[0] + 0.5))
    return Claim(
        "width-rate",
        r"$L \to \infty$ first: NTK and covariance of $f$ of the Neural ODE approach their limits as $n^{-1/2}$ in the "
        r"root mean square (measured: the exponent over $n \ge 64$ furthest from $-1/2$; "
        rf"{decided(slope - wider, slope + wider)}).",
        verdict,
        measured=slope,
        predicted=-0.5,
        uncertainty=half,
        scope=REACHES_ZERO if verdict is Verdict.UNDECIDED else "",
    )


def _depth(both: list[Plane]) -> Claim:
    """At infinite width and for every finite one, over the depths from 16 on."""
    slopes = []
    for plane in both:
        deep = plane.depths >= 16
        slopes.append(power_law(plane.depths[deep], plane.bias[deep]).slope)
        mean = np.sqrt(plane.in_depth.mean(axis=0))
        slopes += [power_law(plane.depths[deep], row[deep]).slope for row in mean]
    worst = max(slopes, key=lambda slope: abs(slope + 1))
    return Claim(
        "depth-rate",
        r"$n \to \infty$ first, and at each of the widths "
        rf"$n = {both[0].widths[0]:g}, \dots, {both[0].widths[-1]:g}$ too, NTK and covariance of $f$ of ResNets "
        rf"approach those of the Neural ODE as $1/L$: exponents over $L \ge 16$ are $-1 \pm {TOLERANCE}$ (measured: "
        r"the one furthest from $-1$). That the rate is one for all widths is why the limits can be exchanged.",
        Verdict.HOLDS if abs(worst + 1) <= TOLERANCE else Verdict.FAILS,
        measured=worst,
        predicted=-1,
        uncertainty=float(np.std(slopes)),
    )


def _together(plane: Plane) -> Claim:
    """The path L = n/4 through the grid, from `WIDE` on."""
    pairs = [(i, j) for i, n in enumerate(plane.widths) for j, L in enumerate(plane.depths) if n == 4 * L and n >= WIDE]
    square = np.stack([plane.square[:, i, j] for i, j in pairs], axis=1)
    widths = plane.widths[[i for i, _ in pairs]]
    slope, half, wider = mean_square_exponent(square, widths)
    low, high = slope - wider, slope + wider
    verdict = meets(low, high, -0.5)
    return Claim(
        "together",
        r"With both limits at once, $L = n/4 \to \infty$, the NTK approaches the same $K_\infty$ as $n^{-1/2}$ "
        rf"(measured: the exponent over $n = {widths[0]:g}, \dots, {widths[-1]:g}$; {decided(low, high)}).",
        verdict,
        measured=slope,
        predicted=-0.5,
        uncertainty=half,
        scope=REACHES_ZERO if verdict is Verdict.UNDECIDED else "",
    )


def _layers(layers: Array, error: Array, gap: float) -> Claim:
    deep = layers >= 16
    fit = power_law(layers[deep], error[deep])
    holds = abs(fit.slope + 1) <= TOLERANCE and gap > 2 * error[-1]
    return Claim(
        "independent-layers",
        r"What does matter is the sharing of weights: with independent layers and the step $T/L$ the kernel tends, as "
        r"$1/L$, to $\sigma_v^2 [E \phi\bar\phi + q E \phi'\bar\phi']$ at $h_T = h_0$, and not to $K_\infty$ "
        rf"(measured: the exponent; {second_term(TOLERANCE, 16, -1)}; the two limits are {gap:.0%} of "
        r"$K_\infty$ apart, more than twice the error at the largest $L$).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=fit.slope,
        predicted=-1,
        uncertainty=fit.uncertainty,
    )
