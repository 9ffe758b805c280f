"""λ_t = ∂f/∂h_t at every input, as printed, and at almost every one: ReLU at x = 0 and elsewhere."""

from __future__ import annotations

import math

import numpy as np

from refimpl import KinkEvents, NeuralODE, Params
from verification import Agreement, Claim, Config, Origin, Verdict
from verification.statements._conventions import STEP, STEPS, one_sided
from verification.statements._data import Array
from verification.statements._pencil import output_from
from verification.statements._piecewise_linear import flow

PRECISE = KinkEvents(rtol=1e-10)

WIDTHS = (1, 2, 8, 64)


def _network(config: Config, width: int) -> tuple[NeuralODE, Params]:
    net = NeuralODE("relu")
    return net, net.init(width, 2, seed=config.rng("input", width))


def _exact_outputs(net: NeuralODE, theta: Params, states: Array) -> Array:
    """f from the states (k, n) at t = 0, none of whose components is 0, by exponentials between the crossings."""
    moved = Params(states.T.copy(), theta.W, theta.v)
    ends = np.stack([flow(net, moved, unit).end for unit in np.eye(len(states))])
    f: Array = net.sigma_v / math.sqrt(theta.width) * net.phi.phi(ends) @ theta.v
    return f


def every_input(config: Config) -> tuple[Claim, Agreement]:
    """x = 0 with ReLU: h_t = 0, and f is positively homogeneous in h_t, so its one-sided derivatives are f(±e).

    Along e = (1, …, 1) they are f(e) and, as the negative orthant is at rest, f(−e) = 0.
    """
    gaps, apart = [], []
    for width in WIDTHS:
        (net, theta), states = _network(config, width), np.array([[1.0], [-1.0]]) * np.ones(width)
        above, below = exact = _exact_outputs(net, theta, states)
        gaps.append(abs(above + below) / (abs(above) + abs(below)))
        apart.append(float(np.abs(output_from(net, theta, states, PRECISE) - exact).max() / np.abs(exact).max()))
    allowed = max(WIDTHS) * float(np.finfo(float).eps)
    fails = min(gaps) > allowed
    claim = Claim(
        "adjoint-every-input",
        (r"As printed, for every $x \in \mathbb{R}^d$, it is not true: with ReLU $f$ has no derivative in $h_t$ at "
         r"$x = 0$ that $\lambda_t$ could be " if fails else
         r"As printed, for every $x \in \mathbb{R}^d$: with ReLU $\lambda_t = \partial f / \partial h_t$ at $x = 0$ ")
        + r"(measured: smallest relative difference of the two one-sided derivatives of $f$ in $h_0$ along $(1, \dots, "
        rf"1)$, random networks of $n = {', '.join(map(str, WIDTHS))}$; 0 if $\partial f / \partial h_0$ exists).",
        Verdict.FAILS if fails else Verdict.HOLDS,
        measured=min(gaps),
        predicted=0,
        uncertainty=allowed,
        scope=(
            r"At $x = 0$ ReLU has $h_t = 0$ for every $\theta$, and $f$ has no derivative in $h_t$ unless $v = 0$; "
            r"smallest counterexample: $n = d = 1$, $W = 0$, $f = v \max(h_0, 0)$. Nor does it hold for all $x \neq 0$ "
            r"at once: with $n = 1$, $d = 2$ every $U$ has unit vectors $x$ with $U x = 0$. It is true for each fixed "
            r"$x \neq 0$ almost surely, and for all $x$ and $\theta$ if $\phi$ is differentiable everywhere."
        ),
        origin=Origin.PAPER,
    )  # fmt: skip
    return claim, Agreement(
        rf"$f$ from $h_0 = \pm (1, \dots, 1)$ (relu, $n = {', '.join(map(str, WIDTHS))}$)",
        ("exponentials between the crossings", "KinkEvents"), max(apart), 10 * PRECISE.rtol,
        "rtol of KinkEvents, with a factor of 10 between the tolerances that it compares", (claim.id,),
    )  # fmt: skip


def almost_every_input(config: Config) -> tuple[Claim, Agreement]:
    """The repaired sentence where the last one fails: both one-sided derivatives along e = (1, …, 1) are λ_0·e."""
    found = []
    for width in WIDTHS:
        net, theta = _network(config, width)
        x = config.rng("input", "x", width).standard_normal((1, 2))
        adjoint = net.trajectory(theta, x, np.zeros(1), PRECISE).adjoint[0, 0]
        size = float(np.linalg.norm(adjoint)) * math.sqrt(width) or 1.0
        for side in (1.0, -1.0):
            states = theta.U @ x[0] + side * STEP * STEPS[:, None] * np.ones(width)
            slope, error = one_sided(_exact_outputs(net, theta, states))
            found.append((abs(side * slope - float(adjoint.sum())) / size, error / size + 10 * PRECISE.rtol))
    worst = max(found, key=lambda pair: pair[0] / pair[1])
    claim = Claim(
        "adjoint-almost-every-input",
        r"Repaired: for each fixed $x \neq 0$, almost surely, $\lambda_t = \partial f / \partial h_t$ at all $t$, "
        r"whatever $\phi'$ is given at kinks, because $h_0$ has a density that the flow carries along (proof: "
        r"docs/mathematics.md, Kinks). At $t = 0$ that is so in the networks and along the direction of the last claim "
        r"at a random $x$ (measured: difference of $\lambda_0$ and the one-sided derivative furthest from it, relative "
        r"to $\sqrt n \|\lambda_0\|$).",
        Verdict.HOLDS if all(difference <= error for difference, error in found) else Verdict.FAILS,
        measured=max(difference for difference, _ in found),
        predicted=0,
        uncertainty=max(error for _, error in found),
    )
    return claim, Agreement(
        r"$\lambda_0$ along $(1, \dots, 1)$ at a random $x$ (relu; the case closest to its bound)",
        ("adjoint of KinkEvents", "extrapolated one-sided differences of $f$, exponentials between the crossings"),
        *worst, "the change with four times the step, and rtol of KinkEvents", (claim.id,),
    )  # fmt: skip
