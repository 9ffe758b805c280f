"""The ODEs (1) and (3) through `scipy.integrate.solve_ivp`: optimise, then discretise."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse
from scipy.integrate import solve_ivp

from refimpl.backend import Array, overflow_is_checked
from refimpl.errors import AccuracyError
from refimpl.finite.escape import (
    GROWTH,
    RESOLVED,
    blow_up,
    largest_feeds_itself,
    lies_before,
    remaining,
    shrinks,
    time_scale,
    too_near,
)
from refimpl.finite.panels import refined
from refimpl.finite.system import Sweep, System
from refimpl.quadrature import Host

QUADRATURE = {"RK23": 4, "RK45": 4, "DOP853": 6, "Radau": 4, "BDF": 4, "LSODA": 8}
"""Gauss nodes per accepted step for (4), by method; twice their number exceeds the order of the method."""

IMPLICIT = ("Radau", "BDF", "LSODA")

LARGEST_JACOBIAN = 1 << 24
"""Largest number N n² of entries in the block-diagonal Jacobian of an implicit method."""

LARGEST_RATE = 1e120
"""Rates of a solution that is not bounded a priori are clipped here."""

LEAST_GROWTH = 1e3
"""Growth of what escapes, when no step is short enough: ḣ = h⁵ comes to 10⁴ where t can no longer be told from t*."""

SMALLEST_RTOL = 100 * float(np.finfo(float).eps)
"""Below this `solve_ivp` silently works with a larger rtol."""


@dataclass(frozen=True)
class Tolerance:
    """Method and tolerances of `solve_ivp`."""

    method: str
    rtol: float
    atol: float


def ivp_terminal(system: System, tolerance: Tolerance) -> Array:
    """h_T, shape (n, N)."""
    terminal = _solve_forward(system, tolerance, dense=False).y[:, -1]
    return _neurons_first(terminal[:, None], system)[0]


def ivp_trajectory(system: System, tolerance: Tolerance, times: Host) -> tuple[Array, Array]:
    """h_t and λ_t at `times` from the dense outputs, each of shape (len(times), n, N)."""
    forward, backward, scale = _solve_both(system, tolerance)
    return _neurons_first(forward.sol(times), system), _neurons_first(backward.sol(times), system, scale)


def ivp_sweep(system: System, tolerance: Tolerance) -> Sweep:
    """Forward and adjoint solution at Gauss nodes inside every accepted step of *both* solves.

    The dense outputs are smooth only inside a step, so the quadrature of (4) breaks where either of them does.
    """
    forward, backward, scale = _solve_both(system, tolerance)

    def values(times: Host) -> tuple[Host, Host]:
        phi = system.activation.phi(_neurons_first(forward.sol(times), system))
        return phi, _neurons_first(backward.sol(times), system, scale)

    breaks, nodes = np.unique(np.concatenate([forward.t, backward.t])), QUADRATURE[tolerance.method]
    weights, phi, adjoint = refined(values, breaks, nodes, tolerance.rtol)
    terminal = _neurons_first(forward.y[:, -1:], system)[0]
    return Sweep(
        weights=weights.astype(system.h0.dtype),
        phi=phi,
        adjoint=adjoint,
        terminal=terminal,
        terminal_phi=system.activation.phi(terminal),
        initial_adjoint=_neurons_first(backward.y[:, -1:], system, scale)[0],
    )


def _neurons_first(flat: Host, system: System, scale: Host | float = 1.0) -> Array:
    """(N n, k) as scipy holds it, one sample after the other → `scale` × (k, n, N), in the dtype of the system."""
    n, N = system.h0.shape
    return np.ascontiguousarray(flat.reshape(N, n, -1).transpose(2, 1, 0) * scale, dtype=system.h0.dtype)


def _solve_forward(system: System, tolerance: Tolerance, *, dense: bool) -> Any:
    activation, W = system.activation, system.W.astype(float)
    n, N = system.h0.shape

    def rate(_t: float, flat: Host) -> Array:
        return (activation.phi(flat.reshape(N, n)) @ W.T).ravel()

    def blocks(_t: float, flat: Host) -> Array:
        """∂ḣ/∂h = W diag φ'(h), sample by sample."""
        return W * activation.dphi(flat.reshape(N, n))[:, None, :]

    def fed(flat: Host, scale: float) -> bool:
        return largest_feeds_itself(np, W, activation, flat.reshape(N, n).T, scale)

    start = system.h0.T.astype(float).ravel()
    return _integrate(system, tolerance, rate, blocks, start, (0.0, system.horizon), dense, fed)


