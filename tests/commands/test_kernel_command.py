"""``refimpl kernel``: what it computes."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("click", reason="the command line needs click")


import refimpl
from refimpl.commands.kernel import BLOCK, gram
from tests.commands.running import X, refuses, run


def test_csv_and_npy_hold_the_kernel_to_the_last_bit() -> None:
    np.save("x.npy", X)
    Path("x.csv").write_text("\n".join(",".join(map(repr, row)) for row in X.tolist()))
    run("kernel", "x.npy", "--activation", "sin", "--horizon", 2, "--sigma-w", 1.2, "--out", "K.npy", "--out", "K.csv")
    run("kernel", "x.csv", "--activation", "sin", "--horizon", 2, "--sigma-w", 1.2, "--out", "same.npy")
    truth = refimpl.NeuralODE("sin", 2.0, sigma_w=1.2).limit().ntk(X)
    assert np.load("K.npy").tolist() == np.load("same.npy").tolist() == truth.tolist()
    assert np.loadtxt("K.csv", delimiter=",").tolist() == truth.tolist()


@pytest.mark.parametrize(
    ("options", "method", "solver"),
    [(["--nngp"], "nngp", None), (["--depth", "3"], "ntk", refimpl.Euler(3))],
    ids=["nngp", "depth"],
)
def test_options_choose_the_kernel(options: list[str], method: str, solver: refimpl.Euler | None) -> None:
    np.save("x.npy", X)
    scales = ["--sigma-u", "0.5", "--sigma-w", "0.7", "--sigma-v", "2"]
    run("kernel", "x.npy", *options, *scales, "--out", "K.npy")
    limit = refimpl.NeuralODE("softplus", 1.0, 0.5, 0.7, 2.0).limit(solver)
    assert np.load("K.npy").tolist() == getattr(limit, method)(X).tolist()


@pytest.mark.parametrize("options", [[], ["--nngp"]], ids=["ntk", "nngp"])
def test_the_curve_is_the_kernel_on_a_sphere(options: list[str]) -> None:
    run("kernel", "--curve", *options, "--points", 5, "--radius", 2, "--activation", "sin", "--out", "curve.csv")
    assert Path("curve.csv").read_text().startswith("rho,kernel\n-1.0,")
    rho, found = np.loadtxt("curve.csv", delimiter=",", skiprows=1).T
    assert rho.tolist() == [-1, -0.5, 0, 0.5, 1]
    limit = refimpl.NeuralODE("sin").limit()
    inputs = 2 * np.stack([rho, np.sqrt(1 - rho**2)], axis=1)
    truth = (limit.nngp if options else limit.ntk)(inputs[-1:], inputs)[0]
    assert np.abs(found - truth).max() < 1e-9 * np.abs(truth).max()  # the default of the solver, with room


def test_png_is_drawn_for_both() -> None:
    pytest.importorskip("matplotlib", reason="a PNG needs matplotlib")
    np.save("x.npy", X)
    run("kernel", "x.npy", "--activation", "identity", "--out", "K.png")
    run("kernel", "--curve", "--activation", "identity", "--out", "curve.png")
    for name in ("K.png", "curve.png"):
        assert Path(name).read_bytes().startswith(b"\x89PNG\r\n")


def test_a_kernel_in_blocks_is_the_kernel_at_once() -> None:
    inputs, done = np.random.default_rng(0).standard_normal((2 * BLOCK + 3, 3)), []
    limit = refimpl.NeuralODE("sin", horizon=0.1).limit()  # not homogeneous: norms matter
    K = gram(limit, inputs, nngp=False, bar=lambda part, total: done.append((part, total)))
    assert np.array_equal(K, K.T)
    assert np.allclose(K, limit.ntk(inputs), rtol=1e-9, atol=0)  # both within the solver's tolerance
    assert done == [(124, 190), (184, 190), (190, 190)]  # 19 rows: 190 pairs, less those of 11 and of 3 rows


@pytest.mark.parametrize("option", ["--points", "--radius"])
def test_options_of_the_curve_are_refused_with_an_input(option: str, folder: Path) -> None:
    Path("x.csv").write_text("1,0\n0,1\n")
    assert f"{option} is of the curve" in run("kernel", "x.csv", option, "3", "--out", "K.csv", status=2).stderr
    assert not Path("K.csv").exists()


@pytest.mark.parametrize("activation", ["softplus", "relu", "gelu", "sin", "erf"])
def test_what_is_out_of_reach_comes_with_advice(activation: str, folder: Path) -> None:
    """And the advice is good: with the smaller horizon, or the tolerance that is named, the kernel is there."""
    np.save("x.npy", X[:2])
    given = ["kernel", "x.npy", "--activation", activation, "--out", "K.npy"]
    says = run(*given, "--horizon", 30, status=2).stderr
    assert re.search("make T(,| or) sigma_w (or sigma_u .x. )?smaller", says)
    found = re.search("ask for an rtol above ([^ ,]+)", says)
    assert (found is None) == (activation != "erf")
    assert ("rtol changes nothing" in says) == (activation == "softplus")
    run(*given, "--horizon", 1)
    if found is not None:
        run(*given, "--horizon", 30, "--rtol", 1.1 * float(found[1]), "--force")


def test_a_tolerance_is_of_the_ode_and_is_kept(folder: Path) -> None:
    np.save("x.npy", X)
    run("kernel", "x.npy", "--activation", "tanh", "--horizon", 2, "--rtol", 1e-5, "--out", "K.npy")
    coarse = refimpl.NeuralODE("tanh", 2).limit(refimpl.Gauss(rtol=1e-5)).ntk(X)
    np.testing.assert_array_equal(np.load("K.npy"), coarse)
    assert (coarse != refimpl.NeuralODE("tanh", 2).limit().ntk(X)).any()
    refuses("x.npy", "--depth", 3, "--rtol", 1e-5, says="--rtol is of the ODE", out="L.npy")
    refuses("x.npy", "--rtol", 0, says="--rtol", out="L.npy")
