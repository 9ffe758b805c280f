"""h_t and λ_t at any time, from the collocation polynomials of a scheme."""

from __future__ import annotations

import numpy as np

from refimpl.backend import Array
from refimpl.finite.adjoint import Solution, solve
from refimpl.finite.forward import combine
from refimpl.finite.system import System
from refimpl.quadrature import Host, lagrange_integrals
from refimpl.scheme import Scheme


def along_collocation(solution: Solution, times: Host) -> tuple[Array, Array]:
    """h_t and λ_t of a Gauss scheme at `times`, each of shape (len(times), n, N).

    Inside a step from t_k of length Δ, with θ = (t − t_k)/Δ and B_j(θ) = ∫_0^θ ℓ_j,

        h(t) = h(t_k) + Δ Σ_j B_j(θ) W φ(h_j),     λ(t) = λ(t_{k+1}) + Δ Σ_j (b_j − B_j(θ)) φ'(h_j) ⊙ Wᵀ λ_j.
    """
    system, scheme, flow, backward = solution.system, solution.scheme, solution.flow, solution.backward
    xp, m = system.xp, scheme.b.size
    step_of = np.clip((times / scheme.step).astype(int), 0, scheme.steps - 1)
    h = xp.empty((len(times), *system.h0.shape), dtype=system.h0.dtype, device=system.h0.device)
    lam = xp.empty_like(h)
    for k in np.unique(step_of).tolist():
        inside, W = slice(k * m, (k + 1) * m), system.weights(k)
        rates = xp.matmul(W, flow.phi[inside, ...])
        slopes = flow.dphi[inside, ...] * xp.matmul(xp.matrix_transpose(W), backward.stages[inside, ...])
        for row in np.flatnonzero(step_of == k).tolist():
            integrals = lagrange_integrals(m, np.asarray([times[row] / scheme.step - k]))[0]
            h[row, ...] = flow.boundary[k, ...] + combine(xp, scheme.step * integrals, rates)
            lam[row, ...] = backward.boundary[k + 1, ...] + combine(xp, scheme.step * (scheme.b - integrals), slopes)
    return h, lam


def layer_trajectory(system: System, scheme: Scheme, times: Host) -> tuple[Array, Array]:
    """h^ℓ and λ^ℓ of the ResNet at the layer times ℓ T/L, each of shape (len(times), n, N).

    Raises
    ------
    ValueError
        A time is not a layer time: between its layers a ResNet has no states.
    """
    layers = np.rint(times / scheme.step).astype(int)
    off = np.abs(times - layers * scheme.step) > 1e-9 * scheme.horizon
    if off.any():
        raise ValueError(
            f"t must hold layer times ℓ T/L = ℓ × {scheme.step:.17g} of the ResNet, got {times[off][0]:.17g}"
        )
    solution, index = solve(system, scheme), system.xp.asarray(layers, device=system.h0.device)
    flow, backward = solution.flow.boundary, solution.backward.boundary
    return system.xp.take(flow, index, axis=0), system.xp.take(backward, index, axis=0)
