"""Known values of K_∞, its symmetries, and the curve from which many pairs are read."""

from __future__ import annotations

import dataclasses
import math
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import iv

from refimpl import AccuracyError, Euler, Gauss, NeuralODE
from refimpl.infinite.kernel import KINKED_RTOL
from tests.infinite.limits import (
    CHEAP,
    EPS,
    KINKED,
    MANY,
    RTOL,
    assert_within,
    cosines,
    few,
    kernel,
    networks,
    norms,
    plane,
    scale_of,
    sigmas,
    sphere,
    two,
)
from tests.infinite.roads import arc_cosine, midpoint_kernel, romberg

# ------------------------------------------------------------------------------------------- known numbers


@pytest.mark.parametrize(
    ("name", "rho", "value", "tolerance"),
    [
        ("softplus", 0.3, 1.49236665115878961, 1e-14),
        ("tanh", 0.3, 0.28418486854386465, 1e-14),
        ("relu", 1.0, 1.862918254093143, 1e-12),
    ],
)
def test_known_values(name: str, rho: float, value: float, tolerance: float) -> None:
    assert abs(kernel(NeuralODE(name), two(rho)) - value) <= tolerance


@given(sigmas, sigmas, sigmas, st.sampled_from([0.5, 1.0, 3.0]), cosines, norms, norms)
@settings(max_examples=25)
def test_identity_has_the_bessel_kernel(
    sigma_u: float, sigma_w: float, sigma_v: float, horizon: float, rho: float, first: float, second: float
) -> None:
    X = two(rho, first, second)
    Z, q = sigma_w * horizon, sigma_u**2 * (X @ X.T)
    size = sigma_v**2 * (2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z))
    limit = NeuralODE("identity", horizon, sigma_u, sigma_w, sigma_v).limit()
    assert_within(limit.ntk(X), q * size, 1e-13, size * scale_of(q))
    assert_within(limit.nngp(X), sigma_v**2 * iv(0, 2 * Z) * q, 1e-13, size * scale_of(q))


@pytest.mark.parametrize("depth", [1, 3, 7, 64])
@given(sigmas, sigmas, sigmas, st.floats(0.1, 3), cosines)
@settings(max_examples=8)
def test_identity_has_the_binomial_kernel_at_every_depth(
    depth: int, sigma_u: float, sigma_w: float, sigma_v: float, horizon: float, rho: float
) -> None:
    X = two(rho)
    z, q = sigma_w * horizon / depth, sigma_u**2 * (X @ X.T)
    squares = [math.comb(depth, k) ** 2 * z ** (2 * k) for k in range(depth + 1)]
    size = sigma_v**2 * (2 * math.fsum(squares) + math.fsum(k * term for k, term in enumerate(squares)))
    limit = NeuralODE("identity", horizon, sigma_u, sigma_w, sigma_v).limit(Euler(depth))
    assert_within(limit.ntk(X), q * size, 1e-13, size * scale_of(q))
    assert_within(limit.nngp(X), sigma_v**2 * math.fsum(squares) * q, 1e-13, size * scale_of(q))


@given(sigmas, sigmas, st.floats(0.3, 2), cosines, norms)
@few
def test_identity_has_bessel_fields(sigma_w: float, sigma_v: float, horizon: float, rho: float, norm: float) -> None:
    X = two(rho, norm, 1.0)
    fields = NeuralODE("identity", horizon, sigma_w=sigma_w, sigma_v=sigma_v).limit().fields(X[0], X[1])
    np.testing.assert_array_equal(fields.t, fields.t_adjoint)
    t, later = fields.t, horizon - fields.t
    assert ((t > 0) & (t < horizon)).all()
    S = iv(0, 2 * sigma_w * np.sqrt(np.outer(t, t)))
    P = sigma_v**2 * iv(0, 2 * sigma_w * np.sqrt(np.outer(later, later)))
    q = float(X[0] @ X[1])
    top = float(iv(0, 2 * sigma_w * horizon))
    # a field at the nodes has no more than the order of the scheme, and the scheme was chosen for K_∞ to 1e-12
    for field, truth, size in ((fields.S, q * S, norm), (fields.Sigma, q * S, norm), (fields.P, P, sigma_v**2)):
        np.testing.assert_allclose(field, truth, rtol=0, atol=10 * RTOL * top * size)


