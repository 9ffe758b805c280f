"""The fields of finite networks: ⟨φ(h_t), φ(h̄_s)⟩/n, ⟨λ_t, λ̄_s⟩, and the three blocks of K_θ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl import Gauss, NeuralODE
from verification import Config
from verification.statements._data import DIM, Array

SOLVER = Gauss(nodes=8, steps=1)
"""Exact to 8 digits on these networks, which is checked."""


@dataclass(frozen=True)
class Fields:
    """One width, and several pairs of inputs.

    Parameters
    ----------
    Sigma, P : array, shape (draws, pairs, times, times)
    terms : array, shape (draws, pairs, 3)
        Blocks of K_θ with respect to v, W and U.
    """

    width: int
    Sigma: Array
    P: Array
    terms: Array

    def distance(self, what: str, limits: Array) -> tuple[Array, Array]:
        """Root mean square over draws of ‖field − limit‖/‖limit‖ per pair, (pairs,); and the squares (draws, pairs)."""
        axes = tuple(range(2, limits.ndim + 1))
        change = np.sum((getattr(self, what) - limits) ** 2, axis=axes)
        square = change / np.sum(limits**2, axis=tuple(axis - 1 for axis in axes))
        return np.sqrt(square.mean(axis=0)), square


def finite_fields(
    config: Config, net: NeuralODE, X: Array, pairs: list[tuple[int, int]], times: Array, width: int, draws: int
) -> Fields:
    """Fields of the pairs (i, j) of rows of X at `times`, which begin with 0 and end with T."""
    first, second = (np.asarray(index) for index in zip(*pairs, strict=True))
    cosines = np.sum(X[first] * X[second], axis=1)
    found = []
    for draw in config.progress(range(draws), f"n = {width}"):
        theta = net.init(width, DIM, seed=config.rng("network", width, draw))
        path = net.trajectory(theta, X, times, SOLVER)
        phi = net.phi.phi(path.h)
        Sigma = np.einsum("tpi,spi->pts", phi[:, first], phi[:, second]) / width
        P = np.einsum("tpi,spi->pts", path.adjoint[:, first], path.adjoint[:, second])
        of_v, of_U = net.sigma_v**2 * Sigma[:, -1, -1], net.sigma_u**2 * cosines * P[:, 0, 0]
        kernel = net.ntk(theta, X, solver=SOLVER)[first, second]
        found.append((Sigma, P, np.stack([of_v, kernel - of_v - of_U, of_U], axis=1)))
    return Fields(width, *(np.stack([row[k] for row in found]) for k in range(3)))
