"""Adaptive against fixed steps: accuracy and alignment of gradients, and what they cost."""

from __future__ import annotations

import numpy as np

from verification import Config, Result
from verification.statements._adaptive_orders import (
    TOLERANCES,
    Orders,
    both_orders,
    discrete_gradient_road,
    steps_are_the_packages,
)
from verification.statements._alignment import (
    adaptive_alignment,
    adaptive_order_matters,
    descent,
    one_neuron_road,
)
from verification.statements._data import DIM, Array, inputs
from verification.statements._ladder import COUNT, HORIZON, WIDTH, average, of, solve_all
from verification.statements._orders import FEW, swap, symplectic
from verification.statements._solvers_claims import (
    aligned,
    bounded,
    coincide,
    first_order,
    order_matters,
    proportional,
    radau,
    work,
)
from verification.statements._solvers_report import constants, design, draw, rates
from verification.statements._solvers_roads import (
    angles,
    carried_forwards,
    collocation,
    counted,
    discrete_gradient,
    truth,
)

ID = "solvers"
TITLE = "Adaptive and fixed steps: errors and alignment of gradients"
CLAIM = (
    r"No formula is printed. What the equations (3), (4) and (6) imply: gradients by optimise-then-discretise and by "
    r"discretise-then-optimise agree up to the error of the solver, $O(1/L)$ for Euler's method, proportional to the "
    r"tolerance for adaptive methods, and zero for symplectic schemes; the angle between them vanishes with the error."
)


def run(config: Config) -> Result:
    networks = list(solve_all(config))
    depths: Array = np.exp2(np.arange(2.0, 12.0 if config.full else 10.0))
    swapped = [swap(each.label, each.net, each.theta, each.X[:2], depths) for each in networks[:4]]
    few = np.concatenate([points[:1] for points in inputs(config, COUNT).values()])
    pairs = symplectic(config, few, list(range(1, 9 if config.full else 7)))
    ladders = {ladder.method: average(of(networks, ladder.method)) for ladder in networks[0].ladders}
    adaptive: list[Orders] = [
        both_orders(each.label, each.net, each.theta, each.X, each.y, method)
        for each in config.progress(networks, "orders")
        for method in TOLERANCES
    ]
    first, direction = networks[0], networks[0].net.init(WIDTH, DIM, seed=config.rng("direction"))
    return Result(
        claims=[
            first_order(networks), proportional(ladders), radau(ladders["Radau"]), order_matters(swapped),
            coincide(pairs), adaptive_order_matters(adaptive), adaptive_alignment(adaptive), descent(),
            aligned(networks), bounded(networks), work(ladders),
        ],
        agreements=[
            *truth(networks), *discrete_gradient(config, first), carried_forwards(config, first), collocation(pairs),
            steps_are_the_packages(adaptive, first.net, first.theta, first.X),
            discrete_gradient_road(first.label, first.net, first.theta, first.X, direction), one_neuron_road(),
            angles(first), counted(first),
        ],
        experiment=(
            r"The slides name the experiment and print no formula; all claims but `fixed-step` are ours. The gradient "
            r"$\nabla L$ of "
            rf"softplus and tanh networks, $T = {HORIZON:g}$, random targets $\pm 1$, on {COUNT} digits and on {COUNT} "
            r"random points of the sphere, by adaptive methods for (1) and (3) at growing tolerance, by Euler's method "
            r"(backpropagation through the ResNet) and by Gauss schemes with 4 steps, against Gauss collocation at "
            r"rtol $10^{-13}$. Errors are relative and Euclidean; those of adaptive methods are geometric means over "
            r"the networks. Work is counted in passes of a state through $\phi$ or $\phi'$, with about as many "
            r"products with $W$; time is not. Then (3) is discretised by hand, after the optimisation, on the very "
            r"grids of Euler's and of Gauss's schemes; and the chain rule is applied to the steps that adaptive "
            r"explicit methods accept, with their lengths held. Radau's stages are solved to a tolerance only, so no "
            r"formula gives the exact gradient of what it computed, and it is left out there."
        ),
        size={
            "n": [FEW, WIDTH], "d": DIM, "N": COUNT, "T": HORIZON, "activations": ["softplus", "tanh"],
            "L": [int(L) for L in ladders["Euler"].setting], "networks": len(networks),
            "methods": list(ladders),
        },
        figure=draw(ladders, swapped, pairs, adaptive, HORIZON),
        alt=(
            "Five log-log panels. Error of the gradient against rtol: RK23, RK45, DOP853 and Radau are straight lines "
            "beside dashed lines of slope one. Error against the number of passes: Euler falls with slope minus one, "
            "RK23, RK45 and DOP853 with slopes near minus three, five and eight, Gauss fastest of all. One minus the "
            "cosine against the error: all methods on one dashed line of slope two. Difference of the two orders of "
            "optimising and discretising: Euler along slope minus one, Gauss at rounding, 1e-15. The same for adaptive "
            "steps against rtol: distances along slope one, one minus the cosine along slope two."
        ),
        caption=(
            r"Gradients $\nabla L$ against the truth (first three panels), and optimise-then-discretise against "
            r"discretise-then-optimise on one grid and on the accepted steps (last two). Dashed: predicted slopes "
            r"through the last measured point."
        ),
        tables=[rates(ladders), constants(swapped), design(adaptive)],
    )  # fmt: skip
