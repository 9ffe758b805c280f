"""Outputs are there as a whole or not at all, and none is overwritten unasked."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")

from refimpl.commands import output
from tests.commands.running import X, process, refuses, run


def test_an_output_that_exists_is_kept_without_force(folder: Path) -> None:
    Path("c.csv").write_text("mine")
    Path("c.csv").chmod(0o640)
    refuses("--curve", "--activation", "identity", says="--force", out="c.csv")
    assert Path("c.csv").read_text() == "mine"
    run("kernel", "--curve", "--activation", "identity", "--force", "--out", "c.csv")
    assert Path("c.csv").read_text().startswith("rho")
    assert stat.S_IMODE(Path("c.csv").stat().st_mode) == 0o640


def test_force_replaces_what_a_link_points_to_but_no_folder_device_or_input(folder: Path) -> None:
    (folder / "true.csv").write_text("1\n")
    (folder / "link.csv").symlink_to("true.csv")
    run("kernel", "--curve", "--activation", "identity", "--force", "--out", "link.csv")
    assert (folder / "link.csv").is_symlink()
    assert (folder / "true.csv").read_text().startswith("rho")
    (folder / "folder.csv").mkdir()
    os.mkfifo(folder / "pipe.csv")
    for name in ("folder.csv", "pipe.csv"):
        refuses("--curve", "--force", says="is no file", out=name)
    refuses("true.csv", "--force", says="is the input", out="link.csv")


def test_a_failed_write_leaves_the_old_file_and_no_other(folder: Path) -> None:
    path = folder / "old.csv"
    path.write_text("old")

    def write() -> None:
        with output.replacing(path) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write()
    assert path.read_text() == "old"
    assert os.listdir(folder) == ["old.csv"]


@pytest.mark.parametrize("slow", ["refimpl.infinite.kernel.Limit.ntk", "numpy.lib.format.write_array"])
def test_ctrl_c_ends_with_status_130_and_leaves_nothing(slow: str, folder: Path) -> None:
    np.save("x.npy", X)
    child = process(
        "import sys, time; from unittest import mock; from refimpl.cli import main\n"
        "def wait(*_, **__): print('now', flush=True); time.sleep(60)\n"
        f"with mock.patch({slow!r}, wait): sys.exit(main())",
        "kernel", "x.npy", "--activation", "identity", "--out", "K.npy",
    )  # fmt: skip
    assert child.stdout is not None
    assert child.stdout.readline() == "now\n"
    child.send_signal(signal.SIGINT)
    assert child.communicate(timeout=30)[1].strip() == "refimpl: interrupted"
    assert child.returncode == 130
    assert os.listdir(folder) == ["x.npy"]


@pytest.mark.parametrize("delay", [0.01, 0.1, 0.3, 0.6])
def test_ctrl_c_while_the_package_is_imported_is_one_line(delay: float) -> None:
    """Of the command as it is installed, which no import has preceded."""
    program = "import sys; from _refimpl_command import main; print('!', flush=True); sys.exit(main())"
    child = process(program, "check", "json:Candidate")
    assert child.stdout is not None
    assert child.stdout.read(1) == "!"
    time.sleep(delay)
    child.send_signal(signal.SIGINT)
    error = child.communicate(timeout=30)[1]
    # It may have given its answer before, and be on the way out.
    assert (child.returncode, error) == (130, "refimpl: interrupted\n") or (
        "json" in error and "Traceback" not in error
    )
