"""Claims, roads and table of the small ReLU network that is followed to L = 2^16."""

from __future__ import annotations

import numpy as np

from refimpl import Euler, KinkEvents, NeuralODE
from verification import Agreement, Claim, Config, Table, Verdict
from verification.fit import second_term
from verification.statement import Value
from verification.statements._data import inputs
from verification.statements._relu_constructed import third
from verification.statements._relu_curves import flat
from verification.statements._relu_deep import ADAPTIVE, DEEPEST, FITTED, Deep, backpropagated, deepest_network

DEEP = ("gradient-bounded", "richardson", "crossing-positions", "reference-default")
"""Claims on this network."""

CONTROL = 0.05
"""Largest deviation of a slope from −2; the claim says how large a next term, O(1/L), that allows."""

CONSTANT = 0.1
"""Largest deviation of the slopes over the four deepest doublings of L from 0 and from −1: a factor of 16^0.1 = 1.3."""


def claims(found: Deep, control: Deep) -> list[Claim]:
    """Bounded, irregular, and not to be extrapolated."""
    return [bounded(found), extrapolation(found), _control(control), crossing_places(found), _defaults(found)]


def bounded(found: Deep) -> Claim:
    """Each depth against the ceiling by itself; what is allowed above it does not grow with what is judged.

    The first settled depth says how large that is, and is not judged by it.
    """
    text = (
        rf"$L \|\nabla_\theta f^L - \nabla_\theta f\|$ stays bounded up to $L = 2^{{{DEEPEST}}}$ (one network of "
        rf"$n = {found.width}$, one input; {{}}predicted: the largest $\|A + \sum_c \theta_c J_c\|$ over all places "
        r"$\theta_c$ that crossings may have within a step, as below, at every depth up to the next term, $O(1/L)$)."
    )
    if found.settled.sum() < 4:
        return _too_few("gradient-bounded", text.replace("{}", ""), None)
    later = found.depths > _first(found)
    depths, level, ceiling = found.depths[later], (found.depths * found.norm)[later], found.ceiling
    allowed = found.allowed[later]
    worst = int(np.argmax(level - allowed))
    measured = (
        rf"measured: its value at $L = {depths[worst]:g}$, the depth from $L = {depths[0]:g}$ on at which it is "
        rf"highest once the next term is taken off; {_from(found)}, and at that depth the next term is measured, and "
        "allowed twice; "
    )
    return Claim(
        "gradient-bounded",
        text.replace("{}", measured),
        Verdict.HOLDS if level[worst] <= ceiling + allowed[worst] else Verdict.FAILS,
        measured=level[worst],
        predicted=rf"$\le {ceiling:.4f}$",
        uncertainty=allowed[worst],
    )


def extrapolation(found: Deep) -> Claim:
    """{2L/3} − {L/3} = ±1/3 for L = 2^k: λ_0^{2L} twice less λ_0^L is off by ∓1/(3L)."""
    text = (
        r"For the first random network that crosses its kink extrapolation does not help: $2 \nabla_\theta f^{2L} - "
        r"\nabla_\theta f^L$ is off by $O(1/L)$ still, because the error from a crossing depends on its place within a "
        r"step. Smallest network: $n = 2$, $\dot h_1 = \phi(h_1) + 1$ from $-1/3$, $T = 1$, where $L = 2^k$ leaves "
        r"$\pm 1/(3L)$ of $\lambda_0$"
    )
    if found.settled.sum() < 4:
        return _too_few("richardson", f"{text}.", -1)
    fit = found.slope(found.extrapolated, 2 * _first(found))  # both of its depths are settled
    L = 1024
    pencil = L * abs(2 * third(2 * L) - third(L))
    near = abs(fit.slope + 1) <= fit.uncertainty + 0.05 and abs(pencil - 1 / 3) <= 4 / L
    told = fit.slope - fit.uncertainty > -2  # from the order 2 that it would have
    return Claim(
        "richardson",
        rf"{text} (measured: the slope of the extrapolated difference of a network of $n = {found.width}$ over "
        rf"$L \geq {_first(found)}$; {_from(found)}).",
        Verdict.FAILS if not near else Verdict.HOLDS if told else Verdict.UNDECIDED,
        measured=fit.slope,
        predicted=-1,
        uncertainty=fit.uncertainty,
        scope="The slope is too uncertain to tell order 1 from order 2." if near and not told else "",
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


def crossing_places(found: Deep) -> Claim:
    """The next term is O(1/L), which its size at the first settled depth tells."""
    text = (
        r"$L (\nabla_\theta f^L - \nabla_\theta f) = A + \sum_c \theta_c(L) J_c + O(1/L)$, where $\theta_c$ is the "
        r"place of the crossing $c$ within a step; $A$, $J_c$ do not depend on $L$"
    )
    deep = found.depths >= 1024
    if found.settled.sum() < 4 or _first(found) >= 1024:
        return _too_few("crossing-positions", f"{text}.", 0)
    level, left = (found.depths * found.norm)[deep], found.remainder[deep]
    scatter, allowed = float(np.ptp(level) / level.mean()), found.allowed[deep] / level
    worst = int(np.argmax(left / allowed))
    return Claim(
        "crossing-positions",
        rf"{text} (measured: remainder at $L = {found.depths[deep][worst]:g}$, relative, the largest of "
        rf"$L = 2^{{10}}, \dots, 2^{{{DEEPEST}}}$ beside its margin: terms $O(1/L)$, there and where $A$, $J_c$ come "
        rf"from, as large as twice those at $L = {_first(found)}$; {_from(found)}; $A$ and $J_c$ from "
        rf"{len(FITTED)} other depths, ${FITTED[0]} \leq L \leq {FITTED[-1]}$; the norm itself scatters "
        rf"by {scatter:.0%}).",
        Verdict.HOLDS if left[worst] <= allowed[worst] else Verdict.FAILS,
        measured=left[worst],
        predicted=0,
        uncertainty=allowed[worst],
    )


def _first(found: Deep) -> int:
    return int(found.depths[found.settled][0])


def _from(found: Deep) -> str:
    return (
        rf"from $L = {_first(found)}$ on every neuron crosses the kink as often as in the Neural ODE, as this "
        "expansion presumes"
    )


def _too_few(name: str, text: str, predicted: Value) -> Claim:
    scope = "Too few depths lie beyond the last at which the ResNet has other crossings than the Neural ODE."
    return Claim(name, text, Verdict.UNDECIDED, None, predicted, scope=scope)


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
    theta, depth = deepest_network(config, found.width), 256
    own, _ = backpropagated(net, theta, x[0], depth)
    return [
        Agreement(
            rf"$\nabla_\theta f$ (relu, $n = {found.width}$)", ("exact flow between crossings", "KinkEvents"),
            float(np.linalg.norm(by_events - found.exact)) / size, 10 * KinkEvents().rtol,
            "rtol of KinkEvents, with a factor of 10 between the tolerances that it compares", DEEP,
        ),
        Agreement(
            rf"$\nabla_\theta f^L$ ($n = {found.width}$, $L = {depth}$)", ("Euler", "backpropagation written out"),
            float(np.linalg.norm(flat(net.jacobian(theta, x, Euler(depth)))[0] - own)) / size,
            4 * (depth + found.width) * float(np.finfo(float).eps),
            "roundings of every layer and of sums of n terms, forward and backward", DEEP,
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
