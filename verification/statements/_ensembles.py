"""K_θ of thousands of small random networks at once: mean and spread of the error at one width, kept apart.

The mean of K_θ − K_∞ is of order 1/n and a single network strays from it by 1/√n, so that the mean is seen on many
networks only. All networks of one width are solved together, by collocation at `NODES` Gauss nodes written out here;
sums over neurons whose expectations are known exactly take most of the spread out of the mean (control variates).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from refimpl import Gauss, NeuralODE
from refimpl.infinite.dual import dual
from refimpl.scheme import Scheme, gauss
from verification import Config
from verification.statements._data import Array, Mask

NODES = 3
"""For smooth φ; the error of the quadrature is that of K_∞ with as many nodes, which is computed and stated."""

KINKED_NODES = 12

SWEEPS = 60
"""Of the fixed point at most: it converges like κ^k / k!, κ = ℓ ‖σ_w W/√n‖ T."""

SETTLED = 1e-8
"""Largest change in the last sweep."""

PAIR = np.asarray([[1.0, 0.0], [0.5, np.sqrt(0.75)]])
"""Two inputs at an angle of 60°: at initialisation the law of the network depends on their Gram matrix only."""


@dataclass(frozen=True)
class Batch:
    """Independent networks of one width.

    Parameters
    ----------
    kernel : array, shape (draws, N, N)
        K_θ.
    controls : array, shape (draws, m)
        Control variates, of mean zero.
    settled : array of bool, shape (draws,)
        Whether the fixed points were reached in `SWEEPS` sweeps.
    """

    kernel: Array
    controls: Array
    settled: Mask


@dataclass(frozen=True)
class Ensemble:
    """Error of K_θ along K_∞, e = ⟨K_θ − K_∞, K_∞⟩ / ‖K_∞‖², of independent networks of several widths.

    Parameters
    ----------
    errors : tuple of arrays, shape (draws of that width,)
    controls : tuple of arrays, shape (draws of that width, m)
        Control variates of the same networks.
    mean, mean_error : array, shape (widths,)
        E e with control variates, and its standard error.
    quadrature : float
        |e| of the infinitely wide network with as many nodes: what the mean may be off by.
    """

    activation: str
    widths: Array
    errors: tuple[Array, ...]
    controls: tuple[Array, ...]
    mean: Array
    mean_error: Array
    quadrature: float


def ensemble(config: Config, activation: str, draws: Mapping[int, int], X: Array = PAIR) -> Ensemble:
    """`draws` says how many networks of each width."""
    net = NeuralODE(activation)
    nodes = KINKED_NODES if net.phi.kinks else NODES
    scheme = gauss(nodes=nodes, steps=1, horizon=net.horizon)
    limit = net.limit().ntk(X)
    size = float(np.sum(limit**2))
    errors, controls, means, standard = [], [], [], []
    for n, count in draws.items():
        parts = [batch(net, *weights, X, scheme) for weights in networks(config, activation, n, count, X.shape[1])]
        e = np.concatenate([np.sum((part.kernel - limit) * limit, axis=(1, 2)) for part in parts]) / size
        controls.append(np.concatenate([part.controls for part in parts]))
        mean, error = regressed(e, controls[-1])
        errors.append(e)
        means.append(mean)
        standard.append(error)
    coarse = net.limit(Gauss(nodes=nodes, steps=1)).ntk(X)
    off = float(abs(np.sum((coarse - limit) * limit)) / size)
    return Ensemble(
        activation, np.asarray(list(draws), dtype=float), tuple(errors), tuple(controls), np.asarray(means),
        np.asarray(standard), off,
    )  # fmt: skip


def networks(
    config: Config, activation: str, width: int, count: int, dim: int
) -> Iterator[tuple[Array, Array, Array]]:  # fmt: skip
    """U, W and v of the networks of an ensemble, in the parts that are solved together."""
    rng = config.rng("ensemble", activation, width)
    for chunk in chunks(count, width):
        yield draw(dim, width, chunk, rng)


def chunks(count: int, width: int) -> list[int]:
    """`count` networks in parts that are solved together."""
    largest = max(1, 2**21 // width**2)  # 16 MiB of weights
    return [min(largest, count - start) for start in range(0, count, largest)]


def draw(dim: int, width: int, count: int, rng: np.random.Generator) -> tuple[Array, Array, Array]:
    """U, W and v of `count` networks, N(0, 1)."""
    shapes = (count, width, dim), (count, width, width), (count, width)
    U, W, v = (rng.standard_normal(shape) for shape in shapes)
    return U, W, v


def batch(net: NeuralODE, U: Array, W: Array, v: Array, X: Array, scheme: Scheme) -> Batch:
    """K_θ of all networks, by (B)–(E)."""
    count, n, _ = U.shape
    A, b = np.asarray(scheme.matrix), np.asarray(scheme.weights)
    phi, dphi, shape = net.phi.phi, net.phi.dphi, (count, n, b.size, len(X))
    W, v = net.sigma_w / np.sqrt(n) * W, net.sigma_v / np.sqrt(n) * v
    WT = W.transpose(0, 2, 1)
    h0 = net.sigma_u * U @ X.T

    def times(M: Array, z: Array) -> Array:
        product: Array = (M @ z.reshape(count, n, -1)).reshape(z.shape)
        return product

    def fixed_point(sweep: Callable[[Array], Array], start: Array) -> tuple[Array, Mask]:
        z, change = np.broadcast_to(start[:, :, None], shape), np.full(count, np.inf)
        for _ in range(SWEEPS):
            before, z = z, start[:, :, None] + sweep(z)
            change = np.abs(z - before).max(axis=(1, 2, 3))
            if (change < SETTLED).all():
                break
        return z, change < SETTLED

    h, forward = fixed_point(lambda z: A @ times(W, phi(z)), h0)
    at_nodes, slope = phi(h), dphi(h)
    hT = h0 + np.einsum("j,bnjk->bnk", b, times(W, at_nodes))
    adjoint = (b[:, None] * A / b).T
    lamT = dphi(hT) * v[:, :, None]
    lam, backward = fixed_point(lambda z: adjoint @ (slope * times(WT, z)), lamT)
    lam0 = lamT + np.einsum("j,bnjk->bnk", b, slope * times(WT, lam))

    def gram(z: Array) -> Array:
        flat = z.reshape(count, n, -1)
        product: Array = flat.transpose(0, 2, 1) @ flat
        return product

    weighted = gram(lam) * gram(at_nodes * b[:, None])
    of_W = net.sigma_w**2 / n * weighted.reshape(count, b.size, len(X), b.size, len(X)).sum(axis=(1, 3))
    kernel = net.sigma_u**2 * gram(lam0) * (X @ X.T) + of_W + net.sigma_v**2 / n * gram(phi(hT))
    return Batch(kernel, _controls(net, X, h0, W, v), forward & backward)


def _controls(net: NeuralODE, X: Array, h0: Array, W: Array, v: Array) -> Array:
    """Averages over neurons at t = 0 minus their expectations, which are exact at every width."""
    n, q = h0.shape[1], net.sigma_u**2 * X @ X.T
    s = np.diagonal(q)
    phi, slope = net.phi.phi(h0), net.phi.dphi(h0)
    back = slope * v[:, :, None] * np.sqrt(n)  # √n λ_T of the network with T = 0
    g, y = W @ phi, W.transpose(0, 2, 1) @ back
    Sigma, D = dual(net.phi, s, s).both(q)
    upper = np.triu_indices(len(X))

    def mean(a: Array, c: Array, expected: Array | float) -> Array:
        average: Array = a.transpose(0, 2, 1) @ c / n
        return ((average + average.transpose(0, 2, 1)) / 2 - expected)[:, *upper]

    sigma_w, sigma_v = net.sigma_w**2, net.sigma_v**2
    of_v = np.sum(v**2, axis=1)[:, None] - sigma_v
    return np.concatenate(
        [
            mean(h0, h0, q), mean(phi, phi, Sigma), mean(slope, slope, D), mean(back, back, sigma_v * D), of_v,
            mean(g, g, sigma_w * Sigma), mean(y, y, sigma_w * sigma_v * D),
            mean(phi, g, 0), mean(back, y, 0), mean(h0, g, 0),
        ],
        axis=1,
    )  # fmt: skip


def regressed(values: Array, controls: Array) -> tuple[float, float]:
    """Mean of `values` (draws,) by regression on `controls` (draws, m) of mean zero, and its standard error.

    The error is that of the intercept, Var = s² (1/draws + c̄ᵀ (CᵀC)⁻¹ c̄): the slopes are estimates too.
    """
    centred, same = controls - controls.mean(axis=0), len(values) * float(np.finfo(float).eps)
    # For φ(z) = z some controls are one and the same, up to rounding.
    slopes, _, rank, _ = np.linalg.lstsq(centred, values - values.mean(), rcond=same)
    rest = values - controls @ slopes
    scatter = np.sum((rest - rest.mean()) ** 2) / (len(values) - rank - 1)
    of_slopes = float(np.sum((np.linalg.pinv(centred.T, rcond=same) @ controls.mean(axis=0)) ** 2))
    return float(rest.mean()), float(np.sqrt(scatter * (1 / len(values) + of_slopes)))
