"""Correct implementations of the protocol, of as many styles as there are ways to write a Neural ODE.

Each is right to nine digits at least where it answers, and raises NotImplementedError where its method is not up to
that: a kinked φ under a solver that does not look for kinks, or a horizon that its steps would not resolve.
"""

from __future__ import annotations

import math
from functools import wraps
from types import SimpleNamespace

import numpy as np
from scipy import integrate, linalg, special

import refimpl
from tests.conformance.plain import KINKED, PHI, Plain

TIGHT = {"method": "DOP853", "rtol": 3e-14, "atol": 1e-18}


def double(*arrays):
    return tuple(np.asarray(a, dtype=np.float64) for a in arrays)


def remembered(sweep):
    """A method of (U, W, v, X, s) whose answers are kept: three quantities come from one solution."""
    kept = {}

    @wraps(sweep)
    def looked_up(self, *args):
        key = (type(self), args[-1], *((np.asarray(a).tobytes(), np.shape(a)) for a in args[:-1]))
        if key not in kept:
            kept[key] = sweep(self, *args)
        return kept[key]

    return looked_up


def smooth(s):
    if s.activation in KINKED:
        raise NotImplementedError(f"{s.activation} has a kink, and this solver does not look for it")
    return PHI[s.activation]


def solved(rhs, y0, T, **options):
    y = integrate.solve_ivp(rhs, (0, T), y0, **(TIGHT | options))
    if not y.success:
        raise NotImplementedError(y.message)
    return y


# --- the whole protocol -------------------------------------------------------------------------------------------


class Lists(Plain):
    """The plain one; answers are nested lists of Python floats."""

    def __getattribute__(self, name):
        value = super().__getattribute__(name)
        if name not in refimpl.conformance.candidate.QUANTITIES:
            return value

        def listed(*args, **keywords):
            answer = value(*args, **keywords)
            return [a.tolist() for a in answer] if isinstance(answer, tuple) else answer.tolist()

        return listed


class Package:
    """The package itself: Gauss and Euler, also in the limit. Gradients come as `Params`."""

    def _net(self, s):
        return refimpl.NeuralODE(s.activation, s.horizon, s.sigma_u, s.sigma_w, s.sigma_v)

    def _theta(self, U, W, v):
        return refimpl.Params(*double(U, W, v))

    def _solver(self, s):
        return refimpl.SolveIVP(rtol=1e-12, atol=1e-15) if s.activation in KINKED else refimpl.Gauss(rtol=1e-11)

    def _gradient(self, U, W, v, X, s, solver):
        net, theta, (X,) = self._net(s), self._theta(U, W, v), double(X)
        return net.gradient(theta, X, net.predict(theta, X, solver=solver) - 1, solver=solver)

    def predict(self, U, W, v, X, settings):
        return self._net(settings).predict(self._theta(U, W, v), *double(X), solver=self._solver(settings))

    def terminal_state(self, U, W, v, X, settings):
        t, theta = np.array([0.0, settings.horizon]), self._theta(U, W, v)
        return self._net(settings).trajectory(theta, *double(X), t, solver=self._solver(settings)).h[-1]

    def initial_adjoint(self, U, W, v, X, settings):
        t, theta = np.array([0.0, settings.horizon]), self._theta(U, W, v)
        return self._net(settings).trajectory(theta, *double(X), t, solver=self._solver(settings)).adjoint[0]

    def gradient(self, U, W, v, X, settings):
        net, solver = self._net(settings), self._solver(settings)
        J = net.jacobian(self._theta(U, W, v), *double(X), solver=solver)
        return refimpl.Params(J.U.sum(0), J.W.sum(0), J.v.sum(0))

    def ntk(self, U, W, v, X, settings):
        return self._net(settings).ntk(self._theta(U, W, v), *double(X), solver=self._solver(settings))

    def resnet_predict(self, U, W, v, X, settings):
        solver = refimpl.Euler(settings.depth)
        return self._net(settings).predict(self._theta(U, W, v), *double(X), solver=solver)

    def resnet_gradient(self, U, W, v, X, settings):
        return self._gradient(U, W, v, X, settings, refimpl.Euler(settings.depth))

    def resnet_ntk(self, U, W, v, X, settings):
        solver = refimpl.Euler(settings.depth)
        return self._net(settings).ntk(self._theta(U, W, v), *double(X), solver=solver)

    def _limit(self, s):
        return self._net(s).limit(refimpl.Gauss(rtol=1e-9 if s.activation in KINKED else 1e-12))

    def limit_ntk(self, X, settings):
        return self._limit(settings).ntk(*double(X))

    def limit_nngp(self, X, settings):
        return self._limit(settings).nngp(*double(X))


