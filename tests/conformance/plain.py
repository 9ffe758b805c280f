"""A plain implementation of the whole protocol: every state at quadrature nodes, every quantity a sum over them.

Written to be read and to be varied: `mistaken_*.py` override one method at a time. The Neural ODE is solved by Gauss
collocation on short steps, that end where a neuron meets the kink of φ; Euler's nodes make the residual network. The
infinite width takes E[φφ] and E[φ'φ'] from the package, and solves the equations for S and P itself.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy import optimize, special

from refimpl import AccuracyError, activations
from refimpl.infinite.dual import dual

KINKED = ("elu", "relu", "leaky_relu")
ORDER = 12  # nodes of a step

_SQRT_TAU = np.sqrt(2 * np.pi)


def _cdf(z):
    return special.ndtr(z)


def _pdf(z):
    return np.exp(-z * z / 2) / _SQRT_TAU


PHI: dict[str, tuple[Callable[[Any], Any], Callable[[Any], Any]]] = {
    "softplus": (lambda z: np.logaddexp(0, z), special.expit),
    "sigmoid": (special.expit, lambda z: special.expit(z) * special.expit(-z)),
    "tanh": (np.tanh, lambda z: 1 / np.cosh(np.clip(z, -300, 300)) ** 2),
    "erf": (special.erf, lambda z: 2 / np.sqrt(np.pi) * np.exp(-z * z)),
    "gelu": (lambda z: z * _cdf(z), lambda z: _cdf(z) + z * _pdf(z)),
    "silu": (
        lambda z: z * special.expit(z),
        lambda z: special.expit(z) * (1 + z * special.expit(-z)),
    ),
    "sin": (np.sin, np.cos),
    "cos": (np.cos, lambda z: -np.sin(z)),
    "identity": (lambda z: z, np.ones_like),
    "quadratic": (lambda z: z * z / 2, lambda z: z),
    "elu": (lambda z: np.where(z > 0, z, np.expm1(np.minimum(z, 0))), lambda z: np.exp(np.minimum(z, 0))),
    "relu": (lambda z: np.maximum(z, 0), lambda z: np.where(z > 0, 1.0, 0.0)),
    "leaky_relu": (lambda z: np.where(z > 0, z, 0.01 * z), lambda z: np.where(z > 0, 1.0, 0.01)),
}
"""φ and φ' by name."""


def _side(name, right, left_slope, phi, dphi):
    """φ continued analytically across its kink, from the side that every neuron is on."""
    if name == "elu":
        return (
            lambda z: np.where(right, z, np.expm1(np.where(right, 0, z))),
            lambda z: np.where(right, 1.0, np.exp(np.where(right, 0, z))),
        )
    slope = np.where(right, 1.0, left_slope)
    return lambda z: slope * z, lambda z: slope + 0 * z


@lru_cache
def gauss(nodes):
    """A, b and c of Gauss collocation on [0, 1]."""
    x, w = np.polynomial.legendre.leggauss(nodes)
    values = np.polynomial.legendre.legvander(x, nodes - 1)
    inverse = (np.arange(nodes) + 0.5)[:, None] * (values * w[:, None]).T  # values to Legendre coefficients
    integrals = np.stack(
        [np.polynomial.legendre.legval(x, np.polynomial.legendre.legint(row, lbnd=-1)) for row in np.eye(nodes)], 1
    )
    return integrals @ inverse / 2, w / 2, (x + 1) / 2


def euler(depth):
    """A, b and c of Euler's rule with `depth` steps on [0, 1]."""
    return np.tri(depth, k=-1) / depth, np.full(depth, 1 / depth), np.arange(depth) / depth


@dataclass
class Nodes:
    """One input: weights b (m,), states h and λ (m, n) at the nodes; h_T, λ_0 and h_0 (n,).

    `phi` and `dphi` (m, n) are kept with the states, for there is a side to be on at a kink.
    """

    b: Any
    h: Any
    phi: Any
    dphi: Any
    end: Any
    lam: Any = None
    start: Any = None
    steps: Any = ()
    first: Any = None


@dataclass
class Net:
    """h_0 = σ_u U x (N, n), the scaled weights σ_w W/√n and σ_v v/√n, and what they were made of."""

    h0: Any
    W: Any
    v: Any
    X: Any
    n: int
    s: Any


