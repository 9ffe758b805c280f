"""Figure and tables of the rate of proposition 2."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from verification import Table
from verification.statement import Value
from verification.statements._resnets import QUANTITIES, Curve
from verification.style import guide, loglog, new_figure, series


def rates_figure(curves: Sequence[Curve]) -> Figure:
    first = curves[0].case
    sources = list(dict.fromkeys(curve.source for curve in curves))
    figure, panels = new_figure(rows=len(sources))
    labels = {
        "output": r"output $\|f^L - f\|$",
        "gradient": r"gradient $\|\nabla_\theta f^L - \nabla_\theta f\|$",
        "NTK": r"NTK $\|K_\theta^L - K_\theta\|$",
    }
    titles = {"digits": "handwritten digits 3 and 8", "sphere": r"random points on the sphere $S^{63}$"}
    for axes, source in zip(panels, sources, strict=True):
        loglog(axes, "depth $L$", "difference to the Neural ODE", xticks=first.depths, title=titles[source])
        mine = [curve for curve in curves if curve.case == first and curve.source == source]
        for index, curve in enumerate(mine):
            series(axes, first.depths, curve.difference, label=labels[curve.quantity], index=index)
        for curve in mine:
            label = "predicted $L^{-1}$" if curve is mine[-1] else "_"
            guide(axes, first.depths, slope=-1, through=(first.depths[-1], curve.difference[-1]), label=label)
    return figure


def slopes_table(curves: Sequence[Curve]) -> Table:
    groups: dict[tuple[str, str, int, int], dict[str, list[float]]] = {}
    for curve in curves:
        key = (curve.case.activation, curve.source, curve.case.width, curve.case.deepest)
        groups.setdefault(key, {quantity: [] for quantity in QUANTITIES})[curve.quantity].append(curve.slope.slope)
    rows: list[tuple[Value, ...]] = []
    for (activation, source, n, deepest), slopes in groups.items():
        draws = len(slopes["gradient"])
        numbers = ((float(np.mean(x)), float(np.ptp(x)) if draws > 1 else None) for x in slopes.values())
        rows.append((f"{activation}, {source}", n, deepest, draws, *(number for pair in numbers for number in pair)))
    head = ["network, inputs", "$n$", "largest $L$", "draws", *(x for q in QUANTITIES for x in (q, "spread"))]
    caption = r"Slopes over $L \ge 16$, mean over draws of $\theta$ and largest minus smallest (predicted: $-1$)"
    return Table(caption, head, rows)


def constants_table(curves: Sequence[Curve]) -> Table:
    mine = [curve for curve in curves if curve.quantity == "gradient" and curve.case.draw == 0]
    depths = (1, 2, 4, 8, 16, 64, 256, 1024)
    rows: list[tuple[Value, ...]] = []
    for curve in mine:
        values = [float(curve.scaled[depth.bit_length() - 1]) for depth in depths]
        name = f"{curve.case.activation}, {curve.source}, $n = {curve.case.width}$"
        rows.append((name, *values, float(curve.scaled.max()), curve.leading))
    head = ["network, inputs", *(f"$L = {depth}$" for depth in depths), r"$\sup_L$", r"$L \to \infty$"]
    return Table(r"$L \|\nabla_\theta f^L - \nabla_\theta f\|$", head, rows)