# --- solvers of scipy ---------------------------------------------------------------------------------------------


class Adjoint:
    """The continuous adjoint, flattened with the integral for ∂f/∂W into one vector; h from dense output."""

    def _sweep(self, U, W, v, x, s):
        (phi, dphi), n = smooth(s), len(v)
        A = s.sigma_w / math.sqrt(n) * W
        h = solved(lambda t, h: A @ phi(h), s.sigma_u * U @ x, s.horizon, dense_output=True)
        end = h.y[:, -1]

        def backwards(tau, y):  # τ = T − t
            at, lam = h.sol(s.horizon - tau), y[:n]
            return np.concatenate([dphi(at) * (A.T @ lam), np.outer(lam, phi(at)).ravel()])

        start = np.concatenate([s.sigma_v / math.sqrt(n) * dphi(end) * v, np.zeros(n * n)])
        y = solved(backwards, start, s.horizon, atol=max(1e-16 * np.abs(start).max(), 1e-300)).y[:, -1]
        return end, y[:n], s.sigma_w / math.sqrt(n) * y[n:].reshape(n, n), s.sigma_v / math.sqrt(n) * phi(end)

    @remembered
    def _rows(self, U, W, v, X, s):
        U, W, v, X = double(U, W, v, X)
        return [self._sweep(U, W, v, x, s) for x in X]

    def predict(self, U, W, v, X, settings):
        return np.array([v @ row[3] for row in self._rows(U, W, v, X, settings)])

    def initial_adjoint(self, U, W, v, X, settings):
        return np.array([row[1] for row in self._rows(U, W, v, X, settings)])

    def gradient(self, U, W, v, X, settings):
        rows = self._rows(U, W, v, X, settings)
        gU = settings.sigma_u * sum(np.outer(row[1], x) for row, x in zip(rows, X, strict=True))
        return {"U": gU, "W": sum(row[2] for row in rows), "v": sum(row[3] for row in rows)}


class ForwardSensitivities:
    """∂h_t/∂θ along with h_t: no adjoint. Jacobians per sample, and K_θ = J Jᵀ."""

    def _jacobian(self, U, W, v, x, s):
        (phi, dphi), n, d = smooth(s), len(v), len(x)
        if s.horizon > 4 or n > 4:
            raise NotImplementedError("too many sensitivities for so long a time")
        A, h0 = s.sigma_w / math.sqrt(n) * W, s.sigma_u * U @ x
        count = n * d + n * n

        def rhs(t, y):
            h, J = y[:n], y[n:].reshape(n, count)
            rate = A @ (dphi(h)[:, None] * J)
            rate[:, n * d :] += s.sigma_w / math.sqrt(n) * np.kron(np.eye(n), phi(h)[None])
            return np.concatenate([A @ phi(h), rate.ravel()])

        J0 = np.hstack([s.sigma_u * np.kron(np.eye(n), x[None]), np.zeros((n, n * n))])
        y = solved(rhs, np.concatenate([h0, J0.ravel()]), s.horizon, rtol=1e-12).y[:, -1]
        h, J = y[:n], y[n:].reshape(n, count)
        out = s.sigma_v / math.sqrt(n)
        return out * v @ phi(h), np.concatenate([out * (v * dphi(h)) @ J, out * phi(h)])

    @remembered
    def _rows(self, U, W, v, X, s):
        U, W, v, X = double(U, W, v, X)
        return [self._jacobian(U, W, v, x, s) for x in X]

    def predict(self, U, W, v, X, settings):
        return tuple(float(f) for f, _ in self._rows(U, W, v, X, settings))

    def gradient(self, U, W, v, X, settings):
        g, (n, d) = sum(J for _, J in self._rows(U, W, v, X, settings)), U.shape
        return SimpleNamespace(U=g[: n * d].reshape(n, d), W=g[n * d : -n].reshape(n, n), v=g[-n:])

    def ntk(self, U, W, v, X, settings):
        J = np.array([row for _, row in self._rows(U, W, v, X, settings)])
        return J @ J.T


