"""The numerical errors of the package; everything else is a `ValueError` or a `TypeError`."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refimpl.training.history import History


class AccuracyError(ArithmeticError):
    """The accuracy asked for cannot be met, or an iteration did not converge.

    Parameters
    ----------
    message : str
        What was asked for, and what stands in the way.
    reached : float or None
        Relative accuracy that was reached, where it is known.

    Examples
    --------
    >>> AccuracyError("rtol=1e-12 was asked for, 3e-9 was reached", reached=3e-9).reached
    3e-09
    """

    def __init__(self, message: str, *, reached: float | None = None) -> None:
        super().__init__(message)
        self.reached = reached


class BlowUpError(ArithmeticError):
    """The solution was detected to escape to infinity before the horizon T.

    Parameters
    ----------
    message : str
        What escaped.
    time : float
        Time up to which the solution was followed: the blow-up time, or somewhat less.

    Examples
    --------
    >>> BlowUpError("h(t) escapes to infinity near t = 0.7", time=0.7).time
    0.7
    """

    def __init__(self, message: str, *, time: float) -> None:
        super().__init__(message)
        self.time = time


class TrainingError(AccuracyError):
    """Training cannot go on: the equations at some step could not be solved as accurately as asked for.

    The cause, an `AccuracyError` of the solver, is chained. Nothing is raised in its place at step 0, where there has
    been no training yet: an initial network that cannot be solved raises the solver's own error.

    Parameters
    ----------
    message : str
        At which step, and why.
    step : int or None
        The step k whose θ^k the error is about.
    history : History or None
        What was recorded before.

    Examples
    --------
    >>> TrainingError("training cannot go on at step 7: …", step=7).step
    7
    """

    def __init__(self, message: str, *, step: int | None = None, history: History | None = None) -> None:
        super().__init__(message)
        self.step = step
        self.history = history


class DivergenceError(TrainingError):
    """Training diverged: the loss is not finite or enormous, or the equations at θ^k blow up.

    A loss that rises for a while, as it does at a large learning rate or under momentum, is no divergence: the bound
    is `refimpl.training.ENORMOUS` = 1e9 times the larger of the initial loss and the loss ½‖y‖² of the prediction 0.
    (Where the loss of a network of width n does rise and fall again, it rises by a factor of order n: Lewkowycz et
    al., The large learning rate phase of deep learning, 2020.) A `BlowUpError` that is the cause is chained.

    Parameters
    ----------
    message : str
        At which step, and why.
    step : int or None
        The step k whose θ^k the error is about.
    history : History or None
        What was recorded before; the step itself included if its loss is finite.

    Examples
    --------
    >>> import refimpl
    >>> net = refimpl.NeuralODE("softplus")
    >>> theta, X = net.init(width=8, dim=3, seed=0), refimpl.data.sphere(4, 3, seed=1)
    >>> try:
    ...     refimpl.train(net, theta, X, X[:, 0], lr=100.0, steps=20, solver=refimpl.Euler(4))
    ... except DivergenceError as error:
    ...     print(error.step, len(error.history.loss) - 1)
    1 1
    """
