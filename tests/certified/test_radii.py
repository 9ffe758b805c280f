"""What norms that differ a little can do to the smallest eigenvalue, on a kernel that is known in closed form."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("flint", reason="python-flint is not installed")

from refimpl.certified.radii import weakening

COUNT = 40
K = np.arange(COUNT)
COEFFICIENTS = np.exp(-1.0 - np.asarray([math.lgamma(k + 1) for k in K]))
"""Of exp(−|x − x̄|²/2) = Σ_k e^{−(r² + r̄²)/2} (r r̄)^k/k! G^{∘k} at r = r̄ = 1 …"""
SLOPES = K - 1.0
"""… and r ∂/∂r of their logarithms."""

mp = mpmath.MPContext()
mp.dps = 60


def smallest(X, count=None):
    """λ_min of exp(−|x − x̄|²/2) between the rows of X, or of `count` terms at their directions."""
    rows = [[mp.mpf(float(z)) for z in row] for row in X]

    def entry(x, y):
        if count is None:
            return mp.exp(-mp.fsum((a - b) ** 2 for a, b in zip(x, y, strict=True)) / 2)
        cosine = mp.fdot(x, y) / mp.sqrt(mp.fdot(x, x) * mp.fdot(y, y))
        return mp.fsum(mp.mpf(float(a)) * cosine**k for k, a in enumerate(COEFFICIENTS))

    matrix = mp.matrix([[entry(x, y) for y in rows] for x in rows])
    return min(mp.eigsy(matrix, True))


def points(N, d, spread, width, seed):
    """Directions within `width` of each other at norms within `spread` of 1."""
    rng = np.random.default_rng(seed)
    X = np.eye(d)[0] + width * rng.standard_normal((N, d))
    return X / np.linalg.norm(X, axis=1, keepdims=True) * (1 + spread * rng.uniform(-1, 1, (N, 1)))


@settings(max_examples=25)
@given(
    N=st.integers(1, 6), d=st.integers(2, 3), digits=st.floats(2, 12), width=st.sampled_from([3.0, 0.3, 0.03]),
    seed=st.integers(0, 999),
)  # fmt: skip
def test_the_eigenvalue_does_not_fall_by_more(N, d, digits, width, seed):
    X = points(N, d, 10**-digits, width, seed)
    eta = weakening(X, 1.0, COEFFICIENTS, SLOPES)
    if eta < 1:
        assert smallest(X) >= (1 - eta) ** 2 * smallest(X, COUNT)


def test_one_input_far_from_where_its_coefficients_are_flat_needs_the_slopes():
    """λ_min is one coefficient: it falls to (1 − |e|)² of itself."""
    X, a = np.asarray([[0.98, 0.0]]), np.zeros(COUNT)
    a[20] = COEFFICIENTS[20]
    eta = weakening(X, 1.0, a, SLOPES)
    fallen = (0.98**20 * math.exp((1 - 0.98**2) / 2)) ** 2
    assert (1 - eta) ** 2 <= fallen < (1 - weakening(X, 1.0, a, 0 * SLOPES)) ** 2


def test_no_condition_number_enters():
    X = points(12, 2, 1e-15, 3.0, 5)
    assert smallest(X, COUNT) < 1e-9
    assert weakening(X, 1.0, COEFFICIENTS, SLOPES) < 1e-10


def test_a_singular_sum_has_no_such_bound():
    X = np.asarray([[1.0, 0.0], [1.0, 0.0]])
    assert weakening(X, 1.0, COEFFICIENTS, SLOPES) == math.inf
