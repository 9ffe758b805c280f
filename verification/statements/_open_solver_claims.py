"""Claims on solver design: which adjoint goes down the loss, how long, and at what cost."""

from __future__ import annotations

from verification import Claim, Verdict
from verification.statements._open_solvers import COUNT, WIDTH, Design


def solvers(found: Design) -> list[Claim]:
    share = max(found.pairings, key=lambda each: each.share)
    grown = max(found.pairings, key=lambda each: each.grown)
    slowest = min(found.pairings, key=lambda each: each.slowest)
    passes = {(cost.solver, cost.adjoint, cost.target): cost.passes for cost in found.costs}
    quotients = {
        (solver, target): passes[solver, "discretise first", target] / work
        for (solver, adjoint, target), work in passes.items()
        if adjoint == "optimise first"
    }
    (solver, target), worst = max(quotients.items(), key=lambda item: item[1])
    return [
        Claim(
            "alignment-late",
            r"The alignment condition must hold to the end of training: an error $\varepsilon$ of $\nabla f$ is one of "
            r"at most $\varepsilon \sqrt{\kappa(K)}$ of $\nabla L$ when what is left of $u - y$ lies in the smallest "
            rf"mode. That is a bound for the worst case; the {len(found.pairings)} solvers here make of $\varepsilon$ "
            rf"{grown.grown:.1f} times as much at most ({grown.label}) where it allows {grown.root_condition:.1f} "
            rf"(measured: largest part of the bound, {share.label}).",
            Verdict.HOLDS if share.share <= 1 else Verdict.FAILS,
            measured=share.share, predicted=r"$\le 1$", uncertainty=1e-9,
        ),
        Claim(
            "alignment-any-targets",
            r"On these random networks optimise-then-discretise descends whatever the targets, from one Euler step on: "
            r"$\langle g, \hat g \rangle > 0$ for every residual (measured: smallest eigenvalue of the symmetric part "
            rf"of $\tilde J J^T$ over that of $J J^T$, {slowest.label}, of {len(found.pairings)}).",
            Verdict.HOLDS_WITH_SCOPE if slowest.slowest > 0 else Verdict.FAILS,
            measured=slowest.slowest, predicted="> 0", uncertainty=1e-9,
            scope=(
                rf"Random networks of width {WIDTH} on {COUNT} digits; a single neuron climbs on one Euler step "
                "(`descent-direction` of the statement on solvers)." if slowest.slowest > 0 else ""
            ),
        ),
        Claim(
            "design",
            r"On this network, for one error of $\nabla L$, the exact gradient of the accepted steps costs less work "
            r"than (3) solved by the same method: no dense output, no quadrature, no second step control (measured: "
            rf"largest quotient of the work, {solver}, error {target:g}).",
            Verdict.HOLDS_WITH_SCOPE if worst < 1 else Verdict.FAILS,
            measured=worst, predicted="< 1",
            scope=(
                "On this network, in passes and products, with every stage kept in memory; (3) needs only $h_t$."
                if worst < 1 else ""
            ),
        ),
    ]  # fmt: skip
