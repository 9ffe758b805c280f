"""The check: what a candidate answers, against the golden vectors."""

from __future__ import annotations

import importlib
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from refimpl.conformance.arrays import as_answer, norm, parts
from refimpl.conformance.candidate import QUANTITIES
from refimpl.conformance.scorecard import Mistake, Result, Scorecard
from refimpl.conformance.vectors import FLAGS, Case, cases

MARGIN = 100.0
"""Errors of a sound implementation in units of condition × eps: a few roundings in each of some dozen steps."""

IN_DOUBLE = 9.0
"""More digits than single precision gives, unless by chance …"""

BY_CHANCE = 0.1
"""… as it does in some cases, but not in this part of them."""

MOST = 17.0
"""Digits of an answer that is right to the last bit."""

FORMS = "a candidate is given as package.module:Candidate, or as package.module"
"""What `load` takes."""


def check_conformance(
    candidate: Any,
    *,
    quantities: Iterable[str] | None = None,
    flags: Iterable[str] | None = None,
    activations: Iterable[str] | None = None,
    digits: float = 8.0,
    progress: Callable[[int, int], None] | None = None,
) -> Scorecard:
    """How many digits of another implementation are right, case by case, and which known mistakes it has.

    Parameters
    ----------
    candidate : object
        A module, class or instance with any of the functions of `Candidate`. A class is called without arguments.
    quantities, flags, activations : iterables of str, optional
        Only these quantities, the cases with one of these flags, and these activations.
    digits : float
        Correct digits that are asked for. Less is asked for where the vector itself, or the condition of the problem
        in the dtype of the case, allows less.
    progress : callable, optional
        Called with the number of cases done, and of all.

    Returns
    -------
    Scorecard

    Raises
    ------
    ValueError
        Unknown names, digits that are not above 0 and 16 at most, a candidate that implements nothing, or nothing of
        what is asked for.
    TypeError
        A string where several names are asked for.

    Examples
    --------
    A residual network that forgets σ_w:

    >>> import numpy as np
    >>> import refimpl
    >>> class Mine:
    ...     def resnet_predict(self, U, W, v, X, settings):
    ...         h = settings.sigma_u * X @ U.T
    ...         for _ in range(settings.depth):
    ...             h = h + settings.horizon / settings.depth * np.tanh(h) @ W.T / np.sqrt(len(v))
    ...         return settings.sigma_v * np.tanh(h) @ v / np.sqrt(len(v))
    >>> scorecard = refimpl.check_conformance(Mine(), activations=["tanh"])
    >>> scorecard.passed
    False
    >>> scorecard.mistakes[0].name
    'sigma_w-missing'
    """
    instance = candidate() if isinstance(candidate, type) else candidate
    check_digits(digits)
    wanted = _chosen("quantities", quantities, QUANTITIES)
    names = implemented(instance)
    if not names:
        raise ValueError(f"the candidate implements none of {', '.join(QUANTITIES)}")
    wanted = tuple(name for name in names if name in wanted)
    if not wanted:
        raise ValueError(f"the candidate implements {', '.join(names)}, none of which is asked for")
    any_flag = set(_chosen("flags", flags, tuple(FLAGS)))
    kinds = set(_chosen("activations", activations, tuple({c.settings.activation: 0 for c in cases()})))
    chosen = [
        case
        for case in cases()
        if case.settings.activation in kinds
        and (flags is None or any_flag.intersection(case.flags))
        and any(name in case.expected for name in wanted)
    ]
    if not chosen:
        raise ValueError("no golden vector has these quantities, flags and activations")
    results, failed = [], list[tuple[Case, str, Any]]()
    for done, case in enumerate(chosen):
        for name in wanted:
            if name in case.expected:
                result, answer = examine(instance, case, name, digits)
                results.append(result)
                if result.status == "failed" and answer is not None:
                    failed.append((case, name, answer))
        if progress is not None:
            progress(done + 1, len(chosen))
    options = {
        "candidate": name_of(candidate),
        "digits": digits,
        "quantities": list(wanted),
        "flags": sorted(any_flag) if flags is not None else None,
        "activations": sorted(kinds) if activations is not None else None,
    }
    return Scorecard(tuple(results), _recognised(failed, results), options)


def name_of(candidate: Any) -> str:
    """Where a candidate is defined, as ``package.module:Candidate``; a module by its name alone."""
    if isinstance(candidate, ModuleType):
        return candidate.__name__
    kind = candidate if isinstance(candidate, type) else type(candidate)
    return f"{kind.__module__}:{kind.__qualname__}"


def implemented(candidate: Any) -> tuple[str, ...]:
    """The quantities that a candidate has a function for."""
    return tuple(name for name in QUANTITIES if callable(getattr(candidate, name, None)))


def check_digits(digits: float) -> None:
    """Refuse a number of digits that no answer in float64 can have, or that any has.

    Raises
    ------
    ValueError
    """
    if not 0 < digits <= 16:
        raise ValueError(f"digits must be above 0, and 16 at most; got {digits}")


