"""torchode: dopri5 and tsit5, differentiated through the solver; every sample has its own steps."""

import torch
import torchode

from benchmarks.adapters import _torch


class Dopri5(_torch.Candidate):
    method = torchode.Dopri5

    def solve(self, field, h0, horizon, rtol, atol):
        term = torchode.ODETerm(field)
        controller = torchode.IntegralController(atol=atol, rtol=rtol, term=term)
        solver = torchode.AutoDiffAdjoint(self.method(term=term), controller)
        times = torch.tensor([0.0, horizon], dtype=h0.dtype).repeat(len(h0), 1)
        return solver.solve(torchode.InitialValueProblem(y0=h0, t_eval=times)).ys[:, -1]


class Tsit5(Dopri5):
    method = torchode.Tsit5
