"""A small part of the campaign of certificates against the oracle, and whether it would see a wrong certificate."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

pytest.importorskip("flint", reason="python-flint is not installed")

from tests.infinite.positivity_campaign import ACTIVATIONS, ODD, Oracle, play, ratios


@cache
def outcomes():
    oracles = {name: Oracle(name, 32) for name in ACTIVATIONS}
    return [play(oracles, 0, number, 8) for number in range(24)]


def test_no_certificate_is_contradicted_and_bounds_are_near():
    found = outcomes()
    assert not [outcome for outcome in found if outcome.contradicted]
    assert {outcome.certified for outcome in found} == {True, False}
    for plane in (True, False):
        assert 1 <= np.median(ratios(found, plane)) <= 100


def test_an_odd_activation_and_an_antipodal_pair_are_never_positive():
    pairs = [outcome for outcome in outcomes() if outcome.pair == "antipodal" and outcome.name in ODD]
    assert pairs
    assert all(outcome.certified is False and outcome.singular and outcome.null < 1e-15 for outcome in pairs)


def test_wrong_certificates_are_seen():
    positive = next(outcome for outcome in outcomes() if outcome.certified)
    singular = next(outcome for outcome in outcomes() if outcome.certified is False)
    assert replace(positive, bound=positive.truth + 0.01).contradicted
    assert replace(positive, certified=False).contradicted
    assert replace(singular, certified=True, bound=-300.0).contradicted
    assert replace(singular, null=1e-8).contradicted
