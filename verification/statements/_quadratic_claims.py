"""What is claimed of the quadratic activation: the blow-up, and the limit below it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from scipy import stats

from refimpl import Euler, Gauss, NeuralODE
from verification import Agreement, Claim, Config, Verdict
from verification.fit import PowerLaw, power_law, second_term
from verification.statements._data import Array
from verification.statements._escape import solvable_scalar
from verification.statements._quadratic_runs import BELOW, PATIENCE, Below, Beyond, Spectrum, Times, network
from verification.statements._statistics import LEVEL, below, decided, falling

TOLERANCE = 0.03
"""Largest deviation of an exponent of L from −1; the claim says how large a next term, O(1/L), that allows."""

MARGIN = 10.0
"""Noise floors above which an eigenvalue counts as positive."""

QUARTILES = 1.17
"""√N times the relative standard error of the distance of the quartiles of N normal numbers."""


# Blow-up


def blow_up(times: Sequence[Times]) -> Claim:
    wide = [each for each in times if each.width >= 16]
    finite = sum(int(np.isfinite(each.values).sum()) for each in wide)
    everything = sum(each.values.size for each in wide)
    return Claim(
        "blow-up",
        r"Without a Lipschitz constant Proposition 1 has no conclusion on all of $[0, T]$: the solutions of all "
        rf"{everything} networks with $n \ge 16$ that were drawn escape to infinity, at a finite time (measured: how "
        r"many). Not of every network: for $W$ near $-c\, I$ and $h_0 > 0$ they decay, at positive probability.",
        Verdict.HOLDS if finite == everything else Verdict.UNDECIDED,
        measured=finite, predicted=everything,
        scope="" if finite == everything else rf"The others were not followed beyond $t = {PATIENCE:g}$.",
    )  # fmt: skip


def one_neuron(times: Times) -> Claim:
    """Kolmogorov's distance of the measured law from the closed form."""
    finite = times.values[np.isfinite(times.values)]
    survive = np.asarray([solvable_scalar(float(t)) for t in finite])
    below = np.arange(finite.size) / times.values.size
    distance = float(np.maximum(np.abs(1 - survive - below), np.abs(1 - survive - below - 1 / times.values.size)).max())
    allowed = float(stats.kstwo.ppf(LEVEL, times.values.size))
    return Claim(
        "one-neuron",
        r"For $n = 1$, $t^* = 2/(w h_0)$ if $w h_0 > 0$, else there is none: the fraction solvable to $T$ is $1 - "
        r"\frac{1}{\pi} \int_{2/T}^\infty K_0$, one half as $T \to \infty$ (measured: Kolmogorov's distance of "
        rf"{times.values.size} networks; uncertainty: its {LEVEL:.1%} quantile).",
        Verdict.HOLDS if distance <= allowed else Verdict.FAILS,
        measured=distance, predicted=0, uncertainty=allowed,
    )  # fmt: skip


def concentrates(times: Sequence[Times], limit: tuple[float, float]) -> Claim:
    widest = times[-1]
    low, high = widest.median_interval(LEVEL)
    shown = widest.median_interval(0.95)
    inside = low <= limit[0] <= high
    nears = abs(widest.quantile(0.5) - limit[0]) < abs(times[-2].quantile(0.5) - limit[0])
    early = float(np.mean(widest.values < limit[0]))
    return Claim(
        "concentration",
        r"Seen, and proved by no theorem here: in wide networks the blow-up time concentrates around that of the "
        rf"limit, $t^*_\infty = {limit[0]:.4f} / (\sigma_w \sqrt q)$, at which $S^{{t,t}}$ escapes; some networks are "
        rf"earlier ({early:.0%} at $n = {widest.width}$), so no $T > 0$ is safe for all (measured: median at "
        rf"$n = {widest.width}$; {decided(low, high)}).",
        Verdict.HOLDS if inside else Verdict.UNDECIDED if nears else Verdict.FAILS,
        measured=widest.quantile(0.5), predicted=limit[0], uncertainty=(shown[1] - shown[0]) / 2,
        scope=rf"Its {LEVEL:.1%} interval misses $t^*_\infty$, which the median nears." if nears and not inside else "",
    )  # fmt: skip


