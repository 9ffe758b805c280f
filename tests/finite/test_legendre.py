"""∂f/∂W by Legendre coefficients is that of the quadrature, in fewer terms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refimpl.finite.legendre import DROPPED, Expansion, evaluated, expand
from refimpl.quadrature import gauss_legendre
from refimpl.scheme import gauss

EPS = np.finfo(float).eps


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("nodes", [1, 2, 9, 16])
def test_the_sum_over_coefficients_is_the_sum_over_nodes(nodes, steps):
    rng, scheme = np.random.default_rng(0), gauss(nodes, steps, 1.5)
    phi, lam = rng.standard_normal((2, nodes * steps, 3, 5))
    quadrature = np.einsum("j,jai,jak->aik", scheme.weights, lam, phi)
    found = Expansion(expand(np, nodes, phi), expand(np, nodes, lam, scheme.step))
    rounding = 8 * nodes * EPS * np.einsum("j,jai,jak->aik", scheme.weights, abs(lam), abs(phi)).max()
    sums = np.einsum("smai,smak->aik", found.adjoint, found.phi)
    np.testing.assert_allclose(sums, quadrature, rtol=0, atol=rounding)
    back = np.tensordot(evaluated(nodes, gauss_legendre(nodes)[0]), found.phi[-1], axes=1)
    np.testing.assert_allclose(back, phi[-nodes:], rtol=0, atol=8 * nodes * EPS * abs(phi).max())


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e150])
def test_the_norm_is_that_of_the_sum(scale):
    """Of one neuron exactly; of many by four random signs, whose squares have a mean of ‖·‖² and a spread below it."""
    phi, lam = np.random.default_rng(1).standard_normal((2, 2, 4, 3, 1))
    one = np.abs(np.einsum("smai,smak->aik", lam, phi))[:, 0, 0]
    np.testing.assert_allclose(Expansion(phi, scale * lam).norm, scale * one, rtol=64 * EPS)
    phi, lam = np.random.default_rng(2).standard_normal((2, 1, 6, 5, 80))
    many = np.linalg.norm(np.einsum("smai,smak->aik", lam, phi), axis=(1, 2))
    np.testing.assert_allclose(Expansion(scale * phi, lam).norm, scale * many, rtol=0.5)
    assert (Expansion(0 * phi, lam).norm == 0).all()


def test_a_sample_far_below_the_others_has_a_norm_of_its_own():
    phi, lam = np.random.default_rng(3).standard_normal((2, 1, 3, 2, 1))
    whole = Expansion(phi, lam).norm
    small = np.asarray([1.0, 1e-200])[:, None]
    for found in (Expansion(small * phi, lam), Expansion(phi, small * lam)):
        np.testing.assert_allclose(found.norm, small[:, 0] * whole, rtol=64 * EPS, atol=0)


@pytest.mark.parametrize("rtol", [1e-2, 1e-6, 1e-11])
def test_what_is_left_out_is_a_part_of_the_tolerance_for_every_sample(rtol):
    """λ = e^{at}, φ = cos(bt), the second sample with faster ones."""
    scheme = gauss(14, 2, 1.0)
    t = (np.arange(2)[:, None] + gauss_legendre(14)[0]).ravel()[:, None, None] / 2
    rates = np.array([[0.1, 0.3, -0.2], [2.0, -1.0, 3.0]])
    phi, lam = np.cos(rates * t), np.exp(rates * t)
    found = Expansion(expand(np, 14, phi), expand(np, 14, lam, scheme.step))
    parts = found.shortened(rtol)
    whole, short = (
        np.einsum("kai,kaj->aij", one, other)
        for one, other in ((scheme.weights[:, None, None] * lam, phi), (parts[1], parts[0]))
    )
    error = np.linalg.norm(whole - short, axis=(1, 2))
    assert (error <= DROPPED * rtol * found.norm + 64 * EPS * np.linalg.norm(whole, axis=(1, 2))).all()
    assert parts[0].shape[0] == parts[1].shape[0] < (28 if rtol > 1e-9 else 29)
    assert parts[0].shape[0] >= 2 * math.ceil(-math.log10(rtol) / 5)
