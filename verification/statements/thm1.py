"""Theorem 1: the NTK of wide Neural ODEs converges to K_∞, and the NTKs K_∞^L of ResNets converge to it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from verification import Claim, Config, Origin, Result, Verdict
from verification.fit import second_term
from verification.statements._data import DIM, inputs
from verification.statements._depths import SHALLOWEST, Depths, apart, layer_roads, limit_roads, resnets
from verification.statements._statistics import (
    DOUBTED,
    LEVEL,
    RESOLUTION,
    decided,
    equal,
    jointly,
    mean_square_exponent,
    meets,
    slopes,
    student,
)
from verification.statements._thm1_edges import direction, factors
from verification.statements._thm1_figures import depth_table, draw, width_table
from verification.statements._thm1_quadratic import conditioned, conditioned_roads, escape_exponent, quadratic_size
from verification.statements._thm1_rates import ensembles, rate_size, rate_table, rates
from verification.statements._thm1_roads import control_road, exponential_road, finite_road, pairing_roads
from verification.statements._widths import Widths, finite_roads, monte_carlo, nested

ID = "thm1"
TITLE = "The NTK converges to a deterministic kernel, whichever limit is taken first"
CLAIM = (
    r"If $\phi$ and $\phi'$ are Lipschitz, then $K_\theta \to K_\infty$ almost surely as $n \to \infty$; $K_\infty$ is "
    r"deterministic and equals the limit of the kernels $K_\infty^L$ of ResNets as $L \to \infty$."
)

COUNT = 8
"""Inputs from each source."""

TOLERANCE = 0.03
"""Largest deviation of a slope that the next term, O(L⁻²), explains at these depths."""

GROWTH = 0.05
"""Largest deviation of the exponent of a block from 1, beside its interval: a bias r/n moves it by |r|/n."""

PARAMETERISATION = (
    r"The theorem holds in the NTK parameterisation: the entries of $W$ are $N(0, 1)$ and the factor $1/\sqrt{n}$ "
    r"stands in front. With respect to the literal parameters $W_{ij} \sim N(0, 1/n)$ the kernel (9) of the same "
    r"function grows linearly in $n$ and has no limit."
)

REACHES_ZERO = f"The {LEVEL:.1%} interval of the exponent reaches 0: too few paths."


def run(config: Config) -> Result:
    X = inputs(config, COUNT)
    stacked = np.concatenate(list(X.values()))
    rows = {source: slice(i * COUNT, (i + 1) * COUNT) for i, source in enumerate(X)}
    plan = {"softplus": (48, 2048), "tanh": (48, 1024)} if config.full else {"softplus": (48, 512)}
    wide = [nested(config, activation, *size, stacked) for activation, size in plan.items()]
    deepest = {"softplus": 256, "tanh": 256, "gelu": 256, "relu": 256}
    if config.full:
        deepest = {"softplus": 1024, "tanh": 1024, "gelu": 1024, "relu": 1024, "erf": 1024, "silu": 1024}
    probes = stacked[[0, 1, COUNT]]
    deep = [resnets(activation, L, probes) for activation, L in config.progress(deepest.items(), "depth")]
    relu = next(found for found in deep if found.activation == "relu")
    smooth = [found for found in deep if found is not relu]
    many = ensembles(config)
    (by_block, block_road), (astray, direction_road), (escaping, escape_roads) = (
        factors(config), direction(), escape_exponent(config),
    )  # fmt: skip
    of_rates, recorded = rates(config, many)
    steepest = max(smooth, key=lambda found: abs(found.slope.slope + 1))
    return Result(
        claims=[
            _fluctuation(wide, rows), _mean(wide), _paths(wide), *of_rates,
            _depth_rate(smooth), _one_limit(smooth), _outside(relu),
            _parameters(wide[0]), by_block, astray, escaping, conditioned(config),
        ],
        agreements=[
            *limit_roads(deep, probes), *layer_roads(steepest, relu, probes), *finite_roads(config, stacked),
            *(monte_carlo(found) for found in wide), pairing_roads(), finite_road(config), exponential_road(config),
            control_road(many), *recorded, block_road, direction_road, *escape_roads, *conditioned_roads(config),
        ],
        experiment=(
            rf"$K_\theta$ of Neural ODEs with $T = 1$ and growing width $n$, at {COUNT} images of digits (3 and 8) and "
            rf"{COUNT} random points of the sphere $S^{{63}}$, against $K_\infty$. Each path is one infinite random "
            r"array $(U, W, v)$ of $N(0, 1)$ entries; the network of width $n$ is its upper left block, so that one "
            r"array gives a whole sequence $n \to \infty$. Then $K_\infty^L$ of ResNets of depth $L$ against "
            r"$K_\infty$, for one input with itself and two others. Intervals come from the independent paths. "
            r"Mean and spread apart are measured on thousands of small independent networks, the mean with control "
            r"variates; networks with $\phi(z) = z^2/2$ are told apart by whether they reach $T$."
        ),
        size={
            "n": wide[0].widths.astype(int), "d": DIM, "N": 2 * COUNT,
            "L": f"1 to {max(deepest.values())}", "activations": list(deepest), "activations in width": list(plan),
            "paths in width": [len(case.kernel) for case in wide],
            **rate_size(many), **quadratic_size(config),
        },
        figure=draw(wide[0], rows, deep, many[0]),
        alt=(
            "Three log-log panels. Above: relative error of the NTK against width, for digits and for points on the "
            "sphere, with thin lines for single nested networks; the means fall along the dashed line of slope minus "
            "one half. Middle: standard deviation and mean of the error of small networks against width, along dashed "
            "lines of slopes minus one half and minus one. Below: relative difference between the limiting kernels of "
            "ResNets and of the Neural ODE against depth; from depth 16 on all activations are parallel "
            "to the dashed line of slope minus one."
        ),
        caption=(
            rf"Above: {wide[0].activation}, root mean square over {len(wide[0].kernel)} paths with 95 % intervals, and "
            r"six single paths on the digits alone (thin), which need not fall at every step. "
            r"Middle: mean and spread over thousands of networks. "
            r"Below: infinitely wide ResNets; ReLU is outside the hypothesis."
        ),
        tables=[width_table(wide, rows), rate_table(config, many), depth_table(deep)],
        scope=(
            "Almost sure convergence is a statement on infinitely many widths of almost every array: finitely many "
            "widths and paths are consistent with it and cannot prove it."
        ),
    )  # fmt: skip


# Width: K_θ → K_∞


def _fluctuation(wide: Sequence[Widths], rows: Mapping[str, slice]) -> Claim:
    """Exponent of the root mean square over paths, which are independent; the widths of one path are not."""
    found = [mean_square_exponent(case.error(part) ** 2, case.widths) for case in wide for part in rows.values()]
    verdict = jointly(meets(slope - wider, slope + wider, -0.5) for slope, _, wider in found)
    slope, half, wider = max(found, key=lambda one: abs(one[0] + 0.5))
    return Claim(
        "width",
        r"$K_\theta \to K_\infty$: the root mean square of $\|K_\theta - K_\infty\| / \|K_\infty\|$ over random "
        r"networks decays as $n^{-1/2}$ (measured: the exponent furthest from $-1/2$; "
        rf"{decided(slope - wider, slope + wider)}).",
        Verdict.HOLDS_WITH_SCOPE if verdict is Verdict.HOLDS else verdict,
        measured=slope,
        predicted=-0.5,
        uncertainty=half,
        scope=PARAMETERISATION if verdict is Verdict.HOLDS else REACHES_ZERO,
    )


def _mean(wide: Sequence[Widths]) -> Claim:
    """Regress each path's error on 1 and 1/n: independent paths make the intercepts independent."""
    results = []
    for case in wide:
        weights = np.sqrt(case.widths)  # the variance falls like 1/n
        design = np.stack([np.ones_like(case.widths), 1 / case.widths], axis=1)
        solve = np.linalg.pinv(design * weights[:, None]) * weights
        results.append(student(case.along_limit @ solve[0]))
    mean, half, wider = max(results, key=lambda result: abs(result[0]) / result[2])
    return Claim(
        "mean",
        r"Along $K_\infty$ the limit is no other kernel: the mean of $\langle K_\theta - K_\infty, K_\infty \rangle / "
        rf"\|K_\infty\|^2$, extrapolated to $n = \infty$ with a bias $C/n$, is zero, to within {RESOLUTION:.0%} "
        rf"({decided(mean - wider, mean + wider)}).",
        Verdict.FAILS if abs(mean) > wider else Verdict.HOLDS if wider <= RESOLUTION else Verdict.UNDECIDED,
        measured=mean,
        predicted=0,
        uncertainty=half,
        scope="" if abs(mean) > wider or wider <= RESOLUTION else f"The interval is wider than {RESOLUTION:.0%}.",
        origin=Origin.PAPER,
    )


