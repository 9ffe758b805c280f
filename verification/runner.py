"""Run statements, several at a time if asked to; whatever happens, a report of what finished is on disk."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import Any

from tqdm import tqdm  # type: ignore[import-untyped,unused-ignore]

from verification import environment, interrupt, style
from verification.catalogue import PAPER, Statement, load
from verification.config import Config
from verification.drawing import draw
from verification.page import page
from verification.plain import plain
from verification.report import Outcome, document, save, serialise
from verification.statement import Result, Value, Verdict
from verification.store import Conditions, Earlier
from verification.store import load as load_earlier
from verification.workers import Timed, WorkerError, in_processes, timed


class UnwritableError(OSError):
    """The report cannot be written where it was asked for."""


@dataclass(frozen=True)
class Run:
    """What `verify` did."""

    outcomes: tuple[Outcome, ...]
    interrupted: bool

    @property
    def exit_code(self) -> int:
        """130 after an interruption, 1 if a statement raised or its roads disagree, else 0."""
        if self.interrupted:
            return interrupt.STATUS
        return 0 if all(outcome.consistent for outcome in self.outcomes) else 1


def examine(statement: Statement, config: Config) -> Outcome:
    """Run one statement, draw its figure, and make sure that the report can hold and show it.

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
    conditions = Conditions("", config.seed, config.full)
    report = document([outcome], Earlier(), conditions, {"seconds": {}})
    serialise(report)
    page(report, {outcome.id: drawing.svg})
    return outcome


def verify(
    ids: Sequence[str], *, seed: int = 0, full: bool = False, out: Path, fresh: bool = False, resume: bool = False,
    jobs: int = 1, package: str = "verification.statements",
) -> Run:  # fmt: skip
    """Run the statements `ids`, `jobs` at a time, and keep the report under `out` up to date after each of them.

    The numbers do not depend on `jobs`: every statement has random numbers of its own. Results of other statements that
    are there already stay, and so do those of `ids` until their turn has come; with `fresh` nothing stays. With
    `resume` those of `ids` that have a verdict there are not run again.

    Raises
    ------
    OtherReportError
        The report under `out` was made under other conditions; nothing was touched.
    UnwritableError
        `out` cannot be written; no statement has been run.
    OSError
        The report cannot be written any more; what is on disk holds what finished before.
    """
    facts = {**environment.describe(), "seconds": dict[str, float]()}
    conditions = Conditions(facts["refimpl"], seed, full)
    try:
        earlier = Earlier() if fresh else load_earlier(out, conditions)
    except OSError as error:
        raise UnwritableError(str(error)) from error
    for id in earlier.lost:
        _say(f"{id:<10} not kept from an earlier run: its figure is missing")
    if resume:
        ids = [id for id in ids if id not in earlier.finished]
        if not ids:  # nor is there a run to report on
            return Run((), interrupted=False)
    outcomes = {id: Outcome(id, PAPER[id], "", reason="Its turn did not come.") for id in ids}

    def update() -> None:
        # An earlier result stays until there is a new one.
        shown = [outcome for id, outcome in outcomes.items() if id in facts["seconds"] or id not in earlier.entries]
        kept = earlier.without({outcome.id for outcome in shown})
        save(out, shown, kept, document(shown, kept, conditions, facts))

    with interrupt.watched() as pressed:
        try:
            try:
                update()
            except OSError as error:
                raise UnwritableError(str(error)) from error
            statements = _load_all(outcomes, package, pressed)
            broken = ((outcome, 0.0) for outcome in outcomes.values() if outcome.broken)
            with closing(_results(statements, seed, full, jobs, package, pressed)) as results:
                for outcome, seconds in _bar(chain(broken, results), "statements", len(ids), leave=True):
                    outcomes[outcome.id], facts["seconds"][outcome.id] = outcome, seconds
                    update()
                    _say(_line(outcome, seconds))
        except WorkerError as error:
            for id in outcomes.keys() - facts["seconds"].keys():
                outcomes[id], facts["seconds"][id] = replace(outcomes[id], reason=f"{error}.", broken=True), 0.0
                _say(_line(outcomes[id], 0.0))
            update()
        except KeyboardInterrupt:
            with interrupt.shielded():
                for id in outcomes.keys() - facts["seconds"].keys():
                    outcomes[id] = replace(outcomes[id], result=None, drawing=None, reason="The run was interrupted.")
                update()
            return Run(tuple(outcomes.values()), interrupted=True)
    return Run(tuple(outcomes.values()), interrupted=False)


def _load_all(outcomes: dict[str, Outcome], package: str, pressed: Callable[[], bool]) -> dict[str, Statement]:
    statements = {}
    for id, outcome in outcomes.items():
        try:
            statements[id] = load(id, package)
            outcomes[id] = replace(outcome, title=statements[id].title, claim=statements[id].claim)
        except (Exception, SystemExit) as error:
            _raise_if(pressed)
            outcomes[id] = replace(outcome, reason=_reason(error), broken=True)
    return statements


def _results(
    statements: dict[str, Statement], seed: int, full: bool, jobs: int, package: str, pressed: Callable[[], bool]
) -> Generator[Timed]:
    if min(jobs, len(statements)) > 1:
        yield from in_processes(_attempt_apart, jobs, [(id, seed, full, package) for id in statements])
    else:
        for id, statement in statements.items():
            yield timed(_attempt, statement, Config(id, seed, full, bar=_bar), pressed)


def _attempt_apart(id: str, seed: int, full: bool, package: str) -> Outcome:
    return _attempt(load(id, package), Config(id, seed, full), pressed=lambda: False)


def _attempt(statement: Statement, config: Config, pressed: Callable[[], bool]) -> Outcome:
    try:
        return examine(statement, config)
    except (Exception, SystemExit) as error:
        _raise_if(pressed)
        return Outcome(statement.id, statement.title, statement.claim, reason=_reason(error), broken=True)


def _raise_if(pressed: Callable[[], bool]) -> None:
    if pressed():
        raise KeyboardInterrupt


def _say(line: str) -> None:
    tqdm.write(line, file=sys.stderr)


def _reason(error: BaseException) -> str:
    _say("".join(traceback.format_exception(error)).rstrip())
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
    measured, predicted = (_short(value) for value in (claim.measured, claim.predicted))
    apart = "" if outcome.result.roads_agree else "; the independent roads disagree"
    numbers = f"measured {measured}, predicted {predicted}"
    return f"{outcome.id:<10} {outcome.result.verdict:<17} {numbers} ({seconds:.1f} s){apart}"


def _short(value: Value) -> str:
    if isinstance(value, str):
        return plain(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)
