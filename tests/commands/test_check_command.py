"""``refimpl check``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("click", reason="the command line needs click")

from click.testing import CliRunner

import refimpl
from refimpl.commands import refimpl as command
from refimpl.conformance import FLAGS, QUANTITIES
from tests.commands.running import run


class Scorecard:
    """Stands for that of the check."""

    def __init__(self, passed: bool) -> None:
        self.passed = passed

    def __str__(self) -> str:
        return "the scorecard"

    def to_json(self) -> str:
        return json.dumps({"passed": self.passed})

    def plot(self, path: Path) -> None:
        Path(path).write_bytes(b"picture")


@pytest.fixture
def checked(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], dict[str, Any]]:
    """Replaces the check by one that passes or not, and that tells what it was called with."""

    def replace(passed: bool) -> dict[str, Any]:
        called: dict[str, Any] = {}

        def check_conformance(candidate: object, **options: object) -> Scorecard:
            called.update(options, candidate=candidate)
            return Scorecard(passed)

        monkeypatch.setattr("refimpl.conformance.check.check_conformance", check_conformance)
        return called

    return replace


@pytest.mark.parametrize("passed", [True, False])
def test_check_ends_with_1_where_digits_are_missing(passed: bool, checked: Any, folder: Path) -> None:
    called = checked(passed)
    (folder / f"mine_{passed}.py").write_text("Candidate = 'a candidate'\n")
    options = ("--quantity", "ntk", "--quantity", "predict", "--flag", "kink", "--activation", "relu", "--digits", "6")
    result = CliRunner().invoke(
        command, ["check", f"mine_{passed}:Candidate", *options, "--json", "card.json", "--plot", "card.svg"]
    )
    assert (result.exit_code, result.stdout, result.stderr) == (0 if passed else 1, "the scorecard\n", "")
    assert called == {
        "candidate": "a candidate",
        "quantities": ("ntk", "predict"),
        "flags": ("kink",),
        "activations": ("relu",),
        "digits": 6.0,
        "progress": None,
    }
    assert json.loads(Path("card.json").read_text()) == {"passed": passed}
    assert Path("card.svg").read_bytes() == b"picture"


def test_check_keeps_outputs_that_exist(checked: Any, folder: Path) -> None:
    called = checked(True)
    (folder / "kept.py").write_text("Candidate = None\n")
    Path("card.json").write_text("mine")
    run("check", "kept:Candidate", "--json", "card.json", status=2)
    assert not called
    run("check", "kept:Candidate", "--json", "card.json", "--force")
    assert called["quantities"] is None


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("raise RuntimeError('of\\nmine')", "RuntimeError: of mine"),
        ("import sys; sys.exit(0)", "SystemExit"),
        ("def (", "SyntaxError"),
        ("import not_there_at_all", "not_there_at_all"),
        ("Other = 1", "Candidate"),
    ],
    ids=["raises", "exits", "syntax", "import", "name"],
)
def test_a_candidate_that_cannot_be_loaded_is_an_error_in_one_line(
    source: str, says: str, checked: Any, folder: Path, request: pytest.FixtureRequest
) -> None:
    checked(True)
    module = f"broken_{request.node.callspec.id}"
    (folder / f"{module}.py").write_text(source)
    assert says in run("check", f"{module}:Candidate", status=2).stderr


@pytest.mark.parametrize("spec", ["bare_module", "bare_package:inner"])
def test_check_takes_a_module(spec: str, checked: Any, folder: Path) -> None:
    called = checked(True)
    Path("bare_package").mkdir()
    for file in ("bare_module.py", "bare_package/__init__.py", "bare_package/inner.py"):
        Path(file).write_text("" if "init" in file else "def ntk(U, W, v, X, settings):\n    return X @ X.T\n")
    run("check", spec)
    assert called["candidate"].ntk.__module__ == spec.replace(":", ".")


def test_check_says_what_a_module_lacks(folder: Path) -> None:
    Path("lacking.py").write_text("class Mine:\n    pass\n")
    said = run("check", "lacking", status=2).stderr
    assert "package.module:Candidate" in said
    assert "has none of predict" in said


def test_check_judges_a_real_candidate(folder: Path) -> None:
    (folder / "resnets.py").write_text(
        "import refimpl\n"
        "class Right:\n"
        "    def resnet_predict(self, U, W, v, X, settings):\n"
        "        s = settings\n"
        "        net = refimpl.NeuralODE(s.activation, s.horizon, s.sigma_u, s.sigma_w, s.sigma_v)\n"
        "        return net.predict(refimpl.Params(U, W, v), X, refimpl.Euler(s.depth))\n"
        "class Wrong(Right):\n"
        "    def resnet_predict(self, U, W, v, X, settings):\n"
        "        return -super().resnet_predict(U, W, v, X, settings)\n"
    )
    root = Path(refimpl.__file__).resolve().parents[1]
    for name, status in (("Right", 0), ("Wrong", 1)):
        result = subprocess.run(
            [
                sys.executable,
                "-m",
                "refimpl",
                "check",
                f"resnets:{name}",
                "--activation",
                "tanh",
                "--json",
                f"{name}.json",
            ],
            env=os.environ | {"PYTHONPATH": str(root), "OPENBLAS_NUM_THREADS": "1"},
            capture_output=True,
            text=True,
            timeout=120,
        )
        assert (result.returncode, result.stderr) == (status, "")
        assert "resnet_predict" in result.stdout
        assert json.loads(Path(f"{name}.json").read_text())["passed"] is (status == 0)


def test_help_names_every_quantity_and_flag() -> None:
    text = run("check", "--help").output.replace("\n", " ")
    assert all(name in text for name in (*QUANTITIES, *FLAGS))
