"""``refimpl check``: how many digits of a candidate are right."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from refimpl.activations import BUILTIN
from refimpl.commands.output import check_target, progress, replacing
from refimpl.conformance import FLAGS, QUANTITIES

Function = TypeVar("Function", bound=Callable[..., Any])

NOTES = f"""
\b
Examples:
  refimpl check mypackage.adapter:Candidate
  refimpl check mypackage.adapter
  refimpl check adapter:Candidate --quantity ntk --activation relu --digits 6
  refimpl check adapter:Candidate --json scorecard.json --plot scorecard.png

CANDIDATE is a class or an object in the module, or is left out where the module itself has the functions: any of
predict(U, W, v, X, settings), gradient, ntk, resnet_predict, …, plain functions of arrays, as the documentation of
refimpl.conformance.Candidate says.

The current folder can be imported from, as with python -m. --quantity, --flag and --activation may be repeated.

Quantities: {", ".join(QUANTITIES)}.

Flags: {", ".join(FLAGS)}.
"""


def selection(multiple: bool) -> Callable[[Function], Function]:
    """Options that choose among the golden vectors."""

    def decorate(function: Function) -> Function:
        for name, allowed in (("activation", sorted(BUILTIN)), ("flag", list(FLAGS)), ("quantity", list(QUANTITIES))):
            option = click.option(
                f"--{name}",
                type=click.Choice(allowed),
                metavar=name.upper(),
                multiple=multiple,
                help=f"Only the cases of this {name}.",
            )
            function = option(function)
        return function

    return decorate


def _digits(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not 0 < value <= 16:
        raise click.BadParameter("must be above 0, and 16 at most")
    return value


@click.command(epilog=NOTES)
@click.argument("candidate", metavar="PACKAGE.MODULE[:CANDIDATE]")
@selection(multiple=True)
@click.option("--digits", type=float, default=8.0, callback=_digits, show_default=True, help="That must be right.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the scorecard to this file.")
@click.option("--plot", type=click.Path(path_type=Path), help="Draw it to this .png, .pdf or .svg.")
@click.option("--force", is_flag=True, help="Overwrite outputs that exist.")
@click.pass_context
def check(
    context: click.Context,
    candidate: str,
    quantity: tuple[str, ...],
    flag: tuple[str, ...],
    activation: tuple[str, ...],
    digits: float,
    json_file: Path | None,
    plot: Path | None,
    force: bool,
) -> None:
    """Compare a CANDIDATE, an implementation of your own, with the golden vectors."""
    if json_file is not None:
        check_target(json_file, (), force)
    if plot is not None:
        check_target(plot, (".png", ".pdf", ".svg"), force)
        _require_matplotlib()
    from refimpl.conformance.check import check_conformance

    implementation = _load(candidate)
    with progress("cases") as bar:
        scorecard = check_conformance(
            implementation,
            quantities=quantity or None,
            flags=flag or None,
            activations=activation or None,
            digits=digits,
            progress=bar,
        )
    click.echo(str(scorecard))
    if json_file is not None:
        with replacing(json_file) as temporary:
            temporary.write_text(scorecard.to_json(), encoding="utf-8")
    if plot is not None:
        with replacing(plot) as temporary:
            scorecard.plot(temporary)
    context.exit(0 if scorecard.passed else 1)


def _load(candidate: str) -> Any:
    """The candidate; whatever its modules raise is told in a line, since it is not refimpl's error."""
    from refimpl.conformance.check import load

    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        return load(candidate)
    except (Exception, SystemExit) as error:
        raise click.UsageError(f"{candidate} cannot be loaded: {type(error).__name__}: {error}") from error


def _require_matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401
    except ImportError as error:
        raise ImportError("a plot needs matplotlib: pip install 'refimpl[plot]'") from error
