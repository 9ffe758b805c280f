"""Located crossings: closed forms, the exact flow of piecewise linear networks, and what cannot be decided."""

from __future__ import annotations

import math

import array_api_strict
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.linalg import expm

import refimpl
from refimpl import AccuracyError, Activation, BlowUpError, Euler, KinkEvents, NeuralODE, Params, SolveIVP
from refimpl.activations import elu, leaky_relu, relu
from refimpl.data import sphere
from refimpl.finite import kinks
from refimpl.finite.approach import first_root
from refimpl.finite.branches import Branches
from refimpl.finite.kinks import EPS, follow
from tests import formulas
from verification.statements._piecewise_linear import gradient_by_expm

PIECEWISE_LINEAR = ("relu", "leaky_relu")

# φ(z) = z on [−1, 1], with half the slope outside
bent = Activation(
    phi=lambda z: np.clip(z, -1, 1) + (z - np.clip(z, -1, 1)) / 2,
    dphi=lambda z: np.where(np.abs(z) > 1, 0.5, 1.0).astype(z.dtype),
    name="bent",
    lipschitz=1.0,
    kinks=(-1.0, 1.0),
    parity="odd",
)


def scalar(activation, horizon, w, u):
    """A network of one neuron: h_0 = u at x = 1, ḣ = w φ(h), f = φ(h_T)."""
    net = NeuralODE(activation, horizon=horizon)
    return net, Params(np.array([[u]]), np.array([[w]]), np.ones(1)), np.ones((1, 1))


def steered(h0, rates):
    """W for which h_2 = 1 stays, h_1 = t, and ḣ_0 = rates[0] + rates[1] t, with its start; shape (3, 3) and (3,)."""
    W = np.zeros((3, 3))
    W[0, 2], W[0, 1], W[1, 2] = rates[0], rates[1], 1.0
    return W, np.array([h0, 0.0, 1.0])


def path_of(activation, W, start, horizon, rtol=1e-12):
    return follow(Branches(activation), W, np.asarray(start, dtype=float), horizon, rtol)


def attempted(compute):
    """What is computed and "", or None and why it was refused."""
    try:
        return compute(), ""
    except AccuracyError as error:
        return None, str(error)


# --- closed forms -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1.0, -1.0])
@given(w=st.floats(0.2, 2.0), u=st.floats(0.2, 0.9))
def test_one_neuron_that_crosses_has_a_closed_form(sign, w, u):
    """h = u e^{wt} up to 1, then 1 + h = 2 e^{w(t − t₁)/2}: f = e^{wT/2} √u, so λ_0 = f/(2u) and ∂f/∂w = f T/2."""
    horizon = math.log(1 / u) / w + 0.7  # 0.7 after the crossing
    net, theta, X = scalar(bent, horizon, w, sign * u)
    f = math.exp(w * horizon / 2) * math.sqrt(u)
    J = net.jacobian(theta, X, KinkEvents(rtol=1e-12))
    assert net.predict(theta, X, KinkEvents(rtol=1e-12))[0] == pytest.approx(sign * f, rel=1e-12)
    assert J.U.item() == pytest.approx(f / (2 * u), rel=1e-12)
    assert J.W.item() == pytest.approx(sign * f * horizon / 2, rel=1e-12)


@pytest.mark.parametrize("activation", [relu, leaky_relu, elu], ids=lambda phi: phi.name)
def test_two_crossings_within_one_step_are_both_found(activation):
    depth = 1e-3  # h_0 = (t − 1)² − depth² is below zero for a time of 2e-3; every step is exact
    W, start = steered(1 - depth**2, (-2.0, 2.0))
    path = path_of(activation, W, start, 3.0)
    assert [crossing.neuron for crossing in path.crossings] == [0, 0]
    times = [crossing.time for crossing in path.crossings]
    assert times == pytest.approx([1 - depth, 1 + depth], abs=1e-11)
    assert [crossing.speed for crossing in path.crossings] == pytest.approx([-2 * depth, 2 * depth], abs=1e-10)
    assert path.end[0] == pytest.approx(4 - depth**2, rel=1e-12)


def test_neurons_that_cross_together_are_both_taken_over():
    W, start = np.zeros((3, 3)), [1.0, 1.0, 1.0]
    W[:2, 2] = -1.0
    path = path_of(relu, W, start, 2.0)
    assert sorted((crossing.neuron, round(crossing.time, 12)) for crossing in path.crossings) == [(0, 1.0), (1, 1.0)]
    assert path.end == pytest.approx([-1.0, -1.0, 1.0], abs=1e-12)


