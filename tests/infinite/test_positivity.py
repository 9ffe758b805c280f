"""Certificates of strict positive definiteness: against the multiprecision oracle, and what they must not claim."""

from __future__ import annotations

import builtins
from functools import cache

import array_api_strict
import mpmath
import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from refimpl import AccuracyError, Activation, BlowUpError, Euler, NeuralODE
from refimpl.activations import BUILTIN
from refimpl.data import sphere
from refimpl.infinite import positivity as module
from refimpl.oracle.power_series import power_series as oracle

pytest.importorskip("flint", reason="python-flint is not installed")
from flint import arb

from refimpl.certified.eigenvalue import eigenvalue_bound

mp = mpmath.MPContext()
mp.dps = 60
ONE = (mp.one, mp.one, mp.one)


def smallest_eigenvalue(coefficients, X):
    """λ_min of Σ a_k G^∘k in 60 digits."""
    rows = [[mp.mpf(float(z)) for z in row] for row in X]
    norms = [mp.sqrt(mp.fdot(row, row)) for row in rows]
    N = len(rows)

    def entry(i, j):
        rho = mp.one if i == j else mp.fdot(rows[i], rows[j]) / (norms[i] * norms[j])
        return mp.polyval(coefficients[::-1], rho)

    return min(mp.eigsy(mp.matrix(N, N) + mp.matrix([[entry(i, j) for j in range(N)] for i in range(N)]), True))


@cache
def exact_coefficients(name, count):
    return oracle(mp, name, mp.mpf("0.5"), ONE, mp.one, count)[0]


EXACT = ("sin", pytest.param("gelu", marks=pytest.mark.slow))
TERMS = 28


@pytest.mark.parametrize("name", EXACT)
@pytest.mark.parametrize(("d", "N"), [(2, 3), (2, 6), (2, 10), (3, 8), (5, 10)])
def test_the_bound_is_below_the_eigenvalue_of_the_oracle_and_near_it(name, d, N):
    X = sphere(N, d, seed=[N, d])
    certificate = NeuralODE(name, horizon=0.5).limit().positivity(X)
    series = exact_coefficients(name, TERMS)
    truth = float(smallest_eigenvalue(series, X))  # of a partial sum: the rest is positive semi-definite …
    rest = N * 20 * float(max(series[-2:]))  # … and its trace is below this, since a_k falls by 3/4 or faster
    assert certificate.strictly_positive is True
    assert 0 < certificate.lower_bound <= truth + rest
    assert certificate.log10_bound == pytest.approx(np.log10(certificate.lower_bound), abs=1e-12)
    assert truth < 3 * certificate.lower_bound


def test_eigenvalues_far_below_the_rounding_of_the_matrix_are_certified():
    X, limit = sphere(48, 2, seed=1), NeuralODE("softplus", horizon=0.7).limit()
    certificate = limit.positivity(X)
    assert certificate.strictly_positive is True
    assert 0 < certificate.lower_bound < 1e-17  # eigvalsh returns ±1e-14


@settings(max_examples=15)
@given(
    name=st.sampled_from(["softplus", "relu", "gelu", "cos", "quadratic"]),
    N=st.integers(1, 6),
    d=st.integers(2, 5),
    seed=st.integers(0, 999),
)
def test_the_bound_is_below_the_eigenvalue_in_double_precision(name, N, d, seed):
    X, limit = sphere(N, d, seed=seed), NeuralODE(name, horizon=0.6).limit()
    certificate = limit.positivity(X)
    K = limit.ntk(X)
    assert certificate.strictly_positive is True
    assert certificate.lower_bound <= np.linalg.eigvalsh(K)[0] + 1e-8 * np.trace(K)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_kinked_activations_have_a_bound_too(name):
    X, limit = sphere(3, 3, seed=1), NeuralODE(name, horizon=0.6).limit()
    smallest = np.linalg.eigvalsh(limit.ntk(X))[0]
    assert 0.5 * smallest < limit.positivity(X).lower_bound <= smallest * (1 + 1e-6)


