"""∇f of a scheme is the exact gradient of that scheme's output: by differentiation, and by naive backpropagation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import Euler, Gauss, SolveIVP
from tests import formulas

few = settings(max_examples=20)


@few
@given(formulas.cases(), st.integers(1, 6))
def test_euler_output_and_jacobian_are_the_resnet_and_its_complex_step_derivative(case, depth):
    solver = Euler(depth)
    np.testing.assert_allclose(
        case.net.predict(case.theta, case.X, solver), formulas.resnet(case, depth), rtol=0, atol=10 * case.rounding
    )
    expected = formulas.complex_step_jacobian(lambda blocks: formulas.resnet(case, depth, blocks), case.theta)
    assert formulas.relative(formulas.flat(case.net.jacobian(case.theta, case.X, solver)), expected) < case.rounding


@few
@given(st.integers(1, 4).flatmap(lambda depth: formulas.cases(layers=depth, n=(1, 4))))
def test_layered_euler_output_and_jacobian_are_the_resnet_and_its_complex_step_derivative(case):
    depth = case.theta.W.shape[0]
    solver = Euler(depth, shared=False)
    np.testing.assert_allclose(
        case.net.predict(case.theta, case.X, solver), formulas.resnet(case, depth), rtol=0, atol=10 * case.rounding
    )
    expected = formulas.complex_step_jacobian(lambda blocks: formulas.resnet(case, depth, blocks), case.theta)
    assert formulas.relative(formulas.flat(case.net.jacobian(case.theta, case.X, solver)), expected) < case.rounding


@few
@given(formulas.cases(n=(1, 4), N=(1, 2), strongest=0.7), st.integers(1, 5), st.integers(1, 3))
def test_gauss_output_and_jacobian_are_the_collocation_method_and_its_complex_step_derivative(case, nodes, steps):
    solver = Gauss(nodes, steps)
    expected = formulas.collocation(case, nodes, steps)
    np.testing.assert_allclose(case.net.predict(case.theta, case.X, solver), expected, rtol=0, atol=10 * case.rounding)
    expected = formulas.complex_step_jacobian(
        lambda blocks: formulas.collocation(case, nodes, steps, blocks), case.theta
    )
    assert formulas.relative(formulas.flat(case.net.jacobian(case.theta, case.X, solver)), expected) < case.rounding


def backpropagation(case, depth):
    """∇L of the ResNet (6) with shared weights, layer by layer."""
    U, W, v = case.scaled
    net, root, step = case.net, np.sqrt(len(v)), case.net.horizon / depth

    def dphi(z):
        return case.phi(z + formulas.STEP * 1j).imag / formulas.STEP

    h = [case.X @ U.T]
    for _ in range(depth):
        h.append(h[-1] + step * case.phi(h[-1]) @ W.T)
    residual = case.phi(h[-1]) @ v - case.y
    grad_v = net.sigma_v / root * residual @ case.phi(h[-1])
    delta = residual[:, None] * dphi(h[-1]) * v
    grad_W = np.zeros_like(W)
    for z in reversed(h[:-1]):
        grad_W += step * net.sigma_w / root * delta.T @ case.phi(z)
        delta = delta + step * dphi(z) * (delta @ W)
    return net.sigma_u * delta.T @ case.X, grad_W, grad_v


@given(formulas.cases(n=(1, 20), N=(1, 8)), st.integers(1, 12))
def test_euler_gradient_is_naive_backpropagation(case, depth):
    gradient = case.net.gradient(case.theta, case.X, case.y, Euler(depth))
    scale = gradient.norm()
    for block, expected in zip((gradient.U, gradient.W, gradient.v), backpropagation(case, depth), strict=True):
        np.testing.assert_allclose(block, expected, rtol=0, atol=case.rounding * scale)


def test_layered_weights_that_are_all_the_same_give_the_shared_gradient_when_summed_over_layers():
    case, depth = formulas.make("gelu", n=7), 5
    shared = case.net.gradient(case.theta, case.X, case.y, Euler(depth))
    theta = type(case.theta)(case.theta.U, np.stack([case.theta.W] * depth), case.theta.v)
    layered = case.net.gradient(theta, case.X, case.y, Euler(depth, shared=False))
    assert formulas.relative(layered.W.sum(axis=0), shared.W) < case.rounding
    assert formulas.relative(layered.U, shared.U) < case.rounding
    assert formulas.relative(layered.v, shared.v) < case.rounding


@pytest.mark.parametrize(
    "solver", [Euler(7), Gauss(3, 2), Gauss(), SolveIVP(rtol=1e-13, atol=1e-15)], ids=lambda solver: str(solver)
)
@few
@given(case=formulas.cases(n=(1, 6)), seed=st.integers(0, 2**32))
def test_gradient_of_the_loss_is_its_derivative_by_extrapolated_central_differences(solver, case, seed):
    direction = formulas.like(case.theta, np.random.default_rng(seed))
    gradient = case.net.gradient(case.theta, case.X, case.y, solver)

    def loss(s):
        return case.net.loss(case.theta + s * direction, case.X, case.y, solver)

    step = 0.1
    expected, error = formulas.romberg_derivative(loss, step)
    noise = 0.0  # an adaptive solver's output is only as smooth as its tolerance
    if isinstance(solver, SolveIVP):
        noise = 100 * solver.rtol * abs(loss(0.0)) / (step / 8)
    elif solver == Gauss():  # f is off by rtol |v| |∂f/∂v|, the loss by the residual times that
        of_v, residual = case.net.jacobian(case.theta, case.X).v, case.net.predict(case.theta, case.X) - case.y
        of_loss = np.abs(residual) @ np.linalg.norm(of_v, axis=1) * np.linalg.norm(case.theta.v)
        noise = 4 * solver.rtol * of_loss / (step / 8)
    scale = gradient.norm()
    assert error + noise < 1e-6 * (scale + loss(0.0))
    assert abs(gradient.dot(direction) - expected) < 2 * error + noise + case.rounding * scale


@given(formulas.cases(), st.sampled_from([Euler(3), Gauss(4, 1)]), st.integers(0, 2**32))
def test_jacobian_apply_and_transpose_apply_are_adjoint_and_the_gradient_is_the_latter_on_the_residual(
    case, solver, seed
):
    rng = np.random.default_rng(seed)
    direction, r = formulas.like(case.theta, rng), rng.standard_normal(len(case.y))
    J = case.net.jacobian(case.theta, case.X, solver)
    M = formulas.flat(J)
    bound = 16 * formulas.EPS * np.sqrt(M.size) * np.linalg.norm(M)
    np.testing.assert_allclose(J.apply(direction), M @ direction.ravel(), rtol=0, atol=bound)
    np.testing.assert_allclose(J.transpose_apply(r).ravel(), r @ M, rtol=0, atol=bound * np.linalg.norm(r))
    assert abs(r @ J.apply(direction) - J.transpose_apply(r).dot(direction)) <= 2 * bound * np.linalg.norm(r)
    residual = case.net.predict(case.theta, case.X, solver) - case.y
    gradient = case.net.gradient(case.theta, case.X, case.y, solver)
    assert (gradient - J.transpose_apply(residual)).norm() <= 4 * bound * np.linalg.norm(residual)


@given(formulas.cases(), st.sampled_from([Euler(3), Gauss(4, 1), SolveIVP()]))
def test_loss_is_half_the_squared_residual_and_a_python_float(case, solver):
    loss = case.net.loss(case.theta, case.X, case.y, solver)
    assert type(loss) is float
    residual = case.net.predict(case.theta, case.X, solver) - case.y
    np.testing.assert_allclose(loss, 0.5 * residual @ residual, rtol=8 * formulas.EPS)
