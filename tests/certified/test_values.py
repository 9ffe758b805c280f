"""Reference values against the oracle, closed forms, and what they must refuse."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.special

from refimpl import AccuracyError, Activation, BlowUpError, NeuralODE, Params, SolveIVP, reference
from refimpl.certified.quantities import flat
from tests.certified import campaign
from tests.certified.campaign import ANALYTIC, FINITE, LIMIT

EPS = np.finfo(float).eps
QUANTITIES = (*FINITE, *LIMIT)


def network(name, horizon=0.7, width=3, dim=2, seed=0):
    net = NeuralODE(name, horizon=horizon, sigma_u=0.75, sigma_w=1.25, sigma_v=1.5)
    return net, net.init(width, dim, seed)


def more(quantity, y):
    return {"y": y} if quantity in ("loss", "gradient") else {}


def check(net, theta, X, quantities=FINITE, X2=None, **options):
    """The stated error of every quantity, relative to its norm, once it has been seen to cover the true one."""
    ctx, y, relative = campaign.context(), np.linspace(-1, 1, len(X)), []
    found = campaign.answers(ctx, net, theta, X)
    found2 = found if X2 is None else campaign.answers(ctx, net, theta, X2)
    for quantity in quantities:
        kernel = {"X2": X2} if quantity == "ntk" else {}
        given = reference(net, quantity, X, theta=theta, **more(quantity, y), **kernel, **options)
        truth = campaign.truth(ctx, quantity, found, found2, y if more(quantity, y) else None)
        error, size = campaign.distance(ctx, given.value, truth)
        assert error <= given.error + campaign.ORACLE * size
        assert given.proved == options.get("prove", False)
        relative.append(given.error / size if size else given.error)
    return np.asarray(relative)


X = np.asarray([[0.6, -0.8], [1.0, 0.5]])


@pytest.mark.parametrize("name", ANALYTIC)
def test_the_error_covers_the_truth_and_is_small(name):
    assert max(check(*network(name), X, X2=X[:1] / 2)) < 1e-13


@pytest.mark.parametrize("name", ["softplus", "cos"])
def test_the_zero_input_is_an_input(name):
    assert max(check(*network(name), np.zeros((1, 2)))) < 1e-13


def test_a_value_of_zero_is_exact():
    net, theta = network("sin")
    for quantity in ("output", "loss", "gradient"):
        given = reference(net, quantity, np.zeros((1, 2)), theta=theta, **more(quantity, np.zeros(1)))
        assert given.error == 0
        assert not np.any(flat(given.value))


def test_values_have_the_types_and_shapes_that_the_network_returns():
    (net, theta), y = network("sin"), np.ones(2)
    calls = {"output": "predict", "loss": "loss", "gradient": "gradient", "jacobian": "jacobian", "ntk": "ntk"}
    for quantity, call in calls.items():
        given = reference(net, quantity, X, theta=theta, **more(quantity, y)).value
        expected = getattr(net, call)(theta, X, *more(quantity, y).values(), solver=SolveIVP(rtol=1e-12, atol=1e-14))
        assert type(given) is type(expected)
        np.testing.assert_allclose(flat(given), flat(expected), rtol=1e-9, atol=1e-11)
        assert np.shape(given) == np.shape(expected)
    for quantity, call in (("limit_ntk", "ntk"), ("limit_nngp", "nngp")):
        given = reference(net, quantity, X).value
        np.testing.assert_allclose(given, getattr(net.limit(), call)(X), rtol=1e-12)
        assert np.array_equal(given, given.T)
        np.testing.assert_allclose(reference(net, quantity, X, X2=X[:1]).value, given[:, :1], rtol=1e-12)


def test_cancellation_is_seen():
    """f is the difference of two neurons that differ by 2⁻²⁰ of themselves: their roundings are 2²⁰ times its own."""
    theta = Params(np.asarray([[1 / 3], [(1 + 2.0**-20) / 3]]), np.zeros((2, 2)), np.asarray([1.0, -1.0]))
    net, x = NeuralODE("tanh"), np.asarray([[0.7]])
    assert 2**19 * EPS < check(net, theta, x, ["output"], rtol=1e-6)[0] < 2**27 * EPS
    with pytest.raises(AccuracyError, match="rtol=1e-12 was asked for") as caught:
        reference(net, "output", x, theta=theta)
    assert 2**19 * EPS < caught.value.reached < 2**27 * EPS


def test_amplification_is_seen():
    """h' = 12 φ(h) from near 0: a rounding of h_0 is amplified, and so is its share of the output's derivative."""
    theta = Params(np.asarray([[1e-6 / 3]]), np.asarray([[12.0]]), np.ones(1))
    assert check(NeuralODE("sin", horizon=0.8), theta, np.ones((1, 1)), rtol=1e-9)[0] < 1e-10


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_a_kink_that_no_neuron_crosses_is_no_obstacle(name):
    net, theta = network(name)
    positive = Params(np.abs(theta.U), np.abs(theta.W), theta.v)
    assert max(check(net, positive, np.abs(X))) < 1e-12
    assert max(check(net, theta, np.zeros((1, 2)), ["output", "jacobian"])) < 1e-12  # at rest, where φ'(0) is agreed


@pytest.mark.parametrize("name", ["relu", "leaky_relu", "elu"])
def test_a_crossing_of_a_kink_is_refused(name):
    W, v = np.asarray([[0, -2, 0], [0, 0, 0], [1, 0, 0]]) * 3**0.5, np.asarray([0.0, 0.0, 3**0.5])
    theta = Params(np.asarray([[1.0], [1.0], [0.25]]), W, v)
    with pytest.raises(AccuracyError, match=f"a neuron crosses a kink of {name}"):
        reference(NeuralODE(name), "output", np.ones((1, 1)), theta=theta)


def test_a_neuron_that_only_touches_the_kink_is_refused():
    """h_3 = 1, h_2 = t + 0.001, h_1 = (t − 0.499)²."""
    W = np.asarray([[0, 2, -1], [0, 0, 1], [0, 0, 0]]) * 3**0.5
    theta = Params(np.asarray([[0.499**2], [1e-3], [1.0]]), W, np.ones(3))
    with pytest.raises(AccuracyError, match="comes so near"):
        reference(NeuralODE("relu"), "output", np.ones((1, 1)), theta=theta)


def test_a_solution_that_escapes_raises():
    theta = Params(np.ones((1, 1)), np.asarray([[4.0]]), np.ones(1))
    with pytest.raises(BlowUpError):
        reference(NeuralODE("quadratic"), "output", np.ones((1, 1)), theta=theta)


def test_more_digits_than_float64_has_are_refused():
    net, theta = network("softplus")
    for quantity in ("output", "limit_ntk"):
        with pytest.raises(AccuracyError):
            reference(net, quantity, X, theta=theta if quantity == "output" else None, rtol=1e-17)


@pytest.mark.parametrize("horizon", [0.5, 3.0])
def test_limits_of_the_identity_have_their_closed_form(horizon):
    net, (x, x2) = NeuralODE("identity", horizon=horizon, sigma_u=0.8, sigma_w=1.3, sigma_v=0.7), X
    q, Z = 0.8**2 * (x @ x2), 1.3 * horizon
    nngp = 0.7**2 * q * scipy.special.iv(0, 2 * Z)
    ntk = 0.7**2 * q * (2 * scipy.special.iv(0, 2 * Z) + Z * scipy.special.iv(1, 2 * Z))
    for quantity, expected in (("limit_ntk", ntk), ("limit_nngp", nngp)):
        given = reference(net, quantity, x[None], X2=x2[None])
        assert abs(given.value[0, 0] - expected) <= given.error + 8 * EPS * abs(expected)  # what SciPy's I_ν leave
        assert given.error < 1e-13 * abs(expected) * (x @ x) / abs(x @ x2) * 2


@pytest.mark.parametrize("name", ["erf", "gelu", "sin"])
def test_the_error_of_a_limit_covers_the_truth(name):
    limit = pytest.importorskip("refimpl.oracle.limit").limit
    net, ctx = NeuralODE(name, horizon=0.8, sigma_w=1.2), campaign.context(40)
    x, x2 = campaign.exact(ctx, X)
    inner = tuple(ctx.fdot(a, b) for a, b in ((x, x), (x, x2), (x2, x2)))
    truth = limit(ctx, name, ctx.mpf(0.8), (ctx.one, ctx.mpf(1.2), ctx.one), inner)
    for quantity, expected in (("limit_ntk", truth.ntk), ("limit_nngp", truth.nngp)):
        given = reference(net, quantity, X[:1], X2=X[1:])
        error, size = campaign.distance(ctx, given.value, [expected])
        assert error <= given.error + truth.error
        assert given.error < 1e-13 * size


def test_norms_that_differ_in_the_last_place_are_two_norms():
    net = NeuralODE("quadratic", horizon=0.5)
    near = np.asarray([[1.0], [1 + 8 * EPS]])
    K = reference(net, "limit_ntk", near).value
    assert K[0, 0] < K[1, 1]


def test_limits_of_kinked_activations_have_the_error_of_their_solver():
    given = reference(NeuralODE("relu"), "limit_ntk", np.asarray([[1.0, 0.0], [0.0, 1.0]]))
    np.testing.assert_allclose(given.value[0], [1.86291825409, 0.35785678946], atol=1e-11)
    assert given.error < 1e-11


def test_an_activation_of_the_users_has_references_too():
    (net, theta), (own, _) = network("tanh"), network(Activation(np.tanh, lambda z: 1 - np.tanh(z) ** 2))
    built_in, given = (reference(case, "gradient", X, theta=theta, y=np.ones(2)) for case in (net, own))
    apart = (built_in.value - given.value).norm()
    assert apart <= built_in.error + given.error


def test_single_precision_counts_as_the_numbers_that_it_holds():
    net, theta = network("softplus")
    single = Params(*(block.astype(np.float32) for block in (theta.U, theta.W, theta.v)))
    double = Params(*(block.astype(np.float64) for block in (single.U, single.W, single.v)))
    x = X.astype(np.float32)
    first, second = (reference(net, "output", z, theta=t) for z, t in ((x, single), (x.astype(float), double)))
    assert first.value.dtype == np.float64
    assert np.array_equal(first.value, second.value)


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_no_inputs_give_empty_values_without_error(quantity):
    net, theta = network("tanh")
    given = reference(
        net, quantity, np.zeros((0, 2)), theta=theta if quantity in FINITE else None, **more(quantity, np.zeros(0))
    )
    assert given.error == 0
    assert not np.any(flat(given.value))


NET, THETA = network("tanh")


@pytest.mark.parametrize(
    ("error", "message", "change"),
    [
        (ValueError, "quantity must be one of output, loss", {"quantity": "kernel"}),
        (TypeError, "net must be a NeuralODE", {"net": "tanh"}),
        (ValueError, "theta must be given for 'output'", {"theta": None}),
        (ValueError, "theta must not be given for 'limit_ntk'", {"quantity": "limit_ntk"}),
        (TypeError, "theta must be a Params", {"theta": 3}),
        (ValueError, "y must be given for 'loss'", {"quantity": "loss"}),
        (ValueError, "y must not be given for 'output'", {"y": np.ones(2)}),
        (ValueError, r"y must have shape \(2,\)", {"quantity": "loss", "y": np.ones(3)}),
        (ValueError, "y must be finite", {"quantity": "loss", "y": np.asarray([1.0, np.nan])}),
        (ValueError, "X2 must not be given for 'output'", {"X2": X}),
        (ValueError, "X2 must have d = 2 columns", {"quantity": "ntk", "X2": np.ones((1, 3))}),
        (ValueError, "X must have d = 2 columns", {"X": np.ones((1, 3))}),
        (ValueError, r"pass X\[None\]", {"X": np.ones(2)}),
        (ValueError, "X must be finite", {"X": X * np.inf}),
        (TypeError, "X must come from", {"X": [[1.0, 2.0]]}),
        (ValueError, "rtol must be above 0", {"rtol": 0.0}),
        (TypeError, "rtol must be a real number", {"rtol": "small"}),
        (TypeError, "prove must be a bool", {"prove": 1}),
        (ValueError, "prove=True is for", {"quantity": "limit_ntk", "prove": True, "theta": None}),
        (ValueError, "one W for all times", {"theta": NET.init(3, 2, layers=2)}),
    ],
)  # fmt: skip
def test_bad_arguments_are_named(error, message, change):
    arguments = {"net": NET, "quantity": "output", "X": X, "theta": THETA} | change
    with pytest.raises(error, match=message):
        reference(**arguments)


def test_importing_the_package_imports_no_multiprecision():
    code = "import refimpl, sys; print({'flint', 'mpmath'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"


def test_a_proof_without_its_library_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    for module in ("ball", "proof"):
        monkeypatch.delitem(sys.modules, f"refimpl.certified.{module}", raising=False)
        if hasattr(sys.modules["refimpl.certified"], module):
            monkeypatch.delattr(sys.modules["refimpl.certified"], module)
    with pytest.raises(ImportError, match=r"refimpl\[proof\]"):
        reference(NET, "output", X, theta=THETA, prove=True)


@pytest.mark.slow
def test_the_campaign_finds_no_violation():
    results = [result for number in range(40) for result in campaign.play(("finite",), 7, number)]
    assert not [result for result in results if result[1].violated]
    ratios = [outcome.ratio for _, outcome in results]
    assert np.median(ratios) < 60


def test_parameters_in_the_place_of_inputs_are_named():
    net, theta = network("tanh", horizon=0.4, width=2)
    with pytest.raises(TypeError, match="X2 must be an array of inputs, got Params"):
        reference(net, "ntk", X, theta)


def test_predict_is_another_name_of_the_output():
    net = NeuralODE("tanh")
    theta, X = net.init(3, 2, seed=0), np.ones((2, 2))
    assert (
        reference(net, "predict", X, theta=theta).value.tolist()
        == reference(net, "output", X, theta=theta).value.tolist()
    )
    with pytest.raises(ValueError, match="theta must be given for 'output'"):
        reference(net, "predict", X)
