"""What a statement is run with: its size, its random numbers, its progress bar."""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np

T = TypeVar("T")


def _no_bar(items: Iterable[Any], label: str, total: int | None) -> Iterable[Any]:
    return items


@dataclass(frozen=True)
class Config:
    """What a statement is run with.

    Parameters
    ----------
    statement : str
        Its id; enters the random numbers, so that they do not depend on which other statements run.
    seed : int
        ≥ 0.
    full : bool
        The large experiment; otherwise one of seconds.

    Raises
    ------
    TypeError, ValueError
        A `seed` that is not an integer ≥ 0.

    Examples
    --------
    >>> config = Config("prop2", seed=1)
    >>> config.rng("weights", 0).integers(1000) == config.rng("weights", 0).integers(1000)
    np.True_
    >>> [width for width in config.progress([64, 128], "width")]
    [64, 128]
    """

    statement: str
    seed: int = 0
    full: bool = False
    bar: Callable[[Iterable[Any], str, int | None], Iterable[Any]] = field(default=_no_bar, repr=False)

    def __post_init__(self) -> None:
        if isinstance(self.seed, bool) or operator.index(self.seed) < 0:
            raise ValueError(f"seed must be an integer ≥ 0, got {self.seed}")

    def rng(self, *key: str | int) -> np.random.Generator:
        """A new generator for the part of the experiment named by `key`: equal keys give equal streams.

        Naming the parts keeps each one's numbers when another part is added, dropped or run in another order.
        """
        name = repr((self.statement, *(part if isinstance(part, str) else operator.index(part) for part in key)))
        words = np.frombuffer(hashlib.sha256(name.encode()).digest()[:16], dtype="<u4")
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=tuple(int(word) for word in words)))

    def progress(self, items: Iterable[T], label: str, total: int | None = None) -> Iterable[T]:
        """`items`, with a progress bar under the bar of the statements."""
        return self.bar(items, label, total)
