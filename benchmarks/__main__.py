"""``python -m benchmarks``: how accurate other libraries are, and how fast this package is beside them."""

import argparse
import importlib
import importlib.util
import os
import sys
from pathlib import Path

LIBRARIES = ("diffrax", "torchdiffeq", "torchode")
HELP = {
    "gradient": "time and error of the gradient, by this package and its peers",
    "ntk": "time, error and memory of the tangent kernel, by this package and its peers",
    "limit": "time and error of the infinitely wide network's kernels",
    "train": "time of a step of gradient descent, by this package and its peers",
    "growth": "time and memory against width, inputs, horizon and digits",
    "profile": "what a gradient of this package spends its time on",
    "accuracy": "requested tolerance against digits obtained, of every library",
    "all": "all of these but accuracy, one after the other",
}
SPEED = tuple(name for name in HELP if name not in ("accuracy", "all"))


def main(arguments=None):
    given = parser().parse_args(arguments)
    try:
        given.run(given)
    except KeyboardInterrupt:
        say("interrupted: of the command that ran nothing is written")
        sys.exit(130)


def parser():
    whole = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="This package against other ODE libraries. Those that are not installed are "
        "left out, and named, unless --peers asks for them.",
        epilog="example: python -m benchmarks gradient --sizes 512x64 --peers diffrax",
    )
    commands = whole.add_subparsers(dest="command", required=True)
    for name, summary in HELP.items():
        command = commands.add_parser(name, help=summary, description=_described(name))
        command.set_defaults(run={"accuracy": accuracy, "all": everything}.get(name, speed))
        command.add_argument("--quick", action="store_true", help="small, in seconds: shows that it works")
        command.add_argument(
            "--out", type=_folder, default="benchmark-results", metavar="DIR", help="folder to write to (%(default)s)"
        )
        if name != "accuracy":
            command.add_argument("--turns", type=_count, default=7, metavar="K", help="times to measure (%(default)s)")
        if name in ("gradient", "ntk", "train", "all"):
            command.add_argument(
                "--peers", nargs="*", choices=LIBRARIES, metavar="NAME",
                help=f"compare with these, of {', '.join(LIBRARIES)} (all that are there); without a name with none",
            )  # fmt: skip
        if name in ("gradient", "ntk", "profile", "all"):
            command.add_argument("--sizes", type=_sizes, metavar="nxN,…", help="as 512x64,2048x128")
        if name in ("gradient", "ntk", "all"):
            command.add_argument(
                "--rtol", type=_counts, metavar="4,5,…", help="tolerances 1e-4, 1e-5, …, tried in this order (4 to 12)"
            )
        if name == "limit":
            command.add_argument("--sphere", type=_count, metavar="N", help="inputs of one norm (5000)")
            command.add_argument("--norms", type=_count, metavar="N", help="inputs of different norms (1000)")
            command.add_argument("--depths", type=_counts, metavar="L,…", help="layers, doubled (125,250,500,1000)")
        if name == "train":
            command.add_argument("--size", type=_size, metavar="nxN", help="as 1024x64")
            command.add_argument("--steps", type=_count, metavar="K", help="steps of a run (10)")
    return whole


def _described(name):
    if name == "all":
        return f"Does what {', '.join(SPEED[:-1])} and {SPEED[-1]} do, each with those of the options that it has."
    writes = "scoreboard.json" if name == "accuracy" else f"speed-{name}.json, speed-{name}.txt"
    figure = " and scoreboard.svg" if name == "accuracy" else ""
    if name in ("gradient", "ntk", "growth"):
        figure = f" and speed-{name}.svg"
    return f"Prints a table; writes {writes}{figure}."


def everything(given):
    """The commands of speed in turn, each with what was given of its own options."""
    wanted = {name: value for name, value in vars(given).items() if name not in ("command", "run")}
    for command in SPEED:
        own = vars(parser().parse_args([command]))
        speed(argparse.Namespace(**own | {name: value for name, value in wanted.items() if name in own}))
        print()


def accuracy(given):
    from benchmarks import accuracy

    results = accuracy.run(accuracy.QUICK if given.quick else accuracy.EXPONENTS, say)
    print(accuracy.table(results))
    print(*accuracy.write(results, given.out), sep="\n")


def speed(given):
    """Run the module of the command's name: its `measure` returns results, its `table` prints them."""
    from benchmarks import output, peers, timing  # only now that the arguments are known to be right: it takes seconds

    command = importlib.import_module(f"benchmarks.{given.command}")
    try:
        results = command.measure(given, timing.QUICK if given.quick else timing.Plan(turns=given.turns), say)
    except peers.AbsentPeerError as error:
        parser().error(str(error))
    text = command.table(results)
    print(text)
    print(*output.write(results, text, given.out), sep="\n")


def say(message):
    print(message, file=sys.stderr, flush=True)


def _folder(text):
    """A place to write to, known to be one before hours are spent."""
    place = Path(text)
    nearest = next(each for each in (place, *place.parents) if each.exists())
    if not (nearest.is_dir() and os.access(nearest, os.W_OK)):
        raise argparse.ArgumentTypeError(f"{text!r} is no folder that can be written to")
    return text


def _count(text):
    (count,) = _counts(text, None)
    return count


def _counts(text, separator=","):
    parts = text.split(separator) if separator else [text]
    if not all(part.isdecimal() and int(part) > 0 for part in parts):
        raise argparse.ArgumentTypeError(f"{text!r} has a part that is no positive number")
    return tuple(map(int, parts))


def _size(text):
    """512x64 as (512, 64)."""
    size = _counts(text, "x")
    if len(size) != 2:
        raise argparse.ArgumentTypeError(f"{text!r} is not of the form 512x64")
    return size


def _sizes(text):
    return tuple(map(_size, text.split(",")))


if __name__ == "__main__":
    main()
