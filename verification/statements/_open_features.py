"""From lazy training to feature learning: α f in the place of f, with the learning rate η/α²."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from refimpl import Euler, Gauss, NeuralODE, Params, train
from verification import Agreement, Config
from verification.statements._data import DIM, Array
from verification.statements._exponents import Exponent, exponent
from verification.statements._linear_theory import dual_path
from verification.statements._open_plain import scaled_roads
from verification.statements._statistics import LEVEL

SOLVER = Gauss(nodes=5, steps=1)
"""A fixed scheme, whose gradient is the exact one of its own output."""

RESNET = Euler(8)
"""For growing widths: explicit and cheap, and the powers of n are those of any fixed scheme."""

STEPS = 20
"""With η = 1/(2 λ_max) and eigenvalues of K_θ within a factor of three the loss falls by 10⁻³ at least."""


@dataclass(frozen=True)
class Scaled:
    """One network trained as α (f − f^0), and its kernel K = K_θ of f itself.

    Parameters
    ----------
    alpha : float
    drift : float
        ‖K^k − K^0‖ / ‖K^0‖ at the last step.
    before, after : float
        Alignment yᵀ K y / (‖K‖ ‖y‖²) with the targets.
    loss : float
        The part of the initial loss that is left.
    """

    alpha: float
    drift: float
    before: float
    after: float
    loss: float


def scaled(
    name: str, theta: Params, X: Array, y: Array, alpha: float, K: Array, solver: Euler | Gauss = SOLVER
) -> Scaled:
    """Train α f with targets y + α f^0, so that the residual at step 0 is −y whatever α; σ_v is α."""
    net = NeuralODE(name, sigma_v=alpha)
    rate = 0.5 / float(np.linalg.eigvalsh(K)[-1]) / alpha**2
    run = train(net, theta, X, y + net.predict(theta, X, solver), lr=rate, steps=STEPS, solver=solver)
    end = net.ntk(run.theta, X, solver=solver) / alpha**2
    drift = float(np.linalg.norm(end - K) / np.linalg.norm(K))
    return Scaled(alpha, drift, alignment(K, y), alignment(end, y), float(run.loss[-1] / run.loss[0]))


def alignment(K: Array, y: Array) -> float:
    """yᵀ K y / (‖K‖ ‖y‖²), one for K = y yᵀ."""
    return float(y @ K @ y / (np.linalg.norm(K) * (y @ y)))


def first_order(name: str, theta: Params, X: Array, y: Array, K: Array) -> tuple[float, float]:
    """lim α · drift as α → ∞, and the change under a halved difference step.

    θ^k − θ^0 = Jᵀ a / α + O(α⁻²) with a = Σ g_k(λ) ⟨q, y⟩ q over the modes of K, by (8); so the kernel moves by
    DK[Jᵀ a] / α.
    """
    net = NeuralODE(name)
    rate = 0.5 / float(np.linalg.eigvalsh(K)[-1])
    path = dual_path(K, -y, rate, [STEPS])[0]
    move = net.jacobian(theta, X, SOLVER).transpose_apply(-path)

    def derivative(step: float) -> Array:
        ahead, behind = (net.ntk(theta + s * move, X, solver=SOLVER) for s in (step, -step))
        return np.asarray((ahead - behind) / (2 * step))

    wide, narrow = derivative(2e-2), derivative(1e-2)
    found = (4 * narrow - wide) / 3
    size = float(np.linalg.norm(K))
    return float(np.linalg.norm(found)) / size, float(np.linalg.norm(found - narrow)) / size


@dataclass(frozen=True)
class Features:
    """Runs of one activation.

    Parameters
    ----------
    alphas : array, shape (A,)
    sweep : list of lists of Scaled, shape (draws, A)
        One width, every α.
    constants : array, shape (draws, 2)
        `first_order` of the same networks.
    widths : array, shape (M,)
    lazy, rich : lists of lists of Scaled, shape (M, draws)
        α = 1 and α = n^(−1/2) at every width.
    roads : list of Agreement
    """

    activation: str
    swept: int
    alphas: Array
    sweep: list[list[Scaled]]
    constants: Array
    widths: Array
    lazy: list[list[Scaled]]
    rich: list[list[Scaled]]
    roads: list[Agreement]

    def exponent(self, runs: Sequence[Sequence[Scaled]]) -> Exponent:
        """Of the drift in n."""
        drifts = np.asarray([[run.drift for run in row] for row in runs])
        return exponent(self.widths, drifts[None])

    def gain(self, runs: Sequence[Sequence[Scaled]]) -> Exponent:
        """Exponent in n of what training adds to the alignment, |after − before|."""
        gains = np.asarray([[abs(run.after - run.before) for run in row] for row in runs])
        return exponent(self.widths, gains[None])

    @property
    def rich_limits(self) -> dict[str, tuple[float, float, float]]:
        """Drift and gain at α = n^(−1/2) for n → ∞, as of `at_infinity`."""
        drifts = np.asarray([[run.drift for run in row] for row in self.rich])
        gains = np.asarray([[run.after - run.before for run in row] for row in self.rich])
        return {"drift": at_infinity(self.widths, drifts), "gain": at_infinity(self.widths, gains)}


def at_infinity(widths: Array, values: Array) -> tuple[float, float, float]:
    """D of D + C n^(−1/2) from independent values (M, draws), and the half-widths of its intervals (95 %, `LEVEL`).

    The next term of the mean field: α⁻¹ DK is O(n^(−1/2)) where α⁻² D²K is O(1).
    """
    x = np.repeat(widths**-0.5, values.shape[1])
    design, y = np.stack([np.ones_like(x), x], axis=1), values.ravel()
    found, *_ = np.linalg.lstsq(design, y, rcond=None)
    degrees = y.size - 2
    scatter = float(np.sum((y - design @ found) ** 2)) / degrees
    error = float(np.sqrt(scatter * np.linalg.inv(design.T @ design)[0, 0]))
    half, wider = (float(stats.t.ppf((1 + level) / 2, degrees)) * error for level in (0.95, LEVEL))
    return float(found[0]), half, wider


def features(config: Config, X: Array, y: Array, name: str = "tanh") -> Features:
    """The experiment."""
    widths, draws, swept = ([32, 64, 128, 256, 512], 20, 64) if config.full else ([32, 64, 128, 256], 8, 64)
    net = NeuralODE(name)

    def drawn(n: int, draw: int, solver: Euler | Gauss) -> tuple[Params, Array]:
        theta = net.init(n, DIM, seed=config.rng("features", name, n, draw))
        return theta, net.ntk(theta, X, solver=solver)

    alphas = np.asarray([64.0, 16.0, 4.0, 1.0, swept**-0.5])
    sweep, constants = [], []
    for draw in config.progress(range(draws if config.full else 2), "scales of f"):
        theta, K = drawn(swept, draw, SOLVER)
        sweep.append([scaled(name, theta, X, y, float(alpha), K) for alpha in alphas])
        constants.append(first_order(name, theta, X, y, K))
    lazy, rich, roads = [], [], list[Agreement]()
    for n in config.progress(widths, "features, width"):
        networks = [drawn(n, draw, RESNET) for draw in range(draws)]
        lazy.append([scaled(name, theta, X, y, 1.0, K, RESNET) for theta, K in networks])
        rich.append([scaled(name, theta, X, y, n**-0.5, K, RESNET) for theta, K in networks])
        roads = roads or scaled_roads(name, networks[0][0], X, y, [lazy[0][0], rich[0][0]], STEPS)
    return Features(
        name, swept, alphas, sweep, np.asarray(constants), np.asarray(widths, dtype=float), lazy, rich, roads
    )  # fmt: skip


def drift_roads(found: Features) -> Agreement:
    """α · drift of trained networks, extrapolated to α = ∞, against the derivative of K along the linear path."""
    pairs = []
    for runs, (constant, error) in zip(found.sweep, found.constants, strict=True):
        first, second, third = (run.alpha * run.drift for run in runs[:3])
        better, coarse = (
            (4 * first - second) / 3,
            (4 * second - third) / 3,
        )  # the next term is O(1/α), and α/4 each time
        pairs.append((abs(better - constant), error + abs(better - coarse)))
    difference, allowed = max(pairs, key=lambda pair: pair[0] / pair[1])
    return Agreement(
        rf"$\lim \alpha \|K^k - K^0\| / \|K^0\|$ ({found.activation}, $n = {found.swept}$, closest to its bound)",
        ("gradient descent, extrapolated in $1/\\alpha$", "derivative of $K_\\theta$ along the path of (8)"),
        difference, allowed, "last changes of both extrapolations", ("lazy-scale",),
    )  # fmt: skip
