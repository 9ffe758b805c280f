"""One small ReLU network down to L = 2^16: the bound on L ‖∇f^L − ∇f‖, what makes it irregular, and solver floors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

import numpy as np

from refimpl import Gauss, Jacobian, KinkEvents, NeuralODE, Params, SolveIVP
from refimpl.finite.branches import Branches
from refimpl.finite.kinks import Path, follow
from verification import Config
from verification.fit import PowerLaw, power_law
from verification.statements._data import DIM, Array, Mask, inputs
from verification.statements._relu_curves import Exact, flat

WIDTHS = {False: 16, True: 64}
"""n of the quick and of the full run."""

DEEPEST = 16
"""log₂ of the largest depth."""

FITTED = (1531, 1627, 1723, 1847, 1949, 2053, 2161, 2273, 2381, 2503, 2633, 2767, 2903, 3049, 3203, 3361)
"""Depths from which the parts of the error are found: primes, so that crossings fall anywhere within a step."""

SHALLOWEST = 64
"""Least depth that counts: the terms that are dropped are of order 1/L against those that are kept."""

ADAPTIVE = {
    "SolveIVP, default (DOP853, 1e-10)": SolveIVP(),
    "torchdiffeq's default (RK45, 1e-7 and 1e-9)": SolveIVP("RK45", 1e-7, 1e-9),
    "scipy's default (RK45, 1e-3 and 1e-6)": SolveIVP("RK45", 1e-3, 1e-6),
}
"""Solvers that step over kinks, with the tolerances that they are used with."""


def backpropagated(net: NeuralODE, theta: Params, x: Array, depth: int) -> tuple[Array, Array]:
    """∇f^L of the ResNet (6) as one vector, written out; and the layers (L + 1, n)."""
    root, step = math.sqrt(theta.width), net.horizon / depth
    forward = step * net.sigma_w / root * theta.W
    backward, phi = np.ascontiguousarray(forward.T), net.phi.phi
    relu = net.phi.name == "relu"
    h = np.empty((depth + 1, theta.width))
    h[0] = net.sigma_u * theta.U @ x
    for k in range(depth):
        h[k + 1] = h[k] + forward @ (np.maximum(h[k], 0.0) if relu else phi(h[k]))
    value, slope = net.phi.value_and_slope(h)
    adjoint = np.empty_like(h)
    adjoint[depth] = net.sigma_v / root * theta.v * slope[depth]
    for k in range(depth - 1, -1, -1):
        adjoint[k] = adjoint[k + 1] + slope[k] * (backward @ adjoint[k + 1])
    of_W = step * net.sigma_w / root * adjoint[1:].T @ value[:-1]
    jacobian = Jacobian(
        net.sigma_u * np.outer(adjoint[0], x)[None], of_W[None], net.sigma_v / root * value[depth][None]
    )
    return flat(jacobian)[0], h


@dataclass(frozen=True)
class Deep:
    """∇f^L − ∇f of one network at one input.

    Parameters
    ----------
    width : int
    depths : array, shape (k,)
    differences : array, shape (k, parameters)
    exact : array, shape (parameters,)
        ∇f.
    positions : array, shape (k, crossings)
        For every crossing the number of the layer with which the neuron has changed its side, less L t*/T: the place
        of the crossing within a step.
    fitted, fitted_positions : array, shapes (m, parameters) and (m, crossings)
        L (∇f^L − ∇f) and positions at the depths `FITTED`.
    slowest : float
        Smallest |ḣ_i| at a crossing.
    aligned : array of bool, shape (k,)
        Whether every neuron of the ResNet changes its side at these layers and at no others: as often as in the
        Neural ODE, and thus with its sign at T.
    references : dict from str to array, shape (parameters,)
        ∇f by solvers.
    """

    width: int
    depths: Array
    differences: Array
    exact: Array
    positions: Array
    fitted: Array
    fitted_positions: Array
    slowest: float
    aligned: Mask
    references: dict[str, Array] = field(default_factory=dict)

    @property
    def norm(self) -> Array:
        """‖∇f^L − ∇f‖."""
        total: Array = np.linalg.norm(self.differences, axis=1)
        return total

    @property
    def extrapolated(self) -> Array:
        """‖2∇f^{2L} − ∇f^L − ∇f‖ of two successive depths."""
        total: Array = np.linalg.norm(2 * self.differences[1:] - self.differences[:-1], axis=1)
        return total

    @property
    def settled(self) -> Mask:
        """Depths of `SHALLOWEST` layers at least, beyond the last whose ResNet has other crossings than the Neural ODE.

        There and nowhere else is an error made of the places of the crossings.
        """
        beyond = np.logical_and.accumulate(self.aligned[::-1])[::-1]
        counted: Mask = beyond & (self.depths >= SHALLOWEST)
        return counted

    @property
    def allowed(self) -> Array:
        """Largest ‖L (∇f^L − ∇f) − A − Σ_c θ_c J_c‖ by terms O(1/L), as large as the first settled depth has them.

        Their coefficient, too, depends on the places of the crossings, which are others at every depth: a factor of 2.
        They count at L itself, and at the depths `FITTED` with the weights that these have in A + Σ_c θ_c J_c.
        """
        first = int(np.argmax(self.settled))
        weights = np.abs(_with_one(self.positions) @ np.linalg.pinv(_with_one(self.fitted_positions))).sum(axis=1)
        largest: Array = 2 * self._left[first] * self.depths[first] * (1 / self.depths + weights / FITTED[0])
        return largest

    def slope(self, values: Array, first: int = SHALLOWEST) -> PowerLaw:
        """Exponent of a curve that ends at the last depth, from the depth `first` on."""
        depths = self.depths[-len(values) :]
        return power_law(depths[depths >= first], values[depths >= first])

    @property
    def _parts(self) -> Array:
        """A and the J_c, one below the other."""
        return np.linalg.lstsq(_with_one(self.fitted_positions), self.fitted, rcond=None)[0]

    @property
    def ceiling(self) -> float:
        """max ‖A + Σ_c θ_c J_c‖ over all places of the crossings within a step: it is convex, so a corner has it.

        A place is known up to a shift of its unit interval; what was seen of it leaves an interval somewhat wider.
        """
        seen = np.concatenate([self.positions[self.settled], self.fitted_positions])
        edges = zip(seen.max(axis=0) - 1, seen.min(axis=0) + 1, strict=True)
        return max(float(np.linalg.norm(np.array([1.0, *corner]) @ self._parts)) for corner in product(*edges))

    @property
    def _left(self) -> Array:
        """‖L (∇f^L − ∇f) − A − Σ_c θ_c J_c‖; A and J_c are fitted at the depths `FITTED` only."""
        left = self.depths[:, None] * self.differences - _with_one(self.positions) @ self._parts
        total: Array = np.linalg.norm(left, axis=1)
        return total

    @property
    def remainder(self) -> Array:
        """What A + Σ_c θ_c J_c leaves of L (∇f^L − ∇f), relative."""
        share: Array = self._left / (self.depths * self.norm)
        return share


def _with_one(positions: Array) -> Array:
    return np.hstack([np.ones((len(positions), 1)), positions])


def followed(theta: Params, x: Array) -> Path:
    """The ReLU network of `theta` from x to T, with its crossings."""
    net = NeuralODE("relu")
    return follow(Branches(net.phi), theta.W / math.sqrt(theta.width), theta.U @ x, net.horizon, 1e-12)


def deepest_network(config: Config, width: int) -> Params:
    """The first network that crosses the kink at all: one that does not has no error of it."""
    x = inputs(config, 1)["sphere"][0]
    for draw in range(64):
        key = ("deepest", width, draw) if draw else ("deepest", width)
        theta = NeuralODE("relu").init(width, DIM, seed=config.rng(*key))
        if followed(theta, x).crossings:
            return theta
    raise ArithmeticError(f"no network of n = {width} crosses the kink")


def deep(config: Config) -> tuple[Deep, Deep]:
    """A ReLU network, and the softplus network with the same θ and input."""
    width, x = WIDTHS[config.full], inputs(config, 1)["sphere"]
    net, control = NeuralODE("relu"), NeuralODE("softplus")
    theta = deepest_network(config, width)
    exact = Exact.of(net, theta, x)
    path = followed(theta, x[0])
    moments = [(crossing.neuron, crossing.time, crossing.speed > 0) for crossing in path.crossings]

    def along(depths: Sequence[int]) -> tuple[Array, Array, Mask]:
        differences, places, aligned = [], [], []
        for L in depths:
            found, h = backpropagated(net, theta, x[0], L)
            differences.append(found - exact.gradient[0])
            places.append([_place(h[:, i], L * t / net.horizon, up) for i, t, up in moments])
            expected = [(p + L * t / net.horizon, i) for p, (i, t, _) in zip(places[-1], moments, strict=True)]
            aligned.append(same_changes(h, expected))
        return np.stack(differences), np.reshape(places, (len(depths), len(moments))), np.asarray(aligned)

    powers = [1 << k for k in range(3, DEEPEST + 1)]
    differences, positions, aligned = along(powers)
    fitted, fitted_positions, _ = along(FITTED)
    references = {name: flat(net.jacobian(theta, x, solver))[0] for name, solver in ADAPTIVE.items()}
    single = Params(*(block.astype(np.float32) for block in (theta.U, theta.W, theta.v)))
    rounded = net.jacobian(single, x.astype(np.float32), SolveIVP(rtol=1e-6, atol=1e-7))
    references["SolveIVP in float32 (1e-6)"] = flat(rounded)[0].astype(np.float64)
    references["KinkEvents, default (1e-10)"] = flat(net.jacobian(theta, x, KinkEvents()))[0]
    relu = Deep(
        width, np.asarray(powers, dtype=np.float64), differences, exact.gradient[0], positions,
        np.asarray(FITTED)[:, None] * fitted, fitted_positions, exact.slowest, aligned, references,
    )  # fmt: skip
    smooth = flat(control.jacobian(theta, x, Gauss()))[0]
    shallow = powers[: 13 - 3]
    analytic = np.stack([backpropagated(control, theta, x[0], L)[0] - smooth for L in shallow])
    nothing = np.empty((0, 0))
    return relu, Deep(
        width, np.asarray(shallow, dtype=np.float64), analytic, smooth, nothing, nothing, nothing, np.inf,
        np.ones(len(shallow), dtype=bool),
    )  # fmt: skip


def _place(h: Array, crossing: float, up: bool) -> float:
    """First layer at or near the crossing on whose far side the neuron is, less the layer number of the crossing."""
    near = max(int(crossing) - 8, 0)
    beyond = h[near:] > 0 if up else h[near:] <= 0
    return near + int(np.argmax(beyond)) - crossing


def same_changes(h: Array, expected: Sequence[tuple[float, int]]) -> bool:
    """Whether the layers h, of shape (L + 1, n), change their side of the kink as `expected`, (layer, neuron) each."""
    layers, neurons = np.nonzero(np.diff(h > 0, axis=0))
    return sorted(zip((layers + 1).tolist(), neurons.tolist(), strict=True)) == sorted(
        (round(layer), neuron) for layer, neuron in expected
    )
