"""Claims on the open directions: rates, and what the kernel says of other optimisers and beyond lazy training."""

from __future__ import annotations

import re

import numpy as np

from refimpl.training import Adam
from verification import Agreement, Claim, Verdict, compare
from verification.fit import second_term
from verification.statements._exponents import Exponent
from verification.statements._open_driven import Driven
from verification.statements._open_features import Features
from verification.statements._open_linear import Linear
from verification.statements._open_optimizers import EPS, Followed, all_epochs, linear_model, mean_epoch
from verification.statements._open_rates import Grid
from verification.statements._statistics import LEVEL, below, decided

MARGIN = 0.06
"""Largest deviation of a slope in L: the next term of the error, O(1/L), is 1/32 and 1/128 at the ends of the fit."""


def _rate(id: str, text: str, fit: Exponent, predicted: float, *, at_most: bool = False) -> Claim:
    verdict = fit.at_most(predicted) if at_most else fit.meets(predicted)
    shown = rf"$\le {predicted:g}$" if at_most else predicted
    text = re.sub(r"\)\.$", f"; {fit.decided}).", text)
    return Claim(id, text, verdict, fit.value, shown, fit.half, fit.scope(verdict))


# Rates


def rates(found: Grid) -> list[Claim]:
    depth, (a, b) = found.in_depth, found.constants
    fits = {L: found.at_depth(j) for j, L in enumerate(found.depths.astype(int).tolist())}
    L = max(fits, key=lambda depth: abs(fits[depth].value + 0.5) / fits[depth].wider)
    off, first = abs(depth.slope + 1), float(found.deep[0])
    return [
        _rate(
            "width-rate",
            rf"Explicit rate in width: $\|K_\theta - K_\infty\| / \|K_\infty\| \approx {a:.2f} / \sqrt n$ in the root "
            r"mean square (measured: the exponent of $n$).",
            found.in_width, -0.5,
        ),
        Claim(
            "depth-rate",
            rf"Explicit rate in depth: $\|K_\infty^L - K_\infty\| / \|K_\infty\| \approx {b:.3f} / L$ (measured: the "
            rf"exponent of $L$; {second_term(MARGIN, first, -1)}).",
            Verdict.HOLDS if off <= MARGIN else Verdict.FAILS,
            measured=depth.slope, predicted=-1, uncertainty=depth.uncertainty,
        ),
        _rate(
            "joint-rate",
            r"Both together: $E \|K_\theta^L - K_\infty\|^2 = a_L^2 / n + \|K_\infty^L - K_\infty\|^2$ to leading "
            rf"order, with $a_L \to a$; the two parts are equal at $n \approx {found.balance:.0f}\, L^2$, so that on "
            r"networks in use it is width that limits (measured: the exponent of $n$ that is left at fixed $L$ without "
            rf"the second part; the one closest to its bound, $L = {L}$, of {len(fits)}).",
            fits[L], -0.5,
        ),
    ]  # fmt: skip


# Optimisers


