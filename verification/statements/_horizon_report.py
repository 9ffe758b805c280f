"""Figure and tables of the time horizon."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._horizon_networks import Constant, Spread
from verification.statements._horizons import AtHorizon, gronwall, identity_depth
from verification.style import GREY, PALETTE, guide, loglog, new_figure, series

Curves = Mapping[str, Sequence[AtHorizon]]


def draw(
    curves: Curves, constants: Sequence[Constant], spreads: Sequence[Spread], hidden: Mapping[str, Mapping[str, Array]]
) -> Figure:
    """Spectrum, variance, constants of the 1/L error, error at finite width."""
    figure, (spectrum, variance, depth, width) = new_figure(rows=4)
    _spectrum(spectrum, {name: curve for name, curve in curves.items() if name != "identity"}, hidden)
    _variance(variance, curves)
    _depth(depth, curves, constants)
    ticks = np.unique(spreads[0].widths)
    loglog(width, "width $n$", r"$\|K_\theta - K_\infty\| / \|K_\infty\|$", xticks=ticks, title="finite width")
    for index, each in enumerate(spreads):
        label = f"{each.activation}, $T = {each.T:g}$"
        series(width, ticks, _means(each, ticks), label=label, index=index)
    start = (float(ticks[0]), float(_means(spreads[1], ticks)[0]))
    guide(width, ticks, slope=-0.5, through=start, label="predicted $n^{-1/2}$")
    return figure


def _means(each: Spread, widths: Array) -> Array:
    """Geometric mean of the error at each width."""
    means: Array = np.exp([np.log(each.error[each.widths == n]).mean() for n in widths])
    return means


def _spectrum(axes: Axes, curves: Curves, hidden: Mapping[str, Mapping[str, Array]]) -> None:
    loglog(axes, "horizon $T$", r"eigenvalues of $K_\infty$", title="digits")
    for index, (name, curve) in enumerate(curves.items()):
        T = [at.T for at in curve]
        low, high = zip(*(at.extremes("digits") for at in curve), strict=True)
        series(axes, T, high, label=rf"{name}, $\lambda_{{\max}}$ and $\lambda_{{\min}}$", index=index)
        series(axes, T, low, label="_", index=index)
        ends = np.linalg.eigvalsh(hidden[name]["digits"])
        for value in (ends[0], ends[-1]):
            axes.axhline(value, color=PALETTE[index], linestyle=":", linewidth=1.0)


def _variance(axes: Axes, curves: Curves) -> None:
    loglog(axes, "horizon $T$", "$S^{T,T} - 1$", title=r"growth of $\|h_T\|^2/n$")
    for index, (name, curve) in enumerate(curves.items()):
        T = [at.T for at in curve]
        series(axes, T, [at.variance - 1 for at in curve], label=name, index=index)
        bound = [gronwall(name, t) - 1 for t in T]
        axes.plot(T, bound, "--", color=PALETTE[index], linewidth=1.0, label="Gronwall's bounds" if not index else "_")
    axes.set_ylim(top=1e5)
    axes.legend()


def _depth(axes: Axes, curves: Curves, constants: Sequence[Constant]) -> None:
    loglog(
        axes,
        "horizon $T$",
        "constant of the $1/L$ error",
        title=r"$\lim L |K_\infty^L - K_\infty|$ and $\lim L |f^L - f|$",
    )
    for index, (name, curve) in enumerate(curves.items()):
        series(axes, [at.T for at in curve], [at.depth for at in curve], label=name, index=index)
    first = curves["softplus"]
    guide(axes, [1 / 64, 1], slope=4, through=(first[0].T, first[0].depth), label="predicted $T^4$")
    T = np.geomspace(1 / 64, 4, 60)
    axes.plot(T, [identity_depth(float(t)) for t in T], "--", color=GREY, linewidth=1.0, label="identity, closed form")
    mine = [each for each in constants if each.activation == "softplus"][:4]
    horizons = [each.T for each in mine]
    series(axes, horizons, [each.output for each in mine], label="$f^L$, a softplus network", index=5)
    bounds = [each.output_bound for each in mine]
    axes.plot(horizons, bounds, "--", color=PALETTE[5], linewidth=1.0, label="its bound, Gronwall")
    axes.set_xlim(left=5e-4)
    axes.legend(loc="upper left")


def spectrum_table(curves: Curves) -> Table:
    """Eigenvalues and variance at every T."""
    rows: list[Sequence[Value]] = []
    for name, curve in curves.items():
        for at in curve:
            numbers = [value for source in at.kernels for value in _condition(*at.extremes(source))]
            rows.append((f"{name}, $T = {at.T:g}$", *map(_round, (*numbers, at.variance))))
    head = ["activation", *(f"{source}, {what}" for source in ("digits", "sphere") for what in _SHOWN), "$S^{T,T}$"]
    return Table(r"Spectrum of $K_\infty$ and variance of the state against $T$", head, rows)


_SHOWN = (r"$\lambda_{\min}$", r"$\lambda_{\max}$", "condition")


def _condition(low: float, high: float) -> tuple[float, float, float]:
    return low, high, high / low


def constants_table(curves: Curves, constants: Sequence[Constant]) -> Table:
    """Constants at infinite width, with the depth for an error of 1 %, and those of networks beside their bounds."""
    rows: list[Sequence[Value]] = []
    finite: dict[tuple[str, float], Constant] = {}
    for each in constants:
        finite.setdefault((each.activation, each.T), each)
    for name, curve in curves.items():
        for at in curve:
            if at.T >= 0.25:
                found = finite.get((name, at.T))
                shown = (found.state, found.state_bound, found.output, found.output_bound) if found else (None,) * 4
                numbers = (at.depth, at.depth / at.own, 100 * at.depth / at.own, *shown)
                rows.append((f"{name}, $T = {at.T:g}$", *map(_round, numbers)))
    head = [
        "activation", r"$C(T)$ of $K_\infty$", r"$C / K_\infty$", "$L$ for 1 %", r"$\lim L \|h^L - h_T\|$", "bound",
        "$\\lim L |f^L - f|$", "bound",
    ]  # fmt: skip
    return Table("Constants of the $1/L$ error: infinite width (at one input), and one network", head, rows)


def spread_table(spreads: Sequence[Spread]) -> Table:
    """√n × relative error by width."""
    widths = np.unique(spreads[0].widths)
    rows: list[Sequence[Value]] = [
        (f"{each.activation}, $T = {each.T:g}$", *map(_round, np.sqrt(widths) * _means(each, widths)))
        for each in spreads
    ]
    caption = r"$\sqrt n\, \|K_\theta - K_\infty\| / \|K_\infty\|$, geometric mean over networks"
    return Table(caption, ["network", *(f"$n = {n:g}$" for n in widths)], rows)


def _round(value: float | None) -> float | None:
    return None if value is None else rounded(value)
