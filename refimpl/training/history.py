"""What a run leaves behind, and what it shows while it goes on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeAlias

from refimpl._shapes import shapes_of
from refimpl.backend import Array, Namespace, overflow_is_checked
from refimpl.parameters import Params
from refimpl.training.problem import Problem

Row: TypeAlias = dict[str, Array]
"""What is recorded at one step, by name."""

DISTANCES = ("distance", "distance_U", "distance_W", "distance_v")


@dataclass(frozen=True, eq=False)
class History:
    """The course of a run of K steps; arrays over steps start with step 0, at θ^0, and end with step K.

    All arrays are of the library, on the device and of the dtype of the parameters.

    Parameters
    ----------
    theta : Params
        θ^K, the final parameters.
    loss : array, shape (K + 1,)
        L(θ^k), on the whole training set also where the optimiser sees a batch only.
    test_loss : array, shape (K + 1,), or None
        ½ Σ (f(x) − y)² over the test set.
    predictions : array, shape (K + 1, N)
        u^k, the outputs at the training inputs.
    test_predictions : array, shape (K + 1, N_test), or None
        The outputs at the test inputs.
    distance, distance_U, distance_W, distance_v : array, shape (K + 1,)
        ‖θ^k − θ^0‖, and the same for each block.
    lr : float
        The learning rate η that was used.
    spectrum : array, shape (M, N), or None
        Eigenvalues of the tangent kernel K_θ on the training inputs, in ascending order.
    spectrum_steps : tuple of int or None
        The M steps they belong to.
    stopped : bool
        Whether the callback ended the run before the number of steps asked for.

    Examples
    --------
    >>> import numpy as np
    >>> import refimpl
    >>> net, X = refimpl.NeuralODE("tanh"), refimpl.data.sphere(2, 3, seed=0)
    >>> theta = net.init(width=4, dim=3, seed=0)
    >>> history = refimpl.train(net, theta, X, np.ones(2), lr=0.1, steps=3, solver=refimpl.Euler(8))
    >>> history.predictions.shape, history.steps, history.stopped
    ((4, 2), 3, False)
    >>> bool(history.loss[-1] < history.loss[0])
    True
    """

    theta: Params
    loss: Array
    test_loss: Array | None
    predictions: Array
    test_predictions: Array | None
    distance: Array
    distance_U: Array
    distance_W: Array
    distance_v: Array
    lr: float
    spectrum: Array | None
    spectrum_steps: tuple[int, ...] | None
    stopped: bool

    @property
    def steps(self) -> int:
        """K, the steps made."""
        return int(self.loss.shape[0]) - 1

    def __repr__(self) -> str:
        return shapes_of(self)


@dataclass(frozen=True, eq=False)
class TrainingStep:
    """What the callback of `train` sees at step k.

    Parameters
    ----------
    step : int
        k.
    loss : float
        L(θ^k).
    theta : Params
        θ^k; its arrays are the run's own and must be left as they are.
    predictions : array, shape (N,)
        u^k.
    """

    step: int
    loss: float
    theta: Params
    predictions: Array

    def __repr__(self) -> str:
        return shapes_of(self)


@dataclass(frozen=True)
class Recorder:
    """The rows of a run, one for every step, and the history they make.

    Parameters
    ----------
    problem : Problem
    spectrum_every : int or None
        Steps between two spectra of the tangent kernel.
    rows : list of dict
        The row of step k at place k.
    """

    problem: Problem
    spectrum_every: int | None
    rows: list[Row] = field(default_factory=list)

    @overflow_is_checked()
    def row(self, theta: Params, predictions: Array, test_predictions: Array | None) -> Row:
        """What there is to record at the next step, its spectrum aside; entries may have overflowed."""
        problem, xp = self.problem, self.problem.xp
        row = {"loss": half_square(xp, predictions - problem.y), "predictions": predictions}
        if test_predictions is not None:
            row["test_predictions"] = test_predictions
        if problem.y_test is not None:
            row["test_loss"] = half_square(xp, test_predictions - problem.y_test)
        for name in ("U", "W", "v"):
            change = getattr(theta, name) - getattr(problem.start, name)
            row["distance_" + name] = xp.linalg.vector_norm(change)
        row["distance"] = xp.linalg.vector_norm(xp.stack([row["distance_" + name] for name in ("U", "W", "v")]))
        return row

    def spectrum(self, theta: Params) -> Row:
        """The eigenvalues of K_θ as a further part of the next row, where they are due."""
        if self.spectrum_every is None or len(self.rows) % self.spectrum_every:
            return {}
        K = self.problem.net.ntk(theta, self.problem.X, solver=self.problem.solver)
        return {"spectrum": self.problem.xp.linalg.eigvalsh(K)}

    def stacked(self, steps: int) -> Row:
        """Every record of the first `steps` steps, as one array over those that have it."""
        rows = self.rows[:steps]
        names = {name: None for row in rows for name in row}
        return {name: self.problem.xp.stack([row[name] for row in rows if name in row]) for name in names}

    def shapes(self, steps: int) -> dict[str, tuple[int, ...]]:
        """What `stacked` has to look like."""
        problem, N = self.problem, self.problem.X.shape[0]
        shapes: dict[str, tuple[int, ...]] = dict.fromkeys(("loss", *DISTANCES), (steps,))
        shapes["predictions"] = steps, N
        if problem.X_test is not None:
            shapes["test_predictions"] = steps, problem.X_test.shape[0]
        if problem.y_test is not None:
            shapes["test_loss"] = (steps,)
        if self.spectrum_every is not None:
            shapes["spectrum"] = -(-steps // self.spectrum_every), N
        return shapes

    def history(self, theta: Params, lr: float, stopped: bool) -> History:
        """The history up to the last row."""
        records: dict[str, Array | None] = dict.fromkeys(("test_loss", "test_predictions", "spectrum"))
        records |= self.stacked(len(self.rows))
        steps = None if self.spectrum_every is None else tuple(range(0, len(self.rows), self.spectrum_every))
        return History(theta=theta, lr=lr, spectrum_steps=steps, stopped=stopped, **records)


def half_square(xp: Namespace, residual: Array) -> Array:
    """½ Σ r_i² over the last axis."""
    return xp.sum(residual**2, axis=-1) / 2
