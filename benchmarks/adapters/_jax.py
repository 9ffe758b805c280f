"""What the JAX adapters share: φ, f and its derivatives by automatic differentiation."""

import os
from abc import ABC, abstractmethod
from functools import partial

# Small networks: threads would only wait for one another. Read when JAX starts; a setting of the user's stays.
os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.adapters._tolerance import tolerances

ACTIVATIONS = {
    "softplus": jax.nn.softplus,
    "sigmoid": jax.nn.sigmoid,
    "tanh": jnp.tanh,
    "erf": jax.scipy.special.erf,
    "gelu": partial(jax.nn.gelu, approximate=False),
    "silu": jax.nn.silu,
    "sin": jnp.sin,
    "cos": jnp.cos,
    "identity": lambda z: z,
    "quadratic": lambda z: z * z / 2,
    "elu": jax.nn.elu,
    "relu": jax.nn.relu,
    "leaky_relu": lambda z: jnp.where(z > 0, z, 0.01 * z),  # jax.nn.leaky_relu has the slope 1 at 0
}


class Candidate(ABC):
    """predict, gradient and ntk; a subclass has the class method `solve`.

    Parameters
    ----------
    rtol : float
        Asked for; atol is a hundredth of it.
    """

    compile_once = True
    """One compilation serves every activation and tolerance, for each shape; else they are constants of the program."""

    def __init__(self, rtol=1e-10):
        self.rtol = rtol

    @classmethod
    @abstractmethod
    def solve(cls, field, A, activation, h0, horizon, rtol, atol):
        """h_T of ḣ = field(h, A, activation)."""

    def predict(self, U, W, v, X, settings):
        return self._rows(output, U, W, v, X, settings)

    def gradient(self, U, W, v, X, settings):
        rows = self._rows(jacobian, U, W, v, X, settings)
        return tuple(np.sum(block, axis=0) for block in zip(*rows, strict=True))

    def ntk(self, U, W, v, X, settings):
        rows = self._rows(jacobian, U, W, v, X, settings)
        J = np.stack([np.concatenate([np.ravel(block) for block in row]) for row in rows])
        return J @ J.T

    def _rows(self, function, U, W, v, X, settings):
        """Row by row: vmap takes the same steps for each, and would be compiled anew for every N."""
        rtol, atol = tolerances(self.rtol, settings.dtype)
        sigmas = settings.sigma_u, settings.sigma_w, settings.sigma_v
        traced, fixed = (list(ACTIVATIONS).index(settings.activation), rtol, atol), None
        if not self.compile_once:
            traced, fixed = None, (settings.activation, rtol, atol)
        with jax.enable_x64(settings.dtype == "float64"):
            answers = [function(type(self).solve, fixed, U, W, v, x, settings.horizon, sigmas, traced) for x in X]
            return jax.tree.map(np.asarray, answers)


def _output(solve, fixed, U, W, v, x, horizon, sigmas, traced):
    activation, rtol, atol = traced if fixed is None else fixed
    sigma_u, sigma_w, sigma_v = (sigma / scale for sigma, scale in zip(sigmas, (1, *[len(v) ** 0.5] * 2), strict=True))

    h = solve(_field, sigma_w * W, activation, sigma_u * (U @ x), horizon, rtol, atol)
    return sigma_v * (v @ phi(activation, h))


def _field(h, A, activation):
    return A @ phi(activation, h)


def phi(activation, z):
    """φ by name, or by place in `ACTIVATIONS` where that is known only when the program runs."""
    if isinstance(activation, str):
        return ACTIVATIONS[activation](z)
    return jax.lax.switch(activation, tuple(ACTIVATIONS.values()), z)


output = jax.jit(_output, static_argnums=(0, 1))
jacobian = jax.jit(jax.grad(_output, argnums=(2, 3, 4)), static_argnums=(0, 1))
