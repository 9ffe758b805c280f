"""Proposition 1: the forward and backward ODEs have unique solutions, and λ_t = ∂f/∂h_t."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from refimpl import BlowUpError, Gauss, NeuralODE, Params, SolveIVP, activations
from verification import Agreement, Claim, Config, Result, Table, Verdict, compare
from verification.fit import power_law
from verification.statement import Value
from verification.statements._data import DIM, Array, inputs
from verification.statements._integrate import apart, there_and_back
from verification.statements._perturb import ACCURACY, SMALL, Derivative, Perturbed
from verification.style import BLUE, GREY, VERMILLION, guide, loglog, new_figure, series

ID = "prop1"
TITLE = r"The forward and backward ODEs are well posed, and $\lambda_t = \partial f / \partial h_t$"
CLAIM = (
    r"If $\phi$ is Lipschitz continuous, then almost surely the forward ODE and the backward ODE have unique solutions "
    r"$h_t$ and $\lambda_t$ on $[0, T]$ for every input $x$, and $\lambda_t = \partial f / \partial h_t$."
)

LIPSCHITZ = tuple(name for name, phi in activations.BUILTIN.items() if math.isfinite(phi.lipschitz))

HORIZONS = (1.0, 3.0)

PERTURBED_WIDTH = 32
"""n of the networks whose states are moved."""


@dataclass(frozen=True)
class Solved:
    """One network, solved on two roads.

    Parameters
    ----------
    differences : dict from str to (float, float)
        For h_T, λ_0 and h_0 the relative distance of the roads, and the sum of their error estimates.
    exponents : array, shape (k,)
        Λt, with Gronwall's constant Λ = (σ_w/√n) ‖W‖₂ Lip(φ).
    forward, backward : array, shape (k, …)
        log ‖h_t(x) − h_t(x')‖ / ‖h_0(x) − h_0(x')‖ for all pairs of inputs, and log ‖λ_{T−t}‖ / ‖λ_T‖.
    """

    activation: str
    horizon: float
    differences: dict[str, tuple[float, float]]
    exponents: Array
    forward: Array
    backward: Array

    @property
    def kinked(self) -> bool:
        return bool(activations.get(self.activation).kinks)


def solve(config: Config, activation: str, horizon: float, draw: int, width: int, X: Array) -> Solved:
    """Analytic φ: Gauss collocation and DOP853. Kinked φ: the package's `SolveIVP` and LSODA."""
    net = NeuralODE(activation, horizon=horizon)
    theta = net.init(width, DIM, seed=config.rng("theta", activation, f"T = {horizon:g}", draw))
    times = np.linspace(0.0, horizon, 9)
    # Error of a road: what it promises, or else how far it moves when its tolerance is made 100 times larger.
    if net.phi.kinks:
        method, loose, tight = "LSODA", 1e-8, 1e-10
        other, path = (net.trajectory(theta, X, times, SolveIVP(rtol=r, atol=r / 100)) for r in (loose, tight))
        core = {"h_T": apart(other.h[-1], path.h[-1]), r"\lambda_0": apart(other.adjoint[0], path.adjoint[0])}
    else:
        method, loose, tight = "DOP853", 1e-10, 1e-12
        path = net.trajectory(theta, X, times, Gauss(rtol=ACCURACY))
        core = {"h_T": ACCURACY, r"\lambda_0": ACCURACY}
    coarse, fine = (there_and_back(net, theta, X, rtol, method) for rtol in (loose, tight))
    truth = {"h_T": path.h[-1], r"\lambda_0": path.adjoint[0], "h_0": net.sigma_u * X @ theta.U.T}
    i, j = np.triu_indices(len(X), 1)
    separation, size = np.linalg.norm(path.h[:, i] - path.h[:, j], axis=-1), np.linalg.norm(path.adjoint, axis=-1)
    return Solved(
        activation, horizon,
        {q: (apart(fine[q], truth[q]), core.get(q, 0.0) + apart(coarse[q], fine[q])) for q in truth},
        np.linalg.norm(theta.W, 2) * net.sigma_w / math.sqrt(width) * net.phi.lipschitz * times[1:],
        np.log(separation[1:] / separation[0]), np.log(size[-2::-1] / size[-1]),
    )  # fmt: skip


def _existence(solved: Sequence[Solved], asked: int) -> Claim:
    return Claim(
        "existence",
        rf"For each of the {len(LIPSCHITZ)} Lipschitz activations, $T = 1$ and $T = 3$, every draw of $\theta$ and "
        r"every input, $h_t$ and $\lambda_t$ reach the other end of $[0, T]$, and two integrators that share "
        r"$\phi$ only arrive at the same $h_T$ and $\lambda_0$ (measured: networks solved).",
        Verdict.HOLDS if len(solved) == asked else Verdict.FAILS,
        measured=len(solved),
        predicted=asked,
    )


