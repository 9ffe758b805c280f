"""The roads of the statement on the horizon: limits, closed forms and random networks, found in more than one way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from scipy import stats
from scipy.special import iv

from refimpl import Gauss, NeuralODE
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel, limit_variance
from verification.statements._data import DIM, Array
from verification.statements._horizon_networks import Constant, Spread
from verification.statements._horizon_trend import DERIVATIVES, second_coefficient
from verification.statements._horizons import AtHorizon, cosines, identity_depth, shallow
from verification.statements._statistics import LEVEL
from verification.statements._two_kernels import Road, on_both


def by_hand(X: Mapping[str, Array]) -> Agreement:
    """One product σ_w T at two horizons, on two roads."""
    rho = (X["digits"][:1] @ X["digits"][:4].T)[0]
    long, short = NeuralODE("softplus", horizon=2.0, sigma_w=0.6), NeuralODE("softplus", horizon=1.0, sigma_w=1.2)
    coarse, fine = (limit_kernel(short, rho, nodes, points) for nodes, points in ((8, 40), (10, 48)))
    return compare(
        r"$K_\infty$ (softplus, $\sigma_w T = 1.2$; $T = 2$ by Gauss, $T = 1$ by hand)",
        {"Gauss scheme": long.limit().ntk(X["digits"][:1], X["digits"][:4])[0], "written out by hand": fine},
        allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
        because="1e-12 promised by Gauss, plus the change of the tensor quadrature from 40 to 48 points",
        claims=("product", "product-terms", "width"),
    )


def bessel(curve: Sequence[AtHorizon]) -> list[Agreement]:
    """The identity, whose fields are Bessel functions."""
    T = np.asarray([at.T for at in curve])
    depth, error = (np.asarray([getattr(at, name) for at in curve]) for name in ("depth", "depth_error"))
    exact = np.asarray([identity_depth(float(Z)) for Z in T])
    return [
        compare(
            r"$K_\infty(x, x)$ (identity, every $T$)",
            {
                "Gauss scheme": [at.own / (2 * iv(0, 2 * at.T) + at.T * iv(1, 2 * at.T)) for at in curve],
                "Bessel functions": np.ones(T.size),
            },
            allowed=1e-12, because="promised by Gauss", claims=("short", "spectrum", "depth-short"),
        ),
        compare(
            r"$S^{T,T}$ (identity, every $T$)",
            {"Gauss scheme": [at.variance / iv(0, 2 * at.T) for at in curve], "Bessel functions": np.ones(T.size)},
            allowed=1e-12, because="promised by Gauss", claims=("variance",),
        ),
        Agreement(
            r"$\lim L (K_\infty - K_\infty^L)$ (identity, every $T$)",
            ("Euler schemes, extrapolated", "power series"),
            float((np.abs(depth - exact) / (error + 64 * 1e-12 * np.asarray([at.own for at in curve]))).max()), 1.0,
            "in units of the last change of the extrapolation, plus 64 times the 1e-12 promised by Gauss",
            ("depth-short",),
        ),
    ]  # fmt: skip


def shallow_roads(curves: Mapping[str, Sequence[AtHorizon]], hidden: Mapping[str, Mapping[str, Array]]) -> Agreement:
    """T → 0 from the kernels alone, and one hidden layer."""
    found = []
    for name, curve in curves.items():
        K = [at.kernels["sphere"] for at in curve[:3]]
        coarse, fine = (4 * K[1] - K[2]) / 3, (4 * K[0] - K[1]) / 3
        apart = float(np.abs(fine - hidden[name]["sphere"]).max())
        found.append((apart, float(np.abs(fine - coarse).max()) + 1e-12 * float(K[0].max()), name))
    apart, allowed, name = max(found, key=lambda entry: entry[0] / entry[1])
    return Agreement(
        rf"$\lim_{{T \to 0}} K_\infty$ ({name}, the one closest to its bound)",
        ("Gauss scheme, extrapolated in $T^2$", "one hidden layer by double sums"),
        apart, allowed, "the last change of the extrapolation", ("short", "scaling"),
    )  # fmt: skip


def coefficients(constants: Sequence[Constant]) -> list[Agreement]:
    """Euler's leading error, measured and from its theory."""
    output = max(constants, key=lambda each: each.roads[0] / each.roads[1])
    state = max(constants, key=lambda each: each.state_roads[0] / each.state_roads[1])
    cases = [
        (r"$\lim L (f^L - f)$", output, output.roads, "theory of Euler's leading error"),
        (r"$\lim L (h^L - h_T)$", state, state.state_roads, "its own ODE beside (1), by scipy.integrate"),
    ]
    return [
        Agreement(
            rf"{what} ({worst.activation}, $T = {worst.T:g}$, the one closest to its bound)",
            ("ResNets minus Neural ODE", theory), *distances,
            "the last change of the extrapolated limit, which falls fourfold or more with every doubling of L",
            ("depth-gronwall",),
        )
        for what, worst, distances, theory in cases
    ]  # fmt: skip


