"""What the claims of Proposition 3 are computed with: would they see a wrong answer?"""

from __future__ import annotations

import numpy as np
import pytest

from refimpl import NeuralODE
from refimpl.data import sphere
from verification import Config, Verdict
from verification.statements import _prop3_certificates as certificates
from verification.statements import _prop3_horizon as horizons
from verification.statements import _prop3_inputs as lines
from verification.statements import _prop3_perceptrons as perceptrons
from verification.statements._gram import by_depth, gram_matrices, pair_by_pair

RHO = np.linspace(-1.0, 1.0, 9)


@pytest.mark.parametrize("name", ["softplus", "gelu", "cos", "sigmoid"])
def test_short_horizons_have_the_expansion_up_to_the_fourth_power(name):
    K0, K1 = horizons.expansion(name)

    def error(T):
        return np.abs(NeuralODE(name, horizon=T).limit().on_sphere()(RHO) - K0(RHO) - T**2 * K1(RHO)).max()

    assert error(1 / 8) / error(1 / 16) == pytest.approx(16, rel=0.1)


def test_a_wrong_rate_is_seen(monkeypatch):
    K0, K1 = horizons.expansion("gelu")
    X = sphere(6, 3, seed=0)
    grams = [horizons.gram("gelu", T, X) for T in horizons.SHORT]
    assert horizons.slope("gelu", X, grams).agrees
    monkeypatch.setattr(horizons, "expansion", lambda name: (K0, 1.001 * K1))
    assert not horizons.slope("gelu", X, grams).agrees


def test_the_tangent_kernel_of_a_linear_perceptron_counts_its_layers():
    X = sphere(3, 3, seed=0)
    for L, (nngp, ntk) in enumerate(perceptrons.perceptrons("identity", X, 4)):
        np.testing.assert_allclose(nngp, X @ X.T, atol=1e-14)
        np.testing.assert_allclose(ntk, (L + 2) * X @ X.T, atol=1e-13)


def test_a_wrong_rate_of_perceptrons_is_seen(monkeypatch):
    X = sphere(8, 3, seed=3)
    deep = {name: by_depth(name, 2, {"sphere": X}) for name in perceptrons.NAMES}
    claim, agreements = perceptrons.contrast(X, deep)
    assert claim.verdict is Verdict.HOLDS
    assert all(agreement.agree for agreement in agreements)
    monkeypatch.setattr(perceptrons, "rate", lambda name: {"softplus": 0.29, "cos": 0.361}[name])
    assert perceptrons.contrast(X, deep)[0].verdict is Verdict.FAILS


def test_a_null_vector_on_the_line_is_seen(monkeypatch):
    monkeypatch.setattr(lines, "LINES", {"relu": lines.RAY})
    grams = {"relu": lines.gram("relu", lines.RAY)}
    assert lines._collinear(grams).verdict is Verdict.FAILS


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(1, 4))
def test_longer_horizons_help_on_other_points_of_the_sphere_too(seed):
    claims, agreements, _ = horizons.horizon(Config("prop3", seed=seed))
    assert [claim.verdict for claim in claims] == [Verdict.HOLDS] * 2
    assert all(agreement.agree for agreement in agreements)


def test_a_kernel_of_other_points_is_seen():
    X = sphere(6, 3, seed=1)
    gram = gram_matrices("gelu", {"sphere": X})["sphere"]
    assert pair_by_pair("gelu", X, gram, "repaired").agree
    assert not pair_by_pair("gelu", 0.999 * X, gram, "repaired").agree


def test_roads_off_the_hypothesis_agree_and_see_another_activation(monkeypatch):
    claim, road = certificates.off_the_sphere()
    assert claim.verdict is Verdict.HOLDS
    assert road.agree
    build = certificates.NeuralODE
    monkeypatch.setattr(certificates, "NeuralODE", lambda name: build("softplus" if name == "tanh" else name))
    assert certificates.off_the_sphere()[0].verdict is Verdict.FAILS
