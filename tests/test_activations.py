"""Built-in activations against mpmath, their analytic properties, and the checks of user-defined ones."""

from __future__ import annotations

import dataclasses
import itertools
import math
import pickle
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from refimpl import Gauss, NeuralODE, activations
from refimpl.activations import BUILTIN, Activation, get
from refimpl.backend import to_host

mp = pytest.importorskip("mpmath").mp

ULPS = 4  # promised for float64
# float32: NumPy's exp alone is off by up to 2.4 there, and GELU multiplies three more roundings onto it
ULPS_FLOAT32 = {"gelu": 5}
MAX = np.finfo(float).max

by_name = pytest.mark.parametrize("name", BUILTIN)


@pytest.fixture(autouse=True)
def forty_digits() -> Any:
    with mp.workdps(40):
        yield


# ----------------------------------------------------------------------------------------------- the truth


def decay(x: Any) -> Any:
    """exp(x) for x ≤ 0; far below any float64 it is 0, and mpmath is spared exponents of 600 digits."""
    return mp.exp(x) if x > -3000 else mp.mpf(0)


def logistic(z: Any) -> Any:
    return 1 / (1 + decay(-z)) if z > 0 else decay(z) / (1 + decay(z))


def normal(z: Any) -> Any:
    return mp.ncdf(z) if abs(z) < 60 else mp.mpf(z > 0)


def density(z: Any) -> Any:
    return decay(-z * z / 2) / mp.sqrt(2 * mp.pi)


class Truth(NamedTuple):
    phi: Callable[[Any], Any]
    slope_terms: Callable[[Any], tuple[Any, ...]]  # φ' is their sum; its error counts in ulps of the largest

    def dphi(self, z: Any) -> Any:
        return sum(self.slope_terms(z))


SLOPE_LEAKY = mp.mpf(0.01)  # the float64 number, not 1/100
TRUTH = {
    "softplus": Truth(lambda z: max(z, 0) + mp.log1p(decay(-abs(z))), lambda z: (logistic(z),)),
    "sigmoid": Truth(logistic, lambda z: (logistic(z) * logistic(-z),)),
    "tanh": Truth(mp.tanh, lambda z: (4 * decay(-2 * abs(z)) / (1 + decay(-2 * abs(z))) ** 2,)),
    "erf": Truth(lambda z: mp.erf(z) if abs(z) < 60 else mp.sign(z), lambda z: (2 / mp.sqrt(mp.pi) * decay(-z * z),)),
    "gelu": Truth(lambda z: z * normal(z), lambda z: (normal(z), z * density(z))),
    "silu": Truth(lambda z: z * logistic(z), lambda z: (logistic(z), z * logistic(z) * logistic(-z))),
    "sin": Truth(mp.sin, lambda z: (mp.cos(z),)),
    "cos": Truth(mp.cos, lambda z: (-mp.sin(z),)),
    "identity": Truth(lambda z: z, lambda z: (mp.mpf(1),)),
    "quadratic": Truth(lambda z: z * z / 2, lambda z: (z,)),
    "elu": Truth(lambda z: z if z > 0 else decay_minus_one(z), lambda z: (mp.mpf(1) if z > 0 else decay(z),)),
    "relu": Truth(lambda z: max(z, mp.mpf(0)), lambda z: (mp.mpf(z > 0),)),
    "leaky_relu": Truth(lambda z: max(z, SLOPE_LEAKY * z), lambda z: (mp.mpf(1) if z > 0 else SLOPE_LEAKY,)),
}


def decay_minus_one(z: Any) -> Any:
    return mp.expm1(z) if z > -3000 else mp.mpf(-1)


def largest_z(name: str, dtype: Any = np.float64) -> float:
    top = 1e300 if dtype is np.float64 else 1e38
    return math.sqrt(top) if name == "quadratic" else top