COMPLEX = {
    "softplus": lambda z: np.logaddexp(0, z.real) + 1j * z.imag * special.expit(z.real),
    "sigmoid": lambda z: special.expit(z.real) * (1 + 1j * z.imag * special.expit(-z.real)),
    "tanh": np.tanh,
    "erf": special.erf,
    "gelu": lambda z: z * special.ndtr(z),
    "silu": lambda z: z * special.expit(z.real) * (1 + 1j * z.imag * special.expit(-z.real)),
    "sin": np.sin,
    "cos": np.cos,
    "identity": lambda z: z,
    "quadratic": lambda z: z * z / 2,
}  # fmt: skip


class ComplexStep:
    """Derivatives from imaginary parts: every parameter in turn is moved by 10⁻³⁰ i, all of them in one batch."""

    def _f(self, U, W, v, x, s, shift=0):
        """f for a batch of parameters (B, n, d), (B, n, n), (B, n), and h_0 moved by `shift`."""
        smooth(s)
        phi, (batch, n) = COMPLEX[s.activation], v.shape
        if s.horizon > 4:
            raise NotImplementedError("long horizon")
        h0 = (s.sigma_u * U @ x + shift).astype(complex)

        def rhs(t, y):  # imaginary parts in units of the real ones, for the step control sees the modulus only
            z = self._join(y, batch, n)
            return self._split(s.sigma_w / math.sqrt(n) * np.einsum("bij,bj->bi", W, phi(z)))

        end = self._join(solved(rhs, self._split(h0), s.horizon, rtol=1e-12).y[:, -1], batch, n)
        return s.sigma_v / math.sqrt(n) * np.einsum("bi,bi->b", v, phi(end))

    @staticmethod
    def _split(z):
        return np.concatenate([z.real.ravel(), z.imag.ravel() * 1e30])

    @staticmethod
    def _join(y, batch, n):
        re, im = y.reshape(2, batch, n)
        return re + 1e-30j * im

    def predict(self, U, W, v, X, settings):
        U, W, v, X = double(U, W, v, X)
        return np.array([self._f(U[None], W[None], v[None], x, settings)[0].real for x in X])

    def initial_adjoint(self, U, W, v, X, settings):
        U, W, v, X = double(U, W, v, X)
        n = len(v)
        batch = [np.broadcast_to(a, (n, *a.shape)) for a in (U, W, v)]
        return np.array([self._f(*batch, x, settings, 1e-30j * np.eye(n)).imag * 1e30 for x in X])

    def gradient(self, U, W, v, X, settings):
        U, W, v, X = double(U, W, v, X)
        n, d = U.shape
        theta = np.concatenate([U.ravel(), W.ravel(), v])
        moved = theta + 1e-30j * np.eye(len(theta))
        batch = (moved[:, : n * d].reshape(-1, n, d), moved[:, n * d : -n].reshape(-1, n, n), moved[:, -n:])
        g = sum(self._f(*batch, x, settings).imag * 1e30 for x in X)
        return g[: n * d].reshape(n, d), g[n * d : -n].reshape(n, n), g[-n:]


