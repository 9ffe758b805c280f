"""report.html, made from what report.json holds: one file, which loads nothing and runs nothing."""

from __future__ import annotations

import base64
import functools
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup

from verification import mathml
from verification.catalogue import PAPER
from verification.drawing import inches, with_dark_colours
from verification.numerals import column, number
from verification.statement import Verdict
from verification.summary import first_sentence, gist, tally

TEMPLATES = Path(__file__).parent / "templates"

_CITED = re.compile(r"`([a-z0-9-]+)`")


def page(report: Mapping[str, Any], figures: Mapping[str, bytes]) -> str:
    """HTML of `report` with its `figures`, SVG by id.

    Raises
    ------
    ValueError
        A formula that cannot be read, or a figure that matplotlib did not write.
    """
    verdicts = [statement["verdict"] for statement in report["statements"]]
    return _templates().get_template("report.html").render(
        report=report,
        pictures={id: _picture(svg) for id, svg in figures.items()},
        counts={str(verdict): verdicts.count(verdict) for verdict in Verdict if verdict in verdicts},
        runs=_runs(report),
        anchors=[(statement["id"], claim["id"]) for statement in report["statements"] for claim in statement["claims"]],
        css=Markup((TEMPLATES / "report.css").read_text("utf-8")),
    )  # fmt: skip


def scopes(statement: Mapping[str, Any]) -> tuple[str, dict[str, list[str]]]:
    """The scope of a statement as a whole, and those of its claims, each with the ids of the claims that it restricts.

    Examples
    --------
    >>> claims = [{"id": "a", "scope": "So."}, {"id": "b", "scope": ""}, {"id": "c", "scope": "So."}]
    >>> scopes({"scope": "All. So.", "claims": claims})
    ('All.', {'So.': ['a', 'c']})
    """
    found: dict[str, list[str]] = {}
    for claim in statement["claims"]:
        if claim["scope"].strip():
            found.setdefault(claim["scope"].strip(), []).append(claim["id"])
    whole, of_claims = statement["scope"], " ".join(found)
    if not whole.endswith(of_claims):  # the first of the claims' scopes is that of the whole: it is said once
        return whole, {}
    return whole.removesuffix(of_claims).strip(), found


@jinja2.pass_context
def _cited(context: jinja2.runtime.Context, html: Markup, here: str) -> Markup:
    """`html` with claims' ids between backticks as links: to the claim of statement `here`, or else the only one."""

    def link(match: re.Match[str]) -> str:
        places = [statement for statement, claim in context["anchors"] if claim == match[1]]
        place = here if here in places else places[0] if len(places) == 1 else None
        return f'<a href="#{place}-{match[1]}">{match[1]}</a>' if place else f"<code>{match[1]}</code>"

    return Markup(_CITED.sub(link, html))


def _picture(svg: bytes) -> dict[str, Any]:
    width = inches(svg)
    # 10-point letters stay above 9 pixels; a wider figure scrolls in its box.
    source = f"data:image/svg+xml;base64,{base64.b64encode(with_dark_colours(svg)).decode()}"
    return {"source": source, "least_width": round(65 * width), "width": round(112 * width)}


def _runs(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By id: when it was run, for how long, and what was different from the last run (empty for the last run)."""
    last = report["environment"]
    found = {}
    for known in (*report["earlier"], last):
        other = {
            name: value for name, value in known.items()
            if name not in ("seconds", "started") and value != last.get(name)
        }  # fmt: skip
        for id, seconds in known["seconds"].items():
            found[id] = {
                "started": datetime.fromisoformat(known["started"]), "seconds": seconds, "earlier": known is not last,
                "other": other, "last": {name: last.get(name) for name in other},
            }  # fmt: skip
    return found


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(
        math=mathml.render, number=number, columns=_columns, cited=_cited, scopes=scopes, gist=gist,
        first_sentence=first_sentence, tally=tally,
    )  # fmt: skip
    environment.globals.update(places=PAPER)
    return environment


def _columns(table: Mapping[str, Any]) -> list[tuple[Markup, ...]]:
    """Rows of `table`, each column in one notation."""
    if not table["rows"]:
        return []
    return list(zip(*(column(values) for values in zip(*table["rows"], strict=True)), strict=True))