def test_a_kink_that_is_passed_at_once_is_no_crossing():
    W, start = steered(0.0, (0.5, 0.0))  # starts on the kink
    path = path_of(relu, W, start, 1.0)
    assert path.crossings == ()
    assert path.arcs[0].branch.tolist() == [1, 1, 1]
    W, start = steered(0.0, (-0.5, 0.0))
    assert path_of(relu, W, start, 1.0).arcs[0].branch.tolist() == [0, 1, 1]


# --- other roads --------------------------------------------------------------------------------------------------


def assert_exact(activation, seed):
    net = NeuralODE(activation, horizon=1.2, sigma_u=0.9, sigma_w=1.1, sigma_v=0.8)
    theta, X = net.init(50, 5, seed=seed), sphere(2, 5, seed=seed)
    J = net.jacobian(theta, X, KinkEvents())
    for i, x in enumerate(X):
        _, truth = gradient_by_expm(net, theta, x)
        row = Params(J.U[i], J.W[i], J.v[i])
        assert formulas.relative(row, Params(truth.U[0], truth.W[0], truth.v[0])) < 1e-9
    direction, step = formulas.like(theta, np.random.default_rng(seed)), 2e-3

    def slope(h):
        return (net.predict(theta + direction * h, X, FINE) - net.predict(theta - direction * h, X, FINE)) / (2 * h)

    differences = (4 * slope(step / 2) - slope(step)) / 3  # the error is of the order h⁴ = 2e-11
    assert np.linalg.norm(differences - J.apply(direction)) < 1e-9 * max(map(np.linalg.norm, J.W))


FINE = KinkEvents(rtol=1e-13)


@pytest.mark.parametrize("activation", PIECEWISE_LINEAR)
@pytest.mark.parametrize("seed", range(2))
def test_gradients_are_those_of_exponentials_and_of_central_differences(activation, seed):
    assert_exact(activation, seed)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 20))
def test_gradients_are_those_of_exponentials_and_of_central_differences_on_more_networks(seed):
    assert_exact("relu", seed)


@given(case=formulas.cases(activations=("relu", "leaky_relu", "elu"), n=(1, 6), N=(1, 3)))
def test_solutions_converge_to_those_of_an_adaptive_solver(case):
    J, refused = attempted(lambda: case.net.jacobian(case.theta, case.X, KinkEvents()))
    if refused:  # nothing is decided there
        assert "kink" in refused
        return
    other = case.net.jacobian(case.theta, case.X, SolveIVP(rtol=1e-12, atol=1e-14))
    for i in range(len(case.X)):
        row, expected = (Params(j.U[i], j.W[i], j.v[i]) for j in (J, other))
        if expected.norm() > 0:
            assert formulas.relative(row, expected) < 1e-4  # its steps over kinks cost it most of its digits


def test_without_kinks_it_is_an_adaptive_solver():
    case = formulas.make("softplus", n=12, horizon=2.0)
    mine = case.net.gradient(case.theta, case.X, case.y, KinkEvents(rtol=1e-12))
    assert formulas.relative(mine, case.net.gradient(case.theta, case.X, case.y, refimpl.Gauss())) < 1e-11


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_kernel_gradient_and_trajectory_come_from_one_solution(activation):
    case = formulas.make(activation, n=9, N=4, horizon=2.0)
    net, theta, X, y = case.net, case.theta, case.X, case.y
    J, solver = net.jacobian(theta, X, KinkEvents()), KinkEvents()
    flat = np.concatenate([block.reshape(len(X), -1) for block in (J.U, J.W, J.v)], axis=1)
    assert formulas.relative(net.ntk(theta, X, solver=solver), flat @ flat.T) < 1e-13
    residual = net.predict(theta, X, solver) - y
    assert formulas.relative(net.gradient(theta, X, y, solver), J.transpose_apply(residual)) < 1e-9
    path = net.trajectory(theta, X, np.array([0.0, 0.5, 2.0]), solver)
    assert formulas.relative(path.h[0], X @ theta.U.T) < 1e-14
    assert formulas.relative(path.adjoint[0][:, :, None] * X[:, None, :], J.U) < 1e-12


