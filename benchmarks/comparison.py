"""One quantity by this package and by its peers: error reached against time taken, in one process, in turns."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

import refimpl
from benchmarks import environment, peers, timing
from benchmarks.accuracy import flat, relative_error
from benchmarks.summary import columns, error, seconds, spread, summary
from refimpl._words import counted

ACTIVATION, HORIZON, DIM, SEED = "softplus", 1.0, 10, 0
SIZES = ((512, 64), (2048, 128))
SMALL = ((64, 8),)
EXPONENTS, FEW = tuple(range(4, 13)), (4, 8, 12)
OURS = {
    "Gauss": lambda rtol: refimpl.Gauss(rtol=rtol),
    "DOP853": lambda rtol: refimpl.SolveIVP(rtol=rtol, atol=rtol / 100),
}
FINE, FINER = refimpl.Gauss(16, 1), refimpl.Gauss(24, 2)
CONFIRMED = 16
"""Rows of X for which scipy's DOP853 confirms the truth: at rtol = 1e-13 it takes no more."""

COMPILING, SHORT = ("diffrax",), 1.0
"""Libraries whose first call compiles, and seconds below which a first call is repeated in any case."""

DOMINATED = 2.0
"""A peer's run that is so many times slower than a run of its library at least as accurate keeps its first time."""


@dataclass(frozen=True)
class Problem:
    """A network at θ, N inputs and targets."""

    net: Any
    theta: Any
    X: Any
    y: Any

    @classmethod
    def draw(cls, width, samples, horizon=HORIZON):
        net = refimpl.NeuralODE(ACTIVATION, horizon)
        X = refimpl.data.sphere(samples, DIM, seed=SEED + 1)
        y = np.random.default_rng(SEED + 2).standard_normal(samples)
        return cls(net, net.init(width, DIM, seed=SEED), X, y)

    def of(self, quantity, solver, rows=None):
        X, y = self.X[:rows], self.y[:rows]
        given = (X, y) if quantity == "gradient" else (X,)
        return getattr(self.net, quantity)(self.theta, *given, solver=solver)

    def by(self, method, quantity):
        """A peer's computation: rtol → answer."""
        given = (self.X, self.y) if quantity == "gradient" else (self.X,)
        return getattr(method.module, quantity)(method, self.net, self.theta, *given)


def truth(problem, quantity):
    """The quantity, and how far the roads to it are apart.

    Raises
    ------
    AccuracyError
        They differ by more than 1e-12.
    """
    value, coarser = (flat(problem.of(quantity, solver)) for solver in (FINER, FINE))
    part, other = (
        flat(problem.of(quantity, solver, CONFIRMED)) for solver in (FINER, refimpl.SolveIVP(rtol=1e-13, atol=1e-15))
    )
    roads = {
        "value": repr(FINER),
        "disagreement": relative_error(coarser, value),
        "other": repr(FINE),
        "confirmed": relative_error(other, part),
        "by": f"SolveIVP(rtol=1e-13) on the first {min(CONFIRMED, len(problem.X))} inputs",
    }
    if not max(roads["disagreement"], roads["confirmed"]) < 1e-12:
        raise refimpl.AccuracyError(f"the roads to the {quantity} differ: {roads}")
    return value, roads


def climb(library, solver, compute, value, exponents, limit, say):
    """Runs of one method, a tolerance after the other, until a call takes longer than `limit` seconds."""
    runs = []
    for k, exponent in enumerate(exponents):
        rtol = float(f"1e-{exponent}")
        run = {"library": library, "solver": solver, "rtol": rtol, "error": None, "message": ""}
        runs.append(run)
        try:
            answer, run["first"] = timing.once(partial(compute, rtol))
            if k == 0 and (library in COMPILING or run["first"] < SHORT):
                answer, run["first"] = timing.once(partial(compute, rtol))
            run["error"] = relative_error(flat(answer), value)
        except Exception as failure:  # what a library refuses, or has no memory for, is a result of this comparison
            run["message"] = f"{type(failure).__name__}: {str(failure).partition(chr(10))[0]}"[:200]
            break
        if run["first"] > limit and k + 1 < len(exponents):
            run["message"] = f"further tolerances are left out: a call takes over {limit:g} s"
            break
    say(f"  {library} {solver}: " + ", ".join(f"{r['rtol']:.0e} {error(r['error'])} {r['message']}" for r in runs))
    return runs


