"""Figures as bytes: for paper, and for a page that may be dark."""

from __future__ import annotations

import base64
import functools
import io
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread

from verification import style

_POINTS, _RASTER, _PNG = 72, 300, 200
"""Units of a length in an inch: points of an SVG, pixels of what is rasterised in it (enough for print), of a PNG."""

_DARK = {
    "#ffffff": "#1b1e21", "#000000": "#e7e8e8", "#e3e3e3": "#34383c", style.GREY: "#a8adb2",
    style.BLUE: "#4ba3e0", style.VERMILLION: "#f0803c", style.GREEN: "#2fbf96",
}  # fmt: skip
"""Colours on a dark page: paper, ink and grid change places, dark colours become lighter and keep their hue."""

_IMAGE = re.compile(rb'<image\b[^>]*?"data:image/png;base64,\s*([^"]*)"[^>]*?\bid="([^"]+)"')


@dataclass(frozen=True)
class Drawing:
    """A figure as bytes; equal figures give equal bytes."""

    svg: bytes
    png: bytes


def draw(figure: Figure) -> Drawing:
    """SVG and PNG of `figure`, without date or version, so that the same numbers give the same bytes."""
    svg, png = io.BytesIO(), io.BytesIO()
    with style.context():
        figure.savefig(svg, format="svg", dpi=_RASTER, metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=_PNG, metadata={"Software": None})
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


@functools.lru_cache(maxsize=32)
def with_dark_colours(svg: bytes) -> bytes:
    """`svg` with a style sheet that takes effect where the reader prefers a dark page.

    An image does not see the page around it, but it does see what the reader prefers. Matplotlib writes colours into
    ``style`` attributes, which only ``!important`` overrides; black letters and marks have no attribute at all.
    Rasterised marks are recoloured by a filter; a rasterised map of colours stays as it is.
    """
    rules = "".join(
        f'[style*="{name}: {light.lower()}"] {{{name}: {dark} !important}}'
        for light, dark in _DARK.items()
        for name in ("fill", "stroke")
    )
    filters = ""
    for png, id in _IMAGE.findall(svg):
        if inks := _inks(base64.b64decode(png)):
            filters += _recolouring(f"dark-{id.decode()}", inks)
            rules += f"#{id.decode()} {{filter: url(#dark-{id.decode()})}}"
    sheet = f"@media (prefers-color-scheme: dark) {{svg {{fill: {_DARK['#000000']}}}{rules}}}</style>{filters}"
    return svg.replace(b"</style>", sheet.encode(), 1)


def _inks(png: bytes) -> list[str]:
    """Colours of marks that make up most of what is opaque in a picture; none for a map of colours."""
    pixels = np.rint(imread(io.BytesIO(png), format="png") * 255).astype(np.uint8)
    opaque = pixels[pixels[..., -1] == 255][:, :3].astype(np.int64)
    colours, counts = np.unique(opaque @ (1 << 16, 1 << 8, 1), return_counts=True)
    known = {colour.lower(): colour for colour in dict.fromkeys((*style.PALETTE, *_DARK))}
    found = {f"#{colour:06x}": count for colour, count in zip(colours, counts, strict=True)}
    inks = {known[colour]: count for colour, count in found.items() if colour in known}
    return list(inks) if 2 * sum(inks.values()) > counts.sum() else []


def _recolouring(id: str, inks: Sequence[str]) -> str:
    """Filter that takes every one of `inks` to its colour on a dark page, and so every blend of them to the blend.

    Of all affine maps of the colours that do, it is the one closest to none: up to four inks are met exactly.
    """
    light = np.array([(*to_rgb(ink), 1.0) for ink in inks])
    change = np.array([to_rgb(_DARK.get(ink, ink)) for ink in inks]) - light[:, :3]
    matrix = np.zeros((4, 5))  # rows: red, green, blue, alpha; columns: the same, and a constant
    matrix[:, :4] = np.eye(4)
    matrix[:3, [0, 1, 2, 4]] += np.linalg.lstsq(light, change, rcond=None)[0].T
    values = " ".join(f"{value:.6g}" for value in np.round(matrix, 9).ravel())
    return (
        f'<filter id="{id}" color-interpolation-filters="sRGB" x="0" y="0" width="1" height="1">'
        f'<feColorMatrix values="{values}"/></filter>'
    )
