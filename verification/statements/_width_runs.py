"""(13) and (14) at every step of many networks, trained to the end: from which width on do they hold?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import Gauss, train
from verification import Agreement, Claim, Config, Table, Verdict, compare
from verification.numerals import rounded
from verification.statements._data import Array
from verification.statements._descents import initial, share
from verification.statements._fast_descent import FastDescent, Path
from verification.statements._stepsize import Problem, problem
from verification.statements._tasks import tasks

PART = 0.75
"""η over η*: half as long again as 1/λ_max, with room for the fluctuation of λ_max(K_θ) from middling widths on."""

LEFT = 1e-6
"""Part of the initial loss at which a run ends."""

MOST = 5000
"""Steps after which it ends."""


@dataclass(frozen=True)
class Group:
    """Networks of one width with one step size, one for each seed."""

    problem: Problem
    rate: float
    width: int
    paths: tuple[Path, ...]

    @property
    def decays(self) -> Array:
        """Whether (14) held at every step, shape (seeds,)."""
        return np.asarray([self.problem.keeps(path.loss, self.rate) for path in self.paths])

    @property
    def constants(self) -> Array:
        """C ‖X‖ of (13), sup_k ‖θ^k − θ^0‖ λ_0/√L(θ^0), shape (seeds,)."""
        starts = [np.sqrt(path.loss[0]) for path in self.paths]
        farthest = [path.distance.max() for path in self.paths]
        return np.asarray(farthest) * self.problem.least / np.asarray(starts)

    def near(self, constant: float) -> Array:
        """Whether (13) held at every step with C ‖X‖ = `constant`, shape (seeds,)."""
        kept: Array = self.constants <= constant
        return kept

    @property
    def kappa(self) -> float:
        return float(self.problem.kernel[0, 0])

    @property
    def complete(self) -> int:
        """How many have no more than `LEFT` of their loss left."""
        return sum(path.loss[-1] <= LEFT * path.loss[0] for path in self.paths)


def groups(config: Config) -> list[Group]:
    """All widths to the end; in the large run 2^11 and 2^12 as well, for 50 steps."""
    plan = [("softplus", 8, width, MOST) for width in (64, 128, 256)]
    if config.full:
        plan = [(name, 16, 2**j, MOST) for name in ("softplus", "tanh") for j in range(6, 11)]
        plan += [("softplus", 8, 2**j, 50) for j in (11, 12)]
    found = []
    for name, count, width, steps in config.progress(plan, "width, to the end"):
        task = tasks(config, count, 1)["sphere"]
        of = problem(name, "sphere", task.X, task.y)
        rate = PART * of.edge
        paths = [
            FastDescent(of.net, initial(config, of, width, seed), of.X, of.y).run(rate, steps, LEFT)
            for seed in range(20)
        ]
        found.append(Group(of, rate, width, tuple(paths)))
    return found


_DECAY = rf"(14) at every step, $\eta = {PART:g}\,\eta^*$, trained to the end."

_DISTANCE = (
    r"(13) at every step with $C = \sqrt{2\kappa}$, $\kappa = K_\infty(x, x)$, and the spectral norm; with the "
    r"Frobenius norm, which is larger, the more so."
)

_SHARP = r"Sharper than (13): $\|\theta^k - \theta^0\| \le \sqrt{2 L(\theta_0)/\lambda_0}$, as in the linear dynamics."


def width_claims(found: Sequence[Group]) -> list[Claim]:
    """(14), (13), and the distance of the linear dynamics: the fraction of networks, width by width."""
    decays = [group.decays for group in found]
    near = [group.near(group.problem.spectral * np.sqrt(2 * group.kappa)) for group in found]
    sharp = [group.near(np.sqrt(2 * group.problem.least)) for group in found]
    return [
        _claim("decay-width", _DECAY, found, decays), _claim("distance-width", _DISTANCE, found, near),
        _claim("distance-sharp", _SHARP, found, sharp),
    ]  # fmt: skip


def _claim(id: str, text: str, found: Sequence[Group], kept: Sequence[Array]) -> Claim:
    """Decided at the largest width of every activation: all of its networks, or less than half of them at 95 %."""
    rows = dict[tuple[str, int], list[tuple[int, Array]]]()
    for group, row in zip(found, kept, strict=True):
        rows.setdefault((group.problem.net.phi.name, len(group.problem.X)), []).append((group.width, row))
    lines = []
    for (name, count), widths in rows.items():
        good = [n for i, (n, _) in enumerate(widths) if all(row.all() for _, row in widths[i:])]
        fractions = ", ".join(f"{row.sum()} of {row.size} at $n = {n}$" for n, row in widths)
        from_here = f"all from $n = {good[0]}$" if good else "not all at the largest"
        lines.append(f"{name}, $N = {count}$: {fractions} ({from_here})")
    part, low, high = min((share(widths[-1][1]) for widths in rows.values()), key=lambda found: found[0])
    verdict = Verdict.HOLDS if part == 1 else Verdict.FAILS if high < 0.5 else Verdict.UNDECIDED
    return Claim(
        id,
        rf"{text} {'; '.join(lines)}. All of 20 networks make $n$ an empirical $n_\delta$ for $\delta = "
        rf"{1 - share(np.ones(20, dtype=bool))[1]:.2g}$ at 95 % (measured: the smallest fraction at a largest width).",
        verdict,
        measured=part,
        predicted=1,
        uncertainty=max(part - low, high - part),
        scope="Neither all networks of the largest width keep it, nor fewer than half."
        if verdict is Verdict.UNDECIDED
        else "",
    )


def width_table(found: Sequence[Group]) -> Table:
    rows = []
    for group in found:
        of, steps = group.problem, [len(path.loss) - 1 for path in group.paths]
        far, root = group.constants.max(), np.sqrt(2 * group.kappa)
        numbers = (*share(group.decays), far / of.spectral, far / of.frobenius, root, far / np.sqrt(2 * of.least))
        rows.append(
            (
                f"{of.name}, $N = {len(of.X)}$", group.width, len(group.paths), *(rounded(x) for x in numbers),
                int(np.median(steps)), group.complete,
            )
        )  # fmt: skip
    head = [
        "problem", "$n$", "networks", "keep (14)", "from", "to", "$C$ (spectral)", "$C$ (Frobenius)",
        r"$\sqrt{2\kappa}$", r"$\sup_k \|\theta^k - \theta^0\|$ over $\sqrt{2 L(\theta_0)/\lambda_0}$",
        "steps (median)", f"to {LEFT:g}",
    ]  # fmt: skip
    caption = (
        rf"Every step of every run with $\eta = {PART:g}\,\eta^*$: fractions with Clopper–Pearson intervals (95 %), "
        r"and the largest $C$ of (13)"
    )
    return Table(caption, head, rows)


def fast_roads(config: Config, found: Sequence[Group]) -> list[Agreement]:
    """The runs in single precision against train(), along a whole run."""
    group = found[0]
    of, width, seed = group.problem, group.width, int(np.argmax([len(path.loss) for path in group.paths]))
    path, theta = group.paths[seed], initial(config, of, group.width, seed)
    exact = train(of.net, theta, of.X, of.y, lr=group.rate, steps=len(path.loss) - 1, solver=Gauss(nodes=8, steps=1))
    steps, eps = len(path.loss) - 1, float(np.finfo(np.float32).eps)
    # A step adds to a displacement that it rounds; the Jacobian carries that to the outputs.
    carried = float(np.sqrt(of.largest * steps)) * float(np.max(exact.distance))
    allowed = (8 * float(np.sqrt(width)) + carried) * eps
    because = (
        r"$\sqrt{n}$ roundings of single precision in a residual, and one of the displacement in each step, as "
        r"$\sqrt{\lambda_{\max}}$ carries it to the outputs"
    )
    return [
        compare(
            rf"$u^k - y$, $k \le {steps}$ ({of.name}, $n = {width}$)",
            {"written out in single precision": path.residual, "train() in double precision": exact.predictions - of.y},
            allowed=allowed, because=because, claims=("decay-width", "distance-width", "distance-sharp"),
        ),
        compare(
            r"$\|\theta^k - \theta^0\|$ of the same run",
            {"written out in single precision": path.distance, "train() in double precision": exact.distance},
            allowed=allowed, because=because, claims=("distance-width", "distance-sharp"),
        ),
    ]  # fmt: skip
