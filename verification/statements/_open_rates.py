"""Width and depth together: K_θ^L of random ResNets against K_∞, on a grid of n and L."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.special import iv

from refimpl import Euler, Gauss, NeuralODE, SolveIVP
from verification import Agreement, Config, compare
from verification.fit import PowerLaw, power_law
from verification.statements._by_hand import limit_kernel
from verification.statements._data import DIM, Array
from verification.statements._depths import by_layers
from verification.statements._exponents import Exponent, rms_exponent
from verification.statements._goursat import hermite_dual
from verification.statements._horizons import identity_depth
from verification.statements._open_plain import EPS, plain

SOLVER = Gauss(nodes=6, steps=1)

TIGHT = SolveIVP()


@dataclass(frozen=True)
class Grid:
    """Squares of ‖K_θ^L − K_∞‖ / ‖K_∞‖ of independent networks, and the parts that they are made of.

    Parameters
    ----------
    widths, depths : array, shape (M,) and (D,)
    ode : array, shape (draws, M)
        The same for the Neural ODE, L = ∞.
    resnet : array, shape (draws, M, D)
        For the same θ.
    bias : array, shape (D,)
        (‖K_∞^L − K_∞‖ / ‖K_∞‖)², with no randomness.
    deep, deep_error : array, shape (E,)
        Depths for the exponent in L, and ‖K_∞^L − K_∞‖ / ‖K_∞‖ there.
    """

    widths: Array
    depths: Array
    ode: Array
    resnet: Array
    bias: Array
    deep: Array
    deep_error: Array

    @property
    def in_width(self) -> Exponent:
        """Of the root mean square at L = ∞."""
        return rms_exponent(self.widths, self.ode)

    @property
    def in_depth(self) -> PowerLaw:
        """At n = ∞."""
        return power_law(self.deep, self.deep_error)

    @property
    def constants(self) -> tuple[float, float]:
        """a and b of a/√n and b/L: at the largest width and depth."""
        a = np.sqrt(self.ode[:, -1].mean() * self.widths[-1])
        return float(a), float(self.deep_error[-1] * self.deep[-1])

    def at_depth(self, index: int) -> Exponent:
        """Exponent in n of the root mean square at one L, less the part without randomness."""
        return rms_exponent(self.widths, self.resnet[:, :, index] - self.bias[index])

    @property
    def balance(self) -> float:
        """n / L² at which a/√n and b/L are equal."""
        a, b = self.constants
        return (a / b) ** 2


def grid(config: Config, X: Array, name: str = "softplus") -> Grid:
    """The experiment."""
    widths, draws = ([32, 64, 128, 256, 512], 60) if config.full else ([32, 64, 128], 24)
    depths, deep = [1, 2, 4, 8], [32, 64, 128, 256] if config.full else [32, 64, 128]
    net = NeuralODE(name)
    limit = net.limit().ntk(X)
    size = float(np.linalg.norm(limit))

    def square(K: Array) -> float:
        return float(np.linalg.norm(K - limit) / size) ** 2

    ode, resnet = np.zeros((draws, len(widths))), np.zeros((draws, len(widths), len(depths)))
    for i, n in enumerate(config.progress(widths, "rates, width")):
        for draw in range(draws):
            theta = net.init(n, DIM, seed=config.rng("rates", name, n, draw))
            ode[draw, i] = square(net.ntk(theta, X, solver=SOLVER))
            resnet[draw, i] = [square(net.ntk(theta, X, solver=Euler(L))) for L in depths]
    bias = np.asarray([square(net.limit(Euler(L)).ntk(X)) for L in depths])
    error = np.sqrt([square(net.limit(Euler(L)).ntk(X)) for L in deep])
    return Grid(
        np.asarray(widths, dtype=float), np.asarray(depths, dtype=float), ode, resnet, bias,
        np.asarray(deep, dtype=float), error,
    )  # fmt: skip


def depth_road() -> Agreement:
    """lim L (K_∞ − K_∞^L) / K_∞ of the identity: ResNets of growing depth, and the power series."""
    net, x, Z = NeuralODE("identity"), np.ones((1, 1)), 1.0
    exact = 2 * float(iv(0, 2 * Z)) + Z * float(iv(1, 2 * Z))
    scaled = [L * (exact - float(net.limit(Euler(L)).ntk(x)[0, 0])) for L in (32, 64, 128)]
    coarse, fine = (2 * b - a for a, b in pairwise(scaled))
    better = (4 * fine - coarse) / 3
    return Agreement(
        r"$\lim L (K_\infty - K_\infty^L)$ (identity, $Z = 1$)",
        ("Euler schemes, extrapolated", "power series"),
        abs(better - identity_depth(Z)), abs(better - fine) + 128 * 1e-12 * exact,
        "last change of the extrapolation, and 128 times 1e-12", ("depth-rate",),
    )  # fmt: skip


def rate_roads(config: Config, X: Array, name: str = "softplus") -> list[Agreement]:
    """K_θ, K_θ^L, K_∞ and K_∞^L of the grid, each once more."""
    net, n, L = NeuralODE(name), 64, 8
    theta, cosines = net.init(n, DIM, seed=config.rng("rate roads")), (X[:1] @ X[1:4].T)[0]
    J = plain(net, theta, X, L)[1]
    coarse, fine = (limit_kernel(net, cosines, nodes, points) for nodes, points in ((8, 32), (8, 40)))
    few, more = (
        np.asarray([by_layers(net, float(rho), L, hermite_dual(net, points)) for rho in cosines]) for points in (32, 40)
    )
    because = "plus the change of double sums from 32 to 40 points"
    return [
        compare(
            rf"$K_\theta$ ({name}, $n = {n}$)",
            {"six Gauss nodes": net.ntk(theta, X, solver=SOLVER), "scipy.integrate": net.ntk(theta, X, solver=TIGHT)},
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
            claims=("width-rate",),
        ),
        compare(
            rf"$K_\theta^{{{L}}}$ ({name}, $n = {n}$)",
            {"Euler scheme": net.ntk(theta, X, solver=Euler(L)), "backpropagation written out": J @ J.T},
            allowed=4 * n * L * EPS, because="roundings of sums of n terms in every layer", claims=("joint-rate",),
        ),
        compare(
            rf"$K_\infty$ ({name})",
            {"Gauss scheme": net.limit().ntk(X[:1], X[1:4])[0], "written out by hand": fine},
            allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
            because=f"1e-12 promised by Gauss, {because}",
            claims=("width-rate", "depth-rate", "joint-rate"),
        ),
        compare(
            rf"$K_\infty^{{{L}}}$ ({name})",
            {"Euler scheme": net.limit(Euler(L)).ntk(X[:1], X[1:4])[0], "layers written out, double sums": more},
            allowed=4 * L * EPS + float(np.abs(more - few).max() / more.max()), because=f"roundings, {because}",
            claims=("depth-rate", "joint-rate"),
        ),
    ]  # fmt: skip
