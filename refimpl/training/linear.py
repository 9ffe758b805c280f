"""The linearised dynamics (8): gradient descent in function space, in closed form for any number of steps."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refimpl._shapes import shapes_of
from refimpl.backend import (
    Array,
    Namespace,
    check_overflow,
    detached,
    float_dtype,
    from_host,
    namespace,
    overflow_is_checked,
    to_host,
)
from refimpl.quadrature import Host
from refimpl.training.history import half_square
from refimpl.training.modes import check_limit, eigenmodes, mode_functions
from refimpl.training.rates import positive

LARGEST_STEP = 2**53
"""Beyond it a float64 no longer tells odd from even."""


@dataclass(frozen=True, eq=False)
class Linearization:
    """The linearised dynamics after given numbers of steps.

    Arrays have the shape of the argument `steps` in front: none for one number, (M,) for M of them.

    Parameters
    ----------
    steps : array, float64, shape () or (M,)
        The numbers of steps, on the host.
    lr : float
        The learning rate η that was used.
    eigenvalues : array, shape (N,)
        Of K, in ascending order, as they were computed.
    predictions : array, shape (…, N)
        u^k, the outputs at the training inputs.
    loss : array, shape (…)
        ½ ‖u^k − y‖².
    test_predictions : array, shape (…, N_test), or None
        The outputs at the test inputs.
    test_loss : array, shape (…), or None
        ½ ‖u_test^k − y_test‖².

    Examples
    --------
    >>> import numpy as np
    >>> import refimpl
    >>> lazy = refimpl.linearize(np.diag([1.0, 2.0]), np.zeros(2), np.ones(2), 0.25, [0, 1, 2])  # (1 − ηλ)^k
    >>> lazy.predictions.tolist()
    [[1.0, 1.0], [0.75, 0.5], [0.5625, 0.25]]
    """

    steps: Host
    lr: float
    eigenvalues: Array
    predictions: Array
    loss: Array
    test_predictions: Array | None
    test_loss: Array | None

    def __repr__(self) -> str:
        return shapes_of(self)


@overflow_is_checked()
def linearize(
    K: Array,
    y: Array,
    u0: Array,
    lr: float | str,
    steps: int | float | Sequence[float] | Array,
    K_test: Array | None = None,
    u0_test: Array | None = None,
    y_test: Array | None = None,
    rtol: float | None = None,
) -> Linearization:
    """Gradient descent with a constant tangent kernel: u^{k+1} − y = (I − ηK)(u^k − y)  (8).

    Parameters
    ----------
    K : array, shape (N, N)
        Tangent kernel on the training inputs: K_θ of a network, or K_∞.
    y, u0 : array, shape (N,)
        Targets, and outputs u^0 at step 0.
    lr : float or "stable"
        η; "stable" is 1/λ_max(K).
    steps : int, math.inf, or a sequence or array of them, shape (M,)
        Numbers of steps k ≥ 0; ``np.arange(101)`` for all from 0 to 100, as in `History`; inf is the end of
        training.
    K_test : array, shape (N_test, N), optional
        Kernel between test and training inputs.
    u0_test, y_test : array, shape (N_test,), optional
        Outputs at the test inputs at step 0, needed with `K_test`, and targets there.
    rtol : float, optional
        Relative accuracy of the entries of K: eigenvalues within N · rtol · λ_max of 0 are indistinguishable from 0.
        The default is the rounding of the dtype of K; a kernel that was computed to 1e-9 should say so.

    Returns
    -------
    Linearization

    Raises
    ------
    TypeError, ValueError
        Bad input; K that is not symmetric or has a negative eigenvalue, beyond `rtol`; for k = ∞ an eigenvalue λ with
        ηλ ≥ 2 whose mode is present in u^0 − y, since there is then no limit.
    AccuracyError
        The outputs overflow, as they do after many steps with ηλ > 2.

    Notes
    -----
    With the eigenvalues λ and eigenvectors q of K and c = ⟨q, u^0 − y⟩,

    u^k = y + Σ (1 − ηλ)^k c q,   u_test^k = u_test^0 − K_test Σ g_k(λ) c q,   g_k(λ) = (1 − (1 − ηλ)^k)/λ,

    and g_k(0) = ηk. Both functions are evaluated through log1p and expm1, so neither many steps nor small eigenvalues
    cost digits; near ηλ = 2 the rounding of λ alone makes a relative error of k·eps. At k = ∞ this is kernel
    regression, u_test = u_test^0 − K_test K⁺ (u^0 − y), where modes that are indistinguishable from 0 stay as they are.
    Finitely many steps treat them as they are computed, negative ones as 0; beyond k ≈ 1/(N · rtol · ηλ_max) the data
    do not decide what such a mode does.

    All work is done in double precision; results are rounded to the dtype of `K` and `u0`.

    Examples
    --------
    >>> import math, numpy as np
    >>> K = np.asarray([[2.0, 1.0], [1.0, 2.0]])
    >>> y, u0 = np.asarray([1.0, -1.0]), np.zeros(2)
    >>> linearize(K, y, u0, lr=0.25, steps=1).predictions.round(12).tolist()
    [0.25, -0.25]
    >>> end = linearize(K, y, u0, 0.25, math.inf, K_test=np.asarray([[1.0, 0.0]]), u0_test=np.zeros(1))
    >>> end.test_predictions.round(12).tolist()
    [1.0]
    """
    given = {"K": K, "y": y, "u0": u0, "K_test": K_test, "u0_test": u0_test, "y_test": y_test}
    given = {name: array for name, array in given.items() if array is not None or name in ("K", "y", "u0")}
    xp = namespace(**given)
    float_dtype(xp, **given)  # refuses what is no real number
    dtype = float_dtype(xp, K=K, u0=u0)
    K, y, u0, K_test, u0_test, y_test = _checked(xp, given)
    counts = _counts(steps)
    accuracy = _accuracy(xp, rtol, float_dtype(xp, K=given["K"]))

    values, vectors = eigenmodes(xp, K, accuracy)
    floor = K.shape[0] * accuracy * float(values[-1] if values.size else 0.0)
    rate = _rate(lr, values)
    present = xp.matmul(vectors.T, u0 - y)
    if np.isinf(counts).any():
        check_limit(rate, values, to_host(present))
    remaining, integrated = mode_functions(rate, values, np.atleast_1d(counts), floor)

    residual = xp.matmul(_weighted(xp, remaining, present), vectors.T)
    results = {"predictions": y + residual, "loss": half_square(xp, residual)}
    if K_test is not None:
        effect = xp.matmul(xp.matmul(_weighted(xp, integrated, present), vectors.T), K_test.T)
        results["test_predictions"] = u0_test - effect
    if y_test is not None:
        results["test_loss"] = half_square(xp, results["test_predictions"] - y_test)
    results = {name: xp.astype(result, dtype, copy=False) for name, result in results.items()}
    check_overflow(xp, "u^k or its loss", *results.values())
    if counts.ndim == 0:
        results = {name: result[0, ...] for name, result in results.items()}
    eigenvalues = from_host(xp, values, K, dtype=dtype)
    missing = dict.fromkeys(("test_predictions", "test_loss"))
    return Linearization(steps=counts, lr=rate, eigenvalues=eigenvalues, **(missing | results))


def _weighted(xp: Namespace, functions: Host, present: Array) -> Array:
    return from_host(xp, functions, present) * present


def _rate(lr: float | str, values: Host) -> float:
    allowed = "a positive, finite number or 'stable'"
    if isinstance(lr, str):
        if lr != "stable":
            raise ValueError(f"lr must be {allowed}, got {lr!r}")
        if not (values.size and values[-1] > 0 and math.isfinite(1 / values[-1])):
            raise ValueError("lr='stable' divides by zero: K is empty, zero or too small; give a number")
        return float(1 / values[-1])
    return positive("lr", lr, allowed)


def _counts(steps: Any) -> Host:
    allowed = f"whole numbers from 0 to 2**53, or inf, in an array of shape () or (M,); got {steps!r}"
    try:
        counts = np.asarray(to_host(steps) if hasattr(steps, "ndim") else steps)
    except (TypeError, ValueError):
        raise TypeError(f"steps must be {allowed}") from None
    if counts.dtype.kind not in "iuf":
        raise TypeError(f"steps must be {allowed}")
    counts = counts.astype(float)
    fits = np.isinf(counts) | ((counts == np.floor(counts)) & (counts <= LARGEST_STEP))
    if counts.ndim > 1 or not (fits & (counts >= 0)).all():
        raise ValueError(f"steps must be {allowed}")
    return counts


def _accuracy(xp: Namespace, rtol: float | None, dtype: Any) -> float:
    rounding = float(xp.finfo(dtype).eps)
    if rtol is None:
        return rounding
    if isinstance(rtol, bool) or not isinstance(rtol, (int, float, np.integer, np.floating)):
        raise TypeError(f"rtol must be a number in (0, 1) or None, got {rtol!r}")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must be a number in (0, 1) or None, got {rtol!r}")
    return max(rounding, float(rtol))


def _checked(xp: Namespace, given: dict[str, Array]) -> list[Array | None]:
    """K, y, u0, K_test, u0_test and y_test in double precision, if their shapes fit together."""
    N = given["K"].shape[0] if given["K"].ndim else 0
    shapes: dict[str, tuple[int, ...]] = {"K": (N, N), "y": (N,), "u0": (N,)}
    if "K_test" in given:
        if "u0_test" not in given:
            raise ValueError("K_test needs u0_test, the outputs at the test inputs at step 0")
        M = given["K_test"].shape[0] if given["K_test"].ndim else 0
        shapes |= {"K_test": (M, N), "u0_test": (M,), "y_test": (M,)}
    checked: list[Array | None] = []
    for name in ("K", "y", "u0", "K_test", "u0_test", "y_test"):
        if name not in given:
            checked.append(None)
            continue
        if name not in shapes:
            raise ValueError(f"{name} was given without K_test")
        array = xp.astype(detached(given[name]), xp.float64, copy=False)
        if tuple(array.shape) != shapes[name]:
            raise ValueError(f"{name} must have shape {shapes[name]}, got {tuple(array.shape)}")
        if not bool(xp.all(xp.isfinite(array))):
            raise ValueError(f"{name} must be finite")
        checked.append(array)
    return checked
