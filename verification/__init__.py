"""The paper's statements, run: ``python -m verification`` judges each one and writes a report.

A statement is one module of `verification.statements`; it takes a `Config` and returns a `Result`.
"""

from verification.config import Config
from verification.roads import Agreement, compare
from verification.statement import Claim, Result, Table, Verdict

__all__ = ["Agreement", "Claim", "Config", "Result", "Table", "Verdict", "compare"]
