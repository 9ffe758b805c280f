"""∂f/∂W = ∫ λ φᵀ dt from the Legendre coefficients of λ and φ in each step.

With polynomials p_k that are orthonormal on a step, scaled to unit length from Δ, λ = Σ_k λ̂_k p_k and φ = Σ_k φ̂_k p_k
through m Gauss nodes,

    Σ_j b_j λ_j φ_jᵀ = Δ Σ_{k<m} λ̂_k φ̂_kᵀ

exactly, since Gauss quadrature is exact for products of two such polynomials. Both factors fall with k, so that little
more than half of the terms have digits that are asked for, and the contraction needs no others.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property, lru_cache

import numpy as np
from numpy.polynomial import legendre

from refimpl.backend import Array, Namespace, from_host, namespace
from refimpl.finite.forward import combine
from refimpl.finite.rows import norms
from refimpl.quadrature import Host, gauss_legendre

PROBES = 4
"""Vectors of random signs, with which the norm of ∂f/∂W is found."""

DROPPED = 1 / 64
"""Part of the tolerance that the terms left out may be."""


@dataclass(frozen=True, eq=False)
class Expansion:
    """Σ_k adjoint_k phi_kᵀ = ∂f/∂W but for σ_w/√n, for every sample.

    Parameters
    ----------
    phi, adjoint : array, shape (steps, m, N, n)
        φ̂_k and Δ λ̂_k in every step.
    """

    phi: Array
    adjoint: Array

    @cached_property
    def norm(self) -> Array:
        """Frobenius norm for each sample, (N,): that of the products with random signs."""
        xp, (steps, m, N, n) = namespace(self.phi), self.phi.shape
        signs = from_host(xp, np.random.default_rng(0).choice([-1.0, 1.0], (PROBES, n)), self.phi)
        along = xp.reshape(xp.matmul(xp.reshape(self.phi, (-1, n)), signs.T), (steps * m, N, PROBES))
        unit = _largest(xp, along)  # so that nothing underflows
        adjoint = xp.permute_dims(xp.reshape(self.adjoint, (steps * m, N, n)), (1, 0, 2))
        products = xp.matmul(xp.permute_dims(along / unit, (1, 2, 0)), adjoint)
        other = _largest(xp, xp.permute_dims(products, (1, 0, 2)))
        products /= other[..., None]
        return xp.linalg.vector_norm(products, axis=(1, 2)) * (unit * other)[:, 0] / PROBES**0.5

    def shortened(self, rtol: float) -> tuple[Array, Array]:
        """The first terms, (terms, N, n): without those that together are less than a part of `rtol` of the norm."""
        xp, (steps, m, N, n) = namespace(self.phi), self.phi.shape
        sizes = [norms(xp, part) for part in self._both]
        left_out = combine(xp, np.triu(np.ones((m, m))), xp.sum(sizes[0] * sizes[1], axis=0))  # (m, N)
        needed = xp.any(left_out > DROPPED * rtol * self.norm, axis=1)
        terms = max(1, int(xp.sum(xp.astype(needed, xp.int32))))
        phi, adjoint = (xp.reshape(part[:, :terms, ...], (steps * terms, N, n)) for part in self._both)
        return phi, adjoint

    @property
    def _both(self) -> tuple[Array, Array]:
        return self.phi, self.adjoint


def expand(xp: Namespace, nodes: int, values: Array, scale: float = 1.0) -> Array:
    """Coefficients in every step, (steps, m, N, n), of `scale` times values at all nodes, (steps × m, N, n)."""
    steps = values.shape[0] // nodes
    parts = [combine(xp, scale * _transform(nodes), values[k * nodes : (k + 1) * nodes, ...]) for k in range(steps)]
    return xp.stack(parts) if steps > 1 else parts[0][None, ...]


def evaluated(nodes: int, at: Host) -> Host:
    """Maps coefficients to values at the points `at` of a step."""
    return np.asarray(legendre.legvander(2 * at - 1, nodes - 1) * np.sqrt(2 * np.arange(nodes) + 1))


@lru_cache(maxsize=64)
def _transform(nodes: int) -> Host:
    """Maps values at the Gauss nodes of [0, 1] to coefficients of orthonormal polynomials."""
    c, b = gauss_legendre(nodes)
    return evaluated(nodes, c).T * b


def _largest(xp: Namespace, values: Array) -> Array:
    """Largest size of each sample of (…, N, k), (N, 1), and 1 where there is none."""
    size = xp.max(xp.max(xp.abs(values), axis=-1, keepdims=True), axis=0)
    return xp.where(size == 0, xp.ones_like(size), size)
