"""The tolerances that an adapter asks its library for."""

import numpy as np

ATOL = 1e-2
"""Absolute tolerance by relative one: the states of the networks here are of the order of 1, some of them small."""


def tolerances(rtol, dtype):
    """rtol and atol; where the dtype cannot give rtol, what it can: asked for less, an adaptive solver never ends."""
    reached = max(rtol, 4 * float(np.finfo(dtype).eps))
    return reached, ATOL * reached
