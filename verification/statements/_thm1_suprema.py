"""Theorem 1 along single paths: the largest error of K_θ from one width on, over doublings of the width."""

from __future__ import annotations

import numpy as np

from refimpl import NeuralODE
from refimpl.scheme import gauss
from verification import Claim, Config, Verdict
from verification.statements._data import Array
from verification.statements._ensembles import NODES, PAIR, batch, chunks, draw
from verification.statements._statistics import LEVEL, below, decided, student

PATHS = 500
"""Nested networks."""


def suprema(config: Config) -> tuple[Array, Array]:
    """Squares of ‖K_θ − K_∞‖/‖K_∞‖ along nested networks (paths, widths), two inputs at 60°; and the widths."""
    net, widths = NeuralODE("softplus"), 2 ** np.arange(5, 11 if config.full else 8)
    scheme, limit, rng = gauss(nodes=NODES, steps=1, horizon=net.horizon), net.limit().ntk(PAIR), config.rng("suprema")
    squares = []
    for count in chunks(PATHS, int(widths[-1])):
        U, W, v = draw(PAIR.shape[1], int(widths[-1]), count, rng)
        kernels = [batch(net, U[:, :n], W[:, :n, :n], v[:, :n], PAIR, scheme).kernel for n in widths.tolist()]
        squares.append(np.stack([np.sum((K - limit) ** 2, axis=(1, 2)) for K in kernels], axis=1))
    found: Array = np.concatenate(squares) / np.sum(limit**2)
    return found, widths.astype(float)


def first_paths(config: Config, widest: int, count: int) -> tuple[Array, Array, Array]:
    """U, W and v of the widest networks of the first paths of `suprema`."""
    U, W, v = draw(PAIR.shape[1], widest, chunks(PATHS, widest)[0], config.rng("suprema"))
    return U[:count], W[:count], v[:count]


def supremum(square: Array, widths: Array) -> Claim:
    """E sup_k e²(2^k n) / E e²(n), a quotient of two means over the same paths: its error by the delta method."""
    largest, first = square.max(axis=1), square[:, 0]
    ratio = float(largest.mean() / first.mean())
    _, half, wider = student((largest - ratio * first) / first.mean())
    allowed = float(np.sum(widths[0] / widths))
    verdict = below(ratio - wider, ratio + wider, allowed)
    return Claim(
        "supremum",
        r"The largest error of a path from $n$ on, over $n, 2n, 4n, \dots$, is no larger in order than that at $n$: as "
        r"$E \|K_n - K_\infty\|^2 = c^2/n$, $E \sup_k \|K_{2^k n} - K_\infty\|^2 \le \sum_k c^2/(2^k n) = 2 c^2/n$, "
        rf"and less for finitely many $k$ (measured: the left side over $c^2/n$, softplus, {len(square)} paths from "
        rf"$n = {widths[0]:g}$ to {widths[-1]:g}, two inputs at 60°; {decided(ratio - wider, ratio + wider)}).",
        verdict, measured=ratio, predicted=rf"$\le {allowed:g}$", uncertainty=half,
        scope=f"The {LEVEL:.1%} interval reaches the bound: too few paths." if verdict is Verdict.UNDECIDED else "",
    )  # fmt: skip
