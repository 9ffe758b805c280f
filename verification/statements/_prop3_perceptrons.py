"""Proposition 3 and depth: what becomes of the spectrum without the factor 1/L, in a multilayer perceptron.

h^0 = σ_u U x, h^l = (σ_w/√n) W_l φ(h^{l−1}), f = (σ_v/√n) vᵀ φ(h^L), all σ = 1 and unit vectors. With the duals
Σ = E[φφ], D = E[φ'φ'] the covariances are S^l = Σ(S^{l−1}), and the tangent kernel K^L = Σ(S^L) + D(S^L) ∘ Θ^L with
Θ^l = S^l + D(S^{l−1}) ∘ Θ^{l−1}. At the fixed point s of the variances every correlation below 1 is driven to 1 if
χ = D(s, s) < 1: 1 − R^l = O(χ^l) (Poole et al. 2016; Schoenholz et al. 2017), and K^L tends to a constant as L χ^L.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import sqrt

import numpy as np
from numpy.polynomial.hermite_e import hermegauss

from refimpl.activations import BUILTIN
from refimpl.infinite.hermite_coefficients import hermite_magnitudes
from verification import Agreement, Claim, Verdict, compare
from verification.numerals import lower
from verification.statements._data import Array
from verification.statements._gram import Depths, Gram, cosines

NAMES = ("softplus", "cos")

LAYERS = 10
"""Depth of the perceptrons: λ_min is visible in double precision there, and the rate has settled."""

INPUTS = 8

TERMS = 60
"""Of the Hermite expansions, at variances below 2."""

EPS = float(np.finfo(float).eps)

Duals = Callable[[str, Array], tuple[Array, Array]]


def by_hermite(name: str, S: Array) -> tuple[Array, Array]:
    """Σ and D of inputs of one variance."""
    s = float(S[0, 0])
    squares = hermite_magnitudes(name, np.asarray([s]), TERMS)[:, 0] ** 2
    Sigma = np.polynomial.Polynomial(squares)
    return Sigma(S / s), Sigma.deriv()(S / s) / s


def by_quadrature(points: int, name: str, S: Array) -> tuple[Array, Array]:
    """The same by tensor quadrature."""
    z, weights = hermegauss(points)
    s, phi, w = float(S[0, 0]), BUILTIN[name], np.multiply.outer(weights, weights) / (2 * np.pi)
    rho = np.clip(S / s, -1, 1)[..., None, None]
    a, b = sqrt(s) * z[:, None], sqrt(s) * (rho * z[:, None] + np.sqrt(1 - rho**2) * z)
    return (w * phi.phi(a) * phi.phi(b)).sum((-1, -2)), (w * phi.dphi(a) * phi.dphi(b)).sum((-1, -2))


def perceptrons(name: str, X: Array, layers: int, duals: Duals = by_hermite) -> list[tuple[Array, Array]]:
    """NNGP and tangent kernel for 0, …, `layers` hidden layers W."""
    S = cosines(X)
    Theta, kernels = S, []
    for _ in range(layers + 1):
        Sigma, D = duals(name, S)
        Theta = Sigma + D * Theta
        S = Sigma
        kernels.append((Sigma, Theta))
    return kernels


def rate(name: str) -> float:
    """χ = D(s, s) at the fixed point s = Σ(s, s)."""
    s = np.ones((1, 1))
    for _ in range(200):
        s = by_hermite(name, s)[0]
    return float(by_hermite(name, s)[1][0, 0])


def contrast(X: Array, deep: Depths) -> tuple[Claim, list[Agreement]]:
    X = X[:INPUTS]
    rows, agreements = [], []
    for name in NAMES:
        kernels = perceptrons(name, X, LAYERS)
        nngp, ntk = ([Gram(pair[i], 4 * EPS * float(pair[i].max())) for pair in kernels] for i in (0, 1))
        chi, measured = rate(name), nngp[-1].smallest / nngp[-2].smallest
        error = nngp[-1].floor / nngp[-1].smallest + nngp[-2].floor / nngp[-2].smallest
        before = nngp[-2].smallest / nngp[-3].smallest
        tangent = ntk[-1].smallest / ntk[-2].smallest / chi
        visible = all(gram.positive for gram in (*nngp, *ntk))
        # the next term of the expansion about the fixed point is smaller by χ a layer
        allowed = measured * error + 2 * chi / (1 - chi) * abs(measured - before)
        kept = min(gram["sphere"].leading(INPUTS).smallest for gram in deep[name])
        kept /= deep[name][-1]["sphere"].leading(INPUTS).smallest
        rows.append((name, chi, measured, allowed, tangent, visible, ntk[-1].smallest / ntk[0].smallest, kept))
        few, coarse = (perceptrons(name, X[:4], 2, partial(by_quadrature, points))[-1][1] for points in (60, 40))
        agreements.append(
            compare(
                rf"tangent kernel of a perceptron ({name}, two hidden $W$)",
                {"Hermite expansions": kernels[2][1][:4, :4], "tensor quadrature": few},
                allowed=float(np.abs(few - coarse).max()) + 64 * EPS * float(few.max()),
                because="change of the tensor quadrature from 40 to 60 points, and roundings of some ten operations",
                claims=("depth-contrast",),
            )
        )
    name, chi, measured, allowed, *_ = max(rows, key=lambda row: abs(row[2] - row[1]) / row[3])
    holds = all(
        visible and abs(found - chi) <= bound and 1 < tangent < 1 + 2 / LAYERS
        for _, chi, found, bound, tangent, visible, _, _ in rows
    )
    fallen = ", ".join(rf"{row[0]} {row[6]:.0e}" for row in rows)
    return Claim(
        "depth-contrast",
        r"That is owed to the factor $1/L$. In a multilayer perceptron of the same $\phi$ and $\sigma = 1$ all inputs "
        r"become one: $\lambda_{\min}$ of the NNGP kernel falls as $\chi^L$ and that of the tangent kernel as "
        r"$L \chi^L$, with $\chi = E[\phi'^2] < 1$ at the fixed point of the variances. "
        rf"$\lambda_{{\min}}$ with {LAYERS} hidden $W$, relative to none: {fallen}; while "
        rf"$\lambda_{{\min}}(K_\infty^L)$ on the same {INPUTS} points of $S^2$ never falls below "
        rf"{lower(min(row[7] for row in rows))} of that of the deepest ResNet (measured: $\chi$ from the last layer, "
        rf"{name}).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=measured,
        predicted=chi,
        uncertainty=allowed,
    ), agreements
