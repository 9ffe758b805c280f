"""The check against candidates written without sight of it: correct ones pass, mistaken ones are caught and named."""

from __future__ import annotations

import re

import pytest

from tests.conformance import correct, mistaken
from tests.conformance.mistaken_adjoint import AdjointSign, AdjointTransposed, SlopeForgotten
from tests.conformance.mistaken_gradients import NoWeightBlock
from tests.conformance.mistaken_model import NoSigmaW
from tests.conformance.mistaken_resnet import OneLayerMore, RightRiemann

CORRECT = [pytest.param(c, id=c.__name__) for c in correct.CANDIDATES]
MISTAKEN = [pytest.param(c, id=c.__name__) for c in mistaken.CANDIDATES]
SUBSET = ("tanh", "relu")
LEAST_NAMED = 15


def checked(candidate, **choice):
    from refimpl.conformance.check import check_conformance

    if candidate.__module__ == correct.__name__ and candidate.__name__.startswith("Torch"):
        pytest.importorskip("torch")
    return check_conformance(candidate(), digits=8, **choice)


def is_named(candidate, scorecard):
    names = [re.sub("[-_]+", " ", mistake.name.lower()) for mistake in scorecard.mistakes]
    return any(hint in name for name in names for hint in candidate.expected_name_hint)


# --- a few activations, quick --------------------------------------------------------------------------------------

QUICK = NoSigmaW, AdjointSign, AdjointTransposed, SlopeForgotten, NoWeightBlock, RightRiemann, OneLayerMore


@pytest.mark.parametrize("candidate", [correct.Plain, correct.PythonFloats, correct.Newton])
def test_correct_candidates_pass_on_a_few_activations(candidate):
    scorecard = checked(candidate, activations=SUBSET)
    assert scorecard.passed, str(scorecard)


@pytest.mark.parametrize("candidate", QUICK)
def test_mistakes_of_the_classroom_are_caught_and_named_on_a_few_activations(candidate):
    scorecard = checked(candidate, activations=SUBSET)
    assert not scorecard.passed
    assert is_named(candidate, scorecard), scorecard.mistakes


def test_every_mistake_is_told_apart_from_the_plain_implementation():
    assert len(mistaken.CANDIDATES) >= 40
    assert len({c.mistake for c in mistaken.CANDIDATES}) == len(mistaken.CANDIDATES)


# --- all vectors ---------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("candidate", CORRECT)
def test_correct_candidates_pass(candidate):
    scorecard = checked(candidate)
    assert scorecard.passed, str(scorecard)


@pytest.mark.slow
@pytest.mark.parametrize("candidate", MISTAKEN)
def test_mistaken_candidates_are_caught(candidate):
    assert not checked(candidate).passed


@pytest.mark.slow
def test_most_obvious_mistakes_are_named():
    hinted = [c for c in mistaken.CANDIDATES if hasattr(c, "expected_name_hint")]
    named = [c.__name__ for c in hinted if is_named(c, checked(c))]
    assert len(named) >= LEAST_NAMED, named
