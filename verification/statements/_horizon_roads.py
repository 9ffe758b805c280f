"""The roads of the statement on the horizon: limits, closed forms and random networks, found in more than one way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats
from scipy.special import iv

from refimpl import NeuralODE
from verification import Agreement, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._horizon_networks import LEVEL, Constant, Spread
from verification.statements._horizons import AtHorizon, identity_depth


def by_hand(X: Mapping[str, Array]) -> Agreement:
    """One product σ_w T at two horizons, on two roads."""
    rho = (X["digits"][:1] @ X["digits"][:4].T)[0]
    long, short = NeuralODE("softplus", horizon=2.0, sigma_w=0.6), NeuralODE("softplus", horizon=1.0, sigma_w=1.2)
    coarse, fine = (limit_kernel(short, rho, nodes, points) for nodes, points in ((8, 40), (10, 48)))
    return compare(
        r"$K_\infty$ (softplus, $\sigma_w T = 1.2$; $T = 2$ by Gauss, $T = 1$ by hand)",
        {"Gauss scheme": long.limit().ntk(X["digits"][:1], X["digits"][:4])[0], "written out by hand": fine},
        allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
        because="1e-12 promised by Gauss, plus the change of the tensor quadrature from 40 to 48 points",
    )


def bessel(curve: Sequence[AtHorizon]) -> list[Agreement]:
    """The identity, whose fields are Bessel functions."""
    T = np.asarray([at.T for at in curve])
    depth, error = (np.asarray([getattr(at, name) for at in curve]) for name in ("depth", "depth_error"))
    exact = np.asarray([identity_depth(float(Z)) for Z in T])
    return [
        compare(
            r"$K_\infty(x, x)$ (identity, every $T$)",
            {
                "Gauss scheme": [at.own / (2 * iv(0, 2 * at.T) + at.T * iv(1, 2 * at.T)) for at in curve],
                "Bessel functions": np.ones(T.size),
            },
            allowed=1e-12, because="promised by Gauss",
        ),
        compare(
            r"$S^{T,T}$ (identity, every $T$)",
            {"Gauss scheme": [at.variance / iv(0, 2 * at.T) for at in curve], "Bessel functions": np.ones(T.size)},
            allowed=1e-12, because="promised by Gauss",
        ),
        Agreement(
            r"$\lim L (K_\infty - K_\infty^L)$ (identity, every $T$)",
            ("Euler schemes, extrapolated", "power series"),
            float((np.abs(depth - exact) / (error + 64 * 1e-12 * np.asarray([at.own for at in curve]))).max()), 1.0,
            "in units of the last change of the extrapolation, plus 64 times the 1e-12 promised by Gauss",
        ),
    ]  # fmt: skip


def shallow_roads(curves: Mapping[str, Sequence[AtHorizon]], hidden: Mapping[str, Mapping[str, Array]]) -> Agreement:
    """T → 0 from the kernels alone, and one hidden layer."""
    found = []
    for name, curve in curves.items():
        K = [at.kernels["sphere"] for at in curve[:3]]
        coarse, fine = (4 * K[1] - K[2]) / 3, (4 * K[0] - K[1]) / 3
        apart = float(np.abs(fine - hidden[name]["sphere"]).max())
        found.append((apart, float(np.abs(fine - coarse).max()) + 1e-12 * float(K[0].max()), name))
    apart, allowed, name = max(found, key=lambda entry: entry[0] / entry[1])
    return Agreement(
        rf"$\lim_{{T \to 0}} K_\infty$ ({name}, the one closest to its bound)",
        ("Gauss scheme, extrapolated in $T^2$", "one hidden layer by double sums"),
        apart, allowed, "the last change of the extrapolation",
    )  # fmt: skip


def coefficients(constants: Sequence[Constant]) -> Agreement:
    """Euler's leading error, measured and from its theory."""
    worst = max(constants, key=lambda each: each.roads[0] / each.roads[1])
    return Agreement(
        rf"$\lim L (f^L - f)$ ({worst.activation}, $T = {worst.T:g}$, the one closest to its bound)",
        ("ResNets minus Neural ODE", "theory of Euler's leading error"),
        *worst.roads, "the last change of the extrapolated limit, which falls fourfold with every doubling of L",
    )  # fmt: skip


def monte_carlo(spreads: Sequence[Spread], curves: Mapping[str, Sequence[AtHorizon]]) -> Agreement:
    """Mean of ‖h_T‖²/n over the widest networks, in standard errors."""
    found = []
    for each in spreads:
        widest = each.squares
        limit = next(at.variance for at in curves[each.activation] if at.T == each.T)
        found.append(abs(float(widest.mean()) - limit) / (float(widest.std(ddof=1)) / np.sqrt(widest.size)))
    degrees = spreads[0].squares.size - 1
    return Agreement(
        rf"$S^{{T,T}}$, in standard errors (worst of {len(spreads)} cases, $n = {spreads[0].widths.max():g}$)",
        ("Gauss scheme", "Monte Carlo, $\\|h_T\\|^2/n$"),
        float(max(found)), float(stats.t.ppf(1 - (1 - LEVEL) / (2 * len(found)), degrees)),
        f"Student's interval for {len(found)} numbers at once (Bonferroni, {LEVEL:.1%}); the bias O(1/n) is below it",
    )  # fmt: skip