def _two_roads(solved: Sequence[Solved]) -> list[Agreement]:
    found = []
    for kinked, core, own in ((False, "Gauss collocation", "DOP853"), (True, "SolveIVP", "LSODA")):
        promise = "change of SolveIVP likewise" if kinked else "1e-12 promised by Gauss"
        for quantity in ("h_T", r"\lambda_0", "h_0"):
            pairs = [case.differences[quantity] for case in solved if case.kinked == kinked]
            difference, allowed = max(pairs, key=lambda pair: pair[0] / pair[1])
            back = quantity == "h_0"
            found.append(
                Agreement(
                    rf"${quantity}$, {'kinked' if kinked else 'analytic'} $\phi$ (the case closest to its bound)",
                    ("the given initial state" if back else core, f"{own}, written out"),
                    difference,
                    allowed,
                    f"change of {own} with 100 times the tolerance" + ("" if back else f", {promise}"),
                )
            )
    return found


def _gronwall(id: str, text: str, solved: Sequence[Solved], rates: Sequence[Array]) -> Claim:
    worst = max(float(np.abs(rate / case.exponents[:, None]).max()) for case, rate in zip(solved, rates, strict=True))
    return Claim(
        id,
        text + " (measured: largest logarithm of the ratio, as a fraction of its bound).",
        Verdict.HOLDS if worst <= 1 else Verdict.FAILS,
        measured=worst,
        predicted=r"$\le 1$",
    )


def _adjoint(id: str, text: str, found: Sequence[Derivative]) -> Claim:
    largest = max(found, key=lambda d: d.error)
    holds = all(d.error <= d.allowed for d in found)
    return Claim(
        id, text, Verdict.HOLDS if holds else Verdict.FAILS,
        measured=largest.error, predicted=0, uncertainty=largest.allowed,
    )  # fmt: skip


def _two_derivatives(core: str, because: str, found: Sequence[Derivative]) -> Agreement:
    worst = max(found, key=lambda d: d.error / d.allowed)
    quantity = rf"$\lambda_t$, {worst.activation} (the case closest to its bound)"
    return Agreement(quantity, (core, "central differences, DOP853"), worst.error, worst.allowed, because)


def _blow_up(config: Config) -> tuple[Claim, Agreement]:
    """φ = z²/2 with n = 1: ḣ = s h²/2, so h_t = h_0 / (1 − s h_0 t/2) until t* = 2/(s h_0)."""
    h0, s = config.rng("quadratic").uniform(0.5, 2.0, 2).tolist()
    theta, x, escape = Params(np.array([[h0]]), np.array([[s]]), np.array([1.0])), np.ones((1, 1)), 2 / (s * h0)
    ivp = SolveIVP(rtol=1e-12, atol=1e-14)
    try:
        NeuralODE("quadratic", horizon=2 * escape).predict(theta, x, ivp)
        time = math.inf
    except BlowUpError as error:
        time = error.time
    allowed = 100 * ivp.rtol  # a hundred steps
    found = abs(time / escape - 1) <= allowed
    claim = Claim(
        "hypothesis-needed",
        r"Without a Lipschitz constant solutions need not exist on $[0, T]$: for $\phi(z) = z^2/2$ and $n = 1$, "
        r"$\dot h = s h^2 / 2$ escapes to infinity at $t = 2/(s h_0)$ (measured: where the solver finds it).",
        Verdict.HOLDS if found else Verdict.UNDECIDED,
        measured=time, predicted=escape, uncertainty=allowed * escape,
        scope="" if found else "The solver misses the known escape time by more than its error: a fault of the solver.",
    )  # fmt: skip
    half = NeuralODE("quadratic", horizon=escape / 2)  # h = 2 h_0 here
    roads = {"closed form": 2 * h0**2} | {
        name: half.predict(theta, x, solver)[0] for name, solver in (("Gauss collocation", Gauss()), ("SolveIVP", ivp))
    }
    because = "a relative error of 1e-12 in each of a hundred steps doubles on the way, and again in $h^2$"
    return claim, compare(r"$h_t^2/2$ at half the escape time", roads, allowed=4 * allowed, because=because)


