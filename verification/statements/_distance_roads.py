"""Independent roads to the distance from initialization, measured and predicted."""

from __future__ import annotations

import numpy as np

from refimpl import SolveIVP, train
from verification import Agreement, compare
from verification.statements._distances import Distances
from verification.statements._linear_theory import dual_path, travelled
from verification.statements._wide_training import SOLVER, Study

EPS = float(np.finfo(float).eps)


def closed_form(study: Study) -> Agreement:
    """The formula, against gradient descent on the linearised network itself, with its Jacobian written out."""
    problem, run = study.problems["digits"], study.runs["digits"][0][0]
    assert run.theta0 is not None
    J, n = study.net.jacobian(run.theta0, problem.X, SOLVER), int(study.widths[0])
    rows = np.concatenate([block.reshape(len(problem.X), -1) for block in (J.U, J.W, J.v)], axis=1)
    moved, norms = np.zeros(rows.shape[1]), [0.0]
    residual = run.predictions[0] - problem.y
    # A rate below 1/λ_max of this network's own kernel, as the formula wants it.
    rate = 0.75 / float(np.linalg.eigvalsh(run.kernel[0])[-1])
    for _ in range(study.steps):
        moved = moved - rate * rows.T @ (residual + rows @ moved)
        norms.append(float(np.linalg.norm(moved)))
    path = dual_path(run.kernel[0], residual, rate, np.arange(study.steps + 1))
    return compare(
        rf"$\|\theta^k - \theta^0\|$ of the linearised network, all $k$ ({study.activation}, digits, $n = {n}$)",
        {"modes of the kernel": travelled(path, run.kernel[0]), "gradient descent in parameter space": norms},
        allowed=4 * n * EPS * len(problem.X) * study.steps,
        because="roundings of the kernel, sums of n terms for N inputs, carried along by every step",
    )


def sum_of_blocks(case: Distances) -> Agreement:
    problem = case.study.problems["sphere"]
    parts = case.blocks(problem.X)
    return compare(
        rf"$K_\infty$ ({case.study.activation}, random points)",
        {"sum of the blocks U, W, v from the fields": sum(parts.values()), "limit().ntk": problem.K},
        allowed=case.blocks.error + 1e-11,
        because="last coefficients of the expansion of the blocks in ρ, plus 1e-12 of Gauss, extrapolated to t = 0",
    )


def solvers(study: Study) -> Agreement:
    """The first steps again, with scipy's solution of the ODE and its adjoint instead of the fixed scheme."""
    problem, run, steps = study.problems["digits"], study.runs["digits"][0][0], 3
    assert run.theta0 is not None
    again = train(study.net, run.theta0, problem.X, problem.y, lr=problem.rate, steps=steps, solver=SolveIVP(rtol=1e-8))
    return compare(
        rf"$\|\theta^k - \theta^0\|$, $k \le {steps}$ ({study.activation}, digits, $n = {int(study.widths[0])}$)",
        {"Gauss collocation": run.distance[0, : steps + 1], "scipy.integrate": again.distance},
        allowed=1e-5,
        because="discretisation error that the experiment tolerates, far below the random one",
    )
