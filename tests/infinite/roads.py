"""Other roads to K_∞ and K_∞^L: recursions entry by entry, and the Goursat problem by midpoint rule and Romberg."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import scipy.integrate
from scipy.special import ndtr

from refimpl import NeuralODE
from tests.infinite.limits import EPS


def hermite_expectation(f: Callable[[Any], Any], s1: float, s2: float, c: float) -> float:
    """E[f(a) f(b)] by the product Gauss–Hermite rule."""
    z, w = np.polynomial.hermite_e.hermegauss(90)
    w = w / math.sqrt(2 * math.pi)
    b = c / math.sqrt(s1) * z[:, None] + math.sqrt(max(s2 - c * c / s1, 0.0)) * z
    return float(w @ (f(math.sqrt(s1) * z)[:, None] * f(b)) @ w)


def half_line_expectation(slope: bool, s1: float, s2: float, c: float) -> float:
    """E[max(a, 0) max(b, 0)], or P(a, b > 0), by an integral over a of the expectation of b given a."""
    mean, spread = c / math.sqrt(s1), math.sqrt(max(s2 - c * c / s1, 0.0))

    def given_a(z: float) -> float:
        m = mean * z
        if spread < 1e-7 * math.sqrt(s2):
            inner = float(m > 0) if slope else max(m, 0.0)
        else:
            tail = float(ndtr(m / spread))
            inner = tail if slope else m * tail + spread * math.exp(-((m / spread) ** 2) / 2) / math.sqrt(2 * math.pi)
        return (1.0 if slope else math.sqrt(s1) * z) * inner * math.exp(-z * z / 2) / math.sqrt(2 * math.pi)

    return float(scipy.integrate.quad(given_a, 0, 13, epsabs=1e-14, epsrel=1e-13, limit=200)[0])


Expectation = Callable[[float, float, float], float]


PLAIN: dict[str, tuple[Expectation, Expectation]] = {
    name: (partial(hermite_expectation, f), partial(hermite_expectation, df))
    for name, f, df in (
        ("softplus", lambda z: np.logaddexp(0, z), lambda z: 1 / (1 + np.exp(-z))),
        ("quadratic", lambda z: z * z / 2, lambda z: z),
        ("sin", np.sin, np.cos),
        ("gelu", lambda z: z * ndtr(z), lambda z: ndtr(z) + z * np.exp(-z * z / 2) / math.sqrt(2 * math.pi)),
    )
}


PLAIN["relu"] = partial(half_line_expectation, False), partial(half_line_expectation, True)


def resnet_recursion(net: NeuralODE, depth: int, q11: float, q12: float, q22: float) -> float:
    """K_∞^L by the recursions of h^ℓ and λ^ℓ with shared weights, entry by entry.

    S^{k,m} = q + (σ_w T/L)² Σ_{i<k, j<m} Σ^{ij},     P^{k,m} = P^{L,L} + (σ_w T/L)² Σ_{i≥k, j≥m} D^{ij} P^{i+1,j+1}.
    """
    value, slope = PLAIN[net.phi.name]
    factor, L = (net.sigma_w * net.horizon / depth) ** 2, depth

    def forward(q: float, var1: list[float] | None, var2: list[float] | None) -> tuple[Any, Any]:
        S, Sigma = np.full((L + 1, L + 1), q), np.zeros((L + 1, L + 1))
        for n in range(L + 1):  # by the larger index, so that Var h^n is there when it is needed
            for k, m in [(k, n) for k in range(n)] + [(n, m) for m in range(n)] + [(n, n)]:
                S[k, m] = q + factor * Sigma[:k, :m].sum()
            first, second = (np.diag(S) if var is None else var for var in (var1, var2))
            for k, m in [(k, n) for k in range(n)] + [(n, m) for m in range(n)] + [(n, n)]:
                Sigma[k, m] = value(first[k], second[m], S[k, m])
        return S, Sigma

    variance1, variance2 = (np.diag(forward(q, None, None)[0]) for q in (q11, q22))
    S, Sigma = forward(q12, variance1, variance2)
    D = np.asarray([[slope(variance1[k], variance2[m], S[k, m]) for m in range(L + 1)] for k in range(L + 1)])
    P = np.full((L + 1, L + 1), net.sigma_v**2 * D[L, L])
    for k, m in itertools.product(range(L - 1, -1, -1), repeat=2):
        P[k, m] += factor * (D[k:L, m:L] * P[k + 1 :, m + 1 :]).sum()
    P[L, :L] = P[:L, L] = P[L, L]
    return float(net.sigma_v**2 * Sigma[L, L] + factor * (Sigma[:L, :L] * P[1:, 1:]).sum() + q12 * P[0, 0])


def arcsine(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    product = (1 + 2 * s1) * (1 + 2 * s2)
    return 2 / math.pi * np.arcsin(2 * c / np.sqrt(product)), 4 / math.pi / np.sqrt(product - 4 * c * c)


def sine(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    decay = np.exp(-(s1 + s2) / 2)
    return decay * np.sinh(c), decay * np.cosh(c)


def arc_cosine(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    size = np.sqrt(s1 * s2)
    theta = np.arccos(np.clip(c / size, -1, 1))
    return size * (np.sin(theta) + (math.pi - theta) * np.cos(theta)) / (2 * math.pi), (math.pi - theta) / (2 * math.pi)


def absolute(s1: Any, s2: Any, c: Any) -> tuple[Any, Any]:
    """φ = |z| is max(z, 0) + max(−z, 0)."""
    (value, slope), (mirrored, mirrored_slope) = arc_cosine(s1, s2, c), arc_cosine(s1, s2, -c)
    return 2 * (value + mirrored), 2 * (slope - mirrored_slope)


Dual = Callable[[Any, Any, Any], tuple[Any, Any]]


DUALS: dict[str, Dual] = {"erf": arcsine, "sin": sine, "relu": arc_cosine, "abs": absolute}


def midpoint_kernel(dual: Dual, net: NeuralODE, steps: int, q11: float, q12: float, q22: float) -> float:
    """K_∞ with every integral replaced by the midpoint rule on `steps` cells."""
    to_middle = (np.tri(steps) - np.eye(steps) / 2) * net.horizon / steps
    coupling = net.sigma_w**2
    cell = (net.horizon / steps) ** 2

    def fixed(update: Callable[[Any], Any], start: float) -> Any:
        field = np.full((steps, steps), start)
        for _ in range(100):
            new = update(field)
            if np.abs(new - field).max() <= 4 * EPS * np.abs(new).max():
                return new
            field = new
        raise AssertionError("no convergence")

    def variance(q: float) -> tuple[Any, float]:
        def update(S: Any) -> Any:
            s = np.diag(S)
            return (
                q + coupling * to_middle @ dual(s[:, None], s, np.minimum(S, np.sqrt(np.outer(s, s))))[0] @ to_middle.T
            )

        S = fixed(update, q)
        s = np.diag(S)
        return s, q + coupling * cell * dual(s[:, None], s, S)[0].sum()

    (s1, end1), (s2, end2) = variance(q11), variance(q22)
    S = fixed(lambda S: q12 + coupling * to_middle @ dual(s1[:, None], s2, S)[0] @ to_middle.T, q12)
    Sigma, D = dual(s1[:, None], s2, S)
    Sigma_end, D_end = dual(end1, end2, q12 + coupling * cell * Sigma.sum())
    terminal = net.sigma_v**2 * D_end
    P = fixed(lambda P: terminal + coupling * to_middle.T @ (D * P) @ to_middle, float(terminal))
    initial = terminal + coupling * cell * (D * P).sum()
    return float(net.sigma_v**2 * Sigma_end + coupling * cell * (Sigma * P).sum() + q12 * initial)


def romberg(values: list[float]) -> tuple[float, float]:
    """Limit of values at L, 2L, 4L … with an expansion in 1/L², and the last correction."""
    order, correction = 1, math.inf
    while len(values) > 1:
        order *= 4
        extrapolated = [fine + (fine - coarse) / (order - 1) for coarse, fine in itertools.pairwise(values)]
        correction, values = abs(extrapolated[-1] - values[-1]), extrapolated
    return values[0], correction
