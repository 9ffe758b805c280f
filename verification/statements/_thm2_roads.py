"""Second roads to the numbers of theorem 2: kernel, eigenvalues, the bound η*, an exploding run."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refimpl import Params, SolveIVP, train
from refimpl.training import linearize
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._descents import Ensemble, initial, solver
from verification.statements._stepsize import EPS, Problem, bisected


def kernel_roads(of: Problem) -> list[Agreement]:
    cosines = (of.X[:1] @ of.X[:3].T)[0]
    coarse, fine = (limit_kernel(of.net, cosines, nodes, points) for nodes, points in ((8, 32), (8, 40)))
    return [
        compare(
            rf"$K_\infty(x_1, x_j)$ ({of.name})",
            {"curve in $\\rho$, by the Gauss scheme": of.kernel[0, :3], "written out by hand": fine},
            allowed=of.error / float(fine.max()) + float(np.abs(fine - coarse).max() / fine.max()),
            because="error bound of the curve, plus the change of the tensor quadrature from 32 to 40 points",
        ),
        compare(
            rf"$\lambda_0$, $\lambda_{{\max}}$ ({of.name})",
            {
                "eigenvalues of the curve in $\\rho$": of.eigenvalues[[0, -1]],
                "singular values of the Gram matrix pair by pair": np.linalg.svd(of.net.limit().ntk(of.X))[1][[-1, 0]],
            },
            allowed=of.noise / of.largest + 1e-12, because="Weyl's inequality with the error bound of the entries",
        ),
    ]  # fmt: skip


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
    )


def exploding_roads(config: Config, found: Ensemble, steps: int) -> list[Agreement]:
    of, rate = found.problem, found.rate
    theta = initial(config, of, 64, 0)
    run = train(of.net, theta, of.X, of.y, lr=rate, steps=steps, solver=solver(of))
    exact, losses, distances, at = SolveIVP(), [], [], theta
    for k in range(steps + 1):
        losses.append(of.net.loss(at, of.X, of.y, exact))
        distances.append((at - theta).norm())
        if k < steps:
            gradient = of.net.gradient(at, of.X, of.y, exact)
            at = Params(at.U - rate * gradient.U, at.W - rate * gradient.W, at.v - rate * gradient.v)
    amplified = 1e-9 * float(max(1.0, run.loss.max() / run.loss[0]))
    line = linearize(of.kernel, of.y, run.predictions[0], rate, steps, rtol=1e-10)
    u = run.predictions[0]
    for _ in range(steps):
        u = u - rate * of.kernel @ (u - of.y)
    because = "1e-9, the error of one gradient with 6 Gauss nodes, times the growth of the loss"
    return [
        compare(
            rf"$L(\theta_k)$, $k \le {steps}$, of an exploding run ({of.name}, $n = {theta.width}$)",
            {"train() with Gauss collocation": run.loss, "descent written out with SolveIVP": losses},
            allowed=amplified, because=because,
        ),
        compare(
            r"$\|\theta^k - \theta^0\|$ of the same run",
            {"train() with Gauss collocation": run.distance, "descent written out with SolveIVP": distances},
            allowed=amplified, because=because,
        ),
        compare(
            rf"$u^{{{steps}}}$ of the exploding linear dynamics with $K_\infty$ ({of.name})",
            {"closed form in eigenmodes": line.predictions, "recursion (8)": u},
            allowed=4 * steps * len(of.X) * EPS, because="roundings of N terms in every step",
        ),
    ]  # fmt: skip