def test_rows_do_not_depend_on_their_batch():
    case = formulas.make("relu", n=9, N=4, horizon=2.0)
    together = case.net.jacobian(case.theta, case.X, KinkEvents())
    for i in range(4):
        alone = case.net.jacobian(case.theta, case.X[i : i + 1], KinkEvents())
        assert formulas.relative(alone.W[0], together.W[i]) < 1e-14


def test_a_solution_that_decays_keeps_its_digits():
    """ḣ = −h on the upper branch: e^{−T} is as accurate as 1 was."""
    net, theta, X = scalar(relu, 20.0, -1.0, 1.0)
    J = net.jacobian(theta, X, KinkEvents(rtol=1e-11))
    assert J.v.item() == pytest.approx(math.exp(-20.0), rel=1e-11)
    assert J.U.item() == pytest.approx(math.exp(-20.0), rel=1e-11)


def test_a_solution_that_starts_at_zero_and_stays_small_keeps_its_digits():
    """φ(z) = 1 + z down to −1, and ḣ = W (1 + h) with W 1 = (ε, 0)."""
    lifted = Activation(lambda z: relu.phi(1 + z), lambda z: relu.dphi(1 + z), lipschitz=1.0, kinks=(-1.0,))
    omega, small = 2.0**15, 2.0**-10
    W = np.array([[-omega, omega + small], [omega, -omega]])
    augmented = np.zeros((3, 3))
    augmented[:2] = np.column_stack([W, [small, 0.0]])
    truth = expm(1e-4 * augmented)[:2, 2]
    assert path_of(lifted, W, [0.0, 0.0], 1e-4, rtol=1e-6).end == pytest.approx(truth, rel=1e-5)


@pytest.mark.parametrize("activation", ["relu", "elu"])
def test_a_gauss_scheme_serves_where_no_jump_is_crossed(activation):
    """relu on one side of its kink; elu has no jump of φ' there, and may cross it."""
    W, start = steered(0.5, (-1.0 if activation == "elu" else 1.0, 0.0))
    start[1] = 0.5
    net, theta = NeuralODE(activation), Params(start[:, None], math.sqrt(3) * W, np.ones(3))
    found = net.jacobian(theta, np.ones((1, 1)), refimpl.Gauss(rtol=1e-4))
    assert formulas.relative(found.W, net.jacobian(theta, np.ones((1, 1)), KinkEvents()).W) < 1e-4


# --- what is not decided ------------------------------------------------------------------------------------------


def on_the_kink_at_the_end(activation):
    """h = (1 − t, t, 1) at x = 1, and T = 1."""
    W, start = steered(1.0, (-1.0, 0.0))
    return NeuralODE(activation), Params(start[:, None], math.sqrt(3) * W, np.ones(3)), np.ones((1, 1))


@pytest.mark.parametrize("activation", PIECEWISE_LINEAR)
def test_a_kink_at_the_end_leaves_the_gradient_undecided_and_the_output_not(activation):
    net, theta, X = on_the_kink_at_the_end(activation)
    assert net.predict(theta, X, KinkEvents())[0] == pytest.approx(2 / math.sqrt(3), rel=1e-12)
    with pytest.raises(AccuracyError, match="neuron 0 of input 0 is on the kink 0 at T"):
        net.jacobian(theta, X, KinkEvents())


def test_a_kink_away_from_0_at_the_end_is_named():
    net, theta, X = on_the_kink_at_the_end(bent)
    with pytest.raises(AccuracyError, match="neuron 1 of input 0 is on the kink 1 at T"):
        net.jacobian(theta, X, KinkEvents())


def test_a_kink_at_the_end_where_the_slope_is_continuous_does_no_harm():
    net, theta, X = on_the_kink_at_the_end("elu")
    J = net.jacobian(theta, X, KinkEvents())
    assert J.U[0, 0, 0] == pytest.approx(1 / math.sqrt(3), rel=1e-12)


@pytest.mark.parametrize("roundings", [0, 4, 16, 32, 64, 256])
def test_a_kink_within_rounding_of_the_end_is_passed_or_not(roundings):
    """The dense output of a step may see the crossing before T where its end does not."""
    W, start = steered(1.0, (-1.0, 0.0))
    horizon = 1 - roundings * EPS / 2
    assert path_of(relu, W, start, horizon).end[0] == pytest.approx(1 - horizon, abs=16 * EPS)


