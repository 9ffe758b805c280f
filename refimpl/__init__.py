"""Ground truth for Neural ODEs in the neural-tangent-kernel regime."""

from refimpl import activations, data
from refimpl.activations import Activation
from refimpl.errors import AccuracyError, BlowUpError
from refimpl.network import NeuralODE, Trajectory
from refimpl.parameters import Jacobian, Params
from refimpl.solvers import Euler, Gauss, SolveIVP

__all__ = [
    "AccuracyError",
    "Activation",
    "BlowUpError",
    "Euler",
    "Gauss",
    "Jacobian",
    "NeuralODE",
    "Params",
    "SolveIVP",
    "Trajectory",
    "activations",
    "data",
]

__version__ = "0.1.0"
