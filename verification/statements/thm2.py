"""Theorem 2: gradient descent stays near its start and converges at an exponential rate, if the network is wide."""

from __future__ import annotations

from verification import Config, Result
from verification.statements._data import DIM
from verification.statements._readings import reading_claims, survey
from verification.statements._readings_report import readings_table, survey_roads
from verification.statements._single_input import cases
from verification.statements._single_report import single_claims, single_roads, singles_table
from verification.statements._stepsize import problem
from verification.statements._tasks import tasks
from verification.statements._thm2_claims import closest, descent_claims
from verification.statements._thm2_report import figure, fractions_table, rates_table
from verification.statements._thm2_roads import (
    convergence_road,
    descent_roads,
    edges,
    exploding_roads,
    kernel_roads,
)
from verification.statements._thm2_runs import COMPLETE, COUNT, LONG, experiment
from verification.statements._width_runs import PART, fast_roads, groups, width_claims, width_table

ID = "thm2"

TITLE = "Gradient descent on wide Neural ODEs converges globally, at an exponential rate"

SLOW = ("loss-repaired", "loss-near-edge", "distance-spectral", "distance-frobenius")
"""Claims on runs with a part of η*."""

FIRST = ("lambda", "one-input")
"""Claims in front of the others: what the theorem takes for granted, and the counterexample that serves every width."""

CLAIM = (
    r"Under assumption 1 and $0 < \eta \le 1/\|X\|^2$: for every $\delta > 0$ there is $n_\delta$ such that for all "
    r"$n \ge n_\delta$, with probability at least $1 - \delta$, "
    r"$\|\theta^k - \theta^0\| \le C \|X\| \sqrt{L(\theta_0)} / \lambda_0$ (13) and "
    r"$L(\theta_k) \le (1 - \eta \lambda_0)^k L(\theta_0)$ (14), where $\lambda_0 = \lambda_{\min}(K_\infty) > 0$ and "
    r"$C$ depends only on Lipschitz coefficients and $T$."
)


def run(config: Config) -> Result:
    given = tasks(config, COUNT, 1)
    problems = {
        (name, source): problem(name, source, task.X, task.y)
        for name in ("softplus", "tanh")
        for source, task in given.items()
    }
    done = experiment(config, problems, given["digits"])
    surveyed, singles, grown = survey(given, config.full), cases(config), groups(config)
    seeds = len(done.safe[0].runs[0])
    exploding, sphere = done.spectral[1], problems["softplus", "sphere"]
    widest = int(done.safe[0].widths[-1])
    return Result(
        claims=sorted(
            [*descent_claims(problems, done), *reading_claims(surveyed), *single_claims(singles), *width_claims(grown)],
            key=lambda claim: claim.id not in FIRST,
        ),
        agreements=[
            *kernel_roads(sphere, closest(done)), *exploding_roads(config, exploding, 5, "loss-spectral"),
            *exploding_roads(config, done.frobenius[0], 2, "loss-frobenius"),
            *(road.on(*SLOW) for road in descent_roads(config, done.safe[1], 10)),
            convergence_road(config, sphere, done.complete, COMPLETE[config.full]), edges(problems),
            *survey_roads(surveyed), *single_roads(config, singles), *fast_roads(config, grown),
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
            r"depends on $\phi$ and $T$ only. "
            r"Three experiments more. Either reading of the printed step size over $\varphi$, $T$, $\sigma_u$ and "
            r"inputs against $\eta^*$ and against $2/\lambda_{\max}$ (in the linear dynamics (14) fails for almost "
            r"every residual and hence, by theorem 1, in wide networks with a probability that tends to 1, as soon as "
            r"$\eta > \eta^*$). One input, where $\eta^* = 1/\kappa$, $\kappa = K_\infty(x, x)$, and both norms agree. "
            rf"20 networks of each width with $\eta = {PART:g}\,\eta^*$ to the end of training. The weakest repair: "
            r"$\eta < \eta^*$, or in the printed form $\eta \le 1/(\kappa \|X\|_F^2)$, and $C = \sqrt{2\kappa}$."
        ),
        size={
            "n": done.safe[0].widths.astype(int), "d": DIM, "N": [4, COUNT, 16], "seeds": seeds,
            "steps": len(done.safe[0].runs[0][0].loss) - 1, "steps to convergence": len(done.complete.loss) - 1,
            "T": [1.0, LONG], "activations": ["softplus", "tanh"],
            "n, one input": singles[0].widths.astype(int), "n, to the end": [group.width for group in grown],
            "readings": len(surveyed),
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
        tables=[
            readings_table(surveyed), singles_table(singles), width_table(grown), rates_table(done, given["digits"]),
            fractions_table(done),
        ],
        scope=(
            "Finitely many widths and seeds show an empirical $n_\\delta$ for these inputs; the number of steps is "
            "finite. Read-out and scales are those of the NTK parameterisation, $\\sigma_u = \\sigma_v = 1$ if not "
            "said, which the slides do not fix: $K_\\infty$ is proportional to $\\sigma_v^2$, and for a small one the "
            "printed step size is stable."
        ),
    )  # fmt: skip
