"""Forward and adjoint solution under a Gauss scheme to a tolerance, rather than to rounding.

The stages are those of `refimpl.finite.forward` and `refimpl.finite.adjoint`; Picard's sweeps stop once what they would
still change is small against the tolerance, and start from a coarser solution where there is one.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from refimpl.backend import Array, Namespace, overflow_is_checked, slices
from refimpl.finite.adjoint import AdjointFlow
from refimpl.finite.climb import Climbed, Pace, Rates, climb
from refimpl.finite.forward import Flow, StageDivergenceError, check_end, combine, largest_size
from refimpl.finite.product import Product
from refimpl.finite.system import System
from refimpl.quadrature import gauss_legendre, lagrange
from refimpl.scheme import Scheme

BLOCK = 1 << 15
"""Weights that are squared at a time (256 KiB in float64)."""


@dataclass(frozen=True, eq=False)
class Solved:
    """What the sweeps of either equation leave behind.

    Parameters
    ----------
    rates : array, shape (m, n, N)
        W φ(h_j), or φ'(h_j) ⊙ Wᵀ λ_j, at all nodes.
    left : list of array, shape (n, N)
        What more sweeps would change at the far end of each step, in absolute value.
    paces : list of Pace
        How fast the sweeps of each step converged.
    """

    rates: Array
    left: list[Array]
    paces: list[Pace]

    def start(self, k: int) -> tuple[Array, Pace]:
        """Rates in step k, from which a solution with more nodes may start, and its pace."""
        m = self.rates.shape[0] // len(self.left)
        return self.rates[k * m : (k + 1) * m, ...], self.paces[k]


@dataclass(frozen=True, eq=False)
class Forward(Solved):
    """Forward solution."""

    flow: Flow


@dataclass(frozen=True, eq=False)
class Backward(Solved):
    """Adjoint solution, and Wᵀ λ_j at all nodes, (m, n, N)."""

    flow: AdjointFlow
    products: Array


class _ForwardStep:
    """Equation (1) in a step of some length from `start`."""

    def __init__(self, system: System, length: float, start: Array, rtol: float) -> None:
        self.system, self.length, self.start = system, length, start
        self.product = Product(system, rtol)
        self.slope = start  # φ' at the stages that `size` was last asked about, which are those of the solution

    def first(self) -> Array:
        """The rate at the start."""
        return self.system.xp.matmul(self.system.W, self.system.activation.phi(self.start))[None, ...]

    def rate(self, stages: Array, change: float) -> Rates:
        """W φ(h), and φ(h)."""
        value = _node_by_node(self.system, self.system.activation.phi, stages)
        return Rates(self.product(value, change), value)

    def size(self, stages: Array, value: Array) -> Array:
        """|h| and the root of Σ W_ij² (|φ| + |φ' h|)²: of what h is the sum, were it to lose its last digits."""
        xp = self.system.xp
        self.slope = _node_by_node(self.system, self.system.activation.dphi, stages)
        terms = xp.zeros_like(self.start)
        for j in range(stages.shape[0]):
            terms = xp.maximum(terms, xp.abs(value[j, ...]) + xp.abs(self.slope[j, ...] * stages[j, ...]))
        return xp.abs(self.start) + self.length * root_of_squares(self.system, terms)


class _BackwardStep:
    """Equation (3) in a step of some length back from λ = `end`, where φ'(h) is `slope` at the nodes."""

    def __init__(self, system: System, length: float, end: Array, slope: Array, rtol: float) -> None:
        self.system, self.length, self.end, self.slope = system, length, end, slope
        self.product = Product(system, rtol, transposed=True)

    def first(self, slope: Array) -> Array:
        """The rate at the end of the step, where φ'(h) is `slope`."""
        xp = self.system.xp
        return (slope * xp.matmul(xp.matrix_transpose(self.system.W), self.end))[None, ...]

    def rate(self, stages: Array, change: float) -> Rates:
        """φ'(h) ⊙ Wᵀ λ, and Wᵀ λ."""
        along = self.product(stages, change)
        return Rates(at_fewer_nodes(self.system.xp, self.slope, stages.shape[0]) * along, along)

    def size(self, stages: Array, _: Array) -> Array:
        """|λ| and |φ'| times the root of Σ W_ij² λ_i²."""
        xp = self.system.xp
        largest = root_of_squares(self.system, largest_size(xp, stages), transposed=True)
        return xp.abs(self.end) + self.length * largest_size(xp, self.slope) * largest


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
    xp, boundary = system.xp, [system.h0]
    solved, slopes = list[Climbed](), list[Array]()
    for k in range(scheme.steps):
        h = boundary[-1]
        equation = _ForwardStep(system, scheme.step, h, rtol)
        first, pace = (equation.first(), None) if coarse is None else coarse.start(k)
        step = climb(
            xp, h, scheme.step, first, equation.rate, equation.size, scheme.b.size, rtol, pace=pace, patient=patient
        )
        if step is None:
            raise StageDivergenceError(k * scheme.step, h)
        solved.append(step)
        slopes.append(equation.slope)
        boundary.append(step.end)
    check_end(system, scheme, boundary[-1])
    phi, rates = (_joined(xp, [getattr(step.rates, name) for step in solved]) for name in ("kept", "values"))
    flow = Flow(phi, _joined(xp, slopes), xp.stack(boundary))
    return Forward(rates, [step.left for step in solved], [step.pace for step in solved], flow)


@overflow_is_checked()
def backward(
    system: System, scheme: Scheme, flow: Flow, rtol: float, coarse: Backward | None = None, *, patient: bool = True
) -> Backward:
    """Solve (3) under `scheme` to `rtol` along `flow`; `coarse`, `patient` and errors as in `forward`."""
    xp, m, dphi = system.xp, scheme.b.size, system.activation.dphi
    boundary, solved = [system.terminal_adjoint(dphi(flow.terminal))], list[Climbed]()
    for k in range(scheme.steps - 1, -1, -1):
        lam = boundary[0]
        equation = _BackwardStep(system, scheme.step, lam, flow.dphi[k * m : (k + 1) * m, ...], rtol)
        if coarse is None:
            first, pace = equation.first(dphi(flow.boundary[k + 1, ...])), None
        else:
            first, pace = coarse.start(k)
        step = climb(
            xp, lam, scheme.step, first, equation.rate, equation.size, m, rtol, pace=pace, backward=True,
            patient=patient,
        )  # fmt: skip
        if step is None:
            raise StageDivergenceError(k * scheme.step, flow.boundary[k, ...])
        solved.insert(0, step)
        boundary.insert(0, step.end)
    stages = _joined(xp, [step.stages for step in solved])
    products, rates = (_joined(xp, [getattr(step.rates, name) for step in solved]) for name in ("kept", "values"))
    left, paces = [step.left for step in solved], [step.pace for step in solved]
    return Backward(rates, left, paces, AdjointFlow(stages, xp.stack(boundary)), products)


def at_fewer_nodes(xp: Namespace, values: Array, nodes: int) -> Array:
    """The polynomial through `values` (m, n, N) at the Gauss nodes of a step, at `nodes` Gauss nodes."""
    if values.shape[0] == nodes:
        return values
    return combine(xp, lagrange(values.shape[0], gauss_legendre(nodes)[0]), values)


def root_of_squares(system: System, terms: Array, *, transposed: bool = False) -> Array:
    """(Σ_j W_ij² terms_j²)^½, (n, N): what independent errors `terms` of φ make of W φ, and one alone exactly."""
    xp = system.xp
    W = xp.matrix_transpose(system.W) if transposed else system.W
    scale = xp.max(terms, axis=0, keepdims=True)
    scale = xp.where(scale == 0, xp.ones_like(scale), scale)
    shares = (terms / scale) ** 2
    sums = xp.empty_like(terms)
    for rows in slices(W.shape[0], max(1, BLOCK // W.shape[1])):
        sums[rows, :] = xp.matmul(W[rows, :] ** 2, shares)
    return xp.sqrt(sums) * scale


def _node_by_node(system: System, function: Callable[[Array], Array], stages: Array) -> Array:
    """`function` of (m, n, N), for one node after the other: what a node needs stays in the cache."""
    values = system.xp.empty_like(stages)
    for j in range(stages.shape[0]):
        values[j, ...] = function(stages[j, ...])
    return values


def _joined(xp: Namespace, parts: list[Array]) -> Array:
    """The nodes of all steps, one after the other."""
    return parts[0] if len(parts) == 1 else xp.concat(parts)
