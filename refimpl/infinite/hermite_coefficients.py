"""The Hermite coefficients α_k(s) = E[φ(√s z) he_k(z)] of the built-in activations, each with small relative error.

A quadrature of φ he_k leaves an absolute error of some 1e-16, where α_k may be 1e-40. By Stein's lemma, for k ≥ 2,

    α_k(s) = s^{k/2}/√k! E[φ^{(k)}(√s z)] = s^{k/2}/√k! (1/2π) ∫ ψ(ω) (iω)^{k−2} e^{−sω²/2} dω,

where ψ = ψ_e + i ψ_o is the Fourier transform of φ'', with ψ_e even and ψ_o odd. Of every built-in φ both are ≥ 0 on
ω > 0. So nothing cancels, and the sign of α_k(s) is the same for all s: products α_k(s) α_k(s̄) are never negative.
With u = √s ω,

    |α_k(s)| = √s/(π √k!) ∫_0^∞ ψ_{e or o}(u/√s) u^{k−2} e^{−u²/2} du,

ψ_e for even k and ψ_o for odd k. The integrand is analytic and falls fast: the trapezoidal rule converges
geometrically.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erfcx, gammaln

from refimpl._elementary import LEAKY_SLOPE
from refimpl.errors import AccuracyError
from refimpl.quadrature import Host

MAX_POINTS = 1 << 14
"""Points of the trapezoidal rule at most."""

STEP = 1 / 8
"""Its step for a transform without singularities: the error for e^{−u²/2} is e^{−2π²/h²}."""

STRIP = 6.0
"""Steps into the strip of analyticity: the error is e^{−2π · 6} = 4e-17."""

Transform = Callable[[Host], Host]


@dataclass(frozen=True)
class _Spectrum:
    """φ by the transform of φ'', and α_0 and α_1 as functions of s, shape (m,), and of the mean of a transform.

    `even` and `odd` are ψ_e and ψ_o / ω; `pole` is the imaginary part of their nearest singularity.
    """

    even: Transform | None
    odd: Transform | None
    constant: Callable[[Host, Callable[[Transform], Host]], Host]
    linear: Callable[[Host, Callable[[Transform], Host]], Host]
    pole: float = math.inf


def hermite_magnitudes(name: str, s: Host, count: int) -> Host:
    """|α_k(s)| for k < `count`, shape (count, m), of a built-in activation at variances s > 0 of shape (m,).

    Raises
    ------
    KeyError
        Not a built-in activation.
    AccuracyError
        A variance is so small that the rule would need too many points.

    Notes
    -----
    Relative errors are below 1e-12 in the tests, which go to k = 101; α_0 of `elu` loses digits as s → 0.

    Examples
    --------
    >>> hermite_magnitudes("relu", np.asarray([2 * np.pi]), 3).ravel().round(12).tolist()
    [1.0, 1.253314137316, 0.707106781187]
    """
    k = np.arange(count, dtype=float)
    if name in _ATOMIC:
        return _ATOMIC[name](s, k)
    spectrum = _SPECTRA[name]
    step = min(STEP, spectrum.pole * math.sqrt(float(s.min())) / STRIP)
    points = math.ceil((math.sqrt(count) + 10) / step)
    if points > MAX_POINTS:
        raise AccuracyError(f"the Hermite coefficients of {name} at a variance of {s.min():.3g} take too many points")
    u = step * np.arange(1, points + 1)
    roots = np.sqrt(s)

    def mean(transform: Transform) -> Host:
        """(1/π) ∫_0^∞ transform(u/√s) e^{−u²/2} du."""
        values = transform(u / roots[:, None]) @ np.exp(-(u**2) / 2) + transform(np.zeros(1)) / 2
        result: Host = step / math.pi * values
        return result

    found = np.zeros((count, s.size))
    found[0] = spectrum.constant(s, mean)
    if count > 1:
        found[1] = spectrum.linear(s, mean)
    orders = k[2:, None]
    weights = np.exp((orders - 2) * np.log(u) - u**2 / 2 - gammaln(orders + 1) / 2)
    for parity, transform, odd in ((0, spectrum.even, 0), (1, spectrum.odd, 1)):
        if transform is None:
            continue
        rows = weights[parity::2] * u**odd
        values = rows @ (transform(u / roots[:, None]) / roots[:, None] ** odd).T
        if parity == 0 and count > 2:
            values[0] += transform(np.zeros(1)) / (2 * math.sqrt(2))  # u = 0 counts for k = 2 alone
        found[2 + parity :: 2] = step / math.pi * roots * values
    return found


# --- transforms ---------------------------------------------------------------------------------------------------


def _logistic(omega: Host) -> Host:
    """Transform πω/sinh(πω) of the logistic density σ'."""
    x = np.minimum(math.pi * omega, 700.0)
    return np.where(x == 0, 1.0, x / np.sinh(np.where(x == 0, 1.0, x)))