@given(st.integers(1, 9), sigmas, sigmas, st.floats(0.3, 2), cosines)
@few
def test_under_euler_the_adjoint_of_node_j_belongs_to_the_next_layer(
    depth: int, sigma_w: float, sigma_v: float, horizon: float, rho: float
) -> None:
    X, step = two(rho), horizon / depth
    fields = NeuralODE("identity", horizon, sigma_w=sigma_w, sigma_v=sigma_v).limit(Euler(depth)).fields(*X)
    np.testing.assert_allclose(fields.t, step * np.arange(depth), rtol=4 * EPS)
    np.testing.assert_allclose(fields.t_adjoint, step * np.arange(1, depth + 1), rtol=4 * EPS)

    def discrete_bessel(i: int, j: int) -> float:
        """Σ_k C(i,k) C(j,k) z^2k, the I₀ of i and j layers."""
        return math.fsum(math.comb(i, k) * math.comb(j, k) * (sigma_w * step) ** (2 * k) for k in range(depth + 1))

    layers = range(depth)
    S = np.asarray([[discrete_bessel(i, j) for j in layers] for i in layers])
    P = np.asarray([[discrete_bessel(depth - 1 - i, depth - 1 - j) for j in layers] for i in layers])
    np.testing.assert_allclose(fields.S, (X[0] @ X[1]) * S, rtol=1e-13, atol=1e-16)
    np.testing.assert_allclose(fields.P, sigma_v**2 * P, rtol=1e-13)


# ------------------------------------------------------------------------------------------------ structure


