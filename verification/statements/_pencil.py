"""Networks that can be followed with a pencil: ḣ = W φ(h) and f = v·φ(h_T), without a scale factor."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from refimpl import Activation, NeuralODE, Params, activations
from refimpl.solvers import Solver
from verification.statements._data import Array

INPUT: Array = np.ones((1, 1))
"""The input of all of them: d = 1 and x = 1, so that h_0 = U."""


def network(
    phi: str | Activation, W: Any, start: Sequence[float] | Array, v: Sequence[float] | Array, horizon: float
) -> tuple[NeuralODE, Params]:
    """The network (1) with σ_w = σ_v = √n and U = h_0, so that the factors σ/√n are 1; at `INPUT`."""
    root = math.sqrt(len(start))
    theta = Params(*(np.array(block, dtype=np.float64) for block in (np.reshape(start, (-1, 1)), W, v)))
    return NeuralODE(phi, horizon=horizon, sigma_w=root, sigma_v=root), theta


def output_from(
    net: NeuralODE, theta: Params, states: Array, solver: Solver | None = None, remaining: float | None = None
) -> Array:
    """f as a function of the state at the time T − `remaining`, the start if None: states (k, n) to (k,).

    The states are the columns of U, and the inputs the unit vectors.
    """
    moved = replace(net, horizon=remaining or net.horizon, sigma_u=1.0)
    f: Array = moved.predict(Params(states.T.copy(), theta.W, theta.v), np.eye(len(states)), solver)
    return f


def relu_with(slope: float) -> Activation:
    """ReLU with φ'(0) = `slope`."""
    return Activation(
        phi=activations.relu.phi,
        dphi=lambda z: np.where(z == 0, slope, activations.relu.dphi(z)),
        name=f"relu, slope {slope:g} at 0",
        lipschitz=1.0,
        kinks=(0.0,),
        homogeneous=True,
    )