def optimizers(found: Followed) -> list[Claim]:
    sgd, drift = found.exponent("sgd"), found.apart
    last = {rule: float(values[-1].mean()) for rule, values in drift.items()}
    defect, n = float(found.sign_defect[-1].mean()), int(found.widths[-1])
    spread = float(found.sign_defect[-1].std(ddof=1))
    near = bool((found.sign_defect[-1] <= np.sin(np.pi / 12)).all())
    same = two_models()
    K = np.eye(2)
    descent, epoch = (np.eye(2) - K / 2) @ (np.eye(2) - K / 2), all_epochs(K, 0.5)
    departs = bool(np.abs(epoch - mean_epoch(K, 0.5)).max() <= 8 * EPS and abs(epoch - descent).max() > 0.1)
    return [
        _rate(
            "momentum",
            r"Heavy-ball momentum: $K$ predicts each mode, $e^{k+1} = (1 + \beta - \eta\lambda) e^k - \beta e^{k-1}$, "
            r"and networks follow as $n^{-1}$, as under gradient descent (measured: the exponent of $\sup_k \|u^k - "
            rf"u_{{\mathrm{{lin}}}}^k\|$; at $n = {n}$ it is {last['momentum']:.1%} of $\|u^0 - y\|$, "
            rf"{last['gd']:.1%} under gradient descent).",
            found.exponent("momentum"), -1.0,
        ),
        _rate(
            "sgd",
            r"SGD: given the batches $K$ predicts $u^{k+1} - y = (I - \eta \frac{N}{B} K P) (u^k - y)$, $P$ the batch, "
            rf"and networks follow as $n^{{-1}}$ (measured: the exponent; at $n = {n}$, {last['sgd']:.1%}).",
            sgd, -1.0,
        ),
        Claim(
            "sgd-mean",
            r"In the mean SGD is gradient descent for one step, or if batches are drawn independently, but not over an "
            r"epoch without replacement: two half batches give $I - 2 \eta K + \frac{N}{N-1} \eta^2 K (K - "
            r"\mathrm{diag} K)$ in the mean instead of $(I - \eta K)^2$. Smallest: $N = 2$, $B = 1$, $K = I$, "
            rf"$\eta = \frac{{1}}{{2}}$, where an epoch ends at the targets and two steps of gradient descent leave "
            rf"${descent[0, 0]:g}$ of the residual (measured: what the epoch leaves, in the mean over all orders).",
            Verdict.HOLDS if departs else Verdict.FAILS,
            measured=float(epoch[0, 0]), predicted=float(mean_epoch(K, 0.5)[0, 0]), uncertainty=4 * EPS,
        ),
        _rate(
            "adam",
            r"Adam trains lazily too: with $\eta \propto 1/n$ networks follow Adam on the model that is linear in "
            r"$\theta$, at least as fast as $n^{-1/2}$ (measured: the exponent; "
            rf"at $n = {n}$, {last['adam']:.1%} of $\|u^0 - y\|$).",
            found.exponent("adam"), -0.5, at_most=True,
        ),
        Claim(
            "adam-is-no-kernel-method",
            r"But $K$ does not determine what Adam does: its first step is $-\eta J\, \mathrm{sign}(J^T r)$ (measured: "
            r"the quotient of the first steps of two models with one $K = 2$, $J = (1, 1)$ and $J = (\sqrt 2, 0)$; "
            r"predicted: by their signs, where a kernel method gives 1).",
            Verdict.HOLDS if abs(same - np.sqrt(2)) <= 1e-7 else Verdict.FAILS,
            measured=same, predicted=float(np.sqrt(2)), uncertainty=1e-7,
        ),
        Claim(
            "adam-direction",
            r"The direction of Adam's first step is near that of gradient descent, $K r$: within 15 degrees in every "
            rf"network with $n = {n}$ (measured: the part of the step across it, mean).",
            Verdict.HOLDS_WITH_SCOPE if near else Verdict.FAILS, measured=defect,
            predicted=rf"$\le \sin 15^\circ = {np.sin(np.pi / 12):.3f}$", uncertainty=spread,
            scope=(
                r"To leading order only, and at the first step only. If the entries $\partial f(x_i)/\partial "
                r"\theta_p$ at a random parameter $p$ were jointly Gaussian, $E[J_i\, \mathrm{sign}(J \cdot r)] = "
                r"\sqrt{2/\pi}\, (K r)_i / \sqrt{r^T K r}$; they are products, and what is measured is how far "
                r"that is from Gaussian."
            ),
        ),
    ]  # fmt: skip


def two_models() -> float:
    """First change of u under Adam, of J = (1, 1) over that of J = (√2, 0), from the residual −1."""
    models = np.asarray([[1.0, 1.0]]), np.asarray([[np.sqrt(2), 0.0]])
    moves = [float(np.diff(linear_model(J, -np.ones(1), Adam(), 0.01, 1), axis=0)[0, 0]) for J in models]
    return moves[0] / moves[1]


def pencil() -> Agreement:
    return compare(
        r"one epoch ($N = 2$, $B = 1$, $K = I$, $\eta = 1/2$), and Adam's first steps on two models with one $K$",
        {
            "closed form, and the update rule": [*mean_epoch(np.eye(2), 0.5).ravel(), two_models()],
            "with a pencil": [0.0, 0.0, 0.0, 0.0, np.sqrt(2)],
        },
        allowed=4e-8, because="Adam's eps of 1e-8 beside entries of 1, in both steps", relative=False,
        claims=("sgd-mean", "adam-is-no-kernel-method"),
    )  # fmt: skip


# Features


