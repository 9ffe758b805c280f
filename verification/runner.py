"""Run statements one after the other; whatever happens, a report of what finished is on disk."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]

from verification import environment, style
from verification.catalogue import PAPER, Statement, load
from verification.config import Config
from verification.report import Outcome, document, draw, page, save
from verification.statement import Result, Verdict


@dataclass(frozen=True)
class Run:
    """What `verify` did."""

    outcomes: tuple[Outcome, ...]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """130 after an interruption, 1 if a statement raised or its roads disagree, else 0."""
        if self.interrupted:
            return 130
        return 0 if all(outcome.consistent for outcome in self.outcomes) else 1


def examine(statement: Statement, config: Config) -> Outcome:
    """Run one statement, draw its figure, and make sure that the report can show it.

    Raises
    ------
    Exception
        Whatever the statement raises; `TypeError` if it returns no `Result`, `ValueError` for an unreadable formula.
    """
    with style.context():
        result = statement.run(config)
    if not isinstance(result, Result):
        raise TypeError(f"run must return a Result, got {type(result).__qualname__}")
    drawing = draw(result.figure)
    outcome = Outcome(statement.id, statement.title, statement.claim, result, drawing)
    report = document([outcome], seed=config.seed, full=config.full, environment={}, version="")
    page(report, {outcome.id: drawing})
    return outcome


def verify(
    ids: Sequence[str], *, seed: int = 0, full: bool = False, out: Path, package: str = "verification.statements"
) -> Run:
    """Run the statements `ids` and keep the report under `out` up to date after each of them.

    Raises
    ------
    OSError
        `out` cannot be written; known before the first statement runs.
    """
    facts = {**environment.describe(), "seconds": dict[str, float]()}
    outcomes = {id: Outcome(id, PAPER[id], "", reason="Its turn did not come.") for id in ids}

    def update() -> None:
        shown = tuple(outcomes.values())
        save(out, shown, document(shown, seed=seed, full=full, environment=facts, version=facts["refimpl"]))

    update()
    try:
        statements = _load_all(outcomes, package)
        for id in _bar(ids, "statements", leave=True):
            begin = time.perf_counter()
            if id in statements:
                outcomes[id] = _attempt(statements[id], Config(id, seed, full, bar=_bar))
            facts["seconds"][id] = round(time.perf_counter() - begin, 3)
            update()
            tqdm.write(_line(outcomes[id], facts["seconds"][id]), file=sys.stderr)
    except KeyboardInterrupt:
        for id in outcomes.keys() - facts["seconds"].keys():
            outcomes[id] = replace(outcomes[id], result=None, drawing=None, reason="The run was interrupted.")
        update()
        return Run(tuple(outcomes.values()), interrupted=True)
    return Run(tuple(outcomes.values()), interrupted=False)


def _load_all(outcomes: dict[str, Outcome], package: str) -> dict[str, Statement]:
    statements = {}
    for id, outcome in outcomes.items():
        try:
            statements[id] = load(id, package)
            outcomes[id] = replace(outcome, title=statements[id].title, claim=statements[id].claim)
        except (Exception, SystemExit) as error:
            outcomes[id] = replace(outcome, reason=_reason(error), broken=True)
    return statements


def _attempt(statement: Statement, config: Config) -> Outcome:
    try:
        return examine(statement, config)
    except (Exception, SystemExit) as error:
        return Outcome(statement.id, statement.title, statement.claim, reason=_reason(error), broken=True)


def _reason(error: BaseException) -> str:
    tqdm.write("".join(traceback.format_exception(error)).rstrip(), file=sys.stderr)
    frame = traceback.extract_tb(error.__traceback__)[-1]
    reason = f"It raised {type(error).__name__}: {error} ({Path(frame.filename).name}, line {frame.lineno})"
    return " ".join(reason.split())


def _bar(items: Iterable[Any], label: str, total: int | None = None, *, leave: bool = False) -> Iterable[Any]:
    # disable=None: a bar on a terminal only; logs get one line per statement.
    bar: Iterable[Any] = tqdm(items, desc=label, total=total, leave=leave, disable=None, file=sys.stderr)
    return bar


def _line(outcome: Outcome, seconds: float) -> str:
    if outcome.result is None:
        return f"{outcome.id:<10} {Verdict.NOT_RUN:<17} {outcome.reason}"
    claim = outcome.result.decisive
    measured, predicted = (f"{v:.6g}" if isinstance(v, float) else v for v in (claim.measured, claim.predicted))
    apart = "" if outcome.result.roads_agree else "; the independent roads disagree"
    numbers = f"measured {measured}, predicted {predicted}"
    return f"{outcome.id:<10} {outcome.result.verdict:<17} {numbers} ({seconds:.1f} s){apart}"
