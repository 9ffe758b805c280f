"""What the limit promises: an accuracy, or an error that says why not; dtypes, libraries, bad input."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import refimpl
from refimpl import AccuracyError, Activation, BlowUpError, Euler, Gauss, NeuralODE
from refimpl.backend import to_host
from refimpl.infinite.inputs import Pairs
from refimpl.infinite.kernel import Limit
from refimpl.infinite.pairs import Kernels
from refimpl.infinite.resolution import distance
from tests.infinite.limits import EPS, MANY, assert_within, cosines, kernel, networks, norms, scale_of, sphere, two
from tests.infinite.roads import arc_cosine, arcsine, midpoint_kernel, resnet_recursion

# ------------------------------------------------------------------------------------ the accuracy contract


@given(networks, cosines, norms, st.floats(-11, -3).map(lambda exponent: 10.0**exponent))
@settings(max_examples=20)
def test_the_result_is_within_rtol_of_a_finer_one(net: NeuralODE, rho: float, norm: float, rtol: float) -> None:
    X = two(rho, 1.0, norm)
    fine = net.limit(Gauss(nodes=40, steps=2)).ntk(X)
    assert_within(net.limit(Gauss(rtol=rtol)).ntk(X), fine, rtol, scale_of(fine))
    assert_within(net.limit(Gauss(nodes=6, rtol=rtol)).ntk(X), fine, rtol, scale_of(fine))


@pytest.mark.parametrize("rtol", [1e-4, 1e-7, 1e-10])
@pytest.mark.parametrize("rho", [-1.0, -0.999, -0.3, 0.0, 0.9, 0.9999, 1.0])
def test_relu_is_within_rtol_of_a_finer_result(rtol: float, rho: float) -> None:
    net, X = NeuralODE("relu", horizon=1.5), two(rho)
    fine = net.limit(Gauss(rtol=1e-11)).ntk(X)
    assert_within(net.limit(Gauss(rtol=rtol)).ntk(X), fine, rtol + 1e-11, scale_of(fine))


@pytest.mark.parametrize("name", ["softplus", "tanh", "sin", "erf", "gelu"])
def test_a_long_horizon_agrees_between_two_schemes(name: str) -> None:
    net, X = NeuralODE(name, horizon=3.0), two(0.3)
    coarse, fine = (net.limit(Gauss(nodes=nodes, steps=1)).ntk(X) for nodes in (26, 36))
    assert_within(coarse, fine, 1e-11, scale_of(fine))


def test_a_given_scheme_is_taken_as_it_is() -> None:
    """One node in one step is the midpoint rule, far from K_∞; no tolerance applies."""
    net, X = NeuralODE("erf", sigma_u=0.9, sigma_w=1.1), two(0.3)
    q = [net.sigma_u**2 * value for value in (1.0, 0.3, 1.0)]
    for steps in (1, 5):
        found = kernel(net, X, Gauss(nodes=1, steps=steps, rtol=1e-15))
        assert found == pytest.approx(midpoint_kernel(arcsine, net, steps, *q), rel=1e-13)


def test_a_given_scheme_is_taken_as_it_is_for_a_kinked_activation_too() -> None:
    net = NeuralODE("relu", sigma_w=1.1)
    found = kernel(net, two(0.3), Gauss(nodes=1, steps=5))
    assert found == pytest.approx(midpoint_kernel(arc_cosine, net, 5, 1.0, 0.3, 1.0), rel=1e-12)


@pytest.mark.parametrize("name", ["softplus", "erf", "relu"])
def test_a_tolerance_below_rounding_raises(name: str) -> None:
    with pytest.raises(AccuracyError, match="rtol=1"):
        NeuralODE(name).limit(Gauss(rtol=1e-16)).ntk(two(0.3))


def test_a_tolerance_that_its_steps_cannot_reach_raises_and_says_what_was_reached() -> None:
    with pytest.raises(AccuracyError, match=r"rtol=1e-12 was asked for") as caught:
        NeuralODE("erf", horizon=3.0).limit(Gauss(nodes=1, rtol=1e-12)).ntk(two(0.3))
    assert caught.value.reached is not None
    assert 1e-12 < caught.value.reached < 1


@pytest.mark.parametrize("size", [1e20, 1e100])
@pytest.mark.parametrize("name", ["softplus", "gelu", "elu"])
def test_a_norm_that_is_out_of_reach_raises_instead_of_a_wrong_number(name: str, size: float) -> None:
    with pytest.raises((AccuracyError, ValueError)):
        NeuralODE(name).limit().ntk(size * two(0.3))


def test_a_norm_at_which_rounding_shows_raises() -> None:
    """For erf D is of the order of 1/|x|, at the mercy of the rounding of S = |x|² + O(1): 4e-10 of K_∞ at 1e8."""
    with pytest.raises(AccuracyError):
        NeuralODE("erf").limit().ntk(np.asarray([[1e8, 0.0]]))


@pytest.mark.parametrize("sigma_u", [30.0, 300.0])
def test_erf_at_a_large_variance_and_a_small_angle_is_right_or_refused(sigma_u: float) -> None:
    """The value at 300 is known from a Goursat solver in multiple precision: 165.0099171456787."""
    X, Y = np.asarray([[1.0, 0.0]]), np.asarray([[math.cos(2e-3), math.sin(2e-3)]])
    limit = NeuralODE("erf", sigma_u=sigma_u).limit()
    if sigma_u == 300:
        with pytest.raises(AccuracyError, match="double precision"):
            limit.ntk(X, Y)
    else:
        assert limit.ntk(X, Y).shape == (1, 1)


def test_what_the_variance_costs_erf_is_measured_by_the_accuracy_asked_for() -> None:
    """At the variance 9e4 double precision leaves 2e-11."""
    X, Y = np.asarray([[1.0, 0.0]]), np.asarray([[math.cos(2e-3), math.sin(2e-3)]])
    net = NeuralODE("erf", sigma_u=300.0)
    with pytest.raises(AccuracyError) as caught:
        net.limit(Gauss(rtol=1.9e-11)).ntk(X, Y)
    assert caught.value.reached == pytest.approx(9e4 * EPS, rel=0.01)
    found = net.limit(Gauss(rtol=1e-9)).ntk(X, Y)[0, 0]
    assert abs(found - 165.0099171456787) <= 1e-9 * net.limit(Gauss(rtol=1e-9)).ntk(X)[0, 0]


@pytest.mark.parametrize(
    ("net", "solver", "size"),
    [
        (NeuralODE("quadratic", 1e-6), None, 1e4),  # a polynomial has no scale of its own
        (NeuralODE("erf"), Gauss(8, 1), 1e5),  # a given scheme promises nothing
        (NeuralODE("gelu", 1e-4), None, 100.0),  # nearly linear at ±∞: eps √S matters, not eps S
    ],
    ids=["polynomial", "given", "nearly linear"],
)
def test_a_large_variance_is_no_obstacle_where_it_costs_no_digits(net: NeuralODE, solver: Any, size: float) -> None:
    assert np.isfinite(net.limit(solver).ntk(size * two(0.3))).all()


@pytest.mark.parametrize("unit", [2.0**-20, 1.0, 2.0**20])
def test_two_schemes_are_as_far_apart_as_their_kernels_in_units_of_the_diagonal(unit: float) -> None:
    pairs = Pairs(np.asarray([1.0, 2.0]), np.asarray([0]), np.asarray([1]), np.asarray([0.3]))

    def kernels(ntk: float, nngp: float, *diagonal: float) -> Kernels:
        return Kernels(*(unit * np.asarray(part) for part in ([ntk], [nngp], diagonal, (1.0, 1.0))))

    # 0.04 + 0.02 of √(4 · 9) in either direction, and 0.09 of 9.09.
    fine = kernels(0.56, 0.22, 4.0, 9.0)
    assert distance(np, pairs, kernels(0.52, 0.2, 4.0, 9.0), fine) == pytest.approx(0.01, rel=64 * EPS)
    assert distance(np, pairs, kernels(0.6, 0.24, 4.0, 9.0), fine) == pytest.approx(0.01, rel=64 * EPS)
    assert distance(np, pairs, fine, kernels(0.56, 0.22, 4.0, 9.09)) == pytest.approx(0.09 / 9.09, rel=64 * EPS)


@pytest.mark.parametrize("name", ["erf", "elu"])
def test_kernels_of_tiny_inputs_scale_with_them_or_are_refused(name: str) -> None:
    """For |x| → 0 beside a fixed x̄ the kernel is linear in |x|: φ(h(x)) − φ(0) is."""
    limit, y = NeuralODE(name).limit(), 3 * two(0.3)[1:]
    one, other = (limit.ntk(np.asarray([[size, 0.0]]), y)[0, 0] / size for size in (1e-8, 1e-60))
    assert one == pytest.approx(other, rel=1e-7)
    with pytest.raises(ValueError, match="norm 0 or above 1e-70"):
        limit.ntk(np.asarray([[1e-100, 0.0]]), y)


def test_a_variance_that_only_grows_is_out_of_reach_and_does_not_blow_up() -> None:
    """φ(z) = z without its constants: nothing tells it from a function that grows faster."""
    own = Activation(lambda z: 1 * z, np.ones_like, name="own identity")
    with pytest.raises(AccuracyError, match=r"the equation of S\^{t,s} was not solved up to T = 130"):
        NeuralODE(own, horizon=130).limit().ntk(np.ones((1, 1)))


# ---------------------------------------------------------------------------------------------- blow-up

QUADRATIC_BLOW_UP = (
    1.9302  # ± 0.0002, T* at σ_w σ_u |x| = 1: 64 nodes a step reach 1.92575, 1.92788, 1.92900 on 1, 2, 4 steps
)


@given(st.floats(0.5, 2), st.floats(0.5, 2), st.floats(0.5, 2), st.floats(1.05, 5))
@settings(max_examples=4)
def test_the_quadratic_limit_blows_up_at_its_time(sigma_u: float, sigma_w: float, norm: float, beyond: float) -> None:
    blow_up = QUADRATIC_BLOW_UP / (sigma_w * sigma_u * norm)
    net = NeuralODE("quadratic", beyond * blow_up, sigma_u=sigma_u, sigma_w=sigma_w)
    with pytest.raises(BlowUpError, match="escapes to infinity") as caught:
        net.limit().ntk(norm * np.asarray([[0.6, 0.8], [0.0, 0.1]]))
    assert 0.98 * blow_up <= caught.value.time <= 1.0001 * blow_up


def test_the_blow_up_time_has_the_unit_of_time() -> None:
    """In powers of 2 every step of the bisection is the same."""
    times = []
    for scale in (1.0, 2.0**-20):
        with pytest.raises(BlowUpError) as caught:
            NeuralODE("quadratic", 3 * scale, sigma_w=1 / scale).limit().ntk(np.asarray([[0.6, 0.8]]))
        times.append(caught.value.time / scale)
    assert times[0] == times[1]


def test_a_resnet_of_quadratic_activations_with_many_layers_blows_up_and_says_when() -> None:
    """With steps of length T/L its variance is below that of the ODE, but not for long."""
    with pytest.raises(BlowUpError, match=r"escapes to infinity near t = .*, before T = 30$") as caught:
        NeuralODE("quadratic", 30.0).limit(Euler(40)).ntk(np.asarray([[0.6, 0.8]]))
    followed = caught.value.time
    # The kernel is of the order of the fourth power of the variance before the last layer: at 0.99 it overflows.
    below, beyond = (NeuralODE("quadratic", factor * followed).limit(Euler(40)) for factor in (0.98, 1.01))
    assert np.isfinite(below.nngp(np.asarray([[0.6, 0.8]]))).all()
    with pytest.raises((AccuracyError, BlowUpError)):
        beyond.nngp(np.asarray([[0.6, 0.8]]))


@pytest.mark.parametrize(("share", "reason"), [(0.9975, "differ by"), (0.9995, "escapes so near T = 1.92923 that")])
def test_just_below_the_blow_up_time_the_quadratic_limit_is_out_of_reach_and_not_gone(
    share: float, reason: str
) -> None:
    with pytest.raises(AccuracyError, match=reason):
        NeuralODE("quadratic", share * QUADRATIC_BLOW_UP).limit().ntk(np.asarray([[0.6, 0.8]]))


@pytest.mark.parametrize(
    ("horizon", "truth"),
    [(1.5, None), (1.8, None), (1.85, 391898.1605217), (1.9, 24963053.7112)],
)
def test_below_the_blow_up_time_the_quadratic_limit_exists(horizon: float, truth: float | None) -> None:
    """Above that it may be too steep for the tolerance, but it does not blow up; 256 nodes have it to 12 digits."""
    net, X = NeuralODE("quadratic", horizon), two(1.0)
    fine = kernel(net, X, Gauss(nodes=16, steps=16))
    assert truth is None or fine == pytest.approx(truth, rel=1e-11)
    try:
        found = kernel(net, X)
    except AccuracyError:
        assert horizon > 1.82
    else:
        assert found == pytest.approx(fine, rel=1e-11)


def test_a_resnet_of_quadratic_activations_is_finite_beyond_the_blow_up_time() -> None:
    net = NeuralODE("quadratic", horizon=2.5)
    assert kernel(net, two(0.3), Euler(3)) == pytest.approx(resnet_recursion(net, 3, 1.0, 0.3, 1.0), rel=1e-11)


def test_an_activation_of_unknown_lipschitz_constant_does_not_blow_up() -> None:
    own = Activation(np.sin, np.cos, name="own sine", parity="odd")
    assert own.lipschitz == math.inf
    with pytest.raises(AccuracyError):
        NeuralODE(own, horizon=20.0).limit().ntk(two(0.3))


# --------------------------------------------------------------------------------- dtypes, libraries, errors


@pytest.mark.parametrize("name", ["softplus", "erf", "relu"])
def test_single_precision_is_the_rounded_double_result(name: str) -> None:
    X = two(0.3, 1.0, 0.5).astype(np.float32)
    limit = NeuralODE(name).limit()
    for function in (limit.ntk, limit.nngp):
        found = function(X)
        assert found.dtype == np.float32
        np.testing.assert_array_equal(found, function(X.astype(float)).astype(np.float32))
        assert function(X, X.astype(float)).dtype == np.float64
    fields = limit.fields(*X)
    assert {getattr(fields, field.name).dtype for field in dataclasses.fields(fields)} == {np.dtype(np.float32)}


@pytest.mark.parametrize("dtype", [np.int64, np.int8, np.uint8])
def test_integers_count_as_double_precision(dtype: Any) -> None:
    X = np.asarray([[1, 0], [1, 1]], dtype)
    found = NeuralODE("erf").limit().ntk(X)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, NeuralODE("erf").limit().ntk(X.astype(float)))


@pytest.mark.parametrize(("name", "N"), [("erf", 3), ("erf", MANY), ("relu", 3), ("relu", MANY), ("softplus", 3)])
def test_every_library_gives_the_same_kernels_in_its_own_kind(xp: Any, name: str, N: int) -> None:
    X = sphere(N, 2, seed=4)
    X[2] = X[1]
    ours, limit = xp.asarray(X), NeuralODE(name).limit()
    pairs = [(limit.ntk(ours), limit.ntk(X)), (limit.ntk(ours[:2, :], ours), limit.ntk(X[:2], X))]
    pairs += [(limit.nngp(ours), limit.nngp(X)), (limit.ntk(ours[:0, :]), limit.ntk(X[:0]))]
    if N == 3:
        fields, expected = limit.fields(ours[0, :], ours[1, :]), limit.fields(X[0], X[1])
        pairs += [(getattr(fields, f.name), getattr(expected, f.name)) for f in dataclasses.fields(fields)]
    for found, truth in pairs:
        assert type(found) is type(ours)
        assert found.dtype == xp.float64
        assert_within(to_host(found), truth, 1e-13, max(1.0, np.max(np.abs(truth), initial=0.0)))


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_every_library_gives_the_same_limit_of_a_resnet(xp: Any, name: str) -> None:
    limit, X = NeuralODE(name).limit(Euler(4)), two(0.3, 1.0, 0.5)
    truth, expected = limit.ntk(X), limit.fields(*X)
    fields = limit.fields(*(xp.asarray(x) for x in X))
    assert_within(to_host(limit.ntk(xp.asarray(X))), truth, 1e-13, scale_of(truth))
    for field in dataclasses.fields(expected):
        np.testing.assert_allclose(to_host(getattr(fields, field.name)), getattr(expected, field.name), rtol=1e-13)


@pytest.mark.parametrize("solver", [None, Gauss(6, 1), Euler(4)], ids=repr)
@pytest.mark.parametrize("name", ["erf", "relu", "softplus"])
def test_limits_are_on_the_device_of_the_inputs(name: str, solver: Any) -> None:
    strict = pytest.importorskip("array_api_strict")
    device, limit = strict.Device("device1"), NeuralODE(name).limit(solver)
    X = strict.asarray(two(0.3, 1.0, 0.5), device=device)
    fields = limit.fields(X[0, :], X[1, :])
    found = [limit.ntk(X), limit.nngp(X, X[:1, :]), limit.ntk(X[:0, :])]
    found += [getattr(fields, field.name) for field in dataclasses.fields(fields)]
    assert {array.device for array in found} == {device}


@pytest.mark.parametrize("name", ["erf", "relu"])
def test_kernels_off_the_curve_are_on_the_device_of_the_inputs(name: str) -> None:
    strict = pytest.importorskip("array_api_strict")
    device, rows = strict.Device("device1"), sphere(MANY, 2, seed=4)
    found = NeuralODE(name).limit().ntk(strict.asarray(rows, device=device))
    assert found.device == device


@pytest.mark.parametrize(
    ("X", "X2", "error", "message"),
    [
        (np.ones(2), None, ValueError, r"X\[None\]"),
        (np.ones((1, 2)), np.ones(2), ValueError, r"X2\[None\]"),
        (np.ones((1, 2)), np.ones((1, 3)), ValueError, r"X2 must have d = 2 columns like X, got shape \(1, 3\)"),
        (np.ones((1, 0)), None, ValueError, "d ≥ 1"),
        (np.ones((1, 2, 3)), None, ValueError, r"\(N, d\)"),
        (np.asarray([[np.nan, 1.0]]), None, ValueError, "X must be finite"),
        (np.ones((1, 2)), np.asarray([[np.inf, 1.0]]), ValueError, "X2 must be finite"),
        (np.ones((1, 2), complex), None, TypeError, "X must hold float64, float32 or integers, got dtype complex128"),
        (np.ones((1, 2)), np.ones((1, 2), complex), TypeError, "X2 must hold"),
        (np.ones((1, 2), bool), None, TypeError, "got dtype bool"),
        (np.ones((1, 2), np.float16), None, TypeError, "got dtype float16"),
        ([[1.0, 2.0]], None, TypeError, "X must come from"),
        (np.ones((1, 2)), [[1.0, 2.0]], TypeError, "X2 must come from"),
        (1e160 * np.ones((1, 2)), None, ValueError, "norm below"),
        (np.ones((1, 2)), 1e160 * np.ones((1, 2)), ValueError, "norm below"),
    ],
)
def test_bad_inputs_raise_and_are_named(X: Any, X2: Any, error: type[Exception], message: str) -> None:
    for name in ("erf", "relu"):
        limit = NeuralODE(name).limit()
        for function in (limit.ntk, limit.nngp):
            with pytest.raises(error, match=message):
                function(X, X2)


def test_arrays_of_different_libraries_raise() -> None:
    strict = pytest.importorskip("array_api_strict")
    with pytest.raises(TypeError, match="mixture"):
        NeuralODE("erf").limit().ntk(np.ones((1, 2)), strict.ones((1, 2)))
    with pytest.raises(TypeError, match="mixture"):
        NeuralODE("erf").limit().fields(np.ones(2), strict.ones(2))


@pytest.mark.parametrize(
    ("net", "X"),
    [
        (NeuralODE("quadratic"), 1e100 * np.ones((1, 2))),
        (NeuralODE("erf", sigma_u=1e10), 1e149 * np.ones((1, 2))),
        (NeuralODE("relu", sigma_u=1e160), np.ones((1, 2))),
        (NeuralODE("erf", sigma_v=1e160), np.ones((1, 2))),
        (NeuralODE("erf", sigma_w=1e160), np.ones((1, 2))),
    ],
)
def test_what_overflows_raises_without_a_warning_or_nan(net: NeuralODE, X: Any) -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        net.limit().ntk(X)


@pytest.mark.parametrize(
    ("solver", "error", "message"),
    [
        (refimpl.SolveIVP(), TypeError, "solver must be Gauss, Euler or None"),
        (Gauss, TypeError, "solver must be"),
        ("gauss", TypeError, "solver must be"),
        (Euler(3, shared=False), ValueError, "shared weights"),
    ],
)
def test_another_solver_raises(solver: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NeuralODE().limit(solver)


@pytest.mark.parametrize(
    ("x", "x2", "error", "message"),
    [
        (np.ones((1, 2)), np.ones(2), ValueError, r"x must have shape \(d,\), got \(1, 2\)"),
        (np.ones(2), np.ones((1, 2)), ValueError, r"x2 must have shape \(d,\)"),
        (np.ones(2), np.ones(3), ValueError, "x2 must have d = 2 columns like x"),
        (np.asarray([np.nan, 1]), np.ones(2), ValueError, "x must be finite"),
        (np.ones(2, complex), np.ones(2), TypeError, "x must hold"),
        ([1.0], np.ones(1), TypeError, "x must come from"),
    ],
)
def test_bad_inputs_of_fields_raise_and_are_named(x: Any, x2: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        NeuralODE("erf").limit().fields(x, x2)


def test_limits_are_values() -> None:
    net = NeuralODE("erf")
    assert net.limit() == Limit(net)
    assert net.limit(Euler(2)) == net.limit(Euler(2)) != net.limit(Euler(3))
    assert hash(net.limit()) == hash(Limit(net))