@given(seed=st.integers(0, 999), N=st.integers(1, 5))
@settings(max_examples=8)
def test_inputs_of_different_norms_have_a_bound_too(seed, N):
    X = np.random.default_rng(seed).standard_normal((N, 3))
    norms = np.linalg.norm(X, axis=1)
    assume(norms.min() > 0.3)
    assume(norms.max() < 2)
    limit = NeuralODE("gelu", horizon=0.5).limit()
    certificate = limit.positivity(X)
    assert certificate.strictly_positive is True
    assert 0 < certificate.lower_bound <= np.linalg.eigvalsh(limit.ntk(X))[0] * (1 + 1e-9)
    assert certificate.log10_bound == pytest.approx(np.log10(certificate.lower_bound), abs=1e-12)


# --- null vectors -------------------------------------------------------------------------------------------------

POINTS = sphere(4, 3, seed=0)


def assert_null(net, X, certificate):
    assert certificate.strictly_positive is False
    assert certificate.lower_bound == 0
    assert np.linalg.norm(certificate.null_vector) == pytest.approx(1)
    K = net.limit().ntk(X)
    assert np.linalg.norm(K @ certificate.null_vector) < 1e-7 * np.linalg.norm(K)


@pytest.mark.parametrize("name", sorted(BUILTIN))
def test_equal_inputs_have_a_null_vector(name):
    net, X = NeuralODE(name, horizon=0.6), np.concatenate([POINTS, POINTS[1:2]])
    assert_null(net, X, net.limit().positivity(X))


@pytest.mark.parametrize("name", ["tanh", "erf", "sin"])
def test_an_antipodal_pair_and_an_odd_activation_have_a_null_vector(name):
    net, X = NeuralODE(name), np.concatenate([POINTS, -POINTS[2:3]])
    certificate = net.limit().positivity(X)
    assert_null(net, X, certificate)
    assert certificate.null_vector == pytest.approx(np.sqrt(0.5) * np.array([0, 0, 1, 0, 1]))


@pytest.mark.parametrize("name", ["cos", "quadratic", "softplus", "gelu", "relu"])
def test_an_antipodal_pair_is_harmless_otherwise(name):
    """Not even where φ is even: h_0 changes its sign, and the h that starts there is another one."""
    net, X = NeuralODE(name, horizon=0.6), np.concatenate([POINTS[:2], -POINTS[:1]])
    certificate = net.limit().positivity(X)
    assert certificate.strictly_positive is True
    assert certificate.lower_bound <= np.linalg.eigvalsh(net.limit().ntk(X))[0] * (1 + 1e-6)


def test_collinear_inputs_have_a_null_vector_if_the_activation_is_homogeneous_and_are_positive_else():
    X = np.concatenate([POINTS, 2 * POINTS[:1]])
    for name in ("relu", "leaky_relu", "identity"):
        assert_null(NeuralODE(name), X, NeuralODE(name).limit().positivity(X))
    certificate = NeuralODE("softplus").limit().positivity(X)
    assert certificate.strictly_positive is True
    assert certificate.lower_bound == 0
    assert "no bound" in certificate.reason


COORDINATE = st.sampled_from([-1.0, -0.5, 0.0, 1.0])


@settings(max_examples=12)
@given(
    name=st.sampled_from(["softplus", "gelu", "sigmoid", "cos", "sin", "tanh", "elu", "relu"]),
    X=st.integers(1, 2).flatmap(lambda d: st.lists(st.tuples(*[COORDINATE] * d), min_size=1, max_size=3)),
)
@example(name="relu", X=[[1.0], [0.5]])
@example(name="relu", X=[[1.0], [-0.5]])
@example(name="elu", X=[[1.0], [0.5]])
@example(name="tanh", X=[[1.0], [-1.0]])
@example(name="cos", X=[[1.0], [-1.0], [0.0]])
@example(name="softplus", X=[[1.0], [-1.0], [0.5], [-0.5]])
def test_the_decision_for_inputs_of_any_norms_is_that_of_the_eigenvalue(name, X):
    """Few and simple inputs: there λ_min is either far above the noise floor, or zero."""
    X, limit = np.asarray(X), NeuralODE(name).limit()
    K, decision = limit.ntk(X), limit.positivity(X).strictly_positive
    accuracy = 1e-7 if limit.net.phi.kinks else 1e-11
    assert decision is bool(np.linalg.eigvalsh(K)[0] > 10 * len(X) * accuracy * K.max())


