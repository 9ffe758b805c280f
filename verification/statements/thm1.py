"""Theorem 1: the NTK of wide Neural ODEs converges to K_∞, and the NTKs K_∞^L of ResNets converge to it too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from matplotlib.figure import Figure
from scipy import stats
from scipy.special import comb, iv

from refimpl import Euler, Gauss, NeuralODE, Params, SolveIVP
from verification import Agreement, Claim, Config, Result, Table, Verdict, compare
from verification.fit import PowerLaw, power_law
from verification.statement import Value
from verification.statements._by_hand import limit_kernel
from verification.statements._data import DIM, Array, inputs
from verification.style import GREY, guide, loglog, new_figure, series

ID = "thm1"
TITLE = "The NTK converges to a deterministic kernel, whichever limit is taken first"
CLAIM = (
    r"If $\phi$ and $\phi'$ are Lipschitz, then $K_\theta \to K_\infty$ almost surely as $n \to \infty$; $K_\infty$ is "
    r"deterministic and equals the limit of the kernels $K_\infty^L$ of ResNets as $L \to \infty$."
)

COUNT = 8
"""Inputs from each source."""

SOLVER = Gauss(nodes=6, steps=1)
"""For K_θ: exact to 8 digits on these networks, which is checked, where the random error is in the second digit."""

LEVEL = 0.999
"""Confidence at which a verdict is taken; the intervals that are printed are the usual 95 %."""

SHALLOWEST, TOLERANCE = 16, 0.03
"""Smallest depth in the fits of 1/L, and the largest deviation of the slope that the next term, O(L⁻²), explains."""

PARAMETERISATION = (
    r"The theorem holds in the NTK parameterisation: the entries of $W$ are $N(0, 1)$ and the factor $1/\sqrt{n}$ "
    r"stands in front. With respect to the literal parameters $W_{ij} \sim N(0, 1/n)$ the kernel (9) of the same "
    r"function grows linearly in $n$ and has no limit."
)

OFF_RATE = f"The error falls, but its {LEVEL:.1%} interval misses $n^{{-1/2}}$: too few paths, or another rate."

LITERAL = slice(None, None, 4)
"""Inputs at which the kernel of the literal parameters is computed, two from each source."""


@dataclass(frozen=True)
class Widths:
    """K_θ along nested networks: the network of width n is the upper left block of one infinite random array.

    Parameters
    ----------
    kernel : array, shape (paths, widths, N, N)
        K_θ.
    limit : array, shape (N, N)
        K_∞.
    literal : array, shape (paths, widths, N', N')
        The same with respect to θ whose W has the entries W_ij ~ N(0, 1/n), at the inputs `LITERAL`.
    """

    activation: str
    widths: Array
    kernel: Array
    limit: Array
    literal: Array

    def error(self, rows: slice) -> Array:
        """‖K_θ − K_∞‖ / ‖K_∞‖, Frobenius, among the inputs `rows`; shape (paths, widths)."""
        change = (self.kernel - self.limit)[..., rows, rows]
        relative: Array = np.linalg.norm(change, axis=(2, 3)) / np.linalg.norm(self.limit[rows, rows])
        return relative

    @property
    def along_limit(self) -> Array:
        """⟨K_θ − K_∞, K_∞⟩ / ‖K_∞‖², the relative error of the size of the kernel; shape (paths, widths)."""
        found: Array = np.sum((self.kernel - self.limit) * self.limit, axis=(2, 3)) / np.sum(self.limit**2)
        return found

    @property
    def weight_block(self) -> Array:
        """‖n K_W‖ = ‖K_literal − K_θ‖ n/(n − 1): the block of W in the literal kernel; shape (paths, widths)."""
        change = self.literal - self.kernel[..., LITERAL, LITERAL]
        norm: Array = np.linalg.norm(change, axis=(2, 3)) * self.widths / (self.widths - 1)
        return norm


@dataclass(frozen=True)
class Depths:
    """K_∞^L of ResNets at one input and all others.

    Parameters
    ----------
    kernels : array, shape (depths, N)
        K_∞^L(x_1, x_j), L = 1, 2, 4, …
    limit : array, shape (N,)
        K_∞(x_1, x_j), by Gauss.
    """

    activation: str
    kernels: Array
    limit: Array

    @property
    def depths(self) -> Array:
        powers: Array = np.exp2(np.arange(len(self.kernels), dtype=np.float64))
        return powers

    @property
    def error(self) -> Array:
        """max_j |K_∞^L − K_∞| / max_j |K_∞|, shape (depths,)."""
        relative: Array = np.abs(self.kernels - self.limit).max(axis=1) / np.abs(self.limit).max()
        return relative

    @property
    def slope(self) -> PowerLaw:
        deep = self.depths >= SHALLOWEST
        return power_law(self.depths[deep], self.error[deep])

    @property
    def extrapolated(self) -> tuple[Array, float]:
        """lim K_∞^L from the ResNets alone, by Richardson's scheme in powers of 1/L; its relative error estimate."""
        column, rows = list(self.kernels), [self.kernels[-1]]
        for order in range(1, len(self.kernels)):
            column = [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
            rows.append(column[-1])
        return rows[-1], float(np.abs(rows[-1] - rows[-2]).max() / np.abs(rows[-1]).max())


def run(config: Config) -> Result:
    X = inputs(config, COUNT)
    stacked = np.concatenate(list(X.values()))
    rows = {source: slice(i * COUNT, (i + 1) * COUNT) for i, source in enumerate(X)}
    plan = {"softplus": (32, 2048), "tanh": (24, 1024)} if config.full else {"softplus": (24, 512)}
    wide = [_nested(config, activation, *size, stacked) for activation, size in plan.items()]
    deepest = {"softplus": 256, "tanh": 256, "gelu": 256, "relu": 256}
    if config.full:
        deepest = {"softplus": 1024, "tanh": 1024, "gelu": 1024, "relu": 1024, "erf": 1024, "silu": 1024}
    probes = stacked[[0, 1, COUNT]]
    deep = [_resnets(activation, L, probes) for activation, L in config.progress(deepest.items(), "depth")]
    relu = next(found for found in deep if found.activation == "relu")
    smooth = [found for found in deep if found is not relu]
    return Result(
        claims=[
            _fluctuation(config, wide, rows), _mean(wide), _paths(wide),
            _depth_rate(smooth), _one_limit(smooth), _outside(relu), _parameters(wide[0]),
        ],
        agreements=[
            *_limit_roads(deep, probes), *_finite_roads(config, stacked), *(_monte_carlo(found) for found in wide),
        ],
        experiment=(
            rf"$K_\theta$ of Neural ODEs with $T = 1$ and growing width $n$, at {COUNT} images of digits (3 and 8) and "
            rf"{COUNT} random points of the sphere $S^{{63}}$, against $K_\infty$. Each path is one infinite random "
            r"array $(U, W, v)$ of $N(0, 1)$ entries; the network of width $n$ is its upper left block, so that one "
            r"array gives a whole sequence $n \to \infty$. Then $K_\infty^L$ of ResNets of depth $L$ against "
            r"$K_\infty$, for one input with itself and two others. Intervals come from the independent paths."
        ),
        size={
            "n": wide[0].widths.astype(int), "d": DIM, "N": 2 * COUNT, "paths": len(wide[0].kernel),
            "L": f"1 to {max(deepest.values())}", "activations": list(deepest),
        },
        figure=_figure(wide[0], rows, deep),
        alt=(
            "Two log-log panels. Above: relative error of the NTK against width, for digits and for points on the "
            "sphere, with thin lines for single nested networks; the means fall along the dashed line of slope minus "
            "one half. Below: relative difference between the limiting kernels of ResNets and of the Neural ODE "
            "against depth; from depth 16 on all activations are parallel to the dashed line of slope minus one."
        ),
        caption=(
            rf"Above: {wide[0].activation}, root mean square over {len(wide[0].kernel)} paths with 95 % intervals, and "
            r"six single paths on the digits alone (thin), which need not fall at every step. "
            r"Below: infinitely wide ResNets; ReLU is outside the hypothesis."
        ),
        tables=[_width_table(wide, rows), _depth_table(deep)],
        scope=(
            "Almost sure convergence is a statement on infinitely many widths of almost every array: finitely many "
            "widths and paths are consistent with it and cannot prove it."
        ),
    )  # fmt: skip


def _nested(config: Config, activation: str, paths: int, widest: int, X: Array) -> Widths:
    net = NeuralODE(activation)
    widths = 2 ** np.arange(6, widest.bit_length())
    few = X[LITERAL]
    kernel = np.zeros((paths, len(widths), len(X), len(X)))
    literal = np.zeros((paths, len(widths), len(few), len(few)))
    for path in config.progress(range(paths), f"{activation}, path"):
        array = net.init(widest, DIM, seed=config.rng("infinite array", activation, path))
        for k, n in enumerate(widths.tolist()):
            theta = Params(array.U[:n], array.W[:n, :n], array.v[:n])
            kernel[path, k] = net.ntk(theta, X, solver=SOLVER)
            rescaled, parameters = _literal(net, theta)
            literal[path, k] = rescaled.ntk(parameters, few, solver=SOLVER)
    return Widths(activation, widths.astype(float), kernel, net.limit().ntk(X), literal)


def _literal(net: NeuralODE, theta: Params) -> tuple[NeuralODE, Params]:
    """The same function of x, but with W_ij ~ N(0, 1/n) as the parameters, and no factor 1/√n in front of them."""
    root = np.sqrt(theta.width)
    rescaled = NeuralODE(net.activation, net.horizon, net.sigma_u, net.sigma_w * root, net.sigma_v)
    return rescaled, Params(theta.U, theta.W / root, theta.v)


def _resnets(activation: str, deepest: int, X: Array) -> Depths:
    net = NeuralODE(activation)
    depths = [2**k for k in range(deepest.bit_length())]
    kernels = np.stack([net.limit(Euler(L)).ntk(X[:1], X)[0] for L in depths])
    return Depths(activation, kernels, net.limit().ntk(X[:1], X)[0])


# Width: K_θ → K_∞


def _slopes(values: Array, widths: Array) -> Array:
    """Least-squares exponents of positive `values` (..., widths) against width."""
    x = np.log(widths) - np.log(widths).mean()
    exponents: Array = np.log(values) @ x / (x @ x)
    return exponents


def _fluctuation(config: Config, wide: Sequence[Widths], rows: Mapping[str, slice]) -> Claim:
    """Exponent of the root mean square over paths; its interval by resampling the paths."""
    found = []
    for case in wide:
        for source, part in rows.items():
            square = case.error(part) ** 2
            chosen = config.rng("bootstrap", case.activation, source).integers(len(square), size=(4000, len(square)))
            samples = _slopes(np.sqrt(square[chosen].mean(axis=1)), case.widths)
            found.append((float(_slopes(np.sqrt(square.mean(axis=0)), case.widths)), samples))
    intervals = [_interval(samples, LEVEL) for _, samples in found]
    inside, falls = [low <= -0.5 <= high for low, high in intervals], all(high < 0 for _, high in intervals)
    slope, samples = max(found, key=lambda pair: abs(pair[0] + 0.5))
    low, high = _interval(samples, 0.95)
    return Claim(
        "width",
        r"$K_\theta \to K_\infty$: the root mean square of $\|K_\theta - K_\infty\| / \|K_\infty\|$ over random "
        r"networks decays as $n^{-1/2}$ (measured: the exponent furthest from $-1/2$).",
        Verdict.HOLDS_WITH_SCOPE if all(inside) else Verdict.UNDECIDED if falls else Verdict.FAILS,
        measured=slope,
        predicted=-0.5,
        uncertainty=(high - low) / 2,
        scope=PARAMETERISATION if all(inside) else OFF_RATE,
    )


def _interval(samples: Array, level: float) -> tuple[float, float]:
    low, high = np.quantile(samples, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _mean(wide: Sequence[Widths]) -> Claim:
    """Regress each path's error on 1 and 1/n: independent paths make the intercepts independent."""
    results = []
    for case in wide:
        weights = np.sqrt(case.widths)  # the variance falls like 1/n
        design = np.stack([np.ones_like(case.widths), 1 / case.widths], axis=1)
        solve = np.linalg.pinv(design * weights[:, None]) * weights
        results.append(_student(case.along_limit @ solve[0]))
    mean, half, wider = max(results, key=lambda result: abs(result[0]) / result[2])
    return Claim(
        "mean",
        r"The limit is $K_\infty$ and not another kernel: the mean of $\langle K_\theta - K_\infty, K_\infty \rangle / "
        r"\|K_\infty\|^2$, extrapolated to $n = \infty$ with a bias $C/n$, is zero.",
        Verdict.HOLDS if abs(mean) <= wider else Verdict.FAILS,
        measured=mean,
        predicted=0,
        uncertainty=half,
    )


def _student(values: Array) -> tuple[float, float, float]:
    """Mean of independent numbers, and the half-widths of its intervals at 95 % and at `LEVEL`."""
    error = float(values.std(ddof=1)) / np.sqrt(values.size)
    half, wider = (float(stats.t.ppf((1 + level) / 2, values.size - 1)) * error for level in (0.95, LEVEL))
    return float(values.mean()), half, wider


def _paths(wide: Sequence[Widths]) -> Claim:
    errors = [(case.error(slice(None)), case.widths) for case in wide]
    closer = sum(int(np.sum(error[:, -1] < error[:, 0])) for error, _ in errors)
    everything = sum(len(error) for error, _ in errors)
    slope, half, wider = _student(np.concatenate([_slopes(*pair) for pair in errors]))
    on_rate = abs(slope + 0.5) <= wider and slope + wider < 0
    return Claim(
        "paths",
        rf"Along nested networks single paths approach $K_\infty$, {closer} of {everything} of them with a smaller "
        r"error at the largest width than at the smallest (measured: the exponent of a path, in the mean).",
        Verdict.HOLDS if on_rate else Verdict.UNDECIDED if slope + wider < 0 else Verdict.FAILS,
        measured=slope,
        predicted=-0.5,
        uncertainty=half,
        scope="" if on_rate else OFF_RATE,
    )


def _monte_carlo(case: Widths) -> Agreement:
    """Mean over paths at the largest width against K_∞, entry by entry, in standard errors."""
    kernels = case.kernel[:, -1]
    upper = np.triu_indices(kernels.shape[1])
    paths = len(kernels)
    error = kernels.std(axis=0, ddof=1) / np.sqrt(paths)
    distance = np.abs(kernels.mean(axis=0) - case.limit) / error
    return Agreement(
        rf"$K_\infty$ ({case.activation}, each entry, in standard errors; {paths} networks, $n={case.widths[-1]:g}$)",
        ("Gauss scheme", "Monte Carlo"),
        float(distance[upper].max()),
        float(stats.t.ppf(1 - (1 - LEVEL) / (2 * upper[0].size), paths - 1)),
        f"Student's interval for {upper[0].size} entries at once (Bonferroni, {LEVEL:.1%}); a bias O(1/n) is below it",
    )


# Depth: K_∞^L → K_∞


def _depth_rate(deep: Sequence[Depths]) -> Claim:
    worst = max(deep, key=lambda found: abs(found.slope.slope + 1))
    return Claim(
        "depth",
        rf"$K_\infty^L$ approaches $K_\infty$ as $1/L$ for smooth $\phi$: the slope over $L \ge {SHALLOWEST}$ is "
        rf"$-1 \pm {TOLERANCE}$ (measured: {worst.activation}, the one furthest from $-1$).",
        Verdict.HOLDS if abs(worst.slope.slope + 1) <= TOLERANCE else Verdict.FAILS,
        measured=worst.slope.slope,
        predicted=-1,
        uncertainty=worst.slope.uncertainty,
    )


def _apart(found: Depths) -> tuple[float, float]:
    """Relative distance of the extrapolated ResNets from K_∞, and what the error estimates allow."""
    limit, error = found.extrapolated
    promised = 1e-9 if found.activation == "relu" else 1e-12
    return float(np.abs(limit - found.limit).max() / np.abs(found.limit).max()), error + promised


def _one_limit(deep: Sequence[Depths]) -> Claim:
    difference, allowed = max((_apart(found) for found in deep), key=lambda pair: pair[0] / pair[1])
    return Claim(
        "same-limit",
        r"$\lim_{L \to \infty} K_\infty^L = K_\infty$ for smooth $\phi$: Richardson's limit of the ResNets alone meets "
        r"the kernel of the Neural ODE (measured: relative difference where it is largest beside its error estimate).",
        Verdict.HOLDS if difference <= allowed else Verdict.FAILS,
        measured=difference,
        predicted=0,
        uncertainty=allowed,
    )


def _outside(found: Depths) -> Claim:
    difference, allowed = _apart(found)
    holds = abs(found.slope.slope + 1) <= TOLERANCE and difference <= allowed
    return Claim(
        "relu",
        r"ReLU, outside the hypothesis because $\phi'$ jumps: at infinite width $K_\infty^L$ still approaches "
        rf"$K_\infty$ as $1/L$ (relative difference of Richardson's limit: {difference:.0e}).",
        Verdict.HOLDS if holds else Verdict.UNDECIDED,
        measured=found.slope.slope,
        predicted=-1,
        uncertainty=found.slope.uncertainty,
        scope="" if holds else "No theorem predicts this rate for ReLU.",
    )


def _limit_roads(deep: Sequence[Depths], X: Array) -> list[Agreement]:
    net = NeuralODE("softplus", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    cosines = (X[:1] @ X.T)[0]
    coarse, fine = (limit_kernel(net, cosines, nodes, points) for nodes, points in ((8, 40), (10, 48)))
    worst = max(deep, key=lambda found: _apart(found)[0] / _apart(found)[1])
    difference, allowed = _apart(worst)
    identity, Z, L = NeuralODE("identity", horizon=1.3, sigma_w=0.8), 0.8 * 1.3, 32
    square = comb(L, np.arange(L + 1)) ** 2 * (Z / L) ** (2 * np.arange(L + 1))
    bessel = 2 * iv(0, 2 * Z) + Z * iv(1, 2 * Z)
    return [
        compare(
            r"$K_\infty$ (softplus, $T = 1.3$, $\sigma_u = 0.9$, $\sigma_w = 0.8$, $\sigma_v = 1.1$)",
            {"Gauss scheme": net.limit().ntk(X[:1], X)[0], "written out by hand": fine},
            allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
            because="1e-12 promised by Gauss, plus the change of the tensor quadrature from 40 to 48 points",
        ),
        Agreement(
            rf"$K_\infty$ ({worst.activation}, worst of {len(deep)} activations)",
            ("Gauss scheme", "Richardson on ResNets"),
            difference, allowed, "the last change of the extrapolation, plus the accuracy promised by Gauss",
        ),
        compare(
            r"$K_\infty$ (identity, $T = 1.3$, $\sigma_w = 0.8$)",
            {"Gauss scheme": identity.limit().ntk(X[:1], X)[0], "Bessel functions": bessel * cosines},
            allowed=1e-12, because="promised by Gauss",
        ),
        compare(
            rf"$K_\infty^{{{L}}}$ (identity, $T = 1.3$, $\sigma_w = 0.8$)",
            {
                "Euler scheme": identity.limit(Euler(L)).ntk(X[:1], X)[0],
                "binomial sum": float(np.sum((2 + np.arange(L + 1)) * square)) * cosines,
            },
            allowed=4 * L * float(np.finfo(float).eps), because="roundings of sums of L terms, forward and backward",
        ),
    ]  # fmt: skip


# Parameters: which θ the theorem is about


def _parameters(case: Widths) -> Claim:
    slope, half, wider = _student(_slopes(case.weight_block, case.widths))
    total = _student(_slopes(np.linalg.norm(case.literal, axis=(2, 3)), case.widths))[0]
    diverges = abs(slope - 1) <= max(wider, 0.05) and total > 0.5
    return Claim(
        "parameters",
        r"Which $\theta$: with $W_{ij} \sim N(0, 1/n)$ taken literally as the parameters, $f$ is the same function of "
        r"$x$, but $\nabla_W f$ is $\sqrt{n}$ times and the $W$ block of $K_\theta$ is $n$ times as large (measured: "
        rf"the exponent with which that block grows; that of all of $K_\theta$ is {total:.2f}).",
        Verdict.HOLDS_WITH_SCOPE if diverges else Verdict.UNDECIDED,
        measured=slope,
        predicted=1,
        uncertainty=half,
        scope=PARAMETERISATION if diverges else "The literal kernel does not grow as a factor $n$ predicts.",
    )


def _finite_roads(config: Config, X: Array) -> list[Agreement]:
    net, n = NeuralODE("softplus"), 64
    theta = net.init(n, DIM, seed=config.rng("contraction"))
    kernel, along_ivp = net.ntk(theta, X, solver=SOLVER), net.ntk(theta, X, solver=SolveIVP())
    rounding = 4 * n * float(np.finfo(float).eps)
    J = net.jacobian(theta, X, solver=SOLVER)
    U, W, v = (block.reshape(len(X), -1) for block in (J.U, J.W, J.v))
    rescaled, parameters = _literal(net, theta)
    return [
        compare(
            rf"$K_\theta$ (softplus, $n = {n}$)",
            {"Gauss collocation": kernel, "product of Jacobians": U @ U.T + W @ W.T + v @ v.T},
            allowed=rounding, because="roundings of sums of n terms, forward, backward and in the contraction",
        ),
        compare(
            rf"$K_\theta$ (softplus, $n = {n}$, {SOLVER.nodes} Gauss nodes)",
            {"Gauss collocation": kernel, "scipy.integrate": along_ivp},
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
        ),
        compare(
            rf"$K_\theta$ of literal parameters (softplus, $n = {n}$)",
            {
                "Gauss collocation": rescaled.ntk(parameters, X, solver=SOLVER),
                "product of Jacobians": U @ U.T + n * (W @ W.T) + v @ v.T,
            },
            allowed=rounding, because="roundings of sums of n terms, forward, backward and in the contraction",
        ),
    ]  # fmt: skip


# The report


def _figure(case: Widths, rows: Mapping[str, slice], deep: Sequence[Depths]) -> Figure:
    figure, (above, below) = new_figure(rows=2)
    title = f"wide networks, {case.activation}"
    loglog(above, "width $n$", r"$\|K_\theta - K_\infty\| / \|K_\infty\|$", xticks=case.widths, title=title)
    above.plot(case.widths, case.error(rows["digits"])[:6].T, color=GREY, linewidth=0.5, alpha=0.6, zorder=1)
    for index, (source, part) in enumerate(rows.items()):
        rms, spread = _rms(case.error(part))
        label = {"digits": "digits", "sphere": "random points"}[source]
        series(above, case.widths, rms, label=label, index=index, spread=spread)
    start = (case.widths[0], _rms(case.error(rows["digits"]))[0][0])
    guide(above, case.widths, slope=-0.5, through=start, label="predicted $n^{-1/2}$")
    depths = max((found.depths for found in deep), key=len)
    title = "infinitely wide ResNets"
    loglog(below, "depth $L$", r"$|K_\infty^L - K_\infty| / |K_\infty|$", xticks=depths, title=title)
    for index, found in enumerate(deep):
        series(below, found.depths, found.error, label=found.activation, index=index)
    end = (deep[0].depths[-1], deep[0].error[-1])
    guide(below, depths, slope=-1, through=end, label="predicted $L^{-1}$")
    return figure


def _rms(errors: Array) -> tuple[Array, Array]:
    """Root mean square over paths, and the half-width of its 95 % interval (delta method)."""
    square = errors**2
    rms = np.sqrt(square.mean(axis=0))
    t = stats.t.ppf(0.975, len(errors) - 1)
    return rms, t * square.std(axis=0, ddof=1) / np.sqrt(len(errors)) / (2 * rms)


def _width_table(wide: Sequence[Widths], rows: Mapping[str, slice]) -> Table:
    table: list[Sequence[Value]] = []
    for case in wide:
        digits, sphere = (_rms(case.error(part)) for part in rows.values())
        for k, n in enumerate(case.widths.astype(int).tolist()):
            mean, half, _ = _student(case.along_limit[:, k])
            block = float(case.weight_block[:, k].mean())
            row = (digits[0][k], digits[1][k], sphere[0][k], sphere[1][k], mean, half, n * (abs(mean) + half), block)
            table.append((f"{case.activation}, $n = {n}$", *map(_round, row)))
    head = ["network", "digits", "±", "sphere", "±", "mean error", "±", "largest $C$", r"literal $\|n K_W\|$"]
    caption = (
        r"Relative error of $K_\theta$: root mean square over paths; mean along $K_\infty$, and the largest $C$ for "
        r"which a bias $C/n$ is consistent with it (all ± are 95 %)"
    )
    return Table(caption, head, table)


def _depth_table(deep: Sequence[Depths]) -> Table:
    table: list[Sequence[Value]] = []
    for found in deep:
        coefficient = float(found.depths[-1] * found.error[-1])
        row = (found.slope.slope, found.slope.uncertainty, coefficient, *_apart(found))
        table.append((found.activation, int(found.depths[-1]), *map(_round, row)))
    head = ["activation", "largest $L$", "slope", "±", r"$L$ × error", r"Richardson − $K_\infty$", "allowed"]
    return Table(rf"$K_\infty^L$ against $K_\infty$, relative; slopes over $L \ge {SHALLOWEST}$", head, table)


def _round(value: float) -> float:
    return float(f"{value:.4g}")
