"""Text with LaTeX between dollar signs as HTML with MathML, which browsers show without a script or a font."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from xml.etree import ElementTree

from latex2mathml.converter import convert
from markupsafe import Markup, escape

from verification.prose import typeset

_FORMULA = re.compile(r"(\(?)(?<!\\)\$(.+?)(?<!\\)\$([).,;:]*)", re.DOTALL)
_DOLLAR = re.compile(r"(?<!\\)\$")
RELATIONS = frozenset("=≠<>≤≥≪≫≈∼≃≅∝→↦∈∉⊂⊆")
BREAKS = RELATIONS | {"+", "/"}
"""Signs of a long formula after which a line may end."""

_LONG = 20
"""Letters and signs of a formula that is too wide for a phone."""

_VARIANTS = {
    "bold": "BOLD", "bold-italic": "BOLD ITALIC", "double-struck": "DOUBLE-STRUCK", "script": "SCRIPT",
}  # fmt: skip


@lru_cache(maxsize=4096)
def render(text: str) -> Markup:
    r"""`text` as HTML: formulas between dollar signs become MathML, ``\$`` a dollar, all else is escaped and typeset.

    Raises
    ------
    ValueError
        A formula that cannot be read: an odd dollar sign, unbalanced braces, an unknown command.

    Examples
    --------
    >>> print(render("if $n<2$ & so"))
    if <math display="inline"><mrow><mi>n</mi><mo>&lt;</mo><mn>2</mn></mrow></math> &amp; so
    """
    split(text)
    html, end = Markup(""), 0
    for match in _FORMULA.finditer(text):
        html += _plain(text[end : match.start()]) + _unbroken(*match.groups())
        end = match.end()
    return html + _plain(text[end:])


def split(text: str) -> list[str]:
    r"""Plain parts and formulas of `text` in turn, a plain part first and last; ``\$`` becomes a dollar.

    Raises
    ------
    ValueError
        An odd dollar sign, or nothing between two of them.

    Examples
    --------
    >>> split("if $n<2$, so")
    ['if ', 'n<2', ', so']
    """
    parts = _DOLLAR.split(text)
    if len(parts) % 2 == 0 or "" in parts[1::2]:
        raise ValueError(f"a dollar sign without its partner (write \\$ for the sign itself): {text!r}")
    parts[::2] = [part.replace(r"\$", "$") for part in parts[::2]]
    return parts


def _plain(part: str) -> Markup:
    return typeset(part.replace(r"\$", "$"))


def _unbroken(before: str, latex: str, after: str) -> Markup:
    # A browser may break the line between a formula and the full stop behind it; within a long formula it should.
    parts = _parts(latex)
    parts[0], parts[-1] = escape(before) + parts[0], parts[-1] + escape(after)
    tied = Markup('<span class="unbroken">{}</span>')
    for end, mark in ((0, before), (-1, after)):
        if mark and not (len(parts) == 1 and end == -1 and before):
            parts[end] = tied.format(parts[end])
    return Markup("<wbr>").join(parts)


def formula(latex: str) -> Markup:
    r"""MathML of one formula.

    Raises
    ------
    ValueError
        As `render`.

    Examples
    --------
    >>> formula(r"\undefinedcommand x")
    Traceback (most recent call last):
    ...
    ValueError: the formula '\\undefinedcommand x' has an unknown command: \undefinedcommand
    """
    return Markup("<wbr>").join(_parts(latex))


def _parts(latex: str) -> list[Markup]:
    # Browsers do not break lines within a formula: after the relations of a long one they may.
    return [Markup(ElementTree.tostring(line, encoding="unicode")) for line in _lines(tree(latex))]


def displayed(latex: str) -> Markup:
    """MathML of one formula on a line of its own, in one piece; errors as in `formula`."""
    root = tree(latex)
    root.set("display", "block")
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def tree(latex: str) -> ElementTree.Element:
    """MathML of one formula as a tree, with the corrections that browsers need.

    Raises
    ------
    ValueError
        As `render`.
    """
    bare = re.sub(r"\\.", "", latex)
    if bare.count("{") != bare.count("}"):
        raise ValueError(f"the formula {latex!r} has unbalanced braces")
    try:
        # Without its namespace (HTML needs none) the tree keeps plain tag names.
        root = ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", convert(latex)))
    except Exception as error:  # the converter has no error class of its own
        raise ValueError(f"the formula {latex!r} cannot be read: {error!r}") from error
    for element in root.iter():
        if element.text and "\\" in element.text:
            raise ValueError(f"the formula {latex!r} has an unknown command: {element.text}")
        _spell_out_variant(element)
        _set_as_tex(element)
    return root


def _lines(root: ElementTree.Element) -> list[ElementTree.Element]:
    row = root[0] if len(root) == 1 else root
    if sum(1 for element in root.iter() if element.text) <= _LONG or row.tag != "mrow":
        return [root]
    lines: list[list[ElementTree.Element]] = [[]]
    for child in row:
        lines[-1].append(child)
        if child.tag == "mo" and child.text in BREAKS and child is not row[-1]:
            lines.append([])
    found = []
    for line in lines:
        math = ElementTree.Element("math", root.attrib)
        ElementTree.SubElement(math, "mrow").extend(line)
        found.append(math)
    return found


def _spell_out_variant(element: ElementTree.Element) -> None:
    # Browsers implement MathML Core, which knows no mathvariant but "normal": bold W must be the letter 𝑾 itself.
    style = _VARIANTS.get(element.get("mathvariant", ""))
    if style is None or not element.text:
        return
    letters = [_letter(character, style) for character in element.text]
    if all(letters):
        element.text = "".join(letters)
        del element.attrib["mathvariant"]


def _set_as_tex(element: ElementTree.Element) -> None:
    if element.text and not len(element):
        element.text = element.text.replace("\u03d5", "φ")  # \phi and \varphi are one letter, as in the text around
    if element.text == "~":
        element.tag, element.text = "mo", "\u223c"  # \sim comes as the ASCII tilde
    elif element.tag == "mo" and element.text == "/":
        element.attrib.update(lspace="0", rspace="0")
    elif element.tag == "msqrt" and [child.tag for child in element] != ["mrow"]:
        radicand = ElementTree.Element("mrow")  # the style sheet keeps it clear of the bar
        radicand.extend(list(element))
        element[:] = [radicand]


def _letter(character: str, style: str) -> str:
    # "LATIN CAPITAL LETTER W" → "MATHEMATICAL BOLD ITALIC CAPITAL W"; a few older letters lack the first word.
    plain = re.sub(r"LATIN |GREEK |LETTER ", "", unicodedata.name(character, ""))
    for name in (f"MATHEMATICAL {style} {plain}", f"{style} {plain}"):
        try:
            return unicodedata.lookup(name)
        except KeyError:
            continue
    return ""
