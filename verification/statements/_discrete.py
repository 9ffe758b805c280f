"""Discretise first, then optimise, on the steps of an adaptive method: the gradient of what its accepted steps compute.

The steps are held: nothing is differentiated through the control of their lengths, as is customary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.integrate import DOP853, RK23, RK45, solve_ivp

from refimpl import Jacobian, NeuralODE, Params
from verification.statements._data import Array

METHODS = {"RK23": RK23, "RK45": RK45, "DOP853": DOP853}
"""Explicit methods; scipy holds their tableaux as `A` and `B`. An implicit one solves its stages to a tolerance only,
so no formula gives the exact gradient of what it computed."""


@dataclass(frozen=True)
class Tableau:
    """One explicit step: stages h_i = h + τ Σ_{j<i} a_ij ḣ_j, and h + τ Σ_j b_j ḣ_j at its end.

    Parameters
    ----------
    matrix : array, shape (s, s)
    weights : array, shape (s,)
        Some may vanish, as b_2 of RK45 does.
    """

    matrix: Array
    weights: Array

    @classmethod
    def of(cls, method: str) -> Tableau:
        """Of scipy's explicit methods, or Euler's."""
        if method == "Euler":
            return cls(np.zeros((1, 1)), np.ones(1))
        scheme = METHODS[method]
        s = scheme.n_stages
        matrix = np.zeros((s, s))
        matrix[:, : scheme.A.shape[1]] = scheme.A[:s]
        return cls(matrix, np.asarray(scheme.B, dtype=np.float64))


def accepted(net: NeuralODE, theta: Params, X: Array, method: str, rtol: float, atol: float) -> tuple[Array, int]:
    """Ends of the steps that `solve_ivp` accepts, shape (steps + 1,), and how often it evaluates the rate."""
    N, n = len(X), theta.width
    W = net.sigma_w / math.sqrt(n) * theta.W

    def rate(_t: float, flat: Array) -> Array:
        return np.asarray((net.phi.phi(flat.reshape(N, n)) @ W.T).ravel())

    start, each = (net.sigma_u * X @ theta.U.T).ravel(), math.sqrt(N)  # every sample for itself, as in `SolveIVP`
    found = solve_ivp(rate, (0.0, net.horizon), start, method=method, rtol=rtol / each, atol=atol / each)
    return np.asarray(found.t), int(found.nfev)


def output(net: NeuralODE, theta: Params, X: Array, tableau: Tableau, times: Array) -> Array:
    """f of the discrete network, shape (N,)."""
    h, W = net.sigma_u * X @ theta.U.T, net.sigma_w / math.sqrt(theta.width) * theta.W
    for step in np.diff(times):
        rates = np.zeros((tableau.weights.size, *h.shape))
        for i, row in enumerate(tableau.matrix):
            rates[i] = net.phi.phi(h + step * np.tensordot(row[:i], rates[:i], axes=1)) @ W.T
        h = h + step * np.tensordot(tableau.weights, rates, axes=1)
    f: Array = net.sigma_v / math.sqrt(theta.width) * net.phi.phi(h) @ theta.v
    return f


def gradient(net: NeuralODE, theta: Params, X: Array, tableau: Tableau, times: Array) -> Jacobian:
    """∇f of the discrete network: the chain rule, step by step from the last to the first.

    With ḣ_j = 𝒲 φ(h_j), μ_i = ∂f/∂h_i and γ_j = ∂f/∂ḣ_j, a step from h to h' of length τ gives

        γ_j = τ (b_j λ' + Σ_{i>j} a_ij μ_i),   μ_j = φ'(h_j) ⊙ 𝒲ᵀ γ_j,   λ = λ' + Σ_j μ_j,   ∂f/∂𝒲 += Σ_j γ_j φ(h_j)ᵀ.

    No b_j divides, unlike in the adjoint tableau b_i a_ij / b_j.
    """
    root, s = math.sqrt(theta.width), tableau.weights.size
    W = net.sigma_w / root * theta.W
    h, stages = net.sigma_u * X @ theta.U.T, []
    for step in np.diff(times):
        rates, values, slopes = (np.zeros((s, *h.shape)) for _ in range(3))
        for i, row in enumerate(tableau.matrix):
            at = h + step * np.tensordot(row[:i], rates[:i], axes=1)
            values[i], slopes[i] = net.phi.value_and_slope(at)
            rates[i] = values[i] @ W.T
        h = h + step * np.tensordot(tableau.weights, rates, axes=1)
        stages.append((step, values, slopes))
    terminal, slope = net.phi.value_and_slope(h)
    adjoint, of_W = net.sigma_v / root * theta.v * slope, np.zeros((len(X), *W.shape))
    for step, values, slopes in reversed(stages):
        of_rate, of_stage = np.zeros_like(values), np.zeros_like(values)
        for j in reversed(range(s)):
            later = np.tensordot(tableau.matrix[j + 1 :, j], of_stage[j + 1 :], axes=1)
            of_rate[j] = step * (tableau.weights[j] * adjoint + later)
            of_stage[j] = slopes[j] * (of_rate[j] @ W)
        of_W += np.einsum("jxa,jxb->xab", of_rate, values, optimize=True)
        adjoint = adjoint + of_stage.sum(axis=0)
    return Jacobian(
        net.sigma_u * adjoint[:, :, None] * X[:, None, :], net.sigma_w / root * of_W, net.sigma_v / root * terminal
    )
