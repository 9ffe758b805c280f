"""Data that contradict a claim make it fail, whatever it is measured by; data that bear it out do not."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace

import numpy as np
import pytest

from verification import Claim, Verdict
from verification.fit import power_law
from verification.statements import _eq8_edges as edges
from verification.statements import _horizon_claims as horizon
from verification.statements import _limits_values as values
from verification.statements import _open_claims as open_claims
from verification.statements import _quadratic_claims as quadratic
from verification.statements import _thm1_quadratic as thm1_quadratic
from verification.statements import _thm1_rates as rates
from verification.statements import _thm1_suprema as suprema
from verification.statements import distance, eq8, limits, relu, spectra, thm1
from verification.statements._data import Array
from verification.statements._ensembles import Ensemble
from verification.statements._exponents import Exponent
from verification.statements._horizon_networks import Spread
from verification.statements._initial_spectra import Spectra
from verification.statements._ladder import Ladder
from verification.statements._lazy import Study
from verification.statements._open_features import Features, Scaled
from verification.statements._open_solver_claims import solvers
from verification.statements._open_solver_roads import Pairing
from verification.statements._open_solvers import Cost, Design
from verification.statements._plane import Plane
from verification.statements._quadratic_runs import Below, Times
from verification.statements._solvers_claims import radau
from verification.statements._widths import Widths
from verification.statements.relu import mean_square_verdict

N = np.asarray([64.0, 128.0, 256.0, 512.0])

LIMIT = np.asarray([[2.0, 0.5], [0.5, 1.0]])


def kernels(exponent: float, draws: int = 100) -> Array:
    """K_∞ and a random error n^exponent, shape (draws, widths, 2, 2)."""
    noise = np.random.default_rng(0).standard_normal((draws, N.size, 2, 2))
    return np.asarray(LIMIT + N[:, None, None] ** exponent * (noise + noise.transpose(0, 1, 3, 2)) / 2)


def nested(exponent: float, block: float = 1.0, shift: float = 0.0) -> Widths:
    """K_θ, off by `shift` in the limit, and a literal kernel with n^block more."""
    K = kernels(exponent) + shift * LIMIT
    return Widths("softplus", N, K, LIMIT, K[..., :1, :1] + N[:, None, None] ** block)


def independent(spread: float, bias: float) -> Ensemble:
    """e with a standard deviation n^spread/10 and a mean n^bias."""
    n, rng, draws = N / 8, np.random.default_rng(1), 4000
    errors = tuple(width**bias + width**spread / 10 * rng.standard_normal(draws) for width in n)
    mean = np.asarray([e.mean() for e in errors])
    error = np.asarray([e.std(ddof=1) for e in errors]) / np.sqrt(draws)
    return Ensemble("identity", n, errors, tuple(np.empty((draws, 0)) for _ in n), mean, error, 0.0)


def eigenvalues(exponent: float, shift: float = 0.0) -> list[Spectra]:
    """Of kernels that come to (1 + shift) K_∞ as 1/n."""
    K = kernels(exponent) + shift * (1 + 1 / N[:, None, None]) * LIMIT
    return [Spectra("softplus", "sphere", N, K, LIMIT)]


def plane(exponent: float) -> Plane:
    depths = N[:-1] / 4
    K = np.repeat(kernels(exponent)[:, :, None], depths.size + 1, axis=2)
    return Plane(N, depths, K, np.repeat(LIMIT[None], depths.size + 1, axis=0))


def single_numbers(exponent: float) -> tuple[Array, Array]:
    """Widths (networks,) and a positive number n^exponent of each network."""
    n = np.repeat(N, 10)
    return n, n**exponent * np.exp(0.1 * np.random.default_rng(3).standard_normal(n.size))


def conditioned(exponent: float, shift: float = 0.5) -> Claim:
    """Of K_θ/K_∞ with quartiles n^exponent apart and the median 1 + (n/64)^(−shift)."""
    rng = np.random.default_rng(4)
    samples = [np.sort(1 + (n / N[0]) ** -shift + n**exponent * rng.standard_normal(500)) for n in N]
    return thm1_quadratic.closing(N, samples, [0.0] * N.size, rng)


def powers(exponent: float, seed: int = 5) -> Array:
    """Positive numbers n^exponent, shape (10, widths)."""
    return np.asarray(N**exponent * np.exp(0.02 * np.random.default_rng(seed).standard_normal((10, N.size))))


def residuals(some: float, far: float = 0.0) -> Claim:
    """Of a defect over the residual that is n^-1 for residuals of size 1, n^some and n^far for those of size n."""
    return edges._sizes(edges.Targets(N, powers(-1.0), powers(some, 7), powers(far, 8)))


def escapes(median: Callable[[float], float], spread: Callable[[float], float], n: float) -> Times:
    return Times(int(n), median(n) + spread(n) * np.linspace(-1, 1, 101))


def concentrated(shift: float) -> Claim:
    """Medians of the time of escape that go from 2.1 to 2 + `shift`, where the limit is 2."""
    both = [escapes(lambda n: 2.1 if n < 100 else 2 + shift, lambda _: 0.05, n) for n in (64, 256)]
    return quadratic.concentrates(both, (2.0, 0.0))


def features(name: str) -> Callable[[float], Claim]:
    """The claim `name` of networks whose kernels drift and align as n^exponent at every scale."""

    def claim(exponent: float) -> Claim:
        rows = [[Scaled(1.0, size, 0.1, 0.1 + size, 0.0) for size in row] for row in powers(exponent).T]
        scaled = [Scaled(alpha, 0.3 * (1 + exponent) / alpha, 0.1, 0.2, 0.0) for alpha in (64.0, 16.0, 4.0)]
        found = Features("tanh", 64, np.ones(3), [scaled], np.asarray([[0.3, 1e-3]]), N, rows, rows, [])
        return next(found for found in open_claims.features(found) if found.id == name)

    return claim


def of_horizon(exponent: float) -> Claim:
    return horizon.width([Spread("erf", 1.0, *single_numbers(exponent), np.ones(10))])


SYNTHETIC: dict[str, tuple[Callable[[float], Claim], float, tuple[float, ...]]] = {
    "thm1 width": (lambda p: thm1._fluctuation([nested(p)], {"all": slice(None)}), -0.5, (0.0, -0.2, -0.9)),
    "thm1 paths": (lambda p: thm1._paths([nested(p)]), -0.5, (0.0, -0.2, -0.9)),
    "thm1 mean": (lambda p: thm1._mean([nested(-0.5, shift=p)]), 0.0, (0.3, -0.3)),
    "thm1 parameters": (lambda p: thm1._parameters(nested(-0.5, p)), 1.0, (0.0, 0.6, 1.4)),
    "thm1 bias": (lambda p: rates._bias([independent(-0.5, p)]), -1.0, (0.2, 0.5)),
    "thm1 spread": (lambda p: rates._spread([independent(p, -1.0)]), -0.5, (0.0, -1.5)),
    "thm1 almost-sure": (lambda p: rates._fourth([independent(p, -4.0)]), -0.5, (0.0, -0.1)),
    "thm1 supremum": (
        lambda p: suprema.supremum(np.random.default_rng(0).exponential(size=(1000, 4)) * N**p, N), -1.0, (0.5, 1.0),
    ),
    "thm1 quadratic-conditioned": (conditioned, -0.5, (0.2, 0.5)),
    "thm1 quadratic-conditioned, median": (lambda p: conditioned(-0.5, p), 0.5, (-0.3, -0.5)),
    "spectra eigenvalues": (lambda p: spectra._fluctuation(eigenvalues(p)), -0.5, (0.0, -0.2, -0.9)),
    "spectra limit": (lambda p: spectra._limit(eigenvalues(-0.5, p)), 0.0, (0.5, -0.3)),
    "limits width-rate": (lambda p: limits._width([plane(p)]), -0.5, (0.0, -0.2, -0.9)),
    "limits together": (lambda p: limits._together(plane(p)), -0.5, (0.0, -0.2, -0.9)),
    "horizon width": (of_horizon, -0.5, (0.0, -0.2, -0.9)),
    "eq8 drift": (
        lambda p: eq8._rate("drift", [Study("tanh", "", N, 1.0, 8, {"drift": powers(p)})], "drift", -1.0, ""),
        -1.0, (0.0, -0.5, -1.5),
    ),
    "eq8 residual-size": (residuals, 0.0, (-1.0, -0.5, 0.5)),
    "eq8 residual-size, beyond": (lambda p: residuals(0.0, p), 0.0, (-0.5, -1.0)),
    "limits values": (
        lambda p: values.claim(p + 0.1 * np.random.default_rng(6).standard_normal(48)), 0.7, (0.0, 0.4),
    ),
    "open lazy-scale": (features("lazy-scale"), 0.0, (-0.5, 1.0)),
    "open lazy-width": (features("lazy-width"), -1.0, (0.0, -0.5, -1.5)),
    "open mean-field": (features("mean-field"), 0.0, (-1.0, -1.5)),
    "open feature-alignment": (features("feature-alignment"), 0.0, (-1.0, -1.5)),
    "quadratic concentration": (concentrated, 0.0, (-0.2, 0.2)),
    "quadratic spread": (
        lambda p: quadratic.narrows([escapes(lambda _: 2.0, lambda n: (n / 64) ** p, n) for n in N]), -0.5, (0.5, 1.0),
    ),
    "quadratic width": (lambda p: quadratic.width(Below(*single_numbers(p), 0, (0.0, 0.0))), -0.5, (0.0, -0.2, -0.9)),
}  # fmt: skip


@pytest.mark.parametrize("name", SYNTHETIC)
def test_a_claim_fails_on_data_that_contradict_it_and_holds_on_data_that_do_not(name: str) -> None:
    claim, true, false = SYNTHETIC[name]
    assert claim(true).verdict in (Verdict.HOLDS, Verdict.HOLDS_WITH_SCOPE)
    assert {claim(value).verdict for value in false} == {Verdict.FAILS}


@pytest.mark.parametrize(
    ("networks", "limit", "verdict"),
    [
        ((-1.2, -0.4), (-0.503, 0.01), Verdict.HOLDS),
        ((-1.2, -0.4), (-1.0, 0.01), Verdict.FAILS),  # the recursion tells what the networks do not
        ((-1.2, -0.7), (-0.503, 0.01), Verdict.FAILS),
        ((-1.2, 0.1), (-0.503, 0.01), Verdict.UNDECIDED),
    ],
)
def test_the_mean_square_of_relu_rests_on_networks_and_on_the_recursion(
    networks: tuple[float, float], limit: tuple[float, float], verdict: Verdict
) -> None:
    assert mean_square_verdict(networks, -0.55, limit) is verdict


@pytest.mark.parametrize(
    ("exponent", "noise", "verdict"),
    [(1.25, 0.0, Verdict.HOLDS), (1.25, 1.0, Verdict.UNDECIDED), (1.0, 0.0, Verdict.FAILS), (1.7, 0.0, Verdict.FAILS)],
)
def test_an_exponent_that_is_not_told_from_that_of_other_solvers_decides_nothing(
    exponent: float, noise: float, verdict: Verdict
) -> None:
    rtol = 10.0 ** -np.arange(1.0, 9.0)
    error = rtol**exponent * np.exp(noise * np.asarray([0, 0, 0, 0, 1.0, -1.0, -1.0, 1.0]))
    assert radau(Ladder("Radau", rtol, error, error, error, error)).verdict is verdict


def test_a_slope_is_refuted_by_more_than_its_margin_and_its_uncertainty() -> None:
    """Of ReLU networks: exact power laws of −1.1, and one that scatters about as much."""
    depths = np.exp2(np.arange(6.0))
    for noise, verdict in ((0.0, Verdict.FAILS), (0.15, Verdict.UNDECIDED)):
        values = depths**-1.1 * np.exp(noise * np.asarray([1.0, -1.0, 0.0, 0.0, -1.0, 1.0]))
        curves = SimpleNamespace(
            settled=np.ones(6, dtype=bool), values=lambda _, v=values: v, slope=lambda v: power_law(depths, v)
        )  # fmt: skip
        assert relu._rate({"relu": curves}, "ntk", 64).verdict is verdict


def test_an_exponent_that_misses_refutes_nothing_while_the_distance_nears_its_prediction() -> None:
    missed = Exponent(-0.8, 0.05, 0.1)
    assert distance._unless(False, missed, missed.meets(-1.0))[0] is Verdict.FAILS
    assert distance._unless(True, missed, missed.meets(-1.0))[0] is Verdict.UNDECIDED
    assert distance._unless(True, missed, missed.meets(-0.8)) == (Verdict.HOLDS, "")


def test_the_growth_of_an_error_is_told_beside_what_bounds_it() -> None:
    """√κ multiplies the error of ∇f, not the one of ∇L early in training, which may be far smaller."""
    pairings = [Pairing("first", 1e-4, 4e-6, 6e-4, 6.4, 0.9), Pairing("second", 1e-4, 1e-4, 5e-4, 7.0, 0.9)]
    costs = [Cost("RK45", adjoint, 1e-3, "", 1.0, 1e-3) for adjoint in ("optimise first", "discretise first")]
    claim = solvers(Design(pairings, costs, []))[0]
    assert claim.verdict is Verdict.HOLDS
    assert "6.0 times as much at most (first) where it allows 6.4" in claim.text
