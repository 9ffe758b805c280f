"""Figure and tables of the open directions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._open_features import Features
from verification.statements._open_optimizers import Followed
from verification.statements._open_rates import Grid
from verification.statements._open_solvers import Design
from verification.statements._statistics import half_width
from verification.style import GREY, PALETTE, guide, loglog, new_figure, series

LABELS = {"gd": "gradient descent", "momentum": "momentum", "sgd": "SGD", "adam": "Adam"}


def draw(grid: Grid, design: Design, followed: Followed, features: Features) -> Figure:
    """Rates, solver design, optimisers, and from lazy to rich."""
    figure, (rates, solvers, rules, scales, moves, gains) = new_figure(columns=2, rows=3)
    _rates(rates, grid)
    _solvers(solvers, design)
    _rules(rules, followed)
    _scales(scales, features)
    _drift(moves, features)
    _gains(gains, features)
    return figure


def _rates(axes: Axes, grid: Grid) -> None:
    error = r"$\|K_\theta^L - K_\infty\| / \|K_\infty\|$"
    loglog(axes, "width $n$", error, xticks=grid.widths, title="width and depth together")
    chosen = {0: 1, len(grid.depths) - 1: 2}
    series(axes, grid.widths, np.sqrt(grid.ode.mean(axis=0)), label=r"$L = \infty$", spread=half_width(grid.ode))
    for j, index in chosen.items():
        squares = grid.resnet[:, :, j]
        label = f"$L = {grid.depths[j]:g}$"
        series(axes, grid.widths, np.sqrt(squares.mean(axis=0)), label=label, index=index, spread=half_width(squares))
        axes.axhline(np.sqrt(grid.bias[j]), color=PALETTE[index], linestyle=":", label=rf"{label}, $n = \infty$")
    through = (float(grid.widths[-1]), float(np.sqrt(grid.ode[:, -1].mean())))
    guide(axes, grid.widths, slope=-0.5, through=through, label="predicted $n^{-1/2}$")
    axes.legend(ncols=2, fontsize=7.5)
    axes.set_ylim(bottom=0.6 * float(np.sqrt(grid.bias[-1])), top=2.5 * float(np.sqrt(grid.ode[:, 0].mean())))


def _solvers(axes: Axes, design: Design) -> None:
    loglog(axes, r"distance of the orders, $\nabla f$", r"distance, $\nabla L$", title="alignment early and late")
    distance = np.asarray([each.distance for each in design.pairings])
    for index, (name, label) in enumerate({"early": "largest mode left", "late": "smallest mode left"}.items()):
        values = [getattr(each, name) for each in design.pairings]
        axes.plot(distance, values, "os"[index], color=PALETTE[index], label=label)
    bound = [each.distance * each.root_condition for each in design.pairings]
    axes.plot(distance, bound, "_", color=GREY, markersize=9, label=r"bound $\varepsilon \sqrt{\kappa}$")
    axes.axhline(1.0, color=GREY, linewidth=1.0, linestyle=":")
    axes.legend()


def _rules(axes: Axes, followed: Followed) -> None:
    title = "optimisers beside the linear model"
    loglog(
        axes, "width $n$", r"$\sup_k \|u^k - u_{\mathrm{lin}}^k\| / \|u^0 - y\|$", xticks=followed.widths, title=title
    )
    for index, (rule, label) in enumerate(LABELS.items()):
        values = followed.apart[rule].T
        mean = np.sqrt(np.mean(values**2, axis=0))
        series(axes, followed.widths, mean, label=label, index=index, spread=half_width(values**2))
    for rule, slope, label in (("gd", -1.0, "predicted $n^{-1}$"), ("adam", -0.5, "$n^{-1/2}$")):
        through = (float(followed.widths[0]), float(np.sqrt(np.mean(followed.apart[rule][0] ** 2))))
        guide(axes, followed.widths, slope=slope, through=through, label=label)
    axes.set_ylim(bottom=axes.get_ylim()[0] / 4)
    axes.legend(ncols=2, fontsize=7.5, loc="lower left")


def _scales(axes: Axes, features: Features) -> None:
    title = rf"scale of $f$, $n = {features.swept}$"
    loglog(axes, r"scale $\alpha$", r"$\|K^k - K^0\| / \|K^0\|$", title=title)
    for index, (runs, (constant, _)) in enumerate(zip(features.sweep[:2], features.constants, strict=False)):
        drifts = [run.drift for run in runs]
        series(axes, features.alphas, drifts, label=f"network {index + 1}", index=index)
        ends = (float(features.alphas[0]), constant / float(features.alphas[0]))
        guide(axes, features.alphas, slope=-1, through=ends, label="_" if index else r"predicted $c / \alpha$")


def _drift(axes: Axes, features: Features) -> None:
    loglog(axes, "width $n$", r"$\|K^k - K^0\| / \|K^0\|$", xticks=features.widths, title="movement of the kernel")
    for index, (runs, label, slope) in enumerate(
        ((features.lazy, r"$\alpha = 1$", -1.0), (features.rich, r"$\alpha = n^{-1/2}$", 0.0))
    ):
        values = np.asarray([[run.drift for run in row] for row in runs])
        mean = _points(axes, features.widths, values, label, index)
        start = (float(features.widths[0]), mean)
        guide(axes, features.widths, slope=slope, through=start, label=rf"predicted $n^{{{slope:g}}}$")


def _gains(axes: Axes, features: Features) -> None:
    title = "alignment with the targets"
    axes.set(xscale="log", xlabel="width $n$", ylabel=r"$y^T K y / (\|K\| \|y\|^2)$", title=title)
    axes.set_xticks(features.widths, [f"{n:g}" for n in features.widths])
    axes.minorticks_off()
    parts = (
        (features.lazy, "before", "before"), (features.lazy, "after", r"after, $\alpha = 1$"),
        (features.rich, "after", r"after, $\alpha = n^{-1/2}$"),
    )  # fmt: skip
    for index, (runs, what, label) in enumerate(parts):
        values = np.asarray([[getattr(run, what) for run in row] for row in runs])
        series(axes, features.widths, values.mean(axis=1), label=label, index=index, spread=values.std(axis=1, ddof=1))
    axes.set_ylim(0, 1)


def _points(axes: Axes, widths: Array, values: Array, label: str, index: int) -> float:
    """Geometric means, with the single networks behind them; the mean at the smallest width."""
    means = np.exp(np.log(values).mean(axis=1))
    axes.plot(np.repeat(widths, values.shape[1]), values.ravel(), ".", color=PALETTE[index], alpha=0.4, markersize=4)
    series(axes, widths, means, label=label, index=index)
    return float(means[0])


def rates_table(grid: Grid) -> Table:
    rows: list[Sequence[Value]] = [
        (
            f"$n = {n:g}$",
            *map(rounded, np.sqrt(grid.resnet[:, i].mean(axis=0))),
            rounded(np.sqrt(grid.ode[:, i].mean())),
        )
        for i, n in enumerate(grid.widths)
    ]
    rows.append((r"$n = \infty$", *map(rounded, np.sqrt(grid.bias)), 0))
    head = ["width", *(f"$L = {L:g}$" for L in grid.depths), r"$L = \infty$"]
    return Table(r"Root mean square of $\|K_\theta^L - K_\infty\| / \|K_\infty\|$", head, rows)


def design_table(design: Design) -> Table:
    rows: list[Sequence[Value]] = [
        (f"{cost.solver}, {cost.adjoint}", cost.target, cost.setting, rounded(cost.passes), rounded(cost.error))
        for cost in design.costs
    ]
    head = ["solver, order", r"error of $\nabla L$ asked", "cheapest setting", "work", "reached"]
    return Table(
        "Solver design: work in passes through $\\phi$ or $\\phi'$ (optimise first; Euler; Gauss), or in "
        "evaluations of the rate and stages passed backwards (discretise first)",
        head, rows,
    )  # fmt: skip


def alignment_table(design: Design) -> Table:
    rows: list[Sequence[Value]] = [
        (
            each.label, rounded(each.distance), rounded(each.early), rounded(each.late),
            rounded(each.distance * each.root_condition), rounded(each.slowest),
        )
        for each in design.pairings
    ]  # fmt: skip
    head = [
        "solver", r"$\nabla f$", r"$\nabla L$, early", "late", r"bound $\varepsilon \sqrt\kappa$",
        r"$\lambda_{\min}$, symmetric part",
    ]  # fmt: skip
    return Table(
        "Relative distance of the two orders on one grid; last, over the smallest eigenvalue of $J J^T$", head, rows
    )
