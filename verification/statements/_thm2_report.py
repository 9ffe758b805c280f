"""The figure and the tables of theorem 2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._descents import Ensemble, share
from verification.statements._stepsize import Problem, problem
from verification.statements._tasks import Task
from verification.statements._thm2_runs import NEAR, SAFE, Experiment
from verification.style import BLUE, GREY, MARKERS, PALETTE, VERMILLION, new_figure


def norm_of(of: Problem, norm: str) -> float:
    return of.spectral if norm == "spectral" else of.frobenius


def largest_constant(of: Problem) -> float:
    """√(2 K_∞(x, x)), the same for all x on the sphere."""
    return float(np.sqrt(2 * of.kernel[0, 0]))


def figure(exploding: Ensemble, done: Experiment) -> Figure:
    figure, (above, middle, below) = new_figure(rows=3)
    safe = next(found for found in done.safe if found.problem is exploding.problem)
    for found, colour, label in (
        (exploding, VERMILLION, r"$\eta = 1/\|X\|_2^2$"),
        (safe, BLUE, rf"$\eta = {SAFE:g}\,\eta^*$"),
    ):
        one = found.runs[-1][0]
        k = np.arange(len(one.loss))
        above.plot(k, one.loss / one.loss[0], color=colour, marker="o", label=label)
        above.plot(k, one.linear / one.linear[0], color=colour, linewidth=0.8)
        above.plot(k, found.problem.promise(found.rate, len(k) - 1), color=colour, linestyle="--", linewidth=1.0)
    top = 100 * float((exploding.runs[-1][0].loss / exploding.runs[-1][0].loss[0]).max())
    above.set(xlabel="step $k$", ylabel=r"$L(\theta_k) / L(\theta_0)$", yscale="log", title="(14)", ylim=(1e-2, top))
    above.legend()
    shown = ((safe, rf"${SAFE:g}\,\eta^*$"), (done.near, rf"${NEAR:g}\,\eta^*$"), (exploding, r"$1/\|X\|_2^2$"))
    for i, (found, label) in enumerate(shown):
        part, low, high = np.asarray([share(row) for row in found.kept]).T
        shift = found.widths * 1.03 ** (i - 1)
        middle.errorbar(
            shift, part, yerr=[part - low, high - part], color=PALETTE[i], marker=MARKERS[i], capsize=2.5, label=label
        )
        middle.plot(
            shift, found.kept_linear.mean(axis=1), color=PALETTE[i], marker=MARKERS[i], linestyle="none",
            fillstyle="none", markersize=9,
        )  # fmt: skip
    middle.set(xscale="log", xlabel="width $n$", ylabel="fraction that keeps (14)", ylim=(-0.05, 1.08))
    middle.set_xticks(done.near.widths, [f"{n:g}" for n in done.near.widths])
    middle.minorticks_off()
    middle.legend(title=r"$\eta$", loc="center right", bbox_to_anchor=(1.0, 0.3))
    for i, found in enumerate(done.safe):
        below.plot(
            found.widths, found.constants.max(axis=1), color=PALETTE[i], marker=MARKERS[i], label=found.problem.name
        )
    for name, cap in {found.problem.net.phi.name: largest_constant(found.problem) for found in done.safe}.items():
        below.axhline(cap, color=GREY, linestyle=":", linewidth=1.0)
        below.annotate(f"bound, {name}", (float(done.near.widths[0]), cap), va="bottom", color=GREY, fontsize=8)
    below.set(
        xscale="log", xlabel="width $n$", title="(13)", ylim=(0, None),
        ylabel=r"$\sup_k \|\theta^k - \theta^0\| \lambda_0 / \sqrt{L(\theta_0)}$",
    )  # fmt: skip
    below.set_xticks(done.near.widths, [f"{n:g}" for n in done.near.widths])
    below.minorticks_off()
    below.legend()
    return figure


def rates_table(done: Experiment, digits: Task) -> Table:
    of_digits = [problem("softplus", "digits", digits.X, digits.y, horizon) for horizon in (0.5, 1.5)]
    distinct = {found.problem.name + str(len(found.problem.X)): found.problem for found in done.all}
    rows: list[Sequence[Value]] = []
    for of in (*distinct.values(), *of_digits):
        numbers = (
            of.least, of.noise, of.largest, of.edge * of.largest, of.largest / of.spectral**2,
            of.largest / of.frobenius**2,
        )  # fmt: skip
        rows.append((of.name, len(of.X), *map(rounded, numbers)))
    head = [
        "problem", "$N$", r"$\lambda_0$", "noise", r"$\lambda_{\max}$", r"$\eta^* \lambda_{\max}$",
        r"$\lambda_{\max} / \|X\|_2^2$", r"$\lambda_{\max} / \|X\|_F^2$",
    ]  # fmt: skip
    caption = (
        r"What the step sizes mean: (14) holds in the linear dynamics where $\eta \lambda_{\max}$, in the last two "
        r"columns "
        r"for $\eta = 1/\|X\|^2$, is at most $\eta^* \lambda_{\max}$"
    )
    return Table(caption, head, rows)


def fractions_table(done: Experiment) -> Table:
    rows: list[Sequence[Value]] = []
    groups = (
        (r"$1/\|X\|_2^2$", done.spectral), (r"$1/\|X\|_F^2$", done.frobenius),
        (rf"${SAFE:g}\,\eta^*$", (*done.safe, *done.other_counts)), (rf"${NEAR:g}\,\eta^*$", (done.near,)),
    )  # fmt: skip
    for label, ensembles in groups:
        for found in ensembles:
            of = found.problem
            for i, n in enumerate(found.widths.astype(int).tolist()):
                part, low, high = share(found.kept[i])
                row, constant = found.runs[i], float(found.constants[i].max())
                rise = max(float(one.loss.max() / one.loss[0]) for one in row)
                left = float(np.median([one.loss[-1] / one.loss[0] for one in row]))
                numbers = (part, low, high, float(found.kept_linear[i].mean()), rise, left)
                constants = (constant / of.spectral, constant / of.frobenius)
                name = f"{of.name}, $N = {len(of.X)}$, {label}"
                rows.append((name, n, *map(rounded, (*numbers, *constants)), sum(one.ended for one in row)))
    head = [
        r"problem, $\eta$", "$n$", "keep (14)", "from", "to", "predicted", r"largest $L(\theta_k)/L(\theta_0)$",
        "loss left (median)", "$C$ (spectral)", "$C$ (Frobenius)", "ended early",
    ]  # fmt: skip
    return Table("All runs: fractions with Clopper–Pearson intervals (95 %), and the largest $C$ of (13)", head, rows)
