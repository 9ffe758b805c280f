"""The update rules: gradient descent (5), stochastic gradient descent, heavy-ball momentum, Adam.

To implement an optimiser:

1. derive from `Optimizer`, as a frozen dataclass that holds its settings and validates them;
2. set `moments`, the number of vectors like θ that the rule carries along;
3. implement `update`, a pure function of the state and the gradient;
4. override `batch` if the gradient is not that of the whole training set, and list in `named_rates` the learning
   rates that `train` may choose by name.

Here θ, gradients and updates are vectors (P,), all parameters in the order of `Params.ravel`; the loop subtracts
η times the update.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

import numpy as np

from refimpl.backend import Array, namespace

Indices: TypeAlias = np.ndarray[Any, np.dtype[np.int64]]


@dataclass(frozen=True, eq=False)
class State:
    """What an update rule carries from step to step.

    Parameters
    ----------
    count : int
        Updates made so far.
    moments : tuple of array, each of shape (P,)
    """

    count: int
    moments: tuple[Array, ...]


class Optimizer(ABC):
    """What `train` needs of an optimiser; see the module's docstring for how to write one."""

    moments: ClassVar[int] = 0
    named_rates: ClassVar[tuple[str, ...]] = ()

    def start(self, theta: Array) -> State:
        """State before the first update."""
        xp = namespace(theta)
        return State(0, tuple(xp.zeros_like(theta) for _ in range(self.moments)))

    @abstractmethod
    def update(self, state: State, gradient: Array) -> tuple[State, Array]:
        """Next state, and the update that is multiplied by −η; neither argument is changed."""

    def batch(self, step: int, N: int) -> Indices | None:
        """Indices of the samples whose gradient update number `step` takes; None for all N of them."""
        return None


@dataclass(frozen=True)
class GradientDescent(Optimizer):
    """Full-batch gradient descent (5): θ ← θ − η ∇L(θ).

    Examples
    --------
    >>> import numpy as np
    >>> rule = GradientDescent()
    >>> state, update = rule.update(rule.start(np.zeros(2)), np.asarray([1.0, 2.0]))
    >>> update.tolist()
    [1.0, 2.0]
    """

    named_rates: ClassVar[tuple[str, ...]] = ("theorem", "stable")

    def update(self, state: State, gradient: Array) -> tuple[State, Array]:
        """The gradient itself."""
        return State(state.count + 1, ()), gradient


