"""Estimates at infinite width: K_∞ and the NNGP kernel on Gauss schemes refined down to rounding."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from refimpl.certified.finite import Estimate
from refimpl.certified.quantities import norm
from refimpl.certified.rounding import DRAWS, EPS, UNITS, allowance, disturbed_scheme
from refimpl.errors import AccuracyError
from refimpl.infinite.convergence import LimitProblem
from refimpl.infinite.covariance import CovarianceDivergenceError
from refimpl.infinite.dual import dual
from refimpl.infinite.inputs import Pairs, angles
from refimpl.infinite.pairs import Kernels, kernels
from refimpl.infinite.resolution import NODES
from refimpl.quadrature import Host
from refimpl.scheme import Scheme, gauss
from refimpl.solvers import Gauss

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

OF_EXPECTATION = 16 * EPS
"""Rounding and truncation of E[φ(a)φ(b)] and E[φ'(a)φ'(b)], relative to the root of those of (a, a) and (b, b)."""

TOLERANCES = (1e-13, 1e-12, 1e-11, 1e-10, 1e-9, 1e-8, 1e-7, 1e-6)
"""Of the solver for kinked φ, which are tried in this order."""


def estimate(net: NeuralODE, quantity: str, X: Host, X2: Host | None) -> Estimate:
    """K_∞ or the NNGP kernel between the rows of X and of X2 (or of X).

    Raises
    ------
    AccuracyError
        No two schemes agree.
    BlowUpError
        The variance escapes to infinity before T.
    """
    pairs, scale = _pairs(net, X, X2)
    problem = LimitProblem(net, Gauss())
    problem._check_pairs(np, pairs)
    with np.errstate(over="ignore", invalid="ignore"):
        values, errors = _split(net, quantity, pairs) if net.phi.kinks else _smooth(problem, quantity, pairs)
    shape = (X.shape[0], (X if X2 is None else X2).shape[0])
    value, error = values * scale, norm(errors * scale)
    if not np.all(np.isfinite(value)):
        raise AccuracyError(f"the {quantity} overflows float64")
    return Estimate(_gram(value, shape, X2 is None), error)


def _gram(values: Host, shape: tuple[int, int], symmetric: bool) -> Host:
    if not symmetric:
        return values.reshape(shape)
    gram = np.zeros(shape)
    gram[np.triu_indices(shape[0])] = values
    return np.triu(gram) + np.triu(gram, 1).T


def _pairs(net: NeuralODE, X: Host, X2: Host | None) -> tuple[Pairs, Host]:
    """All pairs of rows (without X2: the upper triangle), and a factor in front of the kernel of each.

    Norms that differ in the last place are different norms here. For a positively homogeneous φ they are in the factor.
    """
    norms, norms2, cosine = angles(np, X, X2)
    if X2 is None:
        rows, columns = np.triu_indices(len(norms))
    else:
        rows, columns = (index.ravel() for index in np.indices((len(norms), len(norms2))))
    both, scale = np.concatenate([norms, norms2]), np.ones(len(rows))
    if net.phi.homogeneous:
        scale, both = norms[rows] * norms2[columns], np.ones_like(both)
    radii, index = np.unique(both, return_inverse=True)
    return Pairs(radii, index[rows], index[len(norms) + columns], cosine[rows, columns]), scale


def _smooth(problem: LimitProblem, quantity: str, pairs: Pairs) -> tuple[Host, Host]:
    """Values and errors of pairs, for φ without kinks."""
    net, coarse, best = problem.net, None, None
    kept, last, divergence = None, math.inf, None
    for nodes in NODES:
        scheme = gauss(nodes, 1, net.horizon)
        try:
            found = kernels(np, net, scheme, pairs)
        except CovarianceDivergenceError as failure:
            coarse, divergence = None, failure
            continue
        fine, size = _of(quantity, net, found, pairs)
        if coarse is not None:
            change = np.abs(fine - coarse)
            largest = norm(change)
            if largest <= 1e-9 * norm(size) or largest > last / 4:
                kept = _rounding(net, quantity, scheme, pairs, fine) if kept is None else kept
                errors = change + kept + OF_EXPECTATION * size
                if best is None or norm(errors) < norm(best[1]):
                    best = (fine, errors)
                if largest <= norm(kept + OF_EXPECTATION * size):
                    break
            last = largest
        coarse = fine
    if best is None and coarse is None and divergence is not None:
        raise problem._escape(float(np.max(pairs.radii)), divergence) from divergence
    if best is None:
        raise AccuracyError(f"no two Gauss schemes agree on the {quantity} of {net.phi.name}")
    return best


def _of(quantity: str, net: NeuralODE, found: Kernels, pairs: Pairs) -> tuple[Host, Host]:
    """Values of the pairs, and the size √(K(x, x) K(x̄, x̄)) on which rounding works."""
    if quantity == "limit_ntk":
        diagonal, values = found.diagonal, found.ntk
    else:
        s = found.variance[:, None]
        diagonal, values = net.sigma_v**2 * dual(net.phi, s, s).value(s[:, :, None])[:, 0, 0], found.nngp
    root = np.sqrt(np.abs(diagonal))
    return values, root[pairs.first] * root[pairs.second]


def _rounding(net: NeuralODE, quantity: str, scheme: Scheme, pairs: Pairs, undisturbed: Host) -> Host:
    """What rounding may have changed, pair by pair; see `refimpl.certified.rounding`."""
    changes = []
    for seed in range(DRAWS):
        rng = np.random.default_rng(seed)
        sigmas = {name: getattr(net, name) * _factor(rng) for name in ("sigma_u", "sigma_w", "sigma_v")}
        exact = np.abs(pairs.cosine) == 1  # of equal or opposite directions
        cosine = pairs.cosine + np.where(exact, 0.0, UNITS * EPS * rng.uniform(-1, 1, len(pairs)))
        radii = pairs.radii * _factor(rng, len(pairs.radii))
        moved = Pairs(radii, pairs.first, pairs.second, np.clip(cosine, -1, 1))
        try:
            found = kernels(np, replace(net, **sigmas), disturbed_scheme(scheme, rng), moved)
        except CovarianceDivergenceError:
            return np.full(len(pairs), np.inf)
        changes.append(_of(quantity, net, found, pairs)[0] - undisturbed)
    return np.asarray([allowance(list(np.abs(row))) for row in np.asarray(changes).T])


def _factor(rng: np.random.Generator, count: int | None = None) -> Host:
    return np.asarray(1 + UNITS * EPS * rng.uniform(-1, 1, count))


def _split(net: NeuralODE, quantity: str, pairs: Pairs) -> tuple[Host, Host]:
    """Values and errors of pairs, for kinked φ: the solver's own estimate of its error, at the tightest tolerance."""
    for rtol in TOLERANCES:
        problem = LimitProblem(net, Gauss(rtol=rtol))
        try:
            ntk, nngp = problem.kernels(np, pairs)
            index = np.arange(len(pairs.radii))
            diagonal, _ = problem.kernels(np, Pairs(pairs.radii, index, index, np.ones(len(index))))
        except AccuracyError as error:
            failure = error
            continue
        root = np.sqrt(np.abs(diagonal))
        values = ntk if quantity == "limit_ntk" else nngp
        return values, (rtol + OF_EXPECTATION) * root[pairs.first] * root[pairs.second]
    raise failure
