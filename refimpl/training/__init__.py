"""Gradient descent and its relatives, and the linearised dynamics (8)."""

from refimpl.training.descent import ENORMOUS, train
from refimpl.training.history import History, TrainingStep
from refimpl.training.linear import Linearization, linearize
from refimpl.training.optimizers import SGD, Adam, GradientDescent, Momentum, Optimizer

__all__ = [
    "ENORMOUS",
    "SGD",
    "Adam",
    "GradientDescent",
    "History",
    "Linearization",
    "Momentum",
    "Optimizer",
    "TrainingStep",
    "linearize",
    "train",
]
