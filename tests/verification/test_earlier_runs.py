"""Runs that meet an earlier one, Ctrl-C, or a full disk."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tests.made_up import fake, files, read, verdicts, verify
from verification import environment, report

ROOT = Path(__file__).resolve().parents[2]


def run(name: str, out: Path, *arguments: str) -> int:
    return verify([*arguments, "--out", str(out)], package=name)


def statements(out: Path) -> dict[str, Any]:
    return {statement["id"]: statement for statement in read(out)["statements"]}


# Earlier runs


def test_statements_that_are_not_named_keep_their_results(package: Any, tmp_path: Path) -> None:
    name, out = package(prop1=fake("prop1"), prop2=fake("prop2"), thm1=fake("thm1")), tmp_path / "out"
    assert run(name, out) == 0
    whole = read(out)
    pictures = {path: (out / path).read_bytes() for path in files(out) if path.startswith("figures/")}
    assert run(name, out, "prop2") == 0
    assert read(out)["statements"] == whole["statements"]
    assert pictures == {path: (out / path).read_bytes() for path in files(out) if path.startswith("figures/")}
    assert [set(known["seconds"]) for known in read(out)["earlier"]] == [{"prop1", "thm1"}]
    assert set(read(out)["environment"]["seconds"]) == {"prop2"}
    page = (out / "report.html").read_text("utf-8")
    assert page.count("Kept from an earlier run") == 2
    assert page.count("<img ") == 3
    assert run(name, out) == 0
    assert read(out)["earlier"] == []


def test_statements_of_one_report_come_in_the_order_of_the_paper(package: Any, tmp_path: Path) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1"), open=fake("open")), tmp_path / "out"
    for id in ("open", "prop1", "thm1"):
        run(name, out, id)
    assert list(statements(out)) == ["prop1", "thm1", "open"]
    assert len(read(out)["earlier"]) == 2


def test_the_page_says_what_was_different_in_an_earlier_run(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1")), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(environment, "source_code", lambda: "other-code")
        run(name, out, "prop1")
    run(name, out, "thm1")
    page = (out / "report.html").read_text("utf-8")
    now = environment.source_code()
    assert f"which differed from the last one: source code other-code (last: {now})." in page


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (
            ["--seed", "1"],
            "holds results of refimpl .*, seed 0, quick size; this run is refimpl .*, seed 1, quick size",
        ),
        (["--full"], "this run is refimpl .*, seed 0, full size"),
    ],
)
def test_results_of_another_seed_or_size_are_never_mixed_and_never_lost(
    change: list[str], told: str, package: Any, tmp_path: Path, capsys: Any
) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1")), tmp_path / "out"
    run(name, out)
    before = {path: (out / path).read_bytes() for path in files(out)}
    capsys.readouterr()
    assert run(name, out, "thm1", *change) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert re.search(told, error)
    assert "choose another --out, or --fresh" in error
    assert before == {path: (out / path).read_bytes() for path in files(out)}
    assert run(name, out, "thm1", *change, "--fresh") == 0
    assert list(statements(out)) == ["thm1"]
    assert files(out) == {"report.json", "report.html", "figures/thm1.svg", "figures/thm1.png"}


def test_results_of_another_version_are_not_mixed(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1")), tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(environment, "refimpl_version", lambda: "0.0.1")
        run(name, out, "prop1")
    assert run(name, out, "thm1") == 2
    assert "refimpl 0.0.1" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    [b"{", b"[]", b"\xff", b'{"version": "0"}', b"null"],
    ids=["cut", "list", "bytes", "incomplete", "null"],
)
def test_a_file_that_is_no_report_is_not_overwritten(content: bytes, package: Any, tmp_path: Path, capsys: Any) -> None:
    name, out = package(prop1=fake("prop1")), tmp_path / "out"
    out.mkdir()
    (out / "report.json").write_bytes(content)
    assert run(name, out) == 2
    assert "cannot be read as a report" in capsys.readouterr().err
    assert (out / "report.json").read_bytes() == content
    assert run(name, out, "--fresh") == 0


@pytest.mark.parametrize(
    ("broken", "told"), [("claims", "statement 'prop1' is incomplete"), ("format", "a report of another format")]
)
def test_a_report_of_another_format_or_with_missing_parts_is_not_mixed(
    broken: str, told: str, package: Any, tmp_path: Path, capsys: Any
) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1")), tmp_path / "out"
    run(name, out)
    found = read(out)
    del (found if broken == "format" else found["statements"][0])[broken]
    (out / "report.json").write_text(json.dumps(found))
    assert run(name, out, "thm1") == 2
    assert told in capsys.readouterr().err


def test_a_result_without_its_figure_is_not_kept_and_that_is_said(package: Any, tmp_path: Path, capsys: Any) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1")), tmp_path / "out"
    run(name, out)
    (out / "figures" / "prop1.svg").unlink()
    assert run(name, out, "thm1") == 0
    assert "prop1      not kept from an earlier run: its figure is missing" in capsys.readouterr().err
    assert list(statements(out)) == ["thm1"]


def test_foreign_files_stay(package: Any, tmp_path: Path) -> None:
    name, out = package(prop1=fake("prop1")), tmp_path / "out"
    (out / "figures").mkdir(parents=True)
    (out / "figures" / "mine.svg").touch()
    assert run(name, out) == 0
    assert "figures/mine.svg" in files(out)


def test_a_statement_that_raises_replaces_its_earlier_result(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fragile = fake("thm1", before="import os; 1 / int(os.environ['DIVISOR'])")
    name, out = package(prop1=fake("prop1"), thm1=fragile), tmp_path / "out"
    monkeypatch.setenv("DIVISOR", "1")
    assert run(name, out) == 0
    monkeypatch.setenv("DIVISOR", "0")
    assert run(name, out, "thm1") == 1
    assert verdicts(out) == {"prop1": "holds", "thm1": "not-run"}
    assert "figures/thm1.svg" not in files(out)
    assert run(name, out, "prop1") == 0  # that it raised is part of the report until it is run again
    assert verdicts(out) == {"prop1": "holds", "thm1": "not-run"}


# Ctrl-C

# A job in the background inherits SIGINT ignored; a person's terminal does not.
AS_FROM_A_TERMINAL = "import signal, sys; signal.signal(signal.SIGINT, signal.default_int_handler); "


def start(program: str, tmp_path: Path, *arguments: str, **options: Any) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", AS_FROM_A_TERMINAL + program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])},
        **options,
    )


RESUME = "the same command with --resume runs the rest"
INTERRUPT = "import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)"


@pytest.mark.parametrize(
    "interrupt",
    [
        INTERRUPT,
        f"try:\n        {INTERRUPT}\n    except BaseException:\n        raise ValueError('from compiled code')",
    ],
    ids=["as it is", "turned into another error"],
)
def test_an_interruption_leaves_a_report_of_what_finished_and_a_second_run_works(
    interrupt: str, package: Any, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    name = package(prop1=fake("prop1"), prop2=fake("prop2", before=interrupt), thm1=fake("thm1"))
    program = f"from verification.__main__ import main; sys.exit(main(sys.argv[1:], package={name!r}))"
    process = start(program, tmp_path, "--jobs", "1", "--out", str(out))
    _, error = process.communicate(timeout=50)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == f"interrupted; {out / 'report.html'} holds what finished; {RESUME}"
    assert "Traceback" not in error
    assert verdicts(out) == {"prop1": "holds", "prop2": "not-run", "thm1": "not-run"}
    assert {statement["reason"] for statement in read(out)["statements"]} == {"", "The run was interrupted."}
    assert {statement["title"] for statement in read(out)["statements"]} == {"A made-up statement for $n \\to \\infty$"}
    assert files(out) == {"report.json", "report.html", "figures/prop1.svg", "figures/prop1.png"}
    assert run(name, out, "prop1", "thm1") == 0
    assert verdicts(out) == {"prop1": "holds", "thm1": "holds"}


def test_an_interruption_keeps_the_earlier_results_of_what_did_not_finish(package: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    interrupt = f"import os\n    if 'INTERRUPT' in os.environ: {INTERRUPT}"
    name = package(prop1=fake("prop1"), thm1=fake("thm1", before=interrupt), open=fake("open"))
    assert run(name, out) == 0
    before = read(out)["statements"]
    program = f"from verification.__main__ import main; main(sys.argv[1:], package={name!r})"
    program = f"import os; os.environ['INTERRUPT'] = ''; {program}"
    process = start(program, tmp_path, "--jobs", "1", "--out", str(out))
    process.communicate(timeout=50)
    assert read(out)["statements"] == before
    assert set(read(out)["environment"]["seconds"]) == {"prop1"}


def test_an_interrupted_run_is_finished_by_its_command_with_resume(
    package: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What has a verdict is not run again; what was interrupted, did not begin, or raised is."""
    out = tmp_path / "out"
    once = "import os\n    if 'AGAIN' in os.environ: raise AssertionError('it was run twice')"
    raising = "import os\n    if 'AGAIN' not in os.environ: raise ValueError('once')"
    stopped = f"import os\n    if 'AGAIN' not in os.environ: {INTERRUPT}"
    name = package(
        prop1=fake("prop1", before=raising), prop2=fake("prop2", before=once), thm1=fake("thm1", before=stopped),
        open=fake("open"),
    )  # fmt: skip
    program = f"from verification.__main__ import main; sys.exit(main(sys.argv[1:], package={name!r}))"
    process = start(program, tmp_path, "--jobs", "1", "--full", "--out", str(out))
    process.communicate(timeout=50)
    assert process.returncode == 130
    assert verdicts(out) == {"prop1": "not-run", "prop2": "holds", "thm1": "not-run", "open": "not-run"}
    kept = statements(out)["prop2"]
    monkeypatch.setenv("AGAIN", "")
    assert run(name, out, "--full", "--resume") == 0
    assert verdicts(out) == dict.fromkeys(("prop1", "prop2", "thm1", "open"), "holds")
    assert statements(out)["prop2"] == kept
    assert set(read(out)["environment"]["seconds"]) == {"prop1", "thm1", "open"}
    before = {path: (out / path).read_bytes() for path in files(out)}
    capsys.readouterr()
    assert run(name, out, "--full", "--resume", "prop1", "prop2") == 0
    assert capsys.readouterr().out == f"nothing is left to run; {out / 'report.html'}\n"
    assert before == {path: (out / path).read_bytes() for path in files(out)}
    assert run(name, out, "--full", "prop2") == 1  # what is named is run
    assert verdicts(out)["prop2"] == "not-run"


