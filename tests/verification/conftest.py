from __future__ import annotations

import functools
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.made_up import write_package


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a package of statement modules from their sources, by id."""
    monkeypatch.syspath_prepend(tmp_path)
    return functools.partial(write_package, tmp_path)
