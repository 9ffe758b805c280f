"""Picard's sweeps on ascending nodes end in the stages of the Gauss scheme."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import AccuracyError, Gauss, NeuralODE, Params, activations
from refimpl.backend import overflow_is_checked
from refimpl.finite import adjoint, sweep
from refimpl.finite.climb import Rates, climb
from refimpl.finite.legendre import evaluated
from refimpl.finite.product import Product
from refimpl.finite.sweep import root_of_squares
from refimpl.finite.system import System
from refimpl.quadrature import gauss_legendre, kronrod_extension
from refimpl.scheme import gauss
from tests import formulas

SMOOTH = [name for name, phi in activations.BUILTIN.items() if phi.analytic and phi.degree != 2]


def prepared(case):
    return case.net._prepare(case.theta, case.X, Gauss())[2]


@pytest.mark.parametrize("nodes", [1, 2, 3, 6, 7, 15, 24, 48])
def test_the_rule_of_kronrod_interlaces_with_that_of_gauss_and_is_exact_to_degree_3m_plus_1(nodes):
    c, _ = gauss_legendre(nodes)
    t, w = kronrod_extension(nodes)
    assert (t[:-1] < c).all()
    assert (c < t[1:]).all()
    # P_m(c) = 0, so that polynomials with that factor are integrated by the new points alone.
    vanishing = np.polynomial.Legendre.basis(nodes, domain=[0, 1])
    for degree in range(2 * nodes + 2):
        other = np.polynomial.Legendre.basis(degree, domain=[0, 1])
        exact = 1 / (2 * nodes + 1) if degree == nodes else 0.0
        assert w @ (vanishing(t) * other(t)) == pytest.approx(exact, abs=1e-14)
    too_high = np.polynomial.Legendre.basis(2 * nodes + 3 if nodes % 2 else 2 * nodes + 2, domain=[0, 1])
    assert abs(w @ (vanishing(t) * too_high(t))) > 1e-12 or nodes % 2


def test_the_fifteen_points_of_quadpack():
    """xgk and wgk of its routine qk15."""
    t, w = kronrod_extension(7)
    points = [0.991455371120812639206854697526329, 0.864864423359769072789712788640926]
    weights = [0.022935322010529224963732008058970, 0.104790010322250183839876322541518]
    np.testing.assert_allclose(1 - 2 * t[:2], points, rtol=0, atol=4e-15)
    np.testing.assert_allclose(2 * w[:2], weights, rtol=0, atol=4e-15)


@given(formulas.cases(SMOOTH, n=(1, 20), N=(1, 4)), st.integers(1, 3), st.sampled_from([1e-4, 1e-8, 1e-12]))
def test_the_sweeps_end_in_the_stages_of_the_scheme(case, steps, rtol):
    """Which `refimpl.finite.adjoint` solves to rounding."""
    system, scheme = prepared(case), gauss(9, steps, case.net.horizon)
    plain = adjoint.solve(system, scheme)
    forward = sweep.forward(system, scheme, rtol)
    backward = sweep.backward(system, scheme, forward, rtol)
    # A step is solved to an eighth of rtol; errors of the state grow on their way, and λ depends on the state.
    growth = math.exp(2 * case.net.horizon * np.linalg.norm(system.W, 2) * case.net.phi.lipschitz)
    bend = 1 + case.net.horizon * np.linalg.norm(system.W, 2) * case.net.phi.dlipschitz * np.abs(system.h0).max()
    allowed = rtol * steps * growth * bend + 1e-13
    at_nodes, scaled = evaluated(9, gauss_legendre(9)[0]), scheme.step * plain.backward.stages
    phi, lam = (
        np.concatenate([np.tensordot(at_nodes, step, axes=1) for step in part])
        for part in (backward.gradient.phi, backward.gradient.adjoint)
    )
    for mine, other in (
        (forward.boundary, plain.flow.boundary), (phi, plain.flow.phi),
        (backward.boundary, plain.backward.boundary), (lam, scaled),
    ):  # fmt: skip
        assert np.abs(mine.swapaxes(1, 2) - other).max() <= allowed * np.abs(other).max()


def linear(rate):
    """ḣ = rate h, of one neuron."""
    return lambda stages, _: Rates(rate * stages, stages)


def test_a_geometric_guess_of_what_is_left_is_above_what_is_left():
    """For ḣ = h on [0, 1] and 12 nodes, whose own error is 1e-30."""
    start = np.ones((1, 1))
    for rtol in (1e-2, 1e-5, 1e-8, 1e-11):
        step = climb(np, start, 1.0, start[None], linear(1.0), lambda stages, _: stages[-1], 12, rtol)
        error = abs(step.end[0, 0] - math.e)
        assert error <= step.left[0, 0] + 1e-15
        assert step.left[0, 0] <= rtol * math.e


def test_back_in_time_the_sweeps_integrate_to_the_start():
    start = np.ones((1, 1))
    step = climb(np, start, 0.5, start[None], linear(1.0), lambda stages, _: stages[0], 8, 1e-12, backward=True)
    assert step.end[0, 0] == pytest.approx(math.exp(0.5), rel=1e-12)
    np.testing.assert_allclose(step.stages[:, 0, 0], np.exp(0.5 * (1 - gauss_legendre(8)[0])), rtol=1e-9)


@pytest.mark.parametrize("patient", [True, False])
def test_a_step_that_is_too_long_is_given_up_sooner_if_shorter_ones_may_be_had(patient):
    calls = []

    def rate(stages, _):
        calls.append(len(stages))
        return Rates(12.0 * stages, stages)

    start = np.ones((1, 1))
    step = climb(np, start, 1.0, 12 * start[None], rate, lambda stages, _: stages[-1], 16, 1e-6, patient=patient)
    assert (step is None) is not patient
    assert (len(calls) < 10) is not patient
    with np.errstate(invalid="ignore"):
        assert climb(np, start, 1.0, np.full((1, 1, 1), np.inf), rate, lambda stages, _: stages[-1], 16, 1e-6) is None


def test_the_sweeps_take_one_node_more_each_and_a_coarse_solution_is_left_at_once():
    counts = []

    def rate(stages, _):
        counts.append(len(stages))
        return Rates(0.5 * stages, stages)

    start = np.ones((1, 1))
    step = climb(np, start, 1.0, 0.5 * start[None], rate, lambda stages, _: stages[-1], 6, 1e-9)
    assert counts[:4] == [3, 4, 5, 6]
    assert set(counts[4:]) == {6}
    cold = len(counts)
    counts.clear()
    climb(np, start, 1.0, step.rates.values, rate, lambda stages, _: stages[-1], 8, 1e-9, pace=step.pace)
    assert set(counts) == {8}
    assert len(counts) < cold / 2


def system_of(W, dtype=np.float64):
    W = np.asarray(W, dtype=dtype)
    return System(np, activations.get("tanh"), 1.0, W, np.ones(len(W), dtype=dtype), np.ones((len(W), 2), dtype=dtype))


@pytest.mark.parametrize("room", [False, True])
@pytest.mark.parametrize("transposed", [False, True])
def test_products_are_rounded_to_single_precision_only_where_that_is_enough(transposed, room):
    rng = np.random.default_rng(0)
    W, factors = rng.standard_normal((40, 40)), rng.standard_normal((3, 2, 40))
    if not room:
        factors[:, 1] *= 1e-200
    product, exact = Product(system_of(W), 1e-9, transposed=transposed, room=room), W if transposed else W.T
    scale = np.abs(factors) @ np.abs(exact)

    def off(found, factors):
        return (np.abs(found - factors @ exact) / scale).max()

    for change in (math.inf, 1e-1, 1e-3):
        assert 1e-9 < off(product(factors, change), factors) < 2.0**-20
    assert off(product(factors, 6e-4), factors) < 1e-14  # what does not fall may be rounding
    assert 1e-9 < off(product(factors, 2e-4), factors) < 2.0**-20
    assert off(product(factors, 9e-5), factors) < 1e-14  # the products so far are rough: anew
    moved = factors * (1 + 1e-6)
    assert off(product(moved, 1e-6), moved) < 1e-6 * 2.0**-20
    assert off(product(factors, 9.5e-5), factors) < 1e-14  # a change that rounds too much for rtol


@pytest.mark.parametrize("smallest", [1.0, 1e-16, 1e-20, 1e-25])
@pytest.mark.parametrize("transposed", [False, True])
def test_sums_of_squares_lose_none_in_single_precision(transposed, smallest):
    """One neuron is driven by `smallest` alone, of W or of φ."""
    rng = np.random.default_rng(0)
    for weak in ("W", "terms"):
        W, terms = rng.standard_normal((4, 4)), np.abs(rng.standard_normal((2, 4)))
        W[0], W[:, 0] = 0.0, 0.0
        W[0, 0] = smallest if weak == "W" else 1.0
        terms[:, 0] = 1.0 if weak == "W" else smallest
        squares = W**2 if transposed else W.T**2
        found = root_of_squares(system_of(W), terms, transposed=transposed)
        assert found.dtype == np.float64
        assert found == pytest.approx(np.sqrt(terms**2 @ squares), rel=1e-6, abs=0)


def test_rounding_is_measured_with_W_on_the_way_there_and_with_its_transpose_on_the_way_back():
    W, h, lam = np.asarray([[0.0, 3.0], [0.0, 0.0]]), np.asarray([[5.0, 7.0]]), np.asarray([[2.0, 4.0]])
    forwards = sweep._ForwardStep(system_of(W), 0.5, h, 1e-10)
    backwards = sweep._BackwardStep(system_of(W), 0.5, lam, np.ones((1, 1, 2)), 1e-10)
    phi, dphi = np.tanh(h), np.cosh(h) ** -2
    terms = np.abs(phi) + np.abs(dphi * h)
    assert forwards.size(h[None], phi[None]) == pytest.approx(np.abs(h) + 0.5 * terms @ W.T, rel=1e-6)
    assert backwards.size(lam[None], lam[None]) == pytest.approx(np.abs(lam) + 0.5 * np.abs(lam) @ W, rel=1e-6)


def test_there_is_no_single_precision_where_it_has_no_room():
    W = np.eye(3)
    assert system_of(W).single_weights.dtype == np.float32
    assert system_of(1e-20 * W).single_weights is None
    assert system_of(1e40 * W).single_weights is None
    assert system_of(W, np.float32).single_weights is None


def test_a_part_of_a_system_has_its_weights_and_what_is_known_of_them():
    whole = system_of(np.eye(3))
    part = whole.part(slice(0, 1))
    assert part.h0.shape == (3, 1)
    assert part.W is whole.W
    assert part.single_weights is whole.single_weights is not None
    assert part.squares_have_room is True


def test_what_was_reached_is_never_less_than_what_was_asked_for():
    net = NeuralODE("softplus", horizon=4.0)
    theta, X = net.init(64, 3, seed=0), np.random.default_rng(0).standard_normal((4, 3))
    with pytest.raises(AccuracyError) as caught:
        net.predict(theta, X, Gauss(steps=1, rtol=1e-12))
    assert caught.value.reached > 1e-12  # of which the estimate is less than a half


def test_one_scheme_that_is_no_better_is_not_the_end_where_no_steps_may_be_added():
    net = NeuralODE("softplus", horizon=4.0)
    theta, X = net.init(64, 3, seed=0), np.random.default_rng(0).standard_normal((4, 3))
    exact = net.predict(theta, X)
    for rtol in (1e-2, 1e-6):
        assert net.predict(theta, X, Gauss(steps=1, rtol=rtol)) == pytest.approx(exact, rel=rtol)


def test_an_unreachable_tolerance_says_what_was_reached():
    """h_1 = 3 − 1e5 t drives h_2 for 1e-4 of the time."""
    W = np.sqrt(3.0) * 1e5 * np.asarray([[0, 0, -1.0], [1.0, 0, 0], [0, 0, 0]])
    theta = Params(np.asarray([[3.0], [1.0], [30.0]]), W, np.ones(3))
    with pytest.raises(AccuracyError, match="off by") as caught:
        NeuralODE("erf").predict(theta, np.ones((1, 1)), Gauss())
    assert 1e-12 < caught.value.reached < math.inf


def test_displacements_are_followed_over_steps_on_which_the_sweeps_still_converge():
    """Picard's sweeps of the displacements on two nodes diverge there, those on three do not."""
    net, theta = NeuralODE("tanh", 4.5), Params(np.ones((1, 1)), np.ones((1, 1)), np.ones(1))
    found, exact = (
        net.jacobian(theta, np.asarray([[0.1]]), solver).W for solver in (Gauss(steps=1, rtol=1e-6), Gauss(24, 8))
    )
    assert found == pytest.approx(exact, rel=1e-6)