def _silu(omega: Host) -> Host:
    """F − ωF' for F = πω/sinh(πω), which is F πω coth(πω): the transform of (zσ)'' = 2σ' + zσ''."""
    x = np.minimum(math.pi * omega, 700.0)
    return np.where(x == 0, 1.0, _logistic(omega) * x / np.tanh(np.where(x == 0, 1.0, x)))


def _softplus_mean(s: Host, mean: Callable[[Transform], Host]) -> Host:
    roots = np.sqrt(s)
    step = min(STEP, math.pi / float(roots.max()) / STRIP)
    z = step * np.arange(-math.ceil(9 / step), math.ceil(9 / step) + 1)
    result: Host = np.logaddexp(0.0, roots[:, None] * z) @ np.exp(-(z**2) / 2) * (step / math.sqrt(2 * math.pi))
    return result


def _elu_slope(s: Host) -> Host:
    """E[e^{√s z}; z < 0]."""
    result: Host = erfcx(np.sqrt(s / 2)) / 2
    return result


_SPECTRA = {
    "softplus": _Spectrum(_logistic, None, _softplus_mean, lambda s, mean: np.sqrt(s) / 2, 1.0),
    "sigmoid": _Spectrum(None, _logistic, lambda s, mean: 0.5 + 0 * s, lambda s, mean: mean(_logistic), 1.0),
    "tanh": _Spectrum(
        None,
        lambda w: 2 * _logistic(w / 2),
        lambda s, mean: 0 * s,
        lambda s, mean: mean(lambda w: 2 * _logistic(w / 2)),
        2.0,
    ),
    "silu": _Spectrum(_silu, None, lambda s, mean: np.sqrt(s) * mean(_logistic), lambda s, mean: np.sqrt(s) / 2, 1.0),
    "erf": _Spectrum(
        None,
        lambda w: 2 * np.exp(-(w**2) / 4),
        lambda s, mean: 0 * s,
        lambda s, mean: 2 / math.sqrt(math.pi) * np.sqrt(s / (1 + 2 * s)),
    ),
    "gelu": _Spectrum(
        lambda w: (1 + w**2) * np.exp(-(w**2) / 2),
        None,
        lambda s, mean: s / np.sqrt(2 * math.pi * (1 + s)),
        lambda s, mean: np.sqrt(s) / 2,
    ),
    "relu": _Spectrum(np.ones_like, None, lambda s, mean: np.sqrt(s / (2 * math.pi)), lambda s, mean: np.sqrt(s) / 2),
    "leaky_relu": _Spectrum(
        lambda w: np.full_like(w, 1 - LEAKY_SLOPE),
        None,
        lambda s, mean: (1 - LEAKY_SLOPE) * np.sqrt(s / (2 * math.pi)),
        lambda s, mean: (1 + LEAKY_SLOPE) * np.sqrt(s) / 2,
    ),
    "elu": _Spectrum(
        lambda w: 1 / (1 + w**2),
        lambda w: 1 / (1 + w**2),
        lambda s, mean: np.sqrt(s / (2 * math.pi)) - 0.5 + _elu_slope(s),
        lambda s, mean: np.sqrt(s) * (0.5 + _elu_slope(s)),
        1.0,
    ),
}


def _trigonometric(s: Host, k: Host, parity: int) -> Host:
    """s^{k/2} e^{−s/2} / √k! where k has this parity."""
    values = np.exp(np.multiply.outer(k, np.log(s)) / 2 - s / 2 - gammaln(k + 1)[:, None] / 2)
    return np.where((k % 2 == parity)[:, None], values, 0.0)


def _at(order: int, value: Host, k: Host) -> Host:
    return np.where((k == order)[:, None], value, 0.0)


_ATOMIC: dict[str, Callable[[Host, Host], Host]] = {
    "sin": lambda s, k: _trigonometric(s, k, 1),
    "cos": lambda s, k: _trigonometric(s, k, 0),
    "identity": lambda s, k: _at(1, np.sqrt(s), k),
    "quadratic": lambda s, k: _at(0, s / 2, k) + _at(2, s / math.sqrt(2), k),
}
"""Those whose transform is not a function."""
