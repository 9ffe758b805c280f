"""odeint_adjoint solves h backwards with the adjoint; a component that decays by e^-20 cannot be brought back.

h_1' = -10 h_1, h_2' = h_1 h_2: the derivative of h_2(2) by h_2(0) is exp((1 - e^-20) / 10).
"""

import math

import torch
from torchdiffeq import odeint, odeint_adjoint


class Field(torch.nn.Module):
    def forward(self, t, h):
        return torch.stack([-10 * h[0], h[0] * h[1]])


exact = math.exp((1 - math.exp(-20.0)) / 10)
times = torch.tensor([0.0, 2.0], dtype=torch.float64)
for rtol in (1e-6, 1e-8, 1e-10, 1e-12):
    for solve in (odeint, odeint_adjoint):
        start = torch.ones(2, dtype=torch.float64, requires_grad=True)
        end = solve(Field(), start, times, rtol=rtol, atol=rtol)[-1, 1]
        end.backward()
        output, gradient = float(end.detach()) / exact - 1, float(start.grad[1]) / exact - 1
        print(f"{solve.__name__:14} rtol {rtol:.0e}: error {abs(output):.1e}, of the gradient {abs(gradient):.1e}")
