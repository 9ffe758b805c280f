"""Mistakes of the adjoint, and solvers that do not do what they say; see `mistaken.py`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import integrate

from tests.conformance.plain import KINKED, Plain, _backward


class AdjointSign(Plain):
    mistake = "λ̇ = +φ'(h) ⊙ Wᵀλ: the sign of the adjoint equation"
    expected_name_hint = ("sign",)

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, sign=-1.0)

    def backprop(self, net, nodes, step):
        return super().backprop(net, nodes, -step)


class AdjointTransposed(Plain):
    mistake = "W for Wᵀ in the adjoint equation"
    expected_name_hint = ("transpose", "wt", "w^t", "wᵀ")

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W, self.terminal(net, nodes), self.order)

    def backprop(self, net, nodes, step):
        return super().backprop(replace(net, W=net.W.T), nodes, step)


class AdjointWithoutSigmaW(Plain):
    mistake = "σ_w is missing in the adjoint equation"
    expected_name_hint = ("sigma w", "σ_w")

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W.T / net.s.sigma_w, self.terminal(net, nodes), self.order)

    def backprop(self, net, nodes, step):
        return super().backprop(replace(net, W=net.W / net.s.sigma_w), nodes, step)


class SlopeAtTheEnd(Plain):
    mistake = "φ'(h_T) at every time of the adjoint equation"
    expected_name_hint = ("time", "slope", "phi'", "dphi", "φ'")

    def adjoint(self, net, nodes):
        slope = np.broadcast_to(self.activation(net.s)[1](nodes.end), nodes.h.shape)
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, slope)


class SlopeAtTheStart(Plain):
    mistake = "φ'(h_0) at every time of the adjoint equation"
    expected_name_hint = ("time", "slope", "phi'", "dphi", "φ'")

    def adjoint(self, net, nodes):
        slope = np.broadcast_to(self.activation(net.s)[1](nodes.first), nodes.h.shape)
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, slope)


class SlopeForgotten(Plain):
    mistake = "λ̇ = −Wᵀλ: φ' is forgotten"
    expected_name_hint = ("slope", "phi'", "dphi", "φ'", "derivative", "time")

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, np.ones_like(nodes.h))


class TerminalSlopeForgotten(Plain):
    mistake = "λ_T = σ_v v/√n: φ'(h_T) is forgotten"
    expected_name_hint = ("terminal", "lambda t", "λ_t", "slope", "phi'", "φ'")

    def terminal(self, net, nodes):
        return net.v


class TerminalIsActivation(Plain):
    mistake = "λ_T = σ_v φ(h_T)⊙v/√n: φ for φ'"
    expected_name_hint = ("terminal", "lambda t", "λ_t", "phi")

    def terminal(self, net, nodes):
        return net.v * self.activation(net.s)[0](nodes.end)


class FrozenAdjoint(Plain):
    mistake = "λ stays λ_T: the gradient stops at the last layer"
    expected_name_hint = ("adjoint", "frozen", "constant", "terminal", "lambda")

    def adjoint(self, net, nodes):
        last = self.terminal(net, nodes)
        return np.broadcast_to(last, nodes.h.shape), last

    def backprop(self, net, nodes, step):
        return self.adjoint(net, nodes)


class BackwardReconstruction(Plain):
    mistake = "h is reconstructed backwards in time by a loose solver, and drifts"
    ntk = resnet_predict = resnet_gradient = resnet_ntk = limit_ntk = limit_nngp = limit_resnet_ntk = None

    def gradient(self, U, W, v, X, settings):
        net = self.net(U, W, v, X, settings)
        phi, dphi = self.activation(settings)
        rows, n = self.ode(net), net.n
        if settings.activation == "quadratic" or settings.activation in KINKED:
            raise NotImplementedError(settings.activation)
        gW, gU = np.zeros((n, n)), np.zeros(np.shape(U))
        for r, x in zip(rows, net.X, strict=True):

            def backwards(t, y):
                h, lam = y[:n], y[n : 2 * n]
                return np.concatenate([-net.W @ phi(h), dphi(h) * (net.W.T @ lam), np.outer(lam, phi(h)).ravel()])

            y0 = np.concatenate([r.end, self.terminal(net, r), np.zeros(n * n)])
            y = integrate.solve_ivp(backwards, (0, settings.horizon), y0, rtol=1e-5, atol=1e-7).y[:, -1]
            gW += settings.sigma_w / math.sqrt(n) * y[2 * n :].reshape(n, n)
            gU += settings.sigma_u * np.outer(y[n : 2 * n], x)
        return gU, gW, self.gradient_v(net, rows)


class LooseSolver(Plain):
    mistake = "solver tolerance 1e-3, the default of many"
    gradient = ntk = initial_adjoint = resnet_predict = resnet_gradient = resnet_ntk = None
    limit_ntk = limit_nngp = limit_resnet_ntk = None
    expected_name_hint = ("toleranc", "solver", "accura", "step")

    def terminal_state(self, U, W, v, X, settings):
        net, phi = self.net(U, W, v, X, settings), self.activation(settings)[0]
        span = (0, settings.horizon)
        return np.array([integrate.solve_ivp(lambda t, h: net.W @ phi(h), span, h).y[:, -1] for h in net.h0])

    def predict(self, U, W, v, X, settings):
        h = self.terminal_state(U, W, v, X, settings)
        return self.activation(settings)[0](h) @ self.net(U, W, v, X, settings).v


class EulerForOde(Plain):
    mistake = "the Neural ODE by 20 steps of Euler's method"
    expected_name_hint = ("euler", "order", "step", "discret", "resnet")

    def ode(self, net):
        return super().resnet(replace(net, s=replace(net.s, depth=20)))


class SinglePrecision(Plain):
    mistake = "computes in float32 and hands out float64"
    expected_name_hint = ("float32", "single", "precision")

    def net(self, U, W, v, X, s):
        net = super().net(*(np.asarray(a, dtype=np.float32) for a in (U, W, v, X)), s)
        return replace(net, W=_single(net.W), h0=_single(net.h0), v=_single(net.v))

    def output(self, net, rows):
        return _single(super().output(net, rows))

    def gradients(self, net, rows):
        return tuple(_single(g) for g in super().gradients(net, rows))

    def kernel(self, net, rows):
        return _single(super().kernel(net, rows))

    def limit_kernel(self, X, s, scheme, only_v=False):
        return _single(super().limit_kernel(X, s, scheme, only_v))


def _single(a):
    return np.asarray(a, dtype=np.float32).astype(np.float64)
