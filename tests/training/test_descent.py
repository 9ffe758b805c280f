from __future__ import annotations

import pickle
from dataclasses import dataclass, field

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import expm, expm_frechet

import refimpl
from refimpl import (
    SGD,
    AccuracyError,
    Adam,
    BlowUpError,
    DivergenceError,
    Euler,
    Gauss,
    GradientDescent,
    Momentum,
    NeuralODE,
    Params,
    SolveIVP,
    TrainingError,
    linearize,
    train,
)
from refimpl.solvers import Solver
from refimpl.training.checkpoint import Snapshot
from refimpl.training.descent import Run
from refimpl.training.history import Recorder
from refimpl.training.problem import check
from tests import formulas

case = formulas.make("tanh", n=6, d=3, N=5)
RULES = (GradientDescent(), SGD(batch_size=2), Momentum(), Adam())
SHORT = Euler(5)


def run(case=case, lr=0.05, steps=6, solver=SHORT, **settings):
    return train(case.net, case.theta, case.X, case.y, lr=lr, steps=steps, solver=solver, **settings)


def same(one, two):
    for name in ("loss", "predictions", "distance", "distance_U", "distance_W", "distance_v"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert (one.theta - two.theta).norm() == 0.0


# --- independent implementations ----------------------------------------------------------------------------------


def test_with_identity_activation_training_is_that_of_the_matrix_exponential():
    case = formulas.make("identity", n=4, d=3, N=5, horizon=0.8, sigma_u=0.9, sigma_w=1.2, sigma_v=1.1)
    lr, steps, net = 0.03, 20, case.net
    history = run(case, lr, steps, solver=Gauss())
    U, W, v = case.theta.U, case.theta.W, case.theta.v
    a, b, c = net.sigma_u, net.horizon * net.sigma_w / 2, net.sigma_v / 2  # 2 = √n
    for k in range(steps + 1):
        E, x = expm(b * W), a * U @ case.X.T
        u = c * v @ E @ x
        assert formulas.relative(history.predictions[k], u) < (k + 1) * (case.rounding + 1e-12)
        r = u - case.y
        # f = c vᵀ E x is linear in E; the adjoint of the exponential's derivative is that at the transpose.
        U, W, v = (
            U - lr * a * c * np.outer(E.T @ v, r @ case.X),
            W - lr * b * c * expm_frechet(b * W.T, np.outer(v, x @ r), compute_expm=False),
            v - lr * c * E @ x @ r,
        )


@pytest.mark.parametrize(
    ("rule", "make"),
    [
        (GradientDescent(), lambda torch, p: torch.optim.SGD(p, lr=0.05)),
        (Momentum(0.8), lambda torch, p: torch.optim.SGD(p, lr=0.05, momentum=0.8)),
        (Adam(eps=1e-2), lambda torch, p: torch.optim.Adam(p, lr=0.05, eps=1e-2)),
    ],
    ids=lambda part: "" if callable(part) else str(part),
)
def test_training_a_resnet_is_what_pytorch_does_with_autograd(rule, make):
    torch = pytest.importorskip("torch")
    history = run(optimizer=rule, steps=25)
    U, W, v = (torch.nn.Parameter(torch.tensor(block)) for block in (case.theta.U, case.theta.W, case.theta.v))
    X, y, root = torch.tensor(case.X), torch.tensor(case.y), case.theta.width**0.5
    other = make(torch, [U, W, v])
    for k in range(26):
        h = X @ U.T
        for _ in range(5):
            h = h + torch.tanh(h) @ W.T / root / 5
        u = torch.tanh(h) @ v / root
        loss = ((u - y) ** 2).sum() / 2
        # Rounding of a gradient at every step; momentum carries each on five times, Adam divides by eps = 1e-2.
        tolerance = (k + 1) * case.rounding * {GradientDescent: 1, Momentum: 5, Adam: 100}[type(rule)]
        assert formulas.relative(history.predictions[k], u.detach().numpy()) < tolerance
        assert history.loss[k] == pytest.approx(loss.item(), rel=2 * tolerance)
        other.zero_grad()
        loss.backward()
        other.step()


# --- the linearised regime ----------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(st.integers(0, 2**32), st.floats(0.1, 1.0))
def test_the_loss_of_a_wide_network_falls_at_every_step_up_to_the_stable_rate(seed, fraction):
    # Of the update Δθ = −η Jᵀr the loss sees −η rᵀK(1 − ηK/2)r ≤ −(η/2) rᵀKr and, from the curvature of f, terms
    # smaller by ‖r‖/√n ≈ 0.1.
    net, X = NeuralODE("softplus"), refimpl.data.sphere(3, 4, seed=seed)
    theta = net.init(width=400, dim=4, seed=seed)
    stable = 1 / np.linalg.eigvalsh(net.ntk(theta, X, solver=SHORT))[-1]
    y = net.predict(theta, X, SHORT) + np.asarray([1.0, -1.0, 1.0])
    assert (np.diff(train(net, theta, X, y, lr=fraction * stable, steps=10, solver=SHORT).loss) < 0).all()


@pytest.mark.slow
def test_training_approaches_the_linearised_dynamics_as_the_width_grows():
    # With K_∞ the distance is that of K_θ⁰ from K_∞, n^{-1/2}; with K_θ⁰ it is the change of K during training, n^{-1}
    # (Huang and Yau, Dynamics of deep neural networks and neural tangent hierarchy, ICML 2020).
    net, widths, seeds, steps = NeuralODE("softplus"), (64, 256, 1024), 24, 30
    X = refimpl.data.sphere(8, 4, seed=2)
    y = np.sin(3 * X[:, 0])
    limit = net.limit(Euler(3)).ntk(X)
    lr = 1 / np.linalg.eigvalsh(limit)[-1]
    logs = np.empty((2, len(widths), seeds))
    for i, n in enumerate(widths):
        for seed in range(seeds):
            theta = net.init(n, 4, seed=[n, seed])
            u = train(net, theta, X, y, lr=lr, steps=steps, solver=Euler(3)).predictions
            for j, K in enumerate((limit, net.ntk(theta, X, solver=Euler(3)))):
                away = u - linearize(K, y, u[0], lr, np.arange(steps + 1)).predictions
                logs[j, i, seed] = np.log(np.linalg.norm(away, axis=1).max() / np.linalg.norm(u[0] - y))
    x = np.log(widths) - np.mean(np.log(widths))
    slopes = (logs.mean(axis=2) * x).sum(axis=1) / (x**2).sum()
    errors = np.sqrt((logs.var(axis=2, ddof=1) / seeds * x**2).sum(axis=1)) / (x**2).sum()
    # Four standard errors of the slope of a line through three means; they come to 0.17 and 0.25, so that the two
    # rates cannot be confused.
    assert (np.abs(slopes - [-0.5, -1.0]) < 4 * errors).all(), (slopes, errors)
    assert (4 * errors < 0.3).all()


# --- the loop -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Counting(Solver):
    """Euler's method that writes down what it is asked for."""

    calls: list = field(default_factory=list)

    def terminal(self, system):
        self.calls.append("forward")
        return SHORT.terminal(system)

    def sweep(self, system):
        self.calls.append("both")
        return SHORT.sweep(system)

    def trajectory(self, system, times):
        raise AssertionError("not needed for training")


def test_a_step_takes_one_forward_and_adjoint_solve_and_the_last_one_only_a_forward_solve():
    counting = Counting()
    run(steps=4, solver=counting)
    assert counting.calls == ["both"] * 4 + ["forward"]


@pytest.mark.parametrize("rule", RULES, ids=str)
@pytest.mark.parametrize("solver", [SHORT, Gauss(3, 1), SolveIVP(rtol=1e-6)], ids=str)
def test_neither_the_parameters_nor_the_data_are_changed(rule, solver):
    arrays = [case.theta.U, case.theta.W, case.theta.v, case.X, case.y]
    before = [array.copy() for array in arrays]
    frozen = [array.copy() for array in arrays]
    for array in frozen:
        array.flags.writeable = False
    one = run(solver=solver, optimizer=rule)
    two = train(case.net, Params(*frozen[:3]), *frozen[3:], optimizer=rule, lr=0.05, steps=6, solver=solver)
    for array, copy in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, copy)
    same(one, two)


