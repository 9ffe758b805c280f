"""Gram matrices of limiting kernels, and which of their eigenvalues double precision can see."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from scipy.linalg import cholesky, solve_triangular

from refimpl import Euler, Gauss, NeuralODE
from verification import Agreement
from verification.statements._data import Array

MARGIN = 10.0
"""An eigenvalue counts as positive above this many noise floors, as zero below one, else as undecided."""

EPS = float(np.finfo(float).eps)

DEPTH_INPUTS = 16
"""Inputs at which the kernels of ResNets are computed."""

SOURCES = {"digits": "digits", "sphere": r"$S^2$"}


@dataclass(frozen=True)
class Gram:
    """A kernel between inputs, shape (N, N), and a bound of the error of its entries."""

    K: Array
    error: float

    def leading(self, N: int) -> Gram:
        """That of the first N inputs."""
        return Gram(self.K[:N, :N], self.error)

    @property
    def eigenvalues(self) -> Array:
        """Ascending."""
        return np.asarray(np.linalg.eigvalsh(self.K), dtype=np.float64)

    @property
    def smallest(self) -> float:
        return float(self.eigenvalues[0])

    @property
    def floor(self) -> float:
        """What rounding and the error of the entries can do to an eigenvalue: N (ε λ_max + error), by Weyl."""
        return len(self.K) * (EPS * float(self.eigenvalues[-1]) + self.error)

    @property
    def rank(self) -> int:
        """Eigenvalues above the floor."""
        return int(np.sum(self.eigenvalues > self.floor))

    @property
    def positive(self) -> bool | None:
        """Whether λ_min > 0; None if float64 cannot see it."""
        if self.smallest > MARGIN * self.floor:
            return True
        return False if self.smallest < -self.floor else None


Grams: TypeAlias = Mapping[str, Mapping[str, Gram]]
"""By activation and source."""

Depths: TypeAlias = Mapping[str, Sequence[Mapping[str, Gram]]]
"""By activation, depth 1, 2, 4, … and source."""


def gram_matrices(name: str, X: Mapping[str, Array], solver: Gauss | Euler | None = None) -> dict[str, Gram]:
    """K_∞, or K_∞^L, between the points of each source; all on the unit sphere."""
    limit = NeuralODE(name).limit(solver)
    if limit.net.phi.kinks:
        kernels = {source: limit.ntk(points) for source, points in X.items()}
        return {source: Gram(K, 1e-9 * float(K.max())) for source, K in kernels.items()}
    curve = limit.on_sphere()
    return {source: Gram(curve(cosines(points)), curve.error) for source, points in X.items()}


def by_cholesky(name: str, X: Array) -> float:
    """λ_min(K_∞) with another scheme in time, as 1/‖R⁻¹‖² of the Cholesky factor R."""
    factor = cholesky(NeuralODE(name).limit(Gauss(nodes=10, steps=2)).ntk(X))
    return 1 / float(np.linalg.norm(solve_triangular(factor, np.eye(len(X))), 2)) ** 2


def pair_by_pair(name: str, X: Array, gram: Gram, claim: str) -> Agreement:
    """λ_min of `gram`, on X, once more."""
    return Agreement(
        rf"$\lambda_{{\min}}(K_\infty)$ ({name}, the $N = {len(X)}$ points measured)",
        ("Gauss scheme, eigenvalues", "pair by pair, 2 × 10 nodes, Cholesky"),
        abs(by_cholesky(name, X) - gram.smallest), 2 * gram.floor, "two noise floors", (claim,),
    )  # fmt: skip


def cosines(X: Array) -> Array:
    rho = np.clip(X @ X.T, -1.0, 1.0)
    np.fill_diagonal(rho, 1.0)
    return np.asarray(rho, dtype=np.float64)


def by_depth(name: str, deepest: int, X: Mapping[str, Array]) -> list[dict[str, Gram]]:
    """Gram matrices of K_∞^L, L = 1, 2, 4, …"""
    return [gram_matrices(name, X, Euler(2**k)) for k in range(deepest.bit_length())]


def within_hypothesis(deep: Depths) -> Depths:
    """Those under the hypothesis of the proposition."""
    return {name: grams for name, grams in deep.items() if not NeuralODE(name).phi.kinks}


def powers(grams: Sequence[object]) -> Array:
    return np.exp2(np.arange(len(grams), dtype=np.float64))
