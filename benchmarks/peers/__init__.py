"""Gradients, kernels and training by other libraries, each written the way it is fastest there.

The batch is one state of shape (N, n), so that a step is a product of matrices; what is compiled is compiled once, for
every tolerance. The adapters beside this folder solve for each sample on its own, as a check of accuracy should.
"""

import importlib
from dataclasses import dataclass


@dataclass(frozen=True)
class Method:
    """One way of a library to solve and to differentiate."""

    library: str
    solver: str
    adjoint: str

    @property
    def name(self):
        return f"{self.library} {self.solver} {self.adjoint}".strip()

    @property
    def module(self):
        """The module that has its computations; ImportError without the library."""
        return importlib.import_module(f"benchmarks.peers.{self.library}")


METHODS = (
    *(Method("diffrax", solver, adjoint) for solver in ("Dopri8", "Tsit5") for adjoint in ("checkpoints", "backsolve")),
    *(Method("torchdiffeq", solver, adjoint) for solver in ("dopri8", "dopri5") for adjoint in ("backprop", "adjoint")),
    *(Method("torchode", solver, "backprop") for solver in ("tsit5", "dopri5")),
)
LIBRARIES = tuple(dict.fromkeys(method.library for method in METHODS))


def installed(libraries, say):
    """Those of `libraries` that can be imported, and a message for each of the others."""
    found, absent = [], {}
    for library in libraries:
        try:
            importlib.import_module(f"benchmarks.peers.{library}")
        except ImportError as error:
            absent[library] = str(error)
            say(f"{library} is left out: {error}")
        else:
            found.append(library)
    return found, absent
