"""The statements of the paper, and which of them can be run."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from verification import mathml
from verification.config import Config
from verification.statement import Result

PAPER = {
    "prop1": "Proposition 1",
    "prop2": "Proposition 2",
    "relu": "Figure: ResNets with ReLU",
    "eq8": "Equation (8)",
    "limits": "Equation (10)",
    "thm1": "Theorem 1",
    "integral": "Integral form of the limiting kernel",
    "prop3": "Proposition 3",
    "thm2": "Theorem 2",
    "spectra": "Figure (a): NTK eigenvalues",
    "distance": "Figure (b): distance from initialization",
    "losses": "Figure (c): train and test loss",
    "horizon": "Additional experiment: time horizon",
    "quadratic": "Additional experiment: quadratic activations",
    "solvers": "Additional experiment: solvers",
    "open": "Open directions",
}
"""Place in the paper by id, in the order of the paper; an id stays what it is once published."""


@dataclass(frozen=True)
class Statement:
    """A statement that can be run.

    Parameters
    ----------
    id : str
        Key of `PAPER`.
    title, claim : str
        LaTeX between dollar signs; empty as long as the module has not been loaded.
    run : callable
        Config → Result.
    """

    id: str
    title: str
    claim: str
    run: Callable[[Config], Result]

    @property
    def place(self) -> str:
        """Its number in the paper."""
        return PAPER[self.id]


class UnknownStatementError(ValueError):
    """A statement was asked for that cannot be run."""


def available(package: str = "verification.statements") -> tuple[str, ...]:
    """Ids of the implemented statements, in the order of the paper; nothing is imported but the package.

    Raises
    ------
    ImportError
        A module that is named after no statement (helpers start with an underscore).
    """
    found = {module.name for module in pkgutil.iter_modules(importlib.import_module(package).__path__)}
    found = {name for name in found if not name.startswith("_")}
    if strangers := sorted(found - PAPER.keys()):
        raise ImportError(f"{package}: modules must be named after a statement ({', '.join(PAPER)}), got {strangers}")
    return tuple(id for id in PAPER if id in found)


def select(wanted: Iterable[str], exist: Iterable[str]) -> tuple[str, ...]:
    """Ids to run: those `wanted`, each once and in the order of the paper, or all that `exist`.

    Raises
    ------
    UnknownStatementError
        An id that is not among those that `exist`; the message lists them.

    Examples
    --------
    >>> select(["thm1", "prop1", "thm1"], ["prop1", "prop2", "thm1"])
    ('prop1', 'thm1')
    """
    wanted, exist = set(wanted), tuple(exist)
    choices = f"those that exist: {', '.join(exist) or 'none'}"
    if missing := [id for id in PAPER if id in wanted and id not in exist]:
        raise UnknownStatementError(f"not implemented yet: {', '.join(missing)}; {choices}")
    if unknown := sorted(wanted - PAPER.keys()):
        raise UnknownStatementError(f"no such statement: {', '.join(unknown)}; {choices}")
    return tuple(id for id in exist if not wanted or id in wanted)


def load(id: str, package: str = "verification.statements") -> Statement:
    """Import the statement `id`.

    Raises
    ------
    ImportError
        The module fails to import, lacks ID, TITLE, CLAIM or run, or its ID is not its name.
    ValueError
        A formula in TITLE or CLAIM that cannot be read.
    """
    module = importlib.import_module(f"{package}.{id}")
    for name in ("ID", "TITLE", "CLAIM", "run"):
        if not hasattr(module, name):
            raise ImportError(f"{module.__name__} must define ID, TITLE, CLAIM and run; {name} is missing")
    if id != module.ID:
        raise ImportError(f"{module.__name__}: ID must be the name of the module, {id!r}, got {module.ID!r}")
    for text in (module.TITLE, module.CLAIM):
        mathml.render(text)
    return Statement(id, module.TITLE, module.CLAIM, module.run)
