"""Numbers for reading: as many digits as are known, powers of ten, columns aligned at the decimal point."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from markupsafe import Markup

from verification import mathml
from verification.prose import MINUS, NARROW_NO_BREAK_SPACE
from verification.statement import Value

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


def lower(bound: float, decimals: int = 2) -> str:
    """A lower bound in a sentence: rounded down.

    Examples
    --------
    >>> lower(0.8299), upper(0.0155019, 3)
    ('0.82', '0.016')
    """
    return f"{math.floor(bound * 10**decimals) / 10**decimals:.{decimals}f}"


def upper(bound: float, decimals: int = 2) -> str:
    """An upper bound in a sentence: rounded up."""
    return f"{math.ceil(bound * 10**decimals) / 10**decimals:.{decimals}f}"


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
    """`values` as `number` shows them, but one below the other: in one notation and format, with their points in line.

    Examples
    --------
    >>> print(*column([0.25, 1, "none"]), sep="\\n")
    <data value="0.25">0.25</data>
    <data value="1">1\u2008\u2007\u2007</data>
    none
    >>> print(*column([0.9904, 1.028, 0.5]), sep="\\n")
    <data value="0.9904">0.990</data>
    <data value="1.028">1.028</data>
    <data value="0.5">0.500</data>
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
    places = _places(floats, max(needed, default=1))
    cells = [_in_places(value, places) if isinstance(value, (int, float)) else None for value in values]
    decimals = max((_decimals(cell) for cell in cells if cell is not None), default=0)
    return [
        number(value) if cell is None else _element(value, cell + _padding(decimals, _decimals(cell)))
        for value, cell in zip(values, cells, strict=True)
    ]


def _places(floats: Sequence[float], digits: int) -> dict[float, int]:
    """Decimals of every number: one count for all if that costs none of them more than a digit, else `digits` digits.

    A number with all of its digits may be a rounded one, and is given no more; a shorter one is exact.
    """
    own = {value: max(digits - 1 - _power(value, digits), 0) for value in floats}
    full = [own[value] for value in floats if _needed(value, DIGITS) == DIGITS]
    if not full:
        return dict.fromkeys(floats, max((_exact_decimals(value) for value in floats), default=0))
    return own if max(own.values()) > min(full) + 1 else dict.fromkeys(floats, min(full))


def _exact_decimals(value: float) -> int:
    return len(f"{value:.{DIGITS + 4}f}".rstrip("0").partition(".")[2])


def _in_places(value: float, places: Mapping[float, int]) -> Markup:
    if isinstance(value, int) or not value:
        return _shown(value)
    decimals = places[value]
    return Markup(f"{value:.{decimals}f}".replace("-", MINUS)) if decimals else Markup(_group(round(value)))


def _element(value: float, shown: Markup) -> Markup:
    return Markup('<data value="{}">{}</data>').format(repr(value), shown)


def _words(text: str) -> Markup:
    return Markup({"inf": "∞", "-inf": "−∞", "nan": "not a number"}[text]) if text in _SPECIAL else mathml.render(text)


_SPECIAL = ("inf", "-inf", "nan")


def _shown(value: float, digits: int = DIGITS) -> Markup:
    if isinstance(value, int) or value == 0:  # −0.0 is no more than 0
        return Markup(_group(int(value)))
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
