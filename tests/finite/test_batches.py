"""K_θ for some inputs at a time is K_θ, in less memory."""

from __future__ import annotations

import gc
import tracemalloc

import numpy as np
import pytest

from refimpl import Gauss, NeuralODE, data
from refimpl.finite import adapt


@pytest.mark.parametrize("activation", ["softplus", "sin"])
def test_the_kernel_does_not_depend_on_the_batches(monkeypatch, activation):
    """The inputs are of many norms, so that batches need nodes, terms and steps of their own."""
    net = NeuralODE(activation, horizon=1.5)
    theta, X = net.init(48, 3, seed=0), np.geomspace(0.01, 8.0, 11)[:, None] * data.sphere(11, 3, seed=1)
    exact, X2 = net.jacobian(theta, X, Gauss(24, 8)), X[3:7]
    kernel = exact.apply(exact.transpose_apply(np.eye(11)[0]))
    monkeypatch.setattr(adapt, "LEAST_MEMORY", 0)
    monkeypatch.setattr(adapt, "LEAST_BATCH", 2)
    assert adapt._batch(48, 11, 10) == 2
    for rtol in (1e-5, 1e-11):
        found = net.ntk(theta, X, solver=Gauss(rtol=rtol))
        size = np.sqrt(np.outer(np.diag(found), np.diag(found)))
        assert np.abs(found[0] - kernel).max() <= 2 * rtol * size[0].max()
        assert np.array_equal(found, found.T)
        assert np.abs(net.ntk(theta, X, X2, Gauss(rtol=rtol)) - found[:, 3:7]).max() <= 4 * rtol * size.max()


def test_small_problems_and_wide_networks_are_solved_for_at_once():
    assert adapt._batch(100, 50, 10) == 50
    assert adapt._batch(2048, 128, 10) == 128
    assert [adapt._batch(512, 64, nodes) for nodes in (5, 7, 10)] == [32, 22, 16]
    assert adapt._batch(128, 1000, 10) == 77


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
def test_the_kernel_takes_a_tenth_of_the_memory_of_the_jacobian(rtol):
    net = NeuralODE("softplus")
    theta, X = net.init(512, 10, seed=0), data.sphere(64, 10, seed=1)
    net.ntk(theta, X[:1], solver=Gauss(rtol=rtol))
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        net.ntk(theta, X, solver=Gauss(rtol=rtol))
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert peak <= 0.1 * 8 * 64 * 512**2
