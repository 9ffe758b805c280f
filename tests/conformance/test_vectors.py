"""The golden vectors: what they promise, closed forms, this package at its tightest, and a reader in JavaScript."""

from __future__ import annotations

import json
import shutil
import subprocess
from decimal import Decimal
from pathlib import Path

import mpmath
import numpy as np
import pytest

from refimpl import Euler, Gauss, KinkEvents, NeuralODE, Params
from refimpl.conformance import FLAGS, QUANTITIES, cases, load_cases
from refimpl.conformance.inputs import ACTIVATIONS, KINDS, KINKED
from refimpl.conformance.vectors import FOLDER

ctx = mpmath.MPContext()
ctx.dps = 40

EPS = 2.0**-52
FINITE = ("predict", "terminal_state", "initial_adjoint", "gradient", "ntk")


def leaves(value):
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        return [z for part in value for z in leaves(part)]
    return [value]


def stored(case):
    """The case as it stands in its file."""
    content = json.loads((FOLDER / f"{case.settings.activation}-{case.kind}.json").read_text(encoding="utf-8"))
    return next(part for part in content["cases"] if part["id"] == case.id)


def flat(value):
    parts = [value[name] for name in ("U", "W", "v")] if isinstance(value, dict) else [value]
    return np.concatenate([np.ravel(part) for part in parts])


# --- what they promise --------------------------------------------------------------------------------------------


def test_there_are_at_least_300_cases_in_less_than_2_megabytes():
    assert len(cases()) >= 300
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 2_000_000


def test_ids_are_used_once_and_say_what_a_case_is():
    ids = [case.id for case in cases()]
    assert len(set(ids)) == len(ids)
    assert all(case.id.startswith(f"{case.settings.activation}-{case.kind}-") for case in cases())


def test_there_is_every_quantity_for_every_activation():
    found = {(case.settings.activation, quantity) for case in cases() for quantity in case.expected}
    assert found == {(activation, quantity) for activation in ACTIVATIONS for quantity in QUANTITIES}


def test_flags_are_described_and_used():
    assert {flag for case in cases() for flag in case.flags} == set(FLAGS)


def test_every_horizon_of_the_paper_is_there():
    for kind, horizons in (("ode", {0.1, 1.0, 3.0, 10.0}), ("limit", {0.1, 1.0, 3.0, 10.0})):
        assert horizons <= {case.settings.horizon for case in cases() if case.kind == kind}


def test_inputs_are_exact_decimals_of_floats():
    for activation in ACTIVATIONS:
        for kind in KINDS:
            content = json.loads((FOLDER / f"{activation}-{kind}.json").read_text(encoding="utf-8"))
            for case in content["cases"]:
                dtype = np.dtype(case["dtype"]).type
                numbers = [z for name, z in case["settings"].items() if name != "depth"]
                numbers += [z for name in ("U", "W", "v", "X") if name in case for z in leaves(case[name])]
                assert all(Decimal(float(dtype(float(z)))) == Decimal(z) for z in numbers), case["id"]


def test_arrays_have_the_dtype_of_their_case_and_the_decimals_of_their_file():
    for case in cases()[::29]:
        part = stored(case)
        for name in ("U", "W", "v", "X"):
            array = getattr(case, name)
            assert (array is None) == (name not in part)
            if array is not None:
                assert array.dtype == case.settings.dtype
                assert [float(z) for z in leaves(part[name])] == array.ravel().tolist()
        for quantity, expected in case.expected.items():
            assert expected.decimals == part["expected"][quantity]["value"]
            assert [float(z) for z in leaves(expected.decimals)] == flat(expected.value).tolist()


def test_arrays_cannot_be_changed_by_one_caller_for_the_next():
    case = cases("gradient")[0]
    for array in (case.U, case.X, case.expected["gradient"].value["W"]):
        with pytest.raises(ValueError, match="read-only"):
            array += 1


