"""What the defect between the nodes says of the error of a Gauss scheme."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import solve_ivp
from scipy.linalg import expm

from refimpl import AccuracyError, BlowUpError, Gauss, NeuralODE, Params, activations, data
from refimpl.finite import adjoint, defect, sweep
from refimpl.finite.adapt import Adapted
from refimpl.finite.system import System
from refimpl.scheme import gauss
from refimpl.solvers import end_distance, sweep_distance
from tests import formulas
from tests.effort import examples

SMOOTH = [name for name, phi in activations.BUILTIN.items() if phi.analytic and phi.degree is None]


def estimates(system, scheme):
    """Estimated errors forward and backward, and the solution."""
    forward = sweep.forward(system, scheme, 1e-14)
    seen = defect.of_forward(system, scheme, forward)
    backward = sweep.backward(system, scheme, forward, 1e-14)
    of_h = defect.error_forward(system, forward, seen)
    return of_h, defect.error_backward(system, scheme, forward, seen, backward), forward, backward


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize("nodes", [4, 6, 8])
@pytest.mark.parametrize("activation", SMOOTH)
def test_the_estimate_is_the_error_to_a_factor_of_a_few(activation, nodes, steps):
    net = NeuralODE(activation, horizon=1.5)
    theta, X = net.init(64, 3, seed=1), data.sphere(8, 3, seed=2)
    system, scheme = net._prepare(theta, X, Gauss())[2], gauss(nodes, steps, 1.5)
    of_h, of_gradient, forward, backward = estimates(system, scheme)
    exact = adjoint.solve(system, gauss(24, 4, 1.5)).sweep
    found = Adapted(scheme, forward, backward).sweep(system, 1e-14)
    noise = 1e-13
    error_h, error = end_distance(system, found.terminal, exact.terminal), sweep_distance(system, found, exact)
    assert error_h < 3 * of_h + noise
    assert error < 3 * max(of_h, of_gradient) + noise
    assert max(of_h, of_gradient) < 100 * error + noise  # what two nodes more gain: errors have no signs here


def identity_system(nodes, steps):
    """An input of 0, for which nothing moves, and an adjoint that does: λ̇ = −Wᵀ λ."""
    W = np.random.default_rng(3).standard_normal((6, 6)) / 6**0.5
    return System(np, activations.get("identity"), 1.5, W, np.ones(6), np.zeros((6, 1))), gauss(nodes, steps, 1.5)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("nodes", [2, 3, 4, 5])
def test_a_linear_adjoint_alone_has_the_error_that_its_defect_says(nodes, steps):
    """Its product with Wᵀ has degree m between the nodes, and its defect is a multiple of P_m alone."""
    system, scheme = identity_system(nodes, steps)
    _, estimate, _, backward = estimates(system, scheme)
    exact = expm(1.5 * system.W.T) @ np.ones((6, 1))
    error = np.linalg.norm(backward.boundary[0] - exact.T) / np.linalg.norm(exact)
    assert error < estimate < 30 * error


@pytest.mark.parametrize(
    ("activation", "scale"), [("identity", 1.0), ("tanh", 1e-4), ("sin", 1e-5), ("softplus", 1e-3)]
)
@pytest.mark.parametrize(("nodes", "rtol"), [(1, 1e-3), (2, 1e-4), (3, 1e-9), (4, 1e-11)])
def test_few_nodes_take_the_steps_that_they_need_where_the_equation_is_linear_or_nearly_so(
    activation, scale, nodes, rtol
):
    net = NeuralODE(activation, horizon=1.5)
    theta, X = net.init(24, 3, seed=0), scale * data.sphere(4, 3, seed=1)
    system = net._prepare(theta, X, Gauss())[2]
    found = answered(Gauss(nodes=nodes, rtol=rtol).sweep, system)
    if found is not None:
        assert sweep_distance(system, found, adjoint.solve(system, gauss(24, 4, 1.5)).sweep) < rtol
    assert found is not None or nodes == 1


def answered(method, *arguments):
    try:
        return method(*arguments)
    except (AccuracyError, BlowUpError):
        return None


@examples(60)
@given(
    formulas.cases(SMOOTH, n=(1, 30), N=(1, 3)), st.floats(0.2, 6.0), st.floats(-12.0, -2.0), st.floats(-1.5, 1.5),
    st.sampled_from([None, 3]),
)  # fmt: skip
def test_what_gauss_answers_is_as_accurate_as_was_asked(case, horizon, digits, spread, steps):
    """Against a scheme of 768 nodes."""
    net, rtol = NeuralODE(case.net.activation, horizon), 10**digits
    scales = 10 ** (spread * np.linspace(-1, 1, case.theta.width))[:, None]
    theta = Params(scales * case.theta.U, case.theta.W, case.theta.v)
    system = net._prepare(theta, case.X, Gauss())[2]
    found = answered(Gauss(steps=steps, rtol=rtol).sweep, system)
    if found is not None:
        exact = adjoint.solve(system, gauss(24, 32, horizon)).sweep
        assert sweep_distance(system, found, exact) <= rtol + 1e-12


def test_a_displacement_is_followed_to_the_end():
    """Neurons h_i' = a_i h_i: one that is displaced by m in the first of three steps ends up m e^{a (T − t)} away."""
    rates = np.array([0.8, -0.6, 2.5])
    start = np.array([[2.0, 1.0, -1.0], [0.5, -3.0, 4.0]]).T
    system = System(np, activations.get("identity"), 1.5, np.diag(rates), np.ones(3), start)
    scheme, sizes = gauss(6, 3, 1.5), np.array([[0.03, -0.05, 0.04], [0.02, 0.01, -0.07]])
    slopes = np.ones((18, 2, 3))
    for k in range(3):
        found = defect._followed(system, scheme, slopes, [sizes * (j == k) for j in range(3)], backward=False)[-1]
        grown = np.abs(sizes) * np.exp(rates * (1.5 - 0.5 * k))
        np.testing.assert_allclose(found, np.maximum(np.abs(sizes), grown), rtol=0.15)  # to its size
        found = defect._followed(system, scheme, slopes, [sizes * (j == k) for j in range(3)], backward=True)[0]
        grown = np.abs(sizes) * np.exp(rates * 0.5 * (k + 1))
        np.testing.assert_allclose(found, np.maximum(np.abs(sizes), grown), rtol=0.15)  # to its size


