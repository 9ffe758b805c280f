"""Mistakes of the limit; see `mistaken.py`."""

from __future__ import annotations

import numpy as np

from tests.conformance.plain import Plain, gauss


class NngpForNtk(Plain):
    mistake = "hands out the NNGP kernel for K_∞"
    expected_name_hint = ("nngp",)

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        return super().limit_blocks(s, b, q, S, Sigma, D, P, P0)[0], 0.0, 0.0


class NtkForNngp(Plain):
    mistake = "hands out K_∞ for the NNGP kernel"
    expected_name_hint = ("nngp", "ntk")

    def limit_nngp(self, X, settings):
        return self.limit_ntk(X, settings)


class SigmaForInput(Plain):
    mistake = "the last term of K_∞ with E[φ(h_0)φ(h_0)] for x·x̄"
    expected_name_hint = ("last term", "sigma 00", "input covariance", "σ^{0,0}")

    def inner(self, x, y, s):
        self.sizes = [np.array([s.sigma_u**2 * (z @ z)]) for z in (x, y)]
        return super().inner(x, y, s)

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, second, _ = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, second, self.expectations(s, *self.sizes, np.array([[q]]))[0][0, 0] * P0


class LastTermWithTerminalP(Plain):
    mistake = "the last term of K_∞ with P at T for P at 0"
    expected_name_hint = ("last term", "p 00", "p t", "adjoint", "terminal")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, second, _ = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, second, q * self.terminal_P(s, D)


class LimitWithoutInputBlock(Plain):
    mistake = "K_∞ without the block of U"
    expected_name_hint = ("block u", "u block", "block of u", "k u", "without u")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        return (*super().limit_blocks(s, b, q, S, Sigma, D, P, P0)[:2], 0.0)


class LimitWithoutWeightBlock(Plain):
    mistake = "K_∞ without the block of W"
    expected_name_hint = ("block w", "w block", "block of w", "k w", "without w")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, _, last = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, 0.0, last


class LimitIndependentLayers(Plain):
    mistake = "K_∞^L of a residual network whose layers have weights of their own: sums over l for sums over (l, l')"
    expected_name_hint = ("independent", "shared", "tied")
    limit_ntk = limit_nngp = None

    def covariance(self, s, A, b, q, s1, s2):
        wide, S = np.vstack([A, b]), np.full((len(b) + 1, len(b) + 1), q)
        for _ in range(len(b) + 1):
            Sigma, D = self.expectations(s, np.diag(S) if s1 is None else s1, np.diag(S) if s2 is None else s2, S)
            S = q + s.sigma_w**2 * (wide * np.diag(Sigma)[:-1]) @ wide.T
        return S, Sigma, D

    def adjoint_covariance(self, s, A, b, D):
        back, last, slopes = (b[:, None] * A).T / b[:, None], self.terminal_P(s, D), np.diag(D)[:-1]
        P = np.full((len(b), len(b)), last)
        for _ in range(len(b) + 1):
            P = last + s.sigma_w**2 * (back * slopes * np.diag(P)) @ back.T
        return P, last + s.sigma_w**2 * b**2 @ (slopes * np.diag(P))

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, _, last = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, s.sigma_w**2 * b**2 @ (np.diag(Sigma)[:-1] * np.diag(P)), last


class LimitWithoutSigmaV(Plain):
    mistake = "K_∞ and NNGP without σ_v²"
    expected_name_hint = ("sigma v", "σ_v")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        return tuple(z / s.sigma_v**2 for z in super().limit_blocks(s, b, q, S, Sigma, D, P, P0))


class UncorrelatedAdjoint(Plain):
    mistake = "P without its equation: P = σ_v² E[φ'φ'] at T everywhere"
    expected_name_hint = ("adjoint", "p t", "constant", "frozen", "terminal")

    def adjoint_covariance(self, s, A, b, D):
        last = self.terminal_P(s, D)
        return np.full((len(b), len(b)), last), last


class ForwardAdjointTableau(Plain):
    mistake = "the equation of P integrated from 0, with A for its adjoint tableau"
    expected_name_hint = ("adjoint", "riemann", "transpose", "time", "backward", "direction")

    def adjoint_covariance(self, s, A, b, D):
        last, D = self.terminal_P(s, D), D[:-1, :-1]
        P = np.full_like(D, last)
        for _ in range(100):
            P = last + s.sigma_w**2 * A @ (D * P) @ A.T
        return P, last + s.sigma_w**2 * b @ (D * P) @ b


class ValueForSlope(Plain):
    mistake = "E[φφ] where P wants E[φ'φ']"
    expected_name_hint = ("sigma", "slope", "phi'", "φ'", "derivative")

    def covariance(self, s, A, b, q, s1, s2):
        S, Sigma, _ = super().covariance(s, A, b, q, s1, s2)
        return S, Sigma, Sigma


class UnitVariance(Plain):
    mistake = "variances of h_0 at every time in E[φφ]: the diagonal of S is not updated"

    def covariance(self, s, A, b, q, s1, s2):
        sizes = (np.full(len(b) + 1, q),) * 2 if s1 is None else (s1, s2)
        return super().covariance(s, A, b, q, *sizes)


class FewQuadratureNodes(Plain):
    mistake = "K_∞ with three Gauss nodes in time"
    expected_name_hint = ("node", "quadrature", "accura", "toleranc", "discret")

    def limit_nodes(self, s):
        return 3


class TensorGaussAtKink(Plain):
    mistake = "tensor Gauss quadrature across the kink of E[φ'φ'] on the diagonal"
    expected_name_hint = ("kink", "quadrature")

    def scheme(self, s):
        if s.activation not in ("relu", "leaky_relu"):
            raise NotImplementedError("kinked activations only")
        A, b, _ = gauss(16)
        return s.horizon * A, s.horizon * b


class NormalisedInputs(Plain):
    mistake = "inputs are normalised to the sphere before K_∞"
    expected_name_hint = ("norm", "sphere")

    def inner(self, x, y, s):
        return s.sigma_u**2 * (x @ y) / (np.linalg.norm(x) * np.linalg.norm(y) or 1.0)
