"""`reference`: a number, and how far from the truth it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from refimpl.backend import Array, check_inputs, float_dtype, is_numpy, namespace
from refimpl.certified import finite, limit
from refimpl.certified.finite import Batch, Estimate
from refimpl.certified.quantities import FINITE, LIMIT, Request, Value, flat, norm
from refimpl.errors import AccuracyError
from refimpl.parameters import Jacobian, Params
from refimpl.quadrature import Host
from refimpl.solvers import Gauss

if TYPE_CHECKING:
    from refimpl.network import NeuralODE

QUANTITIES = (*FINITE, *LIMIT)

ALIASES = {"predict": "output"}
"""Methods of `NeuralODE` whose value goes by another name here."""


@dataclass(frozen=True, eq=False)
class Reference:
    """A value with its error.

    Parameters
    ----------
    value : float, array, Params or Jacobian
        float for "loss", `Params` for "gradient", `Jacobian` for "jacobian", else an array; in float64.
    error : float
        Absolute, in the 2-norm of the whole quantity: over all its entries, and over all blocks. (Entries may vanish,
        so that nothing is promised of each relative to itself.)
    proved : bool
        Whether ‖value − truth‖ ≤ `error` is proved; else the error is an estimate.

    Examples
    --------
    >>> import refimpl
    >>> net, X = refimpl.NeuralODE("tanh"), refimpl.data.sphere(2, 3, seed=0)
    >>> found = refimpl.reference(net, "limit_ntk", X)
    >>> found.value.shape, bool(found.error < 1e-11), found.proved
    ((2, 2), True, False)
    """

    value: Value
    error: float
    proved: bool


def reference(
    net: NeuralODE,
    quantity: str,
    X: Array,
    X2: Array | None = None,
    theta: Params | None = None,
    y: Array | None = None,
    rtol: float = 1e-12,
    prove: bool = False,
) -> Reference:
    """A quantity of a Neural ODE, or of its limit n → ∞, with an error.

    Parameters
    ----------
    net : NeuralODE
    quantity : {"output", "loss", "gradient", "jacobian", "ntk", "limit_ntk", "limit_nngp"}
        What the methods `predict`, `loss`, `gradient`, `jacobian` and `ntk` of the network, and `ntk` and `nngp` of
        its limit, return; "predict" is another name of "output".
    X : ndarray, shape (N, d)
    X2 : ndarray, shape (N2, d), optional
        For the kernels.
    theta : Params
        For the quantities of a finite network, and only for them.
    y : ndarray, shape (N,)
        For "loss" and "gradient".
    rtol : float
        The error must be below rtol ‖value‖.
    prove : bool
        Prove the error, by a Taylor method in ball arithmetic; for small finite networks (a dozen neurons) with a
        built-in activation. Needs python-flint: the extra ``proof``.

    Returns
    -------
    Reference

    Raises
    ------
    ValueError, TypeError
        Bad arguments. Only NumPy arrays are taken; the truth meant is that of the numbers as they are, also if they
        are in single precision.
    AccuracyError
        The error is above rtol ‖value‖, or unknown: as for a kinked φ if some neuron comes near the kink.
    BlowUpError
        The solution escapes to infinity before T.
    ImportError
        `prove` without python-flint.

    Notes
    -----
    The estimate adds the change between two Gauss schemes of different order, refined until it is below rounding, to
    an allowance for rounding: the computation is repeated with everything disturbed that a rounding disturbs.

    Examples
    --------
    >>> import numpy as np, refimpl
    >>> net = refimpl.NeuralODE("tanh")
    >>> theta = refimpl.Params(np.asarray([[0.5], [-1.0]]), np.asarray([[1.0, 2.0], [-2.0, 0.5]]), np.asarray([1.0, 1]))
    >>> f = refimpl.reference(net, "output", np.asarray([[1.0]]), theta=theta)
    >>> f.value.round(13).tolist(), f.error < 1e-14, f.proved
    ([-1.0385292502219], True, False)
    """
    if isinstance(X2, Params):
        raise TypeError("X2 must be an array of inputs, got Params: the parameters are given as theta=...")
    quantity = ALIASES.get(quantity, quantity) if isinstance(quantity, str) else quantity
    _check_quantity(net, quantity, theta, y, X2)
    _check_rtol(rtol)
    if not isinstance(prove, bool | np.bool_):
        raise TypeError(f"prove must be a bool, got {prove!r}")
    X = _inputs("X", X)
    X2 = None if X2 is None else _inputs("X2", X2)
    if X2 is not None and X2.shape[1] != X.shape[1]:
        raise ValueError(f"X2 must have d = {X.shape[1]} columns like X, got shape {X2.shape}")
    if theta is None:
        if prove:
            raise ValueError(f"prove=True is for quantities of finite networks, not for {quantity!r}")
        found = limit.estimate(net, quantity, X, X2) if 0 not in (len(X), len(X if X2 is None else X2)) else None
        empty: Any = np.zeros((len(X), len(X if X2 is None else X2)))
        return _judged(quantity, found or Estimate(empty, 0.0), rtol, proved=False)
    request, batches = _prepared(net, quantity, _double(theta), X, X2, y)
    if any(batch.system.h0.shape[1] == 0 for batch in batches):
        return Reference(_empty(request, batches), 0.0, bool(prove))
    if prove:
        return _judged(quantity, _proved(net, request, batches, _double(theta), rtol), rtol, proved=True)
    return _judged(quantity, finite.estimate(request, batches, rtol), rtol, proved=False)


def _proved(net: NeuralODE, request: Request, batches: tuple[Batch, ...], theta: Params, rtol: float) -> Estimate:
    from refimpl.certified import proof  # python-flint is an extra

    try:
        return proof.prove(net, request, theta)
    except AccuracyError:
        if net.phi.degree is not None and net.phi.degree > 1:
            finite.estimate(request, batches, rtol)  # raises BlowUpError where that is the reason
        raise


def _empty(request: Request, batches: tuple[Batch, ...]) -> Value:
    """The quantity without any inputs."""
    n, N = batches[0].system.h0.shape
    d = request.X.shape[1]
    empty: dict[str, Value] = {
        "output": np.zeros(0),
        "loss": 0.0,
        "gradient": Params(np.zeros((n, d)), np.zeros((n, n)), np.zeros(n)),
        "jacobian": Jacobian(np.zeros((0, n, d)), np.zeros((0, n, n)), np.zeros((0, n))),
        "ntk": np.zeros((N, batches[-1].system.h0.shape[1])),
    }
    return empty[request.quantity]


def _judged(quantity: str, found: Estimate, rtol: float, proved: bool) -> Reference:
    size = norm(flat(found.value))
    if not found.error <= rtol * size:
        reached = found.error / size if size > 0 else math.inf
        raise AccuracyError(
            f"rtol={rtol:.3g} was asked for, the error of the {quantity} is {reached:.3g} relative to its norm, "
            f"{size:.3g}",
            reached=reached,
        )
    return Reference(found.value, found.error, proved)


def _prepared(
    net: NeuralODE, quantity: str, theta: Params, X: Host, X2: Host | None, y: Array | None
) -> tuple[Request, tuple[Batch, ...]]:
    if theta.W.ndim != 2:
        raise ValueError(f"theta.W must have shape (n, n), one W for all times, got {tuple(theta.W.shape)}")
    batches = []
    for name, inputs in (("X", X),) if X2 is None else (("X", X), ("X2", X2)):
        _, _, system, _ = net._prepare(theta, inputs, Gauss(), name)
        batches.append(Batch(system, net.sigma_u * (np.abs(theta.U) @ np.abs(inputs).T)))
    targets = None
    if y is not None:
        namespace(**{"theta.U": theta.U}, y=y)
        float_dtype(np, y=y)
        targets = np.asarray(y, dtype=np.float64)
        if targets.shape != (X.shape[0],):
            raise ValueError(f"y must have shape ({X.shape[0]},) to fit X, got {targets.shape}")
        if not np.all(np.isfinite(targets)):
            raise ValueError("y must be finite")
    return Request(quantity, X, X2, targets, batches[0].system.v, net._scales(theta)), tuple(batches)


def _check_quantity(net: Any, quantity: Any, theta: Any, y: Any, X2: Any) -> None:
    from refimpl.network import NeuralODE  # which imports what this module imports

    if not isinstance(net, NeuralODE):
        raise TypeError(f"net must be a NeuralODE, got {type(net).__qualname__}")
    if quantity not in QUANTITIES:
        raise ValueError(f"quantity must be one of {', '.join(QUANTITIES)}; got {quantity!r}")
    if quantity in LIMIT and theta is not None:
        raise ValueError(f"theta must not be given for {quantity!r}, which is a limit n → ∞")
    if quantity in FINITE and theta is None:
        raise ValueError(f"theta must be given for {quantity!r}")
    if theta is not None and not isinstance(theta, Params):
        raise TypeError(f"theta must be a Params, got {type(theta).__qualname__}")
    needs_y = quantity in ("loss", "gradient")
    if needs_y != (y is not None):
        raise ValueError(f"y must {'be' if needs_y else 'not be'} given for {quantity!r}")
    if X2 is not None and quantity not in ("ntk", *LIMIT):
        raise ValueError(f"X2 must not be given for {quantity!r}, which is no kernel")


def _check_rtol(rtol: Any) -> None:
    if isinstance(rtol, bool) or not isinstance(rtol, (int, float, np.integer, np.floating)):
        raise TypeError(f"rtol must be a real number, got {rtol!r}")
    if not 0 < rtol < 1:
        raise ValueError(f"rtol must be above 0 and below 1, got {rtol!r}")


def _inputs(name: str, X: Array) -> Host:
    xp = namespace(**{name: X})
    if not is_numpy(xp):
        raise TypeError(f"{name} must be a NumPy array: reference values are computed on the host")
    return np.asarray(check_inputs(xp, **{name: X}), dtype=np.float64)


def _double(theta: Params) -> Params:
    if not is_numpy(theta.namespace):
        raise TypeError("theta must hold NumPy arrays: reference values are computed on the host")
    return Params(*(np.asarray(block, dtype=np.float64) for block in (theta.U, theta.W, theta.v)))