def _paths(wide: Sequence[Widths]) -> Claim:
    errors = [(case.error(slice(None)), case.widths) for case in wide]
    closer = sum(int(np.sum(error[:, -1] < error[:, 0])) for error, _ in errors)
    everything = sum(len(error) for error, _ in errors)
    slope, half, wider = student(np.concatenate([slopes(*pair) for pair in errors]))
    verdict = meets(slope - wider, slope + wider, -0.5)
    return Claim(
        "paths",
        rf"Along nested networks single paths approach $K_\infty$, {closer} of {everything} of them with a smaller "
        r"error at the largest width than at the smallest (measured: the exponent of a path, in the mean; "
        rf"{decided(slope - wider, slope + wider)}).",
        verdict,
        measured=slope,
        predicted=-0.5,
        uncertainty=half,
        scope=REACHES_ZERO if verdict is Verdict.UNDECIDED else "",
    )


# Depth: K_∞^L → K_∞


def _depth_rate(deep: Sequence[Depths]) -> Claim:
    worst = max(deep, key=lambda found: abs(found.slope.slope + 1))
    return Claim(
        "depth",
        rf"$K_\infty^L$ approaches $K_\infty$ as $1/L$ for smooth $\phi$: the slope over $L \ge {SHALLOWEST}$ is "
        rf"$-1 \pm {TOLERANCE}$ (measured: {worst.activation}, the one furthest from $-1$).",
        Verdict.HOLDS if abs(worst.slope.slope + 1) <= TOLERANCE else Verdict.FAILS,
        measured=worst.slope.slope,
        predicted=-1,
        uncertainty=worst.slope.uncertainty,
    )


