"""Text with LaTeX between dollar signs as plain text for a terminal."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from verification import mathml

_ACCENTS = {"˙": "\u0307", "¯": "\u0304", "^": "\u0302", "~": "\u0303", "→": "\u20d7"}
_ROWS = {"math", "mrow", "mstyle", "mpadded", "semantics"}


def plain(text: str) -> str:
    r"""`text` without LaTeX, in Unicode; ``\$`` is a dollar.

    Raises
    ------
    ValueError
        As `mathml.render`.

    Examples
    --------
    >>> plain(r"$\lambda_t = \partial f / \partial h_t$ on $[0, T]$, slope $-1/2$, $\|x\| \le \sqrt{n}$")
    'λ_t = ∂f/∂h_t on [0, T], slope −1/2, ‖x‖ ≤ √n'
    """
    return "".join(_formula(part) if index % 2 else part for index, part in enumerate(mathml.split(text)))


def _formula(latex: str) -> str:
    return " ".join(_line(mathml.tree(latex)).split())


def _line(element: ElementTree.Element) -> str:
    tag, text, parts = element.tag, element.text or "", [_line(child) for child in element]
    if tag == "mo":
        return _operator(text)
    if tag == "mspace":
        return " " if element.get("width", "")[:3] not in ("0.1", "0.2", "-0.") else ""
    if tag in ("msub", "munder"):
        return f"{parts[0].strip()}_{_group(parts[1])}{_after(parts[0])}"
    if tag == "msup":
        return parts[0] + (parts[1] if parts[1].strip("′") == "" else f"^{_group(parts[1])}")
    if tag in ("msubsup", "munderover"):
        return f"{parts[0].strip()}_{_group(parts[1])}^{_group(parts[2])}{_after(parts[0])}"
    if tag == "mover":
        accent = _ACCENTS.get(parts[1].strip())
        return f"{parts[0]}{accent}" if accent and len(parts[0]) == 1 else f"{parts[0]}^{_group(parts[1])}"
    if tag == "mfrac":
        return f"{_group(parts[0])}/{_group(parts[1])}"
    if tag == "msqrt":
        return f"√{_group(''.join(parts))}"
    return text + ("" if tag in _ROWS else " ").join(parts)


def _operator(text: str) -> str:
    if text in mathml.RELATIONS or text == "×":
        return f" {text} "
    if text in (",", ";"):
        return f"{text} "
    return f"{text} " if text.isalpha() and len(text) > 1 else text


def _after(base: str) -> str:
    return " " if base.endswith(" ") or base in set("∫∬∑∏") else ""  # words such as lim end with a space


def _group(text: str) -> str:
    text = text.strip()
    return text if re.fullmatch(r"[−-]?\w+|\W", text) else f"({text})"
