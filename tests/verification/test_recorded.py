"""A second road sees whatever is wrong with a number that an experiment recorded and a claim is made of."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from verification import Config, Verdict
from verification.statements._ensembles import Ensemble, ensemble
from verification.statements._statistics import LEVEL
from verification.statements._thm1_rates import DRAWS, limiting_bias
from verification.statements._thm1_recorded import expectation, linear_road, mean_road, recorded_roads, suprema_road
from verification.statements._thm1_suprema import suprema

THM1 = Config("thm1")


@pytest.fixture(scope="module")
def linear() -> Ensemble:
    return ensemble(THM1, "identity", {n: count // 4 for n, count in DRAWS.items() if n <= 32})


def moved(case: Ensemble, shift: float, *, errors: bool) -> Ensemble:
    """`case` with n E e recorded off by `shift`; with `errors`, because e of every network is."""
    means = case.mean + shift / case.widths
    if not errors:
        return replace(case, mean=means)
    shifted = tuple(e + shift / n for e, n in zip(case.errors, case.widths, strict=True))
    return replace(case, mean=means, errors=shifted)


@pytest.mark.parametrize("errors", [False, True])
@pytest.mark.parametrize("side", [-1, 1])
def test_what_flips_the_constant_of_the_bias_is_seen_by_its_second_roads(
    linear: Ensemble, side: int, errors: bool
) -> None:
    found = limiting_bias(linear)
    assert isinstance(found.measured, float)
    assert isinstance(found.predicted, float)
    assert isinstance(found.uncertainty, float)
    wider = found.uncertainty * float(stats.norm.ppf((1 + LEVEL) / 2) / stats.norm.ppf(0.975))
    wrong = moved(linear, found.predicted + side * (1 + 1e-6) * wider - found.measured, errors=errors)
    claim = limiting_bias(wrong)
    assert (found.verdict, claim.verdict) == (Verdict.HOLDS, Verdict.FAILS)
    assert linear_road(THM1, linear, found).agree
    assert not linear_road(THM1, wrong, claim).agree
    assert mean_road([linear]).agree
    assert mean_road([wrong]).agree is errors  # of e it takes what was recorded
    assert all(road.agree for road in recorded_roads(THM1, [linear]))
    assert recorded_roads(THM1, [wrong])[0].agree is not errors


def test_a_wrong_control_variate_or_standard_error_is_seen(linear: Ensemble) -> None:
    wrong = replace(linear, controls=tuple(c + 1e-6 for c in linear.controls))
    assert not recorded_roads(THM1, [wrong])[1].agree
    assert not mean_road([replace(linear, mean_error=1.001 * linear.mean_error)]).agree


def test_a_wrong_path_is_seen() -> None:
    square, widths = suprema(THM1)
    assert suprema_road(THM1, square, widths).agree
    assert not suprema_road(THM1, square * 1.01, widths).agree


def test_expectations_in_polar_coordinates_are_those_of_the_arc_cosine() -> None:
    cosine = np.asarray([[1.0, 0.3], [-0.9, 0.0]])
    angle = np.arccos(cosine)
    relu, step = (expectation(f, cosine) for f in (lambda z: np.maximum(z, 0.0), lambda z: 1.0 * (z > 0)))
    np.testing.assert_allclose(relu, (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi), rtol=0, atol=1e-12)
    np.testing.assert_allclose(step, (np.pi - angle) / (2 * np.pi), rtol=0, atol=1e-12)
