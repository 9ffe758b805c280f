"""Claims, roads and table of the small ReLU network that is followed to L = 2^16."""

from __future__ import annotations

import numpy as np

from refimpl import Euler, KinkEvents, NeuralODE
from verification import Agreement, Claim, Config, Table, Verdict
from verification.fit import second_term
from verification.statement import Value
from verification.statements._data import DIM, inputs
from verification.statements._relu_constructed import third
from verification.statements._relu_curves import flat
from verification.statements._relu_deep import ADAPTIVE, DEEPEST, FITTED, Deep, backpropagated

CONTROL = 0.05
"""Largest deviation of a slope from −2; the claim says how large a next term, O(1/L), that allows."""

CONSTANT = 0.1
"""Largest deviation of the slopes over the four deepest doublings of L from 0 and from −1: a factor of 16^0.1 = 1.3."""


def claims(found: Deep, control: Deep) -> list[Claim]:
    """Bounded, irregular, and not to be extrapolated."""
    return [_bounded(found), _richardson(found), _control(control), _positions(found), _defaults(found)]


def _bounded(found: Deep) -> Claim:
    deep = found.depths >= 64
    largest, ceiling = float((found.depths * found.norm)[deep].max()), found.ceiling
    allowed = float(found.remainder[deep].max()) * largest
    return Claim(
        "gradient-bounded",
        rf"$L \|\nabla_\theta f^L - \nabla_\theta f\|$ stays bounded up to $L = 2^{{{DEEPEST}}}$ (one network of "
        rf"$n = {found.width}$, one input; measured: its largest value for $L \geq 64$; predicted: the largest "
        r"$\|A + \sum_c \theta_c J_c\|$ over all places $\theta_c$ that crossings may have within a step, as below).",
        Verdict.HOLDS if largest <= ceiling + allowed else Verdict.FAILS,
        measured=largest,
        predicted=rf"$\le {ceiling:.4f}$",
        uncertainty=allowed,
    )


def _richardson(found: Deep) -> Claim:
    """{2L/3} − {L/3} = ±1/3 for L = 2^k: λ_0^{2L} twice less λ_0^L is off by ∓1/(3L)."""
    fit = found.slope(found.extrapolated)
    L = 1024
    pencil = L * abs(2 * third(2 * L) - third(L))
    holds = abs(fit.slope + 1) <= fit.uncertainty + 0.05 and abs(pencil - 1 / 3) <= 4 / L
    return Claim(
        "richardson",
        r"Extrapolation does not help: $2 \nabla_\theta f^{2L} - \nabla_\theta f^L$ is off by $O(1/L)$ still, because "
        r"the error from a crossing depends on its place within a step. Smallest network: $n = 2$, "
        r"$\dot h_1 = \phi(h_1) + 1$ from $-1/3$, $T = 1$, where $L = 2^k$ leaves $\pm 1/(3L)$ of $\lambda_0$ "
        r"(measured: the slope of the extrapolated difference).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=fit.slope,
        predicted=-1,
        uncertainty=fit.uncertainty,
    )


def _control(control: Deep) -> Claim:
    fit = control.slope(control.extrapolated)
    return Claim(
        "richardson-control",
        r"For softplus, with the same $\theta$ and input, extrapolation does gain an order (measured: the slope of the "
        rf"extrapolated difference; {second_term(CONTROL, 64, -1)}).",
        Verdict.HOLDS if abs(fit.slope + 2) <= CONTROL else Verdict.FAILS,
        measured=fit.slope,
        predicted=-2,
        uncertainty=fit.uncertainty,
    )


