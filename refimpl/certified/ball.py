"""(1), (3) and (4) in ball arithmetic: every number is an interval that holds the truth, rounding included.

On every step the solution is enclosed twice. A box that the Picard operator maps into itself holds it all along the
step; there the Taylor coefficient of order p, evaluated on the box, encloses Lagrange's remainder of the Taylor
polynomial of degree p − 1 (Moore, *Interval Analysis*, 1966, chapter 11). Boxes grow, by what is called wrapping, by a
constant factor a step; with some two hundred bits there is room for it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import flint
from flint import arb, arb_mat, arb_series

from refimpl.errors import AccuracyError

Ball: TypeAlias = Any
"""A `flint.arb`."""

Vector: TypeAlias = list[Ball]
Function: TypeAlias = Callable[[Any], Any]
"""From a power series to a power series."""

BITS = 192
TERMS = 26
"""Order p of the remainder."""

REMAINDER = 2.0**-88
"""Largest remainder of a step, relative to the largest state (or to 1)."""

SHORTEST = 2.0**-14
"""Length of a step, relative to T, below which there is no proof."""


@contextmanager
def precision(bits: int = BITS, terms: int = TERMS) -> Iterator[None]:
    """Set the working precision of python-flint, and put it back: it is a global of that library."""
    before = flint.ctx.prec, flint.ctx.cap
    flint.ctx.prec, flint.ctx.cap = bits, terms + 1
    try:
        yield
    finally:
        flint.ctx.prec, flint.ctx.cap = before


# --- activations --------------------------------------------------------------------------------------------------


def _logistic(h: Any) -> Any:
    return 1 / (1 + (-h).exp())


def _normal_cdf(h: Any) -> Any:
    return (-h / arb(2).sqrt()).erfc() / 2


def _constant(value: float, like: Any) -> Any:
    return arb_series([arb(value)], prec=like.prec)


def _silu_slope(h: Any) -> Any:
    s = _logistic(h)
    return s + h * (s - s * s)


def _tanh(h: Any) -> Any:
    return 2 * _logistic(2 * h) - 1


def _sigmoid_slope(h: Any) -> Any:
    s = _logistic(h)
    return s - s * s


def _tanh_slope(h: Any) -> Any:
    return 4 * _sigmoid_slope(2 * h)


SMOOTH: dict[str, tuple[Function, Function]] = {
    "softplus": (lambda h: (1 + h.exp()).log(), _logistic),
    "sigmoid": (_logistic, _sigmoid_slope),
    "tanh": (_tanh, _tanh_slope),
    "erf": (lambda h: h.erf(), lambda h: 2 * (-h * h).exp() / arb.pi().sqrt()),
    "gelu": (
        lambda h: h * _normal_cdf(h),
        lambda h: _normal_cdf(h) + h * (-h * h / 2).exp() / (2 * arb.pi()).sqrt(),
    ),
    "silu": (lambda h: h * _logistic(h), _silu_slope),
    "sin": (lambda h: h.sin(), lambda h: h.cos()),
    "cos": (lambda h: h.cos(), lambda h: -h.sin()),
    "identity": (lambda h: h, lambda h: _constant(1.0, h)),
    "quadratic": (lambda h: h * h / 2, lambda h: h),
}


def _line(slope: float) -> tuple[Function, Function]:
    return lambda h: slope * h, lambda h: _constant(slope, h)


# On the left and on the right of the kink, and for a network at rest on it, where φ'(0) is a convention.
KINKED: dict[str, tuple[tuple[Function, Function], ...]] = {
    "relu": (_line(0.0), _line(1.0), _line(0.0)),
    "leaky_relu": (_line(0.01), _line(1.0), _line(0.01)),
    "elu": ((lambda h: h.exp() - 1, lambda h: h.exp()), _line(1.0), _line(1.0)),
}


# --- the equations ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Problem:
    """One network and one input, in balls.

    Parameters
    ----------
    activation : str
    W : arb_mat, shape (n, n)
        Scaled weights σ_w W / √n.
    v, h0 : list of n arb
        Scaled output weights σ_v v / √n, and σ_u U x.
    horizon : arb
    """

    activation: str
    W: Any
    v: Vector
    h0: Vector
    horizon: Ball


@dataclass(frozen=True, eq=False)
class Answer:
    """φ(h_T), λ_0, and ∂f/∂(scaled W) as an arb_mat."""

    phi: Vector
    adjoint: Vector
    weights: Any


@dataclass(frozen=True, eq=False)
class _Step:
    """Length of a step, the states all along it, and at its end; and φ, φ' in force, neuron by neuron."""

    length: Ball
    box: Vector
    end: Vector
    functions: list[tuple[Function, Function]]