def dominated(run, runs):
    """Whether another run of the same peer is at least as accurate and far quicker."""
    return run["library"] != "refimpl" and any(
        other["library"] == run["library"]
        and other["error"] <= run["error"]
        and DOMINATED * other["first"] < run["first"]
        for other in runs
    )


def compare(quantity, size, exponents, methods, plan, say):
    """All runs for one size: error, and time as a `summary`; and the time of one product (n, n) by (n, N)."""
    width, samples = size
    say(f"{quantity}, n = {width}, N = {samples}")
    problem = Problem.draw(width, samples)
    value, roads = truth(problem, quantity)
    say(f"  truth: two Gauss schemes differ by {roads['disagreement']:.0e}, {roads['by']} by {roads['confirmed']:.0e}")
    computations = {
        ("refimpl", name): lambda rtol, make=make: problem.of(quantity, make(rtol)) for name, make in OURS.items()
    }
    runs = []
    for method in methods:
        computations[method.library, f"{method.solver} {method.adjoint}"] = problem.by(method, quantity)
    for (library, solver), compute in computations.items():
        runs += climb(library, solver, compute, value, exponents, plan.limit, say)
    timed = [run for run in runs if run["error"] is not None and np.isfinite(run["error"])]
    again = [run for run in timed if not dominated(run, timed)]
    state = np.asarray(np.random.default_rng(SEED).standard_normal((width, samples)))
    product = partial(np.matmul, problem.theta.W, state)
    product()
    say(f"  {counted(plan.turns, 'turn')} of {counted(len(again), 'computation')}")
    calls = [partial(computations[run["library"], run["solver"]], run["rtol"]) for run in again]
    *samples_of, of_product = timing.in_turns([*calls, product], plan)
    for run, found in zip(again, samples_of, strict=True):
        run["seconds"] = summary(found)
    for run in timed:
        run.setdefault("seconds", summary([run["first"]]))
    found = {"width": width, "samples": samples, "truth": roads, "product": summary(of_product), "runs": runs}
    if quantity == "ntk":
        bytes_held = timing.peak_memory(partial(computations["refimpl", "Gauss"], 1e-10))
        found["memory"] = {"peak": bytes_held, "jacobian": 8 * samples * width**2, "solver": "Gauss(rtol=1e-10)"}
    return found


def run(quantity, given, plan, say, candidates=peers.METHODS):
    """All sizes of the arguments `given`, with what is needed to judge the numbers."""
    found, absent = peers.installed(given.peers, say)
    surroundings = environment.environment()
    sizes = given.sizes or (SMALL if given.quick else SIZES)
    exponents = given.rtol or (FEW if given.quick else EXPONENTS)
    methods = [method for method in candidates if method.library in found]
    problems = [compare(quantity, size, exponents, methods, plan, say) for size in sizes]
    return {
        "command": quantity,
        "environment": surroundings,
        "network": network(),
        "measured": "wall clock without compilation, in turns; error in the 2-norm over all entries, relative",
        "absent": absent,
        "problems": problems,
    }


def network():
    """What the problems of all commands have in common."""
    return {"activation": ACTIVATION, "horizon": HORIZON, "dim": DIM, "dtype": "float64", "seed": SEED}


def fastest(problem, target, ours):
    """The quickest run of this package, or of the peers, whose error is at most `target`; None if none reaches it."""
    reached = [
        run
        for run in problem["runs"]
        if (run["library"] == "refimpl") == ours
        and "seconds" in run
        and run["error"] + problem["truth"]["disagreement"] <= target
    ]
    return min(reached, key=lambda run: run["seconds"]["median"], default=None)


