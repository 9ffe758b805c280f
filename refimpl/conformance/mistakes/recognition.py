"""Which known mistakes give a candidate's numbers.

A mistake explains a failed answer if its own number agrees with it far better than the truth does. It is known by a
quantity if it explains most failures of that quantity where it makes a difference, and named if it explains more
failures than others do.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

import numpy as np

from refimpl._words import counted
from refimpl.conformance.arrays import norm
from refimpl.conformance.mistakes.accuracy import flat, inaccuracies, with_steps
from refimpl.conformance.mistakes.catalogue import KNOWN, Known
from refimpl.conformance.mistakes.finite import answers
from refimpl.conformance.mistakes.limit import limit_answers
from refimpl.conformance.mistakes.recipe import LIMIT_TRUTH, TRUTH, LimitRecipe, Recipe
from refimpl.conformance.scorecard import Mistake
from refimpl.conformance.vectors import Case
from refimpl.errors import AccuracyError, BlowUpError
from refimpl.quadrature import Host

Failure = tuple[Case, str, Any]

DIFFERENCE = 1e-6
"""Relative change of a quantity below which a mistake makes no difference."""

AGREEMENT = {"float64": 1e-6, "float32": 1e-4}
"""Relative error at which an answer has a mistake's number, by the precision it is computed in …"""

OF_ERROR = 1e-3
"""… and as a part of the answer's own error, for a candidate that is inaccurate too …"""

BETTER = 30.0
"""… but it must be nearer to the mistake than to the truth by this factor."""

SHARE = 0.8
"""Part of the failures, of one quantity, that a mistake must explain where it makes a difference."""

SCREENED = 12
"""Cases a mistake is tried on before it is given up, if it is not much earlier; and …"""

CONFIRMED = 90
"""… how many are looked at where it does explain."""

SLOW_DUALS = ("softplus", "sigmoid", "tanh", "silu", "elu")
"""Activations whose E[φφ] has no formula, or a long one."""

MOST = 3
"""Mistakes that are named."""


@dataclass
class Tally:
    """What a mistake makes of the failures, by their number: those it explains, and all it was tried on.

    `likely` are others of the same quantities: it was not tried on them for want of time, or changes very little.
    """

    explained: set[int] = field(default_factory=set)
    tried: set[int] = field(default_factory=set)
    likely: set[int] = field(default_factory=set)

    def join(self, other: Tally) -> None:
        """Add what another way to make the mistake explains."""
        if other.explained:
            self.explained |= other.explained
            self.tried |= other.tried
            self.likely |= other.likely


def recognise(failed: Sequence[Failure], in_double: bool = False) -> tuple[Mistake, ...]:
    """Known mistakes that have the numbers of a candidate.

    Parameters
    ----------
    failed : sequence of (Case, str, answer)
        The failures: a case, one of its quantities, and the candidate's answer, a float64 array or a dict of them.
    in_double : bool
        Whether other answers have more digits than single precision can give.

    Returns
    -------
    tuple of Mistake
        Three at most, the one that explains most first.

    Examples
    --------
    >>> from refimpl.conformance import cases
    >>> failed = [(case, "predict", -case.expected["predict"].value) for case in cases("predict", activation="tanh")]
    >>> [mistake.name for mistake in recognise(failed)]
    ['sign-of-output']
    """
    with np.errstate(all="ignore"):  # answers and mistakes may be as large as float64 is
        return _recognised(failed, in_double)


def _recognised(failed: Sequence[Failure], in_double: bool) -> tuple[Mistake, ...]:
    workshop = Workshop(failed)
    found = list[tuple[Known, Tally]]()
    for known in (*KNOWN, *with_steps(failed, workshop.predicted)):
        tally = Tally()
        for recipe in known.recipes:
            tally.join(workshop.tally(recipe, known.quantities))
        if tally.explained:
            found.append((known, tally))
    named, remaining = list[Mistake](), set(range(len(failed)))
    while found and len(named) < MOST:
        known, tally = max(found, key=lambda pair: len(pair[1].explained & remaining))  # the first of equal ones
        new = tally.explained & remaining
        if len(new) < max(1, 0.02 * len(workshop.looked_at)) or 2 * len(new) < len(tally.explained):
            break
        evidence = f"explains {len(tally.explained)} of the {counted(len(tally.tried), 'failure')} it was tried on"
        named.append(Mistake(known.name, known.explanation, evidence))
        remaining -= tally.explained | tally.likely
    if len(named) < MOST:
        rest = remaining & workshop.looked_at if named else remaining
        if not named or len(rest) >= max(3, 0.1 * len(failed)):
            named += inaccuracies([failed[i] for i in sorted(rest)], in_double)
    return tuple(named[:MOST])


