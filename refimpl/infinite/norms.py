"""K_∞ of inputs of different norms: a smooth function of |x|, |x̄| and ρ, interpolated where it is smooth.

    K(r, r̄, ρ) = g(r) g(r̄) Σ_klm A_klm T_l(u) T_m(ū) T_k(ρ),     g(r)² = K(r, r, 1),

with u and ū the logarithms of the norms, mapped to [−1, 1]. By Cauchy and Schwarz the sum is at most 1, and its error
is relative to √(K(x,x) K(x̄,x̄)), as that of the limit is. In a Gram matrix T_k(ρ) has the coefficient V A_k V̄ᵀ of low
rank, V = T_l(u_i), which Clenshaw's recurrence takes tile by tile.

The degrees come from curves: along ρ at the largest norm, where the variance of h, and with it the degree, is largest,
and along the norms at a few ρ. What is found is compared with solutions at points between the nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev

from refimpl.backend import Array, Namespace, from_host, to_host
from refimpl.errors import AccuracyError
from refimpl.infinite.gram import put, tiles
from refimpl.infinite.inputs import Inputs, Pairs
from refimpl.infinite.sphere import chebyshev_coefficients, lobatto_points
from refimpl.quadrature import Host

NORM_DEGREES = (8, 16, 32, 64)
"""Degrees in the norms that are tried."""

COSINE_DEGREES = (16, 32, 64, 128, 256)
"""Degrees in ρ that are tried."""

SLICES = (1.0, 0.6, -0.6)
"""ρ at which the degree in the norms is determined."""

CHECKED = 5
"""Points in each variable at which the interpolant is compared with solutions."""

Evaluate = Callable[[Pairs], tuple[Host, Host]]
"""The kernel of some pairs, (B,), and K_∞(x, x) of their radii, (R,)."""


@dataclass(frozen=True, eq=False)
class NormsKernel:
    """A kernel for inputs with norms from `lowest` to `highest`.

    Parameters
    ----------
    lowest, highest : float
    size : ndarray, shape (m + 1,)
        Chebyshev coefficients in u of log g.
    coefficients : ndarray, shape (M + 1, m + 1, m + 1)
        A_k for k = 0 … M.
    """

    lowest: float
    highest: float
    size: Host
    coefficients: Host

    def values(self, pairs: Pairs) -> Host:
        """The kernel of some pairs on the host."""
        V, g = self._along(pairs.radii)
        T = chebyshev.chebvander(pairs.cosine, len(self.coefficients) - 1)
        found = np.einsum("pk,klm,pl,pm->p", T, self.coefficients, V[pairs.first], V[pairs.second], optimize=True)
        kernel: Host = g[pairs.first] * g[pairs.second] * found
        return kernel

    def gram(self, xp: Namespace, inputs: Inputs, cosines: Array) -> Array:
        """The kernel in place of the cosines (N, N2)."""
        V, g = self._along(to_host(inputs.radii))
        rows_V, columns_V = V[inputs.first] * g[inputs.first, None], V[inputs.second] * g[inputs.second, None]
        right = from_host(xp, np.ascontiguousarray(columns_V.T), cosines)
        done, left = None, None
        for rows, columns in tiles(inputs):
            if rows != done:
                done, left = rows, from_host(xp, rows_V[rows] @ self.coefficients, cosines)
            block = _clenshaw(xp, cosines[rows, columns], left, right[:, columns])
            put(xp, cosines, block, rows, columns, inputs.symmetric)
        return cosines

    def _along(self, radii: Host) -> tuple[Host, Host]:
        """T_l(u) and g at the radii."""
        u = 2 * np.log(radii / self.lowest) / np.log(self.highest / self.lowest) - 1
        V = chebyshev.chebvander(np.clip(u, -1, 1), len(self.size) - 1)
        return V, np.exp(V @ self.size)


def _clenshaw(xp: Namespace, rho: Array, left: Array, right: Array) -> Array:
    """Σ_k T_k(ρ) ⊙ (left_k right)."""
    double, later, last = 2 * rho, xp.zeros_like(rho), xp.zeros_like(rho)
    for k in range(left.shape[0] - 1, 0, -1):
        new = double * last
        new -= later
        new += xp.matmul(left[k, ...], right)
        later, last = last, new
    return rho * last - later + xp.matmul(left[0, ...], right)


@dataclass(frozen=True)
class _Box:
    """Norms from `lowest` to `highest`, by u in [−1, 1]."""

    evaluate: Evaluate
    lowest: float
    highest: float

    def radii(self, u: Host) -> Host:
        share = (u + 1) / 2
        return self.lowest ** (1 - share) * self.highest**share

    def solve(self, u: Host, first: Any, second: Any, rho: Host) -> tuple[Host, Host]:
        """The kernel at the norms of u[first] and u[second] relative to g(r) g(r̄), and log g at u."""
        values, square = self.evaluate(Pairs(self.radii(u), first, second, rho))
        if not (square > 0).all():
            raise AccuracyError("K_∞(x, x) vanishes")
        return values / np.sqrt(square[first] * square[second]), np.log(square) / 2

    def along_cosines(self, rho: Host) -> Host:
        """At the largest norm."""
        zero = np.zeros(len(rho), dtype=int)
        return self.solve(np.ones(1), zero, zero, rho)[0][:, None]

    def along_norms(self, u: Host) -> Host:
        """With the smallest norm, with the largest and with itself, at some ρ; and log g."""
        n, rho = len(u), np.asarray(SLICES)
        own = np.repeat(np.arange(n), len(rho))
        partners = (np.full_like(own, n), np.full_like(own, n + 1), own)
        first, second = np.tile(own, len(partners)), np.concatenate(partners)
        values, size = self.solve(np.concatenate([u, [-1.0, 1.0]]), first, second, np.tile(rho, n * len(partners)))
        slices = values.reshape(len(partners), n, len(rho))
        return np.concatenate([*slices, size[:n, None]], axis=1)

    def coefficients(self, m: int, M: int, allowed: float) -> tuple[Host, Host]:
        """Those of log g, and A (M + 1, m + 1, m + 1).

        The coefficients of ρ^k are positive semi-definite in (r, r̄). So those of two different norms have fallen to
        `allowed` where the geometric mean of their own has, and take so many ρ only.
        """
        u, n = lobatto_points(m), m + 1
        own = np.arange(n)
        values, size = self.solve(u, np.repeat(own, M + 1), np.repeat(own, M + 1), np.tile(lobatto_points(M), n))
        curves = chebyshev_coefficients(values.reshape(n, M + 1).T)
        tails = np.maximum.accumulate(np.abs(curves[::-1]))[::-1]
        i, j = np.triu_indices(n, k=1)
        degrees = 1 + np.count_nonzero(tails[:, i] * tails[:, j] > allowed**2, axis=0).clip(0, M - 1)
        rho = [lobatto_points(degree) for degree in degrees]
        count = degrees + 1
        values, _ = self.solve(u, np.repeat(i, count), np.repeat(j, count), np.concatenate(rho))
        tensor = np.zeros((M + 1, n, n))
        tensor[:, own, own] = curves
        for one, other, part in zip(i, j, np.split(values, np.cumsum(count)[:-1]), strict=True):
            tensor[: len(part), one, other] = tensor[: len(part), other, one] = chebyshev_coefficients(part)
        for axis in (1, 2):
            tensor = np.moveaxis(chebyshev_coefficients(np.moveaxis(tensor, axis, 0)), 0, axis)
        return chebyshev_coefficients(size), tensor


def interpolate_in_norms(
    evaluate: Evaluate, exact: Evaluate, norms: tuple[float, float], rtol: float, most: int
) -> NormsKernel:
    """Interpolant for norms between two `norms`, of values from `evaluate`, checked by those from `exact`.

    Raises
    ------
    AccuracyError
        It may take more than `most` pairs, or solutions between the nodes are not predicted to `rtol`.
    """
    box, allowed = _Box(evaluate, *norms), rtol / 8
    M, m = _degree(COSINE_DEGREES, box.along_cosines, allowed), _degree(NORM_DEGREES, box.along_norms, allowed)
    pairs = (m + 1) * (m + 2) // 2 * (M + 1)
    if pairs > most:
        raise AccuracyError(f"the interpolation in the norms may take {pairs} pairs")
    found = NormsKernel(*norms, *box.coefficients(m, M, allowed))
    # Between the nodes, where the error of an interpolant is largest.
    u, rho = _between(m), _between(M)
    first, second = (np.repeat(index, len(rho)) for index in np.triu_indices(len(u)))
    rho = np.tile(rho, len(first) // len(rho))
    truth, size = _Box(exact, *norms).solve(u, first, second, rho)
    values = found.values(Pairs(box.radii(u), first, second, rho))
    error = float(np.abs(values / np.exp(size[first] + size[second]) - truth).max())
    if not error <= rtol:
        raise AccuracyError(f"the interpolation in the norms leaves {error:.3g}", reached=error)
    return found


def _degree(degrees: tuple[int, ...], function: Callable[[Host], Host], allowed: float) -> int:
    """Degree at which the coefficients of some functions have fallen below `allowed`.

    Raises
    ------
    AccuracyError
        Not even the last of `degrees` shows them falling below it.
    """
    for degree in degrees:
        largest = np.abs(chebyshev_coefficients(function(lobatto_points(degree)))).max(axis=1)
        needed = int(np.flatnonzero(largest > allowed).max(initial=0)) + 1
        if needed <= 3 * degree // 4:
            return needed
    raise AccuracyError(f"degree {degrees[-1]} is not enough", reached=float(largest[-1]))


def _between(degree: int) -> Host:
    """A few of the points halfway, in angle, between the Lobatto points."""
    return np.cos(np.pi * (np.unique(np.linspace(0, degree - 1, CHECKED).round()) + 0.5) / degree)
