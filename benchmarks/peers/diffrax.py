"""diffrax: loss, gradient and tangent kernel of a batch, jitted, with the tolerance an argument of the program."""

import os

from benchmarks.environment import allowed

if allowed() > 1:  # else the setting of the adapters, one thread for small networks, is that of everybody
    os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=true")

import diffrax
import jax
import jax.numpy as jnp

from benchmarks.adapters._jax import ACTIVATIONS
from benchmarks.adapters._tolerance import tolerances

MAX_STEPS = 1024
"""Steps that the checkpoints are laid out for: memory is taken for √(2 · 1024) of them, whatever the number made."""

CHUNK_BYTES = 2**28
"""Rows of the Jacobian that one call computes; its intermediate results are several times as large."""


def _adjoint(name, rtol, atol):
    if name == "checkpoints":
        return diffrax.RecursiveCheckpointAdjoint()
    # The integral of ∂f/∂W does not feed back, so its error need not control the step: diffrax has a seminorm for it.
    controller = diffrax.PIDController(rtol=rtol, atol=atol, norm=diffrax.adjoint_rms_seminorm)
    return diffrax.BacksolveAdjoint(stepsize_controller=controller)


def outputs(method, net, theta, X, rtol, atol):
    """f at the rows of X, (N,); a single row (d,) gives a number."""
    U, W, v = theta
    phi, root = ACTIVATIONS[net.phi.name], len(v) ** 0.5
    h = diffrax.diffeqsolve(
        diffrax.ODETerm(lambda t, h, A: phi(h) @ A.T),
        getattr(diffrax, method.solver)(),
        t0=0.0,
        t1=net.horizon,
        dt0=None,
        y0=net.sigma_u * X @ U.T,
        args=net.sigma_w / root * W,
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
        adjoint=_adjoint(method.adjoint, rtol, atol),
        max_steps=MAX_STEPS,
    ).ys[0]
    return net.sigma_v / root * (phi(h) @ v)


def _in_double(function):
    """The same in float64, finished when it returns."""

    def finished(*arguments):
        with jax.enable_x64(True):
            return jax.block_until_ready(function(*arguments))

    return finished


@_in_double
def _on_device(*arrays):
    return tuple(jnp.asarray(array) for array in arrays)


def _loss(method, net, X, y):
    return lambda theta, rtol, atol: jnp.sum((outputs(method, net, theta, X, rtol, atol) - y) ** 2) / 2


def gradient(method, net, theta, X, y):
    """rtol → (∂L/∂U, ∂L/∂W, ∂L/∂v)."""
    theta, (X, y) = _on_device(theta.U, theta.W, theta.v), _on_device(X, y)
    compute = _in_double(jax.jit(jax.grad(_loss(method, net, X, y))))
    return lambda rtol: compute(theta, *tolerances(rtol, "float64"))


def ntk(method, net, theta, X):
    """rtol → K_θ: the Jacobian by vmap(grad), then J Jᵀ; a few rows of J at a time where all would not fit."""
    theta, (X,) = _on_device(theta.U, theta.W, theta.v), _on_device(X)

    def jacobian(theta, rows, rtol, atol):
        one = jax.grad(lambda theta, x: outputs(method, net, theta, x, rtol, atol))
        return jax.vmap(one, in_axes=(None, 0))(theta, rows)

    def products(rows, others):
        return sum(a.reshape(len(a), -1) @ b.reshape(len(b), -1).T for a, b in zip(rows, others, strict=True))

    chunk = max(1, CHUNK_BYTES // (8 * theta[1].size))
    if chunk >= len(X):
        whole = _in_double(jax.jit(lambda *given: (lambda J: products(J, J))(jacobian(*given))))
        return lambda rtol: whole(theta, X, *tolerances(rtol, "float64"))
    some, block = _in_double(jax.jit(jacobian)), _in_double(jax.jit(products))
    parts = [X[i : i + chunk] for i in range(0, len(X), chunk)]

    def compute(rtol):
        J = [some(theta, part, *tolerances(rtol, "float64")) for part in parts]
        with jax.enable_x64(True):
            return jax.block_until_ready(jnp.block([[block(a, b) for b in J] for a in J]))

    return compute


def descent(method, net, theta, X, y, lr, rtol):
    """A function that makes a number of steps of gradient descent: losses (one a step), last θ and the one before."""
    start, (X, y) = _on_device(theta.U, theta.W, theta.v), _on_device(X, y)
    slope = jax.value_and_grad(_loss(method, net, X, y))

    def step(theta, rtol, atol):
        loss, gradient = slope(theta, rtol, atol)
        return loss, jax.tree.map(lambda a, g: a - lr * g, theta, gradient)

    step = _in_double(jax.jit(step))

    def run(steps):
        losses, before, at = [], start, start
        for _ in range(steps):
            before = at
            loss, at = step(at, *tolerances(rtol, "float64"))
            losses.append(float(loss))
        return losses, at, before

    return run
