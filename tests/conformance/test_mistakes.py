"""Recognition of known mistakes: what is made by a recipe is named after it, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl.conformance import cases
from refimpl.conformance.check import check_conformance, judge, relative_error
from refimpl.conformance.mistakes import KNOWN, recognise
from refimpl.conformance.mistakes.finite import answers
from refimpl.conformance.mistakes.limit import limit_answers
from refimpl.conformance.mistakes.recipe import LIMIT_TRUTH, TRUTH, LimitRecipe, Recipe

BY_NAME = {known.name: known for known in KNOWN}
QUICK = "tanh"

PLAIN_ACCURACY = 1e-8
"""A panel of eight Gauss nodes and half a digit a sweep, to 1e-11; the cases magnify it by their condition."""


def made_by(recipe, activations, quantities=(), kinds=None):
    """The failures of somebody who makes the mistake."""
    failed = []
    for case in cases():
        limit = case.kind.startswith("limit")
        if case.settings.activation not in activations or limit != isinstance(recipe, LimitRecipe):
            continue
        if kinds is not None and case.kind not in kinds:
            continue
        try:
            with np.errstate(all="ignore"):
                found = (limit_answers if limit else answers)(recipe, case, {})
        except ValueError:  # of the package, which takes no infinite variances
            continue
        for name in case.expected:
            parts = found[name].values() if isinstance(found[name], dict) else [found[name]]
            finite = all(np.isfinite(part).all() for part in parts)
            if finite and (not quantities or name in quantities) and judge(case, name, found[name]).status == "failed":
                failed.append((case, name, found[name]))
    return failed


def names(failed):
    return [mistake.name for mistake in recognise(failed)]


# --- the plain implementation --------------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["tanh", pytest.param("softplus", marks=pytest.mark.slow)])
def test_without_a_mistake_the_finite_implementation_is_right(activation):
    for case in cases(activation=activation):
        if case.kind in ("ode", "resnet"):
            found = answers(TRUTH, case, {})
            for name, expected in case.expected.items():
                assert relative_error(found[name], expected.value) <= PLAIN_ACCURACY * expected.condition, (
                    case.id,
                    name,
                )


@pytest.mark.parametrize("activation", ["erf", "quadratic", "sin"])
def test_without_a_mistake_the_limit_is_right(activation):
    for case in cases(activation=activation):
        if case.kind.startswith("limit") and "near-blow-up" not in case.flags:
            found = limit_answers(LIMIT_TRUTH, case, {})
            for name, expected in case.expected.items():
                assert relative_error(found[name], expected.value) <= PLAIN_ACCURACY * expected.condition, (
                    case.id,
                    name,
                )


# --- the catalogue -------------------------------------------------------------------------------------------------


def test_catalogue_is_large_and_its_names_are_different():
    assert len(KNOWN) >= 45
    assert len(BY_NAME) == len(KNOWN)
    recipes = [recipe for known in KNOWN for recipe in known.recipes]
    assert TRUTH not in recipes
    assert LIMIT_TRUTH not in recipes


@pytest.mark.parametrize("name", ["adjoint-sign", "W-block-forgotten", "one-layer-too-many"])
def test_a_mistake_is_named_alone(name):
    failed = made_by(BY_NAME[name].recipes[0], {QUICK}, BY_NAME[name].quantities)
    assert names(failed) == [name]


def test_a_mistake_of_the_limit_is_named_alone():
    assert names(made_by(LimitRecipe(last="Sigma"), {"sin"}, kinds=("limit-resnet",))) == ["Sigma_00-in-last-term"]


def test_an_activation_of_another_variant_is_named():
    assert names(made_by(Recipe(variant="gelu:tanh"), {"gelu"}, kinds=("resnet",))) == ["tanh-gelu"]


def test_two_mistakes_are_both_named():
    first = made_by(Recipe(sigma_w=0), {QUICK}, ("resnet_predict", "resnet_gradient"))
    second = made_by(Recipe(sign=-1), {QUICK}, ("initial_adjoint",))
    assert set(names(first + second)) == {"sigma_w-missing", "adjoint-sign"}


@pytest.mark.parametrize("steps", [pytest.param(20, marks=pytest.mark.slow), 300])
def test_rectangles_are_counted(steps):
    (mistake,) = recognise(made_by(Recipe(rectangles=steps), {QUICK}, ("gradient", "ntk")))
    assert mistake.name == "left-riemann-sum"
    assert f"{steps} steps" in mistake.explanation


def test_steps_of_eulers_method_are_counted():
    (mistake,) = recognise(made_by(Recipe(steps=100), {QUICK}, kinds=("ode",)))
    assert mistake.name == "euler-for-ode"
    assert "100 steps" in mistake.explanation


# --- what is no known mistake --------------------------------------------------------------------------------------


def noisy(size, seed=0, dtype=np.float64):
    """All answers for one activation, off by a relative error of about `size`."""
    rng = np.random.default_rng(seed)
    return [
        (
            case,
            "predict",
            (case.expected["predict"].value * (1 + size * rng.normal(size=len(case.X)))).astype(dtype) * 1.0,
        )
        for case in cases("predict", activation=QUICK)
        if case.settings.dtype == "float64"
    ]


def test_answers_near_the_truth_are_called_inaccurate():
    assert names(noisy(1e-4)) == ["low-accuracy"]


def test_numbers_of_single_precision_are_recognised():
    assert names(noisy(3e-8, dtype=np.float32)) == ["float32-inside"]


def test_nonsense_has_no_name():
    rng = np.random.default_rng(1)
    assert names([(case, q, rng.normal(size=len(case.X))) for case, q, _ in noisy(0.0)]) == []


def test_nothing_failed_has_no_name():
    assert recognise([]) == ()


def test_the_evidence_counts_failures():
    failed = made_by(Recipe(sign=-1), {QUICK}, ("initial_adjoint",))
    (mistake,) = recognise(failed)
    assert mistake.evidence == f"explains {len(failed)} of the {len(failed)} failures it was tried on"


def test_a_candidate_that_forgets_sigma_w_is_told_so():
    class Mine:
        def resnet_predict(self, U, W, v, X, settings):
            h = settings.sigma_u * X @ U.T
            for _ in range(settings.depth):
                h = h + settings.horizon / settings.depth * np.tanh(h) @ W.T / np.sqrt(len(v))
            return settings.sigma_v * np.tanh(h) @ v / np.sqrt(len(v))

    assert check_conformance(Mine(), activations=["tanh"]).mistakes[0].name == "sigma_w-missing"


# --- all of it -----------------------------------------------------------------------------------------------------

SAME = {"riemann-sum-shifted", "kernel-halved", "kernel-mean-for-sum", "step-1/L-for-T/L"}
"""On some failures these are other mistakes too, of which the more usual is named."""


@pytest.mark.slow
@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.name)
def test_every_mistake_of_the_catalogue_is_recognised(known):
    recipe = known.recipes[0]
    own = {r.partition(":")[0] for r in [recipe.variant or ""] if ":" in r}
    failed = made_by(recipe, own or {"tanh", "erf", "quadratic", "relu"}, known.quantities)
    assert failed
    assert known.name in SAME or known.name in names(failed)


def test_answers_as_large_as_float64_are_compared_without_overflow():
    failed = [
        (case, "predict", np.full(len(case.X), (-1.0) ** len(case.X) * 1.5e308))
        for case in cases("predict", activation="tanh")
    ]
    assert recognise(failed) == ()
