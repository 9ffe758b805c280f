"""Forward and adjoint solution under a Gauss scheme to a tolerance, rather than to rounding.

The stages are those of `refimpl.finite.forward` and `refimpl.finite.adjoint`; Picard's sweeps stop once what they would
still change is small against the tolerance, and start from a coarser solution where there is one.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from refimpl.activations import is_builtin
from refimpl.backend import Array, Namespace, overflow_is_checked, slices
from refimpl.finite.climb import Climbed, Pace, Rates, again, climb
from refimpl.finite.forward import StageDivergenceError, check_end, combine, largest_size
from refimpl.finite.legendre import Expansion, expand
from refimpl.finite.product import Product
from refimpl.finite.rows import in_blocks, norms, rows_of
from refimpl.finite.system import LARGEST_SINGLE, SMALLEST_SINGLE, System, all_seen
from refimpl.quadrature import gauss_legendre, lagrange
from refimpl.scheme import Scheme

CLOSER = 16.0
"""How many times closer than they have to quick sweeps get to the scheme.

What the estimate of the worst sample lets pass is a scheme that is far better for the others, and sweeps that get as
close to it are cheaper than one more node.
"""

NEURONS = 256
"""Neurons whose weights are squared at a time."""


@dataclass(frozen=True, eq=False)
class Solved:
    """What the sweeps of either equation leave behind.

    Parameters
    ----------
    products : array, shape (m, N, n)
        W φ(h_j), or Wᵀ λ_j, at all nodes.
    left : list of array, shape (N, n)
        What more sweeps would change at the far end of each step, in absolute value.
    paces : list of Pace
        How fast the sweeps of each step converged.
    """

    products: Array
    left: list[Array]
    paces: list[Pace]

    def inside(self, k: int) -> slice:
        """The nodes of step k."""
        m = self.products.shape[0] // len(self.left)
        return slice(k * m, (k + 1) * m)


@dataclass(frozen=True, eq=False)
class Forward(Solved):
    """Forward solution.

    Parameters
    ----------
    phi : array, shape (steps, m, N, n)
        φ(h), by the coefficients of `refimpl.finite.legendre`.
    largest_phi : array, shape (steps, N)
        The largest |φ(h_j)| in every step.
    dphi : array, shape (m, N, n)
        φ'(h_j) at all nodes.
    boundary : array, shape (steps + 1, N, n)
        h at the ends of the steps, h_0 first and h_T last.
    """

    phi: Array
    largest_phi: Array
    dphi: Array
    boundary: Array


@dataclass(frozen=True, eq=False)
class Backward(Solved):
    """Adjoint solution.

    Parameters
    ----------
    largest_adjoint : array, shape (steps, N)
        The largest |λ_j| in every step.
    boundary : array, shape (steps + 1, N, n)
        λ at the ends of the steps, λ_0 first and λ_T last.
    gradient : Expansion
        Of ∂f/∂W.
    """

    largest_adjoint: Array
    boundary: Array
    gradient: Expansion


class _ForwardStep:
    """Equation (1) in a step of some length from `start`."""

    def __init__(self, system: System, length: float, start: Array, rtol: float) -> None:
        self.system, self.length, self.start = system, length, start
        self.single = _has_room(system, start)
        self.product = Product(system, rtol, room=self.single)
        self.slope = start  # φ' at the stages that `size` was last asked about, which are those of the solution

    def first(self) -> Array:
        """The rate at the start."""
        return self.rate(_as_single(self, self.start)[None, ...], math.inf).values

    def rate(self, stages: Array, change: float) -> Rates:
        """W φ(h), and φ(h)."""
        value = in_blocks(self.system.xp, self.system.activation.phi, stages)
        return Rates(self.product(value, change), value)

    def size(self, stages: Array, value: Array) -> Array:
        """|h| and the root of Σ W_ij² (|φ| + |φ' h|)²: of what h is the sum, were it to lose its last digits."""
        xp = self.system.xp
        self.slope = in_blocks(xp, self.system.activation.dphi, stages)
        terms = xp.zeros_like(self.start)
        for j in range(stages.shape[0]):
            terms = xp.maximum(terms, xp.abs(value[j, ...]) + xp.abs(self.slope[j, ...] * stages[j, ...]))
        return xp.abs(self.start) + self.length * root_of_squares(self.system, terms)


class _BackwardStep:
    """Equation (3) in a step of some length back from λ = `end`, where φ'(h) is `slope` at the nodes."""

    def __init__(self, system: System, length: float, end: Array, slope: Array, rtol: float) -> None:
        self.system, self.length, self.end, self.slope = system, length, end, slope
        self.single = _has_room(system, end)
        self.rough_slope = _as_single(self, slope)
        self.product = Product(system, rtol, transposed=True, room=self.single)

    def first(self, slope: Array) -> Array:
        """The rate at the end of the step, where φ'(h) is `slope`."""
        return (_as_single(self, slope) * self.product(_as_single(self, self.end), math.inf))[None, ...]

    def rate(self, stages: Array, change: float) -> Rates:
        """φ'(h) ⊙ Wᵀ λ, and Wᵀ λ."""
        along = self.product(stages, change)
        slope = self.slope if stages.dtype == self.slope.dtype else self.rough_slope
        return Rates(at_fewer_nodes(self.system.xp, slope, stages.shape[0]) * along, along)

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
    xp, boundary = system.xp, [rows_of(system.xp, system.h0)]
    solved, slopes = list[Climbed](), list[Array]()
    for k in range(scheme.steps):
        h = boundary[-1]
        equation = _ForwardStep(system, scheme.step, h, rtol)
        if coarse is None:
            first, pace = equation.first(), None
        else:
            first, pace = coarse.products[coarse.inside(k), ...], coarse.paces[k]
        step = climb(
            xp, h, scheme.step, first, equation.rate, equation.size, scheme.b.size, rtol, pace=pace, patient=patient,
            single=equation.single, closer=CLOSER,
        )  # fmt: skip
        if step is None:
            raise StageDivergenceError(k * scheme.step, h.T)
        slopes.append(equation.slope)
        del equation  # and what it remembers of the sweep before
        stages = again(xp, step, h, scheme.step)
        value = in_blocks(xp, system.activation.phi, stages)
        solved.append(step._replace(stages=stages, rates=Rates(step.rates.values, value)))
        boundary.append(step.end)
    check_end(system, scheme, boundary[-1].T)
    left, paces = [step.left for step in solved], [step.pace for step in solved]
    phi, products = (_joined(xp, [getattr(step.rates, name) for step in solved]) for name in ("kept", "values"))
    phi, largest = expand(xp, scheme.b.size, phi), _largest(xp, [step.rates.kept for step in solved])
    return Forward(products, left, paces, phi, largest, _joined(xp, slopes), xp.stack(boundary))


@overflow_is_checked()
def backward(
    system: System, scheme: Scheme, solution: Forward, rtol: float, coarse: Backward | None = None, *,
    patient: bool = True,
) -> Backward:  # fmt: skip
    """Solve (3) under `scheme` to `rtol` along `solution`; `coarse`, `patient` and errors as in `forward`."""
    xp, m, dphi = system.xp, scheme.b.size, system.activation.dphi
    boundary, solved = [dphi(solution.boundary[-1, ...]) * system.v], list[Climbed]()
    for k in range(scheme.steps - 1, -1, -1):
        lam = boundary[0]
        equation = _BackwardStep(system, scheme.step, lam, solution.dphi[k * m : (k + 1) * m, ...], rtol)
        if coarse is None:
            first, pace = equation.first(dphi(solution.boundary[k + 1, ...])), None
        else:
            products, pace = coarse.products[coarse.inside(k), ...], coarse.paces[k]
            first = at_fewer_nodes(xp, equation.slope, products.shape[0]) * products
        step = climb(
            xp, lam, scheme.step, first, equation.rate, equation.size, m, rtol, pace=pace, backward=True,
            patient=patient, single=equation.single, closer=CLOSER,
        )  # fmt: skip
        if step is None:
            raise StageDivergenceError(k * scheme.step, solution.boundary[k, ...].T)
        del equation  # and what it remembers of the sweep before
        solved.insert(0, step._replace(stages=again(xp, step, lam, scheme.step, backward=True)))
        boundary.insert(0, step.end)
    left, paces = [step.left for step in solved], [step.pace for step in solved]
    adjoint = expand(xp, m, _joined(xp, [step.stages for step in solved]), scheme.step)
    largest = _largest(xp, [step.stages for step in solved])
    products = _joined(xp, [step.rates.kept for step in solved])
    return Backward(products, left, paces, largest, xp.stack(boundary), Expansion(solution.phi, adjoint))


def at_fewer_nodes(xp: Namespace, values: Array, nodes: int) -> Array:
    """The polynomial through `values` (m, N, n) at the Gauss nodes of a step, at `nodes` Gauss nodes."""
    if values.shape[0] == nodes:
        return values
    return combine(xp, lagrange(values.shape[0], gauss_legendre(nodes)[0]), values)


def root_of_squares(system: System, terms: Array, *, transposed: bool = False) -> Array:
    """(Σ_j W_ij² terms_j²)^½, (N, n): what independent errors `terms` of φ make of W φ, and one alone exactly.

    To a few digits, in single precision where no square is lost.
    """
    xp = system.xp
    scale = xp.max(terms, axis=1, keepdims=True)
    scale = xp.where(scale == 0, xp.ones_like(scale), scale)
    shares, W = terms / scale, system.W
    if system.squares_have_room and all_seen(xp, shares):
        shares, W = xp.astype(shares, xp.float32), system.single_weights
    shares, W = shares**2, W if transposed else xp.matrix_transpose(W)
    sums = xp.empty_like(shares)
    for columns in slices(W.shape[1], NEURONS):
        sums[:, columns] = xp.matmul(shares, W[:, columns] ** 2)
    return xp.astype(xp.sqrt(sums), terms.dtype, copy=False) * scale


def _has_room(system: System, start: Array) -> bool:
    """Whether the first sweeps may run in single precision; of a φ of the user only its own precision is known."""
    if system.single_weights is None or not is_builtin(system.activation.phi):
        return False
    xp = system.xp
    sizes = xp.max(xp.abs(start), axis=-1)
    return bool(xp.all((sizes > SMALLEST_SINGLE) & (sizes < LARGEST_SINGLE)))


def _as_single(equation: _ForwardStep | _BackwardStep, values: Array) -> Array:
    """`values` in the precision of the first sweeps."""
    return equation.system.xp.astype(values, equation.system.xp.float32) if equation.single else values


def _largest(xp: Namespace, values: list[Array]) -> Array:
    """The largest norm of each sample in each of the `values` (m, N, n), relative to which nothing underflows."""
    return xp.stack([xp.max(norms(xp, of_step), axis=0) for of_step in values])


def _joined(xp: Namespace, parts: list[Array]) -> Array:
    """The nodes of all steps, one after the other."""
    return parts[0] if len(parts) == 1 else xp.concat(parts)
