"""Helpers of Theorem 1's rates in the width, where a closed form or another method knows the answer."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import NeuralODE, Params, SolveIVP
from refimpl.scheme import gauss
from verification import Config
from verification.statements._depths import by_layers
from verification.statements._ensembles import PAIR, Ensemble, batch, draw, regressed
from verification.statements._goursat import arc_cosine_dual
from verification.statements._pairings import trace_moment
from verification.statements._thm1_edges import blocks_at_infinity, factors
from verification.statements._thm1_quadratic import SETTLES, scalar_kernel, settling
from verification.statements._thm1_rates import fitted_exponent, heavy_mean, linear_bias
from verification.statements._thm1_roads import control_road, pairing_roads
from verification.statements._thm1_suprema import suprema, supremum

EPS = float(np.finfo(float).eps)


@given(st.integers(0, 4), st.integers(0, 4))
def test_moments_of_a_matrix_of_one_entry_are_those_of_a_normal_number(j: int, k: int) -> None:
    """n = 1: all pairings count alike, and E w^(j+k) = (j + k − 1)!!."""
    expected = float(np.prod(np.arange(j + k - 1, 0, -2))) if (j + k) % 2 == 0 else 0
    assert sum(trace_moment(j, k).values()) == expected


def test_moments_of_a_random_matrix_are_those_of_the_pairings() -> None:
    n, draws = 4, 20000
    W = np.random.default_rng(0).standard_normal((draws, n, n)) / np.sqrt(n)
    WT = W.transpose(0, 2, 1)
    for j, k in ((2, 0), (2, 2), (3, 1)):
        product = np.eye(n)
        for factor in [W] * j + [WT] * k:
            product = product @ factor
        traces = np.trace(product, axis1=1, axis2=2) / n
        expected = sum(count * float(n) ** power for power, count in trace_moment(j, k).items())
        assert abs(traces.mean() - expected) <= 4.5 * traces.std() / np.sqrt(draws)  # 7 in a million


def test_order_one_over_n_of_the_pairings_is_min_plus_one() -> None:
    assert pairing_roads().agree


def test_linear_bias_of_a_short_horizon_is_that_of_two_terms() -> None:
    """κ_20 = κ_02 = 1: n (E K/K_∞ − 1) = 2 · 2 (Z²/2) / 2 = Z² up to Z⁴."""
    assert abs(linear_bias(1e-3) / 1e-6 - 1) < 1e-5


@pytest.mark.parametrize("activation", ["softplus", "tanh", "identity"])
def test_a_batch_has_the_kernels_of_its_networks(activation: str) -> None:
    net = NeuralODE(activation, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    U, W, v = draw(2, 6, 3, np.random.default_rng(1))
    found = batch(net, U, W, v, PAIR, gauss(nodes=8, steps=1, horizon=1.0))
    assert found.settled.all()
    for k in range(3):
        exact = net.ntk(Params(U[k], W[k], v[k]), PAIR, solver=SolveIVP())
        np.testing.assert_allclose(found.kernel[k], exact, rtol=1e-7)  # sweeps stop at changes of 1e-8


def test_control_variates_have_mean_zero() -> None:
    net, draws = NeuralODE("gelu", sigma_u=0.9, sigma_w=0.8, sigma_v=1.1), 8000
    weights = draw(2, 4, draws, np.random.default_rng(2))
    controls = batch(net, *weights, PAIR, gauss(nodes=1, steps=1, horizon=1.0)).controls
    score = np.abs(controls.mean(axis=0)) / controls.std(axis=0) * np.sqrt(draws)
    assert score.max() < 4.6  # 28 scores, one in ten thousand


def test_control_variates_keep_the_mean_and_take_the_spread() -> None:
    rng = np.random.default_rng(3)
    controls = rng.standard_normal((1000, 2))
    values = 5 + controls @ np.asarray([3.0, -2.0]) + 0.01 * rng.standard_normal(1000)
    mean, error = regressed(values, controls)
    assert error < 4e-4
    assert abs(mean - 5) < 5 * error


@pytest.mark.parametrize("expectation", [0.0, 0.3])
def test_a_control_variate_of_the_wrong_expectation_is_seen(expectation: float) -> None:
    rng = np.random.default_rng(4)
    controls = rng.standard_normal((2000, 1))
    values = 1 + controls[:, 0] + rng.standard_normal(2000)
    mean, error = regressed(values, controls - expectation)
    case = Ensemble("tanh", np.asarray([8.0]), (values,), (controls,), np.asarray([mean]), np.asarray([error]), 0.0)
    assert control_road([case]).agree is (expectation == 0)


def test_one_layer_written_out_is_its_closed_form() -> None:
    """ReLU, one layer, x with itself: S_00 = 1, Σ = D = 1/2, S_11 = 3/2, K = 3/4 + 1/2 · 1/2 + 1/2 · (1 + 1/2)."""
    assert abs(by_layers(NeuralODE("relu"), 1.0, 1, arc_cosine_dual) - 7 / 4) <= 4 * EPS


def test_the_next_order_does_not_shift_a_corrected_exponent() -> None:
    widths = np.asarray([8.0, 16.0, 32.0, 64.0])
    values = 3 / widths * np.exp(2 / widths)
    found = fitted_exponent(widths, values, 0.01 * values, 1)
    assert abs(found.value + 1) < 1e-12
    assert 0 < found.half < found.wider


def test_blocks_at_infinite_width_are_bessel_functions_for_the_identity() -> None:
    from scipy.special import iv

    net = NeuralODE("identity", horizon=1.2, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    Z = 0.8 * 1.2
    scale = 0.9**2 * 1.1**2 * PAIR @ PAIR.T
    of_U, of_W, of_v = blocks_at_infinity(net, PAIR)
    np.testing.assert_allclose(of_U, iv(0, 2 * Z) * scale, rtol=1e-11)
    np.testing.assert_allclose(of_W, Z * iv(1, 2 * Z) * scale, rtol=1e-11)
    np.testing.assert_allclose(of_v, iv(0, 2 * Z) * scale, rtol=1e-11)


def test_literal_parameters_multiply_the_blocks_by_powers_of_n() -> None:
    claim, agreement = factors(Config("thm1", seed=5))
    assert agreement.agree
    assert claim.measured == claim.predicted


@given(st.floats(0.1, 2), st.floats(-2, 2).filter(lambda w: abs(w) > 0.1), st.floats(0.1, 2), st.integers(0, 2))
def test_kernel_of_one_quadratic_neuron_is_the_square_of_its_gradient(u: float, w: float, v: float, seed: int) -> None:
    """Complex step through f = v h_T²/2, h_T = u/(1 − w u T/2)."""
    T = 1.5 / abs(w * u) * (0.1 + 0.4 * seed)  # t* = 2/|w u|
    step, gradient = 1e-30, []
    for k in range(3):
        p = [complex(u), complex(w), complex(v)]
        p[k] += 1j * step
        h = p[0] / (1 - p[1] * p[0] * T / 2)
        gradient.append((p[2] * h**2 / 2).imag / step)
    expected = float(np.sum(np.square(gradient)))
    assert abs(scalar_kernel(u, w, v, T) / expected - 1) < 1e-12


def test_a_supremum_is_judged_by_its_interval() -> None:
    """e² = X_n/n with independent exponential X_n, and errors that do not fall with n."""
    widths = np.asarray([32.0, 64.0, 128.0])
    X = np.random.default_rng(0).exponential(size=(1000, 3))
    found = supremum(X / widths, widths)
    assert found.verdict == "holds"
    # E max(x, y/2, z/4), by inclusion and exclusion of the rates 1, 2 and 4
    expected = 1 + 1 / 2 + 1 / 4 - 1 / (1 + 2) - 1 / (1 + 4) - 1 / (2 + 4) + 1 / (1 + 2 + 4)
    assert isinstance(found.measured, float)
    assert isinstance(found.uncertainty, float)
    assert abs(found.measured - expected) <= 2 * found.uncertainty
    assert supremum(X[:4] / widths, widths).verdict == "undecided"
    assert supremum(X * widths, widths).verdict == "fails-as-stated"


def test_narrower_networks_of_a_path_are_blocks_of_the_widest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verification.statements._thm1_suprema.PATHS", 2)
    config = Config("thm1")
    square, widths = suprema(config)
    n, rng, net = int(widths[0]), config.rng("suprema"), NeuralODE("softplus")
    U, W, v = draw(2, int(widths[-1]), 2, rng)
    limit = net.limit().ntk(PAIR)
    for path in range(2):
        K = net.ntk(Params(U[path, :n], W[path, :n, :n], v[path, :n]), PAIR)
        expected = np.linalg.norm(K - limit) / np.linalg.norm(limit)
        assert np.sqrt(square[path, 0]) == pytest.approx(expected, abs=1e-3)  # 3 nodes


def test_the_network_whose_exponent_is_measured_settles_as_its_linearisation_says() -> None:
    """log K_θ has the slope −6 in t* − T, and what is left of it falls with the power that `settling` asks for."""
    theta, end = settling(Config("thm1", seed=3), 4)
    left, X = np.exp2(-np.asarray([10.0, 12.0, 14.0, 16.0])), np.ones((1, 1))
    values = [NeuralODE("quadratic", horizon=end * (1 - p)).ntk(theta, X, solver=SolveIVP())[0, 0] for p in left]
    off = np.abs(np.diff(np.log2(values)) / 2 - 6)
    assert off[-1] < 0.01
    assert off[-1] < 2 * off[0] * 2 ** (-4 * SETTLES)  # four halvings; a factor of two for the phase of a pair


def test_networks_that_carry_half_of_a_mean_are_counted() -> None:
    values = np.append(np.ones(49), 100.0)
    low, high, carriers = heavy_mean(values, np.random.default_rng(0))
    assert low <= values.mean() <= high
    assert carriers == 1
    assert heavy_mean(np.ones(50), np.random.default_rng(0)) == (1.0, 1.0, 25)


def test_a_standard_error_with_control_variates_counts_that_the_slopes_are_estimates() -> None:
    """Twenty draws and ten controls: the scatter of many means, beside the error that is stated of them."""
    rng, found = np.random.default_rng(7), []
    for _ in range(400):
        controls = rng.standard_normal((20, 10))
        found.append(regressed(controls @ np.ones(10) + rng.standard_normal(20), controls))
    means, errors = np.asarray(found).T
    ratio = float(np.sqrt(np.mean(means**2) / np.mean(errors**2)))
    assert abs(ratio - 1) < 0.2  # 400 draws know it to 5 %, and 1/√draws alone is half again too small


@pytest.mark.parametrize("seed", range(5))
def test_control_variates_that_are_one_and_the_same_up_to_rounding_count_once(seed: int) -> None:
    rng = np.random.default_rng(seed)
    controls = rng.standard_normal((24_000, 12))
    values = controls @ np.ones(12) + rng.standard_normal(24_000)
    again = controls * (1 + EPS * rng.integers(-4, 4, controls.shape))
    assert regressed(values, np.hstack([controls, again])) == pytest.approx(regressed(values, controls), rel=1e-10)
