"""``refimpl vectors``: the golden vectors, listed, shown, regenerated and validated."""

from __future__ import annotations

import difflib
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import click

from refimpl._words import counted
from refimpl.commands.check import selection
from refimpl.commands.output import progress
from refimpl.conformance import cases

MAX_BYTES = 1 << 26
"""Of a file that is validated."""

NOTES = f"""
\b
Examples:
  refimpl vectors list --quantity ntk --flag float32
  refimpl vectors show tanh-ode-tiny
  refimpl vectors regenerate --out vectors --jobs 2
  refimpl vectors validate mine.json

Files of more than {MAX_BYTES >> 20} MiB are not validated.
"""


@click.group(epilog=NOTES)
def vectors() -> None:
    """The golden vectors: inputs and answers in exact decimals."""


@vectors.command("list")
@selection(multiple=False)
@click.pass_context
def list_(context: click.Context, quantity: str | None, flag: str | None, activation: str | None) -> None:
    """Print id, flags and comment of the cases, separated by tabs."""
    chosen = cases(quantity, flag, activation)
    for case in chosen:
        click.echo(f"{case.id}\t{','.join(case.flags)}\t{case.comment}")
    if not chosen:
        click.echo(f"{context.command_path}: no case has all of these", err=True)
        context.exit(1)


@vectors.command()
@click.argument("id")
def show(id: str) -> None:
    """Print the case ID in JSON, as it stands in its file: a part of a file, which `validate` does not take."""
    from refimpl.conformance.vectors import FOLDER

    known = {case.id: case for case in cases()}
    if id not in known:
        close = difflib.get_close_matches(id, known, 1)
        raise click.UsageError(f"there is no case {id!r}" + (f"; did you mean {close[0]}?" if close else ""))
    case = known[id]
    content = json.loads((FOLDER / f"{case.settings.activation}-{case.kind}.json").read_text(encoding="utf-8"))
    [found] = [part for part in content["cases"] if part["id"] == id]
    click.echo(json.dumps(found, indent=1, ensure_ascii=False))


@vectors.command()
@click.option("--out", type=click.Path(path_type=Path), metavar="DIR", help="Default: the vectors of the package.")
@click.option("--jobs", type=click.IntRange(1, 256), default=2, show_default=True, help="Processes.")
@click.option("--force", is_flag=True, help="Overwrite files that exist.")
def regenerate(out: Path | None, jobs: int, force: bool) -> None:
    """Compute all cases anew, in multiple precision (minutes); the same bytes come out."""
    try:
        import mpmath  # noqa: F401
    except ModuleNotFoundError as error:
        raise ImportError("the vectors are made with mpmath: pip install 'refimpl[oracle]'") from error
    from refimpl.conformance.generate import FOLDER, generate
    from refimpl.conformance.suite import by_file

    folder = FOLDER if out is None else out
    if folder.exists() and not folder.is_dir():
        raise click.UsageError(f"{folder}: exists and is no folder")
    here = next(part for part in (folder.resolve(), *folder.resolve().parents) if part.exists())
    if not os.access(here, os.W_OK | os.X_OK):
        raise click.UsageError(f"{folder}: {here} is not writable")
    targets = [folder / f"{activation}-{kind}.json" for activation, kind, _ in by_file()]
    existing = [path for path in targets if path.exists()]
    if existing and not force:
        raise click.UsageError(f"{existing[0]}: exists; --force overwrites it")
    with progress("cases") as bar, _interruptible():
        written = generate(folder, jobs, bar)
    click.echo(f"{counted(len(written), 'file')} in {folder}, {sum(path.stat().st_size for path in written)} bytes")


@contextmanager
def _interruptible() -> Iterator[None]:
    """Ctrl-C ends the processes that compute as well, which else would finish their cases first."""

    def stop(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
        for process in multiprocessing.active_children():
            process.terminate()
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, stop)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@vectors.command()
@click.argument("files", nargs=-1, type=click.Path(path_type=Path), metavar="[FILE]…")
@click.pass_context
def validate(context: click.Context, files: tuple[Path, ...]) -> None:
    """Check FILEs (default: those of the package) against the schema, and what it cannot say."""
    from refimpl.conformance.validation import validate as check_file
    from refimpl.conformance.vectors import FOLDER

    wrong = 0
    for path in files or sorted(FOLDER.glob("*.json")):
        if path.exists() and not path.is_file():
            raise click.UsageError(f"{path}: is no file")
        if path.exists() and path.stat().st_size > MAX_BYTES:
            raise click.UsageError(f"{path}: has more than {MAX_BYTES >> 20} MiB, the most that is read")
        try:
            check_file(path)
        except OSError as error:
            raise click.UsageError(f"{path}: {error.strerror or error}") from error
        except ImportError:
            raise
        except Exception as error:  # what strange JSON may raise beyond the schema is an error of the file
            wrong += 1
            click.echo(" ".join(f"{context.command_path}: {error}".split()), err=True)
        else:
            click.echo(f"{path}: valid")
    context.exit(1 if wrong else 0)