def test_a_kink_that_is_touched_is_decided_or_refused():
    W, start = steered(1.0, (-2.0, 2.0))  # h_0 = (t − 1)²
    path, refused = attempted(lambda: path_of(relu, W, start, 3.0))
    if refused:
        assert "neuron 0 touches the kink 0 near t = 1" in refused
        return
    assert path.end[0] == pytest.approx(4.0, rel=1e-12)
    assert not any(arc.branch[0] == 0 and np.ptp(arc.state.times) > 1e-6 for arc in path.arcs)


def dipping(depth):
    """h_0 = cosh(t − 1) − 1 − depth is below 0 for 2 arcosh(1 + depth) around t = 1; λ_3 = 1: λ_0(0) = ∫ φ'(h_0) dt."""
    W = np.diag([0.0, 1.0, -1.0, 0.0])
    W[0, 1:3], W[3, 0] = [math.exp(-1) / 2, -math.e / 2], 1.0
    theta = Params(np.array([[math.cosh(1) - 1 - depth], [1], [1], [0.5]]), 2 * W, np.array([0, 0, 0, 2.0]))
    return theta, 3.0 - 2 * math.acosh(1 + max(depth, 0.0))


@given(size=st.floats(-16, -3), sign=st.sampled_from([-1, 1]), digits=st.integers(4, 12))
def test_a_kink_that_is_almost_touched_is_decided_or_refused(size, sign, digits):
    theta, exact = dipping(sign * 10**size)
    net, solver = NeuralODE("relu", horizon=3.0), KinkEvents(rtol=10.0**-digits)
    J, refused = attempted(lambda: net.jacobian(theta, np.ones((1, 1)), solver))
    if refused:  # an error τ of h may hide a dip of 2 √(2τ), and shifts the ends of one by τ/√(2δ) each
        tau = 10 * 100 * EPS * math.exp(2)
        assert max(2 * math.sqrt(2 * tau), tau / math.sqrt(10**size / 2)) > 10.0**-digits
    else:
        data = 4 * EPS / math.sqrt(2 * max(10**size, EPS)) if sign > 0 else 0.0  # of which δ is rounded, to about 2 EPS
        assert abs(J.U[0, 0, 0] - exact) <= 10.0**-digits * np.linalg.norm(J.U[0]) + data
    assert net.predict(theta, np.ones((1, 1)), KinkEvents(rtol=1e-6))[0] > 0


def test_an_almost_touched_kink_of_which_too_much_depends_is_named():
    net, theta, X = NeuralODE("relu", horizon=3.0), dipping(1e-14)[0], np.ones((1, 1))
    with pytest.raises(
        AccuracyError, match=r"neuron 0 touches the kink 0 near t = 1: .* of the gradient dep"
    ) as caught:
        net.jacobian(theta, X, KinkEvents(rtol=1e-12))
    # τ is 10 local tolerances, of 100 EPS each, times a largest h of e at the touch up to e² at the end of its step
    low, high = (2 * math.sqrt(2 * 10 * 100 * EPS * math.exp(k)) for k in (1, 2))
    size = np.linalg.norm(net.jacobian(dipping(-0.1)[0], X, KinkEvents()).U)  # of λ_0, with Wᵀλ = 1 at the touch
    assert low < size * caught.value.reached < high


# φ(z) = max(z, −1)
floored = Activation(lambda z: np.maximum(z, -1), lambda z: np.where(z > -1, 1.0, 0.0), lipschitz=1.0, kinks=(-1.0,))


def test_a_touch_counts_by_what_is_left_of_the_adjoint_at_the_start():
    """λ_4 = e^(−60(T − t)) alone is of size 1 at the touch, and e^(−75) at 0; λ_0 comes from the touch, times 10⁻⁷."""
    W, start = np.zeros((4, 4)), [-1 - (math.cosh(1) - 1) + 1e-14, 1.0, 1.0, 1.0]
    W[0, 1:3], W[1, 1], W[2, 2], W[3] = [-math.exp(-1) / 2, math.e / 2], 1.0, -1.0, [1e-7, 0, 0, -60.0]
    theta = Params(np.asarray(start)[:, None], 2 * W, np.array([0, 0, 0, 2.0]))
    with pytest.raises(AccuracyError, match="neuron 0 touches the kink -1 near t = 1"):
        NeuralODE(floored, horizon=1.25).jacobian(theta, np.ones((1, 1)), KinkEvents(rtol=1e-10))


