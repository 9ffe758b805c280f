"""Whether a solution escapes to infinity, or only grows.

Only a φ without a Lipschitz constant can escape (Gronwall). Near a blow-up h ~ C (t* − t)^(−p), so that |h|/|ḣ| is
(t* − t)/p and shrinks with growing h, by a factor 10^(3/p) while h grows thousandfold; under exponential or polynomial
growth it stands still. φ(z) = z² has p = 1, and growth like |z|^(3/2) still has p = 2. Two such spans are watched,
since one neuron can take over from another.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from refimpl.backend import Array, Namespace, overflow_is_checked
from refimpl.errors import AccuracyError, BlowUpError
from refimpl.finite.forward import StageDivergenceError, combine, step_forward
from refimpl.finite.system import System
from refimpl.scheme import gauss

GROWTH = (1e6, 1e9, 1e12)
"""Growth of |h| at which |h|/|ḣ| is looked at; at the last it is decided."""

SHRUNK = 10.0
"""Factor by which |h|/|ḣ| has to shrink from each to the next."""

RESOLVED = 1e-8
"""Relative distance of T from the blow-up time at which one cannot be told from the other."""

MAX_STEPS = 20_000
"""Steps for which a solution is followed."""


def shrinks(scales: Sequence[float]) -> bool:
    """Whether these values of |h|/|ḣ|, one for each of `GROWTH`, are those of a solution that escapes."""
    return len(scales) == len(GROWTH) and all(late < early / SHRUNK for early, late in pairwise(scales))


def time_scale(xp: Namespace, start: float, h: Array, rate: Array) -> float:
    """|h|/|ḣ| in the maximum norm, with h no smaller than at its `start`."""
    fastest = float(xp.max(xp.abs(rate)))
    return (start + float(xp.max(xp.abs(h)))) / fastest if fastest > 0 else math.inf


@overflow_is_checked()
def raise_if_escaping(system: System, failure: StageDivergenceError) -> None:
    """Follow a solution whose step failed with ever shorter steps; raise `BlowUpError` if it escapes before T.

    Raises
    ------
    BlowUpError
        It does; carries the time up to which it was followed.
    AccuracyError
        It escapes so near T that before or after cannot be told, or could not be followed.
    """
    if math.isfinite(system.activation.lipschitz):
        return
    xp, W, phi = system.xp, system.weights(0), system.activation.phi
    time, h, horizon = failure.time, failure.state, system.horizon
    start, scales = 1.0 + float(xp.max(xp.abs(system.h0))), list[float]()
    step = horizon - time
    for _ in range(MAX_STEPS):
        scale = time_scale(xp, start, h, xp.matmul(W, phi(h)))
        growth = float(xp.max(xp.abs(h))) / start
        if not scale > 0:
            raise AccuracyError(f"the rate of h overflows {h.dtype} near t = {time:.6g}, before T = {horizon:g}")
        while len(scales) < len(GROWTH) and growth > GROWTH[len(scales)]:
            scales.append(scale)
        if shrinks(scales):
            if time + scale < (1 - RESOLVED) * horizon:
                raise BlowUpError(f"h(t) escapes to infinity near t = {time:.9g}, before T = {horizon:g}", time=time)
            raise AccuracyError(f"h(t) escapes to infinity so near T = {horizon:g} that before or after cannot be told")
        if time >= horizon:
            return
        step = min(1.5 * step, scale / 2, horizon - time)
        while True:  # the 8-point rule on half the time to a pole is good to 1e-12
            scheme = gauss(8, 1, step)
            try:
                _, rates = step_forward(system, scheme, 0, h)
                break
            except StageDivergenceError:
                step /= 2
                if time + step == time:
                    raise AccuracyError(f"no step from t = {time:.6g} is short enough to be solved") from failure
        h, time = h + combine(xp, scheme.b * step, rates), time + step
        if not bool(xp.all(xp.isfinite(h))):
            raise AccuracyError(f"h overflows {h.dtype} near t = {time:.6g}, before T = {horizon:g}")
    raise AccuracyError(f"{MAX_STEPS} steps followed h to t = {time:.6g} only; T = {horizon:g} is out of reach")
