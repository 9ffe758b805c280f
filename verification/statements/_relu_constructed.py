"""ReLU networks made to have a large gradient difference: on the kink at T, near it, and touching it before T."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Jacobian, NeuralODE, Params
from verification import Agreement, Claim, Verdict
from verification.statements._data import Array
from verification.statements._pencil import INPUT, network
from verification.statements._relu_curves import flat

NEAR = 1 / 100
"""Distance δ by which the network near the kink is off it."""

GAP = math.e * math.sqrt(65 / 18)
"""‖∇f⁺ − ∇f⁻‖ of the network on the kink at T, where ± are the one-sided derivatives."""


@dataclass(frozen=True)
class Constructed:
    """Curves of the three networks.

    Parameters
    ----------
    depths : array, shape (k,)
    on, near : array, shape (k,)
        ‖∇f^L − ∇f‖ with h_1 = (1 − t) eᵗ and with h_1 = (1 − δ − t) eᵗ, T = 1; at the kink φ'(0) = 0.
    touch : array, shape (k,)
        Relative difference of the first component of λ_0 with h_1 = e^{t−1} − t, T = 2.
    """

    depths: Array
    on: Array
    near: Array
    touch: Array


def on_the_kink(delta: float) -> tuple[NeuralODE, Params, Jacobian]:
    """h_2 = eᵗ and h_1 = (1 − δ − t) eᵗ, and the gradient of f = φ(h_1) at T = 1, which is 0 but for ∂f/∂v.

    Its ResNets have h_1^ℓ = (1 + Δ)^ℓ (1 − δ − ℓΔ/(1 + Δ)), which at ℓ = L is positive just for L < 1/δ − 1: for every
    L if δ = 0.
    """
    net, theta = network("relu", [[1, -1], [0, 1]], [1 - delta, 1], [1, 0], 1.0)
    return net, theta, Jacobian(np.zeros((1, 2, 1)), np.zeros((1, 2, 2)), np.array([[0.0, math.e]]))


def touching() -> tuple[NeuralODE, Params, Array]:
    """h_1 = e^{t−1} − t ≥ 0 with h_2 = 1 + t, h_3 = 1 and T = 2; and λ_0."""
    net, theta = network("relu", [[1, 1, -2], [0, 0, 1], [0, 0, 0]], [1 / math.e, 1, 1], [1, 0, 0], 2.0)
    return net, theta, np.array([math.e**2, math.e**2 - 1, -(math.e**2) - 1])


def constructed(depths: Array) -> Constructed:
    """All three at the given depths."""
    rows = []
    for L in depths.astype(int).tolist():
        row = []
        for net, theta, exact in (on_the_kink(0.0), on_the_kink(NEAR)):
            row.append(float(np.linalg.norm(flat(net.jacobian(theta, INPUT, Euler(L))) - flat(exact))))
        net, theta, adjoint = touching()
        row.append(abs(float(net.jacobian(theta, INPUT, Euler(L)).U[0, 0, 0]) / adjoint[0] - 1))
        rows.append(row)
    return Constructed(depths, *np.transpose(rows))


def claims(found: Constructed) -> tuple[list[Claim], list[Agreement]]:
    """What constructed networks do, which random ones do not."""
    return [_constant(found), _near(found), _touch(found)], [_one_sided(), _closed_form()]


def _constant(found: Constructed) -> Claim:
    L, level = float(found.depths[-1]), float(found.on[-1])
    allowed = 2 * abs(level - float(found.on[-2]))  # O(1/L), as no crossing disturbs it
    holds = abs(level - GAP) <= allowed and float(found.on.min()) > GAP / 2
    return Claim(
        "constructed-end",
        r"A constructed network does keep a constant gradient difference as $L$ increases, as printed: one with a "
        r"neuron on the kink at $T$. Smallest: $n = 2$, $\dot h_1 = \phi(h_1) - \phi(h_2)$, $\dot h_2 = \phi(h_2)$ "
        r"from 1, $T = 1$, where $h_1 = (1 - t) e^t$ while every ResNet has $h_1^L > 0$ (measured: the difference at "
        rf"$L = {L:g}$ with $\phi'(0) = 0$; predicted: that of the one-sided gradients, $e \sqrt{{65/18}}$; at no "
        r"depth is it below half of that).",
        Verdict.HOLDS_WITH_SCOPE if holds else Verdict.FAILS,
        measured=level,
        predicted=GAP,
        uncertainty=allowed,
        scope=(
            r"There $f$ has no gradient, and $\phi'(0)$ decides which one-sided one is taken. Such $\theta$ are a null "
            r"set: for every fixed $x \neq 0$ the difference is $O(1/L)$ almost surely, since neurons then cross the "
            r"kink with a speed other than zero, finitely often, and none is on it at $T$ (proof: docs/mathematics.md, "
            r"Crossings are transversal)."
        ),
    )


def _near(found: Constructed) -> Claim:
    last = int(found.depths[np.flatnonzero(found.near > GAP / 2)[-1]])
    allowed = 2.0 ** math.floor(math.log2(1 / NEAR - 1))  # the deepest power of 2 below 1/δ − 1
    return Claim(
        "constructed-near",
        rf"The same network with $h_0$ moved by $\delta = {NEAR:g}$ to where $f$ has a gradient keeps that level as "
        r"long as $L < 1/\delta - 1$ and then falls at once: for every depth there is an open set of networks whose "
        r"difference is constant so far, and none but a null set for which it stays so (measured: the deepest "
        rf"$L = 2^k$ above half of that level; at $L = {found.depths[-1]:g}$ it is below $4/L$).",
        Verdict.HOLDS if last == allowed and found.near[-1] < 4 / found.depths[-1] else Verdict.FAILS,
        measured=last,
        predicted=allowed,
        uncertainty=0,
    )


def _touch(found: Constructed) -> Claim:
    """Euler's method is Δ/2 below at the touch, where h_1 ≈ (t − 1)²/2, so h_1^ℓ < 0 for a time τ = 2√Δ, Δ = 2/L.

    λ_0 lacks the factor e^τ; the time is known to two layers, and the next terms are τ²/2 and O(Δ).
    """
    L = float(found.depths[-1])
    step = 2 / L
    measured = math.sqrt(L) * float(found.touch[-1])
    allowed = math.sqrt(L) * ((2 * math.sqrt(step)) ** 2 / 2 + 4 * step)
    return Claim(
        "constructed-touch",
        r"A constructed network whose neuron touches the kink before $T$ without crossing it has a gradient, but the "
        r"difference decays as $L^{-1/2}$ only: $h_1 = e^{t-1} - t$, $n = 3$, $T = 2$ "
        rf"(measured: $\sqrt L$ times the relative difference of $\lambda_0$ at $L = {L:g}$; predicted: "
        r"$\sqrt L$ times the time for which the ResNet is on the wrong side, $2 \sqrt 2$).",
        Verdict.HOLDS if abs(measured - math.sqrt(8)) <= allowed else Verdict.FAILS,
        measured=measured,
        predicted=math.sqrt(8),
        uncertainty=allowed,
    )


def _one_sided() -> Agreement:
    """∇f on the upper branch: λ = (e^s, −s e^s) with s = 1 − t, and φ(h) = (s eᵗ, eᵗ)."""
    closed = math.e * np.array([1, -1, 1 / 2, 1, -1 / 3, -1 / 2])  # U, then W row by row
    L = 4096
    net, theta, _ = on_the_kink(0.0)
    own = [flat(net.jacobian(theta, INPUT, Euler(depth)))[0, :6] for depth in (L // 2, L)]
    return Agreement(
        r"$\nabla_\theta f$ from above with the kink at $T$",
        ("closed form", f"ResNet of depth {L}"),
        float(np.linalg.norm(own[1] - closed)),
        2 * float(np.linalg.norm(own[1] - own[0])),
        "twice the change over the last doubling of the depth: no crossing disturbs it",
        ("constructed-end",),
    )


def third(depth: int) -> float:
    """λ_0^L over its limit e^{2/3}, less 1, where a neuron crosses at t = 1/3; `depth` is no multiple of 3.

    ḣ_1 = φ(h_1) + 1 from −1/3, T = 1: λ_0 = e^{2/3} in the first component. Euler's method is exact up to the crossing,
    and the layers with h_1^ℓ > 0 are those from ⌊L/3⌋ + 1 on: λ_0^L = (1 + 1/L)^{L − 1 − ⌊L/3⌋}.
    """
    return (1 + 1 / depth) ** (depth - 1 - depth // 3) / math.exp(2 / 3) - 1


def third_by_euler(depth: int) -> float:
    """The same by the package."""
    net, theta = network("relu", [[1, 1], [0, 0]], [-1 / 3, 1], [1, 0], 1.0)
    return float(net.jacobian(theta, INPUT, Euler(depth)).U[0, 0, 0]) / math.exp(2 / 3) - 1


def _closed_form() -> Agreement:
    depths = 2 ** np.arange(1, 12)
    apart = [abs(third(L) - third_by_euler(L)) for L in depths.tolist()]
    return Agreement(
        r"$\lambda_0^L$ with a crossing at $t = 1/3$, $L = 2, 4, \dots, 2048$",
        ("closed form", "Euler"),
        max(apart),
        4 * float(depths[-1]) * float(np.finfo(float).eps),
        "a rounding in each layer, forward and backward",
        ("richardson",),
    )
