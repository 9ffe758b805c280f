"""Figure and tables of the quadratic activation."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._escape import solvable_scalar
from verification.statements._quadratic_runs import BELOW, Below, Beyond, Spectrum, Times
from verification.style import GREY, guide, loglog, new_figure, series


def draw(
    times: Sequence[Times],
    limit: float,
    grown: Sequence[Beyond],
    below: Below,
    differences: tuple[Array, Array, Array],
    spectra: Sequence[Spectrum],
) -> Figure:
    """Fraction solvable, growth beyond, errors below against width and depth, smallest eigenvalues."""
    figure, (fraction, growth, width, depth, spectrum) = new_figure(rows=5)
    _fractions(fraction, times, limit)
    growth.set(xlabel="depth $L$", ylabel=r"$\log_2 \log \|h^L\|$", title="ResNets beyond the blow-up")
    for index, each in enumerate(grown):
        series(growth, each.depths, each.doublings, label=rf"$T = {each.ratio:g}\, t^*$", index=index)
        line = each.doublings[-1] + each.predicted * (each.depths - each.depths[-1])
        label = "predicted $1 - t^*/T$" if index == 0 else "_"
        growth.plot(each.depths, line, "--", color=GREY, linewidth=1.2, label=label)
    growth.legend()
    ticks = np.unique(below.widths)
    means = np.exp([np.log(below.error[below.widths == n]).mean() for n in ticks])
    label = r"$\|K_\theta - K_\infty\| / \|K_\infty\|$"
    loglog(width, "width $n$", label, xticks=ticks, title=f"below the blow-up, $T = {BELOW}$")
    width.plot(below.widths, below.error, ".", color=GREY, alpha=0.5, label="networks")
    series(width, ticks, means, label="geometric mean")
    guide(width, ticks, slope=-0.5, through=(float(ticks[0]), float(means[0])), label="predicted $n^{-1/2}$")
    depths, kernels, limits = differences
    loglog(depth, "depth $L$", "relative error", xticks=depths, title=f"below the blow-up, $T = {BELOW}$")
    series(depth, depths, kernels, label=r"$K_\theta^L$ to $K_\theta$, $n = 64$")
    series(depth, depths[: limits.size], limits, label=r"$K_\infty^L$ to $K_\infty$", index=1)
    guide(depth, depths, slope=-1, through=(float(depths[-1]), float(kernels[-1])), label="predicted $L^{-1}$")
    _spectrum(spectrum, spectra)
    return figure


def _fractions(axes: Axes, times: Sequence[Times], limit: float) -> None:
    T = np.linspace(0.25, 6.0, 24)
    shown = [each for each in times if each.width in (1, 16, 64, 256, 1024)]
    for index, each in enumerate(shown):
        found = np.asarray([each.fraction(float(t)) for t in T])
        spread = np.abs(found[:, 1:].T - found[:, 0])
        series(axes, T, found[:, 0], label=f"$n = {each.width}$", index=index, spread=spread)
    label = r"predicted: $n = 1$; $t^*_\infty$"
    axes.plot(T, [solvable_scalar(float(t)) for t in T], "--", color=GREY, linewidth=1.2, label=label)
    axes.axvline(limit, linestyle="--", color=GREY, linewidth=1.2)
    axes.set(xlabel="horizon $T$", ylabel="fraction solvable to $T$", title="blow-up of random networks")
    axes.legend(loc="center right", bbox_to_anchor=(1.0, 0.4))


def _spectrum(axes: Axes, spectra: Sequence[Spectrum]) -> None:
    counts = np.asarray(spectra[0].counts, dtype=float)
    loglog(axes, "number of points $N$", r"$\lambda_{\min}(K_\infty)$", xticks=counts, title="random points, $T = 1$")
    floors = np.max([each.floor for each in spectra], axis=0)
    for index, each in enumerate(spectra):
        series(axes, counts, np.maximum(each.smallest, floors / 2), label=f"$d = {each.dim}$", index=index)
    axes.fill_between(counts, 1e-12, floors, color=GREY, alpha=0.25, linewidth=0, label="noise")
    axes.set_ylim(bottom=1e-12)
    axes.legend()


def times_table(times: Sequence[Times], limit: float) -> Table:
    """Quantiles of the blow-up time and fractions solvable."""
    shown = (0.5, 1.0, 1.5, limit, 3.0)
    rows: list[Sequence[Value]] = []
    for each in times:
        quantiles = (float(each.values[0]), *(each.quantile(p) for p in (0.1, 0.25, 0.5, 0.75, 0.9)))
        alive = [f"{each.fraction(T)[0]:.2f} ({each.fraction(T)[1]:.2f}–{each.fraction(T)[2]:.2f})" for T in shown]
        rows.append((each.width, each.values.size, *(_time(t) for t in quantiles), *alive))
    head = ["$n$", "networks", "first", "10 %", "25 %", "median", "75 %", "90 %", *(f"$T = {T:.4g}$" for T in shown)]
    return Table("Quantiles of the blow-up time, and fractions solvable to $T$ with 95 % intervals", head, rows)


def spectrum_table(spectra: Sequence[Spectrum]) -> Table:
    """λ_min by dimension and number of points."""
    rows: list[Sequence[Value]] = [
        (f"$d = {each.dim}$", *(rounded(value, 3) for value in each.smallest), rounded(each.floor[-1], 2))
        for each in spectra
    ]
    head = ["dimension", *(f"$N = {N}$" for N in spectra[0].counts), "noise floor"]
    return Table(r"$\lambda_{\min}(K_\infty)$, $T = 1$; the noise floor at the largest $N$", head, rows)


def _time(value: float) -> Value:
    return rounded(value) if np.isfinite(value) else "none"
