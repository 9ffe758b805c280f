"""Activation functions that are mistaken for a built-in one, and what is mistaken for their derivative."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
from scipy import special

from refimpl.activations import BUILTIN, Activation
from refimpl.quadrature import Host

Function = Callable[[Host], Host]


def _logistic(z: Host) -> Host:
    return np.asarray(special.expit(z))


def _elu(alpha: float, scale: float = 1.0, stretch: float = 1.0) -> tuple[Function, Function]:
    """φ(z) = scale (z for z > 0, else α (exp(z / stretch) − 1)), and φ'."""

    def phi(z: Host) -> Host:
        return scale * np.where(z > 0, z, alpha * np.expm1(np.minimum(z, 0.0) / stretch))

    def dphi(z: Host) -> Host:
        return scale * np.where(z > 0, 1.0, alpha / stretch * np.exp(np.minimum(z, 0.0) / stretch))

    return phi, dphi


def _leaky(slope: float) -> tuple[Function, Function]:
    return (lambda z: np.where(z > 0, z, slope * z)), (lambda z: np.where(z > 0, 1.0, slope))


def _gate(beta: float) -> tuple[Function, Function]:
    """φ(z) = z σ(βz), and φ'."""

    def dphi(z: Host) -> Host:
        s = _logistic(beta * z)
        return s + beta * z * s * (1 - s)

    return (lambda z: np.asarray(z * _logistic(beta * z))), dphi


def _softplus(beta: float) -> tuple[Function, Function]:
    return (lambda z: np.logaddexp(0.0, beta * z) / beta), (lambda z: _logistic(beta * z))


def _tanh_gelu(z: Host) -> Host:
    return np.asarray(0.5 * z * (1 + np.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))))


def _tanh_gelu_slope(z: Host) -> Host:
    root = math.sqrt(2 / math.pi)
    t = np.tanh(root * (z + 0.044715 * z**3))
    return np.asarray(0.5 * (1 + t) + 0.5 * z * (1 - t * t) * root * (1 + 3 * 0.044715 * z**2))


def _stretched(name: str, inside: float, outside: float) -> tuple[Function, Function]:
    """φ(z) = outside · φ₀(inside · z) for a built-in φ₀, and φ'."""
    own = BUILTIN[name]
    return (
        lambda z: np.asarray(outside * own.phi(inside * z)),
        lambda z: np.asarray(outside * inside * own.dphi(inside * z)),
    )


VARIANTS: dict[str, tuple[Function, Function]] = {
    "gelu:tanh": (_tanh_gelu, _tanh_gelu_slope),
    "gelu:quick": _gate(1.702),
    "silu:1.702": _gate(1.702),
    "leaky_relu:0.1": _leaky(0.1),
    "leaky_relu:0.2": _leaky(0.2),
    "leaky_relu:0.3": _leaky(0.3),
    "leaky_relu:0.001": _leaky(0.001),
    "elu:0.1": _elu(0.1),
    "elu:0.5": _elu(0.5),
    "elu:2": _elu(2.0),
    "elu:selu": _elu(1.6732632423543772, 1.0507009873554805),
    "softplus:2": _softplus(2.0),
    "softplus:0.5": _softplus(0.5),
    "softplus:shifted": (
        lambda z: np.logaddexp(0.0, z) - math.log(2),
        _logistic,
    ),
    "erf:root": _stretched("erf", 1 / math.sqrt(2), 1.0),
    "sigmoid:hard": (lambda z: np.clip(z / 6 + 0.5, 0, 1), lambda z: np.where(np.abs(z) < 3, 1 / 6, 0.0)),
    "tanh:hard": (lambda z: np.clip(z, -1, 1), lambda z: np.where(np.abs(z) < 1, 1.0, 0.0)),
    "quadratic:square": _stretched("quadratic", 1.0, 2.0),
    "silu:hard": (
        lambda z: z * np.clip(z / 6 + 0.5, 0, 1),
        lambda z: np.clip(z / 6 + 0.5, 0, 1) + np.where(np.abs(z) < 3, z / 6, 0.0),
    ),
    "relu:6": (lambda z: np.clip(z, 0, 6), lambda z: np.where((z > 0) & (z < 6), 1.0, 0.0)),
    "cos:derivative": (np.cos, np.sin),
    "sin:derivative": (np.sin, lambda z: -np.cos(z)),
    "sigmoid:derivative": (_logistic, lambda z: _logistic(z) ** 2),
    "sigmoid:undamped": (_logistic, _logistic),
    "tanh:derivative": (np.tanh, lambda z: 1 - np.tanh(z)),
    "tanh:twice": (np.tanh, lambda z: 1 - np.tanh(np.tanh(z)) ** 2),
    "silu:derivative": (lambda z: z * _logistic(z), _logistic),
    "gelu:derivative": (BUILTIN["gelu"].phi, lambda z: np.asarray(special.ndtr(z))),
    "erf:derivative": (BUILTIN["erf"].phi, lambda z: np.exp(-z * z)),
    "softplus:derivative": (BUILTIN["softplus"].phi, lambda z: _logistic(z) * (1 - _logistic(z))),
    "quadratic:derivative": (BUILTIN["quadratic"].phi, lambda z: 2 * z),
    "elu:derivative": (BUILTIN["elu"].phi, lambda z: np.where(z > 0, 1.0, BUILTIN["elu"].phi(z))),
}
"""φ and φ' by the built-in activation that is meant, a colon, and a name of what is taken for it."""


@cache
def function(name: str, variant: str | None) -> Activation:
    """The activation `name` as an author with the variant in mind has it; the built-in one if that is of another.

    The variant is a key of `VARIANTS`, or the name of a built-in activation that stands for every other.
    """
    if variant is None:
        return BUILTIN[name]
    if variant in BUILTIN:
        return BUILTIN[variant]
    if not variant.startswith(f"{name}:"):
        return BUILTIN[name]
    phi, dphi = VARIANTS[variant]
    return Activation(phi, dphi, name=variant, kinks=BUILTIN[name].kinks)


def slope_of(activation: Activation, kind: str) -> Function:
    """φ', or what is taken for it."""
    dphi, phi = activation.dphi, activation.phi

    def at_zero(value: Callable[[Host], Any]) -> Function:
        return lambda z: np.asarray(np.where(z == 0, value(z), dphi(z)))

    def right(z: Host) -> Host:
        return np.asarray(dphi(z + 1e-300))

    rules: dict[str, Function] = {
        "own": dphi,
        "one": lambda z: np.ones_like(z),
        "phi": phi,
        "of-phi": lambda z: dphi(phi(z)),
        "half-at-zero": at_zero(lambda z: (right(z) + dphi(z - 1e-300)) / 2),
        "one-at-zero": at_zero(right),
        "zero-at-zero": at_zero(np.zeros_like),
    }
    return rules[kind]
