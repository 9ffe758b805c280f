"""What to do where K_∞ is not found as accurately as asked for: the last words of an error."""

from __future__ import annotations

import math

MEANINGFUL = 0.1
"""Relative error above which there is no tolerance that one would want."""


def remedy(reached: float = math.inf) -> str:
    """Advice to somebody whose tolerance was missed, where `reached` was; K_∞ depends on σ_w and T by σ_w T alone.

    Examples
    --------
    >>> remedy(3.7e-6)
    'ask for an rtol above 3.7e-06, or make T or sigma_w smaller'
    >>> remedy()
    'make T or sigma_w smaller'
    """
    smaller = "make T or sigma_w smaller"
    return f"ask for an rtol above {reached:.2g}, or {smaller}" if reached < MEANINGFUL else smaller