def features(found: Features) -> list[Claim]:
    lazy, lazy_gain, limits = found.exponent(found.lazy), found.gain(found.lazy), found.rich_limits
    worst, allowed = 0.0, 0.0
    for runs, (constant, error) in zip(found.sweep, found.constants, strict=True):
        first, second, third = (run.alpha * run.drift / constant for run in runs[:3])
        better, coarse = (4 * first - second) / 3, (4 * second - third) / 3
        if abs(better - 1) >= abs(worst):
            worst, allowed = better - 1, abs(better - coarse) + error / constant
    before, after = (float(np.mean([getattr(run, what) for run in found.rich[-1]])) for what in ("before", "after"))
    # A limit above 0 is one whose negative is below it.
    stays, gains = (below(-limit - wider, -limit + wider, 0.0) for limit, _, wider in limits.values())
    deciding = {what: decided(limit - wider, limit + wider) for what, (limit, _, wider) in limits.items()}
    drift = float(np.mean([run.drift for run in found.rich[-1]]))
    n = int(found.widths[-1])
    return [
        Claim(
            "lazy-scale",
            r"With $\alpha f$ for $f$ and $\eta / \alpha^2$ for $\eta$ the kernel moves by $c / \alpha$, "
            r"$c = \|DK[J^T a]\| / \|K\|$ along the path of (8) (measured: $\alpha \|K^k - K^0\| / (c \|K^0\|) - 1$ at "
            r"$\alpha \to \infty$, the largest).",
            Verdict.HOLDS if abs(worst) <= allowed else Verdict.FAILS,
            measured=worst, predicted=0, uncertainty=allowed,
        ),
        _rate(
            "lazy-width",
            r"At $\alpha = 1$ the kernel stops moving as $n \to \infty$: $\|K^k - K^0\| / \|K^0\|$ at the end of "
            r"training falls as $n^{-1}$ (measured: the exponent).",
            lazy, -1.0,
        ),
        Claim(
            "mean-field",
            rf"At $\alpha = n^{{-1/2}}$ it does not: the same quotient, {drift:.2f} at $n = {n}$, has a limit of order "
            r"one; the second derivative of $K$, $O(1/n)$, meets steps of $\theta$ of size $1/\alpha$ twice (measured: "
            r"the limit of $D + C n^{-1/2}$, which is what the first derivative adds; "
            rf"{deciding['drift']}).",
            stays,
            measured=limits["drift"][0], predicted="> 0", uncertainty=limits["drift"][1],
            scope=f"Too few networks: the {LEVEL:.1%} interval holds 0." if stays is Verdict.UNDECIDED else "",
        ),
        Claim(
            "feature-alignment",
            r"What moves is the feature: the alignment $y^T K y / (\|K\| \|y\|^2)$ with the targets goes from "
            rf"{before:.2f} to {after:.2f} at $n = {n}$ and $\alpha = n^{{-1/2}}$, a gain that stays as $n \to "
            rf"\infty$; at $\alpha = 1$ it falls as $n^{{{lazy_gain.value:.1f} \pm {lazy_gain.half:.1f}}}$ (measured: "
            rf"the gain at $n \to \infty$; {deciding['gain']}).",
            Verdict.HOLDS_WITH_SCOPE if gains is Verdict.HOLDS else gains,
            measured=limits["gain"][0], predicted="> 0", uncertainty=limits["gain"][1],
            scope="Seen, on random points with balanced labels; no theorem here covers it."
            if gains is Verdict.HOLDS
            else "Too few networks.",
        ),
    ]  # fmt: skip


# Other models


def models(found: Linear, fed: Driven) -> list[Claim]:
    excess = found.loss / found.floor - 1
    reached = abs(excess) <= 1e-6
    return [
        _rate(
            "state-space",
            r"The linear state-space model, $\phi(z) = z$: $f = \sigma_v v^T e^{T \mathcal{W}} \sigma_u U x / \sqrt "
            r"n$, and $K_\infty = \sigma_u^2 \sigma_v^2\, x \cdot \bar x\, [2 I_0(2Z) + Z I_1(2Z)]$, $Z = \sigma_w T$; "
            r"$K_\theta$ tends to it as $n^{-1/2}$ (measured: the exponent).",
            found.in_width, -0.5,
        ),
        _rate(
            "state-space-driven",
            r"Driven by its input, $\dot h = \mathcal{W} h + \sigma_u U x$ from $h_0 = 0$, it has a limit too: for "
            r"constant $x$ $K_\infty = (\sigma_u \sigma_v / \sigma_w)^2\, x \cdot \bar x\, [I_0(2Z) - 1 + Z I_1(2Z)]$, "
            r"and $K_\theta$ tends to it as $n^{-1/2}$ (measured: the exponent).",
            fed.in_width, -0.5,
        ),
        Claim(
            "state-space-training",
            r"Gradient descent on it converges to the smallest loss that a linear function of $x$ has (measured: the "
            r"loss at the end over that, less 1; four points of the plane).",
            Verdict.HOLDS_WITH_SCOPE if reached else Verdict.UNDECIDED,
            measured=excess, predicted=0, uncertainty=1e-6,
            scope=(
                r"To zero, as in Theorem 2, only if $y$ is linear in $x$: the theorem excludes linear $\phi$, with "
                r"reason, as $K_\infty$ is a multiple of $X X^T$, singular for $N > d$. With $d = 1$, $x = \pm 1$ and "
                r"$y = (1, 1)$ the loss is at least 1 for every $\theta$."
            ),
        ),
        Claim(
            "transformers",
            "Extension of the theory to Transformers, and to several outputs, biases and weights that depend on time.",
            Verdict.NOT_RUN, None, None,
            scope="Attention is outside the system (1): no network here has it. ResNets are in `joint-rate`.",
        ),
    ]  # fmt: skip
