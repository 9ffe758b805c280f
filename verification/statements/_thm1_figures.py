"""Figure and tables of Theorem 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._depths import SHALLOWEST, Depths, apart
from verification.statements._ensembles import Ensemble
from verification.statements._statistics import root_mean_square, student
from verification.statements._widths import Widths
from verification.style import GREY, guide, loglog, new_figure, series


def draw(case: Widths, rows: Mapping[str, slice], deep: Sequence[Depths], many: Ensemble) -> Figure:
    figure, (above, middle, below) = new_figure(rows=3)
    title = f"wide networks, {case.activation}"
    loglog(above, "width $n$", r"$\|K_\theta - K_\infty\| / \|K_\infty\|$", xticks=case.widths, title=title)
    above.plot(case.widths, case.error(rows["digits"])[:6].T, color=GREY, linewidth=0.5, alpha=0.6, zorder=1)
    for index, (source, part) in enumerate(rows.items()):
        rms, spread = root_mean_square(case.error(part))
        label = {"digits": "digits", "sphere": "random points"}[source]
        series(above, case.widths, rms, label=label, index=index, spread=spread)
    start = (case.widths[0], root_mean_square(case.error(rows["digits"]))[0][0])
    guide(above, case.widths, slope=-0.5, through=start, label="predicted $n^{-1/2}$")
    _mean_and_spread(middle, many)
    depths = max((found.depths for found in deep), key=len)
    title = "infinitely wide ResNets"
    loglog(below, "depth $L$", r"$|K_\infty^L - K_\infty| / |K_\infty|$", xticks=depths, title=title)
    for index, found in enumerate(deep):
        series(below, found.depths, found.error, label=found.activation, index=index)
    end = (deep[0].depths[-1], deep[0].error[-1])
    guide(below, depths, slope=-1, through=end, label="predicted $L^{-1}$")
    return figure


def _mean_and_spread(axes: Axes, case: Ensemble) -> None:
    n, bias = case.widths, np.abs(case.mean)
    sd = np.asarray([errors.std(ddof=1) for errors in case.errors])
    loglog(axes, "width $n$", "relative error", xticks=n, title=f"mean and spread apart, {case.activation}")
    series(axes, n, sd, label="standard deviation")
    # The lower bar ends at half the value where the interval reaches zero, which a logarithm cannot show.
    half = 1.96 * case.mean_error
    series(axes, n, bias, label="|mean|", index=1, spread=np.stack([np.minimum(half, bias / 2), half]))
    guide(axes, n, slope=-0.5, through=(n[-1], sd[-1]), label="predicted $n^{-1/2}$")
    guide(axes, n, slope=-1, through=(n[0], bias[0]), label="predicted $n^{-1}$")


def width_table(wide: Sequence[Widths], rows: Mapping[str, slice]) -> Table:
    table: list[Sequence[Value]] = []
    for case in wide:
        digits, sphere = (root_mean_square(case.error(part)) for part in rows.values())
        for k, n in enumerate(case.widths.astype(int).tolist()):
            mean, half, _ = student(case.along_limit[:, k])
            block = float(case.weight_block[:, k].mean())
            row = (digits[0][k], digits[1][k], sphere[0][k], sphere[1][k], mean, half, n * (abs(mean) + half), block)
            table.append((f"{case.activation}, $n = {n}$", *map(rounded, row)))
    head = ["network", "digits", "±", "sphere", "±", "mean error", "±", "largest $C$", r"literal $\|n K_W\|$"]
    caption = (
        r"Relative error of $K_\theta$: root mean square over paths; mean along $K_\infty$, and the largest $C$ for "
        r"which a bias $C/n$ is consistent with it (all ± are 95 %)"
    )
    return Table(caption, head, table)


def depth_table(deep: Sequence[Depths]) -> Table:
    table: list[Sequence[Value]] = []
    for found in deep:
        coefficient = float(found.depths[-1] * found.error[-1])
        row = (found.slope.slope, found.slope.uncertainty, coefficient, *apart(found))
        table.append((found.activation, int(found.depths[-1]), *map(rounded, row)))
    head = ["activation", "largest $L$", "slope", "±", r"$L$ × error", r"Richardson − $K_\infty$", "allowed"]
    return Table(rf"$K_\infty^L$ against $K_\infty$, relative; slopes over $L \ge {SHALLOWEST}$", head, table)
