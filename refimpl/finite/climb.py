"""The stages of a Gauss step by Picard's sweeps on more and more nodes.

A sweep integrates a polynomial of rates through m nodes and evaluates the rate at m' nodes on the way,

    h_i = h_0 + Δ Σ_j B_j(c'_i) r_j,   r'_i = W φ(h_i),   B_j(t) = ∫_0^t ℓ_j,

so that m' may differ from m at no cost. While the first sweeps are good to two digits, a few nodes hold all that they
know: each sweep takes one node more, until the number that is wanted is reached. Picard's iteration for a Volterra
equation converges like (κΔ)^k / k!, faster than any geometric rate, with κ about the spectral radius of the Jacobian.
At the last number of nodes the fixed point is the Gauss scheme itself: `refimpl.finite.forward.solve_stages` solves the
same equations to rounding.

While the sweeps are good to a few digits they run in single precision. An error ε of the k-th of K sweeps comes out as
ε (κΔ)^(K−k) / (K−k)!, which is ε times the binomial coefficient of K and k when compared with how far the k-th sweep
itself is from the solution.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import NamedTuple

from refimpl.backend import Array, Namespace
from refimpl.finite.forward import combine, largest_ratio
from refimpl.finite.product import ROUGH
from refimpl.finite.rows import relative_change
from refimpl.quadrature import Host, gauss_legendre, lagrange_integrals

FIRST = 3
"""Nodes of the first sweep."""

MAX_SWEEPS = 60
"""Sweeps a step, after which it counts as too long."""

SLOW = 0.5
"""Ratio of successive changes beyond which shorter steps are cheaper, if they may be chosen."""

SEEN = 100.0
"""How far a change has to be above rounding to tell the pace."""

SINGLE_EPS = 2.0**-23
"""Rounding of single precision; smaller changes of sweeps of which the first ran in it tell nothing of the pace."""

NOT_WORSE = 8.0
"""How much worse than in the norm of its sample a single neuron may have converged."""


class Rates(NamedTuple):
    """What the equation says at given stages: their rates, (m, N, n), and what it computed on the way, likewise."""

    values: Array
    kept: Array


class Pace(NamedTuple):
    """How fast sweeps converge.

    Parameters
    ----------
    ratio : float
        Factor by which each sweep changes less than the one before.
    reach : float
        κΔ: from a constant on, the k-th sweep changes κΔ/(k + 1) times what the one before it changed.
    """

    ratio: float
    reach: float


class Climbed(NamedTuple):
    """A solved step.

    Parameters
    ----------
    stages : array, shape (m, N, n)
    rates : Rates
    end : array, shape (N, n)
        State at the far end of the step.
    left : array, shape (N, n)
        What more sweeps would change in it, in absolute value.
    pace : Pace
        How fast the sweeps converged.
    """

    stages: Array
    rates: Rates
    end: Array
    left: Array
    pace: Pace


def climb(
    xp: Namespace,
    start: Array,
    length: float,
    first: Array,
    rate: Callable[[Array, float], Rates],
    size: Callable[[Array, Array], Array],
    nodes: int,
    rtol: float,
    *,
    pace: Pace | None = None,
    backward: bool = False,
    patient: bool = True,
    single: bool = False,
    closer: float = 1.0,
) -> Climbed | None:
    """Solve h_i = start + length Σ_j a_ij rate(h)_j for the Gauss tableau of `nodes` nodes, to about `rtol`.

    Parameters
    ----------
    start : array, shape (N, n)
        State at the start of the step; with `backward` at its end.
    first : array, shape (m, N, n)
        Rates at the Gauss nodes of a coarser solution; m = 1 with the rate at the start will do.
    rate : callable
        Stages (m, N, n), for any m, and the last relative change of the far end, to `Rates`. Before the first sweep
        that change counts as infinite, or as zero if there is a `pace`.
    size : callable
        Stages and kept to the size (N, n) of the terms that each neuron is the sum of.
    pace : Pace, optional
        That of the sweeps that led to `first`.
    backward : bool
        Integrate from the end of the step to its start: for the adjoint, whose tableau is that of time reversed.
    patient : bool
        Go on although the sweeps converge slowly.
    single : bool
        Let the first sweeps, if there is no `pace`, run in single precision, which `rate` then has to take.
    closer : float
        How many times closer than `rtol` sweeps get that are quick: not those that have become slow since nothing but
        rounding is left of their changes.

    Returns
    -------
    Climbed or None
        None if the sweeps do not converge, or too slowly.

    Notes
    -----
    The change of the far end falls by a factor from sweep to sweep; what the next ones would add is a geometric series
    in it, and has to be below half of `rtol`. That counts for the norm of a sample, and for every neuron of it
    relative to its own size, since one far below the others may be about to grow past them.
    """
    noise = 8 * float(xp.finfo(start.dtype).eps) * math.sqrt(start.shape[-1])
    rates, change, changes = Rates(first, first), math.inf if pace is None else 0.0, list[float]()
    ratios, reach = ([], 0.0) if pace is None else ([pace.ratio], pace.reach)
    end, old = start + combine(xp, length * gauss_legendre(first.shape[0])[1], first), first
    quick = None  # the factor of the last quick sweep that got to `rtol`
    for sweep in range(MAX_SWEEPS):
        count = rates.values.shape[0]
        following = nodes if pace is not None else min(nodes, max(count + 1, FIRST))
        rough = single and pace is None and sweep < nodes and change > ROUGH
        dtype = xp.float32 if rough else start.dtype
        stages = combine(
            xp, length * _integrals(count, following, backward), xp.astype(rates.values, dtype, copy=False)
        )
        stages += xp.astype(start, dtype, copy=False)
        del rates  # whose place the next ones may take
        rates = rate(stages, change)
        before, earlier = end, change
        end = start + combine(xp, length * gauss_legendre(following)[1], rates.values)
        change = relative_change(xp, end, before)
        changes.append(change)
        if not math.isfinite(change):
            if not rough:
                return None
            return climb(xp, start, length, first, rate, size, nodes, rtol, backward=backward, patient=patient)
        if sweep > 0:
            ratios.append(change / earlier if earlier > 0 else 0.0)
            if pace is None and sweep < nodes and change > (SINGLE_EPS if single else SEEN * noise):
                reach = max(reach, (sweep + 2) * ratios[-1])  # the first of these sweeps is the second from a constant
        factor, wanted = max(ratios[-2:], default=1.0), rtol / closer
        at_nodes = count == following == nodes and sweep > 0 and not rough
        too_slow = factor > SLOW
        if too_slow:
            factor, wanted = factor if quick is None else quick, rtol
        elif at_nodes and _settled(change, factor, rtol, noise):
            quick = factor
        if at_nodes and _settled(change, factor, wanted, noise):
            # The end is one sweep ahead of the stages, and may have converged by chance where they have not.
            slow = max(factor, min(SLOW, reach / (sweep + 2)))
            inside = slow * relative_change(xp, stages, old)
            last = xp.abs(end - before)
            own = largest_ratio(xp, last, size(stages, rates.kept))
            if _settled(inside, slow, wanted, noise) and own <= NOT_WORSE * max(change, wanted, noise):
                left = last * min(1.0, factor / (1 - min(factor, SLOW)))
                return Climbed(stages, rates, end, left, Pace(factor, reach))
        elif change > noise and (_no_end(changes) if patient else sweep > 3 and too_slow):
            return None
        old = stages
    return None


def again(xp: Namespace, step: Climbed, start: Array, length: float, *, backward: bool = False) -> Array:
    """The stages that the rates of a solved step lead to: one sweep closer than its own, like its end."""
    nodes = step.stages.shape[0]
    stages = combine(xp, length * _integrals(nodes, nodes, backward), step.rates.values)
    stages += start
    return stages


def _settled(change: float, factor: float, rtol: float, noise: float) -> bool:
    """Whether a change, and those that follow it, each `factor` times the last, are below what is allowed."""
    return change * factor <= rtol / 2 * (1 - factor) or change <= noise


def _no_end(changes: list[float]) -> bool:
    """Whether the changes do not fall any more; at first those of a long step may grow."""
    return len(changes) > 12 and changes[-1] >= changes[-7]


@lru_cache(maxsize=256)
def _integrals(nodes: int, at: int, backward: bool) -> Host:
    """∫_0^{c_i} ℓ_j for the i-th of `at` nodes and the j-th of `nodes`; with `backward` ∫_{c_i}^1."""
    integrals = lagrange_integrals(nodes, gauss_legendre(at)[0])
    return gauss_legendre(nodes)[1] - integrals if backward else integrals
