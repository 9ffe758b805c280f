"""The picture and the tables of proposition 1."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Table
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._perturb import Derivative
from verification.statements._prop1_solved import Solved
from verification.statements._saltation import Measured
from verification.style import BLUE, GREEN, GREY, VERMILLION, guide, loglog, new_figure, rasterised, series


def figure(curves: dict[str, tuple[Array, Array]], c: float, solved: Sequence[Solved], crossed: Measured) -> Figure:
    made, (above, below, third) = new_figure(rows=3)
    loglog(above, r"step $\varepsilon$", r"relative error of $\lambda_0$")
    for index, (activation, (steps, errors)) in enumerate(curves.items()):
        series(above, steps, errors, label=activation, index=index)
    steps, errors = curves["softplus"]
    noise = float(np.median((steps * errors)[steps < 1e-6]))
    slopes = r"predicted: $\varepsilon^2$, rounding $\varepsilon^{-1}$"
    guide(above, [1e-5, 1e-1], slope=2, through=(1e-2, c * 1e-4), label=slopes)
    guide(above, [1e-9, 1e-4], slope=-1, through=(1e-6, noise / 1e-6), label="_")
    _wedge(below, solved)
    _crossing(third, crossed)
    return made


def _wedge(axes: Axes, solved: Sequence[Solved]) -> None:
    furthest = max(float(case.exponents[-1]) for case in solved)
    for label, colour, marker, rates in (
        (r"$\|h_t(x) - h_t(x')\| \,/\, \|h_0(x) - h_0(x')\|$", BLUE, "o", [case.forward for case in solved]),
        (r"$\|\lambda_{T-t}\| \,/\, \|\lambda_T\|$", VERMILLION, "s", [case.backward for case in solved]),
    ):
        x = np.concatenate([np.repeat(c.exponents, r.shape[1]) for c, r in zip(solved, rates, strict=True)])
        y = np.concatenate([rate.ravel() for rate in rates])
        rasterised(*axes.plot(x, y, marker, color=colour, markersize=2.5, linestyle="none", label=label))
    for sign in (1, -1):
        label = r"Gronwall, $e^{\pm \Lambda t}$" if sign > 0 else "_"
        axes.plot([0, furthest], [0, sign * furthest], "--", color=GREY, linewidth=1.2, label=label)
    axes.set(xlabel=r"$\Lambda t$", ylabel="log of the ratio")
    axes.legend(loc="upper left")


def _crossing(axes: Axes, crossed: Measured) -> None:
    """The component of λ that belongs to the neuron, less its value at the crossing."""
    moment, i = crossed.crossing.time, crossed.crossing.neuron
    times, values = crossed.times - moment, crossed.adjoint[:, :, i]
    before = np.polynomial.Polynomial.fit(times[0], values[0], times[0].size - 1)
    at = float(before(0.0))
    axes.plot(times.ravel(), values.ravel() - at, "o", color=BLUE, label=r"$\lambda_i$, less its value at the crossing")
    ahead, behind = np.array([0.0, times.max()]), np.array([times.min(), 0.0])
    rate = float(before.deriv()(0.0))
    axes.plot(behind, rate * behind, color=GREY, lw=1.0, label="its slope before")
    axes.plot(ahead, rate * ahead, ":", color=GREY, lw=1.0)
    axes.plot(
        ahead, (rate + crossed.predicted[i]) * ahead, "--", color=VERMILLION, lw=1.2, label="slope after, predicted"
    )
    axes.axvline(0.0, color=GREEN, lw=0.8)
    axes.set(xlabel="time from the crossing", ylabel=r"$\lambda_i(t) - \lambda_i(t^*)$")
    axes.legend(loc="best")


def accuracies(solved: Sequence[Solved]) -> Table:
    quantities = ("h_T", r"\lambda_0", "h_0")
    rows: list[tuple[Value, ...]] = []
    for activation in dict.fromkeys(case.activation for case in solved):
        mine = [case.differences for case in solved if case.activation == activation]
        worst = [max(pairs[quantity] for pairs in mine) for quantity in quantities]
        rows.append((activation, *(number for pair in worst for number in pair)))
    head = [r"$\phi$", "$h_T$", "bound", r"$\lambda_0$", "bound", "$h_0$ from $h_T$", "bound"]
    return Table("Relative distance of the two roads, largest over horizons, draws and inputs", head, rows)


def derivatives(found: Sequence[Derivative]) -> Table:
    rows = [(f"{d.activation}, {d.source}", d.t, d.step, d.error, d.allowed) for d in found]
    head = [r"$\phi$, input", "$t$", r"$\varepsilon$", "relative error", "bound"]
    return Table(r"$\lambda_t$ against central differences of $f$ in $h_t$", head, rows)
