"""The roads of the comparison of solvers: true and discrete gradients, found in more than one way."""

from __future__ import annotations

import decimal
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from refimpl import Euler, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._adjoints import euler_backwards
from verification.statements._data import DIM, Array
from verification.statements._discrete import METHODS, accepted
from verification.statements._effort import Counter, misalignment
from verification.statements._ladder import TRUTH, WIDTH, Network
from verification.statements._orders import EPS, Symplectic
from verification.statements._resnets import backpropagate, distance


def truth(networks: Sequence[Network]) -> list[Agreement]:
    """∇L and f that errors are measured from."""
    gradient = max(networks, key=lambda network: network.roads[0] / network.roads[1])
    output = max(networks, key=lambda network: network.output_roads[0] / network.output_roads[1])
    errors = "fixed-step", "tolerance-proportionality"
    cases = [
        (
            r"$\nabla L$", gradient, gradient.roads,
            (*errors, "adaptive-order-matters", "alignment", "alignment-bound", "work"),
        ),
        ("$f$", output, output.output_roads, (*errors, "radau")),
    ]  # fmt: skip
    return [
        Agreement(
            f"{what} ({worst.label}: the one closest to its bound, of {len(networks)})",
            ("Gauss collocation", "SolveIVP"), *distances,
            "1e-13 asked of Gauss, plus the change of DOP853 from rtol 1e-10 to 1e-12", claims,
        )
        for what, worst, distances, claims in cases
    ]  # fmt: skip


def discrete_gradient(config: Config, network: Network) -> list[Agreement]:
    net, theta, X, depth = network.net, network.theta, network.X, 16
    exact = net.jacobian(theta, X, Euler(depth))
    direction = net.init(WIDTH, DIM, seed=config.rng("direction"))
    along = exact.apply(direction)

    def quotient(step: float) -> Array:
        ahead, behind = (net.predict(theta + s * direction, X, Euler(depth)) for s in (step, -step))
        difference: Array = (ahead - behind) / (2 * step)
        return difference

    step = 2e-3
    widest, wide, narrow = (quotient(factor * step) for factor in (4, 2, 1))
    coarse, better = ((4 * fine - twice) / 3 for fine, twice in ((wide, widest), (narrow, wide)))
    rounding = 3 * math.sqrt(depth * WIDTH) * EPS * float(np.abs(net.predict(theta, X, Euler(depth))).max()) / step
    allowed = float(np.abs(better - coarse).max()) + rounding
    naive = euler_backwards(net, theta, X, depth, stored=True).apply(direction)
    off = float(np.abs(naive - along).max())
    return [
        Agreement(
            rf"$\nabla f^{{{depth}}}$ ({network.label})", ("Euler scheme", "backpropagation written out"),
            distance(exact, backpropagate(net, theta, X, depth)), depth * WIDTH * EPS,
            "one rounding for each of n terms in each of L layers",
            ("fixed-step", "euler-order-matters"),
        ),
        Agreement(
            rf"derivative of $f^{{{depth}}}$ along a random direction ({network.label})",
            ("Euler scheme", "central differences"),
            float(np.abs(better - along).max()), allowed,
            f"change of Richardson's value, and rounding; optimise-then-discretise is off by {off:.1g}",
            ("fixed-step", "euler-order-matters"),
        ),
    ]  # fmt: skip


def collocation(found: Symplectic) -> Agreement:
    worst = int(np.argmax(found.difference / found.rounding))
    return Agreement(
        rf"$\nabla f$ of Gauss schemes ({found.nodes[worst]:g} nodes: the one closest to its bound)",
        ("adjoint tableau of the scheme", "(3) collocated by hand, dense solve"),
        float(found.difference[worst]), float(found.rounding[worst]),
        "a few roundings for each of n terms at each of m nodes",
        ("gauss-order-does-not-matter",),
    )  # fmt: skip


