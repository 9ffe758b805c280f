"""Independent roads to the eigenvalues of K_∞ and of K_θ in training."""

from __future__ import annotations

import numpy as np

from refimpl import SolveIVP
from verification import Agreement, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._initial_spectra import EPS
from verification.statements._statistics import interval
from verification.statements._wide_training import SOLVER, Study


def limiting_spectrum(study: Study) -> Agreement:
    """Eigenvalues of K_∞; by Weyl they differ by no more than N times the largest difference of the entries."""
    problem = study.problems["digits"]
    N, X = 4, problem.X[:4]
    upper = np.triu_indices(N)
    cosines = np.minimum((X @ X.T)[upper], 1.0)

    def spectrum(nodes: int, points: int) -> Array:
        K = np.zeros((N, N))
        K[upper] = limit_kernel(study.net, cosines, nodes, points)
        return np.asarray(np.linalg.eigvalsh(np.maximum(K, K.T)))

    fine, coarse = spectrum(8, 40), spectrum(6, 32)
    return compare(
        rf"$\lambda_i(K_\infty)$ ({study.activation}, four digits)",
        {"Gauss scheme": np.linalg.eigvalsh(problem.K[:N, :N]), "written out by hand": fine},
        allowed=N * 1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
        because="by Weyl N times the 1e-12 promised by Gauss, plus the change with the nodes of the other road",
    )


def trained_spectrum(study: Study) -> Agreement:
    """K_θ at the end of training: eigenvalues of the contraction against squared singular values of the Jacobian."""
    problem, run = study.problems["digits"], study.runs["digits"][-1][0]
    assert run.theta is not None
    J, n = study.net.jacobian(run.theta, problem.X, SOLVER), int(study.widths[-1])
    rows = np.concatenate([block.reshape(len(problem.X), -1) for block in (J.U, J.W, J.v)], axis=1)
    return compare(
        rf"$\lambda_i(K_\theta)$ ({study.activation}, digits, $n = {n}$, end of training)",
        {
            "eigenvalues of the kernel": np.linalg.eigvalsh(run.kernel[-1]),
            "singular values of the Jacobian": np.linalg.svd(rows, compute_uv=False)[::-1] ** 2,
        },
        allowed=len(problem.X) * 4 * n * EPS,
        because="by Weyl N times the roundings of sums of n terms, forward, backward and in the contraction",
    )


def solvers(study: Study) -> Agreement:
    """λ_min of the trained kernel with the scheme of the experiment, and along scipy's solution of the ODE."""
    problem, run = study.problems["digits"], study.runs["digits"][0][0]
    assert run.theta is not None
    kernel = study.net.ntk(run.theta, problem.X, solver=SolveIVP())
    low, high = interval(np.linalg.eigvalsh(run.kernel[-1]), 1.0)
    tight = np.linalg.eigvalsh(kernel)
    return compare(
        rf"$\lambda_{{\min}}(K_\theta)$, $\lambda_{{\max}}(K_\theta)$ ({study.activation}, "
        rf"$n = {int(study.widths[0])}$, end of training, {SOLVER.nodes} Gauss nodes)",
        {"Gauss collocation": [low / tight[0], high / tight[-1]], "scipy.integrate": [1.0, 1.0]},
        allowed=1e-5,
        because="discretisation error that the experiment tolerates, each relative to itself, far below the random one",
    )
