"""Sentences typed on a keyboard, set for reading: −1 for -1, 10⁻¹² for 1e-12, Gronwall’s for Gronwall's."""

from __future__ import annotations

import re
from decimal import Decimal

from markupsafe import Markup, escape

MINUS, NARROW_NO_BREAK_SPACE = "\u2212", "\u202f"

DOCUMENTATION = re.compile(r"\bdocs/(?P<page>[a-z]+)\.md(?:, (?P<paragraph>[A-Z][a-z ]*[a-z]))?")
"""A paragraph of the documentation, by the path of its page, which a reader of the report alone does not have."""

# What a programmer wrote stays as it was: code, addresses, options, and paths (a solidus between letters).
_VERBATIM = re.compile(
    rf"{DOCUMENTATION.pattern}|`[^`]*`|\w+://\S+|(?<!\S)--[a-z][\w-]*(?:[= ]\S+)?|\b[\w.-]*[a-z_]/[a-z_][\w./-]*"
)
# A sign, not a hyphen or a range: nothing before it, or a space, or a sign after which a number begins.
_BEGINS = r"(?:(?<=[\s(\[{|<>=≤≥≈~∼±×·*,;+…“‘])|(?<![\s\S]))"
_ENDS = r"(?![\w:]|[.,-]\w)"  # no date, version or word goes on behind it
_NUMBER = re.compile(
    rf"{_BEGINS}(?P<sign>-?)(?P<mantissa>[0-9]+(?:\.[0-9]+)?)[eE](?P<exponent>[+-]?[0-9]{{1,3}}){_ENDS}"
    rf"|{_BEGINS}-(?=\.?[0-9]+(?:\.[0-9]+)*(?![0-9.]*-[0-9]))"
    r"|(?:(?<=[A-Za-z])(?=\'[a-z])|(?<![\s\S])(?=\'s\b))(?P<apostrophe>')"  # a formula may stand before it
)


def typeset(text: str) -> Markup:
    """`text` without formulas as HTML: escaped, with the signs of numbers and apostrophes of print.

    Code between backticks, addresses, paths, options, versions, dates, ranges and hyphenated words stay as they are.

    Examples
    --------
    >>> print(typeset("-0.5 to -1, 1e-12 and 4.9e-05 & Euler's"))
    −0.5 to −1, 10<sup>−12</sup> and 4.9\u00a0×\u00a010<sup>−5</sup> &amp; Euler’s
    >>> print(typeset("see docs/mathematics.md, Kinks"))
    see documentation of refimpl, page “Mathematics”, paragraph “Kinks”
    >>> print(typeset("2026-11-29, pages 3-5, x-1, `1e-12`, --seed -1"))
    2026-11-29, pages 3-5, x-1, `1e-12`, --seed -1
    """
    html, end = Markup(""), 0
    for kept in _VERBATIM.finditer(text):
        html += _signs(text, end, kept.start()) + (_place(kept) if kept["page"] else escape(kept[0]))
        end = kept.end()
    return html + _signs(text, end, len(text))


def _place(kept: re.Match[str]) -> Markup:
    paragraph = f", paragraph “{kept['paragraph']}”" if kept["paragraph"] else ""
    return escape(f"documentation of refimpl, page “{kept['page'].capitalize()}”{paragraph}")


def _signs(text: str, start: int, stop: int) -> Markup:
    html = Markup("")
    for match in _NUMBER.finditer(text, start, stop):
        html += escape(text[start : match.start()])
        start = match.end()
        if match["apostrophe"]:
            html += "’"
        elif match["exponent"] is None:
            html += MINUS
        else:
            html += _power(match["sign"].replace("-", MINUS), match["mantissa"], int(match["exponent"]))
    return html + escape(text[start:stop])


def _power(sign: str, mantissa: str, exponent: int) -> Markup:
    # As `numerals` shows numbers, but that a power of ten is one: tolerances are named by theirs.
    alone = mantissa == "1"
    if (0 if alone else -3) <= exponent <= (3 if alone else 5):
        value = Decimal(f"{mantissa}e{exponent}")
        shown = f"{value:,f}" if abs(value) >= 10_000 else f"{value:f}"
        return escape(sign + shown.replace(",", NARROW_NO_BREAK_SPACE))
    factor = "" if alone else f"{mantissa}\u00a0×\u00a0"
    return Markup("{}{}10<sup>{}</sup>").format(sign, factor, str(exponent).replace("-", MINUS))
