"""torchdiffeq's dopri8 steps past the end and interpolates back, to a lower order than the steps have.

With the end given as `step_t` it stops there, and the digits are what the tolerance promises.
"""

import math

import torch
from torchdiffeq import odeint

A = torch.tensor([[0.0, 1.0], [-1.0, 0.0]], dtype=torch.float64)
start = torch.tensor([1.0, 0.0], dtype=torch.float64)
times = torch.tensor([0.0, 2.0], dtype=torch.float64)
exact = torch.tensor([math.cos(2.0), -math.sin(2.0)], dtype=torch.float64)

for method in ("dopri5", "dopri8"):
    for rtol in (1e-6, 1e-8, 1e-10, 1e-12):
        errors = []
        for options in (None, {"step_t": times[1:]}):
            end = odeint(lambda t, h: A @ h, start, times, rtol=rtol, atol=rtol, method=method, options=options)[-1]
            errors.append(float((end - exact).norm()))
        print(f"{method} rtol {rtol:.0e}: error {errors[0]:.1e}, with step_t {errors[1]:.1e}")
