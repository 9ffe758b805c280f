"""Ground truth for Neural ODEs in the neural-tangent-kernel regime."""

from refimpl import activations, data, theory, training
from refimpl.activations import Activation
from refimpl.certified import Reference, reference
from refimpl.conformance import Scorecard, check_conformance
from refimpl.errors import AccuracyError, BlowUpError, DivergenceError, TrainingError
from refimpl.network import NeuralODE, Trajectory
from refimpl.parameters import Jacobian, Params
from refimpl.solvers import Euler, Gauss, KinkEvents, SolveIVP
from refimpl.training import SGD, Adam, GradientDescent, History, Linearization, Momentum, linearize, train

__all__ = [
    "SGD",
    "AccuracyError",
    "Activation",
    "Adam",
    "BlowUpError",
    "DivergenceError",
    "Euler",
    "Gauss",
    "GradientDescent",
    "History",
    "Jacobian",
    "KinkEvents",
    "Linearization",
    "Momentum",
    "NeuralODE",
    "Params",
    "Reference",
    "Scorecard",
    "SolveIVP",
    "TrainingError",
    "Trajectory",
    "activations",
    "check_conformance",
    "data",
    "linearize",
    "reference",
    "theory",
    "train",
    "training",
]

__version__ = "0.1.0"
