"""Proposition 3: the limiting kernel K_∞ is strictly positive definite, if φ is neither linear nor a polynomial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refimpl.data import sphere
from verification import Agreement, Claim, Config, Origin, Result, Verdict
from verification.fit import power_law, second_term
from verification.numerals import lower
from verification.statements import _prop3_roads as roads
from verification.statements._data import Array, inputs
from verification.statements._gram import (
    DEPTH_INPUTS,
    MARGIN,
    SOURCES,
    Depths,
    Grams,
    by_depth,
    gram_matrices,
    pair_by_pair,
    powers,
    within_hypothesis,
)
from verification.statements._hypotheses import as_stated, kernel_ranks, other_parities, polynomials, repaired
from verification.statements._prop3_certificates import below_noise, null_vectors, off_the_sphere
from verification.statements._prop3_figures import depth_table, draw, rank_table, spectrum_table
from verification.statements._prop3_horizon import horizon
from verification.statements._prop3_inputs import every_input
from verification.statements._prop3_perceptrons import contrast
from verification.statements._statistics import near, off_within_uncertainty

ID = "prop3"
TITLE = "The limiting kernel is strictly positive definite"
CLAIM = (
    r"Suppose $\phi$ and $\phi'$ are Lipschitz continuous. If $\phi$ is nonlinear and non-polynomial, then the "
    r"limiting NTK $K_\infty$ is strictly positive definite (for inputs $x_i \in S^{d-1}$ with $x_i \ne x_j$)."
)

SHALLOWEST = 16
"""Smallest depth in the fits of 1/L."""

TOLERANCE = 0.05
"""Largest deviation of a slope that the next term, O(L⁻²), explains at these depths."""


def run(config: Config) -> Result:
    counts = [4, 8, 16, 32, 64, *([128, 256] if config.full else [])]
    X = {
        "digits": inputs(config, counts[-1])["digits"],
        "sphere": sphere(counts[-1], 3, seed=config.rng("S2")),
    }
    smooth = ["softplus", "tanh", "gelu", "cos", *(["erf", "sin", "silu", "sigmoid"] if config.full else [])]
    limits = {name: gram_matrices(name, X) for name in config.progress([*smooth, "relu"], "activation")}
    deepest = {"softplus": 64, "gelu": 128, "cos": 128, "relu": 128}
    if config.full:
        deepest = {"softplus": 128, "tanh": 128, "gelu": 512, "cos": 512, "erf": 512, "relu": 512}
    few = {source: points[:DEPTH_INPUTS] for source, points in X.items()}
    deep = {name: by_depth(name, L, few) for name, L in config.progress(deepest.items(), "depth")}
    ranks = kernel_ranks(X)
    sets = [(name, source, N) for name in smooth for source in X for N in counts]
    unseen, proofs = below_noise()
    lines, extrapolated = every_input()
    times, slopes, horizons = horizon(config)
    perceptrons, duals = contrast(X["sphere"], deep)
    (positive, again), (mended, series), (others, pairs) = (
        _positive(limits, sets, X), repaired(), other_parities(config),
    )  # fmt: skip
    (nulls, images), (beyond, at_zero) = null_vectors(config), off_the_sphere()
    return Result(
        claims=[
            as_stated(), positive, mended, others, unseen, nulls, *lines, beyond,
            _depth(deep, limits), perceptrons, *times, _outside(limits, counts[-1]), *polynomials(ranks),
        ],
        agreements=[
            roads.antipodal(config), roads.by_hand(limits, few), roads.other_scheme(limits, X, smooth), again, series,
            pairs, *proofs, *images, *extrapolated, at_zero, *roads.extrapolated(deep, limits),
            *roads.one_layer(X["sphere"]), *duals, *slopes, roads.bessel(X["sphere"]),
            roads.quadratic(X["sphere"][:64], ranks[-2][-1]),
        ],
        experiment=(
            r"Gram matrices of $K_\infty$ and $K_\infty^L$, $T = 1$, on images of digits (3 and 8) in $S^{63}$ and on "
            r"random points of $S^2$, where the spectrum falls faster. The smallest eigenvalue counts as positive only "
            rf"above {MARGIN:g} times the noise floor $N (\varepsilon \lambda_{{\max}} + \delta)$, $\delta$ the error "
            r"bound of the entries. Then inputs with antipodal pairs $x, -x$, inputs on a line, horizons from $1/256$ "
            r"to 2, and polynomials $\phi$."
        ),
        size={
            "N": counts, "d": [X["digits"].shape[1], 3], "activations": [*limits, "identity", "quadratic"],
            "L": f"1 to {max(deepest.values())}",
        },
        figure=draw(deep, limits, counts, smooth),
        alt=(
            "Three log-log panels. Above: smallest eigenvalue of the kernel of infinitely wide ResNets against depth "
            f"on {DEPTH_INPUTS} digits; each activation levels off at its own dotted line, the Neural ODE. "
            "Middle and below: smallest eigenvalue of the limiting kernel against the number of inputs, for digits and "
            "for points on the sphere in three dimensions; all curves fall, slowly for digits, fastest for softplus "
            "on the sphere, and stay above the grey region of rounding noise up to 64 inputs."
        ),
        caption=(
            r"Smallest eigenvalue of $K_\infty^L$ against depth (dotted: $K_\infty$), and of $K_\infty$ against the "
            r"number of inputs; in the grey region double precision cannot tell its sign (smooth $\phi$)."
        ),
        tables=[spectrum_table(limits, counts), depth_table(deep, limits), horizons, rank_table(ranks)],
        scope=(
            r"Positive smallest eigenvalues on finitely many inputs do not prove strict positive definiteness for all: "
            r"for that there is an argument (Mathematics, “All inputs”). A null vector, as for odd $\phi$, refutes it."
        ),
    )  # fmt: skip


def _positive(limits: Grams, sets: Sequence[tuple[str, str, int]], X: Mapping[str, Array]) -> tuple[Claim, Agreement]:
    grams = {key: limits[key[0]][key[1]].leading(key[2]) for key in sets}
    seen = {key: gram for key, gram in grams.items() if gram.positive}
    negative = [key for key, gram in grams.items() if gram.positive is False]
    undecided = [key for key, gram in grams.items() if gram.positive is None]
    verdict = Verdict.FAILS if negative else Verdict.HOLDS_WITH_SCOPE if undecided else Verdict.HOLDS
    if not seen:
        verdict = Verdict.UNDECIDED
    (name, source, N), least = min((seen or grams).items(), key=lambda item: item[1].smallest)
    left = ", ".join(f"{name} with {N} points of {SOURCES[source]}" for name, source, N in undecided)
    return Claim(
        "no-antipodal-pairs",
        rf"On these digits and points, none of them antipodal, $\lambda_{{\min}}(K_\infty)$ is positive and at least "
        rf"{MARGIN:g} noise floors large (measured: the smallest, for {name} with $N = {N}$ on {SOURCES[source]}; "
        "uncertainty: its noise floor).",
        verdict,
        measured=least.smallest,
        predicted="> 0",
        uncertainty=least.floor,
        scope=f"Undecided in double precision: {left}." if left else "",
        origin=Origin.PAPER,
    ), pair_by_pair(name, X[source][:N], least, "no-antipodal-pairs")


def _depth(deep: Depths, limits: Grams) -> Claim:
    slopes, ratios, visible = [], [], True
    for name, grams in within_hypothesis(deep).items():
        for source in SOURCES:
            found = [gram[source] for gram in grams]
            smallest = np.asarray([gram.smallest for gram in found])
            limit = limits[name][source].leading(DEPTH_INPUTS).smallest
            far = powers(grams) >= SHALLOWEST
            slopes.append(power_law(powers(grams)[far], np.abs(smallest - limit)[far]))
            ratios.append(float(smallest.min() / limit))
            visible = visible and all(gram.positive for gram in found)
    worst = max(slopes, key=lambda fit: abs(fit.slope + 1))
    verdict = near(worst.slope, -1.0, TOLERANCE, worst.uncertainty) if visible else Verdict.FAILS
    return Claim(
        "depth",
        r"The spectrum does not degenerate with depth on these inputs: $\lambda_{\min}(K_\infty^L)$ stays above "
        rf"{lower(min(ratios))} of $\lambda_{{\min}}(K_\infty) > 0$ for all $L \ge 1$ tried and approaches it as $1/L$ "
        rf"(measured: the slope furthest from $-1$, of {len(slopes)}; "
        rf"{second_term(TOLERANCE, SHALLOWEST, -1)}).",
        verdict,
        measured=worst.slope,
        predicted=-1,
        uncertainty=worst.uncertainty,
        scope=off_within_uncertainty(TOLERANCE) if verdict is Verdict.UNDECIDED else "",
    )


def _outside(limits: Grams, N: int) -> Claim:
    gram = min((limits["relu"][source].leading(N) for source in SOURCES), key=lambda gram: gram.smallest)
    return Claim(
        "relu",
        rf"ReLU, outside the hypothesis because $\phi'$ jumps: $\lambda_{{\min}}(K_\infty) > 0$ on the same inputs "
        rf"(measured: the smaller one at $N = {N}$).",
        Verdict.HOLDS if gram.positive else Verdict.UNDECIDED,
        measured=gram.smallest,
        predicted="> 0",
        uncertainty=gram.floor,
        scope="" if gram.positive else "Below the noise floor.",
    )
