"""Second roads to single claims with ReLU: layers written out, rational numbers, binomials, located crossings."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np

from refimpl import Euler, KinkEvents, NeuralODE, Params, SolveIVP
from verification import Agreement, Config, compare
from verification.statements._contacts import CONTACT, DEEPEST, DEPTH, EARLIER, HORIZON, time_above
from verification.statements._data import Array, inputs
from verification.statements._piecewise_linear import flow
from verification.statements._relu_constructed import GAP, NEAR, Constructed
from verification.statements._relu_curves import Exact, flat
from verification.statements._relu_deep import Deep, deepest_network, followed
from verification.statements._resnets import backpropagate

EPS = float(np.finfo(float).eps)

RATES = ("output-rate", "gradient-rate", "ntk-rate")
NETWORK = (*RATES, "gradient-constant", "reference-floor")
"""Claims on the networks that are followed at several inputs, and on that with ReLU."""

LOCATED = KinkEvents()


def network_roads(exact: Exact, X: Array) -> list[Agreement]:
    """f and ∇f of the Neural ODE at some of its inputs, and of two of its ResNets at all of them."""
    net, theta = exact.net, exact.theta
    claims = NETWORK if net.phi.name == "relu" else RATES
    name, some = f"{net.phi.name}, $n = {theta.width}$", Exact.of(net, theta, X)
    found = net.jacobian(theta, X, LOCATED)
    because = "rtol of KinkEvents, with a factor of 10 between the tolerances that it compares"
    roads = [
        compare(
            rf"$f$ ({name})",
            {"exact flow between crossings": some.output, "KinkEvents": found.v @ theta.v},
            allowed=10 * LOCATED.rtol, because=because, claims=("output-rate",),
        ),
        compare(
            rf"$\nabla_\theta f$ ({name})",
            {"exact flow between crossings": some.gradient, "KinkEvents": flat(found)},
            allowed=10 * LOCATED.rtol, because=because, claims=claims,
        ),
    ]  # fmt: skip
    for L in (16, 1024):
        own, by_hand = (flat(J) for J in (net.jacobian(theta, X, Euler(L)), backpropagate(net, theta, X, L)))
        roads.append(
            compare(
                rf"$\nabla_\theta f^{{{L}}}$, and with it $f^{{{L}}}$ ({name})",
                {"Euler": own, "backpropagation written out": by_hand},
                allowed=4 * (L + theta.width) * EPS,
                because="roundings of every layer and of sums of n terms, forward and backward", claims=claims,
            )
        )  # fmt: skip
    return roads


def plateau_road(net: NeuralODE, theta: Params, x: Array, depth: int, height: float) -> Agreement:
    """‖∇f^L − ∇f‖ at the end of the plateau."""
    by_hand = flat(backpropagate(net, theta, x, depth)) - flat(net.jacobian(theta, x, LOCATED))
    size = float(np.linalg.norm(flat(net.jacobian(theta, x, Euler(depth)))))
    return Agreement(
        rf"$\|\nabla_\theta f^L - \nabla_\theta f\|$ at the end of the plateau, $L = {depth}$",
        ("Euler, exact flow between crossings", "backpropagation written out, KinkEvents"),
        abs(float(np.linalg.norm(by_hand)) - height), 10 * LOCATED.rtol * size,
        "rtol of KinkEvents, with a factor of 10 between the tolerances that it compares", ("gradient-plateau",),
    )  # fmt: skip


def control_road(config: Config, control: Deep) -> Agreement:
    """The slope of the extrapolated difference for softplus, all of it by the package and scipy.integrate."""
    net, x = NeuralODE("softplus"), inputs(config, 1)["sphere"]
    theta = deepest_network(config, control.width)
    loose, exact = (flat(net.jacobian(theta, x, SolveIVP(rtol=r, atol=r / 100)))[0] for r in (1e-10, 1e-12))
    chosen = control.depths >= 32
    depths = control.depths[chosen]
    rows = np.stack([flat(net.jacobian(theta, x, Euler(int(L))))[0] - exact for L in depths])
    errors = np.linalg.norm(2 * rows[1:] - rows[:-1], axis=1)
    size = float(np.linalg.norm(exact))
    accuracy = 2 * float(np.linalg.norm(loose - exact)) + 1e-12 * size + 12 * EPS * size * (depths[1:] + theta.width)
    u = np.log(depths[1:]) - np.log(depths[1:]).mean()
    moved = float(np.abs(u) / (u @ u) @ (accuracy / errors))
    return Agreement(
        f"slope of the extrapolated difference for softplus ($n = {theta.width}$)",
        ("layers written out against Gauss", "Euler against SolveIVP"),
        abs(float(np.log(errors) @ u / (u @ u)) - control.slope(control.extrapolated).slope), moved,
        "the change of SolveIVP with 100 times the tolerance, 1e-12 of Gauss and a rounding in every layer, over what "
        "is fitted", ("richardson-control",),
    )  # fmt: skip


def crossings_road(config: Config, width: int) -> Agreement:
    """The speeds |ḣ_i| at the crossings of the network that is followed deepest, in their order."""
    net, x = NeuralODE("relu"), inputs(config, 1)["sphere"][0]
    theta = deepest_network(config, width)
    path = followed(theta, x)
    return compare(
        f"speeds at the crossings (relu, $n = {width}$)",
        {"KinkEvents": [abs(crossing.speed) for crossing in path.crossings],
         "exact flow between crossings": flow(net, theta, x).speeds},
        allowed=1e-11, because="rtol of KinkEvents, with a factor of 10 between the tolerances that it compares",
        claims=("gradient-bounded", "crossing-positions"),
    )  # fmt: skip


def constructed_roads(found: Constructed) -> list[Agreement]:
    """The network near the kink in rational arithmetic, the one that touches it and the contacts in floating point."""
    depth = int(found.depths[-1])
    relative = abs(_touching(depth) / math.e**2 - 1)
    near = max(2**k for k in range(1, 9) if _above_in_fractions(2**k))
    measured = max(L for L, value in zip(found.depths, found.near, strict=True) if L <= 2**8 and value > GAP / 2)
    cases = ((4, DEPTH, 0.0), (3, DEEPEST // 8, 1.0), (3, DEEPEST, 1.0))
    own = [time_above(order, L, feed) for order, L, feed in cases]
    return [
        compare(
            r"deepest $L = 2^k \le 2^8$ whose $f^L$ is not 0 near the kink",
            {"Euler": measured, "rational arithmetic": near},
            allowed=0.0, because="integers", claims=("constructed-near",),
        ),
        compare(
            rf"relative difference of $\lambda_0$ at a touch, $L = {depth}$",
            {"Euler": found.touch[-1], "a factor $1 + T/L$ for every layer that is on": relative},
            allowed=4 * depth * EPS / relative, because="a rounding in each layer, over the difference",
            claims=("constructed-touch",),
        ),
        compare(
            r"time of $h_i^L > 0$ at a contact, $k = 4$ and, behind a crossing, $k = 3$",
            {"adjoint of the Euler scheme": own, "layers counted, from binomials": [_contact(*case) for case in cases]},
            allowed=4 * DEEPEST * EPS, because="a rounding in each layer",
            claims=("constructed-contact", "constructed-contact-behind-a-crossing"),
        ),
    ]  # fmt: skip


def _above_in_fractions(depth: int) -> bool:
    """Whether h_1^L > 0 for ḣ_1 = φ(h_1) − φ(h_2), ḣ_2 = φ(h_2), from 1 − δ and 1, T = 1."""
    first, second, step = 1 - Fraction(NEAR).limit_denominator(1000), Fraction(1), Fraction(1, depth)
    for _ in range(depth):
        first, second = first + step * (max(first, Fraction(0)) - second), second * (1 + step)
    return first > 0


def _touching(depth: int) -> float:
    """λ_0^L in the first component of the network that touches the kink, T = 2."""
    step, h, factor = 2 / depth, 1 / math.e, 1.0
    for layer in range(depth):
        factor *= 1 + step if h > 0 else 1.0
        h += step * (max(h, 0.0) + (1 + layer * step) - 2)
    return factor if h > 0 else 0.0


def _contact(order: int, depth: int, feed: float) -> float:
    """Time of h_1^L > 0: the neurons p_j behind it are sums of C(ℓ, m) (T/L)^m, and what crosses before is t − 1/2."""
    step, layer = HORIZON / depth, np.arange(depth, dtype=float)
    binomials = [np.ones(depth)]
    for m in range(order):
        binomials.append(binomials[-1] * step * (layer - m) / (m + 1))
    # ḣ_1 = (t − 1)^{k−1}/(k − 1)! in powers t^m/m!, which Euler's method turns into C(ℓ, m) (T/L)^m.
    taylor = [(-CONTACT) ** (order - 1 - m) / math.factorial(order - 1 - m) for m in range(order)]
    h = (-CONTACT) ** order / math.factorial(order) + sum(c * b for c, b in zip(taylor, binomials[1:], strict=True))
    # What is fed in is φ(t − s) − (t − s), and −s²/2 in h_1 at 0 belongs to the second.
    surplus = np.maximum(layer * step - EARLIER, 0.0) - (layer * step - EARLIER)
    h = h - feed * EARLIER**2 / 2 + feed * step * (np.cumsum(surplus) - surplus)
    return float(step * np.count_nonzero(h > 0))
