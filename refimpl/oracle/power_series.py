"""The coefficients of K_∞(ρ) = Σ a_k ρ^k on a sphere, each with small relative error, for analytic φ.

S, Σ, D and P are power series in ρ at every pair of nodes. Σ_k = D_0 S_k + (terms of S_1 … S_{k−1}), so that one
coefficient after the other solves a linear equation (`refimpl.oracle.composition` knows the terms). Most terms are
positive, and in enough digits none cancel. The series' own variable is ρ/64: its coefficients fall less fast, and
fixed point needs fewer bits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refimpl.errors import AccuracyError
from refimpl.oracle.collocation import Nodes, gauss
from refimpl.oracle.composition import CHAINS, Chain, Taylor, convolution, taylor
from refimpl.oracle.duals import PARTS, Hermite
from refimpl.oracle.fixed import Fixed, Ints
from refimpl.oracle.limit import SWEEPS, Pair, Tableau, Triple, collocation, covariances, pair_of
from refimpl.oracle.series import KINKED, Context, Number

LADDER = (8, 11, 14, 20, 26, 34, 44, 56)
"""Numbers of nodes."""

GRADE = 64
"""Powers of ρ/GRADE are what is computed with."""


def power_series(
    ctx: Context, activation: str, horizon: Number, sigmas: Triple, radius: Number, count: int, target: float = 1e-22
) -> tuple[list[Number], Number]:
    """a_0 … a_{count−1} of K_∞(ρ), |x| = |x̄| = radius.

    Parameters
    ----------
    ctx : mpmath.MPContext
    activation : str
        Name of an analytic built-in activation.
    horizon : mpf
    sigmas : (sigma_u, sigma_w, sigma_v)
    radius : mpf
        Positive.
    count : int
    target : float
        Error that it stops at; at least 1e-22.

    Returns
    -------
    coefficients : list of `count` mpf's
        For odd φ those of even k are 0.
    error : mpf
        Bound of the relative error of every coefficient; an estimate, from different resolutions.

    Raises
    ------
    AccuracyError
        An error above 1e-9, or a kinked activation.

    Examples
    --------
    >>> from mpmath import MPContext
    >>> ctx = MPContext()
    >>> a, error = power_series(ctx, "identity", ctx.one, (ctx.one, ctx.one, ctx.one), ctx.one, 4)
    >>> [round(float(z), 12) for z in a], round(float(2 * ctx.besseli(0, 2) + ctx.besseli(1, 2)), 12)
    ([0.0, 6.149807459309, 0.0, 0.0], 6.149807459309)
    """
    if activation in KINKED:
        raise AccuracyError(f"the power series of {activation} is known for analytic activations only")
    squared = ctx.convert(radius) ** 2
    inner = (squared, ctx.zero, squared)
    bits = 160 + (10 if activation in PARTS else 4) * count
    found, change = list[list[Number]](), list[float]()
    before, error = None, math.inf
    pair = pair_of(ctx, activation, horizon, sigmas, inner, bits)
    for nodes in LADDER:
        before = _Series(pair, nodes, count, before, target)
        found.append([pair.fx.mpf(z) / ctx.mpf(GRADE) ** k for k, z in enumerate(before.coefficients())])
        if len(found) > 1:
            change.append(_apart(found[-1], found[-2]))
        if len(change) > 1:
            error = 100 * change[-1] * min(1.0, change[-1] / change[-2]) if change[-2] else 0.0
            if error < target:
                break
    if error > 1e-9:
        raise AccuracyError(f"a coefficient was found to {error:.1g} relative only", reached=error)
    return found[-1], ctx.mpf(max(error, target))


def _apart(first: Sequence[Number], second: Sequence[Number]) -> float:
    return max(
        (float(abs(a - b) / max(abs(a), abs(b))) for a, b in zip(first, second, strict=True) if a or b), default=0.0
    )


def _interpolated(fx: Fixed, nodes: Nodes, points: Nodes, values: Ints) -> Ints:
    rows = nodes.to(points.c)[0]
    return fx.matmul(fx.matmul(rows, values), rows.T)


class _Series:
    """The equations at `nodes`² pairs of times, in one row, with the pair (T, T) as the last."""

    def __init__(self, pair: Pair, nodes: int, count: int, before: _Series | None, target: float) -> None:
        self.settled = math.ceil(-math.log2(target)) + 17
        self.pair, self.fx, self.count, self.nodes = pair, pair.fx, count, nodes
        self.tableau: Tableau = collocation(pair, gauss(pair.fx, nodes))
        tolerance = target * 10.0 ** -(2 + 0.5 * count)
        points = gauss(pair.fx, nodes)
        start = None if before is None else [_interpolated(pair.fx, before.points, points, part) for part in before.S]
        # The first of a ladder need not be better than its nodes are.
        S = covariances(pair, self.tableau, tolerance, start, 1e-16 if before is None else 10.0**-30)
        self.points: Nodes = points
        self.S: list[Ints] = S
        fx, b = self.fx, self.tableau.b
        dual = pair.duals(tolerance)[0]
        s = np.diagonal(S[0])
        ends = [
            q + fx.mul(pair.weight, int(fx.matmul(fx.matmul(b, dual(s, s, part)), b)))
            for q, part in zip(pair.q[:2], S[:2], strict=True)
        ]
        self.variances = np.asarray([*s, ends[0]], object)
        self.chain = self._chain(ends[1], tolerance)

    def _chain(self, end: int, tolerance: float) -> Chain | Taylor:
        """Σ and D at ρ = 0, ready to take in the coefficients of S."""
        fx, s, n = self.fx, self.variances, self.nodes
        if self.pair.activation in PARTS:
            pairs = np.full((n + 1, n + 1), 0, object)
            pairs[:n, :n], pairs[n, n] = self.S[1], end
            g = taylor(Hermite(fx, self.pair.activation, False, tolerance), s, pairs, self.count + 1)
            return Taylor(fx, np.asarray([self._pick(row) for row in g], object))
        rows, columns = (self._pick(np.broadcast_to(part, (n + 1, n + 1))) for part in (s[:, None], s[None, :]))
        S0 = np.append(self.S[1].ravel(), end)
        return CHAINS[self.pair.activation](fx, self.pair.activation, rows, columns, S0)

    @staticmethod
    def _pick(values: Ints) -> Ints:
        """The pairs that are needed out of all: those of two nodes, and (T, T)."""
        return np.append(values[:-1, :-1].ravel(), values[-1, -1])

    def coefficients(self) -> list[int]:
        fx, count, chain = self.fx, self.count, self.chain
        q, weight, out = self.pair.q[0] * GRADE, self.pair.weight, self.pair.out  # q is S_1: that of ρ / GRADE
        D0 = chain.D[0][:-1]
        for k in range(1, count):
            known, entering = chain.known(k), q if k == 1 else 0
            S = self._solve(self.tableau.A, known[:-1], D0, entering)
            end = entering + fx.mul(weight, self._integral(known[:-1] + fx.mul(D0, S)))
            chain.extend(np.concatenate([S, [end]]))
        P, start, answer = list[Ints](), list[int](), list[int]()
        sigma, D = [row[:-1] for row in chain.Sigma], [row[:-1] for row in chain.D]
        for k in range(count):
            terminal = int(fx.mul(out, chain.D[k][-1]))
            known = convolution(fx, D, P, k, 1) if k else 0 * D0
            P.append(self._solve(self.tableau.adjoint, known, D0, terminal))
            start.append(terminal + fx.mul(weight, self._integral(known + fx.mul(D0, P[k]))))
            product = convolution(fx, sigma, P, k)
            total = fx.mul(out, chain.Sigma[k][-1]) + fx.mul(weight, self._integral(product))
            answer.append(int(total + (fx.mul(q, start[k - 1]) if k else 0)))
        return answer

    def _integral(self, values: Ints) -> int:
        fx, b = self.fx, self.tableau.b
        return int(fx.matmul(fx.matmul(b, values.reshape(self.nodes, -1)), b))

    def _solve(self, matrix: Ints, known: Ints, factor: Ints, entering: int) -> Ints:
        """y = entering + σ_w² M (known + factor ⊙ y) Mᵀ, by iteration to the last bits."""
        fx, n = self.fx, self.nodes
        y = entering + 0 * known
        if not (entering or known.any()):
            return y
        for _ in range(SWEEPS):
            rates = (known + fx.mul(factor, y)).reshape(n, n)
            new = entering + fx.mul(self.pair.weight, fx.matmul(fx.matmul(matrix, rates), matrix.T)).ravel()
            change, y = int(abs(new - y).max()), new
            if change << self.settled <= int(abs(y).max()) or change < 4:
                return y
        raise AccuracyError(f"a coefficient did not converge in {SWEEPS} iterations")
