"""The check: what counts as right, which answers are taken, and that no candidate can break it."""

from __future__ import annotations

import math
import warnings
from types import SimpleNamespace
from typing import NamedTuple

import numpy as np
import pytest

import refimpl
from refimpl import Gauss, SolveIVP
from refimpl.conformance import QUANTITIES, Case, Expected, Settings, cases, check_conformance
from refimpl.conformance.arrays import norm
from refimpl.conformance.check import (
    MARGIN,
    MOST,
    check_digits,
    examine,
    implemented,
    judge,
    load,
    name_of,
    relative_error,
    required,
)
from refimpl.conformance.own import Default, Package

EPS = {"float64": 2.0**-52, "float32": 2.0**-23}


def made(value, quantity="predict", bound=1e-25, condition=1.0, dtype="float64"):
    """A case whose truth is `value`."""
    settings = Settings("tanh", 1.0, 1.0, 1.0, 1.0, None, dtype)
    U, W, v, X = np.ones((2, 1)), np.ones((2, 2)), np.ones(2), np.ones((3, 1))
    expected = {quantity: Expected(value, bound, condition, None)}
    return Case("made-up", "", ("sigmas",), "ode", settings, *(z.astype(dtype) for z in (U, W, v, X)), expected)


def answering(answer, quantity="predict"):
    """A candidate with one answer to everything; an exception is raised."""

    def function(self, *arguments):
        if isinstance(answer, BaseException) or (isinstance(answer, type) and issubclass(answer, BaseException)):
            raise answer
        return answer

    return type("Answering", (), {quantity: function})()


TRUTH = np.asarray([3.0, 0.0, -4.0])  # of norm 5
GRADIENT = {"U": np.full((2, 1), 1.0), "W": np.full((2, 2), 2.0), "v": np.asarray([3.0, 4.0])}


# --- how near is right ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [2, 5, 11])
def test_digits_are_those_of_the_error_relative_to_the_whole_quantity(exponent):
    answer = TRUTH + np.asarray([0.0, 5 * 10.0**-exponent, 0.0])  # an entry that vanishes is no reason to fail
    result = judge(made(TRUTH), "predict", answer, digits=8)
    assert result.digits == pytest.approx(exponent, abs=1e-4)
    assert result.status == ("passed" if exponent > 8 else "failed")
    assert (result.case, result.quantity, result.activation, result.flags) == (
        "made-up",
        "predict",
        "tanh",
        ("sigmas",),
    )


def test_a_gradient_is_one_quantity():
    answer = GRADIENT | {"v": np.asarray([3.0, 4.0 + 1e-6])}
    size = math.sqrt(2 * 1 + 4 * 4 + 25)
    assert relative_error(answer, GRADIENT) == pytest.approx(1e-6 / size, rel=1e-8)


def test_an_exact_answer_has_all_digits():
    assert judge(made(TRUTH), "predict", TRUTH.copy()).digits == MOST


def test_the_error_is_absolute_where_the_truth_is_zero():
    zero = np.zeros(3)
    assert relative_error(np.asarray([0.0, 1e-9, 0.0]), zero) == 1e-9
    assert judge(made(zero), "predict", zero).status == "passed"
    assert judge(made(zero), "predict", zero + 1e-9).status == "passed"
    assert judge(made(zero), "predict", zero + 1e-7).status == "failed"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("condition", [1.0, 1e3])
def test_no_more_is_asked_for_than_condition_and_precision_leave(dtype, condition):
    case = made(TRUTH, condition=condition, dtype=dtype)
    reachable = -math.log10(MARGIN * condition * EPS[dtype])
    assert required(case, "predict", 16.0) == pytest.approx(reachable)
    assert required(case, "predict", 1.0) == 1.0


def test_no_more_is_asked_for_than_the_vector_has():
    assert required(made(TRUTH, bound=5e-7), "predict", 8.0) == pytest.approx(7.0)  # the norm is 5
    assert required(made(np.zeros(3), bound=5e-7), "predict", 8.0) == pytest.approx(-math.log10(5e-7))


def test_never_less_than_no_digit_is_asked_for():
    assert required(made(TRUTH, condition=1e7, dtype="float32"), "predict", 8.0) == 0.0


def test_shipped_vectors_see_an_error_of_a_percent():
    asked = [required(case, name, 8.0) for case in cases() for name in case.expected]
    assert min(asked) > 2
    assert sum(z == 8 for z in asked) > 0.85 * len(asked)


