"""Regenerates the golden vectors: `python -m refimpl.conformance.generate [--out DIR] [--jobs 2]`."""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

from refimpl._words import counted
from refimpl.conformance.inputs import Entry
from refimpl.conformance.suite import by_file, entries

FOLDER = Path(__file__).parent / "vectors"
"""Where the vectors of the package are."""


def generate(
    directory: str | Path = FOLDER, jobs: int = 2, progress: Callable[[int, int], None] | None = None
) -> tuple[Path, ...]:
    """Compute all golden vectors, and write them when all are there. The same bytes come out every time.

    Parameters
    ----------
    directory : path
        Made if it does not exist. Files of the same names are replaced, one at a time and each as a whole.
    jobs : int
        Number of processes.
    progress : callable or None
        Called with the number of cases that are done and that of all, after every case.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    ValueError
        `jobs` is less than 1.
    ModuleNotFoundError
        mpmath is not installed; it comes with the extra `oracle`.
    """
    if jobs < 1:
        raise ValueError(f"jobs must be at least 1; got {jobs}")
    everything, cases = entries(), dict[str, dict[str, Any]]()
    executor = ProcessPoolExecutor(jobs)
    try:
        for case in executor.map(build, everything):
            cases[case["id"]] = case
            if progress is not None:
                progress(len(cases), len(everything))
    finally:
        executor.shutdown(cancel_futures=True)
    return write(directory, cases)


def build(entry: Entry) -> dict[str, Any]:
    """A case as it stands in its file."""
    try:
        from refimpl.conformance.answers import expected
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("the vectors are made with mpmath: pip install 'refimpl[oracle]'") from error
    sigma_u, sigma_w, sigma_v = map(decimal, entry.sigmas)
    settings = {"horizon": decimal(entry.horizon), "sigma_u": sigma_u, "sigma_w": sigma_w, "sigma_v": sigma_v}
    arrays = {"U": entry.U, "W": entry.W, "v": entry.v, "X": entry.X}
    return {
        "id": entry.id,
        "comment": entry.comment,
        "flags": list(entry.flags),
        "dtype": entry.dtype,
        "settings": settings | ({} if entry.depth is None else {"depth": entry.depth}),
        **{name: _decimals(A) for name, A in arrays.items() if A is not None},
        "expected": expected(entry),
    }


def write(directory: str | Path, cases: dict[str, dict[str, Any]]) -> tuple[Path, ...]:
    """Write the files of the suite from its cases, by id."""
    folder, written = Path(directory), []
    folder.mkdir(parents=True, exist_ok=True)
    for activation, kind, part in by_file():
        head = {"format": 1, "activation": activation, "kind": kind, "oracle": "mpmath, 50 digits"}
        written.append(folder / f"{activation}-{kind}.json")
        _replace(written[-1], text(head, [cases[entry.id] for entry in part]))
    return tuple(written)


def text(head: dict[str, Any], cases: Iterable[dict[str, Any]]) -> str:
    """JSON with a line for every member of a case and for every quantity, so that differences can be read."""

    def member(name: str, value: Any, indent: str) -> str:
        if name == "expected":
            inner = ",\n".join(member(key, part, indent + "  ") for key, part in value.items())
            return f'{indent}"expected": {{\n{inner}\n{indent}}}'
        return f"{indent}{json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}"

    top = [member(name, value, "  ") for name, value in head.items()]
    body = ["    {\n" + ",\n".join(member(*pair, "      ") for pair in case.items()) + "\n    }" for case in cases]
    return "{\n" + ",\n".join(top) + ',\n  "cases": [\n' + ",\n".join(body) + "\n  ]\n}\n"


def decimal(z: float) -> str:
    """All decimals of a float.

    Examples
    --------
    >>> decimal(-0.75), decimal(32.0), decimal(0.1)
    ('-0.75', '32', '0.1000000000000000055511151231257827021181583404541015625')
    """
    return format(Decimal(z).normalize() + 0 if z == int(z) else Decimal(z), "f")


def _decimals(A: Any) -> Any:
    return [_decimals(part) for part in A] if isinstance(A, tuple) else decimal(A)


def _replace(path: Path, content: str) -> None:
    """Write a file as a whole or not at all."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as file:
            file.write(content)
        os.chmod(temporary, 0o644)  # mkstemp keeps its files private
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(prog="python -m refimpl.conformance.generate", description=__doc__)
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder to write to (default: that of the package)")
    parser.add_argument("--jobs", type=int, default=2, help="number of processes (default: 2)")
    options = parser.parse_args(arguments)
    if options.jobs < 1:
        parser.error("--jobs must be at least 1")

    def progress(done: int, total: int) -> None:
        print(f"\r{done} of {total} cases", end="\n" if done == total else "", file=sys.stderr, flush=True)

    written = generate(options.out, options.jobs, progress if sys.stderr.isatty() else None)
    print(f"{counted(len(written), 'file')} in {options.out}, {sum(path.stat().st_size for path in written)} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
