"""Mistakes of the model; see `mistaken.py`."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import integrate

from tests.conformance.plain import PHI, Nodes, Plain


class NoSigmaU(Plain):
    mistake = "h_0 = U x: σ_u is forgotten"
    expected_name_hint = ("sigma u", "σ_u")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, sigma_u=1.0))

    def inner(self, x, y, s):
        return x @ y


class NoSigmaW(Plain):
    mistake = "W/√n instead of σ_w W/√n"
    expected_name_hint = ("sigma w", "σ_w")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, sigma_w=1.0))

    def limit_kernel(self, X, s, scheme, only_v=False):
        return super().limit_kernel(X, replace(s, sigma_w=1.0), scheme, only_v)


class NoSigmaV(Plain):
    mistake = "v/√n instead of σ_v v/√n"
    expected_name_hint = ("sigma v", "σ_v")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, sigma_v=1.0))

    def limit_kernel(self, X, s, scheme, only_v=False):
        return super().limit_kernel(X, replace(s, sigma_v=1.0), scheme, only_v)


class HorizonIgnored(Plain):
    mistake = "integrates to 1 whatever T is"
    expected_name_hint = ("horizon",)

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, horizon=1.0))

    def horizon(self, s):
        return 1.0

    def resnet_scheme(self, s):
        return super().resnet_scheme(replace(s, horizon=1.0))


class TransposedWeights(Plain):
    mistake = "ḣ = Wᵀφ(h): W is laid out the other way round"
    expected_name_hint = ("transpose", "wt", "w^t", "wᵀ")

    def net(self, U, W, v, X, s):
        return super().net(U, np.asarray(W).T, v, X, s)

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows).T


class WrongRoot(Plain):
    mistake = "scales by 1/n where it should be 1/√n"
    expected_name_hint = ("sqrt", "√n", "1/n", "root", "width", "scal")

    def net(self, U, W, v, X, s):
        net = super().net(U, W, v, X, s)
        return replace(net, W=net.W / math.sqrt(net.n))


class StandardParameterisation(Plain):
    mistake = "takes W and v for weights already divided by √n"
    expected_name_hint = ("sqrt", "√n", "parameteri", "root", "width", "scal")

    def net(self, U, W, v, X, s):
        net = super().net(U, W, v, X, s)
        return replace(net, W=net.W * math.sqrt(net.n), v=net.v * math.sqrt(net.n))


class InputOverRootD(Plain):
    mistake = "h_0 = σ_u U x/√d"
    expected_name_hint = ("sqrt", "√d", "root", "dimension", "input")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, np.asarray(X, dtype=float) / math.sqrt(np.shape(X)[1]), s)

    def inner(self, x, y, s):
        return super().inner(x, y, s) / len(x)


class PreActivation(Plain):
    mistake = "ḣ = φ(W h): the activation is on the other side of W"
    limit_ntk = limit_nngp = limit_resnet_ntk = None
    gradient = ntk = initial_adjoint = resnet_gradient = resnet_ntk = None

    def resnet(self, net):
        phi, step, rows = PHI[net.s.activation][0], self.layer(net.s), []
        for h in net.h0:
            for _ in range(net.s.depth):
                h = h + step * phi(net.W @ h)
            rows.append(Nodes(None, None, None, None, h))
        return rows

    def ode(self, net):
        phi, rows = PHI[net.s.activation][0], []
        for h0 in net.h0:
            h = integrate.solve_ivp(lambda t, h: phi(net.W @ h), (0, net.s.horizon), h0, rtol=1e-8).y[:, -1]
            rows.append(Nodes(None, None, None, None, h))
        return rows


class LinearOutput(Plain):
    mistake = "f = σ_v vᵀh_T/√n: no activation before the output layer"
    expected_name_hint = ("output", "readout", "activation", "linear", "phi(h t)", "last")

    def output(self, net, rows):
        return np.array([net.v @ r.end for r in rows])


class MeanOutput(Plain):
    mistake = "f averages over neurons: σ_v/n instead of σ_v/√n"
    expected_name_hint = ("sqrt", "√n", "root", "1/n", "mean", "average", "scal", "width")

    def output(self, net, rows):
        return super().output(net, rows) / math.sqrt(net.n)


class InputActivation(Plain):
    mistake = "h_0 = φ(σ_u U x): an activation too many at the input"

    def net(self, U, W, v, X, s):
        net = super().net(U, W, v, X, s)
        return replace(net, h0=PHI[s.activation][0](net.h0))