def run(config: Config) -> Result:
    draws, sizes = (5, {False: (256, 8), True: (48, 2)}) if config.full else (1, {False: (64, 2), True: (24, 1)})
    solved, asked = _solve_all(config, draws, sizes)
    smooth, smooth_curve, c = _perturb(config, "softplus", np.logspace(-1, -9, 17))
    kinked, kinked_curve, _ = _perturb(config, "relu", np.logspace(-1, -9, 9))
    needed, closed_form = _blow_up(config)
    claims = [
        _existence(solved, asked),
        _gronwall(
            "uniqueness-forward",
            r"Solutions neither split nor merge faster than Gronwall allows: $e^{-\Lambda t} \le \|h_t(x) - h_t(x')\| "
            r"/ \|h_0(x) - h_0(x')\| \le e^{\Lambda t}$ with $\Lambda = \sigma_w \|W\|_2 \mathrm{Lip}(\phi) / \sqrt n$",
            solved,
            [case.forward for case in solved],
        ),
        _gronwall(
            "uniqueness-backward",
            r"The same for the linear backward ODE: $e^{-\Lambda (T - t)} \le \|\lambda_t\| / \|\lambda_T\| \le "
            r"e^{\Lambda (T - t)}$",
            solved,
            [case.backward for case in solved],
        ),
        _adjoint(
            "adjoint-analytic",
            r"Softplus: moving $h_t$ and solving on to $T$ changes $f$ as $\lambda_t$ says, at every tested "
            r"$t \in [0, T]$ (measured: largest relative error of central differences).",
            smooth,
        ),
        _order(*smooth_curve),
        _adjoint(
            "adjoint-kinked",
            r"ReLU: the same, almost surely: $f$ need not have a derivative where a component of $h_T$ vanishes, and "
            rf"the small step $10^{{{math.log10(SMALL):.0f}}}$ keeps clear of that with high probability.",
            kinked,
        ),
        needed,
    ]
    quotient = "truncation and rounding of the difference quotient, 1e-12 promised by Gauss"
    moves = "change of the quotient with twice the step, change of both roads with 100 times the tolerance, rounding"
    return Result(
        claims=claims,
        agreements=[
            *_two_roads(solved),
            _two_derivatives("Gauss collocation", quotient, smooth),
            _two_derivatives("SolveIVP", moves, kinked),
            closed_form,
        ],
        experiment=(
            r"The theorem is that of Picard and Lindelöf, and numbers do not prove it: no finite run covers every $x$ "
            r"or excludes a second solution. What can be measured are its consequences. Each network is solved forward "
            r"and backward by two integrators that share $\phi$ only, at images of digits and at random points of the "
            r"sphere; from $h_T$ the ODE is integrated back to $h_0$. Distances of solutions are held against "
            r"Gronwall's bound, on which uniqueness rests. For $\lambda_t = \partial f / \partial h_t$, $h_t$ itself "
            r"is moved along random directions at $t = 0, T/4, T/2, 3T/4, T$."
        ),
        size={
            "n": sorted({PERTURBED_WIDTH, *(width for width, _ in sizes.values())}),
            "d": DIM,
            "N": [2 * count for _, count in sizes.values()],
            "T": HORIZONS,
            "activations": LIPSCHITZ,
            "seeds": draws,
        },
        figure=_figure({"softplus": smooth_curve, "relu": kinked_curve}, c, solved),
        alt=(
            "Above: relative error of central differences against their step on log-log axes, a V: along the "
            "predicted line of slope two to about 1e-11 for softplus, then up again with slope minus one; ReLU lies "
            "above it. Below: log growth of distances between solutions and of the adjoint state against Gronwall's "
            "exponent; all points lie inside the wedge between plus and minus the exponent."
        ),
        caption=(
            r"Above: $\lambda_0$ against central differences of $f$ with step $\varepsilon$ in $h_0$; the dashed line "
            r"of slope 2 is predicted from two large steps, with no constant fitted to the others; ReLU is off it "
            r"where a kink lies within the step, and where the tolerance $10^{-13}$ shows. Below: growth of "
            r"$\|h_t(x) - h_t(x')\|$ and of $\|\lambda_{T-t}\|$ for all activations; dashed: Gronwall's bounds."
        ),
        tables=[_accuracies(solved), _derivatives([*smooth, *kinked])],
    )


def _solve_all(config: Config, draws: int, sizes: dict[bool, tuple[int, int]]) -> tuple[list[Solved], int]:
    """The networks that could be solved, and how many there are."""
    cases = [(a, T, draw) for a in LIPSCHITZ for T in HORIZONS for draw in range(draws)]
    solved = []
    for activation, horizon, draw in config.progress(cases, "network"):
        width, count = sizes[bool(activations.get(activation).kinks)]
        X = np.concatenate(list(inputs(config, count).values()))
        with contextlib.suppress(BlowUpError):
            solved.append(solve(config, activation, horizon, draw, width, X))
    return solved, len(cases)