def narrows(times: Sequence[Times]) -> Claim:
    wide = [each for each in times if each.width >= 16]
    fit, ratio = (
        power_law([each.width for each in wide], [each.spread for each in wide]),
        wide[-1].width / wide[0].width,
    )
    halves = math.sqrt(2) * QUARTILES / math.sqrt(min(each.values.size for each in wide)) / math.log(ratio)
    wider = float(stats.norm.ppf((1 + LEVEL) / 2)) * halves
    return Claim(
        "spread",
        r"Its spread shrinks: the distance of the quartiles of $t^*$ falls with $n$ (measured: its exponent; "
        rf"{decided(fit.slope - wider, fit.slope + wider)}; fluctuations of $K_\theta$ would suggest $-1/2$).",
        below(fit.slope - wider, fit.slope + wider, 0.0),
        measured=fit.slope, predicted="< 0", uncertainty=1.96 * halves,
        scope="Too few networks." if abs(fit.slope) <= wider else "",
    )  # fmt: skip


def resnets_beyond(grown: Sequence[Beyond]) -> Claim:
    worst = max(grown, key=lambda each: abs(each.rate - each.predicted) / each.allowed)
    holds = all(abs(each.rate - each.predicted) <= each.allowed for each in grown)
    return Claim(
        "resnets-beyond",
        r"ResNets never blow up at finite depth, and diverge with depth beyond $t^*$: each of the $L (1 - t^*/T)$ "
        r"layers that lie beyond squares $h$, so $\log \|h^L\| \approx 2^{L (1 - t^*/T)}$ (measured: doublings of the "
        rf"logarithm a layer from $L = 512$ to 1024 at $T = {worst.ratio:g}\, t^*$, of {len(grown)} horizons of one "
        r"network the one closest to its bound).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=worst.rate, predicted=worst.predicted, uncertainty=worst.allowed,
    )  # fmt: skip


# Below the blow-up


def width(below: Below) -> Claim:
    fit, degrees = power_law(below.widths, below.error), below.widths.size - 2
    wider = fit.uncertainty * float(stats.t.ppf((1 + LEVEL) / 2, degrees) / stats.t.ppf(0.975, degrees))
    inside, falls = abs(fit.slope + 0.5) <= wider, fit.slope + fit.uncertainty < 0
    return Claim(
        "width",
        rf"At $T = {BELOW}$, of the networks that get there, $K_\theta \to K_\infty$ as $n^{{-1/2}}$ (measured: the "
        rf"exponent of the geometric mean of the error; {below.escaped} of {below.widths.size + below.escaped} "
        rf"networks escaped before; {falling(fit.slope, fit.uncertainty, wider)}). In the mean there is no limit: "
        r"$K_\theta \ge c (t^* - T)^{-4}$ by its part from $v$ just before the blow-up, so it has no expectation at "
        r"any width at which "
        r"$t^*$ has a density at $T$.",
        Verdict.FAILS if not inside else Verdict.HOLDS_WITH_SCOPE if falls else Verdict.UNDECIDED,
        measured=fit.slope, predicted=-0.5, uncertainty=fit.uncertainty,
        scope=(
            r"Convergence in probability, and for $T$ below the blow-up time of the limit."
            if inside and falls else "Too few networks: the interval holds 0."
        ),
    )  # fmt: skip


