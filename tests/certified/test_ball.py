"""Proofs: enclosures hold the truth, and are as narrow as float64 can tell."""

from __future__ import annotations

import importlib

import mpmath
import numpy as np
import pytest

from refimpl import AccuracyError, Activation, BlowUpError, NeuralODE, Params, reference
from tests.certified.campaign import ANALYTIC, FINITE
from tests.certified.test_values import X, check, network

flint = pytest.importorskip("flint")
ball = importlib.import_module("refimpl.certified.ball")  # which needs flint

EPS = np.finfo(float).eps


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_proved_error_covers_the_truth_and_is_half_a_unit_in_the_last_place(name):
    net, theta = network(name, horizon=0.4, width=2)
    relative = check(net, theta, X, X2=X[:1] / 2, prove=True)
    assert max(relative) <= EPS / 2 * (1 + 1e-9)


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_the_sides_of_a_kink_are_proved_where_no_neuron_crosses_it(name):
    net, theta = network(name, horizon=0.4, width=2)
    above = Params(np.abs(theta.U), np.abs(theta.W), theta.v)
    below = Params(-np.abs(theta.U), np.abs(theta.W), theta.v)  # φ ≤ 0 there, so that h falls
    for case in (above, below):
        assert max(check(net, case, np.abs(X[:1]), prove=True)) <= EPS / 2 * (1 + 1e-9)
    assert max(check(net, theta, np.zeros((1, 2)), ["output", "jacobian"], prove=True)) <= EPS


def solved(name, weight, start, horizon):
    """h_T and the enclosure of φ(h_T), λ_0 and ∂f/∂W for a single neuron."""
    problem = ball.Problem(
        name, flint.arb_mat(1, 1, [flint.arb(weight)]), [flint.arb(1)], [flint.arb(start)], flint.arb(horizon)
    )
    return ball.solve(problem)


def inside(enclosure, truth):
    """Whether an enclosure holds a number given to sixty digits."""
    return enclosure.overlaps(flint.arb(mpmath.nstr(truth, 60)) + flint.arb(0, 1e-50))


def radii_around_the_truth(growth):
    """Radii of φ(h_T), λ_0 and ∂f/∂w of a neuron with sinh h_T = e^(wT) sinh h_0; all three hold the truth."""
    answer = solved("tanh", growth, 0.75, 1.0)
    with mpmath.workdps(70):
        rise = mpmath.sinh(0.75) * mpmath.exp(growth)
        end = mpmath.asinh(rise)
        slope = 1 / mpmath.cosh(end) ** 3
        truth = mpmath.tanh(end), mpmath.cosh(0.75) * mpmath.exp(growth) * slope, rise * slope
        enclosures = answer.phi[0], answer.adjoint[0], answer.weights[0, 0]
        assert all(inside(enclosure, number) for enclosure, number in zip(enclosures, truth, strict=True))
    return [float(enclosure.rad()) for enclosure in enclosures]


@pytest.mark.parametrize("growth", [-3.0, 0.5, 2.0])
def test_one_neuron_of_tanh(growth):
    with ball.precision():
        assert max(radii_around_the_truth(growth)) < 1e-22


@pytest.mark.parametrize("terms", [3, 6])
def test_the_remainder_covers_what_a_low_order_leaves_out(terms, monkeypatch):
    monkeypatch.setattr(ball, "TERMS", terms)
    monkeypatch.setattr(ball, "REMAINDER", 1e-7)
    with ball.precision(terms=terms):
        assert min(radii_around_the_truth(1.5)) > 1e-9


def test_the_remainder_covers_what_a_low_order_leaves_out_of_the_integral(monkeypatch):
    """h_2 = e^t drives h_1 with weight 0, and f = h_1: ∂f/∂W_12 = ∫ e^t dt, here over a single step."""
    monkeypatch.setattr(ball, "TERMS", 3)
    monkeypatch.setattr(ball, "REMAINDER", 1.0)
    with mpmath.workdps(70), ball.precision(terms=3):
        W = flint.arb_mat(2, 2, [flint.arb(z) for z in (0, 0, 0, 1)])
        ends = [flint.arb(1), flint.arb(0)]
        answer = ball.solve(ball.Problem("identity", W, ends, ends[::-1], flint.arb(0.0625)))
        assert inside(answer.weights[0, 1], mpmath.expm1(0.0625))


def test_the_box_of_a_step_holds_the_states_all_along_it():
    with mpmath.workdps(70), ball.precision():
        W = flint.arb_mat(2, 2, [flint.arb(z) for z in (0, -2, 2, 0)])  # a rotation
        start = [flint.arb(1), flint.arb(0)]
        step = ball._forward(ball.Problem("identity", W, start, start, flint.arb(1)), start, flint.arb(1))
        length = mpmath.mpf(float(step.length))
        for share in (0, 0.3, 0.5, 1):
            angle = 2 * share * length
            assert inside(step.box[0], mpmath.cos(angle))
            assert inside(step.box[1], mpmath.sin(angle))
        assert inside(step.end[0], mpmath.cos(2 * length))
        assert not inside(step.end[0], mpmath.cos(2 * length) + mpmath.mpf(10) ** -20)


def test_the_precision_of_the_library_is_put_back():
    before = flint.ctx.prec, flint.ctx.cap
    net, theta = network("tanh", horizon=0.1, width=1)
    reference(net, "output", X, theta=theta, prove=True)
    assert (flint.ctx.prec, flint.ctx.cap) == before


def test_a_solution_that_escapes_raises():
    theta = Params(np.ones((1, 1)), np.asarray([[4.0]]), np.ones(1))
    with pytest.raises(BlowUpError):
        reference(NeuralODE("quadratic"), "output", np.ones((1, 1)), theta=theta, prove=True)


def test_a_crossing_of_a_kink_has_no_proof():
    theta = Params(np.asarray([[1.0], [1.0]]), np.asarray([[0, -4.0], [0, 0]]), np.ones(2))
    with pytest.raises(AccuracyError, match="a neuron meets the kink of relu"):
        reference(NeuralODE("relu"), "output", np.ones((1, 1)), theta=theta, prove=True)


def test_an_activation_of_the_users_has_no_proof():
    net, theta = network(Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2, name="tanh"))
    with pytest.raises(ValueError, match="built-in activations only, got 'tanh'"):
        reference(net, "output", X, theta=theta, prove=True)


def test_no_inputs_are_proved_at_once():
    net, theta = network("tanh")
    assert all(
        reference(net, quantity, np.zeros((0, 2)), theta=theta, prove=True, **more).proved
        for quantity, more in ((q, {"y": np.zeros(0)} if q in ("loss", "gradient") else {}) for q in FINITE)
    )
