"""Dual activations in closed form.

Every function here takes variances s₁ ≥ 0, s₂ ≥ 0 and a covariance c of a centred Gaussian pair (a, b), elementwise
with broadcasting, and returns Σ = E[φ(a)φ(b)] and D = E[φ'(a)φ'(b)] = ∂Σ/∂c (Price's theorem). A covariance beyond
±√(s₁s₂) counts as ±√(s₁s₂), except where Σ is a polynomial in c. The formulas are arranged so that the error is a
few units of the last place of (E[φ(a)²] E[φ(b)²])^½, at perfect correlation and at any size of the variances too.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TypeAlias

from refimpl import activations
from refimpl._elementary import LEAKY_SLOPE
from refimpl.activations import Activation
from refimpl.backend import Array, from_host, namespace, special
from refimpl.errors import AccuracyError
from refimpl.infinite.sectors import blockwise, clamped, openings
from refimpl.quadrature import gauss_legendre

ClosedForm: TypeAlias = Callable[[Array, Array, Array], tuple[Array, Array]]

_TAU = 2 * math.pi
_E0 = math.sqrt(math.pi / 2)
_MAX_ELU_NODES = 400


def identity(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = z: Σ = c, D = 1."""
    value = c + 0.0 * (s1 + s2)
    return value, namespace(c).ones_like(value)


