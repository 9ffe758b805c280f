"""The solvers: `SolveIVP` (scipy), `Gauss` (spectral, symplectic), `Euler` (the ResNet), `KinkEvents` (for kinked φ).

To implement a solver:

1. derive from `Solver`, as a frozen dataclass that holds its settings and validates them;
2. implement `terminal`: h_T for every sample;
3. implement `sweep`: forward and adjoint states at the nodes of a quadrature on [0, T], from which the contraction
   takes gradients and kernels;
   override `sweep_in_batches` where K_θ of many inputs would take much memory;
4. implement `trajectory`: h_t and λ_t at given times;
5. raise `BlowUpError` for a solution that escapes and `AccuracyError` for a tolerance that cannot be met.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import numpy as np

from refimpl.backend import Array, Namespace, from_host, is_numpy
from refimpl.errors import AccuracyError
from refimpl.finite import adapt, adjoint, forward, ivp, kink_events, refine, residual, trajectory
from refimpl.finite.system import Sweep, System
from refimpl.quadrature import Host
from refimpl.scheme import Scheme, euler

PROBES = 3
"""Random vectors with which two ∂f/∂W are compared: one of rank 1 seems 100 times smaller once in two million."""

Found = TypeVar("Found")


class Solver(ABC):
    """What the network needs of a solver; see the module's docstring for how to write one."""

    @abstractmethod
    def terminal(self, system: System) -> Array:
        """h_T, shape (n, N)."""

    @abstractmethod
    def sweep(self, system: System) -> Sweep:
        """Forward and adjoint states at the nodes of a quadrature on [0, T]."""

    def sweep_in_batches(self, system: System) -> Sweep:
        """As `sweep`, in less memory if the solver knows how."""
        return self.sweep(system)

    @abstractmethod
    def trajectory(self, system: System, times: Host) -> tuple[Array, Array]:
        """h_t and λ_t at `times`, each of shape (len(times), n, N)."""


@dataclass(frozen=True)
class SolveIVP(Solver):
    """`scipy.integrate.solve_ivp`: adaptive steps, adjoint along the dense output of the forward solve.

    Parameters
    ----------
    method : {"DOP853", "RK45", "RK23", "Radau", "BDF", "LSODA"}
        The implicit ones (Radau, BDF, LSODA) get the analytic block-diagonal Jacobian and are meant for small
        systems, N n² ≤ 2²⁴.
    rtol, atol : float
        Local tolerances of every step, for every sample of the batch on its own. The global error is usually a small
        multiple of them; a promise on it is made by `Gauss` only.

    Raises
    ------
    ValueError
        Unknown method, or a tolerance that is not positive.

    Notes
    -----
    NumPy arrays only. The integral (4) uses Gauss quadrature on every accepted step of both solves. This is
    optimise-then-discretise: the gradient is not that of any discrete output, and agrees with it to the tolerance.

    Examples
    --------
    >>> SolveIVP(method="RK45", rtol=1e-6)
    SolveIVP(method='RK45', rtol=1e-06, atol=1e-12)
    """

    method: str = "DOP853"
    rtol: float = 1e-10
    atol: float = 1e-12

    def __post_init__(self) -> None:
        if self.method not in ivp.QUADRATURE:
            raise ValueError(f"method must be one of {', '.join(ivp.QUADRATURE)}, got {self.method!r}")
        _check_positive(rtol=self.rtol, atol=self.atol)
        object.__setattr__(self, "rtol", float(self.rtol))
        object.__setattr__(self, "atol", float(self.atol))

    def _tolerance(self, system: System) -> ivp.Tolerance:
        _check_scipy("SolveIVP", system, self.rtol)
        return ivp.Tolerance(self.method, self.rtol, self.atol)

    def terminal(self, system: System) -> Array:
        """h_T, shape (n, N)."""
        return ivp.ivp_terminal(system, self._tolerance(system))

    def sweep(self, system: System) -> Sweep:
        """Forward and adjoint states at the nodes of a quadrature."""
        return ivp.ivp_sweep(system, self._tolerance(system))

    def trajectory(self, system: System, times: Host) -> tuple[Array, Array]:
        """h_t and λ_t at `times`, each (len(times), n, N)."""
        return ivp.ivp_trajectory(system, self._tolerance(system), times)


