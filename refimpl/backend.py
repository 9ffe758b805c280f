"""Which array library is in use, and the few functions that the Array API standard lacks.

Every routine of the core starts with ``xp = namespace(...)`` and from there on makes plain calls of the
Array API standard. NumPy arrays get the `numpy` module itself, so they pay nothing for it.
"""

from __future__ import annotations

import ctypes
import importlib
import sys
from collections.abc import Iterator
from functools import cache
from typing import Any, TypeAlias

import numpy as np
import scipy.special

from refimpl.errors import AccuracyError

Array: TypeAlias = Any
"""An array of one of the supported libraries (the standard has no nominal type)."""

Namespace: TypeAlias = Any
"""A module that implements the Array API standard."""

KEPT_MEMORY, LARGEST_KEPT = 1 << 28, 1 << 25
"""Bytes of freed memory that stay with the process, and of its largest blocks (glibc allows no larger ones)."""

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
"""Names of these in the header malloc.h."""

SUPPORTED = "NumPy, CuPy, PyTorch or array-api-strict"


def _kind(array: Array, name: str = "arrays") -> str:
    if type(array) in (np.ndarray, np.memmap):
        return "numpy"
    library = type(array).__module__.partition(".")[0]
    if library in ("torch", "cupy", "array_api_strict") and hasattr(array, "dtype"):
        return library
    given = type(array)
    origin = "" if given.__module__ == "builtins" else f"{given.__module__}."
    advice = ": make it one, by numpy.asarray for instance" if isinstance(array, list | tuple) else ""
    raise TypeError(f"{name} must come from {SUPPORTED}, got {origin}{given.__qualname__}{advice}")


def namespace(*arrays: Array, **named: Array) -> Namespace:
    """Array API namespace shared by all arrays.

    Parameters
    ----------
    *arrays, **named
        Arrays; those given by argument name are called by it in the error.

    Raises
    ------
    TypeError
        An array of an unsupported library (or a list, a masked array, a matrix), or arrays of different kinds.
    ImportError
        PyTorch or CuPy arrays without array-api-compat; the message names the package.

    Examples
    --------
    >>> import numpy as np
    >>> namespace(np.zeros(3)).__name__
    'numpy'
    """
    kind_of = {name: _kind(array, name) for name, array in named.items()}
    kinds = sorted({_kind(array) for array in arrays} | set(kind_of.values()))
    if len(kinds) != 1:
        mixture = ", ".join(f"{name} {kind}" for name, kind in kind_of.items()) if not arrays else ", ".join(kinds)
        raise TypeError(f"arrays of one library are needed, got a mixture: {mixture}")
    if kinds == ["numpy"]:
        return np
    if kinds == ["array_api_strict"]:
        return (*arrays, *named.values())[0].__array_namespace__()
    try:
        compat = importlib.import_module("array_api_compat")
    except ImportError as error:
        raise ImportError(f"{kinds[0]} arrays need the package array-api-compat") from error
    return compat.array_namespace(*arrays, *named.values())


def is_numpy(xp: Namespace) -> bool:
    """Whether `xp` is NumPy itself."""
    return xp is np