@pytest.mark.parametrize("size", [1e-200, 1.0, 1e200])
def test_norms_neither_overflow_nor_vanish(size):
    assert norm({"a": np.asarray([3.0, 0.0]) * size, "b": np.asarray([[4.0]]) * size}) == pytest.approx(5 * size)


def test_huge_answers_are_wrong_and_nothing_else():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        result, _ = examine(answering(np.full(3, -1.7e308)), made(TRUTH * 1e307), "predict")
    assert (result.status, result.digits) == ("failed", 0.0)


def test_the_worst_entry_is_named():
    (message,) = {judge(made(TRUTH), "predict", TRUTH + np.asarray([0.0, 1e-3, -1.0])).message}
    assert message == "relative error 2.00e-01; [2] is -5, not -4"
    answer = GRADIENT | {"W": np.asarray([[2.0, 2.0], [2.5, 2.0]])}
    assert "W[1, 0] is 2.5, not 2" in judge(made(GRADIENT, "gradient"), "gradient", answer).message


# --- which answers are taken ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("raw", [TRUTH.tolist(), tuple(TRUTH), list(TRUTH), [3, 0, -4], TRUTH.astype(np.float16)])
def test_numbers_in_lists_and_other_precisions_are_taken(raw):
    result, answer = examine(answering(raw), made(TRUTH), "predict")
    assert result.status == "passed"
    assert answer.tolist() == TRUTH.tolist()


class Blocks(NamedTuple):
    U: object
    W: object
    v: object


@pytest.mark.parametrize(
    "form",
    [
        lambda g: g,
        lambda g: tuple(g.values()),
        lambda g: list(g.values()),
        lambda g: SimpleNamespace(**g),
        lambda g: Blocks(**g),
        lambda g: refimpl.Params(**g),
        lambda g: {"v": g["v"], "W": g["W"].tolist(), "U": g["U"], "loss": None},
    ],
)
def test_a_gradient_may_have_any_form_with_three_blocks(form):
    result, answer = examine(answering(form(GRADIENT), "gradient"), made(GRADIENT, "gradient"), "gradient")
    assert result.status == "passed", result.message
    assert list(answer) == ["U", "W", "v"]


# --- answers that are none ------------------------------------------------------------------------------------------


def with_entry(entry, dtype=float):
    array = TRUTH.astype(dtype)
    array[1] = entry
    return array


NO_ANSWERS = {
    "TypeError: the answer is None": None,
    "ValueError: the answer must have shape (3,), got (3, 1)": TRUTH[:, None],
    "ValueError: the answer must have shape (3,), got (2,)": TRUTH[:2],
    "ValueError: the answer must have shape (3,), got ()": 3.0,
    "ValueError: the answer has entries that are not finite": with_entry(math.nan),
    "ValueError: the answer has entries that are not finite ": with_entry(math.inf),
    "TypeError: the answer must be real numbers, got dtype complex128": TRUTH + 0j,
    "TypeError: the answer must be real numbers, got dtype bool": TRUTH > 0,
    "TypeError: the answer must be real numbers, got dtype object": {"f": TRUTH},
    "TypeError: the answer must be real numbers, got dtype <U3": ["3.0", "0.0", "4.0"],
    "ValueError: setting an array element with a sequence": [[1.0], [1.0, 2.0]],
    "ZeroDivisionError: on two lines": ZeroDivisionError("on\n   two lines"),
    "AssertionError:": AssertionError,
    "SystemExit: 0": SystemExit(0),
    "RecursionError: deep": RecursionError("deep"),
}


@pytest.mark.parametrize("message", NO_ANSWERS, ids=lambda m: m[:60])
def test_what_is_no_answer_fails_in_one_line(message):
    result, answer = examine(answering(NO_ANSWERS[message]), made(TRUTH), "predict")
    assert (result.status, result.digits, result.required, answer) == ("failed", 0.0, 8.0, None)
    assert result.message.startswith(message.strip())
    assert "\n" not in result.message
    assert len(result.message) <= 200


NO_GRADIENTS = {
    "ValueError: the gradient has no W; its keys are U, v": {"U": GRADIENT["U"], "v": GRADIENT["v"]},
    "TypeError: a gradient must be (U, W, v), or have these names; got ndarray": np.ones((3, 2)),
    "TypeError: a gradient must be (U, W, v), or have these names; got tuple of length 2": (1, 2),
    "TypeError: a gradient must be (U, W, v), or have these names; got NoneType": None,
    "TypeError: ∂f/∂W is None": GRADIENT | {"W": None},
    "ValueError: ∂f/∂v must have shape (2,), got (2, 1)": GRADIENT | {"v": np.ones((2, 1))},
}


