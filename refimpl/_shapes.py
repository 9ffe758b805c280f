"""How a dataclass of large arrays shows itself."""

from __future__ import annotations

from dataclasses import fields
from typing import Any


def shapes_of(record: Any) -> str:
    """A dataclass in a line: the shapes of its arrays, and whatever else it holds as it is.

    Examples
    --------
    >>> import numpy as np
    >>> from refimpl.network import Trajectory
    >>> shapes_of(Trajectory(t=np.zeros(3), h=np.zeros((3, 4, 5)), adjoint=np.zeros((3, 4, 5))))
    'Trajectory(t=(3,), h=(3, 4, 5), adjoint=(3, 4, 5))'
    """

    def shown(value: Any) -> str:
        return repr(tuple(value.shape)) if hasattr(value, "shape") and tuple(value.shape) else repr(value)

    parts = [f"{part.name}={shown(getattr(record, part.name))}" for part in fields(record)]
    return f"{type(record).__name__}({', '.join(parts)})"