def test_a_run_of_another_size_is_not_resumed(package: Any, tmp_path: Path) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1")), tmp_path / "out"
    assert run(name, out, "prop1") == 0
    before = {path: (out / path).read_bytes() for path in files(out)}
    assert run(name, out, "--full", "--resume") == 2
    assert before == {path: (out / path).read_bytes() for path in files(out)}
    with pytest.raises(SystemExit, match="2"):
        run(name, out, "--fresh", "--resume")
    assert run(name, tmp_path / "new", "--resume") == 0  # nothing is there: all is run
    assert set(verdicts(tmp_path / "new")) == {"prop1", "thm1"}


# Python itself starts in some 20 ms of CPU time, and what comes in them is not ours to answer.
RUN = "import os, runpy; os.write(1, b'!'); runpy.run_module('verification', run_name='__main__', alter_sys=True)"


@pytest.mark.parametrize("delay", [0.02, 0.1, 0.2, 0.4, 0.8, 1.6])
def test_ctrl_c_ends_the_real_command_with_one_line_at_any_time(delay: float, tmp_path: Path) -> None:
    out = tmp_path / "out"
    process = start(RUN, tmp_path, "prop2", "--out", str(out))
    assert process.stdout is not None
    assert process.stdout.read(1) == "!"
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, error = process.communicate(timeout=50)
    assert process.returncode == 130, error
    assert re.fullmatch(rf"interrupted(; no statement had finished; {RESUME})?\n", error)
    if out.exists():
        assert verdicts(out) == {"prop2": "not-run"}
        assert (out / "report.html").stat().st_size > 0


