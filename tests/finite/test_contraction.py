"""K_θ = J Jᵀ, by either contraction, in slices of any size, without an array of N × n² entries."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from refimpl import Euler, Gauss, SolveIVP
from refimpl.finite import contraction
from tests import formulas

few = settings(max_examples=25)
SOLVERS = (Euler(4), Gauss(4, 2), Gauss(), SolveIVP())


def kernel_bound(K, K2=None):
    """Rounding of K(x, x̄), relative to √(K(x, x) K(x̄, x̄))."""
    root, root2 = np.sqrt(np.diag(K)), np.sqrt(np.diag(K if K2 is None else K2))
    return 1e-13 * np.outer(root, root2)


def both_contractions(sweep, other):
    return (
        contraction._kernel_by_node_products(np, sweep, other),
        contraction._kernel_by_weight_rows(np, sweep, other),
    )


@few
@given(formulas.cases(n=(1, 12), N=(1, 6)), st.sampled_from(SOLVERS))
def test_ntk_is_the_jacobian_times_its_transpose_exactly_symmetric_and_positive(case, solver):
    K = case.net.ntk(case.theta, case.X, solver=solver)
    M = formulas.flat(case.net.jacobian(case.theta, case.X, solver))
    assert (np.abs(K - M @ M.T) <= kernel_bound(M @ M.T)).all()
    np.testing.assert_array_equal(K, K.T)
    assert np.linalg.eigvalsh(K).min() >= -1e-13 * np.trace(K)


@pytest.mark.parametrize(
    ("n", "N", "solver"), [(100, 7, Euler(3)), (200, 33, Gauss(6, 1)), (5, 40, SolveIVP(rtol=1e-4))]
)
def test_ntk_is_exactly_symmetric_where_the_products_of_matrices_are_not(n, N, solver):
    case = formulas.make("gelu", n=n, N=N)
    K = case.net.ntk(case.theta, case.X, solver=solver)
    np.testing.assert_array_equal(K, K.T)


@few
@given(st.integers(1, 4).flatmap(lambda depth: formulas.cases(n=(1, 8), N=(1, 6), layers=depth)), st.integers(1, 3))
def test_layered_ntk_is_the_jacobian_times_its_transpose(case, N2):
    solver = Euler(case.theta.W.shape[0], shared=False)
    X2 = np.random.default_rng(3).standard_normal((N2, case.theta.dim))
    M, M2 = (formulas.flat(case.net.jacobian(case.theta, Z, solver)) for Z in (case.X, X2))
    K, K12 = case.net.ntk(case.theta, case.X, solver=solver), case.net.ntk(case.theta, case.X, X2, solver)
    assert (np.abs(K - M @ M.T) <= kernel_bound(M @ M.T)).all()
    assert (np.abs(K12 - M @ M2.T) <= kernel_bound(M @ M.T, M2 @ M2.T)).all()
    np.testing.assert_array_equal(K, K.T)


@few
@given(formulas.cases(n=(1, 8), N=(1, 5)), st.integers(1, 4), st.sampled_from(SOLVERS))
def test_ntk_of_two_batches_is_the_block_of_the_ntk_of_both_together(case, N2, solver):
    X2 = np.random.default_rng(3).standard_normal((N2, case.theta.dim))
    N = len(case.X)
    whole = case.net.ntk(case.theta, np.concatenate([case.X, X2]), solver=solver)
    block = case.net.ntk(case.theta, case.X, X2, solver)
    assert block.shape == (N, N2)
    tolerance = {SolveIVP: 1e-8, Gauss: 1e-11, Euler: 1e-13}[type(solver)]
    root = np.sqrt(np.diag(whole))
    assert (np.abs(block - whole[:N, N:]) <= tolerance * np.outer(root[:N], root[N:])).all()
    np.testing.assert_allclose(
        block, case.net.ntk(case.theta, X2, case.X, solver).T, rtol=0, atol=1e-13 * root.max() ** 2
    )


@few
@given(formulas.cases(n=(1, 12), N=(1, 6)), st.sampled_from(SOLVERS), st.sampled_from([1, 7, 100, contraction.BLOCK]))
def test_both_contractions_agree_in_slices_of_any_size(case, solver, block):
    net, theta = case.net, case.theta
    X2 = np.random.default_rng(3).standard_normal((3, theta.dim))
    _, _, sweep, _ = net._sweep(theta, case.X, solver)
    _, _, other, _ = net._sweep(theta, X2, solver)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(contraction, "BLOCK", block)
        found = [(one, both_contractions(sweep, one)) for one in (sweep, other)]
    for one, (by_nodes, by_rows) in found:
        W, W2 = (
            contraction.jacobian(np, s, Z, net._scales(theta), False)[1]
            for s, Z in ((sweep, case.X), (one, X2 if one is other else case.X))
        )
        expected = np.einsum("aij,bij->ab", W, W2) / net._scales(theta).w ** 2
        # The products of nodes lose what the sum over nodes cancels: bound by the sum of the absolute values.
        size = np.einsum("mia,mja->a", np.abs(sweep.weighted_adjoint), np.abs(sweep.phi))
        size2 = np.einsum("mia,mja->a", np.abs(one.weighted_adjoint), np.abs(one.phi))
        bound = 1e-14 * np.outer(size, size2)
        assert (np.abs(by_nodes - expected) <= bound).all()
        assert (np.abs(by_rows - expected) <= bound).all()


@pytest.mark.parametrize(("n", "cheaper_by_nodes"), [(3, False), (400, True)])
def test_the_cheaper_contraction_is_chosen(n, cheaper_by_nodes, monkeypatch):
    case = formulas.make(n=n, N=4)
    used = []
    for name in ("_kernel_by_node_products", "_kernel_by_weight_rows"):
        function = getattr(contraction, name)
        monkeypatch.setattr(contraction, name, lambda *args, name=name, f=function: used.append(name) or f(*args))
    case.net.ntk(case.theta, case.X, solver=Gauss(6, 1))
    assert used == ["_kernel_by_node_products" if cheaper_by_nodes else "_kernel_by_weight_rows"]


def peak(function):
    """Bytes allocated at the worst moment inside `function`."""
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("path", ["node_products", "weight_rows"])
def test_the_contraction_stays_within_its_block_whatever_the_width(path, monkeypatch):
    case = formulas.make(n=300, N=24)
    _, _, sweep, _ = case.net._sweep(case.theta, case.X, Gauss(6, 1))
    monkeypatch.setattr(contraction, "BLOCK", 1 << 16)
    states = sweep.phi.nbytes
    used = peak(lambda: getattr(contraction, f"_kernel_by_{path}")(np, sweep, sweep))
    # A few copies of the states, a few blocks; the Jacobian itself would be 17 MB.
    assert used < 8 * (states + 8 * contraction.BLOCK)
    assert used < 0.5 * (8 * 24 * 300**2)


def test_ntk_and_gradient_form_no_array_of_inputs_times_weights(monkeypatch):
    case = formulas.make(n=400, N=24)
    monkeypatch.setattr(contraction, "BLOCK", 1 << 16)
    jacobian_bytes = 8 * 24 * 400**2
    for function in (
        lambda: case.net.ntk(case.theta, case.X, solver=Gauss(4, 1)),
        lambda: case.net.gradient(case.theta, case.X, case.y, Gauss(4, 1)),
    ):
        assert peak(function) < 0.5 * jacobian_bytes
    assert peak(lambda: case.net.jacobian(case.theta, case.X, Gauss(4, 1))) > jacobian_bytes
