"""A training problem: a network with its data, checked once, and what there is to know of it at a θ."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl.backend import (
    Array,
    Namespace,
    all_finite,
    check_inputs,
    detached,
    device,
    float_dtype,
    namespace,
    overflow_is_checked,
)
from refimpl.finite import contraction
from refimpl.network import NeuralODE
from refimpl.parameters import Params
from refimpl.solvers import Solver, default_solver
from refimpl.training.optimizers import Indices


@dataclass(frozen=True, eq=False)
class Problem:
    """Everything that is fixed during a run: all arrays of one library, on one device, of one dtype.

    Parameters
    ----------
    net : NeuralODE
    solver : Solver
    start : Params
        θ^0.
    X : array, shape (N, d)
    y : array, shape (N,)
    X_test : array, shape (N_test, d), or None
    y_test : array, shape (N_test,), or None
    """

    net: NeuralODE
    solver: Solver
    start: Params
    X: Array
    y: Array
    X_test: Array | None
    y_test: Array | None

    @property
    def xp(self) -> Namespace:
        """Array library."""
        return self.start.namespace

    def params(self, theta: Array, known: bool = False) -> Params:
        """A vector (P,) as U, W and v; looked at for what is not finite, unless it is `known` to be."""
        blocks, end = [], 0
        for block in (self.start.U, self.start.W, self.start.v):
            begin, end = end, end + int(np.prod(tuple(block.shape)))
            blocks.append(self.xp.reshape(theta[begin:end], tuple(block.shape)))
        return Params._unchecked(*blocks) if known else Params(*blocks)

    @overflow_is_checked()
    def evaluate(self, theta: Params, batch: Indices | None) -> tuple[Array, Array | None, Array]:
        """f(x_i) (N,), f at the test inputs (N_test,), and the gradient (P,) of the loss or its estimate on a batch.

        Every sample of the gradient is solved for once, forward and adjoint, and every other sample forward only.
        Nothing is raised for an overflow: the caller has to look for it.
        """
        xp, N = self.xp, self.X.shape[0]
        if batch is None:
            outputs, gradient = outputs_and_gradient(self.net, theta, self.X, self.y, self.solver)
            test = None if self.X_test is None else outputs_of(self.net, theta, self.X_test, self.solver)
            return outputs, test, gradient
        rest = np.setdiff1d(np.arange(N), batch)
        inside, outside = (xp.asarray(index, device=device(self.X)) for index in (batch, rest))
        X, y = xp.take(self.X, inside, axis=0), xp.take(self.y, inside)
        known, gradient = outputs_and_gradient(self.net, theta, X, y, self.solver)
        outputs, test = self.outputs(theta, outside)
        # Back from the order (batch, rest) to that of X.
        order = xp.asarray(np.argsort(np.concatenate([batch, rest])), device=device(self.X))
        return xp.take(xp.concat([known, outputs]), order), test, (N / batch.size) * gradient

    @overflow_is_checked()
    def outputs(self, theta: Params, chosen: Array | None = None) -> tuple[Array, Array | None]:
        """f at the `chosen` inputs (default: all), and at the test inputs, from one forward solve."""
        xp = self.xp
        X = self.X if chosen is None else xp.take(self.X, chosen, axis=0)
        if self.X_test is None:
            return outputs_of(self.net, theta, X, self.solver), None
        outputs = outputs_of(self.net, theta, xp.concat([X, self.X_test]), self.solver)
        return outputs[: X.shape[0]], outputs[X.shape[0] :]


def outputs_of(net: NeuralODE, theta: Params, X: Array, solver: Solver) -> Array:
    """`net.predict`, with overflow left to the caller."""
    xp, _, system, solver = net._prepare(theta, X, solver)
    return xp.matmul(xp.matrix_transpose(net.phi.phi(solver.terminal(system))), system.v)


def outputs_and_gradient(net: NeuralODE, theta: Params, X: Array, y: Array, solver: Solver) -> tuple[Array, Array]:
    """Outputs (N,) and ∇L (P,) from one sweep, with overflow left to the caller."""
    xp, X, system, solver = net._prepare(theta, X, solver)
    sweep = solver.sweep(system)
    outputs = xp.matmul(xp.matrix_transpose(sweep.terminal_phi), system.v)
    blocks = contraction.gradient(xp, sweep, X, outputs - y, net._scales(theta), system.layered)
    return outputs, xp.concat([xp.reshape(block, (-1,)) for block in blocks])


def check(
    net: NeuralODE,
    theta: Params,
    X: Array,
    y: Array,
    X_test: Array | None,
    y_test: Array | None,
    solver: Solver | None,
) -> Problem:
    """The problem, or an error that names the argument at fault.

    Raises
    ------
    TypeError, ValueError
        Another type, library, device, shape or dtype than is needed, or entries that are not finite.
    """
    if not isinstance(net, NeuralODE):
        raise TypeError(f"net must be a NeuralODE, got {net!r}")
    if not isinstance(theta, Params):
        raise TypeError(f"theta must be a Params, got {type(theta).__qualname__}")
    if not isinstance(solver, Solver | None):
        raise TypeError(f"solver must be SolveIVP, Gauss, Euler, KinkEvents or None, got {solver!r}")
    if y_test is not None and X_test is None:
        raise ValueError("y_test was given without X_test")
    tests = {name: array for name, array in (("X_test", X_test), ("y_test", y_test)) if array is not None}
    xp = namespace(**{"theta.U": theta.U}, X=X, y=y, **tests)
    dtype = float_dtype(xp, X=X, theta=theta.U)
    X, y = _inputs(xp, dtype, theta, X=X), _targets(xp, dtype, X, y=y)
    if X_test is not None:
        X_test = _inputs(xp, dtype, theta, X_test=X_test)
    if y_test is not None:
        y_test = _targets(xp, dtype, X_test, y_test=y_test)
    if solver is None:
        solver = default_solver(xp, dtype)
    start = Params(*(xp.astype(block, dtype, copy=False) for block in (theta.U, theta.W, theta.v)))
    return Problem(net, solver, start, X, y, X_test, y_test)


def _inputs(xp: Namespace, dtype: object, theta: Params, **arrays: Array) -> Array:
    X = check_inputs(xp, **arrays)
    if X.shape[1] != theta.dim:
        (name,) = arrays
        raise ValueError(f"{name} must have d = {theta.dim} columns to fit theta.U, got shape {tuple(X.shape)}")
    return xp.astype(X, dtype, copy=False)


def _targets(xp: Namespace, dtype: object, X: Array, **arrays: Array) -> Array:
    ((name, y),) = arrays.items()
    float_dtype(xp, **arrays)
    if y.ndim != 1 or y.shape[0] != X.shape[0]:
        raise ValueError(f"{name} must have shape ({X.shape[0]},), one for each row, got {tuple(y.shape)}")
    y = xp.astype(detached(y), dtype, copy=False)
    if not all_finite(xp, y):
        raise ValueError(f"{name} must be finite in {y.dtype}")
    return y
