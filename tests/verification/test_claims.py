"""Claims, roads and the verdict of a statement."""

from __future__ import annotations

import dataclasses
import json
import math
import re
import textwrap
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import verification.statements
from verification import Agreement, Claim, Config, Result, Table, Verdict, compare
from verification.catalogue import load
from verification.fit import power_law
from verification.runner import examine
from verification.statement import Origin, overall
from verification.style import new_figure


def claim(verdict: Verdict, id: str = "a") -> Claim:
    return Claim(id, "A sentence.", verdict, 1, 1, scope="Said why.", origin="paper")


def agreement(difference: float = 0.0) -> Agreement:
    return Agreement("$K$", ("Gauss", "Euler"), difference, 1e-3, "stated bound")


RANK = [Verdict.HOLDS, Verdict.HOLDS_WITH_SCOPE, Verdict.UNDECIDED, Verdict.FAILS]
BADNESS = {verdict: rank for rank, verdict in enumerate(RANK)}
RUN = st.lists(st.sampled_from(RANK), min_size=1).map(lambda found: [claim(verdict) for verdict in found])


@given(RUN)
def test_a_statement_is_as_bad_as_its_worst_claim(claims: list[Claim]) -> None:
    assert overall(claims, [agreement()]) is max((claim.verdict for claim in claims), key=BADNESS.__getitem__)


@given(RUN)
def test_a_claim_left_out_never_improves_a_verdict_and_never_lets_it_hold_whole(claims: list[Claim]) -> None:
    without = overall(claims, [])
    assert overall([*claims, claim(Verdict.NOT_RUN)], []) is max(
        without, Verdict.HOLDS_WITH_SCOPE, key=BADNESS.__getitem__
    )
    assert overall([claim(Verdict.NOT_RUN)], []) is Verdict.NOT_RUN


@given(RUN)
def test_a_false_sentence_of_ours_leaves_undecided_what_it_would_fail_were_it_of_the_paper(claims: list[Claim]) -> None:
    ours = dataclasses.replace(claim(Verdict.FAILS), origin=Origin.OURS)
    expected = max(overall(claims, []), Verdict.UNDECIDED, key=BADNESS.__getitem__)
    assert overall([*claims, ours], []) is expected
    figure, _ = new_figure()
    assert Result([claim(Verdict.HOLDS, "b"), ours], [agreement()], "E.", {}, figure, "F.").decisive is ours


@given(RUN, st.sampled_from([0.002, math.inf, math.nan]))
def test_no_verdict_rests_on_roads_that_disagree(claims: list[Claim], difference: float) -> None:
    assert overall(claims, [agreement(), agreement(difference)]) is Verdict.UNDECIDED


def test_the_decisive_claim_is_the_first_that_carries_the_verdict() -> None:
    claims = [claim(Verdict.HOLDS, "a"), claim(Verdict.FAILS, "b"), claim(Verdict.FAILS, "c")]
    figure, _ = new_figure()
    result = Result(claims, [agreement()], "Looking.", {}, figure, "A figure.")
    assert (result.verdict, result.decisive.id, result.full_scope) == (Verdict.FAILS, "b", "Said why.")
    assert Result(claims, [agreement(1.0)], "Looking.", {}, figure, "A figure.").decisive.id == "a"


