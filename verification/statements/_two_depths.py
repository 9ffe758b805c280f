"""Two ResNets of depths L and M with the same weights at infinite width: how far apart their gradients are, for ReLU.

Their states h^i and k^j are jointly Gaussian as n → ∞. With steps a = T/L and b = T/M (σ's as everywhere),

    S_ij = E[h^i k^j] = q + σ_w² a b Σ_{i'<i, j'<j} Σ_i'j' ,    Σ_ij = E[φ(h^i) φ(k^j)] ,    D_ij = E[φ'(h^i) φ'(k^j)],
    P_ij = σ_v² D_LM + σ_w² a b Σ_{i'≥i, j'≥j} D_i'j' P_{i'+1, j'+1}      (adjoints of h^i and k^j),
    G_LM = σ_v² Σ_LM + σ_w² a b Σ_{i<L, j<M} Σ_ij P_{i+1, j+1} + q P_00 ,

and G_LM is the limit of ⟨∇f^L(x), ∇f^M(x)⟩; G_LL = K_∞^L(x, x).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl import NeuralODE
from verification.statements._data import Array


@dataclass(frozen=True)
class Pair:
    """Two ResNets at one input x̄ = x.

    Parameters
    ----------
    gradients : float
        G_LM.
    mismatch : float
        Probability that a neuron of the last layer is on in one network and off in the other.
    """

    gradients: float
    mismatch: float


def relu_pair(net: NeuralODE, radius: float, L: int, M: int) -> Pair:
    """G_LM of the unit ReLU at an input of norm `radius`."""
    q, a, b = (net.sigma_u * radius) ** 2, net.horizon / L, net.horizon / M
    step = net.sigma_w**2 * a * b
    s1, s2 = (np.sqrt(_variances(net, q, depth)) for depth in (L, M))
    Sigma, D = np.zeros((L + 1, M + 1)), np.zeros((L + 1, M + 1))
    row = np.full(M + 1, q)
    for i in range(L + 1):
        Sigma[i], D[i] = _arc_cosine(s1[i], s2, row)
        row = row + step * np.concatenate([[0.0], np.cumsum(Sigma[i, :-1])])
    terminal = net.sigma_v**2 * D[-1, -1]
    P, inner = np.full(M + 1, terminal), 0.0
    for i in reversed(range(L)):
        inner += float(Sigma[i, :-1] @ P[1:])
        tails = np.cumsum((D[i, :-1] * P[1:])[::-1])[::-1]
        P = P + step * np.append(tails, 0.0)
    gradients = net.sigma_v**2 * Sigma[-1, -1] + step * inner + q * P[0]
    return Pair(float(gradients), float(1 - 2 * D[-1, -1]))


def _arc_cosine(s1: Array | float, s2: Array, c: Array) -> tuple[Array, Array]:
    """E[φ(a)φ(b)] and E[φ'(a)φ'(b)] for standard deviations s1, s2 and covariance c (Cho and Saul, 2009)."""
    angle = np.arccos(np.clip(c / (s1 * s2), -1.0, 1.0))
    return (
        s1 * s2 * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi),
        (np.pi - angle) / (2 * np.pi),
    )


def _variances(net: NeuralODE, q: float, depth: int) -> Array:
    """S_ii of one network with itself, i = 0, …, depth: the lower triangle of S, row by row."""
    step = (net.sigma_w * net.horizon / depth) ** 2
    s, row = np.full(depth + 1, q), np.asarray([q])
    for i in range(depth):
        Sigma, _ = _arc_cosine(np.sqrt(s[i]), np.sqrt(s[: i + 1]), row)
        below = row + step * np.concatenate([[0.0], np.cumsum(Sigma[:-1])])  # S_{i+1, j}, j ≤ i
        s[i + 1] = below[-1] + step * float(Sigma.sum())  # S_{i, i+1} = S_{i+1, i}
        row = np.append(below, s[i + 1])
    return s
