from __future__ import annotations

import numpy as np
import pytest

import refimpl
from refimpl import SGD, Adam, Euler, GradientDescent, Momentum, Params
from tests import formulas

case = formulas.make("tanh", n=6, d=3, N=5)
X_test, y_test = np.random.default_rng(5).standard_normal((4, 3)), np.ones(4)
SOLVER = Euler(5)
ARRAYS = ("loss", "test_loss", "predictions", "test_predictions", "spectrum")
ARRAYS += ("distance", "distance_U", "distance_W", "distance_v")


def run(case=case, steps=6, **settings):
    settings = {"lr": 0.05, "solver": SOLVER, "steps": steps} | settings
    return refimpl.train(case.net, case.theta, case.X, case.y, **settings)


def thetas(**settings):
    found = []
    run(callback=lambda step: found.append(step.theta), **settings)
    return found


def test_every_record_is_what_the_network_gives_at_that_step():
    history = run(X_test=X_test, y_test=y_test, spectrum_every=4)
    net, start = case.net, case.theta
    for k, theta in enumerate(thetas()):
        tolerance = case.rounding
        assert formulas.relative(history.predictions[k], net.predict(theta, case.X, SOLVER)) < tolerance
        assert formulas.relative(history.test_predictions[k], net.predict(theta, X_test, SOLVER)) < tolerance
        assert history.loss[k] == pytest.approx(net.loss(theta, case.X, case.y, SOLVER), rel=tolerance)
        assert history.test_loss[k] == pytest.approx(net.loss(theta, X_test, y_test, SOLVER), rel=tolerance)
        moved = theta - start
        # Norms of a few dozen numbers, the same differences in both.
        assert history.distance[k] == pytest.approx(moved.norm(), rel=64 * formulas.EPS)
        for name in ("U", "W", "v"):
            expected = np.sqrt(np.sum(getattr(moved, name) ** 2))
            assert getattr(history, f"distance_{name}")[k] == pytest.approx(expected, rel=64 * formulas.EPS)
        if k % 4 == 0:
            expected = np.linalg.eigvalsh(net.ntk(theta, case.X, solver=SOLVER))
            np.testing.assert_array_equal(history.spectrum[k // 4], expected)
    assert history.spectrum_steps == (0, 4)
    assert (history.theta - theta).norm() == 0.0
    assert history.steps == k == 6


def test_records_have_a_row_for_every_step_with_step_0_included():
    history = run(X_test=X_test, y_test=y_test, spectrum_every=3)
    shapes = {name: getattr(history, name).shape for name in ARRAYS}
    assert shapes == {
        "loss": (7,), "test_loss": (7,), "predictions": (7, 5), "test_predictions": (7, 4), "spectrum": (3, 5),
        "distance": (7,), "distance_U": (7,), "distance_W": (7,), "distance_v": (7,),
    }  # fmt: skip
    assert history.distance[0] == 0.0


def test_what_was_not_asked_for_is_none():
    history = run()
    assert [name for name in ARRAYS if getattr(history, name) is None] == ["test_loss", "test_predictions", "spectrum"]
    assert history.spectrum_steps is None
    assert run(X_test=X_test).test_loss is None


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("rule", [GradientDescent(), SGD(batch_size=2), Momentum(), Adam(eps=0.1)], ids=str)
def test_histories_are_of_the_library_and_dtype_that_came_in_and_agree_with_numpy(xp, rule, dtype):
    settings = {"optimizer": rule, "steps": 6, "lr": 0.05, "solver": SOLVER, "spectrum_every": 3}
    arrays = [a.astype(dtype) for a in (case.theta.U, case.theta.W, case.theta.v, case.X, case.y, X_test, y_test)]
    expected = refimpl.train(case.net, Params(*arrays[:3]), *arrays[3:], **settings)
    U, W, v, *data = (xp.asarray(array) for array in arrays)
    found = refimpl.train(case.net, Params(U, W, v), *data, **settings)
    # Six steps, each as accurate as a gradient; the update of Adam changes by up to 2/eps times what the gradient does.
    tolerance = 6 * case.rounding * np.finfo(dtype).eps / formulas.EPS * (20 if isinstance(rule, Adam) else 1)
    assert tolerance < 0.1
    for name in ARRAYS:
        value, truth = getattr(found, name), getattr(expected, name)
        assert type(value) is type(U)
        assert value.dtype == U.dtype
        assert truth.dtype == np.dtype(dtype)
        assert value.device == U.device
        value = refimpl.backend.to_host(value)
        assert np.linalg.norm(value - truth) <= tolerance * np.linalg.norm(truth)
    assert type(found.theta.W) is type(U)
    assert found.theta.W.dtype == U.dtype


def test_a_history_is_shown_by_its_shapes():
    shown = repr(run(X_test=X_test))
    assert shown == (
        "History(theta=Params(U=(6, 3), W=(6, 6), v=(6,)), loss=(7,), test_loss=None, predictions=(7, 5), "
        "test_predictions=(7, 4), distance=(7,), distance_U=(7,), distance_W=(7,), distance_v=(7,), lr=0.05, "
        "spectrum=None, spectrum_steps=None, stopped=False)"
    )
    linear = refimpl.linearize(np.eye(2), np.ones(2), np.zeros(2), 0.5, 3)
    assert repr(linear).startswith("Linearization(steps=")
    assert "predictions=(2,), loss=" in repr(linear)
