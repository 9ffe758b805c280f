"""``python -m verification [STATEMENT …] [--full] [--seed S] [--out DIR]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from verification.environment import MissingExtraError, require_extra

EXIT_CODES = """\
exit status: 0 all statements ran (whatever the verdicts); 1 one raised, or its independent roads disagree;
2 wrong usage; 130 interrupted (the report holds what finished)"""


def main(arguments: Sequence[str] | None = None, *, package: str = "verification.statements") -> int:
    """Run the command line and return the exit status; `package` holds the statement modules."""
    parser = argparse.ArgumentParser(
        prog="python -m verification", epilog=EXIT_CODES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run the paper's statements and report a verdict on each, with its numbers and a figure.",
    )  # fmt: skip
    parser.add_argument("statements", nargs="*", metavar="STATEMENT", help="ids as --list prints them; default: all")
    parser.add_argument("--full", action="store_true", help="large experiments (default: quick ones, of seconds)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="S", help="integer ≥ 0 (default: 0)")
    parser.add_argument(
        "--out", type=Path, default=Path("verification-report"), metavar="DIR", help="default: ./verification-report"
    )
    parser.add_argument("--list", action="store_true", help="print the ids and titles, and stop")
    options = parser.parse_args(arguments)
    try:
        require_extra()
    except MissingExtraError as error:
        parser.error(str(error))

    from verification.catalogue import UnknownStatementError, available, load, select
    from verification.runner import verify

    try:
        ids = select(options.statements, available(package))
    except UnknownStatementError as error:
        parser.error(str(error))
    if not ids:
        parser.error(f"{package} holds no statement")
    if options.list:
        for id in ids:
            statement = load(id, package)
            print(f"{id:<10} {statement.place}: {statement.title}")
        return 0
    try:
        run = verify(ids, seed=options.seed, full=options.full, out=options.out, package=package)
    except OSError as error:
        parser.error(f"--out {options.out} cannot be written: {error}")
    print(options.out / "report.html")
    return run.exit_code


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"must be an integer ≥ 0, got {text!r}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
