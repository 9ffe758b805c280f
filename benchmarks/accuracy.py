"""Requested tolerance against digits obtained: every solver of every library, for output, gradient and kernel."""

import importlib
import json
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path

import numpy as np

import refimpl
from benchmarks.environment import versions
from benchmarks.peers import INSTALL
from refimpl.conformance.candidate import Settings

QUANTITIES = ("predict", "gradient", "ntk")
ACTIVATIONS = ("softplus", "tanh")
EXPONENTS = {"float64": tuple(range(3, 13)), "float32": (3, 4, 5, 6)}
QUICK = {"float64": (4, 8), "float32": (4,)}
WIDTH, DIM, SAMPLES, HORIZON, SEED = 32, 8, 4, 2.0, 0
PACKAGES = ("refimpl", "torchdiffeq", "torchode", "diffrax", "jax", "torch", "numpy", "scipy")


@dataclass(frozen=True)
class Method:
    """A solver as a library offers it.

    `group` says how the library differentiates it; methods of a group share a panel of the figure.
    """

    group: str
    solver: str
    module: str
    candidate: str


def _methods(group, module, **candidates):
    return [Method(group, solver, module, candidate) for solver, candidate in candidates.items()]


METHODS = (
    *_methods("refimpl", "package", **{"Gauss": "Gauss", "DOP853": "SolveIVP", "RK45": "SolveIVPRK45"}),
    *_methods("torchdiffeq odeint", "torchdiffeq", dopri5="Dopri5", dopri8="Dopri8", rk4="RK4"),
    *_methods(
        "torchdiffeq odeint_adjoint", "torchdiffeq", dopri5="Dopri5Adjoint", dopri8="Dopri8Adjoint", rk4="RK4Adjoint"
    ),
    *_methods("torchode", "torchode", dopri5="Dopri5", tsit5="Tsit5"),
    *_methods("diffrax RecursiveCheckpoint", "diffrax", Tsit5="Tsit5", Dopri8="Dopri8", Kvaerno5="Kvaerno5"),
    *_methods("diffrax Direct", "diffrax", Tsit5="Tsit5Direct", Dopri8="Dopri8Direct", Kvaerno5="Kvaerno5Direct"),
    # Kvaerno5 backwards is left out: an implicit step for h, λ and ∂f/∂W together has n² + 2n unknowns, here 1,088.
    *_methods("diffrax Backsolve", "diffrax", Tsit5="Tsit5Backsolve", Dopri8="Dopri8Backsolve"),
    *_methods("jax.experimental.ode", "jax_ode", odeint="Odeint"),
)


@dataclass(frozen=True)
class Measurement:
    """Correct digits, −log10 of the relative error in the 2-norm; None, and a message, where no answer came."""

    group: str
    solver: str
    activation: str
    dtype: str
    rtol: float
    quantity: str
    digits: float | None
    message: str = ""


def problem(activation, dtype):
    """Parameters and inputs, and the settings that belong to them."""
    theta = refimpl.NeuralODE().init(WIDTH, DIM, seed=SEED)
    X = refimpl.data.sphere(SAMPLES, DIM, seed=SEED)
    arrays = tuple(array.astype(dtype) for array in (theta.U, theta.W, theta.v, X))
    return (*arrays, Settings(activation, HORIZON, 1.0, 1.0, 1.0, None, dtype))


@cache
def truth(activation, dtype):
    """What the Gauss scheme says, for the numbers as rounded to `dtype`, once another road has said the same."""
    package = importlib.import_module("benchmarks.adapters.package")
    *arrays, settings = problem(activation, dtype)
    arrays = [array.astype("float64") for array in arrays]
    values = {}
    for quantity in QUANTITIES:
        value, other = (
            flat(getattr(candidate, quantity)(*arrays, settings))
            for candidate in (package.Gauss(rtol=1e-13), package.SolveIVP(rtol=1e-13))
        )
        if not (disagreement := relative_error(other, value)) < 1e-12:
            raise refimpl.AccuracyError(f"{quantity} of {activation}: the two roads differ by {disagreement:.1e}")
        values[quantity] = value
    return values


