"""torchdiffeq: dopri5, dopri8 and rk4, differentiated by odeint (through the solver) and by odeint_adjoint."""

import math

import torch
import torchdiffeq

from benchmarks.adapters import _torch


class Dopri5(_torch.Candidate):
    odeint = staticmethod(torchdiffeq.odeint)
    method = "dopri5"

    def solve(self, field, h0, horizon, rtol, atol):
        times = torch.tensor([0.0, horizon], dtype=h0.dtype)
        return self.odeint(field, h0, times, rtol=rtol, atol=atol, method=self.method)[-1]


class Dopri8(Dopri5):
    method = "dopri8"


class RK4(Dopri5):
    """Fixed steps, rtol^(−1/4) for each unit of time: the step that the order promises for an error like rtol."""

    def solve(self, field, h0, horizon, rtol, atol):
        times = torch.tensor([0.0, horizon], dtype=h0.dtype)
        options = {"step_size": horizon / math.ceil(horizon * rtol**-0.25)}
        return self.odeint(field, h0, times, method="rk4", options=options)[-1]


class Dopri5Adjoint(Dopri5):
    odeint = staticmethod(torchdiffeq.odeint_adjoint)


class Dopri8Adjoint(Dopri8):
    odeint = staticmethod(torchdiffeq.odeint_adjoint)


class RK4Adjoint(RK4):
    odeint = staticmethod(torchdiffeq.odeint_adjoint)
