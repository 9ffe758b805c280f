"""Solutions that escape to infinity, and those that only look like it.

One neuron with φ = z²/2 is ḣ = s h²/2: h(t) = h₀ / (1 − s h₀ t/2) escapes at 2/(s h₀), s = σ_w W.
"""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import block_diag

from refimpl import AccuracyError, Activation, BlowUpError, Euler, Gauss, KinkEvents, NeuralODE, Params, SolveIVP
from refimpl.finite.escape import GROWTH, feeds_itself, remaining, shrinks, time_scale
from refimpl.finite.ivp import _growth

SETTLING = [
    SolveIVP(), SolveIVP("RK45"), SolveIVP("RK23", rtol=1e-6), SolveIVP("Radau", rtol=1e-7), SolveIVP("BDF", rtol=1e-8),
    Gauss(), Gauss(nodes=8), Gauss(steps=8), Gauss(8, 4), Gauss(2, 16), Gauss(1, 1),
]  # fmt: skip


def one_neuron(w=1.0, u=1.0):
    return Params(np.asarray([[u]]), np.asarray([[w]]), np.ones(1))


def is_just_before(time, escape):
    """A lower estimate of the time of escape, up to the error of the solution itself."""
    return (1 - 1e-2) * escape < time < (1 + 1e-4) * escape


def call(net, theta, X, solver, method):
    arguments = {
        "predict": (),
        "ntk": (),
        "trajectory": (np.asarray([0.0, net.horizon]),),
        "gradient": (np.zeros(len(X)),),
    }
    return getattr(net, method)(theta, X, *arguments[method], solver=solver)


@pytest.mark.parametrize("solver", SETTLING, ids=str)
@pytest.mark.parametrize("method", ["predict", "gradient", "ntk", "trajectory"])
def test_escape_to_infinity_raises_with_the_time_it_happens(solver, method):
    net, theta = NeuralODE("quadratic", horizon=3.0, sigma_w=0.8), one_neuron(w=1.1, u=1.5)
    escape = 2 / (0.8 * 1.1 * 1.5)
    with pytest.raises(BlowUpError) as caught:
        call(net, theta, np.ones((1, 1)), solver, method)
    assert is_just_before(caught.value.time, escape)
    assert str(net.horizon)[0] in str(caught.value)


@pytest.mark.parametrize("method", ["predict", "gradient"])
def test_escape_beyond_a_kink_that_is_located(method):
    """ḣ = 1 from −1/2 to 0, and then ḣ = 1 + h²/2, of which h = √2 tan(t/√2) is the solution from 0 on."""
    phi = Activation(lambda z: 1 + np.maximum(z, 0) ** 2 / 2, lambda z: np.maximum(z, 0), name="own", kinks=(0.0,))
    net, theta = NeuralODE(phi, horizon=5.0), one_neuron(u=-0.5)
    with pytest.raises(BlowUpError) as caught:
        call(net, theta, np.ones((1, 1)), KinkEvents(rtol=1e-8), method)
    assert is_just_before(caught.value.time, 0.5 + np.pi / 2**0.5)


