"""Arrays stay on their device: what crosses over to the host, where it is asked for, and how often.

Three libraries that need no GPU bear witness. array-api-strict has several devices, whose arrays do not mix. The
stand-in for CuPy converts nothing by itself and writes down every transfer and every wait. PyTorch's dispatcher, which
knows nothing of either, counts the same waits.
"""

from __future__ import annotations

import sys

import numpy as np
import pytest

import refimpl
from refimpl import Euler, Gauss, Params, linearize, train
from refimpl.backend import all_finite, clip, namespace, scalar, to_host
from refimpl.training import SGD, Adam
from tests import fake_cupy, formulas
from tests.fake_cupy import LOG

pytestmark = pytest.mark.usefixtures("one_torch_thread")


@pytest.fixture(scope="module")
def cupy():
    """The stand-in in place of CuPy, wrapped by array-api-compat; what was imported before comes back afterwards."""
    compat = pytest.importorskip("array_api_compat")
    names = [name for name in sys.modules if name.partition(".")[0] in ("cupy", "cupyx")]
    names += [name for name in sys.modules if name.startswith("array_api_compat.cupy")]
    before = {name: sys.modules.pop(name) for name in names}
    modules = fake_cupy.modules()
    sys.modules.update(modules)
    try:
        yield namespace(modules["cupy"].zeros(1))
    finally:
        for name in [name for name in sys.modules if name in modules or name.startswith("array_api_compat.cupy")]:
            del sys.modules[name]
        sys.modules.update(before)
        vars(compat).pop("cupy", None)


@pytest.fixture
def torch():
    pytest.importorskip("array_api_compat")
    return pytest.importorskip("torch")


def on_device(asarray, case, dtype="float64"):
    arrays = (case.theta.U, case.theta.W, case.theta.v, case.X, case.y)
    U, W, v, X, y = (asarray(np.asarray(array, dtype=dtype)) for array in arrays)
    return Params(U, W, v), X, y


def arrays_of(result):
    """The arrays in a result, whatever class it is of."""
    if isinstance(result, tuple | list):
        return [array for part in result for array in arrays_of(part)]
    if hasattr(result, "dtype") and not isinstance(result, np.ndarray | np.generic):
        return [result]
    return [array for part in getattr(result, "__dict__", {}).values() for array in arrays_of(part)]


def everything(case, theta, X, y, solver):
    """Each quantity of a network by one function, on the arrays that are given."""
    net = case.net
    options = {"lr": 0.01, "steps": 2, "solver": solver, "spectrum_every": 2}
    limit = net.limit(solver) if isinstance(solver, Euler) or not net.phi.kinks else net.limit()
    return {
        "predict": lambda: net.predict(theta, X, solver),
        "gradient": lambda: net.gradient(theta, X, y, solver),
        "jacobian": lambda: net.jacobian(theta, X, solver),
        "ntk": lambda: net.ntk(theta, X, X[:2, :], solver),
        "limit": lambda: (limit.ntk(X[:2, :]), limit.nngp(X[:1, :], X[1:2, :]), limit.fields(X[0, ...], X[1, ...])),
        "train": lambda: train(net, theta, X, y, X_test=X, y_test=y, **options),
        "sgd": lambda: train(net, theta, X, y, None, None, SGD(2), **options),
        "adam": lambda: train(net, theta, X, y, None, None, Adam(), **options),
        "linearize": lambda: linearize(X @ X.T, y, 0 * y, 0.01, [0, 3, np.inf], X @ X.T, y, y),
    }


QUANTITIES = ("predict", "gradient", "jacobian", "ntk", "limit", "train", "sgd", "adam", "linearize")
FINITE = ("predict", "gradient", "jacobian", "ntk", "train", "sgd", "adam")


