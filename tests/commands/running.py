"""The command run in this process or in one of its own, and what its tests share."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")

from click.testing import CliRunner, Result

import refimpl
from refimpl.commands import refimpl as command

X = np.asarray([[1.0, 0.0], [0.3, np.sqrt(1 - 0.09)], [0.5, -2.0]])


def run(*arguments: object, status: int = 0) -> Result:
    """Result of the command, which must end with `status`, and with one line on stderr if that is an error."""
    result = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert result.exit_code == status, result.output
    if status:
        assert result.stderr.startswith("refimpl")
        assert result.stderr.count("\n") == 1, result.stderr
        assert "Traceback" not in result.output
    return result


def process(code: str, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    """A fresh interpreter that answers SIGINT, which a shell's background jobs have ignored."""
    head = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"
    root = str(Path(refimpl.__file__).resolve().parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OPENBLAS_NUM_THREADS": "1"}
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [sys.executable, "-c", head + code, *arguments], env=environment, text=True, **pipes, **options
    )


def refuses(*arguments: object, says: str, out: str = "K.npy") -> None:
    """The kernel of a file is refused in one line, and nothing is left behind."""
    before = sorted(os.listdir())
    assert says in run("kernel", *arguments, "--out", out, status=2).stderr
    assert sorted(os.listdir()) == before
