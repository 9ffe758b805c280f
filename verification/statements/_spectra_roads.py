"""Independent roads to the eigenvalues of K_∞ and of K_θ in training."""

from __future__ import annotations

import numpy as np

from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._initial_spectra import EPS, Spectra, initial_network
from verification.statements._two_kernels import Road, gradients, on_both
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
        claims=("limit", "weyl", "positive", "training"),
    )


def trained_spectrum(study: Study) -> Agreement:
    """K_θ at the end of training: eigenvalues of the contraction against squared singular values of the Jacobian."""
    problem, run = study.problems["digits"], study.runs["digits"][-1][0]
    assert run.theta is not None
    rows, n = gradients(study.net, run.theta, problem.X, SOLVER), int(study.widths[-1])
    return compare(
        rf"$\lambda_i(K_\theta)$ ({study.activation}, digits, $n = {n}$, end of training)",
        {
            "eigenvalues of the kernel": np.linalg.eigvalsh(run.kernel[-1]),
            "singular values of the Jacobian": np.linalg.svd(rows, compute_uv=False)[::-1] ** 2,
        },
        allowed=len(problem.X) * 4 * n * EPS,
        because="by Weyl N times the roundings of sums of n terms, forward, backward and in the contraction",
        claims=("weyl", "training", "drift"),
    )


def initial_spectrum(config: Config, case: Spectra, study: Study) -> Agreement:
    """All eigenvalues at initialization: of the first narrowest network, and of the widest with the smallest λ_min."""
    X = study.problems[case.source].X
    shown = ((0, 0), (int(case.eigenvalues[:, -1, 0].argmin()), -1))
    ends = [int(case.widths[k]) for _, k in shown]
    thetas = [initial_network(config, study.net, n, draw) for n, (draw, _) in zip(ends, shown, strict=True)]

    def spectra(road: Road) -> Array:
        return np.concatenate([np.linalg.eigvalsh(road.kernel(study.net, theta, X)) for theta in thetas])

    return on_both(
        rf"$\lambda_i(K_\theta)$ at initialization ({case.activation}, {case.source}, $n = {ends[0]}$ and {ends[1]})",
        spectra, SOLVER, ("eigenvalues", "limit", "weyl", "positive"),
        recorded=np.concatenate([case.eigenvalues[at] for at in shown]),
    )  # fmt: skip


def trained_extremes(study: Study) -> Agreement:
    """λ_min and λ_max of the kernel at the end of training, and how far training moved it."""
    problem, run = study.problems["digits"], study.runs["digits"][0][0]

    def extremes(start: Array, end: Array) -> Array:
        values = np.linalg.eigvalsh(end)
        return np.asarray([values[0], values[-1], np.linalg.norm(end - start, ord=2)])

    def found(road: Road) -> Array:
        assert run.theta0 is not None
        assert run.theta is not None
        return extremes(*(road.kernel(study.net, theta, problem.X) for theta in (run.theta0, run.theta)))

    return on_both(
        rf"$\lambda_{{\min}}(K_\theta)$ and $\lambda_{{\max}}(K_\theta)$ at the end of training, and $\|K_\theta - "
        rf"K_{{\theta^0}}\|_2$ ({study.activation}, digits, $n = {int(study.widths[0])}$)",
        found, SOLVER, ("weyl", "training", "drift"), recorded=extremes(run.kernel[0], run.kernel[-1]),
    )  # fmt: skip
