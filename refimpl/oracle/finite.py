"""f, its gradient and K_θ in multiprecision: (1) and (3) by Taylor series, (4) by integrating their products exactly.

Written for truth, not for speed: a few neurons, one input at a time, numbers of `mpmath` in nested lists. Every step
extends the series of h until the next coefficients are too small to matter, and is cut short where a neuron meets a
kink. The same is then done backwards from T, for h and λ together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from refimpl.errors import AccuracyError, BlowUpError
from refimpl.oracle.series import KINKED, Context, Number, Series, rule

Vector = list[Number]
Matrix = list[Vector]

STANDSTILL = 1e-20
"""Length of a step, as a part of T, at which a solution counts as escaping: its series converge no further."""


@dataclass(frozen=True)
class Problem:
    """One network and one input, in the numbers of `ctx`.

    Parameters
    ----------
    ctx : mpmath.MPContext
        Its `dps` is the working precision; results are good to some ten digits less.
    activation : str
        Name of a built-in activation.
    W : list of n lists of n numbers
        Scaled weights σ_w W / √n.
    v, h0 : list of n numbers
        Scaled output weights σ_v v / √n, and σ_u U x.
    """

    ctx: Context
    activation: str
    W: Matrix
    v: Vector
    h0: Vector


@dataclass(frozen=True)
class Answer:
    """What a `Problem` has for an answer.

    Parameters
    ----------
    terminal, adjoint, phi : list of n numbers
        h_T, λ_0 and φ(h_T).
    output : mpf
        f.
    weights : list of n lists of n numbers
        ∂f/∂(scaled W), that is ∫ λ φᵀ dt.
    """

    terminal: Vector
    adjoint: Vector
    output: Number
    weights: Matrix
    phi: Vector


def ode(problem: Problem, horizon: Number, terms: int = 40) -> Answer:
    """The Neural ODE.

    Parameters
    ----------
    problem : Problem
    horizon : mpf
    terms : int
        Coefficients of a series. Another number is another method, with another error.

    Raises
    ------
    BlowUpError
        The solution escapes to infinity before `horizon`.
    AccuracyError
        It touches a kink, or some of its neurons rest on one, where the gradient depends on φ'(0). (That all of them
        rest is allowed: x = 0 does that, and there the convention of the package is followed.)
    ValueError
        An activation that the oracle does not know.

    Examples
    --------
    For one neuron of tanh sinh h grows like e^t; here to thirty digits, λ_0 = ∂f/∂h_0 among them:

    >>> from mpmath import MPContext
    >>> ctx = MPContext()
    >>> ctx.dps = 40
    >>> answer = ode(Problem(ctx, "tanh", [[ctx.one]], [ctx.one], [ctx.one]), ctx.one)
    >>> end = ctx.asinh(ctx.e * ctx.sinh(1))
    >>> bool(abs(answer.terminal[0] - end) < 1e-30 and abs(answer.output - ctx.tanh(end)) < 1e-30)
    True
    >>> bool(abs(answer.adjoint[0] - ctx.e * ctx.cosh(1) / ctx.cosh(end) ** 3) < 1e-30)
    True
    """
    ctx, time, h, ends = problem.ctx, problem.ctx.zero, list(problem.h0), list[tuple[Number, list[bool]]]()
    while time < horizon:
        branch = _branches(problem, h)
        series, along = _forward_series(problem, h, branch, terms)
        step, meets = _step(problem, series, along, horizon - time)
        if step < STANDSTILL * horizon and problem.activation == "quadratic":
            raise BlowUpError(f"h(t) escapes to infinity near t = {ctx.nstr(time, 9)}", time=float(time))
        h = [_evaluate(ctx, s, step) for s in series]
        for i in meets:
            h[i] = ctx.zero
        time = horizon if step == horizon - time else time + step
        ends.append((step, branch))
    return _backwards(problem, h, ends, terms)


def _backwards(problem: Problem, terminal: Vector, ends: Sequence[tuple[Number, list[bool]]], terms: int) -> Answer:
    ctx, n = problem.ctx, len(terminal)
    at_end = [_first(ctx, problem.activation, z) for z in terminal]
    h, lam = list(terminal), [slope * v for (_, slope), v in zip(at_end, problem.v, strict=True)]
    weights = [[ctx.zero] * n for _ in range(n)]
    nodes = _gauss_nodes(ctx, terms)
    for step, branch in reversed(ends):
        h_series, phi_series, lam_series = _backward_series(problem, h, lam, branch, terms)
        for x, b in nodes:
            phi, at = ([_evaluate(ctx, s, -step * x) for s in part] for part in (phi_series, lam_series))
            for i in range(n):
                factor = b * step * at[i]
                for j in range(n):
                    weights[i][j] += factor * phi[j]
        h, lam = ([_evaluate(ctx, s, -step) for s in part] for part in (h_series, lam_series))
    phi = [value for value, _ in at_end]
    return Answer(terminal, lam, ctx.fdot(problem.v, phi), weights, phi)


def resnet(problem: Problem, horizon: Number, depth: int) -> Answer:
    """The residual network (6) and backpropagation through it.

    Parameters
    ----------
    problem : Problem
    horizon : mpf
    depth : int
        Number L ≥ 1 of layers, each of length T/L.

    Raises
    ------
    ValueError
        An activation that the oracle does not know.

    Examples
    --------
    >>> from mpmath import MPContext
    >>> ctx = MPContext()
    >>> answer = resnet(Problem(ctx, "identity", [[ctx.one]], [ctx.one], [ctx.one]), ctx.one, 4)
    >>> float(answer.output), float(answer.adjoint[0]), 1.25**4
    (2.44140625, 2.44140625, 2.44140625)
    """
    ctx, n, step = problem.ctx, len(problem.h0), horizon / depth
    states = [list(problem.h0)]
    for _ in range(depth):
        phi = [_first(ctx, problem.activation, z)[0] for z in states[-1]]
        states.append([z + step * ctx.fdot(row, phi) for z, row in zip(states[-1], problem.W, strict=True)])
    at_end = [_first(ctx, problem.activation, z) for z in states[-1]]
    lam = [slope * v for (_, slope), v in zip(at_end, problem.v, strict=True)]
    weights = [[ctx.zero] * n for _ in range(n)]
    for state in reversed(states[:-1]):
        pairs = [_first(ctx, problem.activation, z) for z in state]
        for i in range(n):
            for j in range(n):
                weights[i][j] += step * lam[i] * pairs[j][0]
        back = [ctx.fdot(column, lam) for column in zip(*problem.W, strict=True)]
        lam = [z + step * slope * b for z, (_, slope), b in zip(lam, pairs, back, strict=True)]
    phi = [value for value, _ in at_end]
    return Answer(states[-1], lam, ctx.fdot(problem.v, phi), weights, phi)


# --- series -------------------------------------------------------------------------------------------------------


def _forward_series(
    problem: Problem, h: Vector, branch: Sequence[bool], terms: int
) -> tuple[list[Series], list[Series]]:
    """Series of h around the start of a step, and those of φ(h) and φ'(h), which have one term less."""
    ctx, series = problem.ctx, [[z] for z in h]
    rules = [rule(ctx, problem.activation, side) for side in branch]
    phi, dphi = [list[Number]() for _ in h], [list[Number]() for _ in h]
    for k in range(terms):
        for i, extend in enumerate(rules):
            value, slope = extend(series[i])
            phi[i].append(value)
            dphi[i].append(slope)
        rates = [p[k] for p in phi]
        for s, row in zip(series, problem.W, strict=True):
            s.append(ctx.fdot(row, rates) / (k + 1))
    return series, [*phi, *dphi]


