"""K_θ of random networks of growing width against K_∞."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats

from refimpl import Gauss, NeuralODE, Params, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._data import DIM, Array
from verification.statements._statistics import LEVEL

SOLVER = Gauss(nodes=6, steps=1)
"""For K_θ: exact to 8 digits on these networks, which is checked, where the random error is in the second digit."""

NESTED = ("width", "mean", "paths")
"""Claims of theorem 1 that are measured on nested networks."""

LITERAL = slice(None, None, 4)
"""Inputs at which the kernel of the literal parameters is computed, two from each source."""


@dataclass(frozen=True)
class Widths:
    """K_θ along nested networks: the network of width n is the upper left block of one infinite random array.

    Parameters
    ----------
    kernel : array, shape (paths, widths, N, N)
        K_θ.
    limit : array, shape (N, N)
        K_∞.
    literal : array, shape (paths, widths, N', N')
        The same with respect to θ whose W has the entries W_ij ~ N(0, 1/n), at the inputs `LITERAL`.
    """

    activation: str
    widths: Array
    kernel: Array
    limit: Array
    literal: Array

    def error(self, rows: slice) -> Array:
        """‖K_θ − K_∞‖ / ‖K_∞‖, Frobenius, among the inputs `rows`; shape (paths, widths)."""
        change = (self.kernel - self.limit)[..., rows, rows]
        relative: Array = np.linalg.norm(change, axis=(2, 3)) / np.linalg.norm(self.limit[rows, rows])
        return relative

    @property
    def along_limit(self) -> Array:
        """⟨K_θ − K_∞, K_∞⟩ / ‖K_∞‖², the relative error of the size of the kernel; shape (paths, widths)."""
        found: Array = np.sum((self.kernel - self.limit) * self.limit, axis=(2, 3)) / np.sum(self.limit**2)
        return found

    @property
    def weight_block(self) -> Array:
        """‖n K_W‖ = ‖K_literal − K_θ‖ n/(n − 1): the block of W in the literal kernel; shape (paths, widths)."""
        change = self.literal - self.kernel[..., LITERAL, LITERAL]
        norm: Array = np.linalg.norm(change, axis=(2, 3)) * self.widths / (self.widths - 1)
        return norm


def nested(config: Config, activation: str, paths: int, widest: int, X: Array) -> Widths:
    net = NeuralODE(activation)
    widths = 2 ** np.arange(6, widest.bit_length())
    few = X[LITERAL]
    kernel = np.zeros((paths, len(widths), len(X), len(X)))
    literal = np.zeros((paths, len(widths), len(few), len(few)))
    for path in config.progress(range(paths), f"{activation}, path"):
        array = net.init(widest, DIM, seed=config.rng("infinite array", activation, path))
        for k, n in enumerate(widths.tolist()):
            theta = Params(array.U[:n], array.W[:n, :n], array.v[:n])
            kernel[path, k] = net.ntk(theta, X, solver=SOLVER)
            rescaled, parameters = literal_parameters(net, theta)
            literal[path, k] = rescaled.ntk(parameters, few, solver=SOLVER)
    return Widths(activation, widths.astype(float), kernel, net.limit().ntk(X), literal)


def literal_parameters(net: NeuralODE, theta: Params) -> tuple[NeuralODE, Params]:
    """The same function of x, but with W_ij ~ N(0, 1/n) as the parameters, and no factor 1/√n in front of them."""
    root = np.sqrt(theta.width)
    rescaled = NeuralODE(net.activation, net.horizon, net.sigma_u, net.sigma_w * root, net.sigma_v)
    return rescaled, Params(theta.U, theta.W / root, theta.v)


def monte_carlo(case: Widths) -> Agreement:
    """Mean over paths at the largest width against K_∞, entry by entry, in standard errors."""
    kernels = case.kernel[:, -1]
    upper = np.triu_indices(kernels.shape[1])
    paths = len(kernels)
    error = kernels.std(axis=0, ddof=1) / np.sqrt(paths)
    distance = np.abs(kernels.mean(axis=0) - case.limit) / error
    return Agreement(
        rf"$K_\infty$ ({case.activation}, each entry, in standard errors; {paths} networks, $n={case.widths[-1]:g}$)",
        ("Gauss scheme", "Monte Carlo"),
        float(distance[upper].max()),
        float(stats.t.ppf(1 - (1 - LEVEL) / (2 * upper[0].size), paths - 1)),
        f"Student's interval for {upper[0].size} entries at once (Bonferroni, {LEVEL:.1%}); a bias O(1/n) is below it",
        NESTED,
    )


def finite_roads(config: Config, X: Array) -> list[Agreement]:
    net, n = NeuralODE("softplus"), 64
    theta = net.init(n, DIM, seed=config.rng("contraction"))
    kernel, along_ivp = net.ntk(theta, X, solver=SOLVER), net.ntk(theta, X, solver=SolveIVP())
    rounding = 4 * n * float(np.finfo(float).eps)
    J = net.jacobian(theta, X, solver=SOLVER)
    U, W, v = (block.reshape(len(X), -1) for block in (J.U, J.W, J.v))
    rescaled, parameters = literal_parameters(net, theta)
    return [
        compare(
            rf"$K_\theta$ (softplus, $n = {n}$)",
            {"Gauss collocation": kernel, "product of Jacobians": U @ U.T + W @ W.T + v @ v.T},
            allowed=rounding, because="roundings of sums of n terms, forward, backward and in the contraction",
            claims=(*NESTED, "parameters"),
        ),
        compare(
            rf"$K_\theta$ (softplus, $n = {n}$, {SOLVER.nodes} Gauss nodes)",
            {"Gauss collocation": kernel, "scipy.integrate": along_ivp},
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
            claims=(*NESTED, "parameters"),
        ),
        compare(
            rf"$K_\theta$ of literal parameters (softplus, $n = {n}$)",
            {
                "Gauss collocation": rescaled.ntk(parameters, X, solver=SOLVER),
                "product of Jacobians": U @ U.T + n * (W @ W.T) + v @ v.T,
            },
            allowed=rounding, because="roundings of sums of n terms, forward, backward and in the contraction",
            claims=("parameters",),
        ),
    ]  # fmt: skip