class Workshop:
    """The failures, case by case in an order in which the telling ones come early, and what was computed for them."""

    def __init__(self, failed: Sequence[Failure]) -> None:
        self.failed = failed
        by_case: dict[int, list[int]] = {}
        for index, (case, _, _) in enumerate(failed):
            by_case.setdefault(id(case), []).append(index)
        self.order = _ordered(list(by_case.values()), failed)
        self.memory: dict[Any, Any] = {}
        self.truths: dict[int, Mapping[str, Any] | None] = {}
        self.looked_at: set[int] = set()

    def tally(self, recipe: Recipe | LimitRecipe, quantities: tuple[str, ...]) -> Tally:
        """What one recipe explains; it is given up as soon as it does not."""
        explained, unexplained, tried = Counter[str](), Counter[str](), 0
        tally = Tally()
        for indices in self.order:
            case = self.failed[indices[0]][0]
            open_ = [
                i
                for i in indices
                if (not quantities or self.failed[i][1] in quantities)
                and not hopeless(explained[self.failed[i][1]], unexplained[self.failed[i][1]])
            ]
            if not open_ or case.kind.startswith("limit") != isinstance(recipe, LimitRecipe):
                continue
            if not may_differ(recipe, case):
                continue
            tried += 1
            if tried > (CONFIRMED if tally.explained else SCREENED):
                break
            predicted = self.predicted(recipe, case)
            for i in open_:
                _, quantity, answer = self.failed[i]
                if quantity not in predicted:
                    continue
                verdict = explains(predicted[quantity], case, quantity, answer)
                if verdict is False and self.doubtful(case, quantity, answer):
                    verdict = None
                self.looked_at.add(i)
                tally.tried.add(i)
                if verdict is not None:
                    (explained if verdict else unexplained)[quantity] += 1
                    tally.explained |= {i} if verdict else set()
                elif nearer(predicted[quantity], case, quantity, answer):
                    tally.likely.add(i)
        known_by = {q for q in explained if explained[q] >= SHARE * (explained[q] + unexplained[q])}
        tally.explained = {i for i in tally.explained if self.failed[i][1] in known_by}
        tally.tried = {i for i in tally.tried if self.failed[i][1] in known_by}
        unseen = set(range(len(self.failed))) - self.looked_at
        tally.likely = {i for i in tally.likely | unseen if self.failed[i][1] in known_by}
        return tally

    def predicted(self, recipe: Recipe | LimitRecipe, case: Case) -> Mapping[str, Any]:
        """What the recipe gives: the truth, and what the mistake changes. Empty if it gives nothing."""
        key = id(case)
        if key not in self.truths:
            self.truths[key] = self._computed(LIMIT_TRUTH if case.kind.startswith("limit") else TRUTH, case)
        right, wrong = self.truths[key], self._computed(recipe, case)
        if right is None or wrong is None:
            return {}
        changed = {}
        for name, expected in case.expected.items():
            changed[name] = flat(expected.value) + (flat(wrong[name]) - flat(right[name]))
        return changed

    def doubtful(self, case: Case, quantity: str, answer: Any) -> bool:
        """Whether the plain implementation is too inaccurate itself for a verdict, as where neurons cross a kink."""
        right, truth = self.truths[id(case)], flat(case.expected[quantity].value)
        own = norm(flat(right[quantity]) - truth) if right else math.inf
        return own > OF_ERROR / 10 * norm(flat(answer) - truth)

    def _computed(self, recipe: Recipe | LimitRecipe, case: Case) -> Mapping[str, Any] | None:
        try:
            with np.errstate(all="ignore"):
                found: Mapping[str, Any]
                if isinstance(recipe, LimitRecipe):
                    found = limit_answers(recipe, case, self.memory)
                else:
                    found = answers(recipe, case, self.memory)
        except (ArithmeticError, AccuracyError, BlowUpError, ValueError, np.linalg.LinAlgError):
            return None  # it escapes to infinity, or is a case the mistake makes no sense of
        finite = all(np.all(np.isfinite(flat(value))) for value in found.values())
        return found if finite else None


