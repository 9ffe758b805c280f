"""K_∞ and NNGP of one pair in multiprecision: the equations for S, Σ, D and P by Gauss collocation on all of [0, T].

A ladder of more and more nodes: each solution starts the next, and the last differences bound the error. Kinked
activations, whose Σ and D are not smooth on the square [0, T]², are in `refimpl.oracle.kinked`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TypeAlias

import numpy as np

from refimpl.errors import AccuracyError
from refimpl.oracle import kinked
from refimpl.oracle.collocation import Nodes, gauss
from refimpl.oracle.duals import AT_REST, CLOSED, PARTS, Form, Hermite, matrix
from refimpl.oracle.elu import elu
from refimpl.oracle.fixed import Fixed, Ints
from refimpl.oracle.series import KINKED, Context, Number

LADDER = (10, 16, 22, 28, 34, 42, 52, 64, 80)
"""Numbers of nodes."""

KINKED_LADDER = (7, 10, 13, 16)
"""The same for kinked activations, in each of two directions."""

LOOSEST = 1e-9
"""Largest relative error that is given out."""

SWEEPS = 400
"""Iterations after which S, or P, counts as not converging."""

Triple: TypeAlias = tuple[Number, Number, Number]
Found: TypeAlias = tuple[int, int, int]
"""K_∞, NNGP, and the size that their errors are compared with."""

Dual: TypeAlias = Callable[[Ints, Ints, Ints], Ints]


@dataclass(frozen=True)
class LimitAnswer:
    """K_∞ and NNGP of one pair.

    Parameters
    ----------
    ntk, nngp : mpf
    error : mpf
        Absolute bound of the errors of both; an estimate, from different resolutions.
    """

    ntk: Number
    nngp: Number
    error: Number


@dataclass(frozen=True)
class Pair:
    """What one pair and one network have in fixed point.

    Parameters
    ----------
    fx : Fixed
    activation : str
    q : (3,) ints
        σ_u² times the inner products x.x, x.xbar, xbar.xbar.
    horizon, weight, out : int
        T, σ_w² and σ_v².
    """

    fx: Fixed
    activation: str
    q: Ints
    horizon: int
    weight: int
    out: int

    def form(self, angles: int) -> Form:
        """The closed form; that of ELU with `angles` nodes of its own."""
        return elu(angles) if self.activation == "elu" else CLOSED[self.activation]

    def duals(self, tolerance: float) -> tuple[Dual, Dual]:
        """Σ and D as functions of the variances (m,), (n,) and the covariance (m, n)."""
        fx = self.fx
        if self.activation in PARTS:
            return Hermite(fx, self.activation, False, tolerance), Hermite(fx, self.activation, True, tolerance)
        form = self.form(32)

        def dual(part: int, s1: Ints, s2: Ints, c: Ints) -> Ints:
            return matrix(lambda i, j: form(fx, s1[i], s2[j], c[i, j])[part], len(s1), len(s2), s1 is s2)

        return partial(dual, 0), partial(dual, 1)


@dataclass(frozen=True)
class Tableau:
    """A scheme (A, b) on [0, T] and its adjoint tableau Â_ji = b_i a_ij / b_j."""

    A: Ints
    b: Ints
    adjoint: Ints


def limit(ctx: Context, activation: str, horizon: Number, sigmas: Triple, inner: Triple) -> LimitAnswer:
    """K_∞ and NNGP of the Neural ODE.

    Parameters
    ----------
    ctx : mpmath.MPContext
    activation : str
        Name of a built-in activation.
    horizon : mpf
    sigmas : (sigma_u, sigma_w, sigma_v)
    inner : (x.x, x.xbar, xbar.xbar)

    Raises
    ------
    AccuracyError
        An error above 1e-9 relative, as where S escapes to infinity before `horizon`.
    ValueError
        An activation that the oracle does not know.

    Examples
    --------
    For the identity K_∞ = q σ_v² (2 I₀(2Z) + Z I₁(2Z)) with Z = σ_w T:

    >>> from mpmath import MPContext
    >>> ctx = MPContext()
    >>> one = ctx.one
    >>> found = limit(ctx, "identity", one, (one, one, one), (one, one / 2, one))
    >>> bool(abs(found.ntk - ctx.besseli(0, 2) - ctx.besseli(1, 2) / 2) < 1e-15)
    True
    """
    pair = pair_of(ctx, activation, horizon, sigmas, inner)
    if _rests(pair):
        return LimitAnswer(ctx.zero, ctx.zero, ctx.zero)
    if activation in KINKED:
        return _kinked(pair)
    return _smooth(pair)


def limit_resnet(
    ctx: Context, activation: str, horizon: Number, sigmas: Triple, inner: Triple, depth: int
) -> LimitAnswer:
    """K_∞^L and NNGP of the residual network (6) with L = `depth` layers, which share their weights.

    The equations are those of `limit` with the tableau of Euler's method, and end after L sweeps. Parameters and
    exceptions are those of `limit`.

    Examples
    --------
    >>> from mpmath import MPContext
    >>> ctx = MPContext()
    >>> one = ctx.one
    >>> limit_resnet(ctx, "identity", one, (one, one, one), (one, one / 2, one), 1).ntk  # q (2 (1 + T²) + T²)
    mpf('2.5')
    """
    pair = pair_of(ctx, activation, horizon, sigmas, inner)
    if _rests(pair):
        return LimitAnswer(ctx.zero, ctx.zero, ctx.zero)
    fx, step = pair.fx, pair.horizon // depth
    A = np.asarray([[step if j < i else 0 for j in range(depth)] for i in range(depth)], object)
    tableau = Tableau(A, np.asarray([step] * depth, object), A.T)
    target = 1e-26
    found = [_kernels(pair, tableau, covariances(pair, tableau, tol, None, 0.0), tol, 0.0)
             for tol in ((1e-20, target) if activation in PARTS else (target,))]  # fmt: skip
    scale = _scale(found)
    apart = max(abs(float(a - b)) for a, b in zip(found[0][:2], found[-1][:2], strict=True))
    determinant, product = pair.q[0] * pair.q[2] - pair.q[1] ** 2, pair.q[0] * pair.q[2]
    if pair.activation in KINKED and pair.q[0] != pair.q[2] and abs(determinant) << 20 < product:
        target = 1e-20  # the square root in D halves the digits where the inputs are parallel but not equal
    return _answer(fx, found[-1], 1e-4 * apart + 30 * target * scale, scale)


def _smooth(pair: Pair) -> LimitAnswer:
    target = 1e-28 if pair.activation in CLOSED else 1e-25
    if pair.activation in PARTS and (pair.horizon > pair.fx.one or max(pair.q) > 8 * pair.fx.one):
        target = 1e-18  # the number of coefficients grows with the variance, and with the square of the digits
    start: list[Ints] | None = None
    nodes: Nodes | None = None

    def step(count: int) -> Found:
        nonlocal start, nodes
        tolerance = max(target, 10.0**-count)
        before, nodes = nodes, gauss(pair.fx, count)
        tableau = collocation(pair, nodes)
        if start is not None and before is not None:
            rows = before.to(nodes.c)[0]
            start = [pair.fx.matmul(pair.fx.matmul(rows, S), rows.T) for S in start]
        start = covariances(pair, tableau, tolerance, start, tolerance)
        return _kernels(pair, tableau, start, tolerance, tolerance)

    return _climb(pair, LADDER, step, target)


def _kinked(pair: Pair) -> LimitAnswer:
    if pair.activation == "elu":
        if abs(pair.q[0] - pair.q[2]) << 33 > pair.q[0] or pair.horizon > pair.fx.one:
            raise AccuracyError("the limit of elu is known for T ≤ 1 and inputs of one norm only")
        # K is symmetric in the two norms: that of their mean is wrong by the square of a difference of 1e-10 only.
        norm = (pair.q[0] + pair.q[2]) >> 1
        pair = replace(pair, q=np.asarray([norm, pair.q[1], norm], object))
    else:  # K(αx, βx̄) = αβ K(x, x̄) for α, β > 0
        norm = int(pair.fx.root(pair.q[0] * pair.q[2])) if pair.q[0] != pair.q[2] else pair.q[0]
        # Where the inputs are parallel to all digits they are so.
        cross = norm if abs(norm - pair.q[1]) < 16 else -norm if abs(norm + pair.q[1]) < 16 else pair.q[1]
        pair = replace(pair, q=np.asarray([norm, cross, norm], object))
    return _climb(pair, KINKED_LADDER, lambda count: kinked.kernels(pair, pair.form(18), count, 1e-19), 1e-17)


def _climb(pair: Pair, ladder: Sequence[int], step: Callable[[int], Found], target: float) -> LimitAnswer:
    """Go up the ladder until the error is estimated to be some `target`, relatively."""
    found, apart, error = list[Found](), list[float](), math.inf
    for count in ladder:
        found.append(step(count))
        scale = _scale(found)
        if len(found) > 1:
            apart.append(max(abs(float(a - b)) for a, b in zip(found[-1][:2], found[-2][:2], strict=True)))
        if len(apart) > 1:
            # The differences fall geometrically or faster: the error is to the last as that to the one before.
            error = 100 * apart[-1] * min(1.0, apart[-1] / apart[-2]) if apart[-2] else 0.0
            if error <= 10 * target * scale:
                break
    return _answer(pair.fx, found[-1], error + 10 * target * scale, scale)


def collocation(pair: Pair, nodes: Nodes) -> Tableau:
    """Gauss's scheme on [0, T] and its adjoint."""
    fx = pair.fx
    A = fx.mul(nodes.to(nodes.c)[1], pair.horizon)
    adjoint = (nodes.b[:, None] * A // nodes.b[None, :]).T
    return Tableau(A, fx.mul(nodes.b, pair.horizon), adjoint)


def covariances(
    pair: Pair, tableau: Tableau, tolerance: float, start: Sequence[Ints] | None, stop: float
) -> list[Ints]:
    """S of (x, x), (x, x̄) and (x̄, x̄) at the nodes: S = q + σ_w² A Σ Aᵀ, by iteration."""
    fx, (dual, _) = pair.fx, pair.duals(tolerance)
    S = list(start) if start is not None else [q + 0 * tableau.A for q in pair.q]
    for _ in range(SWEEPS):
        new = [
            q + fx.mul(pair.weight, fx.matmul(fx.matmul(tableau.A, sigma), tableau.A.T))
            for q, sigma in zip(pair.q, _expectations(pair, dual, S), strict=True)
        ]
        change = max(int(abs(a - b).max()) for a, b in zip(S, new, strict=True))
        size = max(int(abs(a).max()) for a in new)
        if size > fx.one << 200:
            raise AccuracyError("the covariance escapes to infinity before the horizon")
        S = new
        if change <= stop * size:
            return S
    raise AccuracyError(f"the covariance did not converge in {SWEEPS} iterations")


def _expectations(pair: Pair, dual: Dual, S: Sequence[Ints]) -> list[Ints]:
    """`dual` of (x, x), (x, x̄) and (x̄, x̄), each of those that are equal once."""
    s1 = np.diagonal(S[0])
    first = dual(s1, s1, S[0])
    if pair.q[0] == pair.q[2]:
        return [first, first if pair.q[0] == pair.q[1] else dual(s1, s1, S[1]), first]
    s2 = np.diagonal(S[2])
    return [first, dual(s1, s2, S[1]), dual(s2, s2, S[2])]


def _kernels(pair: Pair, tableau: Tableau, S: Sequence[Ints], tolerance: float, stop: float) -> Found:
    """K_∞, NNGP, and the size of NNGP's diagonal that their errors are compared with."""
    fx, (dual, slope) = pair.fx, pair.duals(tolerance)
    b = tableau.b
    sigmas = _expectations(pair, dual, S)
    end = [
        np.asarray([[q + fx.mul(pair.weight, _integral(fx, b, sigma))]], object)
        for q, sigma in zip(pair.q, sigmas, strict=True)
    ]
    sigma_end = _expectations(pair, dual, end)
    nngp = fx.mul(pair.out, sigma_end[1][0, 0])
    s1, s2 = (np.diagonal(S[0]), np.diagonal(S[0] if pair.q[0] == pair.q[2] else S[2]))
    D = slope(s1, s2, S[1])
    P_end = fx.mul(pair.out, slope(np.diagonal(end[0]), np.diagonal(end[2]), end[1])[0, 0])
    P = P_end + 0 * D
    for _ in range(SWEEPS):
        rates = fx.matmul(fx.matmul(tableau.adjoint, fx.mul(D, P)), tableau.adjoint.T)
        new = P_end + fx.mul(pair.weight, rates)
        change, P = int(abs(P - new).max()), new
        if change <= stop * int(abs(P).max()):
            break
    else:
        raise AccuracyError(f"the adjoint's covariance did not converge in {SWEEPS} iterations")
    start = P_end + fx.mul(pair.weight, _integral(fx, b, fx.mul(D, P)))
    ntk = nngp + fx.mul(pair.weight, _integral(fx, b, fx.mul(sigmas[1], P))) + fx.mul(pair.q[1], start)
    return ntk, nngp, max(abs(ntk), abs(nngp))


def _integral(fx: Fixed, b: Ints, values: Ints) -> int:
    return int(fx.matmul(fx.matmul(b, values), b))


# --- in and out ---------------------------------------------------------------------------------------------------


def pair_of(ctx: Context, activation: str, horizon: Number, sigmas: Triple, inner: Triple, bits: int = 140) -> Pair:
    """The pair in fixed point, with `bits` for kernels of order 1 and more for smaller ones."""
    known = {*CLOSED, *PARTS, *KINKED}
    if activation not in known:
        raise ValueError(f"the oracle knows {', '.join(sorted(known))}; got {activation!r}")
    squares = [ctx.convert(s) ** 2 for s in sigmas]
    q = [squares[0] * ctx.convert(p) for p in inner]
    # Small inputs have small kernels, some of the order of q²: their digits must not be lost.
    small = min((float(z) for z in (q[0], q[2]) if z > 0), default=1.0)
    fx = Fixed(ctx, bits + 3 * max(0, int(-np.log2(small))))
    numbers = fx.array(q)
    return Pair(fx, activation, numbers, fx.number(ctx.convert(horizon)), fx.number(squares[1]), fx.number(squares[2]))


def _rests(pair: Pair) -> bool:
    """Whether x = 0 or x̄ = 0 stays there, at φ(0) = 0."""
    return pair.activation in AT_REST and bool(pair.q[0] == 0 or pair.q[2] == 0)


def _scale(found: Sequence[Found]) -> float:
    return float(max(found[-1][2], 1))


def _answer(fx: Fixed, found: Found, error: float, scale: float) -> LimitAnswer:
    if error > LOOSEST * scale:
        raise AccuracyError(f"the kernel was found to {error / scale:.1g} relative only", reached=error / scale)
    return LimitAnswer(fx.mpf(found[0]), fx.mpf(found[1]), fx.ctx.mpf(error + 4096) / fx.one)
