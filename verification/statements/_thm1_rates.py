"""Theorem 1 at its edge: the mean and the spread of K_θ − K_∞ apart, and what almost sure convergence rests on.

For φ(z) = z the bias is known: with τ_jk = E tr(W^j W^{⊤k}) / n^{1+(j+k)/2} = δ_jk + κ_jk/n + O(1/n²),
κ_jk = min(j, k) + 1 for j ≠ k of one parity and 0 otherwise, and Z = σ_w T,

    E K_θ = q σ_v² [ Σ_k (k + 2) Z^{2k}/(k!)² + (1/n) Σ_{j≠k} (m + 1)(m + 2) Z^{j+k}/(j! k!) + O(1/n²) ],

the second sum over j, k of one parity, m = min(j, k).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import factorial

import numpy as np
from scipy import stats

from verification import Agreement, Claim, Config, Origin, Table, Verdict
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._ensembles import Ensemble, ensemble
from verification.statements._exponents import Exponent
from verification.statements._statistics import LEVEL, decided
from verification.statements._thm1_recorded import linear_road, mean_road, recorded_roads, suprema_road
from verification.statements._thm1_suprema import suprema, supremum

QUICK = ("softplus", "tanh", "identity")
FULL = (*QUICK, "gelu", "silu", "sigmoid", "erf", "sin", "cos", "elu", "relu", "leaky_relu")
"""Every built-in φ that is Lipschitz; φ' is too, but for the last two, which are outside the hypothesis."""

DRAWS = {8: 6000, 16: 6000, 32: 3000, 64: 500, 128: 150}

RESOLVED = 20.0
"""Standard errors of the bias at n = 8 from which on its exponent is fitted: with the next order left free the
exponent is about five times as uncertain as that bias."""


def ensembles(config: Config) -> list[Ensemble]:
    names = FULL if config.full else QUICK
    draws = {n: count * (4 if config.full else 1) for n, count in DRAWS.items()}
    return [ensemble(config, name, draws) for name in config.progress(names, "ensemble")]


def corrected_exponent(widths: Array, values: Array, errors: Array) -> Exponent:
    """p of C n^p (1 + b/n), from positive values with known standard errors; b takes up the next order."""
    z95, z = (float(stats.norm.ppf((1 + level) / 2)) for level in (0.95, LEVEL))
    design = np.stack([np.log(widths), np.ones_like(widths), 1 / widths], axis=1)
    weight = values / errors
    solve = np.linalg.pinv(design * weight[:, None])
    error = float(np.linalg.norm(solve[0]))
    return Exponent(float(solve[0] @ (weight * np.log(values))), z95 * error, z * error)


def moments(found: Ensemble) -> tuple[Array, Array, Array, Array]:
    """Standard deviation, its standard error, E e⁴ and its standard error, by width."""
    rows = []
    for e in found.errors:
        centred, fourth = e - e.mean(), e**4
        sd = float(e.std(ddof=1))
        kurtosis = float(np.mean(centred**4)) / sd**4
        sd_error = sd * np.sqrt(max(kurtosis - 1, 0.1) / (4 * e.size))
        rows.append((sd, sd_error, float(fourth.mean()), float(fourth.std(ddof=1)) / np.sqrt(e.size)))
    sd, sd_error, fourth, fourth_error = np.asarray(rows).T
    return sd, sd_error, fourth, fourth_error


def linear_bias(Z: float, terms: int = 40) -> float:
    """lim n (E K_θ − K_∞) / K_∞ for φ(z) = z."""
    k = range(terms)
    leading = sum((j + 2) * Z ** (2 * j) / factorial(j) ** 2 for j in k)
    apart = [(min(i, j), i, j) for i in k for j in k if i != j and (i - j) % 2 == 0]
    return sum((m + 1) * (m + 2) * Z ** (i + j) / (factorial(i) * factorial(j)) for m, i, j in apart) / leading


# Claims


def rates(config: Config, found: Sequence[Ensemble]) -> tuple[list[Claim], list[Agreement]]:
    """The claims, and second roads to what they were recorded from."""
    identity, paths = next(case for case in found if case.activation == "identity"), suprema(config)
    linear = limiting_bias(identity)
    return [_bias(found), linear, _spread(found), _fourth(found), supremum(*paths)], [
        mean_road(found), *recorded_roads(config, found), linear_road(config, identity, linear),
        suprema_road(config, *paths),
    ]  # fmt: skip


def _worst(exponents: dict[str, Exponent], predicted: float) -> tuple[str, Exponent]:
    return max(exponents.items(), key=lambda item: abs(item[1].value - predicted) / item[1].wider)


def _bias(found: Sequence[Ensemble]) -> Claim:
    clear = [case for case in found if abs(case.mean[0]) > RESOLVED * case.mean_error[0]]
    usable = {case.activation: np.abs(case.mean) > case.mean_error for case in clear}
    exponents = {
        case.activation: corrected_exponent(*(a[usable[case.activation]] for a in _signed(case))) for case in clear
    }
    name, worst = _worst(exponents, -1)
    verdicts = {exponent.meets(-1) for exponent in exponents.values()}
    verdict = next(v for v in (Verdict.FAILS, Verdict.UNDECIDED, Verdict.HOLDS) if v in verdicts)
    rest = [case.activation for case in found if case not in clear]
    unseen = f" That of {', '.join(rest)} is below {RESOLVED:g} standard errors at $n = 8$." if rest else ""
    return Claim(
        "bias",
        r"The mean alone: $E K_\theta - K_\infty$ falls as $1/n$ "
        rf"(measured: exponent over $n = 8$ to 128 with the next order fitted, {name}, furthest of "
        rf"{', '.join(exponents)}; {worst.decided}).{unseen}",
        verdict, measured=worst.value, predicted=-1, uncertainty=worst.half, scope=worst.scope(verdict),
    )  # fmt: skip


