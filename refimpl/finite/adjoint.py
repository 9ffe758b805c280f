"""The adjoint ODE (3) under a scheme: the exact gradient of the discrete output."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from refimpl.backend import Array, from_host, overflow_is_checked
from refimpl.finite.forward import Flow, StageDivergenceError, combine, forward, solve_stages
from refimpl.finite.system import Sweep, System
from refimpl.scheme import Scheme


@dataclass(frozen=True, eq=False)
class AdjointFlow:
    """Adjoint solution under a scheme of m nodes in all.

    Parameters
    ----------
    stages : array, shape (m, n, N)
        λ_j at the nodes. (Under Euler, node j of h is t_j but λ_j belongs to t_{j+1}.)
    boundary : array, shape (steps + 1, n, N)
        λ at the ends of the steps, λ_0 first and λ_T last.
    """

    stages: Array
    boundary: Array


@overflow_is_checked()
def adjoint(system: System, scheme: Scheme, flow: Flow) -> AdjointFlow:
    """Solve (3) backwards on the adjoint tableau, along the forward solution `flow`.

    Raises
    ------
    StageDivergenceError
        As for the forward equation.

    Notes
    -----
    λ_j = λ_end + Σ_i (b_i a_ij / b_j) φ'(h_i) ⊙ Wᵀ λ_i. With Â_ji = b_i a_ij / b_j the pair of tableaux is
    symplectic, hence λ is the gradient of the *discrete* f (Sanz-Serna, SIAM Review 58, 2016); the tests check it
    by differentiation.
    """
    xp, m = system.xp, scheme.b.size
    _, terminal_slope = system.activation.value_and_slope(flow.terminal)
    lam = system.terminal_adjoint(terminal_slope)
    stages, boundary = xp.empty_like(flow.phi), xp.empty_like(flow.boundary)
    boundary[-1, ...] = lam
    for k in range(scheme.steps - 1, -1, -1):
        inside = slice(k * m, (k + 1) * m)
        stages[inside, ...], rates = step_adjoint(system, scheme, k, flow, lam)
        lam = lam + combine(xp, scheme.b * scheme.step, rates)
        boundary[k, ...] = lam
    return AdjointFlow(stages, boundary)


def step_adjoint(system: System, scheme: Scheme, k: int, flow: Flow, end: Array) -> tuple[Array, Array]:
    """Stages λ_j and rates φ'(h_j) ⊙ Wᵀ λ_j of step `k`, whose later end has λ = `end`; both (m, n, N)."""
    xp, m = system.xp, scheme.b.size
    dphi = flow.dphi[k * m : (k + 1) * m, ...]
    Wt = xp.matrix_transpose(system.weights(k))

    def terms(stages: Array) -> Array:
        return xp.abs(dphi) * xp.matmul(xp.abs(Wt), xp.abs(stages))

    solution = solve_stages(xp, scheme.adjoint * scheme.step, end, lambda stages: dphi * xp.matmul(Wt, stages), terms)
    if solution is None:
        raise StageDivergenceError(k * scheme.step, flow.boundary[k, ...])
    return solution


@dataclass(frozen=True, eq=False)
class Solution:
    """Forward and adjoint solution of `system` under `scheme`."""

    system: System
    scheme: Scheme
    flow: Flow
    backward: AdjointFlow

    @cached_property
    def sweep(self) -> Sweep:
        """What the contraction needs of both."""
        return Sweep(
            weights=from_host(self.system.xp, self.scheme.weights, self.flow.phi),
            phi=self.flow.phi,
            adjoint=self.backward.stages,
            terminal=self.flow.terminal,
            terminal_phi=self.system.activation.phi(self.flow.terminal),
            initial_adjoint=self.backward.boundary[0, ...],
        )


def solve(system: System, scheme: Scheme) -> Solution:
    """Solve (1) and (3); errors as in `forward` and `adjoint`."""
    flow = forward(system, scheme)
    return Solution(system, scheme, flow, adjoint(system, scheme, flow))
