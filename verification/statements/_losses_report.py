"""Figure and tables of the losses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import LogFormatter, MaxNLocator

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._exponents import exponent
from verification.statements._losses import Losses
from verification.statements._statistics import half_width
from verification.style import GREY, MARKERS, PALETTE, guide, loglog, new_figure, series

SOURCES = {"digits": "digits 3 and 8", "sphere": r"random points of $S^{63}$"}
GAPS = ("train", "test", "train, own kernel", "test, own kernel")
"""Network against linearised dynamics, the first two with K_∞."""


def figure(case: Losses) -> Figure:
    picture, panels = new_figure(columns=2, rows=3)
    for i, source in enumerate(case.study.problems):
        _curves(panels[i], case, case.loss[i], r"train loss $L(\theta^k)$")
        panels[i].set_title(SOURCES[source])
        _curves(panels[2 + i], case, case.test_loss[i], "test loss")
        end = float(case.regression[i, -1].mean())
        panels[2 + i].axhline(end, color=GREY, linestyle=":", label="kernel regression")
        panels[2 + i].legend(ncols=2)
        panels[2 + i].yaxis.set_minor_formatter(LogFormatter(minor_thresholds=(2, 0.5)))
        _gaps(panels[4 + i], case, i)
    return picture


def _curves(axes: Axes, case: Losses, values: Array, ylabel: str) -> None:
    """`values` (widths, draws, 2, steps + 1): mean over networks, measured and predicted."""
    steps, every = np.arange(case.study.steps + 1), max(1, case.study.every // 2)
    for k, n in enumerate(case.study.widths):
        measured, predicted = values[k].mean(axis=0)
        axes.plot(
            steps, measured, color=PALETTE[k], marker=MARKERS[k], markevery=every, markersize=4, linewidth=1.0,
            label=f"$n = {n:g}$",
        )  # fmt: skip
        axes.plot(steps, predicted, color=PALETTE[k], linestyle="--", linewidth=1.4, label="_")
    axes.plot([], [], color=GREY, linestyle="--", label="predicted")
    axes.set(yscale="log", xlabel="step $k$", ylabel=ylabel)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(ncols=2)


def _gaps(axes: Axes, case: Losses, source: int) -> None:
    widths, gap = case.study.widths, np.concatenate([case.gap[source], case.own[source]], axis=-1)
    loglog(axes, "width $n$", "largest difference to (8)", xticks=widths)
    for index, name in enumerate(GAPS):
        square = gap[..., index].T ** 2
        rms = np.sqrt(square.mean(axis=0))
        spread = np.minimum(half_width(square), 0.9 * rms)  # an error bar to zero has no place on a log scale
        series(axes, widths, rms, label=name, index=index, spread=spread)
    kernel = np.sqrt(np.mean(case.kernel[source, ..., 0] ** 2, axis=1))
    series(axes, widths, kernel, label="untrained: own kernel to $K_\\infty$", index=len(GAPS))
    top = 1.3 * float(np.sqrt(np.mean(gap[0, :, :2].max(axis=1) ** 2)))
    guide(axes, widths, slope=-0.5, through=(widths[0], top), label="predicted $n^{-1/2}$")
    axes.set_ylim(bottom=axes.get_ylim()[0] / 8)  # room for the legend
    axes.legend(loc="lower left")


def tables(found: Sequence[Losses]) -> list[Table]:
    return [_values(found), _differences(found), _accuracy(found)]


def _cells(found: Sequence[Losses]) -> list[tuple[str, Losses, tuple[int, int]]]:
    """Name, losses, and index of source and width, of every row."""
    return [
        (f"{case.study.activation}, {source}, $n = {n:g}$", case, (i, k))
        for case in found
        for i, source in enumerate(case.study.problems)
        for k, n in enumerate(case.study.widths)
    ]


def _values(found: Sequence[Losses]) -> Table:
    rows: list[Sequence[Value]] = []
    for name, case, at in _cells(found):
        train, test, rate = case.loss[at], case.test_loss[at], case.rate()[at]
        numbers = (train[:, 0, 0], train[:, 0, -1], train[:, 1, -1], rate[:, 0], rate[:, 1],
                   test[:, 0, 0], test[:, 0, -1], test[:, 1, -1], case.regression[at])  # fmt: skip
        rows.append((name, *(rounded(float(x.mean())) for x in numbers)))
    head = ["network", "train, $k = 0$", "train, last", "predicted", "rate", "predicted", "test, $k = 0$",
            "test, last", "predicted", r"kernel regression"]  # fmt: skip
    return Table(
        "Losses and the rate of the train loss over the last quarter of the steps, mean over networks", head, rows
    )


def _differences(found: Sequence[Losses]) -> Table:
    rows: list[Sequence[Value]] = []
    for case in found:
        kernel = ("train, untrained: own kernel to $K_\\infty$", "test, untrained: own kernel to $K_\\infty$")
        values = (*np.moveaxis(case.gap, -1, 0), *np.moveaxis(case.own, -1, 0), *np.moveaxis(case.kernel, -1, 0))
        for name, value in zip((*GAPS, *kernel), values, strict=True):
            fit = exponent(case.study.widths, value)
            rms = np.sqrt(np.mean(value**2, axis=(0, 2)))
            numbers = (rms[0], rms[-1], fit.value, fit.half)
            rows.append((f"{case.study.activation}, {name}", *(rounded(float(x)) for x in numbers)))
    widths = found[0].study.widths
    head = ["outputs", f"$n = {widths[0]:g}$", f"$n = {widths[-1]:g}$", "exponent", "±"]
    caption = (
        r"$\max_k \|u^k - u^k_{\mathrm{lin}}\| / \|u^0 - y\|$, root mean square over networks of both sources; its "
        r"exponent in $n$ (± is 95 %)"
    )
    return Table(caption, head, rows)


def _accuracy(found: Sequence[Losses]) -> Table:
    rows: list[Sequence[Value]] = []
    for name, case, at in _cells(found):
        if at[0] == 0:
            rows.append((name, *(rounded(float(100 * x)) for x in case.correct[at].mean(axis=0))))
    head = ["network", "network", "linearised", "kernel regression", "network and linearised agree"]
    size = len(found[0].study.problems["digits"].y_test)
    return Table(
        f"Digits: share of the {size} test images that are classified correctly at the last step, in %, mean over "
        "networks",
        head, rows,
    )  # fmt: skip
