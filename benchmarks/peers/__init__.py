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


INSTALL = "pip install -e '.[peers]' -c constraints.txt"


class AbsentPeerError(ImportError):
    """A library that was asked for by name cannot be imported."""


def installed(named, say):
    """Those of the `named` libraries, by default all, that can be imported; of all, with a message for each other one.

    Raises
    ------
    AbsentPeerError
        One that was named cannot be imported: a comparison without it is not the one that was asked for.
    """
    found, absent = [], {}
    for library in LIBRARIES if named is None else named:
        try:
            importlib.import_module(f"benchmarks.peers.{library}")
        except ImportError as error:
            if named is not None:
                raise AbsentPeerError(f"{library} cannot be imported ({error}); to install it: {INSTALL}") from error
            absent[library] = str(error)
            say(f"{library} is left out: {error}; to install it: {INSTALL}")
        else:
            found.append(library)
    return found, absent
