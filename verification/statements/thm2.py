"""Theorem 2: gradient descent stays near its start and converges at an exponential rate, if the network is wide."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from refimpl.training import linearize
from verification import Claim, Config, Result, Verdict
from verification.statements._data import DIM
from verification.statements._descents import Ensemble, share
from verification.statements._paths import LEVEL, slopes, student
from verification.statements._stepsize import EPS, Problem, bisected, problem
from verification.statements._tasks import tasks
from verification.statements._thm2_report import figure, fractions_table, largest_constant, norm_of, rates_table
from verification.statements._thm2_roads import edges, exploding_roads, kernel_roads
from verification.statements._thm2_runs import CONVERGED, COUNT, LONG, NEAR, SAFE, Experiment, experiment

ID = "thm2"

TITLE = "Gradient descent on wide Neural ODEs converges globally, at an exponential rate"

CLAIM = (
    r"Under assumption 1 and $0 < \eta \le 1/\|X\|^2$: for every $\delta > 0$ there is $n_\delta$ such that for all "
    r"$n \ge n_\delta$, with probability at least $1 - \delta$, "
    r"$\|\theta^k - \theta^0\| \le C \|X\| \sqrt{L(\theta_0)} / \lambda_0$ (13) and "
    r"$L(\theta_k) \le (1 - \eta \lambda_0)^k L(\theta_0)$ (14), where $\lambda_0 = \lambda_{\min}(K_\infty) > 0$ and "
    r"$C$ depends only on Lipschitz coefficients and $T$."
)

CERTAIN = 10.0
"""An eigenvalue counts as positive above this many times its noise."""


def run(config: Config) -> Result:
    given = tasks(config, COUNT, 1)
    problems = {
        (name, source): problem(name, source, task.X, task.y)
        for name in ("softplus", "tanh")
        for source, task in given.items()
    }
    done = experiment(config, problems, given["digits"])
    seeds = len(done.safe[0].runs[0])
    exploding, sphere = done.spectral[1], problems["softplus", "sphere"]
    widest = int(done.safe[0].widths[-1])
    return Result(
        claims=[
            _positive(done), _literal("loss-spectral", "spectral", done.spectral),
            _literal("loss-frobenius", "Frobenius", done.frobenius), _edge(problems), _repaired(done),
            _near(done.near), _distance("spectral", done), _distance("frobenius", done), _converged(done, sphere),
        ],
        agreements=[
            *kernel_roads(sphere), *exploding_roads(config, exploding, 5),
            *exploding_roads(config, done.frobenius[0], 2), edges(problems),
        ],
        experiment=(
            rf"Gradient descent (5) on {COUNT} images of digits (3 against 8) and on {COUNT} random points of "
            rf"$S^{{63}}$ with labels $\pm 1$, $T = 1$ unless stated. In the linear dynamics (8) with a kernel $K$ the "
            r"loss is $\frac{1}{2} \sum_i (1 - \eta\lambda_i)^{2k} c_i^2$, and (14) holds for every residual if and "
            r"only if $|1 - \eta\lambda_i| \le \sqrt{1 - \eta\lambda_0}$ for all $i$, that is "
            r"$\eta \le \eta^* = (2\lambda_{\max} - \lambda_0) / \lambda_{\max}^2$; the loss grows without bound for "
            r"$\eta > 2/\lambda_{\max}$. The printed bound $1/\|X\|^2$ knows the inputs but neither $\phi$ nor $T$, "
            r"and "
            r"does not say which norm is meant: both are tried. (Networks of finite width may come back from such a "
            r"rise of the "
            r"loss: Lewkowycz et al., The large learning rate phase of deep learning, 2020. (14) excludes the rise.) "
            r"(14) is checked at every step of every run, and "
            r"whether the linear dynamics with $K_{\theta^0}$ keep it is the prediction for a single network. "
            r"For (13): $\|\theta^k - \theta^0\| \le \sqrt{2 L(\theta_0) / \lambda_0}$ in the linear dynamics with "
            r"$\eta \le 1/\lambda_{\max}$, so that $C \|X\| \le \sqrt{2 \lambda_0} \le \sqrt{2 K_\infty(x, x)}$, which "
            r"depends on $\phi$ and $T$ only."
        ),
        size={
            "n": done.safe[0].widths.astype(int), "d": DIM, "N": [4, COUNT, 16], "seeds": seeds,
            "steps": len(done.safe[0].runs[0][0].loss) - 1, "steps to convergence": len(done.complete.loss) - 1,
            "T": [1.0, LONG], "activations": ["softplus", "tanh"],
        },
        figure=figure(exploding, done),
        alt=(
            "Three panels. Above: with the step size one over the squared spectral norm the loss of a softplus network "
            "rises by orders of magnitude in a few steps, as the linear dynamics predict, before it turns; with half "
            "of "
            "the largest stable step it falls below the dashed bound (14). Middle: fraction of networks that keep (14) "
            "against width: all of them with half of the largest stable step, most with nine tenths, none with the "
            "printed step size. Below: the constant of (13) against width, level and below the dotted line."
        ),
        caption=(
            rf"Above: softplus, random points, one network with $n = {widest}$; thin: the linear dynamics with "
            r"$K_{\theta^0}$, dashed: (14). Middle: softplus, random points, with Clopper–Pearson intervals (95 %); "
            r"hollow: predicted by the linear dynamics of the same networks. Below: largest of all seeds, with half of "
            r"the largest stable step; dotted: $\sqrt{2 K_\infty(x, x)}$."
        ),
        tables=[rates_table(done, given["digits"]), fractions_table(done)],
        scope=(
            "Finitely many widths and seeds show an empirical $n_\\delta$ for these inputs; the number of steps is "
            "finite."
        ),
    )  # fmt: skip


def _positive(done: Experiment) -> Claim:
    problems = [found.problem for found in done.all]
    least = min(problems, key=lambda of: of.least / of.noise)
    certain = all(of.least > CERTAIN * of.noise for of in problems)
    return Claim(
        "lambda",
        rf"$\lambda_0 = \lambda_{{\min}}(K_\infty) > 0$ on these inputs, at least {CERTAIN:g} times its numerical "
        rf"noise "
        rf"(measured: the one closest to it, {least.name}; uncertainty: the noise).",
        Verdict.HOLDS if certain else Verdict.UNDECIDED,
        measured=least.least,
        predicted="> 0",
        uncertainty=least.noise,
        scope="" if certain else "The smallest eigenvalue is too close to the noise.",
    )


def _literal(id: str, norm: str, found: Sequence[Ensemble]) -> Claim:
    """Decided at the largest width: kept by all networks, or by less than half of them at 95 %."""
    shares = [share(each.kept[-1]) for each in found]
    broken = [i for i, (_, _, high) in enumerate(shares) if high < 0.5]
    if broken:
        verdict = Verdict.FAILS
        worst = max(broken, key=lambda i: found[i].rate * found[i].problem.largest)
    else:
        verdict = Verdict.HOLDS if all(part == 1 for part, _, _ in shares) else Verdict.UNDECIDED
        worst = min(range(len(found)), key=lambda i: shares[i][0])
    part, low, high = shares[worst]
    each, of = found[worst], found[worst].problem
    late = f"; every network has broken it by step {each.latest_break}" if each.latest_break else ""
    rise = float(np.median([run.loss.max() / run.loss[0] for run in each.runs[-1]]))
    return Claim(
        id,
        rf"(14) with $\eta = 1/\|X\|^2$, the {norm} norm: the fraction of networks that keep it at every step. Worst: "
        rf"{of.name}, $\eta = {each.rate:.4g}$, $\lambda_{{\max}}(K_\infty) = {of.largest:.4g}$, so that "
        rf"$\eta \lambda_{{\max}} = {each.rate * of.largest:.3g}$ where (14) allows {of.edge * of.largest:.3g} and "
        rf"stability 2: with an unstable top mode a wide network breaks (14) almost surely. At "
        rf"$n = {each.widths[-1]:g}$ the loss rises {rise:.3g}-fold (median) within {len(each.runs[-1][0].loss) - 1} "
        rf"steps{late}. tanh with $T = 1$ keeps (14), {shares[-1][0]:.0%} of networks on random points.",
        verdict,
        measured=part,
        predicted=1,
        uncertainty=max(part - low, high - part),
        scope={
            Verdict.UNDECIDED: "Neither all networks keep it, nor fewer than half.",
            Verdict.FAILS: r"It holds for $\eta \le (2 \lambda_{\max} - \lambda_0) / \lambda_{\max}^2$ with the "
            r"eigenvalues of $K_\infty$, up to the fluctuation of $K_\theta$ at finite width.",
        }.get(verdict, ""),
    )


def _edge(problems: Mapping[tuple[str, str], Problem]) -> Claim:
    """In the linear dynamics with K_∞, for every mode alone and both together: just below η*, and just above it."""
    correct = True
    for of in problems.values():
        values, vectors = np.linalg.eigh(of.kernel)
        for factor, expected in ((0.999, True), (1.001, False)):
            rate = factor * of.edge
            lines = [linearize(of.kernel, 0 * mode, mode, rate, np.arange(9), rtol=1e-10) for mode in vectors.T]
            kept = all(of.keeps(line.loss, rate) for line in lines)
            top_fails = not of.keeps(lines[-1].loss, rate)
            correct = correct and kept is expected and top_fails is not expected
        correct = correct and bool(values[0] > 0)
    of = problems["softplus", "sphere"]
    return Claim(
        "edge",
        r"The weakest bound that implies (14) in the linear dynamics with $K_\infty$, whatever the residual, is "
        r"$\eta \le \eta^* = (2\lambda_{\max} - \lambda_0) / \lambda_{\max}^2$: at $0.999\,\eta^*$ every eigenmode "
        r"keeps "
        rf"(14), at $1.001\,\eta^*$ the top one breaks it (measured: $\eta^*$ by bisection, {of.name}).",
        Verdict.HOLDS if correct else Verdict.FAILS,
        measured=bisected(of.eigenvalues),
        predicted=of.edge,
        uncertainty=len(of.X) * EPS * of.edge * of.largest / of.least,
    )


def _repaired(done: Experiment) -> Claim:
    # Problems with one activation share their networks: a draw counts once, and only if it keeps (14) on all of them.
    part, low, high = share(np.all([found.kept[-1] for found in done.safe], axis=0))
    every = np.concatenate([found.kept for found in done.safe], axis=1)
    good = [width for width, row in zip(done.safe[0].widths, every, strict=True) if row.all()]
    verdict = Verdict.HOLDS if part == 1 else Verdict.FAILS if high < 0.5 else Verdict.UNDECIDED
    smallest = f"{min(good):g}" if good else "none of these"
    return Claim(
        "loss-repaired",
        rf"(14) with $\eta = {SAFE:g}\,\eta^*$, safely inside $\eta \le \eta^*$: the fraction of draws with "
        rf"$n = {done.safe[0].widths[-1]:g}$ that keep it at every step, on all {len(done.safe)} problems (all draws "
        rf"from $n = {smallest}$: an empirical $n_\delta$ for $\delta = {1 - low:.2g}$ at 95 %).",
        verdict,
        measured=part,
        predicted=1,
        uncertainty=max(part - low, high - part),
        scope="Some networks of the largest width break it." if verdict is Verdict.UNDECIDED else "",
    )


def _near(found: Ensemble) -> Claim:
    """Closer to the edge the random λ_max(K_θ) decides, network by network; that is predicted by K_{θ^0}."""
    kept, linear = found.kept, found.kept_linear
    part, low, high = share(kept == linear)
    growing = kept[-1].mean() >= kept[0].mean()
    predicts = low > 0.5
    return Claim(
        "loss-near-edge",
        rf"(14) with $\eta = {NEAR:g}\,\eta^*$: {int(kept[0].sum())} of {kept.shape[1]} networks keep it at "
        rf"$n = {found.widths[0]:g}$, {int(kept[-1].sum())} at $n = {found.widths[-1]:g}$; which ones, the linear "
        rf"dynamics "
        r"with the random kernel $K_{\theta^0}$ predict (measured: the fraction predicted correctly).",
        Verdict.HOLDS if predicts and growing else Verdict.UNDECIDED,
        measured=part,
        predicted="> 0.5",
        uncertainty=max(part - low, high - part),
        scope="" if predicts and growing else "Too few networks to tell a trend with width, or a prediction.",
    )


def _distance(norm: str, done: Experiment) -> Claim:
    found = [*done.safe, *done.other_counts]
    ratios = [(each.constants.max() / norm_of(each.problem, norm), largest_constant(each.problem)) for each in found]
    below = all(constant <= cap for constant, cap in ratios)
    exponents = [student(slopes(each.constants.T, each.widths)) for each in done.safe]
    growing = any(mean - wider > 0 for mean, _, wider in exponents)
    steepest = max(exponents, key=lambda one: one[0])
    constant, cap = max(ratios, key=lambda pair: pair[0] / pair[1])
    verdict = Verdict.HOLDS if below and not growing else Verdict.UNDECIDED
    return Claim(
        f"distance-{norm}",
        rf"(13) with the {norm.capitalize() if norm == 'frobenius' else norm} norm and $\eta = {SAFE:g}\,\eta^*$: one "
        rf"$C$ serves all widths, seeds and $N = 4, 8, 16$. It stays below $\sqrt{{2 K_\infty(x, x)}}$, and does not "
        rf"grow with $n$ (steepest exponent ${steepest[0]:.3f} \pm {steepest[1]:.3f}$; measured: the largest $C$ where "
        r"it is closest to that bound).",
        verdict,
        measured=constant,
        predicted=rf"$\le$ {cap:.4g}",
        uncertainty=None,
        scope=""
        if verdict is Verdict.HOLDS
        else f"The constant grows with width at {LEVEL:.1%}, or exceeds the bound.",
    )


def _converged(done: Experiment, of: Problem) -> Claim:
    run, rate = done.complete, 1 / of.largest
    left = run.loss / run.loss[0]
    reached = np.flatnonzero(left <= CONVERGED)
    predicted = np.flatnonzero(run.linear <= CONVERGED * run.linear[0])
    bound = int(np.ceil(np.log(CONVERGED) / np.log1p(-rate * of.least)))
    kept = of.keeps(run.loss, rate)
    verdict = Verdict.UNDECIDED if not reached.size else Verdict.HOLDS if kept else Verdict.FAILS
    steps = int(reached[0]) if reached.size else len(left) - 1
    return Claim(
        "convergence",
        rf"The loss goes to zero at an exponential rate: with $\eta = 1/\lambda_{{\max}}(K_\infty)$ ({of.name}) it "
        rf"falls to "
        rf"$10^{{-6}}$ of its start in no more than the {bound} steps of (14), and to {left[-1]:.0e} after "
        rf"{len(left) - 1} (measured: steps to $10^{{-6}}$; the linear dynamics with $K_{{\theta^0}}$ need "
        rf"{int(predicted[0]) if predicted.size else 'more than were made'}).",
        verdict,
        measured=steps,
        predicted=rf"$\le {bound}$",
        scope="" if reached.size else "The run ended before.",
    )
