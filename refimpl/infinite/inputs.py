"""What the limit needs to know of the inputs: pairs of norms, and the cosine of the angle between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refimpl.backend import Array, Namespace, clip, device, from_host, slices, to_host
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

    def like(self, xp: Namespace, array: Array) -> Pairs:
        """These pairs, given on the host, of the kind and on the device of `array`, in double precision."""
        first, second = (xp.asarray(index, device=device(array)) for index in (self.first, self.second))
        radii, cosine = (from_host(xp, part, array, xp.float64) for part in (self.radii, self.cosine))
        return Pairs(radii, first, second, cosine)

    def identical(self) -> Array:
        """Whether x and x̄ are one input, as far as the limit sees, shape (B,)."""
        return (self.first == self.second) & (self.cosine == 1)

    def covariances(self, xp: Namespace, sigma_u: float) -> tuple[Array, Array, Array]:
        """σ_u² x·x, σ_u² x·x̄ and σ_u² x̄·x̄, each of shape (B,); bitwise equal where x and x̄ are."""
        first, second = (sigma_u * xp.take(self.radii, index) for index in (self.first, self.second))
        return first * first, first * second * self.cosine, second * second


@dataclass(frozen=True, eq=False)
class Inputs:
    """Rows of X (N, d) and of X2 (N2, d) by norm and direction; pairs of them are only formed when asked for.

    Parameters
    ----------
    radii : array, shape (R,)
        The different norms that occur, ascending.
    first, second : ndarray of int, shapes (N,) and (N2,)
        Which of the radii the rows have; on the host.
    units, units2 : array, shapes (N, d) and (N2, d)
        Directions; zero for a zero row.
    scale, scale2 : array, shapes (N,) and (N2,), or None
        Norms taken out of the rows, which a positively homogeneous φ puts in front of the kernel.
    symmetric : bool
        Whether X2 is X.
    """

    radii: Array
    first: Any
    second: Any
    units: Array
    units2: Array
    scale: Array | None
    scale2: Array | None
    symmetric: bool

    @property
    def shape(self) -> tuple[int, int]:
        """(N, N2)."""
        return len(self.first), len(self.second)

    @property
    def pairs_count(self) -> int:
        """Number of `pairs`."""
        N, N2 = self.shape
        return N * (N + 1) // 2 if self.symmetric else N * N2

    def products(self, xp: Namespace) -> Array:
        """Inner products of the directions, (N, N2): cosines but for rounding."""
        return xp.matmul(self.units, self.units2.T)

    def cosines(self, xp: Namespace, products: Array, rows: slice, columns: slice) -> Array:
        """The cosines, from a block of the `products`; those near ±1 to the precision of the angle."""
        cosine = clip(xp, products, -1.0, 1.0)
        return _refine(xp, cosine, None, self.units[rows, :], self.units2[columns, :])

    def angles(self, xp: Namespace, products: Array, rows: slice, columns: slice) -> Array:
        """The angles, from a block of the `products`."""
        cosine = clip(xp, products, -1.0, 1.0)
        angle = xp.acos(cosine)
        _refine(xp, cosine, angle, self.units[rows, :], self.units2[columns, :])
        return angle

    def pairs(self, xp: Namespace) -> Pairs:
        """All pairs, row by row; of a symmetric Gram matrix the upper triangle."""
        N, N2 = self.shape
        cosine = clip(xp, self.products(xp), -1.0, 1.0)
        angle = xp.acos(cosine)
        _refine(xp, cosine, angle, self.units, self.units2)
        rows, columns = np.triu_indices(N) if self.symmetric else map(np.ravel, np.indices((N, N2)))
        flat = xp.asarray(rows * N2 + columns, device=device(self.units))
        return Pairs(
            radii=self.radii,
            first=xp.asarray(self.first[rows], device=device(self.units)),
            second=xp.asarray(self.second[columns], device=device(self.units)),
            cosine=xp.take(xp.reshape(cosine, (-1,)), flat),
            angle=xp.take(xp.reshape(angle, (-1,)), flat),
        )


def inputs_of(xp: Namespace, X: Array, X2: Array | None, *, directions_only: bool) -> Inputs:
    """Norms and directions of the rows of X (N, d) and X2 (N2, d), without X2 those of X alone.

    With `directions_only` all norms count as 1, and those of the rows are the `scale`.

    Raises
    ------
    ValueError
        A norm so large that its square overflows, or so small that products of squares underflow.
    """
    norms, units = _directions(xp, X)
    norms2, units2 = (norms, units) if X2 is None else _directions(xp, X2)
    host, host2 = to_host(norms), to_host(norms2)
    _refuse_large(np.concatenate([host, host2]))
    scale, scale2 = (norms, norms2) if directions_only else (None, None)
    if directions_only:
        host, host2 = np.ones_like(host), np.ones_like(host2)
    both = np.concatenate([host, host2])
    _refuse_small(both)
    radii, index = np.unique(_merge_equal(both), return_inverse=True)
    first, second = index[: len(host)], index[len(host) :]
    return Inputs(from_host(xp, radii, X), first, second, units, units2, scale, scale2, X2 is None)


def pairs_of(xp: Namespace, X: Array, X2: Array | None, *, directions_only: bool) -> tuple[Pairs, Array]:
    """Pairs of rows of X (N, d) and X2 (N2, d), row by row; without X2 the upper triangle of X with itself.

    With `directions_only` all norms count as 1 and the second result, else 1, is |x| |x̄|, shape (N, N2): the factor
    that a positively homogeneous φ puts in front of the kernel. Exceptions are those of `inputs_of`.
    """
    inputs = inputs_of(xp, X, X2, directions_only=directions_only)
    if inputs.scale is None or inputs.scale2 is None:
        return inputs.pairs(xp), xp.asarray(1.0, dtype=X.dtype, device=device(X))
    return inputs.pairs(xp), inputs.scale[:, None] * inputs.scale2[None, :]


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
    norms, units = _directions(xp, X)
    norms2, units2 = (norms, units) if X2 is None else _directions(xp, X2)
    cosine = clip(xp, xp.matmul(units, units2.T), -1.0, 1.0)
    return norms, norms2, _refine(xp, cosine, None, units, units2)


def _refine(xp: Namespace, cosine: Array, angle: Array | None, units: Array, units2: Array) -> Array:
    """Replace the cosines, and the angles, of nearly parallel directions; in place.

    1 − cos from x̂·x̄̂ has the absolute rounding of 1, and φ' of a kinked φ sees its square root.
    """
    nearly_parallel = xp.abs(cosine) > NEARLY_PARALLEL
    if not bool(xp.any(nearly_parallel)):
        return cosine
    rows, columns = xp.nonzero(nearly_parallel)
    refined = cosine[nearly_parallel]
    angles = xp.empty_like(refined)
    for part in slices(int(rows.shape[0]), CHUNK):
        sign = xp.sign(refined[part])
        difference = xp.take(units, rows[part], axis=0) - sign[:, None] * xp.take(units2, columns[part], axis=0)
        square = xp.sum(difference * difference, axis=-1)
        refined[part] = sign * (1 - square / 2)
        small = 2 * xp.asin(xp.sqrt(square) / 2)
        angles[part] = xp.where(sign > 0, small, math.pi - small)
    cosine[nearly_parallel] = refined
    if angle is not None:
        angle[nearly_parallel] = angles
    return cosine


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
