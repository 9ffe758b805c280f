"""How many nodes and steps are tried for a tolerance."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl import AccuracyError, Gauss, NeuralODE, data
from refimpl.finite import adapt, defect, sweep

RTOL = 1e-8
ENOUGH, NEARLY = RTOL / 8, RTOL / 2  # of the estimate a quarter of the tolerance is asked for


def system():
    net = NeuralODE("softplus")
    return net._prepare(net.init(8, 3, seed=1), data.sphere(4, 3, seed=2), Gauss())[2]


@pytest.fixture
def tried(monkeypatch):
    """A function that sets the errors of h and of λ that are found in turn, and the schemes that were solved for h."""
    schemes, solve = [], sweep.forward

    def forward(system, scheme, *args, **kwargs):
        schemes.append((scheme.b.size, scheme.steps))
        return solve(system, scheme, *args, **kwargs)

    def said(of_h, of_gradient=()):
        of_h, of_gradient = iter(of_h), iter(of_gradient)
        monkeypatch.setattr(defect, "error_forward", lambda *_: next(of_h))
        monkeypatch.setattr(defect, "error_backward", lambda *_: next(of_gradient))
        return schemes

    monkeypatch.setattr(sweep, "forward", forward)
    return said


def test_an_error_of_lambda_is_not_taken_for_one_of_h_that_does_not_fall(tried):
    schemes = tried([NEARLY, ENOUGH, ENOUGH], [NEARLY, ENOUGH])
    found = adapt._with_steps(system(), None, 1, RTOL, adjoint=True, alone=False)
    assert isinstance(found, adapt.Adapted)
    assert len(schemes) == 3


@pytest.mark.parametrize(("of_h", "of_gradient"), [([NEARLY, NEARLY], []), ([ENOUGH, ENOUGH], [NEARLY, NEARLY])])
def test_errors_of_one_kind_that_do_not_fall_are_the_end(of_h, of_gradient, tried):
    tried(of_h, of_gradient)
    assert adapt._with_steps(system(), None, 1, RTOL, adjoint=True, alone=False) == NEARLY


def test_what_was_reached_is_the_error_of_the_gradient_and_not_that_of_h(tried):
    tried([NEARLY, *[ENOUGH] * 9], [1e-3] * 9)
    with pytest.raises(AccuracyError) as caught:
        adapt.adapt(system(), None, 1, RTOL, adjoint=True)
    assert caught.value.reached == 1e-3 / adapt.SHARE


def test_no_more_nodes_are_added_than_an_observed_order_needs():
    assert adapt._more_nodes({8: 1e-4}, 1e-8) == 8  # r^16 = 1e-4
    assert adapt._more_nodes({8: 1e-4, 10: 1e-6}, 1e-9 / 0.99) == 3  # a digit a node
    assert adapt._more_nodes({8: 1e-4, 10: 5e-5}, 1e-8) > 20


@pytest.mark.parametrize(("steps", "patient"), [(1, False), (adapt.STEPS[-1], True)])
def test_an_order_that_does_not_lead_to_the_tolerance_is_left_for_more_steps(steps, patient, tried):
    schemes = tried([1e-3 * 0.4**k for k in range(20)])
    assert adapt._with_steps(system(), None, steps, RTOL, adjoint=False, alone=False) > RTOL
    assert (schemes[-1][0] == adapt.MOST) == patient
    assert patient or len(schemes) == 2


def test_a_long_horizon_takes_no_more_steps_than_it_must():
    """Two steps of 17 nodes do."""
    net = NeuralODE("softplus", horizon=4.0)
    theta, X = net.init(128, 10, seed=0), data.sphere(8, 10, seed=1)
    problem = net._prepare(theta, X, Gauss())[2]
    found = adapt.adapt(problem, None, None, RTOL, adjoint=True)
    assert found.scheme.steps * found.scheme.b.size <= 36
    exact = net.gradient(theta, X, np.ones(8), solver=Gauss(24, 8))
    error = net.gradient(theta, X, np.ones(8), solver=Gauss(rtol=RTOL)) - exact
    assert error.norm() < RTOL * exact.norm()
