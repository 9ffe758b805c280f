"""How near the neurons come to the ends of their branches during one step.

The dense output of DOP853 is a polynomial, and so is the distance of a neuron from an end of its branch, in u from 0 to
1 over the step. Where that is negative the neuron has left its branch. Where it only stands still within the error of
h, nobody can tell.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.polynomial import chebyshev, polynomial
from scipy.special import comb

from refimpl.finite.branches import Branches
from refimpl.quadrature import Host

DEGREE = 7
"""Degree of the dense output of DOP853 in time."""

SLACK = 1e-3
"""Part of the step beyond its ends in which the distance may stand still: between two steps it might do so in none."""

NODES = (1 + chebyshev.chebpts1(DEGREE + 1)) / 2
"""Values of u that determine the polynomials."""

_TO_POWERS = np.linalg.inv(np.vander(NODES, increasing=True)).T
_k = np.arange(DEGREE + 1)
_TO_BERNSTEIN = (np.tril(comb(_k[:, None], _k)) / comb(DEGREE, _k)).T
"""From the powers of u to the Bernstein basis on [0, 1], whose coefficients bound the polynomial."""


@dataclass(frozen=True, eq=False)
class Approach:
    """A neuron that may come to an end of its branch during a step.

    Parameters
    ----------
    neuron : int
    edge : int
        Index of the end in `Branches.edges`.
    distance : ndarray, shape (DEGREE + 1,)
        Coefficients of u⁰, u¹, … of the distance from the end.
    on : bool
        Whether the neuron starts on it.
    """

    neuron: int
    edge: int
    distance: Host
    on: bool

    def exit(self) -> float | None:
        """First u at which the neuron leaves its branch."""
        return first_root(self.distance[1:] if self.on else self.distance)

    def touch(self, uncertain: float, after: float, until: float) -> tuple[float, float] | None:
        """Where between `after` and `until` the distance stands still, `uncertain` at most, and for how long it is so.

        All in u; the duration is 2 √(2 uncertain/p̈) with the second derivative p̈, and 1 at most.
        """
        speed = polynomial.polyder(self.distance)
        acceleration = polynomial.polyder(speed)
        roots = polynomial.polyroots(speed)
        found: tuple[float, float] | None = None
        for u in roots.real[(roots.imag == 0) & (roots.real >= after) & (roots.real <= until)].tolist():
            if abs(polynomial.polyval(u, self.distance)) <= uncertain:
                bend = abs(float(polynomial.polyval(u, acceleration)))
                duration = 2 * math.sqrt(min(2 * uncertain / bend, 0.25)) if bend > 0 else 1.0
                if found is None or duration > found[1]:
                    found = u, duration
        return found


def approaches(branches: Branches, branch: Any, values: Host, h: Host, uncertain: float) -> tuple[list[Approach], Any]:
    """Neurons that are not certain to stay more than `uncertain` away from the ends of their branches.

    Parameters
    ----------
    branch : ndarray of int, shape (n,)
    values : ndarray, shape (n, DEGREE + 1)
        The dense output at `NODES`.
    h : ndarray, shape (n,)
        h at the start of the step.

    Returns
    -------
    approaches : list of Approach
    resting : ndarray of bool, shape (n,)
        Neurons that stand still on a kink, which are not among them.
    """
    found, resting = list[Approach](), np.zeros(h.shape, dtype=bool)
    for sign, edge in ((1.0, branch), (-1.0, branch + 1)):
        edges = branches.edges[edge]
        has = np.flatnonzero(np.isfinite(edges))
        gaps, on = values[has] - edges[has, None], h[has] == edges[has]
        resting[has] |= on & (np.max(np.abs(gaps), axis=1, initial=0.0) == 0)
        powers = sign * gaps @ _TO_POWERS
        clear = np.min((powers @ _TO_BERNSTEIN)[:, 1:], axis=1, initial=np.inf) > uncertain
        for row in np.flatnonzero(~clear & ~resting[has]):
            neuron = int(has[row])
            found.append(Approach(neuron, int(edge[neuron]), powers[row], bool(on[row])))
    return found, resting


def first_root(powers: Host) -> float | None:
    """Smallest u in [0, 1] at which a polynomial, its constant term first, is negative just after it."""
    if powers[0] < 0:
        return 0.0
    roots = polynomial.polyroots(powers)
    real = np.sort(roots.real[(roots.imag == 0) & (roots.real >= 0) & (roots.real <= 1)])
    slope = polynomial.polyder(powers)
    for u in real.tolist():
        if polynomial.polyval(u, slope) <= 0:
            return float(u)
    return None
