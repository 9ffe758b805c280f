"""K_∞ on the sphere of one norm: a function of ρ alone, kept as a piecewise Chebyshev interpolant.

For analytic φ one polynomial in ρ does: its degree is that of the power series of K_∞, to rounding. For kinked φ the
curve has square-root and logarithmic singularities at ρ = ±1; it is interpolated in θ = arccos ρ, on panels that shrink
geometrically towards θ = 0 and θ = π.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.fft
from numpy.polynomial import chebyshev

from refimpl.backend import Array, clip, float_dtype, from_host, namespace, slices
from refimpl.errors import AccuracyError
from refimpl.quadrature import Host

DEGREES = (16, 32, 64, 128, 256, 512)
"""Degrees that are tried, in this order, for one polynomial in ρ."""

PANEL_DEGREE = 16
"""Degree on each panel in θ; with panels that halve, the next singularity lies on the Bernstein ellipse of 3 + √8."""

BLOCK = 1 << 14
"""Points evaluated at a time: the arrays of the recurrence stay in the cache of a core."""

SMALLEST_ANGLE = 1e-4
"""Width of the panels at θ = 0 and θ = π."""


@dataclass(frozen=True, eq=False)
class SphereKernel:
    """A kernel on the sphere of norm `radius`, callable at ρ.

    Parameters
    ----------
    radius : float
        |x| = |x̄|.
    variable : {"rho", "theta"}
        What the polynomials are in: ρ, or θ = arccos ρ.
    breaks : ndarray, shape (panels + 1,)
        Ends of the panels, ascending.
    coefficients : ndarray, shape (panels, degree + 1)
        Chebyshev coefficients on each panel.
    error : float
        Estimated absolute error: what was seen at points that were not interpolated, plus the solver's tolerance.
    """

    radius: float
    variable: str
    breaks: Host
    coefficients: Host
    error: float

    def __call__(self, rho: Array | float) -> Any:
        """Kernel at ρ, elementwise; a Python float gives a float.

        Raises
        ------
        ValueError
            ρ outside `domain` (all of [−1, 1], as `Limit.on_sphere` builds it) by more than rounding.
        """
        if isinstance(rho, (int, float)) and not isinstance(rho, bool):
            return float(self(np.asarray([float(rho)]))[0])
        xp = namespace(rho=rho)
        dtype = float_dtype(xp, rho=rho)
        wide = xp.astype(rho, xp.float64, copy=False)
        lowest, highest = self.domain
        if not bool(xp.all((wide >= lowest - 1e-12) & (wide <= highest + 1e-12))):
            raise ValueError(f"rho must lie in [{lowest:g}, {highest:g}]")
        flat = xp.reshape(clip(xp, wide, lowest, highest), (-1,))
        values = xp.empty_like(flat)
        for part in slices(flat.shape[0], BLOCK):
            values[part] = self.at(flat[part] if self.variable == "rho" else xp.acos(flat[part]))
        return xp.astype(xp.reshape(values, tuple(wide.shape)), dtype, copy=False)

    def at(self, z: Array) -> Array:
        """Kernel at ρ, or at θ if that is the `variable`; what lies outside the panels counts as their ends."""
        xp = namespace(z)
        z = clip(xp, z, float(self.breaks[0]), float(self.breaks[-1]))
        panel = None
        if len(self.coefficients) > 1:
            panel = xp.searchsorted(from_host(xp, self.breaks[1:-1], z), xp.reshape(z, (-1,)))
            panel = xp.reshape(panel, tuple(z.shape))
        low = _look_up(xp, self.breaks[:-1], panel, z)
        width = _look_up(xp, np.diff(self.breaks), panel, z)
        double = 4 * ((z - low) / width) - 2
        later, last = xp.zeros_like(double), xp.zeros_like(double)
        for k in range(self.coefficients.shape[1] - 1, 0, -1):  # Clenshaw
            new = double * last
            new -= later
            new += _look_up(xp, self.coefficients[:, k], panel, z)
            later, last = last, new
        return double * last / 2 - later + _look_up(xp, self.coefficients[:, 0], panel, z)

    @property
    def domain(self) -> tuple[float, float]:
        """The ρ for which the curve was built."""
        if self.variable == "rho":
            return float(self.breaks[0]), float(self.breaks[-1])
        return float(np.cos(self.breaks[-1])), float(np.cos(self.breaks[0]))

    def plot(self, axes: Any = None) -> Any:
        """Draw the curve; returns the matplotlib Axes. Needs the extra ``plot``."""
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("plot needs matplotlib: pip install 'refimpl[plot]'") from error
        if axes is None:
            _, axes = plt.subplots()
        rho = np.cos(np.linspace(np.pi, 0, 401))
        axes.plot(rho, self(rho))
        axes.set(xlabel="ρ", ylabel="kernel", title=f"|x| = {self.radius:g}")
        return axes


def interpolate_in_rho(evaluate: Callable[[Host], Host], radius: float, rtol: float) -> SphereKernel:
    """One polynomial in ρ, its degree doubled until the values at the new points are predicted.

    Raises
    ------
    AccuracyError
        The highest degree does not reach rtol × max |K|.
    """
    values = evaluate(lobatto_points(DEGREES[0]))
    error = np.inf
    for degree in DEGREES[1:]:
        coarse = chebyshev_coefficients(values)
        between = lobatto_points(degree)[1::2]
        new = evaluate(between)
        finer = np.empty(degree + 1)
        finer[::2], finer[1::2] = values, new
        values = finer
        scale = np.abs(values).max()
        error = float(np.abs(chebyshev.chebval(between, coarse) - new).max())
        if error <= max(rtol, 1e-14) * scale:
            coefficients = _without_rounding(chebyshev_coefficients(values), scale)[None, :]
            return SphereKernel(radius, "rho", np.asarray([-1.0, 1.0]), coefficients, float(error + rtol * scale))
    raise AccuracyError(f"degree {DEGREES[-1]} in ρ leaves an error of {error:.3g}", reached=error / scale)


def interpolate_in_theta(
    evaluate: Callable[[Host], Host], radius: float, rtol: float, span: tuple[float, float] = (-1.0, 1.0)
) -> SphereKernel:
    """Polynomials in θ = arccos ρ on graded panels that cover ρ in `span`, checked between their nodes.

    Raises
    ------
    AccuracyError
        The check finds an error above rtol × max |K|.
    """
    lowest, highest = float(np.arccos(min(span[1], 1.0))), float(np.arccos(max(span[0], -1.0)))
    if highest - lowest < SMALLEST_ANGLE:  # a panel of no width has no polynomial
        lowest, highest = max(0.0, lowest - SMALLEST_ANGLE), min(np.pi, highest + SMALLEST_ANGLE)
    breaks = _graded_panels(lowest, highest)
    middle, half = (breaks[1:] + breaks[:-1]) / 2, np.diff(breaks) / 2
    nodes = middle[:, None] + half[:, None] * lobatto_points(PANEL_DEGREE)
    check_points = np.cos(np.pi * np.asarray([0.5, PANEL_DEGREE // 2 + 0.5]) / PANEL_DEGREE)
    checks = middle[:, None] + half[:, None] * check_points
    found = evaluate(np.cos(np.concatenate([nodes.ravel(), checks.ravel(), [0.0]])))
    values, truth = found[: nodes.size].reshape(nodes.shape), found[nodes.size : -1].reshape(checks.shape)
    coefficients = np.stack([chebyshev_coefficients(row) for row in values])
    error = max(np.abs(chebyshev.chebval(check_points, c) - t).max() for c, t in zip(coefficients, truth, strict=True))
    scale = max(np.abs(values).max(), abs(found[-1]))  # K(x, x), wherever the span lies
    if error > rtol * scale:
        raise AccuracyError(
            f"rtol={rtol:.3g} was asked for, the interpolation in θ reaches {error / scale:.3g}", reached=error / scale
        )
    return SphereKernel(radius, "theta", breaks, coefficients, float(error + rtol * scale))


def lobatto_points(degree: int) -> Host:
    """Chebyshev–Lobatto points, descending."""
    return np.sin(np.pi * np.arange(degree, -degree - 1, -2) / (2 * degree))


def chebyshev_coefficients(values: Host) -> Host:
    """Chebyshev coefficients of the interpolant of values at the Chebyshev–Lobatto points, along the first axis."""
    c = scipy.fft.dct(values, type=1, axis=0) / (len(values) - 1)
    c[[0, -1]] /= 2
    return np.asarray(c)


def _without_rounding(coefficients: Host, scale: float) -> Host:
    """Without the last terms that together stay below half a unit in the last place of `scale`."""
    tails = np.cumsum(np.abs(coefficients[::-1]))
    return coefficients[: max(1, np.count_nonzero(tails > np.finfo(np.float64).eps / 2 * scale))]


def _graded_panels(lowest: float, highest: float) -> Host:
    halvings = SMALLEST_ANGLE * 2.0 ** np.arange(np.ceil(np.log2(np.pi / 2 / SMALLEST_ANGLE)))
    graded = np.concatenate([halvings, [np.pi / 2], np.pi - halvings])
    sliver = SMALLEST_ANGLE / 4
    inside = np.sort(graded[(graded > lowest + sliver) & (graded < highest - sliver)])
    return np.concatenate([[lowest], inside, [highest]])


def _look_up(xp: Any, table: Host, panel: Array | None, like: Array) -> Array:
    """table[panel], for a table on the host; its one entry without `panel`."""
    if panel is None:
        return float(table[0])
    return xp.reshape(xp.take(from_host(xp, table, like), xp.reshape(panel, (-1,))), tuple(panel.shape))
