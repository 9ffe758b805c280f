"""K_∞ and the NNGP kernel for a list of pairs of inputs under one scheme: the equations put together.

With S, Σ from `covariance` and P from `adjoint`:

    K_∞ = σ_v² Σ_TT + σ_w² bᵀ(Σ ⊙ P) b + q P_00,     NNGP = σ_v² Σ_TT
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from refimpl.backend import Array, Namespace, slices, square
from refimpl.infinite.adjoint import AdjointCovariance, adjoint_covariance
from refimpl.infinite.covariance import Covariance, Variance, covariance, duals_of, integrate_square, variances
from refimpl.infinite.dual import Dual
from refimpl.infinite.inputs import Pairs
from refimpl.scheme import Scheme

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

BLOCK = 1 << 15
"""Entries (pairs × nodes × nodes) worked on at a time, in the cache of a core."""


@dataclass(frozen=True, eq=False)
class Kernels:
    """K_∞ and NNGP of pairs, (B,); K_∞(x, x), the scale of their errors, and Var h_T of every radius, (R,)."""

    ntk: Array
    nngp: Array
    diagonal: Array
    variance: Array


def kernels(xp: Namespace, net: NeuralODE, scheme: Scheme, pairs: Pairs) -> Kernels:
    """K_∞ and the NNGP kernel of all `pairs` under `scheme`, in blocks of bounded memory."""
    q = (net.sigma_u * pairs.radii) * (net.sigma_u * pairs.radii)
    variance = variances(xp, net, scheme, q)
    duals = duals_of(net, variance)
    alike = xp.ones_like(q) > 0
    own = covariance(xp, net, scheme, q, variance, variance, duals, alike)
    diagonal = _assemble(xp, net, scheme, q, own, adjoint_covariance(xp, net, scheme, own))
    ntk, nngp = xp.empty_like(pairs.cosine), xp.empty_like(pairs.cosine)
    chunk = max(1, BLOCK // scheme.size**2)
    for part in slices(len(pairs), chunk):
        some = pairs[part]
        _, q12, _ = some.covariances(xp, net.sigma_u)
        forward, backward = _solve_pairs(xp, net, scheme, some, variance, duals, q12)
        nngp[part] = square(net.sigma_v) * forward.terminal_Sigma
        ntk[part] = _assemble(xp, net, scheme, q12, forward, backward)
    return Kernels(ntk, nngp, diagonal, variance.terminal)


def solution(xp: Namespace, net: NeuralODE, scheme: Scheme, pairs: Pairs) -> tuple[Covariance, AdjointCovariance]:
    """The fields S, Σ, D and P themselves, for a few pairs."""
    variance = variances(xp, net, scheme, (net.sigma_u * pairs.radii) * (net.sigma_u * pairs.radii))
    _, q12, _ = pairs.covariances(xp, net.sigma_u)
    return _solve_pairs(xp, net, scheme, pairs, variance, duals_of(net, variance), q12)


def _solve_pairs(
    xp: Namespace,
    net: NeuralODE,
    scheme: Scheme,
    pairs: Pairs,
    variance: Variance,
    duals: tuple[Dual, Dual],
    q: Array,
) -> tuple[Covariance, AdjointCovariance]:
    first, second = variance.take(xp, pairs.first), variance.take(xp, pairs.second)
    at_nodes, at_end = (dual.take(pairs.first, pairs.second) for dual in duals)
    forward = covariance(xp, net, scheme, q, first, second, (at_nodes, at_end), pairs.identical())
    return forward, adjoint_covariance(xp, net, scheme, forward)


def _assemble(
    xp: Namespace, net: NeuralODE, scheme: Scheme, q: Array, forward: Covariance, backward: AdjointCovariance
) -> Array:
    from_output = square(net.sigma_v) * forward.terminal_Sigma
    from_weights = square(net.sigma_w) * integrate_square(xp, scheme, forward.Sigma * backward.P)
    return from_output + from_weights + q * backward.initial
