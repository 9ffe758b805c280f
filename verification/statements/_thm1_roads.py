"""Second roads to batches of small networks, and to the mean and the spread that theorem 1 measures on them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import stats

from refimpl import NeuralODE, Params, SolveIVP
from refimpl.scheme import gauss
from verification import Agreement, Config, compare
from verification.statements._ensembles import NODES, PAIR, Ensemble, batch, draw
from verification.statements._open_linear import by_exponential
from verification.statements._pairings import trace_moment
from verification.statements._statistics import LEVEL

DEGREE = 8
"""Largest j + k at which all pairings are enumerated."""

SAMPLED = ("bias", "bias-linear", "spread", "almost-sure", "supremum")
"""Claims that are measured on batches of networks."""


def pairing_roads() -> Agreement:
    """κ_jk by enumerating every pairing, against min(j, k) + 1."""
    worst = 0.0
    for j in range(DEGREE + 1):
        for k in range(DEGREE + 1 - j):
            if (j + k) % 2 == 0:
                powers = trace_moment(j, k)
                predicted = min(j, k) + 1 if j != k else 0
                worst = max(worst, abs(powers.get(-1, 0) - predicted), abs(powers.get(0, 0) - (j == k)))
    return Agreement(
        rf"$E\,\mathrm{{tr}}\,W^j W^{{\top k}}$ to order $1/n$, $j + k \le {DEGREE}$",
        ("every pairing enumerated", r"$\delta_{jk} + [j \ne k](\min(j, k) + 1)/n$"),
        worst, 0.0, "both are integers", ("bias", "bias-linear"),
    )  # fmt: skip


def finite_road(config: Config) -> Agreement:
    """Networks of a batch against the package."""
    net, n = NeuralODE("softplus"), 16
    U, W, v = draw(2, n, 3, config.rng("batch"))
    exact = np.stack([net.ntk(Params(U[k], W[k], v[k]), PAIR, solver=SolveIVP()) for k in range(3)])
    fine, found = (batch(net, U, W, v, PAIR, gauss(nodes=m, steps=1, horizon=1.0)).kernel for m in (6, 8))
    change = float(np.abs(found - fine).max() / np.abs(exact).max())
    return Agreement(
        rf"$K_\theta$ of three networks (softplus, $n = {n}$)",
        ("collocation of a batch, written out", "scipy.integrate"),
        float(np.abs(found - exact).max() / np.abs(exact).max()), change + 1e-6,
        "change from six to eight nodes, plus sweeps that end at 1e-8 and the growth of rtol = 1e-10 along the path",
        SAMPLED,
    )  # fmt: skip


def exponential_road(config: Config) -> Agreement:
    """The same for φ(z) = z, in closed form, with as many nodes as the experiment has."""
    net, n, count = NeuralODE("identity"), 8, 40
    U, W, v = draw(2, n, count, config.rng("exponentials"))
    exact = np.stack([by_exponential(net, Params(U[k], W[k], v[k]), PAIR) for k in range(count)])
    found, fine = (batch(net, U, W, v, PAIR, gauss(nodes=m, steps=1, horizon=1.0)).kernel for m in (NODES, 6))
    return compare(
        rf"$K_\theta$ of {count} networks (identity, $n = {n}$)",
        {rf"collocation of a batch, {NODES} nodes": found, "matrix exponentials": exact},
        allowed=float(np.abs(fine - found).max() / np.abs(exact).max()) + 1e-8,
        because=f"change from {NODES} to six nodes, and sweeps that end at 1e-8", claims=SAMPLED,
    )  # fmt: skip


def control_road(found: Sequence[Ensemble]) -> Agreement:
    """Control variates leave a mean where it is only if their own expectations are right."""
    scores = []
    for case in found:
        for k, e in enumerate(case.errors):
            explained = float(e.var(ddof=1)) / e.size - float(case.mean_error[k]) ** 2
            scores.append(abs(float(e.mean() - case.mean[k])) / np.sqrt(explained))
    return Agreement(
        r"mean of $e$ (in standard errors of the difference, all networks and widths)",
        ("regression on control variates", "plain mean of the same networks"),
        max(scores), float(stats.norm.ppf(1 - (1 - LEVEL) / (2 * len(scores)))),
        f"normal interval for {len(scores)} means at once (Bonferroni, {LEVEL:.1%})", ("bias", "bias-linear"),
    )  # fmt: skip