def _positions(found: Deep) -> Claim:
    """The next term is O(1/L) relative, which its size at L = 64, the first depth that counts, tells."""
    deep, first = found.depths >= 1024, found.depths == 64
    level = (found.depths * found.norm)[deep]
    scatter, left = float(np.ptp(level) / level.mean()), float(found.remainder[deep].max())
    allowed = 2 * float(found.remainder[first][0]) * 64 / 1024
    return Claim(
        "crossing-positions",
        r"$L (\nabla_\theta f^L - \nabla_\theta f) = A + \sum_c \theta_c(L) J_c + O(1/L)$, where $\theta_c$ is the "
        r"place of the crossing $c$ within a step; $A$, $J_c$ do not depend on $L$ (measured: largest remainder for "
        rf"$L = 2^{{10}}, \dots, 2^{{{DEEPEST}}}$, relative; $A$ and $J_c$ from {len(FITTED)} other depths, "
        rf"${FITTED[0]} \leq L \leq {FITTED[-1]}$; the norm itself scatters by {scatter:.0%}).",
        Verdict.HOLDS if left <= allowed else Verdict.FAILS,
        measured=left,
        predicted=0,
        uncertainty=allowed,
    )


def _defaults(found: Deep) -> Claim:
    """Over the last four doublings, in which the exact difference falls by 16."""
    name = list(ADAPTIVE)[-1]
    level = np.linalg.norm(found.differences + found.exact - found.references[name], axis=1)
    fit, exact = found.slope(level, 1 << 12), found.slope(found.norm, 1 << 12)
    holds = max(abs(fit.slope), abs(exact.slope + 1)) <= CONSTANT
    return Claim(
        "reference-default",
        r"With a gradient from an adaptive solver that steps over kinks the difference looks constant, although it is "
        rf"not: {name} (measured: slope for $L \geq 2^{{12}}$; against the exact gradient it is ${exact.slope:.2f}$; "
        rf"margin {CONSTANT} from 0 and from $-1$, a factor {16**CONSTANT:.1f} over these four doublings of $L$).",
        Verdict.HOLDS if holds else Verdict.UNDECIDED,
        measured=fit.slope,
        predicted=0,
        uncertainty=max(fit.uncertainty, 0.01),
        scope="" if holds else "The error of that solver is not yet what decides.",
    )


def agreements(config: Config, found: Deep) -> list[Agreement]:
    """The exact gradient by located crossings, and backpropagation by the package."""
    size = float(np.linalg.norm(found.exact))
    by_events = found.references["KinkEvents, default (1e-10)"]
    net, x = NeuralODE("relu"), inputs(config, 1)["sphere"]
    theta, depth = net.init(found.width, DIM, seed=config.rng("deepest", found.width)), 256
    own, _ = backpropagated(net, theta, x[0], depth)
    return [
        Agreement(
            rf"$\nabla_\theta f$ (relu, $n = {found.width}$)", ("exact flow between crossings", "KinkEvents"),
            float(np.linalg.norm(by_events - found.exact)) / size, 10 * KinkEvents().rtol,
            "rtol of KinkEvents, with a factor of 10 between the tolerances that it compares",
        ),
        Agreement(
            rf"$\nabla_\theta f^L$ ($n = {found.width}$, $L = {depth}$)", ("Euler", "backpropagation written out"),
            float(np.linalg.norm(flat(net.jacobian(theta, x, Euler(depth)))[0] - own)) / size,
            4 * (depth + found.width) * float(np.finfo(float).eps),
            "roundings of every layer and of sums of n terms, forward and backward",
        ),
    ]  # fmt: skip


def floors(found: Deep) -> Table:
    """What is left at the deepest ResNet, against every reference."""
    size, rows = float(np.linalg.norm(found.exact)), list[tuple[Value, ...]]()
    everything = {"exact flow": found.exact, **dict(sorted(found.references.items(), key=lambda item: item[0]))}
    for name, gradient in everything.items():
        level = np.linalg.norm(found.differences + found.exact - gradient, axis=1)
        error = float(np.linalg.norm(gradient - found.exact)) / size
        reached = np.flatnonzero(found.norm / size <= error)
        rows.append((
            name, error, float(level[-1]) / size, round(found.slope(level, 1 << 12).slope, 3),
            int(found.depths[reached[0]]) if reached.size else None,
        ))  # fmt: skip
    head = [
        "reference", "its relative error", rf"relative difference at $L = 2^{{{DEEPEST}}}$",
        r"slope, $L \geq 2^{12}$", "exact difference below that error from $L$",
    ]  # fmt: skip
    return Table(f"What belongs to the solver: one ReLU network, n = {found.width}", head, rows)