def quadratic(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = z²/2: Σ = (s₁s₂ + 2c²)/4 (Isserlis), D = c."""
    return 0.25 * (s1 * s2) + 0.5 * c * c, c + 0.0 * (s1 + s2)


def relu(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = max(z, 0): the arc-cosine kernels Σ = (√(s₁s₂ − c²) + (π − θ)c)/2π, D = (π − θ)/2π, cos θ = c/√(s₁s₂).

    At variance 0 the convention φ'(0) = 0 decides: D = 0.

    Notes
    -----
    Cho and Saul, *Kernel methods for deep learning*, NeurIPS 2009.

    Examples
    --------
    >>> import numpy as np
    >>> one = np.asarray([1.0])
    >>> relu(one, one, one)
    (array([0.5]), array([0.5]))
    """
    xp = namespace(s1, s2, c)
    c, determinant = clamped(xp, s1, s2, c)
    same, _ = openings(xp, determinant, c)
    slope = xp.where((s1 > 0) & (s2 > 0), same / _TAU, 0.0 * same)
    return (xp.sqrt(determinant) + same * c) / _TAU, slope


def leaky_relu(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = max(z, 0.01 z) = αz + (1 − α) max(z, 0): by linearity from `relu` and E[a max(b, 0)] = c/2.

    At variance 0 the convention φ'(0) = α decides: D is α E[φ'(b)] for s₁ = 0, and α² if s₂ = 0 too.
    """
    xp = namespace(s1, s2, c)
    alpha, beta = LEAKY_SLOPE, 1.0 - LEAKY_SLOPE
    c, _ = clamped(xp, s1, s2, c)
    value, slope = relu(s1, s2, c)
    halves = xp.astype(s1 > 0, slope.dtype) + xp.astype(s2 > 0, slope.dtype)  # 2 P(a > 0) + 2 P(b > 0)
    return alpha * c + beta**2 * value, alpha**2 + 0.5 * alpha * beta * halves + beta**2 * slope


def erf(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = erf z: Σ = (2/π) arcsin(2c/√((1 + 2s₁)(1 + 2s₂))), D = (4/π)/√((1 + 2s₁)(1 + 2s₂) − 4c²).

    Notes
    -----
    Williams, *Computing with infinite networks*, NeurIPS 1996. The arcsine is taken as an arctangent, which keeps
    its digits where the argument comes near 1 (large variances).
    """
    xp = namespace(s1, s2, c)
    c, determinant = clamped(xp, s1, s2, c)
    root = xp.sqrt(1.0 + 2.0 * (s1 + s2) + 4.0 * determinant)
    return 2 / math.pi * xp.atan2(2.0 * c, root), 4 / math.pi / root


def sin(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = sin z: Σ = exp(−(s₁ + s₂)/2) sinh c, D = exp(−(s₁ + s₂)/2) cosh c."""
    even, odd = _hyperbolic(s1, s2, c)
    return odd, even


def cos(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = cos z: Σ = exp(−(s₁ + s₂)/2) cosh c, D = exp(−(s₁ + s₂)/2) sinh c."""
    return _hyperbolic(s1, s2, c)


def _hyperbolic(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """exp(−(s₁ + s₂)/2) cosh c and exp(−(s₁ + s₂)/2) sinh c."""
    xp = namespace(s1, s2, c)
    c, _ = clamped(xp, s1, s2, c)
    size = xp.abs(c)
    # (s₁ − |c|) + (s₂ − |c|): where the result is not tiny both differences are exact, at any size of the variances
    scale = 0.5 * xp.exp(-0.5 * ((s1 - size) + (s2 - size)))
    odd = -scale * xp.expm1(-2.0 * size)
    return scale * (1.0 + xp.exp(-2.0 * size)), xp.where(c < 0, -odd, odd)


def gelu(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = z Φ(z), with the normal distribution function Φ and its density ϕ.

    With t₁ = 1 + s₁, t₂ = 1 + s₂, Δ = t₁t₂ − c², E[ϕ(a)ϕ(b)] = 1/(2π√Δ) and
    E[Φ(a)Φ(b)] = 1/4 + arcsin(c/√(t₁t₂))/2π:

        Σ = c E[ΦΦ] + (s₁s₂ − c² + c²/t₁ + c²/t₂) E[ϕϕ],    D = E[ΦΦ] + (c/t₁ + c/t₂ + c/Δ) E[ϕϕ].

    Notes
    -----
    Σ by Stein's lemma E[a F] = s₁ E[∂F/∂a] + c E[∂F/∂b], once for a and once for b. In D = E[(Φ + aϕ)(Φ + bϕ)] the
    same lemma gives E[Φ(a) b ϕ(b)] = (c/t₂) E[ϕϕ], and the Gaussian ϕ(a)ϕ(b) tilts the covariance of (a, b) to c/Δ.
    """
    xp = namespace(s1, s2, c)
    c, determinant = clamped(xp, s1, s2, c)
    t1, t2 = 1.0 + s1, 1.0 + s2
    delta = 1.0 + s1 + s2 + determinant
    root = xp.sqrt(delta)
    density = 1.0 / (_TAU * root)
    orthant = 0.25 + xp.atan2(c, root) / _TAU
    value = c * orthant + (determinant + c * (c / t1 + c / t2)) * density
    return value, orthant + (c / t1 + c / t2 + c / delta) * density


def elu(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
    """φ(z) = z for z > 0, exp(z) − 1 for z ≤ 0: closed in the radius, Gauss–Legendre in the angle.

    In the sectors of `refimpl.infinite.sectors`, with a = √s₁ r sin x and so on, the radius integrates to

        m₁(κ) = ∫₀^∞ r exp(−κr − r²/2) dr = 1 − κE,    m₂(κ) = ∫₀^∞ r² exp(−κr − r²/2) dr = E − κ(1 − κE),

    E = √(π/2) erfcx(κ/√2), κ = √s sin x ≥ 0. Both are entire in x, and no exponential of a variance appears, as it
    does if the same integrals are written with the bivariate normal distribution.

    Raises
    ------
    AccuracyError
        A variance above 1e6, where the functions of the angle are too steep for the rule.

    """
    xp = namespace(s1, s2, c)
    s1, s2, c = xp.broadcast_arrays(s1, s2, c)
    if math.prod(c.shape) == 0:
        return c + 0.0, c + 0.0
    largest = float(xp.max(xp.maximum(s1, s2)))
    # The steepest scale of the angle is 1/√s, at the ends, where the distance of Gauss nodes is 1/nodes². With the
    # constants here the rule is exact to rounding, as found by comparison with four times the nodes up to s = 1e4.
    nodes = 4 * math.ceil(2.2 + 2.7 * largest**0.25)
    if nodes > _MAX_ELU_NODES:
        raise AccuracyError(f"elu: a variance of {largest:.3g} needs {nodes} angles, allowed are {_MAX_ELU_NODES}")
    value, slope = blockwise(_elu_sectors(nodes), nodes)(s1, s2, c)
    return value, slope


def _elu_sectors(nodes: int) -> ClosedForm:
    x, w = gauss_legendre(nodes)

    def form(s1: Array, s2: Array, c: Array) -> tuple[Array, Array]:
        xp = namespace(s1, s2, c)
        angle, weight = from_host(xp, x, like=c), from_host(xp, w / _TAU, like=c)
        c, determinant = clamped(xp, s1, s2, c)
        same, opposite = openings(xp, determinant, c)
        h1, h2 = xp.sqrt(s1)[:, None], xp.sqrt(s2)[:, None]
        smallest = xp.minimum(s1, s2)
        small, tiny = bool(xp.any(smallest < 0.1)), bool(xp.any(smallest < 1e-4))

        # a, b > 0
        value, slope = (xp.sqrt(determinant) + same * c) / _TAU, same / _TAU
        # One of them is positive, √s r sin x, the other negative: E[a (exp(b) − 1)] and E[exp(b)].
        sine = xp.sin(opposite[:, None] * angle)
        for h, kappa in ((h1, h2 * xp.flip(sine, axis=1)), (h2, h1 * xp.flip(sine, axis=1))):
            ratio, deficit = _mills(kappa, small)
            m1 = 1.0 - kappa * ratio
            value = value - opposite * ((h * sine * (deficit + kappa * m1)) @ weight)
            slope = slope + opposite * (m1 @ weight)
        # a, b < 0: E[(exp(a) − 1)(exp(b) − 1)], without the parts 1 and κ of m₁, which cancel; and E[exp(a + b)].
        sine = xp.sin(same[:, None] * angle)
        kappa1, kappa2 = h1 * sine, h2 * xp.flip(sine, axis=1)
        kappa = kappa1 + kappa2
        (ratio, deficit), (ratio1, deficit1), (ratio2, deficit2) = (_mills(k, small) for k in (kappa, kappa1, kappa2))
        drop1, drop2 = deficit - deficit1, deficit - deficit2
        if tiny:
            drop1, drop2 = _drop(kappa1, kappa2, ratio1, drop1), _drop(kappa2, kappa1, ratio2, drop2)
        product = kappa1 * drop1 + kappa2 * drop2
        m1 = 1.0 - kappa * ratio
        return value + same * (product @ weight), slope + same * (m1 @ weight)

    return form


def _mills(kappa: Array, small: bool) -> tuple[Array, Array]:
    """E(κ) = √(π/2) erfcx(κ/√2) and E(0) − E(κ), the latter with `small` to small relative error near κ = 0 too."""
    xp = namespace(kappa)
    x = kappa / math.sqrt(2)
    scaled = special("erfcx", x)
    deficit = 1.0 - scaled
    if small:
        near = xp.minimum(x, xp.ones_like(x))
        error = special("erf", near)
        deficit = xp.where(x < 1.0, error - xp.expm1(near * near) * (1.0 - error), deficit)
    return _E0 * scaled, _E0 * deficit


def _drop(kappa: Array, step: Array, ratio: Array, direct: Array) -> Array:
    """E(κ) − E(κ + δ) for δ ≥ 0: `direct`, or where δ is small, and that loses δ in the rounding, Taylor's series.

    (−1)^k E^(k)(κ) = ∫₀^∞ r^k exp(−κr − r²/2) dr = m_k with m_0 = E, m_1 = 1 − κE and m_{k+1} = k m_{k−1} − κ m_k.
    """
    xp = namespace(kappa)
    before, moment = ratio, 1.0 - kappa * ratio
    total, power = step * moment, step
    for k in range(1, 7):
        before, moment = moment, k * before - kappa * moment
        power = -power * step / (k + 1)
        total = total + power * moment
    return xp.where(step * (1.0 + kappa) < 0.01, total, direct)


_CLOSED_FORMS: tuple[tuple[Activation, ClosedForm], ...] = (
    (activations.identity, identity),
    (activations.quadratic, quadratic),
    (activations.relu, relu),
    (activations.leaky_relu, leaky_relu),
    (activations.erf, erf),
    (activations.sin, sin),
    (activations.cos, cos),
    (activations.gelu, gelu),
    (activations.elu, elu),
)


def closed_form(activation: Activation) -> ClosedForm | None:
    """Function (s₁, s₂, c) ↦ (Σ, D) of a built-in activation; None for every other one.

    Examples
    --------
    >>> closed_form(activations.relu) is relu, closed_form(activations.tanh)
    (True, None)
    """
    return next((form for known, form in _CLOSED_FORMS if known == activation), None)