def _backward_series(
    problem: Problem, h: Vector, lam: Vector, branch: Sequence[bool], terms: int
) -> tuple[list[Series], list[Series], list[Series]]:
    """Series of h, φ(h) and λ around the end of a step: λ' = −φ'(h) ⊙ Wᵀ λ."""
    ctx, columns = problem.ctx, list(zip(*problem.W, strict=True))
    rules = [rule(ctx, problem.activation, side) for side in branch]
    states, adjoint, back = [[z] for z in h], [[z] for z in lam], [list[Number]() for _ in h]
    phi, dphi = [list[Number]() for _ in h], [list[Number]() for _ in h]
    for k in range(terms):
        for i, extend in enumerate(rules):
            value, slope = extend(states[i])
            phi[i].append(value)
            dphi[i].append(slope)
        now = [s[k] for s in adjoint]
        rates = [p[k] for p in phi]
        for i, column in enumerate(columns):
            back[i].append(ctx.fdot(column, now))
        for i, row in enumerate(problem.W):
            states[i].append(ctx.fdot(row, rates) / (k + 1))
            adjoint[i].append(-ctx.fdot(dphi[i], back[i][::-1]) / (k + 1))
    return states, phi, adjoint


def _evaluate(ctx: Context, series: Series, t: Number) -> Number:
    return ctx.polyval(series[::-1], t)


