"""A kinked φ on the smooth branches between its kinks, each continued beyond its ends by its tangent."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from refimpl.activations import Activation
from refimpl.quadrature import Host


@dataclass(frozen=True)
class Branches:
    """Branch j of φ lives between `edges[j]` and `edges[j + 1]`; the outermost edges are infinite.

    Parameters
    ----------
    activation : Activation
    """

    activation: Activation

    @cached_property
    def edges(self) -> Host:
        """−∞, the kinks, ∞."""
        return np.asarray([-np.inf, *self.activation.kinks, np.inf])

    @cached_property
    def slopes(self) -> Host:
        """φ' on the lower and on the upper side of every edge, shape (2, edges); 0 at infinity."""
        found = np.zeros((2, self.edges.size))
        kinks = self.edges[1:-1]
        for side, towards in enumerate((-np.inf, np.inf)):
            found[side, 1:-1] = self.activation.dphi(np.nextafter(kinks, towards))
        return found

    @cached_property
    def jumps(self) -> Host:
        """Jumps of φ' at the edges."""
        found: Host = np.abs(self.slopes[1] - self.slopes[0])
        return found

    def of(self, h: Host, rate: Host) -> Any:
        """The branch in which every neuron moves on from `h`; on a kink the rate decides, upwards if it is 0."""
        branch = np.searchsorted(self.edges, h, side="right") - 1
        return branch - ((h == self.edges[branch]) & (rate < 0))

    def phi(self, branch: Any, z: Host) -> Host:
        """φ on the given branches, whose shape `z` has as its last axis."""
        low, high = self.edges[branch], self.edges[branch + 1]
        inside = np.clip(z, low, high)
        below, above = self.slopes[1][branch], self.slopes[0][branch + 1]
        value: Host = self.activation.phi(inside) + np.where(z < low, below, above) * (z - inside)
        return value

    def dphi(self, branch: Any, z: Host) -> Host:
        """φ' on the given branches, one-sided at their ends."""
        low, high = self.edges[branch], self.edges[branch + 1]
        slope: Host = self.activation.dphi(z)
        slope = np.where(z <= low, self.slopes[1][branch], slope)
        slope = np.where(z >= high, self.slopes[0][branch + 1], slope)
        return slope
