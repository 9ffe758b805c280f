"""The experiments with φ(z) = z²/2: blow-up times of random networks, ResNets on both sides, kernels below."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy import stats

from refimpl import BlowUpError, Gauss, NeuralODE, Params, SolveIVP
from refimpl.data import sphere
from verification import Config
from verification.statements._data import DIM, Array
from verification.statements._escape import escape, log_norms
from verification.statements._horizons import EPS, cosines

PATIENCE = 100.0
"""Times beyond which no blow-up is looked for."""

BELOW = 0.5
"""T of the experiments well below the blow-up, at 1.93 in the limit."""


@dataclass(frozen=True)
class Times:
    """Blow-up times of independent networks of one width, inf beyond `PATIENCE`; sorted."""

    width: int
    values: Array

    def fraction(self, T: float) -> tuple[float, float, float]:
        """Fraction solvable to T, with Wilson's 95 % interval."""
        alive = int(np.sum(self.values > T))
        found = stats.binomtest(alive, self.values.size).proportion_ci(method="wilson")
        return alive / self.values.size, float(found.low), float(found.high)

    def quantile(self, p: float) -> float:
        """Empirical quantile; may be inf."""
        return float(self.values[min(int(p * self.values.size), self.values.size - 1)])

    def median_interval(self, level: float) -> tuple[float, float]:
        """Distribution-free interval of the median, from order statistics."""
        k = int(stats.binom.ppf((1 - level) / 2, self.values.size, 0.5))
        return float(self.values[max(k - 1, 0)]), float(self.values[min(self.values.size - k, self.values.size - 1)])

    @property
    def spread(self) -> float:
        """Distance of the quartiles."""
        return self.quantile(0.75) - self.quantile(0.25)


def system(theta: Params, x: Array) -> tuple[Array, Array]:
    """W/√n and h_0 at σ = 1."""
    return theta.W / math.sqrt(theta.width), theta.U @ x


def network(config: Config, width: int, draw: int) -> Params:
    return NeuralODE("quadratic").init(width, DIM, seed=config.rng("theta", width, draw))


def blow_up_times(config: Config, x: Array, counts: Mapping[int, int]) -> list[Times]:
    """By width, for as many networks as asked for."""
    found = []
    for width, draws in config.progress(counts.items(), "width"):
        times = [escape(*system(network(config, width, draw), x), patience=PATIENCE) for draw in range(draws)]
        found.append(Times(width, np.sort(times)))
    return found


@dataclass(frozen=True)
class Beyond:
    """log ‖h^L‖ of one network's ResNets with the horizon `ratio` × t*."""

    ratio: float
    depths: Array
    logs: Array

    @property
    def doublings(self) -> Array:
        """log₂ log ‖h^L‖."""
        values: Array = np.log2(self.logs)
        return values

    @property
    def rate(self) -> float:
        """Doublings of log ‖h‖ a layer, between the two deepest."""
        return float((self.doublings[-1] - self.doublings[-2]) / (self.depths[-1] - self.depths[-2]))

    @property
    def predicted(self) -> float:
        """The layers that lie beyond t*, as a fraction of all."""
        return 1 - 1 / self.ratio

    @property
    def allowed(self) -> float:
        """Layers by which the ResNet is late: it follows h ~ c/(t* − t) until about one layer before t*, and the delay
        grows like log L; its slope between L/2 and L is at most a few times (log 2)/(L/2).
        """
        return 4 * math.log(2) / (float(self.depths[-1]) / 2)


def beyond(theta: Params, x: Array, time: float, ratio: float, depths: Array) -> Beyond:
    W, h0 = system(theta, x)
    logs = [log_norms(W, h0, ratio * time, depth) for depth in depths.astype(int).tolist()]
    return Beyond(ratio, depths, np.asarray(logs))


@dataclass(frozen=True)
class Below:
    """Networks at T = `BELOW`, those that did not escape.

    Parameters
    ----------
    widths, error : array, shape (networks,)
        n and ‖K_θ − K_∞‖ / ‖K_∞‖.
    escaped : int
        How many others there were.
    roads : (float, float)
        Largest distance of Gauss from DOP853 in K_θ, and what it may be.
    """

    widths: Array
    error: Array
    escaped: int
    roads: tuple[float, float]


def kernels_below(config: Config, X: Array, widths: list[int], draws: int) -> Below:
    net, kept, escaped = NeuralODE("quadratic", horizon=BELOW), [], 0
    limit = net.limit().ntk(X)
    for width in widths:
        for draw in range(draws):
            theta = network(config, width, draw)
            try:
                K = net.ntk(theta, X, solver=Gauss(rtol=1e-8))
            except BlowUpError:
                escaped += 1
                continue
            kept.append((width, float(np.linalg.norm(K - limit) / np.linalg.norm(limit))))
    theta = network(config, widths[0], 0)
    found = {
        "Gauss": net.ntk(theta, X, solver=Gauss()),
        "loose": net.ntk(theta, X, solver=SolveIVP(rtol=1e-9, atol=1e-11)),
        "tight": net.ntk(theta, X, solver=SolveIVP(rtol=1e-11, atol=1e-13)),
    }
    size = float(np.abs(found["Gauss"]).max())
    apart = float(np.abs(found["tight"] - found["Gauss"]).max()) / size
    roads = (apart, 2e-12 + float(np.abs(found["loose"] - found["tight"]).max()) / size)
    columns = np.asarray(kept).T
    return Below(columns[0], columns[1], escaped, roads)


@dataclass(frozen=True)
class Spectrum:
    """λ_min of K_∞ at T = 1 on random points, and its noise floor, by dimension and number."""

    dim: int
    counts: tuple[int, ...]
    smallest: Array
    floor: Array


def spectra(config: Config) -> list[Spectrum]:
    """Random points in 2, 3, 8 and 64 dimensions."""
    curve = NeuralODE("quadratic").limit().on_sphere()
    counts = (4, 8, 16, 32, 64, *((128, 256) if config.full else ()))
    found = []
    for dim in (2, 3, 8, 64):
        points = sphere(counts[-1], dim, seed=config.rng("points", dim))
        K = curve(cosines(points))
        values = [np.linalg.eigvalsh(K[:N, :N]) for N in counts]
        smallest = np.asarray([each[0] for each in values])
        floor = np.asarray([N * (EPS * each[-1] + curve.error) for N, each in zip(counts, values, strict=True)])
        found.append(Spectrum(dim, counts, smallest, floor))
    return found
