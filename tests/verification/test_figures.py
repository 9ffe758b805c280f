"""Figures of the report where they are dense, and where the page is dark."""

from __future__ import annotations

import base64
import io
import re
from typing import Any

import matplotlib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.image import imread
from numpy.typing import NDArray

from tests.made_up import fake
from verification import Config
from verification.catalogue import load
from verification.drawing import draw, inches, with_dark_colours
from verification.runner import examine
from verification.style import (
    BLACK_ON_MAP,
    BLUE,
    GREY,
    PALETTE,
    PURPLE,
    VERMILLION,
    WHITE_ON_MAP,
    guide,
    new_figure,
    rasterised,
)  # fmt: skip

POINTS = 4000


def scatter(*colours: str, dense: bool = True) -> Figure:
    figure, (axes,) = new_figure()
    rng = np.random.default_rng(0)
    for colour in colours:
        marks = axes.plot(*rng.standard_normal((2, POINTS)), "o", color=colour, markersize=3, label="marks")
        if dense:
            rasterised(*marks)
    axes.legend()
    return figure


def colour_map() -> Figure:
    figure, (axes,) = new_figure()
    rasterised(axes.pcolormesh(np.outer(np.arange(40.0), np.arange(40.0)), cmap="cividis"))
    axes.text(10, 10, "on the map", color=WHITE_ON_MAP)
    axes.text(30, 30, "on the map", color=BLACK_ON_MAP)
    return figure


def pictures(svg: bytes) -> list[NDArray[np.float64]]:
    found = re.findall(rb'base64,\s*([^"]*)"', svg)
    return [np.asarray(imread(io.BytesIO(base64.b64decode(png)), format="png"), dtype=float) for png in found]


def recoloured(dark: bytes, colour: str) -> NDArray[np.float64]:
    """`colour` after the filter of the only rasterised picture."""
    (values,) = re.findall(rb'<feColorMatrix values="([^"]*)"/>', dark)
    matrix = np.array(values.split(), dtype=float).reshape(4, 5)
    return matrix[:3] @ [*to_rgb(colour), 1.0, 1.0]


def test_dense_marks_are_one_small_picture_and_all_else_stays_curves() -> None:
    svg, curves = draw(scatter(BLUE)).svg, draw(scatter(BLUE, dense=False)).svg
    (picture,) = pictures(svg)
    assert picture.shape[1] > 0.6 * 5 * 300  # three hundred pixels an inch
    assert len(curves) - len(svg) > 60 * POINTS
    for part in (b"xtick_1", b"ytick_1", b"legend_1"):
        assert re.search(rb'<g id="%b">(?:(?!<image).)*?<use ' % part, svg, re.DOTALL)
    assert svg.count(b"<use ") == curves.count(b"<use ") - POINTS


def test_the_same_dense_figure_has_the_same_bytes() -> None:
    assert draw(scatter(BLUE, VERMILLION)) == draw(scatter(BLUE, VERMILLION))


def test_on_a_dark_page_rasterised_marks_have_the_colours_of_drawn_ones() -> None:
    dark = with_dark_colours(draw(scatter(BLUE, VERMILLION, GREY, PURPLE)).svg)
    for light, expected in ((BLUE, "#4ba3e0"), (VERMILLION, "#f0803c"), (GREY, "#a8adb2"), (PURPLE, PURPLE)):
        # Six digits of four coefficients, each below 4.
        np.testing.assert_allclose(recoloured(dark, light), to_rgb(expected), atol=4 * 4 * 5e-6)
    (id,) = re.findall(rb'<image [^>]*?id="([^"]*)"', dark)
    rules = dark.partition(b"@media (prefers-color-scheme: dark)")[2].partition(b"</style>")[0]
    assert b"#%b {filter: url(#dark-%b)}" % (id, id) in rules
    assert b'<filter id="dark-%b"' % id in dark


def test_a_map_of_colours_and_what_is_written_on_it_stay_as_they_are() -> None:
    svg = draw(colour_map()).svg
    assert len(pictures(svg)) == 1
    dark = with_dark_colours(svg)
    assert b"<filter" not in dark
    rules = dark.partition(b"@media (prefers-color-scheme: dark)")[2].partition(b"</style>")[0]
    for colour in (WHITE_ON_MAP, BLACK_ON_MAP):
        assert colour.lower().encode() in svg
        assert colour.lower().encode() not in rules


def test_a_dark_page_changes_every_colour_that_would_be_lost_on_it() -> None:
    figure, (axes,) = new_figure()
    axes.plot([1, 2], color="#000000")
    svg = draw(figure).svg
    dark = with_dark_colours(svg)
    head, _, tail = dark.partition(b"@media (prefers-color-scheme: dark)")
    assert head + tail[tail.index(b"</style>") :] == svg  # by a style sheet alone
    for colour in (b"#ffffff", b"#000000", b"#e3e3e3"):
        assert colour in svg
        assert b'[style*="stroke: %b"] {stroke: ' % colour in dark
    assert inches(svg) == 5.0


def test_bytes_that_are_no_figure_are_refused() -> None:
    with pytest.raises(ValueError, match="no SVG"):
        inches(b"<svg>")


def test_figures_do_not_depend_on_the_settings_of_the_user(package: Any) -> None:
    statement = load("prop1", package(prop1=fake("prop1")))
    plain = examine(statement, Config("prop1")).drawing
    own: Any = {
        "font.size": 20,
        "lines.linewidth": 5,
        "xtick.labelsize": 30,
        "svg.hashsalt": None,
        "svg.fonttype": "none",
    }
    with matplotlib.rc_context(own):
        assert examine(statement, Config("prop1")).drawing == plain
        assert matplotlib.rcParams["font.size"] == 20
    assert plain is not None
    assert b"<dc:date>" not in plain.svg


@given(st.floats(-4, 4), st.floats(0.1, 10), st.floats(0.1, 10))
def test_the_guide_is_the_predicted_power_law(slope: float, x0: float, y0: float) -> None:
    _, (axes,) = new_figure()
    guide(axes, [1.0, 8.0], slope=slope, through=(x0, y0), label="predicted")
    x, y = (np.asarray(data, dtype=float) for data in axes.lines[0].get_data())
    # Two powers of numbers in [0.1, 80] and a product: a few roundings, times |slope · log x| ≤ 18.
    np.testing.assert_allclose(y, y0 * np.exp(slope * (np.log(x) - np.log(x0))), rtol=100 * np.finfo(float).eps)


def test_colours_differ_in_lightness_or_hue_for_every_reader() -> None:
    assert len(set(PALETTE)) == len(PALETTE)
    assert set(PALETTE) <= {"#000000", "#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7"}