@dataclass(frozen=True)
class Gauss(Solver):
    """Gauss–Legendre collocation: spectrally accurate for analytic φ, symplectic, on any backend.

    Parameters
    ----------
    nodes : int or None
        Nodes a step.
    steps : int or None
        Equal steps on [0, T].
    rtol : float
        Relative accuracy, in the Euclidean norm sample by sample, of h_T, φ(h_T), λ_0 and ∂f/∂W. Whatever of `nodes`
        and `steps` is None is chosen such that the defect between the nodes, which the flow carries to the end, stays
        below `rtol`; where φ is not analytic, such that two successive refinements change by less, and no layer
        between two nodes can be seen that moves the result by more. With both given the scheme is taken as it is, its
        stages solved to rounding: gradients are then the exact ones of that discrete network, and no accuracy is
        promised.

    Raises
    ------
    ValueError
        `nodes` or `steps` below 1, `rtol` outside (0, 1).

    Notes
    -----
    Since the adjoint tableau of a Gauss scheme is Gauss again, optimise-then-discretise and discretise-then-optimise
    give the same gradient (Sanz-Serna, SIAM Review 58, 2016). For a kinked φ the convergence is algebraic, and a tight
    `rtol` raises `AccuracyError`, as does a crossing of a kink at which φ' jumps: use `KinkEvents`. A small defect,
    like the agreement of schemes, is an estimate and not a proof. In double precision the first sweeps are rounded to
    single, where that does not show. An `rtol` below 8 eps raises too: 9.6e-7 in float32, 1.8e-15 in float64.

    Examples
    --------
    >>> Gauss(rtol=1e-8)
    Gauss(nodes=None, steps=None, rtol=1e-08)
    """

    nodes: int | None = None
    steps: int | None = None
    rtol: float = 1e-12

    def __post_init__(self) -> None:
        for name in ("nodes", "steps"):
            value = getattr(self, name)
            if value is not None:
                _check_count(name, value)
                object.__setattr__(self, name, int(value))
        _check_positive(rtol=self.rtol)
        object.__setattr__(self, "rtol", float(self.rtol))
        if self.rtol >= 1:
            raise ValueError(f"rtol must be below 1, got {self.rtol!r}")

    def _check(self, system: System) -> None:
        if system.layered:
            raise ValueError("Gauss needs one W for all times, shape (n, n): use Euler(depth, shared=False)")
        if self.nodes is None or self.steps is None:
            check_tolerance(system, self.rtol)

    def terminal(self, system: System) -> Array:
        """h_T, shape (n, N)."""
        if self._adapts(system):
            return adapt.adapt(system, self.nodes, self.steps, self.rtol, adjoint=False).forward.boundary[-1, ...].T

        def distance(coarse: residual.Arrival, fine: residual.Arrival) -> float:
            return end_distance(system, coarse.terminal, fine.terminal)

        return self._refine(system, partial(residual.arrive, system), distance, residual.Arrival.hidden).terminal

    def sweep(self, system: System) -> Sweep:
        """Forward and adjoint states at the nodes of a quadrature."""
        if self._adapts(system):
            found = adapt.adapt(system, self.nodes, self.steps, self.rtol, adjoint=True)
            return found.sweep(system, self.rtol)

        def distance(coarse: adjoint.Solution, fine: adjoint.Solution) -> float:
            return sweep_distance(system, coarse.sweep, fine.sweep)

        return self._refine(system, partial(adjoint.solve, system), distance, residual.hidden).sweep

    def sweep_in_batches(self, system: System) -> Sweep:
        """As `sweep`, for some inputs at a time where that keeps memory small against the N × n² Jacobian."""
        if self._adapts(system):
            return adapt.in_batches(system, self.nodes, self.steps, self.rtol)
        return self.sweep(system)

    def trajectory(self, system: System, times: Host) -> tuple[Array, Array]:
        """h_t and λ_t at `times`, each (len(times), n, N)."""

        def distance(coarse: adjoint.Solution, fine: adjoint.Solution) -> float:
            paths = zip(*(trajectory.along_collocation(solution, times) for solution in (coarse, fine)), strict=True)
            return max(forward.relative_distance(system.xp, new, old) for old, new in paths)

        solution = self._refine(system, partial(adjoint.solve, system), distance, residual.hidden)
        return trajectory.along_collocation(solution, times)

    def _adapts(self, system: System) -> bool:
        """Whether the scheme is to be found from its defect, as for analytic φ it can."""
        self._check(system)
        return bool(system.activation.analytic) and (self.nodes is None or self.steps is None)

    def _refine(
        self,
        system: System,
        solve: Callable[[Scheme], Found],
        distance: Callable[[Found, Found], float],
        hidden: Callable[[Found], float],
    ) -> Found:
        self._check(system)
        return refine.refine(system, self.nodes, self.steps, self.rtol, solve, distance, hidden)


