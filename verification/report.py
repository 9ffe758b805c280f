"""The report of a run: report.json, report.html made from it, and the figures."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from verification.catalogue import PAPER
from verification.drawing import Drawing
from verification.page import page
from verification.statement import Claim, Result, Verdict
from verification.store import Conditions, Earlier


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


def entry(outcome: Outcome, conditions: Conditions) -> dict[str, Any]:
    """The part of report.json on one statement; its keys are a contract."""
    result = outcome.result
    head = {"id": outcome.id, "place": PAPER[outcome.id], "title": outcome.title, "claim": outcome.claim}
    command = f"python -m verification {outcome.id} --seed {conditions.seed}{' --full' if conditions.full else ''}"
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
            "claims": [_claim(claim, result, conditions.seed) for claim in result.claims], "decisive": decisive.id,
            "experiment": result.experiment,
            "agreements": [asdict(agreement) | {"agree": agreement.agree} for agreement in result.agreements],
            "tables": [asdict(table) for table in result.tables], "alt": result.alt, "caption": result.caption,
            "reason": "",
        }  # fmt: skip
    strict: dict[str, Any] = _strict({**head, **body, "command": command})
    return strict


def document(
    outcomes: Iterable[Outcome], earlier: Earlier, conditions: Conditions, environment: Mapping[str, Any]
) -> dict[str, Any]:
    """The whole of report.json, with the statements in the order of the paper.

    Everything but ``environment`` and ``earlier``, which is the same for the runs before, is a function of seed, size,
    versions and machine.
    """
    entries = {**earlier.entries, **{outcome.id: entry(outcome, conditions) for outcome in outcomes}}
    return {
        "format": conditions.format, "version": conditions.version, "seed": conditions.seed, "full": conditions.full,
        "environment": dict(environment), "earlier": list(earlier.environments),
        "statements": [entries[id] for id in PAPER if id in entries],
    }  # fmt: skip


def save(out: Path, outcomes: Sequence[Outcome], earlier: Earlier, report: Mapping[str, Any]) -> None:
    """Write the report under `out`; each file is replaced in one step, figures of no statement in it are removed.

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
    pictures = {**earlier.figures, **{id: drawing.svg for id, drawing in drawings.items()}}
    replace_file(out / "report.html", page(report, pictures).encode())
    replace_file(out / "report.json", serialise(report))
    for id in PAPER.keys() - pictures.keys():
        for suffix in ("svg", "png"):
            (figures / f"{id}.{suffix}").unlink(missing_ok=True)


def serialise(report: Mapping[str, Any]) -> bytes:
    """report.json: strict JSON, which knows no NaN and no infinity."""
    return f"{json.dumps(report, ensure_ascii=False, indent=1, allow_nan=False)}\n".encode()


def replace_file(path: Path, content: bytes) -> None:
    """Write `path` so that a reader, or a run cut short, finds the old content or the new, never a part."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        draft.write_bytes(content)
        os.replace(draft, path)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _claim(claim: Claim, result: Result, seed: int) -> dict[str, Any]:
    fields = ("id", "origin", "text", "verdict", "measured", "predicted", "uncertainty", "scope")
    basis = [place for place, agreement in enumerate(result.agreements) if agreement.supports(claim.id)]
    roads = dict.fromkeys(road for agreement in result.basis(claim) for road in agreement.roads)
    run = claim.verdict is not Verdict.NOT_RUN
    return {
        **{name: getattr(claim, name) for name in fields},
        "roads": list(roads) if run else [], "agreements": basis if run else [], "seed": seed,
    }  # fmt: skip


def _strict(value: Any) -> Any:
    # JSON has neither infinity nor NaN: they become the strings that Python, NumPy and Julia read back.
    if isinstance(value, Mapping):
        return {name: _strict(entry) for name, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [_strict(entry) for entry in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(float(value))
    return str(value) if isinstance(value, StrEnum) else value
