"""``python -m benchmarks train``: gradient descent, the time of a step, against loops written by hand for the peers."""

from collections import deque
from functools import partial

import numpy as np

import refimpl
from benchmarks import comparison, environment, peers, timing
from benchmarks.accuracy import flat, relative_error
from benchmarks.summary import columns, error, spread, summary

SIZE, STEPS, TARGET = (1024, 64), 10, 1e-8
EXPONENTS = range(4, 11)
"""Of the tolerances that a method may have: it gets the first with which its gradients are right to TARGET."""

AIMS = {"diffrax": 2, "torchdiffeq": 5}
SMALL, FEW = (32, 8), 3
WANTED = ("diffrax Dopri8 checkpoints", "diffrax Tsit5 backsolve", "torchdiffeq dopri8 backprop",
          "torchdiffeq dopri5 backprop")  # fmt: skip


def ours(problem, lr, rtol):
    """The same function of the number of steps as a peer's `descent`: losses, last θ and the one before."""

    def run(steps):
        seen = deque(maxlen=2)  # at steps K − 1 and K
        history = refimpl.train(
            problem.net, problem.theta, problem.X, problem.y, lr=lr, steps=steps, solver=refimpl.Gauss(rtol=rtol),
            callback=lambda step: seen.append(step.theta),
        )  # fmt: skip
        return history.loss[:-1].tolist(), history.theta, seen[0]

    return run


def last_gradient(before, last, lr):
    """(θ^{K−1} − θ^K)/η. The subtraction loses eps ‖θ‖/(η ‖∇L‖) relatively."""
    return (flat(blocks(before)) - flat(blocks(last))) / lr


def measure(given, plan, say):
    size, steps = given.size or (SMALL if given.quick else SIZE), given.steps or (FEW if given.quick else STEPS)
    found, absent = peers.installed(given.peers, say)
    surroundings = environment.environment()
    problem = comparison.Problem.draw(*size)
    lr = 1 / float(np.linalg.eigvalsh(problem.net.ntk(problem.theta, problem.X, solver=refimpl.Gauss(8, 1)))[-1])
    makers = {("refimpl", "Gauss"): partial(ours, problem, lr)}
    for method in peers.METHODS:
        if method.library in found and method.name in WANTED:
            given_to_all = method, problem.net, problem.theta, problem.X, problem.y, lr
            makers[method.library, f"{method.solver} {method.adjoint}"] = partial(method.module.descent, *given_to_all)
    chosen = [choose(library, solver, make, problem, lr, steps, say) for (library, solver), make in makers.items()]
    runs = [found for found, _ in chosen]
    for found, samples in zip(runs, timing.in_turns([partial(loop, steps) for _, loop in chosen], plan), strict=True):
        found["seconds"] = summary([sample / steps for sample in samples])
        found["loss_difference"] = relative_error(np.asarray(found["loss"]), np.asarray(runs[0]["loss"]))
    return {
        "command": "train",
        "environment": surroundings,
        "network": comparison.network(),
        "measured": "wall clock of a run over its number of steps, without compilation, in turns",
        "absent": absent,
        "width": size[0],
        "samples": size[1],
        "steps": steps,
        "target": TARGET,
        "lr": lr,
        "runs": runs,
        "judged": judged(runs),
    }


def choose(library, solver, make, problem, lr, steps, say):
    """The run with the loosest tolerance of which the first and the last gradient are right to TARGET, and its loop."""
    for exponent in EXPONENTS:
        loop = make(10.0**-exponent)
        found = {"library": library, "solver": solver, "rtol": 10.0**-exponent, **check(loop, problem, lr, steps)}
        say(f"  {library} {solver}, rtol 1e-{exponent:02}: loss {found['loss'][0]:.6g} to {found['loss'][-1]:.6g}, "
            f"error of the first and last gradient at most {error(found['error'])}")  # fmt: skip
        if found["error"] <= TARGET:
            break
    return found, loop


def check(loop, problem, lr, steps):
    """One run, which also compiles: its losses, and the larger error of its first and last gradient, each at its θ."""
    reached = []
    for count in (1, steps):
        loss, last, before = loop(count)
        true = flat(problem.net.gradient(refimpl.Params(*blocks(before)), problem.X, problem.y, comparison.FINER))
        reached.append(relative_error(last_gradient(before, last, lr), true))
    return {"loss": loss, "error": max(reached)}


def blocks(theta):
    """U, W and v as arrays of NumPy."""
    parts = (theta.U, theta.W, theta.v) if hasattr(theta, "U") else theta
    return tuple(np.asarray(part.detach() if hasattr(part, "detach") else part) for part in parts)


def judged(runs):
    """Time of a step of each library's quickest run with gradients to `TARGET`, over ours."""
    times = {}
    for found in runs:
        if found["error"] <= TARGET:
            median = found["seconds"]["median"]
            times[found["library"]] = min(median, times.get(found["library"], median))
    ours = times.pop("refimpl", None)
    return {library: time / ours for library, time in times.items()} if ours else {}


def table(results):
    cells = [("by", "a step", "error of gradients", "losses differ by")]
    for found in results["runs"]:
        name = f"{found['library']} {found['solver']}, rtol {error(found['rtol'])}"
        cells.append((name, spread(found["seconds"]), error(found["error"]), error(found["loss_difference"])))
    aims = AIMS if (results["width"], results["samples"]) == SIZE else {}
    return "\n".join([
        *comparison.head(results),
        "",
        f"n = {results['width']}, N = {results['samples']}, {results['steps']} steps of gradient descent",
        *columns(cells),
        *(f"{library} / ours = {value:.2f}" + (f" (aim: at least {aims[library]})" if library in aims else "")
          for library, value in results["judged"].items()),
    ])  # fmt: skip
