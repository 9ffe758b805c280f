"""Independent roads to one number: a verdict rests only on what two of them agree on."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verification.statement import require_text


@dataclass(frozen=True)
class Agreement:
    """Independent roads to one quantity, and how far apart they came out.

    Parameters
    ----------
    quantity : str
        What was computed; LaTeX between dollar signs.
    roads : sequence of str
        Two or more different methods; a name says what it is, and what is shared if that is not plain.
    difference : float
        Largest difference between any two of them.
    allowed : float
        Largest difference that is consistent with the error bounds of the roads, or that matters to no claim.
    because : str
        Where `allowed` comes from.
    claims : sequence of str
        Ids of the claims whose numbers rest on this comparison; empty: every claim of the statement.

    Raises
    ------
    ValueError
        Fewer than two distinct roads, an empty text, or `allowed` not finite and ≥ 0.
    """

    quantity: str
    roads: Sequence[str]
    difference: float
    allowed: float
    because: str
    claims: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.claims, str):
            raise TypeError(f"{self.quantity}: claims must be a sequence of ids, got the string {self.claims!r}")
        for name in ("roads", "claims"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in ("difference", "allowed"):
            object.__setattr__(self, name, float(getattr(self, name)))  # NumPy's own numbers have no place in JSON
        require_text("quantity", self.quantity)
        require_text(f"{self.quantity}: because", self.because)
        if len(set(self.roads)) < 2:
            raise ValueError(f"{self.quantity}: roads must name two or more different ways, got {self.roads}")
        if not (math.isfinite(self.allowed) and self.allowed >= 0):
            raise ValueError(f"{self.quantity}: allowed must be finite and ≥ 0, got {self.allowed}")

    @property
    def agree(self) -> bool:
        """Whether the roads met; never with a NaN among them."""
        return self.difference <= self.allowed

    def supports(self, id: str) -> bool:
        """Whether the claim `id` rests on this comparison."""
        return not self.claims or id in self.claims

    def on(self, *claims: str) -> Agreement:
        """The same comparison, as the one that `claims` rest on."""
        return replace(self, claims=claims)


def compare(
    quantity: str, roads: Mapping[str, Any], *, allowed: float, because: str, relative: bool = True,
    claims: Sequence[str] = (),
) -> Agreement:  # fmt: skip
    """Agreement of the values found on several roads.

    Parameters
    ----------
    quantity : str
        What was computed; LaTeX between dollar signs.
    roads : mapping from str to array_like
        The value by the name of the road; all of one shape, not empty.
    allowed : float
        Largest difference that is consistent with the error bounds of the roads, or that matters to no claim.
    because : str
        Where `allowed` comes from.
    relative : bool
        Measure max|a − b| against the largest entry of all roads; otherwise absolutely.
    claims : sequence of str
        Ids of the claims whose numbers rest on it; empty: every claim of the statement.

    Raises
    ------
    ValueError
        Values of different shapes, or empty; and whatever `Agreement` refuses.

    Examples
    --------
    >>> found = compare("$e$", {"series": 2.7182818, "limit": 2.7182804}, allowed=1e-6, because="truncation 1/n")
    >>> found.agree, float(f"{found.difference:.1e}")
    (True, 5.2e-07)
    >>> compare("$e$", {"series": 2.7182818, "limit": float("nan")}, allowed=1.0, because="any").agree
    False
    """
    values = {name: np.asarray(value, dtype=np.float64) for name, value in roads.items()}
    if len({value.shape for value in values.values()}) > 1 or any(value.size == 0 for value in values.values()):
        shapes = {name: value.shape for name, value in values.items()}
        raise ValueError(f"{quantity}: roads must give values of one shape, not empty; got {shapes}")
    if all(np.isfinite(value).all() for value in values.values()):
        pairs = itertools.combinations(values.values(), 2)
        difference = max((float(np.abs(a - b).max()) for a, b in pairs), default=0.0)
        scale = max((float(np.abs(value).max()) for value in values.values()), default=0.0)
        if relative and scale > 0:
            difference /= scale
    else:
        difference = math.inf  # ∞ − ∞ is no agreement
    return Agreement(quantity, tuple(values), difference, allowed, because, claims)
