"""The scoreboard as a figure of small multiples."""

import matplotlib

from benchmarks.accuracy import METHODS, QUANTITIES, worst

LABELS = {"predict": "output f", "gradient": "gradient ∇f", "ntk": r"kernel $K_\theta$"}
# Okabe and Ito, "Color universal design" (2008); the markers say the same in black and white.
STYLES = (("#0072B2", "o"), ("#D55E00", "s"), ("#009E73", "^"))
STYLE = {
    "font.size": 8, "axes.spines.top": False, "axes.spines.right": False, "axes.grid": True, "grid.color": "#E3E3E3",
    "axes.axisbelow": True, "legend.frameon": False, "svg.hashsalt": "benchmarks", "svg.fonttype": "path",
}  # fmt: skip


def draw(results, path):
    """One row a quantity, one column a way to differentiate; float64 solid, float32 dotted."""
    measured = {each["group"] for each in results["measurements"]}
    groups = [group for group in dict.fromkeys(method.group for method in METHODS) if group in measured]
    with matplotlib.rc_context(STYLE):
        from matplotlib.figure import Figure

        figure = Figure(figsize=(1.75 * len(groups) + 0.4, 6.6), layout="constrained")
        axes = figure.subplots(len(QUANTITIES), len(groups), sharex=True, sharey=True, squeeze=False)
        for row, quantity in zip(axes, QUANTITIES, strict=True):
            for ax, group in zip(row, groups, strict=True):
                _panel(ax, results, group, quantity)
            row[0].set_ylabel(f"{LABELS[quantity]}\ncorrect digits")
        for ax, group in zip(axes[0], groups, strict=True):
            ax.set_title(group.replace(" ", "\n").replace("jax.", "jax.\n"), fontsize=8)
            ax.legend(loc="lower right", fontsize=7, handlelength=1.2, borderpad=0, labelspacing=0.2)
        figure.supxlabel("requested digits, −log10 rtol", fontsize=8)
        shown = (f"{name} {version}" for name, version in results["versions"].items())
        figure.suptitle(", ".join(shown), fontsize=7)
        figure.savefig(path, metadata={"Date": None})
    return path


def _panel(ax, results, group, quantity):
    ax.plot([0, 16], [0, 16], color="#777777", linestyle="--", linewidth=0.8)
    solvers = [method.solver for method in METHODS if method.group == group]
    for solver, (color, marker) in zip(solvers, STYLES, strict=False):
        for dtype, line in (("float64", "-"), ("float32", ":")):
            found = worst(results, group, solver, dtype, quantity)
            points = [(_exponent(rtol), digits) for rtol, digits in sorted(found.items()) if digits is not None]
            ax.plot(
                [x for x, _ in points], [y for _, y in points], line, color=color, marker=marker, markersize=3,
                markerfacecolor=color if dtype == "float64" else "white", linewidth=1.2,
                label=solver if points and dtype == "float64" else None,
            )  # fmt: skip
    ax.set(xlim=(2, 13), ylim=(0, 16.5), xticks=(3, 6, 9, 12), yticks=(0, 4, 8, 12, 16))


def _exponent(rtol):
    return -round(float(f"{rtol:e}".split("e")[1]))
