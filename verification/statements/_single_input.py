"""Theorem 2 with one training input, where everything can be checked with a pencil.

N = 1 and |x| = 1: ‖X‖ = 1 in every norm, K_∞ is the number κ, and one step multiplies the residual by 1 − ηκ. Then
(14) needs ηκ ≤ 1, stability ηκ ≤ 2, and ‖θ^k − θ^0‖ tends to |u^0 − y|/√κ = √(2 L(θ^0)/κ).

For φ = 2 sin, which satisfies assumption 1: κ ≥ E[φ(h_T)²] + E[φ'(h_T)²] = 4 E[sin² + cos²] = 4, for every T.
For φ = c + sin, whose Lipschitz constants do not depend on c: κ ≥ E[φ(h_T)²] ≥ c², for E[sin(h_T)] = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Activation, NeuralODE
from verification import Config
from verification.statements._data import Array, Mask
from verification.statements._fast_descent import FastDescent
from verification.statements._statistics import at_infinite_width

STEPS = 2
"""Of the runs with η = 1."""

LARGE = 6.0
"""κ beyond which no run with η = 1 is made."""

BETWEEN = 1.25
"""ηκ between what (14) needs, 1, and what stability needs, 2."""

RISING = 40
"""Networks of each width of the two problems whose step with η = 1 is measured: a quotient with a broad law."""

OFFSETS = (0.0, 2.0, 8.0)

SHORT = 0.25
"""The horizon of 2 sin and of c + sin."""

X, Y = np.ones((1, 1)), np.ones(1)


def twice_sine() -> NeuralODE:
    """φ = 2 sin with all σ = 1: the factor 2 goes into σ_w and σ_v."""
    return NeuralODE("sin", horizon=SHORT, sigma_w=2.0, sigma_v=2.0)


def shifted_sine(c: float) -> NeuralODE:
    phi = Activation(lambda z: z.dtype.type(c) + np.sin(z), np.cos, name=f"{c:g} + sin", lipschitz=1.0, dlipschitz=1.0)
    return NeuralODE(phi, horizon=SHORT)


@dataclass(frozen=True)
class Single:
    """Networks of one problem with N = 1, of several widths.

    Parameters
    ----------
    net : NeuralODE
    name : str
        LaTeX.
    kappa : float
    widths : array, shape (M,)
    residuals : array, shape (draws, M, 2), or None
        u^0 − y and u^1 − y with η = 1; not for κ > `LARGE`.
    rises : array, shape (draws, M), or None
        L(θ^k)/L(θ^0) after `STEPS` steps, likewise.
    constants : array, shape (draws, M)
        C = sup_k ‖θ^k − θ^0‖ κ/√L(θ^0) with η = 1/(2κ), until 1e-8 of the loss is left.
    converged : array of bool, shape (draws, M)
        Whether 1e-6 of the loss or less is left after 60 steps with η = `BETWEEN`/κ.

    The mean of C itself converges slowly: C ≈ √2 κ/√K_θ. That of C⁻² is linear in K_θ, whose mean is κ + O(1/n).
    """

    net: NeuralODE
    name: str
    kappa: float
    widths: Array
    residuals: Array | None
    rises: Array | None
    constants: Array
    converged: Mask

    @property
    def sharp(self) -> float:
        """√(2κ), the constant of (13) in the linear dynamics."""
        return float(np.sqrt(2 * self.kappa))

    @property
    def factor(self) -> tuple[float, float, float] | None:
        """Factor of the residual in the step with η = 1 for n → ∞, and the half-widths of its intervals.

        The least squares slope r of u^1 − y in u^0 − y, because their quotient has no mean: u^0 − y has a density at 0.
        A network counts with its part of the slope to first order, r + (u^1 − y − r (u^0 − y)) (u^0 − y)/E (u^0 − y)².
        """
        if self.residuals is None:
            return None
        before, after = self.residuals[..., 0], self.residuals[..., 1]
        size = np.mean(before**2, axis=0)
        slope = np.mean(after * before, axis=0) / size
        return at_infinite_width(slope + (after - slope * before) * before / size, self.widths)

    @property
    def constant(self) -> tuple[float, float, float]:
        """C for n → ∞, and the half-widths of its intervals, from the mean of (√(2κ)/C)²."""
        mean, half, wider = at_infinite_width((self.sharp / self.constants) ** 2, self.widths)
        C = self.sharp / np.sqrt(mean)
        return float(C), float(C * half / (2 * mean)), float(C * wider / (2 * mean))


def kappa(net: NeuralODE) -> float:
    return float(net.limit().ntk(X)[0, 0])


def single(config: Config, net: NeuralODE, name: str, widths: Sequence[int], draws: int) -> Single:
    """Train `draws` networks of each width with η = 1 and with η = 1/κ."""
    k = kappa(net)
    shape = draws, len(widths)
    residuals, rises, constants = np.empty((*shape, 2)), np.empty(shape), np.empty(shape)
    converged = np.empty(shape, dtype=bool)
    for column, n in enumerate(config.progress(widths, f"one input, {name}, width")):
        for draw in range(draws):
            theta = net.init(n, 1, seed=config.rng("one input", name, n, draw))
            if k <= LARGE:
                rising = FastDescent(net, theta, X, Y).run(1.0, STEPS)
                residuals[draw, column] = rising.residual[:2, 0]
                rises[draw, column] = rising.loss[-1] / rising.loss[0]
            run = FastDescent(net, theta, X, Y).run(
                1 / (2 * k), 200, 1e-8
            )  # half of the step at which a network whose K_θ > κ oversteps
            between = FastDescent(net, theta, X, Y).run(BETWEEN / k, 60, 1e-6)
            converged[draw, column] = between.loss[-1] <= 1e-6 * between.loss[0]
            constants[draw, column] = float(run.distance.max()) * k / float(np.sqrt(run.loss[0]))
    rising_runs = (residuals, rises) if k <= LARGE else (None, None)
    return Single(net, name, k, np.asarray(widths, dtype=np.float64), *rising_runs, constants, converged)


def cases(config: Config) -> list[Single]:
    """2 sin, softplus with all σ = 1 and T = 1, and c + sin."""
    widths, draws = ((64, 128, 256, 512), 40) if config.full else ((64, 128, 256), 12)
    nets = [(twice_sine(), r"$2 \sin$"), (NeuralODE("softplus", horizon=1.5), "softplus")]
    nets += [(shifted_sine(c), rf"${c:g} + \sin$") for c in OFFSETS]
    counts = [RISING, RISING, *(draws for _ in OFFSETS)]
    return [single(config, net, name, widths, count) for (net, name), count in zip(nets, counts, strict=True)]
