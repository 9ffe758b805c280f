"""Certificates against the multiprecision oracle: `python -m tests.infinite.positivity_campaign --count 1000 --seed 0`.

On a sphere the truth is K_∞ = Σ a_k G^{∘k}, from a_k that the oracle finds in many digits, once for every activation.
All terms are positive semi-definite, so a relative error of the a_k is one of λ_min at most, however small that is.
Both take the same number of terms at most: a certificate, whose coefficients are smaller, has to be below the oracle's
λ_min of the partial sum already. Its coefficients too are computed once for every activation.
λ_min is found in 30 + 2 log10(condition) digits: inverse iteration gives a Rayleigh quotient r above it, and an
elimination of K − 0.99 r I shows that it is not below 0.99 r. Integers alone are used, no code of the certificate's.

Every case has a generator of its own: it depends on the seed and on its number alone.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass
from functools import cache
from unittest.mock import patch

import mpmath
import numpy as np

from refimpl import NeuralODE
from refimpl.data import sphere
from refimpl.infinite import positivity
from refimpl.oracle.fixed import Fixed
from refimpl.oracle.power_series import power_series

ACTIVATIONS = ("gelu", "cos", "sin", "erf")
ODD = ("sin", "erf")
DIMENSIONS = (2, 3, 4, 8, 16, 32, 64)
HORIZON = 0.5
TARGET = 1e-12
"""Relative error of the a_k."""

SMALL = 10
"""Inputs up to which the bound has to be near the truth."""


@dataclass(frozen=True)
class Outcome:
    name: str
    N: int
    d: int
    pair: str
    certified: bool | None
    bound: float
    """log10 of the lower bound; −∞ if there is none."""
    truth: float
    """log10 of λ_min of the partial sum; −∞ if the matrix is singular in every precision."""
    null: float
    """|K u| / |K| of a null vector u."""

    @property
    def singular(self):
        return self.truth == -math.inf

    @property
    def contradicted(self):
        if self.certified is False:
            return not (self.singular and self.null < 1e-15)  # u is given in double precision
        return self.certified is True and (self.singular or not self.bound <= self.truth)


class Oracle:
    """a_k of one network on the unit sphere, and λ_min of any Gram matrix of it."""

    def __init__(self, name, terms):
        self.ctx = mpmath.MPContext()
        self.ctx.dps = 60
        one = self.ctx.one
        self.a, _ = power_series(self.ctx, name, one / 2, (one, one, one), one, terms, TARGET)

    def matrix(self, X, bits):
        fx = Fixed(self.ctx, bits)
        ratios = [[z.as_integer_ratio() for z in row] for row in X.tolist()]
        exact = np.asarray([[p * (2**1074 // q) for p, q in row] for row in ratios], object)
        inner = exact @ exact.T
        norms = np.diagonal(inner)
        sign = np.where(inner < 0, -1, 1)
        rho = sign * fx.root((inner * inner << 2 * bits) // np.multiply.outer(norms, norms))
        total = 0 * rho
        for a in self.a[::-1]:
            total = fx.mul(total, rho) + fx.number(a)
        return fx, total

    def smallest(self, X):
        """log10 λ_min of the partial sum; −∞ if it is 0 to 1,000 digits."""
        N, bits = len(X), 160
        while bits < 3600:
            fx, K = self.matrix(X, bits)
            factors = eliminate(fx, K, 0)
            if factors is not None:
                found = inverse_iteration(fx, K, factors)
                condition = math.log10(max(int(K[0, 0]) * N // max(found, 1), 1))
                needed = math.ceil((30 + 2 * condition) * math.log2(10))
                if bits >= needed and eliminate(fx, K, found - found // 100) is not None:
                    return float(self.ctx.log10(fx.mpf(found)))
                bits = max(needed, bits + 1)
            else:
                bits *= 2
        return -math.inf


def eliminate(fx, K, shift):
    """Unit lower triangular L and pivots of K − shift I; None if a pivot is not positive."""
    A, pivots = K - shift * np.eye(len(K), dtype=int).astype(object), []
    L = np.zeros_like(K)
    for j in range(len(A)):
        pivot = A[j, j]
        if pivot <= len(A):
            return None
        L[j:, j] = fx.div(A[j:, j], pivot)
        A[j + 1 :, j + 1 :] -= fx.mul(L[j + 1 :, j, None], A[None, j, j + 1 :])
        pivots.append(pivot)
    return L, pivots


def inverse_iteration(fx, K, factors):
    """A Rayleigh quotient, once it has stopped to fall."""
    L, pivots = factors
    N = len(K)
    u = fx.array([fx.ctx.mpf(z) for z in np.random.default_rng(N).normal(size=N).tolist()])
    before = None
    for _ in range(200):
        size = fx.sqrt(fx.mul(u, u).sum())
        u = fx.div(u, size)
        value = int(fx.mul(fx.matmul(K, u), u).sum())
        if before is not None and before - value <= max(abs(value) >> 24, 2):
            return value
        before = value
        u = u.copy()
        for i in range(N):
            u[i] -= int(fx.mul(L[i, :i], u[:i]).sum()) if i else 0
        u = np.asarray([fx.div(z, p) for z, p in zip(u, pivots, strict=True)], object)
        for i in range(N - 1, -1, -1):
            u[i] -= int(fx.mul(L[i + 1 :, i], u[i + 1 :]).sum())
    return value


def draw(seed, number, most):
    rng = np.random.default_rng([seed, number])
    name = ACTIVATIONS[number % len(ACTIVATIONS)]
    d = int(rng.choice(DIMENSIONS)) if rng.random() < 0.6 else 2
    N = round(math.exp(rng.uniform(math.log(2), math.log(most))))
    X = sphere(N, d, seed=rng)
    pair = str(rng.choice(["none", "antipodal", "equal"], p=[0.8, 0.15, 0.05]))
    if pair != "none":
        X[-1] = X[0] if pair == "equal" else -X[0]
    return name, X, pair


SERIES, SLOPES = cache(positivity.power_series), cache(positivity.log_slopes)


def certified(name, X, terms):
    """The certificate of at most `terms` terms."""
    with patch.multiple(positivity, power_series=SERIES, log_slopes=SLOPES, MOST_TERMS=terms):
        return NeuralODE(name, horizon=HORIZON).limit().positivity(X)


def play(oracles, seed, number, most=60):
    name, X, pair = draw(seed, number, most)
    certificate = certified(name, X, len(oracles[name].a))
    truth = oracles[name].smallest(X)
    null = math.inf
    if certificate.null_vector is not None:
        fx, K = oracles[name].matrix(X, 200)
        u = fx.array([fx.ctx.mpf(z) for z in certificate.null_vector.tolist()])
        null = float(max(abs(fx.matmul(K, u)))) / float(K.max())
    bound, answer = certificate.log10_bound, certificate.strictly_positive
    return Outcome(name, *X.shape, pair, answer, bound, truth, null)


def ratios(outcomes, plane):
    """truth/bound at N ≤ 10, d = 2 or above."""
    return [
        10 ** (o.truth - o.bound)
        for o in outcomes
        if o.certified and o.N <= SMALL and (o.d == 2) == plane and not o.singular
    ]


def table(outcomes):
    answers = [outcome.certified for outcome in outcomes]
    lines = [
        f"cases {len(outcomes)}, contradicted {sum(o.contradicted for o in outcomes)}, positive {answers.count(True)}, "
        f"null vector {answers.count(False)}, undecided {answers.count(None)}, "
        f"singular {sum(o.singular for o in outcomes)}, "
        f"positive without a bound {sum(o.certified is True and o.bound == -math.inf for o in outcomes)}"
    ]
    for label, plane in (("d = 2", True), ("d ≥ 3", False)):
        found = ratios(outcomes, plane)
        if found:
            lines.append(f"N ≤ {SMALL}, {label}: median λ_min/bound {np.median(found):.3g}, worst {max(found):.3g}")
    certified = [o.truth for o in outcomes if o.certified]
    lines.append(f"smallest certified λ_min: 1e{min(certified):.1f}" if certified else "nothing certified")
    return "\n".join(lines + [f"contradicted: {o}" for o in outcomes if o.contradicted])


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--terms", type=int, default=80, help="of the series, at most")
    parser.add_argument("--most", type=int, default=60, help="largest N")
    parser.add_argument("--minutes", type=float, default=math.inf, help="CPU time after which it stops")
    given = parser.parse_args()
    if given.terms < given.most + 16:  # else the truncated series is singular for want of rank on the circle
        parser.error(f"--terms must be at least --most + 16 = {given.most + 16}, got {given.terms}")
    oracles = {name: Oracle(name, given.terms) for name in ACTIVATIONS}
    outcomes = []
    for number in range(given.count):
        outcomes.append(play(oracles, given.seed, number, given.most))
        if time.process_time() > 60 * given.minutes:
            break
    print(table(outcomes))
    return 1 if any(outcome.contradicted for outcome in outcomes) else 0


if __name__ == "__main__":
    raise SystemExit(main())
