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

from refimpl.backend import Array, Namespace, cumulative_sum, from_host
from refimpl.infinite.dual import Dual, dual
from refimpl.scheme import Scheme

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

ESCAPED = 1e12
"""Variance beyond which S counts as escaping to infinity."""

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

    def update(S: Array) -> tuple[Array, Array]:
        diagonal = xp.linalg.diagonal(S)
        Sigma = dual(net.phi, diagonal, diagonal).value(S)
        return Sigma, q[:, None, None] + net.sigma_w**2 * integrate_twice(xp, scheme, Sigma)

    start = xp.broadcast_to(q[:, None, None], (q.shape[0], scheme.size, scheme.size))
    S, Sigma = fixed_point(xp, start, update)
    return Variance(xp.linalg.diagonal(S), q + net.sigma_w**2 * integrate_square(xp, scheme, Sigma))


def covariance(
    xp: Namespace, net: NeuralODE, scheme: Scheme, q: Array, first: Variance, second: Variance
) -> Covariance:
    """Solve for pairs with q = σ_u² x·x̄, shape (B,), and the variances of x and of x̄."""
    expectation = dual(net.phi, first.nodes, second.nodes)
    if not scheme.A.any():
        S, Sigma = _march_euler(xp, net, scheme, q, expectation)
    else:

        def update(S: Array) -> tuple[Array, Array]:
            Sigma = expectation.value(S)
            return Sigma, q[:, None, None] + net.sigma_w**2 * integrate_twice(xp, scheme, Sigma)

        start = xp.broadcast_to(q[:, None, None], (q.shape[0], scheme.size, scheme.size))
        S, Sigma = fixed_point(xp, start, update)
    terminal = q + net.sigma_w**2 * integrate_square(xp, scheme, Sigma)
    at_end = dual(net.phi, first.terminal[:, None], second.terminal[:, None])
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


def fixed_point(xp: Namespace, S: Array, update: Callable[[Array], tuple[Array, Array]]) -> tuple[Array, Array]:
    """S and Σ with S = q + σ_w² A Σ Aᵀ to rounding; `update` maps S to (Σ, next S)."""
    eps, previous = float(xp.finfo(S.dtype).eps), math.inf
    for _ in range(MAX_SWEEPS):
        Sigma, new = update(S)
        size = float(xp.max(xp.abs(new))) if 0 not in new.shape else 0.0
        change = float(xp.max(xp.abs(new - S))) if size else 0.0
        S = new
        if not math.isfinite(size) or size > ESCAPED:
            raise CovarianceDivergenceError(f"the variance of h reaches {size:.3g}")
        if change <= 2 * eps * size or previous / 2 < change <= 64 * eps * size:
            return S, Sigma
        previous = change
    raise CovarianceDivergenceError(f"S still changes by {change / size:.3g} after {MAX_SWEEPS} sweeps")


def _march_euler(xp: Namespace, net: NeuralODE, scheme: Scheme, q: Array, expectation: Dual) -> tuple[Array, Array]:
    """Euler's recursion row by row, S_{i+1,j} = S_ij + (σ_w T/L)² Σ_{l<j} Σ_il: one evaluation of Σ per entry."""
    shape, factor = (q.shape[0], scheme.size, scheme.size), (net.sigma_w * scheme.step) ** 2
    S, Sigma = xp.empty(shape, dtype=q.dtype, device=q.device), xp.empty(shape, dtype=q.dtype, device=q.device)
    row = xp.broadcast_to(q[:, None], shape[:2])
    for i in range(scheme.size):
        S[:, i, :] = row
        Sigma[:, i, :] = expectation.value_in_row(i, row)
        row = row + factor * (cumulative_sum(xp, Sigma[:, i, :]) - Sigma[:, i, :])
    return S, Sigma