def test_the_same_run_gives_the_same_bits():
    for rule in RULES:
        same(run(optimizer=rule), run(optimizer=rule))


def test_batches_of_the_whole_training_set_are_gradient_descent():
    same(run(optimizer=SGD(batch_size=5)), run())
    same(run(optimizer=SGD(batch_size=500)), run())


def test_orders_of_another_seed_give_another_run():
    assert (run(optimizer=SGD(2, seed=1)).theta - run(optimizer=SGD(2, seed=2)).theta).norm() > 0


def test_no_steps_record_the_beginning():
    history = run(steps=0)
    assert history.loss.shape == (1,)
    assert history.steps == 0
    assert (history.theta - case.theta).norm() == 0.0


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_without_data_nothing_moves(rule, xp):
    theta = Params(*(xp.asarray(block) for block in (case.theta.U, case.theta.W, case.theta.v)))
    X, y = xp.asarray(case.X)[:0, :], xp.asarray(case.y)[:0]
    history = train(case.net, theta, X, y, X, y, optimizer=rule, lr=0.1, steps=3, spectrum_every=2)
    assert history.predictions.shape == history.test_predictions.shape == (4, 0)
    assert history.spectrum.shape == (2, 0)
    for record in (history.loss, history.test_loss, history.distance):
        assert refimpl.backend.to_host(record).tolist() == [0.0] * 4


