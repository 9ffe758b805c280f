"""Functions of states as rows do not depend on the blocks in which they are evaluated."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl.finite import rows


@pytest.mark.parametrize("shape", [(2, 3, 5), (3, 40, 700), (1, 1, 70_000)])
def test_blocks_are_put_together_as_they_were_taken(shape):
    """The second has more than one block, the last one row that is longer than a block."""
    values, others = np.random.default_rng(0).standard_normal((2, *shape))
    found = rows.in_blocks(np, lambda one, other: one - 2 * other, values, others)
    assert np.array_equal(found, values - 2 * others)
    assert np.array_equal(rows.in_blocks(np, lambda one: one.max(axis=-1), values), values.max(axis=-1))
    change = np.abs(values - others).max(axis=-1) / np.abs(values).max(axis=-1)
    assert rows.relative_change(np, values, others) == change.max()


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_norms_neither_over_nor_underflow(scale):
    values = np.random.default_rng(0).standard_normal((2, 3, 50))
    exact = scale * np.linalg.norm(values, axis=-1)
    np.testing.assert_allclose(rows.norms(np, scale * values), exact, rtol=50 * np.finfo(float).eps)
    assert (rows.norms(np, 0 * values) == 0).all()


def test_one_product_serves_all_nodes():
    rng = np.random.default_rng(0)
    states, W = rng.standard_normal((3, 2, 4)), rng.standard_normal((4, 4))
    np.testing.assert_allclose(rows.times(np, states, W), states @ W, rtol=1e-14, atol=1e-14)
    columns = rng.standard_normal((5, 3))
    assert rows.rows_of(np, columns).flags.c_contiguous
    assert np.array_equal(rows.rows_of(np, columns), columns.T)
