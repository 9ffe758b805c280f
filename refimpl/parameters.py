"""The parameters θ = (U, W, v) of a network, and Jacobians with respect to them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from numbers import Real

from refimpl._shapes import shapes_of
from refimpl.backend import Array, Namespace, check_finite, detached, float_dtype, namespace, overflow_is_checked
from refimpl.errors import AccuracyError


@dataclass(frozen=True, eq=False)
class Params:
    """Parameters, or a gradient with respect to them: a vector space with an inner product.

    Parameters
    ----------
    U : array, shape (n, d)
    W : array, shape (n, n), or (L, n, n) with one matrix a layer
    v : array, shape (n,)

    Raises
    ------
    ValueError
        Shapes that do not fit together, or entries that are not finite.
    TypeError
        Arrays of different libraries, or a dtype other than float32, float64 or integers.

    Notes
    -----
    All three blocks have one floating dtype; mixed ones promote. Supported are ``+``, ``-``, multiplication by a
    scalar, `dot`, `norm` and `ravel`.

    Examples
    --------
    >>> import numpy as np
    >>> theta = Params(U=np.ones((2, 1)), W=np.zeros((2, 2)), v=np.asarray([3.0, 4.0]))
    >>> (theta + 2 * theta).v.tolist(), theta.dot(theta), theta.ravel().shape
    ([9.0, 12.0], 27.0, (8,))
    """

    U: Array
    W: Array
    v: Array

    __array_ufunc__ = None  # or NumPy would take array * Params for an array of objects

    def __post_init__(self) -> None:
        xp = self.namespace
        dtype = float_dtype(xp, U=self.U, W=self.W, v=self.v)
        if self.U.ndim != 2 or 0 in self.U.shape:
            raise ValueError(f"U must have shape (n, d) with n, d ≥ 1, got {tuple(self.U.shape)}")
        n = self.U.shape[0]
        if self.W.ndim not in (2, 3) or tuple(self.W.shape[-2:]) != (n, n) or self.W.shape[0] == 0:
            raise ValueError(f"W must have shape ({n}, {n}) or (L, {n}, {n}) to fit U, got {tuple(self.W.shape)}")
        if tuple(self.v.shape) != (n,):
            raise ValueError(f"v must have shape ({n},) to fit U, got {tuple(self.v.shape)}")
        blocks = {name: xp.astype(detached(getattr(self, name)), dtype, copy=False) for name in ("U", "W", "v")}
        check_finite(xp, **blocks)
        for name, block in blocks.items():
            object.__setattr__(self, name, block)

    @classmethod
    def _unchecked(cls, U: Array, W: Array, v: Array) -> Params:
        """Blocks that are known to be finite, of one floating dtype, and to fit together."""
        theta = object.__new__(cls)
        for name, block in (("U", U), ("W", W), ("v", v)):
            object.__setattr__(theta, name, block)
        return theta

    @property
    def namespace(self) -> Namespace:
        """Array library of the blocks."""
        return namespace(U=self.U, W=self.W, v=self.v)

    @property
    def width(self) -> int:
        """Width n."""
        return int(self.U.shape[0])

    @property
    def dim(self) -> int:
        """Dimension d of the inputs."""
        return int(self.U.shape[1])

    def __repr__(self) -> str:
        return shapes_of(self)

    def __add__(self, other: Params) -> Params:
        if not isinstance(other, Params):
            return NotImplemented
        return Params(*(a + b for a, b in self._paired(other)))

    def __sub__(self, other: Params) -> Params:
        if not isinstance(other, Params):
            return NotImplemented
        return Params(*(a - b for a, b in self._paired(other)))

    def __mul__(self, scalar: float) -> Params:
        if isinstance(scalar, bool) or not isinstance(scalar, Real):
            return NotImplemented
        scalar = float(scalar)
        with overflow_is_checked():  # by Params
            return Params(scalar * self.U, scalar * self.W, scalar * self.v)

    __rmul__ = __mul__

    def __neg__(self) -> Params:
        return -1.0 * self

    def dot(self, other: Params) -> float:
        """Euclidean inner product ⟨θ, θ'⟩ over all blocks; `AccuracyError` where it overflows.

        Examples
        --------
        >>> import numpy as np
        >>> theta = Params(np.asarray([[3.0]]), np.asarray([[4.0]]), np.asarray([12.0]))
        >>> theta.dot(theta), theta.norm()
        (169.0, 13.0)
        """
        if not isinstance(other, Params):
            raise TypeError(f"other must be Params, got {other!r}")
        xp = self.namespace
        with overflow_is_checked():
            product = sum(float(xp.sum(a * b)) for a, b in self._paired(other))
        if not math.isfinite(product):
            raise AccuracyError(f"the inner product overflows {self.W.dtype}")
        return product

    def norm(self) -> float:
        """Euclidean norm ‖θ‖ over all blocks, no square of which over- or underflows; `AccuracyError` where it does."""
        xp, entries = self.namespace, self.ravel()
        with overflow_is_checked():
            size, info = float(xp.linalg.vector_norm(entries)), xp.finfo(entries.dtype)
            if float(info.smallest_normal) ** 0.5 / float(info.eps) < size < math.inf:
                return size
            largest = float(xp.max(xp.abs(entries))) or 1.0
            size = largest * float(xp.linalg.vector_norm(entries / largest))
        if not math.isfinite(size):
            raise AccuracyError(f"the norm overflows {entries.dtype}")
        return size

    def ravel(self) -> Array:
        """All entries as one vector: U, W, v, each in row-major order."""
        xp = self.namespace
        return xp.concat([xp.reshape(block, (-1,)) for block in self._blocks()])

    def _blocks(self) -> tuple[Array, Array, Array]:
        return self.U, self.W, self.v

    def _paired(self, other: Params) -> Iterator[tuple[Array, Array]]:
        """Blocks of both, of one library and one shape each."""
        namespace(**{"U of the first": self.U, "U of the second": other.U})
        for name, a, b in zip(("U", "W", "v"), self._blocks(), other._blocks(), strict=True):
            if a.shape != b.shape:
                raise ValueError(f"{name} must have one shape in both, got {tuple(a.shape)} and {tuple(b.shape)}")
            yield a, b


@dataclass(frozen=True, eq=False)
class Jacobian:
    """∂f(x_i)/∂θ for a batch of N inputs: `Params` with a leading axis N.

    Parameters
    ----------
    U : array, shape (N, n, d)
    W : array, shape (N, n, n) or (N, L, n, n)
    v : array, shape (N, n)

    Examples
    --------
    >>> import refimpl
    >>> net, X = refimpl.NeuralODE("tanh"), refimpl.data.sphere(2, 3, seed=0)
    >>> theta = net.init(width=4, dim=3, seed=0)
    >>> net.jacobian(theta, X)
    Jacobian(U=(2, 4, 3), W=(2, 4, 4), v=(2, 4))
    """

    U: Array
    W: Array
    v: Array

    def __repr__(self) -> str:
        return shapes_of(self)

    def apply(self, direction: Params) -> Array:
        """Directional derivatives J·θ', shape (N,)."""
        if not isinstance(direction, Params):
            raise TypeError(f"direction must be a Params, got {type(direction).__qualname__}")
        xp = namespace(**{"the Jacobian": self.U, "direction": direction.U})
        for name in ("U", "W", "v"):
            if tuple(getattr(direction, name).shape) != tuple(getattr(self, name).shape[1:]):
                raise ValueError(
                    f"direction.{name} must have shape {tuple(getattr(self, name).shape[1:])}, "
                    f"got {tuple(getattr(direction, name).shape)}"
                )
        blocks = zip((self.U, self.W, self.v), (direction.U, direction.W, direction.v), strict=True)
        return sum(xp.sum(J * block, axis=tuple(range(1, J.ndim))) for J, block in blocks)

    def transpose_apply(self, residual: Array) -> Params:
        """Jᵀ·r for r of shape (N,): the gradient of Σ r_i f(x_i)."""
        xp = namespace(**{"the Jacobian": self.U, "residual": residual})
        float_dtype(xp, residual=residual)
        if tuple(residual.shape) != (self.v.shape[0],):
            raise ValueError(f"residual must have shape ({self.v.shape[0]},), got {tuple(residual.shape)}")
        check_finite(xp, residual=residual)
        return Params(*(xp.tensordot(residual, J, axes=1) for J in (self.U, self.W, self.v)))