def test_layered_weights_are_trained():
    case = formulas.make("tanh", n=6, d=3, N=5, layers=3)
    history = run(case, solver=Euler(3, shared=False))
    assert history.theta.W.shape == (3, 6, 6)
    expected = case.theta - 0.05 * case.net.gradient(case.theta, case.X, case.y, Euler(3, shared=False))
    assert (run(case, steps=1, solver=Euler(3, shared=False)).theta - expected).norm() < 64 * formulas.EPS


# --- callback and progress ----------------------------------------------------------------------------------------


def test_the_callback_sees_every_step_as_the_history_keeps_it():
    seen = []
    history = run(callback=seen.append)
    assert [step.step for step in seen] == list(range(7))
    assert all(type(step.loss) is float for step in seen)
    assert [step.loss for step in seen] == history.loss.tolist()
    np.testing.assert_array_equal([step.predictions for step in seen], history.predictions)
    assert (seen[0].theta - case.theta).norm() == (seen[-1].theta - history.theta).norm() == 0.0
    assert not history.stopped


@pytest.mark.parametrize("answer", [True, np.True_])
@pytest.mark.parametrize("last", [0, 3, 6])
def test_the_callback_can_stop_a_run(last, answer):
    history = run(callback=lambda step: answer if step.step == last else None)
    same(history, run(steps=last))
    assert history.stopped == (last < 6)


def test_progress_wraps_the_steps():
    seen = []

    def progress(steps):
        seen.append(len(steps))
        for step in steps:
            yield step
            seen.append(step)

    same(run(progress=progress), run())
    assert seen == [7, *range(6)]


def test_progress_that_swallows_steps_raises():
    with pytest.raises(RuntimeError, match="progress must pass on every step"):
        run(progress=lambda steps: list(steps)[:-1])


def test_tqdm_is_such_a_progress():
    tqdm = pytest.importorskip("tqdm")
    same(run(progress=lambda steps: tqdm.tqdm(steps, disable=True)), run())


# --- divergence ---------------------------------------------------------------------------------------------------


def test_a_loss_beyond_all_bounds_raises_with_the_history_and_that_step_in_it():
    with pytest.raises(
        DivergenceError, match=r"^training diverged at step 1 with lr=.*: the loss is .* more than 1e\+09"
    ) as info:
        run(lr=1e6, steps=50)
    error = info.value
    assert isinstance(error, AccuracyError)
    assert error.step == error.history.steps == 1
    assert error.history.lr == 1e6
    assert not error.history.stopped
    assert error.history.loss[1] > 1e9 * error.history.loss[0]
    expected = case.theta - 1e6 * case.net.gradient(case.theta, case.X, case.y, SHORT)
    assert (error.history.theta - expected).norm() < case.rounding * expected.norm()