class Radau:
    """An implicit method with its Jacobian; short horizons, for its order is 5."""

    def terminal_state(self, U, W, v, X, settings):
        s, (U, W, X) = settings, double(U, W, X)
        phi, dphi = smooth(s)
        if s.horizon > 0.5 or np.abs(X).max() > 4 or s.activation == "quadratic":
            raise NotImplementedError("order 5 is too low")
        A = s.sigma_w / math.sqrt(len(v)) * W
        return np.array(
            [
                solved(
                    lambda t, h: A @ phi(h), s.sigma_u * U @ x, s.horizon, method="Radau", rtol=1e-11, atol=1e-13,
                    jac=lambda t, h: A * dphi(h),
                ).y[:, -1]
                for x in X
            ]
        )  # fmt: skip


# --- solvers of one's own -----------------------------------------------------------------------------------------


class RungeKutta:
    """The classical method in plain loops, with twice the steps until two answers agree."""

    def terminal_state(self, U, W, v, X, settings):
        s, (U, W, X) = settings, double(U, W, X)
        phi, _ = smooth(s)
        A, last = s.sigma_w / math.sqrt(len(v)) * W, None
        for steps in (32, 64, 128, 256, 512, 1024, 2048):
            h, dt = s.sigma_u * X @ U.T, s.horizon / steps
            with np.errstate(over="ignore", invalid="ignore"):
                for _ in range(steps):
                    k1 = phi(h) @ A.T
                    k2 = phi(h + dt / 2 * k1) @ A.T
                    k3 = phi(h + dt / 2 * k2) @ A.T
                    k4 = phi(h + dt * k3) @ A.T
                    h = h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            if last is not None and np.linalg.norm(h - last) < 1e-10 * np.linalg.norm(h):
                return h
            last = h
        raise NotImplementedError("too few steps")

    def predict(self, U, W, v, X, settings):
        h = self.terminal_state(U, W, v, X, settings)
        if np.abs(h).max() < 1e-3 and settings.activation == "quadratic":
            raise NotImplementedError("small outputs lose digits to the norm that the steps were chosen in")
        return settings.sigma_v / math.sqrt(len(v)) * PHI[settings.activation][0](h) @ double(v)[0]


class BulirschStoer:
    """Gragg's midpoint rule on panels, extrapolated in even powers of the step."""

    def terminal_state(self, U, W, v, X, settings):
        s, (U, W, X) = settings, double(U, W, X)
        phi, _ = smooth(s)
        A, h, time = s.sigma_w / math.sqrt(len(v)) * W, s.sigma_u * X @ U.T, 0.0
        counts = np.arange(2, 30, 2)
        for _ in range(5000):
            if time >= s.horizon:
                return h
            rate = np.abs(phi(h) @ A.T).max() / (np.abs(h).max() if s.activation in ("quadratic", "identity") else 1)
            step = min(0.5 / (rate + np.linalg.norm(A, 2)), s.horizon - time)
            table = []
            for k, count in enumerate(counts):
                row = [self._midpoint(lambda z: phi(z) @ A.T, h, step, count)]
                for j in range(k):
                    ratio = (counts[k] / counts[k - 1 - j]) ** 2
                    row.append(row[j] + (row[j] - table[-1][j]) / (ratio - 1))
                table.append(row)
                if k and np.abs(row[-1] - table[-2][-1]).max() <= 1e-14 * np.abs(row[-1]).max():
                    break
            h, time = table[-1][-1], s.horizon if step == s.horizon - time else time + step
        raise NotImplementedError("too many panels")

    @staticmethod
    def _midpoint(rhs, h, step, count):
        dt = step / count
        before, now = h, h + dt * rhs(h)
        for _ in range(count - 1):
            before, now = now, before + 2 * dt * rhs(now)
        return (before + now + dt * rhs(now)) / 2


