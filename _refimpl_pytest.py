"""pytest plugin: ``pytest --refimpl=package.module:Candidate`` runs every golden vector as a test.

It stands outside the package, and loads it only for that option: the entry point is imported by every run of pytest in
an environment that has refimpl.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from refimpl.conformance import Case

CANDIDATE = pytest.StashKey[Any]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add --refimpl and --refimpl-digits."""
    group = parser.getgroup("refimpl", "conformance with refimpl")
    group.addoption(
        "--refimpl",
        metavar="PACKAGE.MODULE[:CANDIDATE]",
        help="compare this implementation with every golden vector of refimpl, a test for each quantity",
    )
    group.addoption(
        "--refimpl-digits", type=float, default=8.0, metavar="DIGITS", help="correct digits asked for (default: 8)"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Load the candidate, so that what is wrong with the option is said before any test runs."""
    spec = config.getoption("--refimpl")
    if spec is None:
        return
    from refimpl.conformance.candidate import QUANTITIES
    from refimpl.conformance.check import check_digits, implemented, load, one_line

    here = os.fspath(config.invocation_params.dir)
    if here not in sys.path:  # as with python -m pytest
        sys.path.insert(0, here)
    try:
        check_digits(config.getoption("--refimpl-digits"))
    except ValueError as error:
        raise pytest.UsageError(f"--refimpl-digits: {error}") from error
    try:
        candidate = load(spec)
    except (Exception, SystemExit) as error:  # a module of somebody else is run here
        message = one_line(f"{type(error).__name__}: {error}")
        raise pytest.UsageError(f"--refimpl: {one_line(spec)} cannot be loaded: {message}") from error
    if not implemented(candidate):
        raise pytest.UsageError(f"--refimpl: {spec} implements none of {', '.join(QUANTITIES)}")
    config.stash[CANDIDATE] = candidate


@pytest.hookimpl(tryfirst=True)  # before -k and --deselect choose
def pytest_collection_modifyitems(session: pytest.Session, config: pytest.Config, items: list[pytest.Item]) -> None:
    """Add the vectors to whatever else was collected."""
    if CANDIDATE not in config.stash:
        return
    vectors = Vectors.from_parent(session, name="refimpl", nodeid="refimpl")
    config.hook.pytest_collectstart(collector=vectors)
    report = config.hook.pytest_make_collect_report(collector=vectors)
    config.hook.pytest_collectreport(report=report)  # counts them
    items.extend(report.result)


class Vectors(pytest.Collector):
    """The golden vectors that the candidate has an answer to."""

    def collect(self) -> Iterator[Vector]:
        """One test for every vector and quantity."""
        from refimpl.conformance.check import implemented
        from refimpl.conformance.vectors import cases

        candidate = self.config.stash[CANDIDATE]
        for case in cases():
            for quantity in implemented(candidate):
                if quantity in case.expected:
                    yield Vector.from_parent(self, name=f"{case.id}::{quantity}", case=case, quantity=quantity)


class Vector(pytest.Item):
    """One quantity of one vector."""

    def __init__(self, *, case: Case, quantity: str, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.case, self.quantity = case, quantity
        self.extra_keyword_matches.update((case.settings.activation, *case.flags))  # for -k

    def runtest(self) -> None:
        """Ask the candidate, and compare."""
        from refimpl.conformance.check import examine

        digits = self.config.getoption("--refimpl-digits")
        result, _ = examine(self.config.stash[CANDIDATE], self.case, self.quantity, digits)
        if result.status == "skipped":
            pytest.skip(result.message)
        if result.status == "failed":
            raise Inexact(result.explanation)

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """Say what is wrong, without a traceback: it would show this plugin only."""
        return str(excinfo.value) if isinstance(excinfo.value, Inexact) else super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[os.PathLike[str], None, str]:
        """Heading of a failure."""
        return self.path, None, f"{self.case.id} {self.quantity}"


class Inexact(Exception):
    """Digits are missing."""
