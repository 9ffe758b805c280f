"""Networks with Lipschitz φ, forward and backward, by two integrators."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refimpl import Gauss, NeuralODE, SolveIVP, activations
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._integrate import apart, there_and_back
from verification.statements._perturb import ACCURACY


@dataclass(frozen=True)
class Solved:
    """One network, solved on two roads.

    Parameters
    ----------
    differences : dict from str to (float, float)
        For h_T, λ_0 and h_0 the relative distance of the roads, and the sum of their error estimates.
    growth : dict from str to (float, float)
        For ‖h − h'‖ and ‖λ‖ over the whole of [0, T] the distance of the logarithms of the ratio on the roads, and what
        the errors of h_T and λ_0 allow; "forward" and "backward".
    exponents : array, shape (k,)
        Λt, with Gronwall's constant Λ = (σ_w/√n) ‖W‖₂ Lip(φ).
    forward, backward : array, shape (k, …)
        log ‖h_t(x) − h_t(x')‖ / ‖h_0(x) − h_0(x')‖ for all pairs of inputs, and log ‖λ_{T−t}‖ / ‖λ_T‖.
    """

    activation: str
    horizon: float
    differences: dict[str, tuple[float, float]]
    growth: dict[str, tuple[float, float]]
    exponents: Array
    forward: Array
    backward: Array

    @property
    def kinked(self) -> bool:
        return bool(activations.get(self.activation).kinks)


def solve(config: Config, activation: str, horizon: float, draw: int, width: int, X: Array) -> Solved:
    """Analytic φ: Gauss collocation and DOP853. Kinked φ: the package's `SolveIVP` and LSODA."""
    net = NeuralODE(activation, horizon=horizon)
    theta = net.init(width, DIM, seed=config.rng("theta", activation, f"T = {horizon:g}", draw))
    times = np.linspace(0.0, horizon, 9)
    # Error of a road: what it promises, or else how far it moves when its tolerance is made 100 times larger.
    if net.phi.kinks:
        method, loose, tight = "LSODA", 1e-8, 1e-10
        other, path = (net.trajectory(theta, X, times, SolveIVP(rtol=r, atol=r / 100)) for r in (loose, tight))
        core = {"h_T": apart(other.h[-1], path.h[-1]), r"\lambda_0": apart(other.adjoint[0], path.adjoint[0])}
    else:
        method, loose, tight = "DOP853", 1e-10, 1e-12
        path = net.trajectory(theta, X, times, Gauss(rtol=ACCURACY))
        core = {"h_T": ACCURACY, r"\lambda_0": ACCURACY}
    coarse, fine = (there_and_back(net, theta, X, rtol, method) for rtol in (loose, tight))
    truth = {"h_T": path.h[-1], r"\lambda_0": path.adjoint[0], "h_0": net.sigma_u * X @ theta.U.T}
    i, j = np.triu_indices(len(X), 1)
    separation, size = np.linalg.norm(path.h[:, i] - path.h[:, j], axis=-1), np.linalg.norm(path.adjoint, axis=-1)
    v = net.sigma_v / math.sqrt(width) * theta.v

    def growth(road: dict[str, Array]) -> dict[str, Array]:
        """Logarithms of ‖h_T − h'_T‖ / ‖h_0 − h'_0‖ and of ‖λ_0‖ / ‖λ_T‖."""
        moved = np.linalg.norm(road["h_T"][i] - road["h_T"][j], axis=-1)
        last = np.linalg.norm(net.phi.dphi(road["h_T"]) * v, axis=-1)
        back = np.linalg.norm(road[r"\lambda_0"], axis=-1)
        return {"forward": np.log(moved / separation[0]), "backward": np.log(back / last)}

    own, loosely, ends = growth(fine), growth(coarse), {"forward": separation[-1], "backward": size[0]}
    logs = {"forward": np.log(ends["forward"] / separation[0]), "backward": np.log(ends["backward"] / size[-1])}
    # An error ε of the states moves log ‖h − h'‖ by 2ε max ‖h‖ / ‖h − h'‖ at most, one of λ moves log ‖λ‖ by ε.
    moves = {
        "forward": 2 * core["h_T"] * float(np.linalg.norm(path.h[-1], axis=-1).max() / ends["forward"].min()),
        "backward": 2 * core[r"\lambda_0"],
    }
    return Solved(
        activation, horizon,
        {q: (apart(fine[q], truth[q]), core.get(q, 0.0) + apart(coarse[q], fine[q])) for q in truth},
        {q: (float(np.abs(own[q] - logs[q]).max()), moves[q] + float(np.abs(own[q] - loosely[q]).max())) for q in logs},
        np.linalg.norm(theta.W, 2) * net.sigma_w / math.sqrt(width) * net.phi.lipschitz * times[1:],
        np.log(separation[1:] / separation[0]), np.log(size[-2::-1] / size[-1]),
    )  # fmt: skip
