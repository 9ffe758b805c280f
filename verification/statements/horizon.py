"""The time horizon T: what the limiting kernel, the states and the depth that is needed do as T grows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from scipy import stats

from refimpl import Gauss, NeuralODE
from verification import Claim, Config, Result, Verdict
from verification.fit import PowerLaw, power_law
from verification.statements._data import DIM, Array, inputs
from verification.statements._horizon_networks import LEVEL, Constant, Spread, constant, literal, rescaled, spread
from verification.statements._horizon_report import constants_table, draw, spectrum_table, spread_table
from verification.statements._horizon_roads import bessel, by_hand, coefficients, monte_carlo, shallow_roads
from verification.statements._horizons import (
    BOUND,
    COUNT,
    AtHorizon,
    at_horizon,
    cosines,
    gronwall,
    shallow,
)

ID = "horizon"
TITLE = "The time horizon: kernel, states and depth against $T$"
CLAIM = (
    r"No formula is printed. What the theory implies: $f$, its gradients and $K_\infty$ depend on $\sigma_w$ and $T$ "
    r"through the product $\sigma_w T$ alone; $K_\infty$ stays positive definite for every $T$; states, and the "
    r"constant $C(T)$ of the $1/L$ error of ResNets, grow no faster than Gronwall's exponential."
)

SHORT = (1 / 64, 1 / 32, 1 / 16)
"""Horizons at which powers of T are fitted."""

TOLERANCE = 0.03
"""Largest deviation of an exponent in T: the next term is O(T²), 1/256 at most here."""

MARGIN = 10.0
"""Noise floors above which an eigenvalue counts as positive."""


def run(config: Config) -> Result:
    X = inputs(config, COUNT)
    curves = {
        name: [at_horizon(name, T, X) for T in config.progress(horizons, name)]
        for name, horizons in _horizons(config.full).items()
    }
    hidden = {name: {source: shallow(name, cosines(points)) for source, points in X.items()} for name in curves}
    spreads = _spreads(config, X)
    constants = _constants(config, X)
    exact, powers = _same_product(config, X)
    return Result(
        claims=[
            exact, powers, _short(curves, hidden), _positive(curves), _trend(curves), _gronwall_claim(curves),
            _bounded(curves), _depth_short(curves), _depth_gronwall(constants), _width(spreads),
        ],
        agreements=[
            by_hand(X), *bessel(curves["identity"]), shallow_roads(curves, hidden), coefficients(constants),
            monte_carlo(spreads, curves),
        ],
        experiment=(
            rf"$K_\infty$ and $K_\infty^L$ at horizons $T$ from 1/64 up, $\sigma = 1$, on {COUNT} digits and {COUNT} "
            r"random points of the sphere; random networks of finite width at the same $T$. The slides name the "
            r"experiment and print no formula; the claims are ours. Effects of $T$ on training are left to the other "
            r"statements; where only $\sigma_w T$ matters, they are those of $\sigma_w$."
        ),
        size={
            "N": COUNT, "d": DIM, "T": [at.T for at in max(curves.values(), key=len)], "activations": list(curves),
            "n": sorted({int(n) for each in spreads for n in each.widths}),
            "networks per width": spreads[0].squares.size,
        },
        figure=draw(curves, constants, spreads, hidden),
        alt=(
            "Four log-log panels against T. Largest and smallest eigenvalue of the limiting kernel on digits: flat at "
            "the value of one hidden layer for small T, then rising. Variance of the state: below Gronwall's bound, "
            "which softplus approaches in slope and erf leaves for quadratic growth. Constants of the 1/L error: "
            "slope four for small T at infinite width, and below Gronwall's bound for finite networks. Error of the "
            "finite-width kernel against the width for three horizons, all along slope minus one half."
        ),
        caption=(
            r"Dotted: $K_\infty$ at $T \to 0$, one hidden layer. Dashed: predicted, which is Gronwall's bound of the "
            r"variance and of $\lim L |f^L - f|$, the power $T^4$, the closed form for the identity, and $n^{-1/2}$."
        ),
        tables=[spectrum_table(curves), constants_table(curves, constants), spread_table(spreads)],
    )  # fmt: skip


def _horizons(full: bool) -> dict[str, tuple[float, ...]]:
    middle = (0.125, 0.25, 0.5, 1.0) if full else (0.25, 0.5, 1.0)
    return {
        "softplus": (*SHORT, *middle, 2.0, *((3.0, 4.0) if full else ())),
        "tanh": (*SHORT, *((*middle, 2.0, 3.0) if full else (1.0,))),
        "erf": (*SHORT, *middle, 2.0, 4.0, *((6.0, 8.0) if full else ())),
        "identity": (*SHORT, *middle, 2.0, 4.0),
    }


def _spreads(config: Config, X: Mapping[str, Array]) -> list[Spread]:
    widths, draws = ([128, 256, 512, 1024], 16) if config.full else ([64, 128, 256], 10)
    points, found = np.concatenate(list(X.values()))[::8], []
    cases = [("softplus", 0.5), ("softplus", 1.0), ("erf", 1.0), ("erf", 2.0)]
    cases += [("softplus", 2.0), ("erf", 4.0)] if config.full else []
    for name, T in config.progress(cases, "networks"):
        limit = NeuralODE(name, horizon=T).limit().ntk(points)
        found.append(spread(config, name, T, points, limit, widths, draws))
    return found


def _constants(config: Config, X: Mapping[str, Array]) -> list[Constant]:
    width, draws = (256, 4) if config.full else (64, 1)
    points = np.concatenate([rows[:2] for rows in X.values()])
    found = []
    for name in ("softplus", "tanh"):
        for draw_ in range(draws):
            theta = NeuralODE(name).init(width, DIM, seed=config.rng("constant", name, draw_))
            found += [constant(NeuralODE(name, horizon=T), theta, points) for T in (0.5, 1.0, 2.0, 4.0)]
    return found


# The product σ_w T


def _same_product(config: Config, X: Mapping[str, Array]) -> tuple[Claim, Claim]:
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
        r"of the gradient and of $K_\infty$ between $T = 1$ and four other $T$ at $\sigma_w T = 1.2$).",
        Verdict.HOLDS if worst <= allowed else Verdict.FAILS,
        measured=worst, predicted=0, uncertainty=allowed,
    )  # fmt: skip
    fits = [power_law(horizons, blocks[k : k + 4]) for k in (0, 4)]
    fit = max(fits, key=lambda each: abs(each.slope - 2))
    powers = Claim(
        "product-literal-parameters",
        r"That is so for $\theta$ with $N(0, 1)$ entries. With the entries of $\sigma_w W / \sqrt n$ as parameters $f$ "
        r"is the same, but at fixed $\sigma_w T$ the $W$ block of $K_\theta$ carries a factor $n T^2 / (\sigma_w T)^2$ "
        r"(measured: the exponent of $T$).",
        Verdict.HOLDS if abs(fit.slope - 2) <= 1e-6 else Verdict.FAILS,
        measured=fit.slope, predicted=2, uncertainty=1e-6,
    )  # fmt: skip
    return exact, powers


# The kernel


def _exponent(id: str, text: str, fits: Sequence[PowerLaw], predicted: float) -> Claim:
    worst = max(fits, key=lambda fit: abs(fit.slope - predicted))
    return Claim(
        id, text, Verdict.HOLDS if abs(worst.slope - predicted) <= TOLERANCE else Verdict.FAILS,
        measured=worst.slope, predicted=predicted, uncertainty=worst.uncertainty,
    )  # fmt: skip


def _short(curves: Mapping[str, Sequence[AtHorizon]], hidden: Mapping[str, Mapping[str, Array]]) -> Claim:
    fits = []
    for name, curve in curves.items():
        for source, limit in hidden[name].items():
            fits.append(power_law(SHORT, [np.linalg.norm(at.kernels[source] - limit) for at in curve[: len(SHORT)]]))
    return _exponent(
        "short",
        r"As $T \to 0$, $K_\infty$ tends to the kernel $E[\phi\phi] + x \cdot \bar x\, E[\phi'\phi']$ of one hidden "
        r"layer, and as $T^2$, for $W$ and $-W$ are equally likely (measured: the exponent furthest from 2, of "
        f"{len(fits)}).",
        fits,
        2.0,
    )


def _positive(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    found = [
        (at.extremes(source)[0], at.floor(source), name, at.T, source)
        for name, curve in curves.items()
        for at in curve
        for source in at.kernels
        if name != "identity"
    ]
    smallest, floor, name, T, source = min(found, key=lambda entry: entry[0] / entry[1])
    holds = smallest > MARGIN * floor
    return Claim(
        "positive",
        rf"$\lambda_{{\min}}(K_\infty) > 0$ at every $T$, as Proposition 3 wants for softplus, tanh and erf (measured: "
        rf"the smallest beside its noise floor, {name}, $T = {T:g}$, {source}, of {len(found)}).",
        Verdict.HOLDS if holds else Verdict.FAILS if smallest < -floor else Verdict.UNDECIDED,
        measured=smallest, predicted="> 0", uncertainty=floor,
        scope="" if holds else "Below the noise floor.",
    )  # fmt: skip


def _trend(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    ratios = []
    for name, curve in curves.items():
        for source in curve[0].kernels:
            smallest = np.asarray([at.extremes(source)[0] for at in curve])
            ratios.append((float((smallest[1:] / smallest[:-1]).min()), name))
    ratio = min(ratios)[0]
    erf = curves["erf"]
    first, last = (top / low for low, top in (at.extremes("digits") for at in (erf[0], erf[-1])))
    return Claim(
        "spectrum",
        r"Seen, and implied by no theorem: on these inputs a longer horizon does not make $K_\infty$ degenerate, "
        r"$\lambda_{\min}$ grows with $T$ for every activation tried. For bounded $\phi$ the condition number falls "
        rf"(erf, digits: from {first:.0f} to {last:.0f} at $T = {erf[-1].T:g}$), for the identity it stays that of the "
        r"inputs (measured: smallest factor of $\lambda_{\min}$ from one $T$ to the next).",
        Verdict.HOLDS if ratio > 1 else Verdict.UNDECIDED,
        measured=ratio, predicted=None, scope="" if ratio > 1 else "No theorem predicts a trend.",
    )  # fmt: skip


# States


def _gronwall_claim(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    found = [(at.variance / gronwall(name, at.T), name, at.T) for name, curve in curves.items() for at in curve]
    worst, name, T = max(found)
    identity = curves["identity"][-1]
    share = float(np.log(identity.variance)) / (2 * identity.T)
    return Claim(
        "variance",
        r"$S^{T,T} = \lim \|h_T\|^2/n \le [(\sqrt q + a) e^{\mathrm{Lip} Z} - a]^2$ with $a = |\phi(0)|/\mathrm{Lip}$, "
        rf"$Z = \sigma_w T$: Gronwall at infinite width. The identity uses {share:.0%} of the exponent at "
        rf"$T = {identity.T:g}$, and all of it as $T \to \infty$, since $S^{{T,T}} = q I_0(2Z)$ (measured: largest "
        rf"part of the bound, {name}, $T = {T:g}$).",
        Verdict.HOLDS if worst <= 1 else Verdict.FAILS,
        measured=worst, predicted=r"$\le 1$", uncertainty=1e-12,
    )  # fmt: skip


def _bounded(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    found = {name: max((at.variance / (1 + BOUND[name] ** 2 * at.T**2), at.T) for at in curves[name]) for name in BOUND}
    worst, T = max(found.values())
    last = curves["erf"][-1]
    return Claim(
        "variance-bounded",
        r"Bounded $\phi$ grows more slowly: $S^{T,T} \le q + Z^2 \sup \phi^2$, a power instead of an exponential "
        rf"(measured: largest part of the bound, at $T = {T:g}$; at $T = {last.T:g}$ erf uses "
        rf"{last.variance / (1 + last.T**2):.0%}).",
        Verdict.HOLDS if worst <= 1 else Verdict.FAILS,
        measured=worst, predicted=r"$\le 1$", uncertainty=1e-12,
    )  # fmt: skip


# Depth


def _depth_short(curves: Mapping[str, Sequence[AtHorizon]]) -> Claim:
    return _exponent(
        "depth-short",
        r"The depth that is needed: $C(T) = \lim L |K_\infty^L - K_\infty|$ vanishes as $T^4$ for $T \to 0$. There is "
        r"no odd power of $T$, and at order $T^2$ the integrands are constant and every $L \ge 1$ is exact (measured: "
        "the exponent furthest from 4).",
        [power_law(SHORT, [at.depth for at in curve[: len(SHORT)]]) for curve in curves.values()],
        4.0,
    )


def _depth_gronwall(constants: Sequence[Constant]) -> Claim:
    worst = max(constants, key=lambda each: each.quotient)
    rates = [np.log(b.state / a.state) / np.log(b.state_bound / a.state_bound) for a, b in _last_two(constants)]
    return Claim(
        "depth-gronwall",
        r"$C(T)$ grows no faster than Gronwall's exponential: with $\Lambda = \sigma_w \|W\|_2 \mathrm{Lip}(\phi) T / "
        r"\sqrt n$, $\lim L \|h^L - h_T\| \le \frac{T}{2} \Lambda e^{\Lambda} \|\dot h_0\|$, and $\lim L |f^L - f|$ is "
        r"at most $\|\lambda_T\|$ times that. The bound is far from sharp: from $T = 2$ to 4 the logarithm of the "
        rf"constant grows {min(rates):.2f} to {max(rates):.2f} times as much (measured: largest part of the bound, "
        rf"{worst.activation}, $T = {worst.T:g}$).",
        Verdict.HOLDS if worst.quotient <= 1 else Verdict.FAILS,
        measured=worst.quotient, predicted=r"$\le 1$", uncertainty=1e-3,
    )  # fmt: skip


def _last_two(constants: Sequence[Constant]) -> list[tuple[Constant, Constant]]:
    return [(a, b) for a, b in pairwise(constants) if (a.T, b.T) == (2.0, 4.0)]


# Width


def _width(spreads: Sequence[Spread]) -> Claim:
    each = {(one.activation, one.T): _fit(one.widths, one.error) for one in spreads}
    inside = all(abs(slope + 0.5) <= wider for slope, _, wider in each.values())
    together = np.exp(np.mean([np.log(one.error) for one in spreads], axis=0))  # the same θ at every T
    slope, half, _ = _fit(spreads[0].widths, together)
    falls = slope + half < 0
    listed = ", ".join(f"{name} {T:g}: {fit[0]:.2f} ± {fit[1]:.2f}" for (name, T), fit in each.items())
    return Claim(
        "width",
        r"$K_\theta \to K_\infty$ as $n^{-1/2}$ at every $T$ (measured: exponent in $n$ of $\|K_\theta - K_\infty\|$, "
        rf"geometric mean over all $T$; one by one, {listed}).",
        Verdict.HOLDS if inside and falls else Verdict.UNDECIDED if inside or falls else Verdict.FAILS,
        measured=slope, predicted=-0.5, uncertainty=half,
        scope="" if inside and falls else f"Too few networks: a {LEVEL:.1%} interval misses the rate, or holds 0.",
    )  # fmt: skip


def _fit(widths: Array, error: Array) -> tuple[float, float, float]:
    """Exponent over independent networks, and the half-widths of its intervals at 95 % and at `LEVEL`."""
    fit, degrees = power_law(widths, error), widths.size - 2
    widening = float(stats.t.ppf((1 + LEVEL) / 2, degrees) / stats.t.ppf(0.975, degrees))
    return fit.slope, fit.uncertainty, fit.uncertainty * widening
