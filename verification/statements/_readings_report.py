"""Second roads and the table of the survey of printed step sizes."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from refimpl import Gauss
from verification import Agreement, Table, compare
from verification.numerals import rounded
from verification.statements._by_hand import limit_kernel
from verification.statements._readings import NORMS, Reading, name_of
from verification.statements._stepsize import curve

REPAIRS = ("repair-frobenius", "repair-spectral", "constant-repaired")


def survey_roads(found: Sequence[Reading]) -> list[Agreement]:
    """κ and a_0 of every network, and from them by hand the products of the worst; eigenvalues on a set of data."""
    claims = (*(f"{what}-{norm}" for what in ("reading", "stable") for norm in NORMS), *REPAIRS)
    nets = list(dict.fromkeys(one.net for one in found))
    pair = np.eye(2)
    few, exact = (np.asarray([net.limit(Gauss(m, 2)).ntk(pair)[0] for net in nets]) for m in (8, 12))
    curves = [[float(curve(net)(1.0)), float(curve(net)(0.0))] for net in nets]
    orthogonal = [one for one in found if one.source == "orthogonal" and one.norm == "spectral"]
    worst = max(orthogonal, key=lambda one: one.product)
    coarse, fine = (limit_kernel(worst.net, pair[0], *size) for size in ((8, 24), (10, 32)))
    single = next(one for one in found if one.net == worst.net and one.source == "one input" and one.norm == "spectral")
    by_hand = [float(fine[0]) + (worst.count - 1) * float(fine[1]), float(fine[0])]
    return [
        compare(
            rf"$\kappa$ and $a_0$ of {len(nets)} networks",
            {"curve in $\\rho$, by the Gauss scheme": curves, "pair by pair, 2 × 12 nodes": exact},
            allowed=(max(curve(net).error for net in nets) + float(np.abs(exact - few).max())) / float(exact.max()),
            because="error bound of the curve, and the change from two steps of 8 nodes to two of 12",
            claims=claims,
        ),
        compare(
            rf"$\eta\lambda_{{\max}}$, $\eta = 1/\|X\|^2$ ({name_of(worst)}, and one input)",
            {
                "eigenvalues of the curve in $\\rho$": [worst.product, single.product],
                r"$\kappa + (N - 1) a_0$, written out by hand": by_hand,
            },
            allowed=float(np.abs(fine - coarse).max() / fine.min()) + 1e-11,
            because="change from 8 nodes in time and 24 points to 10 and 32, relative to the smaller entry",
            claims=claims,
        ),
    ]  # fmt: skip


def readings_table(found: Sequence[Reading]) -> Table:
    """A row for each network and set of inputs, with a verdict on either norm."""
    pairs = [(a, b) for a, b in pairwise(found) if (a.norm, b.norm) == tuple(NORMS)]
    rows = [
        (
            name_of(a), rounded(a.diagonal), rounded(a.orthogonal), rounded(a.largest), rounded(a.allowed),
            rounded(a.product), a.verdict, rounded(b.product), b.verdict,
        )
        for a, b in pairs
    ]  # fmt: skip
    head = [
        r"$\varphi$, $T$, inputs", r"$\kappa$", "$a_0$", r"$\lambda_{\max}$", r"$\eta^* \lambda_{\max}$",
        r"$\lambda_{\max} / \|X\|_2^2$", "spectral", r"$\lambda_{\max} / \|X\|_F^2$", "Frobenius",
    ]  # fmt: skip
    caption = r"Either reading of $\eta = 1/\|X\|^2$ over $\varphi$, $T$ and $\sigma_u$ ($\sigma_w = \sigma_v = 1$)"
    return Table(caption, head, rows)