def _first(ctx: Context, name: str, z: Number) -> tuple[Number, Number]:
    """φ(z) and φ'(z); at a kink the slope is the left one, as everywhere in the package."""
    value, slope = rule(ctx, name, bool(z > 0))([z])
    return value, slope


# --- steps --------------------------------------------------------------------------------------------------------


def _step(problem: Problem, series: list[Series], along: list[Series], left: Number) -> tuple[Number, list[int]]:
    """Length of a step that leaves out less than the working precision, and the neurons that meet a kink at its end.

    The series `along` h count too: φ of a neuron that drives no other is in no h, but in ∂f/∂W.
    """
    ctx, step = problem.ctx, left
    for group in (series, along):
        size = max(max(abs(s[0]) for s in group), ctx.one)
        terms = len(group[0])
        for k in (terms - 2, terms - 1):  # two, for an even or odd series has a zero coefficient
            largest = max(abs(s[k]) for s in group)
            if largest > 0:
                step = min(step, (ctx.eps * size / largest) ** (ctx.one / k))
    if problem.activation not in KINKED:
        return step, []
    while not all(_is_simple(s, step) for s in series):
        step /= 2
        if step < ctx.sqrt(ctx.eps):
            raise AccuracyError(f"a neuron touches the kink of {problem.activation} or rests on it")
    crossings = {i: _crossing(ctx, s, step) for i, s in enumerate(series) if _evaluate(ctx, s, step) * s[0] < 0}
    if not crossings:
        return step, []
    first = min(crossings.values())
    return first, [i for i, at in crossings.items() if abs(at - first) <= ctx.sqrt(ctx.eps) * first]


def _is_simple(series: Series, step: Number) -> bool:
    """Whether a polynomial keeps its sign or its direction on [0, step], by the size of its coefficients."""
    tail = sum(abs(c) * step**k for k, c in enumerate(series) if k > 0)
    if abs(series[0]) > tail or not any(series):
        return True
    slope_tail = sum(k * abs(c) * step ** (k - 1) for k, c in enumerate(series) if k > 1)
    return bool(abs(series[1]) > slope_tail)


def _crossing(ctx: Context, series: Series, step: Number) -> Number:
    low, high = ctx.zero, step
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if _evaluate(ctx, series, middle) * series[0] > 0 else (low, middle)
    root = (low + high) / 2
    derivative = [k * c for k, c in enumerate(series)][1:]
    for _ in range(8):  # Newton doubles the six digits
        root -= _evaluate(ctx, series, root) / _evaluate(ctx, derivative, root)
    return root


def _branches(problem: Problem, h: Vector) -> list[bool]:
    """On which side of the kink every neuron is, or is about to be; the left one for a network at rest as a whole."""
    if problem.activation not in KINKED:
        return [True] * len(h)
    if not any(h):
        return [False] * len(h)  # h = 0 solves (1), and its λ is a matter of φ'(0): of the convention
    ctx = problem.ctx
    phi = [_first(ctx, problem.activation, z)[0] for z in h]
    sides = []
    for z, row in zip(h, problem.W, strict=True):
        rate = ctx.fdot(row, phi)
        if z == 0 and rate == 0 and any(row):
            raise AccuracyError(f"a neuron rests on the kink of {problem.activation}")
        sides.append(bool(z > 0 or (z == 0 and rate > 0)))
    return sides


def _gauss_nodes(ctx: Context, count: int) -> list[tuple[Number, Number]]:
    """Nodes and weights on [0, 1], exact for the product of two series of `count` terms."""
    nodes = []
    for i in range(count):
        x = ctx.cos(ctx.pi * (4 * i + 3) / (4 * count + 2))
        for _ in range(12):
            p, q = ctx.one, ctx.zero
            for k in range(1, count + 1):
                p, q = ((2 * k - 1) * x * p - (k - 1) * q) / k, p
            slope = count * (x * p - q) / (x * x - 1)
            change = p / slope
            x -= change
            if abs(change) < ctx.eps * 100:
                break
        nodes.append(((1 + x) / 2, 1 / ((1 - x * x) * slope**2)))
    return nodes
