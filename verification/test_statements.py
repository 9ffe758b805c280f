"""Every statement, in its quick size, as a test of the run and not of the paper: a claim may fail as stated."""

from __future__ import annotations

import re

import pytest

from verification.environment import require_extra

require_extra()

from verification.catalogue import available, load  # noqa: E402
from verification.config import Config  # noqa: E402
from verification.runner import examine  # noqa: E402


@pytest.mark.parametrize("id", available())
def test_statement_runs_and_its_roads_agree(id: str) -> None:
    result = examine(load(id), Config(id)).result
    assert result is not None
    apart = [agreement for agreement in result.agreements if not agreement.agree]
    assert not apart, f"{id}: independent roads disagree: {apart}"
    changed = re.findall(r"\b(?:black|white)\b(?! noise)", f"{result.alt} {result.caption}", re.IGNORECASE)
    assert not changed, f"{id}: black and white change places on a dark page: name a line by its stroke or its legend"
