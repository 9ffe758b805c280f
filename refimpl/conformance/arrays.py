"""What a candidate returned, as float64 arrays on the host, whatever framework it comes from; and its size."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refimpl.conformance.vectors import Expected
from refimpl.quadrature import Host


def as_answer(raw: Any, expected: Expected) -> Any:
    """What a candidate returned, as float64 arrays on the host: one, or a dict of three for a gradient.

    Raises
    ------
    ValueError, TypeError
        It is of the wrong form, shape or type, or not finite.
    """
    if not isinstance(expected.value, dict):
        return _checked("the answer", raw, expected.value.shape)
    names = tuple(expected.value)
    if isinstance(raw, Mapping):
        missing = [name for name in names if name not in raw]
        if missing:
            raise ValueError(f"the gradient has no {', '.join(missing)}; its keys are {', '.join(map(str, raw))}")
        blocks = [raw[name] for name in names]
    elif all(hasattr(raw, name) for name in names):
        blocks = [getattr(raw, name) for name in names]
    elif isinstance(raw, Sequence) and len(raw) == len(names):
        blocks = list(raw)
    else:
        length = f" of length {len(raw)}" if isinstance(raw, Sequence) else ""
        raise TypeError(f"a gradient must be (U, W, v), or have these names; got {type(raw).__qualname__}{length}")
    shapes = [expected.value[name].shape for name in names]
    return {name: _checked(f"∂f/∂{name}", part, shape) for name, part, shape in zip(names, blocks, shapes, strict=True)}


def as_host(array: Any) -> np.ndarray[Any, Any]:
    """An array of any framework, or nested lists of numbers, as a NumPy array."""
    if isinstance(array, list | tuple):
        return np.asarray([as_host(part) for part in array])
    for method in ("detach", "cpu", "resolve_conj", "resolve_neg"):  # PyTorch
        array = getattr(array, method)() if hasattr(array, method) else array
    if hasattr(array, "__cuda_array_interface__") and hasattr(array, "get"):  # CuPy
        array = array.get()
    if hasattr(array, "__array__") or hasattr(array, "__array_interface__") or not hasattr(array, "__dlpack__"):
        return np.asarray(array)
    return np.asarray(np.from_dlpack(array))


def norm(value: Any) -> float:
    """2-norm over all entries of an array, or of a dict or list of arrays; squares neither overflow nor vanish."""
    return math.hypot(*(entry for part in parts(value) for entry in part.ravel().tolist()))


def parts(value: Any) -> list[Host]:
    """The arrays of a quantity: one, or the blocks of a gradient."""
    if isinstance(value, Mapping):
        return list(value.values())
    return value if isinstance(value, list) else [value]


def _checked(name: str, raw: Any, shape: tuple[int, ...]) -> Host:
    if raw is None:
        raise TypeError(f"{name} is None")
    array = as_host(raw)
    if array.dtype.kind not in "fiu":
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    with np.errstate(over="ignore"):  # of long double
        array = array.astype(np.float64)
    if not np.all(np.isfinite(array)):
        raise ValueError(f"{name} has entries that are not finite")
    return array
