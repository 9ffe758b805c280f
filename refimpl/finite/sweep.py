"""Forward and adjoint solution under a Gauss scheme to a tolerance, rather than to rounding.

The stages are those of `refimpl.finite.forward` and `refimpl.finite.adjoint`; Picard's sweeps stop once what they would
still change is small against the tolerance, and start from a coarser solution where there is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from refimpl.backend import Array, Namespace, overflow_is_checked
from refimpl.finite.adjoint import AdjointFlow
from refimpl.finite.climb import Rates, climb
from refimpl.finite.forward import Flow, StageDivergenceError, check_end, combine
from refimpl.finite.product import Product
from refimpl.finite.system import System
from refimpl.quadrature import gauss_legendre, lagrange
from refimpl.scheme import Scheme


@dataclass(frozen=True, eq=False)
class Forward:
    """Forward solution: `flow`, the rates W φ(h_j) at all nodes, (m, n, N), and what is left to do in each step."""

    flow: Flow
    rates: Array
    left: list[Array]
    ratio: float


@dataclass(frozen=True, eq=False)
class Backward:
    """Adjoint solution: `flow`, at all nodes Wᵀ λ_j and the rates φ'(h_j) ⊙ Wᵀ λ_j, (m, n, N) each, and as above."""

    flow: AdjointFlow
    products: Array
    rates: Array
    left: list[Array]
    ratio: float


@overflow_is_checked()
def forward(
    system: System, scheme: Scheme, rtol: float, coarse: Forward | None = None, *, patient: bool = True
) -> Forward:
    """Solve (1) under `scheme` to `rtol`, from the rates of a `coarse` solution with as many steps.

    Raises
    ------
    StageDivergenceError
        The sweeps of some step do not converge, or, unless `patient`, converge slowly.
    BlowUpError, AccuracyError
        As in `refimpl.finite.forward.check_end`.
    """
    xp, h, activation = system.xp, system.h0, system.activation
    m, shape = scheme.b.size, tuple(system.h0.shape)
    phi, boundary = (_empty(xp, h, size) for size in ((scheme.size, *shape), (scheme.steps + 1, *shape)))
    dphi, rates = xp.empty_like(phi), xp.empty_like(phi)
    left: list[Array] = []
    boundary[0, ...], worst = h, 0.0

    for k in range(scheme.steps):
        inside = slice(k * m, (k + 1) * m)
        slope, product = dphi[inside, ...], Product(system, rtol)

        def rate(stages: Array, change: float, product: Product = product) -> Rates:
            value = xp.empty_like(stages)
            for j in range(stages.shape[0]):  # node by node: what a node needs stays in the cache
                value[j, ...] = activation.phi(stages[j, ...])
            return Rates(product(value, change), value)

        def size(stages: Array, value: Array, start: Array = h, slope: Array = slope) -> Array:
            """|h| and the root of Σ W_ij² (|φ| + |φ' h|)²: of what h is the sum, were it to lose its last digits."""
            for j in range(stages.shape[0]):
                slope[j, ...] = activation.dphi(stages[j, ...])
            terms = xp.max(xp.abs(value) + xp.abs(slope * stages), axis=0)
            return xp.abs(start) + scheme.step * root_of_squares(system, terms)

        first, ratio = _start(xp, coarse, k, h.dtype)
        if first is None:
            first = xp.matmul(system.W, activation.phi(h))[None, ...]
        step = climb(xp, h, scheme.step, first, rate, size, m, rtol, ratio=ratio, patient=patient)
        if step is None:
            raise StageDivergenceError(k * scheme.step, h)
        phi[inside, ...], rates[inside, ...] = step.rates.kept, step.rates.values
        h = boundary[k + 1, ...] = step.end
        left.append(step.left)
        worst = max(worst, step.ratio)
    check_end(system, scheme, h)
    return Forward(Flow(phi, dphi, boundary), rates, left, worst)


@overflow_is_checked()
def backward(
    system: System, scheme: Scheme, flow: Flow, rtol: float, coarse: Backward | None = None, *, patient: bool = True
) -> Backward:
    """Solve (3) under `scheme` to `rtol` along `flow`; `coarse`, `patient` and errors as in `forward`."""
    xp, m, activation = system.xp, scheme.b.size, system.activation
    Wt = xp.matrix_transpose(system.W)
    stages, products, rates = (xp.empty_like(flow.phi) for _ in range(3))
    boundary = xp.empty_like(flow.boundary)
    lam = system.terminal_adjoint(activation.dphi(flow.terminal))
    boundary[-1, ...], worst = lam, 0.0
    left: list[Array] = []
    for k in range(scheme.steps - 1, -1, -1):
        inside = slice(k * m, (k + 1) * m)
        slope, product = flow.dphi[inside, ...], Product(system, rtol, transposed=True)

        def rate(stages: Array, change: float, slope: Array = slope, product: Product = product) -> Rates:
            along = product(stages, change)
            return Rates(at_fewer_nodes(xp, slope, stages.shape[0]) * along, along)

        def size(stages: Array, _: Array, end: Array = lam, slope: Array = slope) -> Array:
            largest = root_of_squares(system, xp.max(xp.abs(stages), axis=0), transposed=True)
            return xp.abs(end) + scheme.step * xp.max(xp.abs(slope), axis=0) * largest

        first, ratio = _start(xp, coarse, k, lam.dtype)
        if first is None:
            first = (activation.dphi(flow.boundary[k + 1, ...]) * xp.matmul(Wt, lam))[None, ...]
        step = climb(xp, lam, scheme.step, first, rate, size, m, rtol, ratio=ratio, backward=True, patient=patient)
        if step is None:
            raise StageDivergenceError(k * scheme.step, flow.boundary[k, ...])
        stages[inside, ...], products[inside, ...], rates[inside, ...] = step.stages, step.rates.kept, step.rates.values
        lam = boundary[k, ...] = step.end
        left.insert(0, step.left)
        worst = max(worst, step.ratio)
    return Backward(AdjointFlow(stages, boundary), products, rates, left, worst)


def at_fewer_nodes(xp: Namespace, values: Array, nodes: int) -> Array:
    """The polynomial through `values` (m, n, N) at the Gauss nodes of a step, at `nodes` Gauss nodes."""
    if values.shape[0] == nodes:
        return values
    return combine(xp, lagrange(values.shape[0], gauss_legendre(nodes)[0]), values)


def root_of_squares(system: System, terms: Array, *, transposed: bool = False) -> Array:
    """(Σ_j W_ij² terms_j²)^½, (n, N): what independent errors `terms` of φ make of W φ, and one alone exactly."""
    xp, squares = system.xp, system.squared_weights
    scale = xp.max(terms, axis=0, keepdims=True)
    scale = xp.where(scale == 0, xp.ones_like(scale), scale)
    shares = terms / scale
    return xp.sqrt(xp.matmul(xp.matrix_transpose(squares) if transposed else squares, shares * shares)) * scale


def _empty(xp: Namespace, like: Array, shape: tuple[int, ...]) -> Array:
    return xp.empty(shape, dtype=like.dtype, device=like.device)


def _start(
    xp: Namespace, coarse: Forward | Backward | None, k: int, dtype: Any
) -> tuple[Array, float] | tuple[None, None]:
    """The rates of a coarse solution in step k, and how fast its sweeps converged."""
    if coarse is None:
        return None, None
    m = coarse.rates.shape[0] // len(coarse.left)
    return xp.astype(coarse.rates[k * m : (k + 1) * m, ...], dtype, copy=False), coarse.ratio
