"""Second roads to the numbers of theorem 2: kernel, eigenvalues, the bound η*, an exploding run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refimpl import Params, SolveIVP
from refimpl.training import linearize
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._descents import Descent, Ensemble, initial, solver
from verification.statements._fast_descent import FastDescent
from verification.statements._stepsize import EPS, Problem, bisected

TRAINED = (
    "loss-spectral", "loss-frobenius", "loss-repaired", "loss-near-edge", "distance-spectral", "distance-frobenius",
    "convergence", "decay-width", "distance-width", "distance-sharp",
)  # fmt: skip
"""Claims that compare descents with eigenvalues of K_∞."""


def kernel_roads(of: Problem, least: Problem) -> list[Agreement]:
    """K_∞ of one problem, and its eigenvalues; those of the one whose λ_0 is closest to its noise, too."""
    cosines = (of.X[:1] @ of.X[:3].T)[0]
    coarse, fine = (limit_kernel(of.net, cosines, nodes, points) for nodes, points in ((8, 32), (8, 40)))
    return [
        compare(
            rf"$K_\infty(x_1, x_j)$ ({of.name})",
            {"curve in $\\rho$, by the Gauss scheme": of.kernel[0, :3], "written out by hand": fine},
            allowed=of.error / float(fine.max()) + float(np.abs(fine - coarse).max() / fine.max()),
            because="error bound of the curve, plus the change of the tensor quadrature from 32 to 40 points",
            claims=("lambda", "edge", *TRAINED),
        ),
        _eigenvalues(of).on("edge", *TRAINED), _eigenvalues(least).on("lambda"),
    ]  # fmt: skip


def _eigenvalues(of: Problem) -> Agreement:
    return compare(
        rf"$\lambda_0$, $\lambda_{{\max}}$ ({of.name}, $N = {len(of.X)}$)",
        {
            "eigenvalues of the curve in $\\rho$": of.eigenvalues[[0, -1]],
            "singular values of the Gram matrix pair by pair": np.linalg.svd(of.net.limit().ntk(of.X))[1][[-1, 0]],
        },
        allowed=of.noise / of.largest + 1e-12, because="Weyl's inequality with the error bound of the entries",
    )  # fmt: skip


def edges(problems: Mapping[tuple[str, str], Problem]) -> Agreement:
    condition = max(of.largest / of.least for of in problems.values())
    return compare(
        r"$\eta^*$ of four problems",
        {
            "formula": [of.edge for of in problems.values()],
            "bisection of the condition": [bisected(of.eigenvalues) for of in problems.values()],
        },
        allowed=8 * EPS * condition,
        because="roundings, times the condition of the kernel where (14) is nearly flat",
        claims=("edge", "loss-repaired", "loss-near-edge", "decay-width"),
    )


def exploding_roads(config: Config, found: Ensemble, steps: int, claim: str) -> list[Agreement]:
    """A run that breaks (14), for `claim`, and the linear dynamics with the same step size."""
    of, rate, run = found.problem, found.rate, descent_roads(config, found, steps)
    start = of.net.predict(initial(config, of, 64, 0), of.X, solver(of))
    line, u = linearize(of.kernel, of.y, start, rate, steps, rtol=1e-10), start
    for _ in range(steps):
        u = u - rate * of.kernel @ (u - of.y)
    return [
        *(road.on(claim) for road in run),
        compare(
            rf"$u^{{{steps}}}$ of the exploding linear dynamics with $K_\infty$ ({of.name})",
            {"closed form in eigenmodes": line.predictions, "recursion (8)": u},
            allowed=4 * steps * len(of.X) * EPS, because="roundings of N terms in every step",
            claims=("edge", "loss-near-edge"),
        ),
    ]  # fmt: skip


def descent_roads(config: Config, found: Ensemble, steps: int) -> list[Agreement]:
    """Loss and distance of the first network with n = 64 along its descent."""
    of, rate, run = found.problem, found.rate, found.runs[found.widths.tolist().index(64)][0]
    theta, steps = initial(config, of, 64, 0), min(steps, len(run.loss) - 1)
    exact, losses, distances, at = SolveIVP(), [], [], theta
    for k in range(steps + 1):
        losses.append(of.net.loss(at, of.X, of.y, exact))
        distances.append((at - theta).norm())
        if k < steps:
            gradient = of.net.gradient(at, of.X, of.y, exact)
            at = Params(at.U - rate * gradient.U, at.W - rate * gradient.W, at.v - rate * gradient.v)
    amplified = 1e-9 * max(1.0, float(max(losses) / losses[0]))
    because = "1e-9, the error of one gradient with 6 Gauss nodes, times the growth of the loss"
    what = rf"({of.name}, $n = {theta.width}$, $\eta\lambda_{{\max}} = {rate * of.largest:.3g}$)"
    return [
        compare(
            rf"$L(\theta_k)$, $k \le {steps}$ {what}",
            {"train() with Gauss collocation": run.loss[: steps + 1], "descent written out with SolveIVP": losses},
            allowed=amplified, because=because,
        ),
        compare(
            rf"$\|\theta^k - \theta^0\|$, $k \le {steps}$ {what}",
            {
                "train() with Gauss collocation": run.distance[: steps + 1],
                "descent written out with SolveIVP": distances,
            },
            allowed=amplified, because=because,
        ),
    ]  # fmt: skip


def convergence_road(config: Config, of: Problem, run: Descent, width: int) -> Agreement:
    """The run to the end once more, in single precision."""
    steps, rate = len(run.loss) - 1, 1 / of.largest
    path = FastDescent(of.net, initial(config, of, width, 0), of.X, of.y).run(rate, steps)
    carried = float(np.sqrt(of.largest * steps)) * float(np.max(path.distance))
    return compare(
        rf"$\|u^k - y\|$, $k \le {steps}$ ({of.name}, $n = {width}$, $\eta = 1/\lambda_{{\max}}$)",
        {
            "train() with Gauss collocation": np.sqrt(2 * run.loss),
            "written out in single precision": np.sqrt(2 * path.loss),
        },
        allowed=(8 * float(np.sqrt(width)) + carried) * float(np.finfo(np.float32).eps),
        because=r"$\sqrt{n}$ roundings of single precision in a residual, and one of the displacement in each step, "
        r"as $\sqrt{\lambda_{\max}}$ carries it to the outputs",
        claims=("convergence",),
    )  # fmt: skip