class Taylor:
    """Power series, where φ along a series has a short recurrence: sin, cos, tanh, sigmoid, z and z²/2."""

    TERMS = 30

    def _series(self, s, A, h):
        H = [h]
        if s.activation in ("sin", "cos"):
            S, C = [np.sin(h)], [np.cos(h)]
        elif s.activation in ("tanh", "sigmoid"):
            y = [PHI[s.activation][0](h)]
        elif s.activation not in ("identity", "quadratic"):
            raise NotImplementedError(s.activation)
        for k in range(self.TERMS):
            if k and s.activation in ("sin", "cos"):
                S.append(sum(j * H[j] * C[k - j] for j in range(1, k + 1)) / k)
                C.append(-sum(j * H[j] * S[k - j] for j in range(1, k + 1)) / k)
            elif k and s.activation in ("tanh", "sigmoid"):
                square = [sum(y[i] * y[m - i] for i in range(m + 1)) for m in range(k)]
                if s.activation == "tanh":
                    slope = [float(m == 0) - q for m, q in enumerate(square)]
                else:
                    slope = [y[m] - q for m, q in enumerate(square)]
                y.append(sum(j * H[j] * slope[k - j] for j in range(1, k + 1)) / k)
            if s.activation in ("sin", "cos"):
                phi = (S if s.activation == "sin" else C)[k]
            elif s.activation in ("tanh", "sigmoid"):
                phi = y[k]
            else:
                phi = H[k] if s.activation == "identity" else sum(H[i] * H[k - i] for i in range(k + 1)) / 2
            H.append(A @ phi / (k + 1))
        return H

    def terminal_state(self, U, W, v, X, settings):
        s, (U, W, X) = settings, double(U, W, X)
        A, out = s.sigma_w / math.sqrt(len(v)) * W, []
        for x in X:
            h, time = s.sigma_u * U @ x, 0.0
            for _ in range(2000):
                H = self._series(s, A, h)
                size, last = np.abs(h).max() or 1.0, max(np.abs(H[-1]).max(), np.abs(H[-2]).max())
                step = min(s.horizon - time, (1e-17 * size / last) ** (1 / self.TERMS) if last else np.inf)
                h = sum(c * step**k for k, c in enumerate(H))
                time = s.horizon if step == s.horizon - time else time + step
                if time == s.horizon:
                    break
            else:
                raise NotImplementedError("too many steps")
            out.append(h)
        return np.array(out)


class Newton:
    """Gauss collocation with Newton's iteration, and λ_0 from the Jacobian of the flow: no adjoint equation."""

    def _flow(self, U, W, v, x, s, order=9):
        phi, dphi = smooth(s)
        n, A = len(v), s.sigma_w / math.sqrt(len(v)) * W
        tableau = _collocation(order)
        h, J, time = s.sigma_u * U @ x, np.eye(n), 0.0
        for _ in range(2000):
            rate = np.abs(A @ phi(h)).max() if s.activation not in ("identity", "quadratic") else 0.0
            speed = rate + np.linalg.norm(A, 2) * max(np.abs(dphi(h)).max(), 0.3)
            step = min(s.horizon - time, 0.5 / max(speed, 1e-3))
            H = np.tile(h, (order, 1))
            for _ in range(12):
                residual = H - h - step * tableau[0] @ (phi(H) @ A.T)
                blocks = np.eye(order * n) - step * np.einsum("pq,ij,qj->piqj", tableau[0], A, dphi(H)).reshape(
                    order * n, order * n
                )
                change = np.linalg.solve(blocks, residual.ravel()).reshape(order, n)
                H = H - change
                if np.abs(change).max() <= 1e-15 * np.abs(H).max():
                    break
            inner = np.linalg.solve(blocks, np.tile(J, (order, 1))).reshape(order, n, n)
            J = J + step * np.einsum("q,ij,qj,qjk->ik", tableau[1], A, dphi(H), inner)
            h = h + step * tableau[1] @ (phi(H) @ A.T)
            time = s.horizon if step == s.horizon - time else time + step
            if time == s.horizon:
                return h, J
        raise NotImplementedError("too many steps")

    def terminal_state(self, U, W, v, X, settings):
        U, W, v, X = double(U, W, v, X)
        return np.array([self._flow(U, W, v, x, settings)[0] for x in X])

    def initial_adjoint(self, U, W, v, X, settings):
        U, W, v, X = double(U, W, v, X)
        flows = [self._flow(U, W, v, x, settings) for x in X]
        dphi = PHI[settings.activation][1]
        return np.array([settings.sigma_v / math.sqrt(len(v)) * (v * dphi(h)) @ J for h, J in flows])


