"""K_∞ in the continuum for φ with a kink: the (t, s) square split along its diagonal.

Let φ' jump at 0, and θ be the angle between x and x̄. For small θ the field D = E[φ'(h_t)φ'(h̄_s)] looks like
1 − √(θ² + c (t − s)²) near t = s; for small ε = π − θ it looks like √(ε² + t² + s²) near t = s = 0. Gauss quadrature on
the square then converges algebraically. On the triangles s ≤ t and t ≤ s, in the coordinates of the module `triangle`,
all fields are analytic at θ = 0 (ε = 0), and some 32 × 16 nodes resolve them at every other angle. The equations

    S(t,s) = q + σ_w² ∫_0^t ∫_0^s Σ,     P(t,s) = P_T + σ_w² ∫_t^T ∫_s^T D P,     P_T = σ_v² D(T,T)

are of Volterra type: fixed-point iteration converges faster than any geometric series.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from refimpl.activations import Activation
from refimpl.errors import AccuracyError
from refimpl.infinite.closed_forms import closed_form
from refimpl.infinite.sectors import sector_form
from refimpl.infinite.triangle import Triangle, triangle
from refimpl.quadrature import Host

Index: TypeAlias = np.ndarray[Any, np.dtype[np.intp]]
Elementwise: TypeAlias = Callable[[Host, Host, Host], tuple[Host, Host]]

LEVELS = ((16, 8), (24, 12), (32, 16), (40, 20), (48, 24), (56, 28))
"""Nodes (clustered, across) of the triangles that are tried, in this order."""

MAX_SWEEPS = 200
"""Sweeps of the fixed-point iteration; about 10 + 3 σ_w T are needed."""

_EPS = float(np.finfo(np.float64).eps)
# Rounding of 1 − |cos θ|, of x·x̄ and the norms together.
_PARALLEL = 4 * _EPS
# At angles near 1/nodes² a level gains a factor of 3 to 5 only, with any sign. In 7,800 cases (ReLU, 120 angles, σ_w T
# from 0.5 to 7, five levels) the error beyond rounding was at most 3 times the change.
_SAFETY = 4
# A change that grows again below this is rounding.
_STAGNATION = 1e-11
# Entries of a field that are worked on at a time.
_BLOCK = 1 << 18


@dataclass(frozen=True, eq=False)
class SplitSolution:
    """K_∞ of pairs of inputs, from `solve_split`.

    Attributes
    ----------
    kernel, nngp : ndarray, shape (B,)
        K_∞(x, x̄), and NNGP(x, x̄) = σ_v² Σ(T, T).
    error : ndarray, shape (B,)
        Estimate of the error of `kernel`, relative to √(K_∞(x, x) K_∞(x̄, x̄)), from the change that the last refinement
        of the grid made, and from rounding.
    """

    kernel: Host
    nngp: Host
    error: Host
    _problem: _Problem = field(repr=False)
    _rtol: float = field(repr=False)

    def at(self, t: Host) -> tuple[Host, Host, Host]:
        """S, Σ and P on the tensor grid t × t.

        A solution holds no more than its kernels: the fields are computed anew, on finer and finer grids, until two
        agree to `rtol`, relative to √(S(x, x) S(x̄, x̄)) at T for S and Σ, and to the largest value for P.

        Parameters
        ----------
        t : ndarray, shape (M,)
            Times in [0, T]; the first index is that of x, the second that of x̄.

        Returns
        -------
        S, Sigma, P : ndarray, shape (B, M, M)

        Raises
        ------
        ValueError
            `t` is not one-dimensional, or leaves [0, T].
        AccuracyError
            The finest grid does not reach `rtol`.
        """
        problem = self._problem
        if t.ndim != 1 or not bool(np.all((t >= 0) & (t <= problem.horizon))):
            raise ValueError(f"t must have shape (M,) and hold times in [0, {problem.horizon}], got {t!r}")
        pairs = np.arange(len(self.kernel))
        values, reached = np.full((3, len(pairs), len(t), len(t)), np.nan), np.inf
        for nodes in LEVELS:
            equations, coarse = _Equations(problem, *nodes), values.copy()
            for part, fields in equations.fields(pairs):
                for value, nodal in zip(values, (fields.S, fields.Sigma, fields.P), strict=True):
                    value[part] = fields.grid.interpolate(nodal, t / problem.horizon)
            variance = equations.variance_size(pairs)
            sizes = np.stack([variance, variance, _positive(np.abs(values[2]).max(axis=(1, 2), initial=0))])
            reached = np.max(np.abs(values - coarse) / sizes[:, :, None, None], initial=0)
            if reached <= self._rtol:
                scale = problem.scale[:, None, None]
                return scale * values[0], scale * values[1], values[2]
        raise AccuracyError(f"rtol={self._rtol:.1e} was asked for, the fields reach {reached:.1e}", reached=reached)


def solve_split(
    activation: Activation,
    q11: Host,
    q12: Host,
    q22: Host,
    *,
    horizon: float,
    sigma_w: float,
    sigma_v: float,
    rtol: float,
) -> SplitSolution:
    """K_∞(x, x̄) in the continuum, for activations with a kink at 0.

    Parameters
    ----------
    activation : Activation
        ReLU, leaky ReLU, ELU, or any other that is smooth except at 0. (The last are slow: their E[φφ] is a quadrature.
        Analytic ones with a closed form are possible, but need no splitting.)
    q11, q12, q22 : ndarray, shape (B,)
        σ_u²|x|², σ_u² x·x̄ and σ_u²|x̄|² of every pair, in double precision.
    horizon, sigma_w, sigma_v : float
        T > 0, σ_w ≥ 0 and σ_v ≥ 0.
    rtol : float
        Accuracy asked for, relative to √(K_∞(x, x) K_∞(x̄, x̄)).

    Returns
    -------
    SplitSolution

    Raises
    ------
    ValueError
        An argument of a wrong shape or value, or |q12| > √(q11 q22) by more than rounding.
    AccuracyError
        The finest grid, or double precision, does not reach `rtol`; `reached` is the largest estimate. If φ' jumps, K_∞
        at a small angle θ depends on q12 with condition number 1/θ: an error near eps/θ is the best there is.
        Or φ has a kink away from 0.

    Notes
    -----
    Directions that agree (or are opposite) to within rounding, 1 − |cos θ| ≤ 4 eps, count as equal (opposite): for
    x = x̄ the angle must be exactly 0.

    Examples
    --------
    >>> import numpy as np
    >>> from refimpl import activations
    >>> one = np.ones(2)
    >>> pairs = solve_split(
    ...     activations.relu, one, np.asarray([1.0, 0.0]), one, horizon=1.0, sigma_w=1.0, sigma_v=1.0, rtol=1e-11
    ... )
    >>> pairs.kernel.round(11).tolist()
    [1.86291825409, 0.35785678946]
    """
    _check(q11, q12, q22, horizon, sigma_w, sigma_v, rtol)
    dual = _elementwise(activation, rtol / 10)
    problem = _problem(dual, activation.homogeneous, q11, q12, q22, (horizon, sigma_w, sigma_v))
    terms, rounding, error = np.full((3, len(q12)), np.nan), np.empty(len(q12)), np.empty(len(q12))
    pending = np.arange(len(q12))
    with np.errstate(all="ignore"):  # an overflow leaves a NaN, which no tolerance accepts
        for nodes in LEVELS:
            equations, coarse = _Equations(problem, *nodes), terms[:, pending]
            for part, fields in equations.fields(pending):
                terms[:, part], rounding[part] = fields.terms, equations.rounding(part, fields.end)
            change = np.abs(terms[:, pending] - coarse).sum(axis=0) / equations.size(pending)
            error[pending] = _SAFETY * change + rounding[pending]
            pending = pending[~(error[pending] <= rtol)]
            if len(pending) == 0:
                kernel, nngp = problem.scale * terms.sum(axis=0), problem.scale * terms[0]
                return SplitSolution(kernel, nngp, error, problem, rtol)
    worst = pending[np.argmax(np.nan_to_num(error[pending], nan=np.inf))]
    reached = float(np.nan_to_num(error[worst], nan=np.inf))
    raise AccuracyError(
        f"rtol={rtol:.1e} was asked for, {reached:.1e} was reached at q11={q11[worst]}, q12={q12[worst]}, "
        f"q22={q22[worst]} (activation {activation.name!r}, horizon={horizon}, sigma_w={sigma_w})",
        reached=reached,
    )


def _check(q11: Host, q12: Host, q22: Host, horizon: float, sigma_w: float, sigma_v: float, rtol: float) -> None:
    for name, q, least in (("q11", q11, 0.0), ("q12", q12, -np.inf), ("q22", q22, 0.0)):
        if q.ndim != 1 or q.shape != q12.shape or q.dtype != np.float64:
            raise ValueError(f"{name} must be float64 and have the shape (B,) of q12, got {q.dtype} of shape {q.shape}")
        if not bool(np.all(np.isfinite(q) & (q >= least))):
            raise ValueError(f"{name} must hold finite values >= {least}, got {q[~(np.isfinite(q) & (q >= least))][0]}")
    excess = np.abs(q12) - np.sqrt(q11) * np.sqrt(q22) * (1 + 1e-12)
    if bool(np.any(excess > 0)):
        k = int(np.argmax(excess))
        raise ValueError(f"|q12| must be <= sqrt(q11 q22), got q11={q11[k]}, q12={q12[k]}, q22={q22[k]}")
    if not (np.isfinite(horizon) and horizon > 0):
        raise ValueError(f"horizon must be finite and > 0, got {horizon!r}")
    for name, sigma in (("sigma_w", sigma_w), ("sigma_v", sigma_v)):
        if not (np.isfinite(sigma) and sigma >= 0):
            raise ValueError(f"{name} must be finite and >= 0, got {sigma!r}")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must be in (0, 1), got {rtol!r}")


@dataclass(frozen=True, eq=False)
class _Problem:
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
        return (self.sigma_w * self.horizon) ** 2


def _elementwise(activation: Activation, rtol: float) -> Elementwise:
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


def _problem(
    dual: Elementwise, homogeneous: bool, q11: Host, q12: Host, q22: Host, network: tuple[float, float, float]
) -> _Problem:
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
    return _Problem(dual, q, index[: len(q12)], index[len(q12) :], cosine * bound, scale, *network)


@dataclass(frozen=True, eq=False)
class _Fields:
    """Fields of pairs at the nodes of a triangle, (sides, nodes, B); S(T, T), (B,); the three terms of K_∞, (3, B)."""

    grid: Triangle
    S: Host
    Sigma: Host
    P: Host
    end: Host
    terms: Host


class _Equations:
    """The equations of a problem on the triangles of one resolution; the variances of all inputs are solved first."""

    def __init__(self, problem: _Problem, graded: int, across: int) -> None:
        self.problem = problem
        self.near, self.opposite = triangle("diagonal", graded, across), triangle("corner", graded, across)
        inputs = np.arange(len(problem.q))
        self.variance, self.end = np.empty((graded, len(inputs))), np.empty(len(inputs))
        for part in _parts(inputs, len(self.near.t)):
            self.variance[:, part], self.end[part] = self._variances(problem.q[part])
        self.kernel = np.empty(len(inputs))
        for part in _parts(inputs, len(self.near.t)):
            self.kernel[part] = self._pairs(self.near, 1, part, part, problem.q[part]).terms.sum(axis=0)

    def fields(self, pairs: Index) -> Iterator[tuple[Index, _Fields]]:
        """The fields of `pairs`, in parts of bounded size."""
        problem = self.problem
        symmetric, near = problem.first[pairs] == problem.second[pairs], problem.q12[pairs] >= 0
        for grid, here in ((self.near, near), (self.opposite, ~near)):
            for sides, group in ((1, pairs[here & symmetric]), (2, pairs[here & ~symmetric])):
                for part in _parts(group, sides * len(grid.t)):
                    yield part, self._pairs(grid, sides, problem.first[part], problem.second[part], problem.q12[part])

    def size(self, pairs: Index) -> Host:
        """√(K_∞(x, x) K_∞(x̄, x̄))."""
        return _positive(np.sqrt(self.kernel[self.problem.first[pairs]] * self.kernel[self.problem.second[pairs]]))

    def variance_size(self, pairs: Index) -> Host:
        """√(S(x, x) S(x̄, x̄)) at T."""
        return _positive(np.sqrt(self.end[self.problem.first[pairs]]) * np.sqrt(self.end[self.problem.second[pairs]]))

    def rounding(self, pairs: Index, covariance: Host) -> Host:
        """Rounding error of K_∞, relative to `size`; `covariance` is S(T, T) of the pairs.

        An integral has the rounding of the largest values, near T, even where S is small, near 0. And if φ' jumps,
        D(T, T) has an infinite derivative in S(T, T) at θ = 0.
        """
        first, second = self.problem.first[pairs], self.problem.second[pairs]
        growth = self.end / _positive(self.problem.q)
        noise = 4 * _EPS * np.maximum(1, np.maximum(growth[first], growth[second]))
        s1, s2 = self.end[first], self.end[second]
        moved = np.where(self._identical(first, second, self.problem.q12[pairs]), 0, noise * np.sqrt(s1) * np.sqrt(s2))
        slope, slope_moved = (self.problem.dual(s1, s2, c)[1] for c in (covariance, covariance - moved))
        slope1, slope2 = (self.problem.dual(s, s, s)[1] for s in (s1, s2))
        return 2 * noise + np.abs(slope - slope_moved) / _positive(np.sqrt(slope1 * slope2))

    def _identical(self, first: Index, second: Index, q12: Host) -> Any:
        return (first == second) & (q12 == self.problem.q[first])

    def _variances(self, q: Host) -> tuple[Host, Host]:
        dual, coupling, grid = self.problem.dual, self.problem.coupling, self.near

        def following(Sigma: Host) -> Host:
            at_t, at_s = grid.at_times(q + coupling * grid.profile(Sigma))
            return dual(at_t[None], at_s[None], q + coupling * grid.forward(Sigma))[0]

        start = np.broadcast_to(dual(q, q, q)[0], (1, len(grid.t), len(q)))
        Sigma = _fixed_point(following, start)
        return q + coupling * grid.profile(Sigma), q + coupling * grid.total(Sigma)

    def _pairs(self, grid: Triangle, sides: int, first: Index, second: Index, q12: Host) -> _Fields:
        problem = self.problem
        coupling, readout = problem.coupling, problem.sigma_v**2
        (first_t, first_s), (second_t, second_s) = (grid.at_times(self.variance[:, i]) for i in (first, second))
        s1, s2 = np.stack([first_t, first_s][:sides]), np.stack([second_s, second_t][:sides])

        end1, end2 = self.end[first], self.end[second]

        # Newton, with D = dΣ/dS (Price's theorem): the dual of ELU costs a hundred times what the integrals do.
        def newton(S: Host) -> Host:
            Sigma, D = problem.dual(s1, s2, S)
            residual = q12 + coupling * grid.forward(Sigma) - S
            return S + _fixed_point(lambda step: residual + coupling * grid.forward(D * step), residual)

        S = _fixed_point(newton, np.broadcast_to(q12, s1.shape), np.sqrt(end1) * np.sqrt(end2), tolerance=_STAGNATION)
        Sigma, D = problem.dual(s1, s2, S)
        # The angle at T of x = x̄ is 0, not the root of a rounding error.
        end = np.where(self._identical(first, second, q12), end1, q12 + coupling * grid.total(Sigma))
        Sigma_end, D_end = problem.dual(end1, end2, end)

        P_end = readout * D_end
        P = _fixed_point(lambda P: P_end + coupling * grid.backward(D * P), np.broadcast_to(P_end, S.shape))
        P_start = P_end + coupling * grid.total(D * P)
        terms = np.stack([readout * Sigma_end, coupling * grid.total(Sigma * P), q12 * P_start])
        return _Fields(grid, S, Sigma, P, end, terms)


def _parts(index: Index, size: int) -> Iterator[Index]:
    """`index` in pieces for which fields of `size` values a pair fit in `_BLOCK`."""
    step = max(1, _BLOCK // size)
    return (index[i : i + step] for i in range(0, len(index), step))


def _positive(values: Host) -> Host:
    """`values`, with 1 in the place of 0: of a divisor that is 0 only where the dividend is."""
    return np.where(values == 0, 1, values)


def _fixed_point(
    following: Callable[[Host], Host], start: Host, size: Host | float = 0.0, tolerance: float = 2 * _EPS
) -> Host:
    """Fixed point of a map, column by column; NaN in the columns that do not converge."""
    value, change = start, np.full(start.shape[2], np.inf)
    settled = np.zeros(start.shape[2], bool)
    for _ in range(MAX_SWEEPS):
        new = following(value)
        scale = np.maximum(np.abs(new).max(axis=(0, 1)), size)
        previous, change = change, np.abs(new - value).max(axis=(0, 1)) / _positive(scale)
        value = new
        settled |= (change <= tolerance) | ((change >= previous) & (change <= _STAGNATION))
        if bool(np.all(settled | np.isnan(change))):
            break
    return np.where(settled, value, np.nan)
