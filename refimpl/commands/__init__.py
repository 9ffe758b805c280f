"""Subcommands of ``refimpl``, one a module, and how their errors end: one line and an exit status."""

from __future__ import annotations

import sys
from typing import Any, NoReturn

import click

from refimpl import __version__
from refimpl.commands.check import check
from refimpl.commands.info import info
from refimpl.commands.kernel import kernel
from refimpl.commands.vectors import vectors

NOTES = """
\b
Examples:
  refimpl check mypackage.adapter:Candidate --digits 10
  refimpl kernel inputs.csv --activation tanh --out K.npy
  refimpl vectors list --flag antipodal

\b
Exit status:
  0    done; for `check`: all digits are there
  1    the answer is no: digits are missing (check), a file is invalid or no case is found (vectors)
  2    nothing was done: wrong usage or input, a missing package, an accuracy that cannot be had
  3    an error that refimpl did not expect, which is a defect of it
  130  interrupted

Errors are one line on stderr. An output file is there as a whole or not at all, and one that exists is overwritten
only with --force.
"""

EXPECTED = (ValueError, TypeError, ArithmeticError, OSError, ImportError, MemoryError)
"""What the library raises for input that it cannot take."""


class Failure(Exception):
    """An expected error, and the command that it ends."""

    def __init__(self, error: Exception, command: str) -> None:
        super().__init__(str(error) or type(error).__name__)
        self.command = command


class CommandLine(click.Group):
    """A group whose errors are one line on stderr, without a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the subcommand; its errors carry its name."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:  # the reader has had enough; click ends without a word
            raise
        except EXPECTED as error:
            raise Failure(error, " ".join(filter(None, [ctx.command_path, ctx.invoked_subcommand]))) from error

    def main(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Run, and exit."""
        kwargs["standalone_mode"] = False
        try:
            status = super().main(*args, **kwargs)
        except click.Abort:
            _stop("interrupted", 130)
        except click.ClickException as error:
            context = getattr(error, "ctx", None)
            _stop(error.format_message(), error.exit_code, "refimpl" if context is None else context.command_path)
        except Failure as error:
            _stop(str(error), 2, error.command)
        except Exception as error:
            _stop(f"unexpected error, please report it: {type(error).__name__}: {error}", 3)
        sys.exit(status if isinstance(status, int) else 0)


def _stop(message: str, status: int, command: str = "refimpl") -> NoReturn:
    click.echo(f"{command}: {' '.join(message.split())}", err=True)
    sys.exit(status)


@click.group(
    cls=CommandLine,
    epilog=NOTES,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(__version__, prog_name="refimpl")
@click.pass_context
def refimpl(context: click.Context) -> None:
    """Ground truth for Neural ODEs in the neural-tangent-kernel regime."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help(), err=True)
        context.exit(2)


for _command in (check, kernel, vectors, info):
    refimpl.add_command(_command)
