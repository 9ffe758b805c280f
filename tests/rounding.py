"""What single precision may cost, from a model of its roundings: Monte Carlo arithmetic (Parker, 1997).

In the model roundings are independent and of mean zero. Every operation of the formulas of a scheme is followed, in
float64, by a random error of the size that float32 may make there, u = 2⁻²⁴: 2u of a number that a few elementary
operations made, 4u of φ and φ' (two units in the last place), and of a sum of k products u Σ |a_k| |b_k| if its terms
have random signs, as those with U, W and v do, and √k u Σ |a_k| |b_k| if not, as in K (Higham and Mary, SIAM J. Sci.
Comput. 41 and 42, 2019 and 2020). The equations themselves carry these errors on, so that nothing is lost to estimates.
One sample is as far from the truth as float32 would be if it were random; `TIMES` the largest of `SAMPLES` is what it
is allowed.

The formulas are written once more here, in plain NumPy and over the whole tableau.
"""

from __future__ import annotations

import numpy as np

U = 2.0**-24
SAMPLES = 8
TIMES = 4
"""A ninth sample exceeds the largest of eight once in nine times, and four times it never; BLAS errs by less."""


class Noise:
    """Random errors: of size 0 without a generator."""

    def __init__(self, rng: np.random.Generator | None) -> None:
        self.rng = rng

    def __call__(self, size: np.ndarray, times: float) -> np.ndarray:
        """Errors up to `times` u |size|, entry by entry."""
        if self.rng is None:
            return 0.0 * size
        return times * U * np.abs(size) * self.rng.uniform(-1, 1, size.shape)


def answers(case, scheme, seed: int | None) -> dict[str, np.ndarray]:
    """f (N,), ∇L (P,) and K_θ (N, N) of `case` under `scheme`: with the roundings of float32, or (seed None) exact."""
    net, X, y = case.net, case.X, case.y
    noise = Noise(None if seed is None else np.random.default_rng([seed, 32]))
    U_, W, v = (block + noise(block, 2) for block in case.scaled)
    A, b, n = scheme.matrix, scheme.weights, len(v)

    def product(left, right, times=1.0):
        return left @ right + noise(np.abs(left) @ np.abs(right), times)

    def errors(shape):
        return [noise(np.ones(shape), 1) for _ in range(6)]

    def solved(update, stages):
        for _ in range(200):
            new = update(stages)
            if np.abs(new - stages).max() <= 1e-14 * np.abs(new).max():
                return new
            stages = new
        raise AssertionError("the stage equations were not solved")

    # The errors of one solution are drawn once, relative to what they fall on: then its equations have a solution.
    shape = (len(b), n, len(X))
    of_phi, of_rate, of_sum, of_dphi, of_back, of_adjoint = errors(shape)
    h0 = product(U_, X.T)

    def rates(h):
        phi = net.phi.phi(h) * (1 + 4 * of_phi)
        return W @ phi + of_rate * (np.abs(W) @ np.abs(phi))

    def forward(h):
        return h0 + np.tensordot(A, rates(h), axes=1) + 2 * of_sum * np.abs(h)

    h = solved(forward, np.broadcast_to(h0, shape))
    end = h0 + np.tensordot(b, rates(h), axes=1)
    end = end + noise(end, 2)
    phi, slope = net.phi.phi(h) * (1 + 4 * of_phi), net.phi.dphi(h) * (1 + 4 * of_dphi)
    phi_T, slope_T = (part + noise(part, 4) for part in (net.phi.phi(end), net.phi.dphi(end)))

    adjoint_T = slope_T * v[:, None]
    back = (b[:, None] * A / b).T

    def backward(lam):
        slopes = slope * (W.T @ lam + of_back * (np.abs(W.T) @ np.abs(lam)))
        return adjoint_T + np.tensordot(back, slopes, axes=1) + 2 * of_adjoint * np.abs(lam)

    lam = solved(backward, np.broadcast_to(adjoint_T, shape))
    adjoint_0 = adjoint_T + np.tensordot(b, slope * (W.T @ lam + of_back * (np.abs(W.T) @ np.abs(lam))), axes=1)
    adjoint_0 = adjoint_0 + noise(adjoint_0, 2)

    f = product(v, phi_T)
    weighted, root = b[:, None, None] * lam, np.sqrt(n)
    J_U = net.sigma_u * np.einsum("nN,Nd->Nnd", adjoint_0, X)
    J_W = net.sigma_w / root * np.einsum("jiN,jkN->Nik", weighted, phi)
    J_W = J_W + noise(net.sigma_w / root * np.einsum("jiN,jkN->Nik", np.abs(weighted), np.abs(phi)), 1)
    J_v = net.sigma_v / root * phi_T.T
    J = np.concatenate([block.reshape(len(X), -1) for block in (J_U, J_W, J_v)], axis=1)
    J = J + noise(J, 2)
    return {"predict": f, "gradient": product(f - y, J), "ntk": product(J, J.T, root)}


def allowed(case, scheme) -> dict[str, float]:
    """By how much float32 may miss each of the quantities, in the 2-norm over all entries."""
    exact = answers(case, scheme, None)
    samples = [answers(case, scheme, seed) for seed in range(SAMPLES)]
    return {
        name: TIMES * max(float(np.linalg.norm(sample[name] - truth)) for sample in samples)
        for name, truth in exact.items()
    }
