"""What the PyTorch adapters share: φ, f and its derivatives by automatic differentiation."""

from abc import ABC, abstractmethod

import torch
from torch.nn import functional

from benchmarks.adapters._tolerance import tolerances

ACTIVATIONS = {
    "softplus": lambda z: functional.softplus(z, threshold=40),  # z itself beyond: at the default of 20, off by 2e-9
    "sigmoid": torch.sigmoid,
    "tanh": torch.tanh,
    "erf": torch.erf,
    "gelu": functional.gelu,
    "silu": functional.silu,
    "sin": torch.sin,
    "cos": torch.cos,
    "identity": lambda z: z,
    "quadratic": lambda z: z * z / 2,
    "elu": functional.elu,
    "relu": torch.relu,
    "leaky_relu": functional.leaky_relu,
}


class Field(torch.nn.Module):
    """(σ_w/√n) W φ(h) for a batch h of shape (N, n)."""

    def __init__(self, W, phi, sigma_w):
        super().__init__()
        self.W, self.phi, self.scale = torch.nn.Parameter(W), phi, sigma_w / len(W) ** 0.5

    def forward(self, t, h):
        return self.scale * self.phi(h) @ self.W.T


class Candidate(ABC):
    """predict, gradient and ntk; a subclass has the method `solve`.

    Parameters
    ----------
    rtol : float
        Asked for; atol is a hundredth of it.
    """

    def __init__(self, rtol=1e-10):
        self.rtol = rtol

    @abstractmethod
    def solve(self, field, h0, horizon, rtol, atol):
        """h_T of ḣ = field(t, h), of shape (N, n)."""

    def predict(self, U, W, v, X, settings):
        with torch.no_grad():
            return self._output(U, W, v, X, settings)[0]

    def gradient(self, U, W, v, X, settings):
        f, theta = self._output(U, W, v, X, settings)
        return torch.autograd.grad(f.sum(), theta)

    def ntk(self, U, W, v, X, settings):
        f, theta = self._output(U, W, v, X, settings)
        rows = [torch.autograd.grad(each, theta, retain_graph=True) for each in f]
        J = torch.stack([torch.cat([block.ravel() for block in row]) for row in rows])
        return J @ J.T

    def _output(self, U, W, v, X, settings):
        U, W, v, X = (torch.tensor(array) for array in (U, W, v, X))
        field = Field(W, ACTIVATIONS[settings.activation], settings.sigma_w)
        U.requires_grad_()
        v.requires_grad_()
        h0 = settings.sigma_u * X @ U.T
        h = self.solve(field, h0, settings.horizon, *tolerances(self.rtol, settings.dtype))
        return settings.sigma_v / len(v) ** 0.5 * (field.phi(h) @ v), (U, field.W, v)
