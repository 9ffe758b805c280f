"""Independent roads to the losses: of the networks, of the linearised dynamics, and of the kernels in them."""

from __future__ import annotations

import numpy as np

from refimpl import linearize
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._losses import Losses, kernel_difference, untrained
from verification.statements._spectra_roads import limiting_spectrum
from verification.statements._two_kernels import Road, on_both
from verification.statements._wide_training import COUNT, SOLVER, Run, Study
from verification.statements._written_out import Descent, written_out

EPS = float(np.finfo(float).eps)


def roads(config: Config, case: Losses) -> list[Agreement]:
    """All of one activation."""
    study = case.study
    return [
        closed_form(study), regression(study), limiting_spectrum(study).on("train", "test", "exponential", "rate"),
        towards_test_inputs(study), initial_kernels(config, case), *descents(study), at_the_end(study),
    ]  # fmt: skip


# The linearised dynamics


def closed_form(study: Study) -> Agreement:
    """(8) step by step, with test outputs carried along, against its closed form."""
    problem, run, k = study.problems["digits"], study.runs["digits"][-1][0], study.steps
    u, test = run.predictions[0], run.test_ends[0]
    for _ in range(k):
        test = test - problem.rate * problem.K_test @ (u - problem.y)
        u = u - problem.rate * problem.K @ (u - problem.y)
    closed = linearize(
        problem.K, problem.y, run.predictions[0], problem.rate, k, problem.K_test, run.test_ends[0]
    )  # fmt: skip
    return compare(
        rf"$u^k$ and $u^k_{{\mathrm{{test}}}}$, $k = {k}$ ({study.activation}, digits)",
        {
            "linearize(): closed form": np.concatenate([closed.predictions, closed.test_predictions]),
            "equation (8) step by step": np.concatenate([u, test]),
        },
        allowed=4 * COUNT * k * EPS, because="roundings of sums of N terms in every step",
        claims=("train", "test", "rate", "test-loss"),
    )  # fmt: skip


def regression(study: Study) -> Agreement:
    """Kernel regression by elimination, without eigenvectors."""
    problem, run = study.problems["digits"], study.runs["digits"][-1][0]
    end = linearize(problem.K, problem.y, run.predictions[0], problem.rate, np.inf, problem.K_test, run.test_ends[0])
    by_hand = run.test_ends[0] - problem.K_test @ np.linalg.solve(problem.K, run.predictions[0] - problem.y)
    values = np.linalg.eigvalsh(problem.K)
    return compare(
        rf"$u^\infty_{{\mathrm{{test}}}}$ ({study.activation}, digits)",
        {"linearize(): modes of the kernel": end.test_predictions, "kernel regression by elimination": by_hand},
        allowed=4 * COUNT * EPS * float(values[-1] / values[0]) * float(np.abs(problem.K_test).sum(axis=1).max()),
        because="roundings times the condition number of K, carried to the test inputs",
        claims=("test", "test-loss"),
    )


def towards_test_inputs(study: Study) -> Agreement:
    """K_∞ between a test input and four training inputs."""
    problem = study.problems["digits"]
    cosines = (problem.X_test[:1] @ problem.X[:4].T)[0]
    fine, coarse = (limit_kernel(study.net, cosines, nodes, points) for nodes, points in ((8, 40), (6, 32)))
    return compare(
        rf"$K_\infty$ of a test input and training inputs ({study.activation}, digits)",
        {"Gauss scheme": problem.K_test[0, :4], "written out by hand": fine},
        allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
        because="1e-12 promised by Gauss, plus the change with the nodes of the other road",
        claims=("test", "test-loss"),
    )


def initial_kernels(config: Config, case: Losses) -> Agreement:
    """One network that is not trained: how far the dynamics with its K_θ and with K_∞ come apart."""
    study = case.study
    problem, n = study.problems["digits"], int(study.widths[-1])
    theta = untrained(config, study, "digits", n, 0)

    def apart(road: Road) -> Array:
        return kernel_difference(study, problem, theta, road)

    return on_both(
        rf"$\max_k \|u^k_{{\mathrm{{lin}}}}(K_{{\theta^0}}) - u^k_{{\mathrm{{lin}}}}(K_\infty)\| / \|u^0 - y\|$ on "
        rf"training and test inputs ({study.activation}, digits, $n = {n}$)",
        apart, SOLVER, ("train", "test"), recorded=case.kernel[list(study.problems).index("digits"), -1, 0],
    )  # fmt: skip


# The networks


def descents(study: Study) -> list[Agreement]:
    """A whole run again: its train loss, its test loss, and its outputs."""

    def of_loss(run: Run | Descent) -> Array:
        return run.loss

    def of_test_loss(run: Run | Descent) -> Array:
        return run.test_loss

    def of_outputs(run: Run | Descent) -> Array:
        ends = run.predictions, run.test_predictions
        return np.asarray([np.linalg.norm(u[-1] - u[0]) for u in ends])

    steps = study.steps
    return [
        written_out(study, rf"$L(\theta^k)$, $k \le {steps}$", of_loss, ("monotone", "exponential", "rate")),
        written_out(study, rf"test loss at every step $k \le {steps}$", of_test_loss, ("test-loss",)),
        written_out(
            study, rf"$\|u^k - u^0\|$ on training and test inputs, $k = {steps}$", of_outputs, ("train", "test")
        ),
    ]  # fmt: skip


def at_the_end(study: Study) -> Agreement:
    """Train and test loss at the last θ of a widest network."""
    problem, run, n = study.problems["sphere"], study.runs["sphere"][-1][0], int(study.widths[-1])
    X_test, y_test = problem.X_test[: problem.curve], problem.y_test[: problem.curve]

    def found(road: Road) -> list[float]:
        assert run.theta is not None
        at = run.theta
        return [float(study.net.loss(at, X, y, road.solver)) for X, y in ((problem.X, problem.y), (X_test, y_test))]

    return on_both(
        rf"train and test loss at the last step ({study.activation}, random points, $n = {n}$)",
        found, SOLVER, ("exponential", "rate", "test-loss"), ("Gauss collocation", "scipy.integrate"),
        recorded=np.asarray([run.loss[-1], run.test_loss[-1]]),
    )  # fmt: skip