def test_a_tiny_displacement_is_followed_like_any_other():
    """1e-60, which single precision has not."""
    W = np.array([[1.0, -2.0], [0.5, 1.5]])
    system = System(np, activations.get("identity"), 1.0, W, np.ones(2), np.ones((2, 1)))
    scheme, slopes, sizes = gauss(6, 2, 1.0), np.ones((12, 1, 2)), np.array([[0.3, -0.7]])
    for backward in (False, True):
        large, tiny = (
            defect._followed(system, scheme, slopes, [scale * sizes] * 2, backward=backward) for scale in (1, 1e-60)
        )
        np.testing.assert_allclose(tiny, 1e-60 * large, rtol=1e-5)


@pytest.mark.parametrize("scale", [1.0, 1e-200])
def test_what_phi_and_lambda_are_off_is_a_share_of_the_gradient(scale):
    """One neuron that stays where it is: ∂f/∂W = T λ φ, and shares of φ and λ are those of it."""
    v, h = np.array([3.0 * scale]), np.array([[2.0, -0.5]])
    system, scheme = System(np, activations.get("identity"), 2.0, np.zeros((1, 1)), v, h), gauss(5, 2, 2.0)
    forward = sweep.forward(system, scheme, 1e-14)
    backward = sweep.backward(system, scheme, forward, 1e-14)
    none = np.zeros((2, 2, 1))
    off_phi, off_lam = none + 0.1 * np.abs(h.T), none + 0.03 * np.abs(v)
    for of_phi, of_lam, share in ((off_phi, none, 0.1), (none, off_lam, 0.03), (off_phi, off_lam, 0.13)):
        found = defect._share_of_gradient(system, scheme, forward, backward, of_phi, of_lam)
        assert found == pytest.approx(share, rel=1e-12)