def solve(problem: Problem) -> Answer:
    """Enclose the solution. To be called within `precision`.

    Raises
    ------
    AccuracyError
        No step is short enough: the solution escapes, or a neuron meets a kink.
    """
    h, left, steps = problem.h0, problem.horizon, list[_Step]()
    while True:
        longest = _short(1.25 * steps[-1].length) if steps else problem.horizon
        step = _forward(problem, h, longest if longest < left else left)
        steps.append(step)
        h, left = step.end, left - step.length
        if left.is_zero():
            break
    functions = _functions(problem, h)
    lam = [_at(slope, z) * v for (_, slope), z, v in zip(functions, h, problem.v, strict=True)]
    phi = [_at(value, z) for (value, _), z in zip(functions, h, strict=True)]
    n = len(h)
    weights = arb_mat(n, n)
    for step in reversed(steps):
        lam, part = _backward(problem, step, lam)
        weights = weights + part
    return Answer(phi, lam, weights)


def _functions(problem: Problem, box: Vector) -> list[tuple[Function, Function]]:
    """φ and φ' of every neuron on the side of the kink where its box is."""
    if problem.activation in SMOOTH:
        return [SMOOTH[problem.activation]] * len(box)
    left, right, rest = KINKED[problem.activation]
    if all(z.is_zero() for z in problem.h0):
        return [rest] * len(box)  # h = 0 solves (1)
    if not all(z > 0 or z < 0 for z in box):
        raise _NoBoxError
    return [right if z > 0 else left for z in box]


class _NoBoxError(ArithmeticError):
    """The step is too long for a box."""


def _forward(problem: Problem, start: Vector, longest: Ball) -> _Step:
    """A step from `start`, nearly the longest that can be enclosed with a small remainder."""
    try:
        functions = _functions(problem, start)
    except _NoBoxError:
        raise AccuracyError(f"a neuron is on the kink of {problem.activation}, or as near as can be told") from None
    series, _ = _state_series(problem.W, start, functions)
    size = max(1.0, *(float(z.abs_upper()) for z in start))
    length = _guess(longest, [s[TERMS] for s in series], size)
    while True:
        if length < longest and length < problem.horizon * SHORTEST:
            kinks = f" or a neuron meets the kink of {problem.activation}" if problem.activation in KINKED else ""
            raise AccuracyError(f"no proof: no step is short enough; the solution is too steep or escapes{kinks}")
        try:
            box, functions = _box(problem, start, length)
            over_box, phi = _state_series(problem.W, box, functions)
            largest = max(float((s[TERMS] * length**TERMS).abs_upper()) for s in (*over_box, *phi))
            if largest <= REMAINDER * size:
                break
        except _NoBoxError:
            pass
        length = _short(0.75 * length)
    end = [_sum(s, over[TERMS], length) for s, over in zip(series, over_box, strict=True)]
    return _Step(length, box, end, functions)


def _guess(longest: Ball, last: Vector, size: float) -> Ball:
    """The longest step for which the last coefficients are small enough, to be tried first."""
    largest = max(float(z.abs_upper()) for z in last)
    if largest == 0:
        return longest
    length = _short(arb(0.7 * (REMAINDER * size / largest) ** (1 / TERMS)))
    return length if length < longest else longest


def _short(length: Ball) -> Ball:
    """A number near `length` of 24 bits, so that what is left of T remains exact."""
    fraction, exponent = math.frexp(float(length))
    return arb(math.ldexp(round(fraction * 2**24), exponent - 24))


def _box(problem: Problem, start: Vector, length: Ball) -> tuple[Vector, list[tuple[Function, Function]]]:
    """Intervals that the states do not leave during the step: the Picard operator maps them into themselves."""
    time = arb(0).union(length)
    box = start
    for _ in range(12):
        functions = _functions(problem, box)
        rates = problem.W * _column([_at(value, z) for (value, _), z in zip(functions, box, strict=True)])
        reached = [z + time * rates[i, 0] for i, z in enumerate(start)]
        if not all(z.is_finite() for z in reached):
            break
        if all(b.contains(r) for b, r in zip(box, reached, strict=True)):
            return box, functions
        box = [_inflated(z, r) for z, r in zip(start, reached, strict=True)]
    raise _NoBoxError


