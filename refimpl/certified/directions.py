"""Gram matrices of the directions of inputs, in balls of the precision in force (python-flint); lower triangles."""

from __future__ import annotations

try:
    from flint import arb
except ImportError as error:  # pragma: no cover
    raise ImportError("a certificate needs python-flint, the extra `proof`: pip install 'refimpl[proof]'") from error

from refimpl.certified.eigenvalue import Rows
from refimpl.quadrature import Host


def gram_of_directions(X: Host) -> Rows:
    """x_i·x_j / (|x_i| |x_j|) of the inputs as they are; the diagonal is 1."""
    exact = [[arb(float(z)) for z in row] for row in X]
    norms = [sum((z * z for z in row), arb(0)).sqrt() for row in exact]
    return [
        [
            arb(1) if i == j else sum((a * b for a, b in zip(x, exact[j], strict=True)), arb(0)) / (norms[i] * norms[j])
            for j in range(i + 1)
        ]
        for i, x in enumerate(exact)
    ]


def partial_sum(X: Host, coefficients: Host) -> Rows:
    """Σ_k coefficients_k G^{∘k} for the Gram matrix G of the directions."""
    return [[horner(rho, coefficients) for rho in row] for row in gram_of_directions(X)]


def entrywise_power(X: Host, k: int) -> Rows:
    """G^{∘k}."""
    return [[rho**k for rho in row] for row in gram_of_directions(X)]


def horner(rho: arb, coefficients: Host) -> arb:
    """Σ_k coefficients_k ρ^k."""
    total = arb(0)
    for a in coefficients[::-1].tolist():
        total = total * rho + arb(a)
    return total
