"""Linear networks in closed form at every width n and depth L: where the limits commute, and where they do not.

One layer with weights of its own, h ↦ s h + (a/√n) W h, multiplies ‖h‖² by a factor that depends on h in no way:
s² + 2 s a g_1/√n + a² ‖g‖²/n with g ~ N(0, I_n). With s = 0, a = 1 (a multi-layer perceptron) it is χ²_n/n.
"""

from __future__ import annotations

import numpy as np
from scipy.special import comb, gammaln, iv, polygamma

from verification.statements._data import Array
from verification.statements._pairings import trace_moment


def relative_variance(n: float, depth: int, skip: float, step: float) -> float:
    """Var ‖h^L‖² / (E ‖h^L‖²)² for given h^0."""
    return float(np.expm1(log_second_moment(n, depth, skip, step)))


def log_second_moment(n: float, depth: int, skip: float, step: float) -> float:
    """log E ‖h^L‖⁴ / (E ‖h^L‖²)² for given h^0: L times that of the factor of one layer."""
    excess = (4 * skip**2 * step**2 + 2 * step**4) / (n * (skip**2 + step**2) ** 2)
    return float(depth * np.log1p(excess))


def mean_root(n: float) -> float:
    """E ‖g‖/√n = √(2/n) Γ((n + 1)/2)/Γ(n/2), the mean of the factor of one layer of a perceptron, for ‖h‖."""
    if n > 1000:  # where the difference of two large logarithms has lost its digits; the next term is O(n⁻⁵)
        return float(np.exp(-1 / (4 * n) + 1 / (24 * n**3)))
    return float(np.exp(gammaln((n + 1) / 2) - gammaln(n / 2) + np.log(2 / n) / 2))


def log_moments(n: float, layers: float) -> tuple[float, float]:
    """Mean and variance of log Π χ²_n/n over `layers` factors."""
    return float(layers * (polygamma(0, n / 2) + np.log(2 / n))), float(layers * polygamma(1, n / 2))


def perceptrons(n: int, depth: int, draws: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """‖h^L‖²/n, and the L + 2 parts of K for U, W_1, …, W_L, v, of linear perceptrons at |x| = 1.

    Shapes (draws,) and (draws, L + 2). With the factor 1/√n in front of every W_l, and h^0 = U x,
    f = vᵀ h^L/√n, the part of W_l is ‖λ^l‖² ‖h^{l−1}‖²/n with λ^{l−1} = W_lᵀ λ^l/√n, λ^L = v/√n.
    """
    W = rng.standard_normal((depth, draws, n, n)) / np.sqrt(n)
    h = [rng.standard_normal((draws, n, 1))]
    for layer in W:
        h.append(layer @ h[-1])
    adjoint = [rng.standard_normal((draws, n, 1)) / np.sqrt(n)]
    for layer in W[::-1]:
        adjoint.append(layer.transpose(0, 2, 1) @ adjoint[-1])
    size = np.stack([np.sum(z**2, axis=(1, 2)) for z in h], axis=1)
    back = np.stack([np.sum(z**2, axis=(1, 2)) for z in adjoint[::-1]], axis=1)
    return size[:, -1] / n, np.concatenate([back[:, :1], back[:, 1:] * size[:, :-1] / n, size[:, -1:] / n], axis=1)


def residual_norms(n: int, depth: int, step: float, draws: int, rng: np.random.Generator) -> Array:
    """‖h^L‖²/‖h^0‖² of h ↦ h + (step/√n) W h with independent W, shape (draws,)."""
    h = np.ones((draws, n, 1)) / np.sqrt(n)
    for _ in range(depth):
        h = h + step / np.sqrt(n) * rng.standard_normal((draws, n, n)) @ h
    norms: Array = np.sum(h**2, axis=(1, 2))
    return norms


# Shared weights: (6) with φ(z) = z


def shared_mean(n: int, depth: int, Z: float) -> float:
    """E ‖h^L‖²/(n q) of the linear ResNet (6), exactly, from all pairings; 2 L factors, so L ≤ 4."""
    z, k = Z / depth, range(depth + 1)
    moment = {(i, j): sum(c * float(n) ** p for p, c in trace_moment(i, j).items()) for i in k for j in k}
    return float(sum(comb(depth, i) * comb(depth, j) * z ** (i + j) * moment[i, j] for i in k for j in k))


def shared_bound(Z: float) -> tuple[float, float]:
    """B and C with |E ‖h^L‖²/(n q) − I₀(2Z)| ≤ B/n + C/L for all n and L."""
    k = np.arange(60)
    inverse = np.exp(2 * k * np.log(Z) - 2 * gammaln(k + 1))
    return float(np.exp(2 * Z**2) - iv(0, 2 * Z)), float(np.sum(k * (k - 1) * inverse))
