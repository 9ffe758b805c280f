"""torchdiffeq controls the step by the mean over the batch: one hard sample among 63 at rest comes out less accurate.

A norm of the user's own, here the largest entry, makes the sample independent of the others.
"""

import math

import torch
from torchdiffeq import odeint

times = torch.tensor([0.0, 10.0], dtype=torch.float64)
exact = math.exp(5 * math.sin(80.0) / 8)


def error(size, options):
    start = torch.zeros(size, 1, dtype=torch.float64)
    start[0] = 1.0
    end = odeint(lambda t, h: 5 * torch.cos(8 * t) * h, start, times, rtol=1e-8, atol=1e-10, options=options)[-1]
    return abs(float(end[0]) / exact - 1)


for size in (1, 64):
    default, largest = error(size, {}), error(size, {"norm": lambda h: h.abs().max()})
    print(f"batch of {size}: relative error {default:.1e}, with the largest entry as norm {largest:.1e}")
