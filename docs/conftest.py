"""The examples of these pages are tests, one a page; `>>>` blocks on a page share their names."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore_glob = ["_build/*", "api/*", "*.py"]  # the figures of the gallery are run when the site is built


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        page = item.path.suffix == ".md" and item.path.read_text(encoding="utf-8")
        if page and ">>> import torch" in page and not find_spec("torch"):
            item.add_marker(pytest.mark.skip(reason="torch is not installed"))
