"""The roads of the comparison of solvers: true and discrete gradients, found in more than one way."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from refimpl import Euler
from verification import Agreement, Config
from verification.statements._adjoints import euler_backwards
from verification.statements._data import DIM, Array
from verification.statements._ladder import WIDTH, Network
from verification.statements._orders import EPS, Symplectic
from verification.statements._resnets import backpropagate, distance


def truth(networks: Sequence[Network]) -> Agreement:
    worst = max(networks, key=lambda network: network.roads[0] / network.roads[1])
    return Agreement(
        rf"$\nabla L$ ({worst.label}: the one closest to its bound, of {len(networks)})",
        ("Gauss collocation", "SolveIVP"),
        *worst.roads,
        "1e-13 asked of Gauss, plus the change of DOP853 from rtol 1e-10 to 1e-12",
    )


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
        ),
        Agreement(
            rf"derivative of $f^{{{depth}}}$ along a random direction ({network.label})",
            ("Euler scheme", "central differences"),
            float(np.abs(better - along).max()), allowed,
            f"change of Richardson's value, and rounding; optimise-then-discretise is off by {off:.1g}",
        ),
    ]  # fmt: skip


def collocation(found: Symplectic) -> Agreement:
    worst = int(np.argmax(found.difference / found.rounding))
    return Agreement(
        rf"$\nabla f$ of Gauss schemes ({found.nodes[worst]:g} nodes: the one closest to its bound)",
        ("adjoint tableau of the scheme", "(3) collocated by hand, dense solve"),
        float(found.difference[worst]), float(found.rounding[worst]),
        "a few roundings for each of n terms at each of m nodes",
    )  # fmt: skip
