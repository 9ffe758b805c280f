"""Second roads to the numbers of equation (8): the coefficient, the dynamics, the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refimpl import NeuralODE, Params, SolveIVP, train
from refimpl.training import linearize
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._lazy import SOLVER, Study, narrowed, network
from verification.statements._one_step import Defect
from verification.statements._tasks import Task


def apart(found: Defect) -> tuple[float, float]:
    """Relative distance between the two roads to ½ D²f[∇L, ∇L], and what their errors allow."""
    limit, error = found.limit
    size = float(np.linalg.norm(found.second))
    # The weights of the extrapolation sum to at most 7 in absolute value; the outputs err by 1e-12, which η² divides.
    solver = 7 * found.solver_error / float(found.rates[-1]) ** 2
    return float(np.linalg.norm(limit - found.second)) / size, (error + found.second_error + solver) / size


def roads(defects: Sequence[Defect]) -> Agreement:
    difference, allowed = max((apart(found) for found in defects), key=lambda pair: pair[0] / pair[1])
    return Agreement(
        r"$\frac{1}{2} D^2 f[\nabla L, \nabla L]$",
        ("defect of outputs, extrapolated in $\\eta$", "differences of adjoint Jacobians along the gradient"),
        difference,
        allowed,
        r"last changes of both extrapolations, and 1e-12 promised by Gauss for the outputs, over $\eta^2$",
    )


def dynamics(config: Config, task: Task, studies: Sequence[Study]) -> list[Agreement]:
    net, steps = NeuralODE("softplus"), studies[0].steps
    theta = narrowed(network(config, net, 0, int(studies[0].widths[-1])), 64)
    lr = next(found.lr for found in studies if found.source == "sphere" and found.activation == "softplus")
    run = train(net, theta, task.X, task.y, task.X_test, lr=lr, steps=steps, solver=SOLVER)
    # The same descent written out, with gradients by scipy.integrate.
    exact, by_hand, at = SolveIVP(), [], theta
    for _ in range(steps):
        by_hand.append(net.predict(at, task.X, exact))
        gradient = net.gradient(at, task.X, task.y, exact)
        at = Params(at.U - lr * gradient.U, at.W - lr * gradient.W, at.v - lr * gradient.v)
    by_hand.append(net.predict(at, task.X, exact))
    smallest = min(float(found.found[f"{name}, relative"].min()) for found in studies for name in ("frozen", "limit"))
    # Closed form against the recursion (8), at training and test inputs.
    N, K = len(task.X), net.limit().ntk(task.everything)
    u0, u0_test = run.predictions[0], np.asarray(run.test_predictions)[0]
    line = linearize(K[:N, :N], task.y, u0, lr, steps, K[N:, :N], u0_test, rtol=1e-12)
    u, u_test = u0, u0_test
    for _ in range(steps):
        u, u_test = u - lr * K[:N, :N] @ (u - task.y), u_test - lr * K[N:, :N] @ (u - task.y)
    H, residual = net.ntk(theta, task.X, solver=SOLVER), u0 - task.y
    gradient = net.gradient(theta, task.X, task.y, SOLVER)
    eps = float(np.finfo(float).eps)
    return [
        compare(
            rf"$u^k$, $k \le {steps}$ (softplus, $n = {theta.width}$)",
            {"train() with Gauss collocation": run.predictions, "descent written out with SolveIVP": by_hand},
            allowed=1e-3 * smallest * float(np.linalg.norm(residual) / np.abs(run.predictions).max()),
            because="a thousandth of the smallest distance to the linear dynamics that enters a rate",
        ),
        compare(
            rf"$u^{{{steps}}}$ of the linear dynamics, training and test inputs",
            {
                "closed form in eigenmodes": np.concatenate([line.predictions, np.asarray(line.test_predictions)]),
                "recursion (8)": np.concatenate([u, u_test]),
            },
            allowed=4 * steps * N * eps, because="roundings of N terms in every step, and of the eigenvectors",
        ),
        compare(
            rf"$H (u - y)$ (softplus, $n = {theta.width}$)",
            {
                "contraction of the NTK": H @ residual,
                r"$\langle \nabla_\theta f, \nabla L \rangle$": net.jacobian(theta, task.X, SOLVER).apply(gradient),
            },
            allowed=4 * theta.width * eps, because="sums of n rounded terms, forward, backward and in the contraction",
        ),
    ]  # fmt: skip


def limits(given: Mapping[str, Task]) -> Agreement:
    X = given["sphere"].X
    net, cosines = NeuralODE("softplus"), (X[:1] @ X[:3].T)[0]
    coarse, fine = (limit_kernel(net, cosines, nodes, points) for nodes, points in ((8, 32), (8, 40)))
    return compare(
        r"$K_\infty(x_1, x_j)$ (softplus, random points)",
        {"Gauss scheme": net.limit().ntk(X[:1], X[:3])[0], "written out by hand": fine},
        allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
        because="1e-12 promised by Gauss, plus the change of the tensor quadrature from 32 to 40 points",
    )
