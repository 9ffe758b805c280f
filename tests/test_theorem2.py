"""Theorem 2's step size and constant: counterexamples found by search, and what is true for every input."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample
from scipy.special import iv

from refimpl import Gauss, NeuralODE, data, train
from refimpl.training import linearize
from verification import Config, Verdict
from verification.statements._fast_descent import FastDescent, Path
from verification.statements._readings import DIVERGES, KEEPS, NORMS, kernel_bound, readings
from verification.statements._single_input import Single, kappa, shifted_sine, single, twice_sine
from verification.statements._single_report import run_road
from verification.statements._stepsize import curve, gram, largest_rate, problem
from verification.statements._thm2_runs import CONVERGED, enough
from verification.statements._width_runs import Group, width_claims

EPS = float(np.finfo(float).eps)

HUNT = settings(max_examples=200, derandomize=True, database=None, deadline=None)

# Unit vectors a pencil can draw: multiples of 30° on the circle, and ± the axes of R^8.
directions = st.lists(st.integers(0, 11), min_size=1, max_size=4, unique=True)
axes = st.lists(st.integers(0, 7), min_size=1, max_size=8, unique=True)


def on_circle(thirty_degrees: list[int]) -> Any:
    angles = np.asarray(thirty_degrees) * np.pi / 6
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def diverges(net: NeuralODE, X: Any, norm: str) -> bool:
    """The linear dynamics with K_∞ and η = 1/‖X‖², from a residual that no symmetry of X hides from a mode."""
    K, rate = np.asarray(curve(net)(gram(X))), 1 / float(np.linalg.norm(X, NORMS[norm])) ** 2
    residual = 1 + np.sqrt(np.arange(len(X)))
    loss = linearize(K, 0 * residual, residual, rate, [0, 40, 80], rtol=1e-10).loss
    return bool(10 * loss[0] < loss[1] < loss[2])


# Searches


@pytest.mark.parametrize("norm", NORMS)
def test_search_finds_that_one_input_diverges_with_the_printed_step_size(norm: str) -> None:
    """softplus, all σ = 1: shrunk to x = (1, 0), T = 1, where κ = 2.184 and the residual is multiplied by −1.184."""
    quarters, points = find(
        st.tuples(st.integers(1, 6), directions),
        lambda case: diverges(NeuralODE("softplus", horizon=case[0] / 4), on_circle(case[1]), norm),
        settings=HUNT,
    )
    assert points == [0]
    assert quarters == 4
    assert kappa(NeuralODE("softplus", horizon=1.0)) > 2 > kappa(NeuralODE("softplus", horizon=0.75))


@pytest.mark.parametrize("norm", NORMS)
def test_search_finds_that_a_scale_of_two_diverges_however_short_the_horizon(norm: str) -> None:
    """sin: shrunk to one input, T = 1/4 and σ_v = 2, where κ > σ_v² E[sin² + cos²] = 4."""
    quarters, sigma_w, sigma_v, points = find(
        st.tuples(st.integers(1, 2), st.integers(1, 3), st.integers(1, 3), directions),
        lambda case: diverges(
            NeuralODE("sin", horizon=case[0] / 4, sigma_w=case[1], sigma_v=case[2]), on_circle(case[3]), norm
        ),
        settings=HUNT,
    )
    assert (quarters, sigma_w, sigma_v, points) == (1, 1, 2, [0])
    assert kappa(NeuralODE("sin", horizon=0.25, sigma_v=2)) > 4


@pytest.mark.parametrize("seed", range(3))
def test_networksrun_road_with_the_printed_step_size_do_what_the_search_found(seed: int) -> None:
    """The shrunk case above, sin with σ_v = 2 and x = 1, trained: every step multiplies the residual by 1 − κ < −3."""
    net, X, y = NeuralODE("sin", horizon=0.25, sigma_v=2.0), np.ones((1, 1)), np.ones(1)
    run = train(net, net.init(1024, 1, seed=seed), X, y, lr=1.0, steps=2, solver=Gauss(nodes=6, steps=1))
    factors = (run.predictions[1:] - y) / (run.predictions[:-1] - y)
    # K_θ is a mean of 1024 terms of a size like κ itself: four standard errors. The rest of (8) is of order 1/n.
    assert abs(factors[0, 0] - (1 - kappa(net))) <= 4 * kappa(net) / np.sqrt(1024)
    assert (run.loss[1:] > 4 * run.loss[:-1]).all()


def test_search_finds_orthogonal_inputs_that_diverge_in_the_spectral_norm_alone() -> None:
    """softplus, T = 1/4, where one input is stable: η = 1 and λ_max = κ + (N − 1) a_0 = 1.265 + 0.680 (N − 1)."""
    net = NeuralODE("softplus", horizon=0.25)
    found = find(axes, lambda chosen: diverges(net, np.eye(8)[chosen], "spectral"), settings=HUNT)
    assert found == [0, 1, 2]
    at_one, at_zero = float(curve(net)(1.0)), float(curve(net)(0.0))
    assert at_one + at_zero < 2 < at_one + 2 * at_zero
    with pytest.raises(NoSuchExample):
        find(axes, lambda chosen: diverges(net, np.eye(8)[chosen], "frobenius"), settings=HUNT)


def test_search_finds_that_one_input_makes_the_bound_of_14_negative() -> None:
    """sin, all σ = 1: 1 − ηλ_0 = 1 − κ < 0 for the shortest horizon of all."""
    quarters = find(st.integers(1, 8), lambda T: kappa(NeuralODE("sin", horizon=T / 4)) > 1, settings=HUNT)
    assert quarters == 1


# What is true for every input


@given(st.floats(1e-3, 3.0))
def test_the_linear_network_of_one_input_is_beyond_stability_for_every_horizon(horizon: float) -> None:
    """φ(z) = z: κ = 2 I_0(2T) + T I_1(2T) = 2 + 3T² + … > 2."""
    found = kappa(NeuralODE("identity", horizon=horizon))
    expected = 2 * iv(0, 2 * horizon) + horizon * iv(1, 2 * horizon)
    assert abs(found / expected - 1) <= 1e-12  # promised by Gauss
    assert found > 2 + 3 * horizon**2 * (1 - 1e-6)


@given(
    st.sampled_from([("softplus", 1.0), ("sin", 2.0), ("gelu", 1.0), ("erf", 1.0)]),
    st.lists(st.floats(-1.0, 1.0), min_size=6, max_size=12),
    st.sampled_from([1.0, 1e-3]),
)
def test_bounds_on_the_largest_eigenvalue_and_the_repaired_step_hold_for_all_inputs(
    which: tuple[str, float], numbers: list[float], spread: float
) -> None:
    """Points anywhere on the sphere, or all within a thousandth of one another, where the trace is nearly reached."""
    net = NeuralODE(which[0], horizon=which[1])
    rows = np.asarray(numbers[: len(numbers) // 2 * 2]).reshape(-1, 2)
    X = np.concatenate([np.ones((len(rows), 1)), spread * rows], axis=1)
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    for one in readings(net, "any", X):
        noise = 1e-10 * len(X)  # 1e-11 of the curve for each of N entries of a row
        assert one.schur <= 1 + noise
        if one.norm == "frobenius" or net.phi.parity == "odd":
            assert one.repaired <= 1 + noise
            K = np.asarray(curve(net)(gram(X)))
            rate = 1 / (one.diagonal * one.squared) * (1 - noise)
            residual = np.linalg.eigh(K)[1][:, -1]
            line = linearize(K, 0 * residual, residual, rate, np.arange(8), rtol=1e-10)
            least = max(one.least, 0.0)
            assert (line.loss <= line.loss[0] * (1 - rate * least) ** np.arange(8) + noise).all()


@given(
    st.sampled_from(["sin", "softplus", "gelu", "cos", "identity"]),
    st.sampled_from([0.25, 0.5, 1.0]), st.sampled_from([0.5, 1.0, 2.0]), st.sampled_from([0.5, 1.0, 2.0]),
)  # fmt: skip
def test_lipschitz_constant_and_phi_of_zero_bound_the_kernel(
    name: str, horizon: float, sigma_u: float, sigma_v: float
) -> None:
    net = NeuralODE(name, horizon=horizon, sigma_u=sigma_u, sigma_v=sigma_v)
    assert kappa(net) <= kernel_bound(net)


def test_bound_on_the_kernel_is_reached_by_the_linear_network_of_no_length() -> None:
    net = NeuralODE("identity", horizon=1e-9, sigma_u=1.3, sigma_v=0.7)
    assert abs(kernel_bound(net) / kappa(net) - 1) <= 1e-8  # e^{2Z} = 1 + 2e-9


@pytest.mark.parametrize("c", [2.0, 8.0])
def test_a_shift_of_phi_leaves_its_lipschitz_constants_and_raises_the_kernel(c: float) -> None:
    net = shifted_sine(c)
    assert (net.phi.lipschitz, net.phi.dlipschitz) == (1.0, 1.0)
    assert kappa(net) >= c**2
    assert kappa(twice_sine()) >= 4


@given(st.floats(0.01, 1.0), st.floats(0.1, 10.0))
def test_largest_rate_is_where_the_top_mode_begins_to_break_14(ratio: float, largest: float) -> None:
    rate = largest_rate(ratio * largest, largest)
    top, promise = (1 - rate * largest) ** 2, 1 - rate * ratio * largest
    assert abs(top - promise) <= 16 * EPS


@pytest.mark.parametrize(("horizon", "verdict"), [(0.25, KEEPS), (2.0, DIVERGES)])
def test_a_reading_says_what_the_linear_dynamics_do(horizon: float, verdict: str) -> None:
    net, X = NeuralODE("softplus", horizon=horizon), data.digits((3, 8), n_train=6, seed=0).X_train
    largest = float(np.linalg.eigvalsh(net.limit().ntk(X))[-1])
    for one in readings(net, "digits", X):
        assert one.verdict == verdict
        assert abs(one.product * np.linalg.norm(X, NORMS[one.norm]) ** 2 / largest - 1) <= 1e-10  # N times 1e-11
        assert diverges(net, X, one.norm) is (verdict == DIVERGES)


# Gradient descent in single precision, and the verdicts on it


@pytest.mark.parametrize("horizon", [1.0, 1.5])
def test_gradient_in_single_precision_is_right_to_a_millionth(horizon: float) -> None:
    net, X, y = NeuralODE("softplus", horizon=horizon), data.sphere(5, 8, seed=1), np.linspace(-1, 1, 5)
    theta = net.init(256, 8, seed=0)
    residual, blocks = FastDescent(net, theta, X, y).gradient()
    exact = net.gradient(theta, X, y, Gauss(nodes=12, steps=2))
    # 1e-6 stops the sweeps, and the last divides the error by five; 16 roundings of √n terms of one sign or other.
    allowed = 1e-6 / 5 + 16 * float(np.finfo(np.float32).eps)
    np.testing.assert_allclose(residual, net.predict(theta, X) - y, atol=allowed * float(np.abs(y).max() + 4))
    for block, name in zip(blocks, ("U", "W", "v"), strict=True):
        expected = getattr(exact, name)
        assert np.linalg.norm(block - expected) <= allowed * np.linalg.norm(expected)


@pytest.mark.slow
def test_gradient_in_single_precision_is_right_to_a_millionth_at_large_width() -> None:
    net, X, y = NeuralODE("softplus"), data.sphere(8, 64, seed=1), np.resize([1.0, -1.0], 8)
    theta = net.init(2048, 64, seed=0)
    _, blocks = FastDescent(net, theta, X, y).gradient()
    exact = net.gradient(theta, X, y, Gauss(nodes=8, steps=1))
    for block, name in zip(blocks, ("U", "W", "v"), strict=True):
        expected = getattr(exact, name)
        assert np.linalg.norm(block - expected) <= 1e-6 * np.linalg.norm(expected)


def test_descent_in_single_precision_follows_train_until_a_thousandth_of_the_loss_is_left() -> None:
    net, X = NeuralODE("softplus"), data.sphere(4, 8, seed=2)
    y = np.asarray([1.0, -1.0, 1.0, -1.0])
    theta = net.init(64, 8, seed=3)
    path = FastDescent(net, theta, X, y).run(0.3, 400, until=1e-3)
    run = train(net, theta, X, y, lr=0.3, steps=len(path.loss) - 1, solver=Gauss(nodes=8, steps=1))
    assert path.loss[-1] <= 1e-3 * path.loss[0] < path.loss[-2]
    allowed = 8 * np.sqrt(64) * float(np.finfo(np.float32).eps)  # √n roundings, and as many in each displacement
    np.testing.assert_allclose(path.residual, run.predictions - y, atol=allowed * float(np.abs(run.predictions).max()))
    np.testing.assert_allclose(path.distance, run.distance, rtol=allowed)


@pytest.mark.parametrize(("broken", "verdict"), [(0, Verdict.HOLDS), (5, Verdict.UNDECIDED), (20, Verdict.FAILS)])
def test_a_width_is_judged_by_how_many_of_its_networks_keep_14(broken: int, verdict: Verdict) -> None:
    of = problem("sin", "sphere", data.sphere(3, 8, seed=0), np.ones(3))
    rate = 0.5 * of.edge
    kept = np.sqrt(0.9 * of.promise(rate, 4))[:, None]
    kept[0] = 1.0
    bad = kept.copy()
    bad[3] = np.sqrt(1.1 * of.promise(rate, 4)[3])  # at one step only
    paths = tuple(Path(bad if i < broken else kept, np.zeros(5)) for i in range(20))
    found = {claim.id: claim for claim in width_claims([Group(of, rate, 64, paths)])}
    assert found["decay-width"].verdict is verdict
    assert found["decay-width"].measured == 1 - broken / 20
    assert found["distance-width"].verdict is Verdict.HOLDS


def test_roads_to_one_input_see_another_step_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gradient descent in single precision against train(); a rate that is off by a thousandth is seen."""
    config, net = Config("thm2"), NeuralODE("sin", horizon=0.5)
    found = single(config, net, "sin", (16,), 2)
    assert run_road(config, found, 0.5, 4).agree
    run = FastDescent.run
    monkeypatch.setattr(FastDescent, "run", lambda self, rate, steps, until=0.0: run(self, 1.001 * rate, steps, until))
    assert not run_road(config, found, 0.5, 4).agree


def test_the_factor_of_a_residual_is_had_from_residuals_near_zero_too() -> None:
    """u^0 − y is normal, so that the quotient has no mean; the slope is −3 + O(1/√n), and its interval says so."""
    rng, widths = np.random.default_rng(0), np.asarray([64.0, 128.0, 256.0])
    before = 1 + rng.standard_normal((40, 3))
    after = -3 * before + rng.standard_normal((40, 3)) / np.sqrt(widths)
    nothing = np.ones((40, 3))
    case = Single(NeuralODE("sin"), "sin", 4.0, widths, np.stack([before, after], axis=2), None, nothing, nothing > 0)
    assert case.factor is not None
    value, half, wider = case.factor
    assert abs(value + 3) <= wider
    assert half < wider < 0.1
    assert replace(case, residuals=None).factor is None


def test_steps_of_a_run_are_as_many_as_its_claim_allows() -> None:
    X = data.sphere(4, 8, seed=0)
    of = problem("softplus", "sphere", X, np.ones(4))
    left = (1 - of.least / of.largest) ** enough(of)
    assert CONVERGED * (1 - of.least / of.largest) < left <= CONVERGED
