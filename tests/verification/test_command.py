"""The command of the verification, and which statements it runs."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.made_up import fake, read, verify
from verification.catalogue import PAPER, available, select


def status(arguments: list[str], **options: Any) -> int:
    try:
        return verify(arguments, **options)
    except SystemExit as stop:  # argparse's way to refuse
        return int(stop.code or 0)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["relu", "prop1"], "not implemented yet: relu; those that exist: prop1"),
        (["foo"], "no such statement: foo; those that exist: prop1"),
        (["--seed", "-1"], "must be an integer ≥ 0, got '-1'"),
        (["--seed", "1.5"], "must be an integer ≥ 0, got '1.5'"),
    ],
)
def test_wrong_usage_is_answered_before_any_work(
    arguments: list[str], message: str, package: Any, tmp_path: Path, capsys: Any
) -> None:
    assert status([*arguments, "--out", str(tmp_path / "out")], package=package(prop1=fake("prop1"))) == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_an_output_that_cannot_be_written_is_told_before_a_statement_runs(
    package: Any, tmp_path: Path, capsys: Any
) -> None:
    (tmp_path / "out").touch()
    name = package(prop1=fake("prop1", before=f"open({str(tmp_path / 'ran')!r}, 'w').close()"))
    assert status(["--out", str(tmp_path / "out")], package=name) == 2
    assert re.fullmatch(r"python -m verification: --out \S+ cannot be written: .*\n", capsys.readouterr().err)
    assert not (tmp_path / "ran").exists()


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "tqdm" else name)
    assert status(["--list"]) == 2
    assert "needs tqdm: pip install -e '.[verify]'" in capsys.readouterr().err


def test_list_prints_ids_and_titles_in_the_order_of_the_paper(package: Any, capsys: Any) -> None:
    assert verify(["--list"], package=package(thm1=fake("thm1"), prop1=fake("prop1"))) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == ["prop1", "thm1"]
    assert lines[1].endswith("Theorem 1: A made-up statement for n → ∞")


def test_list_goes_on_after_a_statement_that_cannot_be_loaded(package: Any, capsys: Any) -> None:
    assert verify(["--list"], package=package(prop1="import nothing_of_this_name", open=fake("open"))) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("open ")
    assert captured.err.startswith("python -m verification: prop1 cannot be loaded: ModuleNotFoundError")
    assert captured.err.count("\n") == 1


def test_a_stranger_among_the_statements_is_told_in_one_line(package: Any, capsys: Any) -> None:
    assert verify(["--list"], package=package(prop0="")) == 1
    assert "prop0" in capsys.readouterr().err


def test_full_reaches_the_statement_and_its_command(package: Any, tmp_path: Path) -> None:
    verify(["--full", "--seed", "3", "--out", str(tmp_path / "out")], package=package(open=fake("open")))
    (statement,) = read(tmp_path / "out")["statements"]
    assert statement["size"]["full"] == "True"
    assert statement["command"] == "python -m verification open --seed 3 --full"


def test_helper_modules_are_no_statements_and_strangers_are_refused(package: Any, tmp_path: Path) -> None:
    name = package(prop1=fake("prop1"), _helper="", prop0="")
    with pytest.raises(ImportError, match="prop0"):
        available(name)
    (tmp_path / name / "prop0.py").unlink()
    assert available(name) == ("prop1",)


@given(st.lists(st.sampled_from(sorted(PAPER))), st.sets(st.sampled_from(sorted(PAPER)), min_size=1))
def test_selection_keeps_the_order_of_the_paper(wanted: list[str], exist: set[str]) -> None:
    implemented = [id for id in PAPER if id in exist]
    if set(wanted) <= exist:
        assert select(wanted, implemented) == tuple(id for id in implemented if not wanted or id in wanted)
    else:
        with pytest.raises(ValueError, match="not implemented yet"):
            select(wanted, implemented)
