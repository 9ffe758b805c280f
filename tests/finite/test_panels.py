"""Panels for the integral (4): the estimate that halves them, sample by sample, and where halving ends."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.special import erf

from refimpl.finite.panels import MAX_HALVINGS, MAX_PANELS, _error, _probe, refined
from refimpl.quadrature import gauss_legendre


def probe(coefficients, nodes, scales=((1.0,),)):
    """Σ c_k P_k at the nodes of one panel, times scales of shape (n, N): shape (1, m, n, N)."""
    c, _ = gauss_legendre(nodes)
    return legendre.legval(2 * c - 1, coefficients)[None, :, None, None] * np.asarray(scales)


@pytest.mark.parametrize("nodes", [6, 7, 10])
@pytest.mark.parametrize(("first", "stride"), [(0, 1), (0, 2), (1, 2)], ids=["all", "even", "odd"])
def test_a_geometric_series_is_continued_beyond_what_the_nodes_integrate(nodes, first, stride):
    """With c_k = q^k the largest of the last two is q^s, the one two degrees below q^(s−2), and r = q².

    Aliasing changes c_k by q^(2m−2k) times itself, at most by q² for the last ones.
    """
    q = 0.05
    coefficients = np.zeros(40)
    coefficients[first::stride] = q ** np.arange(40)[first::stride]
    present = [k for k in range(nodes - 4, nodes) if coefficients[k]]
    largest_of_the_last = min(k for k in present if k >= nodes - 2)
    expected = q ** (largest_of_the_last + nodes + 1)
    assert _error(probe(coefficients, nodes), nodes)[0, 0] == pytest.approx(expected, rel=0.05)


def test_without_a_fall_of_the_coefficients_the_last_is_the_estimate():
    coefficients = np.zeros(8)
    coefficients[7] = 3.0
    assert _error(probe(coefficients, 8), 8)[0, 0] == pytest.approx(3.0, rel=1e-12)


def test_neurons_add_up_in_the_euclidean_norm_and_samples_stay_apart():
    found = _error(probe(0.1 ** np.arange(20.0), 6, [[3.0, 0.0], [4.0, 2.0]]), 6)
    single = _error(probe(0.1 ** np.arange(20.0), 6), 6)[0, 0]
    np.testing.assert_allclose(found, [[5 * single, 2 * single]], rtol=1e-12)


def test_the_same_call_looks_at_the_same_mixture_of_neurons():
    phi, adjoint = np.random.default_rng(1).normal(size=(2, 12, 4, 3))
    np.testing.assert_array_equal(_probe(phi, adjoint, (3, 4)), _probe(phi, adjoint, (3, 4)))


def test_a_small_sample_is_refined_by_its_own_size():
    """The first is constant and a million times as large; in the second a layer is to be found."""

    def values(t):
        layer = 1 + erf(300 * (t - 0.37))
        return np.stack([np.full_like(t, 1e6), layer], axis=1)[:, None, :], np.ones((t.size, 1, 2))

    weights, phi, adjoint = refined(values, np.asarray([0.0, 1.0]), 7, 1e-10)
    integral = np.einsum("m,mnN,mnN->N", weights, phi, adjoint)
    # ∫ (1 + erf(300 (t − 0.37))) dt = 1 + 0.63 − 0.37, since the tails of ∫ erf = z erf z + exp(−z²)/√π are symmetric
    np.testing.assert_allclose(integral, [1e6, 1.26], rtol=1e-9)


@pytest.mark.parametrize("steps", [1, 3])
def test_halving_ends_before_there_are_too_many_panels(steps):
    rng = np.random.default_rng(0)

    def noise(t):
        return rng.normal(size=(t.size, 1, 1)), rng.normal(size=(t.size, 1, 1))

    weights, phi, _ = refined(noise, np.linspace(0, 2, steps + 1), 5, 1e-9)
    panels, most = weights.size // 5, MAX_PANELS[0] + MAX_PANELS[1] * steps
    assert most / 2 < panels <= most
    assert phi.shape == (weights.size, 1, 1)
    assert weights.sum() == pytest.approx(2.0, rel=1e-12)


def test_steps_that_are_fine_enough_are_left_as_they_are():
    breaks = np.linspace(0, 1, 4)
    weights, phi, adjoint = refined(lambda t: (np.exp(t)[:, None, None], np.ones((t.size, 1, 1))), breaks, 8, 1e-9)
    assert weights.size == 3 * 8
    # ∫ eᵗ = e − 1 by three rules that are exact for degree 15; the remainder is below 1/16! 2⁻³² = 1e-23.
    assert np.einsum("m,mnN,mnN->", weights, phi, adjoint) == pytest.approx(np.e - 1, rel=1e-14)


def test_a_jump_is_halved_to_the_end_and_no_panel_is_lost():
    def jump(t):
        return np.where(t < 0.3, 0.0, 1.0)[:, None, None], np.ones((t.size, 1, 1))

    weights, phi, _ = refined(jump, np.asarray([0.0, 1.0]), 5, 1e-9)
    smallest = 2.0**-MAX_HALVINGS
    assert weights.sum() == pytest.approx(1.0, rel=1e-12)
    assert weights.min() == pytest.approx(smallest * gauss_legendre(5)[1].min(), rel=1e-9)
    # Only the panel with the jump in it is in error, by no more than its width.
    assert abs(weights @ phi[:, 0, 0] - 0.7) < smallest


def test_panels_that_are_done_count_towards_the_largest_number():
    """Of 100 steps 42 are smooth; of the other 58, 1,856 would come by halving, which is all that may be."""
    rng, steps = np.random.default_rng(0), 100
    most = MAX_PANELS[0] + MAX_PANELS[1] * steps
    assert most == 58 * 2**5

    def part_noise(t):
        return np.where(t < 42, 1.0, rng.normal(size=t.size))[:, None, None], np.ones((t.size, 1, 1))

    weights, _, _ = refined(part_noise, np.arange(steps + 1.0), 5, 1e-9)
    assert weights.size // 5 == 42 + 58 * 2**4


@pytest.mark.parametrize("size", [2.0**-60, 2.0**60])
def test_panels_do_not_depend_on_the_size_of_the_integrand(size):
    def values(t):
        return np.tanh(30 * (t - 0.37))[:, None, None], np.ones((t.size, 1, 1))

    breaks = np.asarray([0.0, 0.5, 1.0])
    scaled = refined(lambda t: (size * values(t)[0], values(t)[1]), breaks, 6, 1e-8)[0]
    expected = refined(values, breaks, 6, 1e-8)[0]
    assert expected.size > 2 * 6
    np.testing.assert_array_equal(scaled, expected)


def test_an_integrand_that_is_zero_needs_no_more_panels():
    nothing = refined(lambda t: (np.zeros((t.size, 2, 1)), np.ones((t.size, 2, 1))), np.linspace(0, 1, 4), 6, 1e-8)
    assert nothing[0].size == 3 * 6
