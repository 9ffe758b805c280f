"""The infinitely wide network: K_∞, the NNGP kernel, and the fields behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from refimpl._shapes import shapes_of
from refimpl.backend import Array, Namespace, check_inputs, float_dtype, is_numpy, namespace
from refimpl.infinite.convergence import LimitProblem
from refimpl.infinite.evaluation import NNGP, NTK, Evaluation
from refimpl.infinite.inputs import LARGEST_NORM, inputs_of, pairs_of
from refimpl.infinite.positivity import Certificate, positivity
from refimpl.infinite.sphere import SphereKernel
from refimpl.solvers import Euler, Gauss, Solver

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

KINKED_RTOL = 1e-9
"""Default accuracy for kinked φ in the continuum."""


@dataclass(frozen=True, eq=False)
class Fields:
    """The fields of one pair (x, x̄) over pairs of times.

    Parameters
    ----------
    t : array, shape (M,)
        Times of S and Σ.
    S : array, shape (M, M)
        S^{t,s}, covariance of h_t(x) and h_s(x̄).
    Sigma : array, shape (M, M)
        Σ^{t,s} = E[φ(h_t) φ(h̄_s)].
    t_adjoint : array, shape (M,)
        Times of P: those of S, except for `Euler`, where P_ij belongs to (t_{i+1}, t_{j+1}).
    P : array, shape (M, M)
        lim ⟨λ_t(x), λ_s(x̄)⟩; σ_w² P is the K^{t,s} of the paper's integral form of K_∞.
    """

    t: Array
    S: Array
    Sigma: Array
    t_adjoint: Array
    P: Array

    def __repr__(self) -> str:
        return shapes_of(self)


@dataclass(frozen=True)
class Limit:
    """The limit n → ∞ of a Neural ODE, from `NeuralODE.limit`.

    Parameters
    ----------
    net : NeuralODE
    solver : Gauss, Euler or None
        `Gauss` gives K_∞; `Euler(L)` gives K_∞^L, the limit of the ResNet with shared weights, to rounding: for a φ
        whose derivative jumps that is eps/θ at a small angle θ between two inputs. It takes a time like L², and for
        analytic φ one that does not depend on L from a hundred layers on. None is `Gauss()`, for kinked φ
        with rtol = 1e-9.

    Raises
    ------
    TypeError, ValueError
        Another solver, or `Euler` with independent layers, whose limit is another one.

    Notes
    -----
    The accuracy of `Gauss` is relative to √(K(x,x) K(x̄,x̄)): two schemes agree to it, or `AccuracyError` is raised. For
    ReLU, leaky ReLU and ELU the square [0, T]² is split along its diagonal, where E[φ'φ'] has a kink. Quadratic φ has
    no limit beyond its blow-up time: `BlowUpError`.

    All work is done in double precision; results for inputs in single precision are rounded to it, once.

    Time and reach are set by the variance of h_t, which grows with σ_u |x| and with σ_w T, the only way in which K_∞
    depends on σ_w and T. Where E[φφ] has no closed form (softplus, sigmoid, tanh, silu, your own φ) its expansion
    takes a number of terms in proportion to the variance, so that T = 5 takes far longer than T = 1. Where that would
    be more than 4096 terms (with σ's of 1: tanh at T = 10, softplus and silu at T = 5) an `AccuracyError` says so, and
    no looser rtol helps. Activations with a closed form reach further.

    Examples
    --------
    >>> import numpy as np, refimpl
    >>> limit = refimpl.NeuralODE("softplus").limit()
    >>> X = np.asarray([[1.0, 0.0], [0.3, np.sqrt(1 - 0.09)]])
    >>> limit.ntk(X).round(12).tolist()
    [[2.18420474041, 1.492366651159], [1.492366651159, 2.18420474041]]
    """

    net: NeuralODE
    solver: Solver | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.solver, Gauss | Euler | None):
            raise TypeError(f"solver must be Gauss, Euler or None, got {self.solver!r}")
        if isinstance(self.solver, Euler) and not self.solver.shared:
            raise ValueError("solver must have shared weights: the limit of Euler(depth, shared=False) is another one")

    def ntk(self, X: Array, X2: Array | None = None) -> Array:
        """K_∞ between the rows of X (N, d) and of X2 (N2, d; default X), shape (N, N2).

        Exactly symmetric without X2. On inputs of one norm (for positively homogeneous φ: on all) more than a hundred
        or so pairs are read off the curve `on_sphere`. On inputs of different norms some thousands of pairs are read
        off an interpolant in the norms and ρ, if φ has no kink, no norm is 0, and solutions confirm it; other pairs are
        solved one by one. What is read off has the error of the solver once more.
        """
        return self._gram(X, X2, NTK)

    def nngp(self, X: Array, X2: Array | None = None) -> Array:
        """Covariance of f(x) and f(x̄) at initialisation, σ_v² Σ^{T,T}, shape (N, N2)."""
        return self._gram(X, X2, NNGP)

    def fields(self, x: Array, x2: Array) -> Fields:
        """The fields S, Σ and P of one pair of inputs of shape (d,) each, at the nodes of the scheme."""
        xp = namespace(x=x, x2=x2)
        for name, vector in (("x", x), ("x2", x2)):
            if vector.ndim != 1:
                raise ValueError(f"{name} must have shape (d,), got {tuple(vector.shape)}")
        row, row2, dtype = _check_pair(xp, x[None, :], x2[None, :], "x", "x2")
        pair, _ = pairs_of(xp, row, row2, directions_only=False)
        return Fields(*(xp.astype(field, dtype, copy=False) for field in self._problem.fields(xp, pair)))

    def on_sphere(self, radius: float = 1.0) -> SphereKernel:
        """K_∞ as a function of ρ = x·x̄/(|x| |x̄|) for inputs of norm `radius`, with its error estimate.

        Examples
        --------
        >>> import refimpl
        >>> curve = refimpl.NeuralODE("softplus").limit().on_sphere()
        >>> round(curve(0.3), 12), curve.error < 1e-11
        (1.492366651159, True)
        """
        real = isinstance(radius, (int, float, np.integer, np.floating)) and not isinstance(radius, bool)
        if not (real and 0 < radius < LARGEST_NORM):
            raise ValueError(f"radius must be positive and below {LARGEST_NORM:g}, got {radius!r}")
        return self._evaluation(NTK).curve(float(radius))

    def positivity(self, X: Array) -> Certificate:
        """Whether K_∞ on the rows of X (N, d) is strictly positive definite: a bound, a null vector, or neither.

        For a built-in φ other than the quadratic one it is decided for all inputs, of any norms: by a null vector that
        f itself shows, or by the theorem that there are no others (`docs/mathematics.md`, "All inputs"). The bound of
        λ_min follows in ball arithmetic from lower bounds of the coefficients of K_∞(ρ), also where it is far below
        what a float64 matrix can show. The linear algebra is proved; the coefficients are taken a hundred times their
        estimated error lower. It is 0 where there is none, as for collinear inputs. NumPy arrays, of the ODE and not
        of a ResNet; an activation of one's own is undecided unless there is a null vector.

        Raises
        ------
        ValueError, TypeError
            A ResNet; bad inputs, norms that are out of range among them; arrays of another library.
        BlowUpError
            There is no K_∞: for quadratic φ the variance of an input escapes before T, as in `ntk`.
        ImportError
            python-flint, the extra `proof`, is absent.

        Examples
        --------
        >>> import refimpl
        >>> X = refimpl.data.sphere(24, 2, seed=0)
        >>> limit = refimpl.NeuralODE("softplus").limit()
        >>> certificate = limit.positivity(X)
        >>> certificate.strictly_positive, bool(0 < certificate.lower_bound < 1e-12)
        (True, True)
        >>> refimpl.NeuralODE("tanh").limit().positivity(np.concatenate([X, -X[:1]])).null_vector.round(3).tolist()[-1]
        0.707
        """
        if isinstance(self.solver, Euler):
            raise ValueError("positivity is about the limit of the ODE: use limit() without Euler")
        xp = namespace(X=X)
        if not is_numpy(xp):
            raise TypeError(
                f"X must be a NumPy array: positivity works on NumPy arrays only, got {type(X).__qualname__}"
            )
        return positivity(self.net, np.asarray(check_inputs(xp, X=X), dtype=np.float64))

    @property
    def _problem(self) -> LimitProblem:
        if isinstance(self.solver, Gauss | Euler):
            return LimitProblem(self.net, self.solver)
        return LimitProblem(self.net, Gauss(rtol=self._default_rtol))

    @property
    def _default_rtol(self) -> float:
        return KINKED_RTOL if self.net.phi.kinks else Gauss().rtol

    def _evaluation(self, which: int) -> Evaluation:
        rtol = self.solver.rtol if isinstance(self.solver, Gauss) else self._default_rtol
        return Evaluation(self._problem, which, rtol)

    def _gram(self, X: Array, X2: Array | None, which: int) -> Array:
        xp = namespace(X=X) if X2 is None else namespace(X=X, X2=X2)
        wide, wide2, dtype = _check_pair(xp, X, X if X2 is None else X2, "X", "X2")
        inputs = inputs_of(xp, wide, None if X2 is None else wide2, directions_only=self.net.phi.homogeneous)
        return xp.astype(self._evaluation(which).gram(xp, inputs), dtype, copy=False)


def _check_pair(xp: Namespace, X: Array, X2: Array, name: str, name2: str) -> tuple[Array, Array, object]:
    """Both inputs, checked and in double precision, and the dtype of the result."""
    dtype = float_dtype(xp, **{name: X, name2: X2})
    checked, checked2 = check_inputs(xp, **{name: X}), check_inputs(xp, **{name2: X2})
    if checked.shape[1] != checked2.shape[1]:
        raise ValueError(
            f"{name2} must have d = {checked.shape[1]} columns like {name}, got shape {tuple(checked2.shape)}"
        )
    return xp.astype(checked, xp.float64, copy=False), xp.astype(checked2, xp.float64, copy=False), dtype