@given(networks, st.integers(1, 5), st.integers(1, 4), st.integers(0, 1000))
@few
def test_gram_matrices_are_symmetric_bit_by_bit_and_positive(net: NeuralODE, N: int, dim: int, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((N, dim))
    for gram in (net.limit().ntk(X), net.limit().nngp(X)):
        np.testing.assert_array_equal(gram, gram.T)
        assert np.linalg.eigvalsh(gram)[0] >= -N * RTOL * gram.max()


@pytest.mark.parametrize("name", ["softplus", "tanh", "relu", "sin"])
def test_the_gram_matrix_read_off_the_curve_is_symmetric_and_positive(name: str) -> None:
    X = sphere(2 * MANY, 3, seed=5)
    gram = NeuralODE(name).limit().ntk(X)
    np.testing.assert_array_equal(gram, gram.T)
    assert np.linalg.eigvalsh(gram)[0] >= -len(X) * (KINKED_RTOL if name == "relu" else RTOL) * gram.max()


@pytest.mark.parametrize("name", [*CHEAP, "softplus", "relu"])
@given(seed=st.integers(0, 1000))
@settings(max_examples=3)
def test_blocks_of_a_larger_gram_matrix_are_the_kernels_of_its_parts(name: str, seed: int) -> None:
    X = np.random.default_rng(seed).standard_normal((5, 3))
    X[3] = X[0]
    limit = NeuralODE(name).limit()
    whole = limit.ntk(X)
    rtol = KINKED_RTOL if name == "relu" else RTOL
    assert_within(limit.ntk(X[:2], X[2:]), whole[:2, 2:], 2 * rtol, scale_of(whole)[:2, 2:])
    assert_within(limit.ntk(X[:2]), whole[:2, :2], 2 * rtol, scale_of(whole)[:2, :2])
    assert_within(limit.ntk(X[2:], X[:2]), whole[2:, :2], 2 * rtol, scale_of(whole)[2:, :2])


@pytest.mark.parametrize("name", ["erf", "sin"])
@pytest.mark.parametrize(("small", "large"), [(1e-6, 50.0), (1e-3, 30.0), (0.1, 10.0)])
def test_a_row_does_not_depend_on_its_batch(name: str, small: float, large: float) -> None:
    rows = np.asarray([[small, 0.0], [0.0, large]])
    limit = NeuralODE(name).limit(Gauss(rtol=1e-11))
    together = limit.ntk(rows)
    for k in range(2):
        alone = limit.ntk(rows[k : k + 1])[0, 0]
        assert together[k, k] == pytest.approx(alone, rel=2e-11, abs=0)


@given(networks, st.integers(0, 1000), st.integers(2, 4))
@few
def test_rotations_and_permutations_of_the_inputs_change_nothing(net: NeuralODE, seed: int, dim: int) -> None:
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((4, dim))
    rotation, order = np.linalg.qr(rng.standard_normal((dim, dim)))[0], rng.permutation(4)
    gram = net.limit().ntk(X)
    assert_within(net.limit().ntk(X @ rotation), gram, RTOL, scale_of(gram))
    moved = net.limit().ntk(X[order])
    assert_within(moved, gram[order][:, order], RTOL, scale_of(gram)[order][:, order])


@given(networks, st.floats(0.2, 5), cosines, norms)
@few
def test_the_kernel_has_the_scaling_symmetries_of_the_equations(
    net: NeuralODE, factor: float, rho: float, norm: float
) -> None:
    X = two(rho, 1.0, norm)
    gram = net.limit().ntk(X)

    def agree(found: Any) -> None:
        assert_within(found, gram, 2 * RTOL, scale_of(gram))

    # only σ_u x matters, σ_v² is a factor, and time can be measured in other units
    agree(dataclasses.replace(net, sigma_u=net.sigma_u * factor).limit().ntk(X / factor))
    agree(dataclasses.replace(net, sigma_v=net.sigma_v * factor).limit().ntk(X) / factor**2)
    faster = dataclasses.replace(net, sigma_w=net.sigma_w * factor, horizon=net.horizon / factor)
    agree(faster.limit().ntk(X))


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "identity"])
@given(st.floats(1e-3, 1e3), st.floats(1e-3, 1e3), cosines)
@settings(max_examples=5)
def test_homogeneous_activations_give_a_bihomogeneous_kernel(name: str, a: float, b: float, rho: float) -> None:
    limit, X = NeuralODE(name).limit(), two(rho)
    gram = limit.ntk(X)
    tolerance = KINKED_RTOL if NeuralODE(name).phi.kinks else RTOL
    scaled = limit.ntk(a * X, b * X)
    assert_within(scaled, a * b * gram, 2 * tolerance, a * b * scale_of(gram))


@given(st.sampled_from(["erf", "sin", "tanh", "identity"]), st.floats(-1, 1), norms, st.floats(0.3, 1.2))
@few
def test_an_odd_activation_gives_an_odd_kernel(name: str, rho: float, norm: float, horizon: float) -> None:
    limit, X = NeuralODE(name, horizon).limit(), two(rho, 1.0, norm)
    gram = limit.ntk(X)
    assert_within(limit.ntk(X, -X), -gram, RTOL, scale_of(gram))


@pytest.mark.parametrize("name", ["cos", "quadratic"])
@pytest.mark.parametrize("rho", [0.0, 0.3, 1.0])
def test_an_even_activation_gives_an_even_kernel_at_a_short_horizon(name: str, rho: float) -> None:
    """As T → 0: Σ is even in ρ, and D and q are odd."""
    limit, X = NeuralODE(name, horizon=1e-6).limit(), two(rho)
    assert_within(limit.nngp(X, -X), limit.nngp(X), 1e-10, scale_of(limit.nngp(X)))
    assert_within(limit.ntk(X, -X), limit.ntk(X), 1e-10, scale_of(limit.ntk(X)))