def _solve_both(system: System, tolerance: Tolerance) -> tuple[Any, Any, Host]:
    """Forward solution, the adjoint one along its dense output, and the factors (N,) to put before the latter.

    λ is linear in λ_T, and is solved from a λ_T of size 1: its absolute tolerance then means the same for any σ_v.
    """
    activation, W = system.activation, system.W.astype(float)
    n, N = system.h0.shape
    forward = _solve_forward(system, tolerance, dense=True)

    def slope(t: float) -> Array:
        return activation.dphi(forward.sol(t).reshape(N, n))

    def rate(t: float, flat: Host) -> Array:
        return (-slope(t) * (flat.reshape(N, n) @ W)).ravel()

    def blocks(t: float, _flat: Host) -> Array:
        """∂λ̇/∂λ = −diag φ'(h) Wᵀ, sample by sample."""
        return -slope(t)[:, :, None] * W.T

    terminal_slope = activation.dphi(forward.y[:, -1].reshape(N, n))
    terminal = terminal_slope * system.v.astype(float)
    size = np.max(np.abs(terminal), axis=1)
    scale = np.where(size == 0, 1.0, size)
    start = (terminal / scale[:, None]).ravel()
    span = (system.horizon, 0.0)  # and λ, of a linear equation, escapes nowhere
    return forward, _integrate(system, tolerance, rate, blocks, start, span, True, lambda _lam, _scale: False), scale


def _integrate(
    system: System,
    tolerance: Tolerance,
    rate: Callable[[float, Host], Array],
    blocks: Callable[[float, Host], Array],
    start: Host,
    span: tuple[float, float],
    dense: bool,
    fed: Callable[[Host, float], bool],
) -> Any:
    """`solve_ivp` with the step control looking at the worst sample.

    `fed` says of y and |y|/|ẏ| whether y feeds itself, without which nothing escapes.

    Its error norm is the root mean square over the whole flattened batch: a norm ≤ 1 over N samples allows √N in one
    of them. With the tolerances divided by √N every single sample meets them.
    """
    n, N = system.h0.shape
    rtol = tolerance.rtol / math.sqrt(N)
    if rtol < SMALLEST_RTOL:
        raise AccuracyError(
            f"rtol={tolerance.rtol:.3g} for every one of N={N} samples means {rtol:.3g} for the batch; scipy can do "
            f"{SMALLEST_RTOL:.3g}: pass fewer rows at a time, or use Gauss",
            reached=SMALLEST_RTOL * math.sqrt(N),
        )
    options = {"method": tolerance.method, "rtol": rtol, "atol": tolerance.atol / math.sqrt(N), "dense_output": dense}
    options |= _jacobian_options(tolerance.method, blocks, n, N)
    bounded = math.isfinite(system.activation.lipschitz)
    safe = rate if bounded else _clipped(rate)
    with overflow_is_checked():
        solution = solve_ivp(safe, span, start, events=None if bounded else _growth(start), **options)
        if solution.status == 1:
            time, size = float(solution.t[-1]), 1.0 + float(np.max(np.abs(start)))
            scales = [time_scale(np, size, h[0], rate(time, h[0])) for h in solution.y_events]
            escapes = shrinks(scales) and fed(solution.y_events[-1][0], scales[-1])
            if escapes and lies_before(system.horizon, time, remaining(scales, scales[-1])):
                raise blow_up(time, system.horizon)
            solution = solve_ivp(safe, span, start, **options)  # it only grows, or escapes later
        if not bounded:
            _check_unclipped(solution, rate)
    if solution.status == 0 and np.isfinite(solution.y[:, -1]).all():
        return solution
    time, last, size = float(solution.t[-1]), solution.y[:, -1], 1.0 + float(np.max(np.abs(start)))
    scale = time_scale(np, size, last, rate(time, last))
    grown = not bounded and np.max(np.abs(last)) > LEAST_GROWTH * size
    if grown and not scale > RESOLVED * system.horizon and fed(last, scale):  # the step fell below the rounding of t
        raise blow_up(time, system.horizon) if lies_before(system.horizon, time, 0.0) else too_near(system.horizon)
    raise AccuracyError(f"{tolerance.method} stopped at t = {time:.6g}: {solution.message}")


