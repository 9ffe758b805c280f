"""``python -m benchmarks limit``: K_∞ and K_∞^L, the time of a Gram matrix and of the curve, and the error reached."""

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np

import refimpl
from benchmarks import comparison, environment, timing
from benchmarks.summary import columns, error, exponent, power, spread, summary
from refimpl.infinite.power_series import power_series

DIM, SEED, SUBSET, PAIRS, COEFFICIENTS = 10, 0, 10, 2, 24


@dataclass(frozen=True)
class Sizes:
    """Numbers of inputs and of layers; pairs that the multiprecision oracle is asked for, some seconds each."""

    sphere: int = 5000
    norms: int = 1000
    depths: tuple = (125, 250, 500, 1000)
    pairs: int = PAIRS


SMALL = Sizes(sphere=60, norms=5, depths=(4, 8, 16), pairs=0)


@dataclass(frozen=True)
class Case:
    """A computation; `checks` gives, for its answer, errors relative to √(K(x, x) K(x̄, x̄)) and whose word they are."""

    name: str
    compute: Callable[[], Any]
    checks: Callable[[Any], list]
    aim: dict = field(default_factory=dict)


def inputs(count, spread=1.0):
    """Points whose norms lie between spread^(−1/2) and spread^(1/2)."""
    radii = spread ** np.random.default_rng(SEED).uniform(-0.5, 0.5, count)
    return refimpl.data.sphere(count, DIM, seed=SEED) * radii[:, None]


def cases(sizes):
    softplus, relu = refimpl.NeuralODE("softplus"), refimpl.NeuralODE("relu")
    X, Z = inputs(sizes.sphere), inputs(sizes.norms, spread=3.0)
    found = [
        Case("curve with coefficients", lambda: softplus.limit().on_sphere(),
             lambda curve: curve_checks(softplus, curve, X, sizes.pairs), {"seconds": 0.2, "error": 1e-12}),
        Case(f"{COEFFICIENTS} coefficients of the power series", lambda: power_series(softplus, 1.0, COEFFICIENTS),
             lambda series: [{"by": "its own estimate, relative to each", "error": series.error}]),
        gram("softplus, sphere", softplus, X, sizes.pairs, 2.0 if sizes.sphere == Sizes.sphere else None, 1e-12),
        gram("softplus, norms a factor 3 apart", softplus, Z, sizes.pairs,
             5.0 if sizes.norms == Sizes.norms else None, 1e-10),
        gram("relu, sphere", relu, X, sizes.pairs, 4.0 if sizes.sphere == Sizes.sphere else None, 1e-9),
    ]  # fmt: skip
    return found + [depth_case(softplus, L, inputs(4)) for L in sizes.depths]


def gram(name, net, X, pairs, seconds, error):
    """A Gram matrix, with the seconds and the error aimed at."""
    aim = {"seconds": seconds, "error": error}
    return Case(f"{name}, N = {len(X)}", lambda: net.limit().ntk(X), lambda K: gram_checks(net, K, X, pairs), aim)


def depth_case(net, L, X):
    """K_∞^L of four inputs; checked for φ = identity, where there is a closed form."""

    def checks(_):
        K = refimpl.NeuralODE("identity", net.horizon).limit(refimpl.Euler(L)).ntk(X)
        known = linear_resnet(L, net.horizon) * (X @ X.T)
        return [{"by": "the closed form, for φ = identity", "error": relative(K, known, np.diagonal(known))}]

    return Case(f"softplus, {L} layers, N = {len(X)}", lambda: net.limit(refimpl.Euler(L)).ntk(X), checks)


def linear_resnet(L, horizon):
    """K_∞^L/q of φ = identity: Σ_k (2 + k) C(L, k)² z^{2k} with z = σ_w T/L, in rational numbers."""
    square = (Fraction(horizon) / L) ** 2
    return float(sum((2 + k) * math.comb(L, k) ** 2 * square**k for k in range(min(L, 40) + 1)))


# --- errors ---------------------------------------------------------------------------------------------------------


def relative(values, truth, diagonal):
    """Largest error of a block of the Gram matrix, relative to the root of the diagonal's entries."""
    return float(np.max(np.abs(values - truth) / np.sqrt(np.outer(diagonal, diagonal))))


def chosen(count):
    """Rows at which the whole Gram matrix is compared: in a random order, of which the oracle takes the first pairs."""
    return np.random.default_rng(SEED + 1).permutation(count)[:SUBSET]


def gram_checks(net, K, X, pairs):
    rows = chosen(len(X))
    return block_checks(net, K[np.ix_(rows, rows)], X[rows], pairs)


def curve_checks(net, curve, X, pairs):
    rows = X[chosen(len(X))]
    values = curve(np.clip(rows @ rows.T, -1.0, 1.0))
    return block_checks(net, values, rows, pairs)


