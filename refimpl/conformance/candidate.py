"""What a framework under test is given besides arrays, and what it may be asked for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

QUANTITIES = (
    "predict",
    "terminal_state",
    "initial_adjoint",
    "gradient",
    "ntk",
    "resnet_predict",
    "resnet_gradient",
    "resnet_ntk",
    "limit_ntk",
    "limit_nngp",
    "limit_resnet_ntk",
)
"""Names of the functions that a candidate may have."""


@dataclass(frozen=True)
class Settings:
    """The network of a case.

    Parameters
    ----------
    activation : str
        A name from `refimpl.activations.BUILTIN`, in the variant that is fixed there.
    horizon, sigma_u, sigma_w, sigma_v : float
        T, σ_u, σ_w, σ_v.
    depth : int or None
        L of the residual network; None for the Neural ODE.
    dtype : {"float64", "float32"}
        Of the arrays that are given.
    """

    activation: str
    horizon: float
    sigma_u: float
    sigma_w: float
    sigma_v: float
    depth: int | None
    dtype: str


class Candidate(Protocol):
    """An implementation of the same mathematics: any of these functions, in a class, an instance or a module.

    Nothing is to be derived from this class; it says what is given and what is wanted. U has shape (n, d), W (n, n),
    v (n,) and X (N, d), all NumPy arrays of `Settings.dtype` that the function may change. Arrays of any framework, or
    nested lists, may come back. What is not implemented for some settings raises `NotImplementedError`, and is counted
    apart. Parameters are those of the NTK parameterisation: entries N(0, 1), factors 1/√n in front.
    """

    def predict(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Output f of the Neural ODE for every input, shape (N,)."""

    def terminal_state(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """State h_T for every input, shape (N, n)."""

    def initial_adjoint(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Adjoint λ_0 = ∂f/∂h_0 for every input, shape (N, n)."""

    def gradient(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Gradient of Σ_i f(x_i): (∂U, ∂W, ∂v) of shapes (n, d), (n, n), (n,), or a mapping or object with U, W, v."""

    def ntk(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Tangent kernel K_θ(x_i, x_j) over all parameters, shape (N, N)."""

    def resnet_predict(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Output f^L of the residual network (6) with L = `Settings.depth` layers that share W, shape (N,)."""

    def resnet_gradient(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Gradient of Σ_i f^L(x_i), in the form of `gradient`."""

    def resnet_ntk(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Tangent kernel of the residual network, shape (N, N)."""

    def limit_ntk(self, X: Any, settings: Settings) -> Any:
        """K_∞, the limit of `ntk` for n → ∞, shape (N, N)."""

    def limit_nngp(self, X: Any, settings: Settings) -> Any:
        """NNGP kernel σ_v² E[φ(h_T) φ(h̄_T)], the limit of the covariance of f, shape (N, N)."""

    def limit_resnet_ntk(self, X: Any, settings: Settings) -> Any:
        """K_∞^L, the limit of `resnet_ntk` for n → ∞ with L = `Settings.depth`, shape (N, N)."""
