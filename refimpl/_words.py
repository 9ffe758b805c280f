"""Words of messages."""

from __future__ import annotations


def counted(number: int, noun: str) -> str:
    """A number of things, in the singular or the plural.

    Examples
    --------
    >>> counted(0, "turn"), counted(1, "turn"), counted(2, "turn")
    ('0 turns', '1 turn', '2 turns')
    """
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
