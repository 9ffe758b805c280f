"""The values of one infinite network have no limit n → ∞: (10) can speak of laws only."""

from __future__ import annotations

import math

import numpy as np

from refimpl import NeuralODE, Params
from verification import Agreement, Claim, Config, Verdict
from verification.statements._data import DIM, Array
from verification.statements._integrate import flow
from verification.statements._plane import ODE, terminal
from verification.statements._statistics import LEVEL, below, decided, student

WIDTH = 256

LAST_LAYERS = 400
"""Random v for each U and W, on the second road."""


def values(config: Config, net: NeuralODE, X: Array, draws: int) -> tuple[Claim, Agreement]:
    """Of nested networks Cov(f_n, f_2n) ≤ V/√2 with V = √(Var f_n Var f_2n), so that E(f_2n − f_n)² ≥ (2 − √2) V."""
    squares, means, variance = [], [], np.diagonal(net.limit().nngp(X))
    for draw in range(draws):
        array = net.init(2 * WIDTH, DIM, seed=config.rng("nested", draw))
        narrow = Params(array.U[:WIDTH], array.W[:WIDTH, :WIDTH], array.v[:WIDTH])
        wide, less = (_coefficients(net, terminal(net, theta, X, ODE)) for theta in (array, narrow))
        v = config.rng("last layers", draw).standard_normal((LAST_LAYERS, 2 * WIDTH))
        squares.append(np.mean((v @ wide.T - v[:, :WIDTH] @ less.T) ** 2 / variance))
        means.append(np.mean(_mean_square(net, array, narrow, X) / variance))
    apart, _, allowed = student(np.asarray(squares) - np.asarray(means))
    return claim(np.asarray(means)), Agreement(
        r"$E (f_{2n} - f_n)^2$ of nested networks, over the variance in the limit",
        ("exact mean over the last layer, RK45", "outputs with random last layers, Gauss collocation"),
        abs(apart), allowed,
        f"Student's interval of {draws} networks at {LEVEL:.1%}, {LAST_LAYERS} last layers for each", ("values",),
    )  # fmt: skip


def claim(means: Array) -> Claim:
    """From E_v (f_2n − f_n)² over the variance in the limit, (draws,)."""
    mean, half, wider = student(means)
    verdict = below(-mean - wider, -mean + wider, -(2 - math.sqrt(2)))
    return Claim(
        "values",
        r"(10) can speak of the law of $f$ and of $K_\theta$ only: the values $f_\theta(x)$ of one infinite array of "
        r"weights have no limit $n \to \infty$, because $f$ is a sum of $n$ independent terms over $\sqrt{n}$: "
        r"$E (f_{2n} - f_n)^2 \ge (2 - \sqrt{2}) \sqrt{\mathrm{Var} f_n\, \mathrm{Var} f_{2n}}$ at every $n$ "
        rf"(measured: the ratio to the variance in the limit, at $n = {WIDTH}$, exact in the mean over $v$; "
        rf"{decided(mean - wider, mean + wider)}).",
        verdict,
        measured=mean,
        predicted=r"$\ge 0.586$",
        uncertainty=half,
        scope="Too few networks." if verdict is Verdict.UNDECIDED else "",
    )


def _mean_square(net: NeuralODE, array: Params, narrow: Params, X: Array) -> Array:
    """E_v (f_2n − f_n)², (N,): given (U, W) both are linear in v."""
    ends = (flow(net, at, net.sigma_u * X @ at.U.T, net.horizon, 1e-6, "RK45")[0] for at in (array, narrow))
    wide, less = (_coefficients(net, h) for h in ends)
    difference = wide - np.pad(less, ((0, 0), (0, wide.shape[1] - less.shape[1])))
    total: Array = np.sum(difference**2, axis=1)
    return total


def _coefficients(net: NeuralODE, h: Array) -> Array:
    """Those of v in f, σ_v φ(h_T)/√n, from h_T, both (N, n)."""
    found: Array = net.sigma_v * net.phi.phi(h) / math.sqrt(h.shape[1])
    return found
