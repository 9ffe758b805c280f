"""jax.experimental.ode: one solver, Dormand and Prince's of order 5, with the adjoint solved backwards."""

import jax.numpy as jnp
from jax.experimental.ode import odeint

from benchmarks.adapters import _jax


class Odeint(_jax.Candidate):
    compile_once = False  # rtol and atol are constants of its compiled function, and φ may not depend on an integer

    @classmethod
    def solve(cls, field, A, activation, h0, horizon, rtol, atol):
        times = jnp.stack([jnp.zeros_like(horizon), horizon])
        return odeint(lambda h, t, A: field(h, A, activation), h0, times, A, rtol=rtol, atol=atol)[-1]
