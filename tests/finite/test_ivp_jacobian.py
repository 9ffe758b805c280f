"""The Jacobians handed to the implicit methods of scipy: they steer Newton's method, so a wrong one only costs time."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import SolveIVP
from refimpl.finite import ivp
from tests import formulas


@settings(max_examples=25)
@given(st.integers(1, 4), st.integers(2, 5), st.integers(0, 2**32))  # SciPy 1.14 solves no banded 1 × 1 system
def test_block_diagonal_jacobians_are_packed_as_scipy_wants_them(N, n, seed):
    blocks = np.random.default_rng(seed).standard_normal((N, n, n))
    dense = scipy.linalg.block_diag(*blocks)

    def evaluate(_t, _y):
        return blocks

    for method in ("Radau", "BDF"):
        jacobian = ivp._jacobian_options(method, evaluate, n, N)["jac"](0.0, np.zeros(N * n))
        np.testing.assert_array_equal(jacobian.toarray(), dense)
    banded = ivp._jacobian_options("LSODA", evaluate, n, N)
    assert banded["lband"] == banded["uband"] == n - 1
    packed = banded["jac"](0.0, np.zeros(N * n))
    right = np.ones(N * n)
    np.testing.assert_allclose(
        dense @ scipy.linalg.solve_banded((n - 1, n - 1), packed, right),
        right,
        rtol=0,
        atol=1e-13 * np.linalg.cond(dense),
    )


def along(rate, t, y, unit, s):
    return rate(t, y + s * unit)


@pytest.mark.parametrize("method", ["Radau", "BDF"])
def test_jacobians_are_the_derivatives_of_the_rates(method, monkeypatch):
    case, seen = formulas.make("gelu", n=4, N=2), []
    integrate = ivp.solve_ivp

    def watch(rate, span, start, *, jac, **options):
        seen.append((rate, jac, span[0], start))
        return integrate(rate, span, start, jac=jac, **options)

    monkeypatch.setattr(ivp, "solve_ivp", watch)
    case.net.ntk(case.theta, case.X, solver=SolveIVP(method, rtol=1e-6))
    assert len(seen) == 2
    for rate, jacobian, t, y in seen:
        for k, unit in enumerate(np.eye(y.size)):
            expected, error = formulas.romberg_derivative(partial(along, rate, t, y, unit), 0.1)
            column = jacobian(t, y).toarray()[:, k]
            assert (np.abs(column - expected) <= error + 1e-12).all()
