"""Proposition 3 over the time horizon: what T does to the smallest eigenvalue and to the condition number.

K_∞ = K_0 + T² K_1 + O(T⁴) for σ_w = 1 and unit vectors (`docs/mathematics.md`, "Time scale"), both power series in ρ
from the Hermite coefficients of φ. First-order perturbation says dλ/d(T²) = uᵀ K_1 u with the eigenvector u of K_0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import log10, sqrt

import numpy as np
from numpy.polynomial import Polynomial
from numpy.polynomial.hermite_e import hermegauss

from refimpl import NeuralODE
from refimpl.activations import BUILTIN
from refimpl.data import sphere
from verification import Agreement, Claim, Config, Table, Verdict
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._gram import MARGIN, Gram, cosines
from verification.statements._prop3_certificates import can_prove

NAMES = ("softplus", "gelu", "cos", "sin")

SHORT = (1 / 32, 1 / 64, 1 / 128, 1 / 256)
"""Horizons from which the slopes at T = 0 are extrapolated: T² is well below the gaps between eigenvalues."""

LONG = (0.125, 0.5, 1.0, 2.0)

INPUTS = 8

CERTIFIED = {"gelu": (0.5, 2.0), "cos": (0.5, 2.0)}

TERMS = 80
"""Of the Hermite expansions: α_l² is below 1e-20 by then for `NAMES` and the sigmoid."""

WEDGE = np.asarray([[1.0, 0.0], [-0.5, sqrt(0.75)]])
"""Two vectors at 120 degrees."""


def hermite(name: str) -> Array:
    """α_l = E[φ(z) he_l(z)], z ~ N(0, 1), with their signs."""
    z, weights = hermegauss(200)
    rows = [np.ones_like(z), z]
    for order in range(1, TERMS - 1):
        rows.append((z * rows[-1] - sqrt(order) * rows[-2]) / sqrt(order + 1))
    return np.asarray([np.sum(weights * BUILTIN[name].phi(z) * row) for row in rows]) / sqrt(2 * np.pi)


def expansion(name: str) -> tuple[Polynomial, Polynomial]:
    """K_0 and K_1 as power series in ρ."""
    a, k = hermite(name), np.arange(TERMS - 2)
    Sigma, rho = Polynomial(a**2), Polynomial([0, 1])
    D = Sigma.deriv()
    curved = Polynomial(np.sqrt((k + 1) * (k + 2)) * a[2:] * a[:-2])  # E[φ''φ]
    grown = Sigma(1.0)  # of the variance, per T²
    return Sigma + rho * D, grown * curved + 2 * Sigma * D + rho * (grown * curved.deriv() + Sigma * D.deriv() + D**2)


@dataclass(frozen=True)
class Slope:
    """dλ_min/d(T²) at T = 0: by differences in T with the uncertainty of their extrapolation, and by perturbation."""

    name: str
    measured: float
    uncertainty: float
    predicted: float
    condition: float
    """d log(λ_max/λ_min)/d(T²), predicted."""

    @property
    def agrees(self) -> bool:
        return abs(self.measured - self.predicted) <= self.uncertainty


def gram(name: str, T: float, X: Array) -> Gram:
    curve = NeuralODE(name, horizon=T).limit().on_sphere()
    return Gram(curve(cosines(X)), curve.error)


def slope(name: str, X: Array, grams: Sequence[Gram]) -> Slope:
    """From the Gram matrices at the horizons `SHORT`."""
    K0, K1 = (series(cosines(X)) for series in expansion(name))
    values, vectors = np.linalg.eigh(K0)
    rates = [float(u @ K1 @ u) for u in vectors.T]
    column = [(found.smallest - float(values[0])) / T**2 for found, T in zip(grams, SHORT, strict=True)]
    best = column[-1]
    for order in range(1, len(SHORT)):  # even powers of T alone
        before, column = column[-1], [b + (b - a) / (4**order - 1) for a, b in pairwise(column)]
        best, change = column[-1], abs(column[-1] - before)
    noise = 2 * grams[-1].floor / SHORT[-1] ** 2
    return Slope(name, best, change + noise, rates[0], rates[-1] / values[-1] - rates[0] / values[0])


def horizon(config: Config) -> tuple[list[Claim], list[Agreement], Table]:
    X = sphere(INPUTS, 3, seed=config.rng("horizon"))
    grams = {name: [gram(name, T, X) for T in (*SHORT[::-1], *LONG)] for name in NAMES}
    slopes = [slope(name, X, _short(found)) for name, found in grams.items()]
    wedge = [gram("sigmoid", T, WEDGE) for T in (*SHORT[::-1], *LONG)]
    falling = slope("sigmoid", WEDGE, _short(wedge))
    agreements = [_slopes(slopes).on("horizon"), _slopes([falling]).on("horizon-not-monotone"), *_certified(X)]
    return [_longer(grams, slopes), _shorter(falling, wedge)], agreements, _table(grams)


def _slopes(found: Sequence[Slope]) -> Agreement:
    worst = max(found, key=lambda s: abs(s.measured - s.predicted) / s.uncertainty)
    return Agreement(
        rf"$d\lambda_{{\min}}(K_\infty)/d(T^2)$ at $T = 0$ ({', '.join(s.name for s in found)})",
        ("Gauss scheme, differences in $T$", "Hermite expansion at $T = 0$, perturbation of eigenvalues"),
        abs(worst.measured - worst.predicted),
        worst.uncertainty,
        "last change of the extrapolation in powers of T², and two noise floors over T²",
    )


def _certified(X: Array) -> list[Agreement]:
    """A proved lower bound, where double precision resolves the eigenvalue as well."""
    if not can_prove():
        return []
    apart = 0.0
    for name, times in CERTIFIED.items():
        for T in times:
            bound = NeuralODE(name, horizon=T).limit().positivity(X).log10_bound
            apart = max(apart, abs(log10(gram(name, T, X).smallest) - bound))
    return [
        Agreement(
            r"$\log_{10} \lambda_{\min}(K_\infty)$ ($T = 1/2$ and $2$, GELU and cos)",
            ("Gauss scheme, eigenvalues", "certificate: elimination in balls"),
            apart,
            log10(1.1) + 0.05,
            "a certificate is within a tenth of what its terms allow, and has terms until they add less than 0.05",
            ("horizon",),
        )
    ]


def _longer(grams: dict[str, list[Gram]], slopes: Sequence[Slope]) -> Claim:
    smallest = {name: np.asarray([g.smallest for g in found]) for name, found in grams.items()}
    condition = {name: np.asarray([g.eigenvalues[-1] / g.smallest for g in found]) for name, found in grams.items()}
    visible = all(g.positive for found in grams.values() for g in found)
    rises = all(np.all(np.diff(values) > 0) for values in smallest.values())
    falls = all(np.all(np.diff(values) < 0) for values in condition.values())
    predicted = all(s.agrees and s.predicted > 0 > s.condition for s in slopes)
    gains = [float(values[-1] / values[0]) for values in smallest.values()]
    eased = [float(values[0] / values[-1]) for values in condition.values()]
    least = min(slopes, key=lambda s: s.predicted)
    return Claim(
        "horizon",
        r"A longer horizon does not degenerate the kernel on these inputs, it helps. As $T \to 0$ it tends to that of "
        r"a network without hidden dynamics, $K_\infty = K_0 + (\sigma_w T)^2 K_1 + O(T^4)$, and $\lambda_{\min}$ "
        r"grows at the rate $u^\top K_1 u > 0$ per $T^2$, relatively faster than $\lambda_{\max}$. So it goes on: "
        rf"from $T = 1/{round(1 / SHORT[-1])}$ to $T = {LONG[-1]:g}$ $\lambda_{{\min}}$ grows by factors of "
        rf"{min(gains):.0f} to {max(gains):.0f}, and the condition number falls by factors of {min(eased):.1f} to "
        rf"{max(eased):.0f}, monotonically ({', '.join(grams)}; measured: the rate for {least.name}).",
        Verdict.HOLDS if visible and rises and falls and predicted else Verdict.FAILS,
        measured=least.measured,
        predicted=least.predicted,
        uncertainty=least.uncertainty,
    )


def _short(grams: Sequence[Gram]) -> Sequence[Gram]:
    return grams[: len(SHORT)][::-1]


def _shorter(found: Slope, grams: Sequence[Gram]) -> Claim:
    """λ_min falls, and rises again."""
    positive = all(g.smallest > MARGIN * g.floor for g in grams)
    k = int(np.argmin([g.smallest for g in grams]))
    first, lowest, last = grams[0], grams[k], grams[-1]
    turns = lowest.smallest + lowest.floor < min(first.smallest - first.floor, last.smallest - last.floor)
    return Claim(
        "horizon-not-monotone",
        r"That is no theorem: for the sigmoid and two vectors at 120 degrees $\lambda_{\min}(K_\infty)$ falls at "
        r"first as $T$ grows, at the rate $u^\top K_1 u < 0$ per $T^2$, and rises later: of the horizons tried it is "
        rf"smallest at $T = {(*SHORT[::-1], *LONG)[k]:g}$, {lowest.smallest:.4f}, after "
        rf"{first.smallest:.4f} at $T = 1/{round(1 / SHORT[-1])}$ and before {last.smallest:.4f} at "
        rf"$T = {LONG[-1]:g}$. It stays positive (measured: the rate).",
        Verdict.HOLDS if positive and turns and found.agrees and found.predicted < 0 else Verdict.FAILS,
        measured=found.measured,
        predicted=found.predicted,
        uncertainty=found.uncertainty,
    )


def _table(grams: dict[str, list[Gram]]) -> Table:
    rows: list[Sequence[Value]] = []
    for name, found in grams.items():
        rows.append((rf"{name}, $\lambda_{{\min}}$", *(rounded(g.smallest) for g in found)))
        rows.append((f"{name}, condition number", *(rounded(float(g.eigenvalues[-1]) / g.smallest) for g in found)))
    times = [*(f"$T = 1/{round(1 / T)}$" for T in SHORT[::-1]), *(f"$T = {T:g}$" for T in LONG)]
    return Table(rf"$K_\infty$ on {INPUTS} points of $S^2$ against the horizon", ["", *times], rows)