def smallest_eigenvalues(curves: Mapping[str, Sequence[AtHorizon]], X: Mapping[str, Array]) -> Agreement:
    """λ_min of K_∞ on five digits, at the two shortest horizons and at T = 1."""
    cases, few = [at for k, at in enumerate(curves["softplus"]) if k < 2 or at.T == 1.0], 5
    rho, upper = cosines(X["digits"][:few]), np.triu_indices(few)

    def smallest(T: float, nodes: int, points: int) -> float:
        K = np.zeros((few, few))
        K[upper] = limit_kernel(NeuralODE("softplus", horizon=T), rho[upper], nodes, points)
        return float(np.linalg.eigvalsh(np.maximum(K, K.T))[0])

    coarse, fine = (np.asarray([smallest(at.T, *size) for at in cases]) for size in ((4, 40), (6, 48)))
    kernels = [at.kernels["digits"][:few, :few] for at in cases]
    promised = few * 1e-12 * max(float(K.max()) for K in kernels)
    listed = ", ".join(f"{at.T:g}" for at in cases)
    return compare(
        rf"$\lambda_{{\min}}(K_\infty)$ (softplus, {few} digits, $T = {listed}$)",
        {
            "Gauss scheme, from the curve in $\\rho$": [np.linalg.eigvalsh(K)[0] for K in kernels],
            "written out by hand": fine,
        },
        allowed=promised + float(np.abs(fine - coarse).max()), relative=False,
        because="by Weyl N times the 1e-12 promised by Gauss, plus the change with the nodes of the other road",
        claims=("positive", "spectrum"),
    )  # fmt: skip


def leading_terms(
    curves: Mapping[str, Sequence[AtHorizon]], hidden: Mapping[str, Mapping[str, Array]], X: Mapping[str, Array]
) -> Agreement:
    """lim (K_∞ − K_∞|_{T=0}) / T², from kernels alone and from Gaussian expectations; four points of the sphere."""
    found, few = [], 4
    for name in DERIVATIVES.keys() & curves.keys():
        cut = slice(few), slice(few)
        K = [(at.kernels["sphere"][cut] - hidden[name]["sphere"][cut]) / at.T**2 for at in curves[name][:3]]
        coarse, fine = (4 * K[1] - K[2]) / 3, (4 * K[0] - K[1]) / 3
        exact = _coefficients(name, cosines(X["sphere"][:few]))
        rounding = 2e-12 * curves[name][0].own / curves[name][0].T ** 2
        found.append((float(np.abs(fine - exact).max()), float(np.abs(fine - coarse).max()) + rounding, name))
    apart, allowed, name = max(found, key=lambda entry: entry[0] / entry[1])
    return Agreement(
        rf"$\lim_{{T \to 0}} (K_\infty - K_\infty|_{{T = 0}}) / T^2$ ({name}, the one closest to its bound)",
        ("Gauss scheme, extrapolated in $T^2$", "Gaussian expectations of $\\phi, \\dots, \\phi'''$ by double sums"),
        apart, allowed, "the last change of the extrapolation, and 1e-12 promised by Gauss over $T^2$", ("short",),
    )  # fmt: skip


def _coefficients(name: str, rho: Array) -> Array:
    return np.reshape([second_coefficient(name, float(cosine)) for cosine in rho.flat], rho.shape)


