"""What is claimed of the time horizon: kernel, states, depth and width against T."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from scipy import stats

from verification import Claim, Origin, Verdict
from verification.fit import PowerLaw, power_law, second_term
from verification.statements._data import Array
from verification.statements._horizon_networks import Constant, Spread
from verification.statements._horizon_trend import Falling
from verification.statements._horizons import BOUND, AtHorizon, gronwall
from verification.statements._statistics import LEVEL

SHORT = (1 / 64, 1 / 32, 1 / 16)
"""Horizons at which powers of T are fitted."""

TOLERANCE = 0.03
"""Largest deviation of an exponent in T: the next term is O(T²), 1/256 at most here."""

WITHIN = second_term(TOLERANCE, SHORT[-1], 2, "T")

MARGIN = 10.0
"""Noise floors above which an eigenvalue counts as positive."""


# The kernel


def _exponent(id: str, text: str, fits: Sequence[PowerLaw], predicted: float) -> Claim:
    worst = max(fits, key=lambda fit: abs(fit.slope - predicted))
    return Claim(
        id, text, Verdict.HOLDS if abs(worst.slope - predicted) <= TOLERANCE else Verdict.FAILS,
        measured=worst.slope, predicted=predicted, uncertainty=worst.uncertainty,
    )  # fmt: skip


def short(curves: Mapping[str, Sequence[AtHorizon]], hidden: Mapping[str, Mapping[str, Array]]) -> Claim:
    fits = []
    for name, curve in curves.items():
        for source, limit in hidden[name].items():
            fits.append(power_law(SHORT, [np.linalg.norm(at.kernels[source] - limit) for at in curve[: len(SHORT)]]))
    return _exponent(
        "short",
        r"As $T \to 0$, $K_\infty$ tends to the kernel $E[\phi\phi] + x \cdot \bar x\, E[\phi'\phi']$ of one hidden "
        r"layer, and as $T^2$, for $W$ and $-W$ are equally likely (measured: the exponent furthest from 2, of "
        f"{len(fits)}; {WITHIN}).",
        fits,
        2.0,
    )


def positive(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    found = [
        (at.extremes(source)[0], at.floor(source), name, at.T, source)
        for name, curve in curves.items()
        for at in curve
        for source in at.kernels
        if name != "identity"
    ]
    smallest, floor, name, T, source = min(found, key=lambda entry: entry[0] / entry[1])
    holds = smallest > MARGIN * floor
    lowest, highest = (end(case[3] for case in found) for end in (min, max))
    return Claim(
        "positive",
        rf"$\lambda_{{\min}}(K_\infty) > 0$ at each $T$ that was run, from 1/{1 / lowest:g} to {highest:g}, as "
        r"Proposition 3 says at every $T$ for softplus, tanh and erf (measured: "
        rf"the smallest beside its noise floor, {name}, $T = {T:g}$, {source}, of {len(found)}; "
        rf"margin {MARGIN:g} floors).",
        Verdict.HOLDS if holds else Verdict.FAILS if smallest < -floor else Verdict.UNDECIDED,
        measured=smallest, predicted="> 0", uncertainty=floor,
        scope="" if holds else "Below the noise floor.", origin=Origin.PAPER,
    )  # fmt: skip


def trend(curves: Mapping[str, Sequence[AtHorizon]], found: Falling) -> Claim:
    ratios = []
    for name, curve in curves.items():
        for source in curve[0].kernels:
            smallest = np.asarray([at.extremes(source)[0] for at in curve])
            errors = np.asarray([at.floor(source) for at in curve]) / smallest
            factors = smallest[1:] / smallest[:-1]
            k = int(factors.argmin())
            ratios.append((float(factors[k]), float(factors[k] * (errors[k] + errors[k + 1])), name))
    ratio, error, least = min(ratios)
    erf = curves["erf"]
    first, last = (top / low for low, top in (at.extremes("digits") for at in (erf[0], erf[-1])))
    counterexample = found.factor < 1 and found.predicted < 0 and found.condition[0] < found.condition[-1]
    return Claim(
        "spectrum",
        r"No law, though seen for softplus, tanh, erf and the identity: on the inputs that were run $\lambda_{\min}"
        r"(K_\infty)$ grows with $T$, but for the sigmoid and two unit vectors at 120 degrees it falls at first. Nor "
        rf"is there one for the condition number: on the digits that of erf falls (from {first:.0f} to {last:.0f} at "
        rf"$T = {erf[-1].T:g}$), that of the identity stays that of the inputs, and that of the sigmoid at the two "
        rf"vectors rises (from {found.condition[0]:.3g} to {found.condition[-1]:.3g} at $T = 1$; measured: smallest "
        rf"factor of $\lambda_{{\min}}$ from one $T$ to the next, {least}).",
        Verdict.HOLDS_WITH_SCOPE if ratio - error > 1 and counterexample else Verdict.UNDECIDED,
        measured=ratio, predicted="> 1", uncertainty=error,
        scope=(
            r"Not for every $\phi$: for the sigmoid and two unit vectors at 120 degrees $\lambda_{\min}$ falls, by "
            rf"{1 - found.factor:.1%} from $T = 1/64$ to 1, at first as "
            rf"$\lambda_{{\min}}|_{{T=0}} - {-1e3 * found.predicted:.2f} \cdot 10^{{-3}}\, T^2$."
            if ratio - error > 1 and counterexample else "No theorem predicts a trend."
        ),
    )  # fmt: skip


# States


def variance(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    found = [(at.variance / gronwall(name, at.T), name, at.T) for name, curve in curves.items() for at in curve]
    worst, name, T = max(found)
    identity = curves["identity"][-1]
    share = float(np.log(identity.variance)) / (2 * identity.T)
    return Claim(
        "variance",
        r"$S^{T,T} = \lim \|h_T\|^2/n \le [(\sqrt q + a) e^{\mathrm{Lip} Z} - a]^2$ with $a = |\phi(0)|/\mathrm{Lip}$, "
        rf"$Z = \sigma_w T$: Gronwall at infinite width. The identity uses {share:.0%} of the exponent at "
        rf"$T = {identity.T:g}$, and all of it as $T \to \infty$, since $S^{{T,T}} = q I_0(2Z)$ (measured: largest "
        rf"part of the bound, {name}, $T = {T:g}$).",
        Verdict.HOLDS if worst <= 1 else Verdict.FAILS,
        measured=worst, predicted=r"$\le 1$", uncertainty=1e-12,
    )  # fmt: skip


def variance_bounded(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    found = {name: max((at.variance / (1 + BOUND[name] ** 2 * at.T**2), at.T) for at in curves[name]) for name in BOUND}
    worst, T = max(found.values())
    last = curves["erf"][-1]
    return Claim(
        "variance-bounded",
        r"Bounded $\phi$ grows more slowly: $S^{T,T} \le q + Z^2 \sup \phi^2$, a power instead of an exponential "
        rf"(measured: largest part of the bound, at $T = {T:g}$; at $T = {last.T:g}$ erf uses "
        rf"{last.variance / (1 + last.T**2):.0%}).",
        Verdict.HOLDS if worst <= 1 else Verdict.FAILS,
        measured=worst, predicted=r"$\le 1$", uncertainty=1e-12,
    )  # fmt: skip


# Depth


def depth_short(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    return _exponent(
        "depth-short",
        r"The depth that is needed: $C(T) = \lim L |K_\infty^L - K_\infty|$ vanishes as $T^4$ for $T \to 0$. There is "
        r"no odd power of $T$, and at order $T^2$ the integrands are constant and every $L \ge 1$ is exact (measured: "
        f"the exponent furthest from 4; {WITHIN}).",
        [power_law(SHORT, [at.depth for at in curve[: len(SHORT)]]) for curve in curves.values()],
        4.0,
    )


def depth_gronwall(constants: Sequence[Constant]) -> Claim:
    worst = max(constants, key=lambda each: each.quotient)
    rates = [np.log(b.state / a.state) / np.log(b.state_bound / a.state_bound) for a, b in _last_two(constants)]
    return Claim(
        "depth-gronwall",
        r"$C(T)$ grows no faster than Gronwall's exponential: with $\Lambda = \sigma_w \|W\|_2 \mathrm{Lip}(\phi) T / "
        r"\sqrt n$, $\lim L \|h^L - h_T\| \le \frac{T}{2} \Lambda e^{\Lambda} \|\dot h_0\|$, and $\lim L |f^L - f|$ is "
        r"at most $\|\lambda_T\|$ times that. The bound is far from sharp: from $T = 2$ to 4 the logarithm of the "
        rf"constant grows {min(rates):.2f} to {max(rates):.2f} times as much (measured: largest part of the bound, "
        rf"{worst.activation}, $T = {worst.T:g}$, of {len(constants)} cases).",
        Verdict.HOLDS if worst.quotient <= 1 else Verdict.FAILS,
        measured=worst.quotient, predicted=r"$\le 1$", uncertainty=1e-3,
    )  # fmt: skip


def _last_two(constants: Sequence[Constant]) -> list[tuple[Constant, Constant]]:
    return [(a, b) for a, b in pairwise(constants) if (a.T, b.T) == (2.0, 4.0)]


# Width


def width(spreads: Sequence[Spread]) -> Claim:
    each = {(one.activation, one.T): _fit(one.widths, one.error) for one in spreads}
    inside = all(abs(slope + 0.5) <= wider for slope, _, wider in each.values())
    together = np.exp(np.mean([np.log(one.error) for one in spreads], axis=0))  # the same θ at every T
    slope, half, _ = _fit(spreads[0].widths, together)
    falls = slope + half < 0
    listed = ", ".join(f"{name} {T:g}: ${fit[0]:.2f} \\pm {fit[2]:.2f}$" for (name, T), fit in each.items())
    return Claim(
        "width",
        r"$K_\theta \to K_\infty$ as $n^{-1/2}$ in the geometric mean over all $T$ that were run, and none of them by "
        r"itself contradicts it (measured: exponent in $n$ of $\|K_\theta - K_\infty\|$, geometric mean; one by one, "
        rf"at {LEVEL:.1%}, {listed}).",
        Verdict.FAILS if not inside else Verdict.HOLDS if falls else Verdict.UNDECIDED,
        measured=slope, predicted=-0.5, uncertainty=half,
        scope="Too few networks: the interval of the exponent holds 0." if inside and not falls else "",
    )  # fmt: skip


def _fit(widths: Array, error: Array) -> tuple[float, float, float]:
    """Exponent over independent networks, and the half-widths of its intervals at 95 % and at `LEVEL`."""
    fit, degrees = power_law(widths, error), widths.size - 2
    widening = float(stats.t.ppf((1 + LEVEL) / 2, degrees) / stats.t.ppf(0.975, degrees))
    return fit.slope, fit.uncertainty, fit.uncertainty * widening
