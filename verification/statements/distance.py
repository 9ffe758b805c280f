"""Figure (b): in training θ stays near θ^0, at a distance that grows neither with the steps nor with the width."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verification import Claim, Config, Origin, Result, Verdict
from verification.statements._data import DIM
from verification.statements._distance_report import figure, tables
from verification.statements._distance_roads import closed_form, descents, sum_of_blocks
from verification.statements._distances import EXPONENTS, Distances, distances
from verification.statements._exponents import Exponent, Limit, exponent
from verification.statements._spectra_roads import limiting_spectrum
from verification.statements._wide_training import BLOCKS, COUNT, trained

ID = "distance"
TITLE = "The parameters stay near their initialization"
CLAIM = (
    r"The slides show the distance from initialization for several widths and print no formula. What the figure is "
    r"meant to support, in our words: $\|\theta^k - \theta^0\|$ stays bounded in $k$ and does not grow with $n$, so "
    r"that the relative distance $\|\theta^k - \theta^0\| / \|\theta^0\|$ vanishes as $n \to \infty$."
)

BALL = 2.0
"""Radius of the ball around θ^0, in units of the distance at which the linearised theory ends."""


def run(config: Config) -> Result:
    studies = trained(config)
    found = [distances(study) for study in studies]
    first = studies[0]
    return Result(
        claims=[
            _bounded(found, first.steps), _width(found), _limit(found), _path(found), _relative(found), _blocks(found),
            _entries(found),
        ],
        agreements=[
            *(closed_form(study) for study in studies), *(sum_of_blocks(case) for case in found),
            *(limiting_spectrum(study).on("bounded", "limit", "path") for study in studies),
            *(descents(study) for study in studies),
        ],
        experiment=(
            rf"Gradient descent (5) on {COUNT} images of digits (3 and 8) and, apart from them, on {COUNT} random "
            rf"points of the sphere $S^{{63}}$, targets $\pm 1$, $T = 1$, {first.steps} steps with "
            r"$\eta = 3/(4 \lambda_{\max}(K_\infty))$ for every width $n$; independent networks. The prediction is "
            r"that of the linearised dynamics (8) with the kernel $K_\infty$ from the network's own $u^0$: with the "
            r"eigenvalues $\lambda_i$ and eigenvectors $q_i$ of $K_\infty$ and $c_i = \langle q_i, u^0 - y \rangle$, "
            r"$\|\theta^k - \theta^0\|^2 = \sum_i (1 - (1 - \eta \lambda_i)^k)^2 c_i^2 / \lambda_i$, which rises to "
            r"$(u^0 - y)^\top K_\infty^{-1} (u^0 - y)$; for the blocks $U$, $W$, $v$ with their parts of $K_\infty$."
        ),
        size={
            "n": first.widths.astype(int), "d": DIM, "N": COUNT, "networks": first.draws, "steps": first.steps,
            "activations": [study.activation for study in studies],
        },
        figure=figure(found[0]),
        alt=(
            "Four panels. Distance from initialization against the step, for digits and for random points: for every "
            "width the measured curve follows the dashed prediction and stays below its dotted end, and the curves of "
            "different widths lie together. Relative distance against width: W and all parameters fall nearly like "
            "one over n, U and v like one over its square root, on the dashed predictions. Largest change of one entry "
            "over the whole distance: falls nearly like one over the square root of n."
        ),
        caption=(
            rf"{first.activation}, root mean square over {first.draws} networks. Top: dashed the prediction of the "
            r"linearised theory for the same networks, dotted its end $k \to \infty$ for the widest. Bottom: at the "
            r"last step, with the predicted values (dashed, left) and the predicted slope (right)."
        ),
        tables=tables(found),
    )  # fmt: skip


# The distance


def _bounded(found: Sequence[Distances], steps: int) -> Claim:
    ratios = [case.measured[..., 0, :].max(axis=-1) / case.end for case in found]
    largest, widest = max(float(x.max()) for x in ratios), max(float(x[:, -1].max()) for x in ratios)
    networks = sum(x.size for x in ratios)
    verdict = Verdict.HOLDS_WITH_SCOPE if widest <= BALL else Verdict.FAILS
    return Claim(
        "bounded",
        rf"The distance stays bounded in $k$: none of the {networks} networks that were trained leaves the ball around "
        r"$\theta^0$ whose radius is twice the distance at which the linearised theory ends (measured: the largest "
        rf"distance of a network at the largest width, over that end; {largest:.2f} over all widths).",
        verdict,
        measured=widest,
        predicted=r"$\le 1$ for $n \to \infty$; $\le 2$",
        scope=rf"For the first {steps} steps, before every part of the distance has come to its end."
        + ("" if largest <= BALL else " Not for some narrow networks."),
        origin=Origin.PAPER,
    )


def _width(found: Sequence[Distances]) -> Claim:
    slopes = [(exponent(case.study.widths, case.measured[..., 0, -1]), case) for case in found]
    worst, case = max(slopes, key=lambda pair: pair[0].value / pair[0].wider)
    grows = worst.value > worst.wider
    nears = case.nears(0)
    return Claim(
        "width",
        r"The distance at the last step is not seen to grow with the width (measured: its exponent in $n$; "
        rf"{worst.decided}: growth faster than $n^{{{max(worst.value + worst.wider, 0.0):.2f}}}$ is excluded).",
        Verdict.HOLDS if not grows else Verdict.UNDECIDED if nears else Verdict.FAILS,
        measured=worst.value,
        predicted=0,
        uncertainty=worst.half,
        scope="It grows over these widths, but towards the prediction, which does not." if grows and nears else "",
        origin=Origin.PAPER,
    )


def _limit(found: Sequence[Distances]) -> Claim:
    limits = [Limit.of(np.concatenate(list(np.swapaxes(case.ratio, 1, 2))), case.study.widths) for case in found]
    worst = max(limits, key=lambda limit: limit.score)
    verdict = worst.verdict()
    return Claim(
        "limit",
        r"In the limit of infinite width the distance is that of the linearised theory: the mean of measured over "
        r"predicted at the last step, extrapolated to $n = \infty$ with a bias $C/n$, is one (measured: that mean; "
        f"{worst.decided}).",
        verdict,
        measured=worst.value,
        predicted=1,
        uncertainty=worst.half,
        scope=worst.scope(verdict),
    )


def _path(found: Sequence[Distances]) -> Claim:
    slopes = [exponent(case.study.widths, case.deviation) for case in found]
    worst = max(slopes, key=lambda e: abs(e.value + 0.5) / e.wider)
    verdict = worst.meets(-0.5)
    return Claim(
        "path",
        r"At every step the distances of $U$, $W$ and $v$ are off those of the linearised theory as $n^{-1/2}$ "
        r"(measured: the exponent of the largest deviation over all steps, root mean square over the three blocks; "
        f"{worst.decided}).",
        verdict,
        measured=worst.value,
        predicted=-0.5,
        uncertainty=worst.half,
        scope=worst.scope(verdict),
    )


# The relative distance


def _unless(nears: bool, found: Exponent, verdict: Verdict) -> tuple[Verdict, str]:
    """`verdict` and its scope; an exponent that misses is no refutation while the distance nears the prediction."""
    if verdict is Verdict.FAILS and nears:
        return Verdict.UNDECIDED, "The exponent misses its prediction, but the distance nears the predicted one."
    return verdict, found.scope(verdict)


def _relative(found: Sequence[Distances]) -> Claim:
    pairs = []
    for case in found:
        logs, x = np.log(case.norms[:, 0]), np.log(case.study.widths)
        predicted = -float(np.polyfit(x, logs, 1)[0])
        pairs.append((exponent(case.study.widths, case.relative[..., 0]), predicted, case.nears(0)))
    worst, predicted, nears = max(pairs, key=lambda found: abs(found[0].value - found[1]) / found[0].wider)
    verdict, scope = _unless(nears, worst, worst.meets(predicted))
    return Claim(
        "relative",
        r"The relative distance $\|\theta^k - \theta^0\| / \|\theta^0\|$ falls as $1/n$ for large $n$, because "
        rf"$\|\theta^0\|^2 \approx n^2 + (d + 1) n$; with $d = {DIM}$ that is the predicted exponent at these widths "
        f"(measured: its exponent; {worst.decided}).",
        verdict,
        measured=worst.value,
        predicted=predicted,
        uncertainty=worst.half,
        scope=scope,
    )


def _blocks(found: Sequence[Distances]) -> Claim:
    slopes: list[tuple[str, Exponent, bool]] = [
        (block, exponent(case.study.widths, case.relative[..., i]), case.nears(i))
        for case in found
        for i, block in enumerate(BLOCKS)
        if block in EXPONENTS
    ]
    block, worst, nears = max(slopes, key=lambda found: abs(found[1].value - EXPONENTS[found[0]]) / found[1].wider)
    verdict, scope = _unless(nears, worst, worst.meets(EXPONENTS[block]))
    values = ", ".join(f"${name}$: {e.value:.2f} ± {e.half:.2f}" for name, e, _ in slopes[: len(EXPONENTS)])
    return Claim(
        "blocks",
        r"Block by block the relative distance falls as $n^{-1}$ for $W$ with its $n^2$ entries, and as $n^{-1/2}$ for "
        rf"$U$ and $v$ ({values}; measured: the one furthest from its prediction in its own error, ${block}$; "
        f"{worst.decided}).",
        verdict,
        measured=worst.value,
        predicted=EXPONENTS[block],
        uncertainty=worst.half,
        scope=scope,
    )


def _entries(found: Sequence[Distances]) -> Claim:
    """Entries of v change by n^{-1/2} Σ_i a_i φ(h_T(x_i)): the largest of n such numbers adds a factor √log n."""
    slopes = [
        (exponent(case.study.widths, case.entry / case.measured[..., 0, -1]), 0.5 / np.log(case.study.widths[0]))
        for case in found
    ]
    worst, logarithm = max(slopes, key=lambda pair: pair[0].value)
    nearest = float(np.clip(worst.value, -0.5, -0.5 + logarithm))
    verdict = worst.meets(nearest)
    return Claim(
        "entries",
        r"No single entry carries the change: the largest change of an entry of $\theta$, over $\|\theta^k - "
        r"\theta^0\|$, falls as $\sqrt{\log n / n}$ (measured: its exponent, to which the logarithm adds at most "
        rf"{logarithm:.2f} at these widths; {worst.decided}).",
        verdict,
        measured=worst.value,
        predicted=f"$-1/2$ to ${-0.5 + logarithm:.2f}$",
        uncertainty=worst.half,
        scope=worst.scope(verdict),
    )
