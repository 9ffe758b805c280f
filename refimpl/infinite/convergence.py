"""From a solver to numbers one can trust: which scheme, how fine, and what if there is no solution."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from refimpl import activations
from refimpl.backend import Array, Namespace, check_overflow, from_host, overflow_is_checked, square, to_host
from refimpl.errors import AccuracyError, BlowUpError
from refimpl.infinite.covariance import CovarianceDivergenceError, variances
from refimpl.infinite.inputs import LARGEST_NORM, Pairs
from refimpl.infinite.pairs import Kernels, kernels, solution
from refimpl.infinite.remedies import remedy
from refimpl.infinite.resolution import NODES, candidates, distance, few_nodes
from refimpl.infinite.split import SplitSolution, solve_split
from refimpl.scheme import Scheme, gauss
from refimpl.solvers import Euler, Gauss

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

FIELD_NODES = 32
"""Gauss nodes in time at which a solution on the split square is reported."""

SMALL_ANGLE = 1e-5
"""Angle between x and x̄ below which K_∞ is interpolated if φ' jumps."""

STANDS_STILL = 1e-12
"""Change of K_∞^L, from some nodes to a third more, that leaves nothing but rounding behind."""

SMALLEST_RTOL = 4e-15
"""Below the rounding of the equations themselves."""


