"""Activation functions φ: value and derivative from one pass, with what the theory needs to know of them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from numbers import Integral, Real
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from refimpl import _elementary
from refimpl.backend import Array, Namespace, float_dtype, namespace
from refimpl.quadrature import Host

DECLARED = 1e-6
"""Relative difference up to which φ has the parity, degree or homogeneity that it is declared to have."""


@dataclass(frozen=True)
class Activation:
    """An activation function φ with its derivative and its analytic properties.

    The built-in ones are `softplus`, `sigmoid`, `tanh`, `erf`, `gelu`, `silu`, `sin`, `cos`, `identity`, `quadratic`
    (analytic), `elu`, `relu` and `leaky_relu` (kinked at 0) of this module; `get` finds them by name.

    Parameters
    ----------
    phi, dphi : callable
        φ and φ', elementwise: an array of any shape to an array of the same shape and dtype. At a kink φ' is a
        convention, one of the two one-sided slopes as a rule.
    both : callable or None
        z to (φ(z), φ'(z)) where one pass can share work; must agree with `phi` and `dphi`.
    name : str
    lipschitz, dlipschitz : float
        Upper bounds of the Lipschitz constants of φ and of φ' on the real line; inf where there is none (a jump
        of φ') or none is known. The constants of the theory are as sharp as these.
    parity : {"odd", "even", None}
    degree : int or None
        Degree, if φ is a polynomial.
    kinks : tuple of float
        Points where φ is continuous but not analytic; kept sorted, without repetitions.
    analytic : bool or None
        Whether φ is real-analytic on the whole line. None: it is if there are no kinks.
    homogeneous : bool
        Whether φ(cz) = c φ(z) for all c > 0.

    Raises
    ------
    TypeError, ValueError
        A field of the wrong type or value, or two that contradict each other; the message names them. A parity, degree
        or homogeneity that φ does not have at some points between −4 and 4.

    Notes
    -----
    Built-in activations take NumPy, array-api-strict, PyTorch or CuPy arrays of any shape and of finite values;
    float32 stays float32, integers become float64. On NumPy the largest errors of φ and φ' found are below 4 units
    in the last place (near a zero of φ' of `gelu` and `silu`: of its largest term; for subnormal results: of the
    smallest subnormal number), also in the tails and, for `sin` and `cos`, at huge arguments; `gelu` in float32
    stays below 5, of which NumPy's own exp takes 2.4.

    Variants: `gelu` is z Φ(z) with the normal distribution function Φ, not its tanh approximation; `silu` is z σ(z)
    with the logistic function σ; `erf` is erf(z), unscaled; `elu` has α = 1 and φ'(0) = 1; `relu` has φ'(0) = 0;
    `leaky_relu` has the slope 0.01 for z ≤ 0, so φ'(0) = 0.01; `quadratic` is z²/2, for |z| < 1e154 in float64.

    Examples
    --------
    >>> import numpy as np
    >>> swish = Activation(
    ...     phi=lambda z: z / (1 + np.exp(-2 * z)),
    ...     dphi=lambda z: (1 + (1 + 2 * z) * np.exp(-2 * z)) / (1 + np.exp(-2 * z)) ** 2,
    ...     name="swish, beta = 2",
    ...     lipschitz=1.1,
    ...     dlipschitz=1.0,
    ... )
    >>> swish.analytic
    True
    >>> value, slope = swish.value_and_slope(np.asarray([0.0, 1.0]))
    >>> value.round(4).tolist(), slope.round(4).tolist()
    ([0.0, 0.8808], [0.5, 1.0908])
    """

    phi: Callable[[Array], Array] = field(repr=False)
    dphi: Callable[[Array], Array] = field(repr=False)
    both: Callable[[Array], tuple[Array, Array]] | None = field(default=None, repr=False)
    name: str = "custom"
    lipschitz: float = math.inf
    dlipschitz: float = math.inf
    parity: Literal["odd", "even"] | None = None
    degree: int | None = None
    kinks: tuple[float, ...] = ()
    analytic: bool | None = None
    homogeneous: bool = False

    def __post_init__(self) -> None:
        _check_types(self)
        kinks = tuple(sorted({float(kink) for kink in self.kinks}))
        object.__setattr__(self, "kinks", kinks)
        object.__setattr__(self, "lipschitz", float(self.lipschitz))
        object.__setattr__(self, "dlipschitz", float(self.dlipschitz))
        if self.analytic is None:
            object.__setattr__(self, "analytic", not kinks)
        _check_values(self)
        _check_declared(self)

    def value_and_slope(self, z: Array) -> tuple[Array, Array]:
        """φ(z) and φ'(z) from one pass.

        Parameters
        ----------
        z : array, any shape

        Returns
        -------
        phi, dphi : array, shape of z

        Examples
        --------
        >>> import numpy as np
        >>> relu.value_and_slope(np.asarray([-1.0, 0.0, 2.0]))
        (array([0., 0., 2.]), array([0., 0., 1.]))
        """
        return self.both(z) if self.both is not None else (self.phi(z), self.dphi(z))

    def check_at(self, z: Array) -> None:
        """Make sure that a user's φ and φ' give arrays like z, without NaN; the built-in ones do.

        Raises
        ------
        ValueError
            Naming the function, the activation and what is wrong.
        """
        if is_builtin(self.phi):
            return
        xp = namespace(z)
        given = {"phi": self.phi(z), "dphi": self.dphi(z)}
        if self.both is not None:
            given |= dict(zip(("both()[0]", "both()[1]"), self.both(z), strict=True))
        for name, result in given.items():
            where = f"{name} of the activation {self.name!r}"
            if type(result) is not type(z) or result.shape != z.shape or result.dtype != z.dtype:
                wanted, found = (
                    f"{getattr(a, 'dtype', type(a).__name__)} of shape {tuple(getattr(a, 'shape', ()))}"
                    for a in (z, result)
                )
                raise ValueError(f"{where} must return {wanted} like its argument, got {found}")
            if bool(xp.any(xp.isnan(result))):
                raise ValueError(f"{where} must be defined on the whole line, got NaN at a finite argument")


def _check_types(given: Activation) -> None:
    for name in ("phi", "dphi", "both"):
        function = getattr(given, name)
        if not callable(function) and not (name == "both" and function is None):
            raise TypeError(f"{name} must be callable{' or None' if name == 'both' else ''}, got {function!r}")
    if not isinstance(given.name, str):
        raise TypeError(f"name must be a str, got {given.name!r}")
    for name in ("lipschitz", "dlipschitz"):
        if not _is_real(getattr(given, name)):
            raise TypeError(f"{name} must be a real number, got {getattr(given, name)!r}")
    if given.degree is not None and (not isinstance(given.degree, Integral) or isinstance(given.degree, bool)):
        raise TypeError(f"degree must be an int or None, got {given.degree!r}")
    if not isinstance(given.kinks, (tuple, list)) or not all(map(_is_real, given.kinks)):
        raise TypeError(f"kinks must be a tuple of real numbers, got {given.kinks!r}")
    if given.analytic not in (True, False, None):
        raise TypeError(f"analytic must be a bool or None, got {given.analytic!r}")
    if not isinstance(given.homogeneous, bool):
        raise TypeError(f"homogeneous must be a bool, got {given.homogeneous!r}")


def _check_values(given: Activation) -> None:
    for name in ("lipschitz", "dlipschitz"):
        if not getattr(given, name) >= 0:
            raise ValueError(f"{name} must be at least 0 (inf where there is none), got {getattr(given, name)}")
    if given.parity not in ("odd", "even", None):
        raise ValueError(f"parity must be 'odd', 'even' or None, got {given.parity!r}")
    if not all(map(math.isfinite, given.kinks)):
        raise ValueError(f"kinks must be finite, got {given.kinks}")
    if given.analytic and given.kinks:
        raise ValueError(f"analytic=True contradicts kinks={given.kinks}")
    if given.degree is not None:
        _check_polynomial(given, given.degree)
    if given.homogeneous and any(given.kinks):
        raise ValueError(f"homogeneous=True allows a kink at 0 only, got kinks={given.kinks}")


def _check_polynomial(given: Activation, degree: int) -> None:
    if degree < 0:
        raise ValueError(f"degree must be at least 0, or None for other than polynomials, got {degree}")
    if not given.analytic:
        raise ValueError(f"degree={degree} means a polynomial, which contradicts kinks or analytic=False")
    if degree > 1 and (given.lipschitz < math.inf or given.homogeneous):
        raise ValueError(f"degree={degree} contradicts a finite lipschitz or homogeneous=True")
    if degree > 2 and given.dlipschitz < math.inf:
        raise ValueError(f"degree={degree} contradicts a finite dlipschitz")
    if degree > 0 and given.parity not in (None, ("even", "odd")[degree % 2]):
        raise ValueError(f"parity={given.parity!r} contradicts degree={degree}")


def _check_declared(given: Activation) -> None:
    """See φ at a few points; one that does not take NumPy arrays to NumPy arrays is trusted."""
    if given.parity is None and given.degree is None and not given.homogeneous:
        return
    z = np.linspace(0.25, 2.0, 8)
    try:
        ahead, behind, doubled = (np.asarray(given.phi(points), dtype=np.float64) for points in (z, -z, 2 * z))
    except Exception:
        return
    if any(values.shape != z.shape for values in (ahead, behind, doubled)):
        return

    def differ(one: Host, other: Host) -> bool:
        return bool(np.max(np.abs(one - other)) > DECLARED * np.max(np.abs(other)))

    near = f"{ahead[0]:.6g} at 0.25"
    if given.parity is not None and differ(behind, -ahead if given.parity == "odd" else ahead):
        raise ValueError(f"parity={given.parity!r} contradicts phi, which is {behind[0]:.6g} at -0.25 and {near}")
    if given.homogeneous and differ(doubled, 2 * ahead):
        raise ValueError(f"homogeneous=True contradicts phi, which is {doubled[0]:.6g} at 0.5 and {near}")
    if given.degree is not None and given.degree < z.size - 1:
        differences = np.diff(ahead, given.degree + 1)
        if np.max(np.abs(differences)) > DECLARED * np.max(np.abs(ahead)):
            raise ValueError(
                f"degree={given.degree} contradicts phi, whose differences of order {given.degree + 1} are not 0"
            )


def _is_real(number: Any) -> bool:
    return isinstance(number, Real) and not isinstance(number, bool)


_Kernel = Callable[[Namespace, Array], _elementary.Parts]


@dataclass(frozen=True)
class _Part:
    """φ (index 0) or φ' (index 1) alone. Unlike closures these pickle, and compare equal to their copies."""

    kernel: _Kernel
    index: int

    def __call__(self, z: Array) -> Array:
        xp, z = _floating(z)
        return xp.asarray(self.kernel(xp, z)[self.index]())


@dataclass(frozen=True)
class _Both:
    """φ and φ' from one pass."""

    kernel: _Kernel

    def __call__(self, z: Array) -> tuple[Array, Array]:
        xp, z = _floating(z)
        value, slope = self.kernel(xp, z)
        return xp.asarray(value()), xp.asarray(slope())  # NumPy returns scalars for 0-d arrays


def is_builtin(function: Callable[[Array], Array]) -> bool:
    """Whether `function` is φ or φ' of a built-in activation, which take the arrays of every library."""
    return isinstance(function, _Part)


_FLOATING = (np.dtype(np.float64), np.dtype(np.float32))


def _floating(z: Array) -> tuple[Namespace, Array]:
    if type(z) is np.ndarray and z.dtype in _FLOATING:  # as most are, and often so small that asking twice costs more
        return np, z
    xp = namespace(z)
    dtype = float_dtype(xp, z=z)
    return xp, z if z.dtype == dtype else xp.astype(z, dtype)


def _builtin(kernel: _Kernel, lipschitz: float, dlipschitz: float, **properties: Any) -> Activation:
    return Activation(
        _Part(kernel, 0), _Part(kernel, 1), _Both(kernel), kernel.__name__, lipschitz, dlipschitz, **properties
    )


# Suprema of |φ'| and |φ''|, in closed form where there is one, rounded up to float64.
softplus = _builtin(_elementary.softplus, 1.0, 0.25)
sigmoid = _builtin(_elementary.sigmoid, 0.25, 0.09622504486493763)  # 1/(6√3)
tanh = _builtin(_elementary.tanh, 1.0, 0.769800358919501, parity="odd")  # 4/(3√3)
erf = _builtin(_elementary.erf, 1.1283791670955128, 0.9678828980765735, parity="odd")  # 2/√π, √(8/(πe))
gelu = _builtin(_elementary.gelu, 1.128904145185155, 0.7978845608028655)  # Φ(√2) + 1/(e√π), √(2/π)
silu = _builtin(_elementary.silu, 1.099839320128867, 0.5)  # φ'(2.3993…), φ''(0)
sin = _builtin(_elementary.sin, 1.0, 1.0, parity="odd")
cos = _builtin(_elementary.cos, 1.0, 1.0, parity="even")
identity = _builtin(_elementary.identity, 1.0, 0.0, parity="odd", degree=1, homogeneous=True)
quadratic = _builtin(_elementary.quadratic, math.inf, 1.0, parity="even", degree=2)
elu = _builtin(_elementary.elu, 1.0, 1.0, kinks=(0.0,))
relu = _builtin(_elementary.relu, 1.0, math.inf, kinks=(0.0,), homogeneous=True)
leaky_relu = _builtin(_elementary.leaky_relu, 1.0, math.inf, kinks=(0.0,), homogeneous=True)

BUILTIN: Mapping[str, Activation] = MappingProxyType(
    {
        activation.name: activation
        for activation in (
            softplus, sigmoid, tanh, erf, gelu, silu, sin, cos, identity, quadratic, elu, relu, leaky_relu,
        )
    }
)  # fmt: skip
"""The built-in activations by name."""


def get(activation: str | Activation) -> Activation:
    """The built-in activation of that name; an `Activation` is returned as it is.

    Raises
    ------
    ValueError
        Unknown name; the message lists the known ones.
    TypeError
        Neither a name nor an `Activation`.

    Examples
    --------
    >>> get("gelu")
    Activation(name='gelu', lipschitz=1.128904145185155, dlipschitz=0.7978845608028655, parity=None, degree=None, \
kinks=(), analytic=True, homogeneous=False)
    """
    if isinstance(activation, Activation):
        return activation
    if not isinstance(activation, str):
        raise TypeError(f"activation must be a name or an Activation, got {activation!r}")
    if activation not in BUILTIN:
        raise ValueError(f"activation must be an Activation or one of {', '.join(BUILTIN)}; got {activation!r}")
    return BUILTIN[activation]
