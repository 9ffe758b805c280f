"""The Neural ODE: what it predicts, its gradients, its neural tangent kernel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refimpl import activations
from refimpl._arguments import generator
from refimpl._shapes import shapes_of
from refimpl.activations import Activation
from refimpl.backend import (
    Array,
    Namespace,
    all_finite,
    check_finite,
    check_inputs,
    check_overflow,
    detached,
    float_dtype,
    from_host,
    namespace,
    overflow_is_checked,
    to_host,
)
from refimpl.finite import contraction
from refimpl.finite.contraction import Scales
from refimpl.finite.system import Sweep, System
from refimpl.infinite.kernel import Limit
from refimpl.parameters import Jacobian, Params
from refimpl.solvers import Euler, Solver, default_solver


@dataclass(frozen=True, eq=False)
class Trajectory:
    """Hidden and adjoint states over time.

    Parameters
    ----------
    t : array, shape (k,)
        Times in [0, T].
    h : array, shape (k, N, n)
        h_t, solution of (1).
    adjoint : array, shape (k, N, n)
        λ_t = ∂f/∂h_t, solution of (3).

    Examples
    --------
    >>> import numpy as np
    >>> import refimpl
    >>> net, X = refimpl.NeuralODE("tanh"), refimpl.data.sphere(2, 3, seed=0)
    >>> net.trajectory(net.init(width=4, dim=3, seed=0), X, np.linspace(0.0, 1.0, 5))
    Trajectory(t=(5,), h=(5, 2, 4), adjoint=(5, 2, 4))
    """

    t: Array
    h: Array
    adjoint: Array

    def __repr__(self) -> str:
        return shapes_of(self)


@dataclass(frozen=True)
class NeuralODE:
    """f(x) = (σ_v/√n) vᵀφ(h_T) with ḣ_t = (σ_w/√n) W φ(h_t), h_0 = σ_u U x, on [0, T].

    Parameters
    ----------
    activation : str or Activation
        φ, by name or your own.
    horizon : float
        T > 0.
    sigma_u, sigma_w, sigma_v : float
        σ_u, σ_w, σ_v > 0.

    Raises
    ------
    ValueError
        Unknown activation, or a number that is not positive and finite.

    Notes
    -----
    This is the NTK parameterisation: the entries of θ = (U, W, v) are N(0, 1) and the factors 1/√n stand in front.
    With W_ij ~ N(0, 1/n) as in the paper f is the same function of x, but its gradients and K_θ differ by powers of n,
    and only the parameterisation here has the limit K_∞. Other papers' h_0 = σ_u U x/√d is ``sigma_u / sqrt(d)`` here.

    Every method takes inputs X of shape (N, d) and a `solver`: None is `SolveIVP()` on NumPy arrays and `Gauss()` on
    other libraries. All raise `ValueError` or `TypeError` for bad input before any work is done, `BlowUpError` if a
    solution escapes to infinity and `AccuracyError` if the solver cannot meet its tolerance.

    float32 stays float32: results then differ from those in float64 by some units of 2⁻²⁴, times what the network makes
    of a disturbance; the page "Backends and precision" of the documentation has the bounds that are tested.

    Examples
    --------
    >>> import refimpl
    >>> net = refimpl.NeuralODE("softplus", horizon=1.0)
    >>> theta = net.init(width=64, dim=3, seed=0)
    >>> X = refimpl.data.sphere(5, 3, seed=1)
    >>> net.predict(theta, X).shape, net.ntk(theta, X).shape
    ((5,), (5, 5))
    """

    activation: str | Activation = "softplus"
    horizon: float = 1.0
    sigma_u: float = 1.0
    sigma_w: float = 1.0
    sigma_v: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "activation", activations.get(self.activation))
        for name in ("horizon", "sigma_u", "sigma_w", "sigma_v"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
                raise TypeError(f"{name} must be a real number, got {value!r}")
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} must be positive and finite, got {value!r}")
            object.__setattr__(self, name, float(value))

    @property
    def phi(self) -> Activation:
        """The activation φ, as an `Activation`."""
        return activations.get(self.activation)

    def init(
        self,
        width: int,
        dim: int,
        seed: Any = None,
        dtype: Any = None,
        like: Array | None = None,
        layers: int | None = None,
    ) -> Params:
        """Draw θ with i.i.d. N(0, 1) entries: U, then W, then v, on the host.

        Parameters
        ----------
        width, dim : int
            n and d.
        seed : int, sequence, SeedSequence, BitGenerator, Generator or None
            Anything `numpy.random.default_rng` takes. NumPy does not promise the stream across its versions: store
            the parameters, not the seed, of anything that is meant to last.
        dtype : dtype, optional
            float64 unless given (or unless `like` has another).
        like : array, optional
            Array whose library, device and dtype the parameters get.
        layers : int, optional
            Draw W of shape (layers, n, n), one matrix a layer, for ``Euler(layers, shared=False)``.

        Examples
        --------
        >>> NeuralODE().init(width=4, dim=2, seed=0).W.shape
        (4, 4)
        """
        for name, value in (("width", width), ("dim", dim), ("layers", 1 if layers is None else layers)):
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(f"{name} must be an integer ≥ 1, got {value!r}")
            if value < 1:
                raise ValueError(f"{name} must be an integer ≥ 1, got {value!r}")
        rng = generator(seed)
        shapes = (width, dim), (width, width) if layers is None else (layers, width, width), (width,)
        blocks = [rng.standard_normal(shape) for shape in shapes]
        like = np.zeros(0) if like is None else like
        xp = namespace(like=like)
        dtype = float_dtype(xp, like=like) if dtype is None else _named_dtype(xp, dtype)
        return Params(*(from_host(xp, block, like, dtype=dtype) for block in blocks))

    @overflow_is_checked()
    def predict(self, theta: Params, X: Array, solver: Solver | None = None) -> Array:
        """f(x_i), shape (N,)."""
        xp, X, system, solver = self._prepare(theta, X, solver)
        outputs = xp.matmul(xp.matrix_transpose(self.phi.phi(solver.terminal(system))), system.v)
        check_overflow(xp, "f", outputs)
        return outputs

    @overflow_is_checked()
    def loss(self, theta: Params, X: Array, y: Array, solver: Solver | None = None) -> float:
        """L(θ) = ½ Σ_i (f(x_i) − y_i)²  (2), for targets y of shape (N,)."""
        xp, y = _check_targets(theta, X, y)
        total = xp.sum((self.predict(theta, X, solver) - y) ** 2) / 2
        check_overflow(xp, "the loss", total)
        return float(total)

    @overflow_is_checked()
    def gradient(self, theta: Params, X: Array, y: Array, solver: Solver | None = None) -> Params:
        """∇L(θ) = Σ_i (f(x_i) − y_i) ∇f(x_i), from one forward and one adjoint solve."""
        _, y = _check_targets(theta, X, y)
        xp, X, system, solver = self._prepare(theta, X, solver)
        sweep = solver.sweep(system)
        residual = xp.matmul(sweep.terminal_phi.T, system.v) - xp.astype(y, X.dtype, copy=False)
        blocks = contraction.gradient(xp, sweep, X, residual, self._scales(theta), system.layered)
        check_overflow(xp, "the gradient", *blocks)
        return Params(*blocks)

    @overflow_is_checked()
    def jacobian(self, theta: Params, X: Array, solver: Solver | None = None) -> Jacobian:
        """∂f(x_i)/∂θ for every input (4): N times as many numbers as θ has. `ntk` and `gradient` never form it."""
        xp, X, system, solver = self._prepare(theta, X, solver)
        blocks = contraction.jacobian(xp, solver.sweep(system), X, self._scales(theta), system.layered)
        check_overflow(xp, "the Jacobian", *blocks)
        return Jacobian(*blocks)

    @overflow_is_checked()
    def ntk(self, theta: Params, X: Array, X2: Array | None = None, solver: Solver | None = None) -> Array:
        """K_θ(x, x̄) = ⟨∇f(x), ∇f(x̄)⟩  (9) between the rows of X and of X2 (default: X), shape (N, N2).

        Exactly symmetric without X2; no array of N × n² entries is formed.
        """
        if isinstance(X2, Solver):
            raise TypeError(f"X2 must be an array or None, got {X2!r}: pass it as solver=")
        xp, X, sweep, layered = self._sweep(theta, X, solver)
        _, X2, other, _ = (xp, X, sweep, layered) if X2 is None else self._sweep(theta, X2, solver, "X2")
        blocks = contraction.kernel(xp, sweep, X, other, X2, self._scales(theta), layered)
        total = blocks[0] + blocks[1] + blocks[2]
        check_overflow(xp, "K_θ", total)
        return (total + total.T) / 2 if other is sweep else total

    @overflow_is_checked()
    def trajectory(self, theta: Params, X: Array, t: Array, solver: Solver | None = None) -> Trajectory:
        """h_t and λ_t = ∂f/∂h_t at times t of shape (k,) in [0, T]; for `Euler` at its layer times ℓ T/L only."""
        xp = _check_kinds(theta, X=X, t=t)
        float_dtype(xp, t=t)
        times = np.asarray(to_host(t), dtype=float)
        if times.ndim != 1:
            raise ValueError(f"t must have shape (k,), got {times.shape}")
        if not ((times >= 0) & (times <= self.horizon)).all():
            raise ValueError(f"t must lie in [0, {self.horizon:g}], got {times.min():g} … {times.max():g}")
        xp, X, system, solver = self._prepare(theta, X, solver)
        if 0 in (times.size, X.shape[0]):
            empty = xp.zeros((times.size, X.shape[0], theta.width), dtype=X.dtype, device=X.device)
            return Trajectory(t, empty, empty)
        h, adjoint = solver.trajectory(system, times)
        return Trajectory(t, *(xp.astype(xp.matrix_transpose(z), X.dtype, copy=False) for z in (h, adjoint)))

    def limit(self, solver: Solver | None = None) -> Limit:
        """The infinitely wide network: K_∞ with `Gauss` (the default), K_∞^L with ``Euler(L)``."""
        return Limit(self, solver)

    def _scales(self, theta: Params) -> Scales:
        root = math.sqrt(theta.width)
        return Scales(self.sigma_u, self.sigma_w / root, self.sigma_v / root)

    def _sweep(
        self, theta: Params, X: Array, solver: Solver | None, name: str = "X"
    ) -> tuple[Namespace, Array, Sweep, bool]:
        xp, X, system, solver = self._prepare(theta, X, solver, name)
        return xp, X, solver.sweep_in_batches(system), system.layered

    def _prepare(
        self, theta: Params, X: Array, solver: Solver | None, name: str = "X"
    ) -> tuple[Namespace, Array, System, Solver]:
        """Validated inputs as the solvers want them: one dtype, scaled weights, initial states."""
        xp = _check_kinds(theta, **{name: X})
        if not isinstance(solver, Solver | None):
            raise TypeError(f"solver must be SolveIVP, Gauss, Euler, KinkEvents or None, got {solver!r}")
        X = check_inputs(xp, finite=False, **{name: X})
        if X.shape[1] != theta.dim:
            raise ValueError(f"{name} must have d = {theta.dim} columns to fit theta.U, got shape {tuple(X.shape)}")
        dtype = float_dtype(xp, X=X, theta=theta.U)
        blocks = (detached(block) for block in (theta.U, theta.W, theta.v))  # who asked for autograd after all
        X, U, W, v = (xp.astype(array, dtype, copy=False) for array in (X, *blocks))
        scales = self._scales(theta)
        with overflow_is_checked():
            h0 = scales.u * xp.matmul(U, X.T)
        if not all_finite(xp, X, h0):
            check_finite(xp, **{name: X})
            check_overflow(xp, "h_0 = σ_u U x", h0)
        self.phi.check_at(h0)
        system = System(xp, self.phi, self.horizon, scales.w * W, scales.v * v, h0)
        if solver is None:
            solver = default_solver(xp, dtype)
        if X.shape[0] == 0:
            solver = Euler(1 if W.ndim == 2 else W.shape[0], shared=W.ndim == 2)  # nothing to solve
        return xp, X, system, solver


def _check_targets(theta: Params, X: Array, y: Array) -> tuple[Namespace, Array]:
    xp = _check_kinds(theta, X=X, y=y)
    X = check_inputs(xp, finite=False, X=X)
    y = xp.astype(detached(y), float_dtype(xp, y=y), copy=False)
    if y.ndim != 1 or y.shape[0] != X.shape[0]:
        raise ValueError(f"y must have shape ({X.shape[0]},) to fit X, got {tuple(y.shape)}")
    check_finite(xp, X=X, y=y)
    return xp, y


def _check_kinds(theta: Params, **arrays: Array) -> Namespace:
    if not isinstance(theta, Params):
        raise TypeError(f"theta must be a Params, got {type(theta).__qualname__}")
    return namespace(**{"theta.U": theta.U}, **arrays)


def _named_dtype(xp: Namespace, dtype: Any) -> Any:
    """The floating dtype that the user names: a name, a type or a dtype of the library."""
    for wanted in (xp.float32, xp.float64):
        try:
            if xp.zeros(0, dtype=dtype).dtype == wanted:
                return xp.zeros(0, dtype=wanted).dtype
        except (TypeError, ValueError, AttributeError):
            break
    raise TypeError(f"dtype must be float32 or float64, got {dtype!r}")