def _collocation(order):
    """A and b on [0, 1] from the moments of the nodes."""
    x, w = np.polynomial.legendre.leggauss(order)
    c = (x + 1) / 2
    powers = np.arange(order)
    A = np.linalg.solve(np.vander(c, increasing=True).T, (c[:, None] ** (powers + 1) / (powers + 1)).T).T
    return A, w / 2


# --- closed forms -------------------------------------------------------------------------------------------------


class MatrixExponential:
    """φ(z) = z: h_T = exp(TA) h_0, its Fréchet derivative, and Bessel functions in the limit."""

    def _A(self, W, v, s):
        if s.activation != "identity":
            raise NotImplementedError(s.activation)
        return s.horizon * s.sigma_w / math.sqrt(len(v)) * W

    def predict(self, U, W, v, X, settings):
        U, W, v, X = double(U, W, v, X)
        s = settings
        return s.sigma_v / math.sqrt(len(v)) * v @ linalg.expm(self._A(W, v, s)) @ (s.sigma_u * U @ X.T)

    def gradient(self, U, W, v, X, settings):
        s, (U, W, v, X) = settings, double(U, W, v, X)
        A, root, x = self._A(W, v, s), math.sqrt(len(v)), X.sum(0)
        flow = linalg.expm(A)
        adjoint = s.sigma_v / root * flow.T @ v
        direction = np.outer(s.sigma_v / root * v, s.sigma_u * U @ x)
        gW = s.horizon * s.sigma_w / root * linalg.expm_frechet(A.T, direction, compute_expm=False)
        return s.sigma_u * np.outer(adjoint, x), gW, s.sigma_v / root * flow @ (s.sigma_u * U @ x)

    def limit_ntk(self, X, settings):
        self._A(np.eye(1), [1], settings)
        s, (X,) = settings, double(X)
        z = s.sigma_w * s.horizon
        return (s.sigma_u * s.sigma_v) ** 2 * X @ X.T * (2 * special.i0(2 * z) + z * special.i1(2 * z))

    def limit_nngp(self, X, settings):
        self._A(np.eye(1), [1], settings)
        s, (X,) = settings, double(X)
        return (s.sigma_u * s.sigma_v) ** 2 * X @ X.T * special.i0(2 * s.sigma_w * s.horizon)

    def limit_resnet_ntk(self, X, settings):
        self._A(np.eye(1), [1], settings)
        s, (X,) = settings, double(X)
        L, z = s.depth, s.sigma_w * s.horizon / s.depth
        total = sum((2 + k) * math.comb(L, k) ** 2 * z ** (2 * k) for k in range(L + 1))
        return (s.sigma_u * s.sigma_v) ** 2 * total * X @ X.T


class ClosedFormLimit(Plain):
    """Dual activations written out, where they are short."""

    predict = terminal_state = initial_adjoint = gradient = ntk = resnet_predict = resnet_gradient = resnet_ntk = None

    def expectations(self, s, s1, s2, c):
        s1, s2 = np.meshgrid(s1, s2, indexing="ij")
        match s.activation:
            case "identity":
                return c, np.ones_like(c)
            case "quadratic":
                return s1 * s2 / 4 + c * c / 2, c
            case "sin":
                return np.exp(-(s1 + s2) / 2) * np.sinh(c), np.exp(-(s1 + s2) / 2) * np.cosh(c)
            case "cos":
                return np.exp(-(s1 + s2) / 2) * np.cosh(c), np.exp(-(s1 + s2) / 2) * np.sinh(c)
            case "erf":
                full = (1 + 2 * s1) * (1 + 2 * s2)
                return 2 / np.pi * np.arcsin(2 * c / np.sqrt(full)), 4 / np.pi / np.sqrt(full - 4 * c * c)
            case "relu" if s1.min() > 0 and s2.min() > 0:
                root = np.sqrt(s1 * s2)
                theta = np.arccos(np.clip(c / root, -1, 1))
                return (root * np.sin(theta) + (np.pi - theta) * c) / (2 * np.pi), (np.pi - theta) / (2 * np.pi)
        raise NotImplementedError(s.activation)


