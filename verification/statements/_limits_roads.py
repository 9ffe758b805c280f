"""Independent roads to the kernels on the plane of widths and depths, and to those of independent layers."""

from __future__ import annotations

import numpy as np
from scipy.special import comb, iv

from refimpl import Euler, NeuralODE, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._data import DIM, Array
from verification.statements._independent import independent_kernels
from verification.statements._integrate import flow
from verification.statements._plane import ODE, Plane, conditional_covariance
from verification.statements._statistics import LEVEL, largest_score

EPS = float(np.finfo(float).eps)


def roads(config: Config, net: NeuralODE, X: Array, ntk: Plane) -> list[Agreement]:
    return [*_linear(X), _limit_of_depth(ntk), *_random(config, net, X, ntk), *_finite(config, net, X)]


def _linear(X: Array) -> list[Agreement]:
    """φ = identity, where everything is a sum of binomial coefficients or a Bessel function."""
    net, L = NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1), 16
    Z = net.sigma_w * net.horizon
    scale, k, z = net.sigma_v**2 * net.sigma_u**2 * X @ X.T, np.arange(L + 1), Z / L
    square = comb(L, k) ** 2 * z ** (2 * k)
    rounding, because = 8 * L * EPS, "roundings of sums of L terms, forward and backward"
    apart = 2 * (1 + z**2) ** L + L * z**2 * (1 + z**2) ** (L - 1)
    return [
        compare(
            r"$K_\infty$ (identity)",
            {"Gauss scheme": net.limit().ntk(X), "Bessel functions": (2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z)) * scale},
            allowed=1e-12, because="promised by Gauss",
        ),
        compare(
            rf"$K_\infty^{{{L}}}$ (identity)",
            {"Euler scheme": net.limit(Euler(L)).ntk(X), "binomial sum": float((2 + k) @ square) * scale},
            allowed=rounding, because=because,
        ),
        compare(
            rf"$K_\infty^{{{L}}}$, independent layers (identity)",
            {"recursion over layers": independent_kernels(net, X, L)[0], "powers of $1 + z^2$": apart * scale},
            allowed=rounding + 1e-13, because=f"{because}; and of sums of 48² terms in the Gauss–Hermite quadrature",
        ),
    ]  # fmt: skip


def _limit_of_depth(ntk: Plane) -> Agreement:
    limit, error = ntk.deep_after_wide
    return Agreement(
        r"$K_\infty$ (softplus, along itself)", ("Gauss scheme", "Richardson on $K_\\infty^L$ of ResNets"),
        abs(limit - 1), error + 1e-12, "the last change of the extrapolation, plus 1e-12 promised by Gauss",
    )  # fmt: skip


def _random(config: Config, net: NeuralODE, X: Array, ntk: Plane) -> list[Agreement]:
    because = f"Student's interval for all entries at once (Bonferroni, {LEVEL:.1%}); a bias O(1/n) is below it"
    draws, n, L = len(ntk.finite), int(ntk.widths[-1]), 8
    upper = np.triu_indices(len(X))
    own = np.stack(
        [
            net.ntk(net.init(n, DIM, seed=config.rng("layers", draw), layers=L), X, solver=Euler(L, shared=False))
            for draw in range(draws)
        ]
    )
    found = []
    for quantity, kernels, limit, road in (
        (rf"$K_\infty^{{{L}}}$, independent layers", own, independent_kernels(net, X, L)[0], "recursion over layers"),
        (rf"$K_\infty^{{{L}}}$", ntk.finite[:, -1, int(np.log2(L))], ntk.wide[int(np.log2(L))], "Euler scheme"),
        (r"$K_\infty$", ntk.finite[:, -1, -1], ntk.wide[-1], "Gauss scheme"),
    ):
        score, allowed = largest_score(kernels[:, *upper], limit[upper])
        name = f"{quantity} (in standard errors; {draws} networks, $n = {n}$)"
        found.append(Agreement(name, (road, "Monte Carlo"), score, allowed, because))
    return found


def _finite(config: Config, net: NeuralODE, X: Array) -> list[Agreement]:
    n, depth = 64, 16
    theta = net.init(n, DIM, seed=config.rng("finite"))
    h, _ = flow(net, theta, net.sigma_u * X @ theta.U.T, net.horizon, 1e-11, "DOP853")
    phi = net.phi.phi(h)
    v = net.jacobian(theta, X, Euler(depth)).v
    return [
        compare(
            rf"$K_\theta$ ($n = {n}$)",
            {"six Gauss nodes": net.ntk(theta, X, solver=ODE), "scipy.integrate": net.ntk(theta, X, solver=SolveIVP())},
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
        ),
        compare(
            rf"covariance of $f$ given $(U, W)$ ($n = {n}$)",
            {
                "six Gauss nodes": conditional_covariance(net, theta, X, ODE),
                "scipy.integrate": net.sigma_v**2 / n * phi @ phi.T,
            },
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
        ),
        compare(
            rf"covariance of $f^{{{depth}}}$ given $(U, W)$ ($n = {n}$)",
            {
                "layers written out": conditional_covariance(net, theta, X, Euler(depth)),
                "gradient with respect to $v$": v @ v.T,
            },
            allowed=4 * n * depth * EPS, because="roundings of sums of n terms in each layer",
        ),
    ]  # fmt: skip
