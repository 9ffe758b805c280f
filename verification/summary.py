"""What the summary says of a statement: the claim that decided, what was measured, its scope, and the other claims."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from verification.statement import Origin, Verdict

_SENTENCE = re.compile(r"(?:\\\$|\$[^$]*\$|[^$])+?(?<!i\.e)(?<!e\.g)\.(?=\s|$)")  # its full stop is not in a formula
_OPENS = re.compile(r"\s*\(measured: |; measured: ")
_PIECE = re.compile(r"\\\$|\$[^$]*\$|[^$]", re.DOTALL)


class Count(NamedTuple):
    """How many claims have a verdict, in words that follow the number."""

    verdict: Verdict
    number: int
    words: str


def first_sentence(text: str) -> str:
    """`text` up to its first full stop, with an ellipsis where there is more.

    Examples
    --------
    >>> first_sentence("For $a. b$, e.g. so. And more.")
    'For $a. b$, e.g. so. …'
    """
    found = _SENTENCE.match(text)
    return text if found is None or found.end() == len(text) else f"{found[0]} …"


def gist(text: str) -> tuple[str, str]:
    """First sentence of a claim, and what was measured, wherever the claim says it.

    Where no clause does but another sentence, that sentence follows the first.

    Examples
    --------
    >>> gist("It holds for $a. b$. There is more to say (measured: $f(x)$ (largest); see there), and more.")
    ('It holds for $a. b$. …', '$f(x)$ (largest); see there')
    >>> gist("It holds (proof: there; measured: $a$).")
    ('It holds (proof: there).', '$a$')
    >>> gist("It holds. So it is. At $L = 1$ by 2% (measured). More.")
    ('It holds. … At $L = 1$ by 2% (measured). …', '')
    """
    opens = _OPENS.search(text)
    if opens is None:
        sentences = [found[0].strip() for found in _SENTENCE.finditer(text)]
        told = next((sentence for sentence in sentences[1:] if re.search(r"\bmeasured\b", sentence)), None)
        return first_sentence(text) if told is None else f"{first_sentence(text)} {told} …", ""
    depth, end = 0, len(text)
    for piece in _PIECE.finditer(text, opens.end()):
        depth += {"(": 1, ")": -1}.get(piece[0], 0)
        if depth < 0:
            end = piece.start()
            break
    rest = text[end:].removeprefix(")") if "(" in opens[0] else text[end:]
    return first_sentence(text[: opens.start()] + rest), text[opens.end() : end]


def tally(claims: Sequence[Mapping[str, Any]]) -> list[Count]:
    """Claims by verdict; a false sentence of ours is told from one of the paper.

    Examples
    --------
    >>> verdicts = ["holds", "holds", "undecided", "fails-as-stated"]
    >>> for count in tally([{"verdict": verdict, "origin": "ours"} for verdict in verdicts]):
    ...     print(count.number, count.words)
    2 hold
    1 undecided
    1 of ours refuted
    """
    words = {
        (Verdict.HOLDS, None): "hold", (Verdict.HOLDS_WITH_SCOPE, None): "with a scope",
        (Verdict.UNDECIDED, None): "undecided", (Verdict.FAILS, Origin.PAPER): "refuted",
        (Verdict.FAILS, Origin.OURS): "of ours refuted", (Verdict.NOT_RUN, None): "not run",
    }  # fmt: skip
    found = []
    for (verdict, origin), said in words.items():
        number = sum(claim["verdict"] == verdict and origin in (None, claim["origin"]) for claim in claims)
        if number:
            found.append(Count(verdict, number, "holds" if said == "hold" and number == 1 else said))
    return found
