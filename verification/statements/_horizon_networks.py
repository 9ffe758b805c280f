"""Finite networks against their horizon T: K_θ around K_∞, growth of h_T, the constants of Euler's error."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from scipy.integrate import solve_ivp

from refimpl import Euler, Gauss, NeuralODE, Params
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._resnets import output_coefficient


@dataclass(frozen=True)
class Spread:
    """Independent networks of growing width at one T.

    Parameters
    ----------
    widths, error : array, shape (networks,)
        n, and ‖K_θ − K_∞‖ / ‖K_∞‖.
    squares : array, shape (draws,)
        Mean of ‖h_T‖²/n over the inputs, for the widest networks.
    """

    activation: str
    T: float
    widths: Array
    error: Array
    squares: Array


def spread(config: Config, name: str, T: float, X: Array, limit: Array, widths: list[int], draws: int) -> Spread:
    """The same θ at every T."""
    net, solver = NeuralODE(name, horizon=T), Gauss(6, math.ceil(T))
    errors, squares = [], []
    for n in widths:
        for draw in range(draws):
            theta = net.init(n, DIM, seed=config.rng("spread", name, n, draw))
            errors.append(np.linalg.norm(net.ntk(theta, X, solver=solver) - limit) / np.linalg.norm(limit))
            if n == widths[-1]:
                squares.append(float(np.mean(net.trajectory(theta, X, np.asarray([T]), solver).h ** 2)))
    return Spread(name, T, np.repeat(np.asarray(widths, dtype=float), draws), np.asarray(errors), np.asarray(squares))


@dataclass(frozen=True)
class Constant:
    """Leading coefficients of Euler's error of one network at one T, worst over the inputs.

    Parameters
    ----------
    state, output : float
        lim L ‖h^L − h_T‖, and lim L |f^L − f| = |T/2 ∫ ⟨λ̇_t, ḣ_t⟩ dt|.
    state_bound, output_bound : float
        What Gronwall allows at the input where the quotient is largest.
    roads, state_roads : (float, float)
        Distance of either coefficient's limit of ResNets from its theory, relative, and the last change of the limit.
    """

    activation: str
    T: float
    state: float
    state_bound: float
    output: float
    output_bound: float
    roads: tuple[float, float]
    state_roads: tuple[float, float]

    @property
    def quotient(self) -> float:
        """Largest part of its bound that a coefficient takes."""
        return max(self.state / self.state_bound, self.output / self.output_bound)


def constant(net: NeuralODE, theta: Params, X: Array) -> Constant:
    """Coefficients and bounds.

    Euler's step of length T/L misses (T/L)² ḧ/2 and later steps carry that on, so with Λ = σ_w ‖W‖₂ Lip(φ) T / √n and
    ‖ḧ_t‖ ≤ (Λ/T) ‖ḣ_t‖ ≤ (Λ/T) ‖ḣ_0‖ e^{Λt/T}

        lim L ‖h^L − h_T‖ ≤ (T/2) ∫ e^{Λ(1 − t/T)} ‖ḧ_t‖ dt ≤ (T/2) Λ e^Λ ‖ḣ_0‖,     lim L |f^L − f| ≤ ‖λ_T‖ times that.
    """
    root, T = math.sqrt(theta.width), net.horizon
    ends = net.trajectory(theta, X, np.asarray([0.0, T]), Gauss())
    rate = np.linalg.norm(net.phi.phi(ends.h[0]) @ theta.W.T, axis=1) * net.sigma_w / root
    exponent = net.sigma_w / root * float(np.linalg.norm(theta.W, 2)) * net.phi.lipschitz * T
    allowed = T / 2 * exponent * math.exp(exponent) * rate
    through = allowed * np.linalg.norm(ends.adjoint[1], axis=1)
    depths = (32, 64, 128)
    levels = [L * (net.trajectory(theta, X, np.asarray([T]), Euler(L)).h[0] - ends.h[1]) for L in depths]
    once = [2 * b - a for a, b in pairwise(levels)]
    limit = (4 * once[1] - once[0]) / 3
    state, carried = np.linalg.norm(limit, axis=1), state_coefficient(net, theta, X)
    whole = float(np.linalg.norm(carried))
    state_roads = float(np.linalg.norm(limit - carried)) / whole, float(np.linalg.norm(limit - once[1])) / whole
    output = output_coefficient(net, theta, X)
    truth = net.predict(theta, X, Gauss())
    measured = [L * (net.predict(theta, X, Euler(L)) - truth) for L in depths]
    again = [2 * b - a for a, b in pairwise(measured)]
    size = float(np.linalg.norm(output))
    roads = (float(np.linalg.norm(again[1] - output)) / size, float(np.linalg.norm(again[1] - again[0])) / size)
    i, j = int(np.argmax(state / allowed)), int(np.argmax(np.abs(output) / through))
    return Constant(
        net.phi.name, T, float(state[i]), float(allowed[i]), float(abs(output[j])), float(through[j]),
        roads, state_roads,
    )  # fmt: skip


def state_coefficient(net: NeuralODE, theta: Params, X: Array) -> Array:
    """lim L (h^L − h_T) = T e_T, shape (N, n), with ė = J e − ḧ/2, e_0 = 0 and ḧ = J ḣ for J = 𝒲 diag φ'(h_t).

    A step of length τ = T/L misses τ² ḧ/2, and h^ℓ = h_t + τ e_t + O(τ²).
    """
    W, (N, n) = net.sigma_w / math.sqrt(theta.width) * theta.W.T, (len(X), theta.width)

    def rate(_t: float, flat: Array) -> Array:
        h, e = flat.reshape(2, N, n)
        phi, dphi = net.phi.value_and_slope(h)
        ahead = phi @ W
        return np.concatenate([ahead, (dphi * (e - ahead / 2)) @ W]).ravel()

    start = np.stack([net.sigma_u * X @ theta.U.T, np.zeros((N, n))])
    end = solve_ivp(rate, (0.0, net.horizon), start.ravel(), method="DOP853", rtol=1e-9, atol=1e-11).y[:, -1]
    found: Array = net.horizon * end.reshape(2, N, n)[1]
    return found


def rescaled(net: NeuralODE, T: float) -> NeuralODE:
    """The same product σ_w T with the horizon T."""
    return replace(net, horizon=T, sigma_w=net.sigma_w * net.horizon / T)


def literal(net: NeuralODE, theta: Params) -> tuple[NeuralODE, Params]:
    """The same function of x with the entries of (σ_w/√n) W as parameters."""
    root = math.sqrt(theta.width)
    return replace(net, sigma_w=root), Params(theta.U, net.sigma_w / root * theta.W, theta.v)
