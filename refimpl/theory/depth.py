"""Proposition 2 with its constant: how far a ResNet of any depth L is from the Neural ODE.

With the scaled 𝒲 = σ_w W/√n and v̂ = σ_v v/√n, spectral and Euclidean norms, ℓ = Lip φ, m = Lip φ', κ = ℓ ‖𝒲‖,
S = ‖𝒲 φ(h_0)‖ and Δ = T/L, the following hold on the ODE and, layer by layer, on the ResNet, for every L ≥ 1:

    ‖ḣ_t‖ ≤ S e^{κt},   ‖φ(h_t)‖ ≤ Φ(t) = ‖φ(h_0)‖ + ℓ S (e^{κt} − 1)/κ,   ‖λ_t‖ ≤ Λ(t) = ℓ ‖v̂‖ e^{κ(T−t)},

and the differences between the two at t = ℓ Δ are at most

    ‖h^ℓ − h_t‖ ≤ Δ E(t),   E(t) = ½ κ t e^{κt} S
    ‖λ^ℓ − λ_t‖ ≤ Δ D(t),   D(t) = m ‖v̂‖ e^{κ(T−t)} E(T) + ½ κ² (T − t) Λ(t) + ½ m ‖𝒲‖ S Λ(0) (T e^{κ(T−t)} − t).

`mean_depth_bound` is the same in the mean square over a Gaussian readout v that is independent of (U, W). There
‖v̂‖ is σ_v, and a product a ⊙ v̂ has the size σ_v ‖a‖/√n instead of ‖a‖ ‖v̂‖: m becomes m/√n, which cancels the growth
of S, and the constant stays bounded as n → ∞.

The derivation is in the documentation, under "Depth".
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from refimpl.backend import Array, is_numpy, namespace
from refimpl.network import NeuralODE
from refimpl.parameters import Params
from refimpl.quadrature import Host, gauss_legendre
from refimpl.solvers import Euler

NODES = 64
"""Gauss nodes for ∫ D Φ dt, whose integrand is entire; they are exact to rounding while κT ≤ 40."""

LARGEST = 40.0
"""Largest κT for which a bound is computed: e^{κT} is 2e17 there, and says nothing."""


@dataclass(frozen=True)
class DepthBound:
    """Constants C of (7): the difference between the ResNet of any depth L ≥ 1 and the Neural ODE is at most C/L.

    Rounding in the computation of either side comes on top.

    Parameters
    ----------
    output : ndarray, shape (N,)
        |f^L(x_i) − f(x_i)| ≤ output_i / L.
    U, W, v : ndarray, shape (N,)
        The same for ‖∂f^L/∂U − ∂f/∂U‖, …, in the Frobenius norm.
    size : ndarray, shape (N,)
        ‖∇f^L‖ and ‖∇f‖ are at most this.
    """

    output: Host
    U: Host
    W: Host
    v: Host
    size: Host

    @property
    def gradient(self) -> Host:
        """‖∇f^L(x_i) − ∇f(x_i)‖ ≤ gradient_i / L, over all parameters; shape (N,)."""
        total: Host = np.sqrt(self.U**2 + self.W**2 + self.v**2)
        return total

    @property
    def ntk(self) -> Host:
        """|K_θ^L(x_i, x_j) − K_θ(x_i, x_j)| ≤ ntk_ij / L; shape (N, N)."""
        cross = np.outer(self.gradient, self.size)
        return cross + cross.T


def depth_bound(net: NeuralODE, theta: Params, X: Array) -> DepthBound:
    """Constants of proposition 2 for one network, from norms of its parameters.

    Parameters
    ----------
    net : NeuralODE
        Its φ and φ' are Lipschitz, with the constants of the `Activation`.
    theta : Params
        NumPy arrays, with one W for all times.
    X : ndarray, shape (N, d)

    Returns
    -------
    DepthBound

    Raises
    ------
    ValueError
        φ or φ' is not Lipschitz; independent layers; or κT = ℓ ‖𝒲‖ T is so large that the bound is empty.
    TypeError
        Arrays of another library.

    Notes
    -----
    The bound is of norms alone and grows like √n for Gaussian parameters, where ‖h_0‖ does. With such norms that is
    its true size: h_0, v and the columns of W may all point to one neuron.

    Examples
    --------
    >>> import refimpl
    >>> net = refimpl.NeuralODE("tanh", horizon=0.5)
    >>> theta, X = net.init(width=16, dim=3, seed=0), refimpl.data.sphere(2, 3, seed=1)
    >>> bound = refimpl.theory.depth_bound(net, theta, X)
    >>> exact = net.predict(theta, X, refimpl.Gauss())
    >>> all((abs(net.predict(theta, X, refimpl.Euler(L)) - exact) <= bound.output / L).all() for L in (1, 2, 10))
    True
    """
    return _bound(net, theta, X)


def mean_depth_bound(net: NeuralODE, theta: Params, X: Array) -> DepthBound:
    """Constants of proposition 2 in the mean square over the readout, which do not grow with the width.

    Parameters
    ----------
    net : NeuralODE
        Its φ and φ' are Lipschitz, with the constants of the `Activation`.
    theta : Params
        NumPy arrays, with one W for all times; v is not used.
    X : ndarray, shape (N, d)

    Returns
    -------
    DepthBound
        Bounds of (E|f^L − f|²)^½ and of (E‖∇f^L − ∇f‖²)^½, block by block, at given U and W and for every L ≥ 1, where
        v has independent entries of mean 0 and variance 1; `ntk` bounds E|K_θ^L − K_θ|.

    Raises
    ------
    ValueError, TypeError
        As `depth_bound`.

    Notes
    -----
    The constant depends on U and W through ‖W‖/√n and ‖φ(h_0)‖/√n, which converge as n → ∞ for Gaussian parameters: to
    2, and to the root of E φ(σ_u ‖x‖ z)². By Chebyshev's inequality C/√δ serves any one L with probability 1 − δ.

    Examples
    --------
    >>> import refimpl
    >>> net, X = refimpl.NeuralODE("tanh", horizon=0.5), refimpl.data.sphere(1, 3, seed=1)
    >>> bounds = [refimpl.theory.mean_depth_bound(net, net.init(n, 3, seed=0), X) for n in (64, 256)]
    >>> bool(bounds[1].gradient[0] < 1.1 * bounds[0].gradient[0])
    True
    """
    return _bound(net, theta, X, mean=True)


def _bound(net: NeuralODE, theta: Params, X: Array, mean: bool = False) -> DepthBound:
    if not isinstance(theta, Params):
        raise TypeError(f"theta must be a Params, got {type(theta).__qualname__}")
    lip, dlip, T, root = net.phi.lipschitz, net.phi.dlipschitz, net.horizon, math.sqrt(theta.width)
    if not (math.isfinite(lip) and math.isfinite(dlip)):
        raise ValueError(f"φ and φ' must be Lipschitz; {net.phi.name} has the constants {lip:g} and {dlip:g}")
    if not is_numpy(namespace(**{"theta.U": theta.U}, X=X)):
        raise TypeError("depth_bound works on NumPy arrays only")
    if theta.W.ndim != 2:
        raise ValueError(f"W must be shared by all layers, shape (n, n); got {theta.W.shape}")
    start = net.trajectory(theta, X, np.zeros(1), Euler(1)).h[0].astype(float)  # h_0; checks X and theta
    W = net.sigma_w / root * theta.W.astype(float)
    spectral = float(np.linalg.norm(W, 2))
    out, product = (net.sigma_v, 1 / root) if mean else (net.sigma_v / root * float(np.linalg.norm(theta.v)), 1.0)
    dlip *= product  # ‖a ⊙ v̂‖ ≤ product ‖a‖ ‖v̂‖, and |⟨a, v̂⟩| likewise
    kappa = lip * spectral
    if kappa * T > LARGEST:
        raise ValueError(f"κT = Lip(φ) ‖σ_w W/√n‖ T = {kappa * T:.3g} is above {LARGEST:g}: e^κT bounds nothing")
    phi = net.phi.phi(start)
    S, phi0 = np.linalg.norm(phi @ W.T, axis=1), np.linalg.norm(phi, axis=1)

    def growth(t: Host | float) -> Host:
        """(e^{κt} − 1)/κ."""
        return np.asarray(np.expm1(kappa * np.asarray(t)) / kappa if kappa > 0 else t)

    def states(t: Host) -> Host:
        """Φ(t), with times first."""
        sizes: Host = phi0 + lip * np.outer(growth(t), S)
        return sizes

    last, e = lip * out, math.exp(kappa * T)
    error = kappa * T / 2 * e * S  # E(T)

    def difference(t: Host) -> Host:
        """D(t), with times first."""
        back = np.exp(kappa * (T - t))
        rest = dlip * spectral / 2 * e * last * (T * back - t)
        carried = kappa**2 / 2 * (T - t) * back * last
        total: Host = np.outer(dlip * out * back, error) + carried[:, None] + np.outer(rest, S)
        return total

    c, b = gauss_legendre(NODES)
    t, weights = T * c, T * b
    adjoint = last * np.exp(kappa * (T - t))
    driven = (weights * adjoint) @ states(t)  # ∫ Λ Φ
    of_W = weights @ (difference(t) * states(t)) + kappa / 2 * driven + (kappa * T / 2 + 1) * lip * T / 2 * e * last * S
    scale_w, scale_v = net.sigma_w / root, net.sigma_v / root
    length = net.sigma_u * np.linalg.norm(X.astype(float), axis=1)
    size = np.sqrt((length * last * e) ** 2 + (scale_w * driven) ** 2 + (scale_v * states(np.array([T]))[0]) ** 2)
    return DepthBound(
        output=T * last * product * error,
        U=T * length * difference(np.zeros(1))[0],
        W=T * scale_w * of_W,
        v=T * scale_v * lip * error,
        size=size,
    )
