"""Files that are written as a whole or not at all, and progress on a terminal."""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click

Progress = Callable[[int, int], None]
"""Called with what is done, and what there is to do."""


def check_target(path: Path, suffixes: Sequence[str], force: bool) -> None:
    """Refuse, before any work is done, an output that could not be written after it.

    Raises
    ------
    click.ClickException
        Another suffix; no folder to write to; a file that exists, without `force`; anything but a file.
    """
    if suffixes and path.suffix.lower() not in suffixes:
        raise click.UsageError(f"{path}: the output must end in {' or '.join(suffixes)}")
    if not path.parent.is_dir():
        raise click.UsageError(f"{path}: there is no folder {path.parent}")
    if not os.access(path.resolve().parent, os.W_OK | os.X_OK):
        raise click.UsageError(f"{path}: {path.resolve().parent} is not writable")
    if not os.path.lexists(path):
        return
    if path.is_dir() or (path.exists() and not path.is_file()):  # a device is not to be replaced by a file
        raise click.UsageError(f"{path}: exists and is no file")
    if not force:
        raise click.UsageError(f"{path}: exists; --force overwrites it")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary file beside `path`, of the same suffix, that becomes it at the end of the block without an error."""
    path = path.resolve()  # what a link points to is replaced, not the link
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.stem}-", suffix=path.suffix)
    temporary = Path(name)
    try:
        os.close(handle)
        yield temporary
        os.chmod(temporary, _mode(path))
        os.replace(temporary, path)
    except BaseException:  # an interrupt too
        temporary.unlink(missing_ok=True)
        raise


def _mode(path: Path) -> int:
    """Permissions of the file that is replaced, or those of a new one: mkstemp keeps its files private."""
    if path.exists():
        return stat.S_IMODE(path.stat().st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


@contextmanager
def progress(label: str) -> Iterator[Progress | None]:
    """A progress bar on stderr, or None where that is no terminal."""
    if not sys.stderr.isatty():
        yield None
        return
    with click.progressbar(length=1, label=label, file=sys.stderr) as bar:

        def update(done: int, total: int) -> None:
            bar.length = total
            bar.update(done - bar.pos)

        yield update
