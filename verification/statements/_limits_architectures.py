"""Other networks than (6): independent layers, where the limits are others but commute, and perceptrons, where not."""

from __future__ import annotations

import numpy as np
from scipy import stats
from scipy.special import polygamma

from refimpl import Euler, NeuralODE, Params
from verification import Agreement, Claim, Config, Verdict, compare
from verification.fit import power_law, second_term
from verification.statements._chains import (
    log_moments,
    log_second_moment,
    mean_root,
    perceptrons,
    relative_variance,
    residual_norms,
)
from verification.statements._data import DIM, Array
from verification.statements._independent import diffusion_kernels, independent_kernels, without_drift
from verification.statements._limits_by_hand import chi_means, layers_by_hand
from verification.statements._statistics import LEVEL, RESOLUTION, at_infinite_width, decided, student

TOLERANCE = 0.05
"""Largest deviation of an exponent from −1: the next order of the expansion, over depths from 16 on."""

POWERS = (0.25, 0.375, 0.5, 0.625, 0.75, 1.0)

LAYERS = 16
"""Depth of the shallower of two coupled ResNets."""


# Independent layers


def sqrt_layers(net: NeuralODE, X: Array, shared: Array) -> tuple[Claim, list[Agreement]]:
    layers = np.exp2(np.arange(0.0, 8.0))
    limit, kernels = diffusion_kernels(net, X)[0], [independent_kernels(net, X, int(L), 0.5)[0] for L in layers]
    error = np.asarray([np.linalg.norm(kernel - limit) for kernel in kernels]) / np.linalg.norm(limit)
    fit, gap = power_law(layers[4:], error[4:]), float(np.linalg.norm(limit - shared) / np.linalg.norm(shared))
    holds = abs(fit.slope + 1) <= TOLERANCE and gap > 2 * error[-1]
    twice = 2 * kernels[-1] - kernels[-2]
    linear = NeuralODE("identity", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    Z = linear.sigma_w**2 * linear.horizon
    closed = linear.sigma_v**2 * linear.sigma_u**2 * X @ X.T * (2 + Z) * np.exp(Z)
    agreements = [
        compare(
            r"$K$ of independent layers with the step $\sqrt{T/L}$, $L \to \infty$",
            {"equations for S and P, integrated": limit, "recursion over layers, extrapolated": twice},
            allowed=float(4 * error[-1] / layers[-1]),
            because="one term of the expansion removed: four times 1/L of the error at the largest L",
            claims=("sqrt-layers", "order-of-sqrt-layers"),
        ),
        compare(
            r"the same for the identity",
            {"equations for S and P, integrated": diffusion_kernels(linear, X)[0],
             r"$q \sigma_v^2 (2 + \sigma_w^2 T) e^{\sigma_w^2 T}$": closed},
            allowed=1e-7, because="local rtol = 1e-9 forward and backward, a hundredfold for the growth along the path",
            claims=("sqrt-layers", "order-of-sqrt-layers"),
        ),
    ]  # fmt: skip
    return Claim(
        "sqrt-layers",
        r"Independent layers with the step $\sqrt{T/L}$ tend, as $1/L$, to a third limit, that of a stochastic "
        r"differential equation, $dS/dt = \sigma_w^2 E \phi\bar\phi$ on the diagonal of times alone "
        rf"(measured: the exponent; {second_term(TOLERANCE, layers[4], -1)}; the limit is "
        rf"{gap:.1%} of $K_\infty$ away from $K_\infty$, more than twice the error at the largest $L$).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=fit.slope, predicted=-1, uncertainty=fit.uncertainty,
    ), agreements  # fmt: skip


def layers_road(config: Config, net: NeuralODE, X: Array) -> Agreement:
    """The kernel of one network with weights of its own in every layer, for either step."""
    n = 16
    theta = net.init(n, DIM, seed=config.rng("layers by hand"), layers=LAYERS)
    found = [(_kernel(net, theta, X, p), layers_by_hand(net, theta, X, (net.horizon / LAYERS) ** p)) for p in (1, 0.5)]
    return compare(
        rf"$K_\theta^{{{LAYERS}}}$ with independent layers, steps $T/L$ and $\sqrt{{T/L}}$ ($n = {n}$)",
        {"Euler scheme, contraction": [K for K, _ in found], "backpropagation written out": [K for _, K in found]},
        allowed=4 * n * LAYERS * float(np.finfo(float).eps), because="roundings of sums of n terms in each layer",
        claims=("order-of-independent", "order-of-sqrt-layers"),
    )  # fmt: skip


def independent_orders(config: Config, net: NeuralODE, X: Array, widths: Array, draws: int) -> list[Claim]:
    """L → ∞ first: 2 K^{2L} − K^L of two ResNets driven by one Brownian motion; then n → ∞."""
    K = net.limit().ntk(X)
    cases = (
        (1.0, "T/L", without_drift(net, X)[0]),
        (0.5, r"\sqrt{T/L}", diffusion_kernels(net, X)[0]),
    )
    ratios = np.empty((len(cases), draws, widths.size))
    for i, n in enumerate(widths.astype(int).tolist()):
        for draw in range(draws):
            fine = net.init(n, DIM, seed=config.rng("brownian", n, draw), layers=2 * LAYERS)
            coarse = Params(fine.U, (fine.W[::2] + fine.W[1::2]) / np.sqrt(2), fine.v)
            for case, (power, _, limit) in enumerate(cases):
                less, more = (_kernel(net, theta, X, power) for theta in (coarse, fine))
                ratios[case, draw, i] = np.sum((2 * more - less) * limit) / np.sum(limit**2)
    claims = []
    for (power, step, limit), along in zip(cases, ratios, strict=True):
        mean, half, wider = at_infinite_width(along, widths)
        shared = float(np.sum(K * limit) / np.sum(limit**2))  # the ratio that K_∞ has along this limit
        sharp = wider <= RESOLUTION and abs(mean - shared) > wider
        verdict = Verdict.FAILS if abs(mean - 1) > wider else Verdict.HOLDS if sharp else Verdict.UNDECIDED
        claims.append(
            Claim(
                "order-of-independent" if power == 1 else "order-of-sqrt-layers",
                rf"With independent layers and the step ${step}$ both orders give one limit, which is not $K_\infty$: "
                r"with $L \to \infty$ first, extrapolated from pairs of depths, then to $n = \infty$, the NTK is the "
                rf"limit of $n \to \infty$ first (measured: ratio along it; {decided(mean - wider, mean + wider)}).",
                verdict, measured=mean, predicted=1, uncertainty=half,
                scope="" if sharp or verdict is Verdict.FAILS
                else rf"The interval is wider than {RESOLUTION:.0%}, or holds the ratio of $K_\infty$.",
            )
        )  # fmt: skip
    return claims


def _kernel(net: NeuralODE, theta: Params, X: Array, power: float) -> Array:
    depth = len(theta.W)
    step = net.horizon / depth
    scaled = NeuralODE(net.activation, net.horizon, net.sigma_u, net.sigma_w * step ** (power - 1), net.sigma_v)
    kernel: Array = scaled.ntk(theta, X, solver=Euler(depth, shared=False))
    return kernel


def step_edge(config: Config) -> tuple[Claim, Agreement]:
    """log E ‖h^L‖⁴/(E ‖h^L‖²)² for h ↦ h + (T/L)^p W h/√n grows as L^{1−2p}."""
    n, depths = 8, np.exp2(np.arange(10.0, 16.0))
    slopes = [
        power_law(depths, [log_second_moment(n, int(L), 1.0, L**-power) for L in depths]).slope for power in POWERS
    ]
    a, b = np.polyfit(POWERS, slopes, 1)
    edge, off = float(-b / a), float(np.max(np.abs(np.polyval([a, b], POWERS) - slopes)) / abs(a))
    L, power, draws = 64, 0.5, 4000
    norms = residual_norms(n, L, L**-power, draws, config.rng("edge"))
    expected = (1 + 1 / L) ** L
    second = norms**2 / expected**2 - 1
    agreement = Agreement(
        rf"relative variance of $\|h^L\|^2$, step $\sqrt{{1/L}}$, $n = {n}$, $L = {L}$ (in standard errors)",
        ("second moment of one layer, to the power L", "Monte Carlo"),
        abs(float(second.mean()) - relative_variance(n, L, 1.0, L**-power))
        / (float(second.std(ddof=1)) / np.sqrt(draws)),
        float(stats.norm.ppf((1 + LEVEL) / 2)), f"normal interval at {LEVEL:.1%}", ("step-edge",),
    )  # fmt: skip
    holds = abs(edge - 0.5) <= max(off, 0.01)
    return Claim(
        "step-edge",
        r"How sharp: for linear residual layers with weights of their own and the step $(T/L)^p$ the limits of the law "
        r"of $\|h^L\|^2$, relative to its mean, commute if $p \ge 1/2$ and do not if $p < 1/2$: its variance is "
        r"$(1 + (4 a^2 + 2 a^4)/(n (1 + a^2)^2))^L - 1$ with $a = \sigma_w (T/L)^p$: at most $e^{4 \sigma_w^2 T/n} - 1$"
        r" for $p = 1/2$, and infinite in the limit $L \to \infty$ at every $n$ below (measured: the $p$ at which the "
        r"exponent $1 - 2p$ of its growth is zero; margin 0.01, or how far the exponents are off their line).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=edge, predicted=0.5, uncertainty=off,
    ), agreement  # fmt: skip


# Perceptrons: where (10) is true


def ntk_limits() -> tuple[float, float]:
    """E √(K/((L + 2) q)) from below with n → ∞ first, and from above with L → ∞ first.

    The root of the mean of the L + 2 parts is at least the mean of their roots, m_n^{L+1}, and at most √(L + 2) times
    that, as the norm of the roots is at most their sum.
    """
    far, near = 10**12, 10**5
    return float(mean_root(far) ** (near + 1)), float(np.sqrt(far + 2.0) * mean_root(near) ** (far + 1))


def perceptron(config: Config, draws: int) -> tuple[list[Claim], list[Agreement]]:
    """E ‖h^L‖/√(nq) = m_n^{L+1}, between 1 − (L + 1)/(4n) and exp(−(1/2 − 1/π)(L + 1)/n)."""
    far, near = 10**12, [10**k for k in range(1, 6)]
    wide = [mean_root(far) ** (L + 1) for L in near]
    deep = [mean_root(n) ** (far + 1) for n in near]
    pairs = [(n, L) for n in (1, 2, 5, 50, 5000) for L in (1, 3, 30, 3000)]
    inside = all(
        1 - (L + 1) / (4 * n) - 1e-9 <= mean_root(n) ** (L + 1) <= np.exp(-(0.5 - 1 / np.pi) * (L + 1) / n) + 1e-9
        for n, L in pairs
    )
    n, depth = 8, 32
    size, parts = perceptrons(n, depth, draws, config.rng("perceptrons"))
    roots = np.sqrt(parts).mean(axis=1)
    predicted = mean_root(n) ** (depth + 1)
    scaled = np.sqrt(parts.sum(axis=1) / (depth + 2))
    half = np.sqrt(depth + 2) * predicted
    (of_h, _, wider_h), (of_K, _, wider_K) = student(np.sqrt(size)), student(roots)
    mean, variance = log_moments(n, depth + 1)
    logs = np.log(size)
    z = stats.norm.ppf((1 + LEVEL) / 2)
    spread = float(logs.var(ddof=1))
    kurtosis = float(polygamma(3, n / 2)) / ((depth + 1) * float(polygamma(1, n / 2)) ** 2)
    because = f"Student's interval at {LEVEL:.1%}"
    agreements = [
        Agreement(rf"$E \|h^L\|/\sqrt{{nq}}$, $n = {n}$, $L = {depth}$", ("Gamma functions", "Monte Carlo"),
                  abs(of_h - predicted), wider_h, because, ("perceptron", "as-stated")),
        Agreement(rf"mean root of the parts of $K$, $n = {n}$, $L = {depth}$", ("Gamma functions", "Monte Carlo"),
                  abs(of_K - predicted), wider_K, because, ("perceptron-ntk", "as-stated")),
        Agreement(rf"variance of $\log \|h^L\|^2$, $n = {n}$, $L = {depth}$", ("polygamma function", "Monte Carlo"),
                  abs(spread / variance - 1), float(z * np.sqrt((2 + kurtosis) / draws)),
                  "standard error of a variance, from the fourth cumulant of log χ²", ("joint-law",)),
        chi_means(mean_root),
    ]  # fmt: skip
    gamma = 2.0
    limits = [log_moments(m, gamma * m) for m in (10**4, 10**5, 10**6)]
    drift, width = limits[-1]
    distance = float(stats.kstest((logs - mean) / np.sqrt(variance), "norm").statistic)
    skewness = abs(float(polygamma(2, n / 2))) / float(polygamma(1, n / 2)) ** 1.5 / np.sqrt(depth + 1)
    allowed = float(stats.kstwo.ppf(LEVEL, draws)) + skewness / (6 * np.sqrt(2 * np.pi))
    lognormal = distance <= allowed and abs(width / (2 * gamma) - 1) <= 1e-5 and abs(drift / gamma + 1) <= 1e-5
    return [
        Claim(
            "perceptron",
            r"(10) is true without the skip connection: $h^\ell = W_\ell h^{\ell-1}/\sqrt n$, linear, one input. Then "
            r"$E |f|$ is $m_n^{L+1} \sqrt{2q/\pi}$ with $m_n = E \chi_n/\sqrt n$, and $1 - (L + 1)/(4n) \le m_n^{L+1} "
            r"\le e^{-0.18 (L + 1)/n}$: with $n \to \infty$ first $f$ is $N(0, q)$, with $L \to \infty$ first it is 0, "
            r"the two limits of (11) (measured: $m_n^{L+1}$ near either limit). Always $E f^2 = q$.",
            Verdict.HOLDS if inside and abs(wide[-1] - 1) < 1e-6 and max(deep) < 1e-6 else Verdict.FAILS,
            measured=f"{wide[-1]:.7g}, {max(deep):.2g}", predicted="1, 0", uncertainty=1e-6,
        ),
        Claim(
            "perceptron-ntk",
            r"So it is for its NTK: each of its $L + 2$ parts has mean $q$ and mean root $m_n^{L+1} \sqrt q$, hence "
            r"$E \sqrt{K/(L + 2)} \le \sqrt{(L + 2) q}\, m_n^{L+1}$: $K/(L + 2) \to q$ with $n \to \infty$ first, and "
            rf"$\to 0$ with $L \to \infty$ first (measured: left side over right side at $n = {n}$, $L = {depth}$).",
            Verdict.HOLDS if float(scaled.mean()) <= half else Verdict.FAILS,
            measured=float(scaled.mean()) / half, predicted=r"$\le 1$",
            uncertainty=student(scaled)[1] / half,
        ),
        Claim(
            "joint-law",
            r"With both at once, $L = \gamma n$, its law depends on $\gamma$: $\log \|h^L\|^2/(nq)$ tends to "
            r"$N(-\gamma, 2 \gamma)$, and $E \|h\|^4/(E \|h\|^2)^2$ to $e^{2 \gamma}$; $n \to \infty$ first gives a "
            rf"number (measured: its variance over $\gamma$ at $\gamma = {gamma:g}$, $n = 10^6$; at $n = {n}$, "
            rf"$L = {depth}$ the Kolmogorov distance of {draws} networks from a normal law is {distance:.3f}).",
            Verdict.HOLDS if lognormal else Verdict.FAILS,
            measured=width / gamma, predicted=2, uncertainty=1e-5,
        ),
    ], agreements  # fmt: skip
