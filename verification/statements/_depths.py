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

SHALLOWEST = 16
"""Smallest depth in the fits of 1/L."""


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


def limit_roads(deep: Sequence[Depths], X: Array) -> list[Agreement]:
    net = NeuralODE("softplus", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    cosines = (X[:1] @ X.T)[0]
    coarse, fine = (limit_kernel(net, cosines, nodes, points) for nodes, points in ((8, 40), (10, 48)))
    worst = max(deep, key=lambda found: apart(found)[0] / apart(found)[1])
    difference, allowed = apart(worst)
    identity, Z, L = NeuralODE("identity", horizon=1.3, sigma_w=0.8), 0.8 * 1.3, 32
    square = comb(L, np.arange(L + 1)) ** 2 * (Z / L) ** (2 * np.arange(L + 1))
    bessel = 2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z)
    return [
        compare(
            r"$K_\infty$ (softplus, $T = 1.3$, $\sigma_u = 0.9$, $\sigma_w = 0.8$, $\sigma_v = 1.1$)",
            {"Gauss scheme": net.limit().ntk(X[:1], X)[0], "written out by hand": fine},
            allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
            because="1e-12 promised by Gauss, plus the change of the tensor quadrature from 40 to 48 points",
        ),
        Agreement(
            rf"$K_\infty$ ({worst.activation}, worst of {len(deep)} activations)",
            ("Gauss scheme", "Richardson on ResNets"),
            difference, allowed, "the last change of the extrapolation, plus the accuracy promised by Gauss",
        ),
        compare(
            r"$K_\infty$ (identity, $T = 1.3$, $\sigma_w = 0.8$)",
            {"Gauss scheme": identity.limit().ntk(X[:1], X)[0], "Bessel functions": bessel * cosines},
            allowed=1e-12, because="promised by Gauss",
        ),
        compare(
            rf"$K_\infty^{{{L}}}$ (identity, $T = 1.3$, $\sigma_w = 0.8$)",
            {
                "Euler scheme": identity.limit(Euler(L)).ntk(X[:1], X)[0],
                "binomial sum": float(np.sum((2 + np.arange(L + 1)) * square)) * cosines,
            },
            allowed=4 * L * float(np.finfo(float).eps), because="roundings of sums of L terms, forward and backward",
        ),
    ]  # fmt: skip
