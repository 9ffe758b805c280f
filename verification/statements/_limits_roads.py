"""Independent roads to the kernels on the plane of widths and depths, and to those of independent layers."""

from __future__ import annotations

import numpy as np
from scipy.special import comb, iv

from refimpl import Euler, NeuralODE, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._data import DIM, Array
from verification.statements._expansion import flat
from verification.statements._independent import independent_kernels
from verification.statements._integrate import flow
from verification.statements._plane import ODE, Plane, conditional_covariance
from verification.statements._resnets import backpropagate
from verification.statements._statistics import LEVEL, largest_score

EPS = float(np.finfo(float).eps)


NTK, LAW = ("ntk-order", "width-rate", "depth-rate", "together"), ("law-order", "one-limit", "width-rate", "depth-rate")
"""Claims on the plane of the NTK, and on that of the covariance of f."""


def roads(config: Config, net: NeuralODE, X: Array, ntk: Plane, covariance: Plane) -> list[Agreement]:
    return [
        *_linear(X), _limit_of_depth("$K_\\infty$", ntk).on(*NTK),
        _limit_of_depth(r"$\sigma_v^2 \Sigma^{T,T}$", covariance).on(*LAW), *_random(config, net, X, ntk, covariance),
        *_finite(config, net, X),
    ]  # fmt: skip


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
            allowed=1e-12, because="promised by Gauss", claims=NTK,
        ),
        compare(
            r"$\sigma_v^2 \Sigma^{T,T}$ (identity)",
            {"Gauss scheme": net.limit().nngp(X), "Bessel function": iv(0, 2 * Z) * scale},
            allowed=1e-12, because="promised by Gauss", claims=(*LAW, "values"),
        ),
        compare(
            rf"covariance of $f^{{{L}}}$ for $n \to \infty$ (identity)",
            {"Euler scheme": net.limit(Euler(L)).nngp(X), "binomial sum": float(square.sum()) * scale},
            allowed=rounding, because=because, claims=LAW,
        ),
        compare(
            rf"$K_\infty^{{{L}}}$ (identity)",
            {"Euler scheme": net.limit(Euler(L)).ntk(X), "binomial sum": float((2 + k) @ square) * scale},
            allowed=rounding, because=because, claims=("ntk-order", "depth-rate"),
        ),
        compare(
            rf"$K_\infty^{{{L}}}$, independent layers (identity)",
            {"recursion over layers": independent_kernels(net, X, L)[0], "powers of $1 + z^2$": apart * scale},
            allowed=rounding + 1e-13, because=f"{because}; and of sums of 48² terms in the Gauss–Hermite quadrature",
            claims=("independent-layers", "sqrt-layers"),
        ),
    ]  # fmt: skip


def _limit_of_depth(symbol: str, plane: Plane) -> Agreement:
    limit, error = plane.deep_after_wide
    return Agreement(
        f"{symbol} (softplus, along itself)", ("Gauss scheme", "Richardson on infinitely wide ResNets"),
        abs(limit - 1), error + 1e-12, "the last change of the extrapolation, plus 1e-12 promised by Gauss",
    )  # fmt: skip


def _random(config: Config, net: NeuralODE, X: Array, ntk: Plane, covariance: Plane) -> list[Agreement]:
    because = f"Student's interval for all entries at once (Bonferroni, {LEVEL:.1%}); a bias O(1/n) is below it"
    draws, n, L = len(ntk.finite), int(ntk.widths[-1]), 8
    upper = np.triu_indices(len(X))
    own = np.stack(
        [
            net.ntk(net.init(n, DIM, seed=config.rng("layers", draw), layers=L), X, solver=Euler(L, shared=False))
            for draw in range(draws)
        ]
    )
    found, at, f = [], int(np.log2(L)), "covariance of $f"
    independent = ("independent-layers", "order-of-independent")
    for quantity, kernels, limit, road, claims in (
        (rf"$K_\infty^{{{L}}}$, independent layers", own, independent_kernels(net, X, L)[0], "recursion over layers",
         independent),
        (rf"$K_\infty^{{{L}}}$", ntk.finite[:, -1, at], ntk.wide[at], "Euler scheme", NTK),
        (r"$K_\infty$", ntk.finite[:, -1, -1], ntk.wide[-1], "Gauss scheme", NTK),
        (rf"{f}^{{{L}}}$, $n \to \infty$", covariance.finite[:, -1, at], covariance.wide[at], "Euler scheme", LAW),
        (rf"{f}$, $n \to \infty$", covariance.finite[:, -1, -1], covariance.wide[-1], "Gauss scheme", LAW),
    ):  # fmt: skip
        score, allowed = largest_score(kernels[:, *upper], limit[upper])
        name = f"{quantity} (in standard errors; {draws} networks, $n = {n}$)"
        found.append(Agreement(name, (road, "Monte Carlo"), score, allowed, because, claims))
    return found


def _finite(config: Config, net: NeuralODE, X: Array) -> list[Agreement]:
    n, depth = 64, 16
    theta = net.init(n, DIM, seed=config.rng("finite"))
    h, _ = flow(net, theta, net.sigma_u * X @ theta.U.T, net.horizon, 1e-11, "DOP853")
    phi = net.phi.phi(h)
    v = net.jacobian(theta, X, Euler(depth)).v
    layers = flat(backpropagate(net, theta, X, depth))
    return [
        compare(
            rf"$K_\theta$ ($n = {n}$)",
            {"six Gauss nodes": net.ntk(theta, X, solver=ODE), "scipy.integrate": net.ntk(theta, X, solver=SolveIVP())},
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
            claims=NTK,
        ),
        compare(
            rf"$K_\theta^{{{depth}}}$ ($n = {n}$)",
            {
                "Euler scheme, contraction": net.ntk(theta, X, solver=Euler(depth)),
                "backpropagation written out": layers @ layers.T,
            },
            allowed=4 * n * depth * EPS, because="roundings of sums of n terms in each layer",
            claims=("depth-rate", "together"),
        ),
        compare(
            rf"covariance of $f$ given $(U, W)$ ($n = {n}$)",
            {
                "six Gauss nodes": conditional_covariance(net, theta, X, ODE),
                "scipy.integrate": net.sigma_v**2 / n * phi @ phi.T,
            },
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
            claims=(*LAW, "exchange", "values"),
        ),
        compare(
            rf"covariance of $f^{{{depth}}}$ given $(U, W)$ ($n = {n}$)",
            {
                "layers written out": conditional_covariance(net, theta, X, Euler(depth)),
                "gradient with respect to $v$": v @ v.T,
            },
            allowed=4 * n * depth * EPS, because="roundings of sums of n terms in each layer",
            claims=("depth-rate", "exchange", "one-limit"),
        ),
    ]  # fmt: skip
