"""The adjoint covariance P^{t,s} = lim ⟨λ_t(x), λ_s(x̄)⟩ of the infinitely wide network, backward in time.

With the adjoint tableau Â of the scheme, and D = E[φ'φ'] from the forward solution:

    P_ij = P_T + σ_w² (Â (D ⊙ P) Âᵀ)_ij,   Â_ji = b_i a_ij / b_j,   P_T = σ_v² D_TT,   P_00 = P_T + σ_w² bᵀ(D ⊙ P) b
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from refimpl.backend import Array, Namespace, square, sums_before
from refimpl.infinite.covariance import Covariance, fixed_point, integrate_square
from refimpl.scheme import Scheme

if TYPE_CHECKING:
    from refimpl.network import NeuralODE


@dataclass(frozen=True, eq=False)
class AdjointCovariance:
    """P at the nodes, (B, M, M), and at (0, 0), (B,).

    Under Euler node j of S belongs to t_j but P_ij belongs to (t_{i+1}, t_{j+1}), like λ at finite width.
    """

    P: Array
    initial: Array


def adjoint_covariance(xp: Namespace, net: NeuralODE, scheme: Scheme, forward: Covariance) -> AdjointCovariance:
    """Solve for P along the forward solution."""
    terminal, D = square(net.sigma_v) * forward.terminal_D, forward.D
    if not scheme.A.any():
        P = _march_euler(xp, net, scheme, D, terminal)
    else:

        def update(P: Array) -> tuple[Array, Array]:
            return P, terminal[:, None, None] + square(net.sigma_w) * _integrate_back_twice(xp, scheme, D * P)

        P, _ = fixed_point(xp, xp.broadcast_to(terminal[:, None, None], D.shape), update)
    return AdjointCovariance(P, terminal + square(net.sigma_w) * integrate_square(xp, scheme, D * P))


def _integrate_back_twice(xp: Namespace, scheme: Scheme, values: Array) -> Array:
    """Â F Âᵀ for F of shape (B, M, M): ∫_{t_i}^T ∫_{t_j}^T."""
    columns = scheme.integrate_back(xp, values)
    return xp.matrix_transpose(scheme.integrate_back(xp, xp.matrix_transpose(columns)))


def _march_euler(xp: Namespace, net: NeuralODE, scheme: Scheme, D: Array, terminal: Array) -> Array:
    """Backpropagation row by row, P_{i,j} = P_{i+1,j} + (σ_w T/L)² Σ_{l>j} (D P)_{i+1,l}."""
    P, factor = xp.empty_like(D), (net.sigma_w * scheme.step) ** 2
    row = xp.broadcast_to(terminal[:, None], tuple(D.shape[:2]))
    for i in range(scheme.size - 1, -1, -1):
        P[:, i, :] = row
        product = D[:, i, :] * row
        later = xp.flip(sums_before(xp, xp.flip(product, axis=-1)), axis=-1)
        row = row + factor * later
    return P
