from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.polynomial import legendre
from scipy.integrate import quad

from refimpl.quadrature import lagrange_integrals
from refimpl.scheme import Scheme, euler, gauss

EPS = np.finfo(float).eps

schemes = st.one_of(
    st.builds(gauss, st.integers(1, 24), st.integers(1, 5), st.floats(0.1, 10.0)),
    st.builds(euler, st.integers(1, 40), st.floats(0.1, 10.0)),
)


@given(st.integers(1, 32))
def test_gauss_meets_the_order_conditions_of_its_nodes_and_weights(m):
    one = gauss(m, 1, 1.0)
    for k in range(1, m + 1):
        np.testing.assert_allclose(one.A @ one.c ** (k - 1), one.c**k / k, rtol=0, atol=8 * EPS)
    for k in range(1, 2 * m + 1):
        np.testing.assert_allclose(one.b @ one.c ** (k - 1), 1 / k, rtol=0, atol=8 * EPS)


@given(st.integers(1, 48), st.integers(1, 4), st.floats(0.1, 10.0))
def test_gauss_is_symplectic_and_its_adjoint_tableau_is_gauss_again(m, steps, horizon):
    scheme = gauss(m, steps, horizon)
    A, b = scheme.A, scheme.b
    np.testing.assert_allclose(b[:, None] * A + (b[:, None] * A).T, np.outer(b, b), rtol=0, atol=8 * EPS * b.max())
    # Â_ji = b_i a_ij / b_j loses what the ratio b_i / b_j of the weights amplifies.
    np.testing.assert_allclose(scheme.adjoint, b - A, rtol=0, atol=8 * EPS * b.max() / b.min())


@given(st.integers(1, 48), st.integers(1, 4), st.floats(0.1, 10.0))
def test_gauss_reversed_in_time_is_the_same_scheme(m, steps, horizon):
    scheme = gauss(m, steps, horizon)
    np.testing.assert_allclose(scheme.nodes + scheme.nodes[::-1], horizon, rtol=8 * EPS)
    reversed_matrix = scheme.weights - scheme.matrix[::-1, ::-1]
    np.testing.assert_allclose(reversed_matrix, scheme.matrix, rtol=0, atol=16 * EPS * horizon)


@given(schemes)
def test_nodes_rise_inside_the_interval_and_weights_sum_to_its_length(scheme):
    assert scheme.size == scheme.nodes.size == scheme.weights.size
    assert (np.diff(scheme.nodes) > 0).all()
    assert scheme.nodes[0] >= 0
    assert scheme.nodes[-1] <= scheme.horizon
    np.testing.assert_allclose(scheme.weights.sum(), scheme.horizon, rtol=scheme.size * EPS)


@given(schemes, st.integers(0, 2**32))
def test_integrate_is_the_matrix_and_integrate_back_the_adjoint_matrix_written_out(scheme, seed):
    values = np.random.default_rng(seed).standard_normal((2, 3, scheme.size))
    b, M = scheme.weights, scheme.matrix
    adjoint = (b[:, None] * M / b).T
    bound = 16 * EPS * scheme.size * scheme.horizon * np.abs(values).max() * scheme.b.max() / scheme.b.min()
    np.testing.assert_allclose(scheme.integrate(np, values), values @ M.T, rtol=0, atol=bound)
    np.testing.assert_allclose(scheme.integrate_back(np, values), values @ adjoint.T, rtol=0, atol=bound)


@given(schemes, st.integers(0, 2**32))
def test_integrate_back_is_the_transpose_of_integrate_in_the_weighted_inner_product(scheme, seed):
    p, q = np.random.default_rng(seed).standard_normal((2, scheme.size))
    forward = (scheme.weights * p) @ scheme.integrate(np, q)
    backward = (scheme.weights * q) @ scheme.integrate_back(np, p)
    assert abs(forward - backward) <= 32 * EPS * scheme.horizon**2 * np.abs(p).max() * np.abs(q).max()


@given(st.integers(1, 12), st.integers(1, 5), st.floats(0.1, 3.0), st.data())
def test_gauss_integrates_polynomials_of_the_number_of_nodes_exactly_over_several_steps(m, steps, T, data):
    scheme = gauss(m, steps, T)
    k = data.draw(st.integers(0, m - 1))
    integral = scheme.integrate(np, scheme.nodes**k)
    scale = T ** (k + 1)
    np.testing.assert_allclose(integral, scheme.nodes ** (k + 1) / (k + 1), rtol=0, atol=16 * EPS * steps * scale)
    back = scheme.integrate_back(np, scheme.nodes**k)
    exact = (T ** (k + 1) - scheme.nodes ** (k + 1)) / (k + 1)
    amplified = scheme.b.max() / scheme.b.min()
    np.testing.assert_allclose(back, exact, rtol=0, atol=16 * EPS * steps * scale * amplified)


@given(st.integers(1, 30), st.floats(0.1, 10.0))
def test_euler_matrix_is_strictly_lower_triangular_with_entries_of_one_step(depth, horizon):
    scheme = euler(depth, horizon)
    np.testing.assert_array_equal(scheme.matrix, np.tri(depth, k=-1) * (horizon / depth))
    np.testing.assert_allclose(scheme.nodes, np.arange(depth) * horizon / depth, rtol=2 * EPS)


@pytest.mark.parametrize("m", [1, 2, 5, 16])
def test_lagrange_integrals_agree_with_quadpack(m):
    x, _ = legendre.leggauss(m)
    nodes, theta = (1 + x) / 2, np.asarray([0.0, 0.13, 0.5, 0.77, 1.0])
    for j in range(m):
        others = np.delete(nodes, j)
        at = [quad(lambda t, j=j, others=others: np.prod((t - others) / (nodes[j] - others)), 0, s)[0] for s in theta]
        np.testing.assert_allclose(lagrange_integrals(m, theta)[:, j], at, rtol=0, atol=1e-13)


@pytest.mark.parametrize("m", [1, 2, 7, 24, 48])
def test_lagrange_integrals_to_the_end_are_the_weights_and_to_the_nodes_the_tableau(m):
    one = gauss(m, 1, 1.0)
    np.testing.assert_allclose(lagrange_integrals(m, np.asarray([0.0, 1.0])), [0 * one.b, one.b], rtol=0, atol=4 * EPS)
    np.testing.assert_array_equal(lagrange_integrals(m, one.c), one.A)


def test_a_tableau_shared_between_schemes_cannot_be_written_to():
    with pytest.raises(ValueError, match="read-only"):
        gauss(3, 1, 1.0).A[0, 0] = 1.0


def test_integration_keeps_the_library_dtype_and_shape(xp):
    scheme: Scheme = gauss(3, 2, 1.0)
    values = xp.ones((2, 6), dtype=xp.float32)
    for result in (scheme.integrate(xp, values), scheme.integrate_back(xp, values)):
        assert type(result) is type(values)
        assert result.dtype == xp.float32
        assert result.shape == values.shape