# Several statements at a time


def test_statements_that_run_at_the_same_time_give_the_same_report(package: Any, tmp_path: Path) -> None:
    raises = fake("prop2", before="raise ValueError('a singular matrix')")
    unloadable = "import nothing_of_this_name"
    name = package(prop1=fake("prop1"), prop2=raises, thm1=unloadable, thm2=fake("thm2"), open=fake("open"))
    found = []
    for jobs in ("1", "3"):
        out = tmp_path / jobs
        assert run(name, out, "--jobs", jobs) == 1
        found.append({path: (out / path).read_bytes() for path in files(out) if path.startswith("figures/")})
        found[-1]["statements"] = json.dumps(read(out)["statements"]).encode()
        assert set(read(out)["environment"]["seconds"]) == {"prop1", "prop2", "thm1", "thm2", "open"}
    assert found[0] == found[1]


def test_statements_do_run_at_the_same_time(package: Any, tmp_path: Path) -> None:
    meet = f"""
    import pathlib, time
    folder = pathlib.Path({str(tmp_path)!r})
    (folder / f"here-{{ID}}").touch()
    end = time.monotonic() + 60
    while len(list(folder.glob("here-*"))) < 2:
        if time.monotonic() > end: raise TimeoutError("the other one did not come")
        time.sleep(0.01)"""
    name = package(prop1=fake("prop1", before=meet), open=fake("open", before=meet))
    assert run(name, tmp_path / "out", "--jobs", "2") == 0


