"""Statements in processes of their own, as many at a time as asked for."""

from __future__ import annotations

import multiprocessing
import multiprocessing.connection
import os
import threading
import time
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import replace
from typing import Any

from matplotlib.figure import Figure

from verification import interrupt
from verification.report import Outcome

Timed = tuple[Outcome, float]
"""What became of a statement, and the seconds that it took."""


class WorkerError(RuntimeError):
    """A process ended before its statement did."""


def timed(attempt: Callable[..., Outcome], *arguments: Any) -> Timed:
    """``attempt(*arguments)`` and its seconds."""
    begin = time.perf_counter()
    outcome = attempt(*arguments)
    return outcome, round(time.perf_counter() - begin, 3)


def in_processes(attempt: Callable[..., Outcome], jobs: int, calls: Sequence[tuple[Any, ...]]) -> Generator[Timed]:
    """``timed(attempt, *arguments)`` for each of `calls`, in the order in which they end; to close it ends them all.

    Raises
    ------
    WorkerError
    """
    # Started anew: a copy of this process would hold what other threads of it had locked.
    context = multiprocessing.get_context("spawn")
    executor = ProcessPoolExecutor(min(jobs, len(calls)), context, initializer=_end_with_parent)
    with interrupt.shielded():  # which the processes inherit: Ctrl-C reaches this one alone, and it ends them
        processes = set(multiprocessing.active_children())
        futures = [executor.submit(_apart, attempt, *arguments) for arguments in calls]
        processes = set(multiprocessing.active_children()) - processes
    try:
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool as error:
        raise WorkerError("A process ended before its statement did, perhaps killed for want of memory") from error
    finally:
        if not all(future.done() for future in futures):
            for process in processes:
                process.kill()
        executor.shutdown(cancel_futures=True)


def _end_with_parent() -> None:
    """A parent that is killed cannot end its processes, which would go on, and then wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _apart(attempt: Callable[..., Outcome], *arguments: Any) -> Timed:
    outcome, seconds = timed(attempt, *arguments)
    if outcome.result is not None:  # its drawing goes along; a figure may hold what cannot be sent
        outcome = replace(outcome, result=replace(outcome.result, figure=Figure()))
    return outcome, seconds
