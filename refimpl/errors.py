"""The two numerical errors of the package; everything else is a `ValueError` or a `TypeError`."""

from __future__ import annotations


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
