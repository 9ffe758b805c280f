"""The second roads of the statements: against closed forms, and that they can fail."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.special import iv

from refimpl import Euler, Gauss, NeuralODE, Params, SolveIVP
from verification.config import Config
from verification.statements._by_hand import limit_variance
from verification.statements._discrete import METHODS, accepted
from verification.statements._effort import Counter, misalignment
from verification.statements._horizon_networks import state_coefficient
from verification.statements._quadratic_roads import _decimal_log_norm
from verification.statements._solvers_roads import _decimal_misalignment
from verification.statements._two_kernels import Road, on_both
from verification.statements._wide_training import Run, Study, _study
from verification.statements._written_out import Descent, descend, written_out

EPS = float(np.finfo(float).eps)


@pytest.fixture(scope="module")
def study() -> Study:
    return _study(Config("second roads"), "softplus", 1, 1, 3, 1)


def test_both_kernels_agree_until_one_of_them_is_off() -> None:
    net = NeuralODE("tanh")
    theta, X = net.init(16, 3, seed=0), np.random.default_rng(1).standard_normal((3, 3)) / 2

    def eigenvalues(road: Road) -> np.ndarray:
        return np.linalg.eigvalsh(road.kernel(net, theta, X))

    def off(road: Road) -> np.ndarray:
        return eigenvalues(road) * (1 + 1e-5 * isinstance(road.solver, Gauss))

    solver = Gauss(nodes=6, steps=1)
    found, wrong = (on_both("eigenvalues", measure, solver, ("a",)) for measure in (eigenvalues, off))
    assert found.agree
    assert found.claims == ("a",)
    assert not wrong.agree


@pytest.mark.parametrize("solver", [Gauss(nodes=8, steps=2), SolveIVP()])
def test_kernel_between_two_batches_is_a_block_of_that_of_both(solver: Gauss | SolveIVP) -> None:
    net, road = NeuralODE("softplus"), Road(solver)
    theta, X = net.init(8, 3, seed=0), np.random.default_rng(1).standard_normal((5, 3))
    whole, block = road.kernel(net, theta, X), road.kernel(net, theta, X[:2], X[2:])
    np.testing.assert_allclose(block, whole[:2, 2:], rtol=1e-8)


def test_the_loop_descends_as_the_experiment_does_until_its_rate_is_another(study: Study) -> None:
    def quantities(run: Run | Descent) -> np.ndarray:
        parts = run.loss, run.test_loss, run.predictions, run.test_predictions, run.distance[:, 1:], run.entry[:1]
        return np.concatenate([np.ravel(part) for part in parts])

    assert written_out(study, "everything", quantities, ()).agree
    problem = study.problems["digits"]
    slower = replace(study, problems={"digits": replace(problem, K=1.001 * problem.K)})
    assert not written_out(slower, "everything", quantities, ()).agree


@pytest.mark.parametrize("name", ["loss", "test_loss"])
def test_a_recorded_run_that_is_off_is_seen_by_the_loop(study: Study, name: str) -> None:
    """Its error is no part of what the comparison allows."""
    (run,), *wider = study.runs["digits"]
    for factor, agrees in ((1.0, True), (1 + 1e-6, False), (1 - 1e-6, False), (3.0, False)):
        wrong = replace(run, **{name: factor * getattr(run, name)})
        found = written_out(
            replace(study, runs={"digits": [[wrong], *wider]}), name, lambda of: getattr(of, name), ()
        )  # fmt: skip
        assert found.agree is agrees


def test_blocks_of_the_descent_add_up(study: Study) -> None:
    distance = descend(study, Road(Gauss(nodes=6, steps=1))).distance
    np.testing.assert_allclose(distance[0] ** 2, np.sum(distance[1:] ** 2, axis=0), rtol=8 * EPS)


@pytest.mark.parametrize("T", [0.25, 1.0, 2.0])
def test_variance_by_hand_of_the_identity_is_a_bessel_function(T: float) -> None:
    assert limit_variance(NeuralODE("identity", horizon=T), 14, 4) == pytest.approx(float(iv(0, 2 * T)), rel=1e-12)


def test_eulers_error_of_one_linear_neuron() -> None:
    """(1 + wT/L)^L = e^{wT} (1 − (wT)²/(2L) + …)."""
    net, w, T = NeuralODE("identity", horizon=1.5), -0.8, 1.5
    theta = Params(np.asarray([[0.7]]), np.asarray([[w]]), np.ones(1))
    exact = -((w * T) ** 2) / 2 * np.exp(w * T) * 0.7
    assert state_coefficient(net, theta, np.ones((1, 1)))[0, 0] == pytest.approx(exact, rel=1e-8)


def test_decimal_layers_of_one_neuron_that_squares() -> None:
    """h + τ h²/2 at τ = 2 is h (1 + h): 1, 2, 6, 42, 1806."""
    W, h0 = np.ones((1, 1)), np.ones(1)
    assert _decimal_log_norm(W, h0, 8.0, 4) == pytest.approx(np.log(1806), rel=2 * EPS)


@pytest.mark.parametrize("angle", [0.5, 1e-3, 1e-7])
def test_angle_in_decimal_numbers(angle: float) -> None:
    a, b = np.asarray([2.0, 0.0]), np.asarray([np.cos(angle), np.sin(angle)])
    exact = 2 * np.sin(angle / 2) ** 2
    assert _decimal_misalignment(a, b) == pytest.approx(exact, rel=4 * EPS / angle + 8 * EPS)
    assert misalignment(a, b) == pytest.approx(exact, rel=8 * EPS / angle + 8 * EPS)


@pytest.mark.parametrize("method", [*METHODS, "Euler"])
def test_counted_passes_are_those_of_the_solver_and_one_for_the_output(method: str) -> None:
    net = NeuralODE("softplus", horizon=2.0)
    theta, X, rtol = net.init(8, 3, seed=0), np.random.default_rng(1).standard_normal((2, 3)), 1e-5
    euler = method == "Euler"
    solver = Euler(7) if euler else SolveIVP(method, rtol=rtol, atol=rtol / 100)
    known = 7 if euler else accepted(net, theta, X, method, rtol, rtol / 100)[1]
    counter = Counter()
    replace(net, activation=counter.activation(net.phi)).predict(theta, X, solver)
    assert counter.entries == (known + 1) * theta.width * len(X)
