"""Figure (a): the eigenvalues of K_θ approach those of K_∞, and stay away from zero in all of training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from verification import Claim, Config, Origin, Result, Verdict
from verification.statements._data import DIM
from verification.statements._exponents import Limit, exponent, rms_exponent, spread_exponent
from verification.statements._initial_spectra import Spectra, initial_spectra, noise_floor, weyl_ratio
from verification.statements._spectra_report import figure, tables
from verification.statements._spectra_roads import (
    initial_spectrum,
    limiting_spectrum,
    trained_extremes,
    trained_spectrum,
)
from verification.statements._statistics import LEVEL, decided, jointly
from verification.statements._wide_training import COUNT, Problem, Run, Study, trained

ID = "spectra"
TITLE = "The spectrum of the NTK approaches that of the limiting kernel and stays away from zero"
CLAIM = (
    r"The slides show the eigenvalues of the NTK for several widths and print no formula. What the figure is meant to "
    r"support, in our words: every eigenvalue of $K_\theta$ approaches that of $K_\infty$ as $n \to \infty$, and "
    r"$\lambda_{\min}(K_\theta)$ stays away from zero at initialization and in training."
)

MARGIN = 10.0
"""An eigenvalue counts as positive above this many noise floors."""

HALF = 0.5
"""The share of λ_0 = λ_min(K_∞) below which proofs of global convergence must not let λ_min(K_θ) fall."""


def run(config: Config) -> Result:
    studies = trained(config)
    spectra = [found for study in studies for found in initial_spectra(config, study.net, study.problems)]
    first = studies[0]
    return Result(
        claims=[
            _limit(spectra), _positive(spectra), _training(studies),
            _fluctuation(spectra), _weyl(spectra, studies), _drift(studies),
        ],
        agreements=[
            *(limiting_spectrum(study) for study in studies), *(trained_spectrum(study) for study in studies),
            *(trained_extremes(study) for study in studies),
            *(initial_spectrum(config, case, _study(studies, case)) for case in spectra),
        ],
        experiment=(
            rf"$K_\theta$ of {len(spectra[0].kernel)} independent networks at each width $n$, $T = 1$, at {COUNT} "
            rf"images of digits (3 and 8) and, apart from them, {COUNT} random points of the sphere $S^{{63}}$, "
            r"against $K_\infty$. Then networks in training by gradient descent (5) with "
            rf"$\eta = 3/(4 \lambda_{{\max}}(K_\infty))$ and targets $\pm 1$, whose $K_\theta$ "
            rf"is looked at every {first.every} of {first.steps} steps. Means over networks "
            r"are extrapolated to $n = \infty$ with a bias $C/n$."
        ),
        size={
            "n": spectra[0].widths.astype(int), "n trained": first.widths.astype(int), "d": DIM, "N": COUNT,
            "networks": len(spectra[0].kernel), "networks trained": first.draws,
            "activations": [study.activation for study in studies],
        },
        figure=figure(spectra, first),
        alt=(
            "Six panels. Sorted eigenvalues of the NTK for several widths and of the limiting kernel, for digits and "
            "for random points: those of wide networks lie on those of the limit, over three decades for digits. Their "
            "relative spread over networks against width falls along the dashed line of slope minus one half. The "
            "smallest eigenvalue in training, relative to that of the limiting kernel, stays far above zero at every "
            "width, and closer to one for wider networks."
        ),
        caption=(
            rf"{first.activation}. Top: mean over networks at initialization, with the range that holds 90 % of them. "
            r"Middle: standard deviation over networks, relative to $\lambda_i(K_\infty)$. Bottom: "
            r"$\lambda_{\min}(K_{\theta^k}) / \lambda_{\min}(K_\infty)$, mean over networks and the lowest network at "
            r"each width; dashed: predicted for $n \to \infty$."
        ),
        tables=tables(spectra, studies),
    )  # fmt: skip


def _study(studies: Sequence[Study], case: Spectra) -> Study:
    return next(study for study in studies if study.activation == case.activation)


# At initialization


def _weyl(spectra: Sequence[Spectra], studies: Sequence[Study]) -> Claim:
    """A theorem: a ratio above 1, beyond rounding, would be an error of the computation."""
    ratios = [weyl_ratio(found.kernel, found.limit) for found in spectra]
    ratios += [float(study.each(lambda p, r: weyl_ratio(r.kernel, p.K)).max()) for study in studies]
    rounding = max(
        found.floor / float(np.linalg.norm(found.kernel - found.limit, ord=2, axis=(2, 3)).min()) for found in spectra
    )
    return Claim(
        "weyl",
        r"Every eigenvalue is at least as close as the kernel, $|\lambda_i(K_\theta) - \lambda_i(K_\infty)| \le "
        r"\|K_\theta - K_\infty\|_2$ (Weyl's inequality, a theorem), at initialization and in training (measured: the "
        r"largest ratio of the two sides).",
        Verdict.HOLDS if max(ratios) <= 1 + 2 * rounding else Verdict.FAILS,
        measured=max(ratios),
        predicted=r"$\le 1$",
        uncertainty=2 * rounding,
    )


def _fluctuation(spectra: Sequence[Spectra]) -> Claim:
    """The exponent of all eigenvalues together, and whether that of any single one contradicts it."""
    together, scores = [], []
    for case in spectra:
        ratio = case.eigenvalues / case.limits
        together.append(rms_exponent(case.widths, np.mean((ratio - ratio.mean(axis=0)) ** 2, axis=2)))
        slopes, errors = spread_exponent(case.eigenvalues, case.widths)
        scores += (np.abs(slopes + 0.5) / errors).tolist()
    verdict = jointly(e.meets(-0.5) for e in together)
    found = max((e for e in together if e.meets(-0.5) is verdict), key=lambda e: abs(e.value + 0.5))
    single = max(scores) <= _student_limit(len(spectra[0].kernel), len(scores))
    return Claim(
        "eigenvalues",
        r"The eigenvalues $\lambda_i(K_\theta)$ fluctuate over random networks as $n^{-1/2}$ relative to "
        r"$\lambda_i(K_\infty)$ (measured: the exponent of the standard deviation, all eigenvalues together; "
        rf"{found.decided}; {'none' if single else 'one'} of the {len(scores)} by itself contradicts it).",
        verdict if single else Verdict.FAILS,
        measured=found.value,
        predicted=-0.5,
        uncertainty=found.half,
        scope=found.scope(verdict),
    )


def _student_limit(draws: int, questions: int) -> float:
    """Standard errors that `LEVEL` allows for so many questions at once (Bonferroni)."""
    return float(stats.t.ppf(1 - (1 - LEVEL) / (2 * questions), draws - 1))


def _limit(spectra: Sequence[Spectra]) -> Claim:
    limits = [
        Limit.of(case.eigenvalues[:, :, i] / limit, case.widths)
        for case in spectra
        for i, limit in enumerate(case.limits)
    ]
    draws = len(spectra[0].kernel)
    worst = max(limits, key=lambda found: found.score)
    allowed = _student_limit(draws, len(limits)) / _student_limit(draws, 1)
    verdict, margin = worst.verdict(allowed), allowed * worst.wider
    return Claim(
        "limit",
        r"Each eigenvalue has the limit $\lambda_i(K_\infty)$: the mean of $\lambda_i(K_\theta) / \lambda_i(K_\infty)$ "
        r"over random networks, extrapolated to $n = \infty$, is one (measured: the one furthest from it in its own "
        rf"error, among {len(limits)}; {decided(worst.value - margin, worst.value + margin)}, for all at once).",
        verdict,
        measured=worst.value,
        predicted=1,
        uncertainty=worst.half,
        scope=worst.scope(verdict),
        origin=Origin.PAPER,
    )


def _positive(spectra: Sequence[Spectra]) -> Claim:
    smallest = min(float((case.eigenvalues[..., 0] / case.limits[0]).min()) for case in spectra)
    widest = min(float((case.eigenvalues[:, -1, 0] / case.limits[0]).min()) for case in spectra)
    seen = all(float(case.eigenvalues[..., 0].min()) > MARGIN * case.floor for case in spectra)
    n = int(spectra[0].widths[-1])
    networks = sum({case.activation: case.kernel[..., 0, 0].size for case in spectra}.values())  # on both sources alike
    return Claim(
        "positive",
        rf"At initialization $\lambda_{{\min}}(K_\theta) > 0$ for each of the {networks} networks that were drawn, "
        rf"above {MARGIN:g} noise floors of float64, and at least half of $\lambda_0 = \lambda_{{\min}}(K_\infty)$ for "
        rf"those with $n = {n}$ (measured: the smallest $\lambda_{{\min}}(K_\theta) / \lambda_0$ there; {smallest:.2f} "
        r"over all widths).",
        Verdict.HOLDS if seen and widest >= HALF else Verdict.UNDECIDED if seen else Verdict.FAILS,
        measured=widest,
        predicted=r"1 for $n \to \infty$; $> 1/2$",
        uncertainty=max(case.floor / case.limits[0] for case in spectra),
        scope="" if seen and widest >= HALF else "The largest width of the run is too small.",
        origin=Origin.PAPER,
    )


# In training


def _lowest(problem: Problem, run: Run) -> float:
    values = np.linalg.eigvalsh(run.kernel)[:, 0]
    return float(values.min()) / float(np.linalg.eigvalsh(problem.K)[0])


def _training(studies: Sequence[Study]) -> Claim:
    lowest = [study.each(_lowest) for study in studies]
    floor = max(
        float(study.each(lambda p, r: noise_floor(r.kernel) / float(np.linalg.eigvalsh(p.K)[0])).max())
        for study in studies
    )
    everywhere, widest = min(float(x.min()) for x in lowest), min(float(x[:, -1].min()) for x in lowest)
    seen, n, networks = everywhere > MARGIN * floor, int(studies[0].widths[-1]), sum(x.size for x in lowest)
    return Claim(
        "training",
        rf"In training $\lambda_{{\min}}(K_{{\theta^k}})$ stays positive for each of the {networks} networks that were "
        rf"trained, at every step looked at, above {MARGIN:g} noise floors of float64, and at least half of "
        rf"$\lambda_0$ for those with $n = {n}$ (measured: the smallest $\lambda_{{\min}}(K_{{\theta^k}}) / \lambda_0$ "
        rf"there; {everywhere:.2f} over all widths).",
        Verdict.HOLDS if seen and widest >= HALF else Verdict.UNDECIDED if seen else Verdict.FAILS,
        measured=widest,
        predicted=r"1 for $n \to \infty$; $> 1/2$",
        uncertainty=floor,
        scope="" if seen and widest >= HALF else "The largest width of the run is too small.",
        origin=Origin.PAPER,
    )


def _change(problem: Problem, run: Run) -> float:
    change = np.linalg.norm(run.kernel - run.kernel[0], ord=2, axis=(1, 2))
    return float(change.max() / np.linalg.norm(problem.K, ord=2))


def _drift(studies: Sequence[Study]) -> Claim:
    found = max((exponent(study.widths, study.each(_change)) for study in studies), key=lambda e: e.value)
    verdict = found.at_most(-0.5)
    return Claim(
        "drift",
        r"Training moves the kernel less and less in wider networks: $\max_k \|K_{\theta^k} - K_{\theta^0}\|_2 / "
        r"\|K_\infty\|_2$ falls at least as fast as the $n^{-1/2}$ of the theory (measured: its exponent; the change "
        rf"expected beyond the proofs is of order $1/n$; {found.decided}).",
        verdict,
        measured=found.value,
        predicted=r"$\le -1/2$",
        uncertainty=found.half,
        scope=found.scope(verdict),
    )
