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

from refimpl.activations import Activation
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

CARRYING = 1e-9
"""Least |ḣ_i| of a neuron that takes part, relative to the largest."""

ROUNDS = 120
"""Neurons of the longest chain that is told from a cycle; a whole number of cycles of up to six neurons."""

MARGIN = 1.5
"""Times the remaining time p |h|/|ḣ| that have to fit in before T."""

SHORTEST = 2.0**-40
"""Part of |h|/|ḣ| below which no step is tried."""


def shrinks(scales: Sequence[float]) -> bool:
    """Whether these values of |h|/|ḣ|, one for each of `GROWTH`, are those of a solution that escapes."""
    return len(scales) == len(GROWTH) and all(late < early / SHRUNK for early, late in pairwise(scales))


def time_scale(xp: Namespace, start: float, h: Array, rate: Array) -> float:
    """|h|/|ḣ| in the maximum norm, with h no smaller than at its `start`."""
    fastest = float(xp.max(xp.abs(rate)))
    return (start + float(xp.max(xp.abs(h)))) / fastest if fastest > 0 else math.inf


def remaining(scales: Sequence[float], scale: float) -> float:
    """t* − t = p `scale`, with p from how the scales shrank while h grew; a few per cent off."""
    return math.log(GROWTH[-1] / GROWTH[0]) / math.log(scales[0] / scales[-1]) * scale


def feeds_itself(xp: Namespace, W: Array, slope: Array, rate: Array, scale: float) -> bool:
    """Whether |J| = |W| |φ'(h)| of one sample has a spectral radius of at least `FED` over `scale`.

    Parameters
    ----------
    W : array, shape (n, n)
    slope, rate : array, shape (n,)
        φ'(h) and ḣ: only neurons that move at a speed comparable to the largest are counted.
    scale : float
        |h|/|ḣ|.

    Notes
    -----
    By power iteration: twice `ROUNDS` products, of which the second half counts. If no neuron comes back to itself,
    nothing is left after n of them; what overflows is taken to feed itself.
    """
    if not scale > 0:
        return True
    speed, logarithm = xp.abs(rate), 0.0
    slopes = xp.where(speed >= CARRYING * xp.max(speed), xp.abs(slope), xp.zeros_like(slope))
    weights, vector = xp.abs(W), xp.ones_like(slopes)
    for k in range(2 * ROUNDS):
        vector = xp.matmul(weights, slopes * scale * vector)
        size = float(xp.max(vector))
        if size == 0 or not math.isfinite(size):
            return size != 0
        vector = vector / size
        logarithm += math.log(size) if k >= ROUNDS else 0.0
    return bool(logarithm >= ROUNDS * math.log(FED))


def largest_feeds_itself(xp: Namespace, W: Array, activation: Activation, h: Array, scale: float) -> bool:
    """`feeds_itself` for the sample with the largest entry of h, (n, N)."""
    phi, slope = activation.value_and_slope(h[:, int(xp.argmax(xp.max(xp.abs(h), axis=0)))])
    return feeds_itself(xp, W, slope, xp.matmul(W, phi), scale)


def lies_before(horizon: float, time: float, left: float) -> bool:
    """Whether an escape for which a time of about `left` remains lies before T, for certain."""
    return time + MARGIN * left < (1 - RESOLVED) * horizon


@overflow_is_checked()
def raise_if_escaping(system: System, failure: Exception) -> None:
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
        if shrinks(scales) and largest_feeds_itself(xp, W, system.activation, h, scale):
            left = remaining(scales, scale)
            if lies_before(horizon, time, left):
                raise blow_up(time, horizon)
            if left < RESOLVED * horizon:
                raise too_near(horizon)
        if time >= horizon:
            return
        step = min(1.5 * step, scale / 2, horizon - time)
        while (after := _checked(system, step, h)) is None:
            step /= 2
            if step < SHORTEST * scale:
                raise AccuracyError(f"no step from t = {time:.6g} is short enough to be solved") from failure
        h, time = after, time + step
        if not bool(xp.all(xp.isfinite(h))):
            raise AccuracyError(f"h overflows {h.dtype} near t = {time:.6g}, before T = {horizon:g}")
    raise AccuracyError(f"{MAX_STEPS} steps followed h to t = {time:.6g} only; T = {horizon:g} is out of reach")


def blow_up(time: float, horizon: float) -> BlowUpError:
    """What is raised for a solution that escapes before T."""
    return BlowUpError(f"h(t) escapes to infinity near t = {time:.9g}, before T = {horizon:g}", time=time)


def too_near(horizon: float) -> AccuracyError:
    """What is raised for one that escapes at about T."""
    return AccuracyError(f"h(t) escapes to infinity so near T = {horizon:g} that before or after cannot be told")


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
