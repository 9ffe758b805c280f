"""Shared by the tests of training."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def threads_do_not_wait_for_each_other(one_torch_thread):
    """All of them are on small arrays."""
