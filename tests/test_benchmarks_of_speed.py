"""How times are taken and summed up, and the commands that compare speed, run small and without peers."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refimpl
from benchmarks import __main__ as command
from benchmarks import comparison, environment, peers, summary, timing
from benchmarks.accuracy import flat, relative_error


def test_summary_has_the_quartiles_of_a_line() -> None:
    found = summary.summary([4.0, 0.0, 1.0, 3.0, 2.0])
    assert (found["min"], found["lower"], found["median"], found["upper"]) == (0.0, 1.0, 2.0, 3.0)
    assert found["samples"] == [4.0, 0.0, 1.0, 3.0, 2.0]


def test_summary_of_one_sample_is_that_sample() -> None:
    found = summary.summary([2.5])
    assert {found[name] for name in ("min", "lower", "median", "upper")} == {2.5}


def test_an_exponent_is_recovered_and_its_error_says_how_straight_the_line_is() -> None:
    sizes = [125, 250, 500, 1000]
    slope, spread = summary.exponent(sizes, [3e-7 * size**1.75 for size in sizes])
    assert slope == pytest.approx(1.75, rel=1e-12)  # rounding of logarithms of the order of 10
    assert spread == pytest.approx(0, abs=1e-7)  # the root of rounding
    # log y − x = (1, −1, −1, 1) is orthogonal to every line: slope 1, s² = 4/2, Σ(x − x̄)² = 5.
    sizes = np.exp([0.0, 1.0, 2.0, 3.0])
    values = np.exp([0.0 + 1, 1.0 - 1, 2.0 - 1, 3.0 + 1])
    slope, spread = summary.exponent(sizes, values)
    assert slope == pytest.approx(1.0, rel=1e-12)
    assert spread == pytest.approx(np.sqrt((4 / 2) / 5), rel=1e-12)


def test_two_points_give_a_slope_without_an_error() -> None:
    assert summary.exponent([1, 10], [1.0, 100.0]) == (pytest.approx(2.0), None)


@pytest.mark.parametrize(
    ("value", "text"), [(2.884, "2.88 s"), (0.144, "144 ms"), (1e-3, "1 ms"), (2.2e-4, "220 µs"), (3e-8, "0.03 µs")]
)
def test_times_have_three_digits_and_a_unit(value: float, text: str) -> None:
    assert summary.seconds(value) == text


def test_every_computation_has_a_turn_before_any_has_the_next() -> None:
    calls: list[str] = []
    plan = timing.Plan(turns=4, patience=60.0, shortest=0.0)
    samples = timing.in_turns([partial(calls.append, name) for name in "AB"], plan)
    assert calls == list("ABABABAB")
    assert [len(found) for found in samples] == [4, 4]


def test_a_slow_computation_gets_three_turns_and_no_more() -> None:
    plan = timing.Plan(turns=9, patience=0.0, shortest=0.0)
    assert [len(found) for found in timing.in_turns([int, int], plan)] == [timing.LEAST] * 2


def test_a_turn_is_the_mean_of_its_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]

    def compute() -> None:
        now[0] += 0.25

    monkeypatch.setattr(timing.time, "perf_counter", lambda: now[0])
    assert timing.turn(compute, 0.75) == 0.25
    assert now == [0.75]


def test_peak_memory_is_what_was_held_at_once() -> None:
    def compute() -> None:
        for _ in range(3):
            np.zeros(10**6)

    assert timing.peak_memory(compute) == pytest.approx(8e6, rel=0.01)


def test_an_environment_names_what_a_time_depends_on() -> None:
    found = environment.environment()
    assert found["versions"]["numpy"] == np.__version__
    assert found["cores"] >= 1
    assert found["threads"]["numpy"] >= 1
    assert found["blas"]["name"]


def test_the_truth_refuses_roads_that_differ(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = comparison.Problem.draw(8, 2)
    monkeypatch.setattr(comparison, "FINE", refimpl.Gauss(2, 1))
    with pytest.raises(refimpl.AccuracyError, match="roads to the ntk differ"):
        comparison.truth(problem, "ntk")


def run(library: str, error: float, first: float) -> dict[str, Any]:
    return {"library": library, "solver": "s", "error": error, "first": first, "seconds": summary.summary([first])}


def test_the_fastest_is_sought_among_those_that_are_accurate_enough() -> None:
    runs = [run("refimpl", 1e-10, 2.0), run("refimpl", 1e-3, 0.1), run("a", 9.5e-10, 5.0), run("b", 1e-11, 7.0)]
    problem = {"runs": runs, "truth": {"disagreement": 0.0}}
    assert comparison.ratio(problem, 1e-9) == 2.5
    problem["truth"] = {"disagreement": 1e-10}  # now the run of a may miss 1e-9
    assert comparison.ratio(problem, 1e-9) == 3.5
    assert comparison.ratio(problem, 1e-12) is None


def test_a_peer_is_measured_once_only_where_its_own_library_is_twice_as_quick() -> None:
    slow, ours = run("a", 1e-8, 5.0), run("refimpl", 1e-9, 0.1)
    assert not comparison.dominated(slow, [slow, ours, run("a", 1e-8, 2.6), run("b", 1e-9, 1.0), run("a", 1e-7, 1.0)])
    assert comparison.dominated(slow, [slow, run("a", 1e-8, 2.4)])
    assert not comparison.dominated(ours, [ours, run("refimpl", 1e-9, 0.01)])


def test_a_method_that_is_slow_or_fails_is_not_asked_for_more() -> None:
    def compute(rtol: float) -> Any:
        if rtol < 1e-7:
            raise MemoryError("no room\nat all")
        return np.ones(2)

    value, say = np.ones(2), lambda _: None
    found = comparison.climb("a", "s", compute, value, (4, 6, 8, 10), 60.0, say)
    assert [(each["rtol"], each["error"]) for each in found] == [(1e-4, 0.0), (1e-6, 0.0), (1e-8, None)]
    assert found[-1]["message"] == "MemoryError: no room"
    assert len(comparison.climb("a", "s", compute, value, (4, 6, 8), 0.0, say)) == 1


@pytest.mark.parametrize("name", ["gradient", "ntk"])
def test_a_comparison_without_peers_writes_what_it_prints(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([name, "--quick", "--sizes", "16x4", "--peers", "--out", str(tmp_path)])
    printed = capsys.readouterr().out
    assert (tmp_path / f"speed-{name}.txt").read_text(encoding="utf-8") in printed
    results = json.loads((tmp_path / f"speed-{name}.json").read_text(encoding="utf-8"))
    (problem,) = results["problems"]
    assert {each["solver"] for each in problem["runs"]} == set(comparison.OURS)
    assert problem["truth"]["confirmed"] < 1e-12
    gauss = [each for each in problem["runs"] if each["solver"] == "Gauss"]
    assert all(each["error"] <= each["rtol"] for each in gauss)  # what Gauss promises
    assert problem["judged"]["peer_over_ours"] is None


@pytest.mark.parametrize("wrong", ["512", "512x64x3", "0x4", "512xa"])
def test_a_size_that_is_none_is_refused(wrong: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["gradient", "--sizes", wrong])
    assert "--sizes" in capsys.readouterr().err


@pytest.mark.parametrize("method", peers.METHODS, ids=lambda method: method.name)
def test_a_peer_computes_what_this_package_does(method: peers.Method) -> None:
    pytest.importorskip(method.library, reason=f"{method.library} is not installed")
    problem = comparison.Problem.draw(6, 3)
    for quantity in ("gradient", "ntk"):
        answer = flat(problem.by(method, quantity)(1e-9))
        # No library promises a global error; a wrong factor, sign or block is off by 1e-2 at least.
        assert relative_error(answer, flat(problem.of(quantity, comparison.FINE))) < 1e-6


def test_libraries_that_are_absent_are_named() -> None:
    said: list[str] = []
    found, absent = peers.installed(["no_such_library"], said.append)
    assert found == []
    assert list(absent) == ["no_such_library"]
    assert "no_such_library is left out" in said[0]
