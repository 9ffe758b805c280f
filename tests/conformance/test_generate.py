from __future__ import annotations

import json
from decimal import Decimal

import pytest

from refimpl.conformance import generate as module
from refimpl.conformance.generate import FOLDER, build, decimal, generate, main, text, write
from refimpl.conformance.inputs import FLAGS, KINDS, drawn
from refimpl.conformance.suite import by_file, entries

QUICK = ("tanh-resnet-two", "relu-ode-float32", "sin-limit-resnet-layer")


def stored(activation, kind):
    content = json.loads((FOLDER / f"{activation}-{kind}.json").read_text(encoding="utf-8"))
    return {case["id"]: case for case in content["cases"]}


@pytest.mark.parametrize("name", QUICK)
def test_a_case_comes_out_again_to_the_last_digit(name):
    (entry,) = (entry for entry in entries() if entry.id == name)
    assert json.dumps(build(entry)) == json.dumps(stored(entry.activation, entry.kind)[name])


@pytest.mark.slow
def test_regeneration_gives_the_same_bytes(tmp_path):
    written = generate(tmp_path, jobs=2)
    assert len(written) == len(list(FOLDER.glob("*.json"))) == len(list(tmp_path.iterdir()))
    for path in written:
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name


def test_writing_the_stored_cases_gives_the_stored_bytes(tmp_path):
    cases = {name: case for activation, kind, _ in by_file() for name, case in stored(activation, kind).items()}
    for path in write(tmp_path, cases):
        assert path.read_bytes() == (FOLDER / path.name).read_bytes(), path.name


@pytest.fixture
def small(monkeypatch):
    """A suite of two residual networks in two files."""
    chosen = [entry for entry in entries() if entry.id in ("tanh-resnet-two", "sin-resnet-two")]
    monkeypatch.setattr(module, "entries", lambda: tuple(chosen))
    monkeypatch.setattr(module, "by_file", lambda: [(entry.activation, entry.kind, (entry,)) for entry in chosen])
    return chosen


def test_the_number_of_processes_changes_nothing(tmp_path, small):
    done = []
    first = generate(tmp_path / "one", jobs=1, progress=lambda *numbers: done.append(numbers))
    second = generate(tmp_path / "two", jobs=2)
    assert [path.read_bytes() for path in first] == [path.read_bytes() for path in second]
    assert done == [(1, 2), (2, 2)]


def test_the_command_line_writes_where_it_is_told(tmp_path, small, capsys):
    assert main(["--out", str(tmp_path / "new"), "--jobs", "1"]) == 0
    assert capsys.readouterr().out.startswith("2 files in ")
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["sin-resnet.json", "tanh-resnet.json"]


def test_an_interruption_leaves_what_was_there(tmp_path, small):
    (tmp_path / "tanh-resnet.json").write_text("before")

    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        generate(tmp_path, jobs=1, progress=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["tanh-resnet.json"]
    assert (tmp_path / "tanh-resnet.json").read_text() == "before"


def test_a_failing_replacement_leaves_no_temporary_file(tmp_path, monkeypatch, small):
    cases = {entry.id: {"id": entry.id} for entry in small}

    def full(*paths):
        raise OSError("no space left")

    monkeypatch.setattr(module.os, "replace", full)
    with pytest.raises(OSError, match="no space left"):
        write(tmp_path, cases)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("jobs", [0, -1])
def test_jobs_below_one_are_refused(tmp_path, jobs, capsys):
    with pytest.raises(ValueError, match=f"jobs must be at least 1; got {jobs}"):
        generate(tmp_path, jobs)
    with pytest.raises(SystemExit) as caught:
        main(["--jobs", str(jobs)])
    assert caught.value.code == 2


def test_the_text_is_the_json_it_is_made_of():
    head, case = {"format": 1}, {"id": "ä", "X": [["1"]], "expected": {"a": {"value": ["1"]}, "b": {"value": []}}}
    assert json.loads(text(head, [case, case])) == {**head, "cases": [case, case]}


@pytest.mark.parametrize("z", [0.0, 1.0, -2.5, 0.1, 1e22, 2.0**-40, 100.0])
def test_decimals_are_all_of_them(z):
    assert Decimal(decimal(z)) == Decimal(z)
    assert "e" not in decimal(z).lower()


def test_drawn_numbers_are_about_normal():
    sample = [drawn("sample", k) for k in range(20_000)]
    mean, square, fourth = (sum(z**p for z in sample) / len(sample) for p in (1, 2, 4))
    # Standard errors are 0.007, 0.01 and 0.07; the table has a variance of its own close to 1.
    assert abs(mean) < 0.03
    assert abs(square - 1) < 0.05
    assert abs(fourth - 3) < 0.5
    assert 0.0 not in sample


def test_the_suite_is_what_is_promised():
    everything = entries()
    assert len(everything) >= 330
    assert len({entry.id for entry in everything}) == len(everything)
    assert {flag for entry in everything for flag in entry.flags} == set(FLAGS)
    assert {entry.horizon for entry in everything} >= {0.1, 1.0, 3.0, 10.0}
    assert {entry.depth for entry in everything} >= {1, 2, 4, 5, 8, 16, 64}
    assert [kind for _, kind, part in by_file() if not part] == []
    assert {entry.kind for entry in everything} == set(KINDS)
    assert max(len(entry.v or ()) for entry in everything) == 8
    assert all(entry.dtype == "float64" or "float32" in entry.flags for entry in everything)