def error_in_ulps(result: Any, truth: list[Any], size: list[Any]) -> np.ndarray:
    """|result - truth| in units in the last place of `size`, which for a subnormal size is the smallest number."""
    units = np.spacing(np.asarray([float(abs(s)) for s in size]).astype(result.dtype)).tolist()
    errors = [abs(mp.mpf(r) - t) / mp.mpf(u) for r, t, u in zip(result.ravel().tolist(), truth, units, strict=True)]
    return np.asarray([float(error) for error in errors])


def worst_error(name: str, z: np.ndarray) -> tuple[float, float]:
    """Largest errors of φ and φ' in ulps, with no warning but underflow."""
    with np.errstate(all="raise", under="ignore"):
        value, slope = BUILTIN[name].value_and_slope(z)
    assert value.dtype == slope.dtype == z.dtype
    exact = [mp.mpf(number) for number in z.ravel().tolist()]
    phi = [TRUTH[name].phi(number) for number in exact]
    terms = [TRUTH[name].slope_terms(number) for number in exact]
    return (
        float(error_in_ulps(value, phi, phi).max()),
        float(error_in_ulps(slope, [sum(t) for t in terms], [max(map(abs, t)) for t in terms]).max()),
    )


def sample(name: str, dtype: Any = np.float64) -> np.ndarray:
    """Magnitudes from tiny to huge, the bulk, the tails down to underflow, and the zeros of φ and φ'."""
    rng = np.random.default_rng(20)
    top = math.log10(largest_z(name, dtype))
    tail = {"gelu": (34, 40), "erf": (24, 28)}.get(name, (690, 760))
    if dtype is np.float32:
        tail = {"gelu": (12, 15), "erf": (8.5, 10.5)}.get(name, (84, 108))
    magnitudes = np.concatenate(
        [
            np.logspace(-top, top, 151),
            10.0 ** rng.uniform(-3, 3, 100),
            rng.uniform(0, 5, 200),
            rng.uniform(*tail, 100),
            np.arange(1, 30) * np.pi,
            [1.2784645427610738, 0.7517915246935645, 2.3993572805154676, 0.5, 1.0, 64.0, 5e-324, 3e-308],
        ]
    )
    return np.concatenate([magnitudes, -magnitudes, [0.0, -0.0]]).astype(dtype)


# ------------------------------------------------------------------------------------------------ accuracy


@by_name
def test_errors_are_below_four_ulps_in_float64(name: str) -> None:
    assert max(worst_error(name, sample(name))) <= ULPS


@by_name
def test_errors_are_below_four_ulps_in_float32_but_five_for_gelu(name: str) -> None:
    assert max(worst_error(name, sample(name, np.float32))) <= ULPS_FLOAT32.get(name, ULPS)


@by_name
@given(data=st.data())
def test_errors_are_below_four_ulps_wherever_hypothesis_looks(name: str, data: st.DataObject) -> None:
    top = largest_z(name)
    anywhere, bulk, tail = st.floats(-top, top), st.floats(-50.0, 50.0), st.floats(-760.0, -700.0)
    z = np.asarray(data.draw(st.lists(anywhere | bulk | tail, min_size=1, max_size=5)))
    with mp.workdps(40):
        assert max(worst_error(name, z)) <= ULPS


@by_name
def test_true_slope_is_the_derivative_of_the_true_value(name: str) -> None:
    # Guards the truth of this file. A central difference with step 1e-15 at 60 digits is off by 1e-30 |φ'''|.
    with mp.workdps(60):
        for z in map(mp.mpf, (-7.3, -1.2784, -0.7518, -0.01, 0.3, 1.9, 11.0)):
            step = mp.mpf("1e-15")
            difference = (TRUTH[name].phi(z + step) - TRUTH[name].phi(z - step)) / (2 * step)
            assert abs(difference - TRUTH[name].dphi(z)) < 1e-28