def carried_forwards(config: Config, network: Network) -> Agreement:
    """Optimise-then-discretise by Euler, along a direction: a sweep forwards that never forms λ.

    λ^{ℓ−1} = (I + τ A_ℓ)ᵀ λ^ℓ with A_ℓ = 𝒲 diag φ'(h^ℓ) is carried over to a tangent: δ^ℓ = (I + τ A_ℓ) δ^{ℓ−1}
    + τ d𝒲 φ(h^ℓ), from δ^0 = dh_0.
    """
    net, theta, X, depth = network.net, network.theta, network.X, 16
    direction, root, step = net.init(WIDTH, DIM, seed=config.rng("direction")), math.sqrt(WIDTH), net.horizon / depth
    W, along = (net.sigma_w / root * each.W.T for each in (theta, direction))
    grid = [net.sigma_u * X @ theta.U.T]
    for _ in range(depth):
        grid.append(grid[-1] + step * net.phi.phi(grid[-1]) @ W)
    back = [grid[-1]]
    for _ in range(depth):
        back.append(back[-1] - step * net.phi.phi(back[-1]) @ W)
    value, slope = net.phi.value_and_slope(grid[-1])
    forwards, backwards = [], []
    for stored, states in ((True, grid), (False, back[::-1])):
        tangent = net.sigma_u * X @ direction.U.T
        for h in states[1:]:
            phi, dphi = net.phi.value_and_slope(h)
            tangent = tangent + step * ((dphi * tangent) @ W + phi @ along)
        forwards.append(net.sigma_v / root * (value @ direction.v + (slope * tangent) @ theta.v))
        backwards.append(euler_backwards(net, theta, X, depth, stored=stored).apply(direction))
    return compare(
        rf"optimise-then-discretise along a random direction ({network.label}, $L = {depth}$, both variants)",
        {"(3) backwards by Euler": backwards, "its transpose, a tangent carried forwards": forwards},
        allowed=depth * WIDTH * EPS, because="one rounding for each of n terms in each of L layers",
        claims=("euler-order-matters",),
    )  # fmt: skip


def angles(network: Network) -> Agreement:
    """1 − cos in decimal numbers, straight from its definition."""
    net, theta, X, y = network.net, network.theta, network.X, network.y
    exact = net.gradient(theta, X, y, TRUTH).ravel()
    solvers = Euler(16), SolveIVP("RK45", rtol=1e-3, atol=1e-5), SolveIVP("DOP853", rtol=1e-5, atol=1e-7)
    found = [net.gradient(theta, X, y, solver).ravel() for solver in solvers]
    ratios = np.asarray([misalignment(g, exact) / _decimal_misalignment(g, exact) for g in found])
    apart = math.sqrt(2 * min(misalignment(g, exact) for g in found))
    return compare(
        rf"$1 - \cos$ of the angle to the true $\nabla L$ ({network.label}, Euler, RK45, DOP853)",
        {"distance of unit vectors": ratios, "its definition, in decimal numbers of 40 digits": np.ones(len(found))},
        allowed=8 * EPS / apart + 16 * EPS,
        because="two roundings of each entry of the unit vectors, over their distance",
        claims=("alignment", "alignment-bound", "adaptive-alignment"),
    )


def _decimal_misalignment(a: Array, b: Array) -> float:
    with decimal.localcontext(prec=40):
        x, y = ([decimal.Decimal(entry) for entry in each.tolist()] for each in (a, b))
        pairs = (x, y), (x, x), (y, y)
        dot, first, second = (sum(map(decimal.Decimal.__mul__, *pair), decimal.Decimal(0)) for pair in pairs)
        return float(1 - dot / (first * second).sqrt())


def counted(network: Network) -> Agreement:
    """Passes of f: those through φ, and those that the solver is known to make, with one more for the output."""
    net, theta, X, rtol = network.net, network.theta, network.X, 1e-6
    solvers = [Euler(64), *(SolveIVP(method, rtol=rtol, atol=rtol / 100) for method in METHODS)]
    known = [64, *(accepted(net, theta, X, method, rtol, rtol / 100)[1] for method in METHODS)]
    seen = []
    for solver in solvers:
        counter = Counter()
        replace(net, activation=counter.activation(net.phi)).predict(theta, X, solver)
        seen.append(counter.entries / (theta.width * len(X)) - 1)
    return compare(
        rf"passes of a state through $\phi$ for $f$ ({network.label}, Euler, {', '.join(METHODS)})",
        {"counted in the activation": seen, "layers, and evaluations that scipy reports": known},
        allowed=0.0, because="whole numbers", claims=("work",),
    )  # fmt: skip
