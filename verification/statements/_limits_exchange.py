"""Why the limits of (6) can be exchanged: one constant for the error of the depth, whatever the width."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

import numpy as np
from scipy.special import iv

from refimpl import NeuralODE, Params
from refimpl.infinite.dual import dual
from refimpl.theory import depth_bound
from verification import Agreement, Claim, Config, Origin, Verdict, compare
from verification.numerals import upper
from verification.statements._chains import shared_bound, shared_mean
from verification.statements._data import DIM, Array
from verification.statements._limits_by_hand import iterated_limits, uniform_constant
from verification.statements._plane import Plane
from verification.statements._statistics import student

PAIRINGS = ("linear-plane", "perceptron-shared")
"""Claims whose expectations are sums over pairings."""

APART = 1e-6
"""How close the two limits of a perceptron must come to one and to zero."""

PER_WIDTH = 4
"""Networks of each width whose constant is computed."""

WIDTHS = (1, 2, 3, 8, 64, 1024)


def example() -> tuple[Claim, Agreement]:
    """Inner limits by the distance from them: |a − 1| ≤ ℓ/n and |a| ≤ n/ℓ; in exact arithmetic."""

    def a(n: int, ell: int) -> Fraction:
        return Fraction(n, ell + n)

    far, near = 10**30, [10**k for k in range(1, 7)]
    first, second = [a(far, ell) for ell in near], [a(n, far) for n in near]
    off = max([float(abs(v - 1) * far / ell) for v, ell in zip(first, near, strict=True)]
              + [float(v * far / n) for v, n in zip(second, near, strict=True)])  # fmt: skip
    fixed = [1, 10, 100, 1000]
    limits = iterated_limits(lambda n, ell: n / (ell + n), fixed)
    by_extrapolation = compare(
        r"$\lim_{n \to \infty} a_{n,\ell}$ and $\lim_{\ell \to \infty} a_{n,\ell}$, $\ell, n = 1, 10, 100, 1000$",
        {"exact arithmetic": [float(a(far, ell)) for ell in fixed] + [float(a(n, far)) for n in fixed],
         "extrapolation in floating point": [limit for limit, _ in limits]},
        allowed=max(error for _, error in limits) + fixed[-1] / far, relative=False,
        because="the last change of the extrapolation, and the distance from a limit at $10^{30}$", claims=("example",),
    )  # fmt: skip
    return Claim(
        "example",
        r"(11): for $a_{n,\ell} = n/(\ell + n)$ the limit is 1 with $n \to \infty$ first and 0 with $\ell \to \infty$ "
        r"first, since $|a_{n,\ell} - 1| \le \ell/n$ and $|a_{n,\ell}| \le n/\ell$: in general the order matters.",
        Verdict.HOLDS if off <= 1 else Verdict.FAILS,
        measured=f"1 − {float(1 - first[-1]):.0e}, {float(second[-1]):.0e}",
        predicted="1, 0",
        uncertainty=1e6 / far,
        origin=Origin.PAPER,
    ), by_extrapolation  # fmt: skip


def as_stated(
    orders: list[Claim], uniform: Claim, perceptrons: Sequence[Claim], of_ntk: tuple[float, float]
) -> list[Claim]:  # fmt: skip
    """The sign ≠, which the sentence before it lets stand for what may happen; and what it is for the network (6)."""
    law, verdicts = orders[1], {claim.verdict for claim in orders}
    proved = uniform.verdict is Verdict.HOLDS and verdicts == {Verdict.HOLDS_WITH_SCOPE}
    ntk_differs = of_ntk[0] > 1 - APART and of_ntk[1] < APART
    may = ntk_differs and all(claim.verdict is Verdict.HOLDS for claim in perceptrons)
    return [
        Claim(
            "as-stated",
            r"(10): the NTK may depend on the order of limits. That it may is no claim on every network, and one is "
            r"enough: it is so for a linear perceptron (the claims `perceptron` and "
            r"`perceptron-ntk`), as it is for the numbers (11) (measured: the two limits of $E |f|$, in units of the "
            r"first, and what bounds those of $E \sqrt{K/((L + 2) q)}$ from below and from above).",
            Verdict.HOLDS_WITH_SCOPE if may else Verdict.UNDECIDED,
            measured=f"{perceptrons[0].measured}; {of_ntk[0]:.7g}, {of_ntk[1]:.2g}", predicted="1, 0; 1, 0",
            uncertainty=APART,
            scope=(
                r"Read with the “may” of the slide. The formula itself, read for the network $f_\theta^L$ of (6) "
                r"beside which it stands, is false: its limits are equal (the claim `one-limit`); $\ne$ needs another "
                r"architecture."
                if may else "No network is left that shows it."
            ),
            origin=Origin.PAPER,
        ),
        Claim(
            "one-limit",
            r"For the network $f_\theta^L$ of (6), which shares its weights, the sign in (10) is $=$: both orders give "
            r"one law of $f$. Its error of the depth is at most $C/L$ with one $C$ for all widths (the claim "
            r"`exchange`), and the limits $n \to \infty$ at fixed $L$ exist: proved for the law of $f$, with which the "
            r"NTK agrees in numbers; for $\phi(z) = z$ a pencil does for $E \|h^L\|^2$ (the claim `linear-plane`; "
            r"measured: difference of the two limits of the law of $f$, relative; numbers alone would not show that it "
            r"is zero).",
            Verdict.FAILS if Verdict.FAILS in verdicts else Verdict.HOLDS if proved else Verdict.UNDECIDED,
            measured=law.measured, predicted=0, uncertainty=law.uncertainty,
            scope="" if proved or Verdict.FAILS in verdicts else "A claim that it rests on is open.",
        ),
    ]  # fmt: skip


def exchange(config: Config, net: NeuralODE, X: Array, covariance: Plane) -> tuple[Claim, Agreement]:
    """L ‖Cov^L − Cov‖ ≤ C_n, from the bound of ∂f/∂v, whose Gram matrix the covariance is."""
    worst, ratios, depths = 0.0, [], covariance.depths
    limit = constant_at_infinity(net, X)
    for i, n in enumerate(covariance.widths.astype(int).tolist()):
        found = []
        for draw in range(min(PER_WIDTH, len(covariance.finite))):
            theta = net.init(n, DIM, seed=config.rng("plane", n, draw))
            C, cov = depth_bound(net, theta, X).v, covariance.finite[draw, i]
            allowed = _of_gram(C, readout_bound(net, theta, X))
            worst = max(worst, float((depths[:, None, None] * np.abs(cov[:-1] - cov[-1]) / allowed).max()))
            found.append(float(np.linalg.norm(allowed) / np.linalg.norm(limit)))
        ratios.append(found)
    last = allowed / limit, uniform_constant(net, theta, X)
    means = [student(np.asarray(found)) for found in ratios]
    highest, half, _ = max(means, key=lambda one: one[0] - one[1])
    bounded = highest - half <= 1
    agreement = compare(
        rf"$C_n / C_\infty$ of the covariance of $f$, one network, $n = {covariance.widths[-1]:g}$",
        {"`depth_bound` and Hermite series": last[0], "QUADPACK, from the inequalities": last[1]},
        allowed=1e-10, because="1e-12 asked of QUADPACK, in factors and under roots", claims=("exchange", "one-limit"),
    )  # fmt: skip
    return Claim(
        "exchange",
        r"Why: $|\mathrm{Cov}^L - \mathrm{Cov}| \le C_n/L$ for the law of $f$, with $C_n$ from $\|W\|/\sqrt n$, "
        r"$\|\phi(h_0)\|/\sqrt n$ and Lipschitz constants alone. Almost surely it tends to a number $C_\infty$, since "
        r"$\|W\|/\sqrt n \to 2$: convergence in $L$ is uniform in $n$, and by Moore and Osgood the limits commute. "
        rf"Every measured difference is within its bound, at most {upper(worst)} of it (measured: $C_n/C_\infty$ in "
        r"the mean, at the width where it is highest beside its 95 % interval: bounded is what matters, and 1 is its "
        r"limit by the argument alone).",
        Verdict.FAILS if worst > 1 else Verdict.HOLDS if bounded else Verdict.UNDECIDED,
        measured=highest, predicted=r"$\le 1$", uncertainty=half,
        scope="" if bounded or worst > 1 else "The constants exceed their limit at these widths.",
    ), agreement  # fmt: skip


def _of_gram(C: Array, norm: Array) -> Array:
    """Bound of L |⟨a^L, ā^L⟩ − ⟨a, ā⟩| for ‖a^L − a‖ ≤ C/L and any L ≥ 1."""
    bound: Array = np.outer(C, norm) + np.outer(norm, C) + np.outer(C, C)
    return bound


def readout_bound(net: NeuralODE, theta: Params, X: Array) -> Array:
    """‖∂_v f‖ ≤ σ_v Φ(T)/√n with Φ(T) = ‖φ(h_0)‖ + ℓ S (e^{κT} − 1)/κ, for each input."""
    W = net.sigma_w * theta.W / np.sqrt(theta.width)
    phi = net.phi.phi(net.sigma_u * X @ theta.U.T)
    kappa = net.phi.lipschitz * float(np.linalg.norm(W, 2))
    growth = net.phi.lipschitz * np.linalg.norm(phi @ W.T, axis=1) * np.expm1(kappa * net.horizon) / kappa
    bound: Array = net.sigma_v * (np.linalg.norm(phi, axis=1) + growth) / np.sqrt(theta.width)
    return bound


def constant_at_infinity(net: NeuralODE, X: Array) -> Array:
    """lim C_n: ‖∂_v f^L − ∂_v f‖ ≤ σ_v ℓ T E(T)/(L √n) with E(T) = ½ κ T e^{κT} S.

    κ → 2 ℓ σ_w, S = ‖𝒲 φ(h_0)‖ is σ_w √(n Σ^{0,0}) in the limit because W is independent of h_0, and `readout_bound`
    tends to σ_v √Σ^{0,0} (1 + (e^{κT} − 1)/2).
    """
    q = net.sigma_u**2 * np.sum(X**2, axis=1)
    Sigma = np.diagonal(dual(net.phi, q, q).value(net.sigma_u**2 * X @ X.T))
    ell, T = net.phi.lipschitz, net.horizon
    kappa = 2 * ell * net.sigma_w
    C = net.sigma_v * ell * T * kappa * T / 2 * np.exp(kappa * T) * net.sigma_w * np.sqrt(Sigma)
    return _of_gram(C, net.sigma_v * np.sqrt(Sigma) * (1 + np.expm1(kappa * T) / 2))


def linear_plane() -> tuple[Claim, Agreement]:
    """φ(z) = z at T = σ_w = 1, exactly, for n = 1, 2, … and L ≤ 4."""
    Z, depths = 1.0, (1, 2, 3, 4)
    B, C = shared_bound(Z)
    means = np.asarray([[shared_mean(n, L, Z) for L in depths] for n in WIDTHS])
    allowed = B / np.asarray(WIDTHS)[:, None] + C / np.asarray(depths)
    ratio = float(np.max(np.abs(means - iv(0, 2 * Z)) / allowed))
    # n = 1: W is one normal number w, and E (1 + Z w/L)^{2L} needs no pairing.
    w, weights = np.polynomial.hermite_e.hermegauss(12)
    scalar = [float(weights @ (1 + Z * w / L) ** (2 * L)) / np.sqrt(2 * np.pi) for L in depths]
    agreement = Agreement(
        r"$E h_L^2/q$ of one linear neuron, $L \le 4$",
        ("every pairing enumerated", "Gauss–Hermite quadrature"),
        float(np.max(np.abs(means[0] / scalar - 1))), 1e-12, "exact for polynomials up to degree 23, to rounding",
        PAIRINGS,
    )  # fmt: skip
    return Claim(
        "linear-plane",
        r"With a pencil, for $\phi(z) = z$, $\sigma_w T = Z$: at every width and depth "
        r"$|E \|h^L\|^2/(nq) - I_0(2Z)| \le (e^{2 Z^2} - I_0(2Z))/n + \sum_k k (k - 1) (Z^k/k!)^2/L$. Both orders give "
        r"$I_0(2Z)$, and so does any path to infinity (measured: largest ratio of the two sides over "
        rf"$n \le {WIDTHS[-1]}$, $L \le {depths[-1]}$, exact expectations at $Z = 1$).",
        Verdict.HOLDS if ratio <= 1 else Verdict.FAILS,
        measured=ratio, predicted=r"$\le 1$", uncertainty=1e-12,
    ), agreement  # fmt: skip