def examine(candidate: Any, case: Case, quantity: str, digits: float = 8.0) -> tuple[Result, Any]:
    """The result of one quantity of one case, and the answer as host arrays, or None if it is no answer.

    Whatever the candidate raises is a failure of this case alone, and `NotImplementedError` is none. `sys.exit` within
    a candidate is a failure too: it must not end the check with a status of its own.
    """
    try:
        # Copies: the candidate may write to them, and PyTorch warns of arrays that cannot be written to.
        given = [np.array(part) for part in (case.U, case.W, case.v, case.X) if part is not None]
        raw = getattr(candidate, quantity)(*given, case.settings)
        if raw is NotImplemented:
            raise NotImplementedError
        answer = as_answer(raw, case.expected[quantity])
    except NotImplementedError as error:
        return _result(case, quantity, "skipped", math.nan, math.nan, one_line(error) or "not implemented"), None
    except (Exception, SystemExit) as error:  # anything may happen inside another framework
        message = one_line(f"{type(error).__name__}: {error}")
        names = (*(name for name in ("U", "W", "v", "X") if getattr(case, name) is not None), "settings")
        if isinstance(error, TypeError) and not _takes(getattr(candidate, quantity), len(names)):
            message = f"it is called as {quantity}({', '.join(names)}), which it does not take: {message}"
        return _result(case, quantity, "failed", 0.0, required(case, quantity, digits), message), None
    return judge(case, quantity, answer, digits), answer


def _takes(function: Any, count: int) -> bool:
    """Whether a function can be called with so many arguments, as far as can be told."""
    try:
        inspect.signature(function).bind(*range(count))
    except TypeError:
        return False
    except ValueError:  # some that are written in C do not tell
        return True
    return True


def judge(case: Case, quantity: str, answer: Any, digits: float = 8.0) -> Result:
    """Compare an answer, in host arrays of the right shape, with the golden vector."""
    error, asked = relative_error(answer, case.expected[quantity].value), required(case, quantity, digits)
    right = MOST if error == 0 else min(MOST, max(0.0, -math.log10(error)))
    if error <= 10**-asked:
        return _result(case, quantity, "passed", right, asked, "")
    worst = _worst_entry(answer, case.expected[quantity].value)
    return _result(case, quantity, "failed", right, asked, f"relative error {error:.2e}; {worst}")


def required(case: Case, quantity: str, digits: float) -> float:
    """Digits asked for: `digits`, but no more than the vector has, or than its condition leaves in its dtype."""
    expected, eps = case.expected[quantity], float(np.finfo(case.settings.dtype).eps)
    size = norm(expected.value)
    reachable = max(MARGIN * expected.condition * eps, expected.bound / size if size > 0 else expected.bound)
    return max(0.0, min(digits, -math.log10(reachable)))


def relative_error(answer: Any, value: Any) -> float:
    """‖answer − value‖ / ‖value‖ in the 2-norm over all entries; ‖answer‖ where the value is zero."""
    size = norm(value)
    with np.errstate(over="ignore"):
        difference = norm([a - b for a, b in zip(parts(answer), parts(value), strict=True)])
    return difference / size if size > 0 else difference


def one_line(message: object) -> str:
    """The start of a message, without line breaks."""
    return " ".join(str(message).split())[:200]


def load(spec: str) -> Any:
    """The candidate that ``package.module:Candidate`` or ``package.module`` names; a class is called without arguments.

    Raises
    ------
    ValueError
        It is not of this form, or a module by its name alone has no function of a candidate.
    ImportError, AttributeError
        There is no such module, or nothing of this name in it.
    """
    module, colon, name = spec.partition(":")
    if not module or (colon and not name):
        raise ValueError(f"{FORMS}; got {spec!r}")
    found: Any = importlib.import_module(module)
    if not colon and not implemented(found):
        raise ValueError(f"{FORMS} with such functions; {spec!r} has none of {', '.join(QUANTITIES)}")
    for part in name.split(".") if colon else ():
        found = _member(found, part)
    return found() if isinstance(found, type) else found


def _member(found: Any, name: str) -> Any:
    """An attribute; of a package also a module that nobody has imported yet."""
    if isinstance(found, ModuleType) and not hasattr(found, name):
        whole = f"{found.__name__}.{name}"
        try:
            return importlib.import_module(whole)
        except ModuleNotFoundError as error:
            if error.name != whole:
                raise
    return getattr(found, name)


def _chosen(name: str, given: Iterable[str] | None, allowed: Sequence[str]) -> tuple[str, ...]:
    if given is None:
        return tuple(allowed)
    if isinstance(given, str):
        raise TypeError(f"{name} must be several names, got the string {given!r}")
    given = tuple(given)
    unknown = [part for part in given if part not in allowed]
    if unknown or not given:
        raise ValueError(f"{name} must be among {', '.join(allowed)}; got {', '.join(unknown) or 'none'}")
    return given


def _recognised(failed: list[tuple[Case, str, Any]], results: Sequence[Result]) -> tuple[Mistake, ...]:
    """Known mistakes; their catalogue is loaded for those who need it."""
    if not failed:
        return ()
    from refimpl.conformance.mistakes import recognise

    quantities = {quantity for _, quantity, _ in failed}
    double = [
        r.digits for r in results if r.quantity in quantities and r.status != "skipped" and "float32" not in r.flags
    ]
    accurate = sum(IN_DOUBLE < digits < MOST for digits in double)  # zeros are right in single precision too
    return recognise(failed, in_double=accurate > BY_CHANCE * len(double))


def _worst_entry(answer: Any, value: Any) -> str:
    """The entry that is furthest off."""
    entries = []
    for name in value if isinstance(value, Mapping) else ("",):
        got, truth = (answer[name], value[name]) if name else (answer, value)
        with np.errstate(over="ignore"):
            index = np.unravel_index(np.argmax(np.abs(got - truth)), truth.shape)
        place = f"{name}[{', '.join(str(i) for i in index)}]"
        mine, right = float(got[index]), float(truth[index])
        form = ".10g" if f"{mine:.10g}" != f"{right:.10g}" else ".17g"
        entries.append((abs(mine - right), f"{place} is {mine:{form}}, not {right:{form}}"))
    return max(entries)[1]


def _result(case: Case, quantity: str, status: str, digits: float, asked: float, message: str) -> Result:
    return Result(case.id, quantity, case.settings.activation, case.flags, status, digits, asked, message)
