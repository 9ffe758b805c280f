"""The explicit constant of proposition 2 on random networks of every shape."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Gauss, Jacobian, NeuralODE, Params
from refimpl.errors import AccuracyError
from refimpl.theory import DepthBound, depth_bound
from verification import Config
from verification.statements._data import Array
from verification.statements._expansion import CURVATURE, flat

EPS = float(np.finfo(float).eps)

QUANTITIES = ("output", "U", "W", "v", "gradient", "ntk")

EXTREMES = (  # activation, n, σ_w, T: one neuron, a long time, large weights
    ("tanh", 1, 1.0, 1.0), ("identity", 1, 3.0, 3.0), ("softplus", 8, 0.2, 50.0),
    ("tanh", 8, 12.0, 0.5), ("sin", 16, 3.0, 1.0), ("gelu", 16, 1.0, 3.0),
)  # fmt: skip


@dataclass(frozen=True)
class Instance:
    """One network with what L times its differences are of the bound, at the worst input.

    Parameters
    ----------
    exponent : float
        κT = Lip(φ) ‖σ_w W/√n‖ T; the bound grows like its exponential.
    depths : array, shape (depths,)
    quotients : dict from str to array, shape (depths,)
        L ‖q^L − q‖ / C for every quantity.
    allowed : dict from str to array, shape (depths,)
        1 and the roundings of either side, in the same unit.
    network : (NeuralODE, Params, array)
        The network and its inputs.
    """

    activation: str
    width: int
    exponent: float
    depths: Array
    quotients: dict[str, Array]
    allowed: dict[str, Array]
    network: tuple[NeuralODE, Params, Array]

    @property
    def holds(self) -> bool:
        return all(bool((self.quotients[q] <= self.allowed[q]).all()) for q in QUANTITIES)

    @property
    def slack(self) -> float:
        """C / sup_L L ‖∇f^L − ∇f‖: how many times too large the bound is."""
        return 1 / float(self.quotients["gradient"].max())


def instances(config: Config, count: int) -> list[Instance]:
    """The extremes, and `count` networks with n, d, T, σ's, φ, x and L at random."""
    found = []
    for i in config.progress(range(count + len(EXTREMES)), "instance"):
        rng = config.rng("instance", i)
        if i < len(EXTREMES):
            name, n, sigma_w, T = EXTREMES[i]
            net, d = NeuralODE(name, horizon=T, sigma_w=sigma_w), 2
        else:
            n, d, T = int(rng.integers(1, 17)), int(rng.integers(1, 5)), float(np.exp(rng.uniform(-2.3, 1.6)))
            net = NeuralODE(
                str(rng.choice(list(CURVATURE))), horizon=T, sigma_w=float(np.exp(rng.uniform(-3, 1))) / T,
                sigma_u=float(np.exp(rng.uniform(-1, 1))), sigma_v=float(np.exp(rng.uniform(-1, 1))),
            )  # fmt: skip
        theta, X = net.init(n, d, seed=rng), rng.standard_normal((2, d))
        found.append(instance(net, theta, X, [1, 2, *sorted(rng.integers(3, 100, size=3).tolist())]))
    return found


def instance(net: NeuralODE, theta: Params, X: Array, depths: Sequence[int]) -> Instance:
    """`Instance` of one network; differences of zero by a bound of zero are none."""
    bound = depth_bound(net, theta, X)
    exponent = (
        net.phi.lipschitz * net.horizon * net.sigma_w / math.sqrt(theta.width) * float(np.linalg.norm(theta.W, 2))
    )
    exact, reached = _most_accurate(net, theta, X)
    quotients, allowed = ({q: np.zeros(len(depths)) for q in QUANTITIES} for _ in range(2))
    unit = _sizes(bound, theta, net, X)
    for k, L in enumerate(depths):
        found = net.jacobian(theta, X, Euler(L))
        # f is linear in v, hence ⟨v, ∂f/∂v⟩
        errors = {"output": np.abs((found.v - exact.v) @ theta.v), **_apart(found, exact)}
        # Either side: a dozen roundings a step, and those of Gauss, amplified by the flow and its adjoint (Gronwall).
        rounding = (reached + 64 * EPS + L * EPS) * math.exp(2 * exponent)
        for q in QUANTITIES:
            C = getattr(bound, q)
            with np.errstate(divide="ignore", invalid="ignore"):
                quotients[q][k] = np.max(np.where(errors[q] > 0, L * errors[q] / C, 0.0))
                allowed[q][k] = 1 + np.max(np.where(errors[q] > 0, L * rounding * unit[q] / C, 0.0))
    shown = np.asarray(depths, dtype=float)
    return Instance(net.phi.name, theta.width, exponent, shown, quotients, allowed, (net, theta, X))


def _most_accurate(net: NeuralODE, theta: Params, X: Array) -> tuple[Jacobian, float]:
    """The gradient of the Neural ODE by Gauss, and the smallest tolerance that it could be had to."""
    for rtol in (1e-13, 1e-12, 1e-11, 1e-10):
        try:
            return net.jacobian(theta, X, Gauss(rtol=rtol)), rtol
        except AccuracyError:
            continue
    return net.jacobian(theta, X, Gauss(rtol=1e-9)), 1e-9


def _sizes(bound: DepthBound, theta: Params, net: NeuralODE, X: Array) -> dict[str, Array]:
    """What roundings are relative to: bounds of the sizes of the quantities."""
    states = np.linalg.norm(net.phi.phi(net.sigma_u * X @ theta.U.T), axis=1)
    output = net.sigma_v / math.sqrt(theta.width) * float(np.linalg.norm(theta.v)) * states
    sizes = dict.fromkeys(("U", "W", "v", "gradient"), bound.size)
    return {**sizes, "output": bound.size + output, "ntk": 2 * np.outer(bound.size, bound.size)}


def _apart(found: Jacobian, exact: Jacobian) -> dict[str, Array]:
    """Frobenius norms of the differences of the blocks and of all, (N,), and of the kernels, (N, N)."""
    a, b, N = flat(found), flat(exact), len(exact.v)
    differences = {name: (getattr(found, name) - getattr(exact, name)).reshape(N, -1) for name in ("U", "W", "v")}
    blocks = {name: np.linalg.norm(difference, axis=1) for name, difference in differences.items()}
    return {**blocks, "gradient": np.linalg.norm(a - b, axis=1), "ntk": np.abs(a @ a.T - b @ b.T)}
