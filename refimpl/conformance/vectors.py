"""The golden vectors as arrays: reads the JSON files of this package, or one of your own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np

from refimpl.conformance.candidate import QUANTITIES, Settings
from refimpl.conformance.inputs import ACTIVATIONS, FLAGS, KINDS

__all__ = ["FLAGS", "Case", "Expected", "cases", "load_cases"]

FOLDER = Path(__file__).parent / "vectors"


@dataclass(frozen=True)
class Expected:
    """A quantity as the oracle has it.

    Parameters
    ----------
    value : array or dict of arrays
        float64; by U, W and v for gradients.
    bound : float
        Of the 2-norm, over all entries, of the error of `decimals`: an estimate from two runs of the oracle. `value`
        is rounded to float64 on top of that.
    condition : float
        Relative change of the quantity by relative change of the inputs, both in the 2-norm, found by perturbing.
    decimals : nested lists of str, or a dict of them
        All digits.
    """

    value: Any
    bound: float
    condition: float
    decimals: Any = field(repr=False)


@dataclass(frozen=True)
class Case:
    """One golden vector.

    Parameters
    ----------
    id, comment : str
    flags : tuple of str
        Keys of `FLAGS`.
    kind : {"ode", "resnet", "limit", "limit-resnet"}
    settings : Settings
    U, W, v : arrays of shapes (n, d), (n, n), (n,), or None
        None for the limits. The dtype is that of the settings.
    X : array, shape (N, d)
    expected : mapping of str to Expected
        By quantity, in the order of `QUANTITIES`.
    """

    id: str
    comment: str
    flags: tuple[str, ...]
    kind: str
    settings: Settings
    U: Any = field(repr=False)
    W: Any = field(repr=False)
    v: Any = field(repr=False)
    X: Any = field(repr=False)
    expected: Mapping[str, Expected] = field(repr=False)


def cases(quantity: str | None = None, flag: str | None = None, activation: str | None = None) -> tuple[Case, ...]:
    """The golden vectors of the package, all or some of them, always in the same order.

    Parameters
    ----------
    quantity : str or None
        One of `QUANTITIES`, that a case must have.
    flag : str or None
        One of `FLAGS`, that it must carry.
    activation : str or None

    Raises
    ------
    ValueError
        An unknown name.

    Examples
    --------
    >>> from refimpl.conformance import cases
    >>> (case,) = cases("predict", flag="width-one", activation="tanh")
    >>> case.id, case.settings.horizon, case.X.tolist()
    ('tanh-ode-line', 1.0, [[0.75], [-1.125]])
    >>> case.expected["predict"].decimals
    ['0.003218035982369038213780882', '-0.005069258545971747714670693']
    """
    for name, given, allowed in (
        ("quantity", quantity, QUANTITIES),
        ("flag", flag, tuple(FLAGS)),
        ("activation", activation, ACTIVATIONS),
    ):
        if given is not None and given not in allowed:
            raise ValueError(f"{name} must be one of {', '.join(allowed)}; got {given!r}")
    return tuple(
        case
        for case in _shipped()
        if (quantity is None or quantity in case.expected)
        and (flag is None or flag in case.flags)
        and (activation is None or activation == case.settings.activation)
    )


@cache
def _shipped() -> tuple[Case, ...]:
    names = (f"{activation}-{kind}.json" for activation in ACTIVATIONS for kind in KINDS)
    return tuple(case for name in names for case in load_cases(FOLDER / name))


def load_cases(path: str | Path) -> tuple[Case, ...]:
    """The cases of a file in the format of the golden vectors.

    Parameters
    ----------
    path : path

    Raises
    ------
    ValueError
        It is no such file. (What exactly is wrong with it, `refimpl.conformance.validation.validate` says.)
    OSError
        It cannot be read.
    """
    try:
        with open(path, encoding="utf-8") as file:
            content = json.load(file)
        if content["format"] != 1:
            raise ValueError(f"format 1 is known; got {content['format']!r}")
        return tuple(_case(content["activation"], content["kind"], case) for case in content["cases"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:  # JSON and UTF-8 errors are ValueErrors
        raise ValueError(f"{path} is no file of golden vectors: {error!r}") from error


def _case(activation: str, kind: str, case: dict[str, Any]) -> Case:
    given, dtype = case["settings"], case["dtype"]
    horizon, sigma_u, sigma_w, sigma_v = (float(given[name]) for name in ("horizon", "sigma_u", "sigma_w", "sigma_v"))
    settings = Settings(activation, horizon, sigma_u, sigma_w, sigma_v, given.get("depth"), dtype)
    U, W, v, X = (None if name not in case else _array(case[name], dtype) for name in ("U", "W", "v", "X"))
    expected = {
        name: Expected(_value(part["value"]), float(part["bound"]), float(part["condition"]), part["value"])
        for name, part in case["expected"].items()
    }
    return Case(
        case["id"], case["comment"], tuple(case["flags"]), kind, settings, U, W, v, X, MappingProxyType(expected)
    )


def _array(decimals: Any, dtype: str) -> np.ndarray[Any, Any]:
    """Frozen, since all callers get the same one."""
    array = np.asarray(decimals, dtype=np.float64).astype(dtype)
    array.flags.writeable = False
    return array


def _value(decimals: Any) -> Any:
    if isinstance(decimals, dict):
        return {name: _array(part, "float64") for name, part in decimals.items()}
    return _array(decimals, "float64")