def extent(problems):
    """What was compared, as a line: "fastest" is over these tolerances and libraries."""
    runs = [run for problem in problems for run in problem["runs"]]
    libraries = ", ".join(dict.fromkeys(run["library"] for run in runs))
    tolerances = ", ".join(f"{rtol:.0e}" for rtol in sorted({run["rtol"] for run in runs}, reverse=True))
    turns = max((len(run["seconds"]["samples"]) for run in runs if "seconds" in run), default=0)
    return f"{libraries}; rtol {tolerances}; at most {counted(turns, 'turn')}"


def head(results):
    """Lines above a table."""
    network = results["network"]
    left_out = [f"left out: {library} ({why})" for library, why in results["absent"].items()]
    return [
        *environment.described(results["environment"]),
        f"{network['activation']}, T = {network['horizon']:g}, d = {network['dim']}, {network['dtype']}; "
        "median and quartiles, without compilation",
        *([extent(results["problems"])] if "problems" in results else []),
        *left_out,
    ]


def table(results, symbol, targets, verdicts):
    """The quickest runs for every size, and under them the lines that `verdicts` makes of a problem."""
    lines = head(results)
    for problem in results["problems"]:
        lines += ["", f"{symbol}, {title(problem)}", *rows(problem, targets), *stopped(problem), *verdicts(problem)]
    return "\n".join(lines)


def stopped(problem):
    """Lines for the methods that have answers for fewer tolerances than others: a call took too long, or failed."""
    answered = {}
    for run in problem["runs"]:
        tolerances = answered.setdefault((run["library"], run["solver"]), [])
        tolerances += [] if run["error"] is None else [run["rtol"]]
    most, alike = max(map(len, answered.values()), default=0), {}
    for name, tolerances in answered.items():
        if len(tolerances) < most:
            alike.setdefault(tuple(sorted(tolerances, reverse=True)), []).append(" ".join(name))
    lines = []
    for tolerances, names in alike.items():
        where = f"rtol {', '.join(f'{rtol:.0e}' for rtol in tolerances)} only" if tolerances else "no rtol"
        lines.append(f"at {where}: {', '.join(names)}")
    return lines


def rows(problem, targets):
    """Lines of the quickest runs: for each target of the error, of each library."""
    libraries = dict.fromkeys(run["library"] for run in problem["runs"])
    cells = [("error at most", "by", "error", "time", "÷ ours")]
    for target in targets:
        ours = fastest(problem, target, ours=True)
        for library in libraries:
            part = {**problem, "runs": [run for run in problem["runs"] if run["library"] == library]}
            best = fastest(part, target, ours=library == "refimpl")
            if best is None:
                cells.append((f"{target:.0e}", library, "", "not reached", ""))
                continue
            ratio = "" if ours is None else f"{best['seconds']['median'] / ours['seconds']['median']:.2f}"
            name = f"{library} {best['solver']}, rtol {best['rtol']:.0e}"
            cells.append((f"{target:.0e}", name, error(best["error"]), spread(best["seconds"]), ratio))
    return columns(cells)


def ratio(problem, target):
    """Time of the fastest peer over ours, both with an error of at most `target`; None if one is missing."""
    ours, peer = fastest(problem, target, ours=True), fastest(problem, target, ours=False)
    return None if ours is None or peer is None else peer["seconds"]["median"] / ours["seconds"]["median"]


def aim(problem, text):
    """What is aimed at, behind a number of a size for which it is."""
    return f" (aim: {text})" if (problem["width"], problem["samples"]) in SIZES else ""


def title(problem):
    product = seconds(problem["product"]["median"])
    return f"n = {problem['width']}, N = {problem['samples']} (one product (n, n) × (n, N): {product})"
