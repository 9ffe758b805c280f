"""Reference gradients for ReLU: from adaptive solvers that step over kinks, and the roads to the exact one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from refimpl import Euler, Jacobian, NeuralODE, Params, SolveIVP
from verification import Agreement, Claim, Config, Verdict
from verification.statements._data import DIM, Array, inputs
from verification.statements._piecewise_linear import gradient, gradient_by_expm
from verification.statements._relu_curves import Curves, Exact, flat
from verification.statements._relu_wide import FLAT
from verification.statements._resnets import distance

RTOLS = (1e-3, 1e-4, 1e-5, 1e-6)

REFERENCES = tuple(f"RK45 at {rtol:.0e}".replace("e-0", "e-") for rtol in RTOLS)


@dataclass(frozen=True)
class Reference:
    """A gradient that is not exact.

    Parameters
    ----------
    gradient : array, shape (N, parameters)
    error : float
        ‖g − ∇f‖ over all inputs.
    wrong : int
        Neurons with the wrong sign at T, over all inputs.
    """

    gradient: Array
    error: float
    wrong: int


def references(exact: Exact) -> dict[str, Reference]:
    """Gradients of an adaptive solver at loose tolerances, and with θ in single precision."""
    theta, X = exact.theta, exact.X
    found = {
        name: exact.net.jacobian(theta, X, SolveIVP("RK45", rtol, rtol))
        for name, rtol in zip(REFERENCES, RTOLS, strict=True)
    }
    single = Params(*(block.astype(np.float32) for block in (theta.U, theta.W, theta.v)))
    found["float32"] = exact.net.jacobian(single, X.astype(np.float32), SolveIVP(rtol=1e-6, atol=1e-7))
    return {name: _compared(jacobian, exact) for name, jacobian in found.items()}


def _compared(jacobian: Jacobian, exact: Exact) -> Reference:
    g = flat(jacobian).astype(np.float64)
    wrong = int(np.sum((jacobian.v > 0) != exact.on))
    return Reference(g, float(np.linalg.norm(g - exact.gradient)), wrong)


def floor(found: Curves, solved: Mapping[str, Reference]) -> Claim:
    """By the triangle inequality the level is the reference's error up to the true difference at that depth."""
    name = REFERENCES[0]
    level, error = float(found.to_reference[name][-1]), solved[name].error
    true = float(found.norm[-1])
    ratio = level / float(found.to_reference[name][-3]) if true < 0.1 * error else np.nan
    holds = abs(ratio - 1) <= FLAT and abs(level - error) <= true
    return Claim(
        "reference-floor",
        rf"Against a gradient by {name} the difference does become constant, at the error of that reference "
        r"(measured: level at the deepest ResNet over the error of the reference; over the last two doublings of $L$ "
        rf"the level is constant to {FLAT:.0%}).",
        Verdict.HOLDS if holds else Verdict.UNDECIDED,
        measured=level / error,
        predicted=1,
        uncertainty=true / error,
        scope="" if holds else "The deepest ResNet is not yet close enough to the Neural ODE.",
    )


def roads(config: Config) -> list[Agreement]:
    """The exact gradient on four roads: power series, dense exponentials, an adaptive solver, a very deep ResNet."""
    found, X = [], np.concatenate([points[:1] for points in inputs(config, 1).values()])
    n, eps, rates = 24, float(np.finfo(float).eps), ("output-rate", "gradient-rate", "ntk-rate")
    both = (*rates, "gradient-constant", "reference-floor", "gradient-plateau", "gradient-mean-square")
    claims = {"relu": both, "leaky_relu": rates}
    for phi in ("relu", "leaky_relu"):
        net = NeuralODE(phi, horizon=1.2, sigma_u=0.9, sigma_w=1.1, sigma_v=0.8)
        theta = net.init(n, DIM, seed=config.rng("roads"))
        _, truth, flows = gradient(net, theta, X)
        by_expm = [gradient_by_expm(net, theta, x)[1] for x in X]
        dense = Jacobian(*(np.concatenate([getattr(J, block) for J in by_expm]) for block in ("U", "W", "v")))
        name, pieces = rf"$\nabla_\theta f$ ({phi}, $n = {n}$)", max(len(flow.pieces) for flow in flows)
        found.append(
            Agreement(
                name, ("power series and Gauss quadrature", "scipy.linalg.expm and expm_frechet"),
                distance(truth, dense), 4 * n * pieces * eps,
                f"roundings of sums of n terms in each of {pieces} pieces, forward and backward", claims[phi],
            )
        )  # fmt: skip
        if phi == "leaky_relu":
            continue
        loose, tight = (net.jacobian(theta, X, SolveIVP(rtol=rtol, atol=rtol / 100)) for rtol in (1e-10, 1e-12))
        found.append(
            Agreement(
                name, ("exact flow between crossings", "SolveIVP"),
                distance(tight, truth), distance(loose, tight),
                "the change of DOP853 from rtol 1e-10 to 1e-12, which steps over the kinks", claims[phi],
            )
        )  # fmt: skip
        deepest = 1 << 12
        coarse, fine = (net.jacobian(theta, X, Euler(L)) for L in (deepest // 2, deepest))
        found.append(
            Agreement(
                name, ("exact flow between crossings", f"ResNet of depth {deepest}"),
                distance(fine, truth), 2 * distance(coarse, fine),
                "twice the change over the last doubling of the depth: 1/L, with a factor that fluctuates", claims[phi],
            )
        )  # fmt: skip
    return found
