"""The verification's own roads, where a closed form knows the answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from scipy.special import iv

from refimpl import Euler, NeuralODE, Params
from verification.statements._goursat import solve
from verification.statements._independent import independent_kernels, without_drift
from verification.statements._piecewise_linear import _first_root, flow, gradient, gradient_by_expm
from verification.statements._relu_curves import flat, longest_plateau
from verification.statements._statistics import at_infinite_width
from verification.statements._two_depths import relu_pair

EPS = float(np.finfo(float).eps)


def ramp(horizon: float) -> tuple[NeuralODE, Params, Any]:
    """Two neurons: the second stays at 1, the first climbs from −1/2 at the rate 1 and crosses zero at t = 1/2."""
    theta = Params(
        U=np.asarray([[-0.5], [1.0]]), W=np.asarray([[0.0, np.sqrt(2)], [0.0, 0.0]]), v=np.asarray([2.0, 0.0])
    )
    return NeuralODE("relu", horizon=horizon), theta, np.asarray([[1.0]])


@pytest.mark.parametrize("horizon", [0.25, 2.0])
def test_exact_flow_of_a_ramp_crosses_where_it_must(horizon: float) -> None:
    net, theta, X = ramp(horizon)
    found = flow(net, theta, X[0])
    assert found.speeds.size == (horizon > 0.5)
    np.testing.assert_allclose(found.speeds, 1.0, rtol=8 * EPS)
    np.testing.assert_allclose(found.end, [horizon - 0.5, 1.0], atol=32 * EPS)  # a sum over a dozen pieces


@pytest.mark.parametrize(
    "road", [lambda *a: gradient(*a)[:2], lambda net, theta, X: gradient_by_expm(net, theta, X[0])]
)
def test_gradient_behind_a_crossing_sees_only_the_time_the_neuron_is_on(road: Callable[..., Any]) -> None:
    """f = √2 (h_1)₊ with h_1 = −1/2 + t; λ_1 = √2, and ∂f/∂W_1j = (1/√2) ∫ λ_1 φ(h_j) dt."""
    net, theta, X = ramp(horizon=2.0)
    output, jacobian = road(net, theta, X)
    on = 1.5
    np.testing.assert_allclose(output, np.sqrt(2) * on, rtol=64 * EPS)
    # λ_2 feeds on λ_1 all the time, since neuron 2 is on: λ_2 = √2 (T − t).
    np.testing.assert_allclose(jacobian.W[0, 0], [on**2 / 2, 2.0], rtol=64 * EPS)
    np.testing.assert_allclose(jacobian.W[0, 1], [on**3 / 6, 2.0], rtol=64 * EPS)
    np.testing.assert_allclose(jacobian.U[0, :, 0], [np.sqrt(2), np.sqrt(2) * 2.0], rtol=64 * EPS)


def test_a_crossing_at_the_very_end_of_a_piece_is_found() -> None:
    terms = np.zeros((18, 1))
    terms[:2, 0] = [0.5, -0.5]
    assert _first_root(terms) == (1.0, 0)


def test_a_crossing_there_and_back_between_the_ends_is_found() -> None:
    terms = np.zeros((18, 2))
    terms[:3, 1] = [0.12, -0.7, 1.0]  # (u − 0.3)(u − 0.4), positive at both ends
    terms[0, 0] = 1.0
    moment, who = _first_root(terms)
    assert who == 1
    assert abs(moment - 0.3) <= 10 * EPS / 0.1  # rounding of the value over the slope at the root


@pytest.mark.parametrize("depth", [1, 2, 9])
def test_two_resnets_of_one_depth_have_the_gradients_of_one(depth: int) -> None:
    net = NeuralODE("relu", horizon=1.3, sigma_u=0.9, sigma_w=1.2, sigma_v=1.1)
    pair = relu_pair(net, 1.4, depth, depth)
    expected = net.limit(Euler(depth)).ntk(np.asarray([[1.4, 0.0]]))[0, 0]
    # A cosine that rounding leaves below one by eps gives an angle of √(2 eps), to which E[φ'φ'] is linear.
    assert abs(pair.gradients / expected - 1) <= np.sqrt(32 * EPS)
    assert pair.mismatch <= np.sqrt(32 * EPS)


def test_fields_on_a_grid_are_bessel_functions_for_the_identity() -> None:
    net, rho = NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1), 0.4
    found = solve(net, rho, lambda s1, s2, c: (c, np.ones_like(c)), 4, 4)
    q, Z = net.sigma_u**2 * rho, net.sigma_w * net.horizon
    t, s = found.t[:, None], found.t[None, :]
    S = q * iv(0, 2 * net.sigma_w * np.sqrt(t * s))
    P = net.sigma_v**2 * iv(0, 2 * net.sigma_w * np.sqrt((net.horizon - t) * (net.horizon - s)))
    kernel = q * net.sigma_v**2 * (2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z))
    assert found.error < 1e-8
    np.testing.assert_allclose(found.S, S, rtol=found.error)
    np.testing.assert_allclose(found.P, P, rtol=found.error)
    assert abs(found.kernel / kernel - 1) <= found.error


def test_independent_layers_approach_the_kernel_without_drift() -> None:
    """Their difference is a power series in 1/L: doubling L halves it, up to a relative 1/L."""
    net, X = NeuralODE("softplus", sigma_w=1.2), np.asarray([[1.0, 0.0], [0.6, 0.8]])
    limit = without_drift(net, X)
    for k in range(2):
        coarse, fine = (np.linalg.norm(independent_kernels(net, X, L)[k] - limit[k]) for L in (64, 128))
        assert abs(coarse / fine - 2) <= 2 / 64


def test_extrapolation_to_infinite_width_removes_a_bias_of_one_over_n() -> None:
    widths = np.asarray([16.0, 32.0, 64.0, 128.0])
    draws = np.asarray([[1.0], [3.0]]) + np.asarray([[5.0], [-7.0]]) / widths
    mean, half, wider = at_infinite_width(draws, widths)
    assert abs(mean - 2) <= 64 * EPS
    assert 0 < half < wider


def test_longest_plateau_ignores_shallow_depths_and_slow_decay() -> None:
    depths = 2.0 ** np.arange(8)
    assert longest_plateau(depths, np.asarray([1, 1, 1, 1, 1.01, 1.02, 0.5, 0.25]), 0.05) == (8.0, 2, 5)
    assert longest_plateau(depths, 1 / depths, 0.05)[0] == 1


def test_wrong_signs_at_the_end_change_the_adjoint_alone() -> None:
    net, theta, X = ramp(horizon=2.0)
    right = gradient(net, theta, X)
    same = gradient(net, theta, X, on=np.asarray([[True, True]]))
    off = gradient(net, theta, X, on=np.asarray([[False, True]]))
    np.testing.assert_array_equal(flat(same[1]), flat(right[1]))
    np.testing.assert_array_equal(off[1].v, right[1].v)
    assert not off[1].U.any()
    assert not off[1].W.any()
