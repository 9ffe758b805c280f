"""The quantities of a finite network, from the sweeps of a solver; as the package returns them, and as vectors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refimpl.finite import contraction
from refimpl.finite.contraction import Scales
from refimpl.finite.system import Sweep
from refimpl.parameters import Jacobian, Params
from refimpl.quadrature import Host

FINITE = ("output", "loss", "gradient", "jacobian", "ntk")
LIMIT = ("limit_ntk", "limit_nngp")

Value: TypeAlias = Any
"""float, array, `Params` or `Jacobian`, depending on the quantity."""


@dataclass(frozen=True, eq=False)
class Request:
    """What is asked for of a finite network, checked, in float64.

    Parameters
    ----------
    quantity : str
    X : ndarray, shape (N, d)
    X2 : ndarray, shape (N2, d), or None
    y : ndarray, shape (N,), or None
    v : ndarray, shape (n,)
        Scaled output weights σ_v v / √n.
    scales : Scales
    """

    quantity: str
    X: Host
    X2: Host | None
    y: Host | None
    v: Host
    scales: Scales

    def evaluate(self, sweeps: Sequence[Sweep], v: Host | None = None) -> Value:
        """The quantity, from the sweep for X, that for X2 if there is one, and (unless given) the weights v here."""
        v, sweep = self.v if v is None else v, sweeps[0]
        outputs = sweep.terminal_phi.T @ v
        if self.quantity == "output":
            return outputs
        if self.quantity == "loss":
            assert self.y is not None
            return float(np.sum((outputs - self.y) ** 2) / 2)
        if self.quantity == "gradient":
            assert self.y is not None
            return Params(*contraction.gradient(np, sweep, self.X, outputs - self.y, self.scales, layered=False))
        if self.quantity == "jacobian":
            return Jacobian(*contraction.jacobian(np, sweep, self.X, self.scales, layered=False))
        X2 = self.X if self.X2 is None else self.X2
        K_U, K_W, K_v = contraction.kernel(np, sweep, self.X, sweeps[-1], X2, self.scales, layered=False)
        total = K_U + K_W + K_v
        return (total + total.T) / 2 if self.X2 is None else total


def flat(value: Value) -> Host:
    """All entries of a quantity as one vector."""
    if isinstance(value, Params | Jacobian):
        return np.concatenate([np.ravel(block) for block in (value.U, value.W, value.v)])
    return np.ravel(value)


def norm(vector: Host) -> float:
    """2-norm, free of over- and underflow of squares."""
    largest = float(np.max(np.abs(vector), initial=0.0))
    if largest in (0.0, np.inf) or np.isnan(largest):
        return largest
    return largest * float(np.linalg.norm(vector / largest))