def test_a_linear_network_is_positive_on_independent_inputs_alone():
    net = NeuralODE("identity")
    assert net.limit().positivity(POINTS[:3]).strictly_positive is True
    assert_null(net, POINTS, net.limit().positivity(POINTS))


def test_an_input_of_zero_has_a_null_vector_where_phi_vanishes_and_is_harmless_else():
    X = np.concatenate([POINTS[:2], np.zeros((1, 3))])
    assert_null(NeuralODE("gelu"), X, NeuralODE("gelu").limit().positivity(X))
    limit = NeuralODE("softplus").limit()
    assert limit.positivity(X).strictly_positive is True
    assert np.linalg.eigvalsh(limit.ntk(X))[0] > 1e-4


def test_a_polynomial_is_not_decided_by_the_theorem():
    X = np.array([[1.0], [0.5]])
    assert NeuralODE("quadratic", horizon=0.5).limit().positivity(X).strictly_positive is None


def test_two_points_of_the_line():
    X = np.array([[1.0], [-1.0]])
    assert NeuralODE("softplus").limit().positivity(X).strictly_positive is True
    assert NeuralODE("tanh").limit().positivity(X).strictly_positive is False


# --- the rest -----------------------------------------------------------------------------------------------------


def test_an_activation_of_ones_own_is_undecided_unless_f_shows_a_null_vector():
    own = Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2, name="mine", parity="odd")
    assert NeuralODE(own).limit().positivity(POINTS).strictly_positive is None
    assert NeuralODE(own).limit().positivity(np.concatenate([POINTS, -POINTS])).strictly_positive is False


def test_no_inputs_are_positive():
    assert NeuralODE().limit().positivity(np.zeros((0, 2))).strictly_positive is True


def test_residual_networks_are_refused():
    with pytest.raises(ValueError, match="limit of the ODE"):
        NeuralODE().limit(Euler(3)).positivity(POINTS)


def test_without_flint_the_extra_is_named(monkeypatch):
    real = builtins.__import__

    def missing(name, *args, **kwargs):
        if name == "flint":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", missing)
    monkeypatch.delitem(__import__("sys").modules, "refimpl.certified.eigenvalue")
    with pytest.raises(ImportError, match=r"refimpl\[proof\]"):
        NeuralODE().limit().positivity(POINTS)


def test_a_singular_matrix_has_no_bound_and_a_tiny_one_has_its_logarithm():
    assert eigenvalue_bound(lambda: [[arb(1)], [arb(1), arb(1)]]) is None
    assert eigenvalue_bound(lambda: [[arb(1)], [arb(2), arb(1)]]) is None
    bound, digits = eigenvalue_bound(lambda: [[arb(10) ** -400]])
    assert bound == 0.0
    assert -400.1 < digits < -400
    bound, digits = eigenvalue_bound(lambda: [[arb(10) ** -30], [arb(0), arb(7)]])
    assert 0.9e-30 < bound < 1e-30


# --- what is undecided --------------------------------------------------------------------------------------------


def test_hermite_coefficients_that_cannot_be_had_leave_it_without_a_bound(monkeypatch):
    def refuse(*args):
        raise AccuracyError("no")

    monkeypatch.setattr(module, "power_series", refuse)
    certificate = NeuralODE("quadratic", horizon=0.5).limit().positivity(POINTS)
    assert certificate.strictly_positive is None
    assert "not known well enough: no" in certificate.reason
    certificate = NeuralODE().limit().positivity(POINTS)
    assert certificate.strictly_positive is True
    assert certificate.lower_bound == 0
    assert "no bound: the coefficients are not known well enough: no" in certificate.reason


def test_a_partial_sum_that_cannot_be_proved_leaves_a_polynomial_undecided(monkeypatch):
    monkeypatch.setattr("refimpl.certified.eigenvalue.eigenvalue_bound", lambda matrix: None)
    certificate = NeuralODE("quadratic", horizon=0.5).limit().positivity(POINTS)
    assert certificate.strictly_positive is None
    assert "cannot be proved" in certificate.reason


