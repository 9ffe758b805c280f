"""A plain implementation of the limit n → ∞, every step of which can be done wrong as a `LimitRecipe` says.

S, Σ, D and P are matrices over the nodes of a scheme, for all pairs of inputs at once, and the equations for them are
solved by sweeps. For kinked φ that has some five digits, and what a mistake changes is taken off the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from refimpl.conformance.mistakes.finite import distorted, horizon
from refimpl.conformance.mistakes.functions import function
from refimpl.conformance.mistakes.recipe import LimitRecipe
from refimpl.conformance.vectors import Case
from refimpl.infinite.dual import dual
from refimpl.quadrature import Host
from refimpl.scheme import Scheme, euler, gauss

NODES, MORE_NODES = 12, 24
"""Gauss nodes on [0, T], up to T = 1 and beyond."""

SWEEPS = 60

RTOL = 1e-10


@dataclass(frozen=True)
class Fields:
    """S, Σ, D over the nodes, (B, M, M), and at (T, T) and (0, 0), (B,), of all pairs of inputs."""

    q: Host
    S: Host
    Sigma: Host
    D: Host
    end: Host
    end_Sigma: Host
    end_D: Host
    initial_Sigma: Host


def limit_answers(recipe: LimitRecipe, case: Case, memory: dict[Any, Any]) -> Mapping[str, Any]:
    """What an author with the mistakes of `recipe` gets for every quantity of a case, by name."""
    s, N = case.settings, len(case.X)
    T = horizon(recipe.horizon, s.horizon)
    resnet = case.kind == "limit-resnet" and recipe.step != "ode"
    depth = (s.depth or 1) + recipe.extra_layers
    if resnet:
        lengths = {"own": T / (s.depth or 1), "1/L": 1 / (s.depth or 1), "1": 1.0, "fitting": T / max(depth, 1)}
        scheme = euler(depth, depth * lengths[recipe.step])
    else:
        scheme = gauss(NODES if T <= 1 else MORE_NODES, 1, T)
    A, b = scheme.matrix, scheme.weights
    forward = (recipe.variant, recipe.sigma_u, recipe.sigma_w, recipe.root_d, recipe.horizon, recipe.extra_layers)
    key = (id(case), forward, recipe.step, recipe.normalised, recipe.doubled, recipe.weights)
    if key not in memory:
        memory[key] = _fields(recipe, case, scheme, resnet)
    fields: Fields = memory[key]
    w, v = s.sigma_w**recipe.sigma_w, s.sigma_v**recipe.sigma_v
    slopes = {"own": fields.D, "phi": fields.Sigma, "one": np.ones_like(fields.D)}[recipe.slope]
    end_slope = {"own": fields.end_D, "phi": fields.end_Sigma, "one": np.ones_like(fields.end_D)}[recipe.slope]

    P_end = v * end_slope
    backward = "shared" if recipe.weights == "diagonal" else recipe.weights
    w_back = 1.0 if recipe.adjoint == "no-sigma" else w
    Ahat = A if recipe.adjoint == "forward" else (b[:, None] * A / b).T
    P = np.broadcast_to(P_end[:, None, None], fields.S.shape)
    P_00 = P_end
    if recipe.adjoint != "constant":
        for _ in range(SWEEPS):
            product = slopes * P
            new = P_end[:, None, None] + w_back * _twice(Ahat, product, backward, resnet)
            done = np.max(np.abs(new - P), initial=0.0) <= 1e-14 * np.max(np.abs(new), initial=0.0)
            P = new
            if done:
                break
        P_00 = P_end + w_back * _all(b, slopes * P, backward, resnet)
    if recipe.adjoint == "reversed":
        P = P[:, ::-1, ::-1]
    elif recipe.adjoint == "shifted" and resnet:
        before = P_00[:, None, None] * np.ones_like(P)
        before[:, 1:, 1:] = P[:, :-1, :-1]
        P = before

    source = fields.S if recipe.middle == "S" else fields.Sigma
    middle = _all(b, source * P, recipe.weights, resnet)
    total = float(b.sum())
    middles = {
        "none": 0.0 * middle,
        "terminal": total**2 * fields.end_Sigma * P_end,
        "unweighted": middle / (b[0] ** 2 if resnet else total**2),
        "once": middle / (b[0] if resnet else total),
        "no-sigma": middle / w,
        "root-sigma": middle / np.sqrt(w),
    }
    middle = middles.get(recipe.middle, middle)
    last = {
        "own": fields.q * P_00,
        "Sigma": fields.initial_Sigma * P_00,
        "none": 0.0 * P_00,
        "terminal": fields.q * P_end,
        "unscaled": fields.q / s.sigma_u**recipe.sigma_u * P_00,
        "S": fields.end * P_00,
    }[recipe.last]
    nngp = v * fields.end_Sigma
    first = {"own": nngp, "none": 0.0 * nngp, "S": v * fields.end, "unscaled": fields.end_Sigma}[recipe.first]
    ntk = first + w * middle + last
    if recipe.returned == "nngp":
        ntk = nngp
    elif recipe.returned == "ntk":
        nngp = ntk
    elif recipe.returned == "state":
        nngp = fields.end
    elif recipe.returned == "adjoint":
        ntk = P_00
    grams = {name: distorted(recipe.gram, _matrix(part, N), 1) for name, part in (("ntk", ntk), ("nngp", nngp))}
    if case.kind == "limit-resnet":
        return {"limit_resnet_ntk": grams["ntk"]}
    return {"limit_ntk": grams["ntk"], "limit_nngp": grams["nngp"]}


def _matrix(pairs: Host, N: int) -> Host:
    K = np.empty((N, N))
    K[np.triu_indices(N)] = pairs
    return np.triu(K) + np.triu(K, 1).T


def _twice(A: Host, F: Host, weights: str, layers: bool) -> Host:
    """A F Aᵀ; with other weights only equal times contribute, which in the continuum have no measure."""
    if weights in ("shared", "diagonal"):
        return np.asarray(A @ F @ A.T)
    if weights == "independent":
        return np.asarray(A @ (F * np.eye(len(A))) @ A.T) if layers else np.zeros_like(F)
    single = np.diagonal(F, axis1=1, axis2=2) @ A.T
    i, j = np.indices(A.shape)
    forward = A[0].sum() <= A[-1].sum()  # the integral to t, not from t
    return single[:, np.minimum(i, j) if forward else np.maximum(i, j)]


def _all(b: Host, F: Host, weights: str, layers: bool) -> Host:
    """bᵀ F b, or with other weights the sum over equal times."""
    if weights == "shared":
        return np.asarray(F @ b @ b)
    single = np.diagonal(F, axis1=1, axis2=2)
    if layers and weights != "diffusion":
        return np.asarray(single @ b**2)
    return np.asarray(single @ b) if weights != "independent" else np.zeros(len(F))


def _fields(recipe: LimitRecipe, case: Case, scheme: Scheme, layers: bool) -> Fields:
    """The forward solution: of every input with itself first, then of all pairs."""
    s, X = case.settings, np.asarray(case.X, dtype=np.float64)
    act = function(s.activation, recipe.variant)
    if recipe.normalised == "inputs":
        X = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-300)
    Q = s.sigma_u**recipe.sigma_u * (X @ X.T) / X.shape[1] ** recipe.root_d
    A, b, w = scheme.matrix, scheme.weights, s.sigma_w**recipe.sigma_w
    forward = "shared" if recipe.weights == "diagonal" else recipe.weights
    i, j = np.triu_indices(len(X))

    factor = 2.0 if recipe.doubled else 1.0

    def expectations(s1: Host, s2: Host) -> Callable[[Host], tuple[Host, Host]]:
        if recipe.normalised != "variances":
            both = dual(act, s1, s2, RTOL).both
            return lambda S: (factor * both(S)[0], factor * both(S)[1]) if recipe.doubled else both(S)
        unit = dual(act, np.ones_like(s1), np.ones_like(s2), RTOL).both
        root = np.sqrt(np.maximum(s1[:, :, None] * s2[:, None, :], 1e-300))
        return lambda S: unit(np.clip(S / root, -1, 1))

    def solve(q: Host, own: tuple[Host, Host] | None) -> tuple[Host, Host, Host]:
        S = np.broadcast_to(q[:, None, None], (len(q), len(A), len(A)))
        fixed = expectations(*own) if own else None
        for sweep in range(SWEEPS):
            diagonal = np.maximum(np.diagonal(S, axis1=1, axis2=2), 0.0)
            Sigma, D = (fixed or expectations(diagonal, diagonal))(S)
            new = q[:, None, None] + w * _twice(A, Sigma, forward, layers)
            change = np.max(np.abs(new - S), initial=0.0)
            S = new
            if change <= 1e-12 * np.max(np.abs(new), initial=0.0) or (sweep > 2 * len(A) and layers):
                break
        return S, Sigma, D

    q = np.diag(Q)
    initial = np.broadcast_to(q[:, None], (len(q), len(A)))
    S, Sigma, _ = solve(q, (initial, initial) if recipe.normalised == "initial" else None)
    variance = np.maximum(np.diagonal(S, axis1=1, axis2=2), 0.0)
    variance = initial if recipe.normalised == "initial" else variance
    variance_end = np.maximum(q + w * _all(b, Sigma, forward, layers), 0.0)
    variance_end = q if recipe.normalised == "initial" else variance_end
    S, Sigma, D = solve(Q[i, j], (variance[i], variance[j]))
    end = np.where(i == j, variance_end[i], Q[i, j] + w * _all(b, Sigma, forward, layers))
    end_Sigma, end_D = expectations(variance_end[i][:, None], variance_end[j][:, None])(end[:, None, None])
    initial_Sigma, _ = expectations(q[i][:, None], q[j][:, None])(Q[i, j][:, None, None])
    return Fields(Q[i, j], S, Sigma, D, end, end_Sigma[:, 0, 0], end_D[:, 0, 0], initial_Sigma[:, 0, 0])