@lru_cache(maxsize=100_000)
def _forward(name, phi, dphi, W, h0, horizon, order):
    W, h = np.array(W), np.array(h0)
    kinked, left = name in KINKED, {"relu": 0.0, "leaky_relu": 0.01}.get(name)
    A, b, c = gauss(order)
    size, time, parts = np.linalg.norm(W, 2), 0.0, []
    while time < horizon:
        rate = W @ phi(h)
        right = (h > 0) | ((h == 0) & (rate > 0))
        f, df = _side(name, right, left, phi, dphi) if kinked else (phi, dphi)
        speed = size * max(np.abs(df(h)).max(), 0.3)
        if name not in ("identity", "quadratic", "relu", "leaky_relu"):
            speed += np.abs(rate).max()
        step = min(horizon - time, 0.6 / max(speed, 1e-3))
        H, end = _collocate(W, h, f, step, A, b)
        if kinked:
            cut = _first_crossing(W, h, f, step, A, b, c, H, end, right)
            if cut is not None:
                step, which = cut
                H, end = _collocate(W, h, f, step, A, b)
                end[which] = 0.0
        parts.append((step, step * b, H, f(H), df(H)))
        h, time = end, horizon if step == horizon - time else time + step
        if len(parts) > 3000 or not np.all(np.isfinite(h)):
            raise NotImplementedError("no convergence")
    return Nodes(
        *(np.concatenate([part[k] for part in parts]) for k in (1, 2, 3, 4)), h, steps=tuple(p[0] for p in parts)
    )


def _collocate(W, h, f, step, A, b):
    H, rates = np.tile(h, (len(b), 1)), None
    for _ in range(60):
        rates = f(H) @ W.T
        new = h + step * (A @ rates)
        change = np.abs(new - H).max()
        H = new
        if change <= 4e-16 * (np.abs(H).max() + 1e-300):
            break
    return H, h + step * (b @ (f(H) @ W.T))


def _first_crossing(W, h, f, step, A, b, c, H, end, right):
    """Time and neuron of the first sign change in a step, or None."""

    def wrong(z):
        return np.where(right, z < 0, z > 0)

    changed = wrong(np.vstack([H, end])).any(0) & (h != 0) | wrong(end)
    found = []
    for i in np.flatnonzero(changed):

        def at(t, i=i):
            return _collocate(W, h, f, t, A, b)[1][i]

        times = np.append(c, 1.0) * step
        first = times[np.argmax(wrong(np.vstack([H, end]))[:, i])]
        low = 0.0 if h[i] != 0 else 1e-6 * step
        if at(low) * at(first) < 0:
            found.append((optimize.brentq(at, low, first, xtol=1e-15 * step, rtol=1e-14), i))
    if not found:
        return None
    first = min(found)[0]
    return first, [i for t, i in found if abs(t - first) < 1e-12]


def _backward(nodes, Wt, terminal, order, dphi=None, sign=1.0):
    """λ at the nodes and at 0; `Wt` stands where (3) has Wᵀ."""
    A, b, _ = gauss(order)
    back = (b[:, None] * A).T / b[:, None]
    lam, at, dphi = np.empty_like(nodes.h), np.asarray(terminal), nodes.dphi if dphi is None else dphi
    for k in reversed(range(len(nodes.steps))):
        part, step = slice(k * order, (k + 1) * order), sign * nodes.steps[k]
        slope, L = dphi[part], np.tile(at, (order, 1))
        for _ in range(60):
            new = at + step * (back @ (slope * (L @ Wt.T)))
            change = np.abs(new - L).max()
            L = new
            if change <= 4e-16 * np.abs(L).max():
                break
        lam[part] = L
        at = at + step * (b @ (slope * (L @ Wt.T)))
    return lam, at


@lru_cache(maxsize=20_000)
def _duals(name, s1, s2, c):
    s1, s2 = np.frombuffer(s1), np.frombuffer(s2)
    return dual(activations.get(name), s1, s2).both(np.frombuffer(c).reshape(len(s1), len(s2)))