def test_a_process_that_is_killed_breaks_what_it_ran_and_keeps_what_had_finished(package: Any, tmp_path: Path) -> None:
    out = tmp_path / "out"
    wait = f"import os, pathlib, time\n    while not pathlib.Path({str(out)!r}, 'figures', 'prop1.svg').exists(): "
    die = wait + "time.sleep(0.01)\n    os.kill(os.getpid(), 9)"
    name = package(prop1=fake("prop1"), open=fake("open", before=die))
    assert run(name, out, "--jobs", "2") == 1
    assert verdicts(out) == {"prop1": "holds", "open": "not-run"}
    assert "ended before its statement did" in statements(out)["open"]["reason"]


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def endless(folder: Path) -> str:
    """The beginning of a statement that tells its process and does not end."""
    told = f"import os, pathlib, time; pathlib.Path({str(folder)!r}, 'pid-' + ID).write_text(str(os.getpid()))"
    return told + "\n    while True: time.sleep(0.01)"


def start_three(package: Any, tmp_path: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """One statement that has finished and two that do not end, each in a process of its own."""
    out, before = tmp_path / "out", endless(tmp_path)
    name = package(prop1=fake("prop1"), thm1=fake("thm1", before=before), open=fake("open", before=before))
    program = f"from verification.__main__ import main; sys.exit(main(sys.argv[1:], package={name!r}))"
    process = start(program, tmp_path, "--jobs", "3", "--out", str(out), start_new_session=True)
    told = [tmp_path / f"pid-{id}" for id in ("thm1", "open")]
    while not (all(path.exists() and path.read_text() for path in told) and (out / "figures" / "prop1.svg").exists()):
        assert process.poll() is None
        time.sleep(0.01)
    return process, [int(path.read_text()) for path in told]


def assert_soon_gone(pids: list[int]) -> None:
    end = time.monotonic() + 30
    while any(is_running(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.01)


def test_ctrl_c_ends_all_that_run_at_the_same_time_and_keeps_what_had_finished(package: Any, tmp_path: Path) -> None:
    process, pids = start_three(package, tmp_path)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    _, error = process.communicate(timeout=50)
    assert process.returncode == 130, error
    assert error.splitlines()[-1] == f"interrupted; {tmp_path / 'out' / 'report.html'} holds what finished; {RESUME}"
    assert "Traceback" not in error
    assert verdicts(tmp_path / "out") == {"prop1": "holds", "thm1": "not-run", "open": "not-run"}
    assert_soon_gone(pids)


def test_processes_end_with_a_command_that_is_killed(package: Any, tmp_path: Path) -> None:
    process, pids = start_three(package, tmp_path)
    process.kill()
    assert_soon_gone(pids)
    process.communicate(timeout=50)


# Disks


def test_a_disk_that_fills_up_ends_the_run_in_one_line_and_keeps_what_was_written(
    package: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    name, out = package(prop1=fake("prop1"), thm1=fake("thm1")), tmp_path / "out"
    write = report.replace_file

    def full(path: Path, content: bytes) -> None:
        if path.name.startswith("thm1"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        write(path, content)

    monkeypatch.setattr(report, "replace_file", full)
    assert run(name, out) == 1
    error = capsys.readouterr().err.splitlines()
    assert error[-1].startswith("python -m verification: the report could no longer be written")
    assert "No space left" in error[-1]
    assert verdicts(out) == {"prop1": "holds", "thm1": "not-run"}


def test_numbers_that_json_does_not_know_do_not_stop_the_run(package: Any, tmp_path: Path) -> None:
    broken = fake("prop1").replace('"second": value + 0.0', '"second": np.float32("nan")')
    assert '"second": np.float32' in broken
    name = package(prop1="import numpy as np\n" + broken, open=fake("open"))
    assert run(name, tmp_path / "out") == 1
    assert verdicts(tmp_path / "out") == {"prop1": "undecided", "open": "holds"}
