"""Whether a solution escapes to infinity, or only grows.

Only a φ without a Lipschitz constant can escape (Gronwall). Near a blow-up h ~ C (t* − t)^(−p), so that |h|/|ḣ| is
(t* − t)/p and shrinks with growing h, by a factor 10^(3/p) while h grows thousandfold; under exponential or polynomial
growth it stands still. φ(z) = z² has p = 1, and growth like |z|^(3/2) still has p = 2. Two such spans are watched,
since one neuron can take over from another.

Taking over can also shrink it twice, in a polynomial of t: neurons of which each feeds the next. What escapes feeds
itself: with J = W φ'(h), h ~ C (t* − t)^(−p) makes ḧ = J ḣ = ((p + 1)/(t* − t)) ḣ, an eigenvalue of J, and the spectral
radius of |J| is at least that. Where it is smaller, nothing escapes yet.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from refimpl.backend import Array, Namespace, overflow_is_checked
from refimpl.errors import AccuracyError, BlowUpError
from refimpl.finite.forward import StageDivergenceError, combine, relative_change, step_forward
from refimpl.finite.system import System
from refimpl.scheme import gauss

GROWTH = (1e6, 1e9, 1e12)
"""Growth of |h| at which |h|/|ḣ| is looked at; at the last it is decided."""

SHRUNK = 10.0
"""Factor by which |h|/|ḣ| has to shrink from each to the next."""

RESOLVED = 1e-8
"""Relative distance of T from the blow-up time at which one cannot be told from the other."""

ACCURATE = 1e-13
"""Relative change of h from one step to two of half its length, at which these are taken; 64 roundings at least."""

MAX_STEPS = 20_000
"""Steps for which a solution is followed."""

FED = 0.5
"""Least spectral radius of |J|, times |h|/|ḣ| = (t* − t)/p, of a solution that escapes: in the limit it is 1 + 1/p."""

ROUNDS = 100
"""Neurons of the longest chain that is told from a cycle."""


def shrinks(scales: Sequence[float]) -> bool:
    """Whether these values of |h|/|ḣ|, one for each of `GROWTH`, are those of a solution that escapes."""
    return len(scales) == len(GROWTH) and all(late < early / SHRUNK for early, late in pairwise(scales))


def time_scale(xp: Namespace, start: float, h: Array, rate: Array) -> float:
    """|h|/|ḣ| in the maximum norm, with h no smaller than at its `start`."""
    fastest = float(xp.max(xp.abs(rate)))
    return (start + float(xp.max(xp.abs(h)))) / fastest if fastest > 0 else math.inf


def feeds_itself(xp: Namespace, W: Array, slope: Array, scale: float) -> bool:
    """Whether |J| = |W| |φ'(h)| of one sample has a spectral radius of at least `FED` over `scale`.

    Parameters
    ----------
    W : array, shape (n, n)
    slope : array, shape (n,)
        φ'(h).
    scale : float
        |h|/|ḣ|.

    Notes
    -----
    By power iteration: twice `ROUNDS` products, of which the second half counts. If no neuron comes back to itself,
    nothing is left after n of them; what overflows is taken to feed itself.
    """
    if not scale > 0:
        return True
    weights, slopes = xp.abs(W), xp.abs(slope)
    rounds, logarithm = min(W.shape[0], ROUNDS), 0.0
    vector = xp.ones_like(slopes)
    for k in range(2 * rounds):
        vector = xp.matmul(weights, slopes * scale * vector)
        size = float(xp.max(vector))
        if size == 0 or not math.isfinite(size):
            return size != 0
        vector = vector / size
        logarithm += math.log(size) if k >= rounds else 0.0
    return bool(logarithm >= rounds * math.log(FED))


@overflow_is_checked()
def raise_if_escaping(system: System, failure: StageDivergenceError) -> None:
    """Follow a solution of which a step failed, from its start and by checked steps; raise `BlowUpError` if it escapes.

    Raises
    ------
    BlowUpError
        It does so before T; carries the time up to which it was followed.
    AccuracyError
        It escapes so near T that before or after cannot be told, or could not be followed.
    """
    if math.isfinite(system.activation.lipschitz):
        return
    xp, W, phi = system.xp, system.weights(0), system.activation.phi
    time, h, horizon = 0.0, system.h0, system.horizon  # for what failed has followed it by steps that nobody checked
    start, scales, step = 1.0 + float(xp.max(xp.abs(h))), list[float](), horizon
    for _ in range(MAX_STEPS):
        scale = time_scale(xp, start, h, xp.matmul(W, phi(h)))
        growth = float(xp.max(xp.abs(h))) / start
        if not scale > 0:
            raise AccuracyError(f"the rate of h overflows {h.dtype} near t = {time:.6g}, before T = {horizon:g}")
        while len(scales) < len(GROWTH) and growth > GROWTH[len(scales)]:
            scales.append(scale)
        if shrinks(scales) and _feeds_itself(system, h, scale):
            if time + scale < (1 - RESOLVED) * horizon:
                raise BlowUpError(f"h(t) escapes to infinity near t = {time:.9g}, before T = {horizon:g}", time=time)
            raise AccuracyError(f"h(t) escapes to infinity so near T = {horizon:g} that before or after cannot be told")
        if time >= horizon:
            return
        step = min(1.5 * step, scale / 2, horizon - time)
        while (after := _checked(system, step, h)) is None:
            step /= 2
            if time + step == time:
                raise AccuracyError(f"no step from t = {time:.6g} is short enough to be solved") from failure
        h, time = after, time + step
        if not bool(xp.all(xp.isfinite(h))):
            raise AccuracyError(f"h overflows {h.dtype} near t = {time:.6g}, before T = {horizon:g}")
    raise AccuracyError(f"{MAX_STEPS} steps followed h to t = {time:.6g} only; T = {horizon:g} is out of reach")


def _feeds_itself(system: System, h: Array, scale: float) -> bool:
    """`feeds_itself` for the sample with the largest entry of h, (n, N)."""
    xp = system.xp
    largest = int(xp.argmax(xp.max(xp.abs(h), axis=0)))
    return feeds_itself(xp, system.weights(0), system.activation.dphi(h[:, largest]), scale)


def _checked(system: System, step: float, h: Array) -> Array | None:
    """h after two steps of half the length, or None where they part from one step, or one cannot be solved."""
    try:
        whole, twice = _after(system, step, h), _after(system, step / 2, _after(system, step / 2, h))
    except StageDivergenceError:
        return None
    allowed = max(ACCURATE, 64 * float(system.xp.finfo(h.dtype).eps))
    return twice if relative_change(system.xp, twice, whole) <= allowed else None


def _after(system: System, step: float, h: Array) -> Array:
    scheme = gauss(8, 1, step)
    _, rates = step_forward(system, scheme, 0, h)
    return h + combine(system.xp, scheme.b * step, rates)
