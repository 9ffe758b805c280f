"""Which step sizes keep (14) in the linear dynamics, and a training problem with the numbers that decide it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache

import numpy as np

from refimpl import NeuralODE
from refimpl.infinite.sphere import SphereKernel
from verification.statements._data import Array

EPS = float(np.finfo(float).eps)


def largest_rate(least: float, largest: float) -> float:
    """The largest η for which L(u^k) ≤ (1 − ηλ_0)^k L(u^0) for all residuals and k, if u^k − y = (I − ηK)^k (u^0 − y).

    In the eigenmodes of K the loss is ½ Σ (1 − ηλ_i)^{2k} c_i². With k = 1 and a residual in mode i alone, (14) asks
    for (1 − ηλ_i)² ≤ 1 − ηλ_0, that is ηλ_i² ≤ 2λ_i − λ_0; if that holds for every i, (14) holds for every sum and k.
    The bound 2/λ − λ_0/λ² falls in λ ≥ λ_0, for its derivative is 2 (λ_0 − λ)/λ³: λ_max decides, η ≤ (2λ_max −
    λ_0)/λ_max². Then ηλ_0 ≤ 1 as well, since λ_0 (2λ_max − λ_0) ≤ λ_max² says no more than (λ_max − λ_0)² ≥ 0.
    """
    return (2 * largest - least) / largest**2


@dataclass(frozen=True)
class Problem:
    """Training inputs and targets, and K_∞ between the inputs.

    Parameters
    ----------
    net : NeuralODE
    source : str
    X, y : array, shape (N, d) and (N,)
        Inputs on the unit sphere.
    kernel : array, shape (N, N)
        K_∞.
    error : float
        Error bound of its entries.
    """

    net: NeuralODE
    source: str
    X: Array
    y: Array
    kernel: Array
    error: float

    @property
    def name(self) -> str:
        horizon = "" if self.net.horizon == 1 else f", $T = {self.net.horizon:g}$"
        return f"{self.net.phi.name}, {self.source}{horizon}"

    @property
    def eigenvalues(self) -> Array:
        """Of K_∞, ascending."""
        return np.asarray(np.linalg.eigvalsh(self.kernel), dtype=np.float64)

    @property
    def least(self) -> float:
        """λ_0."""
        return float(self.eigenvalues[0])

    @property
    def largest(self) -> float:
        """λ_max(K_∞)."""
        return float(self.eigenvalues[-1])

    @property
    def noise(self) -> float:
        """What rounding and the error of the entries can do to an eigenvalue, by Weyl's inequality."""
        return len(self.X) * (EPS * self.largest + self.error)

    @property
    def spectral(self) -> float:
        """‖X‖ as the largest singular value."""
        return float(np.linalg.norm(self.X, 2))

    @property
    def frobenius(self) -> float:
        """‖X‖ as the root of the sum of squares; √N here."""
        return float(np.linalg.norm(self.X))

    @property
    def edge(self) -> float:
        """`largest_rate` of K_∞."""
        return largest_rate(self.least, self.largest)

    def promise(self, rate: float, steps: int) -> Array:
        """The right-hand side of (14) over L(θ^0), (1 − ηλ_0)^k for k = 0, …, steps."""
        bound = np.asarray((1 - rate * self.least) ** np.arange(steps + 1), dtype=np.float64)
        return bound

    def keeps(self, loss: Array, rate: float) -> bool:
        """Whether `loss`, shape (steps + 1,), keeps (14) at every step."""
        return bool((loss[1:] <= loss[0] * self.promise(rate, len(loss) - 1)[1:]).all())


def problem(activation: str, source: str, X: Array, y: Array, horizon: float = 1.0) -> Problem:
    """The problem, with K_∞ as a function of ρ = x·x̄, which comes with its error."""
    net = NeuralODE(activation, horizon=horizon)
    K = curve(net)
    return Problem(net, source, X, y, np.asarray(K(gram(X)), dtype=np.float64), K.error)


@cache
def curve(net: NeuralODE) -> SphereKernel:
    """K_∞ on the unit sphere as a function of ρ = x·x̄."""
    return net.limit().on_sphere()


def gram(X: Array) -> Array:
    """ρ between unit vectors, shape (N, N), without what rounding leaves beyond ±1."""
    rho: Array = np.clip(X @ X.T, -1.0, 1.0)
    np.fill_diagonal(rho, 1.0)
    return rho


def bisected(eigenvalues: Array) -> float:
    """`largest_rate` by bisection of the condition itself, √(1 − ηλ_0) ≥ max_i |1 − ηλ_i|."""
    good, bad = 0.0, 1 / float(eigenvalues[0])
    while bad - good > 4 * EPS * bad:
        middle = (good + bad) / 2
        kept = math.sqrt(1 - middle * float(eigenvalues[0])) >= float(np.abs(1 - middle * eigenvalues).max())
        good, bad = (middle, bad) if kept else (good, middle)
    return good