class QuadratureLimit(Plain):
    """The trapezoidal rule on a plane for both expectations; a few layers of a smooth φ."""

    predict = terminal_state = initial_adjoint = gradient = ntk = resnet_predict = resnet_gradient = resnet_ntk = None
    limit_ntk = limit_nngp = None

    def expectations(self, s, s1, s2, c):
        phi, dphi = smooth(s)
        if s.depth > 2:
            raise NotImplementedError("slow")
        z = np.linspace(-9, 9, 181)
        w = np.exp(-(z**2) / 2)
        w /= w.sum()
        value, slope = np.empty_like(c), np.empty_like(c)
        for i, j in np.ndindex(c.shape):
            a, b = math.sqrt(s1[i]), math.sqrt(s2[j])
            rho = np.clip(c[i, j] / (a * b), -1, 1) if a * b else 0.0
            second = b * (rho * z[:, None] + math.sqrt(1 - rho**2) * z[None])
            value[i, j] = (w * phi(a * z)) @ phi(second) @ w
            slope[i, j] = (w * dphi(a * z)) @ dphi(second) @ w
        return value, slope


# --- residual networks --------------------------------------------------------------------------------------------


class PythonFloats:
    """The residual network and backpropagation in lists and floats, without an array."""

    def _run(self, U, W, v, x, s):
        U, W, v, x = (np.asarray(a, dtype=float).tolist() for a in (U, W, v, x))
        n, root = len(v), math.sqrt(len(v))
        value, slope = (lambda z, f=f: float(f(np.float64(z))) for f in PHI[s.activation])
        hs = [[s.sigma_u * sum(u * t for u, t in zip(row, x, strict=True)) for row in U]]
        scale = s.horizon / s.depth * s.sigma_w / root
        for _ in range(s.depth):
            p = [value(z) for z in hs[-1]]
            change = [sum(w * q for w, q in zip(row, p, strict=True)) for row in W]
            hs.append([z + scale * g for z, g in zip(hs[-1], change, strict=True)])
        lam = [s.sigma_v / root * vi * slope(z) for vi, z in zip(v, hs[-1], strict=True)]
        gW = [[0.0] * n for _ in range(n)]
        for h in hs[-2::-1]:
            for i in range(n):
                for j in range(n):
                    gW[i][j] += scale * lam[i] * value(h[j])
            lam = [lam[j] + scale * slope(h[j]) * sum(W[i][j] * lam[i] for i in range(n)) for j in range(n)]
        gv = [s.sigma_v / root * value(z) for z in hs[-1]]
        return sum(a * b for a, b in zip(v, gv, strict=True)), [[s.sigma_u * a * t for t in x] for a in lam], gW, gv

    def resnet_predict(self, U, W, v, X, settings):
        return [self._run(U, W, v, x, settings)[0] for x in X]

    def resnet_gradient(self, U, W, v, X, settings):
        rows = [self._run(U, W, v, x, settings) for x in X]
        gU = [[sum(r[1][i][j] for r in rows) for j in range(len(X[0]))] for i in range(len(v))]
        gW = [[sum(r[2][i][j] for r in rows) for j in range(len(v))] for i in range(len(v))]
        return [gU, gW, [sum(r[3][i] for r in rows) for i in range(len(v))]]

    def resnet_ntk(self, U, W, v, X, settings):
        J = [np.concatenate([np.ravel(part) for part in self._run(U, W, v, x, settings)[1:]]) for x in X]
        return [[float(p @ q) for q in J] for p in J]


