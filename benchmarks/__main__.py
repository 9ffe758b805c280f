"""``python -m benchmarks accuracy``: how many digits each library gives for the tolerance it was asked for."""

import argparse
import sys


def main(arguments=None):
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="This package against other ODE libraries.",
        epilog="example: python -m benchmarks accuracy --out docs",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    accuracy = commands.add_parser(
        "accuracy",
        help="requested tolerance against digits obtained",
        description="Prints a table; writes scoreboard.json and scoreboard.svg.",
    )
    accuracy.add_argument("--quick", action="store_true", help="two tolerances instead of ten")
    accuracy.add_argument("--out", default="benchmark-results", metavar="DIR", help="folder to write to (%(default)s)")
    given = parser.parse_args(arguments)

    from benchmarks import accuracy as command  # after the arguments are known to be right: it takes seconds to load

    results = command.run(
        command.QUICK if given.quick else command.EXPONENTS, lambda message: print(message, file=sys.stderr, flush=True)
    )
    print(command.table(results))
    for path in command.write(results, given.out):
        print(path)


if __name__ == "__main__":
    main()
