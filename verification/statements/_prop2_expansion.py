"""The leading terms in 1/L of gradient and NTK: those of the ResNets against those of the theory."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from verification import Agreement, Claim, Verdict
from verification.statements._expansion import Expansion
from verification.statements._resnets import QUANTITIES, Curve


def refinement(fine: Expansion, coarse: Expansion) -> float:
    """Largest relative change of a quantity under refinement."""
    pairs = zip(fine.quantities(slice(None)).values(), coarse.quantities(slice(None)).values(), strict=True)
    return max(float(np.linalg.norm(a - b) / np.linalg.norm(a)) for a, b in pairs)


def _furthest(curves: Sequence[Curve], quantity: str, refined: float) -> tuple[float, float, Curve]:
    """Distance of the ResNets' coefficient from the theory, and what is allowed, where their quotient is largest."""
    mine = [(*c.mismatch, c) for c in curves if c.quantity == quantity and c.mismatch is not None]
    difference, change, worst = max(mine, key=lambda found: found[0] / (found[1] + refined))
    return difference, change + refined, worst


def expansions_agree(curves: Sequence[Curve], quantity: str, refined: float) -> Agreement:
    difference, allowed, _ = _furthest(curves, quantity, refined)
    symbol = QUANTITIES[quantity]
    return Agreement(
        rf"$\lim_{{L \to \infty}} L ({symbol}^L - {symbol})$" if quantity == "output"
        else rf"$\lim_{{L \to \infty}} L (\cdot)$ of ${symbol}$",
        ("Richardson extrapolation of the ResNets", "ODEs for the first-order terms of $h$ and $\\lambda$"),
        difference, allowed,
        "change from five to six depths in the extrapolation, and a rounding for each layer in it, plus the change of "
        "the ODEs from rtol 1e-8 to 1e-10",
    )  # fmt: skip


def expansion_claim(curves: Sequence[Curve], quantity: str, refined: float) -> Claim:
    difference, allowed, worst = _furthest(curves, quantity, refined)
    of = {
        "gradient": r"$\nabla_\theta f^L = \nabla_\theta f + \nabla_\theta c / L + O(L^{-2})$ with "
        r"$c = \frac{T}{2} \int_0^T \langle \dot\lambda_t, \dot h_t \rangle dt$: each block of the coefficient",
        "NTK": r"$K_\theta^L = K_\theta + (\langle \nabla c, \nabla \bar f \rangle + "
        r"\langle \nabla f, \nabla \bar c \rangle) / L + O(L^{-2})$: the coefficient",
    }[quantity]
    return Claim(
        f"{quantity.lower()}-coefficient",
        rf"{of}, from ODEs and without any ResNet, is that of the ResNets (measured: relative distance, "
        rf"{worst.case.activation}, {worst.source}: the case closest to its bound).",
        Verdict.HOLDS if difference <= allowed else Verdict.FAILS,
        measured=difference,
        predicted=0,
        uncertainty=allowed,
    )
