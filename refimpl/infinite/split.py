"""K_∞ in the continuum for φ with a kink: the (t, s) square split along its diagonal.

Let φ' jump at 0, and θ be the angle between x and x̄. For small θ the field D = E[φ'(h_t)φ'(h̄_s)] looks like
1 − √(θ² + c (t − s)²) near t = s; for small ε = π − θ it looks like √(ε² + t² + s²) near t = s = 0. Gauss quadrature on
the square then converges algebraically. On the triangles s ≤ t and t ≤ s, in the coordinates of the module `triangle`,
all fields are analytic at θ = 0 (ε = 0), and some 32 × 16 nodes resolve them at every other angle. The module
`split_equations` solves on them; here the grid is refined until its answer stands still.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from refimpl.activations import Activation
from refimpl.errors import AccuracyError
from refimpl.infinite.remedies import remedy
from refimpl.infinite.split_equations import Equations, Problem, elementwise, positive, problem_of
from refimpl.quadrature import Host

LEVELS = ((16, 8), (24, 12), (32, 16), (40, 20), (48, 24), (56, 28))
"""Nodes (clustered, across) of the triangles that are tried, in this order."""

# At angles near 1/nodes² a level gains a factor of 3 to 5 only, with any sign. In 7,800 cases (ReLU, 120 angles, σ_w T
# from 0.5 to 7, five levels) the error beyond rounding was at most 3 times the change.
_SAFETY = 4


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
    _problem: Problem = field(repr=False)
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
            equations, coarse = Equations(problem, *nodes), values.copy()
            for part, fields in equations.fields(pairs):
                for value, nodal in zip(values, (fields.S, fields.Sigma, fields.P), strict=True):
                    value[part] = fields.grid.interpolate(nodal, t / problem.horizon)
            variance = equations.variance_size(pairs)
            sizes = np.stack([variance, variance, positive(np.abs(values[2]).max(axis=(1, 2), initial=0))])
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
    dual = elementwise(activation, rtol / 10)
    problem = problem_of(dual, activation.homogeneous, q11, q12, q22, (horizon, sigma_w, sigma_v))
    terms, rounding, error = np.full((3, len(q12)), np.nan), np.empty(len(q12)), np.empty(len(q12))
    pending = np.arange(len(q12))
    with np.errstate(all="ignore"):  # an overflow leaves a NaN, which no tolerance accepts
        for nodes in LEVELS:
            equations, coarse = Equations(problem, *nodes), terms[:, pending]
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
        f"q22={q22[worst]} (activation {activation.name!r}, horizon={horizon}, sigma_w={sigma_w}): {remedy(reached)}",
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
