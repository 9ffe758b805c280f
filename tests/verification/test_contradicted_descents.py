"""Descents that contradict theorem 2 make its claims fail, and those that bear it out do not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from refimpl import NeuralODE
from refimpl.data import sphere
from verification import Claim, Verdict
from verification.statements import _single_report as single
from verification.statements import _thm2_claims as claims
from verification.statements._data import Array
from verification.statements._descents import Descent, Ensemble
from verification.statements._fast_descent import Path
from verification.statements._single_input import Single
from verification.statements._stepsize import Problem
from verification.statements._width_runs import Group, width_claims

NET = NeuralODE("softplus", horizon=0.25)

N = np.asarray([64.0, 128.0, 256.0])

SEEDS, STEPS = 10, 20


@pytest.fixture(scope="module")
def of() -> Problem:
    X = sphere(4, 64, seed=0)
    return Problem(NET, "sphere", X, np.ones(4), np.asarray(NET.limit().ntk(X)), 0.0)


def descent(of: Problem, rate: float, loss: float, far: float, linear: float) -> Descent:
    """Losses `loss` and `linear` times what (14) allows, and the distance `far` times √(2κ) L(θ^0)^½ / λ_0."""
    promise = of.promise(rate, STEPS)
    later = np.arange(STEPS + 1) > 0
    distance = far * np.sqrt(2 * of.kernel[0, 0]) / of.least
    return Descent(
        np.where(later, loss * promise, 1.0), later * distance, np.where(later, linear * promise, 1.0), ended=False
    )


def ensemble(
    of: Problem, loss: float = 0.9, far: float = 0.5, linear: float = 0.9, far_exponent: float = 0.0
) -> Ensemble:
    """Networks of three widths that differ by a percent."""
    rng = np.random.default_rng(0)
    rate = 0.5 * of.edge
    runs = tuple(
        tuple(
            descent(of, rate, loss, far * (n / N[-1]) ** far_exponent * (1 - 0.01 * rng.random()), linear)
            for _ in range(SEEDS)
        )
        for n in N
    )
    return Ensemble(of, rate, N, runs)


def experiment(of: Problem, **kind: float) -> Any:
    return SimpleNamespace(safe=(ensemble(of, **kind),), other_counts=(ensemble(of),))


def to_the_end(of: Problem, left: float) -> Any:
    """A run whose loss falls evenly, in all the steps of (14), to `left` of its start."""
    steps = claims.enough(of)
    loss = left ** (np.arange(steps + 1) / steps)
    return SimpleNamespace(complete=Descent(loss, 0 * loss, loss, ended=False))


def group(of: Problem, loss: float, far: float) -> Group:
    run = descent(of, 0.5 * of.edge, loss, far, 1.0)
    residual = np.sqrt(2 * run.loss)[:, None]
    distance = run.distance * np.sqrt(of.least / of.kernel[0, 0]) * residual[0, 0] / np.sqrt(2)
    return Group(of, 0.5 * of.edge, 64, tuple(Path(residual, distance) for _ in range(20)))


def one_input(factor: float, constant: float, converged: bool = True) -> Single:
    """Networks with κ = 4 whose residual is multiplied by `factor`, and whose C is `constant` times √(2κ)."""
    rng, shape = np.random.default_rng(1), (40, N.size)
    before = rng.standard_normal(shape)
    after = factor * before + 0.01 * rng.standard_normal(shape)
    rises = np.full(shape, factor**4)
    constants = constant * np.sqrt(8) * (1 + 0.01 * rng.standard_normal(shape))
    return Single(
        NET, "sin", 4.0, N, np.stack([before, after], axis=-1), rises, constants, np.full(shape, converged)
    )  # fmt: skip


MADE: dict[str, tuple[Callable[[Problem, float], Claim], float, tuple[float, ...]]] = {
    "loss-spectral": (
        lambda of, p: claims._literal("loss-spectral", "spectral", [ensemble(of, loss=p)]), 0.9, (1.1, 5.0),
    ),
    "loss-repaired": (lambda of, p: claims._repaired(experiment(of, loss=p)), 0.9, (1.1, 5.0)),
    "distance, bound": (
        lambda of, p: claims._distance("spectral", experiment(of, far=p * of.spectral)), 0.9, (1.1, 5.0),
    ),
    "distance, growth": (lambda of, p: claims._distance("frobenius", experiment(of, far_exponent=p)), 0.0, (0.2, 1.0)),
    "convergence": (lambda of, p: claims._converged(to_the_end(of, p), of), 1e-7, (1e-5, 1.0, 10.0)),
    "decay-width": (lambda of, p: width_claims([group(of, p, 0.5)])[0], 0.9, (1.1, 5.0)),
    "distance-width": (lambda of, p: width_claims([group(of, 0.9, p * of.spectral)])[1], 0.2, (5.0, 9.0)),
    "distance-sharp": (lambda of, p: width_claims([group(of, 0.9, p)])[2], 0.9, (1.1, 5.0)),
    "stability": (lambda of, p: single._stable([one_input(-3.0, 1.0, bool(p))]), 1, (0,)),
    "constant": (lambda of, p: single._sharp([one_input(-3.0, p)]), 1.0, (0.9, 1.1)),
}  # fmt: skip


@pytest.mark.parametrize("name", MADE)
def test_a_claim_fails_on_descents_that_contradict_it_and_holds_on_those_that_do_not(name: str, of: Problem) -> None:
    claim, true, false = MADE[name]
    assert claim(of, true).verdict is Verdict.HOLDS
    assert {claim(of, value).verdict for value in false} == {Verdict.FAILS}


@pytest.mark.parametrize(
    ("right", "verdict"), [(30, Verdict.HOLDS), (15, Verdict.UNDECIDED), (3, Verdict.FAILS)]
)  # fmt: skip
def test_that_networks_are_told_apart_is_more_than_to_know_how_many_there_are(
    of: Problem, right: int, verdict: Verdict
) -> None:
    """Every other network keeps (14); of 30 `right` are predicted correctly."""
    good, bad = (ensemble(of, loss=loss).runs[0][0].loss for loss in (0.9, 1.1))
    runs = [
        Descent(good if i % 2 else bad, 0 * good, good if (i % 2 == 1) is (i < right) else bad, ended=False)
        for i in range(3 * SEEDS)
    ]
    rows = tuple(tuple(runs[k * SEEDS : (k + 1) * SEEDS]) for k in range(3))
    assert claims._near(Ensemble(of, 0.5 * of.edge, N, rows)).verdict is verdict


def test_a_loss_that_rises_refutes_and_one_off_the_linear_dynamics_decides_nothing() -> None:
    """κ = 4: every step should multiply the residual by −3."""
    verdicts = [single._rise([one_input(factor, 1.0), one_input(factor, 1.0)])[0].verdict for factor in (-3.0, -0.5)]
    assert verdicts == [Verdict.FAILS, Verdict.UNDECIDED]


@pytest.mark.parametrize(("ratio", "verdict"), [(3.0, Verdict.FAILS), (1.0, Verdict.UNDECIDED)])
def test_a_constant_that_grows_with_the_offset_refutes_that_it_does_not(ratio: float, verdict: Verdict) -> None:
    assert single._offset([one_input(-3.0, 1.0), one_input(-3.0, ratio)]).verdict is verdict


def test_distances_are_those_of_the_bound(of: Problem) -> None:
    far: Array = ensemble(of, far=1.0).constants
    np.testing.assert_allclose(far.max(), np.sqrt(2 * of.kernel[0, 0]), rtol=0.01)
