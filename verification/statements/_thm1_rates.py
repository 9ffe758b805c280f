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
from verification.statements._ensembles import PAIR, Ensemble, ensemble
from verification.statements._exponents import Exponent
from verification.statements._statistics import LEVEL, below, decided, interval, jointly
from verification.statements._thm1_recorded import linear_road, mean_road, recorded_roads, suprema_road
from verification.statements._thm1_suprema import PATHS, suprema, supremum

QUICK = ("softplus", "tanh", "identity")
FULL = (*QUICK, "gelu", "silu", "sigmoid", "erf", "sin", "cos", "elu", "relu", "leaky_relu")
"""Every built-in φ that is Lipschitz; φ' is too, but for the last two, which are outside the hypothesis."""

DRAWS = {8: 6000, 16: 6000, 32: 3000, 64: 500, 128: 150}

RESOLVED = 20.0
"""Standard errors of the bias at n = 8 from which on its exponent is fitted: with the next order left free the
exponent is about five times as uncertain as that bias."""

RESAMPLED = 1000
"""Resampled means of fourth powers."""


def ensembles(config: Config) -> list[Ensemble]:
    names = FULL if config.full else QUICK
    draws = {n: count * (4 if config.full else 1) for n, count in DRAWS.items()}
    return [ensemble(config, name, draws) for name in config.progress(names, "ensemble")]


def fitted_exponent(widths: Array, values: Array, errors: Array, orders: int = 0) -> Exponent:
    """p of C n^p (1 + b/n + …) with so many next `orders`, from positive values with known standard errors."""
    z95, z = (float(stats.norm.ppf((1 + level) / 2)) for level in (0.95, LEVEL))
    design = np.column_stack([np.log(widths), widths[:, None] ** -np.arange(orders + 1.0)])
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
    """That the mean falls, which its exponent over these widths tells; not how fast, as the next order is not small."""
    clear = [case for case in found if abs(case.mean[0]) > RESOLVED * case.mean_error[0]]
    falls, corrected = dict[str, Exponent](), list[str]()
    for case in clear:
        seen = np.abs(case.mean) > case.mean_error
        n, bias, error = (part[seen] for part in _signed(case))
        falls[case.activation], next_order = fitted_exponent(n, bias, error), fitted_exponent(n, bias, error, 1)
        ends = next_order.value - next_order.wider, next_order.value + next_order.wider
        corrected.append(rf"{case.activation} ${ends[0]:.2f}$ to ${ends[1]:.2f}$")
    name, slowest = max(falls.items(), key=lambda item: item[1].value + item[1].wider)
    verdict = jointly(below(e.value - e.wider, e.value + e.wider, 0.0) for e in falls.values())
    rest = [case.activation for case in found if case not in clear]
    unseen = f" That of {', '.join(rest)} is below {RESOLVED:g} standard errors at $n = 8$." if rest else ""
    return Claim(
        "bias",
        r"The mean alone, of the part of $K_\theta - K_\infty$ along $K_\infty$: it falls with $n$ "
        rf"(measured: exponent over $n = 8$ to 128, {name}, the slowest of {', '.join(falls)}; {slowest.decided}). "
        r"These networks do not tell the rate: with the next order fitted the intervals of the exponent are "
        rf"{', '.join(corrected)}. That it is $1/n$ is claimed for $\phi(z) = z$ alone (`bias-linear`).{unseen}",
        verdict, measured=slowest.value, predicted="$< 0$", uncertainty=slowest.half,
        scope="The interval of an exponent holds 0: too few networks." if verdict is Verdict.UNDECIDED else "",
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
    exponents = {case.activation: fitted_exponent(case.widths, *moments(case)[:2], 1) for case in found}
    name, worst = _worst(exponents, -0.5)
    verdict = jointly(exponent.meets(-0.5) for exponent in exponents.values())
    return Claim(
        "spread",
        r"The fluctuation alone: the standard deviation of $K_\theta$ along $K_\infty$ falls as $n^{-1/2}$, for "
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
    # Borel and Cantelli want it of each activation: one that falls more slowly is enough to fail.
    verdict = jointly(below(e.value - e.wider, e.value + e.wider, -1.0) for e in exponents.values())
    return Claim(
        "almost-sure",
        r"Almost surely, and not only in probability: of the part $e$ of $K_\theta - K_\infty$ along $K_\infty$ the "
        r"fourth moment $E e^4$ falls faster than $1/n$ (as $n^{-2}$ or, at small $n$, faster still), so that "
        r"$\sum_n P(|e| > \epsilon) < \infty$ for every $\epsilon$ and Borel and Cantelli apply, however the networks "
        r"of different widths depend on each other "
        rf"(measured: the exponent of {name}, the slowest; {slowest.decided}).",
        Verdict.HOLDS_WITH_SCOPE if verdict is Verdict.HOLDS else verdict,
        measured=slowest.value, predicted=r"$< -1$ (limit $-2$)", uncertainty=slowest.half,
        scope={
            Verdict.HOLDS: r"A moment measured at finitely many widths, where the sum needs it at every one; for the "
            r"component along $K_\infty$, at two inputs.",
            Verdict.UNDECIDED: "The interval of an exponent holds $-1$: too few networks.",
        }.get(verdict, ""),
        origin=Origin.PAPER,
    )  # fmt: skip


def rate_table(config: Config, found: Sequence[Ensemble]) -> Table:
    rows: list[Sequence[Value]] = []
    for case in found:
        sd, sd_error, fourth, _ = moments(case)
        for k, n in enumerate(case.widths):
            low, high, carriers = heavy_mean(case.errors[k] ** 4, config.rng("fourth", case.activation, k))
            row = (n * case.mean[k], 1.96 * n * case.mean_error[k], np.sqrt(n) * sd[k], 1.96 * np.sqrt(n) * sd_error[k],
                   n**2 * fourth[k], n**2 * low, n**2 * high)  # fmt: skip
            name = f"{case.activation}, $n = {n:g}$"
            rows.append((name, case.errors[k].size, *(rounded(x, 3) for x in row), carriers))
    head = ["network", "draws", r"$n$ × bias", "±", r"$\sqrt n$ × sd", "±", r"$n^2 E e^4$", "from", "to", "half from"]
    return Table(
        r"Mean and spread of $e = \langle K_\theta - K_\infty, K_\infty \rangle / \|K_\infty\|^2$ apart, two inputs "
        r"at 60°; all ± are 95 %. Fourth powers are heavy-tailed: from and to are of 95 % of the resampled means, and "
        r"half of the sum is from as many networks as the last column says; where these are few, more draws may well "
        r"lie above.", head, rows,
    )  # fmt: skip


def rate_size(found: Sequence[Ensemble]) -> dict[str, Value | list[Value]]:
    """How large the ensembles of small networks are, and the paths of the suprema."""
    return {
        "small networks: n": [int(n) for n in found[0].widths], "of each n": [e.size for e in found[0].errors],
        "their N": len(PAIR), "their d": PAIR.shape[1], "their activations": [case.activation for case in found],
        "paths of suprema": PATHS,
    }  # fmt: skip


def heavy_mean(values: Array, rng: np.random.Generator) -> tuple[float, float, int]:
    """The ends of 95 % of the resampled means of positive values (draws,), and how many carry half of their sum."""
    means = [float(values[rng.integers(values.size, size=values.size)].mean()) for _ in range(RESAMPLED)]
    total = np.cumsum(np.sort(values)[::-1])
    return *interval(np.asarray(means), 0.95), int(np.searchsorted(total, total[-1] / 2)) + 1