def block_checks(net, K, X, pairs):
    known = refimpl.reference(net, "limit_ntk", X, rtol=1e-8 if net.phi.kinks else 1e-12)
    found = {"by": f"refimpl.reference, {len(X)} inputs", "error": relative(K, known.value, np.diagonal(known.value))}
    checks = [found | {"uncertainty": known.error / float(np.diagonal(known.value).min())}]
    if pairs and importlib.util.find_spec("mpmath"):
        apart = [
            abs(K[2 * k, 2 * k + 1] - oracle(net.phi.name, *products(X[2 * k], X[2 * k + 1])))
            / math.sqrt(K[2 * k, 2 * k] * K[2 * k + 1, 2 * k + 1])
            for k in range(pairs)
        ]
        checks.append({"by": f"the multiprecision oracle, {pairs} pairs", "error": float(max(apart))})
    return checks


def products(x, other):
    """x·x, x·x̄, x̄·x̄; of unit vectors those that they have without rounding."""
    found = float(x @ x), float(x @ other), float(other @ other)
    return (1.0, found[1], 1.0) if max(abs(found[0] - 1), abs(found[2] - 1)) < 1e-14 else found


@cache
def oracle(activation, *inner):
    """K_∞ for T = 1 and all σ = 1."""
    from mpmath import MPContext

    from refimpl.oracle.limit import limit

    context = MPContext()
    context.dps = 40
    one = context.one
    return float(limit(context, activation, one, (one, one, one), tuple(map(context.mpf, inner))).ntk)


def extrapolated(values, sizes):
    """Limit L → ∞ of values with an expansion in powers of 1/L: Aitken and Neville."""
    column = list(values)
    for order in range(1, len(column)):
        column = [
            (sizes[i + order] * column[i + 1] - sizes[i] * column[i]) / (sizes[i + order] - sizes[i])
            for i in range(len(column) - 1)
        ]
    return column[0]


# --- the command ----------------------------------------------------------------------------------------------------


def measure(given, plan, say):
    wanted = {name: getattr(given, name) for name in ("sphere", "norms", "depths") if getattr(given, name)}
    sizes = replace(SMALL if given.quick else Sizes(), **wanted)
    surroundings = environment.environment()
    found = cases(sizes)
    measured, answers = [], []
    for case in found:
        answer, first = timing.once(case.compute)
        checks = case.checks(answer)
        measured.append({"name": case.name, "first": first, "checks": checks, "aim": case.aim})
        answers.append(answer)
        said = ", ".join(f"{error(check['error'])} by {check['by']}" for check in checks)
        say(f"  {case.name}: {first:.2f} s at first, error {said}")
    again = [k for k, row in enumerate(measured) if row["first"] <= plan.limit]  # a longer one is not repeated
    for k, samples in zip(again, timing.in_turns([found[k].compute for k in again], plan), strict=True):
        measured[k]["seconds"] = summary(samples)
    for row in measured:
        row.setdefault("seconds", summary([row["first"]]))
    return {
        "command": "limit",
        "environment": surroundings,
        "network": comparison.network() | {"activation": "softplus and relu"},
        "measured": "wall clock in turns, the solve included; errors relative to √(K(x, x) K(x̄, x̄))",
        "absent": {},
        "cases": measured,
        "depth": depth(sizes.depths, measured[-len(sizes.depths) :], answers[-len(sizes.depths) :]),
    }


def depth(depths, rows, answers):
    """How the time grows with L, and K_∞^L continued to L → ∞ against K_∞."""
    X = inputs(4)
    known = refimpl.reference(refimpl.NeuralODE("softplus"), "limit_ntk", X).value
    limit = extrapolated(answers, depths)
    return {
        "exponent": exponent(depths, [row["seconds"]["median"] for row in rows]),
        "extrapolated": relative(limit, known, np.diagonal(known)),
    }


def table(results):
    cells = [("", "time", "aim", "the first time", "error", "aim")]
    notes = []
    for row in results["cases"]:
        aim = row["aim"]
        cells.append((
            row["name"], spread(row["seconds"]), f"{aim['seconds']:g} s" if aim.get("seconds") else "",
            f"{row['first']:.3g} s",
            error(max(check["error"] for check in row["checks"])), error(aim["error"]) if aim else "",
        ))  # fmt: skip
        notes += [check["by"] for check in row["checks"]]
    found = results["depth"]
    return "\n".join([
        *comparison.head(results),
        "",
        *columns(cells),
        f"errors are the largest by {'; '.join(dict.fromkeys(notes))}",
        f"time of K_∞^L grows like L to the power {power(found['exponent'])} (aim: at most 2); "
        f"continued to L → ∞ it is K_∞ to {error(found['extrapolated'])}",
    ])  # fmt: skip
