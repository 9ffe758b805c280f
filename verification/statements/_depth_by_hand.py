"""The constant of proposition 2 and what it bounds, on roads that share nothing with the package but φ and φ'."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import numpy as np
from scipy.integrate import quad

from refimpl import NeuralODE, Params, SolveIVP
from verification.statements._data import Array
from verification.statements._depth_bounds import QUANTITIES, Instance
from verification.statements._depth_counterexamples import concentrated
from verification.statements._expansion import flat
from verification.statements._resnets import backpropagate


def constants(net: NeuralODE, theta: Params, X: Array, mean: bool = False) -> dict[str, Array]:
    """C of every quantity of `QUANTITIES`, (N,) or (N, N), from the sums of docs/mathematics.md, Depth, as integrals.

    `refimpl.theory` has done most of these integrals by hand; here QUADPACK does them all. With `mean` in the mean
    square over v.
    """
    n, T, ell = theta.width, net.horizon, net.phi.lipschitz
    W, root = net.sigma_w / math.sqrt(n) * theta.W, math.sqrt(n)
    w = math.sqrt(float(np.linalg.eigvalsh(W.T @ W)[-1]))
    out = net.sigma_v if mean else net.sigma_v / root * float(np.linalg.norm(theta.v))
    m, kappa = net.phi.dlipschitz / (root if mean else 1), ell * w
    rows = []
    for x in X:
        phi = net.phi.phi(net.sigma_u * theta.U @ x)
        S, start, length = float(np.linalg.norm(W @ phi)), float(np.linalg.norm(phi)), float(np.linalg.norm(x))
        rows.append(_one(net, T, ell, m, w, kappa, out, S, start, net.sigma_u * length, root, mean))
    found = {name: np.asarray([row[name] for row in rows]) for name in rows[0]}
    size = found.pop("size")
    gradient: Array = np.sqrt(found["U"] ** 2 + found["W"] ** 2 + found["v"] ** 2)
    return {**found, "gradient": gradient, "ntk": np.outer(gradient, size) + np.outer(size, gradient)}


def _one(
    net: NeuralODE, T: float, ell: float, m: float, w: float, kappa: float, out: float, S: float, start: float,
    length: float, root: float, mean: bool,
) -> dict[str, float]:  # fmt: skip
    """The constants at one input, with the names of the derivation."""

    def integral(f: Callable[[float], float], a: float, b: float) -> float:
        return float(quad(f, a, b, epsabs=0.0, epsrel=1e-11)[0]) if b > a else 0.0

    def Lam(t: float) -> float:
        return ell * out * math.exp(kappa * (T - t))

    def Phi(t: float) -> float:
        return start + ell * S * integral(lambda s: math.exp(kappa * s), 0.0, t)

    def E(t: float) -> float:
        return integral(lambda s: kappa * S * math.exp(kappa * s) / 2 * math.exp(kappa * (t - s)), 0.0, t)

    end = E(T)

    def D(t: float) -> float:
        missed = integral(
            lambda s: (kappa**2 * Lam(s) / 2 + m * w * S * Lam(0.0) * (1 + kappa * s) / 2) * math.exp(kappa * (s - t)),
            t,
            T,
        )
        return m * out * math.exp(kappa * (T - t)) * end + missed

    of_W = integral(
        lambda t: (D(t) + kappa * Lam(t) / 2) * Phi(t) + Lam(t) * ell * (E(t) + S * math.exp(kappa * t) / 2), 0.0, T
    )
    size = math.hypot(
        length * Lam(0.0),
        net.sigma_w / root * integral(lambda t: Lam(t) * Phi(t), 0.0, T),
        net.sigma_v / root * Phi(T),
    )
    return {
        "output": T * ell * out * end / (root if mean else 1.0), "U": T * length * D(0.0),
        "W": T * net.sigma_w / root * of_W, "v": T * net.sigma_v / root * ell * end, "size": size,
    }  # fmt: skip


def quotients(found: Instance, rtol: float) -> dict[str, Array]:
    """L ‖q^L − q‖ / C of an instance: backpropagation written out, SolveIVP, and `constants`."""
    net, theta, X = found.network
    C, exact = constants(net, theta, X), net.jacobian(theta, X, SolveIVP(rtol=rtol, atol=rtol / 100))
    rows: dict[str, list[float]] = {name: [] for name in QUANTITIES}
    for L in found.depths.astype(int).tolist():
        layers = backpropagate(net, theta, X, L)
        a, b = flat(layers), flat(exact)
        apart = {name: (getattr(layers, name) - getattr(exact, name)).reshape(len(X), -1) for name in ("U", "W", "v")}
        errors = {name: np.linalg.norm(difference, axis=1) for name, difference in apart.items()}
        errors |= {"output": np.abs(apart["v"] @ theta.v), "gradient": np.linalg.norm(a - b, axis=1)}
        errors["ntk"] = np.abs(a @ a.T - b @ b.T)
        for name in QUANTITIES:
            with np.errstate(divide="ignore", invalid="ignore"):
                rows[name].append(float(np.max(np.where(errors[name] > 0, L * errors[name] / C[name], 0.0))))
    return {name: np.asarray(row) for name, row in rows.items()}


def largest(net: NeuralODE, theta: Params, X: Array, depths: tuple[int, ...], finest: int) -> tuple[float, float]:
    """sup_L L ‖∇f^L − ∇f‖, root mean square over X, of the given depths and L → ∞; and its error.

    Backpropagation written out against SolveIVP; the limit by Richardson's scheme up to the depth `finest`.
    """
    exact = flat(net.jacobian(theta, X, SolveIVP(rtol=1e-12, atol=1e-14)))

    def scaled(L: int) -> Array:
        difference: Array = L * (flat(backpropagate(net, theta, X, L)) - exact)
        return difference

    limit, change = richardson([scaled(finest // 2**k) for k in (3, 2, 1, 0)])
    sizes = [math.sqrt(float(np.mean(np.sum(part**2, axis=1)))) for part in (*map(scaled, depths), limit)]
    return max(sizes), float(np.linalg.norm(change)) if max(sizes) == sizes[-1] else 0.0


def richardson(column: list[Array]) -> tuple[Array, Array]:
    """The limit of values at depths that double, by powers of 1/L; and the last change of it."""
    before = column
    for order in range(1, len(column)):
        before, column = column, [b + (b - a) / (2**order - 1) for a, b in pairwise(column)]
    return column[0], column[0] - before[-1]


def concentrated_limit(n: int, finest: int) -> tuple[float, float]:
    """lim L ‖∂f^L/∂U − ∂f/∂U‖ of the network of two neurons with norms of the order √n, and its error."""
    net, theta, X = concentrated(n, width=2)
    loose, exact = (net.jacobian(theta, X, SolveIVP(rtol=r, atol=r / 10)).U[0, :, 0] for r in (1e-10, 1e-12))
    depths = [finest // 2**k for k in (4, 3, 2, 1, 0)]
    limit, change = richardson([L * (backpropagate(net, theta, X, L).U[0, :, 0] - exact) for L in depths])
    return float(np.linalg.norm(limit)), float(np.linalg.norm(change) + finest * np.linalg.norm(exact - loose))
