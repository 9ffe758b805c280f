"""The eigenmodes of a tangent kernel, and what gradient descent does to each of them."""

from __future__ import annotations

import numpy as np

from refimpl.backend import Array, Namespace, to_host
from refimpl.quadrature import Host

TINY = 1e-300
"""Below it kηλ/2 is nothing beside 1, even for 2⁵³ steps, and its digits may be lost to underflow."""


def eigenmodes(xp: Namespace, K: Array, accuracy: float) -> tuple[Host, Array]:
    """Eigenvalues on the host and eigenvectors of K, if it is symmetric and positive semi-definite."""
    N = K.shape[0]
    if N == 0:
        return np.zeros(0), K
    largest, asymmetry = float(xp.max(xp.abs(K))), float(xp.max(xp.abs(K - K.T)))
    if asymmetry > N * accuracy * largest:
        raise ValueError(
            f"K must be symmetric to rtol={accuracy:.3g}, but K and its transpose differ by {asymmetry:.3g}"
        )
    values, vectors = xp.linalg.eigh((K + K.T) / 2)
    host = np.array(to_host(values))  # NumPy 2.0 makes it read-only, and PyTorch takes no such array back
    if host[0] < -N * accuracy * max(host[-1], 0.0):
        raise ValueError(
            f"K must be positive semi-definite to rtol={accuracy:.3g}, but its eigenvalues go from {host[0]:.6g} to "
            f"{host[-1]:.6g}; if its entries are less accurate, give their accuracy as rtol"
        )
    return host, vectors


def mode_functions(rate: float, values: Host, counts: Host, floor: float) -> tuple[Host, Host]:
    """(1 − ηλ)^k and g_k(λ) = (1 − (1 − ηλ)^k)/λ for every k and λ, each of shape counts.shape + (N,).

    Eigenvalues up to `floor` count as 0 for k = ∞, negative ones always.
    """
    k, lam = counts[..., None], np.maximum(values, 0.0)
    product = rate * lam
    still = product < TINY
    end, moves = np.isinf(k), lam > floor
    with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
        # |1 − ηλ| is 1 + (−ηλ) below ηλ = 1, and 1 + (ηλ − 2) above.
        logarithm = np.log1p(np.where(product <= 1, -product, product - 2))
        exponent = np.where(k == 0, 0.0, k * logarithm)
        flips = (product > 1) & (k % 2 == 1)
        remaining = np.where(flips, -1.0, 1.0) * np.exp(exponent)
        change = np.where(flips, 1.0 + np.exp(exponent), -np.expm1(exponent))
        integrated = np.where(still, rate * k, change / np.where(still, 1.0, lam))
        remaining = np.where(end, np.where(moves, 0.0, 1.0), remaining)
        integrated = np.where(end, np.where(moves, 1.0 / np.where(moves, lam, 1.0), 0.0), integrated)
    return remaining, integrated


def check_limit(rate: float, values: Host, present: Host) -> None:
    """Raise if a mode that is present in u^0 − y, beyond the rounding of its coefficient, does not decay."""
    rounding = values.size * float(np.finfo(np.float64).eps)
    excited = np.abs(present) > rounding * np.linalg.norm(present)
    stuck = values[excited & (rate * values >= 2)]
    if stuck.size:
        raise ValueError(
            f"steps=inf needs ηλ < 2 for every eigenvalue λ of K that u0 − y excites, but λ = {stuck[-1]:.6g} has "
            f"ηλ = {rate * stuck[-1]:.6g}"
        )
