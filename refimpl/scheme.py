"""Schemes: a one-step Runge–Kutta tableau repeated over [0, T].

A scheme is a quadrature on [0, T] with nodes c_i, weights b_i and an integration matrix a_ij ≈ ∫_0^{c_i} ℓ_j.
Euler's scheme with L steps *is* the ResNet of depth L; Gauss–Legendre nodes are the spectrally accurate ODE.
Over several steps the full matrix is block lower triangular, so it is kept as one block and applied by a
cumulative sum; `Scheme.matrix` writes it out.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from refimpl.backend import Array, Namespace, from_host, sums_before
from refimpl.quadrature import Host, gauss_legendre, lagrange_integrals


@dataclass(frozen=True, eq=False)
class Scheme:
    """One step of a Runge–Kutta method, repeated `steps` times on [0, `horizon`].

    Parameters
    ----------
    A : ndarray, shape (m, m)
        Integration matrix of one step of unit length.
    b, c : ndarray, shape (m,)
        Weights and nodes of one step of unit length; every weight is non-zero.
    steps : int
        Number of equal steps.
    horizon : float
        End T of the time interval.

    Notes
    -----
    The adjoint tableau Â_ji = b_i a_ij / b_j makes the discrete adjoint states the exact gradient of the
    discrete output (Sanz-Serna, SIAM Review 58, 2016). For Gauss–Legendre it equals b_i − a_ji, integration
    from c_j to the end of the step: the scheme is symplectic. For Euler it is backpropagation.

    Examples
    --------
    >>> euler(depth=3, horizon=1.5).matrix.tolist()
    [[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.5, 0.5, 0.0]]
    """

    A: Host
    b: Host
    c: Host
    steps: int
    horizon: float

    @property
    def step(self) -> float:
        """Length T / steps of one step."""
        return self.horizon / self.steps

    @property
    def size(self) -> int:
        """Number of nodes on [0, T]."""
        return self.steps * self.b.size

    @property
    def nodes(self) -> Host:
        """All nodes on [0, T], shape (size,)."""
        return ((np.arange(self.steps)[:, None] + self.c) * self.step).ravel()

    @property
    def weights(self) -> Host:
        """All quadrature weights on [0, T], shape (size,)."""
        return np.tile(self.b * self.step, self.steps)

    @property
    def adjoint(self) -> Host:
        """Adjoint tableau Â_ji = b_i a_ij / b_j of one unit step, shape (m, m)."""
        return (self.b[:, None] * self.A / self.b).T

    @property
    def matrix(self) -> Host:
        """The tableau written out over all steps, shape (size, size)."""
        earlier = np.tri(self.steps, k=-1)
        return self.step * (np.kron(np.eye(self.steps), self.A) + np.kron(earlier, np.tile(self.b, (self.b.size, 1))))

    def integrate(self, xp: Namespace, values: Array) -> Array:
        """∫_0^{t_i} of node values given along the last axis: ``values @ matrix.T`` by cumulative sums.

        Parameters
        ----------
        values : array, shape (..., size)

        Returns
        -------
        array, shape (..., size)
        """
        return self._integrate(xp, values, self.A, reverse=False)

    def integrate_back(self, xp: Namespace, values: Array) -> Array:
        """Σ_i Â_ji values_i, which stands for ∫_{t_j}^T, along the last axis, shape (..., size)."""
        return self._integrate(xp, values, self.adjoint, reverse=True)

    def _integrate(self, xp: Namespace, values: Array, block: Host, reverse: bool) -> Array:
        shape = tuple(values.shape)
        blocks = xp.reshape(values, (*shape[:-1], self.steps, self.b.size))
        within = xp.matmul(blocks, from_host(xp, np.ascontiguousarray(block.T) * self.step, values))
        if self.steps > 1:
            totals = xp.matmul(blocks, from_host(xp, self.b * self.step, values))
            totals = xp.flip(totals, axis=-1) if reverse else totals
            before = sums_before(xp, totals)
            within = within + (xp.flip(before, axis=-1) if reverse else before)[..., None]
        return xp.reshape(within, shape)


def euler(depth: int, horizon: float) -> Scheme:
    """Euler's scheme with `depth` steps: the ResNet (6).

    Examples
    --------
    >>> euler(4, 1.0).nodes.tolist()
    [0.0, 0.25, 0.5, 0.75]
    """
    return Scheme(np.zeros((1, 1)), np.ones(1), np.zeros(1), depth, horizon)


def gauss(nodes: int, steps: int, horizon: float) -> Scheme:
    """Gauss–Legendre collocation with `nodes` nodes in each of `steps` steps; order 2 × `nodes`, symplectic.

    Examples
    --------
    >>> scheme = gauss(2, 1, 1.0)
    >>> scheme.matrix.round(6).tolist()
    [[0.25, -0.038675], [0.538675, 0.25]]
    """
    A, b, c = _gauss_tableau(nodes)
    return Scheme(A, b, c, steps, horizon)


@lru_cache(maxsize=64)
def _gauss_tableau(nodes: int) -> tuple[Host, Host, Host]:
    c, b = gauss_legendre(nodes)
    tableau = (lagrange_integrals(nodes, c), b.copy(), c.copy())
    for part in tableau:
        part.setflags(write=False)
    return tableau