@by_name
def test_no_finite_argument_raises_a_floating_point_exception_but_underflow(name: str) -> None:
    top = 1e154 if name == "quadratic" else MAX
    with np.errstate(all="raise", under="ignore"):
        value, slope = BUILTIN[name].value_and_slope(np.asarray([-top, -1e9, -5e-324, -0.0, 0.0, 5e-324, 1e9, top]))
    assert np.isfinite(value).all()
    assert np.isfinite(slope).all()


# --------------------------------------------------------------------------------- arrays of every kind


@by_name
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_every_library_gives_the_values_of_numpy(name: str, dtype: str, xp: Any) -> None:
    z = sample(name, getattr(np, dtype))
    size = [max(map(abs, TRUTH[name].slope_terms(mp.mpf(number)))) for number in z.tolist()]
    result = BUILTIN[name].value_and_slope(xp.asarray(z))
    expected = BUILTIN[name].value_and_slope(z)
    allowed = 2 * (ULPS if dtype == "float64" else ULPS_FLOAT32.get(name, ULPS))  # both are that far from the truth
    for got, reference, scale in zip(result, expected, (expected[0].tolist(), size), strict=True):
        assert type(got) is type(xp.asarray(z))
        assert got.dtype == getattr(xp, dtype)
        assert error_in_ulps(to_host(got), [mp.mpf(number) for number in reference.tolist()], scale).max() <= allowed


@by_name
@pytest.mark.parametrize("shape", [(), (0,), (3, 0, 2), (4,), (2, 3, 4)])
def test_shape_dtype_and_library_are_kept(name: str, shape: tuple[int, ...], xp: Any) -> None:
    for dtype in (xp.float64, xp.float32):
        z = xp.full(shape, -1.5, dtype=dtype)
        for part in (BUILTIN[name].phi(z), BUILTIN[name].dphi(z), *BUILTIN[name].value_and_slope(z)):
            assert type(part) is type(z)
            assert part.shape == z.shape
            assert part.dtype == dtype


@by_name
def test_entries_in_the_tail_leave_the_others_alone(name: str) -> None:
    z = np.linspace(-5.0, 5.0, 64)
    tail = np.where(z == z[-1], -37.6 if name == "gelu" else -712.0, z)
    for plain, beside_tail in zip(BUILTIN[name].value_and_slope(z), BUILTIN[name].value_and_slope(tail), strict=True):
        np.testing.assert_array_equal(plain[:-1], beside_tail[:-1])


@by_name
def test_value_and_slope_are_those_of_phi_and_dphi(name: str, xp: Any) -> None:
    activation, z = BUILTIN[name], xp.asarray(sample(name))
    value, slope = activation.value_and_slope(z)
    np.testing.assert_array_equal(to_host(value), to_host(activation.phi(z)))
    np.testing.assert_array_equal(to_host(slope), to_host(activation.dphi(z)))


@by_name
def test_results_are_fresh_arrays_and_the_argument_is_left_alone(name: str) -> None:
    z = np.linspace(-2.0, 2.0, 9)
    value, slope = BUILTIN[name].value_and_slope(z)
    value[...], slope[...] = 99.0, 99.0
    np.testing.assert_array_equal(z, np.linspace(-2.0, 2.0, 9))


@by_name
def test_integers_become_float64(name: str) -> None:
    value, slope = BUILTIN[name].value_and_slope(np.asarray([-2, 0, 3]))
    expected = BUILTIN[name].value_and_slope(np.asarray([-2.0, 0.0, 3.0]))
    np.testing.assert_array_equal((value, slope), expected)
    assert value.dtype == slope.dtype == np.float64


@pytest.mark.parametrize("z", [1.0, [1.0], np.asarray([1j]), np.asarray([True]), np.zeros(2, np.float16)])
def test_other_than_real_arrays_raise(z: Any) -> None:
    with pytest.raises(TypeError, match=r"arrays must come from|z must hold"):
        activations.gelu.phi(z)


# ------------------------------------------------------------------------------------- analytic properties