def test_an_odd_activation_with_different_norms_uses_odd_powers_alone():
    X = np.array([[1.0, 0.0], [0.3, 0.5], [-0.2, 0.9]])
    limit = NeuralODE("tanh").limit()
    certificate = limit.positivity(X)
    assert 0 < certificate.lower_bound <= np.linalg.eigvalsh(limit.ntk(X))[0]
    assert "up to 17" in certificate.reason or "up to 15" in certificate.reason


@pytest.mark.parametrize(("activation", "proved"), [("gelu", True), ("quadratic", None)])
def test_a_bound_that_roundings_of_the_norms_could_spoil_is_none_of_the_inputs(monkeypatch, activation, proved):
    """Of all inputs it is known for gelu that K_∞ is strictly positive definite; for quadratic φ only by a bound."""
    limit = NeuralODE(activation, horizon=0.5).limit()
    certificate = limit.positivity(POINTS)
    assert certificate.reason.startswith("at X as it is")
    monkeypatch.setattr("refimpl.certified.radii.weakening", lambda *args: 0.26)
    directions = limit.positivity(POINTS)
    assert directions.strictly_positive is proved
    assert directions.lower_bound == 0
    assert directions.log10_bound == -np.inf
    assert directions.log10_bound_on_sphere == pytest.approx(certificate.log10_bound, abs=1e-12)
    assert "not at X as it is" in directions.reason
    assert certificate.log10_bound_on_sphere == -np.inf
    monkeypatch.setattr("refimpl.certified.radii.weakening", lambda *args: 0.2)
    assert limit.positivity(POINTS).lower_bound == pytest.approx(0.64 * certificate.lower_bound, rel=1e-12)


def test_a_relation_among_orthogonal_inputs_is_found():
    X = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.25]])
    net = NeuralODE("identity")
    assert_null(net, X, net.limit().positivity(X))


def test_a_bound_below_the_smallest_float_has_its_logarithm():
    angle = 1e-30 * np.arange(7.0)
    X = np.stack([np.ones(7), angle], axis=1)
    certificate = NeuralODE("gelu", horizon=0.5).limit().positivity(X)
    assert certificate.strictly_positive is True
    assert certificate.lower_bound == 0
    assert -400 < certificate.log10_bound_on_sphere < -330  # the Vandermonde matrix of the angles, squared: 1e-360
    assert certificate.log10_bound == -np.inf  # the norms differ by 1e-59, and that may be all there is
    angle = 4e-3 * np.arange(7.0)
    X = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    certificate = NeuralODE("gelu", horizon=0.5, sigma_v=1e-150).limit().positivity(X)
    assert certificate.lower_bound == 0
    assert -330 < certificate.log10_bound < -324  # 1e-300 times that matrix, and some digits of a_k


def test_other_libraries_are_refused():
    with pytest.raises(TypeError, match="NumPy arrays only"):
        NeuralODE().limit().positivity(array_api_strict.ones((2, 2), dtype=array_api_strict.float64))


@pytest.mark.parametrize("size", [2e-162, 1e160])
def test_norms_whose_squares_over_or_underflow_are_refused_as_by_the_kernel(size):
    limit = NeuralODE("sin", sigma_u=1 / size).limit()
    for method in (limit.positivity, limit.ntk):
        with pytest.raises(ValueError, match="rows of norm"):
            method(size * np.eye(2))


@pytest.mark.parametrize(
    "X",
    [2 * sphere(4, 3, seed=0), np.asarray([[1.0, 0], [2, 0], [0, 1]]), np.asarray([[2.0, 0], [2, 0]])],
    ids=["sphere", "collinear", "equal"],
)
def test_where_there_is_no_kernel_there_is_no_certificate(X):
    limit = NeuralODE("quadratic").limit()
    with pytest.raises(BlowUpError, match="escapes to infinity near t = ") as expected:
        limit.ntk(X)
    with pytest.raises(BlowUpError) as raised:
        limit.positivity(X)
    assert str(raised.value) == str(expected.value)
    assert raised.value.time == expected.value.time


def test_a_variance_that_cannot_be_followed_leaves_a_certificate_without_a_bound():
    X = sphere(4, 3, seed=0)
    certificate = NeuralODE("relu", horizon=100.0).limit().positivity(X)  # the variance passes 1e100 on the way
    assert certificate.strictly_positive is True
    assert certificate.lower_bound == 0
    assert "there is no bound" in certificate.reason
