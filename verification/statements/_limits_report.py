"""The picture and the tables of the plane of widths and depths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Config, Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._limits_stacks import draw_stacks
from verification.statements._plane import Plane
from verification.statements._statistics import at_infinite_width, half_width
from verification.style import BLACK, BLACK_ON_MAP, WHITE_ON_MAP, context, guide, loglog, new_figure, series


def spread(plane: Plane) -> float:
    """c of the random error c/√n, from the Neural ODEs of all widths."""
    return float(np.sqrt(np.mean(plane.square[:, :, -1].mean(axis=0) * plane.widths)))


def figure(config: Config, plane: Plane, layers: Array, error: Array, gap: float) -> Figure:
    made, (corner, wide, deep, stacks) = new_figure(rows=4)
    _corner(made, corner, plane)
    draw_stacks(stacks, config, 500)
    n, L = plane.widths, plane.depths
    loglog(wide, "width $n$", r"$\|K_\theta^L - K_\infty\| / \|K_\infty\|$", xticks=n, title="width at fixed depth")
    for index, j in enumerate((0, 3, len(L))):
        label = rf"$L = {L[j]:g}$" if j < len(L) else r"$L = \infty$"
        series(wide, n, plane.rms[:, j], label=label, index=index, spread=half_width(plane.square[:, :, j]))
    guide(wide, n, slope=-0.5, through=(n[-1], spread(plane) / np.sqrt(n[-1])), label=r"predicted $n^{-1/2}$")

    title = "depth at fixed width, and independent layers"
    loglog(deep, "depth $L$", r"$\|K_\theta^L - K_\theta\| / \|K_\infty\|$", xticks=layers, title=title)
    for index, i in enumerate((0, len(n) // 2, len(n) - 1)):
        series(deep, L, np.sqrt(plane.in_depth.mean(axis=0)[i]), label=rf"$n = {n[i]:g}$", index=index)
    series(deep, L, plane.bias, label=r"$n = \infty$", index=3)
    series(deep, layers, error, label=r"independent, $n = \infty$, to their own limit", index=4)
    deep.axhline(gap, color=BLACK, linewidth=1.2, label=r"their limit to $K_\infty$")
    guide(deep, layers, slope=-1, through=(L[-1], float(plane.bias[-1])), label="predicted $L^{-1}$")
    guide(deep, layers, slope=-1, through=(layers[-1], float(error[-1])), label="_")
    deep.legend(loc="lower left", fontsize=7.5)
    return made


def _corner(made: Figure, axes: Axes, plane: Plane) -> None:
    """The plane with ∞ at its edges: measured distances as colours and numbers, the predicted ones below them."""
    n, L = plane.widths, plane.depths
    measured, predicted = np.zeros((len(n) + 1, len(L) + 1)), np.zeros((len(n) + 1, len(L) + 1))
    measured[:-1], measured[-1, :-1] = plane.rms, plane.bias
    predicted[:-1], predicted[-1] = plane.predicted(spread(plane)), np.append(plane.bias[-1] * L[-1] / L, 0.0)
    with context():  # a colour bar is made here, and takes its look from the settings
        logarithm = np.log10(np.where(measured > 0, measured, np.nan))  # the corner is the limit itself
        image = axes.pcolormesh(logarithm, cmap="cividis", shading="nearest")
        made.colorbar(image, ax=axes, label=r"$\log_{10}$ of the distance")
    dark = np.nanmean([np.nanmin(logarithm), np.nanmax(logarithm)])
    for i, row in enumerate(measured):
        for j, value in enumerate(row):
            on_map = WHITE_ON_MAP if logarithm[i, j] < dark else BLACK_ON_MAP
            text = f"{100 * value:.2g}\n({100 * predicted[i, j]:.2g})"
            axes.text(j, i, text, ha="center", va="center", fontsize=7, color=on_map if value > 0 else BLACK)
    axes.set(xlabel="depth $L$", ylabel="width $n$", title=r"NTK: distance to $K_\infty$ in % (predicted)")
    axes.set_xticks(range(len(L) + 1), [f"{x:g}" for x in L] + [r"$\infty$"])
    axes.set_yticks(range(len(n) + 1), [f"{x:g}" for x in n] + [r"$\infty$"])
    axes.grid(False)


def plane_table(plane: Plane, what: str) -> Table:
    rows: list[Sequence[Value]] = [
        (f"$n = {n:g}$", *(rounded(value) for value in row)) for n, row in zip(plane.widths, plane.rms, strict=True)
    ]
    rows.append((r"$n = \infty$", *(rounded(value) for value in plane.bias), 0))
    head = ["", *(f"$L = {L:g}$" for L in plane.depths), r"$L = \infty$"]
    return Table(f"Relative distance of {what} to the limit of both, root mean square over networks", head, rows)


def rate_table(ntk: Plane, covariance: Plane) -> Table:
    rows: list[Sequence[Value]] = []
    for name, plane in (("NTK", ntk), ("covariance of $f$", covariance)):
        first, error = plane.deep_after_wide
        second, half, _ = at_infinite_width(plane.along[:, :, -1], plane.widths)
        coefficient = float(plane.depths[-1] * plane.bias[-1])
        rows.append(
            (name, first, rounded(error), rounded(second), rounded(half), rounded(spread(plane)), rounded(coefficient))
        )
    head = ["", "$n$ first, then $L$", "±", "$L$ first, then $n$", "± (95 %)", "$c$ in $c/\\sqrt{n}$", r"$C$ in $C/L$"]
    return Table("Both iterated limits, in units of the limit by Gauss, and the constants of the rates", head, rows)
