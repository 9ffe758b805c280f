"""Exact gradients for φ = ReLU and leaky ReLU: between crossings of the kink the flow is a matrix exponential.

While no component of h changes its sign, φ(h) = s ⊙ h with a constant s, so (1) and (3) are linear: with B = A diag s,
A = (σ_w/√n) W, a piece of length τ has h(u) = e^{uB} h(0) and λ(u) = e^{(τ−u)Bᵀ} λ(τ). A crossing leaves h, ḣ and λ
continuous, because φ is. No step-size control and no tolerance enters.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.polynomial.legendre import leggauss
from scipy.linalg import expm, expm_frechet
from scipy.optimize import brentq
from scipy.special import comb

from refimpl import Jacobian, NeuralODE, Params
from verification.statements._data import Array, Mask

SLOPES = {"relu": (0.0, 1.0), "leaky_relu": (0.01, 1.0)}
"""φ' left and right of the kink."""

TERMS = 18
"""Terms of the exponential: a piece has ‖A‖ τ ≤ 1/2, and 2⁻¹⁸/18! is 6e-22."""

NODES = 8
"""Gauss nodes in a piece: the error of a product of two such exponentials is below (‖A‖τ)¹⁶/16! ≤ 1e-18."""


@dataclass(frozen=True)
class Piece:
    """A stretch of time without a crossing.

    Parameters
    ----------
    length : float
    slope : array, shape (n,)
        φ'(h).
    terms : array, shape (TERMS, n)
        h = Σ_k terms_k u^k, where u runs from 0 to 1 over the piece.
    """

    length: float
    slope: Array
    terms: Array


@dataclass(frozen=True)
class Flow:
    """The solution of (1) for one input.

    Parameters
    ----------
    end, slope : array, shape (n,)
        h_T and φ'(h_T).
    speeds : array, shape (crossings,)
        |ḣ_i| at the crossings, in their order; where it is not zero the crossing is transversal.
    """

    pieces: tuple[Piece, ...]
    end: Array
    slope: Array
    speeds: Array


def flow(net: NeuralODE, theta: Params, x: Array) -> Flow:
    """The pieces of h_t for one input of shape (d,)."""
    A, (below, above) = _weights(net, theta), SLOPES[net.phi.name]
    longest = float(0.5 / np.linalg.norm(A, 2))
    h, remaining, touching = net.sigma_u * theta.U @ x, net.horizon, -1
    sign = np.sign(h)
    if not sign.all():
        raise ArithmeticError("a component of h_0 is zero: where it goes is not decided by its sign")
    pieces, speeds = [], []
    while remaining > 0:
        slope, length = np.where(sign > 0, above, below), min(longest, remaining)
        terms = _exponential(A, slope, h, length)
        signed = terms * sign
        if touching >= 0:  # this component leaves zero: divide its root at the beginning out
            signed[:-1, touching], signed[-1, touching] = signed[1:, touching].copy(), 0.0
        moment, who = _first_root(signed)
        pieces.append(Piece(moment * length, slope, terms * moment ** np.arange(TERMS)[:, None]))
        h, touching = pieces[-1].terms.sum(axis=0), who
        if who < 0:
            remaining -= length
            continue
        remaining -= moment * length
        h[who], sign[who] = 0.0, -sign[who]
        speeds.append(abs(float(A[who] @ (slope * h))))
    return Flow(tuple(pieces), h, np.where(sign > 0, above, below), np.asarray(speeds))


def gradient(net: NeuralODE, theta: Params, X: Array, on: Mask | None = None) -> tuple[Array, Jacobian, list[Flow]]:
    """f (N,), ∇f and the flows at X (N, d), from exponentials as power series and Gauss quadrature in every piece.

    With `on`, of shape (N, n), these neurons and no others count as positive where the adjoint starts, λ_T of (3).
    """
    n, A, (x, weights) = theta.width, _weights(net, theta), leggauss(NODES)
    powers, weights = ((1 + x) / 2)[:, None] ** np.arange(TERMS), weights / 2
    flows, of_U, of_W = [], [], []
    below, above = SLOPES[net.phi.name]
    for i, point in enumerate(X):
        found = flow(net, theta, point)
        slope = found.slope if on is None else np.where(on[i], above, below)
        adjoint = net.sigma_v / math.sqrt(n) * slope * theta.v
        left, right = [], []
        for piece in reversed(found.pieces):
            back = _exponential(A, piece.slope, adjoint, piece.length, transposed=True)
            right.append(powers @ piece.terms * piece.slope)
            left.append((powers @ back)[::-1] * (piece.length * weights)[:, None])  # λ runs backwards
            adjoint = back.sum(axis=0)
        flows.append(found)
        of_U.append(net.sigma_u * np.outer(adjoint, point))
        of_W.append(net.sigma_w / math.sqrt(n) * np.concatenate(left).T @ np.concatenate(right))
    of_v = net.sigma_v / math.sqrt(n) * np.stack([found.slope * found.end for found in flows])
    return of_v @ theta.v, Jacobian(np.stack(of_U), np.stack(of_W), of_v), flows


