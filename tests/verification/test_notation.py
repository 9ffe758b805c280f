"""Formulas and numbers, as a browser and a terminal show them."""

from __future__ import annotations

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from verification.mathml import render
from verification.numerals import column, number
from verification.plain import plain


@given(st.text(st.characters(exclude_characters="$'0123456789", exclude_categories=["Cs"])))
def test_text_without_formulas_and_numbers_is_escaped_and_otherwise_kept(text: str) -> None:
    assert render(text) == escape(text)


@pytest.mark.parametrize(
    "text", ["one $ dollar", "$a$ and $b", r"$\frac{a$", r"$\nonsense$", "$a & b$", "$}{$"], ids=repr
)
def test_a_formula_that_cannot_be_read_raises(text: str) -> None:
    with pytest.raises(ValueError, match=r"dollar|formula"):
        render(text)


def test_bold_and_blackboard_letters_are_spelled_out_for_browsers() -> None:
    shown = render(r"$\boldsymbol{\theta} \in \mathbb{R}^d, \mathbb S, \boldsymbol W$, \$5")
    assert all(letter in shown for letter in "𝜽ℝ𝕊𝑾")
    assert "mathvariant" not in shown
    assert shown.endswith("$5")


@given(st.floats(-1e300, 1e300), st.integers(2, 16))  # 1.75e308 to two digits is no float
def test_a_number_is_shown_to_its_digits_and_kept_exactly(value: float, digits: int) -> None:
    found = re.fullmatch(r'<data value="(.*?)">(.*?)</data>', number(value, digits=digits))
    assert found
    assert float(found[1]) == value
    plain = found[2].replace("−", "-").replace("\u202f", "").replace(" × 10<sup>", "e").replace("</sup>", "")
    # Half a unit of the last digit, and the rounding of this very comparison.
    assert math.isclose(float(plain), value, rel_tol=0.5 * 10.0 ** (1 - digits) + 2e-16, abs_tol=0)


@pytest.mark.parametrize(
    ("value", "uncertainty", "shown"),
    [(-0.998123, 0.0042, "−0.9981"), (2.5, None, "2.5"), (0.25000001, None, "0.2500"), (123456.7, None, "123\u202f457"),
     (20480, None, "20\u202f480"), (math.inf, None, "∞"), (None, None, "–"), (3e-9, None, "3 × 10<sup>−9</sup>"),
     (0.0, None, "0"), ("$n<1$", None, render("$n<1$"))],
)  # fmt: skip
def test_numbers_are_written_for_readers(value: Any, uncertainty: float | None, shown: str) -> None:
    given = "inf" if value == math.inf else value  # as report.json holds it
    assert re.sub("</?data.*?>", "", number(given, uncertainty)) == shown


def test_numbers_of_a_column_share_their_notation_and_have_their_points_in_line() -> None:
    def shown(values: list[Any]) -> list[str]:
        return [str(re.sub("</?data.*?>", "", cell)) for cell in column(values)]

    assert shown([0.25, 1, 12.0, None]) == ["0.25", "1\u2008\u2007\u2007", "12.00", "–"]
    assert shown([0.9904, 1.028, 0.5, -0.0]) == ["0.990", "1.028", "0.500", "0\u2008\u2007\u2007\u2007"]
    assert shown([63.79, 0.2562, 1.0]) == [
        "63.79\u2007\u2007",
        "0.2562",
        "1.000\u2007",
    ]  # a thousandth of 63.79 is not known
    assert shown([64.0, 128.0]) == ["64", "128"]
    assert shown([269.5, 484.0, 1258.0]) == ["270", "484", "1258"]
    assert shown([1e-4, 4.214e-13]) == ["1.000 × 10<sup>−4\u2007</sup>", "4.214 × 10<sup>−13</sup>"]
    assert shown([0.5, 1.25e-7, 0.0, "none"]) == ["5.00 × 10<sup>−1</sup>", "1.25 × 10<sup>−7</sup>", "0", "none"]
    assert shown([3, 20480]) == ["3", "20\u202f480"]


@given(st.lists(st.floats(-1e300, 1e300) | st.integers(-(10**12), 10**12), min_size=1, max_size=6))
def test_a_column_keeps_every_number_exactly(values: list[float]) -> None:
    found = [re.search(r'value="(.*?)"', cell) for cell in column(values)]
    assert [float(match[1]) for match in found if match] == values


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (r"$\lambda_t = \partial f / \partial h_t$", "λ_t = ∂f/∂h_t"),
        (r"$\dot h_t$ and $\bar x$, \$5", "h\u0307_t and x\u0304, $5"),
        (r"$\|K_\infty^L\| \le C L^{-1/2}$", "‖K_∞^L‖ ≤ CL^(−1/2)"),
        (r"$\lim_{n \to \infty} \frac{a + b}{\sqrt{n}}$", "lim_(n → ∞) (a+b)/(√n)"),
        (r"$\phi'$, $\varphi$, $\int_0^T f\,dt$, $\sqrt{2t}$", "φ′, φ, ∫_0^T fdt, √2t"),
    ],
)
def test_formulas_become_plain_text_for_a_terminal(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(st.characters(exclude_characters="$\\", exclude_categories=["Cs"])))
def test_plain_text_without_formulas_is_kept(text: str) -> None:
    assert plain(text) == text


def test_a_long_formula_may_break_after_relations_and_slashes_and_a_short_one_may_not() -> None:
    long = render(r"$e^{-\Lambda t} \le \|h_t(x) - h_t(x')\| / \|h_0(x) - h_0(x')\| \le e^{\Lambda t}$")
    assert long.count("<wbr>") == 3
    assert "<wbr>" not in render(r"$16 \le L \le 1024$")


def test_the_bar_of_a_root_is_kept_clear_of_what_is_below_it() -> None:
    for formula in (r"$\sqrt n$", r"$\sqrt{n}$", r"$\sqrt{2 t}$"):
        assert "<msqrt><mrow>" in render(formula)  # the style sheet pads that row
