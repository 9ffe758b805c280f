"""The linear state-space model that is driven: ḣ = 𝒲h + σ_u U x from h_0 = 0, f = (σ_v/√n) vᵀ h_T, x constant in t."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.linalg import expm, expm_frechet
from scipy.special import iv

from refimpl import NeuralODE, Params
from verification import Agreement, Config, compare
from verification.statements._data import Array
from verification.statements._exponents import Exponent, rms_exponent
from verification.statements._statistics import largest_score


def driven_limit(net: NeuralODE) -> float:
    """K_∞(x, x) of a unit vector.

    h_t = ∫_0^t e^{(t−s)𝒲} σ_u U x ds, so S^{t,s} = q Σ_{k≥1} σ_w^{2k−2} (ts)^k / k!² and P as without a drive. The
    parts of v and U are σ_v² S^{T,T} and q ∬ P, both (q σ_v²/σ_w²) (I_0(2Z) − 1); that of W is σ_w² ∬ S P, by the
    same integrals as (K), (q σ_v²/σ_w²) Σ_{m≥2} (m − 1) Z^{2m} / m!² = (q σ_v²/σ_w²) (Z I_1(2Z) − I_0(2Z) + 1).
    """
    Z = net.sigma_w * net.horizon
    factor = (net.sigma_u * net.sigma_v / net.sigma_w) ** 2
    return float(factor * (iv(0, 2 * Z) - 1 + Z * iv(1, 2 * Z)))


def driven_kernel(net: NeuralODE, theta: Params, x: Array) -> float:
    """K_θ(x, x): f is an entry of the exponential of A = [[T𝒲, T σ_u U x], [0, 0]], and its derivative that of A."""
    root, T = math.sqrt(theta.width), net.horizon
    n, drive = theta.width, net.sigma_u * theta.U @ x
    A = np.zeros((n + 1, n + 1))
    A[:n, :n], A[:n, n] = T * net.sigma_w / root * theta.W, T * drive
    left = np.append(net.sigma_v / root * theta.v, 0.0)
    slope = expm_frechet(A.T, np.outer(left, np.eye(n + 1)[n]), compute_expm=False)
    of_W, of_drive = T * net.sigma_w / root * slope[:n, :n], T * slope[:n, n]
    of_v = net.sigma_v / root * expm(A)[:n, n]
    of_U = net.sigma_u**2 * float(x @ x) * float(of_drive @ of_drive)
    return float(np.sum(of_W**2)) + of_U + float(of_v @ of_v)


@dataclass(frozen=True)
class Driven:
    """Random networks: K_θ(x, x) over K_∞(x, x), shape (draws, M)."""

    widths: Array
    ratio: Array

    @property
    def in_width(self) -> Exponent:
        """Exponent in n of the root mean square of log K_θ/K_∞, which is less skewed than K_θ/K_∞ itself."""
        return rms_exponent(self.widths, np.log(self.ratio) ** 2)

    @property
    def road(self) -> Agreement:
        """Mean over the widest networks, in standard errors."""
        return Agreement(
            rf"$K_\infty(x, x)$ of the driven linear model, in standard errors ($n = {self.widths[-1]:g}$, "
            rf"{len(self.ratio)} networks)",
            ("Bessel functions", "Monte Carlo, matrix exponentials"),
            *largest_score(self.ratio[:, -1:], np.ones(1)),
            "Student's interval; the bias O(1/n) is below it", ("state-space-driven",),
        )  # fmt: skip


def gradient_road(config: Config) -> Agreement:
    """K_θ(x, x) by complex steps through f = vᵀ exp(A) e, parameter by parameter."""
    net, x, n, step = NeuralODE("identity", sigma_w=0.8), np.ones(1), 6, 1e-30
    theta = net.init(n, 1, seed=config.rng("driven road"))
    flat, gradient = theta.ravel(), []
    for p in range(flat.size):
        at = flat + 1j * step * (np.arange(flat.size) == p)
        A = np.zeros((n + 1, n + 1), dtype=complex)
        A[:n, :n] = net.horizon * net.sigma_w / math.sqrt(n) * at[n:-n].reshape(n, n)
        A[:n, n] = net.horizon * net.sigma_u * at[:n]
        gradient.append(float((net.sigma_v / math.sqrt(n) * at[-n:] @ expm(A)[:n, n]).imag) / step)
    return compare(
        rf"$K_\theta(x, x)$ of the driven linear model ($n = {n}$)",
        {"derivatives of the exponential": driven_kernel(net, theta, x), "complex steps": np.sum(np.square(gradient))},
        allowed=64 * n * float(np.finfo(float).eps), because="roundings of sums of n terms in every product",
        claims=("state-space-driven",),
    )  # fmt: skip


def driven(config: Config) -> Driven:
    """T = 1, unit variances, one unit vector."""
    widths, draws = ([32, 64, 128, 256, 512], 200) if config.full else ([32, 64, 128], 80)
    net, x, ratio = NeuralODE("identity"), np.ones(1), np.zeros((draws, len(widths)))
    for i, n in enumerate(widths):
        for draw in range(draws):
            theta = net.init(n, 1, seed=config.rng("driven", n, draw))
            ratio[draw, i] = driven_kernel(net, theta, x) / driven_limit(net)
    return Driven(np.asarray(widths, dtype=float), ratio)
