"""The suite of the golden vectors: which cases there are, of every activation and kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

from refimpl.conformance.inputs import ACTIVATIONS, BOUNDED, KINDS, KINKED, Entry, Row, Rows, drawn, rows, scaled

TENTH = 0.1  # the float64, whose 55 decimals are written out
UNIT = (1.0, 1.0, 1.0)
FLOAT32 = "In float32; the answers are of the same numbers, exactly."

REDRAWN = {
    "tanh-ode-long": 1,
    "silu-ode-long": 1,
    "identity-ode-long": 1,
    "relu-ode-long": 1,
    "sin-resnet-long": 1,
    "relu-resnet-deep": 1,
}
"""Cases whose first numbers would tell little: all neurons are off for ever, or rounding inside the solution, which
attracts all others, spoils more digits than the condition number says."""


@dataclass(frozen=True)
class Plan:
    """A case of one kind, still without numbers.

    Parameters
    ----------
    name, comment : str
    flags : tuple of str
        Those that follow from activation, kind and numbers are added.
    horizon : float
    sigmas : tuple of 3 floats
    n, d : int
    inputs : str
        How X is made: count of drawn rows, or one of the names of `_inputs`.
    scale : float
        What X is multiplied by, a power of two.
    damping : int
        W has this many times the identity taken off, for solutions that decay.
    triangular : bool
        Whether the entries of W below the diagonal are divided by 16.
    depth : int or None
    dtype : {"float64", "float32"}
    """

    name: str
    comment: str
    flags: tuple[str, ...] = ()
    horizon: float = 1.0
    sigmas: tuple[float, float, float] = UNIT
    n: int = 3
    d: int = 2
    inputs: str = "2"
    scale: float = 1.0
    damping: int = 0
    triangular: bool = False
    depth: int | None = None
    dtype: str = "float64"

    def entry(self, activation: str, kind: str) -> Entry:
        """The case for one activation."""
        name = f"{activation}-{kind}-{self.name}"
        place = f"{name}-{REDRAWN[name]}" if name in REDRAWN else name
        X = tuple(scaled(row, self.scale) for row in _inputs(self.inputs, self.d, place))
        finite = not kind.startswith("limit")
        return Entry(
            name,
            activation,
            kind,
            self.comment,
            _flags(self, activation),
            self.horizon,
            self.sigmas,
            self.depth,
            rows(self.n, self.d, place, "U") if finite else None,
            _weights(self, place) if finite else None,
            tuple(drawn(place, "v", i) for i in range(self.n)) if finite else None,
            X,
            self.dtype,
        )


def _weights(plan: Plan, place: str) -> Rows:
    W = [list(row) for row in rows(plan.n, plan.n, place, "W")]
    for i, row in enumerate(W):
        row[i] -= plan.damping
        if plan.triangular:
            row[:i] = scaled(tuple(row[:i]), 1 / 16)
    return tuple(map(tuple, W))


def _inputs(how: str, d: int, place: str) -> Rows:
    """A number of drawn rows; or drawn rows x, z and others made from them. No drawn number is 0."""
    if how.isdigit():
        return rows(int(how), d, place, "X")
    x, z = rows(2, d, place, "X")
    turned: Row = (x[-1], *x[:-1])  # of the same norm
    close: Row = (*x[:-1], x[-1] + 2.0**-16)
    return {
        "zero": (scaled(x, 0.0), z),
        "antipodal": (x, scaled(x, -1), scaled(x, 2)),
        "opposite": (x, scaled(x, -1), turned),
        "line": (x, scaled(x, -1.5)),
        "turned": (x, turned),
        "close": (x, close),
        "double": (x, scaled(x, 2)),
    }[how]


def _flags(plan: Plan, activation: str) -> tuple[str, ...]:
    flags = set(plan.flags)
    flags |= {"kink"} if activation in KINKED else set()
    flags |= {"odd-activation"} if activation in ("tanh", "erf", "sin", "identity") else set()
    flags |= {"even-activation"} if activation in ("cos", "quadratic") else set()
    flags |= {"saturated"} if "large-norm" in flags and activation in ("sigmoid", "tanh", "erf") else set()
    flags |= {"long-horizon"} if plan.horizon == 10 else set()
    flags |= {"short-horizon"} if plan.horizon == TENTH else set()
    flags |= {"float32"} if plan.dtype == "float32" else set()
    flags |= {"one-dimensional"} if plan.d == 1 else set()
    flags |= {"sigmas"} if len({*plan.sigmas, 1.0}) == 4 else set()
    flags |= {"asymmetric-weights"} if plan.triangular else set()
    flags |= {
        "zero": {"zero-input"},
        "antipodal": {"antipodal", "duplicate-direction"},
        "opposite": {"antipodal", "equal-norms"},
        "turned": {"equal-norms"},
        "close": {"nearly-parallel"},
        "double": {"duplicate-direction"},
    }.get(plan.inputs, set())
    return tuple(sorted(flags))


@cache
def entries() -> tuple[Entry, ...]:
    """All inputs of the suite, in the order of the files and of the cases in them."""
    return tuple(entry for _, _, part in by_file() for entry in part)


def by_file() -> Iterator[tuple[str, str, tuple[Entry, ...]]]:
    """Activation, kind and inputs of every file in turn."""
    plans = {"ode": _ode, "resnet": _resnet, "limit": _limit, "limit-resnet": _limit_resnet}
    for activation in ACTIVATIONS:
        for kind in KINDS:
            yield activation, kind, tuple(plan.entry(activation, kind) for plan in plans[kind](activation))


def _ode(activation: str) -> Sequence[Plan]:
    quadratic, bounded = activation == "quadratic", activation in BOUNDED
    calm = 1 / 8 if quadratic else 1.0  # z²/2 escapes to infinity at a time like 2/(σ_w |h|)
    plans = [
        Plan("short", "Eight neurons for a short time.", horizon=TENTH, n=8, inputs="1"),
        Plan("sigmas", "No σ is 1, and none is another's.", sigmas=(0.75, 1.25, 1.5), n=4, d=3, scale=calm),
        Plan("three", "T = 3: the horizon enters W's part of the kernel and the exponent.", horizon=3.0, scale=calm),
        Plan(
            "long",
            "T = 10, W damped where φ is not bounded.",
            horizon=10.0,
            n=2,
            inputs="1",
            damping=0 if bounded else 2,
            scale=calm / 4 if quadratic else 1.0,
        ),
        Plan(
            "zero",
            "h_0 = 0 for one input, which is a fixed point if φ(0) = 0.",
            inputs="zero",
            scale=4 * calm if quadratic else 1.0,
        ),
        Plan("antipodal", "x, −x and 2x in one batch.", inputs="antipodal", scale=2 * calm if quadratic else 1.0),
        Plan(
            "line",
            "One neuron, one-dimensional inputs on both sides of 0.",
            ("width-one",),
            n=1,
            d=1,
            inputs="line",
            scale=2 * calm if quadratic else 1.0,
        ),
        Plan(
            "large",
            "Inputs of norm about 10.",
            ("large-norm",),
            sigmas=(1.0, 1 / 64 if quadratic else 0.5, 1.0),
            scale=8.0,
        ),
        Plan("tiny", "Inputs of norm about 1e-6, nearly parallel.", ("tiny-norm",), inputs="close", scale=2.0**-20),
        Plan("float32", FLOAT32, horizon=0.5, dtype="float32"),
        Plan(
            "wide",
            "σ's apart by powers of ten, W nearly triangular.",
            ("wide-range-sigmas",),
            sigmas=(1 / 16, 1.5, 32.0),
            triangular=True,
            n=4,
        ),
    ]
    if quadratic:
        plans.append(
            Plan(
                "blow-up",
                "One neuron, at 97 % of its blow-up time 2 / (σ_w W h_0).",
                ("near-blow-up", "width-one"),
                sigmas=(8.0, 4.0, 1.0),
                n=1,
                d=1,
                inputs="1",
            )
        )
    if activation in KINKED:
        plans.append(Plan("crossings", "Four neurons and T = 3: some cross 0 on the way.", horizon=3.0, n=4))
    return plans


def _resnet(activation: str) -> Sequence[Plan]:
    quadratic = activation == "quadratic"
    calm = 1 / 8 if quadratic else 1.0
    return [
        Plan("layer", "One layer: no product of two W's yet.", ("single-layer",), n=4, d=3, depth=1),
        Plan("two", "Two layers and T = 0.1.", horizon=TENTH, sigmas=(0.75, 1.25, 1.5), depth=2),
        Plan("zero", "h = 0 for one input, which stays there if φ(0) = 0.", inputs="zero", depth=5),
        Plan("antipodal", "x, −x and 2x in one batch.", horizon=3.0, inputs="antipodal", scale=calm, depth=5),
        Plan(
            "long",
            "T = 10 in 16 layers.",
            horizon=10.0,
            n=2,
            damping=0 if activation in BOUNDED else 1,
            scale=calm / 4 if quadratic else 1.0,
            depth=16,
        ),
        Plan("deep", "64 layers.", ("deep",), n=3, inputs="1", scale=calm * 4 if quadratic else 1.0, depth=64),
        Plan(
            "line",
            "One neuron, one-dimensional inputs on both sides of 0.",
            ("width-one",),
            n=1,
            d=1,
            inputs="line",
            depth=16,
        ),
        Plan(
            "float32",
            FLOAT32,
            dtype="float32",
            scale=calm * 4 if quadratic else 1.0,
            depth=5,
        ),
        Plan(
            "wide",
            "σ's apart by powers of ten, W nearly triangular.",
            ("wide-range-sigmas",),
            sigmas=(1 / 16, 1.5, 32.0),
            triangular=True,
            n=5,
            depth=2,
        ),
    ]


def _limit(activation: str) -> Sequence[Plan]:
    if activation == "elu":
        return [
            Plan("short", "T = 0.1 on a sphere.", horizon=TENTH, inputs="turned"),
            Plan("sigmas", "No σ is 1, and none is another's.", sigmas=(0.75, 1.25, 1.5), d=3, inputs="turned"),
            Plan("antipodal", "x and −x.", horizon=0.5, inputs="opposite"),
            Plan("float32", FLOAT32, dtype="float32", inputs="1"),
        ]
    quadratic = activation == "quadratic"
    calm = 0.25 if quadratic else 0.5  # the number of Hermite coefficients grows with the variance
    plans = [
        Plan("short", "T = 0.1.", horizon=TENTH, inputs="turned"),
        Plan("sigmas", "No σ is 1, and none is another's.", sigmas=(0.75, 1.25, 1.5), d=3, scale=calm),
        Plan("antipodal", "x, −x and a third input on a sphere.", inputs="opposite", scale=calm),
        Plan("zero", "One input is 0: its variance is 0 at t = 0.", horizon=0.5, inputs="zero", scale=0.5),
        Plan("line", "One-dimensional inputs, of different norms.", horizon=0.5, d=1, inputs="double", scale=0.5),
        Plan("float32", FLOAT32, dtype="float32", inputs="1", scale=0.5),
    ]
    if quadratic:
        late = "At some 90 % of the time at which the variance escapes."
        plans.append(Plan("blow-up", late, ("near-blow-up",), sigmas=(8.0, 1.25, 1.0), d=1, inputs="1"))
    else:
        three = "T = 3, one input: K_∞(x, x)."
        plans.append(Plan("three", three, horizon=3.0, sigmas=(1.0, 0.75, 1.0), inputs="1", scale=0.5))
    if activation in BOUNDED:
        late = "T = 10, where the variance stays below 100."
        plans.append(Plan("long", late, horizon=10.0, sigmas=(1.0, 0.5, 1.0), inputs="1", scale=0.5))
    return plans


def _limit_resnet(activation: str) -> Sequence[Plan]:
    return [
        Plan("layer", "One layer.", ("single-layer",), inputs="zero", depth=1),
        Plan(
            "two",
            "Two layers, no σ is 1.",
            sigmas=(0.75, 1.25, 1.5),
            d=3,
            inputs="turned" if activation == "elu" else "2",
            depth=2,
        ),
        Plan("antipodal", "x, −x and a third input on a sphere.", inputs="opposite", depth=4),
        Plan("three", "Eight layers of T = 3.", horizon=3.0, inputs="1", depth=8),
    ]
