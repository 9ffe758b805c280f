"""The sum over many layers by a few nodes: Gauss quadrature for the layers of a ResNet.

With an analytic φ the fields of a ResNet of L layers vary as slowly from layer to layer as those of the ODE do in time.
A polynomial of degree below m holds them to rounding, with m ≪ L, and sums of polynomials over layers are polynomials
again. Let R_k be the polynomials that are orthogonal on the times x = 0, 1/L, …, (L−1)/L of the layers (Gram's, or
Chebyshev's discrete ones). With u = 2x − 1 + 1/L and c_k = 1 − (k/L)²,

    (k+1) R_{k+1} = (2k+1) u R_k − k c_k R_{k−1},            (1/L) Σ_x R_k² = h_k = c_1 ⋯ c_k / (2k+1),
    (1/L) Σ_{y<x} R_k(y) = (R_{k+1} − c_k R_{k−1}) / (4k+2) − R_k / (2L)       (k = 0: and ½),

which are the formulas of Legendre for L → ∞. The zeros of R_m are the nodes of a rule that sums polynomials of degree
up to 2m − 1 over the L layers exactly, and collocation there is a `Scheme` in the sense of `refimpl.scheme`: summation
by parts is exact, so that its adjoint tableau b_i a_ij / b_j is the sum over the later layers, as backpropagation
needs it. No field at a layer is formed, and no time grows with L.

Source: W. Gautschi, *Orthogonal Polynomials*, Oxford 2004, section 1.5.2.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from scipy.linalg import eigvalsh_tridiagonal

from refimpl.quadrature import Host
from refimpl.scheme import Scheme

_BITS = 192


def layers(nodes: int, depth: int, horizon: float) -> Scheme:
    """The sum over `depth` layers by `nodes` < `depth` nodes.

    Examples
    --------
    >>> scheme = layers(3, 1000, 1.0)  # Σ (1/L) (l/L)^5 over 1000 layers
    >>> exact = sum((l / 1000) ** 5 for l in range(1000)) / 1000
    >>> bool(abs(scheme.weights @ scheme.nodes**5 - exact) < 1e-15)
    True
    """
    A, b, c = _tableau(nodes, depth)
    return Scheme(A, b, c, 1, horizon)


@lru_cache(maxsize=64)
def _tableau(nodes: int, depth: int) -> tuple[Host, Host, Host]:
    """A, b and c on [0, 1]."""
    k = np.arange(nodes + 1)
    c = 1 - (k / depth) ** 2
    h = np.cumprod(c[:-1]) / (2 * k[:-1] + 1)
    points, R = _zeros(nodes, depth)
    b = 1 / np.sum(R[:, :-1] ** 2 / h, axis=1)
    # R_{−1} = 0, and R_m vanishes at the nodes
    before = np.concatenate([np.zeros((nodes, 1)), R[:, :-2]], axis=1)
    sums = (R[:, 1:] - c[:-1] * before) / (4 * k[:-1] + 2) - R[:, :-1] / (2 * depth)
    sums[:, 0] += 0.5
    A = sums @ (R[:, :-1] / h).T * b
    for part in (A, b, points):
        part.setflags(write=False)
    return A, b, points


def _zeros(nodes: int, depth: int) -> tuple[Host, Host]:
    """Zeros x_i of R_m, and R_k(x_i) in row i, k ≤ m: by Newton's iteration in integers, so to the last place."""
    one, L2 = 1 << _BITS, depth * depth

    def polynomials(u: int) -> tuple[list[int], int]:
        """R_0(u) … R_m(u), and the derivative of the last."""
        values, slope_before, slope = [one, u], 0, one
        for k in range(1, nodes):
            c = k * (L2 - k * k)
            rising = (2 * k + 1) * (values[k] + u * slope // one)
            slope_before, slope = slope, (rising - c * slope_before // L2) // (k + 1)
            values.append(((2 * k + 1) * u * values[k] // one - c * values[k - 1] // L2) // (k + 1))
        return values, slope

    k = np.arange(1, nodes)
    starts = eigvalsh_tridiagonal(np.zeros(nodes), k * np.sqrt((1 - (k / depth) ** 2) / (4 * k * k - 1)))
    points, R = np.empty(nodes), np.empty((nodes, nodes + 1))
    for i, start in enumerate(starts):
        u = int(math.ldexp(start, 64)) << (_BITS - 64)
        for _ in range(3):
            values, slope = polynomials(u)
            u -= values[-1] * one // slope
        points[i] = (u + one - one // depth) / (2 * one)
        R[i] = [value / one for value in polynomials(u)[0]]
    R[:, -1] = 0
    return points, R
