"""What a run is: a short description of everything its numbers depend on, by which a checkpoint knows its run."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Mapping

import numpy as np

from refimpl.activations import Activation
from refimpl.backend import Array, device, namespace, to_host
from refimpl.training.optimizers import Optimizer
from refimpl.training.problem import Problem

PROBES = np.linspace(-4.0, 4.0, 18)
"""Points at which an activation shows what it computes; 0, the usual place of a kink, is not among them."""


def fingerprint(problem: Problem, optimizer: Optimizer, lr: float | str, spectrum_every: int | None) -> dict[str, str]:
    """Everything that decides the numbers of a run, by the name of the argument.

    A solver or an optimiser is described by its class and fields, an activation by its fields and by nine digits of its
    values and slopes at `PROBES`, since its code cannot be compared.
    """
    net, theta = problem.net, problem.start
    marks = {
        "library": type(problem.X).__module__.partition(".")[0],
        "activation": _activation(net.phi, problem.X),
        **{name: repr(getattr(net, name)) for name in ("horizon", "sigma_u", "sigma_w", "sigma_v")},
        "theta": digest(theta.U, theta.W, theta.v),
        "X": digest(problem.X),
        "y": digest(problem.y),
        "X_test": "none" if problem.X_test is None else digest(problem.X_test),
        "y_test": "none" if problem.y_test is None else digest(problem.y_test),
        "optimizer": _described(optimizer),
        "lr": repr(lr),
        "solver": _described(problem.solver),
        "spectrum_every": repr(spectrum_every),
    }
    return marks


def differences(here: Mapping[str, str], there: Mapping[str, object]) -> str:
    """What differs, in words; empty if nothing does."""

    def explain(name: str) -> str:
        one, other = here[name], str(there.get(name, "missing"))
        if "sha256" in one + other or len(one + other) > 160:
            return name
        return f"{name} ({other!r} there, {one!r} here)"

    different = [explain(name) for name in here if here[name] != there.get(name)]
    return ", ".join(different + ["entries unknown here"] * (not there.keys() <= here.keys()))


def digest(*arrays: Array) -> str:
    """SHA-256 of dtypes, shapes and entries."""
    total = hashlib.sha256()
    for array in arrays:
        host = np.ascontiguousarray(to_host(array))
        total.update(f"{host.dtype.str}{host.shape}".encode())
        total.update(host.data)
    return f"sha256:{total.hexdigest()}"


def _activation(phi: Activation, like: Array) -> str:
    xp = namespace(like)
    probes = xp.asarray(PROBES, dtype=xp.float64, device=device(like))
    values = [f"{value:.8e}" for part in phi.value_and_slope(probes) for value in to_host(part).tolist()]
    return f"{phi!r}, values sha256:{hashlib.sha256(' '.join(values).encode()).hexdigest()}"


def _described(setting: object) -> str:
    kind = type(setting)
    fields = dataclasses.fields(setting) if dataclasses.is_dataclass(setting) else ()
    settings = ", ".join(f"{field.name}={getattr(setting, field.name)!r}" for field in fields)
    return f"{kind.__module__}.{kind.__qualname__}({settings})"
