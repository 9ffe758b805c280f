"""``python -m benchmarks``: how accurate other libraries are, and how fast this package is beside them."""

import argparse
import importlib
import importlib.util
import sys

LIBRARIES = ("diffrax", "torchdiffeq", "torchode")
COMPARISONS = {
    "gradient": "time and error of the gradient, by this package and its peers",
    "ntk": "time, error and memory of the tangent kernel, by this package and its peers",
}


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="This package against other ODE libraries. Those that are not installed are named and left out.",
        epilog="example: python -m benchmarks gradient --sizes 512x64 --peers diffrax",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    accuracy = commands.add_parser(
        "accuracy",
        help="requested tolerance against digits obtained",
        description="Prints a table; writes scoreboard.json and scoreboard.svg.",
    )
    accuracy.add_argument("--quick", action="store_true", help="two tolerances instead of ten")
    _out(accuracy)
    for name, summary in COMPARISONS.items():
        command = commands.add_parser(name, help=summary, description=_description(name))
        command.add_argument(
            "--sizes", type=_sizes, metavar="nxN,…", help="widths and numbers of inputs, as 512x64,2048x128"
        )
        command.add_argument("--rtol", type=_counts, metavar="4,5,…", help="tolerances 1e-4, 1e-5, … (4 to 12)")
        _peers(command)
        _timing(command)
        _out(command)
    given = parser.parse_args(arguments)
    # Loaded after the arguments are known to be right: that takes seconds.
    (accuracy_command if given.command == "accuracy" else comparison_command)(given)


def accuracy_command(given):
    from benchmarks import accuracy

    results = accuracy.run(accuracy.QUICK if given.quick else accuracy.EXPONENTS, say)
    print(accuracy.table(results))
    print(*accuracy.write(results, given.out), sep="\n")


def comparison_command(given):
    from benchmarks import comparison

    command = importlib.import_module(f"benchmarks.{given.command}")
    sizes = given.sizes or (comparison.SMALL if given.quick else comparison.SIZES)
    exponents = given.rtol or ((4, 8, 12) if given.quick else comparison.EXPONENTS)
    results = command.run(sizes, exponents, given.peers, plan(given), say)
    label = {"gradient": "∇L", "ntk": r"$K_\theta$"}[given.command]
    finish(results, command.table(results), given.out, lambda *to: _figures().time_against_error(*to, label))


def finish(results, table, folder, draw):
    from benchmarks import output

    print(table)
    print(*output.write(results, table, folder, draw if importlib.util.find_spec("matplotlib") else None), sep="\n")


def plan(given):
    from benchmarks import timing

    return timing.QUICK if given.quick else timing.Plan(turns=given.turns)


def say(message):
    print(message, file=sys.stderr, flush=True)


def _figures():
    return importlib.import_module("benchmarks.figures")


def _description(name):
    return f"Prints a table; writes speed-{name}.json, speed-{name}.txt and, with Matplotlib, speed-{name}.svg."


def _out(command):
    command.add_argument("--out", default="benchmark-results", metavar="DIR", help="folder to write to (%(default)s)")


def _peers(command):
    command.add_argument(
        "--peers",
        nargs="*",
        choices=LIBRARIES,
        default=LIBRARIES,
        help="libraries to compare with (all); none: no name",
    )


def _timing(command):
    command.add_argument(
        "--quick", action="store_true", help="small, and in seconds: shows that it works, measures little"
    )
    command.add_argument("--turns", type=int, default=7, metavar="K", help="how often to measure (%(default)s)")


def _sizes(text):
    """512x64,2048x128 as ((512, 64), (2048, 128))."""
    sizes = tuple(_counts(size, "x") for size in text.split(","))
    if any(len(size) != 2 for size in sizes):
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 512x64,2048x128")
    return sizes


def _counts(text, separator=","):
    parts = text.split(separator)
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} has a part that is no positive number")
    return tuple(map(int, parts))


if __name__ == "__main__":
    main()
