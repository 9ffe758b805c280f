"""Inputs of the experiments, all on the unit sphere as assumption 1 wants them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from refimpl import data
from verification import Config

Array: TypeAlias = np.ndarray[Any, np.dtype[np.float64]]

Mask: TypeAlias = np.ndarray[Any, np.dtype[np.bool_]]

DIM = 64


def inputs(config: Config, count: int) -> dict[str, Array]:
    """`count` unit vectors of R^64 from each source: images of the digits 3 and 8, and uniformly random points."""
    return {
        "digits": data.digits((3, 8), n_train=count, seed=config.rng("digits")).X_train,
        "sphere": data.sphere(count, DIM, seed=config.rng("sphere")),
    }


def powers_of_two(first: int, end: int) -> Array:
    """2^first, …, 2^(end − 1)."""
    powers: Array = np.exp2(np.arange(first, end, dtype=np.float64))
    return powers
