"""ReLU gradients over random networks: mean square and wrong signs at finite width, and their limit n → ∞."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import NeuralODE, Params
from verification import Agreement, Config
from verification.statements._data import DIM, Array
from verification.statements._relu_curves import Curves, Exact, curves, longest_plateau
from verification.statements._statistics import LEVEL, largest_score
from verification.statements._two_depths import relu_pair

SHALLOWEST = 4
"""Smallest depth in the fits over many networks."""

FLAT = 0.05
"""A curve that changes by less than this counts as constant."""


@dataclass(frozen=True)
class Draws:
    """Independent networks of one width.

    Parameters
    ----------
    gradient, wrong : array, shape (draws, depths, N)
        ‖∇f^L − ∇f‖, and the neurons of the last layer with the wrong sign.
    """

    width: int
    depths: Array
    gradient: Array
    wrong: Array

    @classmethod
    def of(cls, config: Config, net: NeuralODE, width: int, draws: int, depths: Array, X: Array) -> Draws:
        found: list[Curves] = []
        for draw in config.progress(range(draws), f"n = {width}"):
            found.append(curves(Exact.of(net, _theta(config, net, width, draw), X), depths))
        return cls(width, depths, np.stack([c.gradient for c in found]), np.stack([c.wrong for c in found]))

    def theta(self, config: Config, net: NeuralODE, draw: int) -> Params:
        """The network of a draw."""
        return _theta(config, net, self.width, draw)

    @property
    def square(self) -> Array:
        """Mean square over the inputs, shape (draws, depths): the draws are independent, the inputs are not."""
        mean: Array = np.mean(self.gradient**2, axis=2)
        return mean

    @property
    def rms(self) -> Array:
        root: Array = np.sqrt(self.square.mean(axis=0))
        return root

    @property
    def longest(self) -> tuple[float, int, int, int, int]:
        """Longest stretch with a constant difference: ratio of its depths, its ends, the draw and the input."""
        return max(
            (*longest_plateau(self.depths, self.gradient[draw, :, i], FLAT), draw, i)
            for draw in range(self.gradient.shape[0])
            for i in range(self.gradient.shape[2])
        )


def _theta(config: Config, net: NeuralODE, width: int, draw: int) -> Params:
    return net.init(width, DIM, seed=config.rng("draw", width, draw))


@dataclass(frozen=True)
class Prediction:
    """The same at n = ∞, where it is deterministic.

    Parameters
    ----------
    square : array, shape (depths,)
        lim ‖∇f^L − ∇f‖².
    mismatch : array, shape (depths,)
        Share of wrong signs in the last layer.
    error : float
        Relative error of `square`: its last change in the extrapolation to the Neural ODE.
    """

    depths: Array
    square: Array
    mismatch: Array
    error: float

    @classmethod
    def of(cls, net: NeuralODE, depths: Array, finest: int) -> Prediction:
        """The Neural ODE as the limit of ResNets of depth finest/4, finest/2 and finest, to second order in 1/depth."""
        M = [finest // 4, finest // 2, finest]
        own = [relu_pair(net, 1.0, m, m).gradients for m in M]
        square, mismatch, error = [], [], 0.0
        for L in depths.astype(int).tolist():
            alone, mixed = relu_pair(net, 1.0, L, L).gradients, [relu_pair(net, 1.0, L, m) for m in M]
            value = [alone + g - 2 * pair.gradients for g, pair in zip(own, mixed, strict=True)]
            coarse, fine = 2 * value[1] - value[0], 2 * value[2] - value[1]
            square.append(fine)
            mismatch.append(2 * mixed[2].mismatch - mixed[1].mismatch)
            error = max(error, abs(fine - coarse) / fine)
        return cls(depths, np.asarray(square), np.asarray(mismatch), error)

    def slope(self, deepest: float) -> float:
        """Exponent of the root of `square` over the depths from `SHALLOWEST` to `deepest`."""
        deep = (self.depths >= SHALLOWEST) & (self.depths <= deepest)
        return float(np.polyfit(np.log(self.depths[deep]), np.log(self.square[deep]) / 2, 1)[0])

    @property
    def exponent(self) -> tuple[float, float]:
        """Exponent of the root of `square` as L → ∞, and its error.

        That of one doubling of L is off by O(1/L), which is removed. `error` moves it by error/(2 log 2) at either end
        of two doublings, one of them counted twice.
        """
        local = np.diff(np.log2(self.square)) / 2
        once = 2 * local[1:] - local[:-1]
        return float(once[-1]), float(abs(once[-1] - once[-2]) + 3 * self.error / np.log(2))


def monte_carlo(cases: Sequence[Draws], limit: Prediction) -> list[Agreement]:
    """Finite networks against n = ∞ where an input has several wrong signs, so that the mean is not one event."""
    found = []
    for case in cases:
        part = case.depths <= min(case.width / 16, limit.depths[-1])
        draws, count = len(case.square), int(part.sum())
        score, allowed = largest_score(case.square[:, part], limit.square[:count])
        found.append(
            Agreement(
                rf"mean of $\|\nabla_\theta f^L - \nabla_\theta f\|^2$, $L \le {case.depths[part][-1]:g}$ "
                f"(in standard errors; {draws} networks, $n = {case.width}$)",
                ("Monte Carlo, exact flow", "recursion for two depths at infinite width"),
                score,
                allowed,
                f"Student's interval for {count} depths at once (Bonferroni, {LEVEL:.1%}); a bias O(1/n) is below it",
            )
        )
    return found


def leading(net: NeuralODE, limit: Prediction, x: Array) -> Agreement:
    """A wrong sign changes a component of λ_T by σ_v |v_i|/√n, and is carried through (3) as the others are.

    With E[φ'(h_T)²] = 1/2 of the neurons on, and a share p/L wrong, ‖∇f^L − ∇f‖² → 2 (K_∞ − σ_v² Σ^{T,T}) p/L.
    """
    once = 2 * (limit.depths * limit.square)[1:] - (limit.depths * limit.square)[:-1]
    p = 2 * (limit.depths * limit.mismatch)[1:] - (limit.depths * limit.mismatch)[:-1]
    ode = net.limit()
    theory = 2 * p[-1] * float(ode.ntk(x[None])[0, 0] - ode.nngp(x[None])[0, 0])
    changes = abs(once[-1] - once[-2]) / once[-1] + abs(p[-1] - p[-2]) / p[-1]
    return Agreement(
        r"$\lim_{L \to \infty} L \lim_{n \to \infty} \|\nabla_\theta f^L - \nabla_\theta f\|^2$",
        (
            "recursion for two depths",
            "share of wrong signs times the back-propagated part of the Gauss scheme's kernel",
        ),
        float(abs(once[-1] - theory) / theory),
        float(changes + limit.error),
        "the last changes of both extrapolations in 1/L, plus that of the extrapolation to the Neural ODE",
    )