@pytest.mark.parametrize(
    ("activation", "quantity"),
    [("gelu", quantity) for quantity in QUANTITIES]
    + [("relu", "limit"), pytest.param("softplus", "limit", marks=pytest.mark.slow)],
)
def test_results_are_on_a_device_that_is_not_the_default_one(activation, quantity):
    strict = pytest.importorskip("array_api_strict")
    device, case = strict.Device("device1"), formulas.make(activation, horizon=0.5)
    theta, X, y = on_device(lambda a: strict.asarray(a, device=device), case)
    for solver in (Gauss(3, 2), Euler(3)):
        found = arrays_of(everything(case, theta, X, y, solver)[quantity]())
        assert found
        assert {array.device for array in found} == {device}


@pytest.mark.parametrize("activation", ["erf", pytest.param("relu", marks=pytest.mark.slow)])
def test_the_curve_of_the_limit_is_read_off_on_the_device(activation):
    strict = pytest.importorskip("array_api_strict")
    device = strict.Device("device1")
    X = refimpl.data.sphere(17, 3, seed=0)
    limit = refimpl.NeuralODE(activation).limit()
    gram = limit.ntk(strict.asarray(X, device=device))  # 153 pairs: more than are solved for one by one
    assert gram.device == device
    assert np.abs(to_host(gram) - limit.ntk(X)).max() < 1e-9


@pytest.mark.parametrize(
    ("activation", "solver", "quantity"),
    [("gelu", solver, quantity) for solver in (Gauss(3, 2), Euler(3)) for quantity in QUANTITIES]
    + [("gelu", Gauss(rtol=1e-6), "gradient"), ("softplus", Gauss(4, 1), "limit"), ("relu", Gauss(), "limit")],
    ids=str,
)
def test_what_runs_on_strict_arrays_runs_on_the_stand_in_for_cupy(cupy, activation, solver, quantity):
    case = formulas.make(activation, horizon=0.5)
    expected = everything(case, case.theta, case.X, case.y, solver)[quantity]()
    found = arrays_of(everything(case, *on_device(cupy.asarray, case), solver)[quantity]())
    assert {type(array) for array in found} == {fake_cupy.ndarray}
    truth = _numpy_arrays(expected)
    assert len(found) == len(truth)
    for array, value in zip(found, truth, strict=True):
        assert np.linalg.norm(array.get() - value) <= (1e-12 + case.rounding) * (1 + np.linalg.norm(value))


def _numpy_arrays(result):
    if isinstance(result, tuple | list):
        return [array for part in result for array in _numpy_arrays(part)]
    if isinstance(result, np.ndarray):
        return [result]
    parts = vars(result).items() if hasattr(result, "__dict__") else ()
    return [array for name, part in parts if name != "steps" for array in _numpy_arrays(part)]


# What a call at finite width may upload: coefficients of schemes, the random vectors that compare two ∂f/∂W or displace
# a solution, and the indices of a batch; but nothing it was given, and nothing of the size of a state.
MAY_UPLOAD = ("finite.", "solvers.", "scheme.", "training.problem.Problem.evaluate")
# What the limit brings to the host: norms of the inputs, variances that occur, and for kinked φ the pairs themselves,
# whose equations are solved there. The equations of the others are solved on the device: S, Σ, D and P stay there, and
# are waited for by tests of convergence only. The functions of which they are made neither wait nor transfer.
EQUATIONS = ("infinite.covariance.", "infinite.adjoint.", "infinite.pairs.", "infinite.dual.")
FUNCTIONS = (
    "infinite.closed_forms.",
    "infinite.hermite._coefficients",
    "infinite.hermite._sums",
    "_elementary.",
    "scheme.",
)


def logged(cupy, function, activation, n, N, solver, seed=0):
    """The events of one quantity."""
    case = formulas.make(activation, n=n, N=N, horizon=0.5, seed=seed)
    call = everything(case, *on_device(cupy.asarray, case), solver)[function]
    LOG.clear()
    call()
    return list(LOG.events)


def of_kind(events, kind):
    return [event for event in events if event.kind == kind]


