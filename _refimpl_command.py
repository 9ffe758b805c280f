"""The command ``refimpl``, outside of the package: Ctrl-C has one answer from before the package is imported."""

from __future__ import annotations

import os
import signal
import sys


def main() -> int:
    """Run the command line and return the exit status."""
    # While a module is being imported KeyboardInterrupt may turn into another error.
    default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if default:
        signal.signal(signal.SIGINT, lambda *_: (os.write(2, b"refimpl: interrupted\n"), os._exit(130)))
    from refimpl.cli import main

    if default:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return main()


if __name__ == "__main__":
    sys.exit(main())
