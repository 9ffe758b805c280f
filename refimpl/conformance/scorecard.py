"""What a check found: digits, failures, and the mistakes that explain them."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

Key = TypeVar("Key")


@dataclass(frozen=True)
class Result:
    """One quantity of one case.

    Parameters
    ----------
    case : str
        Its id.
    quantity, activation : str
    flags : tuple of str
    status : {"passed", "failed", "skipped"}
        Skipped is what the candidate says it does not implement.
    digits, required : float
        Correct digits, −log10 of the relative error in the 2-norm, and those asked for.
    message : str
        What is wrong, or "".
    """

    case: str
    quantity: str
    activation: str
    flags: tuple[str, ...]
    status: str
    digits: float
    required: float
    message: str

    @property
    def explanation(self) -> str:
        """Digits reached and asked for, and what is wrong, in a line."""
        return f"{_floored(self.digits)} of {self.required:.1f} digits; {self.message}"


@dataclass(frozen=True)
class Mistake:
    """A known mistake whose numbers are those of the candidate.

    Parameters
    ----------
    name, explanation : str
    evidence : str
        In how many of the failures it gives the candidate's numbers.
    """

    name: str
    explanation: str
    evidence: str


@dataclass(frozen=True)
class Scorecard:
    """The outcome of `check_conformance`; printed, it is a table.

    Parameters
    ----------
    results : tuple of Result
    mistakes : tuple of Mistake
        The likeliest first.
    options : mapping
        What was checked, and how: the candidate, the digits asked for, and the selection of vectors.

    Examples
    --------
    >>> import refimpl
    >>> refimpl.Scorecard(results=()).passed  # nothing was compared
    False
    """

    results: tuple[Result, ...]
    mistakes: tuple[Mistake, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def failures(self) -> tuple[Result, ...]:
        """The results that failed, the least digits first."""
        failed = [result for result in self.results if result.status == "failed"]
        return tuple(sorted(failed, key=lambda result: result.digits - result.required))

    @property
    def passed(self) -> bool:
        """Whether something was compared, and nothing failed."""
        return not self.failures and any(result.status == "passed" for result in self.results)

    @cached_property
    def digits(self) -> Mapping[tuple[str, str, str], float]:
        """Fewest correct digits by (quantity, activation, flag); the flag "" stands for all cases."""
        return self._fewest(lambda r: [(r.quantity, r.activation, flag) for flag in ("", *r.flags)])

    @cached_property
    def by_activation(self) -> Mapping[tuple[str, str], float]:
        """Fewest correct digits by (quantity, activation), and by (quantity, "float32").

        Single precision stands apart: it would hide what is reached in double precision.
        """
        return self._fewest(lambda r: [(r.quantity, row) for row in self._rows(r)])

    @cached_property
    def by_flag(self) -> Mapping[tuple[str, str], float]:
        """Fewest correct digits by (quantity, flag), over all activations."""
        return self._fewest(lambda r: [(r.quantity, flag) for flag in r.flags])

    @property
    def failing_rows(self) -> frozenset[tuple[str, str]]:
        """Keys of `by_activation` and `by_flag` with a failure."""
        return frozenset((r.quantity, row) for r in self.failures for row in (*self._rows(r), *r.flags))

    def _rows(self, result: Result) -> tuple[str, ...]:
        return ("float32",) if "float32" in result.flags else (result.activation,)

    def _fewest(self, keys: Callable[[Result], Iterable[Key]]) -> dict[Key, float]:
        fewest: dict[Key, float] = {}
        for result in self.results:
            if result.status != "skipped":
                for key in keys(result):
                    fewest[key] = min(result.digits, fewest.get(key, math.inf))
        return fewest

    def to_json(self) -> str:
        """Everything as JSON: version, options, the verdict, the fewest digits, the mistakes and each result.

        Digits are rounded down to three decimals, so that 7.9996 does not pass for 8.
        """
        from refimpl import __version__

        rows = [
            {"quantity": q, "activation": a, "flag": f, "digits": _floor(d, 3)} for (q, a, f), d in self.digits.items()
        ]
        content: dict[str, Any] = {
            "refimpl": __version__,
            "options": dict(self.options),
            "passed": self.passed,
            "counts": self._counts(),
            "digits": rows,
            "mistakes": [vars(mistake) for mistake in self.mistakes],
            "results": [
                {**vars(result), "digits": None, "required": None}
                if result.status == "skipped"
                else {**vars(result), "digits": _floor(result.digits, 3), "required": _floor(result.required, 3)}
                for result in self.results
            ],
        }
        return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"

    def plot(self, path: str | os.PathLike[str]) -> None:
        """Draw the digits by quantity and activation, and by quantity and flag, to a file; needs matplotlib."""
        from refimpl.conformance.drawing import draw

        draw(self, Path(path))

    def _counts(self) -> dict[str, int]:
        return {status: sum(r.status == status for r in self.results) for status in ("passed", "failed", "skipped")}

    def __str__(self) -> str:
        """Fewest correct digits by activation and quantity, then failures and mistakes."""
        counts = self._counts()
        lines = [
            f"{'passed' if self.passed else 'FAILED'}: " + ", ".join(f"{n} {status}" for status, n in counts.items())
        ]
        if counts["passed"] == counts["failed"] == 0:
            reasons = dict.fromkeys(result.message for result in self.results)
            why = "; ".join(list(reasons)[:3]) or "no cases"
            lines = [f"FAILED: nothing was compared, {counts['skipped']} skipped ({why})"]
        table = self.by_activation
        if table:
            quantities, rows = ordered(q for q, _ in table), ordered(row for _, row in table)
            bad = self.failing_rows
            lines += ["", "Fewest correct digits (* failed):", ""]
            first = max(len(name) for name in (*rows, "activation"))
            wide = {q: max(len(q), len("16.0*")) for q in quantities}
            lines.append("  ".join([f"{'activation':{first}}", *(f"{q:>{wide[q]}}" for q in quantities)]))
            for row in rows:
                cells = []
                for q in quantities:
                    value = table.get((q, row))
                    text = "– " if value is None else _floored(value) + ("*" if (q, row) in bad else " ")
                    cells.append(f"{text:>{wide[q]}}")
                lines.append("  ".join([f"{row:{first}}", *cells]).rstrip())
        if self.failures:
            worst = dict[str, Result]()
            for result in self.failures:
                worst.setdefault(result.quantity, result)
            lines += ["", "Worst case of each quantity:", ""]
            lines += [f"  {result.case} {quantity}: {result.explanation}" for quantity, result in worst.items()]
            lines += self._failing_flags()
        if self.mistakes:
            lines += ["", "Known mistakes that give the same numbers:", ""]
            lines += [f"  {m.name}: {m.explanation} ({m.evidence})" for m in self.mistakes]
        return "\n".join(lines)

    def _failing_flags(self) -> list[str]:
        """Flags of which every case of a quantity failed, while others of it passed: a hint at the reason."""
        always: dict[tuple[str, ...], list[str]] = {}
        for quantity in ordered(r.quantity for r in self.failures):
            compared = [r for r in self.results if r.quantity == quantity and r.status != "skipped"]
            if any(r.status == "passed" for r in compared):
                flags = dict.fromkeys(flag for r in self.failures if r.quantity == quantity for flag in r.flags)
                failed = tuple(f for f in flags if all(r.status == "failed" for r in compared if f in r.flags))
                always.setdefault(failed, []).append(quantity)
        always.pop((), None)
        return [""] * bool(always) + [
            f"Failed in every case of {', '.join(quantities)} with the {'flag' if len(flags) == 1 else 'flags'} "
            f"{', '.join(flags)}."
            for flags, quantities in always.items()
        ]


def ordered(names: Iterable[str]) -> tuple[str, ...]:
    """Without repetitions, float32 last."""
    return tuple(sorted(dict.fromkeys(names), key=lambda name: name == "float32"))


def _floored(digits: float) -> str:
    """Digits to a tenth, never more than there are: 7.96 is less than 8."""
    return f"{_floor(digits, 1):.1f}"


def _floor(value: float, decimals: int) -> float:
    """The largest number of so many decimals that is not above `value`."""
    return math.floor(value * 10.0**decimals) / 10.0**decimals
