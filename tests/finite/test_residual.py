"""Layers and spikes between the nodes of a Gauss scheme are resolved, or refused; never passed over."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.special import erf

from refimpl import AccuracyError, Gauss, NeuralODE, Params, SolveIVP, activations
from refimpl.finite.residual import _between_nodes, _displacement, _gaps
from refimpl.finite.system import System
from refimpl.scheme import gauss
from tests import formulas
from tests.effort import examples

TIGHT = SolveIVP(rtol=1e-12, atol=1e-14)


def antiderivative(z):
    """F with F' = erf."""
    return z * math.erf(z) + math.exp(-z * z) / math.sqrt(math.pi)


SPEEDS = np.geomspace(1.0, 1e5, 21).tolist()


def layered(speed):
    """h_1 = 3 − speed t crosses 0, where erf(h_1) drives h_2: for a high speed before the first node of every scheme.

    Also h_2(1) in closed form, from ∫ erf = F with F(z) = z erf z + exp(−z²)/√π.
    """
    W = np.sqrt(3.0) * speed * np.asarray([[0, 0, -1.0], [1.0, 0, 0], [0, 0, 0]])
    end = 1.0 + antiderivative(3.0) - antiderivative(3.0 - speed)
    return Params(np.asarray([[3.0], [1.0], [30.0]]), W, np.ones(3)), end


def answer_or_none(method, *arguments):
    try:
        return method(*arguments)
    except AccuracyError:
        return None


def test_gauss_resolves_a_layer_before_its_first_node_or_says_that_it_cannot():
    net, x, end = NeuralODE("erf"), np.ones((1, 1)), np.ones(1)
    seen = []
    for speed in SPEEDS:
        theta, exact = layered(speed)
        found = answer_or_none(net.trajectory, theta, x, end, Gauss())
        seen.append(found is not None)
        if found is not None:
            np.testing.assert_allclose(found.h[0, 0, 1], exact, atol=1e-11 * speed)
    assert seen[0]
    assert not seen[-1]


@pytest.mark.parametrize("reverse", [False, True], ids=["at the start", "at the end"])
@pytest.mark.parametrize(("activation", "quantity"), [("erf", "predict"), ("softplus", "jacobian")])
def test_gauss_sees_a_layer_at_either_end(activation, quantity, reverse):
    """With W → −W and h_T for h_0 time runs backwards."""
    net, x = NeuralODE(activation), np.ones((1, 1))
    seen = []
    for speed in SPEEDS:
        theta, _ = layered(speed)
        if reverse:
            theta = Params(net.trajectory(theta, x, np.ones(1), TIGHT).h[0].T, -theta.W, theta.v)
        found = answer_or_none(getattr(net, quantity), theta, x, Gauss())
        seen.append(found is not None)
        if found is not None:
            exact = getattr(net, quantity)(theta, x, TIGHT)
            parts = [(found, exact)] if quantity == "predict" else [(found.U, exact.U), (found.W, exact.W)]
            for mine, other in parts:
                assert formulas.relative(mine, other) < 1e-9
    assert seen[0]
    assert not seen[-1]


def spiked(speed, centre, width):
    """h_1 and h_2 cross 0 one after the other, where 5 (erf(h_1) − erf(h_2)) drives h_3 for a moment; and f."""
    crossings = centre - width / 2, centre + width / 2
    W = np.zeros((4, 4))
    W[1:3, 0], W[3, 1], W[3, 2] = speed / math.erf(1), 5, -5
    U = np.asarray([[1.0], [-speed * crossings[0]], [-speed * crossings[1]], [0.2]])
    integrals = [(antiderivative(speed * (1 - t)) - antiderivative(-speed * t)) / speed for t in crossings]
    return Params(U, 2 * W, np.asarray([0, 0, 0, 2.0])), math.erf(0.2 + 5 * (integrals[0] - integrals[1]))


@examples(100)
@given(st.floats(1.0, 3.5), st.floats(0.05, 0.95), st.floats(0.005, 0.2), st.sampled_from([Gauss(), Gauss(steps=3)]))
def test_a_spike_that_two_neurons_make_is_not_passed_over(speed, centre, width, solver):
    theta, exact = spiked(10**speed, centre, width)
    found = answer_or_none(NeuralODE("erf").predict, theta, np.ones((1, 1)), solver)
    if found is not None:
        np.testing.assert_allclose(found, [exact], rtol=1e-10)


