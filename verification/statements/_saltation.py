"""What happens to λ where a neuron crosses a kink: it is continuous, and its rate jumps."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.polynomial import Chebyshev
from numpy.polynomial.chebyshev import chebpts1
from scipy.linalg import expm

from refimpl import KinkEvents, NeuralODE, Params
from refimpl.finite.branches import Branches
from refimpl.finite.kinks import Crossing, follow
from verification import Agreement, Claim, Config, Table, Verdict
from verification.statements._data import DIM, Array, inputs
from verification.statements._piecewise_linear import flow

WIDTH = 8

PRECISE = KinkEvents(rtol=1e-12)

MOVE = 1e-5
"""Distance by which states are moved."""

POINTS = 5
"""Times on either side of a crossing, at which λ is taken to find its limit and its rate there."""


@dataclass(frozen=True)
class Measured:
    """A crossing, from both sides.

    Parameters
    ----------
    activation : str
    crossing : Crossing
    saltation, saltation_error : float
        Largest entry of |S − I|, where S maps perturbations of h just before the crossing to those just after it.
    jump, jump_apart, jump_error : float
        Largest entry of the jump of λ, relative to ‖λ‖, by definition; of its difference to that of `KinkEvents`; and
        what the errors of both allow.
    rates, by_definition, predicted : array, shape (n,)
        Jump of λ̇: of the λ of `KinkEvents`, of the derivative of f in h_t itself, and −Δφ' (𝒲ᵀλ)_i at the neuron i
        that crosses and 0 elsewhere.
    error : float
        By how much `by_definition` may be off.
    times, adjoint : array, shapes (2, POINTS) and (2, POINTS, n)
        λ before and after the crossing; for the figure.
    """

    activation: str
    crossing: Crossing
    saltation: float
    saltation_error: float
    jump: float
    jump_apart: float
    jump_error: float
    rates: Array
    by_definition: Array
    predicted: Array
    error: float
    times: Array
    adjoint: Array


def crossings(config: Config) -> list[Measured]:
    """The crossing of a ReLU and of a leaky ReLU network that is furthest from all others."""
    found = []
    for name in ("relu", "leaky_relu"):
        net = NeuralODE(name)
        theta = net.init(WIDTH, DIM, seed=config.rng("crossing"))
        x = inputs(config, 1)["sphere"][0]
        path = follow(Branches(net.phi), _weights(net, theta), theta.U @ x, net.horizon, PRECISE.rtol)
        moments = np.array([0.0, *(crossing.time for crossing in path.crossings), net.horizon])
        gaps = np.minimum(np.diff(moments)[:-1], np.diff(moments)[1:])
        k = int(np.argmax(gaps))
        found.append(measure(net, theta, x, path.crossings[k], float(gaps[k]) / 4))
    return found


def measure(net: NeuralODE, theta: Params, x: Array, crossing: Crossing, window: float) -> Measured:
    """The jumps at a crossing, from what is within a time `window` of it."""
    moment, i = crossing.time, crossing.neuron
    before, after = (moment + side * window * (1 + chebpts1(POINTS)) / 2 for side in (-1, 1))
    times = np.sort(np.stack([before, after]), axis=1)
    path = net.trajectory(theta, x[None], np.sort(np.append(times, moment)), PRECISE)
    here = np.searchsorted(path.t, moment)
    adjoint, states = (np.delete(block[:, 0], here, axis=0).reshape(2, POINTS, -1) for block in (path.adjoint, path.h))
    at, h = path.adjoint[here, 0], path.h[here, 0]

    def derivatives(move: float) -> Array:
        rows = zip(times.ravel(), states.reshape(2 * POINTS, -1), strict=True)
        found = [_derivative(lambda s, t=t: _output(net, theta, s, net.horizon - t), state, move) for t, state in rows]
        return np.reshape(found, adjoint.shape)

    by_definition, wider = derivatives(MOVE), derivatives(2 * MOVE)
    size, slope = float(np.linalg.norm(at)), _slope(net, h, crossing)
    jump_of_slope = slope[1][i] - slope[0][i]
    levels, changes = zip(*(_jumps(times, values, moment) for values in (adjoint, by_definition, wider)), strict=True)
    rates, own, coarse = changes
    saltation, its_error = _saltation(net, theta, states[0, 0], crossing, times, slope)
    rounding = theta.width * float(np.finfo(float).eps) * float(np.linalg.norm(h)) * size / MOVE
    # Polynomials through Chebyshev points magnify errors by 2 at the end of their interval, on either side.
    magnified = 4 * (rounding + PRECISE.rtol * float(np.abs(adjoint).max()))
    return Measured(
        net.phi.name, crossing, saltation, its_error, float(np.abs(levels[1]).max()) / size,
        float(np.abs(levels[0] - levels[1]).max()) / size,
        (float(np.abs(levels[1] - levels[2]).max()) + magnified) / size,
        rates, own, -jump_of_slope * np.eye(theta.width)[i] * (at @ _weights(net, theta))[i],
        float(np.abs(own - coarse).max()) + 4 * POINTS**2 / window * rounding, times, adjoint,
    )  # fmt: skip


def _weights(net: NeuralODE, theta: Params) -> Array:
    W: Array = net.sigma_w / math.sqrt(theta.width) * theta.W
    return W


def _moved(net: NeuralODE, theta: Params, state: Array, duration: float) -> Array:
    """Where the flow takes a state, by exponentials."""
    return flow(replace(net, horizon=duration), Params(state[:, None], theta.W, theta.v), np.ones(1)).end


def _output(net: NeuralODE, theta: Params, state: Array, remaining: float) -> Array:
    end = _moved(net, theta, state, remaining)
    f: Array = net.sigma_v / math.sqrt(theta.width) * net.phi.phi(end) @ theta.v
    return f


def _derivative(f: Callable[[Array], Array], state: Array, move: float) -> Array:
    """Central differences of f in every component of a state, along the last axis."""
    units = move * np.eye(state.size)
    columns: Array = np.stack([(f(state + e) - f(state - e)) / (2 * move) for e in units], axis=-1)
    return columns


def _slope(net: NeuralODE, h: Array, crossing: Crossing) -> tuple[Array, Array]:
    """φ'(h) before and after a crossing, (n,) each."""
    other = net.phi.dphi(np.where(np.arange(h.size) == crossing.neuron, 1.0, h))
    low, high = (net.phi.dphi(np.array([side]))[0] for side in (-1.0, 1.0))
    sides = (low, high) if crossing.speed > 0 else (high, low)
    before, after = (np.where(np.arange(h.size) == crossing.neuron, side, other) for side in sides)
    return before, after


