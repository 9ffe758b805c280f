"""How the constant of proposition 2 grows with the width, and the rate of K_∞^L."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from refimpl import Euler, NeuralODE
from verification import Agreement, Claim, Config, Table, Verdict, compare
from verification.fit import power_law
from verification.numerals import lower, rounded
from verification.statement import Value
from verification.statements._depth_by_hand import concentrated_limit, constants, largest
from verification.statements._depth_counterexamples import concentrated_coefficient
from verification.statements._depth_widths import DEPTHS, DIM, Widths, limit_coefficient, linear_coefficient, points
from verification.statements._expansion import expansion, flat
from verification.statements._statistics import LEVEL, at_infinite_width, decided

LIMIT = ("limit-kernel-rate", "limit-kernel-coefficient")

TOLERANCE = 0.03
"""Largest deviation of the slope of K_∞^L between the two deepest ResNets from −1."""


def at_given_norms() -> tuple[Claim, Table, Agreement]:
    n = 4.0 ** np.arange(2, 9)
    values = np.asarray([concentrated_coefficient(int(width)) for width in n])
    fit, least = power_law(n, values), lower(float((values / np.sqrt(n)).min()), 3)
    claim = Claim(
        "width-norms",
        r"A $C$ of the Lipschitz constants, $T$, $\|x\|$ and bounds of $\|U\|/\sqrt n$, $\|W\|/\sqrt n$ and "
        r"$\|v\|/\sqrt n$ must grow with the width, as that of the bound does: with $\phi(z) = z + \sin z$ and all "
        rf"norms in two neurons, $\lim L \|\partial_U f^L - \partial_U f\| \ge {least} \sqrt n$ "
        rf"at $n = 4^2, 4^3, \dots, {n[-1]:g}$ (measured: its exponent in $n$).",
        Verdict.HOLDS if abs(fit.slope - 0.5) <= fit.uncertainty else Verdict.UNDECIDED,
        measured=fit.slope,
        predicted=0.5,
        uncertainty=fit.uncertainty,
        scope="" if abs(fit.slope - 0.5) <= fit.uncertainty else "The widths are too small for the exponent.",
    )
    rows = [
        (f"$n = {width:g}$", float(value), float(value / math.sqrt(width)))
        for width, value in zip(n, values, strict=True)
    ]
    head = ["width", r"$\lim L \|\partial_U f^L - \partial_U f\|$", r"divided by $\sqrt n$"]
    few, finest = 3, 2048
    limits = [concentrated_limit(int(width), finest) for width in n[:few]]
    difference, allowed = max(
        ((abs(value - limit), error) for value, (limit, error) in zip(values, limits, strict=False)),
        key=lambda pair: pair[0] / pair[1],
    )
    agreement = Agreement(
        rf"$\lim L \|\partial_U f^L - \partial_U f\|$ of the two neurons, $n = {n[0]:g}, \dots, {n[few - 1]:g}$",
        ("ODEs for the first-order terms", "backpropagation written out against SolveIVP, extrapolated"),
        difference, allowed,
        rf"the last change of the extrapolation up to $L = {finest}$, and that of SolveIVP with 100 times the tolerance"
        " times that depth", (claim.id,),
    )  # fmt: skip
    title = r"Two neurons that carry all of the norms: a constant of norms must grow with $\sqrt n$"
    return claim, Table(title, head, rows), agreement


def at_random(random: Sequence[Widths]) -> list[Claim]:
    slopes = {case.activation: (case.exponent(case.largest), case.exponent(case.largest, LEVEL)[1]) for case in random}
    name, ((slope, half), wide) = max(slopes.items(), key=lambda item: item[1][0][0] + item[1][1])
    quotient = max(
        float(np.sqrt(np.mean(c.largest**2, axis=0) / np.mean(c.mean_bound**2, axis=0)).max()) for c in random
    )
    (bound, bound_half), case = max(c.exponent(c.mean_bound) for c in random), random[0]
    of = ", ".join(str(L) for L in DEPTHS)
    verdict = Verdict.HOLDS if slope + wide < 0.25 else Verdict.FAILS if slope - wide > 0.25 else Verdict.UNDECIDED
    return [
        Claim(
            "width-random",
            r"At random parameters the constant does not grow like the $\sqrt n$ of norms: the exponent in $n$ of "
            rf"$\sup_L L \|\nabla_\theta f^L - \nabla_\theta f\|$, over $L = {of}$ and $L \to \infty$, is below $1/4$ "
            rf"for softplus and tanh over $n = {case.widths[0]:g}, \dots, {case.widths[-1]:g}$ (measured: the larger "
            rf"one, {name}, {len(case.largest)} networks of each width; "
            rf"{decided(slope - wide, slope + wide)}, by its side of $1/4$).",
            verdict,
            measured=slope,
            predicted=0,
            uncertainty=half,
            scope="" if verdict is not Verdict.UNDECIDED else r"The interval reaches $1/4$: too few networks.",
        ),
        Claim(
            "width-mean-square",
            r"In the mean square over $v$, $(E_v \|\nabla_\theta f^L - \nabla_\theta f\|^2)^{1/2} \le C/L$ for "
            r"every $L$ with a $C$ of the Lipschitz constants, $T$, $\|x\|$, $\|W\|/\sqrt n$ and "
            r"$\|\phi(h_0)\|/\sqrt n$, the last two of which converge almost surely as $n \to \infty$; for "
            r"any one $L$ and with probability $1 - \delta$ that gives (7) with $C/\sqrt\delta$ (measured: the largest "
            r"root mean square over networks by that of $C$; the exponent of $C$ in $n$ is "
            rf"${bound:.3f} \pm {bound_half:.3f}$, and must be below $1/4$, closer to 0 than to the $1/2$ of norms).",
            Verdict.HOLDS if quotient <= 1 and abs(bound) < 0.25 else Verdict.FAILS,
            measured=quotient,
            predicted="at most 1",
        ),
    ]


def largest_agree(config: Config, random: Sequence[Widths]) -> list[Agreement]:
    """One network of the smallest width: what is bounded, and the bound in the mean over the readout."""
    X, found = points(config), []
    for case in random:
        net, n = NeuralODE(case.activation), int(case.widths[0])
        theta = net.init(n, DIM, seed=config.rng("width", case.activation, n, 0))
        measured, change = largest(net, theta, X, DEPTHS, 256)
        refined = expansion(net, theta, X)
        coarse = expansion(net, theta, X, rtol=1e-8)
        bound = constants(net, theta, X, mean=True)["gradient"]
        moved = float(np.linalg.norm(flat(refined.coefficient) - flat(coarse.coefficient)))
        moved += DEPTHS[-1] * float(np.linalg.norm(flat(refined.gradient) - flat(coarse.gradient)))
        name = f"{case.activation}, $n = {n}$"
        found += [
            Agreement(
                rf"$\sup_L L \|\nabla_\theta f^L - \nabla_\theta f\|$ ({name})",
                ("Euler and ODEs for the first-order terms", "backpropagation written out, SolveIVP, extrapolation"),
                abs(measured - float(case.largest[0, 0])), change + moved,
                "the last change of the extrapolation, and that of the ODEs from rtol 1e-8 to 1e-10",
                ("width-random", "width-mean-square"),
            ),
            compare(
                f"$C$ in the mean square over $v$ ({name})",
                {"`mean_depth_bound`": case.mean_bound[0, 0],
                 "QUADPACK, from its inequalities": np.sqrt(np.mean(bound**2))},
                allowed=1e-10, because="1e-11 asked of QUADPACK in each of two nested integrals",
                claims=("width-mean-square",),
            ),
        ]  # fmt: skip
    return found


def widths_table(random: Sequence[Widths]) -> Table:
    rows: list[Sequence[Value]] = []
    for case in random:
        names = {
            r"$\sup_L L \|\cdot\|$": case.largest,
            "$C$ in the mean square": case.mean_bound,
            "$C$ of norms": case.bound,
        }
        for name, values in names.items():
            slope, half = case.exponent(values)
            means = (rounded(value) for value in np.sqrt(np.mean(values**2, axis=0)))
            rows.append((f"{case.activation}, {name}", *means, float(f"{slope:.3f}"), float(f"{half:.3f}")))
    head = ["gradient", *(f"$n = {n:g}$" for n in random[0].widths), "exponent", "±"]
    return Table("Constants of (7) at random parameters, root mean square over networks; ± is 95 %", head, rows)


def limit_kernel(config: Config, random: Sequence[Widths]) -> tuple[list[Claim], list[Agreement]]:
    X, linear = points(config), NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    extrapolated, change = limit_coefficient(linear, X, 512)
    closed = linear_coefficient(linear, X)
    roads = [
        compare(
            r"$\lim L (K_\infty^L - K_\infty)$ (identity, $T = 1.3$, $\sigma_w = 0.8$)",
            {"Richardson on the Euler scheme": extrapolated, "Bessel functions": closed},
            allowed=float(change.max() + 512 * 1e-12 * np.abs(linear.limit().ntk(X)).max()), relative=False,
            because="the last change of the extrapolation, and 1e-12 promised by Gauss times the largest L",
            claims=LIMIT,
        )
    ]  # fmt: skip
    slopes, coefficients = {}, {}
    for case in random:
        net = NeuralODE(case.activation)
        coefficients[case.activation], _ = limit_coefficient(net, X, 128)
        exact = net.limit().ntk(X[:1], X)[0]
        errors = [float(np.linalg.norm(net.limit(Euler(L)).ntk(X[:1], X)[0] - exact)) for L in (32, 64, 128)]
        slopes[case.activation] = tuple(math.log2(b / a) for a, b in pairwise(errors))
        limits = [at_infinite_width(case.ntk[:, :, j], case.widths) for j in range(2)]
        score = max(abs(m - c) / wide for (m, _, wide), c in zip(limits, coefficients[case.activation], strict=True))
        roads.append(
            Agreement(
                rf"$\lim L (K_\infty^L - K_\infty)$ ({case.activation}; in half-widths of the interval)",
                ("Richardson on the Euler scheme", r"first-order terms of random networks, $n \to \infty$"),
                score, 1.0, f"Student's {LEVEL:.1%} interval of the networks, extrapolated with a bias of order 1/n",
                LIMIT,
            )
        )  # fmt: skip
    name, (before, worst) = max(slopes.items(), key=lambda item: abs(item[1][1] + 1))
    rate = Claim(
        "limit-kernel-rate",
        rf"$\|K_\infty^L - K_\infty\|$ decays as $1/L$: for softplus and tanh its slope from $L = 64$ to $L = 128$ is "
        rf"$-1 \pm {TOLERANCE}$ (measured: the one furthest from $-1$, {name}).",
        Verdict.HOLDS if abs(worst + 1) <= TOLERANCE else Verdict.FAILS,
        measured=worst,
        predicted=-1,
        uncertainty=abs(worst - before),
    )
    values = ", ".join(f"{name}: {float(c[0]):.4f}" for name, c in coefficients.items())
    coefficient = Claim(
        "limit-kernel-coefficient",
        r"For $\phi(z) = z$ and $Z = \sigma_w T$, $\lim L (K_\infty^L - K_\infty) = -q \sigma_v^2 [4 Z^2 I_2(2Z) + Z^3 "
        rf"I_3(2Z)]$, at $x = \bar x$; for other $\phi$ it is the limit of the coefficient of $K_\theta$ as $n \to "
        rf"\infty$ ($T = 1$, {values}).",
        Verdict.HOLDS if all(road.agree for road in roads) else Verdict.UNDECIDED,
        measured=float(extrapolated[0]),
        predicted=float(closed[0]),
        uncertainty=float(change[0]),
        scope="" if all(road.agree for road in roads) else "The roads disagree.",
    )
    return [rate, coefficient], roads
