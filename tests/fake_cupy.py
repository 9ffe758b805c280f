"""A stand-in for CuPy on machines without a GPU: its strictness and its costs, on NumPy arrays in host memory.

Like CuPy's, its arrays never turn into NumPy arrays by themselves, its functions take no NumPy arrays, its reductions
return arrays of no dimension, and array-api-compat wraps it as it wraps CuPy (which has none of the names that NumPy
took over from the Array API standard). Unlike CuPy it writes down what a GPU has to wait for, and who asked: the
functions of `refimpl` in whose frames an array is uploaded, downloaded, or looked at from the host.

What it cannot show is what CuPy itself gets wrong, or the arithmetic of a GPU: `pytest --cupy` on one does.
"""

from __future__ import annotations

import operator
import sys
import types
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.special

import refimpl

# Names that NumPy 2 has and CuPy 13 has not; array-api-compat then brings its own, as it does for CuPy.
MISSING = {
    *("acos", "acosh", "asin", "asinh", "astype", "atan", "atan2", "atanh", "concat", "isdtype", "matrix_transpose"),
    *("bitwise_invert", "bitwise_left_shift", "bitwise_right_shift", "cumulative_prod", "cumulative_sum", "pow"),
    *("permute_dims", "unique_all", "unique_counts", "unique_inverse", "unique_values", "unstack", "vecdot"),
}
MISSING_LINALG = {
    *("cross", "diagonal", "matmul", "matrix_norm", "matrix_transpose", "outer", "svdvals", "tensordot", "trace"),
    *("vecdot", "vector_norm"),
}
ROOT = refimpl.__file__.rpartition("__init__")[0]


@dataclass(frozen=True)
class Event:
    """One upload, download or synchronisation: how many bytes, and the chain of functions of `refimpl` behind it."""

    kind: str
    size: int
    chain: tuple[str, ...]

    @property
    def place(self) -> str:
        """Module and function that asked, `refimpl.backend` aside, which everybody goes through."""
        return next((call for call in self.chain if not call.startswith("backend.")), "outside")


@dataclass
class Log:
    """What happened since the last `clear`."""

    events: list[Event] = field(default_factory=list)

    def note(self, kind: str, size: int = 0) -> None:
        frame, chain = sys._getframe(2), []
        while frame is not None:
            code = frame.f_code
            if code.co_filename.startswith(ROOT):
                module = code.co_filename[len(ROOT) : -len(".py")].replace("/", ".")
                chain.append(f"{module}.{code.co_qualname}".replace(".<locals>", "").partition(".<")[0])
            frame = frame.f_back
        self.events.append(Event(kind, size, tuple(chain)))

    def clear(self) -> None:
        self.events.clear()

    def count(self, kind: str) -> int:
        return sum(event.kind == kind for event in self.events)

    def places(self, kind: str) -> Counter[str]:
        return Counter(event.place for event in self.events if event.kind == kind)

    def bytes(self, kind: str) -> int:
        return sum(event.size for event in self.events if event.kind == kind)


LOG = Log()


class Device:
    """The only one, number 0; also a context, as array-api-compat uses it."""

    def __init__(self, device: Any = None) -> None:
        self.id = 0

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Device)

    __hash__ = None

    def __enter__(self) -> Device:
        return self

    def __exit__(self, *error: object) -> None:
        return None


class ndarray:
    """An array in the memory of a device: `_host` is where the stand-in keeps it."""

    __array_priority__ = 100

    def __init__(self, host: np.ndarray) -> None:
        assert type(host) is np.ndarray
        self._host = host

    dtype = property(lambda self: self._host.dtype)
    shape = property(lambda self: self._host.shape)
    ndim = property(lambda self: self._host.ndim)
    size = property(lambda self: self._host.size)
    T = property(lambda self: ndarray(self._host.T))
    device = property(lambda self: Device())

    def __array__(self, *_: object, **__: object) -> None:
        raise TypeError("Implicit conversion to a NumPy array is not allowed. Please use `.get()`.")

    __dlpack__ = __array_ufunc__ = __array_function__ = __array__

    def get(self) -> np.ndarray:
        LOG.note("download", self._host.nbytes)
        return self._host.copy()

    def item(self) -> Any:
        LOG.note("synchronise", self._host.nbytes)
        return self._host.item()

    def __float__(self) -> float:
        return float(self.item())

    def __bool__(self) -> bool:
        return bool(self.item())

    def __int__(self) -> int:
        return int(self.item())

    def __index__(self) -> int:
        return operator.index(self.item())

    def __len__(self) -> int:
        return len(self._host)

    def __iter__(self) -> Any:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key: Any) -> ndarray:
        key = _key(key)
        if not any(part is Ellipsis for part in key):
            key = (*key, Ellipsis)  # an entry is an array of no dimension
        return ndarray(np.asarray(self._host[key]))

    def __setitem__(self, key: Any, value: Any) -> None:
        self._host[_key(key)] = _own(value)

    def astype(self, dtype: Any, copy: bool = True) -> ndarray:
        return self if not copy and self.dtype == dtype else ndarray(self._host.astype(dtype))

    def reshape(self, *shape: Any) -> ndarray:
        return ndarray(self._host.reshape(*shape))

    def ravel(self) -> ndarray:
        return ndarray(self._host.ravel())

    def copy(self) -> ndarray:
        return ndarray(self._host.copy())


