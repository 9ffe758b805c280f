"""Independent roads to the kernels and eigenvalues of Proposition 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from math import pi

import numpy as np
from numpy.polynomial import chebyshev
from scipy.special import iv

from refimpl import Euler, NeuralODE, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._gram import (
    DEPTH_INPUTS,
    EPS,
    SOURCES,
    Depths,
    Gram,
    Grams,
    by_cholesky,
    cosines,
    gram_matrices,
    within_hypothesis,
)
from verification.statements._hypotheses import antipodes

ROAD_INPUTS = 12
"""Inputs at which roads are compared pair by pair."""


def by_hand(limits: Grams, X: Mapping[str, Array]) -> Agreement:
    net, degree, probe = NeuralODE("softplus"), 32, np.asarray([-1.0, 0.5, 1.0])
    rho = chebyshev.chebpts1(degree + 1)
    coefficients = chebyshev.chebfit(rho, limit_kernel(net, rho, nodes=8, points=32), degree)
    values = chebyshev.chebval(probe, coefficients)
    error = float(np.abs(values - limit_kernel(net, probe, nodes=10, points=48)).max())
    found = [np.linalg.eigvalsh(chebyshev.chebval(cosines(points), coefficients))[0] for points in X.values()]
    grams = [limits["softplus"][source].leading(len(points)) for source, points in X.items()]
    return Agreement(
        rf"$\lambda_{{\min}}(K_\infty)$ (softplus, $N = {DEPTH_INPUTS}$, digits and $S^2$)",
        ("Gauss scheme, eigenvalues", "written out by hand"),
        max(abs(float(value) - gram.smallest) for value, gram in zip(found, grams, strict=True)),
        DEPTH_INPUTS * error + max(gram.floor for gram in grams),
        "Weyl: N times the change of the tensor quadrature from 32 to 48 points, plus the noise floor",
        ("no-antipodal-pairs", "antipodal-pairs-not-odd", "depth"),
    )


def other_scheme(limits: Grams, X: Mapping[str, Array], names: Sequence[str]) -> Agreement:
    distances = []
    for name in names:
        for source, points in X.items():
            few = points[:ROAD_INPUTS]
            smallest = by_cholesky(name, few)
            gram = limits[name][source].leading(ROAD_INPUTS)
            distances.append((abs(smallest - gram.smallest), 2 * gram.floor))
    difference, allowed = max(distances, key=lambda pair: pair[0] / pair[1])
    return Agreement(
        rf"$\lambda_{{\min}}(K_\infty)$ ($N = {ROAD_INPUTS}$, worst of {len(distances)})",
        ("Gauss scheme, eigenvalues", "pair by pair, 2 × 10 nodes, Cholesky"),
        difference, allowed, "two noise floors", ("no-antipodal-pairs", "repaired", "depth"),
    )  # fmt: skip


def extrapolated(deep: Depths, limits: Grams) -> list[Agreement]:
    """λ_min of Richardson's limit of the matrices K_∞^L in powers of 1/L."""
    smooth = within_hypothesis(deep)
    relu = {name: grams for name, grams in deep.items() if name not in smooth}
    return [_extrapolated(smooth, limits).on("no-antipodal-pairs", "depth"), _extrapolated(relu, limits).on("relu")]


def _extrapolated(deep: Depths, limits: Grams) -> Agreement:
    distances = []
    for name, grams in deep.items():
        for source in SOURCES:
            column = [gram[source].K for gram in grams]
            rows = column[-1:]
            for order in range(1, len(column)):
                column = [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
                rows = [*rows, column[-1]]
            gram = limits[name][source].leading(DEPTH_INPUTS)
            change = DEPTH_INPUTS * float(np.abs(rows[-1] - rows[-2]).max())
            distances.append((abs(float(np.linalg.eigvalsh(rows[-1])[0]) - gram.smallest), change + 4 * gram.floor))
    difference, allowed = max(distances, key=lambda pair: pair[0] / pair[1])
    return Agreement(
        rf"$\lambda_{{\min}}(K_\infty)$ ({', '.join(deep)}, $N = {DEPTH_INPUTS}$, worst of {len(distances)})",
        ("Gauss scheme, eigenvalues", "Richardson on ResNets"),
        difference, allowed, "Weyl: N times the last change of the extrapolation, plus four noise floors",
    )  # fmt: skip


def bessel(X: Array) -> Agreement:
    Z = 1.0
    return compare(
        r"$K_\infty$ (identity)",
        {
            "Gauss scheme": gram_matrices("identity", {"sphere": X})["sphere"].K,
            "Bessel functions": (2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z)) * (X @ X.T),
        },
        allowed=2e-12,
        because="1e-12 promised by Gauss, as much again by the interpolation of the curve",
        claims=("linear",),
    )


