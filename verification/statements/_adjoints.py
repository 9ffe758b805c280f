"""The adjoint ODE (3) discretised by hand: optimise first, then discretise. Shares φ and φ' with the package."""

from __future__ import annotations

import numpy as np
from numpy.polynomial import legendre

from refimpl import Jacobian, NeuralODE, Params
from verification.statements._data import Array


def euler_backwards(net: NeuralODE, theta: Params, X: Array, depth: int, *, stored: bool) -> Jacobian:
    """∇f from Euler's method applied to (3) and (4) backwards in time, from T to 0 in `depth` steps.

    Parameters
    ----------
    stored : bool
        Take h_t in (3) from the grid of the forward solve; otherwise solve it backwards together with λ, by Euler too,
        which needs no memory.

    Notes
    -----
    With h^ℓ the layers (6) and τ = T/L an explicit step from t_ℓ to t_{ℓ−1} uses the values at t_ℓ:

        λ^{ℓ−1} = λ^ℓ + τ φ'(h^ℓ) ⊙ Wᵀλ^ℓ,     ∂f/∂W = Σ_ℓ τ λ^ℓ φ(h^ℓ)ᵀ,

    where backpropagation through (6) has φ'(h^{ℓ−1}) and φ(h^{ℓ−1}) beside λ^ℓ.
    """
    root, step = np.sqrt(theta.width), net.horizon / depth
    W = net.sigma_w / root * theta.W
    layers = [net.sigma_u * X @ theta.U.T]
    for _ in range(depth):
        layers.append(layers[-1] + step * net.phi.phi(layers[-1]) @ W.T)
    h = layers[-1]
    terminal, slope = net.phi.value_and_slope(h)
    adjoint, of_W = net.sigma_v / root * theta.v * slope, np.zeros((len(X), *W.shape))
    for layer in range(depth, 0, -1):
        h = layers[layer] if stored else h
        phi, dphi = net.phi.value_and_slope(h)
        of_W += step * net.sigma_w / root * adjoint[:, :, None] * phi[:, None, :]
        adjoint = adjoint + step * dphi * (adjoint @ W)
        h = h - step * phi @ W.T
    return Jacobian(net.sigma_u * adjoint[:, :, None] * X[:, None, :], of_W, net.sigma_v / root * terminal)


def gauss_collocation(net: NeuralODE, theta: Params, X: Array, nodes: int) -> Jacobian:
    """∇f from the polynomial of degree `nodes` that solves (3) at the Gauss–Legendre nodes, and from Gauss for (4).

    λ̇ is a polynomial of degree < m through its values at the nodes, integrated backwards from λ_T:

        λ(c_j) = λ_T + Σ_i ∫_{c_j}^T ℓ_i(t) dt · φ'(h_i) ⊙ Wᵀ λ_i,

    as one linear system for all nodes, solved directly; no adjoint tableau b_i a_ij / b_j enters. h_i are the values
    of the collocation polynomial of (1), by Newton's method.
    """
    root = np.sqrt(theta.width)
    W = net.sigma_w / root * theta.W
    forward, total = _primitives(nodes, net.horizon)
    blocks = [_sample(net, theta, W, forward, total, net.sigma_u * theta.U @ x) for x in X]
    of_U = np.stack([net.sigma_u * np.outer(initial, x) for (initial, _, _), x in zip(blocks, X, strict=True)])
    of_W = np.stack([net.sigma_w / root * integral for _, integral, _ in blocks])
    return Jacobian(of_U, of_W, np.stack([net.sigma_v / root * terminal for _, _, terminal in blocks]))


def _primitives(nodes: int, horizon: float) -> tuple[Array, Array]:
    """∫_0^{c_j} ℓ_i and ∫_0^T ℓ_i of the Lagrange polynomials ℓ_i of the Gauss nodes, by Legendre's."""
    x, _ = legendre.leggauss(nodes)
    ends = np.append(x, 1.0)
    integrals = np.stack([legendre.legval(ends, legendre.legint(p, lbnd=-1)) for p in np.eye(nodes)], axis=1)
    table = horizon / 2 * integrals @ np.linalg.inv(legendre.legvander(x, nodes - 1))
    return table[:-1], table[-1]


def _sample(
    net: NeuralODE, theta: Params, W: Array, forward: Array, total: Array, start: Array
) -> tuple[Array, Array, Array]:
    """λ_0, ∫ λ φ(h)ᵀ dt and φ(h_T) for one initial state (n,)."""
    m, n = total.size, start.size
    h = np.tile(start, (m, 1))
    for _ in range(50):
        phi, dphi = net.phi.value_and_slope(h)
        residual = h - start - forward @ (phi @ W.T)
        derivative = np.eye(m * n) - np.einsum("ij,ab,jb->iajb", forward, W, dphi).reshape(m * n, m * n)
        change = np.linalg.solve(derivative, residual.ravel()).reshape(m, n)
        h = h - change
        if np.abs(change).max() <= 1e-14 * np.abs(h).max():
            break
    else:
        raise ArithmeticError(f"Newton's method still changes h by {np.abs(change).max():.3g}")
    phi, dphi = net.phi.value_and_slope(h)
    value, slope = net.phi.value_and_slope(start + total @ (phi @ W.T))
    end = net.sigma_v / np.sqrt(n) * theta.v * slope
    backward = total - forward
    system = np.eye(m * n) - np.einsum("ji,ia,ba->jaib", backward, dphi, W).reshape(m * n, m * n)
    adjoint = np.linalg.solve(system, np.tile(end, m)).reshape(m, n)
    integral = np.einsum("j,ja,jb->ab", total, adjoint, phi)
    return end + total @ (dphi * (adjoint @ W)), integral, value
