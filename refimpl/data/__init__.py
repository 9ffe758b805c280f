"""Inputs that satisfy assumption 1 of the paper: points on the unit sphere, at random or from real images."""

from refimpl.data.handwritten import Digits, digits
from refimpl.data.points import sphere

__all__ = ["Digits", "digits", "sphere"]
