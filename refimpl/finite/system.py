"""The system (1)–(3) as the solvers see it: scaled weights, initial states, rates."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

from refimpl.activations import Activation
from refimpl.backend import Array, Namespace, overflow_is_checked

SMALLEST_SINGLE, LARGEST_SINGLE = 1e-12, 1e12
"""Norms of W, v and states between which single precision has room for what comes of them on the way."""


SMALLEST_SQUARED = 1e-17
"""Smallest number whose square single precision has room for, among others up to one."""


def all_seen(xp: Namespace, values: Array) -> bool:
    """Whether the squares of all `values`, those that are zero apart, keep some digits in single precision."""
    sizes = xp.abs(values)
    if bool(xp.min(sizes) >= SMALLEST_SQUARED):  # as it is unless some are zero, in two passes instead of five
        return True
    return not bool(xp.any((sizes < SMALLEST_SQUARED) & (sizes > 0)))


@dataclass(frozen=True, eq=False)
class System:
    """Forward and adjoint equations of one network on one batch.

    Parameters
    ----------
    xp : namespace
        Array library of all arrays here.
    activation : Activation
    horizon : float
        End T of the time interval.
    W : array, shape (n, n) or (L, n, n)
        Scaled weights σ_w W / √n; with three axes, one matrix a layer (Euler only).
    v : array, shape (n,)
        Scaled output weights σ_v v / √n.
    h0 : array, shape (n, N)
        Initial states σ_u U xᵀ.
    """

    xp: Namespace
    activation: Activation
    horizon: float
    W: Array
    v: Array
    h0: Array

    @property
    def layered(self) -> bool:
        """Whether every layer has a W of its own."""
        return bool(self.W.ndim == 3)

    def weights(self, step: int) -> Array:
        """Scaled W in force during time step `step`, shape (n, n)."""
        return self.W[step, ...] if self.layered else self.W

    @cached_property
    def single_weights(self) -> Array | None:
        """W in single precision, in which a product takes half the time; None where that has no room for the states."""
        xp = self.xp
        if self.W.dtype == xp.float32:
            return None
        with overflow_is_checked():
            W, v, h0 = (xp.astype(array, xp.float32) for array in (self.W, self.v, self.h0))
            sizes = [float(xp.linalg.vector_norm(array)) for array in (W, v, h0)]
        return W if all(SMALLEST_SINGLE < size < LARGEST_SINGLE for size in sizes) else None

    @cached_property
    def squares_have_room(self) -> bool:
        """Whether single precision has room for W_ij² as well."""
        return self.single_weights is not None and all_seen(self.xp, self.single_weights)

    def part(self, columns: slice) -> System:
        """The system of some samples, with the same weights."""
        part = replace(self, h0=self.h0[:, columns])
        for name in ("single_weights", "squares_have_room"):
            vars(part)[name] = getattr(self, name)  # found once
        return part

    def terminal_adjoint(self, dphi: Array) -> Array:
        """λ_T = φ'(h_T) ⊙ (σ_v/√n) v, from φ'(h_T) of shape (n, N)."""
        return dphi * self.v[:, None]


@dataclass(frozen=True, eq=False)
class Sweep:
    """Forward and adjoint solution at the nodes of a quadrature on [0, T]: all that ∇f and K_θ need.

    Parameters
    ----------
    weights : array, shape (m,) or (m, N), or None
        Quadrature weights b_j; with two axes every sample has nodes of its own. None: `adjoint` has them already.
    phi : array, shape (m, n, N)
        φ(h_j), or others with the same Σ_j b_j λ_j φ_jᵀ, as `refimpl.finite.legendre` has them.
    adjoint : array, shape (m, n, N)
        λ_j, likewise.
    terminal : array, shape (n, N)
        h_T.
    terminal_phi : array, shape (n, N)
        φ(h_T).
    initial_adjoint : array, shape (n, N)
        λ_0.
    """

    weights: Array | None
    phi: Array
    adjoint: Array
    terminal: Array
    terminal_phi: Array
    initial_adjoint: Array

    @property
    def weighted_adjoint(self) -> Array:
        """b_j λ_j, shape (m, n, N): the only way in which weights and adjoint enter."""
        if self.weights is None:
            return self.adjoint
        if self.weights.ndim == 1:
            return self.adjoint * self.weights[:, None, None]
        return self.adjoint * self.weights[:, None, :]
