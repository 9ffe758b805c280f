"""``python -m benchmarks profile``: what ∇L spends its time on."""

import cProfile
import pstats
from pathlib import Path

import refimpl
from benchmarks import comparison, environment
from benchmarks.summary import columns

SIZES, RTOL = ((512, 64), (1024, 64), (2048, 128)), 1e-6
PACKAGE = Path(refimpl.__file__).parent
PRODUCTS, SUMS, PHI, ESTIMATE, REST = GROUPS = (
    "products with W", "sums over nodes", "φ and φ'", "error bound, beside these", "all else",
)  # fmt: skip
FUNCTIONS = {
    ("rows.py", "times"): PRODUCTS, ("product.py", "_add_in_single"): PRODUCTS,
    ("contraction.py", "gradient"): PRODUCTS, ("sweep.py", "root_of_squares"): PRODUCTS,
    ("forward.py", "combine"): SUMS,
}  # fmt: skip
FILES = {"_elementary.py": PHI, "activations.py": PHI, "defect.py": ESTIMATE, "probe.py": ESTIMATE}
BOUND = {("defect.py", name) for name in ("of_forward", "error_forward", "error_backward")}
DEPTH = 8
"""Callers of callers that are asked for what a function outside the package was called for; beyond it is "all else"."""


def measure(given, plan, say):
    surroundings, sizes = environment.environment(), []
    for width, samples in given.sizes or (comparison.SMALL if given.quick else SIZES):
        problem, solver = comparison.Problem.draw(width, samples), refimpl.Gauss(rtol=RTOL)
        problem.of("gradient", solver)
        with cProfile.Profile() as profile:
            for _ in range(plan.turns):
                problem.of("gradient", solver)
        say(f"profile, n = {width}, N = {samples}")
        sizes.append({"width": width, "samples": samples, **shares(pstats.Stats(profile).stats)})
    return {
        "command": "profile",
        "environment": surroundings,
        "network": comparison.network(),
        "measured": f"cProfile, {plan.turns} times ∇L by Gauss(rtol={RTOL:g})",
        "sizes": sizes,
    }


def shares(stats):
    """Parts of the time of each group, and of all that finds the error bound, its products included."""
    total, groups = sum(entry[2] for entry in stats.values()), {}
    for function, (_, _, own, _, _) in stats.items():
        for name, part in blamed(stats, function, own / total).items():
            groups[name] = groups.get(name, 0.0) + part
    bound = sum(entry[3] for function, entry in stats.items() if named(function) in BOUND)
    return {"groups": groups, "bound": bound / total}


def blamed(stats, function, part, depth=DEPTH):
    """`part` of the time by groups: of functions of this package their own, of others those that called them."""
    if PACKAGE in Path(function[0]).parents:
        return {group(function): part}
    callers = stats[function][4] if function in stats else {}
    times = {caller: entry[3] for caller, entry in callers.items()}
    if not depth or not sum(times.values()):
        return {REST: part}
    found = {}
    for caller, time in times.items():
        for name, share in blamed(stats, caller, part * time / sum(times.values()), depth - 1).items():
            found[name] = found.get(name, 0.0) + share
    return found


def named(function):
    """File and name of a function as cProfile has it."""
    return Path(function[0]).name, function[2]


def group(function):
    file, _ = named(function)
    return FUNCTIONS.get(named(function), FILES.get(file, REST))


def table(results):
    network, sizes = results["network"], results["sizes"]
    cells = [("part of the time", *(f"n = {each['width']}, N = {each['samples']}" for each in sizes))]
    cells += [(name, *(percent(each["groups"].get(name, 0.0)) for each in sizes)) for name in GROUPS]
    cells.append(("error bound, all of it", *(percent(each["bound"]) for each in sizes)))
    return "\n".join([
        *environment.described(results["environment"]),
        f"{network['activation']}, T = {network['horizon']:g}, d = {network['dim']}, {network['dtype']}; "
        f"{results['measured']}",
        "",
        *columns(cells),
    ])  # fmt: skip


def percent(share):
    return f"{100 * share:.0f} %"