def test_lsoda_on_a_solution_that_escapes_raises_instead_of_stepping_for_ever():
    program = """
import numpy as np, refimpl
theta = refimpl.Params(np.ones((1, 1)), np.ones((1, 1)), np.ones(1))
try:
    refimpl.NeuralODE("quadratic", horizon=3.0).predict(theta, np.ones((1, 1)), refimpl.SolveIVP("LSODA"))
except refimpl.BlowUpError as error:
    assert abs(error.time - 2) < 1e-3, error.time
else:
    raise AssertionError("no error")
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], check=True, timeout=20)


@settings(max_examples=12)
@given(
    st.sampled_from([SolveIVP(), Gauss(), Gauss(8, 4)]),
    st.floats(0.3, 3.0), st.floats(0.3, 3.0), st.floats(1.05, 4.0),
)  # fmt: skip
def test_the_time_of_escape_is_reached_within_a_hundredth_and_not_passed(solver, w, u, late):
    escape = 2 / (w * u)
    with pytest.raises(BlowUpError) as caught:
        NeuralODE("quadratic", horizon=late * escape).predict(one_neuron(w, u), np.ones((1, 1)), solver)
    assert is_just_before(caught.value.time, escape)


@settings(max_examples=25)
@given(
    st.sampled_from([SolveIVP(), SolveIVP("Radau", rtol=1e-8), Gauss(), Gauss(steps=64)]),
    st.floats(0.3, 3.0), st.floats(-3.0, 3.0), st.floats(0.1, 0.95),
)  # fmt: skip
def test_a_quadratic_network_that_does_not_escape_before_the_horizon_is_solved(solver, w, u, part):
    horizon = part * 2 / (w * max(abs(u), 0.1))
    try:
        f = NeuralODE("quadratic", horizon=horizon).predict(one_neuron(w, u), np.ones((1, 1)), solver)
    except AccuracyError:
        # One Gauss step in 64 may be too long for its stages close to the escape, and says so.
        assert solver == Gauss(steps=64)
        return
    h = u / (1 - w * u * horizon / 2)
    # A relative error ε of h grows by the factor 1/(1 − part).
    rtol = solver.rtol if isinstance(solver, SolveIVP) else 1e-12
    np.testing.assert_allclose(f, [h * h / 2], rtol=200 * rtol / (1 - part) ** 2, atol=1e-10)


@pytest.mark.parametrize("solver", [SolveIVP(), Gauss(), Gauss(8, 4)], ids=str)
def test_one_escaping_sample_is_found_among_many_that_do_not(solver):
    X = np.full((20, 1), 0.1)
    X[13] = 1.0
    with pytest.raises(BlowUpError) as caught:
        NeuralODE("quadratic", horizon=3.0).predict(one_neuron(), X, solver)
    assert is_just_before(caught.value.time, 2.0)


@pytest.mark.parametrize("seed", range(6))
def test_solvers_agree_on_whether_and_when_a_random_quadratic_network_escapes(seed):
    net = NeuralODE("quadratic", horizon=2.5)
    theta = net.init(width=12, dim=3, seed=seed)
    X = np.random.default_rng(seed).standard_normal((3, 3))

    def outcome(solver):
        try:
            return "solved", net.predict(theta, X, solver)
        except BlowUpError as error:
            return "escapes", np.asarray([error.time])

    (kind, one), (other_kind, other) = outcome(SolveIVP()), outcome(Gauss())
    assert kind == other_kind
    np.testing.assert_allclose(one, other, rtol=1e-7 if kind == "solved" else 1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_the_time_of_escape_does_not_depend_on_the_scheme_that_failed(seed):
    """What a coarse scheme made of h before it failed does not enter."""
    rng = np.random.default_rng(seed)
    theta = Params(rng.normal(size=(4, 1)), rng.normal(size=(4, 4)), rng.normal(size=4))
    net, times = NeuralODE("quadratic", horizon=30.0), []
    for solver in (SolveIVP(), Gauss(), Gauss(4, 1), Gauss(1, 8)):
        with pytest.raises(BlowUpError) as caught:
            net.predict(theta, np.ones((1, 1)), solver)
        times.append(caught.value.time)
    np.testing.assert_allclose(times, times[0], rtol=1e-9)
    # Nothing escapes before that time: a scheme that fails must not say so.
    with pytest.raises(AccuracyError, match=r"^(?!.*escapes)"):
        NeuralODE("quadratic", horizon=(1 - 1e-4) * times[0]).predict(theta, np.ones((1, 1)), Gauss(1, 1))


@pytest.mark.parametrize("method", ["predict", "gradient", "ntk", "trajectory"])
def test_a_resnet_that_overflows_raises_with_the_last_layer_time_that_is_finite(method):
    net, theta, depth = NeuralODE("quadratic", horizon=4.0), one_neuron(), 4000
    h, layer = 1.0, 0
    while h + (step := 4.0 / depth) * h * h / 2 < 1e308:
        h, layer = h + step * h * h / 2, layer + 1
    with pytest.raises(BlowUpError) as caught:
        call(net, theta, np.ones((1, 1)), Euler(depth), method)
    assert abs(caught.value.time - layer * step) <= 1.01 * step


@pytest.mark.parametrize("scheme", [Gauss(4, 1), Gauss(24, 1)])
def test_a_step_too_long_for_its_stages_says_so_and_asks_for_more_steps(scheme):
    net = NeuralODE("tanh", horizon=200.0)
    theta = net.init(width=8, dim=2, seed=0)
    with pytest.raises(AccuracyError, match="more steps"):
        net.predict(theta, np.ones((1, 2)), scheme)


def test_gauss_follows_a_long_horizon_by_taking_more_steps():
    net = NeuralODE("tanh", horizon=12.0)
    theta = net.init(width=8, dim=2, seed=0)
    X = np.asarray([[1.0, -0.5], [0.2, 0.1]])
    np.testing.assert_allclose(
        net.predict(theta, X, Gauss()), net.predict(theta, X, SolveIVP(rtol=1e-12, atol=1e-14)), rtol=1e-8
    )


# --- growth that is no escape ---------------------------------------------------------------------------------------


def chain_of_squares(n):
    """ḣ_1 = 0 and ḣ_{k+1} ∝ h_k²: polynomials in t of the degrees 0, 1, 3, 7, …, with h_{k+1}(1) = 10^k."""
    W, degree, size = np.zeros((n, n)), 0, 1.0
    for k in range(n - 1):
        W[k + 1, k] = 20 * (2 * degree + 1) / size
        size, degree = 10 * size, 2 * degree + 1
    return Params(np.eye(n)[:, :1], W * n**0.5, np.eye(n)[-1] * n**0.5), size**2 / 2


@pytest.mark.parametrize("solver", [SolveIVP(), Gauss()], ids=str)
def test_a_steep_polynomial_in_time_is_no_escape(solver):
    theta, exact = chain_of_squares(15)
    try:
        found = NeuralODE("quadratic").predict(theta, np.ones((1, 1)), solver)
    except AccuracyError:
        assert isinstance(solver, Gauss)
    else:
        np.testing.assert_allclose(found, [exact], rtol=1e-8)


@pytest.mark.parametrize("solver", [SolveIVP(), Gauss()], ids=str)
def test_exponential_growth_of_an_activation_of_unknown_constants_is_no_escape(solver):
    net = NeuralODE(Activation(lambda z: 1 * z, np.ones_like, name="own identity"))
    np.testing.assert_allclose(net.predict(one_neuron(40.0), np.ones((1, 1)), solver), [np.exp(40.0)], rtol=1e-8)


@pytest.mark.parametrize("part", [1 - 1e-7, 1 - 3e-7])
def test_a_solution_that_escapes_just_after_the_horizon_is_not_said_to_escape_before(part):
    x, theta, net = np.ones((1, 1)), one_neuron(2 * part), NeuralODE("quadratic")
    with pytest.raises(AccuracyError):
        net.predict(theta, x, Gauss())
    found = net.predict(theta, x, SolveIVP(rtol=1e-13, atol=1e-14))
    # f = ½/(1 − part)², and an error of 1e-13 in each of 1e3 steps is 1e-3 of 1 − part
    np.testing.assert_allclose(found, [1 / (1 - part) ** 2 / 2], rtol=0.05)


def test_a_lipschitz_activation_that_overflows_is_out_of_reach_and_no_escape():
    with pytest.raises(AccuracyError, match="overflows float64"):
        NeuralODE("identity").predict(one_neuron(3000.0), np.ones((1, 1)), Euler(1000))


@pytest.mark.parametrize("late", [1.0 + 1e-6, 1.001, 1.5])
def test_the_time_of_escape_that_gauss_reports_lies_before_the_escape_and_near_it(late):
    with pytest.raises(BlowUpError) as caught:
        NeuralODE("quadratic", horizon=late * 2).predict(one_neuron(), np.ones((1, 1)), Gauss())
    assert 2 * (1 - 1e-9) < caught.value.time <= 2 * (1 + 1e-11)


def relay(last):
    """Neurons of the degrees 0, 1, 3, …, 255 in t that take over from each other; h_10(1) = `last`, W nilpotent."""
    n = 10
    W = np.zeros((n, n))
    W[1, 0], W[2, 0] = 3e6, 1
    for j in range(2, 9):
        W[j + 1, j] = 2 * (2**j - 1)
    W[9] *= last
    return Params(np.asarray([[2**0.5]] + 9 * [[0.0]]), W * n**0.5, np.eye(n)[-1] * n**0.5 / last**2)


def test_neurons_that_take_over_from_each_other_are_no_escape():
    found = NeuralODE("quadratic").predict(relay(1e15), np.ones((1, 1)), SolveIVP(rtol=1e-12, atol=1e-14))
    np.testing.assert_allclose(found, [0.5], rtol=1e-6)  # the degree 255 multiplies errors of t


def tower(loops=0.0, beside=None):
    """h_k = s_k t^(2^k − 1) take over from each other: 3·10⁶ t, 10¹⁰ t^255, 10¹⁵ t^16383; every other s_k is 10⁻³.

    Two neurons may stand at 1 `beside` it, with these weights.
    """
    n, size, k = 15, np.full(15, 1e-3), np.arange(1, 15)
    size[[0, 1, 8, 14]] = 1, 3e6, 1e10, 1e15
    W, v, start = np.diag(loops * np.ones(n)), np.eye(n)[-1] / size[-1] ** 2, np.eye(n)[0]
    W[k, k - 1] = 2 * (2.0**k - 1) * size[1:] / size[:-1] ** 2
    if beside is not None:
        W, v, start = block_diag(W, beside), np.append(v, [0, 0]), np.append(start, [1, 1])
    return Params(start[:, None], W * len(v) ** 0.5, v * len(v) ** 0.5)


RESTING = {"stable": [[-1e5, 1e5], [0, 0]], "cancelling": [[1e5, -1e5], [1e5, -1e5]]}


@pytest.mark.parametrize(
    "theta", [tower(), tower(1e-30), *(tower(beside=W) for W in RESTING.values())],
    ids=["alone", "hardly looped", *RESTING],
)  # fmt: skip
def test_neurons_of_which_none_feeds_itself_are_no_escape_though_their_time_scale_shrinks(theta):
    found = NeuralODE("quadratic").predict(theta, np.ones((1, 1)), SolveIVP(rtol=1e-12, atol=1e-14))
    np.testing.assert_allclose(found, [0.5], rtol=1e-5)  # the degree 16383 multiplies errors of t
    with pytest.raises(AccuracyError, match="short enough"):
        NeuralODE("quadratic").predict(theta, np.ones((1, 1)), Gauss())


@pytest.mark.parametrize("solver", [SolveIVP(), Gauss()], ids=str)
@pytest.mark.parametrize("ratio", [1.0, 1e12])
@pytest.mark.parametrize("n", [2, 3, 5])
def test_neurons_that_feed_each_other_escape(n, ratio, solver):
    """h_1 = ratio^(1/3) h_2 and ḣ_1 = ratio^(2/3) h_1²/2 escape together; the other neurons rest at 0."""
    W, start = np.zeros((n, n)), np.zeros((n, 1))
    W[0, 1], W[1, 0], start[:2, 0] = ratio, 1.0, [ratio ** (1 / 3), 1.0]
    escape = 2 / ratio ** (2 / 3)
    with pytest.raises(BlowUpError) as caught:
        NeuralODE("quadratic", horizon=2 * escape).predict(
            Params(start, n**0.5 * W, np.ones(n)), np.ones((1, 1)), solver
        )
    np.testing.assert_allclose(caught.value.time, escape, rtol=1e-9)


def power(exponent):
    return Activation(lambda z: np.abs(z) ** exponent, lambda z: exponent * np.sign(z) * np.abs(z) ** (exponent - 1))


@pytest.mark.parametrize(("exponent", "gap"), [(1.35, 2e-5), (1.5, 3e-7), (2.0, 1e-7), (3.0, 1e-6)])
def test_what_escapes_just_after_the_horizon_is_solved_however_slowly_it_does(exponent, gap):
    """ḣ = h^a from 1: h = (1 − t/p)^(−p) with p = 1/(a − 1). f = h^a multiplies the error of t by a p/gap."""
    p = 1 / (exponent - 1)
    net = NeuralODE(power(exponent), horizon=p * (1 - gap))
    found = net.predict(one_neuron(), np.ones((1, 1)), SolveIVP(rtol=1e-12, atol=1e-14))
    np.testing.assert_allclose(found, [gap ** (-p * exponent)], rtol=100 * 1e-12 * p * exponent / gap)
    with pytest.raises(AccuracyError):
        net.predict(one_neuron(), np.ones((1, 1)), Gauss())


@pytest.mark.parametrize("solver", [SolveIVP(), Gauss()], ids=str)
@pytest.mark.parametrize("exponent", [1.5, 2.0, 3.0, 5.0])
def test_powers_escape_when_they_have_to(exponent, solver):
    escape = 1 / (exponent - 1)
    with pytest.raises(BlowUpError) as caught:
        NeuralODE(power(exponent), horizon=2 * escape).predict(one_neuron(), np.ones((1, 1)), solver)
    np.testing.assert_allclose(caught.value.time, escape, rtol=2 * 1e12 ** (1 - exponent) + 1e-9)


def test_the_time_that_remains_is_that_of_the_power_that_scales_shrink_with():
    for p in (0.5, 1.0, 2.0):
        scales = [growth ** (-1 / p) for growth in GROWTH]
        assert remaining(scales, 0.3) == pytest.approx(0.3 * p, rel=1e-12)


@pytest.mark.parametrize(
    ("W", "fed"),
    [
        ([[1.0]], True),  # spectral radius 1
        ([[0.49]], False),
        ([[0.51]], True),
        ([[0.0, 1e9], [0.0, 0.0]], False),
        ([[0.0, 1e9], [1e-9, 0.0]], True),
        ([[0.0, 1e9], [1e-11, 0.0]], False),
        ([[0.0, 1.0], [-1.0, 0.0]], True),  # of |J|
        ([[0.0, 1e9, 0.0], [0.0, 0.0, 1.0], [1e-9, 0.0, 0.0]], True),
        ([[np.inf]], True),
    ],
)
def test_a_cycle_has_to_multiply_by_more_than_a_half_in_the_time_scale(W, fed):
    W = np.asarray(W)
    n = len(W)
    assert feeds_itself(np, 4 * W, -np.ones(n) / 2, -np.ones(n), 0.5) is fed
    assert feeds_itself(np, W, np.ones(n), np.ones(n), 0.0)  # a time scale that underflows


def test_neurons_that_hardly_move_do_not_count():
    W, slope = np.diag([1.0, 0.1]), np.ones(2)
    assert feeds_itself(np, W, slope, np.array([1.1e-9, 1.0]), 1.0)
    assert not feeds_itself(np, W, slope, np.array([0.9e-9, 1.0]), 1.0)


def test_a_rate_too_large_to_be_followed_is_said_to_be_so():
    """h_2 = c t and h_3 = c² t³/6 with c = 1e61: trial steps are clipped at 1e120, and so would the solution be."""
    W = np.asarray([[0, 0, 0], [1e61, 0, 0], [0, 1, 0]]) * 3**0.5
    theta = Params(np.asarray([[2**0.5], [0], [0]]), W, np.asarray([0, 0, 1e-200]))
    with pytest.raises(AccuracyError, match="not followed"):
        NeuralODE("quadratic").predict(theta, np.ones((1, 1)), SolveIVP())


@pytest.mark.parametrize("solver", [SolveIVP(), Gauss(), Gauss(8, 200), Euler(2000)], ids=str)
def test_a_linear_activation_of_unknown_constants_never_escapes(solver):
    net = NeuralODE(Activation(lambda z: 1 * z, np.ones_like, name="own identity"))
    for w in (290.0, 705.0, 1500.0):
        try:
            found = net.predict(one_neuron(w), np.ones((1, 1)), solver)
        except AccuracyError:
            continue
        if not isinstance(solver, Euler):
            np.testing.assert_allclose(np.log(found), [w], rtol=1e-8)


def test_the_time_scale_is_size_over_speed_and_infinite_at_rest():
    h = np.asarray([[3.0, -5.0]])
    assert time_scale(np, 1.0, h, np.asarray([[2.0, -4.0]])) == 6 / 4
    assert time_scale(np, 1.0, h, np.zeros((1, 2))) == np.inf


def test_a_scale_has_to_shrink_tenfold_from_each_look_to_the_next():
    assert shrinks([1.0, 0.09, 0.008])
    assert not shrinks([1.0, 0.11, 0.001])
    assert not shrinks([1.0, 0.09, 0.0091])
    assert not shrinks([1.0, 0.09])
    assert not shrinks([])


def test_growth_is_counted_from_one_more_than_the_start_and_ends_at_the_last_factor():
    events = _growth(np.asarray([-3.0, 2.0]))
    assert [event.terminal for event in events] == [False, False, True]
    for event, factor in zip(events, GROWTH, strict=True):
        assert event(0.0, np.asarray([0.0, -4.0 * factor])) == 0
        assert event(0.0, np.asarray([0.0, 0.0])) == 4 * factor
