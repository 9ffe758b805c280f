"""K_∞^L of infinitely wide ResNets of growing depth against K_∞."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import comb, iv

from refimpl import Euler, NeuralODE
from verification import Agreement, compare
from verification.fit import PowerLaw, power_law
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._goursat import Dual, arc_cosine_dual, hermite_dual

SHALLOWEST = 16
"""Smallest depth in the fits of 1/L."""

WIDE = ("width", "mean", "paths", "bias", "spread", "almost-sure", "supremum")
"""Claims of theorem 1 on wide networks, all of which measure against K_∞ of softplus."""


@dataclass(frozen=True)
class Depths:
    """K_∞^L of ResNets at one input and all others.

    Parameters
    ----------
    kernels : array, shape (depths, N)
        K_∞^L(x_1, x_j), L = 1, 2, 4, …
    limit : array, shape (N,)
        K_∞(x_1, x_j), by Gauss.
    """

    activation: str
    kernels: Array
    limit: Array

    @property
    def depths(self) -> Array:
        powers: Array = np.exp2(np.arange(len(self.kernels), dtype=np.float64))
        return powers

    @property
    def error(self) -> Array:
        """max_j |K_∞^L − K_∞| / max_j |K_∞|, shape (depths,)."""
        relative: Array = np.abs(self.kernels - self.limit).max(axis=1) / np.abs(self.limit).max()
        return relative

    @property
    def slope(self) -> PowerLaw:
        deep = self.depths >= SHALLOWEST
        return power_law(self.depths[deep], self.error[deep])

    @property
    def extrapolated(self) -> tuple[Array, float]:
        """lim K_∞^L from the ResNets alone, by Richardson's scheme in powers of 1/L; its relative error estimate."""
        column, rows = list(self.kernels), [self.kernels[-1]]
        for order in range(1, len(self.kernels)):
            column = [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
            rows.append(column[-1])
        return rows[-1], float(np.abs(rows[-1] - rows[-2]).max() / np.abs(rows[-1]).max())


def resnets(activation: str, deepest: int, X: Array) -> Depths:
    net = NeuralODE(activation)
    depths = [2**k for k in range(deepest.bit_length())]
    kernels = np.stack([net.limit(Euler(L)).ntk(X[:1], X)[0] for L in depths])
    return Depths(activation, kernels, net.limit().ntk(X[:1], X)[0])


def apart(found: Depths) -> tuple[float, float]:
    """Relative distance of the extrapolated ResNets from K_∞, and what the error estimates allow."""
    limit, error = found.extrapolated
    promised = 1e-9 if found.activation == "relu" else 1e-12
    return float(np.abs(limit - found.limit).max() / np.abs(found.limit).max()), error + promised


def by_layers(net: NeuralODE, rho: float, L: int, dual: Dual) -> float:
    """K_∞^L of unit vectors with x·x̄ = ρ, layer by layer from (6); L sweeps settle L layers exactly.

    S^{l,m} = q + (σ_w τ)² Σ_{i<l, j<m} Σ_ij and P^{l,m} = σ_v² D_LL + (σ_w τ)² Σ_{i≥l, j≥m} D_ij P^{i+1,j+1}, τ = T/L.
    """
    tau, w, q = net.horizon / L, net.sigma_w**2, net.sigma_u**2 * rho
    before, after, total = tau * np.tri(L + 1, k=-1), tau * np.triu(np.ones((L, L)), 1), np.full(L, tau)

    def covariance(start: float, variance: Array | None) -> Array:
        S = np.full((L + 1, L + 1), start)
        for _ in range(L):
            s = np.diagonal(S) if variance is None else variance
            S = start + w * before @ dual(s, s, S)[0] @ before.T
        return S

    alone = covariance(net.sigma_u**2, None)
    variance = np.diagonal(alone)
    # With ρ = 1 correlations on the diagonal must be 1 to the last digit: an arc cosine there would halve the digits.
    Sigma, D = dual(variance, variance, alone if rho == 1 else covariance(q, variance))
    terminal, last = net.sigma_v**2 * D[-1, -1], net.sigma_v**2 * Sigma[-1, -1]
    Sigma, D, P = Sigma[:-1, :-1], D[:-1, :-1], np.full((L, L), terminal)
    for _ in range(L):
        P = terminal + w * after @ (D * P) @ after.T
    return float(last + w * total @ (Sigma * P) @ total + q * (terminal + w * total @ (D * P) @ total))


def layer_roads(smooth: Depths, relu: Depths, X: Array) -> list[Agreement]:
    """K_∞^L at one depth of each, against its layers written out."""
    cosines, eps = np.append(1.0, X[:1] @ X[1:].T), float(np.finfo(float).eps)
    net, L, k = NeuralODE(smooth.activation), 8, 3
    coarse, fine = (
        np.asarray([by_layers(net, float(rho), L, hermite_dual(net, points)) for rho in cosines]) for points in (32, 40)
    )
    kinked, deep, last = NeuralODE("relu"), int(relu.depths[6]), 6
    arcs = [by_layers(kinked, float(rho), deep, arc_cosine_dual) for rho in cosines]
    return [
        compare(
            rf"$K_\infty^{{{L}}}$ ({smooth.activation})",
            {"Euler scheme": smooth.kernels[k], "layers written out, double sums": fine},
            allowed=float(np.abs(fine - coarse).max() / fine.max()) + 4 * L * eps,
            because="change of the double sums from 32 to 40 points, and roundings of sums of L terms",
            claims=("depth", "same-limit"),
        ),
        compare(
            rf"$K_\infty^{{{deep}}}$ (ReLU)",
            {"Euler scheme": relu.kernels[last], "layers written out, arc-cosine": arcs},
            allowed=4 * deep**2 * eps,
            because="roundings of sums of L terms, over the angle between neighbouring layers, which is of order 1/L",
            claims=("relu",),
        ),
    ]  # fmt: skip


def limit_roads(deep: Sequence[Depths], X: Array) -> list[Agreement]:
    net = NeuralODE("softplus", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    cosines = (X[:1] @ X.T)[0]
    coarse, fine = (limit_kernel(net, cosines, nodes, points) for nodes, points in ((8, 40), (10, 48)))
    relu = [found for found in deep if NeuralODE(found.activation).phi.kinks]
    smooth = [found for found in deep if found not in relu]
    identity, Z, L = NeuralODE("identity", horizon=1.3, sigma_w=0.8), 0.8 * 1.3, 32
    square = comb(L, np.arange(L + 1)) ** 2 * (Z / L) ** (2 * np.arange(L + 1))
    bessel = 2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z)
    return [
        compare(
            r"$K_\infty$ (softplus, $T = 1.3$, $\sigma_u = 0.9$, $\sigma_w = 0.8$, $\sigma_v = 1.1$)",
            {"Gauss scheme": net.limit().ntk(X[:1], X)[0], "written out by hand": fine},
            allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
            because="1e-12 promised by Gauss, plus the change of the tensor quadrature from 40 to 48 points",
            claims=(*WIDE, "depth", "same-limit"),
        ),
        _richardson(smooth).on(*WIDE, "depth", "same-limit"), _richardson(relu).on("relu"),
        compare(
            r"$K_\infty$ (identity, $T = 1.3$, $\sigma_w = 0.8$)",
            {"Gauss scheme": identity.limit().ntk(X[:1], X)[0], "Bessel functions": bessel * cosines},
            allowed=1e-12, because="promised by Gauss", claims=("bias", "bias-linear", "spread", "almost-sure"),
        ),
        compare(
            rf"$K_\infty^{{{L}}}$ (identity, $T = 1.3$, $\sigma_w = 0.8$)",
            {
                "Euler scheme": identity.limit(Euler(L)).ntk(X[:1], X)[0],
                "binomial sum": float(np.sum((2 + np.arange(L + 1)) * square)) * cosines,
            },
            allowed=4 * L * float(np.finfo(float).eps), because="roundings of sums of L terms, forward and backward",
            claims=("depth", "same-limit"),
        ),
    ]  # fmt: skip


def _richardson(deep: Sequence[Depths]) -> Agreement:
    worst = max(deep, key=lambda found: apart(found)[0] / apart(found)[1])
    difference, allowed = apart(worst)
    return Agreement(
        rf"$K_\infty$ ({worst.activation}{f', worst of {len(deep)} activations' if len(deep) > 1 else ''})",
        ("Gauss scheme", "Richardson on ResNets"),
        difference, allowed, "the last change of the extrapolation, plus the accuracy promised by Gauss",
    )  # fmt: skip
