"""What a layer outside the outermost nodes can hide: the rates at 0 and T against those the nodes extrapolate to.

A Gauss scheme has no node at the ends of a step. A layer of h or λ so thin that it lies between an end of [0, T] and
the outermost node leaves the stages of all schemes alike: they agree, and are wrong. The rate at the end itself tells:
where it differs by δ from the extrapolated one, up to c₁ Δ δ of the displacement was missed, with c₁ Δ the distance of
the outermost node. (Inside [0, T] a layer leaves its two sides at different values, which no polynomial follows.)
"""

from __future__ import annotations

import numpy as np

from refimpl.finite.forward import Arrival, combine, relative_size
from refimpl.finite.system import Sweep, System
from refimpl.quadrature import Host, lagrange
from refimpl.scheme import Scheme

ENDS = (0.0, 1.0)
"""Start and end of a step of unit length."""


def hidden_in_arrival(system: System, scheme: Scheme, arrival: Arrival) -> float:
    """How much of h_T, relative to it, may have been missed; for the worst sample."""
    xp, W = system.xp, system.weights(0)
    worst = 0.0
    for end, h, rates in zip(ENDS, (system.h0, arrival.terminal), (arrival.first, arrival.last), strict=True):
        defect = xp.matmul(W, system.activation.phi(h)) - combine(xp, _extrapolation(scheme, end), rates)
        worst = max(worst, relative_size(xp, scheme.step * defect, arrival.terminal))
    return worst * float(scheme.c[0])


def hidden_in_sweep(system: System, scheme: Scheme, sweep: Sweep) -> float:
    """How much of h_T, of λ_0 and of ∂f/∂W, each relative to itself, may have been missed; for the worst sample.

    The rate of λ at an end e of a step is the slope there of the polynomial through λ_e and the λ_j,
    Σ_j ℓ_j(e) (λ_j − λ_e) / (c_j − e).
    """
    xp, m, W = system.xp, scheme.b.size, system.weights(0)
    _, slope_start = system.activation.value_and_slope(system.h0)
    _, slope_end = system.activation.value_and_slope(sweep.terminal)
    phis = system.activation.phi(system.h0), sweep.terminal_phi
    adjoints = sweep.initial_adjoint, system.terminal_adjoint(slope_end)
    nodes = slice(0, m), slice(scheme.size - m, scheme.size)
    largest_phi, largest_adjoint = (xp.max(xp.abs(z), axis=0) for z in (sweep.phi, sweep.adjoint))
    found = [0.0]
    for end, phi, adjoint, slope, inside in zip(ENDS, phis, adjoints, (slope_start, slope_end), nodes, strict=True):
        weights = _extrapolation(scheme, end)
        jump = phi - combine(xp, weights, sweep.phi[inside, ...])
        adjoint_jump = adjoint - combine(xp, weights, sweep.adjoint[inside, ...])
        descent = combine(xp, weights / (scheme.c - end), sweep.adjoint[inside, ...] - adjoint)
        defect = scheme.step * slope * xp.matmul(xp.matrix_transpose(W), adjoint) + descent
        found += [
            relative_size(xp, scheme.step * xp.matmul(W, jump), sweep.terminal),
            relative_size(xp, defect, sweep.initial_adjoint),
            relative_size(xp, jump, largest_phi) / scheme.steps,
            relative_size(xp, adjoint_jump, largest_adjoint) / scheme.steps,
        ]
    return max(found) * float(scheme.c[0])


def _extrapolation(scheme: Scheme, end: float) -> Host:
    """ℓ_j(end): from the nodes of a step to one of its ends, shape (m,)."""
    row: Host = lagrange(scheme.b.size, np.asarray(end))
    return row
