"""The maps of Σ^{t,s} and K^{t,s}, and the table of the three terms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl import NeuralODE
from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._data import Array
from verification.statements._finite_fields import Fields
from verification.statements._goursat import Solution
from verification.statements._integral_roads import interpolation
from verification.statements._statistics import half_width
from verification.style import (
    BLACK_ON_MAP,
    WHITE_ON_MAP,
    context,
    guide,
    loglog,
    new_figure,
    rasterised,
    series,
)  # fmt: skip


def figure(net: NeuralODE, X: Array, exact: Sequence[Solution], wide: Sequence[Fields]) -> Figure:
    made, (above, middle, below) = new_figure(rows=3)
    fields = net.limit().fields(X[2], X[3])
    maps = (
        (above, r"$\Sigma^{t,s} = E[\phi(h_t) \phi(\bar h_s)]$", fields.Sigma, wide[-1].Sigma[:, 1].mean(axis=0), 1.0),
        (middle, r"$K^{t,s} = \sigma_w^2 P^{t,s}$", fields.P, wide[-1].P[:, 1].mean(axis=0), net.sigma_w**2),
    )
    for axes, title, limit, mean, factor in maps:
        _map(made, axes, title, (fields.t, factor * limit), (exact[1].t, factor * mean))
    widths = np.asarray([case.width for case in wide])
    loglog(below, "width $n$", "relative distance to the limit", xticks=widths, title="fields of finite networks")
    for index, (what, label) in enumerate({"Sigma": r"$\Sigma^{t,s}$", "P": r"$K^{t,s}$"}.items()):
        squares = [
            case.distance(what, np.stack([getattr(solution, what) for solution in exact]))[1].mean(axis=1)
            for case in wide
        ]
        rms = np.asarray([np.sqrt(square.mean()) for square in squares])
        series(below, widths, rms, label=label, index=index, spread=np.asarray([half_width(s) for s in squares]))
        guide(below, widths, slope=-0.5, through=(widths[0], rms[0]), label="_" if index else r"predicted $n^{-1/2}$")
    return made


def _map(made: Figure, axes: Axes, title: str, limit: tuple[Array, Array], mean: tuple[Array, Array]) -> None:
    t, values = limit
    fine = np.linspace(0.0, mean[0][-1], 101)
    smooth = _interpolated(t, values, fine)
    levels = np.linspace(values.min(), values.max(), 8)[1:-1]
    with context():
        image = axes.pcolormesh(fine, fine, smooth.T, cmap="cividis", shading="nearest")
        rasterised(image)
        axes.contour(fine, fine, smooth.T, levels=levels, colors=BLACK_ON_MAP, linewidths=1.0)
        axes.contour(
            fine, fine, _interpolated(mean[0], mean[1], fine).T, levels=levels, colors=WHITE_ON_MAP,
            linestyles="dashed", linewidths=1.2,
        )  # fmt: skip
        made.colorbar(image, ax=axes)
    axes.set(xlabel="time $t$", ylabel="time $s$", title=title, aspect="equal")
    axes.grid(False)


def _interpolated(t: Array, values: Array, fine: Array) -> Array:
    weights = interpolation(t, fine[-1], fine)
    smooth: Array = weights @ values @ weights.T
    return smooth


def term_table(
    names: Sequence[str], cosines: Sequence[float], exact: Sequence[Solution], kernels: Array, wide: Fields
) -> Table:
    error = wide.terms.std(axis=0, ddof=1) / np.sqrt(len(wide.terms))
    rows: list[Sequence[Value]] = []
    for k, (name, solution) in enumerate(zip(names, exact, strict=True)):
        numbers = [
            value
            for term, mean, off in zip(solution.terms, wide.terms[:, k].mean(axis=0), error[k], strict=True)
            for value in (rounded(term), rounded(mean), rounded(off, 2))
        ]
        literal = solution.literal / kernels[k] - 1
        rows.append((name, rounded(cosines[k]), *numbers, *(rounded(value) for value in literal)))
    head = [
        "pair", r"$x \cdot \bar x$", r"$\sigma_v^2 \Sigma^{T,T}$", "networks", "±", r"$\sigma_w^2 \iint \Sigma P$",
        "networks", "±", r"$q P^{0,0}$", "networks", "±", r"error if $\Sigma = E[\phi\bar\phi]$",
        r"if $\Sigma = E[h \bar h]$",
    ]  # fmt: skip
    caption = (
        rf"The three terms, the blocks of $v$, $W$, $U$ in the mean over networks with $n = {wide.width}$ (± one "
        r"standard error), and the relative error of $K_\infty$ in the two literal readings"
    )
    return Table(caption, head, rows)
