"""Ctrl-C while statements run: they stop, and the report is still written."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

STATUS = 130
"""128 plus the number of the signal, as shells report it."""


@contextmanager
def watched() -> Iterator[Callable[[], bool]]:
    """Ctrl-C raises KeyboardInterrupt inside; the function that is given tells whether it was pressed.

    Compiled code may turn KeyboardInterrupt into another exception, so that a handler of errors has to ask.
    """
    pressed = False

    def interrupt(_signal: int, _frame: Any) -> None:
        nonlocal pressed
        pressed = True
        raise KeyboardInterrupt

    with _handler(interrupt):
        yield lambda: pressed


@contextmanager
def shielded() -> Iterator[None]:
    """Ctrl-C does nothing inside: for writing what is left to write."""
    with _handler(signal.SIG_IGN):
        yield


@contextmanager
def _handler(handler: Any) -> Iterator[None]:
    before = signal.getsignal(signal.SIGINT)
    if before in (None, signal.SIG_IGN) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
