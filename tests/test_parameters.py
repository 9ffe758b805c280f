from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import AccuracyError, Jacobian, Params
from tests import formulas

numbers = st.floats(-3, 3)
shapes = st.tuples(st.integers(1, 4), st.integers(1, 3), st.one_of(st.none(), st.integers(1, 3)))


@st.composite
def pairs(draw):
    """Two parameters of the same shapes."""
    n, d, layers = draw(shapes)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    W = (n, n) if layers is None else (layers, n, n)
    return tuple(Params(*(rng.standard_normal(shape) for shape in ((n, d), W, (n,)))) for _ in range(2))


@given(pairs(), numbers, numbers)
def test_params_are_a_vector_space_with_the_inner_product_of_their_entries(both, a, b):
    p, q = both
    np.testing.assert_array_equal(p.ravel(), np.concatenate([p.U.ravel(), p.W.ravel(), p.v.ravel()]))
    np.testing.assert_allclose((a * p + q * b).ravel(), a * p.ravel() + b * q.ravel(), rtol=1e-15, atol=1e-14)
    np.testing.assert_array_equal((p - q).ravel(), p.ravel() - q.ravel())
    np.testing.assert_array_equal((-p).ravel(), -p.ravel())
    size = p.ravel().size
    assert abs(p.dot(q) - p.ravel() @ q.ravel()) <= size * formulas.EPS * np.abs(p.ravel()) @ np.abs(q.ravel())
    np.testing.assert_allclose(p.norm() ** 2, p.dot(p), rtol=4 * size * formulas.EPS)
    assert type(p.dot(q)) is type(p.norm()) is float


@given(pairs(), st.sampled_from([2, 0.5, np.float64(0.5), np.float32(0.5), np.int64(3)]))
def test_a_scalar_of_any_kind_multiplies_from_both_sides(both, scalar):
    p, _ = both
    for product in (scalar * p, p * scalar):
        assert isinstance(product, Params)
        np.testing.assert_array_equal(product.ravel(), float(scalar) * p.ravel())


@pytest.mark.parametrize("other", [1, 1.0, "a", None, np.ones(3), [1.0]])
@pytest.mark.parametrize("operation", ["__add__", "__sub__"])
def test_sums_take_params_only(other, operation):
    (p,) = (Params(np.ones((2, 1)), np.ones((2, 2)), np.ones(2)),)
    assert getattr(p, operation)(other) is NotImplemented


def test_products_of_two_params_are_refused():
    p = Params(np.ones((2, 1)), np.ones((2, 2)), np.ones(2))
    with pytest.raises(TypeError):
        p * p


@pytest.mark.parametrize("scalar", [np.ones(1), np.ones(2), np.ones((2, 2)), [2.0], None, "2", 1j])
def test_only_real_scalars_multiply(scalar):
    p = Params(np.ones((2, 2)), np.ones((2, 2)), np.ones(2))
    with pytest.raises(TypeError):
        p * scalar


def test_the_scalar_of_an_update_step_does_not_promote_float32():
    p = Params(*(np.ones(shape, np.float32) for shape in ((2, 1), (2, 2), (2,))))
    for scalar in (2, 0.5, np.float32(0.5)):
        assert (scalar * p).U.dtype == np.float32


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        ((np.float64, np.float64, np.float64), np.float64),
        ((np.float32, np.float32, np.float32), np.float32),
        ((np.float32, np.float64, np.float32), np.float64),
        ((int, int, int), np.float64),
        ((np.int8, np.float32, np.float32), np.float64),
    ],
)
def test_blocks_get_one_floating_dtype(dtypes, expected):
    p = Params(*(np.ones(shape, t) for shape, t in zip(((2, 1), (2, 2), (2,)), dtypes, strict=True)))
    assert p.U.dtype == p.W.dtype == p.v.dtype == expected


