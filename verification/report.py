"""The report of a run: report.json, report.html made from it, and the figures."""

from __future__ import annotations

import base64
import functools
import io
import json
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup
from matplotlib.figure import Figure

from verification import mathml, style
from verification.catalogue import PAPER
from verification.statement import Claim, Result, Value, Verdict

TEMPLATES = Path(__file__).parent / "templates"
NARROW_NO_BREAK_SPACE, MINUS = "\u202f", "\u2212"


@dataclass(frozen=True)
class Drawing:
    """A figure as bytes; equal figures give equal bytes."""

    svg: bytes
    png: bytes
    inches: float


@dataclass(frozen=True)
class Outcome:
    """A statement with its result, or with the reason why there is none.

    `broken` tells a statement that raised from one whose turn did not come.
    """

    id: str
    title: str
    claim: str
    result: Result | None = None
    drawing: Drawing | None = None
    reason: str = ""
    broken: bool = False

    @property
    def consistent(self) -> bool:
        """Whether the run itself can be trusted, whatever it says of the paper."""
        return not self.broken and (self.result is None or self.result.roads_agree)


def draw(figure: Figure) -> Drawing:
    """SVG and PNG of `figure`, without date or version, so that the same numbers give the same bytes."""
    svg, png = io.BytesIO(), io.BytesIO()
    with style.context():
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": None})
        figure.savefig(png, format="png", dpi=200, metadata={"Software": None})
    return Drawing(svg.getvalue(), png.getvalue(), float(figure.get_figwidth()))


def entry(outcome: Outcome, *, seed: int, full: bool) -> dict[str, Any]:
    """The part of report.json on one statement; its keys are a contract."""
    result = outcome.result
    head = {"id": outcome.id, "place": PAPER[outcome.id], "title": outcome.title, "claim": outcome.claim}
    command = " ".join(["python -m verification", outcome.id, f"--seed {seed}", *(["--full"] if full else [])])
    if result is None:
        body: dict[str, Any] = {
            "verdict": Verdict.NOT_RUN, "scope": outcome.reason, "measured": None, "predicted": None,
            "uncertainty": None, "size": {}, "roads": [], "figure": None, "claims": [], "decisive": None,
            "experiment": "", "agreements": [], "tables": [], "alt": "", "caption": "", "reason": outcome.reason,
        }  # fmt: skip
    else:
        decisive = result.decisive
        body = {
            "verdict": result.verdict, "scope": result.full_scope, "measured": decisive.measured,
            "predicted": decisive.predicted, "uncertainty": decisive.uncertainty, "size": result.size,
            "roads": result.roads, "figure": f"figures/{outcome.id}.svg",
            "claims": [_claim(claim) for claim in result.claims], "decisive": decisive.id,
            "experiment": result.experiment,
            "agreements": [asdict(agreement) | {"agree": agreement.agree} for agreement in result.agreements],
            "tables": [asdict(table) for table in result.tables], "alt": result.alt, "caption": result.caption,
            "reason": "",
        }  # fmt: skip
    strict: dict[str, Any] = _strict({**head, **body, "command": command})
    return strict


def document(
    outcomes: Sequence[Outcome], *, seed: int, full: bool, environment: Mapping[str, Any], version: str
) -> dict[str, Any]:
    """The whole of report.json; everything but ``environment`` is a function of seed, size, versions and machine."""
    return {
        "version": version, "seed": seed, "full": full, "environment": dict(environment),
        "statements": [entry(outcome, seed=seed, full=full) for outcome in outcomes],
    }  # fmt: skip


def page(report: Mapping[str, Any], drawings: Mapping[str, Drawing]) -> str:
    """report.html: `report` for people, with the figures inside; nothing is loaded from elsewhere."""
    pictures = {
        id: {"source": f"data:image/svg+xml;base64,{base64.b64encode(drawing.svg).decode()}",
             # 10-point letters stay above 9 pixels; a wider figure scrolls in its box.
             "least_width": round(65 * drawing.inches), "width": round(112 * drawing.inches)}
        for id, drawing in drawings.items()
    }  # fmt: skip
    template = _templates().get_template("report.html")
    return template.render(report=report, pictures=pictures, css=Markup((TEMPLATES / "report.css").read_text("utf-8")))


def save(out: Path, outcomes: Sequence[Outcome], report: Mapping[str, Any]) -> None:
    """Write the report under `out`; each file is replaced in one step, figures of earlier runs are removed.

    Raises
    ------
    OSError
        `out` cannot be written.
    """
    figures = out / "figures"
    figures.mkdir(parents=True, exist_ok=True)
    drawings = {outcome.id: outcome.drawing for outcome in outcomes if outcome.drawing is not None}
    for id, drawing in drawings.items():
        replace_file(figures / f"{id}.svg", drawing.svg)
        replace_file(figures / f"{id}.png", drawing.png)
    replace_file(out / "report.html", page(report, drawings).encode())
    text = json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False)
    replace_file(out / "report.json", f"{text}\n".encode())
    for id in PAPER.keys() - drawings.keys():
        for suffix in ("svg", "png"):
            (figures / f"{id}.{suffix}").unlink(missing_ok=True)


def replace_file(path: Path, content: bytes) -> None:
    """Write `path` so that a reader, or a run cut short, finds the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def number(value: Value | bool, uncertainty: Value = None, digits: int = 4) -> Markup:
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
        return Markup("∞") if value == "inf" else Markup("−∞") if value == "-inf" else mathml.render(value)
    if isinstance(value, int):
        return Markup('<data value="{}">{}</data>').format(value, _group(value))
    if isinstance(uncertainty, (int, float)) and 0 < uncertainty < abs(value) < math.inf:
        digits = min(max(math.floor(math.log10(abs(value))) - math.floor(math.log10(uncertainty)) + 2, 2), 16)
    return Markup('<data value="{}">{}</data>').format(repr(value), _decimal(value, digits))


def _decimal(value: float, digits: int) -> Markup:
    exact = f"{value!r}".partition("e")[0].replace(".", "").lstrip("-0").rstrip("0")
    digits = max(min(digits, len(exact)), 1)  # 0.5 stays 0.5; a rounded number keeps its zeros
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    power = int(exponent)
    if power >= 6 or power <= -4:
        shown = Markup("{} × 10<sup>{}</sup>").format(mantissa, str(power))
    else:
        shown = Markup(f"{value:.{digits - 1 - power}f}") if digits > power else Markup(_group(round(value)))
    return shown.replace("-", MINUS)


def _group(value: int) -> str:
    grouped = f"{value:,}" if abs(value) >= 10_000 else str(value)
    return grouped.replace(",", NARROW_NO_BREAK_SPACE).replace("-", MINUS)


def _claim(claim: Claim) -> dict[str, Any]:
    fields = ("id", "text", "verdict", "measured", "predicted", "uncertainty", "scope")
    return {name: getattr(claim, name) for name in fields}


def _strict(value: Any) -> Any:
    # JSON has no infinity: it becomes the string that Python, NumPy and Julia read back.
    if isinstance(value, Mapping):
        return {name: _strict(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(entry) for entry in value]
    if isinstance(value, float) and math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return str(value) if isinstance(value, Verdict) else value


@functools.cache
def _templates() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES), autoescape=True, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    environment.filters.update(math=mathml.render, number=number)
    return environment
