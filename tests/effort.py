"""How hard a property is searched for counterexamples."""

from __future__ import annotations

from hypothesis import settings

USUAL = 50
"""Examples of a property in the profile `ci` of `conftest.py`."""


def examples(count: int) -> settings:
    """`count` examples in the profile `ci`, and in proportion in the others."""
    return settings(max_examples=max(1, count * settings.default.max_examples // USUAL))