@pytest.mark.parametrize("name", [*CHEAP, "softplus", *KINKED])
def test_a_zero_input_has_finite_kernels_that_small_inputs_approach(name: str) -> None:
    limit, row = NeuralODE(name).limit(), np.asarray([1.0, 0.5])
    X = np.asarray([0 * row, row, 1e-7 * row])
    gram, nngp = limit.ntk(X), limit.nngp(X)
    assert np.isfinite(gram).all()
    assert np.isfinite(nngp).all()
    assert_within(gram[0], gram[2], 1e-6, gram[1, 1])  # K_∞ is Lipschitz in x, with a constant near 2
    assert_within(limit.ntk(X[:1]), gram[:1, :1], 2e-15, np.maximum(gram[:1, :1], EPS))


@pytest.mark.parametrize("N", [3, MANY])
@pytest.mark.parametrize("name", ["erf", "softplus", "relu", "elu"])
def test_duplicates_have_bitwise_equal_entries(name: str, N: int) -> None:
    X = sphere(N - 1, 3, seed=2)
    X = np.vstack([X, X[:1]])
    gram = NeuralODE(name, horizon=0.5).limit().ntk(X)
    assert np.isfinite(gram).all()
    assert gram[0, 0] == gram[-1, -1] == gram[0, -1] == gram[-1, 0]
    np.testing.assert_array_equal(gram[0], gram[-1])


@pytest.mark.parametrize("N", [2, MANY])
def test_all_rows_equal(N: int) -> None:
    for name in ("softplus", "relu"):
        gram = NeuralODE(name).limit().ntk(np.tile([[0.6, 0.8]], (N, 1)))
        assert (gram == gram[0, 0]).all()
        assert gram[0, 0] == pytest.approx(kernel(NeuralODE(name), two(1.0)), rel=1e-12)


@pytest.mark.parametrize("exponent", [-12.0, -10.0, -9.0, -8.5, -8.1, -8.0, -7.7, -7.5, -7.0, -6.5, -6.0, -5.0, -4.0])
@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_nearly_parallel_inputs_have_the_accuracy_that_was_asked_for(name: str, exponent: float) -> None:
    """K(θ) = K(0) − κ θ + O(θ²) for φ' with a jump; κ from a larger angle, where nothing is delicate."""
    net, theta, probe = NeuralODE(name), 10.0**exponent, 1e-3
    X = plane((1.0, 0.0), (1.0, theta), (1.0, probe))
    gram = net.limit(Gauss(rtol=1e-10)).ntk(X[[0, 2]])
    kappa = (gram[0, 0] - gram[0, 1]) / probe
    try:
        found = kernel(net, X[:2])
    except AccuracyError:  # the cosine in double precision leaves no more
        assert 1e-8 < theta < 1e-6
        return
    assert abs(found - (gram[0, 0] - kappa * theta)) <= KINKED_RTOL * gram[0, 0] + 4 * theta * probe


@pytest.mark.parametrize("exponent", [-12.0, -9.0, -7.0, -5.1])
@pytest.mark.parametrize("name", ["relu", "leaky_relu"])
def test_the_nngp_kernel_has_no_slope_at_equal_inputs(name: str, exponent: float) -> None:
    """1 − cos θ and the share of h on which φ' differs, θ, times the difference there, θ: all is O(θ²)."""
    limit, theta = NeuralODE(name).limit(), 10.0**exponent
    X = plane((1.0, 0.0), (1.0, theta))
    found = limit.nngp(X)
    assert abs(found[0, 1] - found[0, 0]) <= KINKED_RTOL * limit.ntk(X[:1])[0, 0] + 4 * theta**2


