"""When solutions for φ(z) = z²/2 escape to infinity: one network, the infinitely wide one, and ResNets beyond it."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.integrate import quad, solve_ivp
from scipy.special import kv

from verification.statements._data import Array


def escape(W: Array, h0: Array, *, method: str = "DOP853", rtol: float = 1e-8, patience: float = 100.0) -> float:
    """Blow-up time of ḣ = W h²/2, or inf if it is beyond `patience`.

    The clock s with dt/ds = 1/r, r² = (‖h‖² + ‖h_0‖²)/n, turns growth like 1/(t* − t) into exponential growth, so the
    integrator meets no singularity. At the end ‖h‖ has grown by 10⁹ and what is left of t is ‖h‖/‖ḣ‖, up to its square.
    """
    scale = float(np.linalg.norm(h0))

    def rate(_s: float, y: Array) -> Array:
        h = y[:-1]
        r = math.sqrt((float(h @ h) + scale**2) / h.size)
        return np.append(W @ (h * h) / (2 * r), 1 / r)

    def grown(_s: float, y: Array) -> float:
        return float(np.linalg.norm(y[:-1])) - 1e9 * scale

    def late(_s: float, y: Array) -> float:
        return float(y[-1]) - patience

    grown.terminal = late.terminal = True  # type: ignore[attr-defined]  # the protocol of solve_ivp
    start = np.append(h0, 0.0)
    solution = solve_ivp(rate, (0.0, 1e9), start, method=method, rtol=rtol, atol=rtol / 100, events=[grown, late])
    if not solution.t_events[0].size:
        return math.inf
    h = solution.y[:-1, -1]
    return float(solution.y[-1, -1] + 2 * np.linalg.norm(h) / np.linalg.norm(W @ (h * h)))


def solvable_scalar(T: float) -> float:
    """P(t* > T) for n = 1, σ = 1, |x| = 1: t* = 2/(w u) if w u > 0, and the product of two normals has density K₀/π."""
    return 1 - float(quad(lambda z: kv(0, z), 2 / T, math.inf)[0]) / math.pi


def limit_time(terms: int = 120) -> tuple[float, float]:
    """Blow-up time of S^{t,t} for q = σ_w = 1, with an error estimate.

    ∂_t ∂_s S = (S_tt S_ss + 2 S_ts²)/4 has the solution Σ c_ij t^i s^j with c_ij ≥ 0, from c_00 = 1 by

        (i + 1)(j + 1) c_{i+1,j+1} = (d_i d_j + 2 Σ_ab c_ab c_{i−a,j−b})/4,     d_i = Σ_a c_{a,i−a},

    so S_tt = Σ d_i t^i is singular first on the positive axis (Pringsheim), at t²= lim d_i/d_{i+2}; the ratios, with an
    expansion in 1/i, are extrapolated. The first neglected term is no integer power, and the last change of the
    extrapolation is a third of what is left of it up to 240 terms.
    """
    c = np.zeros((terms + 1, terms + 1))
    c[0, 0] = 1.0
    d = np.zeros(terms + 1)
    for total in range(0, terms + 1, 2):
        d[total] = sum(c[a, total - a] for a in range(total + 1))
        if total == terms:
            break
        for i in range(total // 2 + 1):
            j = total - i
            square = np.sum(c[: i + 1, : j + 1] * c[i::-1, j::-1])
            c[i + 1, j + 1] = c[j + 1, i + 1] = (d[i] * d[j] + 2 * square) / (4 * (i + 1) * (j + 1))
    ratios: list[Any] = list(d[2::2] / d[:-2:2])
    last = [ratios[-1]]
    for order in (1, 2, 3):
        first = len(d[2::2]) - len(ratios) + 2
        ratios = [(k * b - (k - order) * a) / order for k, (a, b) in enumerate(pairwise(ratios), start=first)]
        last.append(ratios[-1])
    times = [float(ratio) ** -0.5 for ratio in last]
    return times[-1], 3 * abs(times[-1] - times[-2])


def log_norms(W: Array, h0: Array, horizon: float, depth: int) -> float:
    """log ‖h^L‖ of the ResNet (6), far beyond what a float can hold: h = e^m u with ‖u‖ = 1."""
    step, m = horizon / depth, math.log(float(np.linalg.norm(h0)))
    u = h0 / np.linalg.norm(h0)
    for _ in range(depth):
        # h + τ W h²/2 = e^{2m} (e^{−m} u + τ W u²/2); for small h with e^m in front instead.
        big = m > 0
        new = (math.exp(-m) * u + step * W @ (u * u) / 2) if big else (u + step * math.exp(m) * W @ (u * u) / 2)
        size = float(np.linalg.norm(new))
        m, u = (2 * m if big else m) + math.log(size), new / size
    return m
