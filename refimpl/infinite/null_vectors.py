"""Null vectors of K_∞ that f itself shows: linear relations between ∇f at some inputs that hold for every θ.

For a built-in φ that is no polynomial there are no others (`docs/mathematics.md`, "All inputs"): where none is found,
K_∞ is strictly positive definite. Inputs are compared exactly, in rationals.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from refimpl.quadrature import Host

if TYPE_CHECKING:
    from refimpl.network import NeuralODE


def null_vector(net: NeuralODE, X: Sequence[Sequence[Fraction]]) -> tuple[Host, str] | None:
    """A vector u ≠ 0 with K_∞ u = 0, and why it is one; None if there is none, or none that f shows."""
    phi, N = net.phi, len(X)
    vanishes = phi.phi(np.zeros(1)).item() == 0
    for i in range(N):
        if vanishes and not any(X[i]):
            return _unit(N, {i: 1.0}), f"input {i} is zero and φ(0) = 0: f and ∇f vanish there"
    for i in range(N):
        for j in range(i):
            if X[i] == X[j]:
                return _unit(N, {i: 1.0, j: -1.0}), f"inputs {j} and {i} are equal"
            if phi.parity == "odd" and all(a == -b for a, b in zip(X[i], X[j], strict=True)):
                return _unit(N, {i: 1.0, j: 1.0}), f"inputs {j} and {i} are antipodal and φ is odd, and so is f"
            c = ratio(X[i], X[j]) if phi.homogeneous else None
            if c is not None and (c > 0 or phi.degree == 1):
                return _unit(N, {i: 1.0, j: -float(c)}), f"inputs {j} and {i} are collinear and φ is homogeneous"
    if phi.degree == 1:
        relation = _relation(X)
        if relation is not None:
            return relation, "φ is linear and the inputs are linearly dependent"
    return None


def _unit(N: int, entries: dict[int, float]) -> Host:
    vector = np.zeros(N)
    for i, value in entries.items():
        vector[i] = value
    return vector


def ratio(x: Sequence[Fraction], y: Sequence[Fraction]) -> Fraction | None:
    """c with x = c y ≠ 0, exactly; None if there is none."""
    pivot = next(k for k, z in enumerate(y) if z)
    c = x[pivot] / y[pivot]
    return c if all(a == c * b for a, b in zip(x, y, strict=True)) else None


def _relation(X: Sequence[Sequence[Fraction]]) -> Host | None:
    """u ≠ 0 with Σ u_i x_i = 0, by elimination in rationals; None if the inputs are independent."""
    basis: list[tuple[list[Fraction], list[Fraction]]] = []
    for i, row in enumerate(X):
        vector, combination = list(row), [Fraction(int(i == j)) for j in range(len(X))]
        for pivot_row, pivot_combination in basis:
            column = next(k for k, z in enumerate(pivot_row) if z)
            factor = vector[column] / pivot_row[column]
            if factor:
                vector = [a - factor * b for a, b in zip(vector, pivot_row, strict=True)]
                combination = [a - factor * b for a, b in zip(combination, pivot_combination, strict=True)]
        if not any(vector):
            largest = max(abs(z) for z in combination)
            return np.asarray([float(z / largest) for z in combination])
        basis.append((vector, combination))
    return None
