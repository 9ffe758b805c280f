"""Steps of scipy's DOP853 whose tolerance is relative to the solution as a whole, also while it shrinks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.integrate import DOP853

from refimpl.errors import AccuracyError
from refimpl.quadrature import Host

SHRUNK = 8.0
"""Factor by which a solution may shrink until its absolute tolerance is set anew."""


class Step(NamedTuple):
    """One step: its ends, y at the second, the dense output, times (k,) to (n, k), and a guess for the next length.

    With a start after its end it goes back in time.
    """

    start: float
    end: float
    y: Host
    output: Callable[[Host | float], Host]
    size: float


def steps(
    rate: Callable[[float, Host], Host],
    time: float,
    y: Host,
    bound: float,
    rtol: float,
    first: float | None = None,
) -> Iterator[Step]:
    """Solve ẏ = rate(t, y) from `time` to `bound`, with a local tolerance of `rtol` times the largest entry of y.

    Parameters
    ----------
    first : float, optional
        Length of the first step that is tried.

    Raises
    ------
    AccuracyError
        A step cannot be taken.
    """
    while time != bound:
        size = float(np.max(np.abs(y))) or abs(bound - time) * float(np.max(np.abs(rate(time, y)))) or 1.0
        length = None if first is None else min(first, abs(bound - time))
        solver = DOP853(rate, time, y, bound, first_step=length, rtol=rtol, atol=rtol * size)
        while solver.status == "running":
            message = solver.step()
            if solver.status == "failed" or not np.isfinite(solver.y).all():
                raise AccuracyError(f"no step can be taken from t = {solver.t:.6g}: {message or 'it overflows'}")
            time, y, first = solver.t, solver.y, solver.h_abs
            yield Step(solver.t_old, time, y, solver.dense_output(), first)
            if 0 < SHRUNK * float(np.max(np.abs(y))) < size:
                break