def _one_limit(deep: Sequence[Depths]) -> Claim:
    difference, allowed = max((apart(found) for found in deep), key=lambda pair: pair[0] / pair[1])
    verdict = equal(difference, allowed)
    return Claim(
        "same-limit",
        r"$\lim_{L \to \infty} K_\infty^L = K_\infty$ for smooth $\phi$: Richardson's limit of the ResNets alone meets "
        r"the kernel of the Neural ODE (measured: relative difference where it is largest beside its error estimate).",
        verdict,
        measured=difference,
        predicted=0,
        uncertainty=allowed,
        scope=DOUBTED if verdict is Verdict.UNDECIDED else "",
        origin=Origin.PAPER,
    )


def _outside(found: Depths) -> Claim:
    difference, allowed = apart(found)
    holds = abs(found.slope.slope + 1) <= TOLERANCE and difference <= allowed
    return Claim(
        "relu",
        r"ReLU, outside the hypothesis because $\phi'$ jumps: at infinite width $K_\infty^L$ still approaches "
        rf"$K_\infty$ as $1/L$ (measured: the slope; {second_term(TOLERANCE, SHALLOWEST, -1)}; relative "
        rf"difference of Richardson's limit: {difference:.0e}).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=found.slope.slope,
        predicted=-1,
        uncertainty=found.slope.uncertainty,
    )


# Parameters: which θ the theorem is about


def _parameters(case: Widths) -> Claim:
    slope, half, wider = student(slopes(case.weight_block, case.widths))
    total = student(slopes(np.linalg.norm(case.literal, axis=(2, 3)), case.widths))[0]
    diverges = abs(slope - 1) <= max(wider, GROWTH) and total > 0.5
    return Claim(
        "parameters",
        r"Which $\theta$: with $W_{ij} \sim N(0, 1/n)$ taken literally as the parameters, $f$ is the same function of "
        r"$x$, but $\nabla_W f$ is $\sqrt{n}$ times and the $W$ block of $K_\theta$ is $n$ times as large (measured: "
        rf"the exponent with which that block grows; that of all of $K_\theta$ is {total:.2f}, and must be above "
        rf"$1/2$; decided at $\pm {max(wider, GROWTH):.2g}$, the wider of {GROWTH} and the {LEVEL:.1%} interval).",
        Verdict.HOLDS_WITH_SCOPE if diverges else Verdict.FAILS,
        measured=slope,
        predicted=1,
        uncertainty=half,
        scope=PARAMETERISATION if diverges else "",
    )