def resnets(config: Config, X: Array) -> tuple[list[PowerLaw], tuple[Array, Array, Array], Agreement]:
    """Fits for f, K_θ and K_∞; depths, and errors of K_θ and of K_∞ for the figure; what they converge to."""
    net = NeuralODE("quadratic", horizon=BELOW)
    depths: Array = np.exp2(np.arange(4.0, 11.0))
    theta = network(config, 64, 0)
    f, K, limit = net.predict(theta, X, Gauss()), net.ntk(theta, X, solver=Gauss()), net.limit().ntk(X)
    levels = [Euler(depth) for depth in depths.astype(int).tolist()]
    shallow = levels[:5]
    values = {
        "f": (np.asarray([net.predict(theta, X, solver) for solver in levels]), f),
        "K": (np.asarray([net.ntk(theta, X, solver=solver) for solver in levels]), K),
        "limit": (np.asarray([net.limit(solver).ntk(X) for solver in shallow]), limit),
    }
    outputs, kernels, limits = (
        np.asarray([np.linalg.norm(deep - truth) / np.linalg.norm(truth) for deep in found])
        for found, truth in values.values()
    )
    fits = [power_law(depths[2:], outputs[2:]), power_law(depths[2:], kernels[2:]), power_law(depths[2:5], limits[2:])]
    return fits, (depths, kernels, limits), _converges(list(values.values()))


def _converges(values: Sequence[tuple[Array, Array]]) -> Agreement:
    """Richardson's limit of the deepest ResNets against the scheme that their errors are measured from."""
    parts = []
    for found, truth in values:
        once = [2 * b - a for a, b in pairwise(found[-3:])]
        limit = (4 * once[1] - once[0]) / 3
        parts.append((float(np.linalg.norm(limit - truth)), float(np.linalg.norm(limit - once[1]))))
    apart, allowed = max(parts, key=lambda part: part[0] / part[1])
    return Agreement(
        rf"$f$, $K_\theta$ and $K_\infty$ ($T = {BELOW}$, the one closest to its bound)",
        ("Gauss scheme", "ResNets, extrapolated in $1/L$"), apart, allowed,
        "the last change of the extrapolation, which falls eightfold with every doubling of L", ("depth",),
    )  # fmt: skip


def depth(fits: Sequence[PowerLaw]) -> Claim:
    worst = max(fits, key=lambda fit: abs(fit.slope + 1))
    return Claim(
        "depth",
        rf"Below the blow-up $\phi$ is as good as Lipschitz: at $T = {BELOW}$ the errors of $f^L$, $K_\theta^L$ and "
        r"$K_\infty^L$ decay as $1/L$ (measured: the slope furthest from $-1$, of one network "
        rf"with $n = 64$ and of the limit; {second_term(TOLERANCE, 64, -1)}).",
        Verdict.HOLDS if abs(worst.slope + 1) <= TOLERANCE else Verdict.FAILS,
        measured=worst.slope, predicted=-1, uncertainty=worst.uncertainty,
    )  # fmt: skip


def positive(spectra: Sequence[Spectrum]) -> Claim:
    cases = [
        (float(low), float(floor), each.dim, N)
        for each in spectra
        for low, floor, N in zip(each.smallest, each.floor, each.counts, strict=True)
    ]
    seen = [case for case in cases if case[0] > MARGIN * case[1]]
    refuted = any(low < -floor for low, floor, *_ in cases)
    low, floor, dim, N = min(seen)
    hidden = ", ".join(f"$d = {d}$, $N = {N}$" for low_, floor_, d, N in cases if low_ <= MARGIN * floor_)
    return Claim(
        "positive",
        r"$K_\infty$ is strictly positive definite although $\phi$ is a polynomial, outside the hypothesis of "
        r"Proposition 3: the power series of $S$ in $\rho$ has the term $q \rho$, $\Sigma = (S_{tt} S_{ss} + 2 S^2)/4$ "
        r"adds the powers 0 and 2, and squaring a series with the powers $0, \dots, m$ gives $0, \dots, 2m$, all with "
        r"positive coefficients; so every power occurs in $\sigma_v^2 \Sigma^{T,T}$. At finite depth the degree is "
        rf"bounded and so is the rank (measured: at $T = 1$ the smallest $\lambda_{{\min}}$ above {MARGIN:g} noise "
        rf"floors, $d = {dim}$, $N = {N}$; {len(seen)} of {len(cases)} sets of points).",
        Verdict.FAILS if refuted else Verdict.HOLDS_WITH_SCOPE if hidden else Verdict.HOLDS,
        measured=low, predicted="> 0", uncertainty=floor,
        scope=f"Below the noise floor of double precision: {hidden}." if hidden else "",
    )  # fmt: skip
