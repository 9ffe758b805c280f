"""Points of a Gauss step at which a defect is looked at, and what its values there say of its integrals.

The defect δ of a collocation polynomial is zero at the m nodes c_j. Its integrals ∫ P_k δ dt with Legendre polynomials,
weighted as the flow of the linearised equation has these, are the error that it makes by the end of the step. With
δ(c_j) = 0 the m + 1 points that Kronrod adds to the Gauss nodes give them.

A layer between two points of all these is seen from afar. At both ends of a step, beyond the outermost point, δ is
compared with its interpolant through all points.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.polynomial import legendre

from refimpl.backend import Array, Namespace
from refimpl.finite.forward import combine
from refimpl.finite.legendre import evaluated
from refimpl.quadrature import Host, gauss_legendre, kronrod_extension, lagrange, lagrange_integrals

WHOLE = 3
"""Integrals, with P_0, P_1 and P_2, that count in full, whatever the weight of their polynomial in Φ and in λ."""


@dataclass(frozen=True, eq=False)
class Probe:
    """Points of a step of unit length with m Gauss nodes: its start, the m + 1 of Kronrod, its end.

    Parameters
    ----------
    values, integrals : ndarray, shape (m + 3, m)
        ℓ_j and ∫_0 ℓ_j at the points.
    polynomials : ndarray, shape (m + 3, m)
        The orthonormal polynomials of `refimpl.finite.legendre` at the points.
    beyond : ndarray, shape (m + 3, 1)
        At the points, the polynomial that is 0 at all nodes and 1 at the end.
    weights : ndarray, shape (m + 3, m + 3)
        Maps δ at the points to its integrals with P_0, …, P_m, and to what the first and the last gap may hide.
    """

    values: Host
    integrals: Host
    polynomials: Host
    beyond: Host
    weights: Host

    def seen(self, xp: Namespace, defect: Array, reach: float) -> tuple[Array, Array]:
        """The integral of a defect (m + 3, …), and the largest of all that the weights see, without sign.

        Of P_k the flow e^{z (1 − t)} has z^k k!/(2k)! to leading order in z = κΔ, the `reach`: so much counts what is
        integrated with it. For a linear equation, where δ is a multiple of P_m, that is all that there is.
        """
        counts = np.ones(len(self.weights))
        counts[1:-2] = np.cumprod(reach / (4 * np.arange(1, len(counts) - 2) - 2))
        counts[:WHOLE] = np.maximum(counts[:WHOLE], 1.0)
        integrals = combine(xp, counts[:, None] * self.weights, defect)
        return integrals[0, ...], xp.max(xp.abs(integrals), axis=0)


@lru_cache(maxsize=64)
def probe(nodes: int) -> Probe:
    """The probe of Gauss steps of `nodes` nodes."""
    added, weights = kronrod_extension(nodes)
    points = np.concatenate([[0.0], added, [1.0]])
    inner = slice(1, -1)
    seen = np.zeros((nodes + 3, nodes + 3))
    seen[:-2, inner] = legendre.legvander(2 * added - 1, nodes).T * weights
    both = np.concatenate([gauss_legendre(nodes)[0], added])
    for row, (end, gap) in enumerate(((0, added[0]), (-1, 1 - added[-1])), nodes + 1):
        basis = legendre.legvander(2 * points[[end]] - 1, 2 * nodes)
        through_all = np.linalg.solve(legendre.legvander(2 * both - 1, 2 * nodes).T, basis[0])
        seen[row, inner], seen[row, end] = -gap * through_all[nodes:], gap
    beyond = legendre.legval(2 * points - 1, np.eye(nodes + 1)[nodes])[:, None]
    polynomials = evaluated(nodes, points)
    return Probe(lagrange(nodes, points), lagrange_integrals(nodes, points), polynomials, beyond, seen)