@dataclass(frozen=True)
class Euler(Solver):
    """Euler's method with `depth` steps: the ResNet f^L (6); its gradient is exact backpropagation.

    Parameters
    ----------
    depth : int
        L ≥ 1.
    shared : bool
        Whether all layers share one W of shape (n, n), as in the paper; else W is (L, n, n).

    Raises
    ------
    ValueError
        `depth` below 1.

    Examples
    --------
    >>> Euler(32)
    Euler(depth=32, shared=True)
    """

    depth: int
    shared: bool = True

    def __post_init__(self) -> None:
        _check_count("depth", self.depth)
        object.__setattr__(self, "depth", int(self.depth))

    def scheme(self, horizon: float) -> Scheme:
        """The scheme on [0, T]."""
        return euler(self.depth, horizon)

    def _scheme(self, system: System) -> Scheme:
        n = system.h0.shape[0]
        expected = (n, n) if self.shared else (self.depth, n, n)
        if tuple(system.W.shape) != expected:
            raise ValueError(f"W must have shape {expected} for {self!r}, got {tuple(system.W.shape)}")
        return self.scheme(system.horizon)

    def terminal(self, system: System) -> Array:
        """h_T, shape (n, N)."""
        return forward.terminal_state(system, self._scheme(system))

    def sweep(self, system: System) -> Sweep:
        """Forward and adjoint states at the nodes of a quadrature."""
        return adjoint.solve(system, self._scheme(system)).sweep

    def trajectory(self, system: System, times: Host) -> tuple[Array, Array]:
        """h_t and λ_t at `times`, each (len(times), n, N)."""
        return trajectory.layer_trajectory(system, self._scheme(system), times)


@dataclass(frozen=True)
class KinkEvents(Solver):
    """For a kinked φ: every crossing of a kink is located, and no step of the integration goes over one.

    Parameters
    ----------
    rtol : float
        Relative accuracy, in the Euclidean norm sample by sample, of h_T, φ(h_T), λ_0 and ∂f/∂W: two solutions whose
        local tolerances are 10 times apart agree to it.

    Raises
    ------
    ValueError
        `rtol` outside (0, 1).

    Notes
    -----
    NumPy arrays only. A solver that steps over kinks loses its order, and its step control sees little of the error in
    the adjoint. Here `scipy.integrate.DOP853` is restarted at every crossing, sample by sample, with φ continued
    smoothly beyond the kink, and its adjoint runs back on the same pieces. A neuron that rests on a kink gets the
    φ' of the activation there. `AccuracyError` is raised where the gradient is not decided: if a neuron is on a kink at
    which φ' jumps at T, or comes so near one that the error of h decides whether it crosses. Without kinks in φ this is
    `SolveIVP` with a check of its accuracy. Hairer, Nørsett and Wanner, Solving Ordinary Differential Equations I,
    II.6, treat such discontinuities.

    Examples
    --------
    >>> import refimpl
    >>> net = refimpl.NeuralODE("relu")
    >>> theta, X = net.init(width=16, dim=3, seed=0), refimpl.data.sphere(4, 3, seed=1)
    >>> fine, finer = (net.jacobian(theta, X, KinkEvents(rtol=rtol)) for rtol in (1e-8, 1e-11))
    >>> bool(abs(fine.W - finer.W).max() < 1e-9)
    True
    """

    rtol: float = 1e-10

    def __post_init__(self) -> None:
        _check_positive(rtol=self.rtol)
        object.__setattr__(self, "rtol", float(self.rtol))
        if self.rtol >= 1:
            raise ValueError(f"rtol must be below 1, got {self.rtol!r}")

    def terminal(self, system: System) -> Array:
        """h_T, shape (n, N)."""
        _check_scipy("KinkEvents", system, self.rtol)
        return kink_events.terminal(system, self.rtol, end_distance)

    def sweep(self, system: System) -> Sweep:
        """Forward and adjoint states at the nodes of a quadrature of its own for each sample."""
        _check_scipy("KinkEvents", system, self.rtol)
        return kink_events.sweep(system, self.rtol, sweep_distance)

    def trajectory(self, system: System, times: Host) -> tuple[Array, Array]:
        """h_t and λ_t at `times`, each (len(times), n, N)."""
        _check_scipy("KinkEvents", system, self.rtol)
        return kink_events.trajectory(system, self.rtol, times, sweep_distance)


