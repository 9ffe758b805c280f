"""Equation (8) where it can be followed with a pencil, and the searches for what breaks it."""

from __future__ import annotations

import numpy as np
from hypothesis import find, given, settings
from hypothesis import strategies as st

from refimpl import NeuralODE, Params
from verification import Config, Verdict
from verification.statements._eq8_edges import SHORT, Refined, Targets, edge_claims, pencil, two_layer_step

EPS = float(np.finfo(float).eps)

HUNT = settings(max_examples=200, derandomize=True, database=None, deadline=None)

entries = st.lists(st.tuples(st.floats(-2, 2), st.floats(-2, 2)), min_size=1, max_size=6)


@given(entries, st.floats(-3, 3), st.floats(0.01, 1.0))
def test_a_step_of_the_two_layer_linear_network_is_the_map_of_f_and_kernel(
    pairs: list[tuple[float, float]], y: float, rate: float
) -> None:
    """φ(z) = z, x = 1, T → 0, by the package: f, then f and K after one step."""
    u, v = np.asarray(pairs).T
    n = len(u)
    net, X = NeuralODE("identity", horizon=SHORT), np.ones((1, 1))
    theta = Params(U=u[:, None], W=np.ones((n, n)), v=v)
    f, K = float(u @ v) / np.sqrt(n), float(u @ u + v @ v) / n
    moved = theta + -rate * net.gradient(theta, X, np.asarray([y]))
    expected = two_layer_step(f, K, y, rate, n)
    # Each of f, K and the gradient is off by about T n max|W| = T n, relatively; sizes multiply in ηrK and its square.
    size = (1 + abs(f) + abs(y)) * (1 + rate * (1 + abs(f - y)) * (1 + K)) ** 2 * (1 + K)
    found = net.predict(moved, X)[0], net.ntk(moved, X)[0, 0]
    np.testing.assert_allclose(found, expected, rtol=0, atol=16 * n * size * SHORT)


@given(st.integers(1, 10**6), st.floats(-2, 2), st.floats(0.5, 4), st.floats(-2, 2), st.floats(0.01, 0.5))
def test_the_defect_of_the_two_layer_linear_network_is_one_over_n(
    n: int, f: float, K: float, y: float, rate: float
) -> None:
    r = f - y
    after, drifted = two_layer_step(f, K, y, rate, n)
    noise = 8 * EPS * n * (abs(f) + abs(r) * K + 1) + 8 * EPS * n * K
    assert abs(n * (after - (f - rate * K * r)) - rate**2 * r**2 * f) <= noise
    assert abs(n * (drifted - K) + 4 * rate * r * f - rate**2 * r**2 * K) <= noise


def test_search_finds_that_no_width_makes_8_hold_for_residuals_of_its_size() -> None:
    """A defect as large as the residual: found for the narrowest network, and again for every width with r = n."""

    def broken(n: int, size: int) -> bool:
        f, K = 1.0, 2.0
        after, _ = two_layer_step(f, K, f - size, 1 / K, n)
        return abs(after - (f - size)) >= size  # (8) says that the residual is gone after one step of size 1/K

    assert find(st.integers(1, 100), lambda size: broken(1, size), settings=HUNT) == 4
    n, size = find(
        st.tuples(st.integers(1, 64), st.integers(1, 1000)), lambda c: c[0] >= 16 and broken(*c), settings=HUNT
    )
    assert (n, size) == (16, 64)
    assert all(broken(n, 4 * n) and not broken(n, 4 * n - 1) for n in (1, 16, 1000))


def test_search_finds_a_step_below_stability_at_which_the_kernel_does_not_stay() -> None:
    """ηK < 2 keeps the residual of (8) with a constant kernel bounded; a network of width 1 may leave all the same."""

    def leaves(case: tuple[int, int, int]) -> bool:
        f, y, rate = case[0], case[1], case[2] / 8
        K, start = 2.0 * abs(f) + 1.0, abs(case[0] - case[1])  # |f| ≤ K/2, as for any u and v
        if rate * K >= 2 or start == 0:
            return False
        at = float(f), K
        for _ in range(20):
            at = two_layer_step(*at, y, rate, 1)
            if abs(at[0] - y) > 100 * start:
                return True
        return False

    f, y, eighths = find(st.tuples(st.integers(0, 3), st.integers(-20, 20), st.integers(1, 8)), leaves, settings=HUNT)
    assert eighths / 8 * (2 * f + 1) < 2
    assert leaves((f, y, eighths))
    assert f == 0  # the shrunk case: a network that starts at zero


def test_the_pencil_network_is_trained_as_the_map_says() -> None:
    one = pencil(Config("eq8"), 16)
    assert np.abs(one.trained / one.mapped - 1).max() <= 16 * SHORT * len(one.mapped) * np.abs(one.mapped).max()
    assert abs(one.defect - 1) < 1e-5


def test_orders_and_sizes_are_judged_by_their_numbers() -> None:
    rates, widths = np.ldexp(1.0, -np.arange(5)), np.asarray([32.0, 64.0, 128.0])
    noise = np.exp(0.01 * np.random.default_rng(0).standard_normal((4, 3)))
    near, by_hand = noise / widths, [pencil(Config("eq8"), 4)]
    good = Targets(widths, near, near * widths * noise[::-1], near * widths**2)
    claims = {c.id: c for c in edge_claims(Refined(rates, rates * (1 + rates), 1 + 0 * rates), good, by_hand)}
    assert claims["fixed-time"].verdict is claims["fixed-time-frozen"].verdict is Verdict.HOLDS
    assert claims["residual-size"].verdict is Verdict.HOLDS_WITH_SCOPE
    for bad in (Targets(widths, near, near, near * widths**2), Targets(widths, near, good.some, near)):
        claims = {c.id: c for c in edge_claims(Refined(rates, rates**0.5, rates), bad, by_hand)}
        assert claims["fixed-time"].verdict is claims["fixed-time-frozen"].verdict is Verdict.FAILS
        assert claims["residual-size"].verdict is Verdict.FAILS
