"""One look for all figures: colours that colour-blind readers tell apart, log-log axes, the predicted slope."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import matplotlib.style
import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullLocator
from numpy.typing import ArrayLike

# Okabe and Ito, "Color universal design" (2008). Their yellow is left out: too pale for a line on white.
BLUE, VERMILLION, GREEN = "#0072B2", "#D55E00", "#009E73"
PURPLE, ORANGE, SKY, BLACK = "#CC79A7", "#E69F00", "#56B4E9", "#000000"
PALETTE = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY, BLACK)
MARKERS = ("o", "s", "^", "D", "v", "P", "X")  # colour is never the only difference
GREY = "#595959"
WHITE_ON_MAP, BLACK_ON_MAP = "#FEFEFE", "#010101"
"""For letters and lines on a coloured map: it stays as it is on a dark page, where white and black change places."""

_STYLE: dict[str, Any] = {
    "figure.facecolor": "white", "figure.constrained_layout.use": True, "savefig.facecolor": "white",
    "font.family": "DejaVu Sans", "font.size": 10.0, "axes.titlesize": 10.0, "axes.labelsize": 10.0,
    "legend.fontsize": 9.0, "xtick.labelsize": 9.0, "ytick.labelsize": 9.0, "mathtext.fontset": "dejavusans",
    "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#E3E3E3",
    "grid.linewidth": 0.6, "axes.axisbelow": True, "lines.linewidth": 1.6, "lines.markersize": 5.0,
    "legend.frameon": False, "svg.fonttype": "path", "svg.hashsalt": "verification",
}  # fmt: skip


def context() -> AbstractContextManager[None]:
    """This style as matplotlib's settings, whatever the user's own are: figures are reproducible."""
    return matplotlib.style.context(["default", _STYLE])


def new_figure(columns: int = 1, rows: int = 1) -> tuple[Figure, tuple[Axes, ...]]:
    """A figure with `rows` × `columns` panels, and the panels row by row.

    One column is readable on a phone as it is; more columns scroll there, so prefer rows.

    Examples
    --------
    >>> figure, (left, right) = new_figure(columns=2)
    >>> figure.get_size_inches().tolist()
    [9.0, 3.6]
    """
    width = 5.0 if columns == 1 else 4.5 * columns
    with context():
        figure = Figure(figsize=(width, 3.6 * rows))
        panels = figure.subplots(rows, columns, squeeze=False)
    return figure, tuple(panels.ravel())


def rasterised(*artists: Artist) -> None:
    """Have dense `artists`, thousands of marks or the cells of a map, be pixels in the SVG; all else stays curves.

    As curves each mark takes a hundred bytes and each cell two hundred, and between cells the page shines through.
    """
    for artist in artists:
        artist.set_rasterized(True)


def loglog(axes: Axes, xlabel: str, ylabel: str, *, xticks: ArrayLike | None = None, title: str = "") -> None:
    """Logarithmic axes, named with symbols and units; `xticks` are marked as plain numbers (widths, depths)."""
    axes.set(xscale="log", yscale="log", xlabel=xlabel, ylabel=ylabel, title=title)
    if xticks is not None:
        marks = np.asarray(xticks)
        axes.set_xticks(marks[:: -(-marks.size // 7)])  # seven labels fit side by side
        axes.xaxis.set_major_formatter(FormatStrFormatter("%g"))
        axes.xaxis.set_minor_locator(NullLocator())


def series(
    axes: Axes, x: ArrayLike, y: ArrayLike, *, label: str, index: int = 0, spread: ArrayLike | None = None
) -> None:
    """Measured points, joined; `index` picks colour and marker, `spread` (shape of y, or 2 × it) draws error bars."""
    colour, marker = PALETTE[index % len(PALETTE)], MARKERS[index % len(MARKERS)]
    axes.errorbar(x, y, yerr=spread, label=label, color=colour, marker=marker, capsize=2.5, elinewidth=1.0)
    axes.legend()


def guide(
    axes: Axes, x: Sequence[float] | ArrayLike, *, slope: float, through: tuple[float, float], label: str
) -> None:
    """The predicted power law: a dashed line of `slope` on log-log axes over the range of `x`, through a point."""
    ends = np.asarray([np.min(x), np.max(x)], dtype=np.float64)
    x0, y0 = through
    axes.plot(ends, y0 * (ends / x0) ** slope, linestyle="--", color=GREY, linewidth=1.2, label=label, zorder=1.5)
    axes.legend()
