"""Independent roads to the distance from initialization, measured and predicted."""

from __future__ import annotations

import numpy as np

from verification import Agreement, compare
from verification.statements._data import Array
from verification.statements._distances import Distances
from verification.statements._linear_theory import dual_path, travelled
from verification.statements._two_kernels import gradients
from verification.statements._wide_training import SOLVER, Run, Study
from verification.statements._written_out import Descent, written_out

EPS = float(np.finfo(float).eps)


def closed_form(study: Study) -> Agreement:
    """The formula, against gradient descent on the linearised network itself, with its Jacobian written out."""
    problem, run = study.problems["digits"], study.runs["digits"][0][0]
    assert run.theta0 is not None
    rows, n = gradients(study.net, run.theta0, problem.X, SOLVER), int(study.widths[0])
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
        claims=("bounded", "limit", "path"),
    )


def sum_of_blocks(case: Distances) -> Agreement:
    problem = case.study.problems["sphere"]
    parts = case.blocks(problem.X)
    return compare(
        rf"$K_\infty$ ({case.study.activation}, random points)",
        {"sum of the blocks U, W, v from the fields": sum(parts.values()), "limit().ntk": problem.K},
        allowed=case.blocks.error + 1e-11,
        because="last coefficients of the expansion of the blocks in ρ, plus 1e-12 of Gauss, extrapolated to t = 0",
        claims=("bounded", "limit", "path"),
    )


def descents(study: Study) -> Agreement:
    """A whole run again: every distance that a claim is measured from."""

    def travelled_and_largest(run: Run | Descent) -> Array:
        return np.concatenate([run.distance[:, 1:].ravel(), run.entry[:1]])

    return written_out(
        study, rf"$\|\theta^k - \theta^0\|$ and its parts $W$, $U$, $v$ at all $k \le {study.steps}$, and the largest "
        r"change of an entry",
        travelled_and_largest, ("bounded", "width", "limit", "path", "relative", "blocks", "entries"),
    )  # fmt: skip
