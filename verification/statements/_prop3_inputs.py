"""Proposition 3 off the sphere: inputs of any norms, inputs on one line, and what depth has to do with it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from refimpl import Euler, Gauss, NeuralODE
from verification import Agreement, Claim, Verdict
from verification.fit import power_law
from verification.statements._data import Array
from verification.statements._gram import Gram
from verification.statements._prop3_certificates import NO_PROOFS, can_prove

PAIRS = np.asarray([[1.0], [-1.0], [2.0], [-2.0]])

RAY = np.asarray([[0.5], [1.0], [2.0]])

LINES = {
    **dict.fromkeys(("softplus", "gelu", "silu", "sigmoid", "cos"), PAIRS),
    **dict.fromkeys(("tanh", "erf", "sin"), RAY),
}
"""All smooth built-in φ; no antipodal pairs for the odd ones."""

RELATION = np.asarray([2.0, -2.0, -1.0, 1.0])
"""Σ u_i φ(x_i z) = Σ u_i x_i φ'(x_i z) = 0 on `PAIRS` wherever φ(z) − φ(−z) is linear."""

ODD_PART_LINEAR = ("softplus", "gelu", "silu")

SHORT = np.exp2(-np.arange(3.0, 8.0))

TOLERANCE = 0.05
"""Largest deviation from the exponent 2 that the next term, O(T⁴), explains at these horizons."""

ACCURACY = 1e-12
"""Of the entries of K_∞, relative to the largest: promised by Gauss()."""

LAYERS = (4, 8, 16, 32, 64)

LAST = "line-without-depth"

EXTRAPOLATED = ("softplus", "cos", "sin")


def gram(name: str, X: Array, T: float = 1.0, solver: Gauss | Euler | None = None) -> Gram:
    K = NeuralODE(name, horizon=T).limit(solver).ntk(X)
    return Gram(K, ACCURACY * float(np.abs(K).max()))


def every_input() -> tuple[list[Claim], list[Agreement]]:
    grams = {name: gram(name, X) for name, X in LINES.items()}
    lines = {name: (LINES[name], 1.0, grams[name]) for name in EXTRAPOLATED}
    ends = (float(SHORT[0]), float(SHORT[-1]))
    short = {f"{name}, {T}": (PAIRS, T, gram(name, PAIRS, T)) for name in ODD_PART_LINEAR for T in ends}
    roads = [_extrapolated("on the line", lines, "collinear"), _extrapolated("for short $T$", short, LAST)]
    return [_collinear(grams), _without_depth()], roads


def _collinear(grams: dict[str, Gram]) -> Claim:
    id = "collinear"
    text = (
        r"Inside the hypothesis the sphere is not needed, and inputs may be collinear: for the eight smooth $\phi$ "
        r"below, $T > 0$ and any distinct $x_i \in \mathbb{R}^d$, $d \ge 1$, $K_\infty$ is strictly positive definite "
        r"unless $f_\theta$ itself shows a null vector: $x_i = 0$ where $\phi(0) = 0$, and $x_j = -x_i$ for odd "
        r"$\phi$. (A null vector $u$ makes $\sum_i u_i \phi(h_T(x_i)) = 0$ almost surely. No two $h_T(x_i)$ are "
        r"proportional, and taking differences then shows that $\phi$ is a polynomial.) On the line, $d = 1$: "
        r"$x = \pm 1, \pm 2$ for softplus, GELU, SiLU, sigmoid, cos and $x = 1/2, 1, 2$ for tanh, erf, sin"
    )
    name, least = min(grams.items(), key=lambda item: item[1].smallest / item[1].floor)
    if not can_prove():
        return Claim(id, text + ".", Verdict.NOT_RUN, None, "> 0", scope=NO_PROOFS)
    answers = [NeuralODE(name).limit().positivity(LINES[name]).strictly_positive for name in grams]
    decided, seen = all(answers), all(found.positive for found in grams.values())
    refuted = False in answers or any(found.positive is False for found in grams.values())
    return Claim(
        id,
        rf"{text} (measured: the $\lambda_{{\min}}(K_\infty)$ nearest to its noise floor, {name}; uncertainty: that).",
        Verdict.FAILS if refuted else Verdict.HOLDS if decided and seen else Verdict.UNDECIDED,
        measured=least.smallest,
        predicted="> 0",
        uncertainty=least.floor,
        scope="" if decided and seen else "Below the noise floor, or not decided by the certificate.",
    )


def _without_depth() -> Claim:
    """K_0 = Σ_0 + q D_0 is singular; K_∞ is so no longer."""
    z = np.linspace(-3, 3, 7)
    slopes, residual = [], 0.0
    for name in ODD_PART_LINEAR:
        phi = NeuralODE(name).phi
        values, derivatives = RELATION @ phi.phi(PAIRS * z), (RELATION * PAIRS[:, 0]) @ phi.dphi(PAIRS * z)
        residual = max(residual, float(np.abs(values).max()), float(np.abs(derivatives).max()))
        slopes.append(power_law(SHORT, [gram(name, PAIRS, float(T)).smallest for T in SHORT]))
    worst = max(slopes, key=lambda fit: abs(fit.slope - 2))
    holds = residual <= 1e-14 and abs(worst.slope - 2) <= TOLERANCE
    return Claim(
        LAST,
        r"It is the dynamics that do this. As $T \to 0$ the kernel is that of a network without them, and that one is "
        r"singular off the sphere: $\phi(z) - \phi(-z) = z$ for softplus, GELU and SiLU, so that on "
        r"$x = 1, -1, 2, -2$ and with $u = (2, -2, -1, 1)$ both $\sum_i u_i \phi(x_i z)$ and "
        r"$\sum_i u_i x_i \phi'(x_i z)$ vanish for all $z$. "
        r"For $T > 0$ $\lambda_{\min}(K_\infty)$ is positive, and grows as $T^2$ (measured: the exponent furthest "
        rf"from 2 over $T = 1/{round(1 / SHORT[-1])}, \dots, 1/{round(1 / SHORT[0])}$).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=worst.slope,
        predicted=2,
        uncertainty=worst.uncertainty,
    )


def _extrapolated(where: str, found: dict[str, tuple[Array, float, Gram]], claim: str) -> Agreement:
    """λ_min of Richardson's limit of K_∞^L in powers of 1/L; inputs, horizon and Gram matrix by activation."""
    distances = []
    for name, (X, T, exact) in found.items():
        column = [gram(name.split(",")[0], X, T, Euler(L)).K for L in LAYERS]
        before = column[-1]
        for order in range(1, len(LAYERS)):
            before, column = column[-1], [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
        change = len(X) * float(np.abs(column[-1] - before).max())
        smallest = float(np.linalg.eigvalsh(column[-1])[0])
        distances.append((abs(smallest - exact.smallest), change + 4 * exact.floor))
    difference, allowed = max(distances, key=lambda pair: pair[0] / pair[1])
    return Agreement(
        rf"$\lambda_{{\min}}(K_\infty)$ {where} (worst of {len(distances)})",
        ("Gauss scheme, eigenvalues", "Richardson on ResNets"),
        difference, allowed, "Weyl: N times the last change of the extrapolation, plus four noise floors", (claim,),
    )  # fmt: skip
