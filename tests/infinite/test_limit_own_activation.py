"""The limit of a user's own activation: with a kink, without one, or with one that is not declared."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from refimpl import AccuracyError, Activation, Euler, Gauss, NeuralODE, activations
from refimpl.infinite.kernel import KINKED_RTOL
from tests.infinite.limits import RTOL, assert_within, cosines, kernel, norms, scale_of, two
from tests.infinite.roads import PLAIN, absolute, midpoint_kernel, resnet_recursion, romberg


def softened(beta: float) -> Activation:
    """log(1 + exp(βz))/β."""
    return Activation(
        lambda z: np.logaddexp(0.0, beta * z) / beta,
        lambda z: 1 / (1 + np.exp(-beta * z)),
        name=f"softplus, beta = {beta:g}",
        lipschitz=1.0,
        dlipschitz=beta / 4,
    )


@given(cosines, norms)
@settings(max_examples=5)
def test_softplus_of_another_sharpness_is_softplus_in_other_units(rho: float, norm: float) -> None:
    """βh follows the softplus network of input scale β σ_u, and f is 1/β times its output."""
    beta, X = 2.0, two(rho, 0.6, 0.6 * norm)
    own = NeuralODE(softened(beta), sigma_w=0.8).limit().ntk(X)
    builtin = NeuralODE("softplus", sigma_u=beta, sigma_w=0.8).limit().ntk(X) / beta**2
    # K_v and K_W scale with f², and K_U with f² too since U enters as β σ_u U
    assert_within(own, builtin, 2 * RTOL, scale_of(own))


@pytest.mark.parametrize("solver", [None, Euler(5)], ids=["builtin default", "depth 5"])
def test_a_copy_of_a_builtin_activation_without_its_closed_form_agrees_with_it(solver: Any) -> None:
    own = Activation(np.sin, np.cos, name="own sine", lipschitz=1.0, dlipschitz=1.0, parity="odd")
    X = two(0.3, 1.0, 1.2)
    expected = NeuralODE("sin").limit(solver).ntk(X)
    assert_within(NeuralODE(own).limit(solver).ntk(X), expected, 2 * RTOL, scale_of(expected))


ABS = Activation(np.abs, np.sign, name="abs", lipschitz=1.0, parity="even", kinks=(0.0,), homogeneous=True)


def absolute_resnet(net: NeuralODE, depth: int, rho: float) -> float:
    """The recursion of `resnet_recursion` for |z|, from the closed form of its dual."""
    PLAIN["abs"] = (lambda s1, s2, c: float(absolute(s1, s2, c)[0]), lambda s1, s2, c: float(absolute(s1, s2, c)[1]))
    try:
        return resnet_recursion(net, depth, 1.0, rho, 1.0)
    finally:
        del PLAIN["abs"]


@pytest.mark.parametrize("rho", [0.3, -0.9, 1.0])
def test_a_kinked_activation_of_your_own_agrees_with_its_closed_form_at_finite_depth(rho: float) -> None:
    net = NeuralODE(ABS, horizon=0.8)
    found = net.limit(Euler(3)).ntk(two(rho))
    expected = absolute_resnet(net, 3, rho)
    assert_within(found[0, 1], expected, 1e-11, found[0, 0])


@pytest.mark.parametrize("rho", [0.3, 1.0])
def test_a_kinked_activation_of_your_own_agrees_with_its_closed_form_in_the_continuum(rho: float) -> None:
    """To the default rtol, or it raises `AccuracyError`."""
    net = NeuralODE(ABS, horizon=0.8)
    truth, correction = romberg([midpoint_kernel(absolute, net, 16 << k, 1.0, rho, 1.0) for k in range(6)])
    scale, more = romberg([midpoint_kernel(absolute, net, 16 << k, 1.0, 1.0, 1.0) for k in range(4)])
    assert max(correction, more) <= 1e-8
    try:
        found = kernel(net, two(rho))
    except AccuracyError:
        return
    assert abs(found - truth) <= (KINKED_RTOL + 1e-8) * scale


@pytest.mark.parametrize("solver", [None, Gauss(), Euler(3)], ids=repr)
def test_a_kink_away_from_zero_raises(solver: Any) -> None:
    shifted = Activation(
        lambda z: np.maximum(z - 1, 0), lambda z: (z > 1) * 1.0, name="shifted", lipschitz=1.0, kinks=(1.0,)
    )
    with pytest.raises(AccuracyError, match="shifted"):
        NeuralODE(shifted).limit(solver).ntk(two(0.3))


def test_an_undeclared_kink_is_noticed() -> None:
    """|z| without `kinks`: the Hermite expansion converges algebraically, and says so."""
    with pytest.raises(AccuracyError, match="undeclared"):
        NeuralODE(Activation(np.abs, np.sign, name="undeclared", lipschitz=1.0)).limit().ntk(two(0.3))


def test_builtin_activations_all_have_a_limit() -> None:
    X = two(0.5, 0.8, 0.8)
    for name in activations.BUILTIN:
        gram = NeuralODE(name, horizon=0.5).limit().ntk(X)
        assert np.isfinite(gram).all()
        assert np.linalg.eigvalsh(gram)[0] > 0 or name == "cos"
