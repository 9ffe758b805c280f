"""Gradient descent of wide networks in single precision, written out: Gauss collocation, its adjoint, displacements.

θ^k is kept as θ^0 plus a displacement. The entries of the displacement are a thousandth of those of θ, so that in
single precision an update of a ten-millionth of θ is not lost, as it would be in θ itself. The stages of one step of
training start the fixed-point sweeps of the next.
"""

from __future__ import annotations

from typing import Any, NamedTuple, TypeAlias

import numpy as np

from refimpl import NeuralODE, Params
from refimpl.scheme import gauss
from verification.statements._data import Array

Single: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

NODES = 5
"""Gauss nodes per unit of time: the gradient of a softplus network is that of the ODE to 1e-6."""

SETTLED = 1e-6
"""A sweep that changes the stages by less than this, relatively, is the last: it divides the error by five or more."""

MAX_SWEEPS = 60


class Path(NamedTuple):
    """u^k − y, shape (K + 1, N), and ‖θ^k − θ^0‖, shape (K + 1,), for k = 0, …, K."""

    residual: Array
    distance: Array

    @property
    def loss(self) -> Array:
        """L(θ^k), shape (K + 1,)."""
        losses: Array = (self.residual**2).sum(axis=1) / 2
        return losses


class FastDescent:
    """One network in training.

    Parameters
    ----------
    net : NeuralODE
    theta : Params
        θ^0, U (n, d), W (n, n), v (n,).
    X, y : array, shape (N, d) and (N,)
    """

    def __init__(self, net: NeuralODE, theta: Params, X: Array, y: Array) -> None:
        self.net, self.X, self.y = net, X.astype(np.float32), y.astype(np.float32)
        self.start = [np.asarray(block, dtype=np.float32) for block in (theta.U, theta.W, theta.v)]
        self.moved = [np.zeros_like(block) for block in self.start]
        scheme = gauss(NODES * max(1, int(np.ceil(net.horizon))), 1, net.horizon)
        A, b = scheme.A * scheme.step, scheme.b * scheme.step
        eye = np.eye(len(X))
        self.b = b.astype(np.float32)
        self.forward = np.kron(A.T, eye).astype(np.float32)  # columns (j, x) of the stages, from the right
        self.backward = np.kron(A * b[:, None] / b, eye).astype(np.float32)
        self.stages: Single | None = None
        self.adjoint: Single | None = None

    def gradient(self) -> tuple[Single, list[Single]]:
        """u^k − y (N,) and ∇L at θ^k by block: (1), (3) and (4) at the nodes, N columns for each."""
        U, W, v = (block + moved for block, moved in zip(self.start, self.moved, strict=True))
        net, n, m, N = self.net, len(v), len(self.b), len(self.X)
        phi, dphi = net.phi.phi, net.phi.dphi
        rate, output = np.float32(net.sigma_w / np.sqrt(n)), np.float32(net.sigma_v / np.sqrt(n))
        sigma_u, b = np.float32(net.sigma_u), np.repeat(self.b, N)

        def over_time(columns: Single) -> Single:
            total: Single = (columns * b).reshape(n, m, N).sum(axis=1)
            return total

        h0 = sigma_u * (U @ self.X.T)
        self.stages, rates = _settle(np.tile(h0, m), self.forward, lambda h: rate * (W @ phi(h)), self.stages)
        end = h0 + over_time(rates)
        residual = output * (phi(end).T @ v) - self.y
        last, slopes = output * dphi(end) * v[:, None], dphi(self.stages)

        def pulled(adjoint: Single) -> Single:
            pull: Single = slopes * (rate * (W.T @ adjoint))
            return pull

        self.adjoint, back = _settle(np.tile(last, m), self.backward, pulled, self.adjoint)
        first = last + over_time(back)
        weights = b * np.tile(residual, m)
        gradient = [
            sigma_u * (first * residual) @ self.X,
            rate * (self.adjoint * weights) @ phi(self.stages).T,
            output * (phi(end) @ residual),
        ]
        return residual, gradient

    def run(self, rate: float, steps: int, until: float = 0.0) -> Path:
        """Gradient descent (5) with η = `rate`, until the loss is the part `until` of its start, or `steps` steps."""
        residuals, distances = list[Array](), list[float]()
        while True:
            residual, gradient = self.gradient()
            residuals.append(residual.astype(np.float64))
            distances.append(float(np.sqrt(sum(float(np.vdot(moved, moved)) for moved in self.moved))))
            left = float(residuals[-1] @ residuals[-1]) <= until * float(residuals[0] @ residuals[0])
            if len(residuals) > steps or left or not np.isfinite(residual).all():
                return Path(np.asarray(residuals), np.asarray(distances))
            for moved, slope in zip(self.moved, gradient, strict=True):
                slope *= np.float32(-rate)
                moved += slope


def _settle(start: Single, tableau: Single, rate: Any, guess: Single | None) -> tuple[Single, Single]:
    """Solve z = start + rate(z) · tableau by sweeps; returns z and rate(z)."""
    stages = start if guess is None else guess
    for _ in range(MAX_SWEEPS):
        rates = rate(stages)
        update = start + rates @ tableau
        change, stages = float(np.abs(update - stages).max()), update
        if change <= SETTLED * float(np.abs(update).max()):
            return stages, rates
    raise ArithmeticError(f"the stages still change by {change:.3g} after {MAX_SWEEPS} sweeps")