def explains(predicted: Host, case: Case, quantity: str, answer: Any) -> bool | None:
    """Whether the answer is the predicted one rather than the truth; None if these are the same."""
    truth = flat(case.expected[quantity].value)
    got = flat(answer)
    size, scale = norm(truth), norm(got)
    if norm(predicted - truth) <= DIFFERENCE * max(size, norm(predicted)):
        return None
    error, miss = norm(got - truth), norm(got - predicted)
    allowed = max(OF_ERROR * error, min(AGREEMENT[case.settings.dtype] * scale, error / BETTER))
    return math.isfinite(miss) and miss <= allowed


def nearer(predicted: Host, case: Case, quantity: str, answer: Any) -> bool:
    """Whether the answer is much nearer to the predicted one than to the truth."""
    got = flat(answer)
    error, miss = norm(got - flat(case.expected[quantity].value)), norm(got - predicted)
    return math.isfinite(miss) and miss <= error / BETTER


def hopeless(explained: int, unexplained: int) -> bool:
    """Whether a mistake will not come to explain most failures of a quantity."""
    return (unexplained >= 3 and explained < unexplained) or (unexplained >= 8 and explained < 3 * unexplained)


def may_differ(recipe: Recipe | LimitRecipe, case: Case) -> bool:
    """Whether the mistake can change anything in a case, as far as that is seen without computing."""
    s, right = case.settings, TRUTH if isinstance(recipe, Recipe) else LIMIT_TRUTH
    changed = {part.name for part in fields(recipe) if getattr(recipe, part.name) != getattr(right, part.name)}
    if recipe.variant is not None:
        own = recipe.variant.partition(":")
        return own[0] == s.activation if own[1] else own[0] != s.activation
    if isinstance(recipe, Recipe) and "-at-zero" in recipe.slope + recipe.terminal_slope:
        return "kink" in case.flags and "zero-input" in case.flags
    neutral = {
        "sigma_u": s.sigma_u == 1,
        "sigma_w": s.sigma_w == 1,
        "sigma_v": s.sigma_v == 1,
        "adjoint_sigma_w": s.sigma_w == 1,
        "terminal_sigma_v": s.sigma_v == 1,
        "horizon": s.horizon == 1,
        "root_d": case.X.shape[1] == 1,
    }
    return not all(neutral.get(name, False) for name in changed)


def _ordered(cases: list[list[int]], failed: Sequence[Failure]) -> list[list[int]]:
    """Cheap cases of every activation before dear ones, kinds and activations taking turns, kinks last."""

    def cost(indices: list[int]) -> float:
        case = failed[indices[0]][0]
        telling = len({"sigmas", "wide-range-sigmas", "asymmetric-weights"} & set(case.flags))
        dull = len({"width-one", "zero-input", "tiny-norm", "float32", "near-blow-up"} & set(case.flags))
        slow = 4.0 if "limit" in case.kind and case.settings.activation in SLOW_DUALS else 1.0
        return (
            slow * case.settings.horizon * (1.0 + ("kink" in case.flags) + dull) / (1.0 + telling)
            + (case.settings.depth or 0) / 64
        )

    turns: dict[tuple[str, str], list[list[int]]] = {}
    for indices in sorted(cases, key=cost):
        case = failed[indices[0]][0]
        turns.setdefault((case.kind, case.settings.activation), []).append(indices)
    ranked = [
        (
            turn + (4 if failed[indices[0]][0].settings.activation in ("relu", "leaky_relu", "elu") else 0),
            cost(indices),
            indices,
        )
        for group in turns.values()
        for turn, indices in enumerate(group)
    ]
    return [indices for _, _, indices in sorted(ranked, key=lambda r: (math.floor(r[0]), r[1]))]