def test_bounds_are_small():
    for case in cases():
        rough = case.settings.activation in KINKED and case.kind == "limit"
        for quantity, expected in case.expected.items():
            size = np.linalg.norm(flat(expected.value))
            assert expected.bound <= (1e-12 if rough else 1e-14) * size or (size == 0 and expected.bound < 1e-30)
            assert 1 <= expected.condition < 1e7, (case.id, quantity)


@pytest.mark.parametrize("kinked", KINKED)
def test_kinked_activations_are_flagged(kinked):
    assert all("kink" in case.flags for case in cases(activation=kinked))
    assert not any(set(KINKED) - {c.settings.activation} == set(KINKED) for c in cases(flag="kink"))


@pytest.mark.parametrize(("name", "count"), [("quantity", 11), ("flag", len(FLAGS)), ("activation", 13)])
def test_cases_are_chosen_by_name(name, count):
    values = {"quantity": QUANTITIES, "flag": tuple(FLAGS), "activation": ACTIVATIONS}[name]
    assert len(values) == count
    for value in values:
        chosen = cases(**{name: value})
        assert chosen
        assert chosen == tuple(
            case for case in cases() if value in (*case.expected, *case.flags, case.settings.activation)
        )
    with pytest.raises(ValueError, match=f"^{name} must be one of .*; got 'nothing'"):
        cases(**{name: "nothing"})


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": 2}',
        '{"format": 1, "activation": "tanh"}',
        '{"format": 1, "activation": "tanh", "kind": "ode", "cases": [{}]}',
    ],
)
def test_another_file_is_refused(tmp_path, text):
    path = tmp_path / "mine.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"mine\.json is no file of golden vectors"):
        load_cases(path)


# --- closed forms -------------------------------------------------------------------------------------------------


def exact(array):
    return [exact(part) for part in array] if getattr(array, "ndim", 0) else ctx.mpf(float(array))


def check(case, quantity, mine):
    expected = case.expected[quantity]
    error = ctx.norm([ctx.mpf(a) - b for a, b in zip(leaves(expected.decimals), mine, strict=True)])
    assert error <= expected.bound, (case.id, quantity, error, expected.bound)


@pytest.mark.parametrize("case", [c for c in cases("predict", activation="identity")], ids=lambda c: c.id)
def test_a_linear_network_is_a_matrix_exponential(case):
    s, n = case.settings, len(case.v)
    T, root = ctx.mpf(s.horizon), ctx.sqrt(n)
    U, W, v = (ctx.matrix(exact(array)) for array in (case.U, case.W, case.v))
    flow = ctx.expm(T * s.sigma_w / root * W, method="taylor")
    starts = [s.sigma_u * U * ctx.matrix(exact(x)) for x in case.X]
    ends = [flow * h for h in starts]
    adjoint = s.sigma_v / root * flow.T * v
    check(case, "terminal_state", [z for h in ends for z in h])
    check(case, "initial_adjoint", list(adjoint) * len(ends))
    check(case, "predict", [s.sigma_v / root * (v.T * h)[0] for h in ends])


def bessel(Z, q):
    return q * (2 * ctx.besseli(0, 2 * Z) + Z * ctx.besseli(1, 2 * Z)), q * ctx.besseli(0, 2 * Z)


def binomial(z, q, depth):
    squares = [(k, ctx.binomial(depth, k) ** 2 * z ** (2 * k)) for k in range(depth + 1)]
    return q * sum((2 + k) * square for k, square in squares)


def test_the_limit_of_a_linear_network_is_a_bessel_function():
    for case in cases("limit_ntk", activation="identity"):
        s, X = case.settings, [exact(x) for x in case.X]
        q = [ctx.mpf(s.sigma_u * s.sigma_v) ** 2 * ctx.fdot(x, z) for x in X for z in X]
        answers = [bessel(ctx.mpf(s.sigma_w) * s.horizon, z) for z in q]
        check(case, "limit_ntk", [ntk for ntk, _ in answers])
        check(case, "limit_nngp", [nngp for _, nngp in answers])