@pytest.mark.parametrize(
    ("solver", "quantity"),
    [(solver, quantity) for solver in (Gauss(3, 2), Euler(3)) for quantity in QUANTITIES if quantity in FINITE]
    + [(Gauss(rtol=1e-6), quantity) for quantity in ("predict", "gradient", "ntk")],
    ids=str,
)
def test_at_finite_width_nothing_is_downloaded_and_only_coefficients_are_uploaded(cupy, solver, quantity):
    small, wide = logged(cupy, quantity, "gelu", 8, 4, solver), logged(cupy, quantity, "gelu", 16, 32, solver)
    assert not of_kind(small + wide, "download")
    uploads = of_kind(wide, "upload")
    assert [event.place for event in uploads if not event.place.startswith(MAY_UPLOAD)] == []
    batches = [event for event in uploads if event.place.startswith("training.")]
    vectors = [event.size for event in uploads if event not in batches]
    # A tableau of at most 24 nodes, or a few vectors of n numbers; nothing of n² or n N.
    assert max(vectors) <= 8 * max(24 * 25, 3 * 16)
    assert sum(event.size for event in batches) <= 3 * 8 * 2 * 32


@pytest.mark.parametrize(("quantity", "waits"), [("predict", 3), ("gradient", 5), ("jacobian", 3), ("ntk", 5)])
def test_a_resnet_waits_for_the_device_a_fixed_number_of_times(cupy, quantity, waits):
    """Inputs are finite, h_T is, the result is: three questions; the targets and the gradient make two more."""
    for n, N, depth in ((8, 4, 2), (16, 32, 2), (8, 4, 16)):
        events = logged(cupy, quantity, "gelu", n, N, Euler(depth))
        assert len(of_kind(events, "synchronise")) == waits


def test_a_step_of_training_waits_five_times_whatever_its_size(cupy):
    """Are h_0, h_T, what is recorded and the next θ finite, and what is the loss: without test set and spectrum."""
    counts = {}
    for n, N in ((8, 4), (16, 32)):
        case = formulas.make("gelu", n=n, N=N, horizon=0.5)
        theta, X, y = on_device(cupy.asarray, case)
        for steps in (2, 12):
            LOG.clear()
            train(case.net, theta, X, y, lr=0.01, steps=steps, solver=Euler(4))
            counts[n, steps] = LOG.count("synchronise")
    assert counts[8, 2] == counts[16, 2]
    assert counts[8, 12] == counts[16, 12] == counts[8, 2] + 10 * 5


@pytest.mark.parametrize("quantity", ["predict", "gradient"])
@pytest.mark.parametrize("solver", [Gauss(4, 1), Gauss(rtol=1e-6)], ids=str)
def test_the_waits_of_a_gauss_scheme_are_the_questions_of_its_sweeps(cupy, solver, quantity):
    """At most two for each evaluation of φ and its sweep of the adjoint, which takes as many sweeps at most."""
    for n, N in ((8, 4), (16, 64)):
        case = formulas.make("gelu", n=n, N=N, horizon=0.5)
        calls = []
        phi = case.net.phi

        def counted(z, phi=phi, calls=calls):
            calls.append(z.shape)
            return phi.phi(z)

        own = refimpl.Activation(counted, phi.dphi, name="counted gelu", lipschitz=1.13, dlipschitz=0.8)
        net = refimpl.NeuralODE(own, horizon=0.5)
        theta, X, y = on_device(cupy.asarray, case)
        LOG.clear()
        arguments = (theta, X, y) if quantity == "gradient" else (theta, X)
        getattr(net, quantity)(*arguments, solver)
        in_solver = [event for event in of_kind(LOG.events, "synchronise") if event.place.startswith("finite.")]
        assert 0 < len(in_solver) <= 2 * len(calls) + 2
        others = [event for event in of_kind(LOG.events, "synchronise") if not event.place.startswith("finite.")]
        assert len(others) <= 10


