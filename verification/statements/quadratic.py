"""Quadratic activation: what is left of the theory where φ has no Lipschitz constant."""

from __future__ import annotations

import numpy as np

from verification import Agreement, Config, Result
from verification.statements._data import DIM, Array, inputs
from verification.statements._escape import escape, limit_time
from verification.statements._quadratic_claims import (
    blow_up,
    concentrates,
    depth,
    narrows,
    one_neuron,
    positive,
    resnets,
    resnets_beyond,
    width,
)
from verification.statements._quadratic_report import draw, spectrum_table, times_table
from verification.statements._quadratic_roads import (
    blow_up_roads,
    exact_norms,
    kernel_roads,
    limit_roads,
    scalar_law,
    smallest_eigenvalue,
)
from verification.statements._quadratic_runs import (
    BELOW,
    PATIENCE,
    beyond,
    blow_up_times,
    kernels_below,
    network,
    spectra,
    system,
)
from verification.statements._quadratic_step import one_step, one_step_road

ID = "quadratic"
TITLE = r"Quadratic activation: blow-up, and the limit below it"
CLAIM = (
    r"No formula is printed. $\phi(z) = z^2/2$ is a polynomial and not Lipschitz: the hypotheses of the theory fail. "
    r"What can be implied: solutions escape to infinity in finite time; before that time everything is smooth, and "
    r"ResNets and wide networks converge at the usual rates. Nothing is implied of training."
)


def run(config: Config) -> Result:
    X = inputs(config, 4)
    x = X["digits"][0]
    counts = {1: 400, 16: 60, 64: 60, 256: 40}
    if config.full:
        counts = {1: 2000, 2: 400, 4: 400, 16: 400, 64: 400, 256: 400, 1024: 100}
    times = blow_up_times(config, x, counts)
    limit = limit_time(200 if config.full else 120)
    theta = network(config, 64, 0)
    one = escape(*system(theta, x), rtol=1e-10, patience=PATIENCE)
    depths: Array = np.exp2(np.arange(4.0, 11.0))
    grown = [beyond(theta, x, one, ratio, depths) for ratio in (1.25, 1.5, 2.0)]
    points = np.concatenate(list(X.values()))
    below = kernels_below(config, points, [64, 128, 256, *([512] if config.full else [])], 40 if config.full else 12)
    fits, differences, converges = resnets(config, points)
    sets = spectra(config)
    return Result(
        claims=[
            blow_up(times), one_neuron(times[0]), concentrates(times, limit), narrows(times), resnets_beyond(grown),
            width(below), depth(fits), positive(sets), one_step(),
        ],
        agreements=[
            *blow_up_roads(config, x), scalar_law(), limit_roads(limit), exact_norms(config, x, one),
            kernel_roads(points), converges, smallest_eigenvalue(config), one_step_road(),
            Agreement(
                rf"$K_\theta$ ($n = {int(below.widths[0])}$, $T = {BELOW}$)", ("Gauss collocation", "SolveIVP"),
                *below.roads, "twice 1e-12 promised by Gauss for the gradient, and the change of DOP853 with 100 times "
                "the tolerance", ("width", "depth"),
            ),
        ],
        experiment=(
            rf"$\phi(z) = z^2/2$, $\sigma = 1$, inputs on the sphere: random networks are followed until they escape, "
            r"with a clock in which nothing is singular; ResNets beyond that time in logarithms, where floats would "
            rf"overflow; kernels at $T = {BELOW}$, well below. The slides name the experiment and print no formula; "
            r"the claims are ours. That training converges is not claimed: with $\phi$ not Lipschitz no theorem of the "
            r"paper applies, and the last claim shows a step that ends where there is no solution."
        ),
        size={
            "n": list(counts), "networks": list(counts.values()), "d": DIM, "T": [BELOW, 1.0],
            "L": [int(L) for L in depths], "N": list(sets[0].counts),
        },
        figure=draw(times, limit[0], grown, below, differences, sets),
        alt=(
            "Five panels. Fraction of networks that can be solved up to T: a slow curve for one neuron along its "
            "closed form, ever steeper for wider networks around the vertical line at that of the limit, 1.93. "
            "Beyond it the norm of deep ResNets is doubly exponential in depth, straight lines with the predicted "
            "slopes. Below it errors of the kernel fall as the root of the width and as one over depth. Smallest "
            "eigenvalue of the limiting kernel against the number of points, above the noise from three dimensions on."
        ),
        caption=(
            r"Dashed: predicted, which is the closed form for $n = 1$, the blow-up time of the limit, the fraction of "
            r"layers beyond $t^*$, $n^{-1/2}$ and $L^{-1}$; in the grey region double precision cannot tell a sign."
        ),
        tables=[times_table(times, limit[0]), spectrum_table(sets)],
        scope="Statements on random networks are for the widths and numbers that were run.",
    )  # fmt: skip
