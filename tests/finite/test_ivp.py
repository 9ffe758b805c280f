"""`SolveIVP`: tolerances sample by sample, and what happens when its steps vanish."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl import AccuracyError, Activation, BlowUpError, Gauss, NeuralODE, Params, SolveIVP
from refimpl.activations import quadratic


def test_the_absolute_tolerance_holds_for_every_sample():
    """One moving sample among fifteen that rest: scipy's mean over the batch would allow it 4 times the error."""
    net = NeuralODE("tanh", horizon=4.0)
    theta = net.init(16, 2, seed=3)
    X = np.zeros((16, 2))
    X[0] = [0.6, -0.3]
    truth, loose = net.predict(theta, X, Gauss()), SolveIVP("RK45", rtol=1e-12, atol=1e-5)
    alone = abs(net.predict(theta, X[:1], loose) - truth[:1])[0]
    assert abs(net.predict(theta, X, loose) - truth)[0] < 2 * alone


def late_blow_up(activation, time):
    """One neuron, ḣ = h²/2 from h_0 = 2/time at x = 1, which escapes at that time."""
    return NeuralODE(activation, horizon=2 * time), Params(np.full((1, 1), 2 / time), np.ones((1, 1)), np.ones(1))


@pytest.mark.parametrize("method", ["DOP853", "RK45"])
def test_a_blow_up_so_late_that_the_steps_vanish_first_is_told_with_its_time(method):
    net, theta = late_blow_up("quadratic", 1e6)
    with pytest.raises(BlowUpError, match=r"escapes to infinity near t = 100000[0-9.]+, before T = 2e\+06") as caught:
        net.predict(theta, np.ones((1, 1)), SolveIVP(method))
    assert caught.value.time == pytest.approx(1e6, rel=1e-6)


def test_steps_that_vanish_though_nothing_should_escape_are_told():
    claimed = Activation(phi=quadratic.phi, dphi=quadratic.dphi, name="not what it says", lipschitz=1.0)
    net, theta = late_blow_up(claimed, 1.0)
    with pytest.raises(AccuracyError, match=r"DOP853 stopped at t = 1: .*step size"):
        net.predict(theta, np.ones((1, 1)), SolveIVP())
