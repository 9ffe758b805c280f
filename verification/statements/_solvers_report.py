"""Figure and tables of the comparison of solvers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._adaptive_orders import TOLERANCES, Orders, geometric
from verification.statements._ladder import ADAPTIVE, Ladder
from verification.statements._orders import EPS, VARIANTS, Swapped, Symplectic
from verification.style import PALETTE, guide, loglog, new_figure, series


def draw(
    ladders: Mapping[str, Ladder],
    swapped: Sequence[Swapped],
    symplectic: Symplectic,
    adaptive: Sequence[Orders],
    horizon: float,
) -> Figure:
    """Error against rtol and against work, alignment, and which order comes first, on fixed and on adaptive steps."""
    figure, (tolerance, work, angle, order, both) = new_figure(rows=5)
    index = {method: i for i, method in enumerate(["Euler", "RK23", "RK45", "DOP853", "Radau", "Gauss"])}
    error = r"error of $\nabla L$, relative"
    loglog(tolerance, "rtol", error, title=f"adaptive steps, $T = {horizon:g}$")
    for method, (p, q) in ADAPTIVE.items():
        ladder = ladders[method]
        series(tolerance, ladder.setting, ladder.gradient, label=method, index=index[method])
        label = {"RK23": "predicted slope 1", "Radau": "predicted slope 5/4"}.get(method, "_")
        end = (ladder.setting[-1], ladder.gradient[-1])
        guide(tolerance, ladder.setting, slope=p / q, through=end, label=label)
    loglog(work, r"work: passes through $\varphi$, $\varphi'$ a sample", error, title="work and accuracy")
    for method, ladder in ladders.items():
        series(work, ladder.passes, ladder.gradient, label=method, index=index[method])
    work.set_xlim(right=1e5)
    slopes = {"Euler": -1, **{method: -ADAPTIVE[method][0] for method in ("RK23", "RK45", "DOP853")}}
    for method, slope in slopes.items():
        ladder = ladders[method]
        label = "$-1, -3, -5, -8$" if method == "Euler" else "_"
        end = (ladder.passes[-1], ladder.gradient[-1])
        guide(work, ladder.passes[-4:], slope=slope, through=end, label=label)
    work.legend(loc="upper right")
    loglog(angle, error, r"$1 - \cos$", title="alignment with the true gradient")
    for method, ladder in ladders.items():
        series(angle, ladder.gradient, ladder.angle, label=method, index=index[method])
    euler = ladders["Euler"]
    end = (euler.gradient[-1], euler.angle[-1])
    guide(angle, [1e-12, 0.3], slope=2, through=end, label="predicted slope 2")
    loglog(order, "time points $L$, or nodes $m$", "difference, relative", title="optimise first or discretise first")
    for i, (variant, label) in enumerate(VARIANTS.items()):
        series(order, swapped[0].depths, swapped[0].differences[variant], label=f"Euler, {label}", index=i)
    series(order, symplectic.nodes, np.maximum(symplectic.difference, EPS / 4), label="Gauss", index=index["Gauss"])
    first = swapped[0].differences["stored"]
    guide(order, swapped[0].depths, slope=-1, through=(swapped[0].depths[-1], first[-1]), label="predicted $L^{-1}$")
    order.plot(symplectic.nodes, symplectic.rounding, ":", color="black", label="rounding, bound")
    order.legend()
    between_orders(both, adaptive)
    return figure


def between_orders(axes: Axes, adaptive: Sequence[Orders]) -> None:
    """Distance and angle of the two orders on adaptive steps."""
    loglog(axes, "rtol", "between the two orders", title="the same for adaptive steps")
    for i, method in enumerate(TOLERANCES):
        mean = geometric(adaptive, method)
        series(axes, mean["rtol"], mean["difference"], label=f"{method}, difference", index=1 + i)
        axes.plot(mean["rtol"], mean["angle"], ":", color=PALETTE[1 + i], label=rf"{method}, $1 - \cos$")
    mean = geometric(adaptive, "RK45")
    for name, slope in (("difference", 1), ("angle", 2)):
        through = (float(mean["rtol"][-1]), float(mean[name][-1]))
        guide(axes, mean["rtol"], slope=slope, through=through, label=f"predicted slope {slope}")
    axes.set_ylim(bottom=1e-36)  # room for the legend
    axes.legend(loc="lower right", ncols=2)


def rates(ladders: Mapping[str, Ladder]) -> Table:
    predicted = {"Euler": (-1.0, 1), **{method: (p / q, p) for method, (p, q) in ADAPTIVE.items()}}
    rows: list[Sequence[Value]] = []
    for method, (slope, order) in predicted.items():
        ladder = ladders[method]
        output, gradient, work = ladder.order("output"), ladder.order("gradient"), ladder.by_work
        numbers = (output.slope, output.uncertainty, gradient.slope, gradient.uncertainty)
        rows.append((method, slope, *map(rounded, numbers), -order, rounded(work.slope), rounded(ladder.gradient[-1])))
    head = ["method", "predicted", "$f$", "±", r"$\nabla L$", "±", "by work", r"$\nabla L$ by work", "smallest error"]
    return Table(
        "Exponents of the error in $L$ or rtol, and in the work, over the finer half of the settings", head, rows
    )


def design(adaptive: Sequence[Orders]) -> Table:
    """What each solver with each adjoint gives, and costs."""
    rows: list[Sequence[Value]] = []
    for method in TOLERANCES:
        mean = geometric(adaptive, method)
        names = ("difference", "angle", "continuous", "continuous_work", "discrete", "discrete_work")
        for k, rtol in enumerate(mean["rtol"].tolist()):
            rows.append((f"{method}, rtol {rtol:.0e}", *(rounded(float(mean[name][k])) for name in names)))
    head = [
        "solver", "distance", r"$1 - \cos$", "error, optimise first", "passes", "error, discretise first", "passes",
    ]  # fmt: skip
    return Table(
        "The two orders on adaptive steps: between them, and each against the gradient of the Neural ODE; geometric "
        "means over the networks. Discretise first needs no dense output and no second step control",
        head, rows,
    )  # fmt: skip


def constants(found: Sequence[Swapped]) -> Table:
    shown = (4, 16, 64, 256, 512)
    rows: list[Sequence[Value]] = []
    for swapped in found:
        for variant, values in swapped.differences.items():
            scaled = dict(zip(swapped.depths.astype(int).tolist(), swapped.depths * values, strict=True))
            rows.append((f"{swapped.label}, {VARIANTS[variant]}", *(rounded(scaled[L]) for L in shown)))
    head = ["network", *(f"$L = {L}$" for L in shown)]
    return Table(
        r"$L$ × relative difference of optimise-then-discretise and discretise-then-optimise, Euler", head, rows
    )
