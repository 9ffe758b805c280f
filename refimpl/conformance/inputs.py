"""What the inputs of the golden vectors are made of: numbers that are short decimals, and what flags say.

Every number is a multiple of 1/64, about N(0, 1), that SHA-256 picks from a table: it depends on the case's id and the
entry's place alone, on no library's random stream, and has few decimals. What a number is scaled by is a power of two.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

Row = tuple[float, ...]
Rows = tuple[Row, ...]

ACTIVATIONS = (
    "softplus", "sigmoid", "tanh", "erf", "gelu", "silu", "sin", "cos", "identity", "quadratic", "elu", "relu",
    "leaky_relu",
)  # fmt: skip
KINDS = ("ode", "resnet", "limit", "limit-resnet")
KINKED = ("elu", "relu", "leaky_relu")
BOUNDED = ("sigmoid", "tanh", "erf", "sin", "cos")

FLAGS = {
    "antipodal": "Two inputs are x and −x: a kernel that depends on x·x̄ alone is taken at ρ = −1.",
    "asymmetric-weights": "W is nearly triangular: W for Wᵀ, or the other way round, changes the result completely.",
    "deep": "A residual network of 64 layers.",
    "duplicate-direction": "Two inputs x and 2x: ρ = 1 for different vectors.",
    "equal-norms": "All inputs have one norm, as on a sphere.",
    "even-activation": "φ(−z) = φ(z): antipodal inputs need not be told apart by h alone.",
    "float32": "All inputs are float32 numbers, and float32 arrays are handed out.",
    "kink": "φ' jumps at 0, or φ'' does: neurons may cross, and a solver of high order loses its order there.",
    "large-norm": "‖x‖ is about 8 times that of the others.",
    "long-horizon": "T = 10.",
    "near-blow-up": "φ = z²/2 close to the time at which the solution, or the limit, escapes to infinity.",
    "nearly-parallel": "Two inputs are equal up to 2⁻¹⁶: 1 − ρ² suffers cancellation.",
    "odd-activation": "φ(−z) = −φ(z): f(−x) = −f(x).",
    "one-dimensional": "d = 1.",
    "saturated": "A sigmoidal φ where it is nearly constant.",
    "short-horizon": "T = 0.1, the float64 nearest to it.",
    "sigmas": "σ_u, σ_w and σ_v are different, none is 1: a forgotten one shows.",
    "single-layer": "A residual network of one layer.",
    "tiny-norm": "‖x‖ is about 2⁻²⁰ times that of the others.",
    "wide-range-sigmas": "σ_u, σ_w and σ_v differ by powers of ten.",
    "width-one": "n = 1.",
    "zero-input": "One input is 0.",
}
"""What a flag says of a case, and what it catches."""

_QUANTILES = (
    1, 4, 6, 9, 11, 14, 16, 19, 22, 24, 27, 30, 33, 36, 39, 42, 45, 48, 51, 55, 59, 63, 67, 71, 76, 81, 87, 94, 102,
    113, 127, 155,
)  # fmt: skip
"""64 times the quantiles of |z| for z ~ N(0, 1) at (k + 1/2) / 32, rounded."""


@dataclass(frozen=True)
class Entry:
    """One case before it has answers; all numbers are floats that are meant exactly.

    Parameters
    ----------
    id, activation, kind, comment : str
    flags : tuple of str
    horizon : float
    sigmas : tuple of 3 floats
        σ_u, σ_w, σ_v.
    depth : int or None
        L, for the kinds that are residual networks.
    U, W : tuple of rows, or None for the limits
    v : tuple of floats, or None for the limits
    X : tuple of rows
    dtype : {"float64", "float32"}
    """

    id: str
    activation: str
    kind: str
    comment: str
    flags: tuple[str, ...]
    horizon: float
    sigmas: tuple[float, float, float]
    depth: int | None
    U: Rows | None
    W: Rows | None
    v: Row | None
    X: Rows
    dtype: str = "float64"


def digest(*place: object) -> int:
    """64 bits that depend on `place` alone."""
    return int.from_bytes(hashlib.sha256(":".join(map(str, place)).encode()).digest()[:8], "big")


def drawn(*place: object) -> float:
    """A multiple of 1/64, about N(0, 1).

    Examples
    --------
    >>> [drawn("example", k) for k in range(4)]
    [1.046875, 0.5625, -1.984375, 0.859375]
    """
    bits = digest(*place)
    return (1 if bits & 1 else -1) * _QUANTILES[bits >> 1 & 31] / 64


def rows(count: int, length: int, *place: object) -> Rows:
    """A matrix of `drawn` entries."""
    return tuple(tuple(drawn(*place, i, j) for j in range(length)) for i in range(count))


def scaled(row: Row, factor: float) -> Row:
    """The row times a number; exact for powers of two and small integers."""
    return tuple(factor * z for z in row)