@pytest.mark.parametrize("message", NO_GRADIENTS)
def test_what_is_no_gradient_fails_and_says_which_block(message):
    result, _ = examine(answering(NO_GRADIENTS[message], "gradient"), made(GRADIENT, "gradient"), "gradient")
    assert (result.status, result.message) == ("failed", message)


@pytest.mark.parametrize("answer", [NotImplementedError("kinks"), NotImplementedError, NotImplemented])
def test_what_is_not_implemented_is_skipped(answer):
    result, given = examine(answering(answer), made(TRUTH), "predict")
    assert (result.status, given) == ("skipped", None)
    assert math.isnan(result.digits)
    assert result.message in ("kinks", "not implemented")


def test_an_interrupt_ends_the_check():
    with pytest.raises(KeyboardInterrupt):
        check_conformance(answering(KeyboardInterrupt()), activations=["tanh"])


# --- the whole check ------------------------------------------------------------------------------------------------


def test_the_package_passes_its_own_check_in_both_precisions():
    scorecard = check_conformance(Default, activations=["softplus"], flags=["sigmas", "zero-input", "float32"])
    assert scorecard.passed, str(scorecard)
    assert {result.quantity for result in scorecard.results} == set(QUANTITIES)
    assert any("float32" in result.flags for result in scorecard.results)


def test_the_package_at_its_tightest_has_12_digits():
    scorecard = check_conformance(Package(), activations=["sin"], flags=["sigmas", "long-horizon"], digits=12)
    assert scorecard.passed, str(scorecard)


def test_kinks_that_a_solver_refuses_are_skipped():
    class Spectral(Default):
        ode = Gauss()

    scorecard = check_conformance(Spectral, activations=["relu"], quantities=["gradient", "resnet_gradient"])
    assert scorecard.passed
    skipped = {result.case for result in scorecard.results if result.status == "skipped"}
    assert "relu-ode-crossings" in skipped
    assert not any("resnet" in case for case in skipped)


def test_the_package_at_its_tightest_has_12_digits_behind_crossings():
    scorecard = check_conformance(Package, activations=["relu"], quantities=["gradient", "ntk"], digits=12)
    assert scorecard.passed, str(scorecard)
    assert all(result.status == "passed" for result in scorecard.results)


ANALYTIC = [name for name in refimpl.activations.BUILTIN if name not in ("relu", "leaky_relu", "elu")]


@pytest.mark.slow
def test_the_package_at_its_tightest_passes_everywhere():
    scorecard = check_conformance(Package)
    assert scorecard.passed, str(scorecard)
    assert all(result.status == "passed" for result in scorecard.results)


@pytest.mark.slow
def test_the_default_solver_passes_for_all_analytic_activations_but_for_states_near_its_absolute_tolerance():
    scorecard = check_conformance(Default, activations=ANALYTIC)
    assert all("tiny-norm" in result.flags for result in scorecard.failures), str(scorecard)


def test_states_near_the_absolute_tolerance_of_the_default_solver_lose_digits():
    """atol = 1e-12 leaves states of 1e-6, which grow from inputs of that size if φ(0) = 0, some 7 digits."""

    class Finer(Default):
        ode = SolveIVP(atol=1e-18)

    choice = {"quantities": ["predict", "terminal_state", "gradient", "ntk"], "activations": ["sin", "identity"]}
    assert not check_conformance(Default, flags=["tiny-norm"], **choice).passed
    scorecard = check_conformance(Finer, flags=["tiny-norm"], **choice)
    assert scorecard.passed, str(scorecard)


def spy(*quantities):
    """A candidate that notes what it is asked."""
    asked = []

    def function(name):
        def answer(self, *arguments):
            asked.append((name, arguments))
            raise NotImplementedError

        return answer

    return type("Spy", (), {name: function(name) for name in quantities})(), asked


def test_a_candidate_is_given_writable_arrays_of_the_dtype_of_the_case():
    candidate, asked = spy("predict", "limit_ntk")
    check_conformance(candidate, activations=["tanh"])
    assert {len(arguments) for name, arguments in asked if name == "predict"} == {5}
    assert {len(arguments) for name, arguments in asked if name == "limit_ntk"} == {2}
    for _, (*arrays, settings) in asked:
        assert all(array.dtype == settings.dtype and array.flags.writeable for array in arrays)
    assert {settings.dtype for _, (*_, settings) in asked} == {"float32", "float64"}