@by_name
def test_parity_is_exact(name: str) -> None:
    z = sample(name)
    (value, slope), (mirrored, mirrored_slope) = map(BUILTIN[name].value_and_slope, (z, -z))
    odd, even = (np.array_equal(mirrored, sign * value) for sign in (-1, 1))
    assert {(True, False): "odd", (False, True): "even", (False, False): None}[odd, even] == BUILTIN[name].parity
    if BUILTIN[name].parity:
        np.testing.assert_array_equal(mirrored_slope, slope if odd else -slope)


def silu_steepest() -> Any:
    return mp.findroot(lambda z: 2 + z * (1 - 2 * logistic(z)), 2.4)


# Where |φ'| and |φ''| take their suprema: critical points, or far out where the supremum is a limit.
STEEPEST: dict[str, tuple[Callable[[], Any], Callable[[], Any]]] = {
    "softplus": (lambda: mp.mpf(200), lambda: mp.mpf(0)),
    "sigmoid": (lambda: mp.mpf(0), lambda: mp.log(2 + mp.sqrt(3))),
    "tanh": (lambda: mp.mpf(0), lambda: mp.log(2 + mp.sqrt(3)) / 2),
    "erf": (lambda: mp.mpf(0), lambda: 1 / mp.sqrt(2)),
    "gelu": (lambda: mp.sqrt(2), lambda: mp.mpf(0)),
    "silu": (silu_steepest, lambda: mp.mpf(0)),
    "sin": (lambda: mp.mpf(0), lambda: mp.pi / 2),
    "cos": (lambda: mp.pi / 2, lambda: mp.mpf(0)),
    "identity": (lambda: mp.mpf(0), lambda: mp.mpf(0)),
    "quadratic": (lambda: mp.inf, lambda: mp.mpf(0)),
    "elu": (lambda: mp.mpf(1), lambda: mp.mpf("-1e-16")),
    "relu": (lambda: mp.mpf(1), lambda: mp.inf),
    "leaky_relu": (lambda: mp.mpf(1), lambda: mp.inf),
}


@by_name
def test_lipschitz_constants_are_attained_to_double_precision(name: str) -> None:
    def curvature(z: Any) -> Any:
        step = mp.mpf("1e-20")  # inside the smooth piece of elu, and off by 1e-40 |φ''''| only
        return (TRUTH[name].dphi(z + step) - TRUTH[name].dphi(z - step)) / (2 * step)

    constants = (BUILTIN[name].lipschitz, BUILTIN[name].dlipschitz)
    with mp.workdps(70):
        for constant, point, function in zip(constants, STEEPEST[name], (TRUTH[name].dphi, curvature), strict=True):
            if mp.isinf(point()):
                assert constant == math.inf
                continue
            supremum = abs(function(point()))
            # rounded up to the next float64: one ulp; 1e-15 is how far from the kink elu's φ'' is taken
            assert constant * (1 - 2 * np.finfo(float).eps) <= supremum
            assert supremum <= constant * (1 + mp.mpf("1e-35"))


@by_name
@given(data=st.data())
def test_lipschitz_constants_bound_every_difference_quotient(name: str, data: st.DataObject) -> None:
    near = st.floats(-5.0, 5.0)
    y, z = (mp.mpf(data.draw(near | st.floats(-1e4, 1e4))) for _ in range(2))
    with mp.workdps(60):
        for constant, function in zip(
            (BUILTIN[name].lipschitz, BUILTIN[name].dlipschitz), (TRUTH[name].phi, TRUTH[name].dphi), strict=True
        ):
            if math.isfinite(constant):
                values = function(y), function(z)
                rounding = 100 * mp.eps * (abs(values[0]) + abs(values[1]))  # of some ten operations each
                assert abs(values[0] - values[1]) <= mp.mpf(constant) * abs(y - z) * (1 + mp.mpf("1e-35")) + rounding


