"""How times are taken and summed up, and the commands that compare speed, run small and without peers."""

from __future__ import annotations

import importlib
import json
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import refimpl
from benchmarks import __main__ as command
from benchmarks import comparison, environment, growth, limit, output, peers, profile, summary, timing, train
from benchmarks.accuracy import flat, relative_error

DOCS = Path(__file__).resolve().parents[1] / "docs"


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


def test_a_busy_machine_is_said_to_be_busy() -> None:
    found = environment.environment() | {"cores": 2, "load": 1.01}
    assert "load 1.0" in environment.described(found)[-1]
    assert not any("load" in line for line in environment.described(found | {"load": 0.99}))


def test_the_load_is_that_of_before_the_first_measurement(monkeypatch: pytest.MonkeyPatch) -> None:
    before = environment.load_before()
    monkeypatch.setattr(environment.os, "getloadavg", lambda: (99.0, 0.0, 0.0), raising=False)
    assert environment.load_before() == environment.environment()["load"] == before


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
    (slow,) = comparison.climb("a", "s", compute, value, (4, 6, 8), 0.0, say)
    assert "further tolerances" in slow["message"]
    (last,) = comparison.climb("a", "s", compute, value, (4,), 0.0, say)
    assert not last["message"]


def test_a_table_says_which_methods_had_fewer_tolerances() -> None:
    asked = {"a": (1e-7,), "b": (1e-7, 1e-6), "c": (1e-7,)}
    runs = [run(library, 1.0, 1.0) | {"rtol": rtol} for library, all_of in asked.items() for rtol in all_of]
    assert comparison.stopped({"runs": runs}) == ["at rtol 1e-07 only: a s, c s"]
    assert comparison.stopped({"runs": runs[1:3]}) == []
    failed = [run("d", 1.0, 1.0) | {"rtol": rtol, "error": None} for rtol in (1e-7, 1e-6)]
    assert comparison.stopped({"runs": [*runs[1:3], *failed]}) == ["at no rtol: d s"]


def test_an_interrupted_command_says_so(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stop(_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "speed", stop)
    with pytest.raises(SystemExit) as caught:
        command.main(["gradient", "--out", str(tmp_path)])
    assert caught.value.code == 130
    assert "nothing is written" in capsys.readouterr().err


def test_a_place_that_cannot_be_written_to_is_refused_before_anything_is_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SystemExit) as caught:
        command.main(["gradient", "--out", str(tmp_path / "file")])
    assert caught.value.code == 2
    assert "--out" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["gradient", "ntk"])
