"""What the multiprecision oracle has for answer to an input of the suite, with a bound and a condition number.

Everything is computed twice, at different precision and with series of different length: twice the difference bounds
the error of the better one. Once more, at low precision, the inputs are moved by 1e-10 of themselves: how far the
answers move is what a framework that rounds its inputs cannot avoid.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_CEILING, Decimal
from decimal import Context as Rounding
from typing import Any

from mpmath import MPContext

from refimpl.conformance.inputs import Entry, Rows, digest
from refimpl.oracle.finite import Problem, ode, resnet
from refimpl.oracle.limit import limit, limit_resnet

Number = Any
"""An mpf."""

Nested = Any
"""A number or (nested) lists of numbers, or a mapping from U, W, v to them."""

DIGITS = 25
FINE, COARSE, PERTURBED = (50, 40), (36, 30), (22, 18)
"""Decimal digits of a run, and terms of its series."""

STEP = Decimal("1e-10")
PERTURBATIONS = 3
"""The first moves all inputs in one direction."""

FLOOR = Decimal("1e-40")
"""The bound that is given for exact zeros: a positive number is easier on readers."""


@dataclass(frozen=True)
class _Inputs:
    """Inputs in the numbers of `ctx`, perturbed or not; the limits have no U, W and v."""

    ctx: Any
    horizon: Number
    sigmas: list[Number]
    U: list[list[Number]]
    W: list[list[Number]]
    v: list[Number]
    X: list[list[Number]]


def expected(entry: Entry) -> dict[str, dict[str, Any]]:
    """The part `expected` of a case: every quantity of its kind, with `value`, `bound` and `condition`."""
    ctx = _context(FINE[0])
    if entry.kind.startswith("limit"):  # whose precision, resolution and error are the oracle's own business
        found = _limits(entry, _numbers(ctx, entry, None))
        moved = _limits(entry, _numbers(ctx, entry, 0))  # rows of X and σ's scale all variances: together, at worst
        return {name: _expected(ctx, value, error, [moved[name][0]]) for name, (value, error) in found.items()}
    fine, coarse = _finite(entry, *FINE), _finite(entry, *COARSE)
    perturbed = [_finite(entry, *PERTURBED, perturbation=k) for k in range(PERTURBATIONS)]
    return {
        name: _expected(ctx, value, _distance(ctx, value, coarse[name]), [part[name] for part in perturbed])
        for name, value in fine.items()
    }


def _expected(ctx: Any, value: Nested, error: Number, moved: list[Nested]) -> dict[str, Any]:
    """A quantity with an error that was found, and its values for perturbed inputs."""
    size = _norm(ctx, value)
    if not size:
        zeros = _decimals(ctx, value, DIGITS)
        return {"value": zeros, "bound": _up(ctx, 2 * error or ctx.mpf(str(FLOOR))), "condition": "1"}
    # What is printed has three digits more than are good, and the rounding of each number counts.
    digits = DIGITS if not error else min(DIGITS, max(3, int(ctx.ceil(-ctx.log10(2 * error / size))) + 3))
    bound = 2 * error + 5 * size * ctx.mpf(10) ** -digits
    step = ctx.mpf(str(STEP))
    change = max(_distance(ctx, value, other) for other in moved)
    condition = max(2 * change / (step * size), ctx.one)
    return {"value": _decimals(ctx, value, digits), "bound": _up(ctx, bound), "condition": _up(ctx, condition)}


# --- runs ---------------------------------------------------------------------------------------------------------


def _context(dps: int) -> Any:
    ctx = MPContext()
    ctx.dps = dps
    return ctx


def _numbers(ctx: Any, entry: Entry, perturbation: int | None) -> _Inputs:
    """The inputs; a perturbation multiplies every number by 1 ± 1e-10.

    Zeros stay zeros, parallel inputs parallel and equal norms equal. σ's move for the limits, which have no weights.
    """

    def factor(*place: object) -> Number:
        if perturbation is None:
            return ctx.one
        sign = 1 if perturbation == 0 or digest(entry.id, "perturbation", perturbation, *place) & 1 else -1
        return 1 + sign * ctx.mpf(str(STEP))

    def matrix(name: str, A: Rows | None) -> list[list[Number]]:
        return [[ctx.mpf(z) * factor(name, i, j) for j, z in enumerate(row)] for i, row in enumerate(A or ())]

    return _Inputs(
        ctx,
        ctx.mpf(entry.horizon),
        [ctx.mpf(s) * (factor("sigma", i) if entry.v is None else 1) for i, s in enumerate(entry.sigmas)],
        matrix("U", entry.U),
        matrix("W", entry.W),
        [ctx.mpf(z) * factor("v", i) for i, z in enumerate(entry.v or ())],
        [
            [ctx.mpf(z) * factor("X", 0 if "equal-norms" in entry.flags else i) for z in row]
            for i, row in enumerate(entry.X)
        ],
    )


def _finite(entry: Entry, dps: int, terms: int, perturbation: int | None = None) -> dict[str, Nested]:
    """The quantities of (1) to (4), (6) and (9) from the oracle's answers, one input at a time."""
    inputs = _numbers(_context(dps), entry, perturbation)
    ctx, U, W, v, X = inputs.ctx, inputs.U, inputs.W, inputs.v, inputs.X
    sigma_u, sigma_w, sigma_v = inputs.sigmas
    root = ctx.sqrt(len(v))
    weights, readout = [[sigma_w / root * z for z in row] for row in W], [sigma_v / root * z for z in v]
    problems = [Problem(ctx, entry.activation, weights, readout, [sigma_u * ctx.fdot(row, x) for row in U]) for x in X]
    if entry.depth is None:
        found = [ode(problem, inputs.horizon, terms) for problem in problems]
    else:
        found = [resnet(problem, inputs.horizon, entry.depth) for problem in problems]
    gradients = [
        {
            "U": [[sigma_u * z * xi for xi in x] for z in answer.adjoint],
            "W": [[sigma_w / root * z for z in row] for row in answer.weights],
            "v": [sigma_v / root * z for z in answer.phi],
        }
        for answer, x in zip(found, X, strict=True)
    ]
    flat = [list(_flat(g)) for g in gradients]
    quantities = {
        "predict": [answer.output for answer in found],
        "terminal_state": [answer.terminal for answer in found],
        "initial_adjoint": [answer.adjoint for answer in found],
        "gradient": _sum(gradients),
        "ntk": [[ctx.fdot(a, b) for b in flat] for a in flat],
    }
    if entry.depth is None:
        return quantities
    return {f"resnet_{name}": quantities[name] for name in ("predict", "gradient", "ntk")}


