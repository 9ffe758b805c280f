"""Second roads to the alignment of gradients and to the cost of solvers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Gauss, Jacobian, NeuralODE, Params, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._adaptive_orders import EPS
from verification.statements._data import Array
from verification.statements._discrete import METHODS, Tableau, accepted, output
from verification.statements._open_plain import plain


@dataclass(frozen=True)
class Pairing:
    """∇f of one discrete network by both orders, over all residuals e: g = J̃ᵀ e against ĝ = Jᵀ e.

    Parameters
    ----------
    distance : float
        ‖J̃ − J‖₂ / ‖J‖₂.
    early, late : float
        ‖g − ĝ‖ / ‖ĝ‖ where e is the eigenvector of the largest and of the smallest eigenvalue of J Jᵀ.
    root_condition : float
        √κ(J Jᵀ): the late one is at most `distance` times it.
    slowest : float
        λ_min of the symmetric part of J̃ Jᵀ, over that of J Jᵀ. Positive: ⟨g, ĝ⟩ > 0 for every e ≠ 0.
    """

    label: str
    distance: float
    early: float
    late: float
    root_condition: float
    slowest: float

    @property
    def grown(self) -> float:
        """Growth of the error of ∇f to that of ∇L late in training, which `root_condition` bounds."""
        return self.late / self.distance

    @property
    def share(self) -> float:
        """Part of the bound that the late distance takes."""
        return self.grown / self.root_condition


def rows(J: Jacobian) -> Array:
    """J, (N, P), parameters in the order of `Params.ravel`."""
    return np.concatenate([block.reshape(len(block), -1) for block in (J.U, J.W, J.v)], axis=1)


def one_residual(exact: Jacobian, other: Jacobian, X: Array) -> Agreement:
    """⟨g, ĝ⟩ of the worst residual: by the eigenvalue, and by the gradients themselves."""
    J, cross = rows(exact), rows(other) @ rows(exact).T
    values, vectors = np.linalg.eigh((cross + cross.T) / 2)
    e = vectors[:, 0]
    gradients = other.transpose_apply(e).ravel() @ exact.transpose_apply(e).ravel()
    return compare(
        r"$\langle g, \hat g \rangle$ of the worst residual (softplus, Euler, $L = 4$)",
        {"smallest eigenvalue": [values[0]], "gradients of the loss": [gradients]},
        allowed=J.shape[1] ** 0.5 * len(X) * EPS * float(np.linalg.norm(cross)) / abs(float(values[0])),
        because="roundings of the matrix, over its smallest eigenvalue", claims=("alignment-any-targets",),
    )  # fmt: skip


def backpropagated(net: NeuralODE, theta: Params, X: Array, exact: Jacobian) -> Agreement:
    return compare(
        rf"$J$ ({net.phi.name}, Euler, $L = 4$)",
        {"Euler scheme": rows(exact), "backpropagation written out": plain(net, theta, X, 4)[1]},
        allowed=16 * theta.width * EPS, because="roundings of sums of n terms in every layer",
        claims=("alignment-late", "alignment-any-targets"),
    )  # fmt: skip


def late(net: NeuralODE, theta: Params, X: Array, found: Pairing, other: Jacobian) -> Agreement:
    """The distance of the two gradients of a loss whose residual is the smallest mode, by singular vectors."""
    J = plain(net, theta, X, 4)[1]
    e = np.linalg.svd(J, full_matrices=False)[0][:, -1]
    exact = net.gradient(theta, X, net.predict(theta, X, Euler(4)) - e, Euler(4)).ravel()
    apart = float(np.linalg.norm(other.transpose_apply(e).ravel() - exact) / np.linalg.norm(exact))
    return compare(
        rf"late distance of the gradients of the loss ({found.label})",
        {"eigenvectors of $J J^T$ and Jacobians": found.late, "singular vectors and gradients of a loss": apart},
        allowed=64 * theta.width * EPS * found.root_condition**2,
        because="roundings of sums of n terms, over the condition of the eigenvector", claims=("alignment-late",),
    )  # fmt: skip


def differences(
    config: Config, net: NeuralODE, theta: Params, X: Array, method: str, times: Array, held: Jacobian
) -> Agreement:
    """J of the accepted steps along a random direction, against central differences of their output."""
    along = net.init(theta.width, X.shape[1], seed=config.rng("direction", net.phi.name))
    tableau = Tableau.of(method)

    def slope(step: float) -> Array:
        ahead, behind = (output(net, theta + s * along, X, tableau, times) for s in (step, -step))
        return np.asarray((ahead - behind) / (2 * step))

    coarse, fine = slope(2e-4), slope(1e-4)
    return compare(
        rf"derivative of the accepted steps ({net.phi.name}, {method}, rtol 1e-2)",
        {"chain rule, step by step": held.apply(along), "central differences": fine},
        allowed=float(np.abs(coarse - fine).max() / np.abs(fine).max()) + 1e-9,
        because="change with half the step, three times what is left, and its roundings",
        claims=("alignment-late", "alignment-any-targets", "design"),
    )  # fmt: skip


def recounted(net: NeuralODE, theta: Params, X: Array) -> Agreement:
    """Evaluations of the rate for the accepted steps of RK45, counted one by one."""
    rtol, calls, N = 1e-4, 0, len(X)
    W = net.sigma_w / np.sqrt(theta.width) * theta.W

    def rate(_t: float, flat: Array) -> Array:
        nonlocal calls
        calls += 1
        return np.asarray((net.phi.phi(flat.reshape(N, -1)) @ W.T).ravel())

    start, each = (net.sigma_u * X @ theta.U.T).ravel(), np.sqrt(N)
    stepper = METHODS["RK45"](rate, 0.0, start, net.horizon, rtol=rtol / each, atol=rtol / 100 / each)
    steps = 0
    while stepper.status == "running":
        stepper.step()
        steps += 1
    times, rates = accepted(net, theta, X, "RK45", rtol, rtol / 100)
    return compare(
        r"accepted steps and evaluations of the rate (RK45, rtol 1e-4)",
        {"solve_ivp": [times.size - 1, rates], "counted step by step": [steps, calls]},
        allowed=0.0, because="both are integers", claims=("design",),
    )  # fmt: skip


def truth(net: NeuralODE, theta: Params, X: Array, y: Array) -> Agreement:
    """∇L that all errors are measured from."""
    return compare(
        rf"$\nabla L$ ({net.phi.name}, $n = {theta.width}$)",
        {
            "Gauss scheme": net.gradient(theta, X, y, Gauss(rtol=1e-13)).ravel(),
            "scipy.integrate": net.gradient(theta, X, y, SolveIVP()).ravel(),
        },
        allowed=1e-8, because="rtol = 1e-10 of forward and adjoint, a hundredfold for the growth along the path",
        claims=("design",),
    )  # fmt: skip
