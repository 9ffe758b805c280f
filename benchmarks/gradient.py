"""``python -m benchmarks gradient``: ∇L of the squared loss (2), error against time."""

from functools import partial

from benchmarks import comparison
from benchmarks.summary import seconds

NAME = "gradient"
TARGETS = (1e-6, 1e-9, 1e-12)
FLOOR_NODES, FLOOR_PRODUCTS = 12, 3
"""A scheme of 12 nodes has one product a node for h, one for λ and one for ∂f/∂W at least."""


def measure(given, plan, say):
    results = comparison.run(NAME, given, plan, say)
    for problem in results["problems"]:
        problem["judged"] = judged(problem)
    return results


def judged(problem):
    """What was aimed at: the ratio to the fastest peer, to the floor, and the price of three more digits."""
    usual, tight = (comparison.fastest(problem, target, ours=True) for target in (1e-9, 1e-12))
    floor = FLOOR_NODES * FLOOR_PRODUCTS * problem["product"]["median"]

    def over(run, reference):
        return None if run is None or reference is None else run["seconds"]["median"] / reference

    return {
        "peer_over_ours": comparison.ratio(problem, 1e-9),
        "floor_seconds": floor,
        "ours_over_floor": over(usual, floor),
        "tight_over_usual": over(tight, usual and usual["seconds"]["median"]),
    }


def table(results):
    return comparison.table(results, "∇L", TARGETS, verdicts)


def verdicts(problem):
    found = problem["judged"]
    values = {name: "—" if value is None else f"{value:.2f}" for name, value in found.items()}
    aim = partial(comparison.aim, problem)
    return [
        f"error ≤ 1e-9: fastest peer / ours = {values['peer_over_ours']}{aim('at least 2')}",
        f"ours / floor of {FLOOR_NODES} nodes × {FLOOR_PRODUCTS} products ({seconds(found['floor_seconds'])}) = "
        f"{values['ours_over_floor']}{aim('at most 4, at n = 2048')}",
        f"ours at 1e-12 / ours at 1e-9 = {values['tight_over_usual']}{aim('at most 1.6')}",
    ]