def test_a_slow_pair_of_crossings_is_resolved_and_one_at_the_middle_of_all_schemes_refused():
    """64 steps of 16 nodes have the closed form of the second to 2e-14, and the third has ends three times as sharp."""
    for speed, width, seen in ((10.0, 0.2, True), (300.0, 0.02, True), (1000.0, 0.02, False)):
        theta, exact = spiked(speed, 0.5, width)
        found = answer_or_none(NeuralODE("erf").predict, theta, np.ones((1, 1)), Gauss())
        assert (found is not None) is seen
        assert not seen or abs(found[0] - exact) < 1e-11


def spiked_and_growing(speed, centre, width, push, growth):
    """As `spiked`, where h_3 is small, is pushed by `push` times the spike, and grows by e^growth; h_3(1) by SciPy."""
    theta, _ = spiked(speed, centre, width)
    theta.W[3, 1], theta.W[3, 2], theta.W[3, 3] = 2 * push, -2 * push, growth * math.sqrt(math.pi)
    theta.U[3, 0] = 0.0
    early, late = centre - width / 2, centre + width / 2

    def rate(t, h):
        spike = math.erf(speed * (t - early)) - math.erf(speed * (t - late))
        return push * spike + growth * math.sqrt(math.pi) / 2 * erf(h)

    ends = [0.0, *(min(max(t + k * 3 / speed, 0), 1) for t in (early, late) for k in (-1, 1)), 1.0]
    h = [0.0]
    for start, end in pairwise(sorted(ends)):
        h = solve_ivp(rate, (start, end), h, "DOP853", rtol=1e-11, atol=1e-20).y[:, -1]
    return theta, float(h[0])


@examples(200)
@example(speed=2.514, centre=0.5061, width=0.0251, push=-5.943, growth=13.07)
@example(speed=3.331, centre=0.4432, width=0.0085, push=-4.604, growth=7.34)
@given(st.floats(1.5, 3.5), st.floats(0.02, 0.98), st.floats(0.002, 0.1), st.floats(-6.0, -2.0), st.floats(0.0, 14.0))
def test_what_a_spike_becomes_until_the_end_counts(speed, centre, width, push, growth):
    """The spike itself may move h by less than rtol |h|, and be a thousand times as much at the end."""
    theta, end = spiked_and_growing(10**speed, centre, width, 10**push, growth)
    found = answer_or_none(NeuralODE("erf").predict, theta, np.ones((1, 1)), Gauss(rtol=1e-6))
    if found is not None:  # rtol counts for the norm of φ(h_T), whose first entries are ±1
        np.testing.assert_allclose(found, [math.erf(end)], rtol=0, atol=1.5e-6)


def kink_of_a_silent_neuron(speed):
    """h_2 falls through 0 where softplus bends, drives nobody, and meets λ_3 > 0 in ∂f/∂W_32 = λ_3 ∫ φ(h_2) dt only."""
    W = np.zeros((3, 3))
    W[1, 0], W[2, 0] = -speed / np.log1p(np.e), 0.3
    U = np.asarray([[1.0], [0.53 * speed], [0.5]])
    return Params(U, W * 3**0.5, np.asarray([0.0, 1e-3, 1.0]) * 3**0.5)


def integral_of_softplus(speed):
    """∫_0^1 softplus(speed (0.53 − t)) dt = ∫ z₊ + ∫ log(1 + exp(−|z|)), whose antiderivative is a dilogarithm."""
    mp = pytest.importorskip("mpmath").mp
    low, high = -0.47 * speed, 0.53 * speed
    tails = -mp.polylog(2, -1) * 2 + mp.polylog(2, -mp.exp(-high)) + mp.polylog(2, -mp.exp(low))
    return float((high**2 / 2 + tails) / speed)


@pytest.mark.parametrize("speed", [1.0, 40.0, 800.0])
@pytest.mark.parametrize("solver", [Gauss(), Gauss(steps=3), SolveIVP(), SolveIVP("RK45")])
def test_a_layer_that_only_the_gradient_feels_is_felt(solver, speed):
    net, theta, x = NeuralODE("softplus"), kink_of_a_silent_neuron(speed), np.ones((1, 1))
    found = answer_or_none(net.jacobian, theta, x, solver)
    if found is None:
        assert isinstance(solver, Gauss)
        assert speed > 1
        return
    adjoint = net.trajectory(theta, x, np.zeros(1), TIGHT).adjoint[0, 0, 2]  # constant: nothing depends on h_3
    exact = adjoint * integral_of_softplus(speed) / 3**0.5
    np.testing.assert_allclose(found.W[0, 2, 1], exact, rtol=100 * solver.rtol)


