"""A candidate for the check that is this package itself."""

from __future__ import annotations

from typing import Any

import numpy as np

from refimpl.conformance.candidate import Settings
from refimpl.errors import AccuracyError
from refimpl.network import NeuralODE
from refimpl.parameters import Params
from refimpl.solvers import Euler, Gauss, KinkEvents, Solver


class Default:
    """Every quantity as a user gets it who names no solver, in the dtype of the inputs.

    Where the solver raises `AccuracyError` there is nothing to compare: `NotImplementedError`.

    Examples
    --------
    >>> import refimpl
    >>> from refimpl.conformance.own import Default
    >>> refimpl.check_conformance(Default, quantities=["ntk"], activations=["tanh"]).passed
    True
    """

    ode: Solver | None = None
    kinked_ode: Solver | None = None
    limit: Solver | None = None
    dtype: str | None = None

    def predict(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """f, shape (N,)."""
        return self._ask("predict", U, W, v, X, settings)

    def terminal_state(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """h_T, shape (N, n)."""
        return self._ask("terminal_state", U, W, v, X, settings)

    def initial_adjoint(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """λ_0, shape (N, n)."""
        return self._ask("initial_adjoint", U, W, v, X, settings)

    def gradient(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """Gradient of Σ_i f(x_i), as `Params`."""
        return self._ask("gradient", U, W, v, X, settings)

    def ntk(self, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        """K_θ, shape (N, N)."""
        return self._ask("ntk", U, W, v, X, settings)

    resnet_predict = predict
    resnet_gradient = gradient
    resnet_ntk = ntk

    def limit_ntk(self, X: Any, settings: Settings) -> Any:
        """K_∞, or K_∞^L if there is a depth, shape (N, N)."""
        return self._ask_limit("ntk", X, settings)

    def limit_nngp(self, X: Any, settings: Settings) -> Any:
        """NNGP kernel, shape (N, N)."""
        return self._ask_limit("nngp", X, settings)

    limit_resnet_ntk = limit_ntk

    def _ask(self, quantity: str, U: Any, W: Any, v: Any, X: Any, settings: Settings) -> Any:
        theta = Params(*(np.asarray(part, dtype=self.dtype) for part in (U, W, v)))
        X = np.asarray(X, dtype=self.dtype)
        net = _network(settings)
        solver = _solver((self.kinked_ode if net.phi.kinks else None) or self.ode, settings)
        times = np.asarray([0.0, settings.horizon], dtype=X.dtype)
        try:
            if quantity == "gradient":
                return net.jacobian(theta, X, solver).transpose_apply(np.ones(len(X), dtype=X.dtype))
            if quantity == "ntk":
                return net.ntk(theta, X, solver=solver)
            if quantity == "predict":
                return net.predict(theta, X, solver)
            path = net.trajectory(theta, X, times, solver)
        except AccuracyError as error:
            raise NotImplementedError(str(error)) from error
        return path.h[1] if quantity == "terminal_state" else path.adjoint[0]

    def _ask_limit(self, quantity: str, X: Any, settings: Settings) -> Any:
        limit = _network(settings).limit(_solver(self.limit, settings))
        try:
            return getattr(limit, quantity)(np.asarray(X, dtype=self.dtype))
        except AccuracyError as error:
            raise NotImplementedError(str(error)) from error


class Package(Default):
    """Every quantity with the tightest solver that promises an accuracy, in float64."""

    ode = Gauss(rtol=1e-13)
    kinked_ode = KinkEvents(rtol=1e-12)
    limit = Gauss(rtol=1e-12)
    dtype = "float64"


def _network(settings: Settings) -> NeuralODE:
    return NeuralODE(settings.activation, settings.horizon, settings.sigma_u, settings.sigma_w, settings.sigma_v)


def _solver(ode: Solver | None, settings: Settings) -> Solver | None:
    return ode if settings.depth is None else Euler(settings.depth)