def quadratic(X: Array, gram: Gram) -> Agreement:
    """λ_min of Richardson's limit of K_∞^L for φ = z²/2."""
    column = [gram_matrices("quadratic", {"sphere": X}, Euler(2**k))["sphere"].K for k in range(9)]
    before = column[-1]
    for order in range(1, 9):
        before, column = column[-1], [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
    change = len(X) * float(np.abs(column[-1] - before).max())
    return Agreement(
        rf"$\lambda_{{\min}}(K_\infty)$ ($\phi = z^2/2$, $N = {len(X)}$)",
        ("Gauss scheme, eigenvalues", "Richardson on ResNets"),
        abs(float(np.linalg.eigvalsh(column[-1])[0]) - gram.smallest), change + 4 * gram.floor,
        "Weyl: N times the last change of the extrapolation, plus four noise floors", ("polynomial-limit",),
    )  # fmt: skip


def one_layer(X: Array) -> list[Agreement]:
    """K_∞^1 = Σ_TT + τ Σ_00 D_TT + ρ D_TT (1 + τ D_00), τ = (σ_w T)², from duals E[φφ], E[φ'φ'] at one variance s."""
    duals: dict[str, Callable[[float, Array], tuple[Array, Array]]] = {
        "quadratic": lambda s, c: ((s**2 + 2 * c**2) / 4, c),
        "sin": lambda s, c: (np.exp(-s) * np.sinh(c), np.exp(-s) * np.cosh(c)),
        "erf": lambda s, c: (
            2 / pi * np.arcsin(2 * c / (1 + 2 * s)), 4 / pi / np.sqrt((1 + 2 * s) ** 2 - 4 * c**2)
        ),
    }  # fmt: skip
    rho, tau, found = cosines(X[:ROAD_INPUTS]), (0.8 * 0.9) ** 2, []
    for name, dual in duals.items():
        Sigma, D = dual(1.0, rho)
        S = rho + tau * Sigma
        Sigma_T, D_T = dual(float(S[0, 0]), S)
        layer = Sigma_T + tau * Sigma * D_T + rho * D_T * (1 + tau * D)
        computed = NeuralODE(name, horizon=0.9, sigma_w=0.8).limit(Euler(1)).ntk(X[:ROAD_INPUTS])
        roads = {"Euler scheme": computed, "closed form of one layer": layer}
        because = "roundings of some ten operations on each entry, and of the cosines"
        found.append(
            compare(
                rf"$K_\infty^1$ ({name}, $T = 0.9$, $\sigma_w = 0.8$)",
                roads,
                allowed=64 * EPS,
                because=because,
                claims=("polynomial-depth",) if name == "quadratic" else ("depth", "depth-contrast"),
            )
        )
    return found


def antipodal(config: Config) -> Agreement:
    net, X = NeuralODE("tanh"), antipodes(2)
    theta = net.init(32, 2, seed=config.rng("odd"))
    kernels = {
        "random network, scipy.integrate": net.ntk(theta, X, solver=SolveIVP()),
        "Gauss scheme": net.limit().ntk(X),
        "Euler scheme": net.limit(Euler(8)).ntk(X),
    }
    return compare(
        r"$K(x, -x) / K(x, x)$ (tanh; network of $n = 32$, $K_\infty$, $K_\infty^8$)",
        {road: K[0, 1] / K[0, 0] for road, K in kernels.items()},
        allowed=1e-8,
        because="accuracy of scipy.integrate at rtol 1e-10; the symmetry itself is exact",
        claims=("as-stated",),
    )
