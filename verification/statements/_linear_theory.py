"""What the linearised theory (8) predicts of a run, from K_∞, the targets and the network's outputs at step 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.polynomial import chebyshev, legendre
from numpy.typing import ArrayLike

from refimpl import Linearization, NeuralODE, linearize
from verification.statements._data import Array
from verification.statements._wide_training import Problem, Run

CURVE_NODES = 12
"""Chebyshev nodes in ρ for the blocks of K_∞, analytic in ρ for analytic φ; their sum is checked against K_∞."""


def linearized(
    problem: Problem, u: Array, u_test: Array, steps: ArrayLike, K: Array | None = None, K_test: Array | None = None
) -> Linearization:
    """The linearised dynamics from outputs u (N,) and u_test (curve,) at step 0, with K_∞ or other kernels."""
    curve = problem.curve
    return linearize(
        problem.K if K is None else K, problem.y, u, problem.rate, steps,
        problem.K_test[:curve] if K_test is None else K_test, u_test, problem.y_test[:curve],
    )  # fmt: skip


def classified(problem: Problem, run: Run, steps: float) -> Array:
    """Outputs of the linearised network at all test inputs."""
    found = linearize(
        problem.K, problem.y, run.predictions[0], problem.rate, steps, problem.K_test, run.test_ends[0]
    ).test_predictions
    return np.asarray(found)


def dual_path(K: Array, residual: Array, rate: float, steps: ArrayLike) -> Array:
    """a_k with θ^k − θ^0 = −Jᵀ a_k if the kernel J Jᵀ = K stays as it is; shape (steps, N).

    From (5) and (8), θ^{k+1} − θ^k = −η Jᵀ (I − ηK)^k r for r = u^0 − y. The geometric sum is a_k = Σ g_k(λ) c q over
    the modes of K, with c = ⟨q, r⟩ and g_k(λ) = (1 − (1 − ηλ)^k)/λ, and a_∞ = K⁻¹ r. For 0 < ηλ < 1.
    """
    values, vectors = np.linalg.eigh(K)
    k = np.asarray(steps, dtype=np.float64)[:, None]
    g = -np.expm1(k * np.log1p(-rate * values)) / values
    path: Array = g * (vectors.T @ residual) @ vectors.T
    return path


def travelled(path: Array, K: Array) -> Array:
    """‖θ_B^k − θ_B^0‖ = √(a_kᵀ K_B a_k) of the block B whose part of the kernel is K; shape (steps,)."""
    norms: Array = np.sqrt(np.einsum("ki,ij,kj->k", path, K, path))
    return norms


@dataclass(frozen=True)
class BlockKernels:
    """The parts of K_∞ that U, W and v contribute, on unit vectors, as functions of ρ = x·x̄.

    K_U = q P^{0,0},   K_W = σ_w² ∬ Σ^{t,s} P^{t,s} dt ds,   K_v = σ_v² Σ^{T,T}

    P^{0,0} is read off the polynomial through the Gauss nodes in time, the double integral is their quadrature.

    Parameters
    ----------
    net : NeuralODE
    initial, weights : array, shape (CURVE_NODES,)
        Chebyshev coefficients of P^{0,0} and K_W in ρ.
    """

    net: NeuralODE
    initial: Array
    weights: Array

    @classmethod
    def of(cls, net: NeuralODE) -> BlockKernels:
        """Solve for one pair of inputs at every node."""
        rho = chebyshev.chebpts1(CURVE_NODES)
        P, W = np.transpose([_initial_and_weights(net, float(x)) for x in rho])
        return cls(net, *(chebyshev.chebfit(rho, values, CURVE_NODES - 1) for values in (P, W)))

    def __call__(self, X: Array) -> dict[str, Array]:
        """Gram matrices among the rows of X, shape (N, N) each."""
        rho = np.clip(X @ X.T, -1.0, 1.0)
        return {
            "W": chebyshev.chebval(rho, self.weights),
            "U": self.net.sigma_u**2 * rho * chebyshev.chebval(rho, self.initial),
            "v": np.asarray(self.net.limit().nngp(X)),
        }

    @property
    def error(self) -> float:
        """The last two coefficients of both: they fall geometrically, and what is cut off is smaller than them."""
        return float(np.abs(self.initial[-2:]).sum() + np.abs(self.weights[-2:]).sum())


def _initial_and_weights(net: NeuralODE, rho: float) -> tuple[float, float]:
    """P^{0,0} and K_W of two unit vectors."""
    fields = net.limit().fields(np.asarray([1.0, 0.0]), np.asarray([rho, np.sqrt(1 - rho**2)]))
    x, weights = legendre.leggauss(len(fields.t))
    b, values = net.horizon / 2 * weights, legendre.legvander(2 * fields.t / net.horizon - 1, len(x) - 1)
    at_zero = np.linalg.solve(values.T, legendre.legvander(np.asarray([-1.0]), len(x) - 1)[0])
    return float(at_zero @ fields.P @ at_zero), float(net.sigma_w**2 * b @ (fields.Sigma * fields.P) @ b)
