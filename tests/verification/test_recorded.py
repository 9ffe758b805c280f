"""A second road sees whatever is wrong with a number that an experiment recorded and a claim is made of."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from scipy import stats

from refimpl import NeuralODE, data
from verification import Agreement, Config, Verdict
from verification.statements import _horizon_roads as horizon
from verification.statements import _losses_roads as of_losses
from verification.statements import _spectra_roads as spectra
from verification.statements import _thm2_roads as thm2
from verification.statements._data import DIM
from verification.statements._descents import ensemble as descents
from verification.statements._ensembles import Ensemble, ensemble
from verification.statements._horizon_networks import spread
from verification.statements._initial_spectra import Spectra, initial_network
from verification.statements._losses import Losses, kernel_difference, untrained
from verification.statements._statistics import LEVEL
from verification.statements._stepsize import problem
from verification.statements._tasks import tasks
from verification.statements._thm1_rates import DRAWS, limiting_bias
from verification.statements._thm1_recorded import expectation, linear_road, mean_road, recorded_roads, suprema_road
from verification.statements._thm1_suprema import suprema
from verification.statements._two_kernels import Road
from verification.statements._wide_training import SOLVER, Run, Study, _study

THM1 = Config("thm1")

STUDY = Config("recorded")


# Theorem 1: by just what flips a claim


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


# Networks in training and at initialization: by a ten-thousandth


@cache
def study() -> Study:
    return _study(STUDY, "softplus", 1, 1, 4, 2)


def initial_spectrum(factor: float) -> list[Agreement]:
    net, problem = study().net, study().problems["sphere"]
    thetas = [initial_network(STUDY, net, 32, draw) for draw in range(2)]
    kernel = np.stack([net.ntk(theta, problem.X, solver=SOLVER) for theta in thetas])[:, None]
    case = Spectra("softplus", "sphere", np.asarray([32.0]), factor * kernel, problem.K)
    return [spectra.initial_spectrum(STUDY, case, study())]


def trained(factor: float, *names: str) -> Study:
    """The study with `names` of its runs recorded off by a factor."""

    def wrong(run: Run) -> Run:
        return replace(run, **{name: factor * getattr(run, name) for name in names})

    runs = {source: [[wrong(run) for run in row] for row in rows] for source, rows in study().runs.items()}
    return replace(study(), runs=runs)


def trained_extremes(factor: float) -> list[Agreement]:
    return [spectra.trained_extremes(trained(factor, "kernel"))]


def trained_spectrum(factor: float) -> list[Agreement]:
    return [spectra.trained_spectrum(trained(factor, "kernel"))]


def at_the_end(factor: float) -> list[Agreement]:
    return [of_losses.at_the_end(trained(factor, "loss")), of_losses.at_the_end(trained(factor, "test_loss"))]


def initial_kernels(factor: float) -> list[Agreement]:
    kernel = np.empty((2, 1, 1, 2))
    theta = untrained(STUDY, study(), "digits", 32, 0)
    kernel[0, 0, 0] = factor * kernel_difference(study(), study().problems["digits"], theta, Road(SOLVER))
    nothing = np.empty(0)
    case = Losses(study(), nothing, nothing, nothing, nothing, nothing, kernel, nothing, nothing)
    return [of_losses.initial_kernels(STUDY, case)]


def finite_kernels(factor: float) -> list[Agreement]:
    X = {"sphere": data.sphere(16, DIM, seed=0)}
    limit = NeuralODE("erf", horizon=2.0).limit().ntk(X["sphere"][::8])
    found = spread(STUDY, "erf", 2.0, X["sphere"][::8], limit, [16, 32], 2)
    return [horizon.finite_kernels(STUDY, [replace(found, error=factor * found.error)], X)]


def descent_roads(factor: float) -> list[Agreement]:
    task = tasks(STUDY, 4, 1)["sphere"]
    of = problem("softplus", "sphere", task.X, task.y)
    found = descents(STUDY, of, 0.5 * of.edge, [32, 64], 1, 3)
    agreements = []
    for name, k in (("loss", 0), ("distance", 1)):
        runs = tuple(tuple(replace(run, **{name: factor * getattr(run, name)}) for run in row) for row in found.runs)
        agreements.append(thm2.descent_roads(STUDY, replace(found, runs=runs), 3)[k])
    return agreements


@pytest.mark.parametrize(
    "roads",
    [
        initial_spectrum, trained_extremes, trained_spectrum, at_the_end, initial_kernels, finite_kernels,
        descent_roads,
    ],
)  # fmt: skip
def test_a_recorded_number_that_is_off_is_seen_by_its_second_road(roads: Callable[[float], list[Agreement]]) -> None:
    for factor, agree in ((1.0, True), (1 + 1e-4, False), (1 - 1e-4, False), (2.0, False)):
        assert {road.agree for road in roads(factor)} == {agree}