def test_an_overflow_raises_with_the_history_before_it():
    with pytest.raises(
        DivergenceError, match=r"^training diverged at step 1 with lr=.*: .* overflows float64$"
    ) as info:
        run(lr=1e200, steps=50)
    assert info.value.step == 1
    assert info.value.history.steps == 0
    with pytest.raises(
        DivergenceError,
        match=r"^training diverged at step 0 with lr=.*, which may be too large: the update overflows float64$",
    ) as info:
        train(case.net, case.theta, case.X, 1e10 * case.y, lr=1e305, steps=5, solver=SHORT)
    assert info.value.step == info.value.history.steps == 0


@pytest.mark.parametrize("solver", [Gauss(), SolveIVP(), Euler(8)], ids=str)
def test_equations_that_blow_up_at_a_step_are_divergence_and_the_cause_is_chained(solver):
    net = NeuralODE("quadratic", horizon=0.5)
    theta, X = net.init(width=16, dim=3, seed=0), refimpl.data.sphere(4, 3, seed=1)
    with pytest.raises(DivergenceError, match=r"training diverged at step .*: h") as info:
        train(net, theta, X, 3 * np.ones(4), lr=3.0, steps=10, solver=solver)
    assert isinstance(info.value.__cause__, BlowUpError)
    assert info.value.step == info.value.history.steps + 1 >= 1


def test_a_solver_that_fails_later_is_no_divergence_and_the_history_is_not_lost():
    # One step is short enough for the fixed-point sweeps at the start, and no longer when W has grown.
    net = NeuralODE("softplus")
    theta, X = net.init(width=8, dim=3, seed=0), refimpl.data.sphere(4, 3, seed=1)
    with pytest.raises(
        TrainingError, match=r"^training cannot go on at step 1 with lr=.*: the stage equations"
    ) as info:
        train(net, theta, X, X[:, 0], lr=100.0, steps=3, solver=Gauss(4, 1))
    assert not isinstance(info.value, DivergenceError)
    assert isinstance(info.value.__cause__, AccuracyError)
    assert info.value.history.steps == 0


def test_at_step_0_the_error_is_that_of_the_network_itself():
    theta = Params(np.ones((1, 1)), np.ones((1, 1)), np.ones(1))
    with pytest.raises(BlowUpError) as info:
        train(NeuralODE("quadratic", horizon=3.0), theta, np.ones((1, 1)), np.ones(1), lr=0.1, steps=3)
    assert not isinstance(info.value, TrainingError)
    for solver, scale, message in ((Gauss(rtol=1e-16), 1.0, "rtol"), (SHORT, 1e200, r"^loss overflows float64$")):
        with pytest.raises(AccuracyError, match=message) as caught:
            train(case.net, case.theta, case.X, scale * case.y, lr=0.1, steps=3, solver=solver)
        assert not isinstance(caught.value, TrainingError)
    with pytest.raises(AccuracyError, match=r"^test loss overflows float64$"):
        run(X_test=case.X, y_test=1e200 * case.y)


def test_a_loss_that_rises_for_a_while_is_no_divergence():
    net = NeuralODE("softplus")
    theta, X = net.init(width=8, dim=3, seed=0), refimpl.data.sphere(4, 3, seed=1)
    loss = train(net, theta, X, X[:, 0], lr=10.0, steps=30, solver=Euler(4)).loss
    assert loss.max() > 1e4 * loss[0]
    assert loss[-1] < loss[0]


def test_outputs_and_targets_near_0_are_no_scale_for_divergence():
    """Adam's first step moves every parameter by lr, whatever the gradient: the loss rises 1e9-fold and comes back."""
    net = NeuralODE("tanh")
    theta, X = net.init(width=64, dim=3, seed=0), refimpl.data.sphere(5, 3, seed=1)
    start = Params(theta.U, theta.W, 0 * theta.v)
    history = train(net, start, X, 1e-6 * X[:, 0], optimizer="adam", lr=1e-2, steps=300, solver=Euler(4))
    assert history.loss.max() > 1e9 * history.loss[0]
    assert history.loss[-1] < 1e-3 * history.loss.max()


