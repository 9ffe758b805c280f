"""torchode, differentiated through its steps; every sample has steps of its own."""

from functools import partial

from benchmarks.adapters import torchode
from benchmarks.peers import _torch

SOLVERS = {"tsit5": torchode.Tsit5, "dopri5": torchode.Dopri5}


def solve(method, field, h0, horizon, rtol, atol):
    return SOLVERS[method.solver](rtol).solve(field, h0, horizon, rtol, atol)


gradient = partial(_torch.gradient, solve)
ntk = partial(_torch.ntk, solve)
descent = partial(_torch.descent, solve)
