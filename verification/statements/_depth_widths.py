"""The constant of proposition 2 at random parameters of growing width, and the rate of K_∞^L."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy import stats
from scipy.special import iv

from refimpl import Euler, NeuralODE, data
from refimpl.theory import depth_bound, mean_depth_bound
from verification import Config
from verification.statements._data import Array
from verification.statements._expansion import expansion, flat

DEPTHS = (1, 2, 4, 8, 16)

DIM = 8


@dataclass(frozen=True)
class Widths:
    """One activation at many widths, every entry an independent network, at two inputs of the sphere.

    Parameters
    ----------
    largest : array, shape (draws, widths)
        The larger of max_L L ‖∇f^L − ∇f‖ over `DEPTHS` and its limit L → ∞; root mean square over the inputs.
    ntk : array, shape (draws, widths, 2)
        lim L (K_θ^L − K_θ) at (x, x) and (x, x̄).
    bound, mean_bound : array, shape (draws, widths)
        The constants of `depth_bound` and `mean_depth_bound`; root mean square over the inputs.
    """

    activation: str
    widths: Array
    largest: Array
    ntk: Array
    bound: Array
    mean_bound: Array

    def exponent(self, values: Array, level: float = 0.95) -> tuple[float, float]:
        """Exponent in n of `values` (draws, widths), fitted draw by draw, and the half-width of Student's interval."""
        x = np.log(self.widths) - np.log(self.widths).mean()
        slopes = np.log(values) @ x / (x @ x)
        error = slopes.std(ddof=1) / np.sqrt(slopes.size)
        return float(slopes.mean()), float(stats.t.ppf((1 + level) / 2, slopes.size - 1) * error)


def points(config: Config) -> Array:
    X: Array = data.sphere(2, DIM, seed=config.rng("two points"))
    return X


def widths(config: Config, activation: str, sizes: tuple[int, ...], draws: int) -> Widths:
    net, X, cells = NeuralODE(activation), points(config), [(i, k) for i in range(draws) for k in range(len(sizes))]
    largest, bound, mean_bound = np.zeros((3, draws, len(sizes)))
    ntk = np.zeros((draws, len(sizes), 2))
    for i, k in config.progress(cells, f"width, {activation}"):
        theta = net.init(sizes[k], DIM, seed=config.rng("width", activation, sizes[k], i))
        found = expansion(net, theta, X, rtol=1e-8)
        exact = flat(found.gradient)
        scaled = [L * (flat(net.jacobian(theta, X, Euler(L))) - exact) for L in DEPTHS]
        largest[i, k] = max(_rms(np.linalg.norm(d, axis=1)) for d in (*scaled, flat(found.coefficient)))
        ntk[i, k] = found.ntk[0]
        bound[i, k], mean_bound[i, k] = (_rms(b(net, theta, X).gradient) for b in (depth_bound, mean_depth_bound))
    return Widths(activation, np.asarray(sizes, dtype=float), largest, ntk, bound, mean_bound)


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))


def limit_coefficient(net: NeuralODE, X: Array, finest: int) -> tuple[Array, Array]:
    """lim L (K_∞^L − K_∞) at (x, x) and (x, x̄) from depths up to `finest`, and the last change of the extrapolation."""
    exact = net.limit().ntk(X[:1], X)[0]
    column = [L * (net.limit(Euler(L)).ntk(X[:1], X)[0] - exact) for L in (finest // 2**k for k in (4, 3, 2, 1, 0))]
    before = column
    for order in range(1, len(column)):
        before, column = column, [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
    return column[0], np.abs(column[0] - before[-1])


def linear_coefficient(net: NeuralODE, X: Array) -> Array:
    """The same for φ(z) = z: −q σ_v² [4 Z² I₂(2Z) + Z³ I₃(2Z)], Z = σ_w T."""
    Z = net.sigma_w * net.horizon
    closed: Array = (
        -(net.sigma_u**2) * net.sigma_v**2 * (4 * Z**2 * iv(2, 2 * Z) + Z**3 * iv(3, 2 * Z)) * (X[:1] @ X.T)[0]
    )
    return closed