def test_a_candidate_cannot_spoil_the_next_case():
    before = cases("predict", activation="tanh")[0].X.copy()

    class Spoiler:
        def predict(self, U, W, v, X, settings):
            X[:] = np.nan
            return X[:, 0]

    assert not check_conformance(Spoiler, activations=["tanh"]).passed
    assert np.array_equal(cases("predict", activation="tanh")[0].X, before)


def test_modules_instances_and_classes_are_candidates():
    class Mine:
        limit_nngp = Default.limit_nngp
        _ask_limit, limit, dtype = Default._ask_limit, None, None

    module = SimpleNamespace(limit_nngp=Mine().limit_nngp, cases=3)
    cards = [check_conformance(c, activations=["tanh"], flags=["zero-input"]) for c in (Mine, Mine(), module)]
    assert cards[0].passed
    assert cards[0].results == cards[1].results == cards[2].results
    assert implemented(module) == ("limit_nngp",)


def test_choices_narrow_down_what_is_asked():
    candidate, asked = spy("predict", "ntk", "limit_ntk")
    scorecard = check_conformance(
        candidate, quantities=["ntk", "limit_ntk"], flags=["zero-input"], activations=["tanh", "relu"]
    )
    assert {name for name, _ in asked} == {"ntk", "limit_ntk"}
    assert {result.activation for result in scorecard.results} == {"tanh", "relu"}
    assert all("zero-input" in result.flags for result in scorecard.results)
    assert len(asked) == len(scorecard.results)
    everything, _ = spy(*QUANTITIES)
    all_results = check_conformance(everything).results
    assert len(all_results) == sum(len(case.expected) for case in cases())


def test_progress_counts_the_cases_that_are_asked():
    candidate, _ = spy("ntk")
    seen = []
    check_conformance(candidate, activations=["tanh"], progress=lambda done, of: seen.append((done, of)))
    count = len(cases("ntk", activation="tanh"))
    assert seen == [(k + 1, count) for k in range(count)]


@pytest.mark.parametrize(
    ("choice", "message"),
    [
        ({"quantities": ["limit"]}, "quantities must be among predict, .*; got limit$"),
        ({"flags": ["kinks", "deep"]}, "flags must be among .*; got kinks$"),
        ({"activations": ["swish"]}, "activations must be among softplus, .*; got swish$"),
        ({"quantities": []}, "quantities must be among .*; got none$"),
        ({"quantities": ["ntk"]}, "the candidate implements predict, none of which is asked for"),
        ({"flags": ["deep"]}, "no golden vector has these quantities, flags and activations"),
        *(({"digits": d}, "digits must be above 0, and 16 at most") for d in (0, -1, 17, math.nan, math.inf)),
    ],
)
def test_a_choice_of_nothing_is_refused(choice, message):
    candidate, asked = spy("predict")
    with pytest.raises(ValueError, match=message):
        check_conformance(candidate, **choice)
    assert asked == []


@pytest.mark.parametrize("name", ["quantities", "flags", "activations"])
def test_a_string_is_not_taken_for_several_names(name):
    with pytest.raises(TypeError, match=f"{name} must be several names, got the string 'ntk'"):
        check_conformance(spy("ntk")[0], **{name: "ntk"})


def test_a_candidate_that_implements_nothing_is_told_what_it_may_implement():
    with pytest.raises(ValueError, match=r"the candidate implements none of predict, .*, limit_resnet_ntk"):
        check_conformance(SimpleNamespace(predict=3, forward=print))


def test_any_sensible_number_of_digits_is_taken():
    for digits in (0.5, 8, 16.0):
        check_digits(digits)


def test_every_quantity_fails_for_a_candidate_that_is_off_by_a_factor(monkeypatch):
    failed = []
    monkeypatch.setattr(
        "refimpl.conformance.mistakes.recognise", lambda pairs, in_double: tuple(failed.extend(pairs) or ())
    )

    class Off(Default):
        def _ask(self, *arguments):
            return super()._ask(*arguments) * 1.001

        def _ask_limit(self, *arguments):
            return super()._ask_limit(*arguments) * 1.001

    scorecard = check_conformance(Off, activations=["softplus"], flags=["sigmas", "float32"])
    assert {result.status for result in scorecard.results} == {"failed"}
    assert {result.quantity for result in scorecard.results} == set(QUANTITIES)
    assert [(case.id, name) for case, name, _ in failed] == [(r.case, r.quantity) for r in scorecard.results]
    assert all(result.digits == pytest.approx(3, abs=0.05) for result in scorecard.results)


