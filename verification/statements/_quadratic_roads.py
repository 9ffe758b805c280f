"""The roads of the quadratic statement: blow-up times, and K_∞, found in more than one way."""

from __future__ import annotations

import math

import numpy as np

from refimpl import BlowUpError, NeuralODE, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._escape import escape
from verification.statements._horizons import variance_at
from verification.statements._quadratic_runs import PATIENCE, network, system


def blow_up_roads(config: Config, x: Array) -> list[Agreement]:
    """t* of networks, and of one neuron against its closed form."""
    found = []
    for width in (16, 64):
        each = network(config, width, 0)
        W, h0 = system(each, x)
        loose, tight = (escape(W, h0, rtol=rtol, patience=PATIENCE) for rtol in (1e-8, 1e-10))
        other = escape(W, h0, method="LSODA", rtol=1e-10, patience=PATIENCE)
        try:
            NeuralODE("quadratic", horizon=2 * tight).predict(each, x[None], SolveIVP(rtol=1e-10, atol=1e-12))
            package = math.inf
        except BlowUpError as error:
            package = error.time
        found.append(
            compare(
                rf"blow-up time $t^*$ ($n = {width}$)",
                {"DOP853 in the clock of growth": tight, "LSODA in the clock of growth": other, "SolveIVP": package},
                allowed=2 * abs(loose - tight) / tight + 1e-8,
                because="change of DOP853 with 100 times the tolerance, and 100 steps of rtol 1e-10",
            )
        )
    u, w = config.rng("scalar").uniform(0.5, 2.0, 2)
    found.append(
        compare(
            r"$t^*$ ($n = 1$, $w h_0 > 0$)",
            {
                "DOP853 in the clock of growth": escape(np.asarray([[w]]), np.asarray([u]), rtol=1e-10),
                "closed form": 2 / (w * u),
            },
            allowed=1e-8, because="100 steps of rtol 1e-10",
        )
    )  # fmt: skip
    return found


def limit_roads(limit: tuple[float, float]) -> Agreement:
    """S^{T,T} ~ A/(t* − T)² well before t*: T as a polynomial in S^{−1/2}, which vanishes at t*."""
    horizons = np.linspace(1.0, 1.75, 7)
    roots = np.asarray([variance_at(NeuralODE("quadratic", horizon=float(T))) for T in horizons]) ** -0.5
    fine, coarse = (float(np.polynomial.Polynomial.fit(roots[k:], horizons[k:], 6 - k)(0.0)) for k in (0, 1))
    return Agreement(
        r"blow-up time of $S^{t,t}$, $\sigma_w = q = 1$",
        ("power series in $t$, $s$", "Gauss scheme, $S^{-1/2}$ extrapolated to 0"),
        abs(fine - limit[0]), limit[1] + abs(fine - coarse),
        "the last change of either extrapolation",
    )  # fmt: skip


def kernel_roads(X: Array) -> Agreement:
    """K_∞ well below the blow-up."""
    net = NeuralODE("quadratic", horizon=1.0)
    rho = (X[:1] @ X.T)[0].clip(-1, 1)
    coarse, fine = (limit_kernel(net, rho[1:5], nodes, 8) for nodes in (10, 12))
    return compare(
        r"$K_\infty$ ($T = 1$)",
        {"Gauss scheme": net.limit().ntk(X[:1], X)[0][1:5], "written out by hand": fine},
        allowed=1e-12 + float(np.abs(fine - coarse).max() / fine.max()),
        because="1e-12 promised by Gauss, plus the change from 10 to 12 nodes in time",
    )
