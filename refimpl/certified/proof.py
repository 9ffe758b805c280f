"""Quantities of a finite network with a proved error, from the enclosures of `refimpl.certified.ball`."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from refimpl import activations
from refimpl.certified.finite import Estimate
from refimpl.certified.quantities import Request, Value
from refimpl.parameters import Jacobian, Params
from refimpl.quadrature import Host

try:
    from flint import arb, arb_mat
except ImportError as error:  # pragma: no cover
    raise ImportError("prove=True needs python-flint, the extra `proof`: pip install 'refimpl[proof]'") from error

from refimpl.certified.ball import KINKED, SMOOTH, Answer, Ball, Problem, Vector, precision, solve

if TYPE_CHECKING:
    from refimpl.network import NeuralODE


def prove(net: NeuralODE, request: Request, theta: Params) -> Estimate:
    """The quantity that `request` asks for, and a proved bound of its error.

    Raises
    ------
    ValueError
        An activation of the user's: only of the built-in ones is it known what they are.
    AccuracyError
        No enclosure was found.
    """
    name = net.phi.name
    if name not in {*SMOOTH, *KINKED} or net.phi != activations.BUILTIN[name]:
        raise ValueError(f"prove=True knows the built-in activations only, got {name!r}")
    with precision():
        network = _Network(net, theta)
        found = [network.answer(x) for x in request.X]
        if request.quantity == "ntk":
            other = None if request.X2 is None else [network.answer(x) for x in request.X2]
            return _rounded("ntk", _kernel(network, request, found, other), (len(found), -1))
        outputs = [_dot(network.v, answer.phi) for answer in found]
        residuals = [] if request.y is None else [f - arb(float(t)) for f, t in zip(outputs, request.y, strict=True)]
        if request.quantity == "output":
            return _rounded("output", outputs, (len(found),))
        if request.quantity == "loss":
            return _rounded("loss", [_dot(residuals, residuals) / 2], ())
        gradients = [network.gradient(answer, x) for answer, x in zip(found, request.X, strict=True)]
        n, d = theta.U.shape
        if request.quantity == "jacobian":
            return _rounded_blocks(Jacobian, gradients, ((len(found), n, d), (len(found), n, n), (len(found), n)))
        U, W, v = ([_dot(residuals, z) for z in zip(*blocks, strict=True)] for blocks in zip(*gradients, strict=True))
        return _rounded_blocks(Params, [(U, W, v)], ((n, d), (n, n), (n,)))


class _Network:
    """Scales and weights in balls."""

    def __init__(self, net: NeuralODE, theta: Params) -> None:
        root = arb(theta.width).sqrt()
        self.u, self.w, self.s = arb(net.sigma_u), arb(net.sigma_w) / root, arb(net.sigma_v) / root
        self.name, self.horizon = net.phi.name, arb(net.horizon)
        n = theta.width
        self.U = _exact(theta.U)
        self.W = arb_mat(n, n, [self.w * arb(float(z)) for z in np.ravel(theta.W)])
        self.v = [self.s * arb(float(z)) for z in theta.v]

    def answer(self, x: Host) -> Answer:
        h0 = [self.u * _dot(row, _exact(x)) for row in self.U]
        return solve(Problem(self.name, self.W, self.v, h0, self.horizon))

    def gradient(self, answer: Answer, x: Host) -> tuple[Vector, Vector, Vector]:
        """∂f/∂U, ∂f/∂W and ∂f/∂v, row by row (4)."""
        U = [self.u * z * entry for z in answer.adjoint for entry in _exact(x)]
        return U, [self.w * z for z in answer.weights.entries()], [self.s * z for z in answer.phi]


def _kernel(network: _Network, request: Request, found: list[Answer], other: list[Answer] | None) -> Vector:
    rows = [network.gradient(answer, x) for answer, x in zip(found, request.X, strict=True)]
    if other is None or request.X2 is None:
        columns = rows
    else:
        columns = [network.gradient(answer, x) for answer, x in zip(other, request.X2, strict=True)]
    return [sum((_dot(a, b) for a, b in zip(one, two, strict=True)), arb(0)) for one in rows for two in columns]


def _rounded(quantity: str, entries: Vector, shape: tuple[int, ...]) -> Estimate:
    values, error = _nearest(entries)
    return Estimate(float(values[0]) if quantity == "loss" else values.reshape(shape), error)


def _rounded_blocks(
    kind: type[Params] | type[Jacobian], parts: list[tuple[Vector, Vector, Vector]], shapes: tuple[tuple[int, ...], ...]
) -> Estimate:
    flat = [[z for part in parts for z in part[k]] for k in range(3)]
    values, error = _nearest([z for block in flat for z in block])
    ends = np.cumsum([len(block) for block in flat])[:-1]
    blocks = [block.reshape(shape) for block, shape in zip(np.split(values, ends), shapes, strict=True)]
    value: Value = kind(*blocks)
    return Estimate(value, error)


def _nearest(entries: Vector) -> tuple[Host, float]:
    """The midpoints as floats, and an upper bound of their distance from the truth in the 2-norm."""
    values = np.asarray([float(z.mid()) for z in entries])
    total = sum(((z - arb(float(value))).abs_upper() ** 2 for z, value in zip(entries, values, strict=True)), arb(0))
    if total.is_zero():
        return values, 0.0
    return values, math.nextafter(float(total.sqrt().upper()), math.inf)


def _dot(a: Any, b: Any) -> Ball:
    return sum((x * y for x, y in zip(a, b, strict=True)), arb(0))


def _exact(values: Any) -> Any:
    return [_exact(part) for part in values] if np.ndim(values) else arb(float(values))
