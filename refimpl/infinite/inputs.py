"""What the limit needs to know of the inputs: pairs of norms, and the cosine of the angle between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refimpl.backend import Array, Namespace, from_host, slices, to_host
from refimpl.quadrature import Host

NEARLY_PARALLEL = 0.99
"""|cos| above which it is computed from a difference of unit vectors, whose rounding is relative to the angle."""

CHUNK = 1 << 16
"""Pairs handled at a time where a temporary of size pairs × d is needed."""

SAME_NORM = 16 * float(np.finfo(float).eps)
"""Relative spread of norms that counts as rounding."""

SMALLEST_NORM, LARGEST_NORM = 1e-70, 1e150
"""Norms beyond them have squares, or products of squares, that over- or underflow."""


@dataclass(frozen=True, eq=False)
class Pairs:
    """Pairs of inputs (x, x̄), as the limit sees them.

    Parameters
    ----------
    radii : array, shape (R,)
        The different norms that occur.
    first, second : integer array, shape (B,)
        Which of the radii x and x̄ have.
    cosine : array, shape (B,)
        Cosine of the angle between x and x̄; 0 if one of them is 0.
    angle : array, shape (B,), optional
        The angle itself, where it is known better than by its cosine.
    """

    radii: Array
    first: Array
    second: Array
    cosine: Array
    angle: Array | None = None

    def __getitem__(self, part: Any) -> Pairs:
        angle = None if self.angle is None else self.angle[part]
        return Pairs(self.radii, self.first[part], self.second[part], self.cosine[part], angle)

    def __len__(self) -> int:
        return int(self.cosine.shape[0])

    def take(self, xp: Namespace, index: Array) -> Pairs:
        """The pairs `index`."""
        angle = None if self.angle is None else xp.take(self.angle, index)
        first, second, cosine = (xp.take(part, index) for part in (self.first, self.second, self.cosine))
        return Pairs(self.radii, first, second, cosine, angle)

    def identical(self) -> Array:
        """Whether x and x̄ are one input, as far as the limit sees, shape (B,)."""
        return (self.first == self.second) & (self.cosine == 1)

    def covariances(self, xp: Namespace, sigma_u: float) -> tuple[Array, Array, Array]:
        """σ_u² x·x, σ_u² x·x̄ and σ_u² x̄·x̄, each of shape (B,); bitwise equal where x and x̄ are."""
        first, second = (sigma_u * xp.take(self.radii, index) for index in (self.first, self.second))
        return first * first, first * second * self.cosine, second * second


def pairs_of(xp: Namespace, X: Array, X2: Array | None, *, directions_only: bool) -> tuple[Pairs, Array]:
    """Pairs of rows of X (N, d) and X2 (N2, d), row by row; without X2 the upper triangle of X with itself.

    With `directions_only` all norms count as 1 and the second result, else 1, is |x| |x̄|, shape (N, N2): the factor
    that a positively homogeneous φ puts in front of the kernel.

    Raises
    ------
    ValueError
        A norm so large that its square overflows, or so small that products of squares underflow.
    """
    norms, norms2, cosines, angle = _geometry(xp, X, X2)
    host, host2 = to_host(norms), to_host(norms2)
    _refuse_large(np.concatenate([host, host2]))
    scale = xp.asarray(1.0, dtype=X.dtype, device=X.device)
    if directions_only:
        scale, host, host2 = norms[:, None] * norms2[None, :], np.ones_like(host), np.ones_like(host2)
    both = np.concatenate([host, host2])
    _refuse_small(both)
    radii, index = np.unique(_merge_equal(both), return_inverse=True)
    rows, columns = np.triu_indices(len(host)) if X2 is None else map(np.ravel, np.indices((len(host), len(host2))))
    flat = xp.asarray(rows * len(host2) + columns, device=X.device)
    pairs = Pairs(
        radii=from_host(xp, radii, X),
        first=xp.asarray(index[rows], device=X.device),
        second=xp.asarray(index[len(host) + columns], device=X.device),
        cosine=xp.take(xp.reshape(cosines, (-1,)), flat),
        angle=xp.take(xp.reshape(angle, (-1,)), flat),
    )
    return pairs, scale


def norms_in_range(X: Host) -> Host:
    """Norms of the rows of X, (N,).

    Raises
    ------
    ValueError
        One that `pairs_of` refuses.
    """
    norms: Host = _directions(np, X)[0]
    _refuse_large(norms)
    _refuse_small(norms)
    return norms


def _refuse_large(norms: Host) -> None:
    if not norms.max(initial=0.0) < LARGEST_NORM:
        raise ValueError(f"X and X2 must have rows of norm below {LARGEST_NORM:g}, got {norms.max():.3g}")


def _refuse_small(norms: Host) -> None:
    smallest = min((norm for norm in norms if norm > 0), default=1.0)
    if smallest < SMALLEST_NORM:
        raise ValueError(f"X and X2 must have rows of norm 0 or above {SMALLEST_NORM:g}, got {smallest:.3g}")


def angles(xp: Namespace, X: Array, X2: Array | None) -> tuple[Array, Array, Array]:
    """Norms (N,) and (N2,), and cosines (N, N2).

    The cosine of a row with itself, or with a row of the same direction bit by bit, is exactly 1.
    """
    return _geometry(xp, X, X2)[:3]


def _geometry(xp: Namespace, X: Array, X2: Array | None) -> tuple[Array, Array, Array, Array]:
    """Norms, cosines as in `angles`, and angles."""
    norms, units = _directions(xp, X)
    norms2, units2 = (norms, units) if X2 is None else _directions(xp, X2)
    cosine = xp.clip(xp.matmul(units, units2.T), -1.0, 1.0)
    angle = xp.acos(cosine)
    # 1 − cos from x̂·x̄̂ has the absolute rounding of 1, and φ' of a kinked φ sees its square root.
    nearly_parallel = xp.abs(cosine) > NEARLY_PARALLEL
    rows, columns = xp.nonzero(nearly_parallel)
    refined, angles_refined = cosine[nearly_parallel], angle[nearly_parallel]
    for part in slices(int(rows.shape[0]), CHUNK):
        sign = xp.sign(refined[part])
        difference = xp.take(units, rows[part], axis=0) - sign[:, None] * xp.take(units2, columns[part], axis=0)
        square = xp.sum(difference * difference, axis=-1)
        refined[part] = sign * (1 - square / 2)
        small = 2 * xp.asin(xp.sqrt(square) / 2)
        angles_refined[part] = xp.where(sign > 0, small, math.pi - small)
    cosine[nearly_parallel], angle[nearly_parallel] = refined, angles_refined
    return norms, norms2, cosine, angle


def _directions(xp: Namespace, X: Array) -> tuple[Array, Array]:
    """Norms (N,) and unit rows (N, d), free of overflow and underflow; zero rows stay zero."""
    if X.shape[0] == 0:
        return X[:, 0], X
    largest = xp.max(xp.abs(X), axis=1, keepdims=True)
    safe = xp.where(largest == 0, xp.ones_like(largest), largest)
    scaled = X / safe
    length = xp.linalg.vector_norm(scaled, axis=1, keepdims=True)
    return (safe * length)[:, 0], scaled / xp.where(length == 0, xp.ones_like(length), length)


def _merge_equal(norms: Host) -> Host:
    """Norms that differ by rounding only, as on a sphere, made equal."""
    if norms.size and norms.max() - norms.min() <= SAME_NORM * norms.max():
        return np.full_like(norms, norms.max())
    return norms
