"""This package itself, by the same interface."""

import numpy as np

import refimpl


class Gauss:
    def __init__(self, rtol=1e-10):
        self.rtol = rtol

    def predict(self, U, W, v, X, settings):
        net, theta, solver = self._problem(U, W, v, settings)
        return net.predict(theta, X, solver=solver)

    def gradient(self, U, W, v, X, settings):
        net, theta, solver = self._problem(U, W, v, settings)
        return net.jacobian(theta, X, solver=solver).transpose_apply(np.ones(len(X), dtype=X.dtype))

    def ntk(self, U, W, v, X, settings):
        net, theta, solver = self._problem(U, W, v, settings)
        return net.ntk(theta, X, solver=solver)

    def _problem(self, U, W, v, settings):
        sigmas = settings.sigma_u, settings.sigma_w, settings.sigma_v
        net = refimpl.NeuralODE(settings.activation, settings.horizon, *sigmas)
        return net, refimpl.Params(U, W, v), self._solver()

    def _solver(self):
        return refimpl.Gauss(rtol=self.rtol)


class SolveIVP(Gauss):
    method = "DOP853"

    def _solver(self):
        return refimpl.SolveIVP(method=self.method, rtol=self.rtol, atol=self.rtol / 100)


class SolveIVPRK45(SolveIVP):
    method = "RK45"