def test_errors_of_many_steps_add_up():
    """The same in each of 32 steps: all of them together, not the largest."""
    system = System(
        np, activations.get("identity"), 1.0, np.zeros((1, 1)) + 1e-9, np.ones(1), np.ones((1, 1)),
    )  # fmt: skip
    steps = [np.full((1, 1), 1e-6)] * 32
    found = defect._followed(system, gauss(5, 32, 1.0), np.ones((160, 1, 1)), steps, backward=False)[:, 0, 0]
    np.testing.assert_allclose(found[:-1], 1e-6 * np.arange(1, 32), rtol=1e-3)
    assert found[-1] == pytest.approx(32e-6, rel=1e-3)


def test_an_error_that_the_sweeps_leave_is_seen():
    """Of a scheme with many nodes there is no other."""
    net = NeuralODE("sin", horizon=2.0)
    theta, X = net.init(64, 3, seed=1), data.sphere(8, 3, seed=2)
    system, scheme = net._prepare(theta, X, Gauss())[2], gauss(24, 1, 2.0)
    exact = adjoint.solve(system, scheme).sweep
    for rtol in (1e-2, 1e-4, 1e-6):
        forward = sweep.forward(system, scheme, rtol)
        error = end_distance(system, forward.boundary[-1].T, exact.terminal)
        estimate = defect.error_forward(system, forward, defect.of_forward(system, scheme, forward))
        assert error < 3 * estimate < 100 * rtol


@pytest.mark.parametrize(("activation", "start", "W"), [("sin", 1.4, 0.1), ("softplus", -1.0, 5.0)], ids=["end", "way"])
def test_an_error_of_h_is_seen_in_the_adjoint(activation, start, W):
    """φ' bends where h_T is, or where h has only passed; λ_0 = v φ'(h_T) exp ∫ W φ'(h).

    Beside a large neuron that plays no part, so that h itself is relatively good.
    """
    phi, moved = activations.get(activation), 1e-3
    system = System(np, phi, 1.0, np.diag([W, 0.0]), np.array([1.0, 0.0]), np.array([[start], [1e3]]))

    def initial_adjoint(shift):
        end = solve_ivp(
            lambda _, y: W * np.stack([phi.phi(y[:1]), phi.dphi(y[:1] + shift)])[:, 0],
            (0, 1), [start, 0.0], rtol=1e-10, atol=1e-12,
        ).y[:, -1]  # fmt: skip
        return phi.dphi(end[:1] + shift)[0] * np.exp(end[1])

    for steps in (3, 4):
        scheme = gauss(16, steps, 1.0)
        forward = sweep.forward(system, scheme, 1e-14)
        backward = sweep.backward(system, scheme, forward, 1e-14)
        seen = defect.of_forward(system, scheme, forward)
        off = defect.ForwardDefect(seen.missed, np.full_like(seen.moved, moved))
        error = abs(initial_adjoint(moved) / initial_adjoint(0.0) - 1)
        assert defect.error_backward(system, scheme, forward, seen, backward) < 1e-12
        assert 0.5 * error < defect.error_backward(system, scheme, forward, off, backward) < 6 * error


def test_an_error_of_the_adjoint_on_the_way_counts_though_it_has_faded_at_the_start():
    """λ_1 grows on the way to t = 0 and λ_2 falls: an error of λ_2 is large where λ_1 is still small."""
    system = System(
        np, activations.get("identity"), 1.0, np.diag([6.0, -6.0]), np.ones(2), np.zeros((2, 1))
    )  # fmt: skip
    scheme = gauss(16, 4, 1.0)
    forward = sweep.forward(system, scheme, 1e-14)
    backward = sweep.backward(system, scheme, forward, 1e-14)
    backward.left[3][0, 1] = 1e-3
    estimate = defect.error_backward(system, scheme, forward, defect.of_forward(system, scheme, forward), backward)
    at_its_step = 1e-3 / np.linalg.norm(backward.boundary[3])
    assert estimate == pytest.approx(at_its_step, rel=0.01)
    assert estimate > 50 * 1e-3 / np.linalg.norm(backward.boundary[0])