@cache
def keep_freed_memory() -> None:
    """Let arrays that come and go in a loop use the same memory again, instead of new pages each time.

    The allocator of glibc gives memory back to the system when it is freed, large blocks at once and others where much
    of it lies at the end (mallopt(3)): up to `KEPT_MEMORY` stays with the process from here on. Elsewhere this does
    nothing. Sweeps over arrays of some megabytes would spend much of their time on new pages.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(M_MMAP_THRESHOLD, LARGEST_KEPT)
        mallopt(M_TRIM_THRESHOLD, KEPT_MEMORY)


def float_dtype(xp: Namespace, **arrays: Array) -> Any:
    """Floating dtype in which to compute: integers count as float64, mixed floats promote.

    Parameters
    ----------
    **arrays
        Arrays by argument name; the name appears in the error.

    Raises
    ------
    TypeError
        Complex, boolean, or a floating type other than float32 and float64.

    Examples
    --------
    >>> import numpy as np
    >>> float_dtype(np, X=np.zeros(2, np.float32), y=np.zeros(2, int))
    dtype('float64')
    """
    double = False
    for name, array in arrays.items():
        if xp.isdtype(array.dtype, "integral") or array.dtype == xp.float64:
            double = True
        elif array.dtype != xp.float32:
            raise TypeError(f"{name} must hold float64, float32 or integers, got dtype {array.dtype}")
    return xp.zeros(0, dtype=xp.float64 if double else xp.float32).dtype


def device(array: Array) -> Any:
    """Device of `array`, in the form its library takes as the `device` argument."""
    return getattr(array, "device", "cpu")  # NumPy 2.0 has none on its scalars


def to_host(array: Array) -> np.ndarray[Any, np.dtype[Any]]:
    """`array` as a NumPy array; a copy where the library demands one."""
    if type(array) in (np.ndarray, np.memmap):
        return np.asarray(array)
    if hasattr(array, "detach"):
        array = array.detach().cpu()
    elif hasattr(array, "get"):
        array = array.get()
    try:
        return np.from_dlpack(array)
    except BufferError:  # NumPy 2.0 exports no read-only array
        return np.asarray(array)


def from_host(xp: Namespace, values: Any, like: Array, dtype: Any = None) -> Array:
    """Host data `values` as an array of the kind, on the device and (unless given) of the dtype of `like`."""
    return xp.asarray(values, dtype=like.dtype if dtype is None else dtype, device=device(like))


def scalar(xp: Namespace, value: float, like: Array) -> Array:
    """`value` as an array of no dimension, of the dtype and on the device of `like`, without a transfer to it."""
    if is_numpy(xp):
        return np.asarray(value, dtype=like.dtype)  # ten times as fast as `full`
    return xp.full((), value, dtype=like.dtype, device=device(like))


def clip(xp: Namespace, array: Array, lowest: float, highest: float) -> Array:
    """Entries below `lowest` and above `highest` moved there.

    That of array-api-compat for CuPy writes through boolean masks, each of which the host has to wait for.
    """
    if is_numpy(xp):
        return np.clip(array, lowest, highest)
    return xp.minimum(xp.maximum(array, scalar(xp, lowest, array)), scalar(xp, highest, array))


def special(name: str, z: Array) -> Array:
    """Elementwise special function `name` of `scipy.special` (erf, erfc, …) on any backend.

    PyTorch's and CuPy's own are used where they exist; else the values take the way through the host.

    Examples
    --------
    >>> import numpy as np
    >>> special("erf", np.asarray([0.0, 1.0])).round(6).tolist()
    [0.0, 0.842701]
    """
    kind = _kind(z)
    if kind == "numpy":
        return getattr(scipy.special, name)(z)
    own = {"torch": "torch.special", "cupy": "cupyx.scipy.special"}.get(kind)
    function = getattr(importlib.import_module(own), name, None) if own else None
    if function is not None:
        return function(z)
    return from_host(namespace(z), getattr(scipy.special, name)(to_host(z)), like=z)


def sums_before(xp: Namespace, values: Array) -> Array:
    """Sum of the entries before each one, along the last axis.

    Not the cumulative sum less the entry itself: where values grow fast that loses the digits of all before it.
    """
    cumulative = xp.cumulative_sum if hasattr(xp, "cumulative_sum") else xp.cumsum  # NumPy 2.0 has the old name only
    return xp.concat([xp.zeros_like(values[..., :1]), cumulative(values[..., :-1], axis=-1)], axis=-1)


def overflow_is_checked() -> np.errstate:
    """No NumPy warning where an overflow is looked for, and found, in the result."""
    return np.errstate(over="ignore", invalid="ignore")


def all_finite(xp: Namespace, *arrays: Array) -> bool:
    """Whether every entry of every array is finite; asked once for all of them, since a device has to be waited for.

    Examples
    --------
    >>> import numpy as np
    >>> all_finite(np, np.zeros(2), np.asarray(1.0)), all_finite(np, np.zeros(2), np.asarray([[np.inf]]))
    (True, False)
    """
    finite = [xp.all(xp.isfinite(array)) for array in arrays]
    return bool(xp.all(xp.stack(finite)) if len(finite) > 1 else finite[0])


def check_overflow(xp: Namespace, what: str, *arrays: Array) -> None:
    """Raise `AccuracyError` if any entry is not finite: the arguments were, so `what` has overflowed."""
    if not all_finite(xp, *arrays):
        raise AccuracyError(f"{what} overflows {arrays[0].dtype}")


def square(scale: float) -> float:
    """scale², infinite where a Python float would raise `OverflowError`: `check_overflow` names what overflows."""
    return scale * scale


def detached(array: Array) -> Array:
    """A PyTorch tensor without its autograd history (gradients are hand-derived here); other arrays as they are."""
    return array.detach() if hasattr(array, "detach") else array


def slices(length: int, chunk: int) -> Iterator[slice]:
    """Slices of at most `chunk` that cover range(length); the standard allows no stop beyond the end.

    Examples
    --------
    >>> list(slices(5, 2))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    for start in range(0, length, chunk):
        yield slice(start, min(start + chunk, length))


def check_finite(xp: Namespace, **arrays: Array) -> None:
    """Raise `ValueError`, naming the argument, if an entry is NaN or infinite."""
    if not all_finite(xp, *arrays.values()):
        name = next(name for name, array in arrays.items() if not all_finite(xp, array))
        raise ValueError(f"{name} must be finite")


def check_inputs(xp: Namespace, finite: bool = True, **arrays: Array) -> Array:
    """The one array given by name, as floats, if it is a finite matrix (N, d) with d ≥ 1.

    Parameters
    ----------
    finite : bool
        False leaves it to the caller to look for NaN and infinity.

    Raises
    ------
    ValueError
        Another shape (a vector is told how to become one row), NaN or infinity.
    TypeError
        Complex or other dtypes that are not real numbers.
    """
    ((name, array),) = arrays.items()
    dtype = float_dtype(xp, **arrays)
    if array.ndim == 1:
        raise ValueError(f"{name} must have shape (N, d), got {tuple(array.shape)}: for one input pass {name}[None]")
    if array.ndim != 2 or array.shape[1] == 0:
        raise ValueError(f"{name} must have shape (N, d) with d ≥ 1, got {tuple(array.shape)}")
    array = xp.astype(detached(array), dtype, copy=False)
    if finite:
        check_finite(xp, **{name: array})
    return array