@by_name
def test_slope_stays_within_the_lipschitz_constant_on_a_fine_grid(name: str) -> None:
    z = np.linspace(-40.0, 40.0, 80_001)
    slope = BUILTIN[name].dphi(z)
    lipschitz, dlipschitz = BUILTIN[name].lipschitz, BUILTIN[name].dlipschitz
    rounding = 2 * ULPS * np.spacing(np.abs(slope).max())
    assert np.abs(slope).max() <= lipschitz + rounding
    assert np.abs(np.diff(slope)).max() <= dlipschitz * 1.001e-3 + rounding


def test_slopes_with_infinite_lipschitz_constants_jump_at_the_kink() -> None:
    for name, jump in (("relu", 1.0), ("leaky_relu", 0.99)):
        below, above = BUILTIN[name].dphi(np.asarray([-5e-324, 5e-324]))
        assert above - below == jump
        assert BUILTIN[name].dlipschitz == math.inf


@pytest.mark.parametrize("zero", [0.0, -0.0])
@pytest.mark.parametrize(("name", "slope"), [("relu", 0.0), ("leaky_relu", 0.01), ("elu", 1.0)])
def test_slope_at_the_kink_is_the_stated_convention(name: str, slope: float, zero: float, xp: Any) -> None:
    value, derivative = BUILTIN[name].value_and_slope(xp.asarray([zero], dtype=xp.float64))
    assert (float(value[0]), float(derivative[0])) == (0.0, slope)


@by_name
def test_only_the_kinked_ones_are_not_analytic_and_their_kinks_are_at_zero(name: str) -> None:
    kinked = name in ("relu", "leaky_relu", "elu")
    assert BUILTIN[name].kinks == ((0.0,) if kinked else ())
    assert BUILTIN[name].analytic is not kinked


@by_name
def test_homogeneous_means_homogeneous(name: str) -> None:
    z = np.linspace(-3.0, 3.0, 13)
    scaled = [np.array_equal(BUILTIN[name].phi(c * z), c * BUILTIN[name].phi(z)) for c in (0.25, 2.0, 64.0)]
    assert all(scaled) is BUILTIN[name].homogeneous


@by_name
def test_degree_is_that_of_the_polynomial(name: str) -> None:
    # The first order whose finite differences all vanish is one more than the degree.
    phi = [TRUTH[name].phi(mp.mpf(k)) for k in range(-6, 7)]
    orders = [order for order in range(1, 5) if max(map(abs, differences(phi, order))) < 1e-30]
    assert (min(orders) - 1 if orders else None) == BUILTIN[name].degree


def differences(values: list[Any], order: int) -> list[Any]:
    for _ in range(order):
        values = [after - before for before, after in itertools.pairwise(values)]
    return values


@by_name
def test_ranges_hold_without_rounding_beyond_them(name: str) -> None:
    z = np.concatenate([np.linspace(-45.0, 45.0, 9001), [-1e300, 1e300] if name != "quadratic" else []])
    value, slope = BUILTIN[name].value_and_slope(z)
    low, high = {"sigmoid": (0, 1), "tanh": (-1, 1), "erf": (-1, 1), "sin": (-1, 1), "cos": (-1, 1)}.get(
        name, (-math.inf, math.inf)
    )
    assert ((low <= value) & (value <= high)).all()
    if name in ("softplus", "relu", "elu"):
        assert (value >= np.where(name == "elu", np.maximum(z, -1.0), np.maximum(z, 0.0))).all()
    if name not in ("gelu", "silu", "sin", "cos", "quadratic"):
        assert (slope >= 0).all()


@pytest.mark.parametrize("name", ["softplus", "sigmoid", "tanh", "erf", "elu", "identity", "relu", "leaky_relu"])
@given(data=st.data())
def test_increasing_functions_increase_up_to_rounding(name: str, data: st.DataObject) -> None:
    z = np.sort(np.asarray(data.draw(st.lists(st.floats(-50.0, 50.0), min_size=2, max_size=20))))
    value = BUILTIN[name].phi(z)
    assert (np.diff(value) >= -2 * ULPS * np.spacing(np.abs(value).max())).all()


# -------------------------------------------------------------------------------------- the Activation class


