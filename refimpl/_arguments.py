"""Checks of arguments that several modules share."""

from __future__ import annotations

import operator
from typing import Any

import numpy as np


def integer(name: str, value: Any, least: int) -> int:
    try:
        count = operator.index(value)
    except TypeError:
        count = None
    if count is None or isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if count < least:
        raise ValueError(f"{name} must be at least {least}, got {count}")
    return count


def generator(seed: Any) -> np.random.Generator:
    try:
        return np.random.default_rng(seed)
    except (TypeError, ValueError) as error:
        message = f"seed must be anything that numpy.random.default_rng takes, got {seed!r}: {error}"
        raise type(error)(message) from error
