"""A centred Gaussian pair (a, b) in polar coordinates: the signs of a and b cut the plane into four sectors.

With variances s₁, s₂ and correlation cos θ the pair is a linear image of a standard normal pair. In polar
coordinates (r, x) of the latter a and b have one sign each in four sectors: opening π − θ where they agree, θ where
they differ. There |a| = √s₁ r sin x and |b| = √s₂ r sin(opening − x), with x the angle from the line a = 0. A function
with its only kink at 0 is smooth inside each sector, so Gauss quadrature in r and x converges fast.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from refimpl.activations import Activation
from refimpl.backend import Array, Namespace, from_host, namespace
from refimpl.errors import AccuracyError
from refimpl.quadrature import gauss_legendre, radial_rule

Elementwise: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Array]]

_RESOLUTIONS = (12, 18, 27, 40, 60, 90)
_BLOCK = 1 << 18


def geometric_mean(xp: Namespace, s1: Array, s2: Array) -> Array:
    """√(s₁s₂) without overflow, and exactly s where s₁ = s₂ = s."""
    larger = xp.maximum(s1, s2)
    ratio = xp.minimum(s1, s2) / xp.where(larger > 0, larger, xp.ones_like(larger))
    return larger * xp.sqrt(ratio)


def clamped(xp: Namespace, s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """Covariance c within ±√(s₁s₂), and the determinant s₁s₂ − c².

    The determinant is exactly 0 for s₁ = s₂ = ±c: a = ±b has to be seen as such, for √(s₁s₂ − c²) would turn
    a rounding error ε into √ε.
    """
    g = geometric_mean(xp, s1, s2)
    c = xp.minimum(xp.maximum(c, -g), g)
    return c, (g - c) * (g + c)


def openings(xp: Namespace, determinant: Array, c: Array) -> tuple[Array, Array]:
    """Openings π − θ and θ of the sectors in which a and b have equal and opposite signs; cos θ is the correlation."""
    sine = xp.sqrt(determinant)
    return xp.atan2(sine, -c), xp.atan2(sine, c)


def blockwise(form: Callable[..., tuple[Array, ...]], points: int) -> Callable[..., tuple[Array, ...]]:
    """`form` called on blocks of at most `_BLOCK` / `points` entries at a time, to bound its memory."""

    def blocked(s1: Array, s2: Array, c: Array) -> tuple[Array, ...]:
        xp = namespace(s1, s2, c)
        s1, s2, c = xp.broadcast_arrays(s1, s2, c)
        shape, size, step = c.shape, math.prod(c.shape), max(1, _BLOCK // points)
        s1, s2, c = (xp.reshape(array, (-1,)) for array in (s1, s2, c))
        blocks = [slice(start, min(start + step, size)) for start in range(0, max(size, 1), step)]
        parts = [form(s1[block], s2[block], c[block]) for block in blocks]
        return tuple(xp.reshape(xp.concat(part), shape) for part in zip(*parts, strict=True))

    return blocked


def sector_form(activation: Activation, rtol: float) -> Elementwise:
    """E[φ(a)φ(b)] and E[φ'(a)φ'(b)] by quadrature over the sectors, for φ smooth except at 0.

    Parameters
    ----------
    activation : Activation
        φ may have a kink at 0, where φ' jumps.
    rtol : float
        Error left, relative to (E[φ(a)²] E[φ(b)²])^½; at best some twenty units of the last place.

    Returns
    -------
    callable
        (s₁, s₂, c) ↦ (value, slope), elementwise with broadcasting. It raises `AccuracyError` where the two finest
        resolutions differ by more than `rtol`.

    Notes
    -----
    Some thousand evaluations of φ an entry: for φ without a closed form, and to check those that have one.
    """

    def form(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
        xp = namespace(s1, s2, c)
        tolerance = max(rtol, 16 * float(xp.finfo(c.dtype).eps))
        value, slope, *_ = _moments(activation, _RESOLUTIONS[0])(s1, s2, c)
        for nodes in _RESOLUTIONS[1:]:
            coarse = value, slope
            value, slope, value_scale, slope_scale = _moments(activation, nodes)(s1, s2, c)
            change = max(
                _relative(xp, value - coarse[0], value_scale),
                _relative(xp, slope - coarse[1], slope_scale),
            )
            if change <= tolerance:
                return value, slope
        raise AccuracyError(
            f"E[φ(a)φ(b)] for {activation.name!r} was asked for with rtol={tolerance:.1e}; the sector quadrature with "
            f"{nodes} × {nodes} nodes a sector reached {change:.1e} (is φ smooth on both sides of 0?)",
            reached=change,
        )

    return form


def _moments(activation: Activation, nodes: int) -> Callable[..., tuple[Array, ...]]:
    """(s₁, s₂, c) ↦ E[φ(a)φ(b)], E[φ'(a)φ'(b)] and their Cauchy–Schwarz bounds, with nodes² points a sector."""
    (x, w), (r, v) = gauss_legendre(nodes), radial_rule(nodes)

    def moments(s1: Array, s2: Array, c: Array) -> tuple[Array, ...]:
        xp = namespace(s1, s2, c)
        angle, radius, weight = (from_host(xp, data, like=c) for data in (x, r, w[:, None] * v / (2 * math.pi)))
        c, determinant = clamped(xp, s1, s2, c)
        same, opposite = openings(xp, determinant, c)
        sums = [0.0 * c] * 6
        for sign1, sign2, opening in ((1, 1, same), (-1, -1, same), (1, -1, opposite), (-1, 1, opposite)):
            sine = xp.sin(angle * opening[:, None])
            a = (sign1 * xp.sqrt(s1)[:, None] * sine)[:, :, None] * radius
            b = (sign2 * xp.sqrt(s2)[:, None] * xp.flip(sine, axis=-1))[:, :, None] * radius
            (phi_a, dphi_a), (phi_b, dphi_b) = activation.value_and_slope(a), activation.value_and_slope(b)
            products = (phi_a * phi_b, dphi_a * dphi_b, phi_a**2, phi_b**2, dphi_a**2, dphi_b**2)
            sums = [
                total + opening * xp.sum(weight * product, axis=(-2, -1))
                for total, product in zip(sums, products, strict=True)
            ]
        value, slope, aa, bb, daa, dbb = sums
        return value, slope, xp.sqrt(aa) * xp.sqrt(bb), xp.sqrt(daa) * xp.sqrt(dbb)

    return blockwise(moments, nodes * nodes)


def _relative(xp: Namespace, change: Array, scale: Array) -> float:
    """Largest |change| / scale; 0/0 counts as 0, and what is not finite as infinite."""
    if math.prod(change.shape) == 0:
        return 0.0
    ratio = xp.where(change == 0, 0.0 * scale, xp.abs(change) / xp.where(scale > 0, scale, xp.ones_like(scale)))
    largest = float(xp.max(ratio))
    return largest if math.isfinite(largest) else math.inf