def custom(**fields: Any) -> Activation:
    return Activation(**{"phi": np.tanh, "dphi": lambda z: 1 / np.cosh(z) ** 2, **fields})


def test_own_activation_needs_phi_and_dphi_only() -> None:
    own, z = custom(), np.linspace(-1.0, 1.0, 5)
    assert own.analytic is True
    assert (own.name, own.lipschitz, own.dlipschitz, own.kinks) == ("custom", math.inf, math.inf, ())
    np.testing.assert_array_equal(own.value_and_slope(z), (own.phi(z), own.dphi(z)))


def test_own_one_pass_function_is_used() -> None:
    own = custom(both=lambda z: ("value", "slope"))
    assert own.value_and_slope(np.zeros(1)) == ("value", "slope")


@pytest.mark.parametrize("attempt", ["predict", "gradient", "limit"])
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"phi": lambda z: np.sqrt(-1 - z * z)}, "^phi of the activation 'custom' must be defined on the whole line"),
        ({"dphi": lambda z: z * np.nan}, "^dphi of the activation 'custom' must be defined on the whole line"),
        ({"phi": lambda z: z[:1]}, r"^phi .* must return float64 of shape \(\d.*\) like its argument, got float64 of"),
        ({"dphi": lambda z: 1.0}, r"^dphi .* got float of shape \(\)"),
        ({"phi": lambda z: z.astype(np.float32)}, "^phi .* got float32 of"),
        ({"both": lambda z: (np.tanh(z), z > 0)}, r"^both\(\)\[1\] .* got bool of"),
    ],
)
@pytest.mark.filterwarnings("ignore:invalid value")  # of the root, by NumPy
def test_own_functions_that_return_something_else_raise_and_are_named(
    attempt: str, fields: dict[str, Any], message: str
) -> None:
    net, X = NeuralODE(custom(**fields)), np.eye(2)
    theta = net.init(3, 2, seed=0)
    with pytest.raises(ValueError, match=message):
        {
            "predict": lambda: net.predict(theta, X),
            "gradient": lambda: net.gradient(theta, X, np.ones(2), Gauss()),
            "limit": lambda: net.limit().ntk(X),
        }[attempt]()


def test_fields_are_normalised() -> None:
    own = custom(kinks=[2, -1, 2.0], lipschitz=1, dlipschitz=np.float32(3))
    assert own.kinks == (-1.0, 2.0)
    assert own.analytic is False
    assert (type(own.lipschitz), type(own.dlipschitz)) == (float, float)
    assert custom(analytic=False).analytic is False


