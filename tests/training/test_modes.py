from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from refimpl.training.modes import check_limit, eigenmodes, mode_functions

EPS = float(np.finfo(float).eps)


def functions(rate, value, count, floor=0.0):
    remaining, integrated = mode_functions(rate, np.asarray([value]), np.asarray([count], dtype=float), floor)
    return remaining.item(), integrated.item()


@given(st.floats(1e-12, 3.0), st.floats(0.1, 10.0), st.integers(0, 10**6))
@example(1.0, 1.0, 0)
@example(1.0, 1.0, 1)
@example(2.0, 1.0, 1001)
@example(2.0, 1.0, 1000)
@example(1e-12, 1.0, 1)
@example(2 - 2**-52, 1.0, 10)
def test_both_functions_of_a_mode_are_accurate_to_rounding(product, value, count):
    rate = product / value
    with mpmath.workdps(60):
        p = mpmath.mpf(rate) * mpmath.mpf(value)
        q = 1 - p
        exact = q**count, (1 - q**count) / mpmath.mpf(value)
        size, sensitivity = abs(exact[0]), count * p / abs(q) if q else mpmath.mpf(0)
    found = functions(rate, value, count)
    if abs(exact[0]) > 1e300 or not all(map(math.isfinite, found)):
        assert abs(exact[0]) > 1e300
        return
    # The rounding of ηλ moves (1 − ηλ)^k by kηλ/|1 − ηλ| times as much, a few roundings of k log|1 − ηλ| by as many
    # times itself.
    logarithm = abs(count * float(mpmath.log(abs(q)))) if q else 0.0
    bound = 4 * EPS * (1 + float(sensitivity) + logarithm) * float(size)
    assert abs(found[0] - exact[0]) <= bound + 1e-300
    assert abs(found[1] - exact[1]) <= 8 * EPS * abs(exact[1]) + bound / value + 1e-300


@given(st.floats(0, 1e-20), st.integers(0, 10**9))
def test_an_eigenvalue_near_0_integrates_to_the_number_of_steps(value, count):
    # 1 − kηλ/2 is 1 to rounding; no digits are lost in 1 − (1 − ηλ)^k.
    remaining, integrated = functions(0.5, value, count)
    assert remaining == pytest.approx(1.0, rel=1e-10)
    assert integrated == pytest.approx(0.5 * count, rel=max(4 * EPS, 1e-11 if value else 0))


def test_negative_eigenvalues_count_as_0():
    assert functions(0.5, -1e-3, 10) == (1.0, 5.0)


@pytest.mark.parametrize(
    ("value", "expected"),
    [(2.0, (0.0, 0.5)), (1e-3, (0.0, 1e3)), (1e-8, (1.0, 0.0)), (0.0, (1.0, 0.0)), (-1e-9, (1.0, 0.0))],
)
def test_at_the_end_a_mode_is_gone_or_never_moved(value, expected):
    assert functions(0.5, value, math.inf, floor=1e-7) == pytest.approx(expected, rel=2 * EPS)


@pytest.mark.parametrize("floor", [0.0, 1e-7])
def test_an_eigenvalue_at_the_floor_never_moves(floor):
    assert functions(0.5, floor, math.inf, floor=floor) == (1.0, 0.0)


def test_many_steps_approach_the_end():
    for value in (0.01, 1.0, 3.9):
        assert functions(0.5, value, 2.0**53) == pytest.approx(functions(0.5, value, math.inf), rel=2 * EPS)


def test_shapes_are_those_of_the_steps_and_the_eigenvalues():
    for found in mode_functions(0.1, np.arange(3.0), np.arange(4.0), 0.0):
        assert found.shape == (4, 3)


def test_eigenmodes_are_those_of_the_matrix(xp):
    B = np.random.default_rng(0).standard_normal((4, 6))
    values, vectors = eigenmodes(xp, xp.asarray(B @ B.T), EPS)
    assert isinstance(values, np.ndarray)
    rebuilt = xp.matmul(vectors * xp.asarray(values), vectors.T)
    assert float(xp.max(xp.abs(rebuilt - xp.asarray(B @ B.T)))) < 32 * EPS * values[-1]


@pytest.mark.parametrize("sign", [1, -1])
def test_what_is_no_kernel_to_its_accuracy_raises(sign):
    K = np.diag([1.0, 2.0, sign * 1e-10])
    if sign > 0:
        K[0, 1] += 1e-10
    message = "K must be symmetric to rtol=2" if sign > 0 else "K must be positive semi-definite to rtol=2"
    with pytest.raises(ValueError, match=message):
        eigenmodes(np, K, EPS)
    values, _ = eigenmodes(np, K, 1e-10)
    np.testing.assert_allclose(values, sorted(np.diag(K)), rtol=0, atol=1e-10)


@pytest.mark.parametrize("size", [2.0**-40, 2.0**40])
def test_what_is_a_kernel_does_not_depend_on_its_size(size):
    """2·10⁻¹⁰ of the largest eigenvalue is within 3 · 10⁻¹⁰ of 0, and not within 3 · 10⁻¹¹."""
    K = size * np.diag([1.0, 0.5, -2e-10])
    assert eigenmodes(np, K, 1e-10)[0].tolist() == sorted(np.diag(K))
    with pytest.raises(ValueError, match="positive semi-definite"):
        eigenmodes(np, K, 1e-11)


def test_rounding_is_no_asymmetry_and_no_negative_eigenvalue():
    K = np.ones((3, 3))
    K[0, 1] += EPS
    eigenmodes(np, K, EPS)
    eigenmodes(np, np.diag([1.0, 1.0, -EPS]), EPS)
    eigenmodes(np, np.zeros((2, 2)), EPS)


def test_a_limit_needs_every_excited_mode_to_decay():
    values = np.asarray([0.5, 1.0, 4.0])
    check_limit(0.49, values, np.ones(3))
    check_limit(0.5, values, np.asarray([1.0, 1.0, 0.0]))
    check_limit(0.5, values, np.asarray([1.0, 1.0, 1e-17]))
    check_limit(0.5, values, np.zeros(3))  # u⁰ = y: nothing is excited
    with pytest.raises(ValueError, match=r"needs ηλ < 2 .* but λ = 4 has ηλ = 2$"):
        check_limit(0.5, values, np.asarray([0.0, 0.0, 1e-3]))


@pytest.mark.parametrize("size", [1e-6, 1.0, 1e6])
def test_a_coefficient_counts_as_absent_below_the_rounding_of_the_whole(size):
    """Of three modes the fast one is present by a share of 3 eps of the norm, or is not."""
    values = np.asarray([0.1, 1.0, 3.0])
    check_limit(1.0, values, size * np.asarray([1.0, 0.0, 2.9 * EPS]))
    with pytest.raises(ValueError, match=r"λ = 3 has ηλ = 3"):
        check_limit(1.0, values, size * np.asarray([1.0, 0.0, 3.1 * EPS]))


def test_a_kernel_that_is_not_semi_definite_is_refused_with_both_ends_of_its_spectrum():
    with pytest.raises(ValueError, match=r"eigenvalues go from -1 to 3; if"):
        eigenmodes(np, np.diag([0.5, 3.0, -1.0]), 1e-9)