def test_targets_that_are_fitted_from_the_start_are_no_scale_for_divergence():
    # The first step of Adam has the size of η, however small the loss is.
    y = case.net.predict(case.theta, case.X, SHORT) + 1e-12
    loss = train(case.net, case.theta, case.X, y, optimizer=Adam(eps=1e-20), lr=0.1, steps=5, solver=SHORT).loss
    assert loss[1] > 1e9 * loss[0]


@pytest.mark.parametrize("largest", ["start", "predicting 0", "errors of 1"])
def test_a_loss_is_enormous_beside_its_start_that_of_predicting_0_and_that_of_errors_of_1(largest):
    net = NeuralODE("tanh", sigma_v=1.0 if largest == "errors of 1" else 1e3)
    outputs = net.predict(case.theta, case.X, SHORT)
    y = 0 * outputs if largest == "start" else outputs
    scale = len(y) / 2 if largest == "errors of 1" else np.sum(outputs**2) / 2
    rule, recorder = GradientDescent(), Recorder(check(net, case.theta, case.X, y, None, None, SHORT), None)
    start = case.theta.ravel()
    begun = Run(recorder, rule, Snapshot(0, 0.1, start, rule.start(start)))
    begun.record(last=True)
    *_, second, first = sorted([recorder.rows[0]["loss"], np.sum(y**2) / 2, len(y) / 2])
    assert second < 0.9 * first
    assert first == pytest.approx(scale, rel=case.rounding)
    begun.loss = 0.99e9 * scale
    begun._check_size()
    begun.loss = 1.01e9 * scale
    with pytest.raises(DivergenceError, match=r"the loss is .*, more than 1e\+09 times"):
        begun._check_size()


def test_errors_of_training_survive_pickling():
    with pytest.raises(DivergenceError) as info:
        run(lr=1e6)
    again = pickle.loads(pickle.dumps(info.value))
    assert (type(again), str(again), again.step) == (DivergenceError, str(info.value), 1)
    np.testing.assert_array_equal(again.history.loss, info.value.history.loss)


# --- bad input ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "error", "message"),
    [
        ({"steps": -1}, ValueError, "steps must be an integer ≥ 0, got -1"),
        ({"steps": 2.0}, TypeError, "steps must be an integer ≥ 0, got 2.0"),
        ({"steps": True}, TypeError, "steps must be an integer ≥ 0, got True"),
        ({"spectrum_every": 0}, ValueError, "spectrum_every must be an integer ≥ 1, got 0"),
        ({"checkpoint_every": 0}, ValueError, "checkpoint_every must be an integer ≥ 1, got 0"),
        ({"callback": 3}, TypeError, "callback must be callable or None, got 3"),
        ({"progress": "bar"}, TypeError, "progress must be callable or None, got 'bar'"),
        ({"optimizer": "lbfgs"}, ValueError, "optimizer must be an Optimizer or one of gd"),
        ({"lr": -1.0}, ValueError, "lr must be a positive, finite number"),
        ({"lr": "stable", "optimizer": "adam"}, ValueError, "lr='stable' has no meaning for Adam"),
        ({"checkpoint": 3}, TypeError, "checkpoint must be a path or None, got 3"),
        (
            {"checkpoint": "/nowhere/at/all/run.npz"},
            ValueError,
            "checkpoint must lie in a directory that exists, got ./nowhere/at/all/run.npz",
        ),
        ({"checkpoint": "."}, ValueError, "checkpoint must be a file, got '.'"),
        ({"y_test": np.ones(3)}, ValueError, "y_test was given without X_test"),
    ],
)
def test_what_cannot_be_raises_before_any_work_and_is_named(changed, error, message):
    counting = Counting()
    with pytest.raises(error, match=message):
        run(**({"solver": counting} | changed))
    assert counting.calls == []


def test_arrays_of_two_libraries_raise(xp):
    if xp is not np:
        with pytest.raises(TypeError, match="mixture"):
            train(case.net, case.theta, xp.asarray(case.X), xp.asarray(case.y), lr=0.1, steps=1)
