"""A run on disk: written as a whole or not at all, read without trusting it.

The file is a NumPy ``.npz`` archive: θ^k, the moments of the optimiser, the records of the steps before k, and one
array ``meta`` of bytes that holds JSON: the format, the step, the learning rate and the fingerprint of the run.
"""

from __future__ import annotations

import json
import math
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from refimpl.backend import Array, from_host, to_host
from refimpl.training.fingerprint import differences
from refimpl.training.history import Recorder, Row
from refimpl.training.optimizers import Optimizer, State

FORMAT = 1
"""Changed whenever files written before can no longer be read, or would go on with other numbers."""

LARGEST_META = 1 << 20
"""Bytes of JSON beyond which it cannot be ours."""

HEADER = 1 << 14
"""Bytes that the header of a stored array may take."""


@dataclass(frozen=True, eq=False)
class Snapshot:
    """A run that has reached step k and not yet recorded it.

    Parameters
    ----------
    step : int
        k.
    lr : float
        η.
    theta : array, shape (P,)
        θ^k.
    state : State
        Of the optimiser.
    """

    step: int
    lr: float
    theta: Array
    state: State


@dataclass(frozen=True)
class Checkpoint:
    """The place of a run on disk; only one run at a time may write to it.

    Parameters
    ----------
    path : Path
    fingerprint : dict
        What the run is.
    """

    path: Path
    fingerprint: dict[str, str]

    def save(self, snapshot: Snapshot, recorder: Recorder) -> None:
        """Replace the file in one go: a process that dies leaves the old file or the new one, never a part."""
        meta = {"format": FORMAT, "step": snapshot.step, "lr": snapshot.lr, "run": self.fingerprint}
        arrays = {"theta": snapshot.theta}
        arrays |= {f"moment_{i}": moment for i, moment in enumerate(snapshot.state.moments)}
        arrays |= {f"record_{name}": record for name, record in recorder.stacked(snapshot.step).items()}
        temporary = self.path.with_name(self.path.name + ".tmp")
        try:
            with temporary.open("wb") as file:
                stored: dict[str, Any] = {name: to_host(array) for name, array in arrays.items()}
                np.savez(file, meta=np.frombuffer(json.dumps(meta).encode(), dtype=np.uint8), **stored)
                file.flush()
                os.fsync(file.fileno())
            os.replace(temporary, self.path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise

    def load(self, optimizer: Optimizer, recorder: Recorder, steps: int) -> Snapshot | None:
        """The saved run, its records put into `recorder`; None if there is no file.

        Raises
        ------
        ValueError
            The file is no checkpoint, is damaged, belongs to another run, or has gone beyond `steps`.
        """
        if not self.path.exists():
            return None
        with self.path.open("rb") as file:
            try:
                archive, meta = _opened(file)
            except Exception as error:  # a damaged file can fail in any way
                raise self._unreadable(error) from error
            if meta["format"] != FORMAT:
                raise ValueError(
                    f"checkpoint {self.path} has format {meta['format']!r:.40}, this version reads {FORMAT}"
                )
            try:
                _check_meta(meta)
            except Exception as error:
                raise self._unreadable(error) from error
            different = differences(self.fingerprint, meta["run"])
            if different:
                raise ValueError(f"checkpoint {self.path} belongs to another run; different: {different}")
            if meta["step"] > steps:
                raise ValueError(f"checkpoint {self.path} has reached step {meta['step']}, beyond steps={steps}")
            try:
                return self._contents(archive, meta, optimizer, recorder)
            except Exception as error:
                raise self._unreadable(error) from error

    def _unreadable(self, error: Exception) -> ValueError:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:200]
        return ValueError(f"checkpoint {self.path} is damaged or no checkpoint ({reason})")

    def _contents(
        self, archive: zipfile.ZipFile, meta: dict[str, Any], optimizer: Optimizer, recorder: Recorder
    ) -> Snapshot:
        problem, step = recorder.problem, meta["step"]
        like = problem.start.ravel()
        dtype, size = to_host(like).dtype, like.shape[0]

        def read(name: str, *shape: int) -> Array:
            return from_host(problem.xp, _array(archive, name, shape, dtype), like)

        theta = read("theta", size)
        moments = tuple(read(f"moment_{i}", size) for i in range(optimizer.moments))
        records = {name: read(f"record_{name}", *shape) for name, shape in recorder.shapes(step).items()}
        rows: list[Row] = [{} for _ in range(step)]
        for name, record in records.items():
            every = recorder.spectrum_every if name == "spectrum" and recorder.spectrum_every else 1
            for i, row in enumerate(rows[::every]):
                row[name] = record[i, ...]
        problem.params(theta)  # refuses what is no Params
        recorder.rows.extend(rows)
        return Snapshot(step, meta["lr"], theta, State(step, moments))


def _opened(file: BinaryIO) -> tuple[zipfile.ZipFile, dict[str, Any]]:
    """The archive, and its JSON part if that has the form it must have."""
    archive = zipfile.ZipFile(file)
    if archive.getinfo("meta.npy").file_size > LARGEST_META:
        raise ValueError("its JSON part is too large")
    with archive.open("meta.npy") as stream:
        raw = np.lib.format.read_array(stream, allow_pickle=False)
    if raw.dtype != np.uint8:
        raise ValueError("its JSON part is no array of bytes")
    meta = json.loads(raw.tobytes())
    if not isinstance(meta, dict) or "format" not in meta:
        raise ValueError("its JSON part has another form")
    return archive, meta


def _check_meta(meta: dict[str, Any]) -> None:
    """Whether the JSON part has the form that its format demands."""
    run, step, lr = meta["run"], meta["step"], meta["lr"]
    if not isinstance(run, dict):
        raise ValueError("its JSON part has another form")
    if type(step) is not int or step < 1:
        raise ValueError(f"its step is {step!r}")
    if type(lr) is not float or not (math.isfinite(lr) and lr > 0):
        raise ValueError(f"its learning rate is {lr!r}")


def _array(archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray[Any, Any]:
    """One stored array, if it is finite and of the size, shape and dtype that it must have."""
    expected = math.prod(shape) * dtype.itemsize
    # The stated size bounds what is read: an archive that unpacks to far more than its own size is refused.
    if archive.getinfo(f"{name}.npy").file_size > expected + HEADER:
        raise ValueError(f"{name} is larger than {expected} bytes")
    with archive.open(f"{name}.npy") as stream:
        array = np.lib.format.read_array(stream, allow_pickle=False)
        if stream.read(1):  # reading to the end also checks the checksum
            raise ValueError(f"{name} is followed by other data")
    if array.shape != shape or array.dtype != dtype:
        raise ValueError(f"{name} has shape {array.shape} and dtype {array.dtype}, not {shape} and {dtype}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} is not finite")
    return np.asarray(array)
