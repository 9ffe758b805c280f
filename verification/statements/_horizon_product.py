"""The product σ_w T: what depends on it alone, and what on T by itself."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from scipy.special import iv

from refimpl import Euler, Gauss, NeuralODE, SolveIVP
from verification import Agreement, Claim, Config, Verdict, compare
from verification.fit import power_law, second_term
from verification.statements._data import DIM, Array
from verification.statements._horizon_networks import literal, rescaled
from verification.statements._horizons import EPS, cosines, shallow
from verification.statements._two_kernels import gradients


def same_product(config: Config, X: Mapping[str, Array]) -> tuple[Claim, Claim]:
    """With s = t/T the system (1), (3) is one with horizon 1 and σ_w T: the same f, as a function of θ = (U, W, v)."""
    points = np.concatenate([rows[:1] for rows in X.values()])
    horizons, apart, blocks = np.asarray([0.3, 0.7, 1.7, 3.1]), [], []
    for name in ("softplus", "tanh"):
        net = NeuralODE(name, horizon=1.0, sigma_w=1.2)
        theta = net.init(64, DIM, seed=config.rng("product", name))
        solver = Gauss(rtol=1e-12)
        gradient, K, limit = net.jacobian(theta, points, solver), net.ntk(theta, points), net.limit().ntk(points)
        for T in horizons.tolist():
            other = rescaled(net, T)
            again = other.jacobian(theta, points, solver)
            pairs = [(again.U, gradient.U), (again.W, gradient.W), (again.v, gradient.v)]
            pairs += [(other.limit().ntk(points), limit)]
            apart += [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs]
            change = other.ntk(theta, points) - np.einsum("iab,jab->ij", again.W, again.W)
            raw, rows = literal(other, theta)
            blocks.append(float(np.linalg.norm(raw.ntk(rows, points, solver=solver) - change)) / np.linalg.norm(K))
    worst, allowed = max(apart), 2e-12
    exact = Claim(
        "product",
        r"$f_\theta$, $\nabla_\theta f$ and $K_\infty$ depend on $\sigma_w$ and $T$ through $\sigma_w T$ alone, "
        r"exactly: time rescales, and $\theta$ stays what it is (measured: largest relative difference of the blocks "
        r"of the gradient and of $K_\infty$ between $T = 1$ and four other $T$ at $\sigma_w T = 1.2$, softplus "
        r"and tanh).",
        Verdict.HOLDS if worst <= allowed else Verdict.FAILS,
        measured=worst, predicted=0, uncertainty=allowed,
    )  # fmt: skip
    fits = [power_law(horizons, blocks[k : k + 4]) for k in (0, 4)]
    fit = max(fits, key=lambda each: abs(each.slope - 2))
    powers = Claim(
        "product-literal-parameters",
        r"That is so for $\theta$ with $N(0, 1)$ entries. With the entries of $\sigma_w W / \sqrt n$ as parameters $f$ "
        r"is the same, but at fixed $\sigma_w T$ the $W$ block of $K_\theta$ carries a factor $n T^2 / (\sigma_w T)^2$ "
        r"(one linear neuron: $f = v u e^{w' T} x$ has $\partial f / \partial w' = T f$) (measured: the exponent of "
        r"$T$).",
        Verdict.HOLDS if abs(fit.slope - 2) <= 1e-6 else Verdict.FAILS,
        measured=fit.slope, predicted=2, uncertainty=1e-6,
    )  # fmt: skip
    return exact, powers


EXTREME = (1e-8, 1e100)
"""Horizons at which the product alone must decide; Z = 1.2."""


def product_terms(X: Mapping[str, Array]) -> Claim:
    """S, Σ and P at the times t/T, K_∞ and K_∞^L."""
    points = np.concatenate([rows[:1] for rows in X.values()])
    net, apart = NeuralODE("softplus", horizon=1.0, sigma_w=1.2), []
    fields, exact = net.limit().fields(*points), _kernels(net, points)
    for T in EXTREME:
        other = rescaled(net, T)
        again = other.limit().fields(*points)
        pairs = [(getattr(again, part), getattr(fields, part)) for part in ("S", "Sigma", "P")]
        pairs += [(again.t / T, fields.t), *zip(_kernels(other, points), exact, strict=True)]
        apart += [float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs]
    worst, allowed = max(apart), 2e-12
    return Claim(
        "product-terms",
        r"Term by term, from $T = 10^{-8}$ to $10^{100}$: at the times $t/T$ the fields $S$, $\Sigma$ and $P$, all "
        r"three terms of $K_\infty$, and $K_\infty^L$ at every $L$ are functions of $\sigma_w T$. What is not is "
        r"$\dot h_t$, $\dot \lambda_t$ (a factor $1/T$) and the $K^{t,s} = \sigma_w^2 P^{t,s}$ of the integral form "
        r"($1/T^2$, which $dt\, ds$ makes up for; in the last term stands $P^{0,0}$) (measured: largest relative "
        r"difference between horizons, with $L = 1$ and 7).",
        Verdict.HOLDS if worst <= allowed else Verdict.FAILS,
        measured=worst, predicted=0, uncertainty=allowed,
    )  # fmt: skip


def _kernels(net: NeuralODE, X: Array) -> list[Array]:
    return [net.limit().ntk(X), *(net.limit(Euler(L)).ntk(X) for L in (1, 7))]


def scaling(X: Mapping[str, Array]) -> Claim:
    """σ_w = T^(−3/2), so that Z = T^(−1/2)."""
    points = np.concatenate([rows[:1] for rows in X.values()])
    horizons, slopes = 4.0 ** np.arange(4, 8), []
    for name in ("softplus", "tanh"):
        hidden = shallow(name, cosines(points))
        limits = [NeuralODE(name, horizon=T, sigma_w=T**-1.5).limit().ntk(points) for T in horizons.tolist()]
        slopes.append(power_law(horizons, [np.linalg.norm(K - hidden) for K in limits]))
    fit, margin = max(slopes, key=lambda each: abs(each.slope + 1)), 1 / 64
    return Claim(
        "scaling",
        r"So $\sigma_w \propto T^{-1}$ is the one scaling with a nontrivial limit $T \to \infty$, and that limit is "
        r"reached at once: with $\sigma_w = T^{-a}$, $a > 1$, $K_\infty$ falls back to one hidden layer as "
        r"$T^{2 - 2a}$, and for $a < 1$ it does what it does as $T \to \infty$ at fixed $\sigma_w$ (measured: the "
        rf"exponent of $T$ at $a = 3/2$; {second_term(margin, horizons[0], -1, 'T')}).",
        Verdict.HOLDS if abs(fit.slope + 1) <= margin else Verdict.FAILS,
        measured=fit.slope, predicted=-1, uncertainty=fit.uncertainty,
    )  # fmt: skip


# Roads


def gradient_road(config: Config, X: Mapping[str, Array]) -> Agreement:
    """f and ∇f at T = 3.1, by scipy's solution, against T = 1 on Gauss nodes; σ_w T = 1.2."""
    points, net = np.concatenate([rows[:1] for rows in X.values()]), NeuralODE("softplus", horizon=1.0, sigma_w=1.2)
    theta = net.init(64, DIM, seed=config.rng("product", "softplus"))
    other, T = rescaled(net, 3.1), 3.1

    def everything(at: NeuralODE, solver: Gauss | SolveIVP) -> Array:
        return np.concatenate([gradients(at, theta, points, solver).ravel(), at.predict(theta, points, solver)])

    here = everything(net, Gauss(rtol=1e-12))
    tight, loose = (everything(other, SolveIVP(rtol=rtol)) for rtol in (1e-10, 1e-8))
    return compare(
        rf"$f_\theta$ and $\nabla_\theta f$ (softplus, $\sigma_w T = 1.2$; $T = 1$ by Gauss, $T = {T:g}$ by SolveIVP)",
        {"Gauss collocation": here, "scipy.integrate": tight},
        allowed=1e-12 + float(np.abs(tight - loose).max() / np.abs(here).max()),
        because="1e-12 promised by Gauss, and the change of DOP853 from rtol 1e-8 to 1e-10",
        claims=("product",),
    )


