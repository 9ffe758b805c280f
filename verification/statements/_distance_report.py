"""Figure and tables of the distance from initialization."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._distances import Distances
from verification.statements._exponents import exponent
from verification.statements._wide_training import BLOCKS
from verification.style import GREY, MARKERS, PALETTE, guide, loglog, new_figure, series

SOURCES = {"digits": "digits 3 and 8", "sphere": r"random points of $S^{63}$"}
NAMES = {"all": r"$\theta$", "W": "$W$", "U": "$U$", "v": "$v$"}


def figure(case: Distances) -> Figure:
    picture, (digits, sphere, relative, entries) = new_figure(columns=2, rows=2)
    for i, (axes, source) in enumerate(zip((digits, sphere), case.study.problems, strict=True)):
        _curves(axes, case, i, SOURCES[source])
    widths = case.study.widths
    loglog(relative, "width $n$", r"$\|\theta^K - \theta^0\| / \|\theta^0\|$", xticks=widths, title="by block")
    predicted = case.predicted_relative()
    for i, block in enumerate(BLOCKS):
        label = "predicted" if i == len(BLOCKS) - 1 else "_"
        series(relative, widths, _rms(case.relative[..., i], (0, 2)), label=NAMES[block], index=i)
        relative.plot(widths, predicted[:, i], color=GREY, linestyle="--", linewidth=1.2, label=label, zorder=3)
    relative.legend(ncols=2)
    share = case.entry / case.measured[..., 0, -1]
    loglog(entries, "width $n$", r"$\|\theta^K - \theta^0\|_\infty / \|\theta^K - \theta^0\|$", xticks=widths)
    entries.set_title("largest change of an entry")
    for i, source in enumerate(case.study.problems):
        series(entries, widths, _rms(share[i], (1,)), label=SOURCES[source], index=i)
    logarithm = np.sqrt(np.log(widths) / widths)
    scale = _rms(share, (0, 2))[-1] / logarithm[-1]
    entries.plot(widths, scale * logarithm, color=GREY, linestyle=":", label=r"$\sqrt{\log n / n}$")
    guide(entries, widths, slope=-0.5, through=(widths[-1], scale * logarithm[-1]), label="$n^{-1/2}$")
    return picture


def _curves(axes: Axes, case: Distances, source: int, title: str) -> None:
    steps = np.arange(case.study.steps + 1)
    every = max(1, case.study.every // 2)
    for k, n in enumerate(case.study.widths):
        measured, predicted = (_rms(x[source, k, :, 0], (0,)) for x in (case.measured, case.predicted))
        axes.plot(
            steps, measured, color=PALETTE[k], marker=MARKERS[k], markevery=every, markersize=4, linewidth=1.0,
            label=f"$n = {n:g}$",
        )  # fmt: skip
        axes.plot(steps, predicted, color=PALETTE[k], linestyle="--", linewidth=1.4, label="_")
    end = float(_rms(case.end[source, -1], (0,)))
    axes.axhline(end, color=GREY, linestyle=":", label=r"predicted, $k \to \infty$")
    axes.plot([], [], color=GREY, linestyle="--", label="predicted")
    axes.set(xlabel="step $k$", ylabel=r"$\|\theta^k - \theta^0\|$", title=title)
    axes.set_ylim(bottom=0.0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.legend(ncols=2)


def tables(found: Sequence[Distances]) -> list[Table]:
    return [_values(found), _exponents(found)]


def _values(found: Sequence[Distances]) -> Table:
    rows: list[Sequence[Value]] = []
    for case in found:
        for i, source in enumerate(case.study.problems):
            for k, n in enumerate(case.study.widths):
                here = (case.measured[i, k, :, 0, -1], case.predicted[i, k, :, 0, -1], case.end[i, k])
                ratios = case.measured[i, k, :, 1:, -1] / case.predicted[i, k, :, 1:, -1]
                numbers = [*(float(_rms(x, (0,))) for x in here), *ratios.mean(axis=0).tolist()]
                numbers += [float(_rms(case.relative[i, k, :, 0], (0,))), float(case.entry[i, k].max())]
                rows.append((f"{case.study.activation}, {source}, $n = {n:g}$", *map(rounded, numbers)))
    head = ["network", "measured", "predicted", r"predicted, $k \to \infty$", "ratio $W$", "ratio $U$", "ratio $v$",
            "relative", "largest entry"]  # fmt: skip
    caption = (
        r"$\|\theta^K - \theta^0\|$ at the last step, root mean square over networks; measured over predicted for each "
        r"block (mean); relative to $\|\theta^0\|$; largest change of an entry"
    )
    return Table(caption, head, rows)


def _exponents(found: Sequence[Distances]) -> Table:
    rows: list[Sequence[Value]] = []
    for case in found:
        widths, predicted = case.study.widths, case.predicted_relative()
        for i, block in enumerate(BLOCKS):
            fit = exponent(widths, case.relative[..., i])
            slope = float(np.polyfit(np.log(widths), np.log(predicted[:, i]), 1)[0])
            plain = exponent(widths, case.measured[..., i, -1])
            numbers = (plain.value, plain.half, fit.value, fit.half, slope)
            rows.append((f"{case.study.activation}, {NAMES[block]}", *map(rounded, numbers)))
    head = ["block", "distance", "±", "relative", "±", "predicted for these $u^0$"]
    return Table("Exponents in $n$ at the last step (± are 95 %)", head, rows)


def _rms(values: Array, axes: tuple[int, ...]) -> Array:
    found: Array = np.sqrt(np.mean(np.asarray(values) ** 2, axis=axes))
    return found
