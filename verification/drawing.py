"""Figures as bytes: for paper, and for a page that may be dark."""

from __future__ import annotations

import io
import re
from dataclasses import dataclass

from matplotlib.figure import Figure

from verification import style

_POINTS = 72
_DARK = {
    "#ffffff": "#1b1e21", "#000000": "#e7e8e8", "#e3e3e3": "#34383c", style.GREY: "#a8adb2",
    style.BLUE: "#4ba3e0", style.VERMILLION: "#f0803c", style.GREEN: "#2fbf96",
}  # fmt: skip
"""Colours on a dark page: paper, ink and grid change places, dark colours become lighter and keep their hue."""


@dataclass(frozen=True)
class Drawing:
    """A figure as bytes; equal figures give equal bytes."""

    svg: bytes
    png: bytes


def draw(figure: Figure) -> Drawing:
    """SVG and PNG of `figure`, without date or version, so that the same numbers give the same bytes."""
    svg, png = io.BytesIO(), io.BytesIO()
    with style.context():
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return Drawing(svg.getvalue(), png.getvalue())


def inches(svg: bytes) -> float:
    """Width of a figure that matplotlib wrote.

    Raises
    ------
    ValueError
        The bytes are no such figure.
    """
    found = re.search(rb'<svg [^>]*?\bwidth="([0-9.]+)pt"', svg)
    if found is None:
        raise ValueError("no SVG with a width in points")
    return float(found[1]) / _POINTS


def with_dark_colours(svg: bytes) -> bytes:
    """`svg` with a style sheet that takes effect where the reader prefers a dark page.

    An image does not see the page around it, but it does see what the reader prefers. Matplotlib writes colours into
    ``style`` attributes, which only ``!important`` overrides; black letters and marks have no attribute at all.
    """
    rules = "".join(
        f'[style*="{name}: {light.lower()}"] {{{name}: {dark} !important}}'
        for light, dark in _DARK.items()
        for name in ("fill", "stroke")
    )
    sheet = f"@media (prefers-color-scheme: dark) {{svg {{fill: {_DARK['#000000']}}}{rules}}}"
    return svg.replace(b"</style>", sheet.encode() + b"</style>", 1)
