"""Training: the loop in which predictions, loss and gradient of a step come from one solve."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from refimpl.backend import Array, all_finite, overflow_is_checked
from refimpl.errors import AccuracyError, BlowUpError, DivergenceError, TrainingError
from refimpl.network import NeuralODE
from refimpl.parameters import Params
from refimpl.solvers import Solver
from refimpl.training import optimizers, problem, rates
from refimpl.training.checkpoint import Checkpoint, Snapshot
from refimpl.training.fingerprint import fingerprint
from refimpl.training.history import History, Recorder, Row, TrainingStep, half_square
from refimpl.training.optimizers import Optimizer, State

ENORMOUS = 1e9
"""How many times its start, the loss of predicting 0, and that of errors of 1, a loss may reach before training counts
as diverged: targets and first outputs near 0 say nothing of the outputs that are normal on the way."""


def train(
    net: NeuralODE,
    theta: Params,
    X: Array,
    y: Array,
    X_test: Array | None = None,
    y_test: Array | None = None,
    optimizer: str | Optimizer = "gd",
    *,
    lr: float | str,
    steps: int,
    solver: Solver | None = None,
    spectrum_every: int | None = None,
    callback: Callable[[TrainingStep], object] | None = None,
    progress: Callable[[Iterable[int]], Iterable[int]] | None = None,
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_every: int = 100,
) -> History:
    """Minimise L(θ) = ½ Σ_i (f(x_i) − y_i)²  (2) from θ^0 = `theta`, which is left as it is.

    Parameters
    ----------
    net : NeuralODE
    theta : Params
        θ^0.
    X, y : array, shape (N, d) and (N,)
        Training inputs and targets.
    X_test, y_test : array, shape (N_test, d) and (N_test,), optional
        Inputs at which f is recorded as well, and targets there.
    optimizer : {"gd", "sgd", "momentum", "adam"} or Optimizer
        The update rule: by name with its defaults, or for instance ``Adam(beta1=0.95)`` of `refimpl.training`.
    lr : float, "theorem" or "stable"
        The learning rate η. "theorem" is 1/‖X‖² with the spectral norm, the upper end of what theorem 2 allows; for a
        given network it can be too large, and training then diverges. "stable" is 1/λ_max(K_θ⁰), half of what the
        linearised dynamics (8) stand; for gradient descent and momentum.
    steps : int
        Number K ≥ 0 of updates.
    solver : SolveIVP, Gauss, Euler, KinkEvents or None
        As for the methods of `NeuralODE`. With `Euler`, or `Gauss` with fixed nodes and steps, the gradient is the
        exact one of a discrete network.
    spectrum_every : int, optional
        Record the eigenvalues of the tangent kernel at step 0 and every so many steps.
    callback : callable, optional
        Called with a `TrainingStep` at every step 0, …, K; if it returns True, training ends there.
    progress : callable, optional
        Wraps the iterable of steps, as ``tqdm.tqdm`` does.
    checkpoint : path, optional
        File to which the run is saved, every `checkpoint_every` steps and at its end. If it exists, the run goes on
        from there, to the same bits as if it had not been interrupted; more `steps` than before extend it. Only
        one run at a time may use it.
    checkpoint_every : int

    Returns
    -------
    History

    Raises
    ------
    TypeError, ValueError
        Bad input, before any work is done; a checkpoint that is damaged or belongs to another run.
    DivergenceError
        The loss is not finite, or enormous, or the equations blow up; it carries the history up to there.
    TrainingError
        The solver cannot meet its tolerance at some step; likewise.
    BlowUpError, AccuracyError
        The same at step 0.

    Notes
    -----
    The dtype of everything is that of `theta` and `X` together; targets and test set are rounded to it. The outputs,
    the loss and the gradient at θ^k come from the same forward and adjoint solve. Under `SGD` only the samples of the
    batch have an adjoint, but the history shows all of them. In float32 a step is the exact one from its own θ^k, up to
    η times the rounding of ∇L and one rounding of θ; what the steps leave behind adds up.

    Examples
    --------
    >>> import refimpl
    >>> net = refimpl.NeuralODE("softplus")
    >>> theta = net.init(width=64, dim=3, seed=0)
    >>> X = refimpl.data.sphere(5, 3, seed=1)
    >>> history = refimpl.train(net, theta, X, X[:, 0], lr="stable", steps=20, solver=refimpl.Gauss(4, 1))
    >>> history.loss.shape, history.predictions.shape, bool(history.loss[20] < history.loss[0] / 2)
    ((21,), (21, 5), True)
    """
    training = problem.check(net, theta, X, y, X_test, y_test, solver)
    rule = optimizers.get(optimizer)
    rate = rates.check_rate(lr, rule)
    steps = _count("steps", steps, least=0)
    every = _count("checkpoint_every", checkpoint_every, least=1)
    if spectrum_every is not None:
        spectrum_every = _count("spectrum_every", spectrum_every, least=1)
    for name, value in (("callback", callback), ("progress", progress)):
        if value is not None and not callable(value):
            raise TypeError(f"{name} must be callable or None, got {value!r}")

    recorder = Recorder(training, spectrum_every)
    store, reached = None, None
    if checkpoint is not None:
        store = Checkpoint(_path(checkpoint), fingerprint(training, rule, rate, spectrum_every))
        reached = store.load(rule, recorder, steps)
    if reached is None:
        vector = training.start.ravel()
        reached = Snapshot(0, rates.learning_rate(rate, training), vector, rule.start(vector))
    run, first = Run(recorder, rule, reached), reached.step

    numbers: Iterable[int] = range(first, steps + 1)
    for k in numbers if progress is None else progress(numbers):
        due = k > first and (k % every == 0 or k == steps)
        if store is not None and due:
            store.save(run.at, recorder)
        gradient = run.record(last=k == steps)
        stopped = callback is not None and bool(callback(run.shown())) and k < steps
        if stopped and store is not None and k > first and not due:
            store.save(run.at, recorder)
        if stopped or k == steps:
            return run.history(stopped)
        run.update(gradient)
    raise RuntimeError("progress must pass on every step of the iterable it is given")


class Run:
    """A run that has reached step k: `at` holds θ^k, and `recorder` the steps before k, or up to k."""

    def __init__(self, recorder: Recorder, rule: Optimizer, at: Snapshot) -> None:
        self.recorder, self.rule, self.at = recorder, rule, at
        self.params = recorder.problem.params(at.theta, known=True)
        self.loss = math.nan
        self._normal = math.nan

    def record(self, last: bool) -> Array | None:
        """Record step k; returns the gradient for the next update unless this is the last step."""
        training, gradient = self.recorder.problem, None
        with self._solving():
            if last:
                predictions, test = training.outputs(self.params)
            else:
                batch = self.rule.batch(self.at.step, training.X.shape[0])
                predictions, test, gradient = training.evaluate(self.params, batch)
        row = self.recorder.row(self.params, predictions, test)
        self._check_finite(row)
        with self._solving():
            row |= self.recorder.spectrum(self.params)
        self.recorder.rows.append(row)
        self.loss = float(row["loss"])
        self._check_size()
        return gradient

    @overflow_is_checked()
    def update(self, gradient: Array) -> None:
        """θ^{k+1} = θ^k − η · update."""
        k, xp = self.at.step, self.recorder.problem.xp
        state, update = self.rule.update(self.at.state, gradient)
        theta = self.at.theta - self.at.lr * update
        if not all_finite(xp, theta, *state.moments):
            raise self._diverged(f"the update overflows {theta.dtype}")
        self.at = Snapshot(k + 1, self.at.lr, theta, State(k + 1, state.moments))
        self.params = self.recorder.problem.params(theta, known=True)

    def shown(self) -> TrainingStep:
        """Step k as the callback sees it."""
        return TrainingStep(self.at.step, self.loss, self.params, self.recorder.rows[-1]["predictions"])

    def history(self, stopped: bool = False) -> History:
        """The history so far."""
        return self.recorder.history(self.params, self.at.lr, stopped)

    @contextmanager
    def _solving(self) -> Iterator[None]:
        """Errors of the solver become errors of training, after step 0."""
        k = self.at.step
        try:
            yield
        except BlowUpError as failure:
            if k == 0:
                raise
            raise self._diverged(str(failure)) from failure
        except AccuracyError as failure:
            if k == 0:
                raise
            message = f"training cannot go on at step {k}{self._advice}: {failure}"
            raise TrainingError(message, step=k, history=self.history()) from failure

    def _check_finite(self, row: Row) -> None:
        xp = self.recorder.problem.xp
        if all_finite(xp, *row.values()):
            return
        for name, record in row.items():
            if not all_finite(xp, record):
                message = f"{name.replace('_', ' ')} overflows {record.dtype}"
                raise AccuracyError(message) if self.at.step == 0 else self._diverged(message)

    def _check_size(self) -> None:
        """Raise for a loss that is beyond anything from which training comes back."""
        training = self.recorder.problem
        if math.isnan(self._normal):
            of_zero, first = float(half_square(training.xp, training.y)), float(self.recorder.rows[0]["loss"])
            self._normal = max(of_zero, first, training.y.shape[0] / 2)
        if self.loss > ENORMOUS * self._normal:
            raise self._diverged(f"the loss is {self.loss:.3g}, more than {ENORMOUS:g} times {self._normal:.3g}")

    def _diverged(self, reason: str) -> DivergenceError:
        k = self.at.step
        return DivergenceError(f"training diverged at step {k}{self._advice}: {reason}", step=k, history=self.history())

    @property
    def _advice(self) -> str:
        return f" with lr={self.at.lr:.6g}, which may be too large"


def _count(name: str, value: int, least: int) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{name} must be an integer ≥ {least}, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be an integer ≥ {least}, got {value!r}")
    return int(value)


def _path(checkpoint: Any) -> Path:
    if not isinstance(checkpoint, str | os.PathLike):
        raise TypeError(f"checkpoint must be a path or None, got {checkpoint!r}")
    path = Path(checkpoint)
    if not path.parent.is_dir():
        raise ValueError(f"checkpoint must lie in a directory that exists, got {str(path)!r}")
    if path.exists() and not path.is_file():
        raise ValueError(f"checkpoint must be a file, got {str(path)!r}")
    return path
