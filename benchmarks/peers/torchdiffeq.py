"""torchdiffeq: `odeint`, differentiated through its steps, and `odeint_adjoint`, which solves backwards."""

from functools import partial

import torch
import torchdiffeq

from benchmarks.peers import _torch


def solve(method, field, h0, horizon, rtol, atol):
    times = torch.tensor([0.0, horizon], dtype=h0.dtype)
    given = {"rtol": rtol, "atol": atol, "method": method.solver}
    if method.adjoint == "backprop":
        # A step ends at T: the answer would be interpolated else, and dopri8's interpolation is of a lower order.
        return torchdiffeq.odeint(field, h0, times, options={"step_t": times[1:]}, **given)[-1]
    backwards = {"norm": "seminorm", "step_t": times[:1]}  # the integral of ∂f/∂W need not control the step
    return torchdiffeq.odeint_adjoint(
        field, h0, times, options={"step_t": times[1:]}, adjoint_options=backwards, **given
    )[-1]


gradient = partial(_torch.gradient, solve)
ntk = partial(_torch.ntk, solve)
descent = partial(_torch.descent, solve)