@pytest.mark.parametrize("copies", [2, 10])
def test_nearly_parallel_inputs_are_told_apart_among_many(copies: int) -> None:
    """Two directions 9e-9 apart have the cosine 1 in double precision, and K_∞ that differ by 3e-9."""
    net, theta = NeuralODE("relu"), 9e-9
    two_directions = net.limit().ntk(plane((1.0, 0.0), (1.0, 1e-3)))
    kappa = (two_directions[0, 0] - two_directions[0, 1]) / 1e-3
    gram = net.limit().ntk(plane(*[(1.0, 0.0), (1.0, theta)] * copies))
    expected = gram[0, 0] - kappa * theta
    assert_within(gram[::2, 1::2], expected, KINKED_RTOL, gram[0, 0])


@pytest.mark.parametrize("name", ["softplus", "elu", "erf"])
def test_the_kernel_is_continuous_at_equal_inputs(name: str) -> None:
    X = plane((1.0, 0.0), (1.0, 1e-9), (1.0 + 1e-9, 0.0))
    gram = NeuralODE(name).limit().ntk(X)
    assert_within(gram, gram[0, 0], 1e-8, gram[0, 0])


@pytest.mark.parametrize("name", ["softplus", "relu", "leaky_relu", "elu"])
def test_antipodal_inputs(name: str) -> None:
    X = np.asarray([[0.6, 0.8], [-0.6, -0.8]])
    gram = NeuralODE(name).limit().ntk(X)
    near = NeuralODE(name).limit().ntk(X[:1], plane((1.0, math.atan2(0.8, 0.6) + math.pi - 1e-6)))
    assert_within(gram[0, 1], near, 1e-5, gram[0, 0])


def test_relu_of_antipodal_inputs_is_the_midpoint_solution() -> None:
    net = NeuralODE("relu")
    truth, correction = romberg([midpoint_kernel(arc_cosine, net, 16 << k, 1.0, -1.0, 1.0) for k in range(5)])
    # |t − s| is gone at ρ = −1, but √(ε² + t² + s²) at the corner makes Romberg slow: its correction bounds its error
    assert abs(kernel(net, np.asarray([[1.0, 0.0], [-1.0, 0.0]])) - truth) <= 10 * correction + KINKED_RTOL


@pytest.mark.parametrize("name", ["softplus", "relu"])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_no_rows_and_one_row(name: str, dtype: Any) -> None:
    limit, none, one = NeuralODE(name).limit(), np.zeros((0, 2), dtype), np.ones((1, 2), dtype)
    for function in (limit.ntk, limit.nngp):
        for pair, shape in (((none,), (0, 0)), ((none, one), (0, 1)), ((one, none), (1, 0)), ((none, none), (0, 0))):
            assert function(*pair).shape == shape
            assert function(*pair).dtype == dtype
        assert function(one).shape == (1, 1)


@given(networks, st.lists(st.just(0.0) | st.floats(1e-60, 2) | st.floats(-2, -1e-60), min_size=1, max_size=4))
@few
def test_one_dimensional_inputs_are_embedded_in_the_plane(net: NeuralODE, values: list[float]) -> None:
    X = np.asarray(values)[:, None]
    gram = net.limit().ntk(X)
    assert_within(net.limit().ntk(np.hstack([0 * X, X, 0 * X])), gram, 1e-13, gram.max())


# ------------------------------------------------------------------------------ the curve and the direct road


@pytest.mark.parametrize("name", ["erf", "gelu", "sin", "quadratic", "softplus", "tanh"])
@given(radius=st.floats(0.2, 1.1), seed=st.integers(0, 100))
@settings(max_examples=1)
def test_many_pairs_agree_with_few(name: str, radius: float, seed: int) -> None:
    limit, X = NeuralODE(name).limit(), radius * sphere(MANY, 3, seed)
    for function in (limit.ntk, limit.nngp):
        whole = function(X)
        few_pairs = function(X[:5], X[5:12])
        assert_within(whole[:5, 5:12], few_pairs, 1e-12, scale_of(whole)[:5, 5:12])
        assert_within(function(X[:MANY], X)[:5, 5:12], few_pairs, 1e-12, scale_of(whole)[:5, 5:12])