def _limits(entry: Entry, inputs: _Inputs) -> dict[str, tuple[Nested, Number]]:
    """K_∞ and the NNGP kernel, or K_∞^L, pair by pair; the error is that of all entries together."""
    ctx, X, count = inputs.ctx, inputs.X, len(inputs.X)
    sigma_u, sigma_w, sigma_v = inputs.sigmas
    sigmas = (sigma_u, sigma_w, sigma_v)
    known: dict[Any, Any] = {}  # by the inner products, of which several pairs may have the same

    def pair(i: int, j: int) -> Any:
        i, j = min(i, j), max(i, j)
        inner = (ctx.fdot(X[i], X[i]), ctx.fdot(X[i], X[j]), ctx.fdot(X[j], X[j]))
        inner = min(inner, inner[::-1])
        if inner not in known:
            known[inner] = (
                limit(ctx, entry.activation, inputs.horizon, sigmas, inner)
                if entry.depth is None
                else limit_resnet(ctx, entry.activation, inputs.horizon, sigmas, inner, entry.depth)
            )
        return known[inner]

    grid = [[pair(i, j) for j in range(count)] for i in range(count)]
    error = ctx.sqrt(ctx.fsum(answer.error**2 for row in grid for answer in row))
    ntk = [[answer.ntk for answer in row] for row in grid]
    if entry.depth is not None:
        return {"limit_resnet_ntk": (ntk, error)}
    return {"limit_ntk": (ntk, error), "limit_nngp": ([[answer.nngp for answer in row] for row in grid], error)}


# --- nested numbers -----------------------------------------------------------------------------------------------


def _flat(value: Nested) -> Iterator[Number]:
    if isinstance(value, Mapping):
        value = list(value.values())
    if isinstance(value, list):
        for part in value:
            yield from _flat(part)
    else:
        yield value


def _sum(parts: list[Nested]) -> Nested:
    if isinstance(parts[0], dict):
        return {key: _sum([part[key] for part in parts]) for key in parts[0]}
    if isinstance(parts[0], list):
        return [_sum(list(row)) for row in zip(*parts, strict=True)]
    return sum(parts[1:], parts[0])


def _norm(ctx: Any, value: Nested) -> Number:
    return ctx.sqrt(ctx.fsum(z**2 for z in _flat(value)))


def _distance(ctx: Any, value: Nested, other: Nested) -> Number:
    """‖value − other‖ in the precision of `ctx`; the other may be numbers of another context."""
    pairs = zip(_flat(value), _flat(other), strict=True)
    return ctx.sqrt(ctx.fsum((a - ctx.make_mpf(b._mpf_)) ** 2 for a, b in pairs))


def _decimals(ctx: Any, value: Nested, digits: int) -> Any:
    if isinstance(value, dict):
        return {key: _decimals(ctx, part, digits) for key, part in value.items()}
    if isinstance(value, list):
        return [_decimals(ctx, part, digits) for part in value]
    return ctx.nstr(value, digits)


def _up(ctx: Any, value: Number) -> str:
    """Two digits, rounded up."""
    return str(Rounding(prec=2, rounding=ROUND_CEILING).create_decimal(ctx.nstr(value, 20)).normalize())
