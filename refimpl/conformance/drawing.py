"""The scorecard as a picture."""

from __future__ import annotations

from collections.abc import Sequence, Set
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from refimpl._words import counted
from refimpl.conformance.scorecard import ordered

if TYPE_CHECKING:
    from refimpl.conformance.scorecard import Scorecard

MOST = 17  # of a Result


def draw(scorecard: Scorecard, path: Path) -> None:
    """Draw the fewest correct digits by quantity and activation, and by quantity and flag.

    Raises
    ------
    ImportError
        Matplotlib is absent.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a plot needs matplotlib: pip install 'refimpl[plot]'") from error
    by_activation, by_flag = scorecard.by_activation, scorecard.by_flag
    quantities = ordered(quantity for quantity, _ in by_activation)
    activations, flags = ordered(row for _, row in by_activation), tuple(sorted({flag for _, flag in by_flag}))
    rows = max(len(activations), len(flags), 3)
    figure = Figure(figsize=(3.6 + 1.1 * len(quantities), 1.9 + 0.3 * rows), layout="constrained")
    axes = figure.subplots(1, 2)
    image = None
    for axis, table, labels, title in (
        (axes[0], by_activation, activations, "by activation"),
        (axes[1], by_flag, flags, "by flag"),
    ):
        values = [[table.get((quantity, row), np.nan) for quantity in quantities] for row in labels]
        image = _table(axis, values, labels, quantities, scorecard.failing_rows)
        axis.set_title(title)
    if image is not None:
        figure.colorbar(image, ax=axes, label="fewest correct digits", shrink=0.8)
    verdict = "passed" if scorecard.passed else "failed (red)"
    compared = sum(result.status != "skipped" for result in scorecard.results)
    figure.suptitle(f"{verdict}: {counted(compared, 'comparison')}, {counted(len(scorecard.failures), 'failure')}")
    figure.savefig(path, dpi=150)


def _table(axis: Any, table: Any, rows: Sequence[str], columns: Sequence[str], failed: Set[tuple[str, str]]) -> Any:
    axis.set_xticks(range(len(columns)), columns, rotation=60, ha="right")
    axis.set_yticks(range(len(rows)), rows)
    if not rows:
        return None
    values = np.asarray(table, dtype=float)
    image = axis.imshow(values, vmin=0, vmax=MOST, cmap="cividis", aspect="auto")
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            if np.isfinite(values[i, j]):
                bad = (column, row) in failed
                colour = "white" if values[i, j] < MOST / 2 else "black"
                box = {"facecolor": "#b3261e", "edgecolor": "none", "pad": 1.5} if bad else None
                axis.text(
                    j, i, f"{np.floor(values[i, j]):.0f}", ha="center", va="center", fontsize=8,
                    color="white" if bad else colour, bbox=box,
                )  # fmt: skip
    return image
