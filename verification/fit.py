"""Power laws: the exponent of measured data, with its uncertainty."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class PowerLaw:
    """y ≈ constant · x^slope; `uncertainty` is the half-width of the 95 % interval of the slope."""

    slope: float
    uncertainty: float
    constant: float


def power_law(x: ArrayLike, y: ArrayLike) -> PowerLaw:
    """Least-squares fit of log y = log C + slope · log x.

    Parameters
    ----------
    x, y : array_like, shape (m,)
        m ≥ 3 positive finite numbers, at least two different x.

    Raises
    ------
    ValueError
        Too few points, different lengths, or entries that have no logarithm.

    Notes
    -----
    The interval is Student's, from the scatter about the line. Numbers without noise scatter only as far as they are
    no power law: a curve that still bends has a systematic error that the interval does not cover.

    Examples
    --------
    >>> L = np.asarray([8, 16, 32, 64])
    >>> fit = power_law(L, 3 / L)
    >>> round(fit.slope, 12), round(fit.constant, 12), fit.uncertainty < 1e-12
    (-1.0, 3.0, True)
    """
    x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    if x.shape != y.shape or x.ndim != 1 or x.size < 3:
        raise ValueError(f"x and y must be of one shape (m,) with m ≥ 3, got {x.shape} and {y.shape}")
    for name, values in (("x", x), ("y", y)):
        if not (np.isfinite(values).all() and (values > 0).all()):
            raise ValueError(f"{name} must be positive and finite, got {values.tolist()}")
    if np.ptp(x) == 0:
        raise ValueError(f"x must hold two different values, got {x[0]} only")
    u, v = np.log(x) - np.log(x).mean(), np.log(y) - np.log(y).mean()
    slope = (u @ v) / (u @ u)
    degrees = x.size - 2
    spread = np.sqrt(np.sum((v - slope * u) ** 2) / degrees / (u @ u))
    constant = np.exp(np.log(y).mean() - slope * np.log(x).mean())
    return PowerLaw(float(slope), float(stats.t.ppf(0.975, degrees) * spread), float(constant))


def second_term(margin: float, x: float, power: int, symbol: str = "L") -> str:
    r"""Why a slope may be off by `margin`, in words for a claim.

    Parameters
    ----------
    margin : float
        Largest deviation of a slope from the prediction p.
    x : float
        End of the fitted range of x where the next term is largest.
    power : int
        Power q of the next term, relative to the leading one: the data are x^p (1 + r x^q).
    symbol : str
        x in LaTeX.

    Notes
    -----
    The local slope is p + q r x^q to first order in r, and a least-squares slope is a mean of local slopes with
    positive weights, so it is off by |q r| x^q at most: the margin is kept if |r| ≤ margin / (|q| x^q).

    Examples
    --------
    >>> print(second_term(0.03, 64, -1))
    margin 0.03, as far as a second term, $r/L$ of the first, moves a slope over $L \ge 64$ if $|r| \le 1.9$
    """
    term = f"r/{symbol}" if power == -1 else rf"r\, {symbol}^{{{power}}}"
    end = rf"{symbol} \{'le' if power > 0 else 'ge'} {f'1/{1 / x:g}' if x < 1 else f'{x:g}'}"
    return (
        rf"margin {margin:g}, as far as a second term, ${term}$ of the first, moves a slope over ${end}$ if "
        rf"$|r| \le {margin / (abs(power) * x**power):.2g}$"
    )
