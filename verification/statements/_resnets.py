"""ResNets f^L of growing depth against the Neural ODE f: outputs, gradients, kernels, and their expansion in 1/L."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from refimpl import Euler, Gauss, Jacobian, NeuralODE, Params, SolveIVP
from verification import Config
from verification.fit import PowerLaw, power_law
from verification.statements._data import DIM, Array
from verification.statements._expansion import Expansion

SHALLOWEST = 16
"""Smallest depth in the fits: below it the next term of the expansion, O(L⁻²), is not yet small."""

QUANTITIES = {"output": "f", "gradient": r"\nabla_\theta f", "NTK": r"K_\theta"}


@dataclass(frozen=True)
class Case:
    """One network at its initialization, and the depths of its ResNets: powers of 2 up to `deepest`."""

    activation: str
    width: int
    deepest: int
    draw: int = 0

    @property
    def net(self) -> NeuralODE:
        return NeuralODE(self.activation)

    @property
    def depths(self) -> Array:
        depths: Array = 2.0 ** np.arange(self.deepest.bit_length(), dtype=np.float64)
        return depths

    def theta(self, config: Config) -> Params:
        return self.net.init(self.width, DIM, seed=config.rng("theta", self.activation, self.width, self.draw))


@dataclass(frozen=True)
class Point:
    """f, ∇f and K_θ = ∇f ∇fᵀ (9) at all inputs, of a ResNet or of the Neural ODE."""

    output: Array
    jacobian: Jacobian

    def quantities(self, rows: slice) -> dict[str, Array]:
        """The three quantities of the figure at the inputs `rows`; Frobenius norms of these arrays are the curves."""
        blocks = (self.jacobian.U, self.jacobian.W, self.jacobian.v)
        gradient: Array = np.concatenate([block[rows].reshape(len(block[rows]), -1) for block in blocks], axis=1)
        return {"output": self.output[rows], "gradient": gradient, "NTK": gradient @ gradient.T}


@dataclass(frozen=True)
class Curve:
    """One quantity q of one case at the inputs of one source.

    Parameters
    ----------
    difference : array, shape (depths,)
        ‖q^L − q‖, Frobenius over inputs and entries.
    slope : PowerLaw
        Fit over L ≥ `SHALLOWEST`.
    leading : float
        lim L ‖q^L − q‖, from the ResNets alone.
    extrapolated, error : float
        ‖q^∞ − q‖ / ‖q‖ with q^∞ Richardson's limit of the ResNets, and its error estimate.
    mismatch : (float, float) or None
        Distance of lim L (q^L − q) of the ResNets from the theory (`_expansion`), the worst block of q relative to its
        norm, and what the extrapolation leaves open: its last change, and the rounding of the ResNets, one a layer, as
        its weights magnify it. None where the theory was not asked.
    """

    case: Case
    source: str
    quantity: str
    difference: Array
    slope: PowerLaw
    leading: float
    extrapolated: float
    error: float
    mismatch: tuple[float, float] | None = None

    @property
    def scaled(self) -> Array:
        """L ‖q^L − q‖."""
        return self.case.depths * self.difference

    @property
    def final(self) -> float:
        """Slope between the two deepest ResNets."""
        return float(np.log2(self.difference[-1] / self.difference[-2]))

    @property
    def limit(self) -> tuple[float, float]:
        """lim L ‖q^L − q‖ from the measured differences, one term of the expansion removed; and its last change."""
        once = 2 * self.scaled[1:] - self.scaled[:-1]
        return float(once[-1]), float(abs(once[-1] - once[-2]))


def point(net: NeuralODE, theta: Params, X: Array, solver: Euler | Gauss | SolveIVP) -> Point:
    return Point(net.predict(theta, X, solver), net.jacobian(theta, X, solver))


def _rows(X: Mapping[str, Array]) -> dict[str, slice]:
    ends = np.cumsum([0, *(len(block) for block in X.values())]).tolist()
    return {source: slice(a, b) for source, a, b in zip(X, ends[:-1], ends[1:], strict=True)}


def curves_of(
    case: Case, theta: Params, X: Mapping[str, Array], truth: Point, theory: Expansion | None = None
) -> tuple[list[Curve], Array]:
    """The curves of one network; and L (f^L − f) of its three deepest ResNets, for the leading coefficient."""
    stacked, rows = np.concatenate(list(X.values())), _rows(X)
    exact = {source: truth.quantities(part) for source, part in rows.items()}
    keys = [(source, quantity) for source in rows for quantity in QUANTITIES]
    depths = case.depths
    difference = {key: np.zeros(depths.size) for key in keys}
    limits, slopes = _interpolation(1 / depths[-6:])  # polynomials in 1/L through the last six depths …
    coarser, coarser_slopes = _interpolation(1 / depths[-5:])  # … and the last five
    sums = {key: [np.zeros_like(exact[key[0]][key[1]]) for _ in range(4)] for key in keys}
    levels = []
    for i, depth in enumerate(depths.astype(int).tolist()):
        resnet = point(case.net, theta, stacked, Euler(depth))
        levels.append(depth * (resnet.output - truth.output))
        for source, part in rows.items():
            for quantity, value in resnet.quantities(part).items():
                key, k = (source, quantity), i - depths.size
                change = value - exact[source][quantity]  # drops out of the slopes, whose weights sum to 0
                difference[key][i] = np.linalg.norm(change)
                for total, weights in zip(sums[key], (limits, coarser, slopes, coarser_slopes), strict=True):
                    if -k <= weights.size:
                        total += weights[k] * change
    curves = []
    for source, quantity in keys:
        limit, coarse, leading, before = sums[source, quantity]
        apart = None
        if theory is not None:
            expected = theory.quantities(rows[source])[quantity]
            blocks = _blocks(theta) if quantity == "gradient" else (slice(None),)
            magnified = float(np.abs(slopes) @ depths[-6:]) * np.finfo(float).eps / 2
            rounding = magnified * max(_ratio(exact[source][quantity], leading, part) for part in blocks)
            apart = _worst(expected, leading, blocks), _worst(before, leading, blocks) + rounding
        size, fitted = np.linalg.norm(exact[source][quantity]), depths >= SHALLOWEST
        curves.append(
            Curve(
                case, source, quantity, difference[source, quantity],
                power_law(depths[fitted], difference[source, quantity][fitted]), float(np.linalg.norm(leading)),
                float(np.linalg.norm(limit) / size), float(np.linalg.norm(limit - coarse) / size), apart,
            )
        )  # fmt: skip
    return curves, np.stack(levels[-3:])


def _blocks(theta: Params) -> tuple[slice, ...]:
    """The columns of U, W and v in a gradient."""
    ends = np.cumsum([0, theta.U.size, theta.W.size, theta.v.size]).tolist()
    return tuple(slice(a, b) for a, b in pairwise(ends))


def _worst(found: Array, expected: Array, blocks: Sequence[slice]) -> float:
    """‖found − expected‖ / ‖expected‖ of the worst block."""
    return max(_ratio(found - expected, expected, part) for part in blocks)


def _ratio(a: Array, b: Array, part: slice) -> float:
    """‖a‖ / ‖b‖ of a block."""
    return float(np.linalg.norm(a[..., part]) / np.linalg.norm(b[..., part]))


def _interpolation(x: Array) -> tuple[Array, Array]:
    """Weights w, w' with p(0) = Σ w_k p(x_k) and p'(0) = Σ w'_k p(x_k) for polynomials of degree < len(x)."""
    inverse = np.linalg.inv(np.vander(x / x[0], increasing=True))
    return inverse[0], inverse[1] / x[0]


