"""The time horizon T: what the limiting kernel, the states and the depth that is needed do as T grows."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refimpl import NeuralODE
from verification import Config, Result
from verification.statements._data import DIM, Array, inputs
from verification.statements._horizon_claims import (
    SHORT,
    depth_gronwall,
    depth_short,
    positive,
    short,
    trend,
    variance,
    variance_bounded,
    width,
)
from verification.statements._horizon_networks import Constant, Spread, constant, spread
from verification.statements._horizon_product import (
    extreme_road,
    gradient_road,
    literal_road,
    product_terms,
    same_product,
    scaling,
)
from verification.statements._horizon_report import constants_table, draw, spectrum_table, spread_table
from verification.statements._horizon_roads import (
    bessel,
    bounded_variances,
    by_hand,
    coefficients,
    finite_kernels,
    leading_terms,
    long_horizons,
    monte_carlo,
    shallow_roads,
    smallest_eigenvalues,
)
from verification.statements._horizon_trend import falling, second_coefficient_road
from verification.statements._horizons import COUNT, at_horizon, cosines, shallow

ID = "horizon"
TITLE = "The time horizon: kernel, states and depth against $T$"
CLAIM = (
    r"No formula is printed. What the theory implies: $f$, its gradients and $K_\infty$ depend on $\sigma_w$ and $T$ "
    r"through the product $\sigma_w T$ alone; $K_\infty$ stays positive definite for every $T$; states, and the "
    r"constant $C(T)$ of the $1/L$ error of ResNets, grow no faster than Gronwall's exponential."
)


def run(config: Config) -> Result:
    X = inputs(config, COUNT)
    curves = {
        name: [at_horizon(name, T, X) for T in config.progress(horizons, name)]
        for name, horizons in _horizons(config.full).items()
    }
    hidden = {name: {source: shallow(name, cosines(points)) for source, points in X.items()} for name in curves}
    spreads = _spreads(config, X)
    constants = _constants(config, X)
    exact, powers = same_product(config, X)
    fall = falling()
    return Result(
        claims=[
            exact, powers, product_terms(X), scaling(X), short(curves, hidden), positive(curves),
            trend(curves, fall), variance(curves),
            variance_bounded(curves), depth_short(curves), depth_gronwall(constants), width(spreads),
        ],
        agreements=[
            gradient_road(config, X), by_hand(X), literal_road(config, X), *extreme_road(),
            *bessel(curves["identity"]), shallow_roads(curves, hidden), leading_terms(curves, hidden, X),
            long_horizons(X), smallest_eigenvalues(curves, X), second_coefficient_road(fall),
            monte_carlo(spreads, curves), bounded_variances(curves), *coefficients(constants),
            finite_kernels(config, spreads, X),
        ],
        experiment=(
            rf"$K_\infty$ and $K_\infty^L$ at horizons $T$ from 1/64 up, $\sigma = 1$, on {COUNT} digits and {COUNT} "
            r"random points of the sphere; random networks of finite width at the same $T$. The slides name the "
            r"experiment and print no formula; all claims but `positive` are ours. Effects of $T$ on training are "
            r"left to the other statements; where only $\sigma_w T$ matters, they are those of $\sigma_w$."
        ),
        size={
            "N": COUNT, "d": DIM, "T": [at.T for at in max(curves.values(), key=len)], "activations": list(curves),
            "n": sorted({int(n) for each in spreads for n in each.widths}),
            "networks per width": spreads[0].squares.size,
        },
        figure=draw(curves, constants, spreads, hidden),
        alt=(
            "Four log-log panels against T. Largest and smallest eigenvalue of the limiting kernel on digits: flat at "
            "the value of one hidden layer for small T, then rising. Variance of the state: below Gronwall's bound, "
            "which softplus approaches in slope and erf leaves for quadratic growth. Constants of the 1/L error: "
            "slope four for small T at infinite width, and below Gronwall's bound for finite networks. Error of the "
            "finite-width kernel against the width for three horizons, all along slope minus one half."
        ),
        caption=(
            r"Dotted: $K_\infty$ at $T \to 0$, one hidden layer. Dashed: predicted, which is Gronwall's bound of the "
            r"variance and of $\lim L |f^L - f|$, the power $T^4$, the closed form for the identity, and $n^{-1/2}$."
        ),
        tables=[spectrum_table(curves), constants_table(curves, constants), spread_table(spreads)],
    )  # fmt: skip


def _horizons(full: bool) -> dict[str, tuple[float, ...]]:
    middle = (0.125, 0.25, 0.5, 1.0) if full else (0.25, 0.5, 1.0)
    return {
        "softplus": (*SHORT, *middle, 2.0, *((3.0, 4.0) if full else ())),
        "tanh": (*SHORT, *((*middle, 2.0, 3.0) if full else (1.0,))),
        "erf": (*SHORT, *middle, 2.0, 4.0, *((6.0, 8.0) if full else ())),
        "identity": (*SHORT, *middle, 2.0, 4.0),
    }


def _spreads(config: Config, X: Mapping[str, Array]) -> list[Spread]:
    widths, draws = ([128, 256, 512, 1024], 16) if config.full else ([64, 128, 256], 10)
    points, found = np.concatenate(list(X.values()))[::8], []
    cases = [("softplus", 0.5), ("softplus", 1.0), ("erf", 1.0), ("erf", 2.0)]
    cases += [("softplus", 2.0), ("erf", 4.0)] if config.full else []
    for name, T in config.progress(cases, "networks"):
        limit = NeuralODE(name, horizon=T).limit().ntk(points)
        found.append(spread(config, name, T, points, limit, widths, draws))
    return found


def _constants(config: Config, X: Mapping[str, Array]) -> list[Constant]:
    width, draws = (256, 4) if config.full else (64, 1)
    points = np.concatenate([rows[:2] for rows in X.values()])
    found = []
    for name in ("softplus", "tanh"):
        for draw_ in range(draws):
            theta = NeuralODE(name).init(width, DIM, seed=config.rng("constant", name, draw_))
            found += [constant(NeuralODE(name, horizon=T), theta, points) for T in (0.5, 1.0, 2.0, 4.0)]
    return found