@given(st.lists(st.floats(-1e6, 1e6), min_size=2, max_size=5), st.booleans())
def test_comparison_is_the_largest_difference_of_any_two_roads(values: list[float], relative: bool) -> None:
    roads = {str(i): value for i, value in enumerate(values)}
    found = compare("$K$", roads, allowed=0.0, because="bound", relative=relative)
    scale = max(map(abs, values)) if relative and any(values) else 1.0
    assert found.difference == (max(values) - min(values)) / scale
    assert found.agree == (len(set(values)) == 1)


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_roads_that_are_not_finite_never_agree(bad: float) -> None:
    roads = {"Gauss": [1.0, bad], "Euler": [1.0, bad]}
    assert not compare("$K$", roads, allowed=1e300, because="bound").agree


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Claim("A b", "T.", Verdict.HOLDS, 1, 1), "id must be made of"),
        (lambda: Claim("a", " ", Verdict.HOLDS, 1, 1), "text must not be empty"),
        (lambda: Claim("a", "T.", Verdict.HOLDS, math.nan, 1), "claim 'a': measured must not be NaN"),
        (lambda: Claim("a", "T.", Verdict.HOLDS_WITH_SCOPE, 1, 1), "scope must say why"),
        (lambda: Claim("a", "T.", "maybe", 1, 1), "'maybe' is not a valid Verdict"),
        (lambda: Table("T", ["a", "b"], [(1,)]), "must have 2 entries"),
        (lambda: Agreement("K", ("one", "one"), 0.0, 0.1, "bound"), "two or more different ways"),
        (lambda: Agreement("K", ("one", "two"), 0.0, math.inf, "bound"), "allowed must be finite"),
        (lambda: compare("K", {"a": [1], "b": [1, 2]}, allowed=0, because="bound"), "one shape"),
        (lambda: compare("K", {"a": [], "b": []}, allowed=0, because="bound"), "not empty"),
        (lambda: compare("K", {"a": 1}, allowed=0, because="bound"), "two or more different ways"),
        (lambda: Result([], [agreement()], "E.", {}, new_figure()[0], "F."), "at least one Claim"),
        (lambda: Result([claim(Verdict.HOLDS)], [], "E.", {}, new_figure()[0], "F."), "two roads"),
        (lambda: Result([claim(Verdict.HOLDS)], [agreement()], "E.", {}, new_figure()[0], ""), "figure in words"),
        (lambda: Result([claim(Verdict.HOLDS)] * 2, [agreement()], "E.", {}, new_figure()[0], "F."), "different ids"),
        (lambda: Result([claim(Verdict.HOLDS)], [agreement().on("b")], "E.", {}, new_figure()[0], "F."), "got ['b']"),
        (
            lambda: Result(
                [claim(Verdict.HOLDS), claim(Verdict.HOLDS, "b")],
                [agreement().on("b")],
                "E.",
                {},
                new_figure()[0],
                "F.",
            ),
            "got none for ['a']",
        ),
        (lambda: Config("prop1", seed=-1), "integer ≥ 0, got -1"),
        (lambda: power_law([1, 2, 3], [1, 0, 1]), "y must be positive"),
        (lambda: power_law([1, 1, 1], [1, 2, 3]), "two different values"),
        (lambda: power_law([1, 2], [1, 2]), "m ≥ 3"),
    ],
)
def test_bad_input_raises_and_names_the_argument(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        make()


def test_a_claim_rests_on_the_agreements_that_name_it_and_on_those_that_name_none() -> None:
    own, other, common = agreement().on("a"), agreement().on("b", "c"), agreement()
    claims = [claim(Verdict.HOLDS, "a"), claim(Verdict.HOLDS, "b"), claim(Verdict.NOT_RUN, "c")]
    result = Result(claims, [own, other, common], "E.", {}, new_figure()[0], "F.")
    assert [result.basis(found) for found in claims] == [(own, common), (other, common), (other, common)]
    assert Result([claim(Verdict.NOT_RUN, "a"), claims[1]], [other.on("b")], "E.", {}, new_figure()[0], "F.")
    with pytest.raises(TypeError, match="claims must be a sequence of ids, got the string 'rate'"):
        Agreement("$K$", ("Gauss", "Euler"), 0.0, 1.0, "bound", claims="rate")


def test_an_agreement_holds_numbers_that_json_knows() -> None:
    found = Agreement("$K$", ("Gauss", "Euler"), np.float32(0.5), np.float64(1), "bound")
    assert json.dumps([found.difference, found.allowed, found.agree]) == "[0.5, 1.0, true]"


@pytest.mark.parametrize("bad", [True, np.True_, 1j, [1.0]])
def test_a_measured_value_is_a_number_or_words(bad: Any) -> None:
    with pytest.raises(TypeError, match="measured must be a number, a string or None"):
        Claim("a", "T.", Verdict.HOLDS, bad, 1)


def test_random_numbers_follow_the_seed_the_statement_and_the_key_alone() -> None:
    keys: list[tuple[str | int, ...]] = [(), ("x",), ("x", 0), ("x", 1), (0,), ("0",), ("x", "0")]
    configs = [Config("prop1", 0), Config("prop1", 1), Config("prop2", 0), Config("prop1", 2**70)]
    draws = [int(config.rng(*key).integers(2**62)) for config in configs for key in keys]
    assert len(set(draws)) == len(draws)
    assert Config("prop1", 0, full=True).rng("x", np.int64(1)).integers(2**62) == draws[3]


@given(st.floats(-3, 3), st.floats(1e-3, 1e3))
def test_a_power_law_is_recovered(slope: float, constant: float) -> None:
    x = 2.0 ** np.arange(3, 9)
    fit = power_law(x, constant * x**slope)
    # Rounding of log y, at most (|log C| + |slope| log x) ε < 24 ε a point, over a spread of log x above 1.
    bound = 1e3 * np.finfo(float).eps
    assert abs(fit.slope - slope) <= bound
    assert fit.uncertainty <= bound
    assert math.isclose(fit.constant, constant, rel_tol=10 * bound)


def test_the_interval_of_a_noisy_slope_covers_it_as_often_as_it_says() -> None:
    rng, x, trials = np.random.default_rng(0), 2.0 ** np.arange(3, 9), 2000
    fits = (power_law(x, x**-0.5 * np.exp(0.1 * rng.standard_normal(6))) for _ in range(trials))
    covered = sum(abs(fit.slope + 0.5) <= fit.uncertainty for fit in fits) / trials
    assert abs(covered - 0.95) <= 4 * math.sqrt(0.95 * 0.05 / trials)  # four standard deviations


def test_the_documented_example_runs_and_holds(package: Any) -> None:
    example = textwrap.dedent((verification.statements.__doc__ or "").partition("::\n")[2])
    name = package(prop1=example.replace('"euler"', '"prop1"'))
    result = examine(load("prop1", name), Config("prop1")).result
    assert result is not None
    assert (result.verdict, result.roads_agree) == (Verdict.HOLDS, True)
