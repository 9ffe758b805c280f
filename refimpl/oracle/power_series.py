"""The coefficients of K_∞(ρ) = Σ a_k ρ^k on a sphere, each with small relative error, for analytic φ.

S, Σ, D and P are power series in ρ at every pair of nodes. With δ = S − S_0 and g_n the Taylor coefficients of Σ in the
covariance, at S_0, Σ_k = g_1 S_k + (terms of S_1 … S_{k−1}), so that one coefficient after the other solves a linear
equation. D is Σ's derivative (Price), d_n = (n + 1) g_{n+1}. Most terms are positive, and in enough digits none cancel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np

from refimpl.errors import AccuracyError
from refimpl.oracle.collocation import Nodes, gauss
from refimpl.oracle.duals import CLOSED, PARTS, Hermite
from refimpl.oracle.fixed import Fixed, Ints
from refimpl.oracle.limit import SWEEPS, Pair, Tableau, Triple, collocation, covariances, pair_of
from refimpl.oracle.series import KINKED, Context, Number

LADDER = (14, 20, 26, 34, 44, 56)
"""Numbers of nodes."""


def power_series(
    ctx: Context, activation: str, horizon: Number, sigmas: Triple, radius: Number, count: int
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
    bits = 160 + 10 * count
    found, change = list[list[Number]](), list[float]()
    before, error = None, math.inf
    pair = pair_of(ctx, activation, horizon, sigmas, inner, bits)
    for nodes in LADDER:
        before = _Series(pair, nodes, count, before)
        found.append([pair.fx.mpf(z) for z in before.coefficients()])
        if len(found) > 1:
            change.append(_apart(found[-1], found[-2]))
        if len(change) > 1:
            error = 100 * change[-1] * min(1.0, change[-1] / change[-2]) if change[-2] else 0.0
            if error < 1e-22:
                break
    if error > 1e-9:
        raise AccuracyError(f"a coefficient was found to {error:.1g} relative only", reached=error)
    return found[-1], ctx.mpf(max(error, 1e-22))


def _apart(first: Sequence[Number], second: Sequence[Number]) -> float:
    return max(
        (float(abs(a - b) / max(abs(a), abs(b))) for a, b in zip(first, second, strict=True) if a or b), default=0.0
    )


def _interpolated(fx: Fixed, nodes: Nodes, points: Nodes, values: Ints) -> Ints:
    rows = nodes.to(points.c)[0]
    return fx.matmul(fx.matmul(rows, values), rows.T)


class _Series:
    """The equations at `nodes`² pairs of times, in one row, with the pair (T, T) as the last."""

    def __init__(self, pair: Pair, nodes: int, count: int, before: _Series | None) -> None:
        self.pair, self.fx, self.count, self.nodes = pair, pair.fx, count, nodes
        self.tableau: Tableau = collocation(pair, gauss(pair.fx, nodes))
        tolerance = 10.0 ** -(24 + 0.5 * count)
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
        pairs = np.full((nodes + 1, nodes + 1), 0, object)
        pairs[:nodes, :nodes], pairs[nodes, nodes] = S[1], ends[1]
        self.taylor = self._pick(taylor(pair, self.variances, pairs, count + 1, tolerance))

    def _pick(self, g: Ints) -> Ints:
        """The pairs that are needed out of all: those of two nodes, and (T, T)."""
        inner = g[:, : self.nodes, : self.nodes].reshape(len(g), -1)
        return np.concatenate([inner, g[:, -1:, -1]], axis=1)

    def coefficients(self) -> list[int]:
        fx, count, g = self.fx, self.count, self.taylor
        q, weight, out = self.pair.q[0], self.pair.weight, self.pair.out
        slopes = np.asarray([(k + 1) * g[k + 1] for k in range(count)], object)
        sigma, D = [g[0]], [slopes[0]]
        powers: list[list[Ints]] = [[None] * count for _ in range(count + 1)]  # powers[j][k]: coefficient k of δ^j
        for k in range(1, count):
            for j in range(2, k + 1):
                powers[j][k] = sum(powers[1][i] * powers[j - 1][k - i] for i in range(1, k - j + 2)) >> fx.bits
            known = sum((fx.mul(g[j], powers[j][k]) for j in range(2, k + 1)), 0 * g[0])
            entering = q if k == 1 else 0
            S = self._solve(self.tableau.A, known[:-1], g[1][:-1], entering)
            inner = known[:-1] + fx.mul(g[1][:-1], S)
            end = entering + fx.mul(weight, self._integral(inner))
            powers[1][k] = np.concatenate([S, [end]])
            sigma.append(np.concatenate([inner, [known[-1] + fx.mul(g[1][-1], end)]]))
            D.append(sum(fx.mul(slopes[j], powers[j][k]) for j in range(1, k + 1)))
        P, start, answer = list[Ints](), list[int](), list[int]()
        for k in range(count):
            terminal = int(fx.mul(out, D[k][-1]))
            known = sum((fx.mul(D[j][:-1], P[k - j]) for j in range(1, k + 1)), 0 * g[0][:-1])
            P.append(self._solve(self.tableau.adjoint, known, D[0][:-1], terminal))
            start.append(terminal + fx.mul(weight, self._integral(known + fx.mul(D[0][:-1], P[k]))))
            product = sum(fx.mul(sigma[j][:-1], P[k - j]) for j in range(k + 1))
            total = fx.mul(out, sigma[k][-1]) + fx.mul(weight, self._integral(product))
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
            if change << 90 <= int(abs(y).max()) or change < 4:
                return y
        raise AccuracyError(f"a coefficient did not converge in {SWEEPS} iterations")


# --- Taylor coefficients of Σ in the covariance -------------------------------------------------------------------


def taylor(pair: Pair, s: Ints, c: Ints, count: int, tolerance: float) -> Ints:
    """g_n = (∂/∂c)^n Σ / n! for n ≤ `count`, at variances s of shape (m,) and covariances c (m, m)."""
    fx = pair.fx
    if pair.activation in PARTS:
        return _hermite(Hermite(fx, pair.activation, False, tolerance), s, c, count)
    return np.asarray(_TAYLOR[pair.activation](fx, s[:, None], s[None, :], c, count), object)


def _hermite(dual: Hermite, s: Ints, c: Ints, count: int) -> Ints:
    fx = dual.fx
    alpha = dual.coefficients(s)
    orders = [2 * k + dual.parity for k in range(len(alpha))]
    scale = fx.sqrt(fx.mul(s[:, None], s[None, :]))
    rho = fx.div(c, scale)
    products = [fx.mul(a[:, None], a[None, :]) for a in alpha]
    powers = [fx.one + 0 * c]
    for _ in range(orders[-1]):
        powers.append(fx.mul(powers[-1], rho))
    g, inverse = [], fx.one + 0 * c
    for n in range(count + 1):
        terms = (math.comb(k, n) * fx.mul(p, powers[k - n]) for k, p in zip(orders, products, strict=True) if k >= n)
        g.append(fx.mul(sum(terms, 0 * c), inverse))
        inverse = fx.div(inverse, scale)
    g[0] = g[0] + dual.constant + fx.mul(dual.linear, c)
    g[1] = g[1] + dual.linear
    return np.asarray(g, object)


def _identity(fx: Fixed, s1: Ints, s2: Ints, c: Ints, count: int) -> list[Ints]:
    return [c, fx.one + 0 * c] + [0 * c] * (count - 1)


def _quadratic(fx: Fixed, s1: Ints, s2: Ints, c: Ints, count: int) -> list[Ints]:
    return [*CLOSED["quadratic"](fx, s1, s2, c), (fx.one >> 1) + 0 * c][: count + 1] + [0 * c] * (count - 2)


def _trigonometric(name: str) -> Callable[..., list[Ints]]:
    def coefficients(fx: Fixed, s1: Ints, s2: Ints, c: Ints, count: int) -> list[Ints]:
        both = CLOSED[name](fx, s1, s2, c)
        return [both[n % 2] // math.factorial(n) for n in range(count + 1)]

    return coefficients


def _inverse_root(fx: Fixed, p: Sequence[Ints], count: int) -> list[Ints]:
    """Coefficients of (p_0 + p_1 δ + p_2 δ²)^(−½), from p y' = −p' y / 2."""
    y = [fx.div(fx.one + 0 * p[0], fx.sqrt(p[0]))]
    for n in range(count):
        rest = fx.mul((2 * n + 1) * p[1], y[n]) + (fx.mul(2 * n * p[2], y[n - 1]) if n else 0)
        y.append(-fx.div(rest, 2 * (n + 1) * p[0]))
    return y


def _erf(fx: Fixed, s1: Ints, s2: Ints, c: Ints, count: int) -> list[Ints]:
    size = fx.mul(fx.one + 2 * s1, fx.one + 2 * s2) - 4 * fx.mul(c, c)
    y = _inverse_root(fx, (size, -8 * c, -4 * fx.one + 0 * c), count)
    return [CLOSED["erf"](fx, s1, s2, c)[0]] + [fx.div(4 * y[n], (n + 1) * fx.pi) for n in range(count)]


def _gelu(fx: Fixed, s1: Ints, s2: Ints, c: Ints, count: int) -> list[Ints]:
    t1, t2 = fx.one + s1, fx.one + s2
    size = fx.mul(t1, t2) - fx.mul(c, c)
    y = _inverse_root(fx, (size, -2 * c, -fx.one + 0 * c), count + 1)
    density = [fx.div(z, 2 * fx.pi) for z in y]
    angle = fx.div(fx.atan2(c, fx.sqrt(size)), 2 * fx.pi)
    orthant = [(fx.one >> 2) + angle] + [density[n] // (n + 1) for n in range(count)]
    bend = fx.div(fx.one + 0 * t1, t1) + fx.div(fx.one + 0 * t2, t2) - fx.one
    factor = (fx.mul(s1, s2) + fx.mul(fx.mul(c, c), bend), fx.mul(2 * c, bend), bend)
    g = []
    for n in range(count + 1):
        total = fx.mul(c, orthant[n]) + (orthant[n - 1] if n else 0)
        g.append(total + sum(fx.mul(factor[j], density[n - j]) for j in range(min(n, 2) + 1)))
    return g


_TAYLOR: dict[str, Callable[..., list[Ints]]] = {
    "identity": _identity, "quadratic": _quadratic, "erf": _erf, "gelu": _gelu,
    "sin": _trigonometric("sin"), "cos": _trigonometric("cos"),
}  # fmt: skip
