"""How far a Gauss scheme is from the solution, told by the equations it does not solve between its nodes.

Between the nodes c_j of a step the collocation polynomial u leaves the defect

    u' − W φ(u) = −W δ(t),     δ(t) = φ(u(t)) − Σ_j ℓ_j(t) φ(u(c_j)),

and the error of h at the end of the step is ∫ Φ(t_1, t) W δ(t) dt, with Φ the flow of the linearised equation. δ is
zero at the nodes and orthogonal to low degrees as long as it is resolved, which is why Gauss schemes are accurate to
twice the order of u. `refimpl.finite.probe` tells its integrals from m + 3 of its values, and no product with W is
needed on the way. For (3) the same with the defect of λ, to which comes what an error of h makes of φ'(h); and for
∂f/∂W = ∫ λ φᵀ dt, where Gauss quadrature misses ∫ (Σ ℓ_j λ_j) δᵀ dt.

Signs of different neurons do not cancel here, so that a layer in one is seen whatever the others do. What the flow
makes of an error until T is followed along the linearised equation, as to its size.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from refimpl.backend import Array, Namespace, from_host, namespace, overflow_is_checked, slices
from refimpl.finite.climb import Rates, climb
from refimpl.finite.forward import combine, largest_ratio, largest_size
from refimpl.finite.probe import probe
from refimpl.finite.rows import norms, relative_size, times
from refimpl.finite.sweep import Backward, Forward, at_fewer_nodes, root_of_squares
from refimpl.finite.system import System
from refimpl.quadrature import lagrange
from refimpl.scheme import Scheme

COARSE = 3
"""Nodes on which a displacement is followed; on fewer, sweeps diverge on steps that serve the solution."""

TO_ITS_SIZE = 1.0
"""Tolerance with which a displacement is followed: what counts is its size."""

BLOCK = 1 << 15
"""Values of a block of neurons at all points of a step (256 KiB in float64)."""


@dataclass(frozen=True, eq=False)
class ForwardDefect:
    """What the probe sees of (1).

    Parameters
    ----------
    missed : array, shape (steps, N, n)
        |∫ δ| over each step of unit length.
    moved : array, shape (steps, N, n)
        How far h may be off at the end of each step.
    """

    missed: Array
    moved: Array


@overflow_is_checked()
def of_forward(system: System, scheme: Scheme, solution: Forward) -> ForwardDefect:
    """The defect of (1)."""
    xp, at, displacements = system.xp, probe(scheme.b.size), list[Array]()
    missed = xp.empty_like(solution.boundary[1:, ...])
    for k in range(scheme.steps):
        integral = xp.empty_like(missed[k, ...])
        for part in _blocks(scheme, integral):
            delta = system.activation.phi(_states(system, scheme, solution, k, part))
            delta -= combine(xp, at.polynomials, solution.phi[(k, slice(None), *part)])
            integral[part], missed[k, ...][part] = at.seen(xp, delta, solution.paces[k].reach)
        size = solution.left[k] + scheme.step * root_of_squares(system, missed[k, ...])
        displacements.append(_with_signs(xp, size, xp.matmul(integral, xp.matrix_transpose(system.W))))
    moved = _followed(system, scheme, solution.dphi, displacements, backward=False)
    return ForwardDefect(missed, moved)


@overflow_is_checked()
def error_forward(system: System, solution: Forward, defect: ForwardDefect) -> float:
    """Estimated error of h_T and of φ(h_T), each relative to itself, for the worst sample."""
    end, moved = solution.boundary[-1, ...], defect.moved[-1, ...]
    turned = _turned(system, end, moved)
    return max(relative_size(system.xp, moved, end), relative_size(system.xp, turned, system.activation.phi(end)))


@overflow_is_checked()
def error_backward(
    system: System, scheme: Scheme, solution: Forward, defect: ForwardDefect, adjoint: Backward
) -> float:
    """Estimated error of λ_0 and of ∂f/∂W, each relative to itself, for the worst sample."""
    xp, at, last = system.xp, probe(scheme.b.size), scheme.steps - 1
    at_the_end = lagrange(scheme.b.size, np.ones(1))
    displacements = []
    for k in range(scheme.steps):
        # Wᵀλ has degree m: known at the nodes, and at the end of the step.
        end = xp.matmul(adjoint.boundary[k + 1, ...], system.W)
        moved = xp.maximum(defect.moved[max(k - 1, 0), ...], defect.moved[k, ...])
        integral, size = xp.empty_like(end), xp.empty_like(end)
        for part in _blocks(scheme, end):
            products = _inside(scheme, adjoint.products, k, part)
            left = end[part] - combine(xp, at_the_end, products)[0, ...]
            between = combine(xp, at.values, products) + from_host(xp, at.beyond, left)[:, :, None] * left
            h = _states(system, scheme, solution, k, part)
            slope = system.activation.dphi(h)
            rates = _inside(scheme, solution.dphi, k, part) * products
            delta = slope * between - combine(xp, at.values, rates)
            integral[part], largest = at.seen(xp, delta, adjoint.paces[k].reach)
            bend = xp.abs(system.activation.dphi(_some(xp, h) + moved[part]) - _some(xp, slope))
            largest += xp.max(bend * xp.abs(_some(xp, between)), axis=0)
            size[part] = adjoint.left[k][part] + scheme.step * largest
            if k == last:
                size[part] += bend[-1, ...] * xp.abs(system.v[part[1]])
        displacements.append(_with_signs(xp, size, integral))
    on_the_way = _followed(system, scheme, solution.dphi, displacements, backward=True)
    ends = solution.boundary[1:, ...]
    turned = _turned(system, ends, defect.moved)
    return max(
        relative_size(xp, on_the_way, adjoint.boundary[:-1, ...]),
        relative_size(xp, defect.moved, ends),
        relative_size(xp, turned, system.activation.phi(ends)),
        _share_of_gradient(system, scheme, solution, adjoint, defect.missed + turned, on_the_way),
    )


def _share_of_gradient(
    system: System, scheme: Scheme, solution: Forward, adjoint: Backward, off_phi: Array, off_lam: Array
) -> float:
    """Estimated error of ∂f/∂W = ∫ λ φᵀ dt relative to its Frobenius norm, for the worst sample.

    In a step φ is off by no more than `off_phi`, (steps, N, n), what quadrature misses of it included, and that counts
    times |λ|; λ is off by no more than `off_lam`, times |φ|.
    """
    xp, gradient = system.xp, adjoint.gradient.norm
    error = xp.zeros_like(gradient)
    for k in range(scheme.steps):
        error += scheme.step * solution.largest_phi[k, ...] * norms(xp, off_lam[k, ...])
        error += scheme.step * adjoint.largest_adjoint[k, ...] * norms(xp, off_phi[k, ...])
    return largest_ratio(xp, error, gradient)


def _unit(xp: Namespace, values: Array) -> Array:
    """Largest size of each sample, (N, 1), and 1 where there is none."""
    unit = xp.max(largest_size(xp, values), axis=-1, keepdims=True)
    return xp.where(unit == 0, xp.ones_like(unit), unit)


def _blocks(scheme: Scheme, states: Array) -> Iterator[tuple[slice, slice]]:
    """Parts of `states` (N, n) whose values at all points of a step stay in the cache together."""
    (N, n), values = states.shape, max(1, BLOCK // (scheme.b.size + 3))
    for neurons in slices(n, values):
        for samples in slices(N, max(1, values // n)):
            yield samples, neurons


def _inside(scheme: Scheme, values: Array, k: int, part: tuple[slice, slice]) -> Array:
    """`values` (steps × m, N, n) at the nodes of step k, for a part of the states."""
    return values[(slice(k * scheme.b.size, (k + 1) * scheme.b.size), *part)]


def _states(system: System, scheme: Scheme, solution: Forward, k: int, part: tuple[slice, slice]) -> Array:
    """h at the points of step k, for a part of the states."""
    at = probe(scheme.b.size)
    h = combine(system.xp, scheme.step * at.integrals, _inside(scheme, solution.products, k, part))
    h += solution.boundary[(k, *part)]
    return h


def _some(xp: Namespace, values: Array) -> Array:
    """`values` at both ends of a step and in its middle, of those at all points."""
    points = values.shape[0]
    return xp.stack([values[j, ...] for j in (0, points // 2, points - 1)])


def _turned(system: System, states: Array, moved: Array) -> Array:
    """What displacements `moved` ≥ 0 of h, one way or the other, make of φ(h)."""
    xp, phi = system.xp, system.activation.phi
    here = phi(states)
    return xp.maximum(xp.abs(phi(states + moved) - here), xp.abs(phi(states - moved) - here))


def _followed(system: System, scheme: Scheme, dphi: Array, displacements: list[Array], *, backward: bool) -> Array:
    """How far `displacements` in the steps move the solution at the far end of each step, (steps, N, n).

    They are followed along the linearised equation, δ̇ = W (φ'(h) ⊙ δ), from where each acts until T, or with `backward`
    along the adjoint equation until 0. At the last end they count as at least what each of them is.
    """
    xp, m, steps = system.xp, scheme.b.size, scheme.steps
    moved = xp.abs(xp.stack(displacements))
    last = 0 if backward else steps - 1
    moved[last, ...] = xp.max(moved, axis=0)
    W = system.W if system.single_weights is None else system.single_weights
    unit = _unit(xp, moved)  # in which single precision has room for all
    total = xp.zeros_like(displacements[0], dtype=W.dtype)
    W = W if backward else xp.matrix_transpose(W)
    for k in reversed(range(steps)) if backward else range(steps):
        slope = at_fewer_nodes(xp, dphi[k * m : (k + 1) * m, ...], min(m, COARSE))
        slope = xp.astype(slope, W.dtype, copy=False)

        def rate(stages: Array, _: float, slope: Array = slope) -> Rates:
            at = at_fewer_nodes(xp, slope, stages.shape[0])
            values = at * times(xp, stages, W) if backward else times(xp, at * stages, W)
            return Rates(values, stages)

        total = total + xp.astype(displacements[k] / unit, W.dtype, copy=False)
        first = rate(total[None, ...], math.inf).values
        step = climb(xp, total, scheme.step, first, rate, _size, slope.shape[0], TO_ITS_SIZE, backward=backward)
        if step is None:
            return xp.full_like(moved, math.inf)
        total = step.end
        moved[k, ...] = xp.maximum(moved[k, ...], unit * xp.astype(xp.abs(total), moved.dtype, copy=False))
    return moved


def _with_signs(xp: Namespace, size: Array, like: Array) -> Array:
    """`size` ≥ 0 with the signs of `like`."""
    return xp.copysign(size, like)


def _size(stages: Array, _: Array) -> Array:
    """The largest value of each neuron."""
    return largest_size(namespace(stages), stages)
