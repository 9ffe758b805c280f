"""Random reference values against the oracle: `python -m tests.certified.campaign --count 2000 --seed 0`.

A round draws a network, which gives one value of each of the five quantities of finite width, and a pair of inputs of
an infinitely wide one, which gives one value of each of the two limits. Every round has a generator of its own, so that
its results depend on the seed and on its number alone.
"""

from __future__ import annotations

import argparse
import math
import os
from collections import defaultdict
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial

import mpmath
import numpy as np

from refimpl import AccuracyError, BlowUpError, Jacobian, NeuralODE, Params
from refimpl.certified import reference
from refimpl.oracle.finite import Problem, ode

FINITE = ("output", "loss", "gradient", "jacobian", "ntk")
LIMIT = ("limit_ntk", "limit_nngp")
ANALYTIC = ("softplus", "sigmoid", "tanh", "erf", "gelu", "silu", "sin", "cos", "identity", "quadratic")
ORACLE = 1e-20
"""Relative error of the oracle at finite width: thirty digits, less ten that it may lose on the way."""

PROMISED = 1e-12
"""The default rtol. A value that misses it is counted, and its error is checked as well."""


@dataclass(frozen=True)
class Outcome:
    """One reference value: its error as stated and in truth, the norm of the truth, and the error of the latter."""

    quantity: str
    stated: float
    true: float
    size: float
    case: str
    oracle: float

    @property
    def violated(self):
        return not self.true <= self.stated + self.oracle

    @property
    def relative(self):
        return self.stated / self.size if self.size else 0.0 if self.stated == 0 else math.inf

    @property
    def ratio(self):
        return self.stated / self.true if self.true else math.inf


# --- truth --------------------------------------------------------------------------------------------------------


def context(digits=30):
    ctx = mpmath.MPContext()
    ctx.dps = digits
    return ctx


def exact(ctx, array):
    """The floats of an array as they are: nested lists of mpf."""
    return [exact(ctx, part) for part in array] if np.ndim(array) else ctx.mpf(float(array))


def answers(ctx, net, theta, X):
    """What the oracle says of every input, in the NTK parameterisation: f and the three blocks of ∇f."""
    root = ctx.sqrt(len(theta.v))
    scale_u, scale_w, scale_v = ctx.mpf(net.sigma_u), ctx.mpf(net.sigma_w) / root, ctx.mpf(net.sigma_v) / root
    W = [[scale_w * w for w in row] for row in exact(ctx, theta.W)]
    v = [scale_v * z for z in exact(ctx, theta.v)]
    found = []
    for x in exact(ctx, X):
        h0 = [scale_u * ctx.fdot(row, x) for row in exact(ctx, theta.U)]
        answer = ode(Problem(ctx, net.phi.name, W, v, h0), ctx.mpf(net.horizon), 25)
        blocks = (
            [scale_u * a * z for a in answer.adjoint for z in x],
            [scale_w * g for row in answer.weights for g in row],
            [scale_v * z for z in answer.phi],
        )
        found.append((answer.output, blocks))
    return found


def truth(ctx, quantity, found, found2, y):
    """All entries of a quantity, in the order of `entries`."""
    outputs = [output for output, _ in found]
    residuals = None if y is None else [f - t for f, t in zip(outputs, exact(ctx, y), strict=True)]
    if quantity == "output":
        return outputs
    if quantity == "loss":
        return [ctx.fsum(r * r for r in residuals) / 2]
    if quantity == "jacobian":
        return [z for k in range(3) for _, blocks in found for z in blocks[k]]
    if quantity == "gradient":
        return [ctx.fdot(residuals, z) for k in range(3) for z in zip(*(b[k] for _, b in found), strict=True)]
    return [ctx.fsum(ctx.fdot(a, b) for a, b in zip(one, two, strict=True)) for _, one in found for _, two in found2]


def entries(value):
    if isinstance(value, Params | Jacobian):
        return [z for block in (value.U, value.W, value.v) for z in np.ravel(block)]
    return list(np.ravel(value))


def distance(ctx, value, expected):
    """‖value − expected‖ and ‖expected‖."""
    given = exact(ctx, entries(value))
    apart = ctx.sqrt(ctx.fsum((a - b) ** 2 for a, b in zip(given, expected, strict=True)))
    return float(apart), float(ctx.sqrt(ctx.fsum(b * b for b in expected)))


# --- cases --------------------------------------------------------------------------------------------------------


def draw_settings(rng):
    sigmas = dict(zip(("sigma_u", "sigma_w", "sigma_v"), rng.uniform(0.5, 1.6, 3), strict=True))
    return NeuralODE(str(rng.choice(ANALYTIC)), horizon=float(rng.uniform(0.05, 3)), **sigmas)


def draw_inputs(rng, count, d):
    X = rng.normal(size=(count, d))
    X /= np.linalg.norm(X, axis=1, keepdims=True)
    kind = rng.integers(8)
    if kind == 0:
        X[0] = 0
    elif kind == 1:
        X *= rng.uniform(0.1, 3, (count, 1))
    elif kind == 2 and count > 1:
        X[1] = rng.choice([-1, 1, 0.5]) * X[0]
    return X


