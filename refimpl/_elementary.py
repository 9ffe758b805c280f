"""φ and φ' of the built-in activations, to within a few units in the last place over the whole range.

A kernel takes ``(xp, z)``, computes what φ and φ' share (as a rule one exponential of -|z|, which cannot overflow),
and returns two functions without arguments, for φ(z) and φ'(z): each is computed only if it is asked for.

The tails are symmetric formulas in |z|: with σ the logistic and Φ the normal distribution function,
σ(-z) = 1 - σ(z) and Φ(-z) = 1 - Φ(z), so that no small number is ever the difference of two large ones.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

import numpy as np

from refimpl.backend import Array, Namespace, is_numpy, scalar, special

Parts: TypeAlias = tuple[Callable[[], Array], Callable[[], Array]]
"""φ(z) and φ'(z), each to be called for its array."""

INV_SQRT_2PI = 0.3989422804014327
TWO_OVER_SQRT_PI = 1.1283791670955126
LEAKY_SLOPE = 0.01


def softplus(xp: Namespace, z: Array) -> Parts:
    """φ = log(1 + e^z), φ' = σ(z)."""
    e = xp.exp(-xp.abs(z))
    return lambda: _positive_part(xp, z) + xp.log1p(e), lambda: _logistic(xp, z, e)


def sigmoid(xp: Namespace, z: Array) -> Parts:
    """φ = σ(z), φ' = σ(z) σ(-z)."""
    e = xp.exp(-xp.abs(z))
    return lambda: _logistic(xp, z, e), lambda: e / _square_of_one_plus(e)


def silu(xp: Namespace, z: Array) -> Parts:
    """φ = z σ(z), φ' = σ(z) (1 + z σ(-z))."""
    a = xp.abs(z)
    e, scale = _scaled_exp(xp, -a)
    d = 1.0 + e

    def value() -> Array:
        product = a * e
        return _positive_part(xp, z) - (product - product * (e / d)) * scale  # e/(1 + e) = e - e²/(1 + e)

    def slope() -> Array:
        left = e * (d - a) / _square_of_one_plus(e) * scale  # φ'(-a); φ'(a) = 1 - φ'(-a)
        return xp.where(z > 0, 1.0 - left, left)

    return value, slope


def tanh(xp: Namespace, z: Array) -> Parts:
    """φ = tanh z, φ' = sech² z, for which 1 - tanh² z would lose every digit in the tails."""

    def slope() -> Array:
        e = xp.exp(-2.0 * xp.minimum(xp.abs(z), _number(xp, 1e3, z)))
        return 4.0 * (e / _square_of_one_plus(e))

    return lambda: xp.tanh(z), slope


def erf(xp: Namespace, z: Array) -> Parts:
    """φ = erf z, φ' = (2/√π) exp(-z²)."""

    def slope() -> Array:
        head, small, scale = _gaussian(xp, xp.abs(z), 1.0)
        return TWO_OVER_SQRT_PI * (head + head * small) * scale

    return lambda: special("erf", z), slope


def gelu(xp: Namespace, z: Array) -> Parts:
    """φ = z Φ(z), φ' = Φ(z) + z Φ'(z), where Φ(-a) = exp(-a²/2) M(a)."""
    a = xp.minimum(xp.abs(z), _number(xp, 64.0, z))  # exp(-a²/2) is zero from 38.7 on
    head, small, scale = _gaussian(xp, a, 0.5)
    d = 2.0 + 2.0 * a
    lost = 2.0 * a - (d - 2.0)  # by rounding d; exact
    y = _mills(a)
    ratio = (1.0 + (y + small + y * small - lost / d)) / d  # Φ(-a) / (head scale)

    def slope() -> Array:
        left = head * (ratio - INV_SQRT_2PI * (a + a * small)) * scale  # φ'(-a); φ'(a) = 1 - φ'(-a)
        return xp.where(z > 0, 1.0 - left, left)

    return lambda: _positive_part(xp, z) - head * (a * ratio) * scale, slope


def sin(xp: Namespace, z: Array) -> Parts:
    """φ = sin z, φ' = cos z."""
    return lambda: xp.sin(z), lambda: xp.cos(z)


def cos(xp: Namespace, z: Array) -> Parts:
    """φ = cos z, φ' = -sin z."""
    return lambda: xp.cos(z), lambda: -xp.sin(z)


def identity(xp: Namespace, z: Array) -> Parts:
    """φ = z, φ' = 1. The value is a copy: writing into it must leave z alone."""
    return lambda: xp.asarray(z, copy=True), lambda: xp.ones_like(z)


def quadratic(xp: Namespace, z: Array) -> Parts:
    """φ = z²/2, φ' = z, as a copy."""
    return lambda: 0.5 * z * z, lambda: xp.asarray(z, copy=True)


def elu(xp: Namespace, z: Array) -> Parts:
    """φ = z or e^z - 1, φ' = 1 or e^z; adding 1 to e^z - 1 would lose the slope in the tail."""
    below = xp.minimum(z, _number(xp, 0.0, z))
    return lambda: _positive_part(xp, z) + xp.expm1(below), lambda: xp.exp(below)


def relu(xp: Namespace, z: Array) -> Parts:
    """φ = max(z, 0), φ' = 1 for z > 0, else 0."""
    return lambda: _positive_part(xp, z), lambda: _one_if_positive(xp, z, _number(xp, 0.0, z))


