"""Networks, inputs and measures of error that the tests of the limit share."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

import refimpl
from refimpl import Gauss, NeuralODE
from refimpl.infinite.evaluation import DIRECT_PAIRS

EPS = float(np.finfo(float).eps)
RTOL = Gauss().rtol
MANY = math.isqrt(2 * DIRECT_PAIRS) + 3  # rows whose Gram matrix is read off the curve

CHEAP = ["erf", "gelu", "sin", "cos"]  # analytic, with a closed form of the dual: some 20 ms a solve
ANALYTIC = [*CHEAP, "softplus", "tanh", "silu", "sigmoid"]
KINKED = ["relu", "leaky_relu", "elu"]

few = settings(max_examples=10)
sigmas = st.floats(0.3, 1.8)
cosines = st.one_of(st.floats(-1, 1), st.sampled_from([-1.0, 0.0, 1.0]))
norms = st.floats(0.2, 2.0)
networks = st.builds(
    NeuralODE,
    activation=st.sampled_from(CHEAP),
    horizon=st.floats(0.2, 1.5),
    sigma_u=st.floats(0.5, 1.5),
    sigma_w=st.floats(0.3, 1.3),
    sigma_v=st.floats(0.3, 2.0),
)


def plane(*inputs: tuple[float, float]) -> Any:
    """Rows (norm, angle) in the plane."""
    return np.asarray([[norm * math.cos(angle), norm * math.sin(angle)] for norm, angle in inputs])


def two(rho: float, first: float = 1.0, second: float = 1.0) -> Any:
    return np.asarray([[first, 0.0], [second * rho, second * math.sqrt((1 - rho) * (1 + rho))]])


def kernel(net: NeuralODE, X: Any, solver: Any = None) -> float:
    """K(x_0, x_1)."""
    return float(net.limit(solver).ntk(X[:1], X[1:2])[0, 0])


def scale_of(gram: Any) -> Any:
    """√(K(x,x) K(x̄,x̄)), to which accuracy is relative."""
    root = np.sqrt(np.diag(gram))
    return np.outer(root, root)


def assert_within(found: Any, expected: Any, rtol: float, scale: Any) -> None:
    error, allowed = np.abs(found - expected), rtol * np.asarray(scale)
    assert np.all(error <= allowed), f"errors up to {np.max(error):.3g}, allowed are {np.max(allowed):.3g}"


def sphere(N: int, dim: int, seed: int) -> Any:
    return refimpl.data.sphere(N, dim, seed=seed)
