"""The command ``refimpl``, from the extra ``cli``; its subcommands are in `refimpl.commands`."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status.

    Parameters
    ----------
    arguments : sequence of str, optional
        Default: those of the process.

    Examples
    --------
    >>> main(["--version"])
    refimpl, version 0.1.0
    0
    """
    try:
        import click  # noqa: F401

        from refimpl.commands import refimpl
    except ModuleNotFoundError as error:
        if error.name != "click":
            raise
        print("refimpl: the command line needs click: pip install 'refimpl[cli]'", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("refimpl: interrupted", file=sys.stderr)
        return 130
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters still gets its lines
    try:
        refimpl.main(arguments, prog_name="refimpl")
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else 0
    return 0


if __name__ == "__main__":
    sys.exit(main())