def _perturb(config: Config, activation: str, steps: Array) -> tuple[list[Derivative], tuple[Array, Array], float]:
    """Checks of λ_t at all times; the errors of λ_0 for all `steps` at a digit; the c of their predicted c ε²."""
    net = NeuralODE(activation)
    theta = net.init(PERTURBED_WIDTH, DIM, seed=config.rng("theta", activation, "perturbed"))
    f = {source: Perturbed(config, net, theta, X[0]) for source, X in inputs(config, 1).items()}
    found = [
        Derivative(activation, source, t, *moved.check(i))
        for source, moved in f.items()
        for i, t in enumerate(moved.times.tolist())
    ]
    digit = f["digits"]
    errors = np.asarray([digit.error(0, digit.differences(0, step)[0]) for step in steps])
    return found, (steps, errors), digit.model(0)[0] / float(np.linalg.norm(digit.adjoint[0]))


def _order(steps: Array, errors: Array) -> Claim:
    large = steps > 0.99e-3
    order = power_law(steps[large], errors[large])
    return Claim(
        "adjoint-order",
        r"What is left for softplus is the truncation of the central difference: the error falls as $\varepsilon^2$ "
        r"for $10^{-3} \le \varepsilon \le 10^{-1}$ (measured: the slope).",
        Verdict.HOLDS if abs(order.slope - 2) <= 0.05 else Verdict.FAILS,
        measured=order.slope,
        predicted=2,
        uncertainty=order.uncertainty,
    )


def _figure(curves: dict[str, tuple[Array, Array]], c: float, solved: Sequence[Solved]) -> Figure:
    figure, (above, below) = new_figure(rows=2)
    loglog(above, r"step $\varepsilon$", r"relative error of $\lambda_0$")
    for index, (activation, (steps, errors)) in enumerate(curves.items()):
        series(above, steps, errors, label=activation, index=index)
    steps, errors = curves["softplus"]
    noise = float(np.median((steps * errors)[steps < 1e-6]))
    slopes = r"predicted: $\varepsilon^2$, rounding $\varepsilon^{-1}$"
    guide(above, [1e-5, 1e-1], slope=2, through=(1e-2, c * 1e-4), label=slopes)
    guide(above, [1e-9, 1e-4], slope=-1, through=(1e-6, noise / 1e-6), label="_")
    _wedge(below, solved)
    return figure


def _wedge(axes: Axes, solved: Sequence[Solved]) -> None:
    furthest = max(float(case.exponents[-1]) for case in solved)
    for label, colour, marker, rates in (
        (r"$\|h_t(x) - h_t(x')\| \,/\, \|h_0(x) - h_0(x')\|$", BLUE, "o", [case.forward for case in solved]),
        (r"$\|\lambda_{T-t}\| \,/\, \|\lambda_T\|$", VERMILLION, "s", [case.backward for case in solved]),
    ):
        x = np.concatenate([np.repeat(c.exponents, r.shape[1]) for c, r in zip(solved, rates, strict=True)])
        y = np.concatenate([rate.ravel() for rate in rates])
        axes.plot(x, y, marker, color=colour, markersize=2.5, linestyle="none", label=label)
    for sign in (1, -1):
        label = r"Gronwall, $e^{\pm \Lambda t}$" if sign > 0 else "_"
        axes.plot([0, furthest], [0, sign * furthest], "--", color=GREY, linewidth=1.2, label=label)
    axes.set(xlabel=r"$\Lambda t$", ylabel="log of the ratio")
    axes.legend(loc="upper left")


def _accuracies(solved: Sequence[Solved]) -> Table:
    quantities = ("h_T", r"\lambda_0", "h_0")
    rows: list[tuple[Value, ...]] = []
    for activation in dict.fromkeys(case.activation for case in solved):
        mine = [case.differences for case in solved if case.activation == activation]
        worst = [max(pairs[quantity] for pairs in mine) for quantity in quantities]
        rows.append((activation, *(number for pair in worst for number in pair)))
    head = [r"$\phi$", "$h_T$", "bound", r"$\lambda_0$", "bound", "$h_0$ from $h_T$", "bound"]
    return Table("Relative distance of the two roads, largest over horizons, draws and inputs", head, rows)


def _derivatives(found: Sequence[Derivative]) -> Table:
    rows = [(f"{d.activation}, {d.source}", d.t, d.step, d.error, d.allowed) for d in found]
    head = [r"$\phi$, input", "$t$", r"$\varepsilon$", "relative error", "bound"]
    return Table(r"$\lambda_t$ against central differences of $f$ in $h_t$", head, rows)