def _growth(start: Host) -> list[Callable[[float, Host], float]]:
    """Events of a solution that is not bounded a priori: growth by the factors `GROWTH`, the last of them the end."""

    def reaches(factor: float, terminal: bool) -> Callable[[float, Host], float]:
        limit = factor * (1 + np.max(np.abs(start)))

        def event(_t: float, flat: Host) -> float:
            return float(limit - np.max(np.abs(flat)))

        event.terminal = terminal  # type: ignore[attr-defined]  # the protocol of solve_ivp
        return event

    return [reaches(factor, factor == GROWTH[-1]) for factor in GROWTH]


def _clipped(rate: Callable[[float, Host], Array]) -> Callable[[float, Host], Array]:
    """A rate that stays finite where a trial step lands beyond the blow-up: scipy loops for ever on NaN."""

    def clipped(t: float, flat: Host) -> Array:
        return np.clip(np.nan_to_num(rate(t, flat), nan=LARGEST_RATE), -LARGEST_RATE, LARGEST_RATE)

    return clipped


def _check_unclipped(solution: Any, rate: Callable[[float, Host], Array]) -> None:
    """Refuse a solution on whose way a rate was clipped; looked at after every step."""
    for t, flat in zip(solution.t, solution.y.T, strict=True):
        if np.isfinite(flat).all() and not np.max(np.abs(rate(t, flat)), initial=0.0) < LARGEST_RATE:
            raise AccuracyError(f"the rate of h is beyond {LARGEST_RATE:g} near t = {t:.6g}, and not followed")


def _jacobian_options(method: str, blocks: Callable[[float, Host], Array], n: int, N: int) -> dict[str, Any]:
    """The analytic Jacobian for an implicit method, one dense n × n block a sample."""
    if method not in IMPLICIT:
        return {}
    if N * n * n > LARGEST_JACOBIAN:
        raise ValueError(
            f"{method} factorises one n × n Jacobian block a sample and is meant for N n² ≤ {LARGEST_JACOBIAN} "
            f"(n = 128, N = 1024, say), got n = {n}, N = {N}: use DOP853, or fewer rows at a time"
        )
    if method == "LSODA":
        return {"jac": lambda t, y: _banded(blocks(t, y)), "lband": n - 1, "uband": n - 1}
    rows = (np.arange(N)[:, None, None] * n + np.arange(n)[None, None, :]) * np.ones((1, n, 1), dtype=int)
    indices, indptr = rows.ravel(), np.arange(0, N * n * n + 1, n)

    def jacobian(t: float, y: Host) -> Any:
        columns_first = blocks(t, y).transpose(0, 2, 1).ravel()
        return scipy.sparse.csc_matrix((columns_first, indices, indptr), shape=(N * n, N * n))

    return {"jac": jacobian}


def _banded(blocks: Host) -> Array:
    """Block-diagonal matrix in LSODA's packed form: entry (i, j) at [i − j + n − 1, j]."""
    N, n, _ = blocks.shape
    i, j = np.indices((n, n))
    packed = np.zeros((2 * n - 1, N, n))
    packed[(i - j + n - 1)[None], np.arange(N)[:, None, None], j[None]] = blocks
    return packed.reshape(2 * n - 1, N * n)