def _operators() -> None:
    """The arithmetic of Python, between arrays of the device and Python numbers."""

    def add(name: str, function: Any, *, reflected: bool = False, inplace: bool = False) -> None:
        def method(self: ndarray, *other: Any) -> ndarray:
            operands = (self._host, *map(_own, other))
            result = function(*(reversed(operands) if reflected else operands))
            return self if inplace else ndarray(np.asarray(result))

        setattr(ndarray, f"__{name}__", method)

    for name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and_", "or_", "xor"):
        plain = name.rstrip("_")
        add(plain, getattr(operator, name))
        add("r" + plain, getattr(operator, name), reflected=True)
        if plain != "matmul":
            add("i" + plain, getattr(operator, "i" + plain), inplace=True)
    for name in ("lt", "le", "gt", "ge", "eq", "ne"):
        add(name, getattr(operator, name))
    for name in ("neg", "abs", "invert", "pos"):
        add(name, getattr(operator, name))


_operators()
ndarray.__module__ = "cupy"
ndarray.__qualname__ = "ndarray"


def _own(value: Any) -> Any:
    """An array of the device, or a Python number, as NumPy's functions take it; nothing of NumPy's."""
    if isinstance(value, ndarray):
        return value._host
    if type(value) in (bool, int, float):
        return value
    raise TypeError(f"Unsupported type {type(value)}")


def _key(key: Any) -> tuple[Any, ...]:
    parts = []
    for part in key if isinstance(key, tuple) else (key,):
        if isinstance(part, ndarray):
            if part.dtype == bool:
                LOG.note("synchronise", 8)  # how many entries are True decides the shape
            parts.append(part._host)
        elif part is None or part is Ellipsis or isinstance(part, slice) or type(part) is int:
            parts.append(part)
        else:
            raise TypeError(f"Unsupported type {type(part)} as an index")
    return tuple(parts)


def _unwrapped(value: Any) -> Any:
    if isinstance(value, ndarray):
        return value._host
    if isinstance(value, list | tuple):
        return type(value)(_unwrapped(part) for part in value)
    if isinstance(value, np.ndarray | np.generic):
        raise TypeError(f"Unsupported type {type(value)}")
    return value


def _wrapped(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return ndarray(np.asarray(value))
    if isinstance(value, tuple):
        return tuple(_wrapped(part) for part in value)
    return value


def _function(function: Any, synchronises: bool = False) -> Any:
    def call(*arguments: Any, **keywords: Any) -> Any:
        if synchronises:
            LOG.note("synchronise", 8)
        return _wrapped(function(*map(_unwrapped, arguments), **{k: _unwrapped(v) for k, v in keywords.items()}))

    return call


def asarray(value: Any, dtype: Any = None, copy: bool | None = None) -> ndarray:
    """An array of the device as it is, and data of the host by an upload."""
    if isinstance(value, ndarray):
        host = np.array(value._host, dtype=dtype) if copy else np.asarray(value._host, dtype=dtype)
        return value if host is value._host else ndarray(host)
    host = np.array(value, dtype=dtype)
    if host.dtype.kind not in "biuf":
        raise ValueError(f"Unsupported dtype {host.dtype}")
    LOG.note("upload", host.nbytes)
    return ndarray(host)


def array(value: Any, dtype: Any = None, copy: bool = True) -> ndarray:
    return asarray(value, dtype, copy)


def modules() -> dict[str, types.ModuleType]:
    """What `sys.modules` has to hold for ``import cupy`` to find the stand-in."""
    cupy, linalg, fft, cuda, device, cupyx, scipy_part, special = (
        types.ModuleType(name)
        for name in (
            "cupy", "cupy.linalg", "cupy.fft", "cupy.cuda", "cupy.cuda.device", "cupyx", "cupyx.scipy",
            "cupyx.scipy.special",
        )
    )  # fmt: skip
    for name in set(np.__all__) - MISSING:
        value = getattr(np, name)
        wrap = callable(value) and not isinstance(value, type) and name not in ("dtype", "finfo", "iinfo")
        setattr(cupy, name, _function(value, name in ("nonzero", "unique", "flatnonzero")) if wrap else value)
    for name in set(np.linalg.__all__) - MISSING_LINALG:
        value = getattr(np.linalg, name)
        setattr(linalg, name, value if isinstance(value, type) else _function(value))
    for name in np.fft.__all__:
        setattr(fft, name, getattr(np.fft, name))
    for name in ("erf", "erfc", "erfcx"):
        setattr(special, name, _function(getattr(scipy.special, name)))
    cupy.ndarray, cupy.asarray, cupy.array = ndarray, asarray, array
    cupy.abs, cupy.max, cupy.min, cupy.round = (_function(f) for f in (np.abs, np.max, np.min, np.round))
    cupy.linalg, cupy.fft, cupy.cuda = linalg, fft, cuda
    cuda.device, cuda.Device, device.Device, cuda.is_available = device, Device, Device, lambda: True
    cupyx.scipy, scipy_part.special = scipy_part, special
    return {m.__name__: m for m in (cupy, linalg, fft, cuda, device, cupyx, scipy_part, special)}
