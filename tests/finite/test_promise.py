"""What Gauss answers is as accurate as was asked, over networks and tolerances of all sizes."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl import AccuracyError, BlowUpError, Gauss, NeuralODE, Params, activations
from refimpl.finite import adjoint
from refimpl.finite.system import System
from refimpl.scheme import gauss
from refimpl.solvers import sweep_distance
from tests import formulas

ANALYTIC = [name for name, phi in activations.BUILTIN.items() if phi.analytic and phi.degree in (None, 1)]


def decades(rng, low, high):
    """A number between 10^low and 10^high, with a uniform logarithm."""
    return float(10 ** rng.uniform(low, high))


def network(rng):
    """A problem with variances, horizon and rows of U and W that may be decades apart."""
    n, N, d = (int(rng.integers(1, most)) for most in (40, 5, 5))
    net = NeuralODE(str(rng.choice(ANALYTIC)), decades(rng, -1, 1), *(decades(rng, -1, high) for high in (1.2, 0.7, 1)))
    theta = net.init(n, d, seed=int(rng.integers(1 << 30)))
    of_U, of_W = (
        10 ** rng.uniform(low, high, (n, 1)) if rng.random() < 0.3 else 1.0 for low, high in ((-2, 2), (-2, 1))
    )
    return net, Params(of_U * theta.U, of_W * theta.W, theta.v), rng.standard_normal((N, d))


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_every_answer_is_as_accurate_as_was_asked(seed):
    rng, answers = np.random.default_rng(seed), 0
    for _ in range(150):
        net, theta, X = network(rng)
        steps = None if rng.random() < 0.8 else int(rng.integers(1, 8))
        rtol = decades(rng, -13, -2)
        system = net._prepare(theta, X, Gauss())[2]
        try:
            found = Gauss(steps=steps, rtol=rtol).sweep(system)
        except (AccuracyError, BlowUpError):
            continue
        exact, finer = (adjoint.solve(system, gauss(24, count, net.horizon)).sweep for count in (64, 96))
        noise = sweep_distance(system, exact, finer)
        assert sweep_distance(system, found, exact) <= rtol + 2 * noise, (net, theta.n, rtol, steps)
        answers += 1
    assert answers > 100


def off(activation, W, v, h0, rtol, horizon=1.0):
    """Largest relative error of h_T, φ(h_T), λ_0 and ∂f/∂W, in units of rtol."""
    W, v, h0 = (np.asarray(values, dtype=float) for values in (W, v, h0))
    system = System(np, activations.get(activation), horizon, W, v, h0[:, None])
    found, exact = Gauss(rtol=rtol).sweep(system), adjoint.solve(system, gauss(24, 64, horizon)).sweep
    gradients = [np.einsum("jin,jkn->ik", sweep.weighted_adjoint, sweep.phi) for sweep in (found, exact)]
    return max(sweep_distance(system, found, exact), formulas.relative(*gradients)) / rtol


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9])
@pytest.mark.parametrize("w", [33.2, 100.0, 200.0])
def test_a_gradient_that_is_small_because_its_parts_cancel_is_as_accurate(w, rtol):
    """∂f/∂W is small here against |λ| |φ|, so that h_T and λ_0 are much more accurate than it."""
    assert off("silu", [[0, 0], [w, 0]], [w / 3, -1], [1, 0], rtol) < 1


def test_a_chain_whose_end_converges_before_its_stages():
    """λ_0 has superconverged, by a factor of 100 in a sweep, where the stages have not."""
    W = np.diag([3.80, 1.28, 1.63], -1)
    assert off("cos", W, [0, 0, 0, 1.018], [0.854, -17.93, -0.446, 0.610], 4.7e-7) < 0.5


@pytest.mark.parametrize("rtol", [1e-3, 1e-6, 1e-9, 1e-12])
def test_what_is_too_small_for_single_precision_is_as_accurate(rtol):
    """One neuron with tanh: sinh h_t = e^{wt} sinh h_0, and λ_0 = φ'(h_T) φ(h_T) / φ(h_0) is 6e-52."""
    w, T, h0 = 5.0, 12.0, 0.5
    net, theta = NeuralODE("tanh", horizon=T), Params(np.array([[h0]]), np.array([[w]]), np.ones(1))
    sinh = np.exp(w * T) * np.sinh(h0)
    exact = 1 / (1 + sinh**2) / np.tanh(h0) / (1 + sinh**-2) ** 0.5
    assert net.jacobian(theta, np.ones((1, 1)), Gauss(rtol=rtol)).U[0, 0, 0] == pytest.approx(exact, rel=rtol)
    for activation in ("softplus", "sigmoid"):
        assert off(activation, [[0, 0], [20, 0]], [0, 1], [0.2, -120], rtol) < 1


@pytest.mark.parametrize("activation", ["identity", "tanh", "sin", "gelu"])
@pytest.mark.parametrize("tiny", [1e-40, 1e-46, 1e-100])
def test_a_tiny_input_is_solved_as_well_as_its_neighbours(activation, tiny):
    net = NeuralODE(activation)
    theta = net.init(16, 2, seed=0)
    X = np.array([[1, 0], [0, tiny]])
    for rtol in (1e-3, 1e-9):
        system = net._prepare(theta, X, Gauss())[2]
        exact = adjoint.solve(system, gauss(24, 4, 1.0)).sweep
        assert sweep_distance(system, Gauss(rtol=rtol).sweep(system), exact) < rtol