@pytest.mark.parametrize("quantity", [q for q in QUANTITIES if q != "limit"])
def test_pytorch_counts_the_same_waits(cupy, torch, quantity):
    """Its dispatcher sees every number that a tensor gives to Python, and every shape that depends on entries."""
    from torch.utils._python_dispatch import TorchDispatchMode

    class Waits(TorchDispatchMode):
        seen = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            self.seen += function._schema.name in ("aten::_local_scalar_dense", "aten::nonzero")
            return function(*args, **(kwargs or {}))

    case, solver = formulas.make("gelu", n=8, N=6, horizon=0.5), Euler(3)
    LOG.clear()
    call = everything(case, *on_device(cupy.asarray, case), solver)[quantity]
    LOG.clear()
    call()
    call = everything(case, *on_device(torch.asarray, case), solver)[quantity]
    with Waits() as waits:
        call()
    assert waits.seen == LOG.count("synchronise") > 0


# Numbers a pair of inputs that the limit moves down and up, with two Gauss schemes of 8 and 12 nodes: beside the two
# indices of its norms and its place, nothing; for an expansion the variances of both inputs at every node and at T, for
# φ and again for φ', and where to look their coefficients up; for kinked φ the pair itself, and what was solved.
NODES = 8 + 1 + 12 + 1
MOVED = {"gelu": (0, 3), "softplus": (2 * 2 * NODES, 2 * 2 * NODES + 3), "relu": (8, 5)}


@pytest.mark.parametrize("activation", list(MOVED))
def test_the_limit_moves_what_it_says_and_does_not_wait_for_every_pair(cupy, activation):
    moved, waits, (few, many) = {"download": [], "upload": []}, [], (4, 12)
    for N in (few, many):
        X = refimpl.data.sphere(N, 3, seed=0)
        limit = refimpl.NeuralODE(activation, horizon=0.5).limit(Gauss(rtol=1e-6))
        on_gpu = cupy.asarray(X)
        LOG.clear()
        gram = limit.ntk(on_gpu)
        events = list(LOG.events)
        assert np.abs(gram.get() - limit.ntk(X)).max() < 1e-12
        assert [e.place for e in of_kind(events, "download") if e.place.startswith(EQUATIONS + FUNCTIONS)] == []
        assert [e.place for e in of_kind(events, "synchronise") if e.place.startswith(FUNCTIONS)] == []
        for kind, sizes in moved.items():
            sizes.append(sum(event.size for event in of_kind(events, kind)))
        waits.append(len(of_kind(events, "synchronise")))
    pairs, rows, entries = (many * (many + 1) - few * (few + 1)) // 2, many - few, many**2 - few**2
    for numbers, (before, after) in zip(MOVED[activation], moved.values(), strict=True):
        assert after - before <= 8 * (numbers * pairs + 2 * rows) + entries  # and a mask of one byte an entry
    assert waits[1] <= waits[0] + 8


def test_the_helpers_ask_once_and_transfer_nothing(cupy):
    z = cupy.asarray(np.asarray([-2.0, 0.5, 2.0]))
    LOG.clear()
    assert clip(cupy, z, -1.0, 1.0).shape == (*scalar(cupy, 0.5, z).shape, 3)
    assert LOG.events == []
    assert all_finite(cupy, z, z / 0.5, z[:0])
    assert LOG.count("synchronise") == len(LOG.events) == 1


def test_the_stand_in_is_as_strict_as_cupy(cupy):
    z, host = cupy.asarray([1.0, 2.0]), np.ones(2)
    for attempt in (
        lambda: np.asarray(z), lambda: np.sqrt(z), lambda: host * z, lambda: z * host, lambda: z * np.float64(2.0),
        lambda: cupy.sqrt(host), lambda: np.from_dlpack(z), lambda: z.__setitem__(0, host[0]),
    ):  # fmt: skip
        with pytest.raises(TypeError):
            attempt()
    LOG.clear()
    bool(cupy.any(z > 0)), float(z[0]), int(z[1]), z[z > 0], z.get(), cupy.asarray(host), cupy.nonzero(z)
    assert [LOG.count(kind) for kind in ("synchronise", "download", "upload")] == [5, 1, 1]