def long_horizons(X: Mapping[str, Array]) -> Agreement:
    """σ_w = T^(−3/2), so that (σ_w T)² = 1/T: lim T (K_∞ − K_∞|_{T=0})."""
    points, found = np.concatenate([rows[:1] for rows in X.values()]), []
    for name in ("softplus", "tanh"):
        rest = shallow(name, cosines(points))
        coarse, fine = (
            T * (NeuralODE(name, horizon=T, sigma_w=T**-1.5).limit().ntk(points) - rest) for T in (4.0**6, 4.0**7)
        )
        apart = float(np.abs(fine - _coefficients(name, cosines(points))).max())
        allowed = float(np.abs(fine - coarse).max()) + 2e-12 * 4.0**7 * float(np.abs(rest).max())
        found.append((apart, allowed, name))
    apart, allowed, name = max(found, key=lambda entry: entry[0] / entry[1])
    return Agreement(
        rf"$T (K_\infty - K_\infty|_{{T = 0}})$, $\sigma_w = T^{{-3/2}}$, $T = 4^7$ ({name}, closest to its "
        r"bound)",
        ("Gauss scheme", "Gaussian expectations of $\\phi, \\dots, \\phi'''$ by double sums"),
        apart, allowed, "the change from $T = 4^6$, and 1e-12 promised by Gauss times $T$", ("scaling",),
    )  # fmt: skip


def bounded_variances(curves: Mapping[str, Sequence[AtHorizon]]) -> Agreement:
    """S^{T,T} of bounded φ."""
    shown = ("tanh", 1 / 64), ("erf", 1.0), ("erf", 2.0)
    cases = [(name, at) for name, T in shown for at in curves[name] if at.T == T]
    nets = [NeuralODE(name, horizon=at.T) for name, at in cases]
    coarse, fine = (np.asarray([limit_variance(net, *size) for net in nets]) for size in ((8, 40), (12, 64)))
    listed = ", ".join(f"{name} {at.T:g}" for name, at in cases)
    return compare(
        rf"$S^{{T,T}}$ ({listed})",
        {"Gauss scheme": [at.variance for _, at in cases], "written out by hand": fine},
        allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
        because="1e-12 promised by Gauss, plus the change with the nodes of the other road",
        claims=("variance-bounded",),
    )


def finite_kernels(config: Config, spreads: Sequence[Spread], X: Mapping[str, Array]) -> Agreement:
    """‖K_θ − K_∞‖ / ‖K_∞‖ of the first network of each width, at T = 2."""
    case, points = next(each for each in spreads if each.T == 2.0), np.concatenate(list(X.values()))[::8]
    name, net = case.activation, NeuralODE(case.activation, horizon=case.T)
    widths, firsts = np.unique(case.widths, return_index=True)
    thetas = [net.init(n, DIM, seed=config.rng("spread", name, n, 0)) for n in widths.astype(int).tolist()]
    limit = net.limit().ntk(points)

    def errors(road: Road) -> Array:
        change = np.stack([road.kernel(net, theta, points) for theta in thetas]) - limit
        return np.asarray(np.linalg.norm(change, axis=(1, 2)) / np.linalg.norm(limit))

    return on_both(
        rf"$\|K_\theta - K_\infty\| / \|K_\infty\|$ ({name}, $n = {widths[0]:g}, \dots, {widths[-1]:g}$, "
        rf"$T = {case.T:g}$)",
        errors, Gauss(6, 2), ("width",), recorded=case.error[firsts],
    )  # fmt: skip


def monte_carlo(spreads: Sequence[Spread], curves: Mapping[str, Sequence[AtHorizon]]) -> Agreement:
    """Mean of ‖h_T‖²/n over the widest networks, in standard errors."""
    found = []
    for each in spreads:
        widest = each.squares
        limit = next(at.variance for at in curves[each.activation] if at.T == each.T)
        found.append(abs(float(widest.mean()) - limit) / (float(widest.std(ddof=1)) / np.sqrt(widest.size)))
    degrees = spreads[0].squares.size - 1
    return Agreement(
        rf"$S^{{T,T}}$, in standard errors (worst of {len(spreads)} cases, $n = {spreads[0].widths.max():g}$)",
        ("Gauss scheme", "Monte Carlo, $\\|h_T\\|^2/n$"),
        float(max(found)), float(stats.t.ppf(1 - (1 - LEVEL) / (2 * len(found)), degrees)),
        f"Student's interval for {len(found)} numbers at once (Bonferroni, {LEVEL:.1%}); the bias O(1/n) is below it",
        ("variance", "variance-bounded"),
    )  # fmt: skip
