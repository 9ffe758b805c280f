"""λ_t = ∂f/∂h_t of proposition 1 against central differences: their claims and second roads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from refimpl import Gauss, NeuralODE, Params, SolveIVP
from verification import Agreement, Claim, Config, Origin, Verdict
from verification.fit import power_law, second_term
from verification.statements._data import DIM, Array, inputs
from verification.statements._pencil import INPUT, output_from
from verification.statements._perturb import ACCURACY, Derivative, Perturbed

PERTURBED_WIDTH = 32
"""n of the networks whose states are moved."""


def adjoint(id: str, text: str, found: Sequence[Derivative]) -> Claim:
    largest = max(found, key=lambda d: d.error)
    holds = all(d.error <= d.allowed for d in found)
    return Claim(
        id, text, Verdict.HOLDS if holds else Verdict.FAILS,
        measured=largest.error, predicted=0, uncertainty=largest.allowed, origin=Origin.PAPER,
    )  # fmt: skip


def two_derivatives(id: str, core: str, because: str, found: Sequence[Derivative]) -> Agreement:
    worst = max(found, key=lambda d: d.error / d.allowed)
    quantity = rf"$\lambda_t$, {worst.activation} (the case closest to its bound)"
    return Agreement(quantity, (core, "central differences, DOP853"), worst.error, worst.allowed, because, (id,))


def perturb(
    config: Config, activation: str, steps: Array
) -> tuple[list[Derivative], tuple[Array, Array], float, Perturbed]:
    """Checks of λ_t at all times; the errors of λ_0 for all `steps` at a digit; the c of their predicted c ε²; it."""
    net = NeuralODE(activation)
    theta = net.init(PERTURBED_WIDTH, DIM, seed=config.rng("theta", activation, "perturbed"))
    f = {source: Perturbed(config, net, theta, X[0]) for source, X in inputs(config, 1).items()}
    found = [
        Derivative(activation, source, t, *moved.check(i))
        for source, moved in f.items()
        for i, t in enumerate(moved.times.tolist())
    ]
    digit = f["digits"]
    errors = np.asarray([digit.error(0, digit.differences(0, step)[0]) for step in steps])
    return found, (steps, errors), digit.model(0)[0] / float(np.linalg.norm(digit.adjoint[0])), digit


def order(steps: Array, errors: Array, digit: Perturbed) -> tuple[Claim, Agreement]:
    large = steps > 0.99e-3
    order, margin = power_law(steps[large], errors[large]), 0.05
    why = second_term(margin, 0.1, 2, r"\varepsilon")
    seen = steps > 0.99e-2  # below, the accuracy that the solvers promise leaves too little of the error
    other, allowed = _slope_by_other_solvers(steps[seen], digit)
    return Claim(
        "adjoint-order",
        r"What is left for softplus is the truncation of the central difference: the error falls as $\varepsilon^2$ "
        r"for $10^{-3} \le \varepsilon \le 10^{-1}$ (measured: the slope; "
        f"{why}).",
        Verdict.HOLDS if abs(order.slope - 2) <= margin else Verdict.FAILS,
        measured=order.slope,
        predicted=2,
        uncertainty=order.uncertainty,
    ), Agreement(
        r"slope of the error of $\lambda_0$ in $\varepsilon \ge 10^{-2}$",
        (r"$\lambda_0$ by Gauss, $f$ by DOP853 written out", r"$\lambda_0$ by SolveIVP, $f$ by Gauss"),
        abs(power_law(steps[seen], errors[seen]).slope - other), allowed,
        r"1e-12 of $f$, divided by $\varepsilon$, and of $\lambda_0$ on either road, over the error that is fitted",
        ("adjoint-order",),
    )  # fmt: skip


def _slope_by_other_solvers(steps: Array, digit: Perturbed) -> tuple[float, float]:
    """The slope of the errors with the solvers exchanged, and by how much their accuracy may move either slope."""
    net, theta, h, e = digit.net, digit.theta, digit.h[0], digit.directions
    start = replace(net, sigma_u=1.0), Params(h[:, None], theta.W, theta.v)
    adjoint = start[0].trajectory(start[1], INPUT, np.zeros(1), SolveIVP(rtol=1e-12, atol=1e-14)).adjoint[0, 0]
    size, errors, accuracies = float(np.linalg.norm(adjoint)), [], []
    for step in steps.tolist():
        f = output_from(net, theta, np.concatenate([h + step * e, h - step * e]), Gauss(rtol=ACCURACY))
        ahead, behind = np.split(f, 2)
        errors.append(float(np.linalg.norm((ahead - behind) / (2 * step) - e @ adjoint)) / size)
        accuracies.append(2 * ACCURACY * (float(np.linalg.norm(f)) / (step * size) + 1))
    x = np.log(steps) - np.log(steps).mean()
    moved = float(np.abs(x) / (x @ x) @ (np.asarray(accuracies) / errors))
    return power_law(steps, errors).slope, moved
