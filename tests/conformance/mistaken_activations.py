"""Mistakes of the activation; see `mistaken.py`."""

from __future__ import annotations

import math

import numpy as np

from tests.conformance.plain import PHI, Plain


def _variant(name, activation, mistake, phi, dphi, hint):
    class Variant(Plain):
        def activation(self, s):
            return (phi, dphi) if s.activation == activation else super().activation(s)

    Variant.mistake, Variant.expected_name_hint, Variant.__name__ = mistake, hint, name
    return Variant


_C = math.sqrt(2 / math.pi)


def _gelu_tanh(z):
    return z / 2 * (1 + np.tanh(_C * (z + 0.044715 * z**3)))


def _dgelu_tanh(z):
    t = np.tanh(_C * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t * t) * _C * (1 + 3 * 0.044715 * z * z)


TanhGelu = _variant("TanhGelu", "gelu", "GELU by its tanh approximation", _gelu_tanh, _dgelu_tanh, ("gelu",))
UnitErf = _variant(
    "UnitErf", "erf", "erf(z/√2), the error function of the normal distribution",
    lambda z: PHI["erf"][0](z / math.sqrt(2)), lambda z: PHI["erf"][1](z / math.sqrt(2)) / math.sqrt(2), ("erf",),
)  # fmt: skip
UnhalvedSquare = _variant(
    "UnhalvedSquare", "quadratic", "z² for z²/2", lambda z: z * z, lambda z: 2 * z, ("quadratic", "square", "z²")
)
FastSigmoidSilu = _variant(
    "FastSigmoidSilu", "silu", "swish with β = 1.702 for β = 1",
    lambda z: PHI["silu"][0](1.702 * z) / 1.702, lambda z: PHI["silu"][1](1.702 * z), ("silu", "swish"),
)  # fmt: skip
SharpSoftplus = _variant(
    "SharpSoftplus", "softplus", "softplus with β = 2 for β = 1",
    lambda z: PHI["softplus"][0](2 * z) / 2, lambda z: PHI["softplus"][1](2 * z), ("softplus",),
)  # fmt: skip
SquaredSigmoid = _variant(
    "SquaredSigmoid", "sigmoid", "φ' of the sigmoid taken as σ(z)²",
    PHI["sigmoid"][0], lambda z: PHI["sigmoid"][0](z) ** 2, ("sigmoid", "derivative", "dphi"),
)  # fmt: skip
SechTanh = _variant(
    "SechTanh", "tanh", "φ' of tanh as 1 − φ(φ): applied to values already squashed", PHI["tanh"][0],
    lambda z: 1 - np.tanh(np.tanh(z)) ** 2, ("tanh", "derivative", "dphi"),
)  # fmt: skip
CosSign = _variant("CosSign", "cos", "the derivative of cos is sin", np.cos, np.sin, ("cos", "derivative", "dphi"))


class KinkedVariant(Plain):
    """Kinked φ of another slope: in the residual network, which needs no crossing located."""

    predict = terminal_state = initial_adjoint = gradient = ntk = None
    limit_ntk = limit_nngp = limit_resnet_ntk = None
    which, functions = "", (None, None)

    def activation(self, s):
        return self.functions if s.activation == self.which else super().activation(s)


class LeakySlope(KinkedVariant):
    mistake = "leaky ReLU of slope 0.2 for 0.01"
    expected_name_hint = ("leaky", "slope")
    which = "leaky_relu"
    functions = (lambda z: np.where(z > 0, z, 0.2 * z), lambda z: np.where(z > 0, 1.0, 0.2))


class EluAlpha(KinkedVariant):
    mistake = "ELU of α = 0.5 for 1"
    expected_name_hint = ("elu", "alpha")
    which = "elu"
    functions = (
        lambda z: np.where(z > 0, z, 0.5 * np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1.0, 0.5 * np.exp(np.minimum(z, 0))),
    )


class RightSlope(KinkedVariant):
    mistake = "φ'(0) = 1 for ReLU: the slope of the other side"
    expected_name_hint = ("kink", "one-sided", "phi'(0)", "dphi", "relu", "slope")
    which = "relu"
    initial_adjoint = Plain.initial_adjoint
    functions = (PHI["relu"][0], lambda z: np.where(z >= 0, 1.0, 0.0))


class HalfSlope(KinkedVariant):
    mistake = "φ'(0) = ½ for ReLU, the mean of both sides"
    expected_name_hint = ("kink", "one-sided", "phi'(0)", "dphi", "relu", "slope")
    which = "relu"
    initial_adjoint = Plain.initial_adjoint
    functions = (PHI["relu"][0], lambda z: np.heaviside(z, 0.5))
