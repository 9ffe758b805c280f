"""Wide random networks against the limit: the mean of K_θ is K_∞ + O(1/n).

From widths n and 2n the extrapolation 2 K(2n) − K(n) removes the term in 1/n. What remains is O(1/n²), allowed for with
`CURVATURE` n⁻² K_∞, and the statistical error, bounded with Student's t. All seeds are fixed, and so is the verdict;
were they drawn at random, a correct program would fail with a probability of `FALSE_ALARM` times the number of
comparisons in this file (some 250): below 3e-4.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats

from refimpl import Euler, Gauss, NeuralODE

FALSE_ALARM = 1e-6
CURVATURE = 30.0

X = np.asarray([[1.0, 0.0], [0.3, math.sqrt(0.91)], [-0.72, 0.96]])
UPPER = np.triu_indices(len(X))


def sample_kernels(net: NeuralODE, solver: Any, width: int, seeds: int) -> Any:
    """K_θ at `seeds` random θ, shape (seeds, pairs)."""
    return np.stack([net.ntk(net.init(width, 2, seed=(width, s)), X, solver=solver)[UPPER] for s in range(seeds)])


def assert_mean_tends_to(narrow: Any, wide: Any, width: int, truth: Any) -> None:
    """2 E[wide] − E[narrow] = truth up to the statistical error and O(1/n²)."""
    seeds = len(wide)
    spread = np.sqrt((4 * wide.var(axis=0, ddof=1) + narrow.var(axis=0, ddof=1)) / seeds)
    allowed = scipy.stats.t.ppf(1 - FALSE_ALARM / 2, seeds - 1) * spread + CURVATURE / width**2 * np.abs(truth).max()
    error = np.abs(2 * wide.mean(axis=0) - narrow.mean(axis=0) - truth)
    assert (allowed <= 0.1 * np.abs(truth).max()).all(), "too few seeds to see anything"
    assert (error <= allowed).all(), f"errors {error}, allowed {allowed}"


@pytest.mark.parametrize(
    ("name", "solver", "sampling_solver", "seeds"),
    [
        ("softplus", None, Gauss(nodes=4, steps=1), 1000),  # 1e-5 from the continuum
        ("relu", Euler(4), Euler(4), 1500),
        ("tanh", Euler(1), Euler(1), 800),
        ("sin", Euler(3), Euler(3), 800),
    ],
)
def test_wide_networks_have_the_kernel_of_the_limit(name: str, solver: Any, sampling_solver: Any, seeds: int) -> None:
    net = NeuralODE(name, horizon=1.2, sigma_u=1.2, sigma_w=1.2, sigma_v=0.7)
    narrow, wide = (sample_kernels(net, sampling_solver, width, seeds) for width in (96, 192))
    assert_mean_tends_to(narrow, wide, 96, net.limit(solver).ntk(X)[UPPER])


@pytest.mark.slow  # 3 minutes
@pytest.mark.parametrize("name", ["softplus", "tanh", "relu", "gelu"])
@pytest.mark.parametrize("depth", [None, 1, 2, 8])
def test_wider_networks_have_the_kernel_of_the_limit(name: str, depth: int | None) -> None:
    net = NeuralODE(name, horizon=1.0, sigma_u=0.9, sigma_w=1.2, sigma_v=1.3)
    solver = None if depth is None else Euler(depth)
    sampling_solver = Gauss(nodes=6, steps=1) if depth is None else solver
    truth = net.limit(solver).ntk(X)[UPPER]
    narrow, wide = (sample_kernels(net, sampling_solver, width, 600) for width in (128, 256))
    assert_mean_tends_to(narrow, wide, 128, truth)
    # the bias itself is O(1/n): at twice the width it is no larger
    widest = sample_kernels(net, sampling_solver, 1024, 24)
    spread = widest.std(axis=0, ddof=1) / math.sqrt(len(widest))
    bias = 2 * np.abs(narrow.mean(axis=0) - truth) * 128 / 1024
    quantile = scipy.stats.t.ppf(1 - FALSE_ALARM / 2, len(widest) - 1)
    assert (np.abs(widest.mean(axis=0) - truth) <= quantile * spread + bias).all()


@pytest.mark.parametrize(("name", "solver"), [("softplus", Euler(3)), ("relu", Euler(2))])
def test_outputs_of_random_networks_have_the_nngp_covariance(name: str, solver: Any) -> None:
    """f has mean 0, so that E[f f'] needs no centring; the products f f' have heavy tails, 4,000 of them do."""
    net = NeuralODE(name, horizon=0.8, sigma_u=1.2, sigma_w=1.1, sigma_v=0.7)
    truth = net.limit(solver).nngp(X)[UPPER]
    products = []
    for seed in range(4000):
        f = net.predict(net.init(96, 2, seed=(7, seed)), X, solver=solver)
        products.append(np.outer(f, f)[UPPER])
    sample = np.stack(products)
    spread = sample.std(axis=0, ddof=1) / math.sqrt(len(sample))
    allowed = scipy.stats.norm.isf(FALSE_ALARM / 2) * spread + 3 / 96 * truth.max()  # the bias is O(1/n)
    assert (allowed <= 0.25 * truth.max()).all()
    assert (np.abs(sample.mean(axis=0) - truth) <= allowed).all()
