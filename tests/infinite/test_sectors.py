"""What the sector and Hermite quadratures say of their own errors."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from refimpl import AccuracyError, Activation, NeuralODE, activations
from refimpl.infinite.sectors import _moments, _relative, sector_form

EPS = float(np.finfo(float).eps)
S1, S2, C = np.asarray([0.5, 3.0]), np.asarray([2.0, 0.1]), np.asarray([0.3, -0.2])


def test_the_scales_of_relu_are_half_the_variances_and_one_half() -> None:
    """E[φ(a)²] = s/2 and E[φ'(a)²] = 1/2."""
    _, _, value, slope = _moments(activations.get("relu"), 20)(S1, S2, C)
    np.testing.assert_allclose(value, np.sqrt(S1 * S2) / 2, rtol=100 * EPS)
    np.testing.assert_allclose(slope, 0.5, rtol=100 * EPS)


def test_the_scales_of_leaky_relu() -> None:
    """(1 + α²)/2 times the variance, and (1 + α²)/2."""
    share = (1 + 0.01**2) / 2
    _, _, value, slope = _moments(activations.get("leaky_relu"), 20)(S1, S2, C)
    np.testing.assert_allclose(value, share * np.sqrt(S1 * S2), rtol=100 * EPS)
    np.testing.assert_allclose(slope, share, rtol=100 * EPS)


@pytest.mark.parametrize(
    ("change", "scale", "expected"),
    [
        ([-3.0, 1.0], [2.0, 4.0], 1.5),
        ([1.0, 3.0], [4.0, 2.0], 1.5),
        ([0.0, 1.0], [0.0, 8.0], 0.125),
        ([0.0], [0.0], 0.0),
        ([2.0], [0.0], 2.0),
        ([0.5, 0.5], [0.25, 0.5], 2.0),
        ([math.nan, 0.0], [1.0, 1.0], math.inf),
        ([math.inf], [1.0], math.inf),
        ([0.0], [math.inf], math.inf),
        ([], [], 0.0),
    ],
)
def test_relative_change(change: list[float], scale: list[float], expected: float) -> None:
    with np.errstate(invalid="ignore"):
        found = _relative(np, np.asarray(change), np.asarray(scale))
    assert found == expected
    assert type(found) is float


def test_a_kink_where_the_sectors_have_none_raises_with_what_was_reached() -> None:
    bent = Activation(lambda z: np.abs(z - 1.0), lambda z: np.sign(z - 1.0), name="bent")
    with pytest.raises(AccuracyError, match=r"E.φ.a.φ.b.. for 'bent' .*=1.0e-10.* 90 × 90 .*is φ smooth") as caught:
        sector_form(bent, 1e-10)(S1, S2, C)
    assert caught.value.reached is not None
    assert 1e-10 < caught.value.reached < 1e-1


def test_a_tolerance_below_rounding_counts_as_sixteen_units() -> None:
    value, slope = sector_form(activations.get("relu"), 0.0)(S1, S2, S2 * 0.0)
    np.testing.assert_allclose(value, np.sqrt(S1 * S2) / (2 * math.pi), rtol=64 * EPS)
    np.testing.assert_allclose(slope, 0.25, rtol=64 * EPS)


@pytest.mark.parametrize(
    ("phi", "dphi", "low", "high"),
    [
        (lambda z: np.abs(z - 1), lambda z: np.sign(z - 1), 1e-9, 1e-4),
        (lambda z: np.sin(300 * z), lambda z: 300 * np.cos(300 * z), 1e-2, 10.0),
    ],
    ids=["kink", "fast"],
)
def test_hermite_coefficients_that_do_not_converge_raise_with_what_was_reached(
    phi: Callable[[np.ndarray], np.ndarray], dphi: Callable[[np.ndarray], np.ndarray], low: float, high: float
) -> None:
    net = NeuralODE(Activation(phi, dphi, name="mine"), sigma_u=2.0)
    with pytest.raises(AccuracyError, match=r"mine: φ at variances up to 4: .* do not converge") as caught:
        net.limit().ntk(np.eye(2))
    assert caught.value.reached is not None
    assert low < caught.value.reached < high
