"""The command as a whole: its help, its errors, its end."""

from __future__ import annotations

import builtins
import importlib
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("click", reason="the command line needs click")

from click.testing import CliRunner

import refimpl
from refimpl.commands import refimpl as command
from refimpl.conformance import cases
from tests.commands.running import process, run


def test_importing_refimpl_imports_no_click() -> None:
    code = "import refimpl, sys; assert not {'click', 'refimpl.cli', 'refimpl.commands'} & set(sys.modules)"
    child = process(code)
    assert child.communicate(timeout=60) == ("", "")
    assert child.returncode == 0


def test_without_click_one_line_names_the_extra() -> None:
    child = process("import sys; sys.modules['click'] = None; from refimpl.cli import main; sys.exit(main(['info']))")
    out, error = child.communicate(timeout=60)
    assert (child.returncode, out) == (2, "")
    assert error == "refimpl: the command line needs click: pip install 'refimpl[cli]'\n"


def test_python_m_refimpl_is_the_command() -> None:
    child = process("import runpy; runpy.run_module('refimpl', run_name='__main__')", "info")
    out, error = child.communicate(timeout=60)
    assert (child.returncode, error) == (0, "")
    assert out.startswith("refimpl      0.1.0\npython")
    assert f"{len(cases())} cases" in out


def test_a_closed_pipe_is_no_traceback() -> None:
    with process("from refimpl.cli import main; import sys; sys.exit(main())", "vectors", "list") as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        assert child.stderr.read() == ""
    assert child.returncode == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["check"], ["kernel"], ["info"], ["vectors"]],
    ids=lambda arguments: arguments[0] if arguments else "refimpl",
)
def test_every_help_has_examples(arguments: list[str]) -> None:
    text = run(*arguments, "--help").output
    assert "Example" in text
    assert f"  refimpl {' '.join(arguments)}".rstrip() in text


def test_without_a_subcommand_the_help_goes_to_stderr() -> None:
    result = CliRunner().invoke(command, [])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "Exit status" in result.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["nothing"],
        ["--nothing"],
        ["kernel"],
        ["kernel", "--curve", "x.csv", "--out", "K.csv"],
        ["kernel", "--curve", "--points", "1", "--out", "K.csv"],
        ["kernel", "--curve", "--radius", "-1", "--out", "K.csv"],
        ["kernel", "--curve", "--horizon", "nan", "--out", "K.csv"],
        ["kernel", "--curve", "--activation", "swish", "--out", "K.csv"],
        ["kernel", "--curve", "--depth", "0", "--out", "K.csv"],
        ["kernel", "--curve", "--out", "K.txt"],
        ["kernel", "--curve", "--out", "nowhere/K.csv"],
        ["kernel", "--curve", "--activation", "quadratic", "--horizon", "50", "--out", "K.csv"],
        ["check", "nothing"],
        ["check", "nothing:Candidate", "--digits", "0"],
        ["check", "nothing:Candidate", "--quantity", "loss"],
        ["check", "nothing:Candidate", "--plot", "scorecard.txt"],
        ["vectors", "show", "tanh-nothing"],
        ["vectors", "validate", "missing.json"],
        ["vectors", "validate", "."],
        ["vectors", "regenerate", "--jobs", "0"],
        ["vectors", "regenerate"],
    ],
    ids=" ".join,
)
def test_errors_are_one_line_with_status_2(arguments: list[str], folder: Path) -> None:
    run(*arguments, status=2)
    assert not list(folder.iterdir())


def test_an_unexpected_error_is_one_line_with_status_3(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise KeyError("of a\ndefect")

    monkeypatch.setattr(importlib.import_module("refimpl.commands.kernel"), "_curve", fail)  # the name is a command's
    assert "report it: KeyError" in run("kernel", "--curve", "--out", "c.csv", status=3).stderr


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [(KeyboardInterrupt(), 130, "refimpl: interrupted\n"), (ModuleNotFoundError(name="click"), 2, "refimpl[cli]")],
)
def test_an_end_before_the_imports_are_done_is_one_line(
    error: BaseException, status: int, says: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from refimpl.cli import main

    real = builtins.__import__

    def imported(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "click":
            raise error
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", imported)
    assert main(["info"]) == status
    assert says in capsys.readouterr().err


def test_a_missing_package_of_another_name_is_no_missing_click(monkeypatch: pytest.MonkeyPatch) -> None:
    from refimpl.cli import main

    real = builtins.__import__

    def imported(name: str, *args: Any, **kwargs: Any) -> Any:
        if name == "click":
            raise ModuleNotFoundError(name="colorama")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", imported)
    with pytest.raises(ModuleNotFoundError):
        main(["info"])


def test_info_names_versions() -> None:
    lines = run("info").stdout.splitlines()
    assert lines[0].split() == ["refimpl", refimpl.__version__]
    assert any(line.startswith("vectors") and "409 cases" in line for line in lines)