def test_sweeps_of_which_only_rounding_is_left_are_taken():
    """Rates that are off by 7e-7 at random let sweeps get to 1e-6, but no closer: they are slow from there on."""
    start, rng = np.ones((1, 1)), None

    def rate(stages, _):
        return Rates(-0.5 * stages * (1 + 7e-7 * rng.standard_normal(stages.shape)), stages)

    def size(stages, _):
        return np.abs(stages).max(axis=0)

    def solved(rtol, closer):
        nonlocal rng
        rng = np.random.default_rng(0)
        first = rate(start[None], math.inf).values
        return climb(np, start, 1.0, first, rate, size, 6, rtol, patient=False, closer=closer)

    assert solved(1e-6, 16.0).end[0, 0] == pytest.approx(math.exp(-0.5), abs=1e-6)
    assert solved(1e-6 / 16, 1.0) is None


def test_the_reach_of_the_sweeps_is_that_of_the_equation_and_not_of_rounding():
    """κΔ of ḣ = a h is a Δ; sweeps that change nothing but roundings say nothing."""
    rng = np.random.default_rng(0)
    start = rng.standard_normal((4, 50))

    def reach(a):
        W = a * np.linalg.qr(rng.standard_normal((50, 50)))[0]
        step = climb(
            np, start, 1.0, (start @ W)[None], lambda h, _: Rates(h @ W, h), lambda h, _: np.abs(h).max(0), 12, 1e-12
        )
        assert step is not None
        return step.pace.reach

    for a in (0.1, 1.0, 3.0):
        assert a <= reach(a) < 4 * a
    assert reach(1e-8) == 0.0


