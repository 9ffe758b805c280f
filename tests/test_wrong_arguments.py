"""What is no array, or one of another library, is refused under the name of its argument."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import array_api_strict
import numpy as np
import pytest

import refimpl

net = refimpl.NeuralODE()
X = refimpl.data.sphere(4, 3, seed=0)
y = X[:, 0].copy()
theta = net.init(width=5, dim=3, seed=0)
K = np.eye(4)
jacobian = net.jacobian(theta, X, refimpl.Euler(2))

FUNCTIONS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "predict": (net.predict, {"theta": theta, "X": X}),
    "loss": (net.loss, {"theta": theta, "X": X, "y": y}),
    "gradient": (net.gradient, {"theta": theta, "X": X, "y": y}),
    "jacobian": (net.jacobian, {"theta": theta, "X": X}),
    "ntk": (net.ntk, {"theta": theta, "X": X, "X2": X}),
    "trajectory": (net.trajectory, {"theta": theta, "X": X, "t": np.zeros(2)}),
    "init": (lambda like: net.init(width=2, dim=2, like=like), {"like": X}),
    "limit.ntk": (net.limit().ntk, {"X": X, "X2": X}),
    "limit.nngp": (net.limit().nngp, {"X": X, "X2": X}),
    "limit.fields": (net.limit().fields, {"x": X[0], "x2": X[1]}),
    "limit.positivity": (net.limit().positivity, {"X": X}),
    "limit.on_sphere": (net.limit().on_sphere(), {"rho": y}),
    "train": (
        lambda **given: refimpl.train(net, **given, lr=0.1, steps=1),
        {"theta": theta, "X": X, "y": y, "X_test": X, "y_test": y},
    ),
    "linearize": (
        lambda **given: refimpl.linearize(**given, lr=0.1, steps=1),
        {"K": K, "y": y, "u0": y, "K_test": K, "u0_test": y, "y_test": y},
    ),
    "reference": (
        lambda **given: refimpl.reference(net, "loss", **given),
        {"theta": theta, "X": X, "y": y},
    ),
    "reference of the ntk": (lambda **given: refimpl.reference(net, "ntk", **given), {"theta": theta, "X": X, "X2": X}),
    "depth_bound": (lambda **given: refimpl.theory.depth_bound(net, **given), {"theta": theta, "X": X}),
    "mean_depth_bound": (lambda **given: refimpl.theory.mean_depth_bound(net, **given), {"theta": theta, "X": X}),
    "Params": (refimpl.Params, {"U": theta.U, "W": theta.W, "v": theta.v}),
    "apply": (jacobian.apply, {"direction": theta}),
    "transpose_apply": (jacobian.transpose_apply, {"residual": y}),
}
ARGUMENTS = [(function, name) for function, (_, given) in FUNCTIONS.items() for name in given]


@pytest.mark.parametrize(("function", "name"), ARGUMENTS)
@pytest.mark.parametrize("wrong", [[1.0, 2.0, 3.0, 4.0], "word", 1.5])
def test_what_is_no_array_is_refused_by_name(function: str, name: str, wrong: Any) -> None:
    if name == "rho" and isinstance(wrong, float):
        return  # a number is an array of no dimension there
    call, given = FUNCTIONS[function]
    with pytest.raises(TypeError, match=rf"(^|\W){name} must "):
        call(**given | {name: wrong})


ALONE = {("init", "like"), ("limit.on_sphere", "rho")}
"""Arrays that any library may have, as nothing else comes with them."""


@pytest.mark.parametrize(("function", "name"), [pair for pair in ARGUMENTS if pair not in ALONE and pair[1] != "theta"])
def test_an_array_of_another_library_is_refused_by_name(function: str, name: str) -> None:
    call, given = FUNCTIONS[function]
    wrong = given[name]
    other = theta.U if isinstance(wrong, refimpl.Params) else wrong
    strict: Any = array_api_strict.asarray(other)
    if isinstance(wrong, refimpl.Params):
        strict = refimpl.Params(*(array_api_strict.asarray(block) for block in (wrong.U, wrong.W, wrong.v)))
    with pytest.raises(TypeError, match=rf"(^|\W){name} (must |array_api_strict)"):
        call(**given | {name: strict})


@pytest.mark.parametrize(("function", "name"), ARGUMENTS)
@pytest.mark.parametrize("kind", ["NaN", "complex"])
def test_what_is_not_finite_or_not_real_is_refused_by_name(function: str, name: str, kind: str) -> None:
    call, given = FUNCTIONS[function]
    if isinstance(given[name], refimpl.Params) or (function, name, kind) == ("init", "like", "NaN"):
        return  # no Params hold such entries; of `like` nothing but the kind counts
    wrong = given[name] + 1j if kind == "complex" else np.where(given[name] == given[name].flat[0], np.nan, given[name])
    with pytest.raises((TypeError, ValueError)) as caught:
        call(**given | {name: wrong})
    assert re.search(rf"(^|\W){name} must ", str(caught.value)), caught.value
