"""The infinitely wide network against its horizon T: spectra of K_∞, variance of h_T, depth that is needed."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.polynomial import legendre
from scipy.special import gammaln

from refimpl import Euler, NeuralODE
from verification.statements._data import Array

COUNT = 16
"""Inputs from each source."""

EPS = float(np.finfo(float).eps)

LONG = 4.0
"""T beyond which K_∞ is too steep at ρ = 1 for one polynomial in ρ, and is solved pair by pair."""

BOUND = {"tanh": 1.0, "erf": 1.0}
"""sup |φ| of the bounded ones."""


@dataclass(frozen=True)
class AtHorizon:
    """K_∞ at one T, σ = 1, on unit vectors.

    Parameters
    ----------
    kernels : dict from str to array, shape (N, N)
        K_∞ by source of the inputs.
    variance : float
        S^{T,T}(x, x) = lim ‖h_T‖²/n.
    depth : float
        lim L |K_∞^L(x, x) − K_∞(x, x)| as L → ∞.
    depth_error : float
        Change of the extrapolation that gave it.
    """

    T: float
    kernels: Mapping[str, Array]
    variance: float
    depth: float
    depth_error: float

    def extremes(self, source: str) -> tuple[float, float]:
        """λ_min and λ_max."""
        values = np.linalg.eigvalsh(self.kernels[source])
        return float(values[0]), float(values[-1])

    def floor(self, source: str) -> float:
        """What rounding and the promised 1e-12 can do to an eigenvalue, by Weyl."""
        K = self.kernels[source]
        return len(K) * (EPS * self.extremes(source)[1] + 1e-12 * float(K.max()))

    @property
    def own(self) -> float:
        """K_∞(x, x)."""
        return float(next(iter(self.kernels.values()))[0, 0])


def at_horizon(name: str, T: float, X: Mapping[str, Array]) -> AtHorizon:
    """Everything at one T."""
    net = NeuralODE(name, horizon=T)
    if T <= LONG:
        curve = net.limit().on_sphere()
        kernels = {source: curve(cosines(points)) for source, points in X.items()}
    else:
        kernels = {source: net.limit().ntk(points) for source, points in X.items()}
    first = next(iter(X.values()))[:1]
    own = float(next(iter(kernels.values()))[0, 0])
    scaled = [L * (float(net.limit(Euler(L)).ntk(first)[0, 0]) - own) for L in (16, 32, 64)]
    once = [2 * b - a for a, b in pairwise(scaled)]
    twice = (4 * once[1] - once[0]) / 3
    return AtHorizon(T, kernels, variance_at(net), abs(twice), abs(twice - once[1]))


def variance_at(net: NeuralODE) -> float:
    """S^{T,T} = q + σ_w² ∬ Σ dt ds of a unit vector, with Gauss's rule at the nodes where Σ is known."""
    x = np.ones(1)
    fields = net.limit().fields(x, x)
    nodes, weights = legendre.leggauss(len(fields.t))
    assert np.allclose(net.horizon * (1 + nodes) / 2, fields.t, rtol=1e-12, atol=0)
    b = net.horizon / 2 * weights
    return float(net.sigma_u**2 + net.sigma_w**2 * b @ fields.Sigma @ b)


def gronwall(name: str, Z: float, q: float = 1.0) -> float:
    """Upper bound of S^{T,T} for Lipschitz φ.

    h_t − h_0 has the covariance σ_w² ∬ Σ, at most (σ_w ∫ Σ^½)² on the diagonal, and Σ^½ ≤ |φ(0)| + Lip r with r² = S by
    Minkowski, so r ≤ √q + σ_w ∫ (|φ(0)| + Lip r), hence r ≤ (√q + |φ(0)|/Lip) e^{Lip Z} − |φ(0)|/Lip, Z = σ_w T.
    """
    phi = NeuralODE(name).phi
    offset = float(np.abs(phi.phi(np.zeros(1)))[0]) / phi.lipschitz
    return ((math.sqrt(q) + offset) * math.exp(phi.lipschitz * Z) - offset) ** 2


def cosines(points: Array) -> Array:
    """x·x̄ of unit vectors, exactly 1 on the diagonal."""
    rho = np.clip(points @ points.T, -1.0, 1.0)
    np.fill_diagonal(rho, 1.0)
    return np.asarray(rho, dtype=np.float64)


def shallow(name: str, rho: Array) -> Array:
    """K_∞ at T = 0, σ = 1: the kernel E[φφ] + ρ E[φ'φ'] of one hidden layer, by plain double sums.

    The trapezoidal rule with step h has the error exp(−2πa/h) for a φ that is analytic in a strip of half-width a, at
    least π/2 here: e^{−39}; beyond |z| = 9 the normal density is e^{−40}.
    """
    phi, z = NeuralODE(name).phi, np.arange(-36, 37) / 4
    weights = np.exp(-(z**2) / 2) / (4 * math.sqrt(2 * math.pi))
    b = rho[..., None, None] * z[:, None] + np.sqrt(np.maximum(1 - rho**2, 0.0))[..., None, None] * z
    value, slope = phi.value_and_slope(b)
    first, first_slope = phi.value_and_slope(z)
    mean, mean_slope = value @ weights @ (first * weights), slope @ weights @ (first_slope * weights)
    kernel: Array = mean + rho * mean_slope
    return kernel


def identity_depth(Z: float) -> float:
    """lim L (K_∞ − K_∞^L) for φ(z) = z, q = 1: Σ_k (2 + k) k (k − 1) Z^{2k} / k!².

    K_∞^L = Σ_k (2 + k) C(L, k)² (Z/L)^{2k}, and C(L, k)²/L^{2k} = (1 − k (k − 1)/L + …)/k!².
    """
    k = np.arange(2.0, 200.0)
    return float(np.sum((2 + k) * k * (k - 1) * np.exp(2 * k * math.log(Z) - 2 * gammaln(k + 1))))
