"""The roads of the quadratic statement: blow-up times, and K_∞, found in more than one way."""

from __future__ import annotations

import decimal
import math

import numpy as np
from scipy.integrate import quad
from scipy.special import ndtr

from refimpl import BlowUpError, NeuralODE, SolveIVP
from refimpl.data import sphere
from verification import Agreement, Config, compare
from verification.statements._by_hand import limit_kernel
from verification.statements._data import Array
from verification.statements._escape import escape, log_norms, solvable_scalar
from verification.statements._horizons import EPS, cosines, variance_at
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
                claims=("blow-up", "concentration", "spread", "resnets-beyond"),
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
            allowed=1e-8, because="100 steps of rtol 1e-10", claims=("one-neuron",),
        )
    )  # fmt: skip
    return found


def scalar_law() -> Agreement:
    """P(t* > T) for one neuron: the density of a product of two normals, and one of the two integrated out."""
    horizons = np.asarray([0.25, 0.5, 1.0, 2.0, 4.0, 16.0, 64.0])

    def given_w(T: float) -> float:
        """1 − P(w u > 2/T), by symmetry twice the part of w > 0, where it is P(u > 2/(w T))."""
        late = quad(lambda w: math.exp(-(w**2) / 2) * float(ndtr(-2 / (w * T))), 0, math.inf)[0]
        return 1 - 2 * float(late) / math.sqrt(2 * math.pi)

    return compare(
        f"fraction of networks solvable to $T$ ($n = 1$, {horizons.size} values of $T$)",
        {
            "integral of $K_0$": [solvable_scalar(T) for T in horizons.tolist()],
            "integral over one of the two weights": [given_w(T) for T in horizons.tolist()],
        },
        allowed=4 * 1.5e-8, relative=False, because="1.5e-8 asked of either quadrature, times at most 2",
        claims=("one-neuron",),
    )  # fmt: skip


def exact_norms(config: Config, x: Array, time: float) -> Agreement:
    """log ‖h^L‖ beyond the blow-up: layer by layer in decimal numbers of 40 digits, whose exponents reach 10^18."""
    W, h0 = system(network(config, 64, 0), x)
    cases = [(1.25, 32), (1.25, 128), (2.0, 64)]
    logs = np.asarray([log_norms(W, h0, ratio * time, depth) for ratio, depth in cases])
    # Relative change of the logarithm for one of h^0: what a rounding in any layer may grow to.
    shifted = np.asarray([log_norms(W, (1 + 1e-7) * h0, ratio * time, depth) for ratio, depth in cases])
    condition = np.abs(shifted / logs - 1) / 1e-7
    exact = np.asarray([_decimal_log_norm(W, h0, ratio * time, depth) for ratio, depth in cases])
    listed = ", ".join(rf"$L = {depth}$ to ${ratio:g}\, t^*$" for ratio, depth in cases)
    return compare(
        rf"$\log \|h^L\|$ of ResNets ($n = {len(h0)}$, {listed})",
        {"mantissa and logarithm in float64": logs / exact, "decimal numbers of 40 digits": np.ones(len(cases))},
        allowed=float(max(depth * len(h0) * EPS * k for (_, depth), k in zip(cases, condition, strict=True))),
        because="roundings of n terms in each of L layers, times the condition of the logarithm",
        claims=("resnets-beyond",),
    )  # fmt: skip


def _decimal_log_norm(W: Array, h0: Array, horizon: float, depth: int) -> float:
    """(6) as it is printed."""
    with decimal.localcontext(prec=40, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN):
        rows, h = [[decimal.Decimal(w) for w in row] for row in W.tolist()], [decimal.Decimal(a) for a in h0.tolist()]
        half = decimal.Decimal(horizon / depth) / 2
        for _ in range(depth):
            squares = [a * a for a in h]
            h = [a + half * sum(map(decimal.Decimal.__mul__, row, squares)) for a, row in zip(h, rows, strict=True)]
        return float(sum((a * a for a in h), decimal.Decimal(0)).ln() / 2)


def limit_roads(limit: tuple[float, float]) -> Agreement:
    """S^{T,T} ~ A/(t* − T)² well before t*: T as a polynomial in S^{−1/2}, which vanishes at t*."""
    horizons = np.linspace(1.0, 1.75, 7)
    roots = np.asarray([variance_at(NeuralODE("quadratic", horizon=float(T))) for T in horizons]) ** -0.5
    fine, coarse = (float(np.polynomial.Polynomial.fit(roots[k:], horizons[k:], 6 - k)(0.0)) for k in (0, 1))
    return Agreement(
        r"blow-up time of $S^{t,t}$, $\sigma_w = q = 1$",
        ("power series in $t$, $s$", "Gauss scheme, $S^{-1/2}$ extrapolated to 0"),
        abs(fine - limit[0]), limit[1] + abs(fine - coarse),
        "the last change of either extrapolation", ("concentration",),
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
        claims=("width", "depth", "positive"),
    )


def smallest_eigenvalue(config: Config) -> Agreement:
    """λ_min of K_∞ at some of the points of the experiment in three dimensions."""
    few, net = 12, NeuralODE("quadratic")
    rho, upper = cosines(sphere(few, 3, seed=config.rng("points", 3))), np.triu_indices(few)

    def smallest(nodes: int) -> float:
        K = np.zeros((few, few))
        K[upper] = limit_kernel(net, rho[upper], nodes, 8)
        return float(np.linalg.eigvalsh(np.maximum(K, K.T))[0])

    K, coarse, fine = net.limit().on_sphere()(rho), smallest(8), smallest(10)
    return compare(
        rf"$\lambda_{{\min}}(K_\infty)$ ($T = 1$, $d = 3$, $N = {few}$)",
        {"Gauss scheme, from the curve in $\\rho$": float(np.linalg.eigvalsh(K)[0]), "written out by hand": fine},
        allowed=few * 1e-12 * float(K.max()) + abs(fine - coarse), relative=False,
        because="by Weyl N times the 1e-12 promised by Gauss, plus the change from 8 to 10 nodes in time",
        claims=("positive",),
    )  # fmt: skip