@pytest.mark.parametrize(
    ("U", "W", "v", "named"),
    [
        ((3,), (3, 3), (3,), "U"),
        ((0, 2), (0, 0), (0,), "U"),
        ((3, 0), (3, 3), (3,), "U"),
        ((3, 2, 1), (3, 3), (3,), "U"),
        ((3, 2), (3, 2), (3,), "W"),
        ((3, 2), (3,), (3,), "W"),
        ((3, 2), (0, 3, 3), (3,), "W"),
        ((3, 2), (2, 2, 3, 3), (3,), "W"),
        ((3, 2), (3, 3), (3, 1), "v"),
        ((3, 2), (3, 3), (2,), "v"),
    ],
)
def test_shapes_that_do_not_fit_raise_and_name_the_block_and_the_shape_given(U, W, v, named):
    given = {"U": U, "W": W, "v": v}
    with pytest.raises(ValueError, match=rf"^{named} must have shape .* got \({given[named][0]}"):
        Params(np.ones(U), np.ones(W), np.ones(v))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("which", ["U", "W", "v"])
def test_entries_that_are_not_finite_raise_and_name_the_block(which, value):
    blocks = {"U": np.ones((2, 1)), "W": np.ones((2, 2)), "v": np.ones(2)}
    blocks[which].flat[-1] = value
    with pytest.raises(ValueError, match=f"^{which} must be finite"):
        Params(**blocks)


@pytest.mark.parametrize("dtype", [complex, bool, np.float16, np.longdouble, object, "U3"])
@pytest.mark.parametrize("which", ["U", "W", "v"])
def test_other_dtypes_raise_and_name_the_block(which, dtype):
    blocks = {"U": np.ones((2, 1)), "W": np.ones((2, 2)), "v": np.ones(2)}
    blocks[which] = blocks[which].astype(dtype)
    with pytest.raises(TypeError, match=f"^{which} must hold float64, float32 or integers"):
        Params(**blocks)


@pytest.mark.parametrize("block", [[1.0, 1.0], (1.0, 1.0), np.matrix([[1.0, 1.0]]), np.ma.ones(2), None])
def test_anything_but_an_array_raises(block):
    with pytest.raises(TypeError, match=r"^v must come from"):
        Params(np.ones((2, 1)), np.ones((2, 2)), block)


@pytest.mark.parametrize("residual", [np.ones(3), np.ones((2, 1)), np.ones(0)])
def test_transpose_apply_refuses_a_residual_of_another_length(residual):
    J = Jacobian(np.ones((2, 3, 1)), np.ones((2, 3, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match=r"residual must have shape \(2,\)"):
        J.transpose_apply(residual)


@given(pairs(), st.integers(0, 4), st.integers(0, 2**32))
def test_jacobian_applies_like_the_matrix_it_stands_for(both, N, seed):
    p, _ = both
    rng = np.random.default_rng(seed)
    J = Jacobian(*(rng.standard_normal((N, *block.shape)) for block in (p.U, p.W, p.v)))
    M, r = formulas.flat(J) if N else np.zeros((0, p.ravel().size)), rng.standard_normal(N)
    np.testing.assert_allclose(J.apply(p), M @ p.ravel(), rtol=0, atol=1e-13)
    np.testing.assert_allclose(J.transpose_apply(r).ravel(), r @ M, rtol=0, atol=1e-13)


def test_jacobian_refuses_a_direction_of_another_shape():
    J = Jacobian(np.ones((2, 3, 2)), np.ones((2, 3, 3)), np.ones((2, 3)))
    with pytest.raises(ValueError, match="direction"):
        J.apply(Params(np.ones((3, 1)), np.ones((3, 3)), np.ones(3)))


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_the_norm_neither_over_nor_underflows(scale: float) -> None:
    theta = scale * Params(np.asarray([[3.0]]), np.asarray([[4.0]]), np.asarray([12.0]))
    assert theta.norm() == pytest.approx(13 * scale, rel=1e-15, abs=0)
    assert (0.0 * theta).norm() == 0


@pytest.mark.filterwarnings("error")
def test_what_overflows_raises_without_a_warning() -> None:
    theta = Params(*(np.full(shape, 1e308) for shape in ((1, 1), (1, 1), (1,))))
    with pytest.raises(AccuracyError, match="inner product overflows"):
        theta.dot(theta)
    with pytest.raises(AccuracyError, match="norm overflows"):
        (1.7 * theta).norm()
    with pytest.raises(ValueError, match="finite"):
        10.0 * theta
    with pytest.raises(TypeError, match="other must be Params, got 3"):
        theta.dot(3)  # type: ignore[arg-type]  # which is what raises
