"""Panels for the integral (4) along two dense outputs: the steps of both solvers, halved where they are too coarse.

The step control of an ODE solver looks at h and λ. A φ(h) that drives no neuron, because its column of W is zero, is
not looked at, and neither is λ φᵀ: a long step can pass over a layer of it.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.polynomial import legendre

from refimpl.quadrature import Host, gauss_legendre

MAX_HALVINGS = 12
"""Times that a step is halved at most: the accuracy is that of the solver, on which there is no promise."""

MAX_PANELS = 256, 16
"""Most panels that may come of k steps: the first number plus the second times k."""

Values = Callable[[Host], tuple[Host, Host]]
"""Times (k,) → φ(h_t) and λ_t, both (k, n, N)."""


def refined(values: Values, breaks: Host, nodes: int, rtol: float) -> tuple[Host, Host, Host]:
    """Weights (M,), φ and λ, (M, n, N), at Gauss nodes on panels fine enough for ∫ λ φᵀ dt.

    Parameters
    ----------
    values : callable
    breaks : ndarray, shape (steps + 1,)
        Ends of the steps, ascending.
    nodes : int
        Gauss nodes a panel, m ≥ 3.
    rtol : float
        Error that is allowed to a panel, relative to the whole integral, sample by sample.
    """
    c, b = gauss_legendre(nodes)
    low, width = breaks[:-1], np.diff(breaks)
    limit = MAX_PANELS[0] + MAX_PANELS[1] * low.size
    done: list[tuple[Host, Host, Host, Host]] = []
    whole: Host | float = 0.0
    for halving in range(MAX_HALVINGS + 1):
        phi, adjoint = values((low[:, None] + width[:, None] * c).ravel())
        probe = _probe(phi, adjoint, (low.size, nodes))
        if halving == 0:
            whole = np.linalg.norm(np.tensordot(width[:, None] * b, probe, axes=2), axis=0)
        error = width[:, None] * _error(probe, nodes)
        coarse = np.any(error > rtol * whole, axis=1)
        if halving == MAX_HALVINGS or 2 * coarse.sum() + sum(part[0].size for part in done) > limit:
            coarse[:] = False
        keep = np.repeat(~coarse, nodes)
        done.append((low[~coarse], width[~coarse], phi[keep], adjoint[keep]))
        if not coarse.any():
            break
        low, width = np.concatenate([low[coarse], (low + width / 2)[coarse]]), np.tile(width[coarse] / 2, 2)
    _, widths, phi, adjoint = (np.concatenate(parts) for parts in zip(*done, strict=True))
    return (widths[:, None] * b).ravel(), phi, adjoint


def _probe(phi: Host, adjoint: Host, shape: tuple[int, int]) -> Host:
    """λ (φ·r) for a fixed random r, at the nodes of every panel: shape (panels, m, n, N)."""
    vector = np.random.default_rng(0).standard_normal(phi.shape[1]).astype(phi.dtype)
    along = np.tensordot(phi, vector, axes=(1, 0))
    return np.reshape(adjoint * along[:, None, :], (*shape, *phi.shape[1:]))


def _error(probe: Host, nodes: int) -> Host:
    """Estimated mean of the part of `probe` that the m nodes integrate wrongly, per panel and sample.

    The Legendre coefficients through the nodes fall by a factor r over two degrees; if they go on like that, the first
    ones beyond the degree 2m − 1 are r^((m+1)/2) times the last one.
    """
    c, b = gauss_legendre(nodes)
    degrees = np.arange(nodes)
    transform = ((2 * degrees + 1) * legendre.legvander(2 * c - 1, nodes - 1)).T * b
    size = np.linalg.norm(np.einsum("kj,ajnN->aknN", transform[-min(4, nodes) :], probe), axis=2)
    last, before = size[:, -2:].max(axis=1), size[:, :-2].max(axis=1)
    ratio = np.minimum(1.0, np.divide(last, before, out=np.ones_like(last), where=before > 0))
    estimate: Host = last * ratio ** ((nodes + 1) / 2)
    return estimate
