"""Helpers of the order of limits, and a search for the smallest network for which it matters."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st
from scipy.special import iv

from refimpl import Euler, Gauss, NeuralODE, Params
from verification import Claim, Config, Verdict
from verification.statements._chains import (
    log_moments,
    log_second_moment,
    mean_root,
    perceptrons,
    relative_variance,
    residual_norms,
    shared_bound,
    shared_mean,
)
from verification.statements._ensembles import PAIR
from verification.statements._independent import diffusion_kernels, independent_kernels
from verification.statements._limits_architectures import _kernel, ntk_limits, step_edge
from verification.statements._limits_exchange import as_stated, constant_at_infinity, linear_plane, readout_bound
from verification.statements._limits_stacks import shared_moment, shared_norms, shared_stack

EPS = float(np.finfo(float).eps)


def test_one_layer_of_a_perceptron_of_one_neuron_is_the_mean_of_a_folded_normal() -> None:
    np.testing.assert_allclose(mean_root(1), np.sqrt(2 / np.pi), rtol=8 * EPS)


def test_mean_root_is_continuous_where_the_series_takes_over() -> None:
    """m_n m_{n+1} = √(n/(n + 1)) from Γ(x + 1) = x Γ(x)."""
    for n in (3, 998, 1000, 1001, 10**6):
        assert abs(mean_root(n) * mean_root(n + 1) / np.sqrt(n / (n + 1)) - 1) < 2e-12  # Γ to 1e-16 of its logarithm


def test_moments_of_log_chi_square_are_those_of_large_n() -> None:
    mean, variance = log_moments(1e6, 3e6)
    assert abs(mean + 3) < 1e-5
    assert abs(variance - 6) < 1e-4


@given(st.integers(1, 50), st.integers(1, 50))
def test_variance_of_a_perceptron_is_that_of_a_product_of_chi_squares(n: int, depth: int) -> None:
    np.testing.assert_allclose(relative_variance(n, depth, 0.0, 0.7), (1 + 2 / n) ** depth - 1, rtol=1e-12)


@pytest.mark.parametrize("step", [0.1, 0.5])
def test_variance_of_residual_layers_meets_random_ones(step: float) -> None:
    n, depth, draws = 5, 6, 20000
    norms = residual_norms(n, depth, step, draws, np.random.default_rng(0)) / (1 + step**2) ** depth
    score = (norms**2 - 1).mean() - relative_variance(n, depth, 1.0, step)
    assert abs(score) <= 4 * (norms**2).std() / np.sqrt(draws)
    assert abs(norms.mean() - 1) <= 4 * norms.std() / np.sqrt(draws)


def test_parts_of_the_kernel_of_a_perceptron_are_squares_of_its_gradient() -> None:
    """n = 1: f = v w_2 w_1 u, and ∂f/∂w_1 = f/w_1 …: all parts are f² over the square of one weight."""
    size, parts = perceptrons(1, 2, 5, np.random.default_rng(1))
    rng = np.random.default_rng(1)
    W = rng.standard_normal((2, 5, 1, 1))[:, :, 0, 0]
    u, v = (rng.standard_normal((5, 1, 1))[:, 0, 0] for _ in range(2))
    f = v * W[1] * W[0] * u
    np.testing.assert_allclose(size, (f / v) ** 2, rtol=1e-13)
    np.testing.assert_allclose(parts, np.stack([(f / w) ** 2 for w in (u, W[0], W[1], v)], axis=1), rtol=1e-13)


@given(st.integers(1, 200), st.integers(1, 4), st.floats(0.05, 2.0))
@settings(max_examples=50)
def test_no_linear_resnet_breaks_the_bound_on_the_plane(n: int, depth: int, Z: float) -> None:
    B, C = shared_bound(Z)
    assert abs(shared_mean(n, depth, Z) - iv(0, 2 * Z)) <= (B / n + C / depth) * (1 + 1e-12)


def test_exact_mean_of_one_neuron_needs_no_pairing() -> None:
    assert linear_plane()[1].agree


def test_search_for_networks_whose_limits_do_not_commute_ends_at_the_perceptron() -> None:
    """E ‖h‖⁴/(E ‖h‖²)² at n = 10 after 10⁶ layers: 1 with n → ∞ first. Smallest: no skip connection, no decay."""
    networks = st.tuples(st.sampled_from([0, 1]), st.sampled_from([0.0, 0.25, 0.5, 0.75, 1.0]))

    def matters(network: tuple[int, float]) -> bool:
        skip, power = network
        return log_second_moment(10, 10**6, float(skip), 1e6**-power) > 1

    assert find(networks, matters) == (0, 0.0)
    assert find(networks.filter(lambda found: found[0] == 1), matters) == (1, 0.0)
    assert not any(matters((1, power)) for power in (0.5, 0.75, 1.0))
    assert matters((1, 0.25))


def test_edge_of_the_step_is_one_half() -> None:
    claim, agreement = step_edge(Config("limits"))
    assert agreement.agree
    assert abs(float(claim.measured) - 0.5) < 0.01


def test_sqrt_layers_of_the_identity_are_exponentials() -> None:
    net = NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    Z, scale = 0.64 * 1.3, 0.9**2 * 1.1**2 * PAIR @ PAIR.T
    kernel, nngp = diffusion_kernels(net, PAIR)
    np.testing.assert_allclose(kernel, (2 + Z) * np.exp(Z) * scale, rtol=1e-7)
    np.testing.assert_allclose(nngp, np.exp(Z) * scale, rtol=1e-7)


def test_sqrt_layers_approach_the_diffusion_as_one_over_depth() -> None:
    """Their difference is a power series in 1/L: doubling L halves it, up to a relative 1/L."""
    net = NeuralODE("softplus", sigma_w=1.2)
    limit = diffusion_kernels(net, PAIR)
    for k in range(2):
        coarse, fine = (np.linalg.norm(independent_kernels(net, PAIR, L, 0.5)[k] - limit[k]) for L in (64, 128))
        assert abs(coarse / fine - 2) <= 2 / 64


def test_kernel_with_another_step_is_that_of_rescaled_weights() -> None:
    """One layer: h^1 = h^0 + T^p 𝒲 φ(h^0), so that p = 1/2 at T = 4 is p = 1 with σ_w halved."""
    net, half = NeuralODE("softplus", horizon=4.0), NeuralODE("softplus", horizon=4.0, sigma_w=0.5)
    theta: Params = net.init(6, 2, seed=0, layers=1)
    expected = half.ntk(theta, PAIR, solver=Euler(1, shared=False))
    np.testing.assert_allclose(_kernel(net, theta, PAIR, 0.5), expected, rtol=1e-13)


def test_constant_at_infinity_of_the_identity_is_written_out() -> None:
    """ℓ = 1, κ = 2 σ_w, Σ^{0,0} = q: C = σ_v σ_w² T² e^{2 σ_w T} √q, and ‖∂_v f‖ ≤ σ_v √q (1 + e^{2 σ_w T})/2."""
    net = NeuralODE("identity", horizon=0.5, sigma_w=0.8, sigma_v=1.1)
    C, norm = 1.1 * 0.64 * 0.25 * np.exp(0.8), 1.1 * (1 + np.exp(0.8)) / 2
    np.testing.assert_allclose(np.diagonal(constant_at_infinity(net, PAIR)), 2 * C * norm + C**2, rtol=1e-11)


def test_the_readout_is_within_its_bound_and_one_growing_linear_neuron_attains_it() -> None:
    """‖∂_v f‖ = σ_v ‖φ(h_T)‖/√n; for φ(z) = z, n = 1 and w > 0 it is σ_v |h_0| e^{σ_w w T}."""
    for name in ("softplus", "tanh"):
        net = NeuralODE(name, horizon=1.5, sigma_u=0.9, sigma_w=1.2, sigma_v=0.8)
        theta = net.init(16, 2, seed=1)
        assert (np.linalg.norm(net.jacobian(theta, PAIR, Gauss()).v, axis=1) < readout_bound(net, theta, PAIR)).all()
    net = NeuralODE("identity", horizon=1.5, sigma_u=0.9, sigma_w=1.2, sigma_v=0.8)
    theta = Params(np.array([[2.0]]), np.array([[0.7]]), np.array([1.0]))
    found = readout_bound(net, theta, np.ones((1, 1)))
    np.testing.assert_allclose(found, 0.8 * 0.9 * 2.0 * np.exp(1.2 * 0.7 * 1.5), rtol=1e-13)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_a_shared_stack_of_one_neuron_has_the_moments_of_a_normal_number(depth: int) -> None:
    assert shared_moment(1, depth) == np.prod(np.arange(1, 2 * depth, 2))


def test_a_shared_stack_is_a_power_of_its_matrix() -> None:
    """E ‖W² h‖²/n³ = 1 + 2/n², by hand: one pairing with all faces, two with one face."""
    assert shared_moment(5, 2) == pytest.approx(1 + 2 / 25)
    norms = shared_norms(5, 3, 2, np.random.default_rng(0))
    random = np.random.default_rng(0)
    W, h = random.standard_normal((2, 5, 5)) / np.sqrt(5), random.standard_normal((2, 5, 1))
    expected = np.linalg.norm(np.linalg.matrix_power(W, 3) @ h, axis=(1, 2)) / np.sqrt(5)
    np.testing.assert_allclose(norms[:, 3], expected, rtol=64 * EPS)


def test_shared_stacks_grow_with_the_depth_at_every_width() -> None:
    claim, road = shared_stack(Config("limits"), 2000)
    assert claim.verdict == "holds"
    assert road.agree


@pytest.mark.parametrize(
    ("perceptrons", "order", "verdicts"),
    [
        (["holds", "holds"], "holds-with-scope", ["holds-with-scope", "holds"]),
        (["fails-as-stated", "holds"], "holds-with-scope", ["undecided", "holds"]),
        (["holds", "fails-as-stated"], "holds-with-scope", ["undecided", "holds"]),
        (["holds", "holds"], "undecided", ["holds-with-scope", "undecided"]),
        (["holds", "holds"], "fails-as-stated", ["holds-with-scope", "fails-as-stated"]),
    ],
)
def test_that_limits_may_differ_is_not_refuted_by_limits_that_agree(
    perceptrons: list[str], order: str, verdicts: list[str]
) -> None:
    def made_up(verdict: str) -> Claim:
        return Claim("a", "A.", Verdict(verdict), 0.0, 0, 0.1, scope="S.")

    outputs_and_ntk = [made_up(verdict) for verdict in perceptrons]
    claims = as_stated([made_up(order)] * 2, made_up("holds"), outputs_and_ntk, ntk_limits())
    assert [claim.verdict for claim in claims] == verdicts
    together = as_stated([made_up(order)] * 2, made_up("holds"), outputs_and_ntk, (1.0, 1.0))
    assert together[0].verdict == "undecided"
    assert [claim.origin for claim in claims] == ["paper", "ours"]
