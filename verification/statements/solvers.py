"""Adaptive against fixed steps: accuracy and alignment of gradients, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from refimpl import Euler
from verification import Agreement, Claim, Config, Result, Verdict
from verification.fit import PowerLaw, power_law
from verification.statements._adjoints import euler_backwards
from verification.statements._data import DIM, Array, inputs
from verification.statements._ladder import ADAPTIVE, COUNT, HORIZON, WIDTH, Ladder, Network, average, of, solve_all
from verification.statements._orders import EPS, FEW, Swapped, Symplectic, swap, symplectic
from verification.statements._resnets import backpropagate, distance
from verification.statements._solvers_report import constants, draw, rates

ID = "solvers"
TITLE = "Adaptive and fixed steps: errors and alignment of gradients"
CLAIM = (
    r"No formula is printed. What the equations (3), (4) and (6) imply: gradients by optimise-then-discretise and by "
    r"discretise-then-optimise agree up to the error of the solver, $O(1/L)$ for Euler's method, proportional to the "
    r"tolerance for adaptive methods, and zero for symplectic schemes; the angle between them vanishes with the error."
)

TOLERANCE = 0.03
"""Largest deviation of a slope from a fixed-step rate: the next term, O(1/L), at these depths."""

STAIRCASE = 0.2
"""Largest deviation of an exponent of rtol over three decades. The number of steps is whole, and one of 15 moves the
error of a method of order 8 by (1 + 1/15)⁸, that is 0.08 in the exponent; the next term of the error, as large as the
first at the loose end and gone at the tight one, moves it by log 2 / log 1000 = 0.10."""

DIRECTION = 0.1
"""Largest deviation of the exponent of 1 − cos: the part of the error across the gradient, where it is no constant
share, varies by a factor of a few over the decades that are fitted."""


def run(config: Config) -> Result:
    networks = list(solve_all(config))
    depths: Array = np.exp2(np.arange(2.0, 12.0 if config.full else 10.0))
    swapped = [swap(each.label, each.net, each.theta, each.X[:2], depths) for each in networks[:4]]
    few = np.concatenate([points[:1] for points in inputs(config, COUNT).values()])
    pairs = symplectic(config, few, list(range(1, 9 if config.full else 7)))
    ladders = {ladder.method: average(of(networks, ladder.method)) for ladder in networks[0].ladders}
    return Result(
        claims=[
            _fixed(networks), _adaptive(ladders), _radau(ladders["Radau"]), _swapped(swapped),
            _coincide(pairs), _aligned(networks), _bounded(networks), _work(ladders),
        ],
        agreements=[_truth(networks), *_discrete_gradient(config, networks[0]), _collocation(pairs)],
        experiment=(
            r"The slides name the experiment and print no formula; the claims are ours. The gradient $\nabla L$ of "
            rf"softplus and tanh networks, $T = {HORIZON:g}$, random targets $\pm 1$, on {COUNT} digits and on {COUNT} "
            r"random points of the sphere, by adaptive methods for (1) and (3) at growing tolerance, by Euler's method "
            r"(backpropagation through the ResNet) and by Gauss schemes with 4 steps, against Gauss collocation at "
            r"rtol $10^{-13}$. Errors are relative and Euclidean; those of adaptive methods are geometric means over "
            r"the networks. Work is counted in passes of a state through $\phi$ or $\phi'$, with about as many "
            r"products with $W$; time is not. Then (3) is discretised by hand, after the optimisation, on the very "
            r"grids of Euler's and of Gauss's schemes."
        ),
        size={
            "n": [FEW, WIDTH], "d": DIM, "N": COUNT, "T": HORIZON, "activations": ["softplus", "tanh"],
            "L": [int(L) for L in ladders["Euler"].setting], "networks": len(networks),
            "methods": list(ladders),
        },
        figure=draw(ladders, swapped, pairs, HORIZON),
        alt=(
            "Four log-log panels. Error of the gradient against rtol: RK23, RK45, DOP853 and Radau are straight lines "
            "beside dashed lines of slope one. Error against the number of passes: Euler falls with slope minus one, "
            "RK23, RK45 and DOP853 with slopes near minus three, five and eight, Gauss fastest of all. One minus the "
            "cosine against the error: all methods on one dashed line of slope two. Difference of the two orders of "
            "optimising and discretising: Euler along slope minus one, Gauss at rounding, 1e-15."
        ),
        caption=(
            r"Gradients $\nabla L$ against the truth (first three panels), and optimise-then-discretise against "
            r"discretise-then-optimise on one grid (last). Dashed: predicted slopes through the last measured point."
        ),
        tables=[rates(ladders), constants(swapped)],
    )  # fmt: skip


# Errors


def _fixed(networks: Sequence[Network]) -> Claim:
    slopes = [ladder.order(quantity) for ladder in of(networks, "Euler") for quantity in ("output", "gradient")]
    worst = max(slopes, key=lambda fit: abs(fit.slope + 1))
    return _slope(
        "fixed-step",
        r"Euler's method is of first order: the errors of $f^L$ and of $\nabla L^L$ decay as $1/L$ (measured: the "
        f"slope furthest from $-1$, of {len(slopes)}).",
        worst, -1.0, TOLERANCE,
    )  # fmt: skip


def _adaptive(ladders: Mapping[str, Ladder]) -> Claim:
    fits = {
        (method, quantity): ladders[method].order(quantity)
        for method in ("RK23", "RK45", "DOP853")
        for quantity in ("output", "gradient")
    }
    (method, quantity), worst = max(fits.items(), key=lambda item: abs(item[1].slope - 1))
    return _slope(
        "tolerance-proportionality",
        r"Explicit adaptive pairs that go on with the better value (local extrapolation) have a global error of $f$ "
        r"and of $\nabla L$ proportional to rtol: both are $O(h^p)$ with the same $p$, although rtol is local "
        rf"(measured: the exponent furthest from 1, {method}, {quantity}; margin {STAIRCASE}, as steps are few).",
        worst, 1.0, STAIRCASE,
    )  # fmt: skip


def _radau(ladder: Ladder) -> Claim:
    fit, (order, estimate) = ladder.order("output"), ADAPTIVE["Radau"]
    return _slope(
        "radau",
        r"Radau holds an estimate of order 3, $O(h^4)$ a step, at rtol and is itself of order 5, so the error of $f$ "
        r"goes as rtol to the power $5/4$.",
        fit, order / estimate, STAIRCASE,
    )  # fmt: skip


def _slope(id: str, text: str, fit: PowerLaw, predicted: float, margin: float) -> Claim:
    """A measured exponent: false only if it is off by more than the margin and its own uncertainty."""
    off = abs(fit.slope - predicted)
    open_ = margin < off <= margin + fit.uncertainty
    return Claim(
        id, text,
        Verdict.HOLDS if off <= margin else Verdict.UNDECIDED if open_ else Verdict.FAILS,
        measured=fit.slope, predicted=predicted, uncertainty=fit.uncertainty,
        scope=f"The exponent is off by more than the margin {margin}, within its uncertainty." if open_ else "",
    )  # fmt: skip


# Which comes first, optimisation or discretisation


def _swapped(found: Sequence[Swapped]) -> Claim:
    fits = []
    for swapped in found:
        deep = swapped.depths >= 64
        fits += [power_law(swapped.depths[deep], d[deep]) for d in swapped.differences.values()]
    worst = max(fits, key=lambda fit: abs(fit.slope + 1))
    return _slope(
        "euler-order-matters",
        r"On one and the same Euler grid the order matters: Euler's method for (3) and (4) gives another gradient than "
        r"backpropagation through the ResNet (6), which is that of $f^L$; the difference decays as $1/L$, with "
        r"$h_t$ stored and with $h_t$ solved backwards alike (measured: the slope furthest from $-1$, "
        rf"of {len(fits)}).",
        worst, -1.0, TOLERANCE,
    )  # fmt: skip


def _coincide(found: Symplectic) -> Claim:
    worst = int(np.argmax(found.difference / found.rounding))
    return Claim(
        "gauss-order-does-not-matter",
        r"For Gauss schemes the two orders give one gradient, to rounding and however coarse the scheme (Sanz-Serna, "
        rf"SIAM Review 58, 2016): with a single node, {found.error[0]:.0%} away from the gradient of the Neural ODE, "
        r"the adjoint equation collocated at that node is still the exact gradient of the discrete output (measured: "
        "largest relative difference).",
        Verdict.HOLDS if (found.difference <= found.rounding).all() else Verdict.FAILS,
        measured=float(found.difference[worst]), predicted=0, uncertainty=float(found.rounding[worst]),
    )  # fmt: skip


# Alignment and work


def _aligned(networks: Sequence[Network]) -> Claim:
    fits = []
    for method in (ladder.method for ladder in networks[0].ladders):
        mean = average(of(networks, method))
        fits.append(power_law(mean.gradient, mean.angle))
    worst = max(fits, key=lambda fit: abs(fit.slope - 2))
    return _slope(
        "alignment",
        r"The gradients align quadratically: $1 - \cos$ of the angle to the true gradient decays as the square of the "
        r"relative error, for fixed and adaptive steps (measured: the exponent furthest from 2, of "
        f"{len(fits)} methods).",
        worst, 2.0, DIRECTION,
    )  # fmt: skip


def _bounded(networks: Sequence[Network]) -> Claim:
    """A gradient at the relative distance ε lies within the angle arcsin ε: 1 − cos ≤ δ²/2 = ε² / (1 + √(1 − ε²)).

    δ is the distance of the two directions, unit vectors whose entries are each rounded twice: 4 eps between them.
    """
    ladders = [ladder for network in networks for ladder in network.ladders]
    ratio = 0.0
    for ladder in ladders:
        squares = ladder.gradient**2
        apart = np.sqrt(2 * squares / (1 + np.sqrt(np.maximum(1 - squares, 0.0)))) + 4 * EPS
        ratio = max(ratio, float((2 * ladder.angle / apart**2).max()))
    everything = sum(ladder.setting.size for ladder in ladders)
    return Claim(
        "alignment-bound",
        r"An error below $\varepsilon < 1$ guarantees a descent direction, $1 - \cos \le 1 - \sqrt{1 - \varepsilon^2}$ "
        rf"(measured: largest quotient of the two sides, rounding allowed for, {everything} gradients).",
        Verdict.HOLDS if ratio <= 1 + 1e-6 else Verdict.FAILS,
        measured=ratio, predicted=r"$\le 1$", uncertainty=1e-6,
    )  # fmt: skip


def _work(ladders: Mapping[str, Ladder]) -> Claim:
    orders = {"Euler": 1, **{method: order for method, (order, _) in ADAPTIVE.items()}}
    ratios = {method: -ladders[method].by_work.slope / order for method, order in orders.items()}
    method = min(ratios, key=lambda name: ratios[name])
    at = 1e-6
    euler = ladders["Euler"]
    needed = float(euler.passes[-1] * euler.gradient[-1] / at)
    adaptive = {name: _passes_at(ladders[name], at) for name in ("RK23", "RK45", "DOP853")}
    listed = ", ".join(f"{name} {passes:.0f}" for name, passes in adaptive.items())
    return Claim(
        "work",
        r"A digit of the gradient costs a factor 10 with Euler's fixed steps and at most $10^{1/p}$ with an adaptive "
        rf"method of order $p$: for a relative error of $10^{{-6}}$ {listed} passes, Euler (extrapolated along $1/L$) "
        rf"{needed:.1e} (measured: order in the work, divided by $p$; the smallest, {method}).",
        Verdict.HOLDS if ratios[method] >= 1 - TOLERANCE else Verdict.FAILS,
        measured=ratios[method], predicted=r"$\ge 1$", uncertainty=ladders[method].by_work.uncertainty / orders[method],
    )  # fmt: skip


def _passes_at(ladder: Ladder, error: float) -> float:
    """Passes for an error, read off the polygon through the measured points."""
    return float(np.exp(np.interp(-np.log(error), -np.log(ladder.gradient), np.log(ladder.passes))))


# Roads


def _truth(networks: Sequence[Network]) -> Agreement:
    worst = max(networks, key=lambda network: network.roads[0] / network.roads[1])
    return Agreement(
        rf"$\nabla L$ ({worst.label}: the one closest to its bound, of {len(networks)})",
        ("Gauss collocation", "SolveIVP"),
        *worst.roads,
        "1e-13 asked of Gauss, plus the change of DOP853 from rtol 1e-10 to 1e-12",
    )


def _discrete_gradient(config: Config, network: Network) -> list[Agreement]:
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


def _collocation(found: Symplectic) -> Agreement:
    worst = int(np.argmax(found.difference / found.rounding))
    return Agreement(
        rf"$\nabla f$ of Gauss schemes ({found.nodes[worst]:g} nodes: the one closest to its bound)",
        ("adjoint tableau of the scheme", "(3) collocated by hand, dense solve"),
        float(found.difference[worst]), float(found.rounding[worst]),
        "a few roundings for each of n terms at each of m nodes",
    )  # fmt: skip
