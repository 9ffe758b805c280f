"""Exponents and limits of simulated networks, whose truth is known, and the verdicts on them."""

from __future__ import annotations

import numpy as np
import pytest

from verification import Verdict
from verification.statements._exponents import Exponent, Limit, exponent, rms_exponent, spread_exponent
from verification.statements._statistics import mean_square_exponent

WIDTHS = np.asarray([32.0, 64.0, 128.0, 256.0])


def test_an_exact_power_law_has_its_exponent_whatever_the_constants_of_the_groups() -> None:
    values = np.asarray([1.0, 7.0])[:, None, None] * WIDTHS[None, :, None] ** -0.5 * np.ones(3)
    found = exponent(WIDTHS, values)
    assert abs(found.value + 0.5) < 1e-13  # a few roundings of logarithms of size 5, over their spread of 2
    assert found.wider < 1e-13


def test_intervals_of_95_percent_hold_the_true_exponent_19_times_in_20() -> None:
    rng, trials = np.random.default_rng(0), 400
    inside = {"exponent": 0, "rms": 0, "spread": 0}
    for _ in range(trials):
        normal = rng.standard_normal((2, WIDTHS.size, 20)) * WIDTHS[:, None] ** -0.5
        single = exponent(WIDTHS, np.exp(0.3 * rng.standard_normal(normal.shape)) * WIDTHS[:, None] ** -0.5)
        rms = rms_exponent(WIDTHS, normal[0].T ** 2)
        slope, error = spread_exponent(normal[0].T, WIDTHS)
        inside["exponent"] += abs(single.value + 0.5) <= single.half
        inside["rms"] += abs(rms.value + 0.5) <= rms.half
        inside["spread"] += abs(float(slope) + 0.5) <= 2 * float(error)
    # 380 of 400 with a standard deviation of 4.4; the delta method of 20 draws may miss a few per cent more.
    assert 362 <= inside["exponent"] <= 398
    assert inside["rms"] >= 350
    assert inside["spread"] >= 350


def test_intervals_that_decide_miss_a_mean_square_exponent_as_seldom_as_they_say() -> None:
    """Twelve draws, the fewest that a verdict rests on: half of each draw's error is common to all widths."""
    rng, trials, draws = np.random.default_rng(1), 10_000, 12
    missed, missed95 = 0, 0
    for _ in range(trials):
        common, own = rng.standard_normal((draws, 1, 4)), rng.standard_normal((draws, WIDTHS.size, 4))
        found, half, wider = mean_square_exponent(((common + own) ** 2).mean(axis=2) / WIDTHS, WIDTHS)
        missed, missed95 = missed + (abs(found + 0.5) > wider), missed95 + (abs(found + 0.5) > half)
    # 10 and 500 of 10000, with standard deviations of 3.2 and 22, and five of these.
    assert missed <= 26
    assert 390 <= missed95 <= 610


@pytest.mark.parametrize(
    ("value", "verdict"),
    [
        (-0.55, Verdict.HOLDS),  # meets -1/2 and falls
        (-0.05, Verdict.FAILS),  # misses -1/2 and may stay where it is
        (-1.0, Verdict.FAILS),  # falls, at another rate
        (-0.25, Verdict.FAILS),
        (0.4, Verdict.FAILS),
    ],
)
def test_a_rate_is_judged_by_its_wider_interval(value: float, verdict: Verdict) -> None:
    assert Exponent(value, 0.1, 0.2).meets(-0.5) is verdict


def test_an_interval_that_holds_both_the_rate_and_zero_decides_nothing() -> None:
    found = Exponent(-0.3, 0.35, 0.6)
    assert found.meets(-0.5) is found.at_most(-0.5) is Verdict.UNDECIDED
    assert "reaches 0" in found.scope(Verdict.UNDECIDED)


def test_a_faster_fall_is_at_most_the_rate() -> None:
    assert Exponent(-1.0, 0.1, 0.2).at_most(-0.5) is Verdict.HOLDS
    assert Exponent(-0.25, 0.1, 0.2).at_most(-0.5) is Verdict.FAILS


def test_a_bias_of_one_over_n_is_removed_from_a_limit_and_another_limit_fails() -> None:
    noise = np.random.default_rng(1).standard_normal((40, WIDTHS.size)) / np.sqrt(WIDTHS)
    good = Limit.of(1 + 3 / WIDTHS + noise, WIDTHS)
    assert good.verdict() is Verdict.HOLDS
    assert abs(good.value - 1) < 5 * good.half / 2  # half is two standard errors
    assert Limit.of(2 - 3 / WIDTHS + noise / 4, WIDTHS).verdict() is Verdict.FAILS
    assert Limit.of(1.5 + 3 / WIDTHS + noise / 4, WIDTHS).verdict() is Verdict.FAILS  # it comes nearer, but not to 1


def test_a_bias_that_still_bends_decides_nothing() -> None:
    noise = np.random.default_rng(2).standard_normal((40, WIDTHS.size)) / np.sqrt(WIDTHS)
    bent = Limit.of(1 + 40 / WIDTHS - 800 / WIDTHS**2 + noise / 10, WIDTHS)
    assert bent.score > 1
    assert bent.verdict() is Verdict.UNDECIDED