def gradient_by_expm(net: NeuralODE, theta: Params, x: Array) -> tuple[float, Jacobian]:
    """f and ∇f at one input, from dense exponentials of the same pieces and without a quadrature.

    The integral over a piece is a Fréchet derivative of the exponential, L(τBᵀ, τ λ(τ) h(0)ᵀ), times diag s.
    """
    n, A, found = theta.width, _weights(net, theta), flow(net, theta, x)
    h, states = net.sigma_u * theta.U @ x, []
    for piece in found.pieces:
        states.append(h)
        h = expm(piece.length * A * piece.slope) @ h
    adjoint, of_W = net.sigma_v / math.sqrt(n) * found.slope * theta.v, np.zeros((n, n))
    for piece, start in zip(reversed(found.pieces), reversed(states), strict=True):
        transposed = piece.length * (A * piece.slope).T
        back, integral = expm_frechet(transposed, piece.length * np.outer(adjoint, start))
        of_W += net.sigma_w / math.sqrt(n) * integral * piece.slope
        adjoint = back @ adjoint
    of_v = net.sigma_v / math.sqrt(n) * found.slope * h
    return float(of_v @ theta.v), Jacobian(net.sigma_u * np.outer(adjoint, x)[None], of_W[None], of_v[None])


def _weights(net: NeuralODE, theta: Params) -> Array:
    A: Array = net.sigma_w / math.sqrt(theta.width) * theta.W
    return A


def _exponential(A: Array, slope: Array, y: Array, length: float, *, transposed: bool = False) -> Array:
    """Terms (τB)^k y / k! of e^{τB} y, or those with Bᵀ; shape (TERMS, n)."""
    terms = np.empty((TERMS, y.size))
    terms[0] = y
    for k in range(1, TERMS):
        y = (slope * (y @ A) if transposed else A @ (slope * y)) * (length / k)
        terms[k] = y
    return terms


_TO_BERNSTEIN = np.tril(
    comb(np.arange(TERMS)[:, None], np.arange(TERMS)) / comb(TERMS - 1, np.arange(TERMS))
)  # from powers of u to the Bernstein basis on [0, 1]


def _first_root(signed: Array) -> tuple[float, int]:
    """Smallest u in (0, 1] at which a polynomial, positive at 0+, reaches zero, and its column; (1, −1) if none does.

    Bernstein coefficients of one sign exclude a root, one change of sign means one root: none is missed.
    """
    bernstein = _TO_BERNSTEIN @ signed
    first, who = 1.0, -1
    for i in np.flatnonzero(bernstein.min(axis=0) <= 0).tolist():
        root = _isolated(signed[:, i], bernstein[:, i], 0.0, 1.0, first)
        if root is not None:
            first, who = root, i
    return first, who


def _isolated(power: Array, bernstein: Array, start: float, end: float, limit: float) -> float | None:
    """First root in (start, end] and below `limit`; `bernstein` are the coefficients on that interval."""
    if start > limit or bernstein.min() > 0:
        return None
    if end - start < 1e-14:
        raise ArithmeticError("a neuron touches zero: rounding cannot tell whether it crosses there and back")
    if bernstein[-1] <= 0 and np.count_nonzero(np.diff(bernstein <= 0)) == 1:
        exponents = np.arange(TERMS)
        if power @ end**exponents >= 0:  # zero at the end itself, as far as rounding can tell
            return end
        root = float(brentq(lambda u: float(power @ u**exponents), start, end, xtol=1e-16, rtol=1e-15))
        return root if root <= limit else None
    low, high = _halved(bernstein)
    middle = (start + end) / 2
    root_below = _isolated(power, low, start, middle, limit)
    return root_below if root_below is not None else _isolated(power, high, middle, end, limit)


def _halved(bernstein: Array) -> tuple[Array, Array]:
    """Bernstein coefficients on the two halves, by de Casteljau's algorithm."""
    left, right, row = [bernstein[0]], [bernstein[-1]], bernstein
    for _ in range(len(bernstein) - 1):
        row = (row[:-1] + row[1:]) / 2
        left.append(row[0])
        right.append(row[-1])
    return np.asarray(left), np.asarray(right[::-1])
