"""Proposition 3 by certificates: eigenvalues that double precision cannot see, and null vectors that f itself shows."""

from __future__ import annotations

from math import comb, log10, pi

import numpy as np

from refimpl import KinkEvents, NeuralODE, SolveIVP
from refimpl.data import sphere
from refimpl.infinite.power_series import power_series
from verification import Agreement, Claim, Config, Origin, Verdict, compare
from verification.statements._data import Array
from verification.statements._hypotheses import ODD, antipodes

CASES = {"softplus": 33, "sin": 41}
"""Equally spaced points on the circle; odd numbers, so that no two are antipodal."""

SIGMA_U = 0.25

NO_PROOFS = "Needs python-flint, which the extra proof brings."


def can_prove() -> bool:
    try:
        import flint  # noqa: F401
    except ImportError:
        return False
    return True


def circle(N: int) -> Array:
    angle = 2 * pi * np.arange(N) / N
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def circulant(coefficients: Array, N: int) -> float:
    """λ_min of Σ a_k cos^k θ on N equally spaced points: N times sums of Fourier coefficients, all of them ≥ 0."""
    eigenvalues = np.zeros(N)
    for k, a in enumerate(coefficients.tolist()):
        for m in range(-k, k + 1, 2):
            eigenvalues[m % N] += N * a * comb(k, (k - m) // 2) / 2**k
    return float(eigenvalues.min())


def below_noise() -> tuple[Claim, list[Agreement]]:
    id = "below-noise"
    text = (
        r"$\lambda_{\min}(K_\infty) > 0$ also where double precision sees noise alone: a certificate from the power "
        rf"series in $\rho$ for {' and '.join(f'{name} on {N}' for name, N in CASES.items())} equally spaced points of "
        rf"the circle ($T = 1/2$, $\sigma_u = {SIGMA_U:g}$)"
    )
    if not can_prove():
        return Claim(id, text + ".", Verdict.NOT_RUN, None, "> 0", scope=NO_PROOFS, origin=Origin.PAPER), []
    found, digits, noise = list[Agreement](), list[float](), 0.0
    for name, N in CASES.items():
        net, X = NeuralODE(name, horizon=0.5, sigma_u=SIGMA_U), circle(N)
        bound = net.limit().positivity(X).log10_bound
        exact = circulant(power_series(net, 1.0, N + 16).ntk, N)
        digits.append(bound)
        noise = max(noise, abs(float(np.linalg.eigvalsh(net.limit().on_sphere()(np.clip(X @ X.T, -1, 1)))[0])))
        found.append(
            Agreement(
                rf"$\log_{{10}} \lambda_{{\min}}(K_\infty)$ ({name}, $N = {N}$; one series $a_k$)",
                ("certificate: elimination in balls", "Fourier sums of a circulant matrix"),
                abs(bound - log10(exact)),
                log10(1.1),
                "the certificate gives the largest provable bound to within a tenth",
                (id,),
            )
        )
    text += rf" (measured: $\log_{{10}}$ of the smaller bound; in float64 eigvalsh returns $\pm {noise:.0e}$)."
    holds = all(np.isfinite(digits))
    verdict = Verdict.HOLDS if holds else Verdict.UNDECIDED
    return Claim(
        id, text, verdict, min(digits) if holds else None, r"$> -\infty$",
        scope="" if holds else "No certificate was found.", origin=Origin.PAPER,
    ), found  # fmt: skip


def null_vectors(config: Config) -> tuple[Claim, list[Agreement]]:
    id = "null-vectors"
    text = (
        r"On these inputs certificates do not take noise for a positive eigenvalue: for odd $\phi$ and points with "
        r"one antipodal pair $x_j = -x_i$ the answer is the null vector $(e_i + e_j)/\sqrt 2$, on the two points "
        r"of $S^0$ and among 16 of $S^1$, $S^2$ and $S^7$ (measured: null vectors found)."
    )
    if not can_prove():
        return Claim(id, text, Verdict.NOT_RUN, None, None, scope=NO_PROOFS), []
    places, right, rest = [antipodes(1)], 0, 0.0
    for d in (2, 3, 8):
        X = sphere(16, d, seed=config.rng("null", d))
        X[-1] = -X[0]
        places.append(X)
    for name in ODD:
        for X in places:
            certificate = NeuralODE(name).limit().positivity(X)
            expected = np.zeros(len(X))
            expected[[0, -1]] = np.sqrt(0.5)
            u = certificate.null_vector
            right += certificate.strictly_positive is False and u is not None and bool(np.allclose(u, expected))
            net = NeuralODE(name)
            J = net.jacobian(net.init(16, X.shape[1], seed=config.rng("null", name, len(X))), X, SolveIVP())
            image = J.transpose_apply(np.ones(len(X)) if u is None else u)  # no null vector: an image that is not 0
            rest = max(rest, image.norm() / J.transpose_apply(np.eye(len(X))[0]).norm())
    count = len(ODD) * len(places)
    claim = Claim(id, text, Verdict.HOLDS if right == count else Verdict.FAILS, right, count, 0)
    road = Agreement(
        rf"$\sum_i u_i \nabla f_\theta(x_i)$ of the {count} null vectors $u$, relative",
        ("certificates, which say 0", "random networks of $n = 16$, scipy.integrate"),
        rest, 1e-8, "accuracy of scipy.integrate at rtol 1e-10; the symmetry itself is exact", (id,),
    )  # fmt: skip
    return claim, [road]


def off_the_sphere() -> tuple[Claim, Agreement]:
    """f(0) = 0 and ∇f(0) = 0 wherever φ(0) = 0; a homogeneous φ makes f so."""
    zero = max(float(NeuralODE(name).limit().ntk(np.zeros((1, 1)))[0, 0]) for name in ("tanh", "gelu"))
    K = NeuralODE("relu").limit().ntk(np.asarray([[1.0], [2.0]]))
    line = float(np.abs(K @ [2.0, -1.0]).max() / K.max())
    allowed = 1e-9
    networks = [
        float(net.ntk(net.init(32, 1, seed=seed), np.zeros((1, 1)), solver=SolveIVP())[0, 0])
        for seed, net in enumerate((NeuralODE("tanh"), NeuralODE("gelu")))
    ]
    net, two = NeuralODE("relu"), np.asarray([[1.0], [2.0]])
    of_relu = net.ntk(net.init(32, 1, seed=2), two, solver=KinkEvents(rtol=1e-10))
    networks.append(float(np.abs(of_relu @ [2.0, -1.0]).max() / of_relu.max()))
    road = compare(
        r"$K(0, 0)$ for tanh and GELU, and $K (2, -1)^\top$ for ReLU, relative",
        {"Gauss scheme": [zero, zero, line], "random networks of $n = 32$, scipy.integrate": networks},
        allowed=allowed + 1e-8, relative=False, claims=("off-the-sphere",),
        because="1e-9 promised for kinked activations, 1e-8 by scipy.integrate between kinks at rtol 1e-10",
    )  # fmt: skip
    return Claim(
        "off-the-sphere",
        r"Off the sphere $x_i \ne x_j$ is not enough: $x = 0$ has $f_\theta = 0$ and $\nabla f_\theta = 0$ "
        r"where $\phi(0) = 0$ (tanh, GELU), so $N = 1$ and $K_\infty(0, 0) = 0$; and ReLU, which is homogeneous and "
        r"outside the hypothesis anyway, has $f_\theta(2x) = 2 f_\theta(x)$ and $K_\infty (2, -1)^\top = 0$ on "
        r"$x = 1, 2$ (measured: the largest entry of these, relative; uncertainty: accuracy of $K_\infty$).",
        Verdict.HOLDS if zero == 0 and line <= allowed else Verdict.FAILS,
        measured=max(zero, line),
        predicted=0,
        uncertainty=allowed,
    ), road
