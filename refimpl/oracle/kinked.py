"""K_∞ of kinked activations, where Σ and D have kinks along t = s: by symmetry on the triangle 0 ≤ s ≤ t ≤ T alone.

On the triangle all is smooth, for x̄ = −x but for the corner (0, 0), where √(s₁s₂ − S²) is like the distance from it.
In the coordinates of Duffy, (t, u) with s = tu, that is t times a smooth function of u. So functions are polynomials
through Gauss's nodes in t and u; the symmetry in t and s holds for |x| = |x̄|, and for other norms by homogeneity.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from mpmath import MPContext

from refimpl.errors import AccuracyError
from refimpl.oracle.collocation import Nodes, gauss
from refimpl.oracle.fixed import Fixed, Ints

if TYPE_CHECKING:
    from refimpl.oracle.limit import Pair

Form: TypeAlias = Callable[[Fixed, Ints, Ints, Ints], tuple[Ints, Ints]]

SWEEPS = 200
"""Iterations after which S, or P, counts as not converging."""

ANGLES = 36
"""Nodes of the integrals along a line of constant s, with a logarithm of t as the variable."""


@dataclass(frozen=True)
class Triangle:
    """Integrals over parts of the square [0, 1]² of a symmetric function given at t_i = c_i, s_ij = c_i c_j.

    Parameters
    ----------
    fx : Fixed
    nodes : Nodes
        m of them.
    forward, backward : (m², m²) ints
        To the integrals over [0, t] × [0, s] and over [t, 1] × [s, 1].
    late, early : (m, m²) and (m², m²) ints
        To those over [0, t]² for t = t_i, and for t = s_ij.
    whole : (m²,) ints
        To that over all of the square.
    """

    fx: Fixed
    nodes: Nodes
    forward: Ints
    backward: Ints
    late: Ints
    early: Ints
    whole: Ints


@lru_cache(maxsize=16)
def triangle(bits: int, count: int) -> Triangle:
    """The integrals for m = `count` nodes in each direction."""
    fx = Fixed(MPContext(), bits)
    nodes, lines = gauss(fx, count), gauss(fx, ANGLES)
    c, b = nodes.c, nodes.b
    s = fx.mul(c[:, None], c[None, :])

    def squares(t: Ints) -> Ints:  # ∫ over [0, t]² is 2 ∫ t' F(t', 1) dt' with F(t, u) = ∫₀ᵘ f(t, u') du'
        along = fx.mul(nodes.to(t.ravel())[1], c[None, :])
        return 2 * fx.mul(along[:, :, None], b[None, None, :]).reshape(t.size, -1)

    def lines_of_constant_s(low: Ints, ratio: Ints, top: Ints) -> Ints:
        """∫ t' F(t', s/t') dt' for t' from `low` to `top`, s = `ratio` × `low`; all of shape (points,)."""
        length = fx.log(fx.div(top, low))
        shrink = fx.exp(-fx.mul(length[:, None], lines.c[None, :]))  # t'/top, from 1 down to low/top
        t = fx.mul(top[:, None], shrink)
        u = np.minimum(fx.div(fx.mul(ratio, low)[:, None], t), fx.one)
        weight = fx.mul(fx.mul(fx.mul(t, t), length[:, None]), lines.b[None, :])
        values = fx.mul(nodes.to(t.ravel())[0].reshape(*t.shape, -1), weight[:, :, None])
        integrals = nodes.to(u.ravel())[1].reshape(*u.shape, -1)
        return np.asarray([fx.matmul(v.T, i).ravel() for v, i in zip(values, integrals, strict=True)], object)

    t, flat = np.repeat(c, count), s.ravel()
    u = np.tile(c, count)
    one = fx.one + 0 * flat
    early, late = squares(s), squares(c)
    whole = squares(np.asarray([fx.one], object))[0]
    forward = early + lines_of_constant_s(flat, one, t)
    diagonal = lines_of_constant_s(c, fx.one + 0 * c, fx.one + 0 * c)
    # 2 ∫ t' F(t', 1) dt' from t to 1, less what lies below s' = s and below s' = t
    backward = whole[None, :] - np.repeat(late + diagonal, count, axis=0) - lines_of_constant_s(t, u, one)
    return Triangle(fx, nodes, forward, backward, late, early, whole)


@dataclass(frozen=True)
class State:
    """A symmetric S at the points of a triangle and at (T, T)."""

    inner: Ints
    end: int


def kernels(pair: Pair, form: Form, count: int, tolerance: float) -> tuple[int, int, int]:
    """K_∞, NNGP, and the size that their errors are compared with, from m = `count` nodes."""
    fx, grid = pair.fx, triangle(pair.fx.bits, count)
    factor = fx.mul(pair.weight, fx.mul(pair.horizon, pair.horizon))

    def times(matrix: Ints, values: Ints) -> Ints:
        return fx.mul(factor, fx.matmul(matrix, values))

    def solve(rate: Callable[[Ints], Ints], matrix: Ints, start: int) -> Ints:
        values = start + 0 * grid.early[:, 0]
        for _ in range(SWEEPS):
            new = start + times(matrix, rate(values))
            change, size, values = int(abs(new - values).max()), int(abs(new).max()), new
            if change <= tolerance * size:
                return values
        raise AccuracyError(f"the limit did not converge in {SWEEPS} iterations")

    def variances(sigma: Ints) -> tuple[Ints, Ints, Ints]:
        late = np.repeat(pair.q[0] + times(grid.late, sigma), count)
        end = pair.q[0] + times(grid.whole, sigma)
        return late, pair.q[0] + times(grid.early, sigma), np.asarray([end], object)

    sigma = grid.early[:, 0] * 0

    def self_rate(S: Ints) -> Ints:
        # The variances are those of the sweep before, which has the same limit.
        nonlocal sigma
        late, early, _ = variances(sigma)
        sigma = form(fx, late, early, S)[0]
        return sigma

    same = solve(self_rate, grid.forward, pair.q[0])
    late, early, end = variances(sigma)
    if pair.q[1] == pair.q[0]:
        S = same
    else:
        S = solve(lambda values: form(fx, late, early, values)[0], grid.forward, pair.q[1])
    value, slope = form(fx, late, early, S)
    S_end = end if pair.q[1] == pair.q[0] else np.asarray([pair.q[1] + times(grid.whole, value)], object)
    value_end, slope_end = (int(z[0]) for z in form(fx, end, end, S_end))
    nngp, P_end = fx.mul(pair.out, value_end), fx.mul(pair.out, slope_end)
    P = solve(lambda values: fx.mul(slope, values), grid.backward, P_end)
    start = P_end + times(grid.whole, fx.mul(slope, P))
    ntk = nngp + times(grid.whole, fx.mul(value, P)) + fx.mul(pair.q[1], start)
    return int(ntk), nngp, fx.mul(pair.q[0], P_end) + max(abs(int(ntk)), abs(nngp))
