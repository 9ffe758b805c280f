"""diffrax: Tsit5, Dopri8 and Kvaerno5 with each of its ways to differentiate."""

import diffrax

from benchmarks.adapters import _jax


class Tsit5(_jax.Candidate):
    """Differentiated through the solver, by checkpoints (the default of diffrax)."""

    solver = diffrax.Tsit5
    adjoint = diffrax.RecursiveCheckpointAdjoint
    max_steps = 2**16

    @classmethod
    def solve(cls, field, A, activation, h0, horizon, rtol, atol):
        return diffrax.diffeqsolve(
            diffrax.ODETerm(lambda t, h, args: field(h, *args)),
            cls.solver(),
            t0=0.0,
            t1=horizon,
            dt0=None,
            y0=h0,
            args=(A, activation),  # not a closure: the backward solve differentiates by its args alone
            stepsize_controller=diffrax.PIDController(rtol=rtol, atol=atol),
            adjoint=cls.adjoint(),
            max_steps=cls.max_steps,
        ).ys[0]


class Dopri8(Tsit5):
    solver = diffrax.Dopri8


class Kvaerno5(Tsit5):
    solver = diffrax.Kvaerno5


class Tsit5Backsolve(Tsit5):
    """The adjoint system solved backwards, h with it."""

    adjoint = diffrax.BacksolveAdjoint


class Dopri8Backsolve(Tsit5Backsolve):
    solver = diffrax.Dopri8


class Kvaerno5Backsolve(Tsit5Backsolve):
    solver = diffrax.Kvaerno5


class Tsit5Direct(Tsit5):
    """Differentiated through the solver, every step kept."""

    adjoint = diffrax.DirectAdjoint
    max_steps = 2**12


class Dopri8Direct(Tsit5Direct):
    solver = diffrax.Dopri8


class Kvaerno5Direct(Tsit5Direct):
    solver = diffrax.Kvaerno5
