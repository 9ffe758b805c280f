"""The scorecard: what it counts, how it reads, what it writes."""

from __future__ import annotations

import builtins
import json
import math
import struct

import pytest

import refimpl
from refimpl.conformance import Mistake, Result, Scorecard
from refimpl.conformance.own import Default

SKIPPED = ("skipped", math.nan, math.nan, "kinks")


def result(case, quantity="predict", activation="tanh", flags=(), status="passed", digits=12.0, required=8.0, text=""):
    return Result(case, quantity, activation, tuple(flags), status, digits, required, text)


MIXED = Scorecard(
    (
        result("tanh-a", flags=["deep"], digits=13.96),
        result("tanh-b", flags=["deep", "sigmas"], digits=9.0),
        result("tanh-c", flags=["float32"], digits=6.5, required=4.5),
        result("tanh-a", "ntk", digits=7.96, status="failed", text="relative error 1.10e-08; [0] is 1, not 2"),
        result("relu-a", activation="relu", flags=["kink"], digits=0.0, status="failed", text="ValueError: no"),
        Result("relu-b", "ntk", "relu", ("kink",), *SKIPPED),
    ),
    (Mistake("sigma_w-missing", "σ_w is forgotten", "explains 2 of 2 failures"),),
)
PASSED = Scorecard(MIXED.results[:3])


def test_one_failure_is_a_failure():
    assert not MIXED.passed
    assert PASSED.passed
    assert Scorecard((*PASSED.results, MIXED.results[-1])).passed  # what is not implemented is not wrong


def test_nothing_compared_is_no_pass():
    assert not Scorecard(()).passed
    assert not Scorecard((MIXED.results[-1],)).passed


def test_failures_come_with_the_most_digits_missing_first():
    assert [(r.case, r.quantity) for r in MIXED.failures] == [("relu-a", "predict"), ("tanh-a", "ntk")]


def test_digits_are_the_fewest_of_each_quantity_activation_and_flag():
    assert MIXED.digits == {
        ("predict", "tanh", ""): 6.5,
        ("predict", "tanh", "deep"): 9.0,
        ("predict", "tanh", "sigmas"): 9.0,
        ("predict", "tanh", "float32"): 6.5,
        ("ntk", "tanh", ""): 7.96,
        ("predict", "relu", ""): 0.0,
        ("predict", "relu", "kink"): 0.0,
    }


def test_single_precision_has_a_row_of_its_own():
    assert MIXED.by_activation == {
        ("predict", "tanh"): 9.0,
        ("predict", "float32"): 6.5,
        ("ntk", "tanh"): 7.96,
        ("predict", "relu"): 0.0,
    }
    assert MIXED.by_flag == {
        ("predict", "deep"): 9.0,
        ("predict", "sigmas"): 9.0,
        ("predict", "float32"): 6.5,
        ("predict", "kink"): 0.0,
    }
    assert MIXED.failing_rows == {("predict", "relu"), ("predict", "kink"), ("ntk", "tanh")}


def test_json_holds_everything():
    content = json.loads(MIXED.to_json())
    assert content["passed"] is False
    assert content["counts"] == {"passed": 3, "failed": 2, "skipped": 1}
    assert {(row["quantity"], row["activation"], row["flag"]): row["digits"] for row in content["digits"]} == {
        key: round(value, 3) for key, value in MIXED.digits.items()
    }
    assert content["mistakes"] == [
        {"name": "sigma_w-missing", "explanation": "σ_w is forgotten", "evidence": "explains 2 of 2 failures"}
    ]
    again = []
    for row in content["results"]:
        row["flags"] = tuple(row["flags"])
        again.append(Result(**row))
    assert tuple(again[:-1]) == MIXED.results[:-1]
    assert (again[-1].status, again[-1].digits, again[-1].required) == ("skipped", None, None)  # NaN is no JSON
    assert MIXED.to_json().endswith("}\n")


def test_json_names_version_and_options_and_never_rounds_digits_up():
    options = {"candidate": "mine:Candidate", "digits": 8.0, "flags": None}
    card = Scorecard((result("tanh-a", digits=7.9996, status="failed"),), options=options)
    content = json.loads(card.to_json())
    assert content["refimpl"] == refimpl.__version__
    assert content["options"] == options
    assert [row["digits"] for row in content["digits"]] == [7.999]
    assert content["results"][0]["digits"] == 7.999


