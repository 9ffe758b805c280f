"""``python -m benchmarks ntk``: the tangent kernel K_θ of N inputs, error against time, and the memory it takes."""

from benchmarks import comparison, peers
from benchmarks.summary import size

NAME = "ntk"
TARGETS = (1e-6, 1e-10)
# Each row of the Jacobian is a gradient, for which backward solves are no quicker; under vmap those of diffrax take ten
# times as long as its checkpoints and more.
METHODS = [
    method
    for method in peers.METHODS
    if method.adjoint not in ("adjoint", "backsolve") and method.name != "torchode dopri5 backprop"
]


def measure(given, plan, say):
    results = comparison.run(NAME, given, plan, say, METHODS)
    for problem in results["problems"]:
        problem["judged"] = {"peer_over_ours": comparison.ratio(problem, 1e-10)}
    return results


def table(results):
    return comparison.table(results, "K_θ", TARGETS, verdicts)


def verdicts(problem):
    found, memory = problem["judged"]["peer_over_ours"], problem["memory"]
    peak, jacobian = memory["peak"], memory["jacobian"]
    return [
        f"error ≤ 1e-10: fastest peer / ours = {'—' if found is None else f'{found:.2f}'}"
        + comparison.aim(problem, "at least 10"),
        f"peak memory of ours, {memory['solver']}: {size(peak)}, {peak / jacobian:.3f} of the {size(jacobian)} "
        "of the N × n² Jacobian" + comparison.aim(problem, "at most 0.1"),
    ]
