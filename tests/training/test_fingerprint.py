from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest

import refimpl
from refimpl import SGD, Activation, Adam, Euler, Gauss, NeuralODE, Params
from refimpl.solvers import Solver
from refimpl.training.fingerprint import differences, digest, fingerprint
from refimpl.training.problem import check
from tests import formulas

case = formulas.make("tanh", n=6, d=3, N=5)
BASE = {"net": case.net, "theta": case.theta, "X": case.X, "y": case.y, "X_test": None, "y_test": None}


def marks(optimizer=Adam(), lr=0.1, solver=Euler(4), spectrum_every=None, **changed):  # noqa: B008 - frozen
    return fingerprint(check(**(BASE | changed), solver=solver), optimizer, lr, spectrum_every)


def changed_marks(**changed):
    one, two = marks(), marks(**changed)
    return {name for name in one if one[name] != two[name]}


def test_the_same_run_has_the_same_fingerprint_and_no_differences():
    assert marks() == marks()
    assert differences(marks(), marks()) == ""


@pytest.mark.parametrize(
    ("changed", "names"),
    [
        ({"net": NeuralODE("sin")}, {"activation"}),
        ({"net": NeuralODE("tanh", horizon=2.0)}, {"horizon"}),
        ({"net": NeuralODE("tanh", sigma_u=2.0, sigma_v=0.5)}, {"sigma_u", "sigma_v"}),
        ({"theta": Params(-case.theta.U, case.theta.W, case.theta.v)}, {"theta"}),
        ({"theta": Params(case.theta.U, case.theta.W.T, case.theta.v)}, {"theta"}),
        ({"theta": Params(case.theta.U, case.theta.W, -case.theta.v)}, {"theta"}),
        ({"X": case.X[::-1]}, {"X"}),
        ({"X": case.X.astype(np.float32)}, {"X"}),
        ({"y": np.nextafter(case.y, 1e3)}, {"y"}),
        ({"X_test": case.X}, {"X_test"}),
        ({"X_test": case.X, "y_test": case.y}, {"X_test", "y_test"}),
        ({"optimizer": Adam(eps=1e-7)}, {"optimizer"}),
        ({"optimizer": SGD(3)}, {"optimizer"}),
        ({"lr": "stable"}, {"lr"}),
        ({"lr": 0.1 + 2e-17}, {"lr"}),
        ({"solver": Gauss(4, 1)}, {"solver"}),
        ({"solver": Euler(4, shared=True)}, set()),
        ({"spectrum_every": 1}, {"spectrum_every"}),
    ],
    ids=lambda part: "-".join(sorted(part)) or "nothing",
)
def test_each_part_of_a_run_changes_its_own_mark(changed, names):
    assert changed_marks(**changed) == names


def test_the_library_is_part_of_it(xp):
    blocks = (xp.asarray(block) for block in (case.theta.U, case.theta.W, case.theta.v))
    changed = {"theta": Params(*blocks), "X": xp.asarray(case.X), "y": xp.asarray(case.y)}
    assert changed_marks(**changed) == (set() if xp is np else {"library"})
    assert marks(**changed)["library"] == xp.__name__.rpartition(".")[2]


def test_an_activation_shows_what_it_computes_on_the_device_of_the_run():
    strict = pytest.importorskip("array_api_strict")
    device = strict.Device("device1")
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, case.y)
    U, W, v, X, y = (strict.asarray(array, device=device) for array in arrays)
    factor = strict.asarray(2.0, dtype=strict.float64, device=device)  # it cannot meet what is elsewhere
    doubled = Activation(lambda z: factor * z, lambda z: factor * strict.ones_like(z), name="doubled")
    here = Activation(lambda z: 2 * z, lambda z: 2 * np.ones_like(z), name="doubled")
    found = marks(net=NeuralODE(doubled), theta=Params(U, W, v), X=X, y=y)["activation"]
    assert found.partition("sha256")[2] == marks(net=NeuralODE(here))["activation"].partition("sha256")[2]


def softplus(sharpness, **fields):
    return Activation(
        lambda z: np.log1p(np.exp(sharpness * z)) / sharpness,
        lambda z: 1 / (1 + np.exp(-sharpness * z)),
        **fields,
    )


def test_activations_of_your_own_are_known_by_what_they_say_and_what_they_compute():
    def mark(activation):
        return marks(net=NeuralODE(activation))["activation"]

    assert mark(softplus(2.0)) == mark(softplus(2.0))
    assert mark(softplus(2.0)) == mark(softplus(2.0 + 1e-13))  # another rounding of the same function
    assert len({mark(softplus(b)) for b in (1.0, 2.0, 2.0 + 1e-6)}) == 3
    assert mark(softplus(2.0)) != mark(softplus(2.0, name="mine"))
    assert mark(softplus(2.0)) != mark(softplus(2.0, lipschitz=1.0))
    assert mark(refimpl.activations.tanh) == marks(net=NeuralODE("tanh"))["activation"]


class Plain(Solver):
    """A solver that is no dataclass: its `repr` would be another one in every process."""

    def terminal(self, system):
        return Euler(4).terminal(system)

    def sweep(self, system):
        return Euler(4).sweep(system)

    def trajectory(self, system, times):
        return Euler(4).trajectory(system, times)


@dataclass(frozen=True)
class Tuned(Plain):
    depth: int = 4


def test_solvers_of_your_own_are_known_by_their_class_and_their_fields():
    assert marks(solver=Plain()) == marks(solver=Plain())
    assert marks(solver=Tuned()) == marks(solver=Tuned())
    assert len({marks(solver=solver)["solver"] for solver in (Plain(), Tuned(), Tuned(5), Euler(4))}) == 4


def test_digests_tell_dtype_shape_and_entries_apart_and_not_the_order_in_memory():
    A = np.arange(6.0).reshape(2, 3)
    assert digest(A) == digest(np.asfortranarray(A)) == digest(A.copy())
    others = A.astype(np.float32), A.reshape(3, 2), A.ravel(), A + 1, A.astype(np.int64), -0.0 * A, 0.0 * A
    assert len({digest(other) for other in (A, *others)}) == 8
    assert digest(A, A[:0]) != digest(A)
    assert digest(A[:0]) != digest(A[:, :0])


def test_differences_show_short_values_and_only_name_long_ones():
    here = {"lr": "0.1", "X": "sha256:aa", "solver": "s" * 200}
    assert differences(here, here | {"lr": "0.2"}) == "lr ('0.2' there, '0.1' here)"
    assert differences(here, here | {"X": "sha256:bb", "solver": "t"}) == "X, solver"
    assert differences(here, {"X": "sha256:aa", "solver": "s" * 200}) == "lr ('missing' there, '0.1' here)"
    assert differences(here, here | {"more\n": 1}) == "entries unknown here"
