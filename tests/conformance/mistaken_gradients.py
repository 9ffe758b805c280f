"""Mistakes of gradients and the kernel; see `mistaken.py`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tests.conformance.plain import Plain


class GradientMean(Plain):
    mistake = "the gradient of the mean of f(x_i), not of the sum"
    expected_name_hint = ("mean", "average", "sum", "1/n")

    def gradients(self, net, rows):
        return tuple(g / len(rows) for g in super().gradients(net, rows))


class GradientOfLastRow(Plain):
    mistake = "the gradient is overwritten at each row instead of added up"
    expected_name_hint = ("row", "last", "sum", "sample", "accumul", "mean")

    def gradients(self, net, rows):
        return super().gradients(replace(net, X=net.X[-1:]), rows[-1:])


class RescaledParameters(Plain):
    mistake = "gradient and K_θ with respect to W/√n and v/√n"
    expected_name_hint = ("sqrt", "√n", "parameteri", "rescal", "scal", "root")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows) * math.sqrt(net.n)

    def gradient_v(self, net, rows):
        return super().gradient_v(net, rows) * math.sqrt(net.n)

    def block_W(self, net, p, q):
        return super().block_W(net, p, q) * net.n

    def block_v(self, net, p, q):
        return super().block_v(net, p, q) * net.n


class GradientTransposed(Plain):
    mistake = "∂f/∂W comes out transposed"
    expected_name_hint = ("transpose", "wt", "w^t", "wᵀ")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows).T


class GradientWithoutSigmaU(Plain):
    mistake = "∂f/∂U = λ_0 xᵀ: σ_u is forgotten"
    expected_name_hint = ("sigma u", "σ_u")

    def gradient_U(self, net, rows):
        return super().gradient_U(net, rows) / net.s.sigma_u

    def block_U(self, net, p, q, x, y):
        return super().block_U(net, p, q, x, y) / net.s.sigma_u**2


class GradientWithoutSigmaW(Plain):
    mistake = "∂f/∂W without its factor σ_w"
    expected_name_hint = ("sigma w", "σ_w")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows) / net.s.sigma_w

    def block_W(self, net, p, q):
        return super().block_W(net, p, q) / net.s.sigma_w**2


class GradientStopsAtW(Plain):
    mistake = "∂f/∂U from λ_T, which did not pass through the network"
    expected_name_hint = ("lambda", "adjoint", "λ", "terminal", "gu", "∂f/∂u")

    def gradient_U(self, net, rows):
        return super().gradient_U(net, [replace(r, start=self.terminal(net, r)) for r in rows])

    def block_U(self, net, p, q, x, y):
        p, q = (replace(r, start=self.terminal(net, r)) for r in (p, q))
        return super().block_U(net, p, q, x, y)


class PreactivationGradient(Plain):
    mistake = "∂f/∂W = ∫ λ hᵀ: h for φ(h)"
    expected_name_hint = ("phi", "activation", "φ")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, [replace(r, phi=r.h) for r in rows])

    def block_W(self, net, p, q):
        return super().block_W(net, *(replace(r, phi=r.h) for r in (p, q)))


class NoWeightBlock(Plain):
    mistake = "K_θ without the block of W"
    expected_name_hint = ("block w", "w block", "block of w", "k w", "without w")

    def block_W(self, net, p, q):
        return 0.0


class NoInputBlock(Plain):
    mistake = "K_θ without the block of U, as if U were not trained"
    expected_name_hint = ("block u", "u block", "block of u", "k u", "without u")

    def block_U(self, net, p, q, x, y):
        return 0.0


class NoOutputBlock(Plain):
    mistake = "K_θ without the block of v"
    expected_name_hint = ("block v", "v block", "block of v", "k v", "without v")

    def block_v(self, net, p, q):
        return 0.0


class KernelWithoutSigmaW(Plain):
    mistake = "the block of W in K_θ has σ_w for σ_w²"
    expected_name_hint = ("sigma w", "σ_w")

    def block_W(self, net, p, q):
        return super().block_W(net, p, q) / net.s.sigma_w


class DroppedWeights(Plain):
    mistake = "the last quadrature node of ∫ λφᵀ is left out"
    expected_name_hint = ("quadrature", "weight", "node", "riemann", "dropped")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, [_without_last(r) for r in rows])

    def block_W(self, net, p, q):
        return super().block_W(net, _without_last(p), _without_last(q))


def _without_last(nodes):
    b = nodes.b.copy()
    b[-1] = 0.0
    return replace(nodes, b=b)


class Symmetrised(Plain):
    mistake = "K_θ symmetrised as K + Kᵀ without ½ off the diagonal"
    expected_name_hint = ("symm",)

    def kernel(self, net, rows):
        K = super().kernel(net, rows)
        return K + K.T - np.diag(np.diag(K))


class UpperTriangle(Plain):
    mistake = "only the upper triangle of K_θ is filled"
    expected_name_hint = ("symm", "triang")

    def kernel(self, net, rows):
        return np.triu(super().kernel(net, rows))


class CosineKernel(Plain):
    mistake = "inputs are normalised in K_U, as on a sphere"

    def block_U(self, net, p, q, x, y):
        size = np.linalg.norm(x) * np.linalg.norm(y)
        return super().block_U(net, p, q, x, y) / (size or 1.0)