def _jumps(times: Array, values: Array, moment: float) -> tuple[Array, Array]:
    """Jumps of values (2, POINTS, n) and of their rates at a moment, from polynomials on either side."""
    value, rate = [], []
    for t, side in zip(times, values, strict=True):
        fits = [Chebyshev.fit(t, column, POINTS - 1) for column in side.T]
        value.append([fit(moment) for fit in fits])
        rate.append([fit.deriv()(moment) for fit in fits])
    return np.diff(value, axis=0)[0], np.diff(rate, axis=0)[0]


def _saltation(
    net: NeuralODE, theta: Params, state: Array, crossing: Crossing, times: Array, slope: tuple[Array, Array]
) -> tuple[float, float]:
    """max|S − I| and its error: the derivative of the flow over a crossing, without what happens on either side."""
    start, end = float(times[0, 0]), float(times[1, -1])
    before, after = crossing.time - start, end - crossing.time
    W = _weights(net, theta)
    into, out = expm(-before * W * slope[0]), expm(-after * W * slope[1])
    fine, coarse = (
        out @ _derivative(lambda s: _moved(net, theta, s, end - start), state, move) @ into for move in (MOVE, 2 * MOVE)
    )
    rounding = theta.width * float(np.finfo(float).eps) * float(np.linalg.norm(state)) / MOVE
    return float(np.abs(fine - np.eye(state.size)).max()), float(np.abs(fine - coarse).max()) + rounding