def default_solver(xp: Namespace, dtype: Array) -> Solver:
    """`SolveIVP` on NumPy arrays and `Gauss` elsewhere, with tolerances that the dtype can meet."""
    single = dtype == xp.float32
    if is_numpy(xp):
        return SolveIVP(rtol=1e-6, atol=1e-7) if single else SolveIVP()
    return Gauss(rtol=1e-5) if single else Gauss()


def check_tolerance(system: System, rtol: float) -> None:
    """Raise `AccuracyError` for an `rtol` below what the dtype of the arrays can give."""
    limit = 8 * float(system.xp.finfo(system.h0.dtype).eps)
    if rtol < limit:
        raise AccuracyError(f"rtol={rtol:.3g} is below what {system.h0.dtype} can give, {limit:.3g}", reached=limit)


def end_distance(system: System, coarse: Array, fine: Array) -> float:
    """Larger relative distance, sample by sample, of h_T and of φ(h_T) = (√n/σ_v) ∂f/∂v."""
    phi = system.activation.phi
    return max(
        forward.relative_distance(system.xp, fine, coarse),
        forward.relative_distance(system.xp, phi(fine), phi(coarse)),
    )


def sweep_distance(system: System, coarse: Sweep, fine: Sweep) -> float:
    """Largest relative distance, sample by sample, of h_T, φ(h_T), λ_0 and ∂f/∂W.

    The last in the Frobenius norm, as estimated from the products with a few fixed random vectors.
    """
    xp, n = system.xp, system.h0.shape[0]
    vectors = from_host(xp, np.random.default_rng(0).standard_normal((PROBES, n)), system.h0)

    def probes(sweep: Sweep) -> Array:
        """(∂f/∂W) r for every vector r, one below the other: (PROBES n, N)."""
        along, weighted = xp.matmul(vectors, sweep.phi), sweep.weighted_adjoint
        return xp.concat([xp.sum(weighted * along[:, i : i + 1, :], axis=0) for i in range(PROBES)])

    return max(
        end_distance(system, coarse.terminal, fine.terminal),
        forward.relative_distance(xp, fine.initial_adjoint, coarse.initial_adjoint),
        forward.relative_distance(xp, probes(fine), probes(coarse)),
    )


def _check_scipy(name: str, system: System, rtol: float) -> None:
    """Refuse what scipy's integrators cannot take."""
    if not is_numpy(system.xp):
        raise TypeError(f"{name} works on NumPy arrays only: use Gauss() for arrays of other libraries")
    if system.layered:
        raise ValueError(f"{name} needs one W for all times, shape (n, n): use Euler(depth, shared=False)")
    check_tolerance(system, rtol)


def _check_count(name: str, value: int) -> None:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer ≥ 1, got {value!r}")
    if value < 1:
        raise ValueError(f"{name} must be an integer ≥ 1, got {value!r}")


def _check_positive(**values: float) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
            raise TypeError(f"{name} must be a real number, got {value!r}")
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} must be positive and finite, got {value!r}")
