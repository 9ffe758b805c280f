"""The equations of K_∞ on the two triangles of the split square, for many pairs of inputs at once.

    S(t,s) = q + σ_w² ∫_0^t ∫_0^s Σ,     P(t,s) = P_T + σ_w² ∫_t^T ∫_s^T D P,     P_T = σ_v² D(T,T)

They are of Volterra type: fixed-point iteration converges faster than any geometric series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refimpl.activations import Activation
from refimpl.backend import square
from refimpl.errors import AccuracyError
from refimpl.infinite.closed_forms import closed_form
from refimpl.infinite.sectors import sector_form
from refimpl.infinite.triangle import Triangle, triangle
from refimpl.quadrature import Host

Index: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
Elementwise: TypeAlias = Callable[[Host, Host, Host], tuple[Host, Host]]

MAX_SWEEPS = 200
"""Sweeps of the fixed-point iteration; about 10 + 3 σ_w T are needed."""

_EPS = float(np.finfo(np.float64).eps)
# Rounding of 1 − |cos θ|, of x·x̄ and the norms together.
_PARALLEL = 4 * _EPS
# A change that grows again below this is rounding.
_STAGNATION = 1e-11
# Entries of a field that are worked on at a time.
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class Problem:
    """Pairs with squared norms q[first] and q[second], covariance q12, and kernels to be multiplied by `scale`."""

    dual: Elementwise
    q: Host
    first: Index
    second: Index
    q12: Host
    scale: Host
    horizon: float
    sigma_w: float
    sigma_v: float

    @property
    def coupling(self) -> float:
        """σ_w² T², the factor of double integrals over the unit square."""
        return square(self.sigma_w * self.horizon)


def elementwise(activation: Activation, rtol: float) -> Elementwise:
    """(s₁, s₂, c) ↦ (E[φφ], E[φ'φ']), NaN where a coarse grid has led to arguments that are not finite."""
    form = closed_form(activation)
    if form is None and activation.kinks == (0.0,):
        form = sector_form(activation, rtol)
    if form is None:
        raise AccuracyError(
            f"no closed form of E[φ(a)φ(b)] is known for {activation.name!r}, and quadrature needs a kink at 0 and no "
            f"other, got kinks={activation.kinks}"
        )

    def defined(s1: Host, s2: Host, c: Host) -> tuple[Host, Host]:
        undefined = ~np.isfinite(s1 + s2 + c)
        if not bool(np.any(undefined)):
            return form(s1, s2, c)
        value, slope = form(*(np.where(undefined, 0, argument) for argument in (s1, s2, c)))
        return np.where(undefined, np.nan, value), np.where(undefined, np.nan, slope)

    return defined


def problem_of(
    dual: Elementwise, homogeneous: bool, q11: Host, q12: Host, q22: Host, network: tuple[float, float, float]
) -> Problem:
    """The problem of pairs with q11 = σ_u² x·x, q12 = σ_u² x·x̄, q22 = σ_u² x̄·x̄; network is (T, σ_w, σ_v)."""
    bound = np.sqrt(q11) * np.sqrt(q22)
    cosine = np.clip(np.divide(q12, bound, out=np.zeros_like(q12), where=bound > 0), -1, 1)
    cosine = np.where(1 - np.abs(cosine) <= _PARALLEL, np.sign(cosine), cosine)
    if homogeneous:  # K_∞(x, x̄) = |x||x̄| K_∞(x/|x|, x̄/|x̄|)
        scale, q11, q22 = bound, np.sign(q11), np.sign(q22)
    else:
        scale = np.ones_like(q12)
    q, index = np.unique(np.concatenate([q11, q22]), return_inverse=True)
    # For equal norms √q √q is not q to the last bit, and x = x̄ must have q12 = q.
    bound = np.where(q11 == q22, q11, np.sqrt(q11) * np.sqrt(q22))
    return Problem(dual, q, index[: len(q12)], index[len(q12) :], cosine * bound, scale, *network)


@dataclass(frozen=True, eq=False)
class Fields:
    """Fields of pairs at the nodes of a triangle, (sides, nodes, B); S(T, T), (B,); the three terms of K_∞, (3, B)."""

    grid: Triangle
    S: Host
    Sigma: Host
    P: Host
    end: Host
    terms: Host


class Equations:
    """The equations of a problem on the triangles of one resolution; the variances of all inputs are solved first."""

    def __init__(self, problem: Problem, graded: int, across: int) -> None:
        self.problem = problem
        self.near, self.opposite = triangle("diagonal", graded, across), triangle("corner", graded, across)
        inputs = np.arange(len(problem.q))
        self.variance, self.end = np.empty((graded, len(inputs))), np.empty(len(inputs))
        for part in parts(inputs, len(self.near.t)):
            self.variance[:, part], self.end[part] = self._variances(problem.q[part])
        self.kernel = np.empty(len(inputs))
        for part in parts(inputs, len(self.near.t)):
            self.kernel[part] = self._pairs(self.near, 1, part, part, problem.q[part]).terms.sum(axis=0)

    def fields(self, pairs: Index) -> Iterator[tuple[Index, Fields]]:
        """The fields of `pairs`, in parts of bounded size."""
        problem = self.problem
        symmetric, near = problem.first[pairs] == problem.second[pairs], problem.q12[pairs] >= 0
        for grid, here in ((self.near, near), (self.opposite, ~near)):
            for sides, group in ((1, pairs[here & symmetric]), (2, pairs[here & ~symmetric])):
                for part in parts(group, sides * len(grid.t)):
                    yield part, self._pairs(grid, sides, problem.first[part], problem.second[part], problem.q12[part])

    def size(self, pairs: Index) -> Host:
        """√(K_∞(x, x) K_∞(x̄, x̄))."""
        return positive(np.sqrt(self.kernel[self.problem.first[pairs]] * self.kernel[self.problem.second[pairs]]))

    def variance_size(self, pairs: Index) -> Host:
        """√(S(x, x) S(x̄, x̄)) at T."""
        return positive(np.sqrt(self.end[self.problem.first[pairs]]) * np.sqrt(self.end[self.problem.second[pairs]]))

    def rounding(self, pairs: Index, covariance: Host) -> Host:
        """Rounding error of K_∞, relative to `size`; `covariance` is S(T, T) of the pairs.

        An integral has the rounding of the largest values, near T, even where S is small, near 0. And if φ' jumps,
        D(T, T) has an infinite derivative in S(T, T) at θ = 0.
        """
        first, second = self.problem.first[pairs], self.problem.second[pairs]
        growth = self.end / positive(self.problem.q)
        noise = 4 * _EPS * np.maximum(1, np.maximum(growth[first], growth[second]))
        s1, s2 = self.end[first], self.end[second]
        moved = np.where(self._identical(first, second, self.problem.q12[pairs]), 0, noise * np.sqrt(s1) * np.sqrt(s2))
        slope, slope_moved = (self.problem.dual(s1, s2, c)[1] for c in (covariance, covariance - moved))
        slope1, slope2 = (self.problem.dual(s, s, s)[1] for s in (s1, s2))
        return 2 * noise + np.abs(slope - slope_moved) / positive(np.sqrt(slope1 * slope2))

    def _identical(self, first: Index, second: Index, q12: Host) -> Any:
        return (first == second) & (q12 == self.problem.q[first])

    def _variances(self, q: Host) -> tuple[Host, Host]:
        dual, coupling, grid = self.problem.dual, self.problem.coupling, self.near

        def following(Sigma: Host) -> Host:
            at_t, at_s = grid.at_times(q + coupling * grid.profile(Sigma))
            return dual(at_t[None], at_s[None], q + coupling * grid.forward(Sigma))[0]

        start = np.broadcast_to(dual(q, q, q)[0], (1, len(grid.t), len(q)))
        Sigma = fixed_point(following, start)
        return q + coupling * grid.profile(Sigma), q + coupling * grid.total(Sigma)

    def _pairs(self, grid: Triangle, sides: int, first: Index, second: Index, q12: Host) -> Fields:
        problem = self.problem
        coupling, readout = problem.coupling, square(problem.sigma_v)
        (first_t, first_s), (second_t, second_s) = (grid.at_times(self.variance[:, i]) for i in (first, second))
        s1, s2 = np.stack([first_t, first_s][:sides]), np.stack([second_s, second_t][:sides])

        end1, end2 = self.end[first], self.end[second]

        # Newton, with D = dΣ/dS (Price's theorem): the dual of ELU costs a hundred times what the integrals do.
        def newton(S: Host) -> Host:
            Sigma, D = problem.dual(s1, s2, S)
            residual = q12 + coupling * grid.forward(Sigma) - S
            return S + fixed_point(lambda step: residual + coupling * grid.forward(D * step), residual)

        S = fixed_point(newton, np.broadcast_to(q12, s1.shape), np.sqrt(end1) * np.sqrt(end2), tolerance=_STAGNATION)
        Sigma, D = problem.dual(s1, s2, S)
        # The angle at T of x = x̄ is 0, not the root of a rounding error.
        end = np.where(self._identical(first, second, q12), end1, q12 + coupling * grid.total(Sigma))
        Sigma_end, D_end = problem.dual(end1, end2, end)

        P_end = readout * D_end
        P = fixed_point(lambda P: P_end + coupling * grid.backward(D * P), np.broadcast_to(P_end, S.shape))
        P_start = P_end + coupling * grid.total(D * P)
        terms = np.stack([readout * Sigma_end, coupling * grid.total(Sigma * P), q12 * P_start])
        return Fields(grid, S, Sigma, P, end, terms)


def parts(index: Index, size: int) -> Iterator[Index]:
    """`index` in pieces for which fields of `size` values a pair fit in `_BLOCK`."""
    step = max(1, _BLOCK // size)
    return (index[i : i + step] for i in range(0, len(index), step))


def positive(values: Host) -> Host:
    """`values`, with 1 in the place of 0: of a divisor that is 0 only where the dividend is."""
    return np.where(values == 0, 1, values)


def fixed_point(
    following: Callable[[Host], Host], start: Host, size: Host | float = 0.0, tolerance: float = 2 * _EPS
) -> Host:
    """Fixed point of a map, column by column; NaN in the columns that do not converge."""
    value, change = start, np.full(start.shape[2], np.inf)
    settled = np.zeros(start.shape[2], bool)
    for _ in range(MAX_SWEEPS):
        new = following(value)
        scale = np.maximum(np.abs(new).max(axis=(0, 1)), size)
        previous, change = change, np.abs(new - value).max(axis=(0, 1)) / positive(scale)
        value = new
        settled |= (change <= tolerance) | ((change >= previous) & (change <= _STAGNATION))
        if bool(np.all(settled | np.isnan(change))):
            break
    return np.where(settled, value, np.nan)
