"""The linear state-space model: φ(z) = z, where everything has a closed form, and where training can end short of 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm, expm_frechet
from scipy.special import iv

from refimpl import Gauss, NeuralODE, Params, train
from refimpl.data import sphere
from verification import Agreement, Config, compare
from verification.statements._data import DIM, Array
from verification.statements._exponents import Exponent, exponent

SOLVER = Gauss(nodes=6, steps=1)

HORIZON = 1.0

EARLY = 20
"""Steps of training that are made a second time."""

EPS = float(np.finfo(float).eps)


def by_exponential(net: NeuralODE, theta: Params, X: Array) -> Array:
    """K_θ for φ(z) = z, (N, N)."""
    J = jacobian_by_exponential(net, theta, X)[1]
    return np.asarray(J @ J.T)


def jacobian_by_exponential(net: NeuralODE, theta: Params, X: Array) -> tuple[Array, Array]:
    """f (N,) and ∂f/∂θ (N, P) for φ(z) = z from h_T = exp(T𝒲) h_0 and its derivative.

    ∂f/∂W = (T σ_w/√n) L(T𝒲ᵀ, v̂ h_0ᵀ), with the Fréchet derivative L of the exponential, because ⟨v̂, L(A, E) h_0⟩ =
    ⟨L(Aᵀ, v̂ h_0ᵀ), E⟩.
    """
    root, T = math.sqrt(theta.width), net.horizon
    A, readout = T * net.sigma_w / root * theta.W, net.sigma_v / root * theta.v
    h0, forward = net.sigma_u * X @ theta.U.T, expm(A)
    back = forward.T @ readout
    rows = [
        np.concatenate(
            [
                net.sigma_u * np.outer(back, x).ravel(),
                (T * net.sigma_w / root * expm_frechet(A.T, np.outer(readout, h), compute_expm=False)).ravel(),
                net.sigma_v / root * forward @ h,
            ]
        )
        for x, h in zip(X, h0, strict=True)
    ]
    return h0 @ back, np.asarray(rows)


def bessel(net: NeuralODE, X: Array) -> Array:
    """K_∞ = σ_v² σ_u² x·x̄ [2 I_0(2Z) + Z I_1(2Z)], Z = σ_w T: a multiple of the Gram matrix."""
    Z = net.sigma_w * net.horizon
    factor = (net.sigma_u * net.sigma_v) ** 2 * (2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z))
    return np.asarray(factor * X @ X.T)


@dataclass(frozen=True)
class Linear:
    """What was found.

    Parameters
    ----------
    widths : array, shape (M,)
    error : array, shape (M, draws)
        ‖K_θ − K_∞‖ / ‖K_∞‖.
    floor : float
        ½ min ‖X a − y‖² over a: no θ has a smaller loss.
    loss : float
        That of gradient descent at the end.
    roads : list of Agreement
    """

    widths: Array
    error: Array
    floor: float
    loss: float
    roads: list[Agreement]

    @property
    def in_width(self) -> Exponent:
        """Exponent of the error in n."""
        return exponent(self.widths, self.error[None])


def _trained(net: NeuralODE, theta: Params, X: Array, y: Array, rate: float, losses: Array) -> Agreement:
    """The first steps of the run, with the matrix exponential and its derivative."""
    found, at, (n, d) = list[float](), theta.ravel(), theta.U.shape
    for _ in losses:
        parts = Params(at[: n * d].reshape(n, d), at[n * d : -n].reshape(n, n), at[-n:])
        u, J = jacobian_by_exponential(net, parts, X)
        found.append(float((u - y) @ (u - y)) / 2)
        at = at - rate * (u - y) @ J
    return compare(
        rf"$L(\theta_k)$, $k \le {len(losses) - 1}$, of the linear model ($n = {n}$)",
        {"train() with Gauss collocation": losses, "descent written out with matrix exponentials": found},
        allowed=1e-7,
        because="1e-9, the error of one gradient with 6 Gauss nodes, in every step, and its growth",
        claims=("state-space-training",),
    )


def linear(config: Config, X: Array) -> Linear:
    """The experiment."""
    widths, draws = ([32, 64, 128, 256, 512], 20) if config.full else ([32, 64, 128, 256], 10)
    net = NeuralODE("identity", horizon=HORIZON)
    limit, error = bessel(net, X), np.zeros((len(widths), draws))
    for i, n in enumerate(widths):
        for draw in range(draws):
            theta = net.init(n, DIM, seed=config.rng("linear", n, draw))
            error[i, draw] = np.linalg.norm(net.ntk(theta, X, solver=SOLVER) - limit) / np.linalg.norm(limit)
    few, y = sphere(4, 2, seed=config.rng("plane")), np.asarray([1.0, -1.0, 1.0, -1.0])
    theta = start = net.init(64, 2, seed=config.rng("linear, training"))
    rate = 0.5 / float(np.linalg.eigvalsh(net.ntk(theta, few, solver=SOLVER))[-1])
    run = train(net, theta, few, y, lr=rate, steps=400 if config.full else 150, solver=SOLVER)
    residual = y - few @ np.linalg.lstsq(few, y, rcond=None)[0]
    theta = net.init(widths[0], DIM, seed=config.rng("linear", widths[0], 0))
    n = theta.width
    roads = [
        compare(
            rf"$K_\theta$ (identity, $n = {n}$)",
            {"Gauss scheme": net.ntk(theta, X, solver=Gauss()), "matrix exponential": by_exponential(net, theta, X)},
            allowed=2e-12 + 64 * n * EPS, because="1e-12 promised by Gauss, and sums of n rounded terms",
            claims=("state-space", "state-space-training"),
        ),
        compare(
            r"$K_\infty$ (identity)",
            {"Gauss scheme": net.limit().ntk(X), "Bessel functions": limit},
            allowed=1e-12, because="promised by Gauss", claims=("state-space",),
        ),
        _trained(net, start, few, y, rate, run.loss[: EARLY + 1]),
        compare(
            r"smallest loss of a linear function of $x$ on four points of the plane",
            {
                "least squares": float(residual @ residual) / 2,
                "normal equations": float(y @ y - y @ few @ np.linalg.solve(few.T @ few, few.T @ y)) / 2,
            },
            allowed=64 * EPS * float(np.linalg.cond(few)) ** 2, because="roundings, over the condition squared",
            claims=("state-space-training",),
        ),
    ]  # fmt: skip
    return Linear(
        np.asarray(widths, dtype=float), error, float(residual @ residual) / 2, float(run.loss[-1]), roads
    )  # fmt: skip
