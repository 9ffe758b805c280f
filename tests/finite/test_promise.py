"""What Gauss answers is as accurate as was asked, over networks and tolerances of all sizes."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl import AccuracyError, BlowUpError, Gauss, NeuralODE, Params, activations
from refimpl.finite import adjoint
from refimpl.scheme import gauss
from refimpl.solvers import sweep_distance

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
