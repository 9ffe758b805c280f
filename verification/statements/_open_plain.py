"""The ResNet (6), its backpropagation and its training written out: second roads to the open directions.

Shares φ and φ' with the package.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from refimpl import NeuralODE, Params
from refimpl.training import SGD, Adam, Momentum
from refimpl.training.optimizers import GradientDescent, Optimizer
from verification import Agreement, compare
from verification.statements._data import Array

if TYPE_CHECKING:
    from verification.statements._open_features import Scaled

EPS = float(np.finfo(float).eps)

DEPTH = 8
"""Of the ResNets that are trained."""


def plain(net: NeuralODE, theta: Params, X: Array, depth: int = DEPTH) -> tuple[Array, Array]:
    """f (N,) and ∂f/∂θ (N, P) in the order of `Params.ravel`, input by input and layer by layer."""
    tau, root = net.horizon / depth, np.sqrt(theta.width)
    W, readout = net.sigma_w / root * theta.W, net.sigma_v / root * theta.v
    outputs, rows = [], []
    for x in X:
        layers = [net.sigma_u * theta.U @ x]
        for _ in range(depth):
            layers.append(layers[-1] + tau * W @ net.phi.phi(layers[-1]))
        last = net.phi.phi(layers[-1])
        back, of_W = readout * net.phi.dphi(layers[-1]), np.zeros_like(W)
        for h in layers[-2::-1]:
            of_W += tau * net.sigma_w / root * np.outer(back, net.phi.phi(h))
            back = back + tau * net.phi.dphi(h) * (W.T @ back)
        outputs.append(readout @ last)
        rows.append(np.concatenate([net.sigma_u * np.outer(back, x).ravel(), of_W.ravel(), net.sigma_v / root * last]))
    return np.asarray(outputs), np.asarray(rows)


def descent(
    net: NeuralODE, theta: Params, X: Array, y: Array, rule: Optimizer, rate: float, steps: int
) -> tuple[Array, Params]:
    """u^k, shape (steps + 1, N), and θ at the end, under gradient descent, momentum, SGD or Adam."""
    at, shape = theta.ravel(), theta.U.shape
    first, second, found = np.zeros_like(at), np.zeros_like(at), list[Array]()

    def params(flat: Array) -> Params:
        n, d = shape
        return Params(flat[: n * d].reshape(n, d), flat[n * d : -n].reshape(n, n), flat[-n:])

    for k in range(steps + 1):
        u, J = plain(net, params(at), X)
        found.append(u)
        if k == steps:
            break
        rows = np.asarray(rule.batch(k, len(X))) if isinstance(rule, SGD) else np.arange(len(X))
        g = len(X) / rows.size * (u - y)[rows] @ J[rows]
        if isinstance(rule, Momentum):
            g = first = rule.beta * first + g
        elif isinstance(rule, Adam):
            first = rule.beta1 * first + (1 - rule.beta1) * g
            second = rule.beta2 * second + (1 - rule.beta2) * g**2
            scale = np.sqrt(second / (1 - rule.beta2 ** (k + 1))) + rule.eps
            g = first / (1 - rule.beta1 ** (k + 1)) / scale
        at = at - rate * g
    return np.asarray(found), params(at)


def rule_roads(
    net: NeuralODE, theta: Params, X: Array, y: Array, rules: Mapping[str, tuple[Optimizer, float]],
    runs: Mapping[str, Array], steps: int,
) -> list[Agreement]:  # fmt: skip
    """u^k of one network under each rule, with its learning rate, against the runs of train()."""
    found, rounding = [], 64 * steps * theta.width * EPS
    for name, (rule, rate) in rules.items():
        path, _ = descent(net, theta, X, y, rule, rate, steps)
        allowed, because = rounding, "roundings of sums of n terms in every step"
        if isinstance(rule, Adam):  # divides each entry of the gradient by one of its own size
            u, J = plain(net, theta, X)
            g = np.abs((u - y) @ J)
            moved = rate * np.abs(J) @ (rounding * g.max() / (g + rule.eps))
            allowed, because = steps * float(moved.max() / np.abs(path).max()), because + ", over entries of their size"
        found.append(
            compare(
                rf"$u^k$, $k \le {steps}$, under {NAMES[name]} (ResNet of depth {DEPTH}, $n = {theta.width}$)",
                {"train()": runs[name], "backpropagation and update rule written out": path},
                allowed=allowed, because=because, claims=SUPPORTED[name],
            )
        )  # fmt: skip
    return found


def sign_road(net: NeuralODE, theta: Params, X: Array, residual: Array, found: float) -> Agreement:
    """How far Adam's first step J sign(Jᵀ r) is from a multiple of K r, by least squares."""
    J = plain(net, theta, X)[1]
    step, toward = J @ np.sign(residual @ J), J @ (residual @ J)
    rest = step - toward * np.linalg.lstsq(toward[:, None], step, rcond=None)[0]
    return compare(
        rf"part of Adam's first step across $K r$ ({net.phi.name}, $n = {theta.width}$)",
        {
            "cosine, jacobian()": found,
            "least squares, backpropagation written out": np.linalg.norm(rest) / np.linalg.norm(step),
        },
        allowed=64 * theta.width * EPS / found**2, because="roundings, over the square that is left of 1 − cos²",
        claims=("adam-direction",),
    )  # fmt: skip


NAMES = {"gd": "gradient descent", "momentum": "momentum", "sgd": "SGD", "adam": "Adam"}

SUPPORTED = {"gd": ("momentum",), "momentum": ("momentum",), "sgd": ("sgd",), "adam": ("adam",)}
"""Claims that rest on runs of a rule; momentum is set beside gradient descent."""


def scaled_roads(
    activation: str, theta: Params, X: Array, y: Array, runs: Sequence[Scaled], steps: int
) -> list[Agreement]:
    """Drift and alignment of one network after training at each scale α."""
    before = plain(NeuralODE(activation), theta, X)[1]
    K, found = before @ before.T, []
    for run in runs:
        net = NeuralODE(activation, sigma_v=run.alpha)
        rate = 0.5 / float(np.linalg.eigvalsh(K)[-1]) / run.alpha**2
        targets = y + plain(net, theta, X)[0]
        end = descent(net, theta, X, targets, GradientDescent(), rate, steps)[1]
        J = plain(net, end, X)[1] / run.alpha
        moved = J @ J.T
        drift = float(np.linalg.norm(moved - K) / np.linalg.norm(K))
        aligned = [float(y @ M @ y / (np.linalg.norm(M) * (y @ y))) for M in (K, moved)]
        found.append(
            compare(
                rf"drift of $K$ and alignment before and after, $\alpha = {run.alpha:.3g}$ (ResNet of depth {DEPTH}, "
                rf"$n = {theta.width}$)",
                {
                    "train() and ntk()": [run.drift, run.before, run.after],
                    "backpropagation and descent written out": [drift, *aligned],
                },
                allowed=64 * steps * theta.width * EPS, because="roundings of sums of n terms in every step",
                claims=("lazy-width", "feature-alignment") if run.alpha == 1 else ("mean-field", "feature-alignment"),
            )
        )  # fmt: skip
    return found