def leaky_relu(xp: Namespace, z: Array) -> Parts:
    """φ = max(z, z/100), φ' = 1 for z > 0, else 1/100."""
    low = _number(xp, LEAKY_SLOPE, z)
    return lambda: xp.maximum(z, LEAKY_SLOPE * z), lambda: _one_if_positive(xp, z, low)


def _number(xp: Namespace, value: float, z: Array) -> Array:
    # The functions of the standard take arrays; Python numbers in their place came with its 2024.12 edition.
    return scalar(xp, value, like=z)


def _positive_part(xp: Namespace, z: Array) -> Array:
    return xp.maximum(z, _number(xp, 0.0, z))


def _one_if_positive(xp: Namespace, z: Array, otherwise: Array) -> Array:
    return xp.where(z > 0, _number(xp, 1.0, z), otherwise)


def _logistic(xp: Namespace, z: Array, e: Array) -> Array:
    """σ(z), where e = exp(-|z|): 1 or e, over 1 + e. A second exponential is quicker than a choice of 1 or e."""
    return xp.exp(xp.minimum(z, _number(xp, 0.0, z))) / (1.0 + e)


def _square_of_one_plus(e: Array) -> Array:
    # (1 + e) * (1 + e) would count the rounding of 1 + e twice.
    return 1.0 + e * (2.0 + e)


def _scaled_exp(xp: Namespace, x: Array) -> tuple[Array, Array | float]:
    """exp(x) for x ≤ 0 as a product e · scale, where e keeps its digits when exp(x) is subnormal.

    A factor of size |x| can lift exp(x) back into the normal range, and there the digits that a subnormal number
    lost would show. The sum x + 64 is exact in that tail. NumPy arrays without a tail pay for one comparison; elsewhere
    the host would have to wait for its outcome, and all entries go the longer way, to the same bits.
    """
    tail = x < math.log(float(xp.finfo(x.dtype).smallest_normal))
    if is_numpy(xp) and not np.any(tail):
        return xp.exp(x), 1.0
    shift = xp.where(tail, _number(xp, 64.0, x), _number(xp, 0.0, x))
    return xp.exp(x + shift), xp.exp(-shift)


def _gaussian(xp: Namespace, a: Array, rate: float) -> tuple[Array, Array, Array | float]:
    """exp(-rate a²) = head · (1 + small) · scale for a ≥ 0 and a rate of 1 or 1/2, scaled as in `_scaled_exp`.

    Rounding a² alone would cost hundreds of units in the last place in the tail. With h = a rounded to so few
    digits that h² is exact, head = exp(-rate h²) and small = expm1(rate (h - a)(h + a)), of a small argument. Adding
    and subtracting a large number does the rounding.
    """
    info = xp.finfo(a.dtype)
    digits = 1 - round(math.log2(float(info.eps)))
    # exp(-a²/2) is zero from 2**bits on: 64 in float64 (38.7 suffices), 16 in float32 (14.5).
    bits = math.ceil(math.log2(-2.0 * math.log(float(info.smallest_normal) * float(info.eps))) / 2)
    rounder = 1.5 * 2.0 ** (digits - 1 - digits // 2 + bits)  # its last place is that of h: digits // 2 in all
    a = xp.minimum(a, _number(xp, 2.0**bits, a))
    h = (a + rounder) - rounder
    head, scale = _scaled_exp(xp, -rate * (h * h))
    return head, xp.expm1(rate * ((h - a) * (h + a))), scale


def _mills(a: Array) -> Array:
    """(2 + 2a) M(a) - 1 for a ≥ 0, where M(a) = Φ(-a) exp(a²/2) = erfcx(a/√2)/2; it is 0 at 0, and -0.2 at infinity.

    SciPy's and PyTorch's erfcx are off by up to 8 units in the last place. Here a ∈ [0, ∞) is mapped to t ∈ [-1, 1],
    and a power series in t, obtained from a Chebyshev series at 50 digits, gives M within 2**-54
    (the approach of Shepherd and Laframboise, Math. Comp. 36, 1981).
    """
    w = a / (a + 4.0)
    t = 2.0 * w - 1.0
    series = MILLS[-1] * t + MILLS[-2]
    for coefficient in MILLS[-3::-1]:
        series *= t  # in place: many passes over memory
        series += coefficient
    return w * series


MILLS = (
    -0.11178717396062127,
    -0.27502673534548205,
    0.3310252742431808,
    -0.21662381802897088,
    0.08783246831681432,
    -0.01608807839825891,
    -0.003921435970509133,
    0.0027789435792564643,
    6.448960498914711e-07,
    -0.0003783659016952387,
    2.6952756006999443e-05,
    5.804729002071154e-05,
    -3.5379616773856215e-06,
    -1.0189901137785508e-05,
    -2.6713949665171516e-07,
    1.8817921310753254e-06,
    3.365939774891649e-07,
    -3.2357704598276936e-07,
    -1.3330343866493874e-07,
    4.392459102355502e-08,
    3.644720106763079e-08,
    -3.4538545552671902e-09,
    -6.767284382469071e-09,
    2.7609504000871894e-11,
    6.454988790789147e-10,
)
"""((2 + 2a) M(a) - 1)/w as a power series in t, where w = a/(a + 4) = (1 + t)/2."""
