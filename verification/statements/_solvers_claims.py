"""What is claimed of solvers: orders, alignment, work, and which of optimising and discretising comes first."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from verification import Claim, Origin, Verdict
from verification.fit import PowerLaw, power_law, second_term
from verification.statements._data import Array
from verification.statements._ladder import ADAPTIVE, Ladder, Network, average, of
from verification.statements._orders import EPS, Swapped, Symplectic
from verification.statements._statistics import near, off_within_uncertainty

TOLERANCE = 0.03
"""Largest deviation of a slope from a fixed-step rate; claims say how large a next term, O(1/L), that allows."""

STAIRCASE = 0.2
"""Largest deviation of an exponent of rtol over three decades. The number of steps is whole, and one of 15 moves the
error of a method of order 8 by (1 + 1/15)⁸, that is 0.08 in the exponent; the next term of the error, as large as the
first at the loose end and gone at the tight one, moves it by log 2 / log 1000 = 0.10."""

FEW_STEPS = (
    f"margin {STAIRCASE}: one step more of 15 moves the exponent by 0.08, a second term of the error, as large as the "
    "first at the loose end, by 0.10"
)

DIRECTION = 0.1
"""Largest deviation of the exponent of 1 − cos: the part of the error across the gradient, where it is no constant
share, varies by a factor of a few over the decades that are fitted."""

FIRST = 64
"""Smallest depth in the fits of the difference of the two orders."""


def share_of_error(error: Array) -> str:
    """Why the exponent of 1 − cos may be off by `DIRECTION`, in words for a claim.

    1 − cos = (s ε)²/2 to leading order, with the share s of the error ε that lies across the gradient: a change of s
    over the fitted range moves the exponent by 2 Δlog s / Δlog ε.
    """
    factor = float(error.max() / error.min()) ** (DIRECTION / 2)
    return (
        rf"margin {DIRECTION}, which it takes for the share of the error that lies across the gradient to change by a "
        rf"factor {factor:.1f} over the range fitted"
    )


# Errors


def first_order(networks: Sequence[Network]) -> Claim:
    ladders = of(networks, "Euler")
    slopes = [ladder.order(quantity) for ladder in ladders for quantity in ("output", "gradient")]
    worst, first = max(slopes, key=lambda fit: abs(fit.slope + 1)), ladders[0].finer[0]
    return slope(
        "fixed-step",
        r"Euler's method is of first order, as Proposition 2 says: the errors of $f^L$ and of $\nabla L^L$ decay as "
        r"$1/L$ (measured: the "
        rf"slope furthest from $-1$, of {len(slopes)}; {second_term(TOLERANCE, first, -1)}).",
        worst, -1.0, TOLERANCE, Origin.PAPER,
    )  # fmt: skip


def proportional(ladders: Mapping[str, Ladder]) -> Claim:
    fits = {
        (method, quantity): ladders[method].order(quantity)
        for method in ("RK23", "RK45", "DOP853")
        for quantity in ("output", "gradient")
    }
    (method, quantity), worst = max(fits.items(), key=lambda item: abs(item[1].slope - 1))
    return slope(
        "tolerance-proportionality",
        r"Explicit adaptive pairs that go on with the better value (local extrapolation) have a global error of $f$ "
        r"and of $\nabla L$ proportional to rtol: both are $O(h^p)$ with the same $p$, although rtol is local "
        rf"(measured: the exponent furthest from 1, {method}, {quantity}; {FEW_STEPS}).",
        worst, 1.0, STAIRCASE,
    )  # fmt: skip


def radau(ladder: Ladder) -> Claim:
    fit, (order, estimate) = ladder.order("output"), ADAPTIVE["Radau"]
    claim = slope(
        "radau",
        r"Radau holds an estimate of order 3, $O(h^4)$ a step, at rtol and is itself of order 5, so the error of $f$ "
        rf"goes as rtol to the power $5/4$ (measured: the exponent; {FEW_STEPS}).",
        fit, order / estimate, STAIRCASE,
    )  # fmt: skip
    if claim.verdict is Verdict.HOLDS and abs(fit.slope - 1) <= fit.uncertainty:
        scope = "Its interval holds the exponent 1 of the explicit pairs, too."
        return dataclasses.replace(claim, verdict=Verdict.UNDECIDED, scope=scope)
    return claim


def slope(id: str, text: str, fit: PowerLaw, predicted: float, margin: float, origin: Origin = Origin.OURS) -> Claim:
    """A measured exponent: false only if it is off by more than the margin and its own uncertainty."""
    verdict = near(fit.slope, predicted, margin, fit.uncertainty)
    return Claim(
        id, text, verdict,
        measured=fit.slope, predicted=predicted, uncertainty=fit.uncertainty,
        scope=off_within_uncertainty(margin) if verdict is Verdict.UNDECIDED else "",
        origin=origin,
    )  # fmt: skip


# Which comes first, optimisation or discretisation


def order_matters(found: Sequence[Swapped]) -> Claim:
    fits = []
    for swapped in found:
        deep = swapped.depths >= FIRST
        fits += [power_law(swapped.depths[deep], d[deep]) for d in swapped.differences.values()]
    worst = max(fits, key=lambda fit: abs(fit.slope + 1))
    return slope(
        "euler-order-matters",
        r"On one and the same Euler grid the order matters: Euler's method for (3) and (4) gives another gradient than "
        r"backpropagation through the ResNet (6), which is that of $f^L$; the difference decays as $1/L$, with "
        r"$h_t$ stored and with $h_t$ solved backwards alike (measured: the slope furthest from $-1$, "
        rf"of {len(fits)}; {second_term(TOLERANCE, FIRST, -1)}).",
        worst, -1.0, TOLERANCE,
    )  # fmt: skip


def coincide(found: Symplectic) -> Claim:
    worst = int(np.argmax(found.difference / found.rounding))
    return Claim(
        "gauss-order-does-not-matter",
        r"For Gauss schemes the two orders give one gradient, to rounding and however coarse the scheme (Sanz-Serna, "
        rf"SIAM Review 58, 2016): with a single node, {found.error[0]:.0%} away from the gradient of the Neural ODE, "
        r"the adjoint equation collocated at that node is still the exact gradient of the discrete output (measured: "
        f"largest relative difference, {found.nodes[0]:g} to {found.nodes[-1]:g} nodes).",
        Verdict.HOLDS if (found.difference <= found.rounding).all() else Verdict.FAILS,
        measured=float(found.difference[worst]), predicted=0, uncertainty=float(found.rounding[worst]),
    )  # fmt: skip


# Alignment and work


def aligned(networks: Sequence[Network]) -> Claim:
    means = [average(of(networks, ladder.method)) for ladder in networks[0].ladders]
    fits = [(power_law(mean.gradient, mean.angle), mean) for mean in means]
    worst, mean = max(fits, key=lambda found: abs(found[0].slope - 2))
    return slope(
        "alignment",
        r"The gradients align quadratically: $1 - \cos$ of the angle to the true gradient decays as the square of the "
        r"relative error, for fixed and adaptive steps (measured: the exponent furthest from 2, "
        f"{mean.method}, of {len(fits)} methods; {share_of_error(mean.gradient)}).",
        worst, 2.0, DIRECTION,
    )  # fmt: skip


def bounded(networks: Sequence[Network]) -> Claim:
    """A gradient at the relative distance ε lies within the angle arcsin ε: 1 − cos ≤ δ²/2 = ε² / (1 + √(1 − ε²)).

    δ is the distance of the two directions, unit vectors whose entries are each rounded twice: 4 eps between them.
    """
    ladders = [ladder for network in networks for ladder in network.ladders]
    ratio = 0.0
    for ladder in ladders:
        squares = ladder.gradient**2
        apart = np.sqrt(2 * squares / (1 + np.sqrt(np.maximum(1 - squares, 0.0)))) + 4 * EPS
        ratio = max(ratio, float((2 * ladder.angle / apart**2).max()))
    everything = sum(ladder.setting.size for ladder in ladders)
    return Claim(
        "alignment-bound",
        r"An error below $\varepsilon < 1$ guarantees a descent direction, $1 - \cos \le 1 - \sqrt{1 - \varepsilon^2}$ "
        rf"(measured: largest quotient of the two sides, rounding allowed for, {everything} gradients).",
        Verdict.HOLDS if ratio <= 1 + 1e-6 else Verdict.FAILS,
        measured=ratio, predicted=r"$\le 1$", uncertainty=1e-6,
    )  # fmt: skip


def work(ladders: Mapping[str, Ladder]) -> Claim:
    orders = {"Euler": 1, **{method: order for method, (order, _) in ADAPTIVE.items()}}
    ratios = {method: -ladders[method].by_work.slope / order for method, order in orders.items()}
    method = min(ratios, key=lambda name: ratios[name])
    at = 1e-6
    euler = ladders["Euler"]
    needed = float(euler.passes[-1] * euler.gradient[-1] / at)
    adaptive = {name: _passes_at(ladders[name], at) for name in ("RK23", "RK45", "DOP853")}
    listed = ", ".join(f"{name} {passes:.0f}" for name, passes in adaptive.items())
    return Claim(
        "work",
        r"A digit of the gradient costs a factor 10 with Euler's fixed steps and at most $10^{1/p}$ with an adaptive "
        rf"method of order $p$: for a relative error of $10^{{-6}}$ {listed} passes, Euler (extrapolated along $1/L$) "
        rf"{needed:.1e} (measured: order in the work, divided by $p$; the smallest, {method}; margin {TOLERANCE}, that "
        r"of Euler's slope).",
        Verdict.HOLDS if ratios[method] >= 1 - TOLERANCE else Verdict.FAILS,
        measured=ratios[method], predicted=r"$\ge 1$", uncertainty=ladders[method].by_work.uncertainty / orders[method],
    )  # fmt: skip


def _passes_at(ladder: Ladder, error: float) -> float:
    """Passes for an error, read off the polygon through the measured points."""
    return float(np.exp(np.interp(-np.log(error), -np.log(ladder.gradient), np.log(ladder.passes))))