@pytest.mark.parametrize(
    ("fields", "error", "message"),
    [
        ({"phi": 3}, TypeError, "^phi must be callable, got 3"),
        ({"dphi": None}, TypeError, "^dphi must be callable, got None"),
        ({"both": "x"}, TypeError, "^both must be callable or None, got 'x'"),
        ({"name": 3}, TypeError, "^name must be a str, got 3"),
        ({"lipschitz": "1"}, TypeError, "^lipschitz must be a real number, got '1'"),
        ({"dlipschitz": None}, TypeError, "^dlipschitz must be a real number, got None"),
        ({"lipschitz": True}, TypeError, "^lipschitz must be a real number, got True"),
        ({"lipschitz": -1.0}, ValueError, r"^lipschitz must be at least 0 .*, got -1.0"),
        ({"dlipschitz": math.nan}, ValueError, r"^dlipschitz must be at least 0 .*, got nan"),
        ({"parity": "both"}, ValueError, "^parity must be 'odd', 'even' or None, got 'both'"),
        ({"degree": -1}, ValueError, "^degree must be at least 0, .*got -1"),
        ({"degree": 1.0}, TypeError, "^degree must be an int or None, got 1.0"),
        ({"degree": True}, TypeError, "^degree must be an int or None, got True"),
        ({"kinks": 0.0}, TypeError, "^kinks must be a tuple of real numbers, got 0.0"),
        ({"kinks": ("0",)}, TypeError, "^kinks must be a tuple of real numbers"),
        ({"kinks": (math.nan,)}, ValueError, "^kinks must be finite, got"),
        ({"kinks": (math.inf,)}, ValueError, "^kinks must be finite, got"),
        ({"analytic": "yes"}, TypeError, "^analytic must be a bool or None, got 'yes'"),
        ({"homogeneous": 1}, TypeError, "^homogeneous must be a bool, got 1"),
        ({"analytic": True, "kinks": (0.0,)}, ValueError, "^analytic=True contradicts kinks"),
        ({"degree": 1, "kinks": (0.0,)}, ValueError, "^degree=1 .*contradicts kinks or analytic=False"),
        ({"degree": 1, "analytic": False}, ValueError, "^degree=1 .*contradicts kinks or analytic=False"),
        ({"degree": 2, "lipschitz": 1.0}, ValueError, "^degree=2 contradicts a finite lipschitz"),
        ({"degree": 2, "homogeneous": True}, ValueError, "^degree=2 contradicts .*homogeneous"),
        ({"degree": 3, "dlipschitz": 1.0}, ValueError, "^degree=3 contradicts a finite dlipschitz"),
        ({"degree": 3, "parity": "even"}, ValueError, "^parity='even' contradicts degree=3"),
        ({"homogeneous": True, "kinks": (0.0, 1.0)}, ValueError, "^homogeneous=True allows a kink at 0 only"),
        ({"parity": "even"}, ValueError, "^parity='even' contradicts phi, which is -0.244919 at -0.25 and 0.244919 at"),
        ({"phi": np.exp, "parity": "odd"}, ValueError, "^parity='odd' contradicts phi, which is 0.778801 at -0.25"),
        ({"homogeneous": True}, ValueError, "^homogeneous=True contradicts phi, which is 0.462117 at 0.5 and 0.244919"),
        ({"degree": 1}, ValueError, "^degree=1 contradicts phi, whose differences of order 2 are not 0"),
        ({"phi": lambda z: z**3, "degree": 2}, ValueError, "^degree=2 contradicts phi"),
    ],
)
def test_bad_fields_raise_and_are_named(fields: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        custom(**fields)


def test_a_true_declaration_is_accepted_and_one_that_cannot_be_seen_is_trusted() -> None:
    for fields in (
        {"phi": lambda z: z**3 - z, "degree": 3, "parity": "odd"}, {"phi": lambda z: 0 * z + 3, "degree": 0},
        {"phi": lambda z: z**5, "degree": 6}, {"phi": abs, "kinks": (0.0,), "homogeneous": True, "parity": "even"},
        {"phi": lambda z: z.for_tensors_only(), "parity": "odd"}, {"phi": lambda z: (z, z), "parity": "even"},
    ):  # fmt: skip
        assert custom(**fields).parity == fields.get("parity")


@by_name
def test_names_find_the_module_level_instances(name: str) -> None:
    assert get(name) is getattr(activations, name) is BUILTIN[name]
    assert BUILTIN[name].name == name
    assert get(BUILTIN[name]) is BUILTIN[name]


def test_unknown_name_raises_and_lists_the_known_ones() -> None:
    with pytest.raises(ValueError, match=f"one of {', '.join(BUILTIN)}; got 'swish'"):
        get("swish")


def test_neither_name_nor_activation_raises() -> None:
    with pytest.raises(TypeError, match="activation must be a name or an Activation, got"):
        get(np.tanh)


@by_name
def test_built_in_activations_equal_their_pickled_copies(name: str) -> None:
    assert pickle.loads(pickle.dumps(BUILTIN[name])) == BUILTIN[name]
    assert len({*BUILTIN.values()}) == len(BUILTIN)


def test_activations_and_their_table_are_immutable() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        activations.relu.lipschitz = 2.0
    with pytest.raises(TypeError):
        BUILTIN["relu"] = activations.elu
