"""Differences between ResNets with kinked activations and the exact Neural ODE, input by input."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Jacobian, NeuralODE, Params
from verification.fit import PowerLaw, power_law
from verification.statements._data import Array, Mask
from verification.statements._piecewise_linear import Flow, gradient

QUANTITIES = ("output", "gradient", "ntk")


def flat(jacobian: Jacobian) -> Array:
    """∇f of every input as one vector, shape (N, parameters)."""
    rows: Array = np.concatenate([block.reshape(len(block), -1) for block in (jacobian.U, jacobian.W, jacobian.v)], 1)
    return rows


@dataclass(frozen=True)
class Exact:
    """The Neural ODE of one network, from the flow between the crossings.

    Parameters
    ----------
    output : array, shape (N,)
        f.
    gradient : array, shape (N, parameters)
        ∇f.
    on : array of bool, shape (N, n)
        Which neurons are positive at T.
    flows : sequence of Flow
    """

    net: NeuralODE
    theta: Params
    X: Array
    output: Array
    gradient: Array
    on: Mask
    flows: tuple[Flow, ...]

    @classmethod
    def of(cls, net: NeuralODE, theta: Params, X: Array) -> Exact:
        output, jacobian, flows = gradient(net, theta, X)
        on = np.stack([found.end > 0 for found in flows])
        return cls(net, theta, X, output, flat(jacobian), on, tuple(flows))

    @property
    def crossings(self) -> float:
        """Mean number of crossings of an input."""
        return float(np.mean([found.speeds.size for found in self.flows]))

    @property
    def slowest(self) -> float:
        """Smallest |ḣ_i| at a crossing."""
        return min((float(found.speeds.min()) for found in self.flows if found.speeds.size), default=np.inf)


@dataclass(frozen=True)
class Curves:
    """Differences between the ResNets of the given depths and the Neural ODE; all of shape (depths, N), or (depths,).

    Parameters
    ----------
    output : array, shape (depths, N)
        |f^L − f|.
    gradient : array, shape (depths, N)
        ‖∇f^L − ∇f‖.
    ntk : array, shape (depths,)
        ‖K_θ^L − K_θ‖, Frobenius over the inputs.
    wrong : array, shape (depths, N)
        Neurons of the last layer that are on in one network and off in the other.
    to_reference : dict from str to array, shape (depths,)
        ‖∇f^L − g‖ over all inputs for other references g.
    """

    depths: Array
    output: Array
    gradient: Array
    ntk: Array
    wrong: Array
    to_reference: dict[str, Array]

    @property
    def norm(self) -> Array:
        """‖∇f^L − ∇f‖ over all inputs."""
        total: Array = np.linalg.norm(self.gradient, axis=1)
        return total

    def values(self, quantity: str) -> Array:
        """The curve of one of the `QUANTITIES`, over all inputs."""
        if quantity == "ntk":
            return self.ntk
        of_inputs: Array = np.linalg.norm(self.gradient if quantity == "gradient" else self.output, axis=1)
        return of_inputs

    @property
    def settled(self) -> Mask:
        """Mask of the depths beyond the last one with a wrong sign in the last layer."""
        wrong = np.flatnonzero(self.wrong.any(axis=1))
        mask: Mask = np.arange(len(self.depths)) > (wrong[-1] if wrong.size else -1)
        return mask & (self.depths >= 16)

    def slope(self, values: Array) -> PowerLaw:
        """Exponent of `values` over the settled depths."""
        return power_law(self.depths[self.settled], values[self.settled])


def curves(exact: Exact, depths: Array, references: dict[str, Array] | None = None) -> Curves:
    """Differences at `depths`; `references` are other gradients of shape (N, parameters) to compare with."""
    net, theta, X = exact.net, exact.theta, exact.X
    kernel = exact.gradient @ exact.gradient.T
    references = references or {}
    rows: list[tuple[Array, Array, float, Array]] = []
    apart: dict[str, list[float]] = {name: [] for name in references}
    for L in depths.astype(int).tolist():
        jacobian = net.jacobian(theta, X, Euler(L))
        found = flat(jacobian)
        above = jacobian.v > 0  # φ(h) > 0 exactly where h > 0, for ReLU and leaky ReLU
        rows.append(
            (
                np.abs(jacobian.v @ theta.v - exact.output), np.linalg.norm(found - exact.gradient, axis=1),
                float(np.linalg.norm(found @ found.T - kernel)), np.sum(above != exact.on, axis=1),
            )
        )  # fmt: skip
        for name, reference in references.items():
            apart[name].append(float(np.linalg.norm(found - reference)))
    output, of_theta, ntk, wrong = (np.stack([row[k] for row in rows]) for k in range(4))
    return Curves(depths, output, of_theta, ntk, wrong, {name: np.asarray(v) for name, v in apart.items()})


def longest_plateau(depths: Array, values: Array, change: float) -> tuple[float, int, int]:
    """Longest stretch of `depths` over which `values` stays within a factor 1 + `change`: its ratio and its ends.

    Only stretches that begin at a depth of 4 or more: before it no asymptotic behaviour can be expected.
    """
    best = (1.0, 0, 0)
    for i in range(len(depths)):
        for j in range(i, len(depths)):
            part = values[i : j + 1]
            if depths[i] >= 4 and part.max() <= (1 + change) * part.min() and depths[j] / depths[i] > best[0]:
                best = (float(depths[j] / depths[i]), i, j)
    return best
