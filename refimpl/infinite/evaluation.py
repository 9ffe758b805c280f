"""Gram matrices of the limit, by the cheapest of three ways: pair by pair, off a curve, off an interpolant."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refimpl.backend import Array, Namespace, device, from_host, to_host
from refimpl.errors import AccuracyError
from refimpl.infinite.convergence import SMALL_ANGLE, LimitProblem
from refimpl.infinite.covariance import CovarianceDivergenceError
from refimpl.infinite.gram import Elementwise, angles, cosines, distinct, looked_up, span, transform
from refimpl.infinite.inputs import Inputs, Pairs
from refimpl.infinite.norms import interpolate_in_norms
from refimpl.infinite.pairs import kernels
from refimpl.infinite.resolution import coarsest
from refimpl.infinite.sphere import SphereKernel, interpolate_in_rho, interpolate_in_theta
from refimpl.quadrature import Host

DIRECT_PAIRS = 128
"""Pairs of inputs of one norm beyond which the curve K_∞(ρ) is cheaper than solving for each pair."""

SOLVED_PAIRS = 4096
"""Pairs of inputs of different norms beyond which an interpolation in the norms is considered."""

NTK, NNGP = 0, 1


@dataclass(frozen=True)
class Evaluation:
    """A kernel of a `LimitProblem`.

    Parameters
    ----------
    problem : LimitProblem
    which : {NTK, NNGP}
    rtol : float
        Accuracy of what is interpolated, relative to √(K(x,x) K(x̄,x̄)).
    """

    problem: LimitProblem
    which: int
    rtol: float

    def gram(self, xp: Namespace, inputs: Inputs) -> Array:
        """The Gram matrix (N, N2)."""
        for road in (self._off_the_curve, self._off_the_norms):
            gram = road(xp, inputs)
            if gram is not None:
                return gram
        return self._pair_by_pair(xp, inputs)

    def _pair_by_pair(self, xp: Namespace, inputs: Inputs) -> Array:
        """Solved pair by pair."""
        pairs = inputs.pairs(xp)
        values = self.problem.kernels(xp, pairs)[self.which] if len(pairs) else pairs.cosine
        if inputs.symmetric:
            gram = xp.zeros(inputs.shape, dtype=xp.float64, device=device(inputs.units))
            upper = xp.asarray(np.triu(np.ones(inputs.shape, dtype=bool)), device=device(inputs.units))
            gram[upper] = values
            gram = xp.where(upper, gram, gram.T)
        else:
            gram = xp.reshape(values, inputs.shape)
        return transform(xp, inputs, gram, lambda block: block)

    def _off_the_curve(self, xp: Namespace, inputs: Inputs) -> Array | None:
        """Read off the curve of one norm; None where solving pair by pair is cheaper."""
        if inputs.pairs_count <= DIRECT_PAIRS or inputs.radii.shape[0] > 1 or float(inputs.radii[0]) == 0:
            return None
        radius, kinked = float(inputs.radii[0]), bool(self.problem.net.phi.kinks)
        # The cosine of a kinked φ forgets small angles, and near ρ = ±1 the curve is smooth in θ alone.
        gram = angles(xp, inputs) if kinked else cosines(xp, inputs)

        def solved(points: Host) -> Elementwise:
            """Exact values at the different entries of `gram`."""
            cosine = from_host(xp, np.cos(points) if kinked else points, gram)
            index = xp.asarray(np.zeros(len(points), dtype=int), device=device(gram))
            pairs = Pairs(inputs.radii, index, index, cosine, from_host(xp, points, gram) if kinked else None)
            return looked_up(xp, points, self.problem.kernels(xp, pairs)[self.which])

        found = distinct(gram, DIRECT_PAIRS)
        if found is not None:
            return transform(xp, inputs, gram, solved(found))
        if not kinked:
            return transform(xp, inputs, gram, self.curve(radius).at)
        # The curve is singular at θ = 0, where every Gram matrix has its diagonal: small angles are solved for.
        small = distinct(gram, math.inf, lambda theta: theta < SMALL_ANGLE)
        at_small = solved(small) if small is not None and len(small) else None
        least, largest = span(xp, gram, SMALL_ANGLE)
        if at_small is not None and not math.isfinite(least):
            return transform(xp, inputs, gram, at_small)
        curve = self.curve(radius, span=(math.cos(largest), math.cos(least)))

        def function(theta: Array) -> Array:
            is_small = theta < SMALL_ANGLE
            if at_small is None or not bool(xp.any(is_small)):
                return curve.at(theta)
            return xp.where(is_small, at_small(theta), curve.at(theta))

        return transform(xp, inputs, gram, function)

    def _off_the_norms(self, xp: Namespace, inputs: Inputs) -> Array | None:
        """Interpolated in the norms; None where solving pair by pair is cheaper, or more accurate."""
        problem, radii = self.problem, inputs.radii
        if inputs.pairs_count <= SOLVED_PAIRS or problem.net.phi.kinks:
            return None
        lowest, highest = float(radii[0]), float(radii[-1])
        if lowest in (0, highest):
            return None

        def quick(pairs: Pairs) -> tuple[Host, Host]:
            found = kernels(xp, problem.net, scheme, pairs.like(xp, radii))
            return to_host((found.ntk, found.nngp)[self.which]), to_host(found.diagonal)

        def exact(pairs: Pairs) -> tuple[Host, Host]:
            own = np.arange(len(pairs.radii))
            parts = ((own, pairs.first), (own, pairs.second), (np.ones(len(own)), pairs.cosine))
            with_own = Pairs(pairs.radii, *(np.concatenate(part) for part in parts)).like(xp, radii)
            found = problem.kernels(xp, with_own)
            return to_host(found[self.which])[len(own) :], to_host(found[NTK])[: len(own)]

        try:
            extremes = xp.take(radii, xp.asarray([0, radii.shape[0] - 1], device=device(radii)))
            scheme = coarsest(xp, problem.net, problem.solver, extremes, self.rtol / 8)
            kernel = interpolate_in_norms(quick, exact, (lowest, highest), self.rtol, inputs.pairs_count // 2)
        except (AccuracyError, CovarianceDivergenceError):
            return None
        return kernel.gram(xp, inputs, cosines(xp, inputs))

    def curve(self, radius: float, span: tuple[float, float] = (-1.0, 1.0)) -> SphereKernel:
        """K(ρ) for ρ in `span` at least."""
        problem = self.problem

        def evaluate(cosine: Host) -> Host:
            index = np.zeros(cosine.shape, dtype=int)
            return np.asarray(problem.kernels(np, Pairs(np.asarray([radius]), index, index, cosine))[self.which])

        if self.problem.net.phi.kinks:
            return interpolate_in_theta(evaluate, radius, self.rtol, span)
        return interpolate_in_rho(evaluate, radius, self.rtol)