def test_an_error_of_a_state_that_has_decayed_is_still_there():
    """φ(z) = z² above 1, of which a transient from 1.5 leaves an error in h_0, which dips by 10⁻¹³ at a size of 2⁻⁷."""
    edge, rate, feed, depth = 2.0**-7, 50.0, 0.25, 10**-13.25
    bent = Activation(
        lambda z: np.where(z < -edge, -edge, np.where(z <= 1, z, z * z)),
        lambda z: np.where(z <= -edge, 0.0, np.where(z <= 1, 1.0, 2 * z)),
        kinks=(-edge, 1.0),
    )
    W, start = np.zeros((16, 16)), np.zeros((16, 1))  # n = 16, so that the factor 1/√n is exact
    start[:6, 0] = [edge * (math.cosh(1) - 1) - depth + 1.625 * feed - edge, edge, edge, edge / 2, 0.75, 1.5]
    W[0, 1:3], W[1, 1], W[2, 2], W[3, 0] = [math.exp(-1) / 2, -math.e / 2], 1.0, -1.0, 1.0
    W[4, 4], W[5, 4], W[0, 5] = -rate, -2 * rate, -rate * feed
    with pytest.raises(AccuracyError, match=r"neuron 0 touches the kink -0\.0078125 near t = 1"):
        NeuralODE(bent, horizon=3.0).jacobian(
            Params(start, 4 * W, 4 * np.eye(16)[3]), np.ones((1, 1)), KinkEvents(rtol=1e-8)
        )


def test_what_is_touched_without_a_jump_of_the_slope_does_no_harm():
    """elu'(z) = 1 + z/2 + … below 0, so that a dip of 1e-14 changes λ by 1e-21."""
    J = NeuralODE("elu", horizon=3.0).jacobian(dipping(1e-14)[0], np.ones((1, 1)), KinkEvents())
    assert J.U[0, 0, 0] == pytest.approx(3.0, rel=1e-10)


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_a_neuron_that_rests_on_a_kink_has_the_slope_of_the_activation_there(slope):
    own = Activation(
        phi=lambda z: np.maximum(z, 0),
        dphi=lambda z: np.where(z == 0, slope, (z > 0) * 1.0),
        kinks=(0.0,),
        lipschitz=1.0,
    )
    net = NeuralODE(own, horizon=1.5)
    theta, X = net.init(6, 3, seed=1), np.zeros((1, 3))  # h stays 0
    path = net.trajectory(theta, X, np.array([0.0, 1.5]), KinkEvents())
    expected = net.trajectory(theta, X, np.array([0.0, 1.5]), SolveIVP(rtol=1e-12))
    assert path.adjoint == pytest.approx(expected.adjoint, abs=1e-11)
    assert (np.abs(path.adjoint[1]).max() > 0) == (slope > 0)


# --- refusals -----------------------------------------------------------------------------------------------------


def test_other_libraries_layers_and_tolerances_are_refused():
    net = NeuralODE("relu")
    theta = net.init(4, 2, seed=0, like=array_api_strict.zeros(0, dtype=array_api_strict.float64))
    with pytest.raises(TypeError, match="KinkEvents works on NumPy arrays only: use Gauss"):
        net.predict(theta, array_api_strict.ones((1, 2)), KinkEvents())
    with pytest.raises(ValueError, match="KinkEvents needs one W"):
        net.predict(net.init(4, 2, seed=0, layers=3), np.ones((1, 2)), KinkEvents())
    with pytest.raises(AccuracyError, match="below what float64 can give"):
        net.predict(net.init(4, 2, seed=0), np.ones((1, 2)), KinkEvents(rtol=1e-16))


@pytest.mark.parametrize("rtol", [0.0, -1.0, 1.0, math.inf, math.nan])
def test_a_tolerance_outside_0_and_1_is_refused(rtol):
    with pytest.raises(ValueError, match="rtol must be"):
        KinkEvents(rtol=rtol)


def test_what_is_out_of_reach_says_what_was_reached():
    net, theta, X = scalar(relu, 1.0, 5.0, 1.0)
    big = Params(theta.U, theta.W * 20, theta.v)  # e^100
    with pytest.raises(AccuracyError, match="two solutions differ by") as caught:
        net.predict(big, X, KinkEvents(rtol=2e-14))
    assert caught.value.reached > 2e-14


