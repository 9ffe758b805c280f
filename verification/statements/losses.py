"""Figure (c): the loss falls exponentially, and train and test loss of wide networks follow the linearised dynamics."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from verification import Claim, Config, Origin, Result, Verdict
from verification.statements._data import DIM, Array
from verification.statements._exponents import Limit, exponent
from verification.statements._losses import Losses, losses
from verification.statements._losses_report import figure, tables
from verification.statements._losses_roads import roads
from verification.statements._statistics import jointly
from verification.statements._wide_training import COUNT, trained

ID = "losses"
TITLE = "Train and test loss of wide networks follow the linearised dynamics"
CLAIM = (
    r"The slides show train and test loss for several widths and print no formula. What the figure is meant to "
    r"support, in our words: the train loss falls at an exponential rate, and the wider the network, the closer "
    r"train and test loss come to those of the linearised dynamics (8) with $K_\infty$."
)


def run(config: Config) -> Result:
    studies = trained(config)
    found = [losses(config, study) for study in studies]
    first = studies[0]
    return Result(
        claims=[
            _together(found, 0, "train", "training"), _together(found, 1, "test", "test"),
            _monotone(found), _exponential(found),
            _ratio(
                found, lambda case: case.rate()[..., 0] / case.rate()[..., 1], "rate",
                r"Over the last quarter of the steps the train loss falls at the rate of the linearised dynamics, "
                r"whose active modes set it (measured: the ratio of the rates, mean over networks, extrapolated to "
                r"$n = \infty$ with a bias $C/n$; {decided}).",
            ),
            _ratio(
                found, lambda case: case.test_loss[..., 0, -1] / case.test_loss[..., 1, -1], "test-loss",
                r"The test loss at the last step is that of the linearised dynamics (measured: their ratio, mean over "
                r"networks, extrapolated to $n = \infty$ with a bias $C/n$; {decided}).",
            ),
        ],
        agreements=[agreement for case in found for agreement in roads(config, case)],
        experiment=(
            rf"Gradient descent (5) on {COUNT} images of digits (3 and 8) and, apart from them, on {COUNT} random "
            rf"points of the sphere $S^{{63}}$ labelled by a random hyperplane, targets $\pm 1$, $T = 1$, "
            rf"{first.steps} steps with $\eta = 3/(4 \lambda_{{\max}}(K_\infty))$ for every width $n$; independent "
            r"networks. $L = \frac{1}{2} \|u - y\|^2$ (2) on the training inputs, and the same on "
            rf"{first.problems['digits'].curve} test inputs. The prediction is (8) with $H^k = K_\infty$ from the "
            r"network's own outputs $u^0$, in closed form; on test inputs $u^k_{\mathrm{test}} = u^0_{\mathrm{test}} - "
            r"K_\infty(\cdot, X) \, \eta \sum_{j < k} (u^j - y)$, which ends at kernel regression. How well either of "
            r"them generalises is no part of the claim."
        ),
        size={
            "n": first.widths.astype(int), "d": DIM, "N": COUNT, "N test": first.problems["digits"].curve,
            "networks": first.draws, "steps": first.steps, "activations": [study.activation for study in studies],
        },
        figure=figure(found[0]),
        alt=(
            "Six panels, digits on the left and random points on the right. Train loss against the step on a "
            "logarithmic scale: it falls at every step, and the curves of wider networks lie on the dashed curves of "
            "the linearised dynamics. Test loss: likewise, on its way to the dotted line of kernel regression. Largest "
            "difference between network and linearised dynamics against width: it falls along the dashed line of slope "
            "minus one half for train and test outputs, and faster if the network's own kernel at step 0 is used; that "
            "kernel against the limiting one, in untrained networks, falls along the dashed line."
        ),
        caption=(
            rf"{first.activation}, mean over {first.draws} networks; dashed: predicted by the linearised dynamics with "
            r"$K_\infty$ for the same networks; dotted: kernel regression, for the widest. Bottom: "
            r"$\max_k \|u^k - u^k_{\mathrm{lin}}\| / \|u^0 - y\|$, root mean square over networks."
        ),
        tables=tables(found),
    )  # fmt: skip


# Network against linearised dynamics


def _together(found: Sequence[Losses], which: int, id: str, inputs: str) -> Claim:
    """The difference is at most the sum of two: from K_θ⁰ to K_∞, of many networks, and from the network to K_θ⁰."""
    kernel = [exponent(case.study.widths, case.kernel[..., which]) for case in found]
    worst = max(kernel, key=lambda e: abs(e.value + 0.5) / e.wider)
    own = max((exponent(case.study.widths, case.own[..., which]) for case in found), key=lambda e: e.value)
    direct = max(
        (exponent(case.study.widths, case.gap[..., which]) for case in found), key=lambda e: abs(e.value + 0.5)
    )
    verdict, change = worst.meets(-0.5), own.at_most(-0.5)
    return Claim(
        id,
        rf"At every step the outputs on the {inputs} inputs are those of the linearised dynamics with $K_\infty$ up to "
        r"$O(n^{-1/2})$. Two parts add up to the difference: $K_{\theta^0}$ is off $K_\infty$ as $n^{-1/2}$ (measured: "
        r"the exponent of $\max_k \|u^k_{\mathrm{lin}}(K_{\theta^0}) - u^k_{\mathrm{lin}}(K_\infty)\| / \|u^0 - y\|$; "
        rf"{worst.decided}), and the kernel changes in training (exponent {own.value:.2f} ± {own.half:.2f}; "
        rf"{own.decided}). The difference itself, of the few trained networks: {direct.value:.2f} ± {direct.half:.2f}.",
        jointly([verdict, change]),
        measured=worst.value,
        predicted=-0.5,
        uncertainty=worst.half,
        scope=" ".join(text for text in (worst.scope(verdict), own.scope(change)) if text),
    )


def _ratio(found: Sequence[Losses], ratio: Callable[[Losses], Array], id: str, text: str) -> Claim:
    """Mean of measured over predicted at infinite width; draws of both sources together, all of them independent."""
    limits = [Limit.of(np.concatenate(list(np.swapaxes(ratio(case), 1, 2))), case.study.widths) for case in found]
    worst = max(limits, key=lambda limit: limit.score)
    verdict = worst.verdict()
    return Claim(
        id, text.replace("{decided}", worst.decided), verdict,
        measured=worst.value, predicted=1, uncertainty=worst.half, scope=worst.scope(verdict),
    )  # fmt: skip


# The train loss


def _monotone(found: Sequence[Losses]) -> Claim:
    growth = [case.growth() for case in found]
    largest, widest = max(float(x.max()) for x in growth), max(float(x[:, -1].max()) for x in growth)
    verdict = Verdict.HOLDS if largest < 1 else Verdict.HOLDS_WITH_SCOPE if widest < 1 else Verdict.FAILS
    return Claim(
        "monotone",
        rf"The train loss falls at every step of each of the {sum(x.size for x in growth)} networks that were trained "
        r"(measured: the largest $L(\theta^{k+1}) / L(\theta^k)$).",
        verdict,
        measured=largest,
        predicted="$< 1$",
        scope="" if largest < 1 else r"Not for some narrow networks, whose $\lambda_{\max}(K_\theta)$ is far off.",
        origin=Origin.PAPER,
    )


def _exponential(found: Sequence[Losses]) -> Claim:
    speeds = [case.speed() for case in found]
    slowest, widest = min(float(x.min()) for x in speeds), min(float(x[:, -1].min()) for x in speeds)
    verdict = Verdict.HOLDS if slowest >= 1 else Verdict.HOLDS_WITH_SCOPE if widest >= 1 else Verdict.FAILS
    return Claim(
        "exponential",
        r"The train loss falls at an exponential rate, at least half that of the slowest mode: $L(\theta^k) \le "
        r"(1 - \eta \lambda_{\min}(K_\infty))^k L(\theta^0)$ for each of the "
        rf"{sum(x.size for x in speeds)} networks that were trained, at every step (measured: the smallest "
        r"$\log(L(\theta^k) / L(\theta^0))$ over $k \log(1 - \eta \lambda_{\min}(K_\infty))$).",
        verdict,
        measured=slowest,
        predicted=r"$\ge 2$ linearised, $\ge 1$ with a margin for $K_\theta$",
        scope="" if slowest >= 1 else "Not for some narrow networks, whose smallest eigenvalue is far off.",
        origin=Origin.PAPER,
    )
