"""Does λ_min(K_∞) grow with T? Its T² coefficient, and a pair of inputs for which it falls."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.special import erf, expit

from refimpl import NeuralODE
from verification import Agreement
from verification.statements._data import Array
from verification.statements._horizons import shallow


def _sigmoid(z: Array) -> tuple[Array, ...]:
    s = expit(z)
    first = s * (1 - s)
    second = first * (1 - 2 * s)
    return s, first, second, second * (1 - 2 * s) - 2 * first**2


def _softplus(z: Array) -> tuple[Array, ...]:
    return np.logaddexp(0, z), *_sigmoid(z)[:3]


def _tanh(z: Array) -> tuple[Array, ...]:
    t = np.tanh(z)
    first = 1 - t**2
    return t, first, -2 * t * first, first * (6 * t**2 - 2)


def _erf(z: Array) -> tuple[Array, ...]:
    first = 2 / math.sqrt(math.pi) * np.exp(-(z**2))
    return erf(z), first, -2 * z * first, (4 * z**2 - 2) * first


DERIVATIVES: dict[str, Callable[[Array], tuple[Array, ...]]] = {
    "sigmoid": _sigmoid, "softplus": _softplus, "tanh": _tanh, "erf": _erf,
}  # fmt: skip
"""φ, φ', φ'' and φ''', written out."""


def second_coefficient(name: str, rho: float) -> float:
    """lim (K_∞ − K_∞|_{T=0}) / T² for unit vectors of the cosine `rho`, σ = 1.

    To order T² (H) has S^{T,T} = ρ + T² Σ₀ and P^{0,0} = D_TT + T² D₀², and both variances grow to 1 + T² Σ₀(1). With
    ∂E[F(a) G(b)]/∂s₁ = ½ E[F'' G], ∂/∂c = E[F' G'], and expectations of N(0, 1) pairs of covariance ρ,

        Σ₀(1) E[φ''φ] + 2 Σ₀ D₀ + ρ (Σ₀(1) E[φ'''φ'] + Σ₀ E[φ''φ''] + D₀²).

    By plain double sums, as in `shallow`.
    """
    z = np.arange(-36, 37) / 4
    weights = np.exp(-(z**2) / 2) / (4 * math.sqrt(2 * math.pi))
    a = DERIVATIVES[name](z)
    b = DERIVATIVES[name](rho * z[:, None] + math.sqrt(max(1 - rho**2, 0.0)) * z)

    def mean(i: int, j: int) -> float:
        return float((a[i] * weights) @ b[j] @ weights)

    own, Sigma, D = float(a[0] ** 2 @ weights), mean(0, 0), mean(1, 1)
    return own * mean(2, 0) + 2 * Sigma * D + rho * (own * mean(3, 1) + Sigma * mean(2, 2) + D**2)


@dataclass(frozen=True)
class Falling:
    """λ_min of two unit vectors at 120 degrees, sigmoid.

    Parameters
    ----------
    smallest : array, shape (k,)
        At `HORIZONS`.
    condition : array, shape (k,)
        λ_max/λ_min likewise.
    slope, slope_error : float
        lim (λ_min − λ_min|_{T=0}) / T² from the kernels, and the last change of the extrapolation.
    predicted : float
        The same from `second_coefficient`.
    """

    smallest: Array
    condition: Array
    slope: float
    slope_error: float
    predicted: float

    @property
    def factor(self) -> float:
        """λ_min at T = 1 over that at T = 1/64."""
        return float(self.smallest[-1] / self.smallest[0])


HORIZONS = (1 / 64, 1 / 8, 1 / 4, 1 / 2, 1.0)

COSINE = -0.5


def falling() -> Falling:
    """K_∞ is a 2 × 2 matrix with the eigenvalues K(1) ± K(ρ)."""
    X = np.asarray([[1.0, 0.0], [COSINE, math.sqrt(1 - COSINE**2)]])
    extremes = [np.linalg.eigvalsh(NeuralODE("sigmoid", horizon=T).limit().ntk(X)) for T in HORIZONS]
    smallest, largest = np.asarray(extremes).T
    at_zero = _shallow_pair()
    scaled = [(low - at_zero) / T**2 for low, T in zip(smallest[1:4], HORIZONS[1:4], strict=True)]
    coarse, fine = (4 * scaled[1] - scaled[2]) / 3, (4 * scaled[0] - scaled[1]) / 3
    predicted = second_coefficient("sigmoid", 1.0) - second_coefficient("sigmoid", COSINE)
    return Falling(smallest, largest / smallest, fine, abs(fine - coarse), predicted)


def _shallow_pair() -> float:
    own, other = shallow("sigmoid", np.asarray([1.0, COSINE]))
    return float(own - abs(other))


def second_coefficient_road(found: Falling) -> Agreement:
    return Agreement(
        r"$\lim (\lambda_{\min}(K_\infty) - \lambda_{\min}|_{T = 0}) / T^2$ (sigmoid, two inputs at 120 degrees)",
        ("Gauss scheme, extrapolated in $T^2$", "Gaussian expectations of $\\phi, \\dots, \\phi'''$ by double sums"),
        abs(found.slope - found.predicted), found.slope_error + 1e-12 / HORIZONS[1] ** 2,
        "the last change of the extrapolation, and 1e-12 promised by Gauss over $T^2$", ("spectrum",),
    )  # fmt: skip
