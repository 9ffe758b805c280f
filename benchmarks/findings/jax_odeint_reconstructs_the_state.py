"""The gradient of jax.experimental.ode.odeint solves h backwards; a component that decays by e^-20 is not brought back.

h_1' = -10 h_1, h_2' = h_1 h_2: the derivative of h_2(2) by h_2(0) is exp((1 - e^-20) / 10).
"""

import math

import jax
import jax.numpy as jnp
from jax.experimental.ode import odeint

jax.config.update("jax_enable_x64", True)
exact = math.exp((1 - math.exp(-20.0)) / 10)
for rtol in (1e-6, 1.4e-8, 1e-10):

    def end(second, rtol=rtol):
        start, times = jnp.stack([jnp.ones(()), second]), jnp.array([0.0, 2.0])
        return odeint(lambda h, t: jnp.stack([-10 * h[0], h[0] * h[1]]), start, times, rtol=rtol, atol=rtol)[-1, 1]

    value, gradient = jax.value_and_grad(end)(1.0)
    print(f"rtol {rtol:.1e}: error {abs(value / exact - 1):.1e}, of the gradient {abs(gradient / exact - 1):.1e}")
