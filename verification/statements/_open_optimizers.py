"""Momentum, SGD and Adam: what the kernel predicts for each, and finite networks beside it."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, NeuralODE, Params, train
from refimpl.training import SGD, Adam, Momentum
from refimpl.training.optimizers import GradientDescent, Optimizer
from verification import Agreement, Config, compare
from verification.statements._data import DIM, Array
from verification.statements._exponents import Exponent, exponent
from verification.statements._open_plain import rule_roads, sign_road

SOLVER = Euler(8)
"""ResNets: the rates in width are those of any fixed scheme, and this one is explicit and cheap."""

EPS = float(np.finfo(float).eps)

RULES: dict[str, Optimizer] = {
    "gd": GradientDescent(), "momentum": Momentum(beta=0.5), "sgd": SGD(batch_size=2), "adam": Adam(),
}  # fmt: skip


def linear_model(J: Array, residual: Array, rule: Optimizer, rate: float, steps: int) -> Array:
    """Residuals of the network that is linear in θ, u = u^0 + J (θ − θ^0), under `rule`; shape (steps + 1, N).

    J has the shape (N, P). Where the rule is linear in the gradient only J Jᵀ enters; else all of J does.
    """
    N, theta = len(J), np.zeros(J.shape[1])
    state, found = rule.start(theta), [residual]
    for step in range(steps):
        batch = rule.batch(step, N)
        rows: Array = np.arange(N) if batch is None else np.asarray(batch)
        gradient = N / rows.size * found[-1][rows] @ J[rows]
        state, update = rule.update(state, gradient)
        theta = theta - rate * update
        found.append(residual + J @ theta)
    return np.asarray(found)


def momentum_modes(K: Array, residual: Array, rate: float, beta: float, steps: int) -> Array:
    """Residuals of heavy-ball momentum on a constant kernel, in closed form; shape (steps + 1, N).

    From m ← β m + g and θ ← θ − η m each mode of K obeys e^{k+1} = (1 + β − ηλ) e^k − β e^{k−1}, e^1 = (1 − ηλ) e^0.
    With the roots r of r² − (1 + β − ηλ) r + β = 0, e^k = e^0 [(e^1/e^0 − r₋) r₊^k − (e^1/e^0 − r₊) r₋^k] / (r₊ − r₋).
    """
    values, vectors = np.linalg.eigh(K)
    trace = 1 + beta - rate * values
    root = np.sqrt((trace**2 - 4 * beta).astype(complex))
    plus, minus = (trace + root) / 2, (trace - root) / 2
    k, first = np.arange(steps + 1)[:, None], 1 - rate * values
    modes = ((first - minus) * plus**k - (first - plus) * minus**k) / root
    path: Array = (modes.real * (vectors.T @ residual)) @ vectors.T
    return path


def sgd_product(K: Array, residual: Array, rate: float, rule: SGD, steps: int) -> Array:
    """Residuals Π (I − η (N/B) K P_batch) (u^0 − y) along the batches of `rule`; shape (steps + 1, N)."""
    N, found = len(K), [residual]
    for step in range(steps):
        rows = np.asarray(rule.batch(step, N))
        found.append(found[-1] - rate * N / rows.size * K[:, rows] @ found[-1][rows])
    return np.asarray(found)


def mean_epoch(K: Array, rate: float) -> Array:
    """Mean over all orders of I − 2ηKP for two half batches in turn, without replacement, in closed form.

    The two halves are P and I − P. (K (I − P) K P)_ij = Σ_k K_ik K_kj [k not in the first batch, j in it], which has
    the probability N/(4(N − 1)) for k ≠ j and 0 for k = j, so the mean is I − 2ηK + η² N/(N − 1) K (K − diag K).
    """
    N = len(K)
    mean: Array = np.eye(N) - 2 * rate * K + rate**2 * N / (N - 1) * K @ (K - np.diag(np.diag(K)))
    return mean


def all_epochs(K: Array, rate: float) -> Array:
    """The same mean, order by order."""
    N, found = len(K), []
    for first in itertools.combinations(range(N), N // 2):
        P = np.zeros(N)
        P[list(first)] = 1.0
        found.append((np.eye(N) - 2 * rate * K * (1 - P)) @ (np.eye(N) - 2 * rate * K * P))
    return np.asarray(np.mean(found, axis=0))


@dataclass(frozen=True)
class Followed:
    """Networks of growing width under every rule.

    Parameters
    ----------
    widths : array, shape (M,)
    apart : dict
        By rule: sup_k ‖u^k − u_lin^k‖ over ‖u^0 − y‖, with J = J_θ⁰; shape (M, draws).
    sign_defect : array, shape (M, draws)
        min_c ‖Δu − c K (u^0 − y)‖ / ‖Δu‖ for Adam's first step Δu: 0 if K told its direction.
    rate_times_width : array, shape (M, draws)
        n times Adam's learning rate: that at which its first step moves u by a quarter of ‖u^0 − y‖.
    steps : int
    roads : list of Agreement
    """

    widths: Array
    apart: dict[str, Array]
    sign_defect: Array
    rate_times_width: Array
    steps: int
    roads: Sequence[Agreement]

    def exponent(self, rule: str) -> Exponent:
        """Of the distance from the linear model, in n."""
        return exponent(self.widths, self.apart[rule][None])


def followed(config: Config, X: Array, y: Array, name: str = "tanh") -> Followed:
    """The experiment; f^0 is subtracted, so that the residual at step 0 is −y for every network."""
    widths, draws, steps = ([32, 64, 128, 256, 512], 20, 30) if config.full else ([32, 64, 128, 256], 6, 12)
    net, roads = NeuralODE(name), list[Agreement]()
    apart: dict[str, list[list[float]]] = {rule: [] for rule in RULES}
    defects, rates = [], []
    for n in config.progress(widths, "optimisers, width"):
        rows: dict[str, list[float]] = {rule: [] for rule in RULES}
        defect, scaled_rates = [], []
        for draw in range(draws):
            theta = net.init(n, DIM, seed=config.rng("optimisers", name, n, draw))
            J = jacobian(net, theta, X)
            K, residual = J @ J.T, -y
            rate = 0.25 / float(np.linalg.eigvalsh(K)[-1])
            signs = J @ np.sign(residual @ J)
            adam_rate = 0.25 * float(np.linalg.norm(residual) / np.linalg.norm(signs))
            toward = K @ residual
            defect.append(float(np.sqrt(1 - (signs @ toward) ** 2 / (signs @ signs * (toward @ toward)))))
            scaled_rates.append(n * adam_rate)
            targets = y + net.predict(theta, X, SOLVER)
            lines, runs, rates_of = {}, {}, {}
            for rule, optimizer in RULES.items():
                lr = adam_rate if rule == "adam" else rate
                lines[rule] = linear_model(J, residual, optimizer, lr, steps)
                run = train(net, theta, X, targets, optimizer=optimizer, lr=lr, steps=steps, solver=SOLVER)
                runs[rule], rates_of[rule] = run.predictions, (optimizer, lr)
                off = np.linalg.norm(run.predictions - targets - lines[rule], axis=1)
                rows[rule].append(float(off.max() / np.linalg.norm(residual)))
            if n == widths[0] and draw == 0:
                roads = _roads(K, residual, rate, steps, lines)
                roads += rule_roads(net, theta, X, targets, rates_of, runs, steps)
                roads.append(sign_road(net, theta, X, residual, defect[0]))
        for rule, values in rows.items():
            apart[rule].append(values)
        defects.append(defect)
        rates.append(scaled_rates)
    return Followed(
        np.asarray(widths, dtype=float), {rule: np.asarray(rows_) for rule, rows_ in apart.items()},
        np.asarray(defects), np.asarray(rates), steps, roads,
    )  # fmt: skip


def jacobian(net: NeuralODE, theta: Params, X: Array) -> Array:
    """∂f/∂θ, shape (N, P), parameters in the order of `Params.ravel`."""
    J = net.jacobian(theta, X, SOLVER)
    return np.concatenate([block.reshape(len(X), -1) for block in (J.U, J.W, J.v)], axis=1)


def _roads(K: Array, residual: Array, rate: float, steps: int, lines: dict[str, Array]) -> list[Agreement]:
    """Function space against parameter space, for the rules that are linear in the gradient."""
    momentum, sgd = RULES["momentum"], RULES["sgd"]
    assert isinstance(momentum, Momentum)
    assert isinstance(sgd, SGD)
    half, N = K[:4, :4], 4
    values = np.linalg.eigvalsh(K)
    # Where the two roots nearly meet their difference divides the rounding.
    gap = float(np.abs((1 + momentum.beta - rate * values) ** 2 - 4 * momentum.beta).min()) ** 0.5
    rounding = 64 * steps * len(K) * EPS
    return [
        compare(
            rf"residuals under momentum on a constant kernel, {steps} steps",
            {
                "closed form in eigenmodes": momentum_modes(K, residual, rate, momentum.beta, steps),
                "update rule on the model linear in $\\theta$": lines["momentum"],
            },
            allowed=rounding * max(1.0, 1 / gap), because="N rounded terms a step, over the distance of the two roots",
            claims=("momentum",),
        ),
        compare(
            rf"residuals under SGD on a constant kernel, {steps} steps",
            {
                "product of $I - \\eta (N/B) K P$": sgd_product(K, residual, rate, sgd, steps),
                "update rule on the model linear in $\\theta$": lines["sgd"],
            },
            allowed=rounding, because="N rounded terms a step", claims=("sgd",),
        ),
        compare(
            r"mean over the orders of one epoch of two half batches ($N = 4$)",
            {"closed form": mean_epoch(half, rate), "all orders": all_epochs(half, rate)},
            allowed=8 * N * EPS, because="products of N by N matrices of size one", claims=("sgd-mean",),
        ),
    ]  # fmt: skip
