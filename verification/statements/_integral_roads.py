"""Independent roads to the fields of the integral form, to its value, and to the blocks of K_θ."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.polynomial import chebyshev, legendre

from refimpl import NeuralODE, SolveIVP
from refimpl.infinite.kernel import Limit
from verification import Agreement, Config, compare
from verification.statements._data import DIM, Array
from verification.statements._finite_fields import SOLVER, Fields
from verification.statements._goursat import Solution, arc_cosine_dual, hermite_dual, solve
from verification.statements._statistics import LEVEL, largest_score

PROMISED = 1e-12

FIELDS = {
    "S": ("two-meanings",),
    "Sigma": ("integral-form", "terms", "field-sigma", "two-meanings"),
    "P": ("integral-form", "terms", "field-p", "two-meanings"),
}
"""The claims that rest on a field."""


def roads(
    config: Config, net: NeuralODE, X: Array, pairs: Mapping[str, tuple[int, int]], exact: Sequence[Solution],
    kernels: Array, wide: Fields, points: int,
) -> tuple[list[Agreement], float]:  # fmt: skip
    """The agreements, and the relative error bound of the extrapolated solutions `exact`."""
    cosines = [float(X[i] @ X[j]) for i, j in pairs.values()]
    doubt = max(solution.error for solution in exact) + _change_of_points(net, cosines, points) + PROMISED
    because = (
        f"the last change of Romberg's scheme, that of coarse grids from {3 * points // 4} to {points} Gauss–Hermite "
        "nodes, and 1e-12 promised by Gauss"
    )
    limit, index = net.limit(), list(pairs.values())
    by_fields = np.asarray([_clenshaw_curtis(net, limit, X[i], X[j]) for i, j in index])
    found = [
        compare(
            r"$K_\infty$ (softplus, three pairs)",
            {
                "Gauss scheme": kernels,
                "grid and Romberg, double sums": [solution.kernel for solution in exact],
                "the package's fields by Clenshaw–Curtis": by_fields[:, 0],
            },
            allowed=doubt, because=because, claims=("integral-form", "terms", "two-meanings"),
        ),
        compare(
            r"the form with one meaning of $\Sigma^{t,s}$ throughout, either of the two (softplus, three pairs)",
            {
                "grid and Romberg, double sums": [solution.literal for solution in exact],
                "the package's fields by Clenshaw–Curtis": by_fields[:, 1:],
            },
            allowed=doubt, because=because, claims=("two-meanings",),
        ),
    ]  # fmt: skip
    for name in ("S", "Sigma", "P"):
        given = [_at(limit, net.horizon, X[i], X[j], name, exact[0].t) for i, j in index]
        symbol = {"S": "S^{t,s}", "Sigma": r"\Sigma^{t,s}", "P": "P^{t,s}"}[name]
        found.append(
            compare(
                f"${symbol}$ (softplus, three pairs, {len(exact[0].t)}² times)",
                {"Gauss scheme": given, "grid and Romberg, double sums": [getattr(s, name) for s in exact]},
                allowed=doubt, because=f"{because}; ends of [0, T] are extrapolated from the Gauss nodes",
                claims=FIELDS[name],
            )
        )  # fmt: skip
    return [*found, *_kinked(X), *_monte_carlo(config, net, X, exact, wide)], doubt


def _change_of_points(net: NeuralODE, cosines: Sequence[float], points: int) -> float:
    """Largest relative change of fields and terms on a coarse grid from three quarters of the nodes to all of them."""
    change = 0.0
    for rho in cosines:
        few, more = (solve(net, rho, hermite_dual(net, count), 4, 2) for count in (3 * points // 4, points))
        for name in ("S", "Sigma", "P", "terms"):
            a, b = getattr(few, name), getattr(more, name)
            change = max(change, float(np.abs(a - b).max() / np.abs(b).max()))
    return change


def interpolation(t: Array, horizon: float, to: Array) -> Array:
    """Values at the nodes t → values at `to`, by the polynomial through them."""
    weights: Array = legendre.legvander(2 * to / horizon - 1, len(t) - 1) @ np.linalg.inv(
        legendre.legvander(2 * t / horizon - 1, len(t) - 1)
    )
    return weights


def _at(limit: Limit, horizon: float, x: Array, x2: Array, name: str, times: Array) -> Array:
    fields = limit.fields(x, x2)
    weights = interpolation(fields.t, horizon, times)
    values: Array = weights @ getattr(fields, name) @ weights.T
    return values


def _clenshaw_curtis(net: NeuralODE, limit: Limit, x: Array, x2: Array) -> Array:
    """The integral form of the package's fields, on Chebyshev points with the ends of [0, T] among them.

    As it is meant, and with Σ^{t,s} = E[φ(h_t)φ(h̄_s)] or E[h_t h̄_s] in all terms alike.
    """
    nodes = chebyshev.chebpts2(33)
    t = net.horizon * (1 + nodes) / 2
    moments = [0.0 if k % 2 else 2.0 / (1 - k**2) for k in range(len(t))]  # ∫ T_k over [−1, 1]
    b = net.horizon / 2 * np.linalg.solve(chebyshev.chebvander(nodes, len(t) - 1).T, moments)
    S, Sigma, P = (_at(limit, net.horizon, x, x2, name, t) for name in ("S", "Sigma", "P"))

    def form(field: Array, start: float) -> float:
        return float(net.sigma_v**2 * field[-1, -1] + net.sigma_w**2 * b @ (field * P) @ b + start * P[0, 0])

    return np.asarray([form(Sigma, net.sigma_u**2 * float(x @ x2)), form(Sigma, Sigma[0, 0]), form(S, S[0, 0])])


def _kinked(X: Array) -> list[Agreement]:
    net = NeuralODE("relu", horizon=1.3, sigma_u=0.9, sigma_w=0.8, sigma_v=1.1)
    rhos = [float(X[0] @ X[1]), float(X[2] @ X[3]), 1.0]
    grid = [solve(net, rho, arc_cosine_dual, 8, 4) for rho in rhos]
    package = [net.limit().ntk(X[i : i + 1], X[j : j + 1])[0, 0] for i, j in ((0, 1), (2, 3), (0, 0))]
    return [
        compare(
            r"$K_\infty$ (ReLU, three pairs)",
            {"Gauss scheme on the split square": package, "grid and Romberg, arc-cosine": [s.kernel for s in grid]},
            allowed=max(s.error for s in grid) + 1e-9,
            because="the last change of Romberg's scheme, and 1e-9 promised for kinked activations",
            claims=("integral-form",),
        )
    ]  # fmt: skip


def _monte_carlo(config: Config, net: NeuralODE, X: Array, exact: Sequence[Solution], wide: Fields) -> list[Agreement]:
    because = f"Student's interval for all entries at once (Bonferroni, {LEVEL:.1%}); a bias O(1/n) is below it"
    size = f"in standard errors; {len(wide.P)} networks, $n = {wide.width}$"
    found = []
    for name, symbol in (("Sigma", r"\Sigma^{t,s}"), ("P", "P^{t,s}")):
        score, allowed = largest_score(getattr(wide, name), np.stack([getattr(s, name) for s in exact]))
        road = ("grid and Romberg, double sums", "Monte Carlo")
        found.append(Agreement(f"${symbol}$ ({size})", road, score, allowed, because, (f"field-{name.lower()}",)))
    theta = net.init(64, DIM, seed=config.rng("blocks"))
    kernel, tight = net.ntk(theta, X, solver=SOLVER), net.ntk(theta, X, solver=SolveIVP())
    found.append(
        compare(
            r"$K_\theta$ ($n = 64$)", {"eight Gauss nodes": kernel, "scipy.integrate": tight},
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
            claims=("terms",),
        )
    )  # fmt: skip
    at_nodes, along = (net.trajectory(theta, X, exact[0].t, solver) for solver in (SOLVER, SolveIVP()))
    for name, symbol, what in (
        (
            "Sigma",
            r"\langle \phi(h_t), \phi(\bar h_s) \rangle / n",
            lambda path: net.phi.phi(path.h) / np.sqrt(theta.width),
        ),
        ("P", r"\langle \lambda_t, \bar\lambda_s \rangle", lambda path: path.adjoint),
    ):
        fields = [np.einsum("tin,sjn->ijts", what(path), what(path)) for path in (at_nodes, along)]
        found.append(
            compare(
                f"${symbol}$ ($n = 64$, all pairs and times)",
                dict(zip(("eight Gauss nodes", "scipy.integrate"), fields, strict=True)),
                allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
                claims=(f"field-{name.lower()}", "terms"),
            )
        )  # fmt: skip
    J = net.jacobian(theta, X, SolveIVP())
    path = net.trajectory(theta, X, np.asarray([0.0, net.horizon]), SOLVER)
    phi, adjoint = net.phi.phi(path.h[1]), path.adjoint[0]
    blocks = [net.sigma_v**2 / 64 * phi @ phi.T, net.sigma_u**2 * (X @ X.T) * (adjoint @ adjoint.T)]
    blocks.insert(1, kernel - blocks[0] - blocks[1])
    rows = [block.reshape(len(X), -1) for block in (J.v, J.W, J.U)]
    found.append(
        compare(
            r"blocks $v$, $W$, $U$ of $K_\theta$ ($n = 64$)",
            {
                "fields at the ends, and the rest": blocks,
                "products of Jacobians, scipy.integrate": [row @ row.T for row in rows],
            },
            allowed=1e-7, because="discretisation error that the experiment tolerates, 1e-5 of the random one",
            claims=("terms",),
        )
    )  # fmt: skip
    return found