def output_coefficient(net: NeuralODE, theta: Params, X: Array) -> Array:
    """lim L (f^L − f) = (T/2) ∫₀ᵀ ⟨λ̇_t, ḣ_t⟩ dt, shape (N,).

    A step of length T/L of Euler's method misses (T/L)² ḧ/2, which λ carries to f; and ⟨λ, ḧ⟩ = −⟨λ̇, ḣ⟩ by (1), (3).
    """
    x, weights = np.polynomial.legendre.leggauss(24)
    path = net.trajectory(theta, X, net.horizon * (1 + x) / 2, Gauss())
    W = net.sigma_w * theta.W / np.sqrt(theta.width)
    phi, dphi = net.phi.value_and_slope(path.h)
    integrand = np.sum(-dphi * (path.adjoint @ W) * (phi @ W.T), axis=2)
    coefficient: Array = net.horizon**2 / 4 * (weights @ integrand)
    return coefficient


def backpropagate(net: NeuralODE, theta: Params, X: Array, depth: int) -> Jacobian:
    """∇f^L by hand, layer by layer as printed in (6); shares no code with the package but φ and φ'."""
    root, step = np.sqrt(theta.width), net.horizon / depth
    W = net.sigma_w / root * theta.W
    layers = [net.sigma_u * X @ theta.U.T]
    for _ in range(depth):
        layers.append(layers[-1] + step * net.phi.phi(layers[-1]) @ W.T)
    adjoint = net.sigma_v / root * theta.v * net.phi.dphi(layers[-1])
    of_W = np.zeros((len(X), *W.shape))
    for h in reversed(layers[:-1]):
        of_W += step * net.sigma_w / root * adjoint[:, :, None] * net.phi.phi(h)[:, None, :]
        adjoint = adjoint + step * net.phi.dphi(h) * (adjoint @ W)
    of_U, of_v = net.sigma_u * adjoint[:, :, None] * X[:, None, :], net.sigma_v / root * net.phi.phi(layers[-1])
    return Jacobian(of_U, of_W, of_v)


def distance(a: Jacobian, b: Jacobian) -> float:
    """‖a − b‖ / ‖b‖ of the worst block."""
    pairs = ((a.U, b.U), (a.W, b.W), (a.v, b.v))
    return max(float(np.linalg.norm(p - q) / np.linalg.norm(q)) for p, q in pairs)
