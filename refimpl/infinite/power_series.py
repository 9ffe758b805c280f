"""The coefficients of K_∞(ρ) = Σ a_k ρ^k on a sphere, each with small relative error.

On the sphere |x| = r, with q = σ_u² r² and ρ the cosine, S, Σ, D and P are power series in ρ at every pair of times.
With the correlation R = S/√(s_i s_j) at ρ = 0 and δ = R − R_0,

    Σ = Σ_l α_l(s_i) α_l(s_j) R^l = Σ_p F_p δ^p,     F_p = Σ_l binom(l, p) α_l α_l R_0^{l−p},

and δ^p begins with ρ^p. So Σ_k = F_1 δ_k + (terms of δ_1 … δ_{k−1}), and with S_k = q [k = 1] + σ_w² A Σ_k Aᵀ one
coefficient after the other solves a linear equation; P_k follows likewise. D is the same with the coefficients of φ'.

All products α_l α_l are ≥ 0 (`refimpl.infinite.hermite_coefficients`), so all series have coefficients ≥ 0 and none
cancel but for the small negative entries of A: a_k has a small *relative* error, down to the smallest float.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from refimpl.activations import BUILTIN
from refimpl.errors import AccuracyError
from refimpl.infinite.covariance import variances
from refimpl.infinite.hermite_coefficients import hermite_magnitudes
from refimpl.quadrature import Host
from refimpl.scheme import Scheme, gauss

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

LADDER = (8, 12, 16, 24, 32, 48)
"""Numbers of nodes."""

SWEEPS = 400
"""Iterations of a linear equation at most; its Volterra structure makes them converge."""

TERMS = 4096
"""Terms of the Hermite expansion at most."""

EPS = float(np.finfo(float).eps)


@dataclass(frozen=True, eq=False)
class Coefficients:
    """a_k of K_∞ and of the NNGP kernel, and an estimate of their largest relative error.

    Parameters
    ----------
    ntk, nngp : ndarray, shape (count,)
    error : float
    """

    ntk: Host
    nngp: Host
    error: float


def power_series(net: NeuralODE, radius: float, count: int, rtol: float = 1e-9) -> Coefficients:
    """a_0 … a_{count−1} for inputs of norm `radius`, for a built-in activation.

    Raises
    ------
    ValueError
        An activation of one's own: its Hermite coefficients are known with a small absolute error only.
    AccuracyError
        Two resolutions do not agree to `rtol`, relative to every coefficient.

    Examples
    --------
    >>> import refimpl
    >>> a = power_series(refimpl.NeuralODE("softplus"), 1.0, 40)
    >>> kernel = refimpl.NeuralODE("softplus").limit().on_sphere()
    >>> bool((a.ntk > 0).all()), bool(abs(np.polynomial.Polynomial(a.ntk)(0.4) - kernel(np.asarray([0.4]))[0]) < 1e-12)
    (True, True)
    """
    if net.phi != BUILTIN.get(net.phi.name):
        raise ValueError(f"the power series is known for built-in activations only, got {net.phi.name}")
    before, change = None, math.inf
    for nodes in LADDER:
        found = _Series(net, gauss(nodes, 1, net.horizon), (net.sigma_u * radius) ** 2, count).coefficients()
        if before is not None:
            change = max(_apart(new, old) for new, old in zip(found, before, strict=True))
            if change <= rtol:
                return Coefficients(*found, error=max(change, 64 * count * EPS))
        before = found
    raise AccuracyError(f"coefficients of two resolutions differ by {change:.3g}", reached=change)


def log_slopes(net: NeuralODE, radius: float, count: int) -> Host:
    """∂ log a_k(r, r')/∂ log r at r = r' = `radius` for k < `count`, 0 where a_k = 0: to a few digits, an estimate.

    a_k(r, r') is symmetric, so that this is half the slope of log a_k(r, r): a difference of two series on few nodes.
    """
    scheme, step = gauss(LADDER[0], 1, net.horizon), 1e-4
    (below, _), (above, _) = (
        _Series(net, scheme, (net.sigma_u * radius * factor) ** 2, count).coefficients()
        for factor in (1 - step, 1 + step)
    )
    slopes: Host = np.log(np.divide(above, below, out=np.ones(count), where=below > 0)) / (4 * step)
    return slopes


def _apart(new: Host, old: Host) -> float:
    size = np.maximum(np.abs(new), np.abs(old))
    return float(np.max(np.abs(new - old) / np.where(size > 0, size, 1.0), initial=0.0))


class _Series:
    """The equations at the nodes of a scheme and, as the last of M rows and columns, at T."""

    def __init__(self, net: NeuralODE, scheme: Scheme, q: float, count: int) -> None:
        self.net, self.scheme, self.q, self.count = net, scheme, q, count
        variance = variances(np, net, scheme, np.asarray([q]))
        s = np.append(variance.nodes[0], variance.terminal[0])
        self.size = np.sqrt(np.multiply.outer(s, s))
        self.upto = np.vstack([scheme.matrix, scheme.weights])  # ∫_0^{t_i}, the last up to T
        self.weights = scheme.weights
        self.s = s
        self.alpha, self.R0 = self._orthogonal_inputs()

    def _orthogonal_inputs(self) -> tuple[Host, Host]:
        """α_l(s), enough of them, and the correlation R at ρ = 0."""
        count = 2 * self.count
        while True:
            alpha = hermite_magnitudes(self.net.phi.name, self.s, count + 1)
            R = self._at_zero(alpha[:-1])
            if _enough(float(np.max(R)), count, self.count):
                return alpha, R
            if count >= TERMS:
                raise AccuracyError(f"{TERMS} terms of the Hermite expansion are not enough")
            count *= 2

    def _at_zero(self, alpha: Host) -> Host:
        return _converged(lambda R: self._scaled(_polynomial(alpha, R)), np.zeros_like(self.size))

    def _scaled(self, values: Host) -> Host:
        """σ_w² ∫_0^{t_i} ∫_0^{t_j} of values at the nodes and T, over √(s_i s_j)."""
        result: Host = self.net.sigma_w**2 * (self.upto @ values[:-1, :-1] @ self.upto.T) / self.size
        return result

    def coefficients(self) -> tuple[Host, Host]:
        count = self.count
        F = _taylor(self.alpha[:-1], self.R0, count)
        slopes = np.sqrt(np.arange(1, len(self.alpha)))[:, None] * self.alpha[1:] / np.sqrt(self.s)
        G = _taylor(slopes, self.R0, count)
        shape = (count, *self.size.shape)
        Sigma, D, delta = np.zeros(shape), np.zeros(shape), np.zeros(shape)
        Sigma[0], D[0] = F[0], G[0]
        powers = np.zeros((count, *shape))  # [p, k] is the coefficient of ρ^k in δ^p
        powers[0, 0] = 1.0
        for k in range(1, count):
            for p in range(2, k + 1):
                j = np.arange(1, k - p + 2)
                powers[p, k] = np.einsum("jab,jab->ab", delta[j], powers[p - 1, k - j])
            known = np.einsum("pab,pab->ab", F[2 : k + 1], powers[2 : k + 1, k])
            value = self._next(known, F[1], self.q * (k == 1) / self.size)
            delta[k] = powers[1, k] = value
            Sigma[k] = known + F[1] * value
            D[k] = np.einsum("pab,pab->ab", G[1 : k + 1], powers[1 : k + 1, k])
        return self._assembled(Sigma, D)

    def _next(self, known: Host, factor: Host, entering: Host) -> Host:
        return _converged(lambda R: entering + self._scaled(known + factor * R), np.zeros_like(self.size))

    def _assembled(self, Sigma: Host, D: Host) -> tuple[Host, Host]:
        net, b, back = self.net, self.weights, self._back()
        P = np.zeros_like(D[:, :-1, :-1])
        ntk, nngp = np.zeros(self.count), net.sigma_v**2 * Sigma[:, -1, -1]
        initial = np.zeros(self.count)
        for k in range(self.count):
            end = net.sigma_v**2 * D[k, -1, -1]
            known = np.einsum("jab,jab->ab", D[1 : k + 1, :-1, :-1], P[k - 1 :: -1][:k]) if k else 0.0 * P[0]

            def through(value: Host, known: Host = known, end: float = end) -> Host:
                result: Host = end + net.sigma_w**2 * (back @ (known + D[0, :-1, :-1] * value) @ back.T)
                return result

            value = _converged(through, np.zeros_like(P[0]))
            P[k] = value
            initial[k] = end + net.sigma_w**2 * (b @ (known + D[0, :-1, :-1] * value) @ b)
            both = np.einsum("jab,jab->ab", Sigma[: k + 1, :-1, :-1], P[k::-1])
            ntk[k] = nngp[k] + net.sigma_w**2 * (b @ both @ b)
        ntk[1:] += self.q * initial[:-1]
        return ntk, nngp

    def _back(self) -> Host:
        """Â_ji = b_i a_ij / b_j: ∫_{t_j}^T."""
        matrix, b = self.scheme.matrix, self.scheme.weights
        result: Host = (matrix * b[:, None]).T / b[:, None]
        return result


def _converged(update: Callable[[Host], Host], value: Host) -> Host:
    """Fixed point of a contraction, to rounding."""
    for _ in range(SWEEPS):
        new = update(value)
        if np.max(np.abs(new - value)) <= 4 * EPS * np.max(np.abs(new)):
            return new
        value = new
    raise AccuracyError(f"an equation for a coefficient is not solved after {SWEEPS} sweeps")


def _enough(R: float, terms: int, count: int) -> bool:
    """Whether Σ_{l ≥ terms} binom(l, p) R^{l−p} is below rounding against the largest term, for all p < `count`.

    For p = count − 1, the worst, terms grow up to l = p/(1 − R). The squares α_l² only fall faster.
    """
    if not R < 1:
        raise AccuracyError("two orthogonal inputs end up parallel")
    if R == 0:
        return True
    p = count - 1

    def logarithm(length: float) -> float:
        choose = math.lgamma(length + 1) - math.lgamma(p + 1) - math.lgamma(length - p + 1)
        return choose + (length - p) * math.log(R)

    largest = p / (1 - R)
    return terms > largest and logarithm(terms) - logarithm(largest) - math.log(1 - R) < math.log(EPS / 4)


def _polynomial(alpha: Host, R: Host) -> Host:
    """Σ_l α_l(s_i) α_l(s_j) R^l."""
    total = np.zeros_like(R)
    for row in alpha[::-1]:
        total = total * R + np.multiply.outer(row, row)
    return total


def _taylor(alpha: Host, R: Host, count: int) -> Host:
    """F_p = Σ_l binom(l, p) α_l α_l R^{l−p} for p < `count`, shape (count, M, M)."""
    F = np.zeros((count, *R.shape))
    for row in alpha[::-1]:  # the Taylor coefficients of f R + c from those of f
        F[1:] = F[1:] * R + F[:-1]
        F[0] = F[0] * R + np.multiply.outer(row, row)
    return F
