"""The paper's statements, run: ``python -m verification`` judges each one and writes a report.

A statement is one module of `verification.statements`; it takes a `Config` and returns a `Result`.
"""

from __future__ import annotations

TYPE_CHECKING = False  # and no import of typing: Ctrl-C is answered from the first line of the command on
if TYPE_CHECKING:
    from verification.config import Config
    from verification.roads import Agreement, compare
    from verification.statement import Claim, Origin, Result, Table, Verdict

__all__ = ["Agreement", "Claim", "Config", "Origin", "Result", "Table", "Verdict", "compare"]

_HOME = {
    "Config": "config", "Agreement": "roads", "compare": "roads",
    "Claim": "statement", "Origin": "statement", "Result": "statement", "Table": "statement", "Verdict": "statement",
}  # fmt: skip


def __getattr__(name: str) -> object:
    # On demand, because NumPy takes a while.
    import importlib

    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOME[name]}"), name)