def test_the_limit_of_a_linear_residual_network_is_a_sum_of_binomials():
    for case in cases("limit_resnet_ntk", activation="identity"):
        s, X = case.settings, [exact(x) for x in case.X]
        q = [ctx.mpf(s.sigma_u * s.sigma_v) ** 2 * ctx.fdot(x, z) for x in X for z in X]
        z = ctx.mpf(s.sigma_w) * s.horizon / s.depth
        check(case, "limit_resnet_ntk", [binomial(z, part, s.depth) for part in q])


# --- this package -------------------------------------------------------------------------------------------------


def mine(case, solver):
    """All quantities of a case from this package."""
    s = case.settings
    net = NeuralODE(s.activation, s.horizon, s.sigma_u, s.sigma_w, s.sigma_v)
    X = case.X.astype(np.float64)
    if case.kind.startswith("limit"):
        limit = net.limit(solver)
        found = {"ntk": limit.ntk(X), "nngp": limit.nngp(X)}
        return {name: found["nngp" if name == "limit_nngp" else "ntk"] for name in case.expected}
    theta = Params(*(array.astype(np.float64) for array in (case.U, case.W, case.v)))
    gradient = net.jacobian(theta, X, solver).transpose_apply(np.ones(len(X)))
    found = {
        "predict": net.predict(theta, X, solver),
        "gradient": {"U": gradient.U, "W": gradient.W, "v": gradient.v},
        "ntk": net.ntk(theta, X, solver=solver),
    }
    if case.kind == "ode":
        path = net.trajectory(theta, X, np.asarray([0.0, s.horizon]), solver)
        found |= {"terminal_state": path.h[1], "initial_adjoint": path.adjoint[0]}
    return {name: found[name.removeprefix("resnet_")] for name in case.expected}


def tightest(case):
    """The best solver for a case, and the relative error it is allowed beyond what rounding costs."""
    kinked = case.settings.activation in KINKED
    if case.settings.depth is not None:
        return Euler(case.settings.depth), 0.0
    if kinked and case.kind == "ode":
        return KinkEvents(rtol=1e-12), 1e-12
    return Gauss(rtol=1e-12 if case.kind == "limit" else 1e-13), 1e-12 if case.kind == "limit" else 1e-13


def compare(case):
    solver, loose = tightest(case)
    for quantity, found in mine(case, solver).items():
        expected = case.expected[quantity]
        size = np.linalg.norm(flat(expected.value))
        error = np.linalg.norm(flat(found) - flat(expected.value))
        assert error <= max(expected.bound, (loose + 100 * expected.condition * EPS) * size), (
            case.id,
            quantity,
            error / size,
        )


@pytest.mark.parametrize("case", cases()[::9], ids=lambda case: case.id)
def test_this_package_agrees(case):
    compare(case)


@pytest.mark.slow
@pytest.mark.parametrize("case", cases(), ids=lambda case: case.id)
def test_this_package_agrees_with_all(case):
    compare(case)


# --- another language ---------------------------------------------------------------------------------------------


def test_a_reader_in_javascript_recomputes_residual_networks(tmp_path):
    node = shutil.which("node")
    if node is None:
        pytest.skip("Node is not installed")  # no package of Python brings it
    reader = Path(__file__).with_name("reader.mjs")

    def run(path):
        return subprocess.run([node, reader, path], capture_output=True, text=True, timeout=60, check=False)

    good = run(FOLDER / "tanh-resnet.json")
    assert good.returncode == 0, good.stdout + good.stderr
    count = len([case for case in cases("resnet_predict", activation="tanh")])
    assert [line.split()[0] for line in good.stdout.splitlines()] == ["ok"] * count
    assert run(FOLDER / "sin-resnet.json").returncode == 1  # of another activation: the reader does compare
