"""Second roads to the numbers of equation (8): the coefficient, the dynamics, the limit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refimpl import Gauss, NeuralODE, Params, SolveIVP, train
from refimpl.training import linearize
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import DIM, Array
from verification.statements._eq8_edges import FAR, SOME, TIME, Refined, Targets
from verification.statements._lazy import SOLVER, Study, narrowed, network
from verification.statements._one_step import Defect
from verification.statements._tasks import Task

ONE_STEP, RUNS, FIXED = ("step-size", "coefficient"), ("frozen", "frozen-test", "whole-training"), ("fixed-time",)
FROZEN, LIMIT = ("fixed-time-frozen",), ("limit", "limit-test")
"""Claims by what they rest on: one step, training with the initial kernel, with that of each step, with the limit."""

DIGITS = 1e-9
"""Relative accuracy of `SOLVER` on softplus networks."""


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
        ONE_STEP,
    )


def dynamics(config: Config, task: Task, studies: Sequence[Study]) -> list[Agreement]:
    net, steps = NeuralODE("softplus"), studies[0].steps
    theta = narrowed(network(config, net, 0, int(studies[0].widths[-1])), 64)
    lr = next(found.lr for found in studies if found.source == "sphere" and found.activation == "softplus")
    run = train(net, theta, task.X, task.y, task.X_test, lr=lr, steps=steps, solver=SOLVER)
    # The same descent written out, with gradients by scipy.integrate.
    exact = SolveIVP()
    path = _descent(net, theta, task, lr, steps)
    by_hand = [net.predict(at, task.everything, exact) for at in path]
    moved = net.ntk(path[-1], task.X, solver=exact) - net.ntk(theta, task.X, solver=exact)
    moved_too = net.ntk(run.theta, task.X, solver=SOLVER) - net.ntk(theta, task.X, solver=SOLVER)
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
            rf"$u^k$, $k \le {steps}$, training and test inputs (softplus, $n = {theta.width}$)",
            {"train() with Gauss collocation": np.hstack([run.predictions, np.asarray(run.test_predictions)]),
             "descent written out with SolveIVP": by_hand},
            allowed=1e-3 * smallest * float(np.linalg.norm(residual) / np.abs(run.predictions).max()),
            because="a thousandth of the smallest distance to the linear dynamics that enters a rate",
            claims=("curvature", "drift", *RUNS, *LIMIT, *FIXED, *FROZEN),
        ),
        compare(
            rf"$H^{{{steps}}} - H^0$ in training (softplus, $n = {theta.width}$)",
            {"train() and contraction, Gauss collocation": moved_too, "descent written out with SolveIVP": moved},
            allowed=1e-3, because="a thousandth of the drift that enters a rate", claims=("drift", *FIXED),
        ),
        compare(
            rf"$u^{{{steps}}}$ of the linear dynamics, training and test inputs",
            {
                "closed form in eigenmodes": np.concatenate([line.predictions, np.asarray(line.test_predictions)]),
                "recursion (8)": np.concatenate([u, u_test]),
            },
            allowed=4 * steps * N * eps, because="roundings of N terms in every step, and of the eigenvectors",
            claims=("curvature", *RUNS, *LIMIT),
        ),
        compare(
            rf"$H (u - y)$ (softplus, $n = {theta.width}$)",
            {
                "contraction of the NTK": H @ residual,
                r"$\langle \nabla_\theta f, \nabla L \rangle$": net.jacobian(theta, task.X, SOLVER).apply(gradient),
            },
            allowed=4 * theta.width * eps, because="sums of n rounded terms, forward, backward and in the contraction",
            claims=(*ONE_STEP, "curvature", "drift", *RUNS, *FIXED, *FROZEN, "residual-size"),
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
        claims=LIMIT,
    )


def _descent(net: NeuralODE, theta: Params, task: Task, lr: float, steps: int) -> list[Params]:
    """θ^0, …, θ^steps by (5), with gradients by scipy.integrate."""
    path = [theta]
    for _ in range(steps):
        at = path[-1]
        gradient = net.gradient(at, task.X, task.y, SolveIVP())
        path.append(Params(at.U - lr * gradient.U, at.W - lr * gradient.W, at.v - lr * gradient.v))
    return path


def fixed_time_road(config: Config, task: Task, fixed: Refined, width: int) -> Agreement:
    """The errors of (8) and of (8) frozen at H^0 with the largest η, by SolveIVP alone."""
    net, exact, rate, steps = NeuralODE("softplus"), SolveIVP(), float(fixed.rates[0]), 2 * TIME
    path = _descent(net, net.init(width, DIM, seed=config.rng("fixed time")), task, rate, steps)
    u = np.stack([net.predict(at, task.X, exact) for at in path])
    kernels, start = [net.ntk(at, task.X, solver=exact) for at in path[:-1]], u[0] - task.y
    errors = []
    for used in (kernels, kernels[:1] * steps):
        residual, distances = start, [0.0]
        for K, now in zip(used, u[1:], strict=True):
            residual = residual - rate * K @ residual
            distances.append(float(np.linalg.norm(now - task.y - residual)))
        errors.append(max(distances) / float(np.linalg.norm(start)))
    return compare(
        rf"error of (8) with $H^k$ and with $H^0$, $\eta k \le {TIME}/\lambda_{{\max}}$ (softplus, $n = {width}$, "
        rf"{steps} steps)",
        {"train() and contraction, Gauss collocation": [fixed.literal[0], fixed.frozen[0]],
         "descent written out with SolveIVP": errors},
        allowed=10 * steps * DIGITS, relative=False,
        because=f"{DIGITS:g} of the Gauss scheme in each of {steps} steps, and a factor of 10 for their growth",
        claims=(*FIXED, *FROZEN),
    )  # fmt: skip


def sizes_road(config: Config, task: Task, sizes: Targets) -> Agreement:
    """The defect of one step for small, large and very large residuals: one network, by SolveIVP and Jacobians."""
    net, n = NeuralODE("softplus"), int(sizes.widths[0])
    theta = narrowed(network(config, net, 0, int(sizes.widths[-1])), n)
    rate = 1 / float(np.linalg.eigvalsh(net.limit().ntk(task.X))[-1])

    def defects(solver: SolveIVP | Gauss) -> Array:
        jacobian, u, found = net.jacobian(theta, task.X, solver), net.predict(theta, task.X, solver), []
        for size in (1.0, SOME * n, FAR * n):
            residual = size * task.y
            step = -rate * jacobian.transpose_apply(residual)
            moved = net.predict(theta + step, task.X, solver) - u
            found.append(float(np.linalg.norm(moved - jacobian.apply(step)) / np.linalg.norm(residual)))
        return np.asarray(found)

    own = np.asarray([part[0, 0] for part in (sizes.near, sizes.some, sizes.far)])
    coarse, fine = defects(SOLVER), defects(Gauss(nodes=12, steps=1))
    return compare(
        rf"defect of one step, relative, residuals of size 1, ${SOME:g} n$ and ${FAR:g} n$ (softplus, $n = {n}$)",
        {"contraction of the NTK, six Gauss nodes": own / fine, "Jacobians, SolveIVP": defects(SolveIVP()) / fine},
        allowed=float(np.abs(coarse / fine - 1).max()) + 10 * DIGITS / float(fine.min()), relative=False,
        because=f"the change from six to twelve Gauss nodes, and {10 * DIGITS:g} of $u$ over the smallest defect",
        claims=("residual-size",),
    )  # fmt: skip