def claims(found: list[Measured]) -> tuple[list[Claim], list[Agreement], Table]:
    """λ goes through, its rate jumps by a known amount."""
    worst = max(found, key=lambda m: m.saltation / m.saltation_error)
    jump = max(found, key=lambda m: float(np.abs(m.by_definition - m.predicted).max()) / m.error)
    i = jump.crossing.neuron
    holds = all(np.abs(m.by_definition - m.predicted).max() <= m.error for m in found)
    first = Claim(
        "kink-adjoint-continuous",
        r"Where a neuron crosses a kink, $W \phi(h)$ is continuous, so perturbations of $h$ pass it unchanged and with "
        r"them $\lambda$: the saltation matrix $S$ is the identity (measured: largest entry of $|S - I|$, from central "
        r"differences of the flow over a crossing).",
        Verdict.HOLDS if all(m.saltation <= m.saltation_error for m in found) else Verdict.FAILS,
        measured=worst.saltation,
        predicted=0,
        uncertainty=worst.saltation_error,
    )
    second = Claim(
        "kink-adjoint-rate",
        r"There $\dot \lambda$ jumps, in the component $i$ that crosses only, by "
        r"$-(\phi'_+ - \phi'_-) (\mathcal{W}^\top \lambda)_i$, with $\phi'_+$ after the crossing and $\phi'_-$ before "
        r"it: the backward ODE has its one solution in the sense of Carathéodory, with an equation for almost every "
        r"$t$, and no classical one (measured: $\dot\lambda_i$ after "
        rf"less before, of $\partial f / \partial h_t$ by central differences, {jump.activation}).",
        Verdict.HOLDS if holds else Verdict.FAILS,
        measured=float(jump.by_definition[i]),
        predicted=float(jump.predicted[i]),
        uncertainty=jump.error,
    )
    agreements = [
        Agreement(
            rf"jump of $\dot\lambda$ at a crossing ({m.activation}, $n = {WIDTH}$)",
            ("KinkEvents", "central differences of $f$ in $h_t$, exact flow"),
            float(np.abs(m.rates - m.by_definition).max()),
            m.error + 4 * POINTS**2 * PRECISE.rtol * float(np.abs(m.adjoint).max()) / float(np.ptp(m.times[0])),
            "the change with twice the move, rounding, and rtol of KinkEvents over the time between two points",
            ("kink-adjoint-rate",),
        )
        for m in found
    ]
    agreements += [
        Agreement(
            rf"jump of $\lambda$ itself at a crossing, relative ({m.activation}, $n = {WIDTH}$)",
            ("KinkEvents", "central differences of $f$ in $h_t$, exact flow"),
            m.jump_apart,
            m.jump_error,
            "the change with twice the move, rounding and rtol of KinkEvents, magnified by 2 on either side",
            ("kink-adjoint-continuous",),
        )
        for m in found
    ]
    rows = [
        (m.activation, m.crossing.time, m.crossing.speed, m.saltation, m.jump, float(m.by_definition[k]),
         float(m.predicted[k]), float(np.abs(np.delete(m.by_definition, k)).max()))
        for m in found
        for k in [m.crossing.neuron]
    ]  # fmt: skip
    head = [
        r"$\phi$", "$t$", r"$\dot h_i$", "$|S - I|$", r"jump of $\lambda$, relative", r"jump of $\dot\lambda_i$",
        "predicted", "largest other",
    ]  # fmt: skip
    return [first, second], agreements, Table("A crossing of the kink from both sides", head, rows)
