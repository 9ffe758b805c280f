"""The adapters of other libraries, the accuracy command, and the page that shows what it measured."""

from __future__ import annotations

import importlib
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import accuracy
from benchmarks.adapters.package import Gauss, SolveIVPRK45
from refimpl import NeuralODE
from refimpl.conformance.candidate import Settings

ROOT = Path(__file__).resolve().parents[1]
FINDINGS = sorted((ROOT / "benchmarks" / "findings").glob("*.py"))
LIBRARIES = {"torchdiffeq": "torchdiffeq", "torchode": "torchode", "diffrax": "diffrax", "jax_ode": "jax"}


def problem(dtype: str) -> tuple[Any, ...]:
    theta = NeuralODE().init(4, 3, seed=0)
    X = np.random.default_rng(1).standard_normal((2, 3))
    arrays = (array.astype(dtype) for array in (theta.U, theta.W, theta.v, X))
    return *arrays, Settings("gelu", 0.5, 0.75, 1.25, 1.5, None, dtype)


def candidate(method: accuracy.Method) -> Any:
    if method.module in LIBRARIES:
        name = LIBRARIES[method.module]
        pytest.importorskip(name, reason=f"{name} is not installed")
    return getattr(importlib.import_module(f"benchmarks.adapters.{method.module}"), method.candidate)


def errors(answering: Any, dtype: str) -> list[float]:
    *arrays, settings = problem(dtype)
    exact = [array.astype("float64") for array in arrays]
    return [
        accuracy.relative_error(
            accuracy.flat(getattr(answering, quantity)(*arrays, settings)),
            accuracy.flat(getattr(Gauss(rtol=1e-13), quantity)(*exact, settings)),
        )
        for quantity in accuracy.QUANTITIES
    ]


@pytest.mark.parametrize("method", accuracy.METHODS, ids=lambda m: f"{m.module}-{m.candidate}")
def test_every_adapter_gives_the_numbers_of_this_package(method: accuracy.Method) -> None:
    # Loose, as no library promises a global error; a wrong factor, sign or block is off by 1e-2 at least.
    assert max(errors(candidate(method)(rtol=1e-9), "float64")) < 1e-5


@pytest.mark.parametrize("method", accuracy.METHODS[::3], ids=lambda m: f"{m.module}-{m.candidate}")
def test_float32_stays_float32(method: accuracy.Method) -> None:
    answering = candidate(method)(rtol=1e-5)
    *arrays, settings = problem("float32")
    assert np.asarray(answering.predict(*arrays, settings)).dtype == np.float32
    assert max(errors(answering, "float32")) < 1e-3


def test_a_candidate_that_raises_gives_a_measurement_with_a_message(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise ArithmeticError("max_steps")

    method = next(method for method in accuracy.METHODS if method.candidate == "SolveIVPRK45")
    monkeypatch.setattr(SolveIVPRK45, "gradient", refuse)
    found = {each.quantity: each for each in accuracy.measure(method, {"float64": (6,)})}
    assert found["gradient"].digits is None
    assert found["gradient"].message == "ArithmeticError: max_steps"
    assert found["predict"].digits is not None
    assert found["predict"].digits >= 6


def test_results_are_written_and_drawn_and_the_worst_activation_counts(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    rows = [
        {"group": "refimpl", "solver": "Gauss", "activation": activation, "dtype": "float64", "rtol": 1e-6,
         "quantity": quantity, "digits": digits, "message": ""}
        for quantity in accuracy.QUANTITIES for activation, digits in (("tanh", 7.5), ("softplus", 9.0))
    ]  # fmt: skip
    results = {"versions": accuracy.versions(accuracy.PACKAGES), "network": {}, "absent": {}, "measurements": rows}
    path, figure = accuracy.write(results, tmp_path)
    assert json.loads(path.read_text(encoding="utf-8")) == results
    assert figure.stat().st_size > 1000
    assert accuracy.worst(results, "refimpl", "Gauss", "float64", "ntk") == {1e-6: 7.5}
    assert "7.5" in accuracy.table(results)


@pytest.mark.parametrize("path", FINDINGS, ids=lambda path: path.stem)
def test_a_finding_is_short_and_prints_what_it_says(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= 30
    assert source.startswith('"""')
    assert "print(" in source
    compile(source, str(path), "exec")


def test_the_page_names_every_finding_and_the_versions_of_the_scoreboard() -> None:
    page = (ROOT / "docs" / "accuracy.md").read_text(encoding="utf-8")
    versions = json.loads((ROOT / "docs" / "scoreboard.json").read_text(encoding="utf-8"))["versions"]
    assert set(re.findall(r"`findings/(\w+)\.py`", page)) == {path.stem for path in FINDINGS}
    for name, version in versions.items():
        assert f"{name} {version}" in page.replace("\n", " ")


def test_the_command_says_how_it_is_used() -> None:
    command = [sys.executable, "-m", "benchmarks", "--help"]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert "accuracy" in result.stdout
