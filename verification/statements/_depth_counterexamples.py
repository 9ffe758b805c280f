"""Where proposition 2 stops: small networks that no constant of Lipschitz constants, T and ‖x‖ can serve."""

from __future__ import annotations

import math

import numpy as np
from scipy.special import erfc

from refimpl import Activation, NeuralODE, Params, SolveIVP
from verification.statements._data import Array
from verification.statements._expansion import expansion

PENCIL = (0.0, 3.0, 1.0)
"""U, W and v of one linear neuron, T = x = 1: ∂f/∂U = e³ and, with one layer, 1 + 3; all else agrees."""

STIFF = -20.0
"""W of the linear neuron whose rate 1/L sets in late."""

WAVY = Activation(
    phi=lambda z: z + np.sin(z), dphi=lambda z: 1 + np.cos(z), name="z + sin z", lipschitz=2.0, dlipschitz=1.0,
    parity="odd",
)  # fmt: skip
"""φ'' = −sin does not fade where |z| is large, as that of the built-in activations does."""

EXACT = SolveIVP(rtol=1e-12, atol=1e-13)


def one_linear_neuron(u: Array | float, w: Array | float, v: Array | float, L: int) -> Array:
    """∇f^L − ∇f for n = d = 1, φ(z) = z and σ = T = x = 1, where f^L = u v (1 + w/L)^L and f = u v e^w; (3, …)."""
    step, flow = 1 + np.asarray(w) / L, np.exp(w)
    power, slope = step**L - flow, step ** (L - 1) - flow
    return np.stack(np.broadcast_arrays(v * power, u * v * slope, u * power))


def linear_neuron(u: float, w: float, v: float) -> tuple[NeuralODE, Params, Array]:
    """The same as a network."""
    theta = Params(np.asarray([[u]]), np.asarray([[w]]), np.asarray([v]))
    return NeuralODE("identity"), theta, np.ones((1, 1))


def exceedance(C: float, rng: np.random.Generator, draws: int = 400_000) -> tuple[float, float]:
    """P(‖∇f¹ − ∇f‖ > C) for one linear neuron with N(0, 1) parameters: sampled, and the standard error."""
    sampled = float(np.mean(np.linalg.norm(one_linear_neuron(*rng.standard_normal((3, draws)), 1), axis=0) > C))
    return sampled, math.sqrt(sampled * (1 - sampled) / draws)


def integrated_exceedance(C: float, points: int = 1001) -> tuple[float, float]:
    """The same by the trapezoidal rule over u and w, and its change from half as many points (an odd number).

    ‖∇f¹ − ∇f‖² = v² (p² + u² s²) + u² p² with p = 1 + w − e^w and s = 1 − e^w; given u and w, of one normal v.
    """
    grid, h = np.linspace(-10.0, 10.0, points, retstep=True)
    of_U, of_W, _ = one_linear_neuron(1.0, grid, 1.0, 1)[:, :, None]
    rest, scale = C**2 - (grid * of_U) ** 2, of_U**2 + (grid * of_W) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        least = np.where(scale > 0, np.sqrt(np.maximum(rest, 0.0) / scale), math.inf)  # w = 0: no difference
    given, density = erfc(least / math.sqrt(2)), np.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi) * float(h)
    fine, coarse = (float(d @ part @ d) for d, part in ((density, given), (2 * density[::2], given[::2, ::2])))
    return fine, abs(fine - coarse)


def concentrated(n: int, width: int | None = None) -> tuple[NeuralODE, Params, Array]:
    """A network with ‖U‖ ≈ √n, ‖W‖ = √(2n) and ‖v‖ = √n, the order of random ones, where two neurons have it all.

    The second drives itself and the first, whose state moves by √n and whose Euler error is of the order √n/L. What the
    first starts from puts its φ'' at T at ±1; nothing depends on it but f. All other neurons rest at φ(0) = 0: with
    `width` = 2 they are left out, and what is left is the same network.
    """
    m = n if width is None else width
    net, X = NeuralODE(WAVY, horizon=0.5), np.ones((1, 1))
    U, W, v = np.zeros((m, 1)), np.zeros((m, m)), np.zeros(m)
    U[1], W[0, 1], W[1, 1], v[0] = math.sqrt(n), math.sqrt(m), math.sqrt(m), math.sqrt(m)
    end = net.trajectory(Params(U, W, v), X, np.array([net.horizon]), EXACT).h[0, 0, 0]
    U[0] = math.pi / 2 - end % math.pi
    return net, Params(U, W, v), X


def concentrated_coefficient(n: int) -> float:
    """lim L ‖∂f^L/∂U − ∂f/∂U‖ of `concentrated`."""
    net, theta, X = concentrated(n, width=2)
    return float(np.linalg.norm(expansion(net, theta, X, curvature=lambda z: -np.sin(z)).coefficient.U))