def test_a_comparison_without_peers_writes_what_it_prints(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main([name, "--quick", "--sizes", "16x4", "--peers", "--out", str(tmp_path)])
    captured = capsys.readouterr()
    printed = captured.out
    assert "  1 turn of " in captured.err
    assert "1 turns" not in captured.err + printed
    assert (tmp_path / f"speed-{name}.txt").read_text(encoding="utf-8") in printed
    results = json.loads((tmp_path / f"speed-{name}.json").read_text(encoding="utf-8"))
    (problem,) = results["problems"]
    assert {each["solver"] for each in problem["runs"]} == set(comparison.OURS)
    assert problem["truth"]["confirmed"] < 1e-12
    gauss = [each for each in problem["runs"] if each["solver"] == "Gauss"]
    assert all(each["error"] <= each["rtol"] for each in gauss)  # what Gauss promises
    assert problem["judged"]["peer_over_ours"] is None


def test_a_training_run_gives_the_gradient_of_its_last_step(tmp_path: Path) -> None:
    command.main(["train", "--quick", "--size", "8x3", "--peers", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "speed-train.json").read_text(encoding="utf-8"))
    (found,) = results["runs"]
    assert len(found["loss"]) == results["steps"]
    assert found["loss"] == sorted(found["loss"], reverse=True)
    # θ^{K−1} − θ^K = η ∇L loses eps ‖θ‖/(η ‖∇L‖), 1e-14 here; another step's gradient is off by 0.1 and more.
    assert found["error"] < results["target"]
    assert found["rtol"] >= results["target"]  # Gauss keeps what it promises: none tighter is tried


@pytest.mark.parametrize(
    "name", ["diffrax Dopri8 checkpoints", "torchdiffeq dopri8 backprop", "torchode tsit5 backprop"]
)
def test_a_peer_trains_like_this_package(name: str) -> None:
    method = next(method for method in peers.METHODS if method.name == name)
    pytest.importorskip(method.library, reason=f"{method.library} is not installed")
    problem = comparison.Problem.draw(6, 3)
    given = problem.net, problem.theta, problem.X, problem.y
    losses, last, before = method.module.descent(method, *given, 0.1, 1e-9)(4)
    own = refimpl.train(*given, lr=0.1, steps=4, solver=comparison.FINE)
    # Errors of 1e-9 or so a step, as in the gradients above; a loss of another step differs by 1e-2.
    assert losses == pytest.approx(own.loss[:4].tolist(), rel=1e-6)
    assert relative_error(flat(train.blocks(last)), flat(own.theta)) < 1e-6
    assert train.last_gradient(before, last, 0.1).shape == flat(own.theta).shape


def test_a_training_run_counts_only_if_its_gradient_is_accurate() -> None:
    runs = [run("refimpl", 1e-9, 2.0), run("a", 1e-9, 6.0), run("a", 1e-7, 1.0), run("b", 1e-7, 1.0)]
    assert train.judged(runs) == {"a": 3.0}
    assert train.judged(runs[1:]) == {}


def test_growth_is_fitted_for_every_quantity_and_variable(tmp_path: Path) -> None:
    series = {"width": (4, 8, 16), "digits": (2, 3)}
    base = {"width": 4, "samples": 1, "horizon": 0.1, "digits": 2}
    results = growth.results_of(series, base, timing.QUICK, lambda _: None)
    assert [(fit["quantity"], fit["against"]) for fit in results["exponents"]] == [
        ("gradient", "width"), ("gradient", "digits"), ("ntk", "width"), ("ntk", "digits")
    ]  # fmt: skip
    first = results["points"][:3]
    assert [point["setting"]["width"] for point in first] == [4, 8, 16]
    assert results["exponents"][0]["memory"][0] == summary.exponent((4, 8, 16), [p["memory"] for p in first])[0]
    assert "∇L against n" in growth.table(results)
    pytest.importorskip("matplotlib")
    assert output.write(results, "", tmp_path)[-1].stat().st_size > 1000


def test_the_limit_is_measured_against_the_closed_form_of_a_linear_resnet() -> None:
    # L = 1: h_1 = q (1 + T²), K = q (2 (1 + T²) + T²)
    assert limit.linear_resnet(1, 2.0) == 14.0
    X = limit.inputs(3)
    K = refimpl.NeuralODE("identity", 2.0).limit(refimpl.Euler(7)).ntk(X)
    assert limit.relative(K, limit.linear_resnet(7, 2.0) * (X @ X.T), np.diagonal(K)) < 1e-14


def test_extrapolation_is_exact_for_a_polynomial_in_one_over_depth() -> None:
    depths = (4, 8, 16, 32)
    # Errors of rounding grow by Π (1 + 2^−k)/(1 − 2^−k) < 9.
    assert limit.extrapolated([1 + 2 / L - 3 / L**2 + 5 / L**3 for L in depths], depths) == pytest.approx(1, rel=1e-14)


def test_norms_are_a_factor_apart() -> None:
    norms = np.linalg.norm(limit.inputs(200, spread=3.0), axis=1)
    assert 1.5 < norms.max() / norms.min() <= 3.0


def test_a_wrong_entry_of_a_gram_matrix_is_seen() -> None:
    net, X = refimpl.NeuralODE("softplus"), limit.inputs(6)
    K = net.limit().ntk(X)
    (right,) = limit.gram_checks(net, K, X, 0)
    assert right["error"] < 1e-12
    K[4, 1] += 1e-9
    (wrong,) = limit.gram_checks(net, K, X, 0)
    assert wrong["error"] == pytest.approx(1e-9 / K[0, 0], rel=1e-3)


@pytest.mark.slow
def test_the_oracle_and_the_gram_matrix_agree() -> None:
    pytest.importorskip("mpmath", reason="mpmath is not installed")
    for activation in ("softplus", "relu"):
        net, X = refimpl.NeuralODE(activation), limit.inputs(4)
        _, checked = limit.gram_checks(net, net.limit().ntk(X), X, 1)
        assert checked["error"] < (1e-12 if activation == "softplus" else 1e-9)


def test_the_command_of_the_limit_is_quick_when_asked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command.main(["limit", "--quick", "--out", str(tmp_path)])
    results = json.loads((tmp_path / "speed-limit.json").read_text(encoding="utf-8"))
    for case in results["cases"]:
        assert all(check["error"] < case["aim"].get("error", 1e-9) for check in case["checks"])
    assert "K_∞^L" in capsys.readouterr().out


def test_a_profile_blames_every_moment_on_something(tmp_path: Path) -> None:
    command.main(["profile", "--quick", "--turns", "2", "--sizes", "16x4", "--out", str(tmp_path)])
    (found,) = json.loads((tmp_path / "speed-profile.json").read_text(encoding="utf-8"))["sizes"]
    assert sum(found["groups"].values()) == pytest.approx(1)
    assert all(0 < found["groups"][name] < 1 for name in ("products with W", "sums over nodes", "φ and φ'"))
    assert found["groups"]["error bound, beside these"] < found["bound"] < 1


def test_time_outside_the_package_is_blamed_on_what_called_it() -> None:
    def function(file: str, name: str) -> tuple[str, int, str]:
        return (str(profile.PACKAGE / file) if file else "~", 1, name)

    top, inner, numpy = function("network.py", "gradient"), function("finite/rows.py", "times"), function("", "matmul")
    stats = {
        top: (1, 1, 1.0, 10.0, {}),
        inner: (1, 1, 2.0, 8.0, {top: (1, 1, 2.0, 8.0)}),
        numpy: (2, 2, 7.0, 7.0, {inner: (1, 1, 6.0, 6.0), top: (1, 1, 1.0, 1.0)}),
    }
    found = profile.shares(stats)
    assert found["groups"] == pytest.approx({"products with W": 0.8, profile.REST: 0.2})
    assert found["bound"] == 0


def test_a_curve_goes_from_loose_to_tight_tolerances_whatever_was_asked_first() -> None:
    figures = pytest.importorskip("benchmarks.figures", reason="Matplotlib is not installed")
    runs = [run("refimpl", 10 * rtol, 1.0) | {"rtol": rtol} for rtol in (1e-7, 1e-6, 1e-8)]
    _, (axes,) = figures.figure(1)
    figures._curves(axes, {"runs": runs})
    assert axes.lines[0].get_xdata().tolist() == [run["error"] for run in sorted(runs, key=lambda run: -run["rtol"])]


def test_a_figure_names_what_was_measured_and_no_more() -> None:
    figures = pytest.importorskip("benchmarks.figures", reason="Matplotlib is not installed")
    surroundings = environment.environment() | {"versions": {"refimpl": "1", "jax": "2", "torch": "3", "torchode": "4"}}
    measured = {
        "environment": surroundings,
        "problems": [{"runs": [run("refimpl", 1.0, 1.0), run("torchode", 1.0, 1.0)]}],
    }
    assert figures.heading(measured).splitlines()[0] == "refimpl 1, torchode 4, torch 3"


@pytest.mark.parametrize("name", ["gradient", "growth", "limit", "ntk", "profile", "train"])
def test_the_page_shows_the_table_of_the_numbers_beside_it(name: str) -> None:
    results = json.loads((DOCS / f"speed-{name}.json").read_text(encoding="utf-8"))
    shown = importlib.import_module(f"benchmarks.{name}").table(results)
    assert (DOCS / f"speed-{name}.txt").read_text(encoding="utf-8") == shown + "\n"
    assert f"{{literalinclude}} speed-{name}.txt" in (DOCS / "speed.md").read_text(encoding="utf-8")


def test_all_commands_run_in_turn_with_the_options_that_each_has(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen = {}
    monkeypatch.setattr(command, "speed", lambda given: seen.setdefault(given.command, vars(given)))
    command.main(["all", "--turns", "2", "--sizes", "16x4", "--peers", "diffrax", "--out", str(tmp_path)])
    assert list(seen) == ["gradient", "ntk", "limit", "train", "growth", "profile"]
    assert {(given["turns"], given["out"], given["quick"]) for given in seen.values()} == {(2, str(tmp_path), False)}
    assert [seen["ntk"][name] for name in ("sizes", "rtol")] == [((16, 4),), None]
    assert seen["train"]["peers"] == ["diffrax"]
    assert "sizes" not in seen["train"]
    assert "peers" not in seen["limit"]


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


def test_a_kernel_of_which_few_rows_fit_into_memory_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("diffrax", reason="diffrax is not installed")
    method, problem = peers.METHODS[0], comparison.Problem.draw(6, 5)
    monkeypatch.setattr(method.module, "CHUNK_BYTES", 2 * 8 * 6**2)
    answer = flat(problem.by(method, "ntk")(1e-9))
    assert relative_error(answer, flat(problem.of("ntk", comparison.FINE))) < 1e-6


def test_libraries_that_are_absent_are_named_with_what_installs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(peers, "LIBRARIES", ("no_such_library",))
    said: list[str] = []
    found, absent = peers.installed(None, said.append)
    assert found == []
    assert list(absent) == ["no_such_library"]
    assert "no_such_library is left out" in said[0]
    assert "pip install -e '.[peers]' -c constraints.txt" in said[0]


@pytest.mark.parametrize("name", ["gradient", "ntk", "train"])
def test_a_library_that_was_asked_for_by_name_must_be_there(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "benchmarks.peers.diffrax", None)  # its import fails, installed or not
    with pytest.raises(SystemExit) as ended:
        command.main([name, "--quick", "--peers", "diffrax", "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert "diffrax" in said
    assert "pip install -e '.[peers]' -c constraints.txt" in said
    assert not (tmp_path / "out").exists()
