"""The figure and the tables of equation (8)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from refimpl.training import History
from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._eq8_roads import apart
from verification.statements._lazy import QUANTITIES, Study
from verification.statements._one_step import Defect
from verification.statements._statistics import root_mean_square, slopes, student
from verification.style import BLUE, GREY, VERMILLION, guide, loglog, new_figure, series


@dataclass(frozen=True)
class Whole:
    """One network trained to the end, and the residuals ‖u^k − y‖ of the linear dynamics beside its own."""

    source: str
    width: int
    run: History
    apart: Array
    linear: dict[str, Array]


def figure(defects: Sequence[Defect], studies: Sequence[Study], whole: Sequence[Whole]) -> Figure:
    figure, (above, middle, below) = new_figure(rows=3)
    loglog(above, r"step size $\eta$", r"$\|u^1 - y - (I - \eta H^0)(u^0 - y)\|$", title="one step")
    for index, one in enumerate(defects):
        series(above, one.rates, one.norm, label=f"{one.activation}, {one.source}", index=index)
    for one in defects:
        label = r"predicted $\frac{1}{2} \eta^2 \|D^2 f[\nabla L, \nabla L]\|$" if one is defects[-1] else "_"
        end = (float(one.rates[-1]), float(one.rates[-1] ** 2 * np.linalg.norm(one.second)))
        guide(above, one.rates, slope=2, through=end, label=label)
    first = next(found for found in studies if found.source == "sphere")
    title = f"growing width, {first.activation}"
    loglog(middle, "width $n$", "distance from linear dynamics", xticks=first.widths, title=title)
    labels = {
        "one step": "one step", "drift": "drift of $H^k$",
        "frozen": r"training, $K_{\theta^0}$", "limit": r"training, $K_\infty$",
    }  # fmt: skip
    for index, (quantity, label) in enumerate(labels.items()):
        mean, spread = root_mean_square(first.found[quantity])
        series(middle, first.widths, mean, label=label, index=index, spread=spread)
    for quantity, slope, label in (("frozen", -1.0, "predicted $n^{-1}$"), ("limit", -0.5, "predicted $n^{-1/2}$")):
        start = (float(first.widths[0]), float(root_mean_square(first.found[quantity])[0][0]))
        guide(middle, first.widths, slope=slope, through=start, label=label)
    middle.set_ylim(bottom=middle.get_ylim()[0] / 30)  # room for the legend
    middle.legend(loc="lower left", ncols=2)
    run = whole[0]
    k = np.arange(run.run.steps + 1)
    title = f"whole training, $n = {run.width}$"
    below.set(xlabel="step $k$", ylabel=r"$\|u^k - y\|$", yscale="log", title=title)
    below.plot(k, np.sqrt(2 * run.run.loss), color=BLUE, linewidth=2.4, label="measured")
    for (name, residual), style, colour in zip(run.linear.items(), ("--", ":"), (VERMILLION, GREY), strict=True):
        below.plot(k, residual, color=colour, linestyle=style, label=f"predicted by (8) with {name}")
    below.legend()
    return figure


def defect_table(defects: Sequence[Defect]) -> Table:
    rows: list[Sequence[Value]] = [
        (
            f"{found.activation}, {found.source}", rounded(found.rates[0]),
            rounded(found.norm[0]), rounded(found.norm[-1]), rounded(found.order[0]),
            rounded(float(np.linalg.norm(found.limit[0]))), rounded(float(np.linalg.norm(found.second))),
            *map(rounded, apart(found)),
        )
        for found in defects
    ]  # fmt: skip
    head = [
        "network, inputs", r"largest $\eta$", "defect", "at the smallest", "exponent", r"$\lim$ defect$/\eta^2$",
        r"$\frac{1}{2} \|D^2 f[\nabla L, \nabla L]\|$", "apart", "allowed",
    ]  # fmt: skip
    return Table(r"One step; the last two columns are relative", head, rows)


def width_table(studies: Sequence[Study]) -> Table:
    rows: list[Sequence[Value]] = []
    for found in studies:
        for quantity, text in QUANTITIES.items():
            exponent, half, _ = student(slopes(found.found[quantity], found.widths))
            relative = found.found.get(f"{quantity}, relative")
            last = None if relative is None else rounded(float(root_mean_square(relative)[0][-1]))
            values = [rounded(float(value)) for value in root_mean_square(found.found[quantity])[0]]
            name = f"{found.activation}, {found.source}: {text}"
            rows.append((name, *values, rounded(exponent), rounded(half), last))
    widths = [f"$n = {n}$" for n in studies[0].widths.astype(int)]
    head = ["quantity", *widths, "exponent", "±", rf"over $\|u^0 - y\|$, {widths[-1]}"]
    return Table("Root mean square over paths; mean exponent of a path with its 95 % interval", head, rows)


def whole_table(whole: Sequence[Whole]) -> Table:
    rows: list[Sequence[Value]] = []
    for found in whole:
        residual, final = np.sqrt(2 * found.run.loss), float(found.run.loss[-1] / found.run.loss[0])
        furthest = int(found.apart.argmax())
        numbers = (final, float(found.apart.max() / residual[0]), float(found.apart[-1] / residual[0]))
        rows.append((f"{found.source}, $n = {found.width}$", found.run.steps, *map(rounded, numbers), furthest))
    head = ["run", "steps", "loss left", r"$\sup_k$ distance", "distance at the end", "furthest at step"]
    return Table(r"Whole training (softplus); distances to (8) with $K_{\theta^0}$, over $\|u^0 - y\|$", head, rows)
