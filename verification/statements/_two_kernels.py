"""Whatever is computed from K_θ, on two roads: contraction along Gauss nodes, and Jacobians along scipy's solution."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from refimpl import Gauss, NeuralODE, Params, SolveIVP
from verification import Agreement
from verification.statements._data import Array


def gradients(net: NeuralODE, theta: Params, X: Array, solver: Gauss | SolveIVP) -> Array:
    """∇_θ f at every input as a row, shape (N, parameters)."""
    J = net.jacobian(theta, X, solver)
    return np.concatenate([block.reshape(len(X), -1) for block in (J.U, J.W, J.v)], axis=1)


@dataclass(frozen=True)
class Road:
    """A way to f and to K_θ: with Gauss by the contraction that never forms ∇f, otherwise as a product ∇f ∇fᵀ."""

    solver: Gauss | SolveIVP

    def kernel(self, net: NeuralODE, theta: Params, X: Array, X2: Array | None = None) -> Array:
        """K_θ, shape (N, N2)."""
        if isinstance(self.solver, Gauss):
            return np.asarray(net.ntk(theta, X, X2, solver=self.solver))
        left = gradients(net, theta, X, self.solver)
        right = left if X2 is None else gradients(net, theta, X2, self.solver)
        found: Array = left @ right.T
        return found


def on_both(
    quantity: str, measure: Callable[[Road], Array | float | Sequence[float]], solver: Gauss, claims: Sequence[str],
    roads: tuple[str, str] = ("Gauss collocation", "Jacobians along scipy.integrate"), recorded: Array | None = None,
) -> Agreement:  # fmt: skip
    """`measure` with the scheme of an experiment, and along scipy's solution of the ODE and of its adjoint.

    Parameters
    ----------
    quantity : str
    measure : callable
        What is computed from `Road.kernel`; entries are compared each relative to itself, so none may vanish.
    solver : Gauss
        With m nodes given. What its error does to `measure` is less than what the one of m − 1 nodes does.
    claims : sequence of str
    roads : (str, str)
    recorded : array, optional
        What the experiment itself found with its scheme, compared in place of `measure`: its error is no part of what
        is allowed.
    """
    assert solver.nodes is not None
    solvers = solver, replace(solver, nodes=solver.nodes - 1), SolveIVP(rtol=1e-10), SolveIVP(rtol=1e-8)
    fine, coarse, tight, loose = (np.asarray(measure(Road(each)), dtype=np.float64) for each in solvers)

    def apart(a: Array, b: Array) -> float:
        return float(np.abs(a / fine - b / fine).max())

    return Agreement(
        quantity, roads,
        apart(fine if recorded is None else np.asarray(recorded), tight), apart(fine, coarse) + apart(tight, loose),
        f"the change from {solver.nodes - 1} to {solver.nodes} Gauss nodes, and that of DOP853 from rtol 1e-8 to 1e-10",
        claims,
    )  # fmt: skip
