"""A run of the verification, on small made-up statements."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from markupsafe import escape

from tests.made_up import fake, files, read, verdicts, verify
from verification import Verdict, report
from verification.catalogue import PAPER


def test_a_run_writes_json_html_and_two_pictures_per_statement(package: Any, tmp_path: Path) -> None:
    name = package(prop1=fake("prop1"), thm1=fake("thm1", verdict="Verdict.FAILS"))
    assert verify(["--out", str(tmp_path / "out")], package=name) == 0  # a claim that fails is no failure of the run
    pictures = {f"figures/{id}.{suffix}" for id in ("prop1", "thm1") for suffix in ("svg", "png")}
    assert files(tmp_path / "out") == {"report.json", "report.html"} | pictures
    assert verdicts(tmp_path / "out") == {"prop1": "holds", "thm1": "fails-as-stated"}


def test_report_json_keeps_its_contract(package: Any, tmp_path: Path) -> None:
    verify(["--out", str(tmp_path / "out"), "--seed", "7"], package=package(prop2=fake("prop2")))
    found = read(tmp_path / "out")
    assert {"version", "seed", "environment", "statements"} <= found.keys()
    assert found["seed"] == 7
    assert {"refimpl", "python", "numpy", "scipy", "platform", "cpus", "blas", "threads"} <= found["environment"].keys()
    (statement,) = found["statements"]
    keys = "id title verdict scope measured predicted uncertainty size roads figure claims"
    assert set(keys.split()) <= statement.keys()
    assert statement["roads"] == ["first", "second"]
    assert statement["figure"] == "figures/prop2.svg"
    assert statement["size"] == {"n": 4, "L": [8, 16, 32], "full": "False"}
    first, second = statement["claims"]
    assert (first["id"], first["text"], first["verdict"]) == ("a", "The value is $v$.", "holds")
    assert (first["origin"], first["seed"], first["agreements"]) == ("paper", 7, [0])
    assert first["roads"] == second["roads"] == ["first", "second"]
    assert (statement["measured"], statement["predicted"]) == (first["measured"], first["predicted"])
    assert second["predicted"] == "inf"


def test_ids_and_verdicts_are_those_of_the_contract() -> None:
    ids = "prop1 prop2 relu eq8 limits thm1 integral prop3 thm2 spectra distance losses horizon quadratic solvers open"
    assert list(PAPER) == ids.split()
    assert {str(v) for v in Verdict} == {"holds", "holds-with-scope", "fails-as-stated", "undecided", "not-run"}


def test_the_same_seed_gives_the_same_numbers_and_the_same_bytes(package: Any, tmp_path: Path) -> None:
    name = package(prop1=fake("prop1"), prop2=fake("prop2"))
    for out, arguments in {"one": [], "two": [], "alone": ["prop2"], "other": ["--seed", "1"]}.items():
        verify([*arguments, "--out", str(tmp_path / out)], package=name)
    reports = {out: read(tmp_path / out) for out in ("one", "two", "alone", "other")}
    for found in reports.values():
        del found["environment"]
    assert reports["one"] == reports["two"]
    assert reports["alone"]["statements"] == reports["one"]["statements"][1:]  # whatever else runs
    assert reports["other"]["statements"][0]["measured"] != reports["one"]["statements"][0]["measured"]
    assert len({statement["measured"] for statement in reports["one"]["statements"]}) == 2
    for picture in ("prop2.svg", "prop2.png"):
        one, two, other = ((tmp_path / out / "figures" / picture).read_bytes() for out in ("one", "two", "other"))
        assert one == two
        assert one != other


def test_a_statement_that_raises_is_recorded_and_the_others_go_on(package: Any, tmp_path: Path, capsys: Any) -> None:
    name = package(
        prop1=fake("prop1", before="raise ArithmeticError('rtol < 1e-9 & $x')"),
        prop2="import nothing_of_this_name",
        thm1=fake("thm2"),
        prop3=fake("prop3", before="raise SystemExit(0)"),
        open=fake("open"),
    )
    assert verify(["--out", str(tmp_path / "out")], package=name) == 1
    found = {statement["id"]: statement for statement in read(tmp_path / "out")["statements"]}
    assert [found[id]["verdict"] for id in PAPER if id in found] == [*["not-run"] * 4, "holds"]
    assert "ArithmeticError: rtol < 1e-9 & $x (prop1.py, line" in found["prop1"]["reason"]
    assert "nothing_of_this_name" in found["prop2"]["reason"]
    assert "ID must be the name of the module, 'thm1', got 'thm2'" in found["thm1"]["reason"]
    assert "SystemExit" in found["prop3"]["reason"]
    assert str(escape("rtol < 1e-9 & $x")) in (tmp_path / "out" / "report.html").read_text("utf-8")
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (fake("prop1").replace("Drawing $v$", r"Drawing $\undefined$"), "unknown command"),
        (fake("prop1").replace('"error"', r'r"$\frac{$"'), "Expected \\frac"),
        (fake("prop1", before="return None"), "must return a Result"),
    ],
    ids=["formula", "axis label", "no result"],
)
def test_what_the_report_cannot_show_fails_its_statement_only(
    source: str, reason: str, package: Any, tmp_path: Path
) -> None:
    assert verify(["--out", str(tmp_path / "out")], package=package(prop1=source, open=fake("open"))) == 1
    assert verdicts(tmp_path / "out") == {"prop1": "not-run", "open": "holds"}
    assert reason in read(tmp_path / "out")["statements"][0]["reason"]


def test_roads_that_disagree_leave_the_statement_undecided_and_fail_the_run(package: Any, tmp_path: Path) -> None:
    assert verify(["--out", str(tmp_path / "out")], package=package(prop1=fake("prop1", apart=0.1))) == 1
    (statement,) = read(tmp_path / "out")["statements"]
    assert statement["verdict"] == "undecided"
    assert "The independent roads disagree: $v$ (first, second)." in statement["scope"]


def test_the_report_is_up_to_date_after_every_statement(package: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    look = f"from pathlib import Path; text = Path({str(out / 'report.json')!r}).read_text()"
    spy = fake("prop2", before=f'{look}; assert text.count(\'"verdict": "not-run"\') == 1, text')
    assert verify(["--out", str(out)], package=package(prop1=fake("prop1"), prop2=spy)) == 0


def test_replacing_a_file_is_all_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "report.json"
    report.replace_file(path, b"old")

    def interrupted(*_: object) -> None:
        assert path.read_bytes() == b"old"
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        report.replace_file(path, b"new")
    assert {file.name: file.read_bytes() for file in tmp_path.iterdir()} == {"report.json": b"old"}