@dataclass(frozen=True)
class SGD(Optimizer):
    """Stochastic gradient descent: mini-batches without replacement, in a new random order every epoch.

    Parameters
    ----------
    batch_size : int
        B ≥ 1. The last batch of an epoch is smaller where B does not divide N; B ≥ N is gradient descent.
    seed : int
        Decides all orders, ≥ 0.

    Raises
    ------
    TypeError, ValueError
        A number that is no integer, or too small.

    Notes
    -----
    The update is (N/B) Σ_{i ∈ batch} (f(x_i) − y_i) ∇f(x_i), an unbiased estimate of ∇L, so that η means what it means
    for gradient descent. (For a loss that is a mean over the batch, as is customary in PyTorch, N η is the learning
    rate.) The order of epoch e is drawn from ``SeedSequence(seed, spawn_key=(e,))``: the batch of a step depends on the
    seed and on the number of the step alone, and a run that is resumed needs no state of a generator. NumPy does not
    promise the same order in every version.

    Examples
    --------
    >>> rule = SGD(batch_size=2, seed=0)
    >>> epoch = [rule.batch(step, N=3).tolist() for step in range(2)]
    >>> [len(batch) for batch in epoch], sorted(sum(epoch, []))
    ([2, 1], [0, 1, 2])
    """

    batch_size: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("batch_size", 1), ("seed", 0)):
            value = getattr(self, name)
            if isinstance(value, bool) or not hasattr(value, "__index__"):
                raise TypeError(f"{name} must be an integer ≥ {least}, got {value!r}")
            if value < least:
                raise ValueError(f"{name} must be an integer ≥ {least}, got {value!r}")
            object.__setattr__(self, name, int(value))

    def update(self, state: State, gradient: Array) -> tuple[State, Array]:
        """The estimate of the gradient itself."""
        return State(state.count + 1, ()), gradient

    def batch(self, step: int, N: int) -> Indices | None:
        """Indices of the batch; None where it is the whole training set."""
        if self.batch_size >= N:
            return None
        epoch, place = divmod(step, -(-N // self.batch_size))
        order = np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=(epoch,))).permutation(N)
        return order[place * self.batch_size : (place + 1) * self.batch_size]


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum, Polyak's heavy ball: m ← β m + ∇L(θ), θ ← θ − η m.

    Parameters
    ----------
    beta : float
        β in [0, 1).

    Raises
    ------
    TypeError, ValueError
        No number in [0, 1).

    Notes
    -----
    This is PyTorch's convention: the gradient enters m undamped, so a long run moves at the rate η/(1 − β). Polyak's
    form of the same iteration is θ^{k+1} = θ^k − η ∇L(θ^k) + β (θ^k − θ^{k−1}). On the linearised dynamics it is stable
    for η < 2 (1 + β)/λ_max (B. T. Polyak, Some methods of speeding up the convergence of iteration methods, 1964).

    Examples
    --------
    >>> import numpy as np
    >>> rule, gradient = Momentum(beta=0.5), np.asarray([1.0, 2.0])
    >>> state, _ = rule.update(rule.start(gradient), gradient)
    >>> rule.update(state, gradient)[1].tolist()
    [1.5, 3.0]
    """

    beta: float = 0.9

    moments: ClassVar[int] = 1
    named_rates: ClassVar[tuple[str, ...]] = ("stable",)

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta", _decay("beta", self.beta))

    def update(self, state: State, gradient: Array) -> tuple[State, Array]:
        """m."""
        moment = self.beta * state.moments[0] + gradient
        return State(state.count + 1, (moment,)), moment


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam, as in algorithm 1 of its paper and in PyTorch's defaults.

    Parameters
    ----------
    beta1, beta2 : float
        Decay of the first and second moment, in [0, 1).
    eps : float
        Positive; it stands outside the square root, after the correction of the bias.

    Raises
    ------
    TypeError, ValueError
        A number outside its range.

    Notes
    -----
    With the gradient g of step k = 1, 2, …, entry by entry:

    m ← β₁ m + (1 − β₁) g,   v ← β₂ v + (1 − β₂) g²,   θ ← θ − η m̂ / (√v̂ + eps),

    where m̂ = m/(1 − β₁ᵏ) and v̂ = v/(1 − β₂ᵏ). There is no weight decay and no AMSGrad.

    References
    ----------
    D. P. Kingma and J. Ba, Adam: a method for stochastic optimization, ICLR 2015.

    Examples
    --------
    >>> import numpy as np
    >>> rule = Adam()
    >>> state, update = rule.update(rule.start(np.zeros(2)), np.asarray([1.0, -1e-3]))
    >>> update.round(4).tolist()  # the first one is the sign of the gradient
    [1.0, -1.0]
    """

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    moments: ClassVar[int] = 2

    def __post_init__(self) -> None:
        object.__setattr__(self, "beta1", _decay("beta1", self.beta1))
        object.__setattr__(self, "beta2", _decay("beta2", self.beta2))
        eps = _real("eps", self.eps, "a positive, finite number")
        if not (math.isfinite(eps) and eps > 0):
            raise ValueError(f"eps must be a positive, finite number, got {self.eps!r}")
        object.__setattr__(self, "eps", eps)

    def update(self, state: State, gradient: Array) -> tuple[State, Array]:
        """m̂ / (√v̂ + eps)."""
        count, (first, second) = state.count + 1, state.moments
        first = self.beta1 * first + (1 - self.beta1) * gradient
        second = self.beta2 * second + (1 - self.beta2) * gradient**2
        root = namespace(gradient).sqrt(second / (1 - self.beta2**count))
        return State(count, (first, second)), first / (1 - self.beta1**count) / (root + self.eps)


BUILTIN: Mapping[str, type[Optimizer]] = {"gd": GradientDescent, "sgd": SGD, "momentum": Momentum, "adam": Adam}
"""The built-in optimisers by name, each with its defaults."""


def get(optimizer: str | Optimizer) -> Optimizer:
    """The built-in optimiser of that name with its defaults; an `Optimizer` is returned as it is.

    Raises
    ------
    ValueError
        Unknown name; the message lists the known ones.
    TypeError
        Neither a name nor an `Optimizer`.

    Examples
    --------
    >>> get("adam")
    Adam(beta1=0.9, beta2=0.999, eps=1e-08)
    """
    if isinstance(optimizer, Optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer must be a name or an Optimizer, got {optimizer!r}")
    if optimizer not in BUILTIN:
        raise ValueError(f"optimizer must be an Optimizer or one of {', '.join(BUILTIN)}; got {optimizer!r}")
    return BUILTIN[optimizer]()


def _real(name: str, value: float, allowed: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise TypeError(f"{name} must be {allowed}, got {value!r}")
    return float(value)


def _decay(name: str, value: float) -> float:
    number = _real(name, value, "a number in [0, 1)")
    if not 0 <= number < 1:
        raise ValueError(f"{name} must be a number in [0, 1), got {value!r}")
    return number
