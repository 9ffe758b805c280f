"""torchdiffeq's rk4 without `step_size` takes one step from each output time to the next, however far apart."""

import math

import torch
from torchdiffeq import odeint

start = torch.ones(1, dtype=torch.float64)
for steps in (1, 10, 100):
    times = torch.linspace(0.0, 2.0, steps + 1, dtype=torch.float64)
    calls = 0

    def field(t, h):
        global calls
        calls += 1
        return -h

    error = abs(float(odeint(field, start, times, method="rk4", rtol=1e-10)[-1]) - math.exp(-2.0))
    print(f"{steps + 1} output times: {calls} evaluations, error {error:.1e}")
end = odeint(field, start, torch.tensor([0.0, 2.0], dtype=torch.float64), method="rk4", options={"step_size": 0.02})[-1]
print(f"2 output times, step_size 0.02: error {abs(float(end) - math.exp(-2.0)):.1e}")
