"""The printed bound on the step size, η ≤ 1/‖X‖², in either norm, against what (14) and stability need.

On the unit sphere K_∞(x, x̄) = Σ a_k ρ^k with a_k ≥ 0; let κ = K_∞(x, x) = Σ a_k, and a_0 = K_∞ between orthogonal
inputs, which is 0 for odd φ. With G = XXᵀ, Schur's bound λ_max(A ∘ B) ≤ max_i A_ii λ_max(B) gives λ_max(G^∘k) ≤ ‖X‖_2²
for k ≥ 1, so that

    λ_max(K_∞) ≤ N a_0 + (κ − a_0) ‖X‖_2²,     λ_max(K_∞) ≤ tr K_∞ = κ ‖X‖_F².

One input makes both an equality, N orthogonal ones the first, equal ones in the limit the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from refimpl import NeuralODE
from verification import Claim, Origin, Verdict
from verification.statements._data import Array
from verification.statements._stepsize import curve, gram, largest_rate
from verification.statements._tasks import Task

NORMS = {"spectral": 2, "frobenius": "fro"}
"""The two readings of ‖X‖, as NumPy calls them."""

NOISE = 1e-9
"""The curve of K_∞ errs by 1e-11 of κ, and an eigenvalue by N times as much."""

KEEPS, BREAKS, DIVERGES = "keeps (14)", "breaks (14)", "diverges"


def kernel_bound(net: NeuralODE) -> float:
    """A bound on κ = K_∞(x, x), |x| = 1, that knows L, a Lipschitz constant of φ, φ(0), T and the σ's alone.

    By Minkowski and Grönwall √Σ^{t,t} ≤ (|φ(0)| + L σ_u) e^{L σ_w t} and √P^{t,t} ≤ σ_v L e^{L σ_w (T − t)}; with
    Cauchy–Schwarz under the integral, κ ≤ σ_v² e^{2LZ} [(|φ(0)| + L σ_u)² (1 + L²Z²) + L² σ_u²], Z = σ_w T.
    """
    L, Z = net.phi.lipschitz, net.sigma_w * net.horizon
    at_zero = float(np.abs(net.phi.phi(np.zeros(1))[0]))
    whole = (at_zero + L * net.sigma_u) ** 2 * (1 + (L * Z) ** 2) + (L * net.sigma_u) ** 2
    return float(net.sigma_v**2 * np.exp(2 * L * Z) * whole)


@dataclass(frozen=True)
class Reading:
    """One network, one set of inputs, one norm.

    Parameters
    ----------
    net : NeuralODE
    source, norm : str
    squared : float
        ‖X‖².
    count : int
        N.
    largest, least : float
        Eigenvalues λ_max and λ_0 of K_∞.
    diagonal, orthogonal : float
        κ and a_0.
    """

    net: NeuralODE
    source: str
    norm: str
    squared: float
    count: int
    largest: float
    least: float
    diagonal: float
    orthogonal: float

    @property
    def product(self) -> float:
        """ηλ_max for η = 1/‖X‖²."""
        return self.largest / self.squared

    @property
    def allowed(self) -> float:
        """η*λ_max, the most that (14) bears."""
        return largest_rate(self.least, self.largest) * self.largest

    @property
    def verdict(self) -> str:
        return DIVERGES if self.product > 2 else KEEPS if self.product <= self.allowed else BREAKS

    @property
    def repaired(self) -> float:
        """ηλ_max for η = 1/(κ ‖X‖²)."""
        return self.product / self.diagonal

    @property
    def schur(self) -> float:
        """λ_max over its bound: N a_0 + (κ − a_0) ‖X‖_2², or κ ‖X‖_F²."""
        if self.norm == "frobenius":
            return self.largest / (self.diagonal * self.squared)
        bound = self.count * self.orthogonal + (self.diagonal - self.orthogonal) * self.squared
        return self.largest / bound


def readings(net: NeuralODE, source: str, X: Array) -> list[Reading]:
    """`Reading` of both norms; X on the unit sphere."""
    K = curve(net)
    values = np.linalg.eigvalsh(np.asarray(K(gram(X)), dtype=np.float64))
    ends = float(values[-1]), float(values[0]), float(K(1.0)), float(K(0.0))
    return [
        Reading(net, source, norm, float(np.linalg.norm(X, order)) ** 2, len(X), *ends) for norm, order in NORMS.items()
    ]


def survey(given: Mapping[str, Task], full: bool) -> list[Reading]:
    """Both data sets, one input and 16 orthogonal ones, over φ, T, σ_u; σ_v² is a factor of K_∞, and σ_w one of T."""
    plan = [(name, T, 1.0) for name in ("softplus", "tanh", "sin", "gelu") for T in (0.25, 1.0, 2.0)]
    plan += [(name, 1.0, 2.0) for name in ("softplus", "sin", "gelu")]
    if full:
        plan += [(name, T, 1.0) for name in ("erf", "silu", "cos") for T in (0.25, 1.0, 2.0)]
        plan += [(name, T, s) for name in ("softplus", "tanh", "sin", "gelu") for T in (0.25, 2.0) for s in (0.5, 2.0)]
    inputs = {source: task.X for source, task in given.items()}
    inputs |= {"one input": np.eye(1), "orthogonal": np.eye(16)}
    found = []
    for name, T, sigma_u in plan:
        net = NeuralODE(name, horizon=T, sigma_u=sigma_u)
        found += [reading for source, X in inputs.items() for reading in readings(net, source, X)]
    return found


def reading_claims(found: Sequence[Reading]) -> list[Claim]:
    """Four claims on the printed bound, by norm and by what is asked, and two on its repair."""
    return [
        *(_literal(norm, found, what) for norm in NORMS for what in ("reading", "stable")),
        _repair_frobenius(found), _repair_spectral(found), _lipschitz(found),
    ]  # fmt: skip


def _literal(norm: str, found: Sequence[Reading], what: str) -> Claim:
    mine = [one for one in found if one.norm == norm]
    bad = {KEEPS, BREAKS} if what == "stable" else {KEEPS}
    failed = [one for one in mine if one.verdict not in bad]
    worst = max(mine, key=lambda one: one.product / (2 if what == "stable" else one.allowed))
    by_phi = ", ".join(
        f"{name} {sum(one.net.phi.name == name for one in failed)} of {sum(one.net.phi.name == name for one in mine)}"
        for name in dict.fromkeys(one.net.phi.name for one in mine)
    )
    plain = [one for one in mine if one.net.sigma_u == 1]
    fails = "the loss diverges" if what == "stable" else "(14) is broken"
    needs = (
        r"stability, $\eta < 2/\lambda_{\max}(K_\infty)$"
        if what == "stable"
        else r"$\eta \le \eta^* = (2 \lambda_{\max} - \lambda_0)/\lambda_{\max}^2$, without which (14) fails"
    )
    return Claim(
        f"{what}-{norm}",
        rf"$\eta = 1/\|X\|^2$ in the {norm.capitalize() if norm == 'frobenius' else norm} norm gives {needs} in the "
        rf"linear dynamics with $K_\infty$: over $\varphi$, $T$, $\sigma_u$ and inputs {fails} in {len(failed)} of "
        rf"{len(mine)} cases ({by_phi}; with $\sigma_u = 1$ in {sum(one in failed for one in plain)} of {len(plain)}; "
        rf"measured: $\eta \lambda_{{\max}}$ where it exceeds what "
        rf"is allowed by the largest factor, {name_of(worst)}).",
        Verdict.FAILS if failed else Verdict.HOLDS,
        measured=worst.product,
        predicted=rf"$<$ {2 if what == 'stable' else worst.allowed:.4g}",
        scope=f"With the bound of the claim `repair-{norm}`." if failed else "",
        origin=Origin.PAPER,
    )


def _repair_frobenius(found: Sequence[Reading]) -> Claim:
    mine = [one for one in found if one.norm == "frobenius"]
    most = max(one.repaired for one in mine)
    return Claim(
        "repair-frobenius",
        r"The weakest bound of the printed form that gives (14) for all inputs on the sphere is "
        r"$\eta \le 1/(\kappa \|X\|_F^2)$, $\kappa = K_\infty(x, x)$: it suffices, for $\lambda_{\max} \le "
        r"\mathrm{tr}\, K_\infty = \kappa \|X\|_F^2$, and one input needs it (measured: the largest $\eta "
        r"\lambda_{\max}$ with equality in it; one network of finite width needs $<$ with one input, for with equality "
        r"(14) wants it to end in one step). The printed bound suffices for all inputs if and only if "
        r"$\kappa \le 1$.",
        Verdict.HOLDS if most <= 1 + NOISE and any(abs(one.repaired - 1) <= NOISE for one in mine) else Verdict.FAILS,
        measured=most,
        predicted=1,
        uncertainty=NOISE,
    )


def _repair_spectral(found: Sequence[Reading]) -> Claim:
    mine = [one for one in found if one.norm == "spectral"]
    odd = max(one.repaired for one in mine if one.net.phi.parity == "odd")
    other = max((one for one in mine if one.net.phi.parity != "odd"), key=lambda one: one.repaired)
    bounded = all(one.schur <= 1 + NOISE for one in mine) and odd <= 1 + NOISE
    return Claim(
        "repair-spectral",
        r"In the spectral norm $\eta \le 1/((\kappa + (d - 1) a_0) \|X\|_2^2)$ gives (14), and for odd $\varphi$, "
        r"where $a_0 = 0$, with no trace of $d$: $\lambda_{\max} \le N a_0 + (\kappa - a_0) \|X\|_2^2$ and "
        r"$N = \|X\|_F^2 \le d \|X\|_2^2$, with equality for an orthonormal basis. For other $\varphi$ no factor that "
        r"depends on $\varphi$ and $T$ alone does: "
        r"$N$ orthogonal inputs have $\|X\|_2 = 1$ and $\lambda_{\max} = \kappa + (N - 1) a_0$, $a_0 = K_\infty(x, "
        rf"\bar x)$ at $x \perp \bar x$ (measured: $\eta \lambda_{{\max}}$ for $N = {other.count}$, {name_of(other)}; "
        rf"odd: at most {odd:.4g}).",
        Verdict.HOLDS if bounded and other.repaired > 1 else Verdict.FAILS,
        measured=other.repaired,
        predicted="> 1",
        uncertainty=NOISE,
    )


def _lipschitz(found: Sequence[Reading]) -> Claim:
    ratios = [one.diagonal / kernel_bound(one.net) for one in found]
    return Claim(
        "constant-repaired",
        r"$\kappa \le \sigma_v^2 e^{2LZ} [(|\varphi(0)| + L \sigma_u)^2 (1 + L^2 Z^2) + L^2 \sigma_u^2]$, "
        r"$Z = \sigma_w T$, with $L$ the Lipschitz constant of $\varphi$: with $|\varphi(0)|$ beside it, the constant "
        r"of (13) and a step size that keeps (14) can be had from Lipschitz coefficients, $T$ and the $\sigma$'s "
        r"(measured: the largest $\kappa$ over its bound).",
        Verdict.HOLDS if max(ratios) <= 1 else Verdict.FAILS,
        measured=max(ratios),
        predicted=r"$\le 1$",
    )


def name_of(one: Reading) -> str:
    """Activation, horizon and inputs, in words for a claim."""
    sigma = "" if one.net.sigma_u == 1 else rf", $\sigma_u = {one.net.sigma_u:g}$"
    return rf"{one.net.phi.name}, $T = {one.net.horizon:g}${sigma}, {one.source}"
