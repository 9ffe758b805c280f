"""From a forward and adjoint sweep to ∇f, ∇L and K_θ: the one contraction that serves every solver.

With the nodes j and weights b_j of a quadrature on [0, T]:

    ∂f/∂W = (σ_w/√n) Σ_j b_j λ_j φ(h_j)ᵀ,   ∂f/∂U = σ_u λ_0 xᵀ,   ∂f/∂v = (σ_v/√n) φ(h_T)                      (4)
    K_W(x, x̄) = (σ_w²/n) Σ_ij b_i b_j ⟨λ_i(x), λ_j(x̄)⟩ ⟨φ(h_i(x)), φ(h_j(x̄))⟩                                  (9)
"""

from __future__ import annotations

from dataclasses import dataclass

from refimpl.backend import Array, Namespace, slices, square
from refimpl.finite.system import Sweep

BLOCK = 1 << 23
"""Entries of the largest intermediate array (64 MiB in float64)."""


@dataclass(frozen=True)
class Scales:
    """The factors σ_u, σ_w/√n and σ_v/√n in front of U, W and v."""

    u: float
    w: float
    v: float


def gradient(
    xp: Namespace, sweep: Sweep, X: Array, residual: Array, scales: Scales, layered: bool
) -> tuple[Array, Array, Array]:
    """Σ_i residual_i ∇f(x_i), as its blocks U (n, d), W (n, n) or (L, n, n), and v (n,).

    Parameters
    ----------
    X : array, shape (N, d)
    residual : array, shape (N,)
    """
    weighted = sweep.weighted_adjoint * (scales.w * residual)
    if layered:
        W = xp.matmul(weighted, xp.matrix_transpose(sweep.phi))
    else:
        W = xp.matmul(_rows(xp, weighted).T, _rows(xp, sweep.phi))
    U = scales.u * xp.matmul(sweep.initial_adjoint * residual, X)
    v = scales.v * xp.matmul(sweep.terminal_phi, residual)
    return U, W, v


def jacobian(xp: Namespace, sweep: Sweep, X: Array, scales: Scales, layered: bool) -> tuple[Array, Array, Array]:
    """∇f(x_i) for every sample: blocks U (N, n, d), W (N, n, n) or (N, L, n, n), and v (N, n)."""
    lam = xp.permute_dims(sweep.weighted_adjoint, (2, 1, 0))
    phi = xp.permute_dims(sweep.phi, (2, 1, 0))
    if layered:
        lam, phi = xp.permute_dims(lam, (0, 2, 1)), xp.permute_dims(phi, (0, 2, 1))
        W = scales.w * lam[:, :, :, None] * phi[:, :, None, :]
    else:
        W = scales.w * xp.matmul(lam, xp.matrix_transpose(phi))
    U = scales.u * sweep.initial_adjoint.T[:, :, None] * X[:, None, :]
    return U, W, scales.v * sweep.terminal_phi.T


def kernel(
    xp: Namespace, sweep: Sweep, X: Array, other: Sweep, X2: Array, scales: Scales, layered: bool
) -> tuple[Array, Array, Array]:
    """Blocks of the neural tangent kernel (9), K_U + K_W + K_v = K_θ, each of shape (N, N2).

    No array of the size N × n² is ever formed.
    """
    U = square(scales.u) * xp.matmul(sweep.initial_adjoint.T, other.initial_adjoint) * xp.matmul(X, X2.T)
    v = square(scales.v) * xp.matmul(sweep.terminal_phi.T, other.terminal_phi)
    if layered:
        W = _kernel_layered(xp, sweep, other)
    elif _node_products_are_cheaper(sweep, other):
        W = _kernel_by_node_products(xp, sweep, other)
    else:
        W = _kernel_by_weight_rows(xp, sweep, other)
    return U, square(scales.w) * W, v


def _rows(xp: Namespace, states: Array) -> Array:
    """(m, n, N) → (m N, n); a view of what the sweeps leave behind, whose states are rows in memory."""
    m, n, N = states.shape
    return xp.reshape(xp.matrix_transpose(states), (m * N, n))


def _node_products_are_cheaper(sweep: Sweep, other: Sweep) -> bool:
    """Compare the multiplications of the two contractions below."""
    (m, n, N), (m2, _, N2) = sweep.phi.shape, other.phi.shape
    by_nodes = 2 * n * (m * N) * (m2 * N2)
    by_rows = n * n * (m * N + m2 * N2 + N * N2)
    return bool(by_nodes <= by_rows)


def _kernel_by_node_products(xp: Namespace, sweep: Sweep, other: Sweep) -> Array:
    """Σ_ij b_i b_j ⟨λ_i, λ_j⟩ ⟨φ_i, φ_j⟩ from the two (m N) × (m N) Gram matrices, in slices of nodes."""
    (m, _, N), (m2, _, N2) = sweep.phi.shape, other.phi.shape
    lam, phi = _rows(xp, sweep.weighted_adjoint), _rows(xp, sweep.phi)
    # The same array twice: BLAS computes half of a Gram matrix, and copies it to the other half.
    lam2, phi2 = (lam, phi) if other is sweep else (_rows(xp, other.weighted_adjoint), _rows(xp, other.phi))
    total = xp.zeros((N, N2), dtype=sweep.phi.dtype, device=sweep.phi.device)
    chunk = max(1, BLOCK // max(1, N * m2 * N2))
    for part in slices(m, chunk):
        rows = slice(part.start * N, part.stop * N)
        product = xp.matmul(lam[rows, :], lam2.T)
        product *= xp.matmul(phi[rows, :], phi2.T)
        product = xp.sum(xp.reshape(product, (part.stop - part.start, N * m2, N2)), axis=0)
        total = total + xp.sum(xp.reshape(product, (N, m2, N2)), axis=1)
    return total


def _kernel_by_weight_rows(xp: Namespace, sweep: Sweep, other: Sweep) -> Array:
    """⟨∂f(x)/∂W, ∂f(x̄)/∂W⟩, a few rows of W at a time."""
    (_, n, N), N2 = sweep.phi.shape, other.phi.shape[2]
    total = xp.zeros((N, N2), dtype=sweep.phi.dtype, device=sweep.phi.device)
    chunk = max(1, BLOCK // max(1, (N + N2) * n))
    lam = sweep.weighted_adjoint
    lam2 = lam if other is sweep else other.weighted_adjoint
    for rows in slices(n, chunk):
        block = _weight_rows(xp, lam, sweep.phi, rows)
        block2 = block if other is sweep else _weight_rows(xp, lam2, other.phi, rows)
        total = total + xp.matmul(block, block2.T)
    return total


def _weight_rows(xp: Namespace, weighted: Array, phi: Array, rows: slice) -> Array:
    """Rows `rows` of Σ_j b_j λ_j φ_jᵀ for every sample, flattened: (N, rows × n)."""
    lam = xp.permute_dims(weighted[:, rows, :], (2, 1, 0))
    product = xp.matmul(lam, xp.permute_dims(phi, (2, 0, 1)))
    return xp.reshape(product, (product.shape[0], product.shape[1] * product.shape[2]))


def _kernel_layered(xp: Namespace, sweep: Sweep, other: Sweep) -> Array:
    """Independent layers share no weights, so only i = j remains: Σ_l b_l² ⟨λ_l, λ_l⟩ ⟨φ_l, φ_l⟩."""
    lam = xp.matmul(xp.matrix_transpose(sweep.weighted_adjoint), other.weighted_adjoint)
    phi = xp.matmul(xp.matrix_transpose(sweep.phi), other.phi)
    return xp.sum(lam * phi, axis=0)
