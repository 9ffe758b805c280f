"""The picture and the tables of the figure with ReLU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._relu_constructed import NEAR, Constructed
from verification.statements._relu_curves import QUANTITIES, Curves, Exact
from verification.statements._relu_deep import Deep
from verification.statements._relu_reference import REFERENCES, Reference
from verification.statements._relu_wide import Draws, Prediction
from verification.statements._statistics import half_width
from verification.style import BLACK, GREY, guide, loglog, new_figure, series


def figure(
    found: Curves, case: Draws, limit: Prediction, solved: Mapping[str, Reference], made_up: Constructed, deepest: Deep
) -> Figure:
    made, (above, below, third) = new_figure(rows=3)
    label = r"$\|\nabla_\theta f^L - \nabla_\theta f\|$"
    loglog(above, "depth $L$", label, xticks=case.depths, title=f"random networks, $n = {case.width}$")
    above.plot(case.depths, np.concatenate(list(case.gradient.transpose(0, 2, 1))).T, color=GREY, lw=0.5, alpha=0.5)
    _, _, _, draw, i = case.longest
    above.plot(case.depths, case.gradient[draw, :, i], color=BLACK, lw=1.6, label="one of them")
    series(above, case.depths, case.rms, label="root mean square", index=0, spread=half_width(case.square))
    above.plot(
        limit.depths, np.sqrt(limit.square), color=GREY, ls="--", lw=1.4, zorder=4, label=r"predicted, $n \to \infty$"
    )
    end = (limit.depths[-1], float(np.sqrt(limit.square[-1])))
    guide(above, case.depths, slope=-0.5, through=end, label="$L^{-1/2}$")
    above.lines[-1].set(linestyle=":")
    above.legend(loc="lower left")

    loglog(below, "depth $L$", "difference to the Neural ODE", xticks=found.depths, title="one network, $n = 64$")
    series(below, found.depths, found.values("output"), label="output", index=0)
    series(below, found.depths, found.norm, label="gradient, exact", index=1)
    drawn = [name for name in solved if name in REFERENCES]
    for index, name in enumerate(drawn, start=2):
        series(below, found.depths, found.to_reference[name], label=f"gradient, {name}", index=index)
    guide(below, found.depths, slope=-1, through=(found.depths[-1], found.norm[-1]), label="predicted $L^{-1}$")
    below.legend(loc="lower left", fontsize=7.5)
    _constructed(third, made_up, deepest)
    return made


def _constructed(axes: Axes, found: Constructed, deepest: Deep) -> None:
    loglog(
        axes,
        "depth $L$",
        "gradient difference",
        xticks=np.union1d(found.depths, deepest.depths),
        title="constructed networks, and a random one",
    )
    series(axes, found.depths, found.on, label="on the kink at $T$", index=0)
    series(axes, found.depths, found.near, label=rf"off it by {NEAR:g}", index=1)
    series(axes, found.depths, found.touch, label="touching it before $T$", index=2)
    series(axes, deepest.depths, deepest.norm, label=f"random, $n = {deepest.width}$", index=3)
    series(axes, deepest.depths[1:], deepest.extrapolated, label="the same, extrapolated", index=4)
    guide(axes, found.depths, slope=-0.5, through=(found.depths[-1], found.touch[-1]), label="$L^{-1/2}$, $L^{-1}$")
    guide(axes, deepest.depths, slope=-1, through=(deepest.depths[-1], deepest.norm[-1]), label="_")
    axes.legend(loc="lower left", fontsize=7.5)


def slopes(deep: Mapping[str, Curves]) -> Table:
    rows: list[tuple[Value, ...]] = []
    for phi, found in deep.items():
        settled = int(found.depths[found.settled][0]) if found.settled.any() else None
        numbers: list[Value] = []
        for quantity in QUANTITIES:
            enough = int(found.settled.sum()) >= 4
            numbers.append(rounded(found.slope(found.values(quantity)).slope) if enough else None)
        level = found.depths * found.norm
        late = level[found.settled] if found.settled.any() else level[-1:]
        rows.append((phi, settled, int(found.depths[-1]), *numbers, rounded(late.min()), rounded(late.max())))
    head = [
        "activation",
        "from $L$",
        "to $L$",
        "output",
        "gradient",
        "NTK",
        r"smallest $L \|\nabla f^L - \nabla f\|$",
        "largest",
    ]
    return Table("Slopes of one network beyond the last wrong sign (predicted: $-1$)", head, rows)


def floors(found: Curves, solved: Mapping[str, Reference], exact: Exact) -> Table:
    size = float(np.linalg.norm(exact.gradient))
    rows = []
    for name, reference in solved.items():
        curve = found.to_reference[name]
        reached = np.flatnonzero(found.norm <= reference.error)
        rows.append((name, rounded(reference.error / size), rounded(curve[-1] / size),
                     int(found.depths[reached[0]]) if reached.size else None, reference.wrong))  # fmt: skip
    head = [
        "reference",
        "its relative error",
        "relative difference at the deepest ResNet",
        "exact difference below that error from $L$",
        "wrong signs at $T$",
    ]
    return Table("Where the gradient difference ends when the reference is not exact", head, rows)


def wide(many: list[Draws], limit: Prediction) -> Table:
    rows: list[tuple[Value, ...]] = []
    for case in many:
        for k, L in enumerate(case.depths.astype(int).tolist()):
            known = k < len(limit.depths)
            share = float(case.wrong[:, k].mean()) / case.width * L
            rows.append((
                f"$n = {case.width}$, $L = {L}$", rounded(case.rms[k]), rounded(half_width(case.square)[k]),
                rounded(np.sqrt(limit.square[k])) if known else None, rounded(np.median(case.gradient[:, k])),
                rounded(share), rounded(limit.mismatch[k] * L) if known else None,
            ))  # fmt: skip
    head = [
        "networks",
        "root mean square",
        "± (95 %)",
        r"$n \to \infty$",
        "median",
        r"wrong signs × $L/n$",
        r"$n \to \infty$",
    ]
    return Table(r"$\|\nabla_\theta f^L - \nabla_\theta f\|$ at one input over random networks", head, rows)