def flat(answer):
    """All entries in float64, of arrays of any library; of gradients the blocks one after another."""
    if hasattr(answer, "U"):
        answer = answer.U, answer.W, answer.v
    parts = answer if isinstance(answer, tuple) else (answer,)
    return np.concatenate([np.asarray(part, dtype=np.float64).ravel() for part in parts])


def relative_error(answer, value):
    return float(np.linalg.norm(answer - value) / np.linalg.norm(value))


def measure(method, exponents):
    """Measurements of one method, over activations, dtypes, tolerances and quantities."""
    candidate = getattr(importlib.import_module(f"benchmarks.adapters.{method.module}"), method.candidate)
    for dtype in exponents:
        for activation in ACTIVATIONS:
            *arrays, settings = problem(activation, dtype)
            values = truth(activation, dtype)
            for rtol in (float(f"1e-{exponent}") for exponent in exponents[dtype]):
                for quantity, value in values.items():
                    digits, message = None, ""
                    try:
                        answer = flat(getattr(candidate(rtol=rtol), quantity)(*arrays, settings))
                        error = relative_error(answer, value)
                        digits = min(16.0, -float(np.log10(error))) if error else 16.0
                    except Exception as error:  # an answer that a library refuses is a result of this comparison
                        message = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]
                    yield Measurement(method.group, method.solver, activation, dtype, rtol, quantity, digits, message)


def run(exponents, say):
    """All methods; those whose library is not installed are left out, and named."""
    measurements, absent = [], {}
    for method in METHODS:
        say(f"{method.group} {method.solver}")
        try:
            measurements += measure(method, exponents)
        except ImportError as error:
            absent[method.group] = str(error)
            say(f"{method.group} left out: {error}; to install it: {INSTALL}")
    return {
        "versions": versions(PACKAGES),
        "network": {"width": WIDTH, "dim": DIM, "samples": SAMPLES, "horizon": HORIZON, "seed": SEED},
        "absent": absent,
        "measurements": [asdict(each) for each in measurements],
    }


def worst(results, group, solver, dtype, quantity):
    """rtol to the digits of the activation that comes out worst, None if one gave no answer."""
    found = {}
    for each in results["measurements"]:
        if (each["group"], each["solver"], each["dtype"], each["quantity"]) == (group, solver, dtype, quantity):
            digits, before = each["digits"], found.get(each["rtol"], 16.0)
            found[each["rtol"]] = None if digits is None or before is None else min(digits, before)
    return found


def table(results):
    """Digits as text, a block a quantity and dtype."""
    lines = ["  ".join(f"{name} {version}" for name, version in results["versions"].items())]
    methods = dict.fromkeys((each["group"], each["solver"]) for each in results["measurements"])
    for dtype in EXPONENTS:
        for quantity in QUANTITIES:
            tolerances = sorted({e["rtol"] for e in results["measurements"] if e["dtype"] == dtype}, reverse=True)
            lines += ["", f"{f'{quantity}, {dtype}; rtol':44}" + "".join(f"{rtol:>7.0e}" for rtol in tolerances)]
            for group, solver in methods:
                digits = worst(results, group, solver, dtype, quantity)
                cells = ("—" if digits.get(rtol) is None else f"{digits[rtol]:.1f}" for rtol in tolerances)
                lines.append(f"{f'{group} {solver}':44}" + "".join(f"{cell:>7}" for cell in cells))
    return "\n".join(lines)


def write(results, folder):
    """scoreboard.json and, with Matplotlib, scoreboard.svg; returns the paths."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "scoreboard.json"
    rows = ",\n  ".join(json.dumps(each) for each in results["measurements"])
    head = json.dumps({name: part for name, part in results.items() if name != "measurements"}, indent=1)
    path.write_text(f'{head[:-2]},\n "measurements": [\n  {rows}\n ]\n}}\n', encoding="utf-8")
    from benchmarks import drawing

    return path, drawing.draw(results, folder / "scoreboard.svg")
