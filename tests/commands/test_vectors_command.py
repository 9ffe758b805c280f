"""``refimpl vectors``."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

pytest.importorskip("click", reason="the command line needs click")

from click.testing import CliRunner

from refimpl.commands import refimpl as command
from refimpl.conformance import cases
from refimpl.conformance.vectors import FOLDER
from tests.commands.running import run


def test_list_prints_the_chosen_cases() -> None:
    lines = run("vectors", "list", "--quantity", "resnet_ntk", "--activation", "tanh").stdout.splitlines()
    chosen = cases("resnet_ntk", activation="tanh")
    assert [line.split("\t") for line in lines] == [[c.id, ",".join(c.flags), c.comment] for c in chosen]


def test_a_list_of_nothing_says_so() -> None:
    empty = CliRunner().invoke(command, ["vectors", "list", "--quantity", "limit_ntk", "--flag", "asymmetric-weights"])
    assert (empty.exit_code, empty.stdout, empty.stderr) == (1, "", "refimpl vectors list: no case has all of these\n")


def test_show_prints_the_case_as_it_stands_in_its_file() -> None:
    first = json.loads((FOLDER / "tanh-resnet.json").read_text(encoding="utf-8"))["cases"][0]
    assert json.loads(run("vectors", "show", first["id"]).stdout) == first
    assert f"did you mean {first['id']}?" in run("vectors", "show", first["id"] + "x", status=2).stderr


def test_validate_tells_valid_from_invalid() -> None:
    good = FOLDER / "tanh-resnet.json"
    Path("bad.json").write_text('{"format": 2}')
    Path("text.json").write_text("[" * 100_000)
    assert run("vectors", "validate", good).stdout == f"{good}: valid\n"
    result = CliRunner().invoke(command, ["vectors", "validate", str(good), "bad.json", "text.json"])
    assert (result.exit_code, result.stdout) == (1, f"{good}: valid\n")
    assert [line.split(":")[1] for line in result.stderr.splitlines()] == [" bad.json", " text.json"]
    with Path("huge.json").open("wb") as file:
        file.truncate(1 << 31)
    assert "MiB" in run("vectors", "validate", "huge.json", status=2).stderr


def test_regenerate_writes_to_a_folder_and_keeps_files_without_force(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("mpmath", reason="the vectors are made with mpmath")
    called = []

    def generate(directory: Path, jobs: int, progress: object) -> tuple[Path, ...]:
        called.append((directory, jobs, progress))
        directory.mkdir(exist_ok=True)
        (directory / "tanh-ode.json").write_text("{}")
        return (directory / "tanh-ode.json",)

    monkeypatch.setattr("refimpl.conformance.generate.generate", generate)
    before = signal.getsignal(signal.SIGINT)
    assert run("vectors", "regenerate", "--out", "new", "--jobs", 3).stdout == "1 file in new, 2 bytes\n"
    assert "--force" in run("vectors", "regenerate", "--out", "new", status=2).stderr
    run("vectors", "regenerate", "--out", "new", "--force")
    assert called == [(Path("new"), 3, None), (Path("new"), 2, None)]
    assert signal.getsignal(signal.SIGINT) is before