def finite_round(rng):
    """A network that does not blow up, and everything that can be asked of it."""
    while True:
        net, n, d = draw_settings(rng), int(rng.integers(1, 13)), int(rng.integers(1, 5))
        X = draw_inputs(rng, int(rng.integers(1, 4)), d)
        X2 = draw_inputs(rng, int(rng.integers(1, 3)), d) if rng.integers(3) == 0 else None
        theta = Params(rng.normal(size=(n, d)), rng.normal(size=(n, n)), rng.normal(size=n))
        y = rng.normal(size=len(X))
        ctx = context()
        try:
            found = answers(ctx, net, theta, X)
            found2 = found if X2 is None else answers(ctx, net, theta, X2)
        except BlowUpError:
            continue
        if rng.integers(8) == 0:
            y = np.asarray([float(output) for output, _ in found]) * (1 + 1e-6 * y)  # nearly interpolated
        break
    case = f"{net.phi.name} T={net.horizon:.3g} n={n} N={len(X)}"
    outcomes = []
    for quantity in FINITE:
        more = {"y": y} if quantity in ("loss", "gradient") else {"X2": X2} if quantity == "ntk" else {}
        answer = attempt(net, quantity, X, theta=theta, **more)
        expected = truth(ctx, quantity, found, found2, more.get("y"))
        true, size = distance(ctx, answer.value, expected)
        outcomes.append(Outcome(quantity, answer.error, true, size, case, ORACLE * size))
    return outcomes


def limit_round(rng):
    from refimpl.oracle.limit import limit

    while True:
        net, d = draw_settings(rng), int(rng.integers(1, 5))
        X = draw_inputs(rng, 2, d)
        ctx = context(40)
        sigmas = tuple(ctx.mpf(getattr(net, name)) for name in ("sigma_u", "sigma_w", "sigma_v"))
        x, x2 = exact(ctx, X)
        inner = tuple(ctx.fdot(a, b) for a, b in ((x, x), (x, x2), (x2, x2)))
        try:
            if net.phi.name == "quadratic":
                net.limit().ntk(X)  # the variance escapes, or comes too near to that
            found = limit(ctx, net.phi.name, ctx.mpf(net.horizon), sigmas, inner)
        except (BlowUpError, AccuracyError):
            continue
        break
    case = f"{net.phi.name} T={net.horizon:.3g} sigma_w={net.sigma_w:.3g}"
    outcomes = []
    for quantity, expected in zip(LIMIT, (found.ntk, found.nngp), strict=True):
        answer = attempt(net, quantity, X[:1], X2=X[1:])
        outcomes.append(
            Outcome(quantity, answer.error, *distance(ctx, answer.value, [expected]), case, float(found.error))
        )
    return outcomes


def attempt(net, quantity, X, **more):
    """The reference value whatever its accuracy, so that its error is checked even where it is large."""
    return reference(net, quantity, X, rtol=1 - 1e-9, **more)


def play(kinds, seed, number):
    outcomes = []
    for k, (kind, draw) in enumerate((("finite", finite_round), ("limit", limit_round))):
        if kind in kinds:
            rng = np.random.default_rng([seed, number, k])
            outcomes += [(f"{seed}/{number}", outcome) for outcome in draw(rng)]
    return outcomes


# --- table --------------------------------------------------------------------------------------------------------


def table(results):
    """One line a quantity: how many values, how many outside their error, how many worse than promised, and medians."""
    groups = defaultdict(list)
    for _, outcome in results:
        groups[outcome.quantity].append(outcome)
    lines = [f"{'quantity':12}{'cases':>7}{'violated':>10}{'>1e-12':>8}{'median bound/true':>19}{'median bound':>14}"]
    lines[0] += f"{'largest':>10}{'least ratio':>13}"
    for quantity in (*FINITE, *LIMIT):
        group = groups[quantity]
        if group:
            relative = [outcome.relative for outcome in group]
            ratios = [outcome.ratio for outcome in group]
            lines.append(
                f"{quantity:12}{len(group):7}{sum(o.violated for o in group):10}{sum(r > PROMISED for r in relative):8}"
                f"{np.median(ratios):19.1f}{np.median(relative):14.1e}{max(relative):10.1e}{min(ratios):13.2f}"
            )
    lines += [f"violated: {where} {outcome}" for where, outcome in results if outcome.violated]
    worst = [r for r in results if r[1].relative > PROMISED]
    lines += [f"worse than {PROMISED}: {where} {outcome}" for where, outcome in worst]
    return "\n".join(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=2000, help="reference values in all")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--log", action="store_true", help="print every value as it comes")
    parser.add_argument("--kinds", nargs="+", choices=["finite", "limit"], default=["finite", "limit"])
    given = parser.parse_args()
    per_round = (len(FINITE) if "finite" in given.kinds else 0) + (len(LIMIT) if "limit" in given.kinds else 0)
    rounds = range(-(-given.count // per_round))
    for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")
    job = partial(play, tuple(given.kinds), given.seed)
    results = []
    with ProcessPoolExecutor(given.processes) as pool:
        for outcomes in pool.map(job, rounds):
            results += outcomes
            if given.log:
                print(*outcomes, sep="\n", flush=True)
    print(table(results))
    return 1 if any(outcome.violated for _, outcome in results) else 0


if __name__ == "__main__":
    raise SystemExit(main())
