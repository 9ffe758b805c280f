"""Figure and tables of the spectra."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._exponents import spread_exponent
from verification.statements._initial_spectra import Spectra
from verification.statements._wide_training import Study
from verification.style import BLACK, GREY, MARKERS, PALETTE, guide, loglog, new_figure, series

SOURCES = {"digits": "digits 3 and 8", "sphere": r"random points of $S^{63}$"}


def figure(spectra: Sequence[Spectra], study: Study) -> Figure:
    mine = [case for case in spectra if case.activation == study.activation]
    picture, panels = new_figure(columns=2, rows=3)
    for i, case in enumerate(mine):
        _sorted(panels[i], case)
        _spread(panels[2 + i], case)
        _in_training(panels[4 + i], study, case.source)
    return picture


def _sorted(axes: Axes, case: Spectra) -> None:
    values, order = case.eigenvalues[..., ::-1], np.arange(1, len(case.limit) + 1)
    axes.plot(order, case.limits[::-1], color=BLACK, linestyle="--", label=r"predicted $K_\infty$", zorder=3)
    for index, k in enumerate((0, len(case.widths) // 2, len(case.widths) - 1)):
        mean = values[:, k].mean(axis=0)
        ends = np.quantile(values[:, k], (0.05, 0.95), axis=0)
        spread = np.maximum([mean - ends[0], ends[1] - mean], 0.0)
        axes.errorbar(
            order + 0.14 * (index - 1), mean, yerr=spread, color=PALETTE[index], marker=MARKERS[index], markersize=4,
            linestyle="none", capsize=2, elinewidth=0.9, label=f"$n = {case.widths[k]:g}$",
        )  # fmt: skip
    axes.set(
        yscale="log", xlabel="$i$, in descending order", ylabel=r"$\lambda_i(K_\theta)$", title=SOURCES[case.source]
    )
    axes.set_xticks(order)
    axes.legend()


def _spread(axes: Axes, case: Spectra) -> None:
    values = case.eigenvalues / case.limits
    loglog(axes, "width $n$", r"spread of $\lambda_i(K_\theta)$, relative", xticks=case.widths)
    spread = values.std(axis=0, ddof=1)
    names = {
        0: r"$\lambda_{\min}$",
        len(case.limits) // 2: "one in the middle",
        len(case.limits) - 1: r"$\lambda_{\max}$",
    }
    for index, (i, label) in enumerate(names.items()):
        series(axes, case.widths, spread[:, i], label=label, index=index)
    top = (case.widths[0], 1.15 * float(spread[0].max()))
    guide(axes, case.widths, slope=-0.5, through=top, label="predicted $n^{-1/2}$")


def _in_training(axes: Axes, study: Study, source: str) -> None:
    lowest = float(np.linalg.eigvalsh(study.problems[source].K)[0])
    for index, (n, runs) in enumerate(zip(study.widths, study.runs[source], strict=True)):
        values = np.stack([np.linalg.eigvalsh(run.kernel)[:, 0] for run in runs]) / lowest
        style: dict[str, Any] = {"color": PALETTE[index], "marker": MARKERS[index], "markersize": 4}
        axes.plot(study.looks, values.mean(axis=0), label=f"$n = {n:g}$", **style)
        axes.plot(study.looks, values.min(axis=0), linewidth=0.7, **(style | {"markersize": 2}))
    axes.axhline(1.0, color=GREY, linestyle="--", linewidth=1.2, label=r"predicted, $n \to \infty$")
    axes.set(xlabel="step $k$", ylabel=r"$\lambda_{\min}(K_{\theta^k}) / \lambda_{\min}(K_\infty)$")
    axes.set_ylim(bottom=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(loc="lower right", ncols=2)


def tables(spectra: Sequence[Spectra], studies: Sequence[Study]) -> list[Table]:
    return [_eigenvalues(spectra), _smallest(studies)]


def _eigenvalues(spectra: Sequence[Spectra]) -> Table:
    rows: list[Sequence[Value]] = []
    for case in spectra:
        slopes, errors = spread_exponent(case.eigenvalues, case.widths)
        ratio = case.eigenvalues / case.limits
        for i, limit in enumerate(case.limits):
            name = f"{case.activation}, {case.source}, $i = {i + 1}$"
            numbers = (limit, *_ends(ratio[:, :, i].mean(axis=0)), *_ends(ratio[:, :, i].std(axis=0, ddof=1)))
            rows.append((name, *map(rounded, (*numbers, slopes[i], 2 * errors[i]))))
    low, high = (f"$n = {n:g}$" for n in _ends(spectra[0].widths))
    head = ["eigenvalue", r"$\lambda_i(K_\infty)$", f"mean, {low}", f"mean, {high}", f"spread, {low}",
            f"spread, {high}", "exponent", "±"]  # fmt: skip
    caption = r"$\lambda_i(K_\theta) / \lambda_i(K_\infty)$ at initialization, ascending (± are two standard errors)"
    return Table(caption, head, rows)


def _ends(values: Array) -> tuple[float, float]:
    return float(values[0]), float(values[-1])


def _smallest(studies: Sequence[Study]) -> Table:
    rows: list[Sequence[Value]] = []
    for study in studies:
        for source, problem in study.problems.items():
            values = np.linalg.eigvalsh(problem.K)
            for n, runs in zip(study.widths, study.runs[source], strict=True):
                K = np.stack([run.kernel for run in runs])
                lowest = np.linalg.eigvalsh(K)[..., 0] / values[0]
                drift = np.linalg.norm(K - K[:, :1], ord=2, axis=(2, 3)).max(axis=1) / values[-1]
                numbers = (lowest[:, 0].min(), lowest.min(), lowest.mean(), drift.mean(), drift.max())
                rows.append((f"{study.activation}, {source}, $n = {n:g}$", *(rounded(float(x)) for x in numbers)))
    head = ["network", r"lowest $\lambda_{\min}/\lambda_0$, $k = 0$", "lowest, all $k$", "mean",
            r"mean $\max_k \|\Delta K\| / \|K_\infty\|$", "largest"]  # fmt: skip
    return Table("The kernel in training", head, rows)
