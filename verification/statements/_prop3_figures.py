"""Figure and tables of Proposition 3."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from verification import Table
from verification.numerals import rounded
from verification.statement import Value
from verification.statements._gram import DEPTH_INPUTS, SOURCES, Depths, Gram, Grams, powers
from verification.style import GREY, PALETTE, loglog, new_figure, series


def draw(deep: Depths, limits: Grams, counts: Sequence[int], names: Sequence[str]) -> Figure:
    figure, (above, *panels) = new_figure(rows=3)
    depths = max((powers(grams) for grams in deep.values()), key=len)
    loglog(above, "depth $L$", r"$\lambda_{\min}(K_\infty^L)$", xticks=depths, title=f"{DEPTH_INPUTS} digits")
    drawn = [*names[:5], "relu"]  # as many as colours are easily told apart; the table holds the others
    order = {name: index for index, name in enumerate(drawn)}
    for name, grams in deep.items():
        limit, index = limits[name]["digits"].leading(DEPTH_INPUTS).smallest, order[name]
        series(above, powers(grams), [gram["digits"].smallest for gram in grams], label=name, index=index)
        above.axhline(limit, color=PALETTE[index % len(PALETTE)], linestyle=":", linewidth=1.2)
    above.legend(loc="center", bbox_to_anchor=(0.5, 0.25), ncols=2)
    titles = {"digits": "digits", "sphere": "random points of $S^2$"}
    for axes, source in zip(panels, SOURCES, strict=True):
        loglog(axes, "number of inputs $N$", r"$\lambda_{\min}(K_\infty)$", xticks=counts, title=titles[source])
        floors = np.zeros(len(counts))
        for name in drawn:
            grams_of = [limits[name][source].leading(N) for N in counts]
            if name != "relu":
                floors = np.maximum(floors, [gram.floor for gram in grams_of])
            series(axes, counts, np.maximum([g.smallest for g in grams_of], floors / 2), label=name, index=order[name])
        axes.fill_between(counts, 1e-13, floors, color=GREY, alpha=0.25, linewidth=0, label="noise")
        axes.set_ylim(bottom=1e-13)
        axes.legend(ncols=2, loc="center left", bbox_to_anchor=(0.02, 0.4))
    return figure


def spectrum_table(limits: Grams, counts: Sequence[int]) -> Table:
    rows: list[Sequence[Value]] = []
    for name, grams in limits.items():
        for source, gram in grams.items():
            values = [_shown(gram.leading(N)) for N in counts]
            rows.append((f"{name}, {SOURCES[source]}", *values, rounded(gram.floor)))
    return Table(
        r"$\lambda_{\min}(K_\infty)$ against $N$, and the noise floor at the largest $N$",
        ["activation, inputs", *(f"$N = {N}$" for N in counts), "noise floor"],
        rows,
    )


def depth_table(deep: Depths, limits: Grams) -> Table:
    shown = (1, 2, 4, 8, 16, 64, 128)
    rows: list[Sequence[Value]] = []
    for name, grams in deep.items():
        for source in SOURCES:
            found = {int(L): gram[source] for L, gram in zip(powers(grams), grams, strict=True)}
            limit = limits[name][source].leading(DEPTH_INPUTS)
            row = [rounded(found[L].smallest) if L in found else None for L in shown]
            rows.append((f"{name}, {SOURCES[source]}", *row, rounded(limit.smallest)))
    return Table(
        rf"$\lambda_{{\min}}(K_\infty^L)$, $N = {DEPTH_INPUTS}$",
        ["activation, inputs", *(f"$L = {L}$" for L in shown), r"$L \to \infty$"],
        rows,
    )


def rank_table(ranks: Sequence[tuple[str, str, int, int, Gram]]) -> Table:
    rows: list[Sequence[Value]] = [
        (kernel, place, N, predicted, gram.rank, _shown(gram)) for kernel, place, N, predicted, gram in ranks
    ]
    return Table(
        r"Polynomials: predicted rank (an upper bound), eigenvalues above the noise floor, smallest eigenvalue",
        ["kernel", "inputs", "$N$", "predicted", "seen", r"$\lambda_{\min}$"],
        rows,
    )


def _shown(gram: Gram) -> Value:
    return rounded(gram.smallest) if gram.positive is not None else "undecided"
