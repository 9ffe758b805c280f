"""The pytest plugin, in runs of its own: what it adds, what it says, and that it keeps out of the way."""

from __future__ import annotations

import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

from refimpl.conformance import cases

ROOT = Path(__file__).resolve().parents[2]

CANDIDATE = """
import numpy as np

class Mine:  # tanh only, and wrong at two layers
    def resnet_predict(self, U, W, v, X, settings):
        if settings.activation != "tanh":
            raise NotImplementedError("tanh only")
        if settings.depth == 1:
            raise ZeroDivisionError("on\\ntwo lines")
        h = settings.sigma_u * X @ U.T
        for _ in range(settings.depth):
            h = h + settings.horizon / settings.depth * settings.sigma_w / len(v) ** 0.5 * np.tanh(h) @ W.T
        return settings.sigma_v / len(v) ** 0.5 * np.tanh(h) @ v * (1.01 if settings.depth == 2 else 1)

class Empty:
    pass

class Quits:
    def __init__(self):
        raise SystemExit("over\\nand out")
"""
WITHOUT_OTHERS = ("-p", "no:cacheprovider", "-p", "_refimpl_pytest")


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs pytest, with this plugin alone, in a folder with a candidate and a test."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    (tmp_path / "mine.py").write_text(CANDIDATE)
    (tmp_path / "test_own.py").write_text("def test_own():\n    pass\n")

    def pytest_in_a_process(*arguments, options=WITHOUT_OTHERS, code="import pytest; raise SystemExit(pytest.main())"):
        command = [sys.executable, "-P", "-c", code, *options, *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)

    return pytest_in_a_process


def ids(output):
    return [line.split()[0] for line in output.splitlines() if "::" in line]


def test_every_vector_with_a_function_for_it_is_a_test(run):
    done = run("--refimpl=mine:Mine", "--collect-only", "-q")
    expected = [f"refimpl::{case.id}::resnet_predict" for case in cases("resnet_predict")]
    assert ids(done.stdout) == ["test_own.py::test_own", *expected]
    assert f"{len(expected) + 1} tests collected" in done.stdout
    assert done.returncode == 0


def test_failures_are_digits_and_the_worst_entry_without_a_traceback(run, tmp_path):
    done = run("--refimpl=mine:Mine", "-v", "-rs", f"--junit-xml={tmp_path / 'report.xml'}")
    passed = re.findall(r"^(\S+) PASSED", done.stdout, re.MULTILINE)
    failed = re.findall(r"^(\S+) FAILED", done.stdout, re.MULTILINE)
    tanh = cases("resnet_predict", activation="tanh")
    wrong = [f"refimpl::{case.id}::resnet_predict" for case in tanh if case.settings.depth in (1, 2)]
    assert sorted(failed) == sorted(wrong)
    assert len(passed) == len(tanh) - len(wrong) + 1
    skipped = len(cases("resnet_predict")) - len(tanh)
    assert re.search(rf"SKIPPED \[{skipped}\] .*: tanh only", done.stdout)
    assert re.search(r"^1\.9 of 8\.0 digits; relative error 1\.00e-02; \[\d\] is \S+, not \S+$", done.stdout, re.M)
    assert "0.0 of 8.0 digits; ZeroDivisionError: on two lines" in done.stdout
    assert "Traceback" not in done.stdout
    assert "_refimpl_pytest.py:" not in done.stdout.replace("SKIPPED", "").partition("short test summary")[0]
    assert done.returncode == pytest.ExitCode.TESTS_FAILED
    suite = ElementTree.parse(tmp_path / "report.xml").getroot()[0]
    assert (int(suite.get("tests")), int(suite.get("failures"))) == (len(cases("resnet_predict")) + 1, len(wrong))


def test_fewer_digits_may_be_asked_for(run):
    done = run("--refimpl=mine:Mine", "--refimpl-digits=1.5", "-k", "tanh and two")
    assert "1 passed" in done.stdout
    assert done.returncode == 0


def test_vectors_are_chosen_by_id_quantity_activation_and_flag(run):
    expression = "tanh-resnet-deep or (erf and width-one and resnet_predict)"
    done = run("--refimpl=mine:Mine", "--collect-only", "-q", "-k", expression)
    chosen = cases("resnet_predict", "deep", "tanh") + cases("resnet_predict", "width-one", "erf")
    assert ids(done.stdout) == [f"refimpl::{case.id}::resnet_predict" for case in chosen]


def test_it_does_without_tests_of_the_author(run, tmp_path):
    (tmp_path / "test_own.py").unlink()
    done = run("--refimpl=mine:Mine", "-q", "-k", "tanh-resnet-deep")
    assert "1 passed" in done.stdout
    assert done.returncode == 0


WRONG = {
    "--refimpl: mine cannot be loaded: ValueError: a candidate is given as package.module:": ["--refimpl=mine"],
    "--refimpl: yours:Mine cannot be loaded: ModuleNotFoundError: No module named": ["--refimpl=yours:Mine"],
    "--refimpl: mine:Yours cannot be loaded: AttributeError: module 'mine' has no": ["--refimpl=mine:Yours"],
    "--refimpl: mine:Quits cannot be loaded: SystemExit: over and out": ["--refimpl=mine:Quits"],
    "--refimpl: mine:Empty implements none of predict, terminal_state,": ["--refimpl=mine:Empty"],
    "--refimpl-digits: digits must be above 0, and 16 at most": ["--refimpl=mine:Mine", "--refimpl-digits=nan"],
}


def test_a_wrong_option_is_an_error_of_one_line(run):
    code = f"import pytest; print(*(int(pytest.main([*{WITHOUT_OTHERS}, *o])) for o in {[*WRONG.values()]}))"
    done = run(options=(), code=code)
    assert done.stdout.split() == [str(int(pytest.ExitCode.USAGE_ERROR))] * len(WRONG)
    lines = [line for line in done.stderr.splitlines() if line]
    assert len(lines) == len(WRONG)
    assert all(line.startswith(f"ERROR: {message}") for line, message in zip(lines, WRONG, strict=True))


def test_without_the_option_nothing_is_added_and_nothing_is_imported(run, tmp_path):
    (tmp_path / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    assert '_refimpl_pytest' in sys.modules\n"
        "    ours = {name.partition('.')[0] for name in sys.modules} & {'refimpl', 'numpy', 'scipy', 'mine'}\n"
        "    assert not ours\n"
    )
    done = run()
    assert "1 passed" in done.stdout, done.stdout + done.stderr


def test_it_imports_nothing_but_pytest():
    code = "import sys, pytest; before = set(sys.modules); import _refimpl_pytest; print(*set(sys.modules) - before)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["_refimpl_pytest"]


def test_it_can_be_switched_off(run):
    done = run("--refimpl=mine:Mine", options=("-p", "no:_refimpl_pytest"))
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "unrecognized arguments: --refimpl=mine:Mine" in done.stderr
