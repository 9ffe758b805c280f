"""Validation of files of golden vectors, for their authors: the schema, and what a schema cannot say."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

SCHEMA = Path(__file__).parent / "schema.json"
"""JSON Schema, draft 2020-12."""


def validate(vectors: str | Path | Mapping[str, Any]) -> None:
    """Check a file of golden vectors, or the content of one.

    Parameters
    ----------
    vectors : path or dict

    Raises
    ------
    ValueError
        What is wrong with it, and where.
    OSError
        The file cannot be read.
    ModuleNotFoundError
        jsonschema is not installed; it comes with the extra `cli`.

    Notes
    -----
    Beyond the schema: ids are used once; shapes agree with each other; inputs are exact decimals of numbers of the
    dtype that is stated.

    Examples
    --------
    >>> validate({"format": 2})
    Traceback (most recent call last):
    ValueError: golden vectors: 'activation' is a required property
    """
    name, content = _content(vectors)
    error = _first_error(content)
    if error is not None:
        raise ValueError(f"{name}: {error}")


def _content(vectors: str | Path | Mapping[str, Any]) -> tuple[str, Any]:
    if isinstance(vectors, Mapping):
        return "golden vectors", vectors
    try:
        return str(vectors), json.loads(Path(vectors).read_text(encoding="utf-8"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{vectors}: not JSON: {error}") from error


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _first_error(content: Any) -> str | None:
    error = min(_validator().iter_errors(content), key=lambda e: [str(part) for part in e.absolute_path], default=None)
    if error is not None:
        place = "".join(f"[{part!r}]" for part in error.absolute_path)
        message = error.message if len(error.message) < 200 else f"{error.message[:200]} …"
        return f"{place}: {message}" if place else message
    return next(_beyond_the_schema(content), None)


@cache
def _validator() -> Any:
    try:
        from jsonschema import Draft202012Validator
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("vectors are validated with jsonschema: pip install 'refimpl[cli]'") from error
    return Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def _beyond_the_schema(content: Mapping[str, Any]) -> Iterator[str]:
    ids = [case["id"] for case in content["cases"]]
    yield from (f"the id {name!r} is used twice" for name in sorted(set(ids)) if ids.count(name) > 1)
    for case in content["cases"]:
        yield from (f"{case['id']}: {error}" for error in _case_errors(case))


def _case_errors(case: Mapping[str, Any]) -> Iterator[str]:
    count, d = len(case["X"]), len(case["X"][0])
    n = len(case.get("v", ()))
    shapes: dict[str, tuple[int, ...]] = {"U": (n, d), "W": (n, n), "v": (n,), "X": (count, d)}
    for name, shape in shapes.items():
        if name in case:
            yield from _shape_errors(name, case[name], shape)
    outer = {"predict": (count,), "terminal_state": (count, n), "initial_adjoint": (count, n)}
    for quantity, part in case["expected"].items():
        value, short = part["value"], quantity.removeprefix("resnet_")
        if short == "gradient":
            for name in ("U", "W", "v"):
                yield from _shape_errors(f"{quantity} {name}", value[name], shapes[name])
        else:
            yield from _shape_errors(quantity, value, outer.get(short, (count, count)))
    numbers = [(name, z) for name, z in case["settings"].items() if name != "depth"]
    numbers += [(name, z) for name in shapes if name in case for z in _leaves(case[name])]
    for name, z in numbers:
        with np.errstate(over="ignore"):
            number = float(np.dtype(case["dtype"]).type(z))
        if not np.isfinite(number) or Decimal(number) != Decimal(z):
            yield f"{name}: {z} is no {case['dtype']} number"


def _shape_errors(name: str, value: Any, shape: tuple[int, ...]) -> Iterator[str]:
    if len(value) != shape[0] or any(len(row) != length for length in shape[1:] for row in value):
        yield f"{name} must have the shape {shape}"


def _leaves(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
