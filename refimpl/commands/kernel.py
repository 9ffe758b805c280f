"""``refimpl kernel``: K_∞ of the inputs in a file, or as a curve over ρ."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import click
import numpy as np

from refimpl.activations import BUILTIN
from refimpl.backend import overflow_is_checked
from refimpl.commands.inputs import MAX_CSV_BYTES, MAX_ENTRIES, MAX_ROWS, read_inputs
from refimpl.commands.output import Progress, check_target, progress, replacing
from refimpl.infinite.kernel import Limit
from refimpl.network import NeuralODE
from refimpl.quadrature import Host
from refimpl.solvers import Euler, Gauss, Solver

SUFFIXES = (".csv", ".npy", ".png")
MAX_POINTS = 100_000
BLOCK = 8
"""Rows of the kernel at a time where each pair is solved for: few enough for a bar to move."""

NOTES = f"""
\b
Examples:
  refimpl kernel inputs.csv --activation tanh --horizon 2 --out K.csv
  refimpl kernel inputs.npy --depth 8 --out K.npy --out K.png
  refimpl kernel --curve --points 201 --activation relu --out curve.csv

INPUT is a CSV file (numbers separated by commas, a row for each input; a first line of which no cell starts like a
number is taken for the names of the columns) or an NPY file of float64, float32 or integers. At most {MAX_ROWS} rows,
{MAX_ENTRIES} numbers, and {MAX_CSV_BYTES >> 20} MiB of CSV are read; pickled objects never are.

Activations: {", ".join(BUILTIN)}.

The variance of h_t grows with the product of --horizon and --sigma-w, and the accuracy cannot be had where it is too
large; --horizon 4 is within reach of all but quadratic, with the other options as they are. The quadratic kernel ends
at a horizon of 1.93.

