"""Mistakes with a number of steps in them, which is read off the answers, and answers that are right but inaccurate."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refimpl.conformance.arrays import norm
from refimpl.conformance.mistakes.catalogue import Known
from refimpl.conformance.mistakes.recipe import Recipe
from refimpl.conformance.scorecard import Mistake
from refimpl.conformance.vectors import Case
from refimpl.quadrature import Host

Failure = tuple[Case, str, Any]
Predict = Callable[[Recipe, Case], Mapping[str, Any]]

LOOKED_AT = 8
"""Failures from which a number of steps is read off."""

FIRST_GUESS, MOST_STEPS = 64, 4096

SMALL = 3e-2
"""Relative error that still counts as inaccuracy …"""

SINGLE = 5e-7
"""… and that of single precision, in units of the condition."""

SHARE = 0.8


def with_steps(failed: Sequence[Failure], predict: Predict) -> tuple[Known, ...]:
    """Mistakes with as many steps as give errors of the size and direction that the answers have."""
    smooth = [
        (case, quantity, answer)
        for case, quantity, answer in failed
        if case.kind == "ode" and "kink" not in case.flags and case.settings.dtype == "float64"
    ]
    found = []
    for name, explanation, recipe, quantities in (
        ("euler-for-ode", "The Neural ODE is solved by Euler's method with too few steps.", Recipe(steps=1), None),
        ("left-riemann-sum", "∂f/∂W is a left Riemann sum.", Recipe(rectangles=1), ("gradient", "ntk")),
        ("right-riemann-sum", "∂f/∂W is a right Riemann sum.", Recipe(rectangles=-1), ("gradient", "ntk")),
    ):
        chosen = [failure for failure in smooth if quantities is None or failure[1] in quantities]
        counts = [_steps(recipe, failure, predict) for failure in chosen[:: max(1, len(chosen) // LOOKED_AT)]]
        known = [
            (case.settings.horizon, c)
            for (case, _, _), c in zip(chosen[:: max(1, len(chosen) // LOOKED_AT)], counts, strict=True)
            if c
        ]
        if known:
            same = round(float(np.median([c for _, c in known])))
            rate = float(np.median([c / T for T, c in known]))
            recipes = dict.fromkeys((_with(recipe, same), _with(recipe, round(rate), True)))
            found.append(
                Known(
                    name, f"{explanation[:-1]}, by the looks of it with {same} steps.", tuple(recipes), quantities or ()
                )
            )
    return tuple(found)


def _with(recipe: Recipe, count: int, per_time: bool = False) -> Recipe:
    count = max(count, 1)
    if recipe.steps:
        return replace(recipe, steps=count, per_time=per_time)
    return replace(recipe, rectangles=count * recipe.rectangles, per_time=per_time)


def _steps(recipe: Recipe, failure: Failure, predict: Predict) -> int | None:
    """Number of steps whose error is the answer's, in so far as it falls like 1 / steps."""
    case, quantity, answer = failure
    truth, got = flat(case.expected[quantity].value), flat(answer)
    count = float(FIRST_GUESS)
    for _ in range(4):
        predicted = predict(_with(recipe, round(count)), case)
        if quantity not in predicted:
            return None
        change = predicted[quantity] - truth
        along = float(change @ (got - truth)) / max(float(change @ change), 1e-300)
        if not along > 0 or norm(got - truth - along * change) > 0.5 * norm(got - truth):
            return None
        previous, count = count, count / along
        if not 1 <= count <= MOST_STEPS:
            return None
        if round(previous) == round(count):
            break
    return round(count)


def inaccuracies(failed: Sequence[Failure], in_double: bool = False) -> list[Mistake]:
    """What is to be said of answers that are no known mistake's: that they are near the truth, and how near.

    With `in_double`, as other answers show that the candidate computes, the errors are not those of single precision.
    """
    if not failed:
        return []
    errors = np.asarray([_error(*failure) for failure in failed])
    near = errors <= SMALL
    if np.mean(near) < SHARE:
        return []
    kinked = all("kink" in case.flags for case, _, _ in failed)
    double = [i for i, (case, _, _) in enumerate(failed) if case.settings.dtype == "float64"]
    condition = np.asarray([case.expected[quantity].condition for case, quantity, _ in failed])
    low, high = (f"{x:.0e}" for x in np.quantile(errors[near], [0.1, 0.9]))
    evidence = f"{np.sum(near)} of {len(failed)} failures are errors of {low} to {high}"
    found = []
    # A residual network has no other error than rounding.
    only_rounding = [i for i in double if failed[i][0].kind.endswith("resnet")]
    look_at = only_rounding or double
    if len(double) == len(failed) and look_at and (only_rounding or not in_double):
        single = np.mean([_is_single(failed[i][2]) for i in double]) >= SHARE
        # With a solver in between a tolerance may be to blame, whose errors vary more than those of rounding.
        level = (errors / (condition if only_rounding else 1))[look_at] <= SINGLE
        if single or np.mean(level) >= SHARE:
            explanation = "Errors are those of single precision: float32 inside."
            found.append(Mistake("float32-inside", explanation, evidence))
            if single or only_rounding:
                return found
    if kinked:
        explanation = "Only kinked φ is inaccurate: steps go over the kinks, where a method loses its order."
        return [Mistake("kinks-stepped-over", explanation, evidence)]
    explanation = "Right, but to few digits: a loose tolerance, too few steps or too coarse a quadrature."
    return [*found, Mistake("low-accuracy", explanation, evidence)]


def flat(value: Any) -> Host:
    """The entries of an answer, block after block."""
    blocks = value.values() if isinstance(value, Mapping) else [value]
    return np.concatenate([np.asarray(block, dtype=np.float64).ravel() for block in blocks])


def _error(case: Case, quantity: str, answer: Any) -> float:
    truth = flat(case.expected[quantity].value)
    size = norm(truth)
    error = norm(flat(answer) - truth)
    return error / size if size > 0 else min(error, math.inf)


def _is_single(answer: Any) -> bool:
    """Whether all entries are numbers of single precision."""
    entries = flat(answer)
    return bool(np.all(entries == entries.astype(np.float32)))
