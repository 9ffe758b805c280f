"""Linear stacks without the skip connection, with weights of their own in every layer or shared: (10) with its ≠."""

from __future__ import annotations

from math import prod

import numpy as np
from matplotlib.axes import Axes

from verification import Agreement, Claim, Config, Verdict
from verification.statements._chains import mean_root
from verification.statements._data import Array
from verification.statements._pairings import trace_moment
from verification.statements._statistics import LEVEL, student
from verification.style import BLACK, GREY, loglog, series

WIDTHS = (8, 32, 128)

DEEPEST = 4
"""Depth of the shared stacks whose pairings are all enumerated: (2L − 1)!! of them."""


def shared_moment(n: float, depth: int) -> float:
    """E ‖h^L‖²/(n q) of h^ℓ = W h^{ℓ−1}/√n: E tr W^L W^{⊤L}/n^{L+1}, exactly."""
    return float(sum(count * float(n) ** power for power, count in trace_moment(depth, depth).items()))


def shared_norms(n: int, depth: int, draws: int, rng: np.random.Generator) -> Array:
    """‖h^ℓ‖/√(n q) for ℓ = 0, …, L: shape (draws, L + 1)."""
    W = rng.standard_normal((draws, n, n)) / np.sqrt(n)
    h = [rng.standard_normal((draws, n, 1))]
    for _ in range(depth):
        h.append(W @ h[-1])
    norms: Array = np.stack([np.sqrt(np.sum(z**2, axis=(1, 2)) / n) for z in h], axis=1)
    return norms


def shared_stack(config: Config, draws: int) -> tuple[Claim, Agreement]:
    """Every one of the (2L − 1)!! pairings of 2L factors counts n^faces with at least one face."""
    quotients = [
        shared_moment(n, L) / (prod(range(1, 2 * L, 2)) / float(n) ** L)
        for n in (1, 2, 8, 1024)
        for L in range(1, DEEPEST + 1)
    ]
    wide, n, depth = shared_moment(1e9, DEEPEST), 8, 3
    mean, _, wider = student(shared_norms(n, depth, draws, config.rng("shared stack"))[:, -1] ** 2)
    holds = min(quotients) >= 1 - 1e-12 and abs(wide - 1) <= 1e-6
    return Claim(
        "perceptron-shared",
        r"So it is with one $W$ for all layers: $h^\ell = W h^{\ell-1}/\sqrt n$, linear. $E \|h^L\|^2/(nq) = E\, "
        r"\mathrm{tr}\, W^L W^{\top L}/n^{L+1}$ is 1 with $n \to \infty$ first, and infinite with $L \to \infty$ "
        r"first: all $(2L - 1)!!$ pairings of its factors count, each by $n^{-L}$ at least. With a pencil, $n = 1$: $E "
        r"w^{2L} = (2L - 1)!!$. It is "
        rf"the skip connection with the step $T/L$ that makes the limits of (6) commute (measured: the smallest of $E "
        rf"\|h^L\|^2/(nq)$ over $(2L - 1)!!\, n^{{-L}}$ for $n \le 1024$, $L \le {DEEPEST}$, which $n = 1$ attains).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=min(quotients), predicted=r"$\ge 1$", uncertainty=1e-12,
    ), Agreement(
        rf"$E \|h^L\|^2/(nq)$ with a shared $W$ and no skip connection, $n = {n}$, $L = {depth}$",
        ("every pairing enumerated", "Monte Carlo"),
        abs(mean - shared_moment(n, depth)), wider, f"Student's interval of {draws} networks at {LEVEL:.1%}",
        ("perceptron-shared", "linear-plane"),
    )  # fmt: skip


def draw_stacks(axes: Axes, config: Config, draws: int) -> None:
    """E ‖h^L‖/√(nq) against L/n: one curve for all widths means that no order of limits is the limit."""
    depths = np.exp2(np.arange(0, 11))
    loglog(axes, "$L / n$", r"$E \|h^L\| / \sqrt{n q}$", title="without skip connection: (10) is true")
    for index, n in enumerate(WIDTHS):
        roots = np.asarray([mean_root(n) ** (L + 1) for L in depths])
        series(axes, depths / n, roots, label=f"own weights, $n = {n}$", index=index)
    for index, n in enumerate(WIDTHS[:2], start=3):
        few = np.asarray([1, 2, 4, 8, 16, 24][: 4 if n == WIDTHS[0] else 6])  # deeper, a mean is one rare event
        norms = shared_norms(n, int(few[-1]), draws, config.rng("shared stack", n))[:, few]
        found = [student(column) for column in norms.T]
        middle, spread = np.asarray([f[0] for f in found]), np.asarray([f[1] for f in found])
        series(axes, few / n, middle, label=f"shared, $n = {n}$", index=index, spread=spread)
    ratio = np.geomspace(1 / WIDTHS[-1], 128, 200)
    axes.plot(
        ratio, np.exp(-ratio / 4), linestyle="--", color=GREY, label=r"$L = \gamma n \to \infty$: $e^{-\gamma/4}$"
    )
    axes.axhline(1.0, color=BLACK, linewidth=1.2, label=r"$n \to \infty$ first")
    axes.set_ylim(1e-2, 30)
    axes.legend(loc="lower left", fontsize=7.5)
