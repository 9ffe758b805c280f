"""Figures of the measured times."""

import matplotlib
from matplotlib.ticker import NullLocator

from benchmarks.drawing import STYLE
from refimpl._words import counted

# Okabe and Ito, "Color universal design" (2008): a colour a library, a marker and a line a solver.
COLORS = {"refimpl": "#D55E00", "diffrax": "#0072B2", "torchdiffeq": "#009E73", "torchode": "#CC79A7"}
MARKERS = ("o", "s", "^", "D")
LINES = ("-", "--", "-.", ":")
QUANTITY = {"gradient": "∇L", "ntk": r"$K_\theta$"}
BENEATH = {"diffrax": "jax", "torchdiffeq": "torch", "torchode": "torch"}
SYMBOLS = {"width": "n", "samples": "N", "horizon": "T", "digits": "requested digits"}


def figure(panels):
    """An empty figure with `panels` axes in a row, and room for a legend beside them."""
    from matplotlib.figure import Figure

    drawn = Figure(figsize=(3.8 * panels + 2.0, 3.9), layout="constrained")
    return drawn, drawn.subplots(1, panels, squeeze=False)[0]


def save(drawn, path):
    drawn.savefig(path, metadata={"Date": None})
    return path


def time_against_error(results, path):
    """One panel a size; a curve a method, from loose tolerances at the left to tight ones at the right."""
    with matplotlib.rc_context(STYLE):
        drawn, axes = figure(len(results["problems"]))
        for ax, problem in zip(axes, results["problems"], strict=True):
            _curves(ax, problem)
            ax.set_title(f"n = {problem['width']}, N = {problem['samples']}", fontsize=8)
            ax.set_xlabel(f"relative error of {QUANTITY[results['command']]}")
        axes[0].set_ylabel("seconds")
        drawn.legend(*axes[0].get_legend_handles_labels(), loc="outside right upper", fontsize=7, handlelength=2.5)
        drawn.suptitle(heading(results), fontsize=7)
        return save(drawn, path)


def _curves(ax, problem):
    methods = dict.fromkeys((run["library"], run["solver"]) for run in problem["runs"])
    place = {}
    for library, solver in methods:
        k = place[library] = place.get(library, -1) + 1
        runs = [run for run in problem["runs"] if (run["library"], run["solver"]) == (library, solver)]
        runs = [run for run in runs if run.get("seconds") and run["error"] > 0]
        runs.sort(key=lambda run: -run["rtol"])
        times = [run["seconds"] for run in runs]
        below = [time["median"] - time["lower"] for time in times]
        above = [time["upper"] - time["median"] for time in times]
        ax.errorbar(
            [run["error"] for run in runs], [time["median"] for time in times], yerr=(below, above),
            color=COLORS[library], marker=MARKERS[k % 4], linestyle=LINES[k % 4], markersize=3, linewidth=1.1,
            elinewidth=0.7, label=f"{library} {solver}",
        )  # fmt: skip
    ax.set(xscale="log", yscale="log")
    ax.invert_xaxis()


def growth(results, path):
    """Time and memory, relative to the first point, against what is varied: a row a quantity, a panel a variable."""
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        fits = results["exponents"]
        columns = list(dict.fromkeys(fit["against"] for fit in fits))
        rows = list(dict.fromkeys(fit["quantity"] for fit in fits))
        drawn = Figure(figsize=(2.2 * len(columns) + 0.5, 2.3 * len(rows) + 0.6), layout="constrained")
        axes = drawn.subplots(len(rows), len(columns), squeeze=False, sharex="col", sharey=True)
        for fit in fits:
            ax = axes[rows.index(fit["quantity"]), columns.index(fit["against"])]
            points = [p for p in results["points"] if all(p[key] == fit[key] for key in ("quantity", "against"))]
            _growth_panel(ax, points, fit)
        for ax, name in zip(axes[-1], columns, strict=True):
            ax.set_xlabel(SYMBOLS[name])
        for ax, quantity in zip(axes[:, 0], rows, strict=True):
            ax.set_ylabel(f"{QUANTITY[quantity]}, relative")
        axes[0, 0].legend(fontsize=7)
        drawn.suptitle(heading(results), fontsize=7)
        return save(drawn, path)


def _growth_panel(ax, points, fit):
    at = [point["at"] for point in points]
    for label, values, style, color in (
        ("time", [point["seconds"]["median"] for point in points], "o-", COLORS["refimpl"]),
        ("memory", [point["memory"] for point in points], "s:", COLORS["diffrax"]),
    ):
        relative = [value / values[0] for value in values]
        ax.plot(at, relative, style, color=color, markersize=3, linewidth=1.1, label=label)
    ax.set_title(f"exponents: time {fit['time'][0]:.2f}, memory {fit['memory'][0]:.2f}", fontsize=7)
    ax.set(xscale="log", yscale="log")
    ax.set_xticks(at, [f"{value:g}" for value in at])
    ax.xaxis.set_minor_locator(NullLocator())


def heading(results):
    """Versions of the libraries that were measured, and of those beneath them; and where."""
    measured = {run["library"] for problem in results.get("problems", ()) for run in problem["runs"]}
    shown = ["refimpl", "numpy"]
    for library, beneath in BENEATH.items():
        shown += [library, beneath] if library in measured else []
    versions = results["environment"]["versions"]
    named = ", ".join(f"{name} {versions[name]}" for name in dict.fromkeys(shown) if name in versions)
    return f"{named}\n{results['environment']['cpu']}, {counted(results['environment']['cores'], 'core')}"


DRAWN = {"gradient": time_against_error, "ntk": time_against_error, "growth": growth}
