"""The product σ_w T, and the search for kernels that lose their smallest eigenvalue as T grows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import find, given, settings
from hypothesis import strategies as st

from refimpl import Gauss, NeuralODE, Params
from verification.statements._horizon_networks import literal, rescaled
from verification.statements._horizon_trend import DERIVATIVES, falling, second_coefficient

EPS = float(np.finfo(float).eps)
search = settings(max_examples=500, derandomize=True, database=None)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_written_out_derivatives_are_those_of_each_other(name: str) -> None:
    z, h = np.linspace(-3, 3, 13), 1e-3
    ahead, behind = DERIVATIVES[name](z + h), DERIVATIVES[name](z - h)
    values = DERIVATIVES[name](z)
    np.testing.assert_allclose(values[0], NeuralODE(name).phi.phi(z), rtol=16 * EPS, atol=EPS)
    for low, high, derivative in zip(ahead[:3], behind[:3], values[1:], strict=True):
        # h²/6 times a third derivative, which is below 24 for all of them, and rounding.
        np.testing.assert_allclose((low - high) / (2 * h), derivative, atol=4 * h**2 + 4 * EPS / h)


@pytest.mark.parametrize("name", DERIVATIVES)
@pytest.mark.parametrize("rho", [-0.5, 1.0])
def test_second_coefficient_is_that_of_the_kernel(name: str, rho: float) -> None:
    X = np.asarray([[1.0, 0.0], [rho, np.sqrt(1 - rho**2)]])
    values = [float(NeuralODE(name, horizon=T).limit().ntk(X[:1], X[1:])[0, 0]) for T in (0.25, 0.125, 0.0625)]
    # Even powers of T: the differences between horizons cancel the value at T = 0.
    wide, narrow = (values[0] - values[1]) / (0.25**2 - 0.125**2), (values[1] - values[2]) / (0.125**2 - 0.0625**2)
    extrapolated = (4 * narrow - wide) / 3
    assert abs(extrapolated - second_coefficient(name, rho)) <= abs(narrow - wide) / 10 + 1e-10


def test_an_activation_and_two_inputs_whose_smallest_eigenvalue_falls_are_found() -> None:
    """λ_min of two unit vectors is K(1) − |K(ρ)|, and K(ρ) > 0 for positive φ and ρ ≥ −1/2."""

    def falls(case: tuple[str, int]) -> bool:
        name, k = case
        return second_coefficient(name, 1.0) < second_coefficient(name, k / 4)

    name, k = find(st.tuples(st.sampled_from(["softplus", "sigmoid"]), st.integers(-2, 3)), falls, settings=search)
    assert (name, k) == ("sigmoid", 0)  # orthogonal inputs are the simplest that fall
    assert falls(("sigmoid", -2))
    found = falling()
    assert found.factor < 0.995
    assert found.predicted < 0


@given(st.sampled_from(["softplus", "tanh", "erf"]), st.floats(1e-6, 1e6), st.floats(0.1, 1.5), st.integers(0, 99))
@settings(max_examples=8)
def test_the_product_decides_whatever_the_horizon(name: str, T: float, Z: float, seed: int) -> None:
    net = NeuralODE(name, horizon=1.0, sigma_w=Z)
    theta, X = net.init(5, 2, seed=seed), np.asarray([[1.0, 0.0], [0.6, 0.8]])
    other, solver = rescaled(net, T), Gauss(8, 2)
    K, again = net.ntk(theta, X, solver=solver), other.ntk(theta, X, solver=solver)
    np.testing.assert_allclose(again, K, rtol=256 * EPS, atol=256 * EPS)


def test_literal_parameters_see_the_horizon_at_the_smallest_network() -> None:
    """f = v u e^{w'T} x: the kernel of (u, w', v) is f² (1/u² + T² + 1/v²)."""

    def sees(case: tuple[int, int, int]) -> bool:
        kernels = []
        for T in case[:2]:
            net = NeuralODE("identity", horizon=float(T), sigma_w=1.0 / T)
            raw, theta = literal(net, Params(np.ones((1, 1)), np.full((1, 1), float(case[2])), np.ones(1)))
            kernels.append(float(raw.ntk(theta, np.ones((1, 1)), solver=Gauss())[0, 0]))
        f = np.exp(2.0 * case[2])  # w' T is the same for both
        predicted = [f * (2 + T**2) for T in case[:2]]
        np.testing.assert_allclose(kernels, predicted, rtol=1e-11)
        return abs(kernels[0] - kernels[1]) > 1e-9 * kernels[0]

    small = st.integers(1, 3)
    assert find(st.tuples(small, small, st.integers(0, 1)), sees, settings=search) == (1, 2, 0)
