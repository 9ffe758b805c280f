"""Seconds of several computations, measured in turns: A B C, A B C, …, so that a busy moment meets all of them."""

import gc
import time
import tracemalloc
from dataclasses import dataclass

SHORTEST = 0.1
"""Seconds of a turn: a quicker computation is repeated within it, and the turn counts their mean."""

PAUSE = 0.05
"""Seconds between turns: the idle threads of a library spin for about half as long before they sleep."""

LEAST = 3
"""Turns that every computation gets, however slow."""


@dataclass(frozen=True)
class Plan:
    """How often to measure.

    Parameters
    ----------
    turns : int
        Turns of each computation.
    patience : float
        Seconds after which a computation that has had three turns gets no more.
    limit : float
        Seconds of one call beyond which a method is not asked for further tolerances.
    shortest : float
        Seconds of a turn.
    """

    turns: int = 7
    patience: float = 12.0
    limit: float = 12.0
    shortest: float = SHORTEST


QUICK = Plan(turns=1, patience=0.0, limit=2.0, shortest=0.0)


def once(compute):
    """Answer, and seconds."""
    start = time.perf_counter()
    answer = compute()
    return answer, time.perf_counter() - start


def turn(compute, shortest):
    """Mean seconds of the calls of one turn; the collector of garbage waits, as in `timeit`."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        calls, start = 0, time.perf_counter()
        while calls == 0 or time.perf_counter() - start < shortest:
            compute()
            calls += 1
        return (time.perf_counter() - start) / calls
    finally:
        if collecting:
            gc.enable()


def in_turns(computations, plan):
    """Seconds of every computation, a list for each: all have a turn before any has the next.

    Each has been called before, so that nothing is compiled or loaded here.
    """
    samples = [[] for _ in computations]
    for _ in range(plan.turns):
        for compute, found in zip(computations, samples, strict=True):
            if len(found) < LEAST or sum(found) < plan.patience:
                time.sleep(PAUSE if plan.shortest else 0.0)
                found.append(turn(compute, plan.shortest))
    return samples


def peak_memory(compute):
    """Largest number of bytes that Python and NumPy hold at once beyond those held before."""
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        compute()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
