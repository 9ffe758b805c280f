"""h_t solves (1) and λ_t is ∂f/∂h_t: perturb the state at time t and integrate on, with an integrator of our own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import Euler, Gauss, Params, SolveIVP
from tests import formulas

few = settings(max_examples=15)
TIGHT = SolveIVP(rtol=1e-12, atol=1e-14)


def adjoint_by_perturbation(case, h, t):
    """∂f/∂h_t at one time, shape (N, n), by complex steps in every neuron of h_t, shape (N, n)."""
    n = h.shape[-1]
    moved = h[:, None, :] + 1j * formulas.STEP * np.eye(n)
    terminal = formulas.flow(case, moved, t, case.net.horizon)
    return (case.phi(terminal) @ case.scaled[2]).imag / formulas.STEP


@pytest.mark.parametrize("solver", [Gauss(), TIGHT], ids=["Gauss", "SolveIVP"])
@few
@given(case=formulas.cases(n=(1, 5)), part=st.floats(0, 1))
def test_adjoint_at_time_t_is_the_derivative_of_the_output_in_the_state_at_time_t(solver, case, part):
    t = part * case.net.horizon
    trajectory = case.net.trajectory(case.theta, case.X, np.asarray([t]), solver)
    h = formulas.flow(case, case.X @ case.scaled[0].T, 0.0, t)
    # Both sides are integrated to rtol 1e-12 a step, in some tens of steps that the flow amplifies.
    tolerance = 1e-12 / formulas.EPS * case.rounding
    assert tolerance < 1e-6
    assert formulas.relative(trajectory.h[0], h) < tolerance
    assert formulas.relative(trajectory.adjoint[0], adjoint_by_perturbation(case, h, t)) < tolerance


@pytest.mark.parametrize("solver", [Gauss(), Gauss(3, 4), TIGHT, Euler(4)], ids=str)
@few
@given(case=formulas.cases())
def test_trajectory_begins_at_the_embedding_and_ends_at_the_output(solver, case):
    net, theta = case.net, case.theta
    U, _, v = case.scaled
    trajectory = net.trajectory(theta, case.X, np.asarray([0.0, net.horizon]), solver)
    tolerance = 1e-10 if solver is TIGHT else 1e-12
    assert trajectory.h.shape == trajectory.adjoint.shape == (2, *case.X.shape[:1], theta.width)
    np.testing.assert_allclose(
        trajectory.h[0], case.X @ U.T, rtol=0, atol=8 * formulas.EPS * np.abs(case.X @ U.T).max()
    )
    assert formulas.relative(case.phi(trajectory.h[1]) @ v, net.predict(theta, case.X, solver)) < max(
        tolerance, case.rounding
    )
    jacobian = net.jacobian(theta, case.X, solver)
    from_adjoint = net.sigma_u * trajectory.adjoint[0][:, :, None] * case.X[:, None, :]
    assert formulas.relative(from_adjoint, jacobian.U) < tolerance
    slope = case.phi(trajectory.h[1] + 1j * formulas.STEP).imag / formulas.STEP
    assert formulas.relative(trajectory.adjoint[1], slope * v) < max(tolerance, case.rounding)


@few
@given(formulas.cases(), st.integers(1, 6), st.integers(0, 2**32))
def test_euler_trajectory_at_layer_times_is_the_resnet_and_its_backpropagated_signal(case, depth, seed):
    U, W, v = case.scaled
    step = case.net.horizon / depth
    times = np.random.default_rng(seed).permutation(np.linspace(0.0, case.net.horizon, depth + 1))
    trajectory = case.net.trajectory(case.theta, case.X, times, Euler(depth))
    np.testing.assert_array_equal(trajectory.t, times)
    h = [case.X @ U.T]
    for _ in range(depth):
        h.append(h[-1] + step * case.phi(h[-1]) @ W.T)

    def output(state, layer):
        for _ in range(layer, depth):
            state = state + step * case.phi(state) @ W.T
        return case.phi(state) @ v

    for row, t in enumerate(times):
        layer = round(t / step)
        assert formulas.relative(trajectory.h[row], h[layer]) < case.rounding
        moved = h[layer][:, None, :] + 1j * formulas.STEP * np.eye(len(v))
        expected = output(moved, layer).imag / formulas.STEP
        assert formulas.relative(trajectory.adjoint[row], expected) < case.rounding


@pytest.mark.parametrize("t", [0.1, 0.2500001, 0.999999])
def test_euler_has_no_states_between_its_layers(t):
    case = formulas.make()
    with pytest.raises(ValueError, match=r"layer times .* 0\.25"):
        case.net.trajectory(case.theta, case.X, np.asarray([0.0, t]), Euler(4))


@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("horizon", [0.25, 4.0])
def test_a_layer_time_is_met_to_a_billionth_of_the_horizon(horizon, sign):
    case = formulas.make()
    net, layer = replace(case.net, horizon=horizon), horizon / 4
    exact = net.trajectory(case.theta, case.X, np.asarray([layer]), Euler(4))
    near = net.trajectory(case.theta, case.X, np.asarray([layer + sign * 0.9e-9 * horizon]), Euler(4))
    np.testing.assert_array_equal(near.h, exact.h)
    np.testing.assert_array_equal(near.adjoint, exact.adjoint)
    with pytest.raises(ValueError, match="layer times"):
        net.trajectory(case.theta, case.X, np.asarray([layer + sign * 1.1e-9 * horizon]), Euler(4))


@few
@given(formulas.cases(), st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_collocation_trajectory_agrees_with_the_adaptive_one_at_any_times_in_any_order(case, parts):
    times = np.asarray(parts) * case.net.horizon
    one, other = (case.net.trajectory(case.theta, case.X, times, solver) for solver in (Gauss(), TIGHT))
    tolerance = 1e-12 / formulas.EPS * case.rounding
    assert formulas.relative(one.h, other.h) < tolerance
    assert formulas.relative(one.adjoint, other.adjoint) < tolerance


@pytest.mark.parametrize("steps", [1, 3, 7])
def test_collocation_trajectory_is_continuous_across_the_ends_of_its_steps(steps):
    case = formulas.make("sin", horizon=0.7)
    inner = np.arange(1, steps + 1) * 0.7 / steps
    times = np.clip(np.stack([inner * (1 - 1e-13), inner, inner * (1 + 1e-13)]), 0.0, 0.7).ravel()
    trajectory = case.net.trajectory(case.theta, case.X, times, Gauss(4, steps))
    for states in (trajectory.h, trajectory.adjoint):
        before, at, after = states.reshape(3, steps, *states.shape[1:])
        assert formulas.relative(before, at) < 1e-12
        assert formulas.relative(after, at) < 1e-12


@pytest.mark.parametrize("solver", [Gauss(), Gauss(3, 2), SolveIVP(), Euler(3)], ids=str)
def test_no_times_give_no_states(solver):
    case = formulas.make()
    trajectory = case.net.trajectory(case.theta, case.X, np.zeros(0), solver)
    assert trajectory.h.shape == trajectory.adjoint.shape == (0, *case.X.shape[:1], case.theta.width)


@pytest.mark.parametrize("solver", [Gauss(), Gauss(3, 2), SolveIVP(), Euler(3)], ids=str)
def test_no_inputs_give_no_states_at_any_time_that_the_solver_takes(solver):
    case = formulas.make()
    times = np.asarray([0.0, 1 / 3, 1.0])
    trajectory = case.net.trajectory(case.theta, case.X[:0], times, solver)
    assert trajectory.h.shape == trajectory.adjoint.shape == (3, 0, case.theta.width)


@pytest.mark.parametrize("solver", [Gauss(), Gauss(3, 2), Euler(3)], ids=str)
def test_states_are_on_the_device_of_the_inputs(solver):
    strict = pytest.importorskip("array_api_strict")
    device, case = strict.Device("device1"), formulas.make()
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, np.asarray([1.0, 0.0]))
    U, W, v, X, times = (strict.asarray(array, device=device) for array in arrays)
    trajectory = case.net.trajectory(Params(U, W, v), X, times, solver)
    assert trajectory.h.device == trajectory.adjoint.device == device
