"""A plain implementation of the finite network, every step of which can be done wrong as a `Recipe` says.

Small networks, to eight digits or so: mistakes are larger. Arrays of states are (nodes, N, n).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from refimpl.conformance.mistakes.functions import function, slope_of
from refimpl.conformance.mistakes.recipe import Recipe
from refimpl.conformance.vectors import Case
from refimpl.quadrature import Host, gauss_legendre, lagrange_integrals

NODES = 8
"""Gauss nodes in a panel."""

SWEEPS = 40
"""Fixed-point sweeps of a panel at most; it is short enough for each to gain half a digit."""

ODE = ("predict", "terminal_state", "initial_adjoint", "gradient", "ntk")
RESNET = ("resnet_predict", "resnet_gradient", "resnet_ntk")

Rate = Callable[[Host], Host]


@dataclass(frozen=True)
class Path:
    """A solution: the states at the nodes, of shape (M, N, n), at both ends, and the quadrature.

    Parameters
    ----------
    nodes, start, end : arrays
    weights : array, shape (M,)
        Of the quadrature over [0, T]. A layer is a node.
    panels : int
        Equal panels of Gauss nodes; 0 for layers.
    """

    nodes: Host
    start: Host
    end: Host
    weights: Host
    panels: int


def answers(recipe: Recipe, case: Case, memory: dict[Any, Any]) -> Mapping[str, Any]:
    """What an author with the mistakes of `recipe` gets for every quantity of a case, by name.

    `memory` keeps forward solutions from one recipe to the next.
    """
    s, n = case.settings, len(case.v)
    U, W, v, X = (np.asarray(part, dtype=np.float64) for part in (case.U, case.W, case.v, case.X))
    act = function(s.activation, recipe.variant)
    slope = slope_of(act, recipe.slope)
    h0 = s.sigma_u**recipe.sigma_u * X @ U.T / X.shape[1] ** recipe.root_d
    into = slope(h0) if recipe.phi_input else np.ones_like(h0)
    M = s.sigma_w**recipe.sigma_w * W / n**recipe.root_w
    M = M.T if recipe.transposed else M
    path = _path(recipe, case, act.phi(h0) if recipe.phi_input else h0, M, memory)
    T = horizon(recipe.horizon, s.horizon)

    out = s.sigma_v**recipe.sigma_v / n**recipe.root_v
    read = act.phi(path.end) if recipe.phi_output else path.end
    power_v = recipe.sigma_v if recipe.terminal_sigma_v is None else recipe.terminal_sigma_v
    root_v = recipe.root_v if recipe.terminal_root is None else recipe.terminal_root
    terminal = np.broadcast_to(s.sigma_v**power_v / n**root_v * v, path.end.shape)
    if recipe.phi_output and recipe.terminal_slope != "none":
        at_end = slope if recipe.terminal_slope == "own" else slope_of(act, recipe.terminal_slope)
        terminal = terminal * at_end(path.end)
    power_w = recipe.sigma_w if recipe.adjoint_sigma_w is None else recipe.adjoint_sigma_w
    root_w = recipe.root_w if recipe.adjoint_root is None else recipe.adjoint_root
    back = s.sigma_w**power_w * W / n**root_w
    back = back.T if recipe.transposed != (recipe.adjoint_w == "plain") else back
    back = np.eye(n) if recipe.adjoint_w == "none" else back
    backward = (recipe.slope, recipe.sign, recipe.factor_lambda, recipe.adjoint_w, recipe.slope_inside, recipe.slope_at)
    scales = (power_v, root_v, power_w, root_w, recipe.phi_output, recipe.terminal_slope)
    key = (_forward_key(recipe, case), backward, scales)
    if key not in memory:
        memory[key] = _adjoint(recipe, path, slope, M, back, terminal)
    lam, initial, gate = memory[key]
    values = path.nodes if recipe.outside or recipe.pairing == "state" else act.phi(path.nodes)

    integral = _integral(recipe, path, act.phi, lam * gate, values, initial, terminal, gate, T)
    integral = np.swapaxes(integral, 1, 2) if recipe.transposed else integral
    factors = {
        "U": {"own": s.sigma_u**recipe.sigma_u, "root": 1.0, "sigma": s.sigma_u, "none": 1.0}[recipe.factor_u],
        "W": _factor(recipe.factor_w, s.sigma_w, recipe.sigma_w, n, recipe.root_w),
        "v": _factor(recipe.factor_v, s.sigma_v, recipe.sigma_v, n, recipe.root_v),
    }
    given = X / np.maximum(np.linalg.norm(X, axis=1, keepdims=True), 1e-300) if recipe.unit_inputs else X
    rows = {
        "U": ((initial if recipe.through else terminal) * into)[:, :, None]
        * given[:, None, :]
        * factors["U"]
        / X.shape[1] ** recipe.root_d,
        "W": integral * factors["W"],
        "v": read * factors["v"],
    }
    rows = {name: part if name in recipe.blocks else 0.0 * part for name, part in rows.items()}
    f = out * read @ v
    found = {
        "predict": {"phi": f, "negative": -f}.get(recipe.returned, f),
        "terminal_state": {"initial": path.start, "phi": act.phi(path.end)}.get(recipe.returned, path.end),
        "initial_adjoint": {"terminal": terminal, "negative": -initial, "unscaled": s.sigma_u * initial}.get(
            recipe.returned, initial
        ),
        "gradient": _gradient(recipe, rows, f),
        "ntk": distorted(recipe.gram, _gram(recipe, rows, path, lam * gate, values, factors["W"]), n),
    }
    if case.kind == "resnet":
        return {f"resnet_{name}": part for name, part in found.items()}
    return found


def horizon(kind: str, own: float) -> float:
    """T, or what is taken for it."""
    return {"own": own, "one": 1.0, "squared": own * own, "half": own / 2, "double": 2 * own}[kind]


def distorted(kind: str, K: Host, n: int) -> Host:
    """A kernel matrix, or what is made of it."""
    root = np.sqrt(np.maximum(np.diag(K), 1e-300))
    kinds: dict[str, Callable[[], Host]] = {
        "own": lambda: K,
        "equal-times": lambda: K,
        "doubled": lambda: K + K.T,
        "upper": lambda: np.triu(K),
        "lower": lambda: np.tril(K),
        "half-diagonal": lambda: np.triu(K) / 2 + np.tril(K) / 2 - np.diag(np.diag(K)) / 2,
        "double-diagonal": lambda: K + np.diag(np.diag(K)),
        "no-diagonal": lambda: K - np.diag(np.diag(K)),
        "double-off-diagonal": lambda: 2 * K - np.diag(np.diag(K)),
        "triangles": lambda: (np.triu(K, 1) + np.triu(K, 1).T) / 2 + np.diag(np.diag(K)),
        "diagonal": lambda: np.diag(np.diag(K)),
        "correlation": lambda: K / root / root[:, None],
        "absolute": lambda: np.abs(K),
        "by-width": lambda: K / n,
        "by-inputs": lambda: K / len(K),
        "half": lambda: K / 2,
        "negative": lambda: -K,
        "constant": lambda: np.full_like(K, K[0, 0]),
    }
    return kinds[kind]()


def _factor(kind: str, sigma: float, power: float, n: int, root: float) -> float:
    factors: dict[str, float] = {
        "own": sigma**power / n**root,
        "root": 1 / math.sqrt(n),
        "sigma": sigma**power,
        "half": math.sqrt(sigma / n),
        "none": 1.0,
    }
    return factors[kind]


def _gradient(recipe: Recipe, rows: Mapping[str, Host], f: Host) -> Mapping[str, Host]:
    N = len(f)
    by_row = {
        "mean": np.full(N, 1 / max(N, 1)),
        "loss": f,
        "squares": 2 * f,
        "first": np.eye(N)[0],
        "last": np.eye(N)[-1],
    }
    weights = by_row.get(recipe.batch, np.ones(N))
    return {name: np.tensordot(weights, part, 1) for name, part in rows.items()}


def _gram(recipe: Recipe, rows: Mapping[str, Host], path: Path, lam: Host, values: Host, factor: float) -> Host:
    flat = {name: part.reshape(len(part), -1) for name, part in rows.items()}
    K = np.asarray(sum(part @ part.T for part in flat.values()))
    if recipe.gram != "equal-times" or "W" not in recipe.blocks:
        return K
    alone = np.einsum("mik,mjk->mij", lam, lam) * np.einsum("mik,mjk->mij", values, values)
    weights = path.weights if path.panels else path.weights**2
    return np.asarray(K - flat["W"] @ flat["W"].T + factor**2 * np.tensordot(weights, alone, 1))


def _integral(
    recipe: Recipe, path: Path, phi: Rate, lam: Host, values: Host, initial: Host, terminal: Host, gate: Host, T: float
) -> Host:
    """∫ λ φᵀ dt, shape (N, n, n), or what is taken for it."""
    weights, pairing = path.weights, recipe.pairing
    if recipe.weight != "own":
        weights = weights / (path.weights[0] if recipe.weight == "none" and not path.panels else T)
    if not len(weights):  # a single layer too few
        return np.zeros((*initial.shape, initial.shape[-1]))
    if pairing == "reversed":
        lam = lam[::-1]
    elif path.panels == 0:
        later = np.concatenate([values[1:], phi(path.end)[None]])
        earlier = np.concatenate([(initial * gate[0])[None], lam[:-1]])
        values = later if pairing in ("right", "next-phi") else values
        lam = earlier if pairing in ("left", "this-lambda") else lam
        if pairing == "both":
            lam, values = earlier, later
        weights = weights * (np.arange(len(weights)) == len(weights) - 1) if pairing == "last" else weights
        weights = weights * (np.arange(len(weights)) == 0) if pairing == "first" else weights
        weights = weights * (np.arange(len(weights)) > 0) if pairing == "no-first" else weights
        weights = weights * (np.arange(len(weights)) < len(weights) - 1) if pairing == "no-last" else weights
    elif pairing in ("last", "first"):
        at = (terminal, path.end) if pairing == "last" else (initial, path.start)
        return T * at[0][:, :, None] * phi(at[1])[:, None, :]
    total = np.einsum("m,mni,mnj->nij", weights, lam, values)
    if recipe.rectangles and path.panels:
        count = max(1, round(abs(recipe.rectangles) * (T if recipe.per_time else 1)))
        basis = _interpolation(path.panels, (np.arange(count) + (recipe.rectangles < 0)) / count)
        total = (
            T
            / count
            * np.einsum("k,kni,knj->nij", np.ones(count), *(np.tensordot(basis, part, 1) for part in (lam, values)))
        )
    return np.swapaxes(total, 1, 2) if pairing == "transposed" else total


def _interpolation(panels: int, times: Host) -> Host:
    """Values at `times`, as parts of T, from those at the nodes of the panels; shape (len(times), nodes)."""
    c, _ = gauss_legendre(NODES)
    panel = np.minimum((times * panels).astype(int), panels - 1)
    away = (times * panels - panel)[:, None, None] - c
    factors = np.where(np.eye(NODES, dtype=bool), 1.0, away / np.where(np.eye(NODES, dtype=bool), 1.0, c[:, None] - c))
    basis = np.zeros((len(times), panels, NODES))
    basis[np.arange(len(times)), panel] = factors.prod(-1)
    return basis.reshape(len(times), -1)


# --- forward -------------------------------------------------------------------------------------------------------


def _path(recipe: Recipe, case: Case, h0: Host, M: Host, memory: dict[Any, Any]) -> Path:
    key = _forward_key(recipe, case)
    if key not in memory:
        memory[key] = _solve(recipe, case, h0, M)
    return memory[key]  # type: ignore[no-any-return]


def _forward_key(recipe: Recipe, case: Case) -> tuple[Any, ...]:
    """All that the forward solution depends on."""
    scales = (recipe.sigma_u, recipe.sigma_w, recipe.root_w, recipe.root_d, recipe.transposed)
    shape = (
        recipe.horizon,
        recipe.extra_layers,
        recipe.step,
        recipe.steps,
        recipe.per_time,
        recipe.outside,
        recipe.skip,
    )
    return (id(case), recipe.variant, scales, shape, recipe.phi_input)


def _solve(recipe: Recipe, case: Case, h0: Host, M: Host) -> Path:
    s, T = case.settings, horizon(recipe.horizon, case.settings.horizon)
    phi = function(s.activation, recipe.variant).phi

    def rate(h: Host) -> Host:
        return np.asarray(phi(h @ M.T) if recipe.outside else phi(h) @ M.T)

    if (case.kind == "resnet" and recipe.step != "ode") or recipe.steps:
        depth = max(1, round(recipe.steps * (T if recipe.per_time else 1))) if recipe.steps else s.depth or 1
        layers = depth + recipe.extra_layers
        lengths = {"own": T / depth, "1/L": 1 / depth, "1": 1.0, "T": T, "fitting": T / max(layers, 1)}
        return _layers(rate, h0, layers, lengths[recipe.step], recipe.skip)
    return _panels(rate, h0, T, _panel_count(M, T, case))


def _layers(rate: Rate, h0: Host, layers: int, length: float, skip: bool) -> Path:
    states = [h0]
    for _ in range(layers):
        states.append((states[-1] if skip else 0.0) + length * rate(states[-1]))
    nodes = np.asarray(states[:-1]).reshape(layers, *h0.shape)
    return Path(nodes, h0, states[-1], np.full(layers, length), 0)


def _panel_count(M: Host, T: float, case: Case) -> int:
    """Enough for a fixed-point sweep of a panel to gain half a digit, with φ' up to 1."""
    steep = 8.0 if case.settings.activation in ("quadratic",) else 1.5
    count = math.ceil(steep * T * float(np.linalg.norm(M, 2)))
    if case.settings.activation in ("elu", "relu", "leaky_relu"):
        count *= 2  # kinks: low order, whatever is done
    return min(max(count, 2), 400)


