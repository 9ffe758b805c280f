"""The stage equations are solved to rounding in every neuron, the small ones included."""

from __future__ import annotations

import math

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import Gauss, NeuralODE, Params
from refimpl.finite.forward import relative_change, relative_size
from refimpl.oracle.finite import Problem, ode

EPS = 2.0**-52


def uncoupled(small, g, weights=(1.0, 1.0)):
    """h_1 = 1 stands still; h_2 starts at `small` and obeys ḣ = g tanh(h), hence sinh h = e^(g t) sinh h_0."""
    W = np.diag([0.0, g]) * math.sqrt(2.0)
    return Params(np.asarray([[1.0], [small]]), W, np.asarray(weights) * math.sqrt(2.0))


@given(st.floats(-200.0, -3.0), st.floats(0.0, 40.0))
def test_a_neuron_far_below_the_others_grows_as_it_should(exponent, growth):
    """It is below the rounding of the norm over neurons, and may end as the largest of them."""
    small, solver = 10.0**exponent, Gauss()
    end = NeuralODE("tanh").trajectory(uncoupled(small, growth), np.ones((1, 1)), np.ones(1), solver).h[0, 0]
    exact = math.asinh(math.sinh(small) * math.exp(growth))
    assert end[1] == pytest.approx(exact, rel=0, abs=solver.rtol * math.hypot(1.0, exact))


@given(st.floats(-200.0, -3.0), st.floats(0.0, 40.0))
def test_an_adjoint_far_below_the_others_grows_as_it_should(exponent, growth):
    """h_2 = 0 stays, so that λ_2(0) = v_2 e^growth."""
    small, solver = 10.0**exponent, Gauss()
    gradient = NeuralODE("tanh").jacobian(uncoupled(0.0, growth, (1.0, small)), np.ones((1, 1)), solver)
    exact = small * math.exp(growth)
    assert gradient.U[0, 1, 0] == pytest.approx(exact, rel=0, abs=solver.rtol * math.hypot(1.0, exact))


def test_the_same_in_single_precision():
    theta = uncoupled(1e-8, 12.0, (0.0, 1.0))
    theta = Params(*(block.astype(np.float32) for block in (theta.U, theta.W, theta.v)))
    f = NeuralODE("tanh").predict(theta, np.ones((1, 1), dtype=np.float32), Gauss(rtol=1e-5))[0]
    # Of φ(h_T) = (tanh 1, f) in the Euclidean norm.
    assert f == pytest.approx(math.tanh(math.asinh(math.sinh(1e-8) * math.exp(12.0))), rel=0, abs=1e-5 * math.tanh(1.0))


@pytest.mark.parametrize(("size", "seed"), [(1e3, 0), (1e5, 8), (1e7, 7)])
def test_the_rounding_of_a_large_state_is_no_change_of_what_it_drives(size, seed):
    """sin of a state of size 1e7 is known to 1e-9 only; it drives states of size 1, which cannot settle any better."""
    theta = NeuralODE("sin").init(width=8, dim=1, seed=seed)
    theta = Params(theta.U * np.asarray([size] * 4 + [1.0] * 4)[:, None], theta.W, theta.v)
    found = NeuralODE("sin").predict(theta, np.ones((1, 1)), Gauss(rtol=1e-5))
    ctx = mpmath.MPContext()
    ctx.dps = 40
    W, v = theta.W.astype(object) * ctx.one / ctx.sqrt(8), theta.v.astype(object) * ctx.one / ctx.sqrt(8)
    truth = ode(Problem(ctx, "sin", W.tolist(), v.tolist(), [ctx.mpf(u) for u in theta.U[:, 0]]), ctx.one)
    # |φ| ≤ √n is known to rtol, and off by the rounding of h in each of the eight neurons and in each of some sweeps.
    atol = 1e-5 * np.linalg.norm(theta.v) + 100 * np.finfo(float).eps * size
    np.testing.assert_allclose(found, [float(truth.output)], rtol=0, atol=atol)


@pytest.mark.parametrize("where", [(0, 1), (1, 2)])
def test_a_change_is_relative_to_its_own_sample(where):
    """Stages (2, n, N) of scales from 1e-200 to 1e200: 3-4-12 with a change of 1-2-2, and rest elsewhere."""
    scale = np.array([[1e200, 1e-200, 1.0], [1.0, 1e-9, 1e-200]])[:, None, :]
    reference = np.array([3.0, -4.0, 12.0])[:, None] * scale
    reference[0, :, 2] = 5.0, 0.0, 0.0
    change = np.zeros_like(reference)
    change[where[0], :, where[1]] = np.array([1.0, 2.0, -2.0]) * scale[where[0], 0, where[1]]
    assert relative_size(np, change, reference) == pytest.approx(3 / 13, rel=8 * EPS)
    new = reference + change
    assert relative_change(np, new, reference) == pytest.approx(2 / 10, rel=1e-6)


@pytest.mark.parametrize("shape", [(6, 8, 3), (7, 60, 100), (3, 200, 90)])
@pytest.mark.parametrize("node", [0, -1])
def test_a_change_is_seen_at_every_node(shape, node):
    """All nodes are looked at together, then two at a time, then one."""
    old = np.random.default_rng(0).uniform(1, 2, shape)
    new = old.copy()
    new[node, -1, -1] += 0.25
    assert relative_change(np, new, old) == pytest.approx(0.25 / new[node, :, -1].max(), rel=8 * EPS)


def test_no_change_of_nothing_is_no_change_and_any_change_of_zero_is_one():
    """Zero counts as one where it is divided by."""
    for empty in (np.empty((2, 0, 3)), np.empty((2, 3, 0))):
        assert relative_size(np, empty, empty) == relative_change(np, empty, empty) == 0
    zero, unit = np.zeros((1, 2, 1)), np.array([[[0.0], [0.5]]])
    assert relative_size(np, zero, zero) == relative_change(np, zero, zero) == 0
    assert relative_size(np, unit, zero) == 0.5