def test_gauss_looks_at_the_activation_of_the_end_and_not_at_its_state_alone():
    """States of 1e6 that are known to 1e-6 of that have a sine that is not known at all."""
    net = NeuralODE("sin", sigma_u=1e6, sigma_w=10.0)
    theta, x = net.init(20, 2, seed=1), np.asarray([[0.6, 0.8]])
    found = answer_or_none(net.predict, theta, x, Gauss(rtol=1e-6))
    exact = net.predict(
        theta, x, SolveIVP(rtol=1e-13, atol=1e-14)
    )  # to 1e-7 of h, a hundred steps of 1e-13 · 1e6 at most
    assert found is None or abs(found[0] - exact[0]) < (1e-6 + 1e-5) * np.linalg.norm(theta.v)


# The parts, by hand


def linear_system(rates, start, horizon=1.5):
    """Neurons h_i' = rates_i h_i that do not see each other; one row of `start` a sample."""
    return System(np, activations.get("identity"), horizon, np.diag(rates), np.ones(len(rates)), np.asarray(start).T)


def test_a_displacement_counts_by_what_the_flow_makes_of_it_or_where_it_acts():
    """Of a linear neuron: |± m e^{a (T − t)}| for a step displaced by m at t, whatever the sign."""
    rates, start = np.array([0.8, -0.6, 0.3]), np.array([[2.0, 1.0, -1.0], [0.5, -3.0, 4.0]])
    system, scheme = linear_system(rates, start), gauss(12, 3, 1.5)
    terminal = np.exp(1.5 * rates)[:, None] * system.h0
    sizes = np.array([[0.03, 0.02], [0.05, 0.01], [0.04, 0.07]])
    for k in range(3):
        missed = [sizes * (j == k) for j in range(3)]
        grown = sizes * np.exp(rates * (1.5 - 0.5 * k))[:, None]
        # Two runs of the flow in float64, of which the difference is taken.
        allowed = 100 * np.finfo(float).eps * np.abs(terminal).max()
        found = _displacement(system, scheme, terminal, missed)
        np.testing.assert_allclose(found, np.maximum(sizes, grown), rtol=0, atol=allowed)


def test_a_displacement_of_rounding_is_not_followed():
    """Of rounding in the largest entry of each sample; a growth of e^30 would show it."""
    rates, start = np.array([20.0, 1.0]), np.array([[1.0, 1.0], [1e-6, 1e-6], [1.0, 1.0]])
    system, scheme = linear_system(rates, start), gauss(16, 4, 1.5)
    terminal = np.exp(1.5 * rates)[:, None] * system.h0
    rounding = math.sqrt(2) * np.finfo(float).eps * terminal.max(axis=0)
    for factors, followed in (((0.9, 0.9, 0.9), False), ((0.9, 1.1, 0.9), True), ((1.1, 0.9, 0.9), True)):
        missed = [np.broadcast_to(np.asarray(factors) * rounding, (2, 3)), *[np.zeros((2, 3))] * 3]
        assert bool((_displacement(system, scheme, terminal, missed) > missed[0]).any()) == followed


def test_between_the_nodes_each_neuron_is_seen_for_itself():
    """The largest over the gaps of width × |W| |jump of φ|; the identity jumps nowhere but by rounding."""
    rng, scheme = np.random.default_rng(0), gauss(4, 2, 1.5)
    W, start = rng.normal(size=(3, 3)), rng.normal(size=(3, 2))
    system = System(np, activations.get("erf"), 1.5, W, np.ones(3), start)
    phi = rng.normal(size=(4, 3, 2))
    h, jump, moved = _between_nodes(system, scheme, start, phi, W @ phi)
    widths = 0.75 * _gaps(4).widths
    by_hand = np.stack([[widths[g] * np.abs(W) @ np.abs(jump[g, :, i]) for i in range(2)] for g in range(5)])
    np.testing.assert_allclose(moved, by_hand.max(axis=0).T, rtol=1e-14)
    np.testing.assert_allclose(h[0], start, rtol=1e-13)
    np.testing.assert_allclose(h[-1], start + 0.75 * np.einsum("j,jni->ni", scheme.b, W @ phi), rtol=1e-13)
