"""Numbers for reading: as many digits as are known, powers of ten, columns aligned at the decimal point."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from verification import mathml
from verification.statement import Value

NARROW_NO_BREAK_SPACE, MINUS = "\u202f", "\u2212"
FIGURE_SPACE, PUNCTUATION_SPACE = "\u2007", "\u2008"
"""As wide as a digit, and as wide as a point."""

DIGITS = 4


def rounded(value: float, digits: int = DIGITS) -> float:
    """`value` to that many significant digits, for a table.

    Examples
    --------
    >>> rounded(0.0123456), rounded(98765.4, 3)
    (0.01235, 98800.0)
    """
    return float(f"{float(value):.{digits}g}")


def number(value: Value | bool, uncertainty: Value = None, digits: int = DIGITS) -> Markup:
    """`value` for reading: four digits, or as many as `uncertainty` leaves; the exact value is in the element.

    Examples
    --------
    >>> print(number(-0.998765, uncertainty=0.0004))
    <data value="-0.998765">−0.99877</data>
    >>> print(number(1.25e-7))
    <data value="1.25e-07">1.25 × 10<sup>−7</sup></data>
    """
    if value is None:
        return Markup("–")
    if isinstance(value, str):
        return _words(value)
    if isinstance(value, float) and isinstance(uncertainty, (int, float)) and 0 < uncertainty < abs(value) < math.inf:
        digits = min(max(math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty)) + 2, 2), 16)
    return _element(value, _shown(value, digits))


def column(values: Sequence[Value]) -> list[Markup]:
    """`values` as `number` shows them, but one below the other: in one notation, with their points in line.

    Examples
    --------
    >>> print(*column([0.25, 1, "none"]), sep="\\n")
    <data value="0.25">0.25</data>
    <data value="1">1\u2008\u2007\u2007</data>
    none
    >>> print(*column([0.5, 1.25e-7]), sep="\\n")
    <data value="0.5">5.00 × 10<sup>−1</sup></data>
    <data value="1.25e-07">1.25 × 10<sup>−7</sup></data>
    """
    floats = [value for value in values if isinstance(value, float) and value]
    needed = [_needed(value, DIGITS) for value in floats]
    powers = [_power(value, digits) for value, digits in zip(floats, needed, strict=True)]
    if any(power >= 6 or power <= -4 for power in powers):
        digits = max(needed)
        width = max(len(_exponent(value, digits)) for value in floats)
        return [
            _element(value, _scientific(value, digits, width)) if isinstance(value, float) and value else number(value)
            for value in values
        ]
    decimals = max((_decimals(_shown(value)) for value in values if isinstance(value, (int, float))), default=0)
    return [
        _element(value, shown + _padding(decimals, _decimals(shown)))
        if isinstance(value, (int, float)) and (shown := _shown(value))
        else number(value)
        for value in values
    ]


def _element(value: float, shown: Markup) -> Markup:
    return Markup('<data value="{}">{}</data>').format(repr(value), shown)


def _words(text: str) -> Markup:
    return Markup({"inf": "∞", "-inf": "−∞", "nan": "not a number"}[text]) if text in _SPECIAL else mathml.render(text)


_SPECIAL = ("inf", "-inf", "nan")


def _shown(value: float, digits: int = DIGITS) -> Markup:
    if isinstance(value, int):
        return Markup(_group(value))
    digits = _needed(value, digits)
    power = _power(value, digits)
    return _scientific(value, digits) if power >= 6 or power <= -4 else _plain(value, digits, power)


def _needed(value: float, digits: int) -> int:
    exact = f"{value!r}".partition("e")[0].replace(".", "").lstrip("-0").rstrip("0")
    return max(min(digits, len(exact)), 1)  # 0.5 stays 0.5; a rounded number keeps its zeros


def _power(value: float, digits: int) -> int:
    return int(f"{value:.{digits - 1}e}".partition("e")[2])


def _exponent(value: float, digits: int) -> str:
    return str(_power(value, digits)).replace("-", MINUS)


def _scientific(value: float, digits: int, width: int = 0) -> Markup:
    mantissa = f"{value:.{digits - 1}e}".partition("e")[0].replace("-", MINUS)
    exponent = _exponent(value, digits)
    return Markup("{} × 10<sup>{}</sup>").format(mantissa, exponent + FIGURE_SPACE * (width - len(exponent)))


def _plain(value: float, digits: int, power: int) -> Markup:
    text = f"{value:.{digits - 1 - power}f}" if digits > power else _group(round(value))
    return Markup(text.replace("-", MINUS))


def _decimals(shown: str) -> int:
    return len(shown.partition(".")[2])


def _padding(decimals: int, own: int) -> str:
    return (PUNCTUATION_SPACE if decimals and not own else "") + FIGURE_SPACE * (decimals - own)


def _group(value: int) -> str:
    grouped = f"{value:,}" if abs(value) >= 10_000 else str(value)
    return grouped.replace(",", NARROW_NO_BREAK_SPACE).replace("-", MINUS)
