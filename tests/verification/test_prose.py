"""Sentences of the report: the signs of print where a keyboard has none, and what must stay as it was typed."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markupsafe import escape

from verification.mathml import render
from verification.prose import DOCUMENTATION, typeset

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        ("-1", "−1"),
        ("a slope of -1/2.", "a slope of −1/2."),
        ("95 %: -1.89 to -0.39)", "95 %: −1.89 to −0.39)"),
        ("in [-1, -.5] ∪ (0,-2)", "in [−1, −.5] ∪ (0,−2)"),
        ("2 ± -1, ≤ -3, =-4", "2 ± −1, ≤ −3, =−4"),
        ("1e-12", "10<sup>−12</sup>"),
        ("rtol=1e-09 forward", "rtol=10<sup>−9</sup> forward"),
        ("(RK45, 1e-3 and 1E-6)", "(RK45, 10<sup>−3</sup> and 10<sup>−6</sup>)"),
        ("limit: 5e-14).", "limit: 5\u00a0×\u00a010<sup>−14</sup>)."),
        ("3.2e+12 times", "3.2\u00a0×\u00a010<sup>12</sup> times"),
        ("-2.5e-5", "−2.5\u00a0×\u00a010<sup>−5</sup>"),
        ("2e+01, 1e+00, 5e-03, 2.4e4, 1e5", "20, 1, 0.005, 24\u202f000, 10<sup>5</sup>"),
        ("1e-3/4", "10<sup>−3</sup>/4"),
        ("Gronwall's, isn't", "Gronwall’s, isn’t"),
        ("/seed and t/T -1", "/seed and t/T −1"),
        ("see docs/mathematics.md.", "see documentation of refimpl, page “Mathematics”."),
        (
            "(proof: docs/mathematics.md, Time scale; measured)",
            "(proof: documentation of refimpl, page “Mathematics”, paragraph “Time scale”; measured)",
        ),
    ],
)
def test_signs_of_print_take_the_place_of_those_of_the_keyboard(typed: str, shown: str) -> None:
    assert typeset(typed) == shown


@pytest.mark.parametrize(
    "typed",
    [
        "`solve -1` and `rtol 1e-12`", "--seed -1 --rtol 1e-3", "--rtol=1e-3", "https://example.org/a?t=1e-5&s=-1",
        "out/run-1/1e-5.txt", "2026-11-29", "2026-11-29T10:00:00-05:00", "12:-05", "pages 3-5", "-3-5", "10-12",
        "1.2.3-4", "2.0.1e-3", "x-1", "non-1", "368-fold", "v1e-3", "adjoint-1e-3", "0x1e-3", "1e-12-ish", "1e-12th",
        "81e3-4", "float64e-3", "a - 1", "one-step", "'quoted'", "f' and x''", "1e1000", "sha 12e4567",
    ],
)  # fmt: skip
def test_what_is_no_number_by_itself_stays_as_it_was_typed(typed: str) -> None:
    assert typeset(typed) == escape(typed)


@given(
    st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(["{:.1e}", "{:.0e}", "{:e}", "{:.3f}", "{!r}"])
)
def test_a_number_in_a_sentence_keeps_its_value(value: float, form: str) -> None:
    typed = form.format(value)
    shown = re.sub(r"10<sup>", "1e" if "×" not in typeset(typed) else "e", typeset(f"about {typed}, or so"))
    shown = re.sub(r"\u00a0×\u00a0|</sup>|\u202f", "", shown).replace("−", "-")
    assert float(shown.removeprefix("about ").removesuffix(", or so")) == float(typed)


def test_formulas_are_left_to_latex_and_the_words_around_them_are_set() -> None:
    assert render("$n$'s limit, 1e-3 of $-1$").count("−") == 2
    assert render("$n$'s limit").endswith("’s limit")


def test_the_documentation_that_a_statement_names_is_there() -> None:
    found = {
        (match["page"], match["paragraph"])
        for path in (ROOT / "verification" / "statements").glob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for match in DOCUMENTATION.finditer(node.value)
    }
    assert ("mathematics", "Kinks") in found
    for page, paragraph in found:
        text = (ROOT / "docs" / f"{page}.md").read_text("utf-8")
        assert text.startswith(f"# {page.capitalize()}\n")
        assert paragraph is None or f"**{paragraph}.**" in text or f"\n## {paragraph}\n" in text