def literal_road(config: Config, X: Mapping[str, Array]) -> Agreement:
    """The W block with the entries of σ_w W/√n as parameters: by the chain rule n/σ_w² times that of W."""
    points, net = np.concatenate([rows[:1] for rows in X.values()]), NeuralODE("tanh", horizon=1.0, sigma_w=1.2)
    theta, n = net.init(64, DIM, seed=config.rng("product", "tanh")), 64
    other, solver = rescaled(net, 3.1), Gauss(rtol=1e-12)
    J, (raw, parameters) = other.jacobian(theta, points, solver), literal(other, theta)
    rest = np.einsum("iab,jab->ij", J.U, J.U) + J.v @ J.v.T
    ruled = rest + n / other.sigma_w**2 * np.einsum("iab,jab->ij", J.W, J.W)
    return compare(
        r"$K_\theta$ of the entries of $\sigma_w W / \sqrt n$ (tanh, $T = 3.1$)",
        {"contraction with these parameters": raw.ntk(parameters, points, solver=solver), "chain rule from $W$": ruled},
        allowed=2e-12,
        because="1e-12 promised by Gauss, on either road",
        claims=("product-literal-parameters",),
    )


def extreme_road() -> list[Agreement]:
    """The identity at `EXTREME` horizons, σ_w T = 1.2: S and P are Bessel functions, K_∞^L is a binomial sum."""
    x, found = np.ones(1), []
    for T in EXTREME:
        net = NeuralODE("identity", horizon=T, sigma_w=1.2 / T)
        fields = net.limit().fields(x, x)
        t = fields.t / T
        S, P = (iv(0, 2.4 * np.sqrt(np.outer(s, s))) for s in (t, 1 - t))
        apart = [np.abs(fields.S / S - 1).max(), np.abs(fields.P / P - 1).max()]
        deep = [float(net.limit(Euler(L)).ntk(x[None])[0, 0]) for L in (1, 7)]
        sums = [sum((2 + k) * math.comb(L, k) ** 2 * (1.2 / L) ** (2 * k) for k in range(L + 1)) for L in (1, 7)]
        found.append((apart, np.asarray(deep) / sums))
    return [
        compare(
            r"$S^{t,s}$ and $P^{t,s}$ (identity, $T = 10^{-8}$ and $10^{100}$)",
            {"Gauss scheme": np.stack([errors for errors, _ in found]), "Bessel functions": np.zeros((2, 2))},
            allowed=1e-12, because="promised by Gauss", relative=False, claims=("product-terms",),
        ),
        compare(
            r"$K_\infty^L$, $L = 1$ and 7 (identity, $T = 10^{-8}$ and $10^{100}$)",
            {"Euler scheme": np.stack([deep for _, deep in found]), "sum of binomials": np.ones((2, 2))},
            allowed=4 * 7 * EPS, because="a few roundings in each of L layers", claims=("product-terms",),
        ),
    ]  # fmt: skip