def _signed(case: Ensemble) -> tuple[Array, Array, Array]:
    """|bias| where it has the sign of the smallest width, and half an error elsewhere, so that it is left out."""
    same = np.sign(case.mean) == np.sign(case.mean[0])
    return case.widths, np.where(same, np.abs(case.mean), case.mean_error / 2), case.mean_error + case.quadrature


def limiting_bias(case: Ensemble) -> Claim:
    predicted, n = linear_bias(1.0), case.widths
    weight = 1 / (n * case.mean_error)
    design = np.stack([np.ones_like(n), 1 / n], axis=1)
    solve = np.linalg.pinv(design * weight[:, None])[0] * weight
    measured, error = float(solve @ (n * case.mean)), float(np.linalg.norm(solve * n * case.mean_error))
    z95, z = (float(stats.norm.ppf((1 + level) / 2)) for level in (0.95, LEVEL))
    close = abs(measured - predicted) <= z * error and measured > z * error
    return Claim(
        "bias-linear",
        r"For $\phi(z) = z$ the constant of the bias is known from the pairings of Gaussian matrices: "
        r"$n (E K_\theta / K_\infty - 1) \to \sum (m + 1)(m + 2) / (j! k!)$ over $j \ne k$ of one parity, "
        r"$m = \min(j, k)$, divided by $\sum (k + 2)/(k!)^2$ (at $T = \sigma_w = 1$; measured: extrapolated to "
        rf"$n = \infty$; {decided(measured - z * error, measured + z * error)}). A bias $o(1/n)$ is not to be had.",
        Verdict.HOLDS if close else Verdict.UNDECIDED if abs(measured - predicted) <= z * error else Verdict.FAILS,
        measured=measured, predicted=predicted, uncertainty=z95 * error, scope="" if close else "Too few networks.",
    )  # fmt: skip


def _spread(found: Sequence[Ensemble]) -> Claim:
    exponents = {case.activation: corrected_exponent(case.widths, *moments(case)[:2]) for case in found}
    name, worst = _worst(exponents, -0.5)
    verdicts = {exponent.meets(-0.5) for exponent in exponents.values()}
    verdict = next(v for v in (Verdict.FAILS, Verdict.UNDECIDED, Verdict.HOLDS) if v in verdicts)
    return Claim(
        "spread",
        r"The fluctuation alone: the standard deviation of $K_\theta$ over networks falls as $n^{-1/2}$, for "
        rf"{', '.join(exponents)} (measured: exponent with the next order fitted, {name}, the furthest; "
        rf"{worst.decided}).",
        verdict, measured=worst.value, predicted=-0.5, uncertainty=worst.half, scope=worst.scope(verdict),
    )  # fmt: skip


def _fourth(found: Sequence[Ensemble]) -> Claim:
    exponents = {}
    for case in found:
        _, _, fourth, error = moments(case)
        wide = case.widths >= 16
        x = np.log(case.widths[wide])
        weights = (x - x.mean()) / np.sum((x - x.mean()) ** 2)
        half = float(np.linalg.norm(weights * (error / fourth)[wide]))
        exponents[case.activation] = Exponent(float(weights @ np.log(fourth[wide])), 1.96 * half, 3.29 * half)
    name, slowest = max(exponents.items(), key=lambda item: item[1].value + item[1].wider)
    summable = slowest.value + slowest.wider < -1
    return Claim(
        "almost-sure",
        r"Almost surely, and not only in probability: $E |K_\theta - K_\infty|^4$ falls faster than $1/n$ (as $n^{-2}$ "
        r"or, at small $n$, faster still), so that $\sum_n P(|K_\theta - K_\infty| > \epsilon) < \infty$ for every "
        r"$\epsilon$ and Borel and Cantelli apply, however the networks of different widths depend on each other "
        rf"(measured: the exponent of {name}, the slowest; {slowest.decided}).",
        Verdict.HOLDS_WITH_SCOPE if summable else Verdict.UNDECIDED,
        measured=slowest.value, predicted=r"$< -1$ (limit $-2$)", uncertainty=slowest.half,
        scope=(r"A moment measured at finitely many widths; the sum needs it at every width." if summable
               else "The interval of the exponent reaches $-1$: too few networks."),
        origin=Origin.PAPER,
    )  # fmt: skip


def rate_table(found: Sequence[Ensemble]) -> Table:
    rows: list[Sequence[Value]] = []
    for case in found:
        sd, sd_error, fourth, _ = moments(case)
        for k, n in enumerate(case.widths):
            row = (n * case.mean[k], 1.96 * n * case.mean_error[k], np.sqrt(n) * sd[k], 1.96 * np.sqrt(n) * sd_error[k],
                   n**2 * fourth[k])  # fmt: skip
            rows.append((f"{case.activation}, $n = {n:g}$", case.errors[k].size, *(rounded(x, 3) for x in row)))
    head = ["network", "draws", r"$n$ × bias", "±", r"$\sqrt n$ × sd", "±", r"$n^2 E e^4$"]
    return Table(
        r"Mean and spread of $e = \langle K_\theta - K_\infty, K_\infty \rangle / \|K_\infty\|^2$ apart, two inputs "
        r"at 60°; all ± are 95 %", head, rows,
    )  # fmt: skip
