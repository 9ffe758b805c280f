"""How much rounding may have changed a result: solve again with everything disturbed that a rounding disturbs.

Wherever the computation rounds, a disturbance takes its place that is random, and larger than the rounding: of φ and φ'
and of their arguments, of the weights (which stands for the sums of W φ as well), of the tableau, of the states before
they are contracted. What the equations make of them until the end, and what cancels, is then in the results: no bound
on a condition number is needed, and none is lost. A rounding error is one draw from such a distribution, only narrower.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from refimpl.activations import Activation
from refimpl.backend import Array
from refimpl.finite.system import Sweep, System
from refimpl.quadrature import Host
from refimpl.scheme import Scheme

EPS = float(np.finfo(np.float64).eps)

DRAWS = 8
"""Disturbed solutions."""

SAFETY = 4.0
"""Error allowed for, in root mean squares of what the disturbances change.

Disturbances are meant to have two to four times the size of roundings. With eight draws the ratio of a normal error to
their root mean square is a Student variable of eight degrees of freedom, which exceeds 2 × 4 once in 22,000 times, and
3 × 4 twice in a million.
"""

UNITS = 2.0
"""Size of a disturbance in units of eps, that is twice the largest rounding of one operation, for each of them."""

FREQUENCY = 1e3
"""Of the disturbance of φ as a function of its argument: so high that states close together see another one, and so
low that it is smooth on the scale of rounding: the equations of a scheme still have a solution."""


def disturbed_system(system: System, input_size: Host, rng: np.random.Generator) -> System:
    """The system with its data disturbed.

    Parameters
    ----------
    system : System
    input_size : ndarray, shape (n, N)
        σ_u |U| |x|: what the terms of h_0 add up to in size.
    rng : Generator
    """
    n = system.h0.shape[0]
    products = max(1.0, math.sqrt(n) / 2)  # a sum of n products
    return replace(
        system,
        activation=_disturbed_activation(system.activation, n, rng),
        W=_disturbed(system.W, rng, products) * (1 + UNITS * EPS * rng.uniform(-1, 1)),
        v=_disturbed(system.v, rng, products) * (1 + UNITS * EPS * rng.uniform(-1, 1)),
        h0=system.h0 + UNITS * EPS * input_size * (rng.uniform(-1, 1, input_size.shape) + rng.uniform(-1, 1)),
    )


def disturbed_scheme(scheme: Scheme, rng: np.random.Generator) -> Scheme:
    """The scheme with its tableau disturbed, entry by entry."""
    return replace(scheme, A=_disturbed(scheme.A, rng), b=_disturbed(scheme.b, rng))


def disturbed_sweep(sweep: Sweep, rng: np.random.Generator) -> Sweep:
    """The states with which the contraction works, disturbed."""
    parts = ("phi", "adjoint", "terminal_phi", "initial_adjoint")
    return replace(sweep, **{name: _disturbed(getattr(sweep, name), rng) for name in parts})


def allowance(changes: list[float]) -> float:
    """Bound of a rounding error, from the distances of the disturbed results."""
    largest = max(changes)
    if not (math.isfinite(largest) and largest > 0):
        return largest
    return SAFETY * largest * math.sqrt(sum((change / largest) ** 2 for change in changes) / len(changes))


def _disturbed(values: Array, rng: np.random.Generator, units: float = 1.0) -> Array:
    return np.asarray(values * (1 + UNITS * units * EPS * rng.uniform(-1, 1, np.shape(values))))


def _disturbed_activation(activation: Activation, n: int, rng: np.random.Generator) -> Activation:
    """φ and φ' whose argument and value are disturbed: those of every neuron in another way."""
    phases = rng.uniform(0, 2 * np.pi, (3, n, 1))

    def wave(z: Host, k: int) -> Host:
        return np.asarray(UNITS * EPS * np.sin(FREQUENCY * z + phases[k]))

    def both(z: Host) -> tuple[Host, Host]:
        value, slope = activation.value_and_slope(z * (1 + wave(z, 0)))
        # Near a zero of φ' the rounding is relative to the terms that cancel there, which are of the size of φ.
        terms = np.abs(slope) + np.minimum(np.abs(value), 1.0)
        return value * (1 + 2 * wave(z, 1)), slope + 2 * terms * wave(z, 2)

    return replace(activation, phi=lambda z: both(z)[0], dphi=lambda z: both(z)[1], both=both)