def _inflated(start: Ball, interval: Ball) -> Ball:
    reach = (interval - start).abs_upper()
    return interval + arb(0, reach / 4 + REMAINDER)


def _backward(problem: Problem, step: _Step, end: Vector) -> tuple[Vector, Any]:
    """λ at the start of a step, and what the step adds to ∫ λ φᵀ dt; in the time u that is left until its end."""
    box = _adjoint_box(problem, step, end)
    parts = []
    for states, adjoints in ((step.end, end), (step.box, box)):
        series, phi = _state_series(-problem.W, states, step.functions)
        slopes = [slope(arb_series(s, prec=TERMS + 1)) for (_, slope), s in zip(step.functions, series, strict=True)]
        parts.append((_adjoint_series(problem, slopes, adjoints), phi))
    (lam, phi), (lam_box, phi_box) = parts
    start = [_sum(s, over[TERMS], step.length) for s, over in zip(lam, lam_box, strict=True)]
    p, n = TERMS, len(end)
    moments = [step.length ** (k + 1) / (k + 1) for k in range(p + 1)]
    Q = arb_mat(p, p, [moments[a + b] if a + b < p else arb(0) for a in range(p) for b in range(p)])
    polynomial = _matrix([s[:p] for s in lam]) * Q * _matrix([s[:p] for s in phi]).transpose()
    remainder = _matrix(lam_box) * _matrix([s[::-1] for s in phi_box]).transpose()
    return start, polynomial + arb_mat(n, n, [moments[p] * z for z in remainder.entries()])


def _adjoint_box(problem: Problem, step: _Step, end: Vector) -> Vector:
    time, Wt = arb(0).union(step.length), problem.W.transpose()
    slopes = [_at(slope, z) for (_, slope), z in zip(step.functions, step.box, strict=True)]
    box = end
    for _ in range(40):
        rates = Wt * _column(box)
        reached = [z + time * slope * rates[i, 0] for i, (z, slope) in enumerate(zip(end, slopes, strict=True))]
        if all(b.contains(r) for b, r in zip(box, reached, strict=True)):
            return box
        box = [_inflated(z, r) for z, r in zip(end, reached, strict=True)]
    raise AccuracyError("no proof: λ could not be enclosed, the weights are too large")


def _state_series(
    W: Any, start: Vector, functions: Sequence[tuple[Function, Function]]
) -> tuple[list[Vector], list[Vector]]:
    """Coefficients 0 … p of h and of φ(h), for h' = W φ(h)."""
    series = [[z] for z in start]
    for k in range(TERMS):
        rates = _column([value(arb_series(s, prec=k + 1))[k] for (value, _), s in zip(functions, series, strict=True)])
        rates = W * rates
        for i, s in enumerate(series):
            s.append(rates[i, 0] / (k + 1))
    values = [value(arb_series(s, prec=TERMS + 1)) for (value, _), s in zip(functions, series, strict=True)]
    return series, [[value[k] for k in range(TERMS + 1)] for value in values]


def _adjoint_series(problem: Problem, slopes: list[Any], end: Vector) -> list[Vector]:
    """Coefficients 0 … p of λ, for dλ/du = φ'(h) ⊙ Wᵀ λ."""
    Wt, factors = problem.W.transpose(), [[s[k] for k in range(TERMS + 1)] for s in slopes]
    lam, products = [[z] for z in end], [list[Ball]() for _ in end]
    for k in range(TERMS):
        now = Wt * _column([s[k] for s in lam])
        for i, (s, along) in enumerate(zip(lam, products, strict=True)):
            along.append(now[i, 0])
            s.append(sum((a * b for a, b in zip(factors[i], reversed(along), strict=False)), arb(0)) / (k + 1))
    return lam


def _sum(series: Vector, remainder: Ball, length: Ball) -> Ball:
    """Taylor polynomial of degree p − 1 and its remainder."""
    total = remainder
    for coefficient in reversed(series[:TERMS]):
        total = total * length + coefficient
    return total


def _at(function: Function, z: Ball) -> Ball:
    return function(arb_series([z], prec=1))[0]


def _column(entries: Vector) -> Any:
    return arb_mat(len(entries), 1, entries)


def _matrix(rows: list[Vector]) -> Any:
    return arb_mat(len(rows), len(rows[0]), [z for row in rows for z in row])