def test_the_first_sweeps_run_in_single_precision_and_the_last_do_not():
    dtypes = []

    def rate(stages, _):
        dtypes.append(stages.dtype)
        return Rates(stages, stages)

    start = np.ones((1, 1))
    step = climb(np, start, 1.0, start[None], rate, lambda stages, _: stages[-1], 12, 1e-12, single=True)
    assert dtypes[0] == np.float32
    assert dtypes[-1] == step.end.dtype == step.stages.dtype == np.float64
    assert dtypes == sorted(dtypes, key=lambda dtype: dtype.itemsize)
    assert step.end[0, 0] == pytest.approx(math.e, rel=1e-12)
    loose = climb(np, start, 1.0, start[None], rate, lambda stages, _: stages[-1], 5, 1e-2, single=True)
    assert loose.stages.dtype == np.float64
    dtypes.clear()
    climb(np, start, 1.0, step.rates.values, rate, lambda stages, _: stages[-1], 14, 1e-9, pace=step.pace, single=True)
    assert set(dtypes) == {np.dtype(np.float64)}


def test_what_overflows_in_single_precision_is_solved_in_double():
    """ḣ = 10⁻³⁰ h² from 10³⁰: h = 10³⁰/(1 − t)."""
    start = np.full((1, 1), 1e30)

    def rate(stages, _):
        return Rates(stages**2 * 1e-30, stages)

    with overflow_is_checked():
        step = climb(np, start, 0.1, start[None], rate, lambda stages, _: stages[-1], 12, 1e-12, single=True)
    assert step.end[0, 0] == pytest.approx(1e30 / 0.9, rel=1e-11)