A CSV output holds all 17 digits: K a row a line without names, a curve the columns rho and kernel under their names.
An NPY output has shape (N, N), or (POINTS, 2).
"""


def _positive(context: click.Context, parameter: click.Parameter, value: float) -> float:
    if not (0 < value < float("inf")):
        raise click.BadParameter(f"{value} is not positive and finite")
    return value


@click.command(epilog=NOTES)
@click.argument("input", required=False, type=click.Path(path_type=Path))
@click.option("--curve", is_flag=True, help="K_∞ as a function of ρ on a sphere, in place of an INPUT.")
@click.option(
    "--points",
    type=click.IntRange(2, MAX_POINTS),
    default=201,
    show_default=True,
    help="Of the curve, from ρ = −1 to 1.",
)
@click.option("--radius", type=float, default=1.0, callback=_positive, show_default=True, help="Norm of its inputs.")
@click.option("--activation", type=click.Choice(sorted(BUILTIN)), default="softplus", show_default=True, metavar="NAME")
@click.option("--horizon", type=float, default=1.0, callback=_positive, show_default=True, help="T.")
@click.option("--sigma-u", type=float, default=1.0, callback=_positive, show_default=True)
@click.option("--sigma-w", type=float, default=1.0, callback=_positive, show_default=True)
@click.option("--sigma-v", type=float, default=1.0, callback=_positive, show_default=True)
@click.option("--depth", type=click.IntRange(1, 10_000), help="Of a ResNet with shared weights; default: the ODE.")
@click.option(
    "--rtol",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Accuracy, relative; default: 1e-12, or 1e-9 for relu, leaky_relu and elu. Not with --depth.",
)
@click.option("--nngp", is_flag=True, help="The NNGP kernel in place of the tangent kernel.")
@click.option(
    "--out", "outputs", required=True, multiple=True, type=click.Path(path_type=Path), help=".csv, .npy or .png."
)
@click.option("--force", is_flag=True, help="Overwrite outputs that exist.")
def kernel(
    input: Path | None,
    curve: bool,
    points: int,
    radius: float,
    activation: str,
    horizon: float,
    sigma_u: float,
    sigma_w: float,
    sigma_v: float,
    depth: int | None,
    rtol: float | None,
    nngp: bool,
    outputs: tuple[Path, ...],
    force: bool,
) -> None:
    """The kernel K_∞ of the infinitely wide network, of the rows of INPUT or as a curve."""
    if curve == (input is not None):
        raise click.UsageError("either INPUT or --curve is needed" + (", not both" if curve else ""))
    context = click.get_current_context()
    for name in ("points", "radius"):
        if not curve and context.get_parameter_source(name) is not click.core.ParameterSource.DEFAULT:
            raise click.UsageError(f"--{name} is of the curve: it goes with --curve, not with INPUT")
    if depth is not None and rtol is not None:
        raise click.UsageError("--rtol is of the ODE: a ResNet, --depth, is solved to rounding")
    for path in outputs:
        check_target(path, SUFFIXES, force)
        if input is not None and input.exists() and path.exists() and path.samefile(input):
            raise click.UsageError(f"{path}: is the input")
    limit = NeuralODE(activation, horizon, sigma_u, sigma_w, sigma_v).limit(_solver(depth, rtol))
    if input is None:
        values = _curve(limit, points, radius, nngp)
    else:
        X = read_inputs(input)
        try:
            with progress("kernel") as bar:
                values = gram(limit, X, nngp, bar)
        except (ValueError, ArithmeticError) as error:  # of these inputs: it helps to know which file they are from
            raise click.UsageError(f"{input}: {error}") from error
    which, layers = "NNGP" if nngp else "K_∞", "" if depth is None else f", L = {depth}"
    name = f"{which}{layers}, {activation}, T = {horizon:g}"
    for path in outputs:
        with replacing(path) as temporary, temporary.open("wb") as file:
            _WRITERS[path.suffix.lower()](file, values, curve, name)


def _solver(depth: int | None, rtol: float | None) -> Solver | None:
    if depth is not None:
        return Euler(depth)
    return None if rtol is None else Gauss(rtol=rtol)


def gram(limit: Limit, X: Host, nngp: bool, bar: Progress | None = None) -> Host:
    """The kernel of all pairs of rows, symmetric; a few rows at a time where every pair is solved for by itself."""
    evaluate: Callable[..., Any] = limit.nngp if nngp else limit.ntk
    with overflow_is_checked():  # norms that are too large are refused by `evaluate`
        norms = np.linalg.norm(X, axis=1)
    one_norm = limit.net.phi.homogeneous or norms.max() <= norms.min() * (1 + 1e-12)
    if one_norm or len(X) <= 2 * BLOCK:
        return np.asarray(evaluate(X))
    K, total = np.zeros((len(X), len(X))), len(X) * (len(X) + 1) // 2
    for first in range(0, len(X), BLOCK):
        K[first : first + BLOCK, first:] = evaluate(X[first : first + BLOCK], X[first:])
        if bar is not None:
            left = max(len(X) - first - BLOCK, 0)
            bar(total - left * (left + 1) // 2, total)
    return np.triu(K) + np.triu(K, 1).T


def _curve(limit: Limit, points: int, radius: float, nngp: bool) -> Host:
    rho = np.linspace(-1.0, 1.0, points)
    if not nngp:
        return np.column_stack([rho, limit.on_sphere(radius)(rho)])
    X = radius * np.column_stack([rho, np.sqrt((1 - rho) * (1 + rho))])
    return np.column_stack([rho, limit.nngp(np.asarray([[radius, 0.0]]), X)[0]])


def _write_csv(file: IO[bytes], values: Host, curve: bool, name: str) -> None:
    if curve:
        file.write(b"rho,kernel\n")
    for row in values.tolist():
        file.write((",".join(map(repr, row)) + "\n").encode())


def _write_npy(file: IO[bytes], values: Host, curve: bool, name: str) -> None:
    np.lib.format.write_array(file, np.ascontiguousarray(values), allow_pickle=False)


def _write_png(file: IO[bytes], values: Host, curve: bool, name: str) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError("a PNG needs matplotlib: pip install 'refimpl[plot]'") from error
    figure = Figure(layout="constrained")
    axes = figure.subplots()
    if curve:
        axes.plot(*values.T)
        axes.set(xlabel="ρ", ylabel="kernel", title=name)
    else:
        image = axes.imshow(values, cmap="viridis")
        axes.set(xlabel="input", ylabel="input", title=name)
        figure.colorbar(image, ax=axes, label="kernel")
    figure.savefig(file, format="png", dpi=150)


_WRITERS: dict[str, Callable[[IO[bytes], Host, bool, str], None]] = {
    ".csv": _write_csv,
    ".npy": _write_npy,
    ".png": _write_png,
}
