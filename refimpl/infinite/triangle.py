"""Double integrals over the unit square, split along its diagonal into two triangles.

A field F(t, s) with a kink on t = s is two fields, one on each triangle, and each is smooth up to the edge. The
triangle s ≤ t carries a polynomial interpolant in two coordinates (x, v) of [0, 1]²:

    "diagonal":  x = t − s,  s = (1 − x) v        distance to the diagonal, position along it
    "corner":    x = t,      s = x v              distance to the corner t = s = 0, direction seen from it (Duffy)

√(θ² + (t − s)²) is analytic in the first pair for θ = 0, and √(ε² + t² + s²) in the second for ε = 0. For small θ or ε
there is a branch point at distance θ or ε from x = 0, so x = sinh(κy)/sinh(κ) clusters the nodes there. One κ serves
every θ: an angle that is too small to be seen leaves an error of order θ².
By the reflection (t, s) → (s, t) the other triangle has the same nodes, and one triangle is enough if F is symmetric.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property, lru_cache
from typing import Literal, TypeAlias

import numpy as np

from refimpl.quadrature import Host, gauss_legendre, lagrange, lagrange_integrals

Chart: TypeAlias = Literal["diagonal", "corner"]
Bound: TypeAlias = Callable[[Host], Host]

# Scale of x = sinh(κy)/sinh(κ): linear below, logarithmic above. From 1e-3 to 1e-2 the accuracy changes little.
_KAPPA = math.asinh(1 / 3e-3)
# Target points whose rows are computed at once.
_BLOCK = 128


def _stretch(y: Host) -> tuple[Host, Host]:
    """x(y) and dx/dy."""
    return np.sinh(_KAPPA * y) / math.sinh(_KAPPA), _KAPPA * np.cosh(_KAPPA * y) / math.sinh(_KAPPA)


def _unstretch(x: Host) -> Host:
    return np.arcsinh(math.sinh(_KAPPA) * x) / _KAPPA


class Triangle:
    """Nodes on 0 ≤ s ≤ t ≤ 1 and the integrals of their interpolants that the covariances need.

    Fields are arrays of shape (sides, nodes, B). Side 0 holds F(t, s) at the nodes; side 1, if there is one,
    holds F(s, t), the values on the other triangle at the mirrored nodes. One side means F(t, s) = F(s, t).

    Parameters
    ----------
    chart : {"diagonal", "corner"}
    graded : int
        Nodes in the clustered coordinate x.
    across : int
        Nodes in v.

    Attributes
    ----------
    t, s : ndarray, shape (nodes,)
        Times of the nodes, nodes = graded × across.
    profile_nodes : ndarray, shape (graded,)
        Gauss nodes on [0, 1] for functions of one time, such as a variance.

    Examples
    --------
    >>> grid = Triangle("diagonal", graded=24, across=8)
    >>> F = np.abs(grid.t - grid.s)[None, :, None]
    >>> round(float(grid.total(F)[0]), 12)
    0.333333333333
    """

    def __init__(self, chart: Chart, graded: int, across: int) -> None:
        self.chart, self.graded, self.across = chart, graded, across
        y, weight = gauss_legendre(graded)
        v, weight_v = gauss_legendre(across)
        x, slope = _stretch(y)
        if chart == "diagonal":
            s = (1 - x)[:, None] * v
            t = s + x[:, None]
        else:
            s = x[:, None] * v
            t = np.broadcast_to(x[:, None], s.shape)
        self.t, self.s = t.ravel(), s.ravel()
        self._weights = ((weight * slope * self._width(x))[:, None] * weight_v).ravel()
        self.profile_nodes = gauss_legendre(graded)[0]

    def total(self, F: Host) -> Host:
        """∫∫ F over the whole square; shape (B,)."""
        whole: Host = self._weights @ F.sum(axis=0) * (2 / len(F))
        return whole

    def forward(self, F: Host) -> Host:
        """∫_0^t ∫_0^s F at the nodes; shape of F."""
        return self._both_sides(self._forward, F)

    def backward(self, F: Host) -> Host:
        """∫_t^1 ∫_s^1 F at the nodes; shape of F."""
        if self.chart == "diagonal":  # (t, s) → (1 − s, 1 − t) maps this triangle to itself, and is v → 1 − v
            return self._reverse(self.forward(self._reverse(F)))
        return self._both_sides(self._backward, F)

    def profile(self, F: Host) -> Host:
        """∫_0^τ ∫_0^τ F at the nodes τ = `profile_nodes`, for one side; shape (graded, B)."""
        squares: Host = self._profile @ F[0]
        return squares

    def at_times(self, profile: Host) -> tuple[Host, Host]:
        """Interpolant of `profile` (given at `profile_nodes`) at the times t and at the times s of the nodes."""
        return lagrange(self.graded, self.t) @ profile, lagrange(self.graded, self.s) @ profile

    def interpolate(self, F: Host, t: Host) -> Host:
        """F on the tensor grid t × t; shape (B, len(t), len(t))."""
        values = np.empty((F.shape[2], len(t), len(t)))
        for i, time in enumerate(t):
            earlier = np.flatnonzero(t <= time)
            rows = self._rows_at(np.full(len(earlier), time), t[earlier])
            values[:, i, earlier] = (rows @ F[0]).T
            values[:, earlier, i] = (rows @ F[-1]).T
        return values

    def _width(self, x: Host) -> Host:
        """|∂(t, s)/∂(x, v)|."""
        return 1 - x if self.chart == "diagonal" else x

    def _rows_at(self, t: Host, s: Host) -> Host:
        x, along = (t - s, s) if self.chart == "diagonal" else (t, s)
        width = self._width(x)
        v = np.divide(along, width, out=np.zeros_like(width), where=width > 0)  # a collapsed edge: any v will do
        y = lagrange(self.graded, _unstretch(x))
        rows: Host = (y[:, :, None] * lagrange(self.across, np.minimum(v, 1))[:, None, :]).reshape(len(t), -1)
        return rows

    def _reverse(self, F: Host) -> Host:
        shape = (len(F), self.graded, self.across, -1)
        reversed_: Host = F.reshape(shape)[:, :, ::-1].reshape(F.shape)
        return reversed_

    @staticmethod
    def _both_sides(operators: tuple[Host, Host], F: Host) -> Host:
        even, odd = operators
        if len(F) == 1:
            symmetric: Host = (even @ F[0])[None]
            return symmetric
        mean, half = even @ ((F[0] + F[1]) / 2), odd @ ((F[0] - F[1]) / 2)
        return np.stack([mean + half, mean - half])

    # A node sees its own triangle through the rectangle R below it (behind it, for `backward`), and the square Q on the
    # diagonal through both triangles: R F₊ + Q (F₊ + F₋) is (R + 2Q) of the mean plus R of half the difference.

    @cached_property
    def _forward(self) -> tuple[Host, Host]:
        t, s = self.t, self.s
        rectangle = self._rectangles_below(t, s)
        return rectangle + 2 * self._triangles_below(s), rectangle

    @cached_property
    def _backward(self) -> tuple[Host, Host]:
        t, s, one = self.t[:, None], self.s[:, None], np.ones_like(self.t)
        rectangle = self._integrals(self.t, one, lambda x: s / x, lambda x: np.minimum(t / x, 1))
        square = self._integrals(self.t, one, lambda x: np.minimum(t / x, 1), np.ones_like)
        return rectangle + 2 * square, rectangle

    @cached_property
    def _profile(self) -> Host:
        return 2 * self._triangles_below(self.profile_nodes)

    def _triangles_below(self, tau: Host) -> Host:
        """∫∫ over 0 ≤ b ≤ a ≤ τ."""
        end = tau[:, None]
        upper: Bound = (lambda x: (end - x) / (1 - x)) if self.chart == "diagonal" else np.ones_like
        return self._integrals(np.zeros_like(tau), tau, np.zeros_like, upper)

    def _rectangles_below(self, t: Host, s: Host) -> Host:
        """∫∫ over s ≤ a ≤ t, 0 ≤ b ≤ s."""
        end, low = t[:, None], s[:, None]
        if self.chart == "corner":
            return self._integrals(s, t, np.zeros_like, lambda x: np.minimum(low / x, 1))
        zero, first, second = np.zeros_like(t), np.minimum(s, t - s), np.maximum(s, t - s)
        return (
            self._integrals(zero, first, lambda x: (low - x) / (1 - x), lambda x: low / (1 - x))
            + self._integrals(
                first,
                second,
                lambda x: np.maximum(low - x, 0) / (1 - x),
                lambda x: np.minimum(low, end - x) / (1 - x),
            )
            + self._integrals(second, t, np.zeros_like, lambda x: (end - x) / (1 - x))
        )

    def _integrals(self, start: Host, stop: Host, lower: Bound, upper: Bound) -> Host:
        """∫∫ ℓ_i ℓ_j dt ds over start ≤ x ≤ stop, lower(x) ≤ v ≤ upper(x), a row for each start and stop."""
        z, weight = gauss_legendre(self.graded + self.across // 2 + 8)
        y0, y1 = _unstretch(start)[:, None], _unstretch(stop)[:, None]
        y = y0 + (y1 - y0) * z
        x, slope = _stretch(y)
        weights = (y1 - y0) * weight * slope * self._width(x)
        low, high = lower(x), upper(x)
        rows = np.empty((len(start), self.graded * self.across))
        for i in range(0, len(start), _BLOCK):
            k = slice(i, i + _BLOCK)
            along = lagrange(self.graded, y[k]) * weights[k, :, None]
            across = lagrange_integrals(self.across, high[k]) - lagrange_integrals(self.across, low[k])
            rows[k] = (along.transpose(0, 2, 1) @ across).reshape(len(along), -1)
        return rows


@lru_cache(maxsize=16)
def triangle(chart: Chart, graded: int, across: int) -> Triangle:
    """The `Triangle` of these parameters, built once: it does not depend on the network."""
    return Triangle(chart, graded, across)