# --- candidates by name ---------------------------------------------------------------------------------------------


def test_a_candidate_is_loaded_by_name():
    assert isinstance(load("refimpl.conformance.own:Default"), Default)
    assert load("refimpl.conformance.own:Default.predict") is Default.predict
    assert load("refimpl.conformance:cases") is cases


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package whose module `inner` is a candidate, and is imported by nothing."""
    name = f"package_of_{tmp_path.name}"
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text("")
    (tmp_path / name / "inner.py").write_text("def predict(U, W, v, X, settings):\n    return 0 * X[:, 0]\n")
    (tmp_path / name / "faulty.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    return name


@pytest.mark.parametrize("separator", [".", ":"])
def test_a_module_with_its_functions_is_a_candidate(package, separator):
    module = load(f"{package}{separator}inner")
    assert implemented(module) == ("predict",)
    assert name_of(module) == f"{package}.inner"


def test_a_module_of_a_package_that_is_absent_or_faulty_is_told_apart(package):
    with pytest.raises(AttributeError, match="no attribute 'absent'"):
        load(f"{package}:absent")
    with pytest.raises(ModuleNotFoundError, match="nothing_of_this_name"):
        load(f"{package}:faulty")


def test_a_module_without_a_function_of_a_candidate_is_refused():
    with pytest.raises(ValueError, match=r"'refimpl\.errors' has none of predict, "):
        load("refimpl.errors")


@pytest.mark.parametrize("spec", ["refimpl.conformance.own:", ":Default", ""])
def test_a_name_of_another_form_is_refused(spec):
    with pytest.raises(ValueError, match=r"a candidate is given as package\.module:Candidate, or as package\.module"):
        load(spec)


def test_a_name_of_nothing_is_refused():
    with pytest.raises(ImportError):
        load("refimpl.nothing:Default")
    with pytest.raises(AttributeError):
        load("refimpl.conformance.own:Nothing")


def test_the_protocol_documents_every_quantity():
    from refimpl.conformance import Candidate

    methods = [name for name in vars(Candidate) if not name.startswith("_")]
    assert tuple(methods) == QUANTITIES
    assert all("shape" in vars(Candidate)[name].__doc__ or "form" in vars(Candidate)[name].__doc__ for name in methods)


class LooseAtTinyNorms:
    """An absolute tolerance: many digits, but few where the answer is small."""

    def predict(self, U, W, v, X, settings):
        (case,) = [c for c in CASES if c.U is not None and np.array_equal(c.U, U) and np.array_equal(c.X, X)]
        return case.expected["predict"].value + (1e-14 if "tiny-norm" in case.flags else 0) + 1e-13


CASES = cases("predict", activation="tanh")


def test_few_digits_beside_many_are_not_those_of_single_precision():
    scorecard = check_conformance(LooseAtTinyNorms(), activations=["tanh"], quantities=["predict"], digits=13)
    assert not scorecard.passed
    assert "float32-inside" not in [mistake.name for mistake in scorecard.mistakes]


class WrongSignature:
    def predict(self, theta, X):
        """Takes other arguments than it is given."""

    def ntk(self, U, W, v, X, settings):
        return X + "a TypeError of its own"

    def limit_ntk(self, X):
        """Without the settings."""


@pytest.mark.parametrize(
    ("quantity", "says"),
    [
        ("predict", "it is called as predict(U, W, v, X, settings), which it does not take: TypeError: "),
        ("limit_ntk", "it is called as limit_ntk(X, settings), which it does not take: TypeError: "),
    ],
)
def test_a_wrong_signature_is_told_the_one_that_is_wanted(quantity, says):
    scorecard = check_conformance(WrongSignature, quantities=[quantity], activations=["tanh"])
    assert all(result.message.startswith(says) for result in scorecard.failures)
    assert scorecard.failures


def test_an_error_of_its_own_within_a_candidate_is_no_wrong_signature():
    scorecard = check_conformance(WrongSignature, quantities=["ntk"], activations=["tanh"])
    assert scorecard.failures
    assert not any("called as" in result.message for result in scorecard.failures)
