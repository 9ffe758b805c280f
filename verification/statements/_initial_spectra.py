"""Eigenvalues of K_θ of many random networks at initialization, beside those of K_∞."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refimpl import NeuralODE, Params
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._wide_training import SOLVER, Problem

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True)
class Spectra:
    """Independent networks at each width, on the inputs of one source.

    Parameters
    ----------
    widths : array, shape (W,)
    kernel : array, shape (draws, W, N, N)
        K_θ.
    limit : array, shape (N, N)
        K_∞.
    """

    activation: str
    source: str
    widths: Array
    kernel: Array
    limit: Array

    @property
    def eigenvalues(self) -> Array:
        """Of K_θ, ascending, shape (draws, W, N)."""
        return np.asarray(np.linalg.eigvalsh(self.kernel))

    @property
    def limits(self) -> Array:
        """Eigenvalues of K_∞, ascending, shape (N,)."""
        return np.asarray(np.linalg.eigvalsh(self.limit))

    @property
    def floor(self) -> float:
        """N ε λ_max: what the rounding of float64 can do to an eigenvalue."""
        return noise_floor(self.kernel)


def noise_floor(kernel: Array) -> float:
    """N ε λ_max for the largest of the kernels (…, N, N)."""
    return int(kernel.shape[-1]) * EPS * float(np.linalg.eigvalsh(kernel)[..., -1].max())


def weyl_ratio(kernel: Array, limit: Array) -> float:
    """max_i |λ_i(K_θ) − λ_i(K_∞)| / ‖K_θ − K_∞‖₂, the largest of the kernels (…, N, N)."""
    moved = np.abs(np.linalg.eigvalsh(kernel) - np.linalg.eigvalsh(limit)).max(axis=-1)
    return float((moved / np.linalg.norm(kernel - limit, ord=2, axis=(-2, -1))).max())


def initial_network(config: Config, net: NeuralODE, width: int, draw: int) -> Params:
    """The networks of `initial_spectra`."""
    return net.init(width, DIM, seed=config.rng("initialization", net.phi.name, width, draw))


def initial_spectra(config: Config, net: NeuralODE, problems: Mapping[str, Problem]) -> list[Spectra]:
    draws, widest = (48, 1024) if config.full else (24, 256)
    widths = 2 ** np.arange(6, widest.bit_length())
    X = np.concatenate([problem.X for problem in problems.values()])
    kernel = np.zeros((draws, len(widths), len(X), len(X)))
    name = net.phi.name
    for draw in config.progress(range(draws), f"{name} at initialization"):
        for k, n in enumerate(widths.tolist()):
            kernel[draw, k] = net.ntk(initial_network(config, net, n, draw), X, solver=SOLVER)
    ends = np.cumsum([len(problem.X) for problem in problems.values()]).tolist()
    rows = {source: slice(end - len(p.X), end) for end, (source, p) in zip(ends, problems.items(), strict=True)}
    return [
        Spectra(name, source, widths.astype(float), kernel[..., part, part], problems[source].K)
        for source, part in rows.items()
    ]