class TorchBackprop:
    """The residual network in PyTorch, and its gradients by autograd; tensors come back, that of f with its graph."""

    def _f(self, U, W, v, x, s):
        phi, root = _torch_phi(s.activation), math.sqrt(len(v))
        h = s.sigma_u * U @ x
        for _ in range(s.depth):
            h = h + s.horizon / s.depth * s.sigma_w / root * W @ phi(h)
        return s.sigma_v / root * v @ phi(h)

    @remembered
    def _rows(self, U, W, v, X, s):
        """f and ∇f of every row."""
        import torch

        leaves = [torch.tensor(a.astype(float), requires_grad=True) for a in (U, W, v)]
        values = [self._f(*leaves, torch.tensor(x), s) for x in X.astype(float)]
        return values, [torch.autograd.grad(f, leaves, retain_graph=True) for f in values]

    def resnet_predict(self, U, W, v, X, settings):
        import torch

        return torch.stack(self._rows(U, W, v, X, settings)[0])

    def resnet_gradient(self, U, W, v, X, settings):
        return tuple(sum(parts) for parts in zip(*self._rows(U, W, v, X, settings)[1], strict=True))

    def resnet_ntk(self, U, W, v, X, settings):
        import torch

        J = torch.stack([torch.cat([part.ravel() for part in row]) for row in self._rows(U, W, v, X, settings)[1]])
        return J @ J.T


class TorchOde(TorchBackprop):
    """Runge-Kutta of order 4 in PyTorch, extrapolated in the step and differentiated as it stands."""

    resnet_predict = resnet_gradient = resnet_ntk = None

    def _f(self, U, W, v, x, s):
        smooth(s)
        if s.horizon > 1 or np.abs(x.numpy()).max() > 4 or s.sigma_w > 1.25:
            raise NotImplementedError("more steps than are worth while")
        import torch

        phi, root, row = _torch_phi(s.activation), math.sqrt(len(v)), []
        A = s.sigma_w / root * W
        for level in range(5):
            steps, h = 4 * 2**level, s.sigma_u * U @ x
            dt = s.horizon / steps
            for _ in range(steps):
                k1 = A @ phi(h)
                k2 = A @ phi(h + dt / 2 * k1)
                k3 = A @ phi(h + dt / 2 * k2)
                h = h + dt / 6 * (k1 + 2 * k2 + 2 * k3 + A @ phi(h + dt * k3))
            new = [h]
            for j, last in enumerate(row):
                new.append(new[-1] + (new[-1] - last) / (2 ** (4 + j) - 1))
            if row and torch.linalg.norm(new[-2] - new[-1]) < 1e-11 * torch.linalg.norm(h):
                return s.sigma_v / root * v @ phi(new[-1])
            row = new
        raise NotImplementedError("not enough steps")

    def predict(self, U, W, v, X, settings):
        return [f.detach() for f in self._rows(U, W, v, X, settings)[0]]

    def gradient(self, U, W, v, X, settings):
        parts = zip(*self._rows(U, W, v, X, settings)[1], strict=True)
        return dict(zip("UWv", (sum(part) for part in parts), strict=True))

    def ntk(self, U, W, v, X, settings):
        return TorchBackprop.resnet_ntk(self, U, W, v, X, settings)


def _torch_phi(name):
    import torch
    from torch.nn import functional

    return {
        "softplus": lambda z: functional.softplus(z, threshold=1e9), "sigmoid": torch.sigmoid, "tanh": torch.tanh,
        "erf": torch.erf, "gelu": functional.gelu, "silu": functional.silu, "sin": torch.sin, "cos": torch.cos,
        "identity": lambda z: z, "quadratic": lambda z: z * z / 2, "elu": functional.elu, "relu": functional.relu,
        "leaky_relu": functional.leaky_relu,
    }[name]  # fmt: skip


CANDIDATES = (
    Plain, Lists, Package, Adjoint, ForwardSensitivities, ComplexStep, Radau, RungeKutta, BulirschStoer, Taylor, Newton,
    MatrixExponential, ClosedFormLimit, QuadratureLimit, PythonFloats,
    TorchBackprop, TorchOde,
)  # fmt: skip
