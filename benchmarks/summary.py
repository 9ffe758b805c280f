"""Statistics of repeated measurements, and tables of text."""

import math
import statistics


def summary(samples):
    """Minimum, median and quartiles of a list of seconds, and the list."""
    lower, median, upper = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else samples * 3
    return {"median": median, "min": min(samples), "lower": lower, "upper": upper, "samples": list(samples)}


def exponent(sizes, values):
    """Slope p of the straight line through (log size, log value), values ∼ sizeᵖ; and its standard error, if known."""
    x, y = [math.log(size) for size in sizes], [math.log(value) for value in values]
    slope, intercept = statistics.linear_regression(x, y)
    if len(x) < 3:
        return slope, None
    left = sum((b - slope * a - intercept) ** 2 for a, b in zip(x, y, strict=True))
    return slope, math.sqrt(left / (len(x) - 2) / (statistics.variance(x) * (len(x) - 1)))


def power(fit):
    """An `exponent` as text."""
    slope, uncertainty = fit
    return f"{slope:.2f}" if uncertainty is None else f"{slope:.2f} ± {uncertainty:.2f}"


def seconds(value):
    """A time to three digits, with its unit."""
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if value * scale >= 1 or unit == "µs":
            return f"{value * scale:.3g} {unit}"
    raise ValueError(f"no time: {value!r}")


def spread(times):
    """Median and quartiles of a `summary`: "12.3 ms (11.9 to 13 ms)"."""
    return f"{seconds(times['median'])} ({seconds(times['lower'])} to {seconds(times['upper'])})"


def size(count):
    """Bytes with their unit."""
    for unit, scale in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= scale:
            return f"{count / scale:.3g} {unit}"
    return f"{count:.0f} bytes"


def error(value):
    """An error in one digit and its exponent."""
    return "—" if value is None else f"{value:.0e}"


def columns(rows):
    """Rows of cells as aligned lines: the first column to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines
