"""``python -m verification [STATEMENT …] [--full] [--seed S] [--jobs N] [--out DIR] [--resume | --fresh]``."""

from __future__ import annotations

import os
import signal
import sys

if __name__ == "__main__" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Before anything that takes a while to import. KeyboardInterrupt would not do: a module that is being imported
    # may turn it into another error.
    signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"interrupted\n"), os._exit(130)))

if __name__ == "__main__":
    # Before NumPy is imported. The matrices are small, and a BLAS of several threads sums in another order on another
    # machine, and waits for itself where another process has a core. Who knows better sets these variables.
    for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "OMP_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

import argparse
from collections.abc import Sequence
from pathlib import Path

NOTES = """\
The directory DIR holds report.html, report.json and the figures. A report has one seed, one size and one version of
refimpl. Statements that are not named keep the results that an earlier run left in DIR if these agree, and the report
says when each was run and what else was different then; a statement that is named keeps its old result until the new
one is there. If they do not agree, nothing is run: choose another DIR, or --fresh to start anew.

Whatever is named is run, and everything if nothing is. --resume leaves out what has a verdict in DIR: an interrupted
run is finished by its own command with --resume.

exit status: 0 all statements ran (whatever the verdicts); 1 one raised, or its independent roads disagree, or the
report could no longer be written; 2 wrong usage; 130 interrupted (the report holds what finished)"""


def main(arguments: Sequence[str] | None = None, *, package: str = "verification.statements") -> int:
    """Run the command line and return the exit status; `package` holds the statement modules."""
    parser = argparse.ArgumentParser(
        prog="python -m verification", epilog=NOTES, formatter_class=argparse.RawDescriptionHelpFormatter,
        description="Run the paper's statements and report a verdict on each, with its numbers and a figure.",
    )  # fmt: skip
    parser.add_argument("statements", nargs="*", metavar="STATEMENT", help="ids as --list prints them; default: all")
    parser.add_argument("--full", action="store_true", help="large experiments (default: quick ones, of seconds)")
    parser.add_argument("--seed", type=_seed, default=0, metavar="S", help="integer ≥ 0 (default: 0)")
    parser.add_argument(
        "--jobs", type=_jobs, metavar="N", help="statements that run at a time (default: one on each core)"
    )
    parser.add_argument(
        "--out", type=Path, default=Path("verification-report"), metavar="DIR", help="default: ./verification-report"
    )
    kept = parser.add_mutually_exclusive_group()
    kept.add_argument("--resume", action="store_true", help="run only what has no verdict in DIR yet")
    kept.add_argument("--fresh", action="store_true", help="forget what earlier runs left in DIR")
    parser.add_argument("--list", action="store_true", help="print the ids and titles, and stop")
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal without Greek letters still gets its lines
    options = parser.parse_args(arguments)

    from verification.environment import MissingExtraError, require_extra, usable_cpus

    try:
        require_extra()
    except MissingExtraError as error:
        return _refuse(str(error))

    from verification.catalogue import UnknownStatementError, available, load, select
    from verification.plain import plain
    from verification.runner import UnwritableError, verify
    from verification.store import OtherReportError

    try:
        ids = select(options.statements, available(package))
    except UnknownStatementError as error:
        return _refuse(str(error))
    except ImportError as error:
        return _refuse(str(error), status=1)
    if not ids:
        return _refuse(f"{package} holds no statement")
    if options.list:
        status = 0
        for id in ids:
            try:
                statement = load(id, package)
            except Exception as error:
                status = _refuse(f"{id} cannot be loaded: {type(error).__name__}: {error}", status=1)
            else:
                print(f"{id:<10} {statement.place}: {plain(statement.title)}")
        return status
    try:
        run = verify(
            ids, seed=options.seed, full=options.full, out=options.out, fresh=options.fresh,
            resume=options.resume, jobs=options.jobs or usable_cpus(), package=package,
        )  # fmt: skip
    except OtherReportError as error:
        return _refuse(f"{error}; choose another --out, or --fresh to discard it")
    except UnwritableError as error:
        return _refuse(f"--out {options.out} cannot be written: {error}")
    except OSError as error:
        return _refuse(f"the report could no longer be written, and stays as it was before: {error}", status=1)
    except KeyboardInterrupt:  # pressed again before the report was written
        return _refuse("interrupted", status=130)
    if run.interrupted:
        finished = any(outcome.result is not None for outcome in run.outcomes)
        what = f"{options.out / 'report.html'} holds what finished" if finished else "no statement had finished"
        print(f"interrupted; {what}; the same command with --resume runs the rest", file=sys.stderr)
    elif not run.outcomes:
        print(f"nothing is left to run; {options.out / 'report.html'}")
    else:
        print(options.out / "report.html")
    return run.exit_code


def _refuse(message: str, status: int = 2) -> int:
    print(f"python -m verification: {' '.join(message.split())}", file=sys.stderr)
    return status


def _seed(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise argparse.ArgumentTypeError(f"must be an integer ≥ 0, got {text!r}")
    return int(text)


def _jobs(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text)):
        raise argparse.ArgumentTypeError(f"must be an integer ≥ 1, got {text!r}")
    return int(text)


if __name__ == "__main__":
    try:
        status = main()
        sys.stdout.flush()
    except BrokenPipeError:  # the reader, head perhaps, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 1
    sys.stderr.flush()
    os._exit(status)  # Ctrl-C has no say any more; sys.exit would end by the signal where it met compiled code
