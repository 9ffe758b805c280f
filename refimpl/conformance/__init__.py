"""Golden vectors and the check of other frameworks against them."""

from refimpl.conformance.candidate import QUANTITIES, Candidate, Settings
from refimpl.conformance.check import check_conformance
from refimpl.conformance.scorecard import Mistake, Result, Scorecard
from refimpl.conformance.vectors import FLAGS, Case, Expected, cases, load_cases

__all__ = [
    "FLAGS",
    "QUANTITIES",
    "Candidate",
    "Case",
    "Expected",
    "Mistake",
    "Result",
    "Scorecard",
    "Settings",
    "cases",
    "check_conformance",
    "load_cases",
]