def test_a_quantity_is_told_once_by_its_worst_case():
    failed = [result(f"tanh-{k}", digits=float(k), status="failed", text=f"off {k}") for k in (3, 1, 2)]
    text = str(Scorecard((*failed, result("tanh-n", "ntk"))))
    assert "off 1" in text
    assert "off 2" not in text
    assert "off 3" not in text


def test_flags_are_told_by_quantity():
    results = (
        result("tanh-a", "predict", flags=["deep"], status="failed", digits=1.0),
        result("tanh-b", "predict"),
        result("tanh-a", "ntk", flags=["deep"], status="failed", digits=1.0),
        result("tanh-b", "ntk"),
        result("tanh-a", "jacobian", flags=["deep"]),
    )
    assert "\nFailed in every case of predict, ntk with the flag deep." in str(Scorecard(results))


def test_json_of_nothing_is_json():
    assert json.loads(Scorecard(()).to_json())["results"] == []


def test_printed_it_is_a_table():
    assert str(MIXED) == (
        "FAILED: 3 passed, 2 failed, 1 skipped\n"
        "\n"
        "Fewest correct digits (* failed):\n"
        "\n"
        "activation  predict    ntk\n"
        "tanh           9.0    7.9*\n"
        "relu           0.0*     –\n"
        "float32        6.5      –\n"
        "\n"
        "Worst case of each quantity:\n"
        "\n"
        "  relu-a predict: 0.0 of 8.0 digits; ValueError: no\n"
        "  tanh-a ntk: 7.9 of 8.0 digits; relative error 1.10e-08; [0] is 1, not 2\n"
        "\n"
        "Failed in every case of predict with the flag kink.\n"
        "\n"
        "Known mistakes that give the same numbers:\n"
        "\n"
        "  sigma_w-missing: σ_w is forgotten (explains 2 of 2 failures)"
    )


def test_what_passed_is_a_table_without_complaints():
    text = str(PASSED)
    assert text.startswith("passed: 3 passed, 0 failed, 0 skipped\n\nFewest")
    assert text.endswith("float32        6.5")


def test_flags_are_no_hint_where_everything_failed():
    assert "flag" not in str(Scorecard(MIXED.failures))


def test_a_plot_is_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    for name, scorecard in (("mixed", MIXED), ("passed", PASSED), ("nothing", Scorecard(()))):
        path = tmp_path / f"{name}.png"
        scorecard.plot(path)
        head = path.read_bytes()[:24]
        assert head.startswith(b"\x89PNG\r\n\x1a\n")
        assert min(struct.unpack(">II", head[16:24])) > 200


def test_a_plot_marks_what_failed(tmp_path):
    pytest.importorskip("matplotlib")
    path = tmp_path / "scorecard.svg"
    MIXED.plot(str(path))
    assert path.read_text(encoding="utf-8").count("#b3261e") == len(MIXED.failing_rows)


def test_a_plot_without_matplotlib_says_what_to_install(monkeypatch, tmp_path):
    def without(name, *arguments, **named):
        if name.startswith("matplotlib"):
            raise ImportError(name)
        return real(name, *arguments, **named)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=r"pip install 'refimpl\[plot\]'"):
        MIXED.plot(tmp_path / "scorecard.png")


def test_a_real_scorecard_can_be_printed_written_and_drawn(tmp_path):
    pytest.importorskip("matplotlib")
    scorecard = refimpl.check_conformance(Default, quantities=["ntk", "resnet_ntk"], activations=["erf", "relu"])
    assert "relu" in str(scorecard)
    assert len(json.loads(scorecard.to_json())["results"]) == len(scorecard.results)
    scorecard.plot(tmp_path / "scorecard.pdf")
    assert (tmp_path / "scorecard.pdf").read_bytes().startswith(b"%PDF")


def test_where_nothing_was_compared_that_is_what_is_said():
    skipped = (MIXED.results[-1],)
    assert not Scorecard(skipped * 22).passed
    assert str(Scorecard(skipped * 22)) == "FAILED: nothing was compared, 22 skipped (kinks)"
    assert str(Scorecard(())) == "FAILED: nothing was compared, 0 skipped (no cases)"
    assert str(MIXED).startswith("FAILED: 3 passed, 2 failed, 1 skipped")
