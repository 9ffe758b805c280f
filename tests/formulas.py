"""Formulas that share no code with the package: what its results are compared with.

Each formula here is written for clarity in plain NumPy that also takes complex numbers, so that the complex step
Im f(θ + iεD)/ε gives exact derivatives, and is used for small networks only.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.special
from hypothesis import strategies as st
from scipy.integrate import solve_ivp

import refimpl

EPS = float(np.finfo(float).eps)
STEP = 1e-30

PHI = {
    "softplus": lambda z: np.log(1 + np.exp(z)),
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "tanh": np.tanh,
    "erf": scipy.special.erf,
    "gelu": lambda z: z * (1 + scipy.special.erf(z / np.sqrt(2))) / 2,
    "silu": lambda z: z / (1 + np.exp(-z)),
    "sin": np.sin,
    "cos": np.cos,
    "identity": lambda z: z,
}
"""The analytic, globally Lipschitz activations."""

ANALYTIC = tuple(PHI)


@dataclass(frozen=True)
class Case:
    """A network, its parameters and data."""

    net: Any
    theta: Any
    X: Any
    y: Any

    @property
    def phi(self):
        return PHI[self.net.phi.name]

    @property
    def scaled(self):
        """U, W and v with σ_u, σ_w/√n and σ_v/√n in front."""
        net, theta = self.net, self.theta
        root = np.sqrt(theta.U.shape[0])
        return net.sigma_u * theta.U, net.sigma_w / root * theta.W, net.sigma_v / root * theta.v

    @property
    def rounding(self):
        """Relative rounding to expect of h_T, λ_0 and the gradient.

        A few dozen eps in every rate and sum, which the flow and the adjoint flow each amplify by at most
        exp(T lip(φ) ‖W‖) (Gronwall).
        """
        spectral = np.linalg.norm(self.scaled[1], ord=2, axis=(-2, -1)).max()
        return 64 * EPS * np.exp(2 * self.net.horizon * 1.13 * spectral)


def make(activation="softplus", n=5, d=3, N=4, seed=0, layers=None, horizon=1.0, **sigmas):
    """A random case."""
    net = refimpl.NeuralODE(activation, horizon=horizon, **sigmas)
    rng = np.random.default_rng([seed, 1])
    theta = net.init(width=n, dim=d, seed=seed, layers=layers)
    return Case(net, theta, rng.standard_normal((N, d)), rng.standard_normal(N))


@st.composite
def cases(draw, activations=ANALYTIC, n=(1, 6), d=(1, 3), N=(1, 4), layers=None, strongest=1.2):
    """Random cases, with σ_w T up to `strongest`."""
    horizon = draw(st.floats(0.3, 1.5))
    return make(
        draw(st.sampled_from(activations)),
        n=draw(st.integers(*n)),
        d=draw(st.integers(*d)),
        N=draw(st.integers(*N)),
        seed=draw(st.integers(0, 2**32)),
        layers=layers,
        horizon=horizon,
        sigma_w=draw(st.floats(0.3, 1.0)) * strongest / horizon,
        sigma_u=draw(st.floats(0.5, 1.5)),
        sigma_v=draw(st.floats(0.5, 1.5)),
    )


def like(theta, rng):
    """A random direction of norm 1 in the space of parameters."""
    direction = refimpl.Params(*(rng.standard_normal(block.shape) for block in (theta.U, theta.W, theta.v)))
    return direction * (1 / direction.norm())


def relative(value, truth):
    """‖value − truth‖ / ‖truth‖ over all entries (of all blocks)."""
    value, truth = (z.ravel() if isinstance(z, refimpl.Params) else np.ravel(z) for z in (value, truth))
    assert value.shape == truth.shape
    return np.linalg.norm(value - truth) / np.linalg.norm(truth)


def resnet(case, depth, blocks=None):
    """f^L(x_i) by the recursion (6), for parameters `blocks` (U, W, v), possibly complex; W may be layered."""
    U, W, v = (case.theta.U, case.theta.W, case.theta.v) if blocks is None else blocks
    net, root = case.net, np.sqrt(U.shape[0])
    h = net.sigma_u * case.X @ U.T
    for layer in range(depth):
        weights = W[layer] if W.ndim == 3 else W
        h = h + net.horizon / depth * net.sigma_w / root * case.phi(h) @ weights.T
    return net.sigma_v / root * case.phi(h) @ v


def collocation(case, nodes, steps, blocks=None):
    """f(x_i) of the Gauss collocation method, its tableau from the order conditions, its stages by iteration."""
    U, W, v = (case.theta.U, case.theta.W, case.theta.v) if blocks is None else blocks
    net, root = case.net, np.sqrt(U.shape[0])
    x, w = np.polynomial.legendre.leggauss(nodes)
    c, b, k = (1 + x) / 2, w / 2, np.arange(1, nodes + 1)
    A = c[:, None] ** k / k @ np.linalg.inv(c[:, None] ** (k - 1))
    step = net.horizon / steps
    h = net.sigma_u * case.X @ U.T

    def rates(stages):
        return net.sigma_w / root * case.phi(stages) @ W.T

    for _ in range(steps):
        stages = np.broadcast_to(h, (nodes, *h.shape))
        for _ in range(100):
            stages = h + step * np.tensordot(A, rates(stages), axes=1)
        h = h + step * np.tensordot(b, rates(stages), axes=1)
    return net.sigma_v / root * case.phi(h) @ v


def complex_step_jacobian(function, theta):
    """∂f_i/∂θ_k for every entry of θ, in the order of `Params.ravel`: shape (N, size)."""
    blocks = theta.U, theta.W, theta.v
    columns = []
    for which, block in enumerate(blocks):
        for index in np.ndindex(block.shape):
            moved = [b.astype(complex) for b in blocks]
            moved[which][index] += STEP * 1j
            columns.append(function(moved).imag / STEP)
    return np.stack(columns, axis=-1)


def flat(jacobian):
    """A `Jacobian` as one matrix, shape (N, size)."""
    N = jacobian.v.shape[0]
    return np.concatenate([np.reshape(block, (N, -1)) for block in (jacobian.U, jacobian.W, jacobian.v)], axis=1)


def flow(case, h, start, end, rtol=1e-12):
    """h(end) from h(start) = `h` of shape (..., n), possibly complex, by DOP853 on its own."""
    _, W, _ = case.scaled
    if start == end:
        return h

    def rate(_t, y):
        return (case.phi(y.reshape(h.shape)) @ W.T).ravel()

    solution = solve_ivp(rate, (start, end), h.ravel(), method="DOP853", rtol=rtol, atol=1e-3 * rtol)
    assert solution.success
    return solution.y[:, -1].reshape(h.shape)


def romberg_derivative(function, step, levels=4):
    """Derivative at 0 by central differences extrapolated in step², with an estimate of its error.

    The estimate is the last correction of the extrapolation plus the rounding of the differences.
    """
    steps = step / 2.0 ** np.arange(levels)
    values = [(np.asarray(function(s)), np.asarray(function(-s))) for s in steps]
    table = [[(plus - minus) / (2 * s)] for (plus, minus), s in zip(values, steps, strict=True)]
    for i in range(1, levels):
        for k in range(1, i + 1):
            table[i].append(table[i][k - 1] + (table[i][k - 1] - table[i - 1][k - 1]) / (4**k - 1))
    rounding = 64 * EPS * np.abs(values[0][0]) / steps[-1]
    return table[-1][-1], np.abs(table[-1][-1] - table[-1][-2]) + rounding
