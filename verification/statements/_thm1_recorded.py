"""Second roads to what theorem 1 recorded of small networks: from the recorded rows, and from their weights again."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.polynomial import legendre
from scipy.special import beta

from refimpl import NeuralODE, Params, SolveIVP
from refimpl.scheme import gauss
from verification import Agreement, Claim, Config, compare
from verification.statements._data import Array
from verification.statements._ensembles import KINKED_NODES, NODES, PAIR, Ensemble, batch, networks
from verification.statements._open_linear import bessel
from verification.statements._thm1_suprema import first_paths

CHECKED = 3
"""Networks of each ensemble and width that are solved a second time."""

SAMPLED = 100
"""Networks of each width on which the error of `NODES` Gauss nodes is measured."""

TERMS = 28
"""Of the series of exp: ‖W/√n‖ < 4 for all networks but a few in a million, and 4^28/28! is 3e-13."""


# Mean and standard error, from what was recorded of each network


def mean_road(found: Sequence[Ensemble]) -> Agreement:
    """Mean and standard error as those of the intercept of one least squares fit."""
    recorded, again = list[Array](), list[Array]()
    for case in found:
        for k, (e, controls) in enumerate(zip(case.errors, case.controls, strict=True)):
            intercept, error = intercepted(e, controls)
            recorded.append(np.asarray([case.mean[k], case.mean_error[k]]) / error)
            again.append(np.asarray([intercept, error]) / error)
    return compare(
        r"mean of $e$ and its standard error, in units of the latter (all networks and widths)",
        {"regression of what is centred": recorded, "intercept by normal equations": again},
        allowed=1e-8, relative=False, claims=("bias", "bias-linear"),
        because="roundings, times the condition of the normal equations, below 1e6",
    )  # fmt: skip


def intercepted(values: Array, controls: Array) -> tuple[float, float]:
    """Intercept of values (draws,) on controls (draws, m), and its standard error, from the normal equations."""
    design = np.column_stack([np.ones(len(values)), controls])
    size = np.maximum(np.linalg.norm(design, axis=0), np.finfo(float).tiny)
    weights, vectors = np.linalg.eigh((design / size).T @ (design / size))
    kept = weights > 1e-10 * weights[-1]  # for φ(z) = z two control variates are one and the same
    inverse = (vectors[:, kept] / weights[kept]) @ vectors[:, kept].T
    coefficients = inverse @ ((design / size).T @ values)
    rest = values - design / size @ coefficients
    scatter = float(rest @ rest) / (len(values) - int(kept.sum()))
    return float(coefficients[0] / size[0]), float(np.sqrt(scatter * inverse[0, 0]) / size[0])


# Single networks, against the package and against sums over their neurons


def recorded_roads(config: Config, found: Sequence[Ensemble]) -> list[Agreement]:
    """The first networks of every ensemble and width once more: e, and the control variates."""
    recorded, exact, written, by_hand, change = list[Array](), list[Array](), list[Array](), list[Array](), 0.0
    for case in found:
        net = NeuralODE(case.activation)
        nodes, limit = KINKED_NODES if net.phi.kinks else NODES, net.limit().ntk(PAIR)
        moments = [expectation(f, PAIR @ PAIR.T) for f in (net.phi.phi, net.phi.dphi)]
        for n, e, controls in zip(case.widths.astype(int).tolist(), case.errors, case.controls, strict=True):
            U, W, v = (part[:CHECKED] for part in next(networks(config, case.activation, n, e.size, PAIR.shape[1])))
            thetas = [Params(*weights) for weights in zip(U, W, v, strict=True)]
            recorded.append(e[:CHECKED])
            exact.append(along(np.stack([net.ntk(theta, PAIR, solver=SolveIVP()) for theta in thetas]), limit))
            coarse, fine = (
                along(batch(net, U, W, v, PAIR, gauss(nodes=m, steps=1, horizon=net.horizon)).kernel, limit)
                for m in (nodes, 2 * nodes)
            )
            change = max(change, float(np.abs(fine - coarse).max()))
            written += list(controls[:CHECKED])
            by_hand += list(averages(net, U, W, v, *moments))
    return [
        compare(
            rf"$e$ of {CHECKED} networks of each width and activation",
            {"recorded, by collocation of a batch": recorded, "scipy.integrate": exact},
            allowed=2 * change + 1e-6, relative=False, claims=("bias", "bias-linear", "spread", "almost-sure"),
            because="change with twice the nodes, which leave half of the error at most; sweeps end at 1e-8, and "
            "rtol = 1e-10 grows along the path",
        ),
        compare(
            r"control variates of the same networks",
            {"recorded": written, "sums over neurons, expectations by polar quadrature": by_hand},
            allowed=1e-8, relative=False, claims=("bias", "bias-linear"),
            because="the angle between an input and itself, which float64 knows to the root of a rounding",
        ),
    ]  # fmt: skip


def along(kernels: Array, limit: Array) -> Array:
    """e = ⟨K_θ − K_∞, K_∞⟩ / ‖K_∞‖² of kernels (…, N, N)."""
    return np.asarray(np.tensordot(kernels, limit, axes=2) / np.sum(limit**2) - 1)


def averages(net: NeuralODE, U: Array, W: Array, v: Array, Sigma: Array, D: Array) -> Array:
    """The control variates of networks (count, …), pair of inputs by pair of inputs."""
    n, N = U.shape[1], range(len(PAIR))
    W, v = net.sigma_w / np.sqrt(n) * W, net.sigma_v * v
    h = [net.sigma_u * U @ x for x in PAIR]
    phi, slope = [net.phi.phi(z) for z in h], [net.phi.dphi(z) for z in h]
    back = [s * v for s in slope]
    g, y = [np.einsum("cij,cj->ci", W, z) for z in phi], [np.einsum("cij,ci->cj", W, z) for z in back]
    w, of_v, nothing = net.sigma_w**2, net.sigma_v**2, np.zeros((len(PAIR), len(PAIR)))

    def mean(a: Sequence[Array], c: Sequence[Array], expected: Array) -> list[Array]:
        return [
            np.sum(a[i] * c[j] + a[j] * c[i], axis=1) / (2 * n) - expected[i, j] for i in N for j in N if i <= j
        ]  # fmt: skip

    columns = [
        *mean(h, h, net.sigma_u**2 * PAIR @ PAIR.T), *mean(phi, phi, Sigma), *mean(slope, slope, D),
        *mean(back, back, of_v * D), np.sum(v**2, axis=1) / n - of_v, *mean(g, g, w * Sigma),
        *mean(y, y, w * of_v * D), *mean(phi, g, nothing), *mean(back, y, nothing), *mean(h, g, nothing),
    ]  # fmt: skip
    return np.stack(columns, axis=1)


def expectation(f: Callable[[Array], Array], rho: Array) -> Array:
    """E f(a) f(b) of normal numbers with correlations ρ (N, N), in polar coordinates: a kink at 0 is at two angles."""
    found = np.empty_like(rho)
    nodes, weights = legendre.leggauss(48)
    r, of_r = 5 * (nodes + 1), 5 * weights  # e^{−50} is left beyond 10
    for (i, j), cosine in np.ndenumerate(rho):
        shift = float(np.arccos(np.clip(cosine, -1.0, 1.0)))
        edges = np.unique(np.mod(np.asarray([0.5, 1.5, 0.5 + shift / np.pi, 1.5 + shift / np.pi]) * np.pi, 2 * np.pi))
        edges = np.append(edges, edges[0] + 2 * np.pi)
        half = np.diff(edges)[:, None] / 2
        angle, of_angle = (edges[:-1, None] + half * (nodes + 1)).ravel(), (half * weights).ravel()
        values = f(np.outer(r, np.cos(angle))) * f(np.outer(r, np.cos(angle - shift)))
        found[i, j] = (of_r * r * np.exp(-(r**2) / 2)) @ values @ of_angle / (2 * np.pi)
    return found


# All linear networks, from the series of the exponential


def linear_road(config: Config, case: Ensemble, claim: Claim) -> Agreement:
    """What the claim measured, from the weights of all networks: neither nodes nor sweeps nor controls are shared."""
    net = NeuralODE(case.activation)
    limit, widths = bessel(net, PAIR), case.widths
    means, errors, off = (np.empty(widths.size) for _ in range(3))
    for k, (n, e) in enumerate(zip(widths.astype(int).tolist(), case.errors, strict=True)):
        values, controls, changes = list[Array](), list[Array](), list[Array]()
        for U, W, v in networks(config, case.activation, n, e.size, PAIR.shape[1]):
            values.append(along(by_series(net, U, W, v), limit))
            controls.append(averages(net, U, W, v, PAIR @ PAIR.T, np.ones((2, 2))))
            if not changes:
                few = slice(SAMPLED)
                rough = batch(net, U[few], W[few], v[few], PAIR, gauss(nodes=NODES, steps=1, horizon=net.horizon))
                changes.append(np.abs(along(rough.kernel, limit) - values[0][few]))
        means[k], errors[k] = intercepted(np.concatenate(values), np.concatenate(controls))
        change = changes[0]
        off[k] = float(change.mean() + 4 * change.std() / np.sqrt(change.size))
    # Weighted least squares for n E e = c + b/n in closed form, weights 1/(n δ)².
    weight, x, y = (widths * errors) ** -2, 1 / widths, widths * means
    mean_x = weight @ x / weight.sum()
    of_each = weight / weight.sum() - mean_x * weight * (x - mean_x) / (weight @ (x - mean_x) ** 2)
    assert isinstance(claim.measured, float)
    return compare(
        r"$\lim n (E K_\theta / K_\infty - 1)$, $\phi(z) = z$, all networks",
        {"recorded, by collocation": claim.measured, "series of the exponential": float(of_each @ y)},
        allowed=2 * float(np.abs(of_each) @ (widths * off)), relative=False, claims=(claim.id,),
        because=f"error of {NODES} nodes, measured on {SAMPLED} networks of each width, in the values and in their "
        "regression",
    )  # fmt: skip


def by_series(net: NeuralODE, U: Array, W: Array, v: Array) -> Array:
    """K_θ for φ(z) = z and networks (count, …), from h_t = Σ_i t^i a_i and λ_t = Σ_k (T − t)^k b_k.

    ∫ t^i (T − t)^k dt is a beta function, so that the double integral of K_W is a double sum.
    """
    n, T, k = U.shape[1], net.horizon, np.arange(TERMS)
    A, AT = net.sigma_w / np.sqrt(n) * W, net.sigma_w / np.sqrt(n) * W.transpose(0, 2, 1)
    a, b = [net.sigma_u * U @ PAIR.T], [net.sigma_v / np.sqrt(n) * v[:, :, None]]
    for i in range(1, TERMS):
        a.append(A @ a[-1] / i)
        b.append(AT @ b[-1] / i)
    h, lam = np.stack(a, axis=1), np.stack(b, axis=1)[..., 0]  # (count, terms, n, N) and (count, terms, n)
    integral = T ** (k[:, None] + k + 1) * beta(k[:, None] + 1, k + 1)
    of_lam = integral @ (lam @ lam.transpose(0, 2, 1)) @ integral.T
    rows = h.transpose(0, 3, 1, 2).reshape(len(U), -1, n)
    of_h = (rows @ rows.transpose(0, 2, 1)).reshape(len(U), len(PAIR), TERMS, len(PAIR), TERMS)
    powers = T**k
    hT, lam0 = np.einsum("i,cina->cna", powers, h), np.einsum("k,ckn->cn", powers, lam)
    found: Array = (
        net.sigma_u**2 * np.sum(lam0**2, axis=1)[:, None, None] * (PAIR @ PAIR.T)
        + net.sigma_w**2 / n * np.einsum("cij,caibj->cab", of_lam, of_h)
        + net.sigma_v**2 / n * hT.transpose(0, 2, 1) @ hT
    )
    return found


# Paths


def suprema_road(config: Config, square: Array, widths: Array) -> Agreement:
    """The first paths once more, at all widths."""
    net = NeuralODE("softplus")
    limit, scale = net.limit().ntk(PAIR), np.sqrt(np.sum(net.limit().ntk(PAIR) ** 2))
    U, W, v = first_paths(config, int(widths[-1]), CHECKED)
    exact, change = np.empty((len(U), widths.size)), 0.0  # as many as are solved together, if these are fewer
    for k, n in enumerate(widths.astype(int).tolist()):
        parts = U[:, :n], W[:, :n, :n], v[:, :n]
        K = np.stack([net.ntk(Params(*one), PAIR, solver=SolveIVP()) for one in zip(*parts, strict=True)])
        rough, fine = (
            batch(net, *parts, PAIR, gauss(nodes=m, steps=1, horizon=1.0)).kernel for m in (NODES, 2 * NODES)
        )
        exact[:, k] = np.linalg.norm(K - limit, axis=(1, 2)) / scale
        change = max(change, float(np.linalg.norm(fine - rough, axis=(1, 2)).max() / scale))
    return compare(
        rf"$\|K_\theta - K_\infty\| / \|K_\infty\|$ of {len(U)} nested networks (softplus)",
        {"recorded, by collocation of a batch": np.sqrt(square[: len(U)]), "scipy.integrate": exact},
        allowed=2 * change + 1e-6, relative=False, claims=("supremum",),
        because="change with twice the nodes, which leave half of the error at most; sweeps end at 1e-8, and rtol = "
        "1e-10 grows along the path",
    )  # fmt: skip
