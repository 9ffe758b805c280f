"""What a statement of the paper answers with: claims and their verdict, roads, numbers, a figure."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from verification.roads import Agreement

Value: TypeAlias = float | int | str | None
"""A number, or words where a number would not do (LaTeX between dollar signs); None shows as a dash."""


class Verdict(StrEnum):
    """What the numbers say of a claim of the paper.

    A claim `HOLDS_WITH_SCOPE` when it is true only under a restriction that the paper does not state.
    """

    HOLDS = "holds"
    HOLDS_WITH_SCOPE = "holds-with-scope"
    FAILS = "fails-as-stated"
    UNDECIDED = "undecided"
    NOT_RUN = "not-run"


class Origin(StrEnum):
    """Whose sentence a claim is.

    `PAPER` is what the paper or its talk says, in our words; `OURS` adds to it: a sharper rate, a repair, a case that
    the paper does not treat. A sentence of ours that comes out false does not fail the paper.
    """

    PAPER = "paper"
    OURS = "ours"


@dataclass(frozen=True)
class Claim:
    """One checkable sentence of a statement, and what was found.

    Parameters
    ----------
    id : str
        Unique in its statement; lower case, digits and hyphens.
    text : str
        The sentence, in our words; LaTeX between dollar signs.
    verdict : Verdict
    measured, predicted, uncertainty : number, str or None
        What came out, what the paper says, and how far `measured` may be off. NaN is refused.
    scope : str
        The restriction under which it holds, or why it is undecided or was not run: required for these three verdicts.
    origin : Origin
        Whose sentence it is.

    Raises
    ------
    ValueError
        An empty or malformed field, NaN, or a missing `scope`.
    TypeError
        A value that is neither a number, a string nor None.

    Examples
    --------
    >>> Claim("rate", "The difference decays as $L^{-1}$.", Verdict.HOLDS, -0.998, -1, 0.004).verdict.value
    'holds'
    """

    id: str
    text: str
    verdict: Verdict
    measured: Value
    predicted: Value
    uncertainty: Value = None
    scope: str = ""
    origin: Origin = Origin.OURS

    def __post_init__(self) -> None:
        if not self.id or set(self.id) - set("abcdefghijklmnopqrstuvwxyz0123456789-"):
            raise ValueError(f"Claim id must be made of lower-case letters, digits and hyphens, got {self.id!r}")
        where = f"claim {self.id!r}"
        require_text(f"{where}: text", self.text)
        object.__setattr__(self, "verdict", Verdict(self.verdict))
        object.__setattr__(self, "origin", Origin(self.origin))
        for name in ("measured", "predicted", "uncertainty"):
            object.__setattr__(self, name, as_value(f"{where}: {name}", getattr(self, name)))
        if self.verdict not in (Verdict.HOLDS, Verdict.FAILS) and not self.scope.strip():
            raise ValueError(f"{where}: scope must say why the verdict is {self.verdict.value!r}, got {self.scope!r}")

    @property
    def consequence(self) -> Verdict:
        """The verdict as it counts for the statement: a false sentence of ours leaves it undecided."""
        ours = self.verdict is Verdict.FAILS and self.origin is Origin.OURS
        return Verdict.UNDECIDED if ours else self.verdict


@dataclass(frozen=True)
class Table:
    """Measured numbers, row by row.

    Parameters
    ----------
    caption : str
    columns : sequence of str
        Headings with symbols and units; LaTeX between dollar signs.
    rows : sequence of sequences of number, str or None
        The first entry of a row is its heading.

    Raises
    ------
    ValueError
        A row whose length differs from that of `columns`, or NaN.

    Examples
    --------
    >>> Table("Error of Euler", ["$L$", "error"], [(8, 0.125), (16, 0.0625)]).rows[1]
    (16, 0.0625)
    """

    caption: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]

    def __post_init__(self) -> None:
        require_text("caption of a table", self.caption)
        object.__setattr__(self, "columns", tuple(self.columns))
        where = f"table {self.caption!r}"
        object.__setattr__(self, "rows", tuple(tuple(as_value(where, v) for v in row) for row in self.rows))
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{where}: a row must have {len(self.columns)} entries, got {row}")


@dataclass(frozen=True)
class Result:
    """What a statement found.

    Parameters
    ----------
    claims : sequence of Claim
        In the order of the paper; the verdict of the statement follows from them (`overall`).
    agreements : sequence of Agreement
        At least one for each claim that was run: a verdict rests on roads that were compared in this run.
    experiment : str
        What was done, in a few sentences; LaTeX between dollar signs.
    size : mapping from str to number, str or sequence of them
        How large: ``{"n": 512, "N": 8, "L": [8, 16, 32], "seeds": 4}``.
    figure : matplotlib.figure.Figure
        Made with `verification.style.new_figure`; no pyplot.
    alt : str
        The figure in words, for those who cannot see it: what is drawn and what it shows. Plain text.
    caption : str
        Below the figure; LaTeX between dollar signs.
    tables : sequence of Table
    scope : str
        A restriction of the whole statement; those of the claims are added by `full_scope`.

    Raises
    ------
    ValueError
        No claim, no agreement, a claim id used twice, an agreement on a claim that is not there, a claim that was run
        and rests on no agreement, or an empty text.
    """

    claims: Sequence[Claim]
    agreements: Sequence[Agreement]
    experiment: str
    size: Mapping[str, Any]
    figure: Figure
    alt: str
    caption: str = ""
    tables: Sequence[Table] = ()
    scope: str = ""

    def __post_init__(self) -> None:
        for name in ("claims", "agreements", "tables"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        require_text("experiment", self.experiment)
        require_text("alt (the figure in words)", self.alt)
        if not self.claims:
            raise ValueError("claims must hold at least one Claim, got none")
        if not self.agreements:
            raise ValueError("agreements must hold at least one comparison of two roads, got none")
        ids = [claim.id for claim in self.claims]
        if len(set(ids)) < len(ids):
            raise ValueError(f"claims must have different ids, got {ids}")
        for agreement in self.agreements:
            if unknown := [id for id in agreement.claims if id not in ids]:
                raise ValueError(f"{agreement.quantity}: claims must be ids of this statement, got {unknown}")
        if bare := [c.id for c in self.claims if c.verdict is not Verdict.NOT_RUN and not self.basis(c)]:
            raise ValueError(f"every claim must rest on roads that were compared, got none for {bare}")
        object.__setattr__(self, "size", {name: _as_size(name, given) for name, given in self.size.items()})

    @property
    def roads_agree(self) -> bool:
        """Whether every comparison of roads came out within its bound."""
        return all(agreement.agree for agreement in self.agreements)

    @property
    def roads(self) -> tuple[str, ...]:
        """The roads, each named once."""
        return tuple(dict.fromkeys(road for agreement in self.agreements for road in agreement.roads))

    def basis(self, claim: Claim) -> tuple[Agreement, ...]:
        """The comparisons that the numbers of `claim` rest on."""
        return tuple(agreement for agreement in self.agreements if agreement.supports(claim.id))

    @property
    def verdict(self) -> Verdict:
        """Verdict of the statement, from its claims."""
        return overall(self.claims, self.agreements)

    @property
    def decisive(self) -> Claim:
        """The claim whose numbers stand for the statement: the first that carries its verdict, else the first."""
        return next((claim for claim in self.claims if claim.consequence is self.verdict), self.claims[0])

    @property
    def full_scope(self) -> str:
        """Every restriction, in words."""
        apart = "; ".join(f"{a.quantity} ({', '.join(a.roads)})" for a in self.agreements if not a.agree)
        scopes = [f"The independent roads disagree: {apart}." if apart else "", self.scope]
        scopes += [claim.scope for claim in self.claims]
        return " ".join(dict.fromkeys(scope.strip() for scope in scopes if scope.strip()))


def overall(claims: Iterable[Claim], agreements: Iterable[Agreement]) -> Verdict:
    """Verdict of a statement, from the verdicts of its claims.

    Roads that disagree leave everything undecided. Otherwise one false claim of the paper fails the statement; then one
    open claim, or a false one of ours, leaves it undecided; a claim that was restricted, or left out of the run,
    restricts the statement.

    Examples
    --------
    >>> ok = Claim("a", "A.", Verdict.HOLDS, 1, 1)
    >>> left_out = Claim("b", "B.", Verdict.NOT_RUN, None, 1, scope="Runs with --full only.")
    >>> overall([ok, left_out], []).value
    'holds-with-scope'
    """
    if not all(agreement.agree for agreement in agreements):
        return Verdict.UNDECIDED
    verdicts = {claim.consequence for claim in claims}
    for verdict in (Verdict.FAILS, Verdict.UNDECIDED):
        if verdict in verdicts:
            return verdict
    if verdicts <= {Verdict.NOT_RUN}:
        return Verdict.NOT_RUN
    return Verdict.HOLDS if verdicts == {Verdict.HOLDS} else Verdict.HOLDS_WITH_SCOPE


def as_value(name: str, given: Any) -> Value:
    """`given` as a plain Python number or string; NaN, booleans and anything else are refused by `name`."""
    if given is None or isinstance(given, str):
        return given
    if isinstance(given, (bool, np.bool_)):
        raise TypeError(f"{name} must be a number, a string or None, got {given!r}")
    if isinstance(given, (int, np.integer)):
        return int(given)
    if isinstance(given, (float, np.floating)):
        if math.isnan(given):
            raise ValueError(f"{name} must not be NaN")
        return float(given)
    raise TypeError(f"{name} must be a number, a string or None, got {type(given).__qualname__}")


def _as_size(name: str, given: Any) -> Value | list[Value]:
    if isinstance(given, (list, tuple, range, np.ndarray)):
        return [as_value(f"size[{name!r}]", entry) for entry in given]
    return as_value(f"size[{name!r}]", given)


def require_text(name: str, text: str) -> None:
    """Refuse an empty `text` by `name`."""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{name} must not be empty, got {text!r}")
