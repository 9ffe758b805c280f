"""The covariance S^{t,s} of the infinitely wide network, forward in time.

    S_ij = q + σ_w² (A Σ Aᵀ)_ij,     Σ_ij = E[φ(a) φ(b)],   (a, b) ~ N(0, [[S_ii(x,x), S_ij], [S_ij, S_jj(x̄,x̄)]])

In the continuum: ∂²S/∂t∂s = σ_w² Σ^{t,s} with S^{t,0} = S^{0,s} = q (a Goursat problem). Arrays have a leading axis of
pairs, (B, M, M) over the M nodes of the scheme.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from refimpl.backend import Array, Namespace, from_host, square, sums_before
from refimpl.infinite.dual import Dual, dual, is_elementwise
from refimpl.scheme import Scheme

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

ESCAPED = 1e100
"""Variance beyond which S counts as escaping to infinity."""

ROUNDING = 1e-8
"""Relative size of a negative variance that rounding may leave."""

MAX_SWEEPS = 300
"""Fixed-point sweeps; the Volterra structure makes them converge faster than any geometric rate."""


class CovarianceDivergenceError(ArithmeticError):
    """The variance left all bounds: S does not exist up to T, or nearly so."""


@dataclass(frozen=True, eq=False)
class Variance:
    """Var h_t of single inputs: at the nodes, (B, M), and at T, (B,)."""

    nodes: Array
    terminal: Array

    def take(self, xp: Namespace, index: Array) -> Variance:
        """The inputs `index`, repeated as asked."""
        return Variance(xp.take(self.nodes, index, axis=0), xp.take(self.terminal, index, axis=0))


@dataclass(frozen=True, eq=False)
class Covariance:
    """S, Σ = E[φφ] and D = E[φ'φ'] of pairs at the nodes, (B, M, M), and the last two at (T, T), (B,)."""

    S: Array
    Sigma: Array
    D: Array
    terminal_Sigma: Array
    terminal_D: Array


def variances(xp: Namespace, net: NeuralODE, scheme: Scheme, q: Array) -> Variance:
    """Var h_t of inputs with q = σ_u² |x|², shape (B,).

    Raises
    ------
    CovarianceDivergenceError
        As happens for quadratic φ beyond its blow-up time.
    """
    if not scheme.A.any() and is_elementwise(net.phi):  # an expansion is prepared for all variances together
        return _march_variances(xp, net, scheme, q)

    def update(S: Array) -> tuple[Array, Array]:
        diagonal = _nonnegative(xp, xp.linalg.diagonal(S))
        Sigma = dual(net.phi, diagonal, diagonal).value(S)
        return Sigma, q[:, None, None] + square(net.sigma_w) * integrate_twice(xp, scheme, Sigma)

    start = xp.broadcast_to(q[:, None, None], (q.shape[0], scheme.size, scheme.size))
    S, Sigma = fixed_point(xp, start, update)
    return Variance(xp.linalg.diagonal(S), q + square(net.sigma_w) * integrate_square(xp, scheme, Sigma))


def _nonnegative(xp: Namespace, variance: Array) -> Array:
    """Variances, without the negative ones that rounding leaves."""
    if not bool(xp.all(xp.isfinite(variance))) or bool(xp.any(variance < -ROUNDING * xp.max(variance))):
        raise CovarianceDivergenceError("the variance of h is no variance any more")
    return xp.maximum(variance, xp.zeros_like(variance))


def duals_of(net: NeuralODE, variance: Variance) -> tuple[Dual, Dual]:
    """The expectations at the nodes and at T, of each input with itself; `Dual.take` gives those of pairs."""
    terminal = variance.terminal[:, None]
    return dual(net.phi, variance.nodes, variance.nodes), dual(net.phi, terminal, terminal)


def covariance(
    xp: Namespace,
    net: NeuralODE,
    scheme: Scheme,
    q: Array,
    first: Variance,
    second: Variance,
    duals: tuple[Dual, Dual],
    identical: Array,
) -> Covariance:
    """Solve for pairs with q = σ_u² x·x̄, shape (B,), the variances of x and of x̄, and their `duals_of`.

    Where a pair is `identical` the variances of x are put on the diagonal of S, and at T: a rounding error there would
    be an angle of its square root, which E[φ'φ'] of a kinked φ sees.
    """
    expectation, at_end = duals
    on_diagonal = identical[:, None, None] & (xp.eye(scheme.size, dtype=q.dtype, device=q.device) == 1)
    if not scheme.A.any():
        S, Sigma = _march_euler(xp, net, scheme, q, expectation, xp.where(identical[:, None], first.nodes, xp.nan))
    else:

        def update(S: Array) -> tuple[Array, Array]:
            Sigma = expectation.value(xp.where(on_diagonal, first.nodes[:, :, None], S))
            return Sigma, q[:, None, None] + square(net.sigma_w) * integrate_twice(xp, scheme, Sigma)

        start = xp.broadcast_to(q[:, None, None], (q.shape[0], scheme.size, scheme.size))
        S, Sigma = fixed_point(xp, start, update, xp.sqrt(first.terminal) * xp.sqrt(second.terminal))
    S = xp.where(on_diagonal, first.nodes[:, :, None], S)
    terminal = xp.where(identical, first.terminal, q + square(net.sigma_w) * integrate_square(xp, scheme, Sigma))
    terminal_Sigma, terminal_D = at_end.both(terminal[:, None, None])
    return Covariance(S, Sigma, expectation.slope(S), terminal_Sigma[:, 0, 0], terminal_D[:, 0, 0])


def integrate_twice(xp: Namespace, scheme: Scheme, values: Array) -> Array:
    """A F Aᵀ for F of shape (B, M, M): ∫_0^{t_i} ∫_0^{t_j}."""
    columns = scheme.integrate(xp, values)
    return xp.matrix_transpose(scheme.integrate(xp, xp.matrix_transpose(columns)))


def integrate_square(xp: Namespace, scheme: Scheme, values: Array) -> Array:
    """bᵀ F b for F of shape (B, M, M): ∫_0^T ∫_0^T, shape (B,)."""
    weights = from_host(xp, scheme.weights, values)
    return xp.matmul(xp.matmul(values, weights), weights)


def fixed_point(
    xp: Namespace, S: Array, update: Callable[[Array], tuple[Array, Array]], scale: Array | float = 0.0
) -> tuple[Array, Array]:
    """S and Σ with S = q + σ_w² A Σ Aᵀ to rounding; `update` maps S to (Σ, next S).

    Every pair converges by its own measure: its largest entry, or `scale` (B,) if that is larger.
    """
    eps, previous = float(xp.finfo(S.dtype).eps), math.inf
    for _ in range(MAX_SWEEPS):
        Sigma, new = update(S)
        if 0 in new.shape:
            return new, Sigma
        size = xp.max(xp.abs(new), axis=(1, 2))
        largest = float(xp.max(size))
        if not math.isfinite(largest) or largest > ESCAPED:
            raise CovarianceDivergenceError(f"the variance of h reaches {largest:.3g}")
        size = xp.maximum(size, scale + xp.zeros_like(size))
        change = float(xp.max(xp.max(xp.abs(new - S), axis=(1, 2)) / xp.where(size == 0, xp.ones_like(size), size)))
        S = new
        if change <= 2 * eps or previous / 2 < change <= 64 * eps:
            return S, Sigma
        previous = change
    raise CovarianceDivergenceError(f"S still changes by {change:.3g} after {MAX_SWEEPS} sweeps")


def _march_euler(
    xp: Namespace, net: NeuralODE, scheme: Scheme, q: Array, expectation: Dual, own: Array
) -> tuple[Array, Array]:
    """Euler's recursion row by row, S_{i+1,j} = S_ij + (σ_w T/L)² Σ_{l<j} Σ_il: one evaluation of Σ per entry.

    `own` (B, M) holds what stands on the diagonal instead, where it is not NaN.
    """
    shape, factor = (q.shape[0], scheme.size, scheme.size), (net.sigma_w * scheme.step) ** 2
    S, Sigma = xp.empty(shape, dtype=q.dtype, device=q.device), xp.empty(shape, dtype=q.dtype, device=q.device)
    given = xp.isfinite(own)
    row = xp.broadcast_to(q[:, None], shape[:2])
    for i in range(scheme.size):
        S[:, i, :] = row
        S[:, i, i] = xp.where(given[:, i], own[:, i], row[:, i])
        Sigma[:, i, :] = expectation.value_in_row(i, S[:, i, :])
        row = row + factor * sums_before(xp, Sigma[:, i, :])
    return S, Sigma


def _march_variances(xp: Namespace, net: NeuralODE, scheme: Scheme, q: Array) -> Variance:
    """Euler's recursion for x = x̄, by rows S_{i,0} … S_{i,i}: one evaluation of Σ per entry of half the matrix."""
    nodes = xp.empty((q.shape[0], scheme.size), dtype=q.dtype, device=q.device)
    row, factor = q[:, None], (net.sigma_w * scheme.step) ** 2
    for i in range(scheme.size):
        nodes[:, i] = _nonnegative(xp, row[:, i])
        Sigma = dual(net.phi, nodes[:, i : i + 1], nodes[:, : i + 1]).value(row[:, None, :])[:, 0, :]
        row = row + factor * sums_before(xp, Sigma)  # S_{i+1,j} for j ≤ i
        row = xp.concat([row, row[:, i:] + factor * xp.sum(Sigma, axis=-1, keepdims=True)], axis=-1)
        largest = float(xp.max(xp.abs(row))) if row.shape[0] else 0.0
        if not largest <= ESCAPED:
            raise CovarianceDivergenceError(f"the variance of h reaches {largest:.3g}")
    return Variance(nodes, row[:, -1])