@dataclass(frozen=True)
class LimitProblem:
    """A network, and how its limit is to be solved.

    Parameters
    ----------
    net : NeuralODE
    solver : Gauss or Euler
    """

    net: NeuralODE
    solver: Gauss | Euler

    @property
    def splits(self) -> bool:
        """Whether [0, T]² is split along its diagonal, as it is in the continuum for kinked φ."""
        return bool(self.net.phi.kinks) and isinstance(self.solver, Gauss) and not self._given

    @property
    def _given(self) -> bool:
        """Whether the solver is one Gauss scheme, to be taken as it is."""
        return isinstance(self.solver, Gauss) and self.solver.nodes is not None and self.solver.steps is not None

    @overflow_is_checked()
    def kernels(self, xp: Namespace, pairs: Pairs) -> tuple[Array, Array]:
        """K_∞ and NNGP of `pairs`, each of shape (B,), with an error below rtol √(K(x,x) K(x̄,x̄)).

        Raises
        ------
        AccuracyError
            The accuracy is not reached.
        BlowUpError
            The variance escapes to infinity before T.
        ValueError
            A user's φ or φ' returns no array like its argument, or NaN.
        """
        self._check_pairs(xp, pairs)
        if self.splits:
            ntk, nngp = self._split_kernels(xp, pairs)
        else:
            found = self._by_few_nodes(xp, pairs)
            if found is None:
                _, found = self._resolved(xp, pairs)
            self._check_variance(xp, found)
            ntk, nngp = found.ntk, found.nngp
        check_overflow(xp, "the limit kernel", ntk, nngp)
        return ntk, nngp

    @overflow_is_checked()
    def fields(self, xp: Namespace, pair: Pairs) -> tuple[Array, Array, Array, Array, Array]:
        """t (M,), S (M, M), Σ (M, M), the times of P (M,), and P (M, M) of a single pair."""
        self._check_pairs(xp, pair)
        if self.splits:
            t = gauss(FIELD_NODES, 1, self.net.horizon).nodes
            host = (t, *(field[0] for field in self._split(xp, pair).at(t)))
            times, S, Sigma, P = (from_host(xp, values, pair.cosine) for values in host)
            return times, S, Sigma, times, P
        scheme, _ = self._resolved(xp, pair)
        forward, backward = solution(xp, self.net, scheme, pair)
        times = from_host(xp, scheme.nodes, pair.cosine)
        shift = scheme.step if isinstance(self.solver, Euler) else 0.0
        return times, forward.S[0, ...], forward.Sigma[0, ...], times + shift, backward.P[0, ...]

    def _check_pairs(self, xp: Namespace, pairs: Pairs) -> None:
        """Refuse a φ that is no function of arrays, and h_0 whose variance overflows."""
        self.net.phi.check_at(pairs.cosine)
        largest = self.net.sigma_u * float(xp.max(pairs.radii))
        if not largest < LARGEST_NORM:
            raise AccuracyError(f"the variance of h_0 = σ_u U x overflows float64: σ_u |x| reaches {largest:.3g}")

    def _split_kernels(self, xp: Namespace, pairs: Pairs) -> tuple[Array, Array]:
        """K_∞ and NNGP on the split square.

        If φ' jumps, K_∞ has a finite slope in the angle θ at 0, where the cosine knows θ to √eps only. Angles below a
        small θ₁ are therefore interpolated, K(θ) ≈ K(0) + (K(θ₁) − K(0)) θ/θ₁, with an error O(θ₁² log θ₁).
        """
        cosine = to_host(pairs.cosine)
        angle = np.arccos(cosine) if pairs.angle is None else to_host(pairs.angle)
        assert isinstance(self.solver, Gauss)
        parallel = angle <= self.solver.rtol / 8  # moves K_∞ by less than that
        small = ~parallel & (angle < SMALL_ANGLE) & math.isinf(self.net.phi.dlipschitz)
        moved = np.where(parallel, 1.0, np.where(small, math.cos(SMALL_ANGLE), cosine))
        radii, first, second = (to_host(part) for part in (pairs.radii, pairs.first, pairs.second))
        host = Pairs(radii, first, second, moved)
        solved = self._split(np, host)
        ntk, nngp = solved.kernel, solved.nngp
        if small.any():
            at_zero = self._split(np, Pairs(radii, first[small], second[small], np.ones(np.count_nonzero(small))))
            share = angle[small] / SMALL_ANGLE
            ntk[small] = (1 - share) * at_zero.kernel + share * ntk[small]
            nngp[small] = (1 - share) * at_zero.nngp + share * nngp[small]
        return from_host(xp, ntk, pairs.cosine), from_host(xp, nngp, pairs.cosine)

    def _split(self, xp: Namespace, pairs: Pairs) -> SplitSolution:
        assert isinstance(self.solver, Gauss)
        net = self.net
        q11, q12, q22 = (to_host(q) for q in pairs.covariances(xp, net.sigma_u))
        sigmas = {"sigma_w": net.sigma_w, "sigma_v": net.sigma_v}
        return solve_split(net.phi, q11, q12, q22, horizon=net.horizon, rtol=self.solver.rtol, **sigmas)

    def _check_variance(self, xp: Namespace, found: Kernels) -> None:
        """Refuse variances at which a φ with a scale of its own sees the rounding of S.

        E[φ(a)φ(b)] depends on S_ii + S_jj − 2 S_ij, with the absolute error eps S, in units of that scale: through
        exp(−½(…)) for sin and cos, and for erf, whose φ' sees nothing else, hence the relative error eps S; through
        the angle between a and b where φ is linear at ±∞, hence eps √S. (Expansions in Hermite polynomials end far
        below that.)
        """
        if self.net.phi.homogeneous or self.net.phi.kinks or self.net.phi.degree is not None or self._given:
            return
        rtol = self.solver.rtol if isinstance(self.solver, Gauss) else Gauss().rtol
        largest = float(xp.max(found.variance))
        sharp = self.net.phi in (activations.sin, activations.cos, activations.erf)
        reached = float(xp.finfo(xp.float64).eps) * (largest if sharp else math.sqrt(largest))
        if not reached <= rtol:
            raise AccuracyError(
                f"the variance of h reaches {largest:.3g}: with {self.net.phi.name} double precision gives "
                f"{reached:.3g} then, rtol={rtol:.3g} was asked for",
                reached=reached,
            )

    def _by_few_nodes(self, xp: Namespace, pairs: Pairs) -> Kernels | None:
        """K_∞^L of many layers to rounding by few nodes, or None where those are not known to do.

        The error falls geometrically with the number of nodes, like r^−2m: from m nodes to m' ≥ 4 m/3 a change by δ
        leaves an error of the order of δ^(4/3), below rounding.
        """
        coarse = None
        try:
            for scheme in few_nodes(self.net, self.solver):
                fine = kernels(xp, self.net, scheme, pairs)
                if coarse is not None and distance(xp, pairs, coarse, fine) <= STANDS_STILL:
                    return fine
                coarse = fine
        except (CovarianceDivergenceError, AccuracyError):
            return None
        return None

    def _resolved(self, xp: Namespace, pairs: Pairs) -> tuple[Scheme, Kernels]:
        """A scheme that resolves the pairs, and what it gives."""
        try:
            if isinstance(self.solver, Euler):
                scheme = self.solver.scheme(self.net.horizon)
                return scheme, kernels(xp, self.net, scheme, pairs)
            return self._refine(xp, pairs, self.solver)
        except CovarianceDivergenceError as failure:
            raise self._escape(float(xp.max(pairs.radii)), failure) from failure

    def _refine(self, xp: Namespace, pairs: Pairs, solver: Gauss) -> tuple[Scheme, Kernels]:
        """Finer and finer Gauss schemes until two agree."""
        if solver.rtol < SMALLEST_RTOL and not self._given:
            raise AccuracyError(f"rtol={solver.rtol:.3g} is below what float64 can give here, {SMALLEST_RTOL:.3g}")
        coarse, reached, divergence = None, math.inf, None
        for scheme in candidates(solver, self.net.horizon):
            try:
                fine = kernels(xp, self.net, scheme, pairs)
            except CovarianceDivergenceError as failure:
                divergence = failure  # perhaps of this scheme only
                continue
            if self._given:
                return scheme, fine
            if coarse is not None:
                reached = min(reached, distance(xp, pairs, coarse, fine))
                if reached <= solver.rtol:
                    return scheme, fine
            coarse = fine
        if coarse is None and divergence is not None:
            raise divergence
        raise AccuracyError(
            f"rtol={solver.rtol:.3g} was asked for, but successive Gauss schemes differ by {reached:.3g}: "
            f"{remedy(reached)}",
            reached=reached,
        )

    def _escape(self, radius: float, failure: CovarianceDivergenceError) -> ArithmeticError:
        """The error to raise: the variance of the largest input escapes before T, or near T nobody can tell."""
        horizon = self.net.horizon
        degree = self.net.phi.degree
        if degree is None or degree < 2:  # for those the variance is known to escape, sooner or later
            return AccuracyError(
                f"the equation of S^{{t,s}} was not solved up to T = {horizon:g}: {failure}; {remedy()}"
            )
        if isinstance(self.solver, Euler):
            time = latest = self._followed_to(radius, self.solver.scheme)
        else:
            coarse, time = (self._followed_to(radius, partial(gauss, NODES[-1], steps)) for steps in (1, 2))
            latest = time + 2 * (time - coarse)  # each doubling of the nodes follows it half as much further
        if horizon <= latest:
            return AccuracyError(f"the variance of h_t escapes so near T = {horizon:g} that it was not followed there")
        message = f"the variance of h_t escapes to infinity near t = {time:.6g}, before T = {horizon:g}"
        return BlowUpError(message, time=time)

    def _followed_to(self, radius: float, scheme: Callable[[float], Scheme]) -> float:
        """Bisect for the time up to which `scheme` of that horizon follows the variance of an input."""
        low, high = 0.0, self.net.horizon
        while high - low > 1e-6 * self.net.horizon:
            middle = (low + high) / 2
            try:
                variances(np, self.net, scheme(middle), np.asarray([square(self.net.sigma_u * radius)]))
            except CovarianceDivergenceError:
                high = middle
            else:
                low = middle
        return low
