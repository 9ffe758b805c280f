"""ReLU networks in which a neuron meets the kink in higher order: what a contact costs an Euler scheme."""

from __future__ import annotations

import math

import numpy as np
from numpy.polynomial import hermite_e

from refimpl import Euler, NeuralODE, Params
from verification import Claim, Verdict
from verification.statements._data import Array
from verification.statements._pencil import INPUT, network

HORIZON, CONTACT, EARLIER = 2.0, 1.0, 0.5
"""T, the time of the contact, and that of the crossing before it."""

DEPTH, DEEPEST = 4096, 16384


def contact(order: int, feed: float = 0.0) -> tuple[NeuralODE, Params]:
    """h_1 = (t − 1)^k/k! near t = 1, and f = h_2 with ḣ_2 = φ(h_1): the first component of λ_0 is the time of h_1 > 0.

    The other neurons are p_j = Σ_{m ≤ j} t^m/m!, j < k, positive with ṗ_j = p_{j−1}; and one that crosses the kink at
    `EARLIER`, h = t − 1/2. What it feeds into h_1 beyond its crossing is taken off by polynomials, exactly.
    """
    taylor = np.asarray([(-1.0) ** (order - 1 - m) / math.factorial(order - 1 - m) for m in range(order)])
    taylor[:2] -= feed * np.asarray([-EARLIER, 1.0])  # ḣ_1 without φ(h), in t^m/m!
    weights = taylor - np.append(taylor[1:], 0.0)  # in p_m: t^m/m! = p_m − p_{m−1}
    n = order + 3
    W: Array = np.zeros((n, n))
    W[0, 2:-1], W[0, -1], W[1, 0], W[-1, 2] = weights, feed, 1.0, 1.0
    W[range(3, n - 1), range(2, n - 2)] = 1.0
    first = (-CONTACT) ** order / math.factorial(order) - feed * EARLIER**2 / 2
    return network("relu", W, [first, *[1.0] * (order + 1), -EARLIER], np.eye(n)[1], HORIZON)


def time_above(order: int, depth: int, feed: float = 0.0) -> float:
    """Time for which the ResNet of that depth has h_1 > 0."""
    net, theta = contact(order, feed)
    return float(net.jacobian(theta, INPUT, Euler(depth)).U[0, 0, 0])


def claims() -> list[Claim]:
    return [_one_branch(), _behind_a_crossing()]


def _one_branch() -> Claim:
    """Wrong between two zeros of He_4, on either side of the contact; each of the two times is known to two layers."""
    step = HORIZON / DEPTH
    roots = hermite_e.hermeroots([0.0] * 4 + [1.0])
    predicted, allowed = 2 * float(roots[3] - roots[2]), 4 * math.sqrt(step)
    measured = (HORIZON - time_above(4, DEPTH)) / math.sqrt(CONTACT * step)
    return Claim(
        "constructed-contact",
        r"A contact of order $k$, $h_i \approx a (t - t_*)^k/k!$, costs $O(L^{-1/k})$ at most, and no more than "
        r"$L^{-1/2}$ if no neuron has crossed the kink before: then $h_i^L \approx a \sigma^k \mathrm{He}_k((t - "
        r"t_*)/\sigma)/k!$ with $\sigma = \sqrt{t_* T/L}$ and Hermite polynomials (measured: the time on the wrong "
        r"side over $\sigma$ for $k = 4$ at "
        rf"$L = {DEPTH}$; predicted: $2 (\sqrt{{3 + \sqrt 6}} - \sqrt{{3 - \sqrt 6}})$).",
        Verdict.HOLDS if abs(measured - predicted) <= allowed else Verdict.FAILS,
        measured=measured, predicted=predicted, uncertainty=allowed,
    )  # fmt: skip


def _behind_a_crossing() -> Claim:
    """(6 e Δ)^{1/3} with e = ½ s ẋ_j W_1j = 1/4, less the next term, O(Δ^{1/3}), which halves from L to 8 L."""
    times, steps = [], [HORIZON / depth for depth in (DEEPEST // 8, DEEPEST)]
    for depth, step in zip((DEEPEST // 8, DEEPEST), steps, strict=True):
        times.append((time_above(3, depth, feed=1.0) - (HORIZON - CONTACT)) / (6 * EARLIER / 2 * step) ** (1 / 3))
    layers = [2 * step / (6 * EARLIER / 2 * step) ** (1 / 3) for step in steps]  # known to two layers
    measured, allowed = 2 * times[1] - times[0], (times[0] - 1) ** 2 + layers[0] + 2 * layers[1]
    return Claim(
        "constructed-contact-behind-a-crossing",
        r"The order $L^{-1/k}$ is attained where Euler's method has an error $e_i T/L$ of first order in that neuron, "
        r"as it has behind a crossing: $k = 3$ at $t_* = 1$, with a neuron that crosses at $s = 1/2$ with $\dot h_j = "
        r"1$ and $W_{ij} = 1$, hence $e_i = 1/4$ (measured: the time on the wrong side over $(6 e_i T/L)^{1/3}$, "
        r"extrapolated from "
        rf"$L = {DEEPEST // 8}$ and {DEEPEST}).",
        Verdict.HOLDS if abs(measured - 1) <= allowed else Verdict.FAILS,
        measured=measured, predicted=1, uncertainty=allowed,
    )  # fmt: skip