class Plain:
    """The correct one; every method is a place for a mistake."""

    order = ORDER

    # --- finite width ---------------------------------------------------------------------------------------------

    def activation(self, s):
        return PHI[s.activation]

    def net(self, U, W, v, X, s):
        U, W, v, X = (np.asarray(a, dtype=np.float64) for a in (U, W, v, X))
        n = len(v)
        return Net(s.sigma_u * X @ U.T, s.sigma_w / np.sqrt(n) * W, s.sigma_v / np.sqrt(n) * v, X, n, s)

    def ode(self, net):
        phi, dphi = self.activation(net.s)
        rows, W = [], tuple(map(tuple, net.W))
        for h0 in net.h0:
            path = _forward(net.s.activation, phi, dphi, W, tuple(h0), self.horizon(net.s), self.order)
            nodes = Nodes(path.b, path.h, path.phi, path.dphi, path.end, steps=path.steps, first=h0)
            nodes.lam, nodes.start = self.adjoint(net, nodes)
            rows.append(nodes)
        return rows

    def horizon(self, s):
        return s.horizon

    def terminal(self, net, nodes):
        return net.v * self.activation(net.s)[1](nodes.end)

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order)

    def resnet(self, net):
        phi, dphi = self.activation(net.s)
        depth, step, rows = self.depth(net.s), self.layer(net.s), []
        for h0 in net.h0:
            h = [h0]
            for _ in range(depth):
                h.append(h[-1] + step * net.W @ phi(h[-1]))
            states, end = np.array(h[:-1]), h[-1]
            nodes = Nodes(np.full(depth, step), states, phi(states), dphi(states), end)
            nodes.lam, nodes.start = self.backprop(net, nodes, step)
            rows.append(nodes)
        return rows

    def depth(self, s):
        return s.depth

    def layer(self, s):
        return s.horizon / s.depth

    def backprop(self, net, nodes, step):
        """λ^{l+1} beside h^l."""
        lam, out = self.terminal(net, nodes), []
        for slope in nodes.dphi[::-1]:
            out.append(lam)
            lam = lam + step * slope * (net.W.T @ lam)
        return np.array(out[::-1]), lam

    def output(self, net, rows):
        phi = self.activation(net.s)[0]
        return np.array([net.v @ phi(r.end) for r in rows])

    def gradient_W(self, net, rows):
        return net.s.sigma_w / np.sqrt(net.n) * sum(np.einsum("m,mi,mj->ij", r.b, r.lam, r.phi) for r in rows)

    def gradient_U(self, net, rows):
        return net.s.sigma_u * sum(np.outer(r.start, x) for r, x in zip(rows, net.X, strict=True))

    def gradient_v(self, net, rows):
        return net.s.sigma_v / np.sqrt(net.n) * sum(self.activation(net.s)[0](r.end) for r in rows)

    def gradients(self, net, rows):
        return self.gradient_U(net, rows), self.gradient_W(net, rows), self.gradient_v(net, rows)

    def block_U(self, net, p, q, x, y):
        return net.s.sigma_u**2 * (p.start @ q.start) * (x @ y)

    def block_W(self, net, p, q):
        return net.s.sigma_w**2 / net.n * (p.b @ ((p.lam @ q.lam.T) * (p.phi @ q.phi.T)) @ q.b)

    def block_v(self, net, p, q):
        phi = self.activation(net.s)[0]
        return net.s.sigma_v**2 / net.n * (phi(p.end) @ phi(q.end))

    def kernel(self, net, rows):
        return np.array(
            [
                [
                    self.block_U(net, p, q, x, y) + self.block_W(net, p, q) + self.block_v(net, p, q)
                    for q, y in zip(rows, net.X, strict=True)
                ]
                for p, x in zip(rows, net.X, strict=True)
            ]
        )

    def _on_ode(self, quantity, *args):
        net = self.net(*args)
        return quantity(net, self.ode(net))

    def _on_resnet(self, quantity, *args):
        net = self.net(*args)
        return quantity(net, self.resnet(net))

    def predict(self, U, W, v, X, settings):
        return self._on_ode(self.output, U, W, v, X, settings)

    def terminal_state(self, U, W, v, X, settings):
        return self._on_ode(lambda _, rows: np.array([r.end for r in rows]), U, W, v, X, settings)

    def initial_adjoint(self, U, W, v, X, settings):
        return self._on_ode(lambda _, rows: np.array([r.start for r in rows]), U, W, v, X, settings)

    def gradient(self, U, W, v, X, settings):
        return self._on_ode(self.gradients, U, W, v, X, settings)

    def ntk(self, U, W, v, X, settings):
        return self._on_ode(self.kernel, U, W, v, X, settings)

    def resnet_predict(self, U, W, v, X, settings):
        return self._on_resnet(self.output, U, W, v, X, settings)

    def resnet_gradient(self, U, W, v, X, settings):
        return self._on_resnet(self.gradients, U, W, v, X, settings)

    def resnet_ntk(self, U, W, v, X, settings):
        return self._on_resnet(self.kernel, U, W, v, X, settings)

    # --- infinite width -------------------------------------------------------------------------------------------

    def limit_nodes(self, s):
        return 40 if s.horizon > 2 or s.activation == "quadratic" else 18

    def scheme(self, s):
        """A, b on [0, T] for K_∞: kinked φ want another quadrature."""
        if s.activation in KINKED:
            raise NotImplementedError("kinked activations")
        A, b, _ = gauss(self.limit_nodes(s))
        return self.horizon(s) * A, self.horizon(s) * b

    def resnet_scheme(self, s):
        A, b, _ = euler(self.depth(s))
        return s.horizon * A, s.horizon * b

    def expectations(self, s, s1, s2, c):
        """E[φ(a)φ(b)] and E[φ'(a)φ'(b)]."""
        try:
            return _duals(s.activation, s1.tobytes(), s2.tobytes(), np.ascontiguousarray(c).tobytes())
        except AccuracyError as error:  # the variances of a mistaken model can be huge
            raise NotImplementedError("variances too large") from error

    def inner(self, x, y, s):
        return s.sigma_u**2 * (x @ y)

    def covariance(self, s, A, b, q, s1, s2):
        """S, Σ and D at the nodes and at T; variances None: those of S itself."""
        wide = np.vstack([A, b])
        S = np.full((len(b) + 1, len(b) + 1), q)
        for _ in range(200):
            Sigma, D = self.expectations(s, np.diag(S) if s1 is None else s1, np.diag(S) if s2 is None else s2, S)
            new = q + s.sigma_w**2 * wide @ Sigma[:-1, :-1] @ wide.T
            change = np.abs(new - S).max()
            S = new
            if change <= 1e-15 * np.abs(S).max():
                break
        Sigma, D = self.expectations(s, np.diag(S) if s1 is None else s1, np.diag(S) if s2 is None else s2, S)
        return S, Sigma, D

    def terminal_P(self, s, D):
        return s.sigma_v**2 * D[-1, -1]

    def adjoint_covariance(self, s, A, b, D):
        """P at the nodes and P_00."""
        back = (b[:, None] * A).T / b[:, None]
        last, D = self.terminal_P(s, D), D[:-1, :-1]
        P = np.full_like(D, last)
        for _ in range(200):
            new = last + s.sigma_w**2 * back @ (D * P) @ back.T
            change = np.abs(new - P).max()
            P = new
            if change <= 1e-15 * np.abs(P).max():
                break
        return P, last + s.sigma_w**2 * b @ (D * P) @ b

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        """The parts of K_∞ from v, W and U."""
        return s.sigma_v**2 * Sigma[-1, -1], s.sigma_w**2 * b @ (Sigma[:-1, :-1] * P) @ b, q * P0

    def limit_kernel(self, X, s, scheme, only_v=False):
        X = np.asarray(X, dtype=np.float64)
        A, b = scheme
        variances = [np.diag(self.covariance(s, A, b, self.inner(x, x, s), None, None)[0]).copy() for x in X]
        K = np.empty((len(X), len(X)))
        for i, x in enumerate(X):
            for j in range(i + 1):
                q = self.inner(x, X[j], s)
                same = (None, None) if i == j else (variances[i], variances[j])
                S, Sigma, D = self.covariance(s, A, b, q, *same)
                P, P0 = self.adjoint_covariance(s, A, b, D)
                blocks = self.limit_blocks(s, b, q, S, Sigma, D, P, P0)
                K[i, j] = K[j, i] = blocks[0] if only_v else sum(blocks)
        return K

    def limit_ntk(self, X, settings):
        return self.limit_kernel(X, settings, self.scheme(settings))

    def limit_nngp(self, X, settings):
        return self.limit_kernel(X, settings, self.scheme(settings), only_v=True)

    def limit_resnet_ntk(self, X, settings):
        return self.limit_kernel(X, settings, self.resnet_scheme(settings))
