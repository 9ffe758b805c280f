"""``python -m benchmarks growth``: ∇L and K_θ against n, N, T and digits: time, memory, exponents."""

from functools import partial

import refimpl
from benchmarks import comparison, environment, timing
from benchmarks.summary import columns, exponent, power, seconds, size, summary

BASE = {"width": 256, "samples": 32, "horizon": 1.0, "digits": 8}
SERIES = {
    "width": (128, 256, 512, 1024),
    "samples": (16, 32, 64, 128),
    "horizon": (0.5, 1.0, 2.0, 4.0),
    "digits": (3, 6, 9, 12),
}
SMALL = {"width": (16, 32), "samples": (4, 8), "horizon": (0.5, 1.0), "digits": (4, 8)}
SMALL_BASE = {**BASE, "width": 16, "samples": 4}
QUANTITIES = ("gradient", "ntk")
SYMBOLS = {"width": "n", "samples": "N", "horizon": "T", "digits": "digits"}
LABELS = {"gradient": "∇L", "ntk": "K_θ"}


def computation(quantity, width, samples, horizon, digits):
    problem = comparison.Problem.draw(width, samples, horizon)
    return partial(problem.of, quantity, refimpl.Gauss(rtol=float(f"1e-{digits}")))


def measure(given, plan, say):
    return results_of(SMALL if given.quick else SERIES, SMALL_BASE if given.quick else BASE, plan, say)


def results_of(series, base, plan, say):
    surroundings = environment.environment()
    points = [
        {"quantity": quantity, "against": name, "at": value, "setting": {**base, name: value}}
        for quantity in QUANTITIES
        for name, values in series.items()
        for value in values
    ]
    computations = [computation(point["quantity"], **point["setting"]) for point in points]
    for point, compute in zip(points, computations, strict=True):
        compute()
        point["memory"] = timing.peak_memory(compute)
        say(f"  {LABELS[point['quantity']]}, {SYMBOLS[point['against']]} = {point['at']}: {size(point['memory'])}")
    for point, samples in zip(points, timing.in_turns(computations, plan), strict=True):
        point["seconds"] = summary(samples)
    return {
        "command": "growth",
        "environment": surroundings,
        "network": comparison.network(),
        "measured": "Gauss(rtol=10^-digits): wall clock in turns; peak memory as tracemalloc sees it, in another run",
        "absent": {},
        "base": dict(base),
        "points": points,
        "exponents": [fits(points, quantity, name) for quantity in QUANTITIES for name in series],
    }


def chosen(points, quantity, name):
    return [point for point in points if (point["quantity"], point["against"]) == (quantity, name)]


def fits(points, quantity, name):
    """Exponents p of time and memory ∼ (what is varied)ᵖ, each with its standard error."""
    series = chosen(points, quantity, name)
    at = [point["at"] for point in series]
    return {
        "quantity": quantity,
        "against": name,
        "time": exponent(at, [point["seconds"]["median"] for point in series]),
        "memory": exponent(at, [point["memory"] for point in series]),
    }


def table(results):
    cells = [("", "from", "to", "time", "exponent", "memory", "exponent")]
    for fit in results["exponents"]:
        first, *_, last = chosen(results["points"], fit["quantity"], fit["against"])
        cells.append((
            f"{LABELS[fit['quantity']]} against {SYMBOLS[fit['against']]}", f"{first['at']:g}", f"{last['at']:g}",
            f"{seconds(first['seconds']['median'])} to {seconds(last['seconds']['median'])}", power(fit["time"]),
            f"{size(first['memory'])} to {size(last['memory'])}", power(fit["memory"]),
        ))  # fmt: skip
    base = ", ".join(f"{SYMBOLS[name]} = {value:g}" for name, value in results["base"].items())
    return "\n".join([*comparison.head(results), "", f"Gauss, one varied at a time from {base}", *columns(cells)])