def _panels(rate: Rate, h0: Host, T: float, panels: int) -> Path:
    A, b = _tableau()
    length = T / panels
    states, h = [], h0
    for _ in range(panels):
        at = np.broadcast_to(h, (NODES, *h.shape))
        flow = rate(at)
        for _ in range(SWEEPS):
            new = h + length * np.tensordot(A, flow, 1)
            change, at = float(np.max(np.abs(new - at), initial=0.0)), new
            flow = rate(at)
            if not change > 1e-11 * float(np.max(np.abs(at), initial=0.0)):
                break
        states.append(at)
        h = h + length * np.tensordot(b, flow, 1)
    return Path(np.concatenate(states), h0, h, np.tile(b * length, panels), panels)


@cache
def _tableau() -> tuple[Host, Host]:
    c, b = gauss_legendre(NODES)
    return lagrange_integrals(NODES, c), b


# --- backward ------------------------------------------------------------------------------------------------------


def _adjoint(recipe: Recipe, path: Path, slope: Rate, M: Host, back: Host, terminal: Host) -> tuple[Host, Host, Host]:
    """λ at the nodes (of a layer: at its end), λ_0, and the factor of λ in the weight gradient."""
    inside = path.nodes @ M.T if recipe.outside else path.nodes
    factor = slope(inside)
    ends = [slope(h @ M.T if recipe.outside else h)[None] for h in (path.start, path.end)]
    if recipe.slope_at in ("start", "end"):
        factor = np.broadcast_to(ends[recipe.slope_at == "end"], factor.shape)
    elif recipe.slope_at == "next" and not path.panels:
        factor = np.concatenate([factor[1:], ends[1]])[: len(factor)]
    elif recipe.slope_at == "previous" and not path.panels:
        factor = np.concatenate([ends[0], factor[:-1]])[: len(factor)]
    elif recipe.slope_at == "reversed":
        factor = factor[::-1]
    elif recipe.slope_at == "never":
        factor = np.ones_like(factor)

    def pull(lam: Host, at: Host) -> Host:
        lam = lam if recipe.factor_lambda else np.ones_like(lam)
        if recipe.outside or recipe.slope_inside:
            return recipe.sign * ((at * lam) @ back)
        return recipe.sign * (at * (lam @ back))

    gate = factor if recipe.outside else np.ones_like(factor)
    if not path.panels:
        found, lam = [], terminal
        for at, length in zip(factor[::-1], path.weights[::-1], strict=True):
            found.append(lam)
            lam = (lam if recipe.skip else 0.0) + length * pull(lam, at)
        return np.asarray(found[::-1]).reshape(factor.shape), lam, gate
    A, b = _tableau()
    length, lam, states = float(path.weights.sum()) / path.panels, terminal, []
    transposed = b - A  # integration from a node to the end of the panel
    for at in factor.reshape(path.panels, NODES, *factor.shape[1:])[::-1]:
        now = np.broadcast_to(lam, at.shape)
        flow = pull(now, at)
        for _ in range(SWEEPS):
            new = lam + length * np.tensordot(transposed, flow, 1)
            change, now = float(np.max(np.abs(new - now), initial=0.0)), new
            flow = pull(now, at)
            if not change > 1e-11 * float(np.max(np.abs(now), initial=0.0)):
                break
        states.append(now)
        lam = lam + length * np.tensordot(b, flow, 1)
    return np.concatenate(states[::-1]), lam, gate
