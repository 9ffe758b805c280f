"""f, ∇f and K_θ against Taylor series in 50 digits, differentiated by differences: no quadrature, no adjoint."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pytest

from refimpl import Gauss, SolveIVP
from tests import formulas

mpmath = pytest.importorskip("mpmath")
mp = mpmath.mp

DIGITS, TERMS, STEPS, DIFFERENCE = 50, 20, 12, 24


def softplus_series(h):
    """φ(h), and the function that extends the Taylor series of φ along h by one coefficient.

    With the logistic function s: φ' = s h' and s' = (s − s²) h'.
    """
    y, s, p, rate = [mp.log1p(mp.exp(h))], [1 / (1 + mp.exp(-h))], [], []

    def extend(coefficient, k):
        rate.append((k + 1) * coefficient)
        p.append(s[k] - mp.fdot(s, s[::-1]))
        y.append(mp.fdot(s, rate[::-1]) / (k + 1))
        s.append(mp.fdot(p, rate[::-1]) / (k + 1))
        return y[-1]

    return y[0], extend


def tanh_series(h):
    """The same for tanh: φ' = (1 − φ²) h'."""
    y, p, rate = [mp.tanh(h)], [], []

    def extend(coefficient, k):
        rate.append((k + 1) * coefficient)
        p.append((k == 0) - mp.fdot(y, y[::-1]))
        y.append(mp.fdot(p, rate[::-1]) / (k + 1))
        return y[-1]

    return y[0], extend


SERIES = {"softplus": softplus_series, "tanh": tanh_series}
VALUE = {"softplus": lambda z: mp.log1p(mp.exp(z)), "tanh": lambda z: mp.tanh(z)}


def output(name, net, U, W, v, x):
    """f(x) for nested lists of mpf, by STEPS Taylor steps of TERMS terms."""
    n, d = len(v), len(x)
    w = mp.mpf(net.sigma_w) / mp.sqrt(n)
    h = [mp.mpf(net.sigma_u) * mp.fsum(U[i][j] * x[j] for j in range(d)) for i in range(n)]
    step = mp.mpf(net.horizon) / STEPS
    for _ in range(STEPS):
        neurons = [SERIES[name](z) for z in h]
        phi = [value for value, _ in neurons]
        series = [[z] for z in h]
        for k in range(TERMS):
            for i in range(n):
                series[i].append(w * mp.fdot(W[i], phi) / (k + 1))
            phi = [extend(series[i][-1], k) for i, (_, extend) in enumerate(neurons)]
        h = [mp.polyval(coefficients[::-1], step) for coefficients in series]
    return mp.mpf(net.sigma_v) / mp.sqrt(n) * mp.fsum(v[i] * VALUE[name](h[i]) for i in range(n))


def exact(array):
    return [exact(part) for part in array] if array.ndim else mp.mpf(float(array))


@lru_cache
def truth(name):
    """A small case with its f, ∇f and K_θ, rounded from 50 digits."""
    case = formulas.make(name, n=3, d=2, N=2, seed=7, horizon=1.0, sigma_u=1.25, sigma_w=1.5, sigma_v=0.75)
    with mp.workdps(DIGITS):
        blocks = [exact(block) for block in (case.theta.U, case.theta.W, case.theta.v)]
        tiny = mp.mpf(10) ** -DIFFERENCE
        values, rows = [], []
        for x in exact(case.X):
            f = output(name, case.net, *blocks, x)
            row = []
            for block in blocks:
                for holder in block if isinstance(block[0], list) else [block]:
                    for j in range(len(holder)):
                        kept, holder[j] = holder[j], holder[j] + tiny
                        row.append((output(name, case.net, *blocks, x) - f) / tiny)
                        holder[j] = kept
            values.append(f)
            rows.append(row)
        kernel = [[float(mp.fdot(p, q)) for q in rows] for p in rows]
        return case, np.asarray(values, dtype=float), np.asarray(rows, dtype=float), np.asarray(kernel)


@pytest.mark.parametrize("name", SERIES)
@pytest.mark.parametrize(
    ("solver", "tolerance"),
    [(Gauss(), 1e-13), (Gauss(16, 8), 1e-13), (SolveIVP(rtol=1e-12, atol=1e-14), 1e-11)],
    ids=str,
)
def test_output_gradient_and_kernel_agree_with_fifty_digits(name, solver, tolerance):
    case, f, gradient, kernel = truth(name)
    net, theta, X = case.net, case.theta, case.X
    assert formulas.relative(net.predict(theta, X, solver), f) < tolerance
    assert formulas.relative(formulas.flat(net.jacobian(theta, X, solver)), gradient) < tolerance
    assert formulas.relative(net.ntk(theta, X, solver=solver), kernel) < tolerance
    assert formulas.relative(net.gradient(theta, X, case.y, solver).ravel(), (f - case.y) @ gradient) < tolerance


@pytest.mark.parametrize("name", SERIES)
def test_the_truth_does_not_depend_on_the_number_of_terms(name, monkeypatch):
    case, f, _, _ = truth(name)
    monkeypatch.setitem(globals(), "TERMS", 28)
    with mp.workdps(DIGITS):
        more = output(name, case.net, *map(exact, (case.theta.U, case.theta.W, case.theta.v)), exact(case.X[0]))
        assert abs(more - mp.mpf(f[0])) < 2 * formulas.EPS * abs(more)
