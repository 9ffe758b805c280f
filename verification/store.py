"""What an earlier run left under --out: results that a new run may keep, if they were made in the same way."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verification.catalogue import PAPER
from verification.drawing import inches
from verification.statement import Verdict

FORMAT = 2
"""Version of report.json; raised whenever an older reader would misread it."""

_ENTRY = {
    "id", "place", "title", "claim", "verdict", "scope", "measured", "predicted", "uncertainty", "size", "roads",
    "figure", "claims", "decisive", "experiment", "agreements", "tables", "alt", "caption", "reason", "command",
}  # fmt: skip
"""Keys of a statement that a page is made from."""


class OtherReportError(ValueError):
    """There is a report under --out that this run must not mix with its own."""


@dataclass(frozen=True)
class Conditions:
    """What two results must share to stand in one report."""

    version: str
    seed: int
    full: bool
    format: int = FORMAT

    def __str__(self) -> str:
        return f"refimpl {self.version}, seed {self.seed}, {'full' if self.full else 'quick'} size"


@dataclass(frozen=True)
class Earlier:
    """Statements of earlier runs, as report.json holds them.

    Parameters
    ----------
    entries : mapping from id to dict
        Statements that were run, whether or not they raised.
    figures : mapping from id to bytes
        Their figures, SVG.
    environments : sequence of dict
        Of the runs they come from; ``seconds`` tells which.
    lost : tuple of str
        Ids whose figure is missing, so that they cannot be kept.
    """

    entries: Mapping[str, dict[str, Any]] = field(default_factory=dict)
    figures: Mapping[str, bytes] = field(default_factory=dict)
    environments: Sequence[dict[str, Any]] = ()
    lost: tuple[str, ...] = ()

    @property
    def finished(self) -> set[str]:
        """Ids with a verdict: neither interrupted, nor stopped by an error or for want of a package."""
        return {id for id, entry in self.entries.items() if entry["verdict"] != Verdict.NOT_RUN}

    def without(self, ids: set[str]) -> Earlier:
        """All but the statements `ids`, and but the runs of which nothing is left then."""
        entries = {id: entry for id, entry in self.entries.items() if id not in ids}
        left = [
            {**known, "seconds": {id: seconds for id, seconds in known["seconds"].items() if id in entries}}
            for known in self.environments
        ]
        figures = {id: svg for id, svg in self.figures.items() if id in entries}
        return Earlier(entries, figures, [known for known in left if known["seconds"]], self.lost)


def load(out: Path, conditions: Conditions) -> Earlier:
    """The statements under `out`, all made under `conditions`; none if there is no report.

    Raises
    ------
    OtherReportError
        A report.json made under other conditions, or one that cannot be read as a report.
    OSError
        `out` cannot be read.
    """
    path = out / "report.json"
    try:
        text = path.read_text("utf-8")
    except FileNotFoundError:
        return Earlier()
    except UnicodeDecodeError as error:
        raise OtherReportError(f"{path} cannot be read as a report: {error}") from error
    try:
        return _parse(json.loads(text), out, conditions)
    except OtherReportError:
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise OtherReportError(f"{path} cannot be read as a report: {error!r}") from error


def _parse(report: Any, out: Path, wanted: Conditions) -> Earlier:
    found = Conditions(report["version"], report["seed"], report["full"], report.get("format", 0))
    if found.format != FORMAT:
        raise OtherReportError(f"{out} holds a report of another format ({found.format}; this run writes {FORMAT})")
    if found != wanted:
        raise OtherReportError(f"{out} holds results of {found}; this run is {wanted}")
    environments = [*report["earlier"], report["environment"]]
    ran = {id for known in environments for id in known["seconds"]}
    entries, figures, lost = {}, {}, []
    for entry in report["statements"]:
        id = entry["id"]
        if id not in PAPER or not entry.keys() >= _ENTRY:
            raise ValueError(f"statement {id!r} is incomplete")
        if id not in ran:  # its turn did not come
            continue
        if entry["figure"] is not None:
            try:
                figures[id] = (out / "figures" / f"{id}.svg").read_bytes()
                inches(figures[id])
            except (OSError, ValueError):
                lost.append(id)
                continue
        entries[id] = entry
    return Earlier(entries, figures, environments, tuple(lost)).without(set())