def test_single_precision_stays_single():
    case = formulas.make("relu", n=6)
    theta = Params(*(block.astype(np.float32) for block in (case.theta.U, case.theta.W, case.theta.v)))
    X = case.X.astype(np.float32)
    J = case.net.jacobian(theta, X, KinkEvents(rtol=1e-5))
    path = case.net.trajectory(theta, X, np.array([0.0, 0.5], dtype=np.float32), KinkEvents(rtol=1e-5))
    assert {array.dtype for array in (J.U, J.W, J.v, path.h, path.adjoint)} == {np.dtype(np.float32)}
    assert formulas.relative(J.W, case.net.jacobian(case.theta, case.X, KinkEvents()).W) < 1e-5


def test_no_inputs_give_empty_arrays():
    net = NeuralODE("relu")
    assert net.ntk(net.init(4, 2, seed=0), np.zeros((0, 2)), solver=KinkEvents()).shape == (0, 0)


def test_the_resnet_converges_to_it_at_first_order():
    net = NeuralODE("relu", horizon=1.5)
    theta, X = net.init(24, 4, seed=3), sphere(1, 4, seed=5)
    truth = net.jacobian(theta, X, KinkEvents()).W
    errors = [L * np.linalg.norm(net.jacobian(theta, X, Euler(L)).W - truth) for L in (2**10, 2**12, 2**14)]
    assert max(errors) < 3 * min(errors)


# --- inside -------------------------------------------------------------------------------------------------------


def test_branches_go_on_by_their_tangents_and_have_one_slope_at_their_ends():
    """φ' of the activation itself is 1 on both kinks."""
    branches, z = Branches(bent), np.array([-3.0, -1.0, 0.0, 1.0, 3.0])
    for branch, (slope, offset) in enumerate([(0.5, -0.5), (1.0, 0.0), (0.5, 0.5)]):
        own = np.full(z.size, branch)
        np.testing.assert_array_equal(branches.phi(own, z), slope * z + offset)
        np.testing.assert_array_equal(branches.dphi(own, z), slope)


@pytest.mark.parametrize(
    ("powers", "root"),
    [
        ([-1.0, 1.0], 0.0),  # beyond its edge from the start
        ([1.0, -2.0], 0.5),
        ([1.0, 2.0], None),
        ([0.0, 1.0, -1.0], 1.0),  # enters at 0, leaves at 1
        ([0.125, -0.75, 1.0], 0.25),  # leaves at 1/4, and comes back at 1/2
    ],
)
def test_the_first_exit_of_a_polynomial(powers, root):
    found = first_root(np.asarray(powers))
    assert found is None if root is None else found == pytest.approx(root, abs=1e-12)


def test_a_crossing_that_is_not_found_is_refused(monkeypatch):
    monkeypatch.setattr(kinks, "MOST_CORRECTIONS", 0)
    W, start = steered(1.0, (-1.0, 0.0))
    with pytest.raises(
        AccuracyError, match="neuron 0 touches the kink 0 near t = 1: whether it crosses is not decided"
    ):
        path_of(relu, W, start, 2.0)


def test_crossings_without_end_are_refused(monkeypatch):
    monkeypatch.setattr(kinks, "MOST_CROSSINGS", 0)
    W, start = steered(1.0, (-1.0, 0.0))
    with pytest.raises(AccuracyError, match="more than 0 crossings a neuron before t = 1"):
        path_of(relu, W, start, 2.0)


def test_a_solution_that_escapes_is_told():
    square = Activation(phi=lambda z: z * np.abs(z), dphi=lambda z: 2 * np.abs(z), name="z|z|", kinks=(0.0,))
    net, theta, X = scalar(square, 3.0, 1.0, 1.0)  # h = 1/(1 - t)
    with pytest.raises(BlowUpError) as caught:
        net.predict(theta, X, KinkEvents())
    assert 0.99 < caught.value.time < 1.0001


def test_a_neuron_that_starts_on_its_kink_and_leaves_it_without_speed_is_not_in_doubt():
    """h_1 = 1, h_2 = t and h_3 = t²/2, exactly on the kink at the start."""
    W = np.zeros((3, 3))
    W[1, 0] = W[2, 1] = 1.0
    path = path_of(relu, W, [1.0, 0.0, 0.0], 1.0)
    assert path.touches == ()
    np.testing.assert_allclose(path.end, [1.0, 1.0, 0.5], rtol=1e-9)
