"""Kernels and covariances of f on the plane of widths n and depths L, both with ∞ as their last value."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from refimpl import Euler, Gauss, NeuralODE, Params
from verification import Config
from verification.statements._data import DIM, Array

ODE = Gauss(nodes=6, steps=1)
"""The Neural ODE, exact to 8 digits on these networks, which is checked, where the random error is in the third."""


@dataclass(frozen=True)
class Plane:
    """One quantity, the NTK or the covariance of f given (U, W), at every width and depth; depths end with ∞.

    Parameters
    ----------
    widths : array, shape (widths,)
    depths : array, shape (depths,)
        Those of the ResNets; where an axis has length depths + 1 the Neural ODE is the last.
    finite : array, shape (draws, widths, depths + 1, N, N)
    wide : array, shape (depths + 1, N, N)
        Limit n → ∞ at each depth, without randomness.
    """

    widths: Array
    depths: Array
    finite: Array
    wide: Array

    @property
    def square(self) -> Array:
        """‖· − limit‖² / ‖limit‖² with the limit n, L → ∞; shape (draws, widths, depths + 1)."""
        limit = self.wide[-1]
        relative: Array = np.sum((self.finite - limit) ** 2, axis=(-2, -1)) / np.sum(limit**2)
        return relative

    @property
    def rms(self) -> Array:
        """Root mean square of the relative distance over draws, shape (widths, depths + 1)."""
        root: Array = np.sqrt(self.square.mean(axis=0))
        return root

    @property
    def bias(self) -> Array:
        """Relative distance of the limits n → ∞ at each finite depth, shape (depths,)."""
        change: Array = np.linalg.norm(self.wide[:-1] - self.wide[-1], axis=(1, 2)) / np.linalg.norm(self.wide[-1])
        return change

    @property
    def in_depth(self) -> Array:
        """‖· at depth L − · of the Neural ODE‖² of the same network, relative; shape (draws, widths, depths)."""
        change: Array = np.sum((self.finite[:, :, :-1] - self.finite[:, :, -1:]) ** 2, axis=(-2, -1))
        relative: Array = change / np.sum(self.wide[-1] ** 2)
        return relative

    @property
    def along(self) -> Array:
        """⟨· , limit⟩ / ‖limit‖², 1 at the limit; shape (draws, widths, depths + 1)."""
        limit = self.wide[-1]
        projection: Array = np.sum(self.finite * limit, axis=(-2, -1)) / np.sum(limit**2)
        return projection

    @property
    def deep_after_wide(self) -> tuple[float, float]:
        """lim_L lim_n of `along` by Richardson's scheme on ResNets alone, and its error estimate."""
        limit = self.wide[-1]
        column = list(np.sum(self.wide[:-1] * limit, axis=(1, 2)) / np.sum(limit**2))
        corners = [column[-1]]
        for order in range(1, len(column)):
            column = [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
            corners.append(column[-1])
        return float(corners[-1]), float(abs(corners[-1] - corners[-2]))

    def predicted(self, spread: float) -> Array:
        """√(spread²/n + bias_L²): the random error of the width and the error of the depth add up in square."""
        both: Array = np.sqrt(spread**2 / self.widths[:, None] + np.append(self.bias, 0.0) ** 2)
        return both


def planes(config: Config, net: NeuralODE, X: Array, widths: Array, depths: Array, draws: int) -> tuple[Plane, Plane]:
    """The planes of the NTK and of the covariance of f given (U, W); the ResNets of a draw share θ with its ODE."""
    shape = (draws, len(widths), len(depths) + 1, len(X), len(X))
    ntk, covariance = np.empty(shape), np.empty(shape)
    solvers: list[Euler | Gauss] = [*(Euler(L) for L in depths.astype(int).tolist()), ODE]
    for draw in config.progress(range(draws), "network"):
        for i, n in enumerate(widths.astype(int).tolist()):
            theta = net.init(n, DIM, seed=config.rng("plane", n, draw))
            for j, solver in enumerate(solvers):
                ntk[draw, i, j] = net.ntk(theta, X, solver=solver)
                covariance[draw, i, j] = conditional_covariance(net, theta, X, solver)
    limits = [net.limit(solver) for solver in solvers[:-1]] + [net.limit()]
    return (
        Plane(widths, depths, ntk, np.stack([limit.ntk(X) for limit in limits])),
        Plane(widths, depths, covariance, np.stack([limit.nngp(X) for limit in limits])),
    )


def conditional_covariance(net: NeuralODE, theta: Params, X: Array, solver: Euler | Gauss) -> Array:
    """σ_v² ⟨φ(h_T), φ(h̄_T)⟩ / n: given (U, W), f is Gaussian with this covariance, whatever the width."""
    phi = net.phi.phi(terminal(net, theta, X, solver))
    covariance: Array = net.sigma_v**2 / theta.width * phi @ phi.T
    return covariance


def terminal(net: NeuralODE, theta: Params, X: Array, solver: Euler | Gauss) -> Array:
    """h_T, (N, n); that of a ResNet is computed layer by layer here."""
    if isinstance(solver, Gauss):
        return np.asarray(net.trajectory(theta, X, np.asarray([net.horizon]), solver).h[0])
    h = net.sigma_u * X @ theta.U.T
    A = net.horizon / solver.depth * net.sigma_w / np.sqrt(theta.width) * theta.W.T
    for _ in range(solver.depth):
        h = h + net.phi.phi(h) @ A
    end: Array = h
    return end
