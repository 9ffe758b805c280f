"""The open directions of the paper, as far as numbers go: rates, solvers, optimisers, features, other models."""

from __future__ import annotations

import numpy as np

from refimpl.data import sphere
from verification import Config, Result
from verification.statements._data import DIM
from verification.statements._open_claims import features as feature_claims
from verification.statements._open_claims import models, optimizers, pencil
from verification.statements._open_claims import rates as rate_claims
from verification.statements._open_driven import driven, gradient_road
from verification.statements._open_features import RESNET, STEPS, drift_roads, features
from verification.statements._open_linear import linear
from verification.statements._open_optimizers import RULES, followed
from verification.statements._open_optimizers import SOLVER as RULES_RESNET
from verification.statements._open_rates import depth_road, grid, rate_roads
from verification.statements._open_report import alignment_table, design_table, draw, rates_table
from verification.statements._open_solver_claims import solvers
from verification.statements._open_solvers import COUNT as SOLVER_COUNT
from verification.statements._open_solvers import DEPTHS as SOLVER_DEPTHS
from verification.statements._open_solvers import HORIZON, WIDTH, design

ID = "open"
TITLE = "Open directions, as far as numbers go"
CLAIM = (
    r"No formula is printed; the slides name five directions. Explicit rates as width and depth grow; solvers guided "
    r"by the alignment of gradients; SGD, momentum and adaptive methods; training beyond the lazy regime; "
    r"Transformers, ResNets and state-space models."
)

TARGETS = np.asarray([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])
"""Two balanced classes, drawn independently of the points."""


def run(config: Config) -> Result:
    X = sphere(TARGETS.size, DIM, seed=config.rng("points"))
    cells, solver, rules = grid(config, X), design(config), followed(config, X, TARGETS)
    scales, model, fed = features(config, X, TARGETS), linear(config, X), driven(config)
    return Result(
        claims=[
            *rate_claims(cells), *solvers(solver), *optimizers(rules), *feature_claims(scales), *models(model, fed),
        ],
        agreements=[
            depth_road(), *rate_roads(config, X), *solver.roads, *rules.roads, pencil(), drift_roads(scales),
            *scales.roads, *model.roads, fed.road, gradient_road(config),
        ],
        experiment=(
            rf"{TARGETS.size} random points of $S^{{63}}$ with targets $\pm 1$, $\sigma = 1$, $T = 1$. Rates: softplus "
            r"networks on a grid of $n$ and $L$. Solvers: both orders of optimising and discretising on one grid, "
            rf"$T = {HORIZON:g}$, $n = {WIDTH}$, for every residual at once. Optimisers (tanh, ResNets of depth 8): "
            rf"{rules.steps} steps of each beside the same rule on the model that is linear in $\theta$, with "
            r"$\eta = 1/(4 \lambda_{\max})$, and for Adam that rate at which the first step moves $u$ by a quarter of "
            rf"$\|u^0 - y\|$. Features (tanh; ResNets again where $n$ grows): {STEPS} steps on $\alpha (f - f^0)$ with "
            r"$\eta / \alpha^2$. These directions are questions of the paper and not statements; the claims are ours, "
            r"and measured on the sizes below."
        ),
        size={
            "N": TARGETS.size, "d": DIM, "n": [int(n) for n in cells.widths], "L": [int(L) for L in cells.depths],
            "networks of each n": len(cells.ode),
            "solvers: n": WIDTH, "solvers: N": SOLVER_COUNT, "solvers: L": list(SOLVER_DEPTHS), "solvers: networks": 2,
            "rules": list(RULES), "rules: n": rules.widths.astype(int), "rules: of each n": rules.apart["gd"].shape[1],
            "rules: L": RULES_RESNET.depth, "steps": rules.steps,
            "features: n": scales.widths.astype(int), "features: of each n": len(scales.lazy[0]),
            "features: L": RESNET.depth, "alpha": [float(alpha) for alpha in scales.alphas],
            "n of all alpha": scales.swept, "networks of all alpha": len(scales.sweep),
            "linear: n": model.widths.astype(int), "linear: of each n": model.error.shape[1],
            "driven: n": fed.widths.astype(int), "driven: of each n": len(fed.ratio), "driven: N": 1, "driven: d": 1,
        },
        figure=draw(cells, solver, rules, scales),
        alt=(
            "Six panels. Error of the kernel of ResNets and Neural ODEs against width: parallel to slope minus one "
            "half, far above the dotted floors of depth one and eight. Distance of the gradients of the loss by the "
            "two orders against that of the gradients of the outputs: on the diagonal early in training, slightly "
            "above late, far below the bound. Distance from the linear model against width: gradient descent, momentum "
            "and SGD along slope minus one, Adam above them and flatter. Movement of the kernel against the scale of "
            "the output: along slope minus one for large scales, below the line near one. The same against width: "
            "falling with slope minus one at scale one, flat at the scale of the mean field. Alignment with the "
            "targets: hardly more than before at scale one, twice as large at the scale of the mean field, at every "
            "width."
        ),
        caption=(
            r"Dashed: predicted slopes. Dotted above left: $K_\infty^L$, the error that is left at $n = \infty$; above "
            r"right: distance one, below which a step descends."
        ),
        tables=[rates_table(cells), design_table(solver), alignment_table(solver)],
        scope="Questions of the paper, answered for the sizes that were run.",
    )  # fmt: skip