@pytest.mark.parametrize(("name", "horizon"), [("relu", 1.0), ("leaky_relu", 0.5), ("relu", 3.0)])
def test_many_pairs_agree_with_few_for_a_kinked_activation(name: str, horizon: float) -> None:
    limit, X = NeuralODE(name, horizon).limit(), sphere(MANY, 2, seed=1)
    whole = limit.ntk(X)
    assert_within(whole[:5, 5:12], limit.ntk(X[:5], X[5:12]), 2 * KINKED_RTOL, scale_of(whole)[:5, 5:12])


@pytest.mark.parametrize("rows", ["orthonormal", "simplex", "turned"])
def test_many_pairs_at_one_angle(rows: str) -> None:
    """All off-diagonal cosines are equal, exactly or but for rounding: the curve has no span to stand on."""
    X = np.eye(MANY) if rows == "orthonormal" else np.eye(MANY) - 1 / MANY
    if rows == "turned":
        X = X @ np.linalg.qr(np.random.default_rng(0).standard_normal((MANY, MANY)))[0]
    limit = NeuralODE("relu").limit()
    gram, few_pairs = limit.ntk(X), limit.ntk(X[:2])
    off_diagonal = gram[~np.eye(MANY, dtype=bool)]
    assert_within(off_diagonal, few_pairs[0, 1], 2 * KINKED_RTOL, few_pairs[0, 0])


@pytest.mark.parametrize("depth", [1, 2, 7])
@pytest.mark.parametrize("name", ["relu", "elu", "gelu"])
def test_many_pairs_agree_with_few_at_finite_depth(name: str, depth: int) -> None:
    limit, X = NeuralODE(name).limit(Euler(depth)), sphere(MANY, 2, seed=1)
    whole = limit.ntk(X)
    rtol = KINKED_RTOL if NeuralODE(name).phi.kinks else RTOL
    assert_within(whole[:5, 5:12], limit.ntk(X[:5], X[5:12]), rtol, scale_of(whole)[:5, 5:12])


def test_one_row_of_another_norm_among_many() -> None:
    X = sphere(MANY, 3, seed=0)
    X[-1] *= 1.5
    limit = NeuralODE("erf").limit()
    gram = limit.ntk(X)
    assert_within(gram[:-1, :-1], limit.ntk(X[:-1]), 2e-12, gram.max())


def test_variances_that_grow_by_many_orders_a_layer_keep_their_digits():
    layers, q, step = 8, Fraction(4), Fraction(3, 8)
    S, Sigma = [[q] * (layers + 1) for _ in range(layers + 1)], [[q] * (layers + 1) for _ in range(layers + 1)]
    for i in range(layers + 1):  # of quadratic φ in rational numbers; D = S
        for j in range(i + 1):
            S[i][j] = S[j][i] = q + step**2 * sum(sum(row[:j]) for row in Sigma[:i])
        for j in range(i + 1):
            Sigma[i][j] = Sigma[j][i] = (S[i][i] * S[j][j] + 2 * S[i][j] ** 2) / 4
    P = [[Fraction(0)] * (layers + 2) for _ in range(layers + 2)]
    for i in range(layers, -1, -1):
        for j in range(layers, -1, -1):
            later = [S[a][b] * P[a + 1][b + 1] for a in range(i, layers) for b in range(j, layers)]
            P[i][j] = S[layers][layers] + step**2 * sum(later)
    middle = step**2 * sum(Sigma[i][j] * P[i + 1][j + 1] for i in range(layers) for j in range(layers))
    expected = float(Sigma[layers][layers] + middle + q * P[0][0])
    K = NeuralODE("quadratic", horizon=3.0).limit(Euler(layers)).ntk(np.asarray([[2.0]]))
    # One rounding of S grows 2^8-fold in as many squarings; each layer adds a few of its own.
    assert K[0, 0] == pytest.approx(expected, rel=2**8 * 4 * layers * np.finfo(float).eps, abs=0)
