"""Second roads to single claims on the order of limits: nothing is shared with the first but φ, φ' and θ."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.integrate import quad

from refimpl import NeuralODE, Params
from verification import Agreement, compare
from verification.statements._data import Array

EPS = float(np.finfo(float).eps)


def iterated_limits(a: Callable[[float, float], float], fixed: list[int], terms: int = 8) -> list[tuple[float, float]]:
    """lim a(n, ℓ) for n → ∞ at every ℓ of `fixed`, and for ℓ → ∞ at every n of it; each with its last change.

    Powers of 1/2 are removed from the values at n = 2^k ℓ, in floating point.
    """
    found = []
    for inner in (a, lambda ell, n: a(n, ell)):
        for at in fixed:
            column = [float(inner(at * 2.0**k, at)) for k in range(4, 4 + terms)]
            before = column
            for order in range(1, terms):
                before, column = column, [b + (b - c) / (2**order - 1) for c, b in pairwise(column)]
            found.append((column[-1], abs(column[-1] - before[-1]) + terms * EPS))
    return found


def uniform_constant(net: NeuralODE, theta: Params, X: Array) -> Array:
    """C_n/C_∞ of the claim `exchange`, by QUADPACK from the inequalities behind both; shape (N, N), each entry."""
    n, T, ell = theta.width, net.horizon, net.phi.lipschitz
    W = net.sigma_w / math.sqrt(n) * theta.W
    norm = math.sqrt(float(np.linalg.eigvalsh(W.T @ W)[-1]))
    finite, limit = [], []
    for x in X:
        phi = net.phi.phi(net.sigma_u * theta.U @ x) / math.sqrt(n)
        finite.append(_bounds(net, T, ell, ell * norm, float(np.linalg.norm(phi)), float(np.linalg.norm(W @ phi))))
        spread = net.sigma_u * float(np.linalg.norm(x))
        root = math.sqrt(_gaussian_square(net, spread))
        limit.append(_bounds(net, T, ell, 2 * ell * net.sigma_w, root, net.sigma_w * root))
    return _gram(finite) / _gram(limit)


def _bounds(net: NeuralODE, T: float, ell: float, kappa: float, start: float, rate: float) -> tuple[float, float]:
    """L ‖∂_v f^L − ∂_v f‖ and ‖∂_v f‖ for |φ(h_0)|/√n and |𝒲 φ(h_0)|/√n: an Euler step misses ½ κ ‖ḣ‖ Δ²."""
    missed = quad(lambda s: kappa * rate * math.exp(kappa * s) / 2 * math.exp(kappa * (T - s)), 0, T, epsrel=1e-12)[0]
    grown = quad(lambda s: rate * math.exp(kappa * s), 0, T, epsrel=1e-12)[0]
    return net.sigma_v * ell * T * missed, net.sigma_v * (start + ell * grown)


def _gaussian_square(net: NeuralODE, spread: float) -> float:
    """E φ(z)², z ~ N(0, spread²)."""

    def integrand(z: float) -> float:
        return math.exp(-z * z / 2) * float(net.phi.phi(np.asarray(spread * z))) ** 2

    return float(quad(integrand, -12, 12, epsabs=0, epsrel=1e-12)[0]) / math.sqrt(2 * math.pi)


def _gram(bounds: list[tuple[float, float]]) -> Array:
    C, size = np.transpose(bounds)
    gram: Array = np.outer(C, size) + np.outer(size, C) + np.outer(C, C)
    return gram


def layers_by_hand(net: NeuralODE, theta: Params, X: Array, step: float) -> Array:
    """K of the ResNet h ↦ h + (step σ_w/√n) W_ℓ φ(h) with weights of its own in every layer, (N, N)."""
    root, W = math.sqrt(theta.width), step * net.sigma_w / math.sqrt(theta.width) * theta.W
    rows = []
    for x in X:
        h = [net.sigma_u * theta.U @ x]
        for layer in W:
            h.append(h[-1] + layer @ net.phi.phi(h[-1]))
        adjoint = net.sigma_v / root * theta.v * net.phi.dphi(h[-1])
        parts = [net.sigma_v / root * net.phi.phi(h[-1])]
        for layer, before in zip(W[::-1], h[-2::-1], strict=True):
            parts.append(step * net.sigma_w / root * np.outer(adjoint, net.phi.phi(before)).ravel())
            adjoint = adjoint + net.phi.dphi(before) * (layer.T @ adjoint)
        parts.append(net.sigma_u * np.outer(adjoint, x).ravel())
        rows.append(np.concatenate(parts))
    kernel: Array = np.stack(rows) @ np.stack(rows).T
    return kernel


def chi_means(mean_root: Callable[[float], float]) -> Agreement:
    """E χ_n E χ_{n+1} = n for every n, by Γ(x + 1) = x Γ(x)."""
    widths = (1, 8, 998, 1000, 1001, 10**6, 10**12)
    return compare(
        rf"$E \chi_n E \chi_{{n+1}}$ over $\sqrt{{n (n + 1)}}$, $n = {widths[0]}, \dots, 10^{{12}}$",
        {"Gamma functions, and their series": [mean_root(n) * mean_root(n + 1) for n in widths],
         r"$\Gamma(x + 1) = x \Gamma(x)$": [math.sqrt(n / (n + 1)) for n in widths]},
        allowed=4e3 * 4 * EPS, because="a rounding of logarithms of Gamma functions up to 3e3",
        claims=("perceptron", "perceptron-ntk"),
    )  # fmt: skip
