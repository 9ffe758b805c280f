"""Inputs from CSV and NPY files of unknown origin: everything is checked before it is believed or loaded."""

from __future__ import annotations

import csv
import math
import re
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import click
import numpy as np

from refimpl._words import counted
from refimpl.quadrature import Host

MAX_ROWS = 4096
"""Rows of inputs: a kernel has the square of it as entries."""

MAX_ENTRIES = 1 << 24
"""Numbers in a file (128 MiB of float64)."""

MAX_CSV_BYTES = 1 << 28

_NUMBER_LIKE = re.compile(r"\s*([-+.]?\d|[-+]?(nan|inf)|$)", re.IGNORECASE)
"""Start of a cell that is a number, or is meant as one, as in ``1;2``: a line with one is no line of names."""


def read_inputs(path: Path) -> Host:
    """The rows of a file, shape (N, d), in double precision.

    Parameters
    ----------
    path : Path
        A ``.npy`` file of a real matrix; or a ``.csv`` file of numbers, separated by commas, a row a line. Its first
        line may name the columns: then no cell of it starts like a number.

    Raises
    ------
    click.ClickException
        It holds something else, or more than the limits above. Pickled objects are never loaded.
    OSError
        It cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in (".csv", ".npy"):
        raise click.UsageError(f"{path}: inputs must end in .csv or .npy")
    if path.exists() and not path.is_file():  # opening a pipe would wait for ever
        raise click.UsageError(f"{path}: is no file")
    try:
        with path.open("rb") as file:
            X = _npy(file) if suffix == ".npy" else _csv(file)
        _check_entries(X)
    except _Unusable as error:
        raise click.UsageError(f"{path}: {error}") from error
    except OSError as error:
        raise click.UsageError(f"{path}: {error.strerror or error}") from error
    return X


class _Unusable(Exception):
    """Says what is wrong with a file."""


def _check_shape(rows: int, columns: int) -> None:
    if rows < 1 or columns < 1:
        raise _Unusable(f"holds no numbers (shape ({rows}, {columns}))")
    if rows > MAX_ROWS:
        raise _Unusable(f"has {rows} rows; at most {MAX_ROWS} are taken")
    if rows * columns > MAX_ENTRIES:
        raise _Unusable(f"has {rows} × {columns} numbers; at most {MAX_ENTRIES} are taken")


def _check_entries(X: Host) -> None:
    bad = np.argwhere(~np.isfinite(X))
    if len(bad):
        row, column = (int(k) for k in bad[0])
        raise _Unusable(f"row {row + 1}, column {column + 1} is {X[row, column]}; finite numbers are needed")


# --- NPY ----------------------------------------------------------------------------------------------------------


def _npy(file: IO[bytes]) -> Host:
    shape, fortran, dtype = _header(file)
    if dtype.hasobject:
        raise _Unusable("holds pickled Python objects, which are never loaded")
    if not (dtype.kind in "iu" or dtype in (np.dtype("f4"), np.dtype("f8"), np.dtype(">f4"), np.dtype(">f8"))):
        raise _Unusable(f"has dtype {dtype}; float64, float32 or integers are needed")
    if len(shape) != 2:
        raise _Unusable(f"has shape {shape}; (N, d) is needed, a row for each input")
    _check_shape(*shape)
    size = shape[0] * shape[1] * dtype.itemsize
    content = file.read(size + 1)
    if len(content) != size:
        kind = "is truncated" if len(content) < size else "is longer than its header says"
        raise _Unusable(f"{kind}: shape {shape} of {dtype} are {size} bytes")
    X = np.frombuffer(content, dtype).reshape(shape, order="F" if fortran else "C")
    return np.asarray(X, dtype=np.float64, order="C")


def _header(file: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Shape, order and dtype of an NPY file, which is left at its first number."""
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    try:
        version = np.lib.format.read_magic(file)
        if version in readers:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # headers of Python 2
                return readers[version](file)
    except Exception as error:  # a header is parsed as Python: what a hostile one raises is not documented
        raise _Unusable(f"is no NPY file, or its header is damaged: {str(error)[:100]}") from error
    raise _Unusable(f"is an NPY file of version {version[0]}.{version[1]}; 1.0 and 2.0 hold plain matrices")


# --- CSV ----------------------------------------------------------------------------------------------------------


def _csv(file: IO[bytes]) -> Host:
    content = file.read(MAX_CSV_BYTES + 1)
    if len(content) > MAX_CSV_BYTES:
        raise _Unusable(f"has more than {MAX_CSV_BYTES >> 20} MiB, the most that is taken")
    try:
        lines = content.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise _Unusable(f"is no UTF-8 text (byte {error.start})") from error
    rows, names = list[list[float]](), False
    reader = csv.reader(lines, strict=True)
    try:
        for cells in reader:
            if not any(cell.strip() for cell in cells):
                continue
            numbers = [_number(cell) for cell in cells]
            if not rows and not names and not any(_NUMBER_LIKE.match(cell) for cell in cells):
                names = True
                continue
            rows.append(_row(cells, numbers, len(rows[0]) if rows else len(cells), reader.line_num))
            _check_shape(len(rows), len(rows[0]))
    except csv.Error as error:
        raise _Unusable(f"line {reader.line_num}: {error}") from error
    if not rows:
        raise _Unusable("holds no numbers")
    return np.asarray(rows, dtype=np.float64)


def _row(cells: Sequence[str], numbers: Sequence[float | None], columns: int, line: int) -> list[float]:
    if len(cells) != columns:
        raise _Unusable(f"line {line} has {counted(len(cells), 'number')} where the first has {columns}")
    known = [number for number in numbers if number is not None]
    if len(known) < len(cells):
        raise _Unusable(
            f"line {line}: {cells[numbers.index(None)][:40]!r} is no number; columns are separated by commas"
        )
    if not all(map(math.isfinite, known)):
        bad = next(cell for cell, number in zip(cells, known, strict=True) if not math.isfinite(number))
        raise _Unusable(f"line {line}: {bad[:40].strip()} is not finite")
    return known


def _number(cell: str) -> float | None:
    if not cell.isascii() or "_" in cell:  # 1_000 is a number in Python alone
        return None
    try:
        return float(cell)
    except ValueError:
        return None
