"""Wrong implementations, as an author of a framework might write them: `Plain` with one mistake each.

`mistake` says in one line what is wrong; `expected_name_hint` are words of which one must be in the name that the check
gives to it, for mistakes that the numbers give away.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy import integrate

from tests.conformance.plain import KINKED, PHI, Nodes, Plain, _backward, euler, gauss

# --- the model ----------------------------------------------------------------------------------------------------


class NoSigmaU(Plain):
    mistake = "h_0 = U x: σ_u is forgotten"
    expected_name_hint = ("sigma u", "σ_u")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, sigma_u=1.0))

    def inner(self, x, y, s):
        return x @ y


class NoSigmaW(Plain):
    mistake = "W/√n instead of σ_w W/√n"
    expected_name_hint = ("sigma w", "σ_w")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, sigma_w=1.0))

    def limit_kernel(self, X, s, scheme, only_v=False):
        return super().limit_kernel(X, replace(s, sigma_w=1.0), scheme, only_v)


class NoSigmaV(Plain):
    mistake = "v/√n instead of σ_v v/√n"
    expected_name_hint = ("sigma v", "σ_v")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, sigma_v=1.0))

    def limit_kernel(self, X, s, scheme, only_v=False):
        return super().limit_kernel(X, replace(s, sigma_v=1.0), scheme, only_v)


class HorizonIgnored(Plain):
    mistake = "integrates to 1 whatever T is"
    expected_name_hint = ("horizon",)

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, X, replace(s, horizon=1.0))

    def horizon(self, s):
        return 1.0

    def resnet_scheme(self, s):
        return super().resnet_scheme(replace(s, horizon=1.0))


class TransposedWeights(Plain):
    mistake = "ḣ = Wᵀφ(h): W is laid out the other way round"
    expected_name_hint = ("transpose", "wt", "w^t", "wᵀ")

    def net(self, U, W, v, X, s):
        return super().net(U, np.asarray(W).T, v, X, s)

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows).T


class WrongRoot(Plain):
    mistake = "scales by 1/n where it should be 1/√n"
    expected_name_hint = ("sqrt", "√n", "1/n", "root", "width", "scal")

    def net(self, U, W, v, X, s):
        net = super().net(U, W, v, X, s)
        return replace(net, W=net.W / math.sqrt(net.n))


class StandardParameterisation(Plain):
    mistake = "takes W and v for weights already divided by √n"
    expected_name_hint = ("sqrt", "√n", "parameteri", "root", "width", "scal")

    def net(self, U, W, v, X, s):
        net = super().net(U, W, v, X, s)
        return replace(net, W=net.W * math.sqrt(net.n), v=net.v * math.sqrt(net.n))


class InputOverRootD(Plain):
    mistake = "h_0 = σ_u U x/√d"
    expected_name_hint = ("sqrt", "√d", "root", "dimension", "input")

    def net(self, U, W, v, X, s):
        return super().net(U, W, v, np.asarray(X, dtype=float) / math.sqrt(np.shape(X)[1]), s)

    def inner(self, x, y, s):
        return super().inner(x, y, s) / len(x)


class PreActivation(Plain):
    mistake = "ḣ = φ(W h): the activation is on the other side of W"
    limit_ntk = limit_nngp = limit_resnet_ntk = None
    gradient = ntk = initial_adjoint = resnet_gradient = resnet_ntk = None

    def resnet(self, net):
        phi, step, rows = PHI[net.s.activation][0], self.layer(net.s), []
        for h in net.h0:
            for _ in range(net.s.depth):
                h = h + step * phi(net.W @ h)
            rows.append(Nodes(None, None, None, None, h))
        return rows

    def ode(self, net):
        phi, rows = PHI[net.s.activation][0], []
        for h0 in net.h0:
            h = integrate.solve_ivp(lambda t, h: phi(net.W @ h), (0, net.s.horizon), h0, rtol=1e-8).y[:, -1]
            rows.append(Nodes(None, None, None, None, h))
        return rows


class LinearOutput(Plain):
    mistake = "f = σ_v vᵀh_T/√n: no activation before the output layer"
    expected_name_hint = ("output", "readout", "activation", "linear", "phi(h t)", "last")

    def output(self, net, rows):
        return np.array([net.v @ r.end for r in rows])


class MeanOutput(Plain):
    mistake = "f averages over neurons: σ_v/n instead of σ_v/√n"
    expected_name_hint = ("sqrt", "√n", "root", "1/n", "mean", "average", "scal", "width")

    def output(self, net, rows):
        return super().output(net, rows) / math.sqrt(net.n)


class InputActivation(Plain):
    mistake = "h_0 = φ(σ_u U x): an activation too many at the input"

    def net(self, U, W, v, X, s):
        net = super().net(U, W, v, X, s)
        return replace(net, h0=PHI[s.activation][0](net.h0))


# --- activations --------------------------------------------------------------------------------------------------


def _variant(name, activation, mistake, phi, dphi, hint):
    class Variant(Plain):
        def activation(self, s):
            return (phi, dphi) if s.activation == activation else super().activation(s)

    Variant.mistake, Variant.expected_name_hint, Variant.__name__ = mistake, hint, name
    return Variant


_C = math.sqrt(2 / math.pi)


def _gelu_tanh(z):
    return z / 2 * (1 + np.tanh(_C * (z + 0.044715 * z**3)))


def _dgelu_tanh(z):
    t = np.tanh(_C * (z + 0.044715 * z**3))
    return (1 + t) / 2 + z / 2 * (1 - t * t) * _C * (1 + 3 * 0.044715 * z * z)


TanhGelu = _variant("TanhGelu", "gelu", "GELU by its tanh approximation", _gelu_tanh, _dgelu_tanh, ("gelu",))
UnitErf = _variant(
    "UnitErf", "erf", "erf(z/√2), the error function of the normal distribution",
    lambda z: PHI["erf"][0](z / math.sqrt(2)), lambda z: PHI["erf"][1](z / math.sqrt(2)) / math.sqrt(2), ("erf",),
)  # fmt: skip
UnhalvedSquare = _variant(
    "UnhalvedSquare", "quadratic", "z² for z²/2", lambda z: z * z, lambda z: 2 * z, ("quadratic", "square", "z²")
)
FastSigmoidSilu = _variant(
    "FastSigmoidSilu", "silu", "swish with β = 1.702 for β = 1",
    lambda z: PHI["silu"][0](1.702 * z) / 1.702, lambda z: PHI["silu"][1](1.702 * z), ("silu", "swish"),
)  # fmt: skip
SharpSoftplus = _variant(
    "SharpSoftplus", "softplus", "softplus with β = 2 for β = 1",
    lambda z: PHI["softplus"][0](2 * z) / 2, lambda z: PHI["softplus"][1](2 * z), ("softplus",),
)  # fmt: skip
SquaredSigmoid = _variant(
    "SquaredSigmoid", "sigmoid", "φ' of the sigmoid taken as σ(z)²",
    PHI["sigmoid"][0], lambda z: PHI["sigmoid"][0](z) ** 2, ("sigmoid", "derivative", "dphi"),
)  # fmt: skip
SechTanh = _variant(
    "SechTanh", "tanh", "φ' of tanh as 1 − φ(φ): applied to values already squashed", PHI["tanh"][0],
    lambda z: 1 - np.tanh(np.tanh(z)) ** 2, ("tanh", "derivative", "dphi"),
)  # fmt: skip
CosSign = _variant("CosSign", "cos", "the derivative of cos is sin", np.cos, np.sin, ("cos", "derivative", "dphi"))


class KinkedVariant(Plain):
    """Kinked φ of another slope: in the residual network, which needs no crossing located."""

    predict = terminal_state = initial_adjoint = gradient = ntk = None
    limit_ntk = limit_nngp = limit_resnet_ntk = None
    which, functions = "", (None, None)

    def activation(self, s):
        return self.functions if s.activation == self.which else super().activation(s)


class LeakySlope(KinkedVariant):
    mistake = "leaky ReLU of slope 0.2 for 0.01"
    expected_name_hint = ("leaky", "slope")
    which = "leaky_relu"
    functions = (lambda z: np.where(z > 0, z, 0.2 * z), lambda z: np.where(z > 0, 1.0, 0.2))


class EluAlpha(KinkedVariant):
    mistake = "ELU of α = 0.5 for 1"
    expected_name_hint = ("elu", "alpha")
    which = "elu"
    functions = (
        lambda z: np.where(z > 0, z, 0.5 * np.expm1(np.minimum(z, 0))),
        lambda z: np.where(z > 0, 1.0, 0.5 * np.exp(np.minimum(z, 0))),
    )


class RightSlope(KinkedVariant):
    mistake = "φ'(0) = 1 for ReLU: the slope of the other side"
    expected_name_hint = ("kink", "one-sided", "phi'(0)", "dphi", "relu", "slope")
    which = "relu"
    initial_adjoint = Plain.initial_adjoint
    functions = (PHI["relu"][0], lambda z: np.where(z >= 0, 1.0, 0.0))


class HalfSlope(KinkedVariant):
    mistake = "φ'(0) = ½ for ReLU, the mean of both sides"
    expected_name_hint = ("kink", "one-sided", "phi'(0)", "dphi", "relu", "slope")
    which = "relu"
    initial_adjoint = Plain.initial_adjoint
    functions = (PHI["relu"][0], lambda z: np.heaviside(z, 0.5))


# --- the adjoint --------------------------------------------------------------------------------------------------


class AdjointSign(Plain):
    mistake = "λ̇ = +φ'(h) ⊙ Wᵀλ: the sign of the adjoint equation"
    expected_name_hint = ("sign",)

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, sign=-1.0)

    def backprop(self, net, nodes, step):
        return super().backprop(net, nodes, -step)


class AdjointTransposed(Plain):
    mistake = "W for Wᵀ in the adjoint equation"
    expected_name_hint = ("transpose", "wt", "w^t", "wᵀ")

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W, self.terminal(net, nodes), self.order)

    def backprop(self, net, nodes, step):
        return super().backprop(replace(net, W=net.W.T), nodes, step)


class AdjointWithoutSigmaW(Plain):
    mistake = "σ_w is missing in the adjoint equation"
    expected_name_hint = ("sigma w", "σ_w")

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W.T / net.s.sigma_w, self.terminal(net, nodes), self.order)

    def backprop(self, net, nodes, step):
        return super().backprop(replace(net, W=net.W / net.s.sigma_w), nodes, step)


class SlopeAtTheEnd(Plain):
    mistake = "φ'(h_T) at every time of the adjoint equation"
    expected_name_hint = ("time", "slope", "phi'", "dphi", "φ'")

    def adjoint(self, net, nodes):
        slope = np.broadcast_to(self.activation(net.s)[1](nodes.end), nodes.h.shape)
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, slope)


class SlopeAtTheStart(Plain):
    mistake = "φ'(h_0) at every time of the adjoint equation"
    expected_name_hint = ("time", "slope", "phi'", "dphi", "φ'")

    def adjoint(self, net, nodes):
        slope = np.broadcast_to(self.activation(net.s)[1](nodes.first), nodes.h.shape)
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, slope)


class SlopeForgotten(Plain):
    mistake = "λ̇ = −Wᵀλ: φ' is forgotten"
    expected_name_hint = ("slope", "phi'", "dphi", "φ'", "derivative", "time")

    def adjoint(self, net, nodes):
        return _backward(nodes, net.W.T, self.terminal(net, nodes), self.order, np.ones_like(nodes.h))


class TerminalSlopeForgotten(Plain):
    mistake = "λ_T = σ_v v/√n: φ'(h_T) is forgotten"
    expected_name_hint = ("terminal", "lambda t", "λ_t", "slope", "phi'", "φ'")

    def terminal(self, net, nodes):
        return net.v


class TerminalIsActivation(Plain):
    mistake = "λ_T = σ_v φ(h_T)⊙v/√n: φ for φ'"
    expected_name_hint = ("terminal", "lambda t", "λ_t", "phi")

    def terminal(self, net, nodes):
        return net.v * self.activation(net.s)[0](nodes.end)


class FrozenAdjoint(Plain):
    mistake = "λ stays λ_T: the gradient stops at the last layer"
    expected_name_hint = ("adjoint", "frozen", "constant", "terminal", "lambda")

    def adjoint(self, net, nodes):
        last = self.terminal(net, nodes)
        return np.broadcast_to(last, nodes.h.shape), last

    def backprop(self, net, nodes, step):
        return self.adjoint(net, nodes)


class BackwardReconstruction(Plain):
    mistake = "h is reconstructed backwards in time by a loose solver, and drifts"
    ntk = resnet_predict = resnet_gradient = resnet_ntk = limit_ntk = limit_nngp = limit_resnet_ntk = None

    def gradient(self, U, W, v, X, settings):
        net = self.net(U, W, v, X, settings)
        phi, dphi = self.activation(settings)
        rows, n = self.ode(net), net.n
        if settings.activation == "quadratic" or settings.activation in KINKED:
            raise NotImplementedError(settings.activation)
        gW, gU = np.zeros((n, n)), np.zeros(np.shape(U))
        for r, x in zip(rows, net.X, strict=True):

            def backwards(t, y):
                h, lam = y[:n], y[n : 2 * n]
                return np.concatenate([-net.W @ phi(h), dphi(h) * (net.W.T @ lam), np.outer(lam, phi(h)).ravel()])

            y0 = np.concatenate([r.end, self.terminal(net, r), np.zeros(n * n)])
            y = integrate.solve_ivp(backwards, (0, settings.horizon), y0, rtol=1e-5, atol=1e-7).y[:, -1]
            gW += settings.sigma_w / math.sqrt(n) * y[2 * n :].reshape(n, n)
            gU += settings.sigma_u * np.outer(y[n : 2 * n], x)
        return gU, gW, self.gradient_v(net, rows)


class LooseSolver(Plain):
    mistake = "solver tolerance 1e-3, the default of many"
    gradient = ntk = initial_adjoint = resnet_predict = resnet_gradient = resnet_ntk = None
    limit_ntk = limit_nngp = limit_resnet_ntk = None
    expected_name_hint = ("toleranc", "solver", "accura", "step")

    def terminal_state(self, U, W, v, X, settings):
        net, phi = self.net(U, W, v, X, settings), self.activation(settings)[0]
        span = (0, settings.horizon)
        return np.array([integrate.solve_ivp(lambda t, h: net.W @ phi(h), span, h).y[:, -1] for h in net.h0])

    def predict(self, U, W, v, X, settings):
        h = self.terminal_state(U, W, v, X, settings)
        return self.activation(settings)[0](h) @ self.net(U, W, v, X, settings).v


class EulerForOde(Plain):
    mistake = "the Neural ODE by 20 steps of Euler's method"
    expected_name_hint = ("euler", "order", "step", "discret", "resnet")

    def ode(self, net):
        return super().resnet(replace(net, s=replace(net.s, depth=20)))


class SinglePrecision(Plain):
    mistake = "computes in float32 and hands out float64"
    expected_name_hint = ("float32", "single", "precision")

    def net(self, U, W, v, X, s):
        net = super().net(*(np.asarray(a, dtype=np.float32) for a in (U, W, v, X)), s)
        return replace(net, W=_single(net.W), h0=_single(net.h0), v=_single(net.v))

    def output(self, net, rows):
        return _single(super().output(net, rows))

    def gradients(self, net, rows):
        return tuple(_single(g) for g in super().gradients(net, rows))

    def kernel(self, net, rows):
        return _single(super().kernel(net, rows))

    def limit_kernel(self, X, s, scheme, only_v=False):
        return _single(super().limit_kernel(X, s, scheme, only_v))


def _single(a):
    return np.asarray(a, dtype=np.float32).astype(np.float64)


# --- gradients and the kernel -------------------------------------------------------------------------------------


class GradientMean(Plain):
    mistake = "the gradient of the mean of f(x_i), not of the sum"
    expected_name_hint = ("mean", "average", "sum", "1/n")

    def gradients(self, net, rows):
        return tuple(g / len(rows) for g in super().gradients(net, rows))


class GradientOfLastRow(Plain):
    mistake = "the gradient is overwritten at each row instead of added up"
    expected_name_hint = ("row", "last", "sum", "sample", "accumul", "mean")

    def gradients(self, net, rows):
        return super().gradients(replace(net, X=net.X[-1:]), rows[-1:])


class RescaledParameters(Plain):
    mistake = "gradient and K_θ with respect to W/√n and v/√n"
    expected_name_hint = ("sqrt", "√n", "parameteri", "rescal", "scal", "root")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows) * math.sqrt(net.n)

    def gradient_v(self, net, rows):
        return super().gradient_v(net, rows) * math.sqrt(net.n)

    def block_W(self, net, p, q):
        return super().block_W(net, p, q) * net.n

    def block_v(self, net, p, q):
        return super().block_v(net, p, q) * net.n


class GradientTransposed(Plain):
    mistake = "∂f/∂W comes out transposed"
    expected_name_hint = ("transpose", "wt", "w^t", "wᵀ")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows).T


class GradientWithoutSigmaU(Plain):
    mistake = "∂f/∂U = λ_0 xᵀ: σ_u is forgotten"
    expected_name_hint = ("sigma u", "σ_u")

    def gradient_U(self, net, rows):
        return super().gradient_U(net, rows) / net.s.sigma_u

    def block_U(self, net, p, q, x, y):
        return super().block_U(net, p, q, x, y) / net.s.sigma_u**2


class GradientWithoutSigmaW(Plain):
    mistake = "∂f/∂W without its factor σ_w"
    expected_name_hint = ("sigma w", "σ_w")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, rows) / net.s.sigma_w

    def block_W(self, net, p, q):
        return super().block_W(net, p, q) / net.s.sigma_w**2


class GradientStopsAtW(Plain):
    mistake = "∂f/∂U from λ_T, which did not pass through the network"
    expected_name_hint = ("lambda", "adjoint", "λ", "terminal", "gu", "∂f/∂u")

    def gradient_U(self, net, rows):
        return super().gradient_U(net, [replace(r, start=self.terminal(net, r)) for r in rows])

    def block_U(self, net, p, q, x, y):
        p, q = (replace(r, start=self.terminal(net, r)) for r in (p, q))
        return super().block_U(net, p, q, x, y)


class PreactivationGradient(Plain):
    mistake = "∂f/∂W = ∫ λ hᵀ: h for φ(h)"
    expected_name_hint = ("phi", "activation", "φ")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, [replace(r, phi=r.h) for r in rows])

    def block_W(self, net, p, q):
        return super().block_W(net, *(replace(r, phi=r.h) for r in (p, q)))


class NoWeightBlock(Plain):
    mistake = "K_θ without the block of W"
    expected_name_hint = ("block w", "w block", "block of w", "k w", "without w")

    def block_W(self, net, p, q):
        return 0.0


class NoInputBlock(Plain):
    mistake = "K_θ without the block of U, as if U were not trained"
    expected_name_hint = ("block u", "u block", "block of u", "k u", "without u")

    def block_U(self, net, p, q, x, y):
        return 0.0


class NoOutputBlock(Plain):
    mistake = "K_θ without the block of v"
    expected_name_hint = ("block v", "v block", "block of v", "k v", "without v")

    def block_v(self, net, p, q):
        return 0.0


class KernelWithoutSigmaW(Plain):
    mistake = "the block of W in K_θ has σ_w for σ_w²"
    expected_name_hint = ("sigma w", "σ_w")

    def block_W(self, net, p, q):
        return super().block_W(net, p, q) / net.s.sigma_w


class DroppedWeights(Plain):
    mistake = "the last quadrature node of ∫ λφᵀ is left out"
    expected_name_hint = ("quadrature", "weight", "node", "riemann", "dropped")

    def gradient_W(self, net, rows):
        return super().gradient_W(net, [_without_last(r) for r in rows])

    def block_W(self, net, p, q):
        return super().block_W(net, _without_last(p), _without_last(q))


def _without_last(nodes):
    b = nodes.b.copy()
    b[-1] = 0.0
    return replace(nodes, b=b)


class Symmetrised(Plain):
    mistake = "K_θ symmetrised as K + Kᵀ without ½ off the diagonal"
    expected_name_hint = ("symm",)

    def kernel(self, net, rows):
        K = super().kernel(net, rows)
        return K + K.T - np.diag(np.diag(K))


class UpperTriangle(Plain):
    mistake = "only the upper triangle of K_θ is filled"
    expected_name_hint = ("symm", "triang")

    def kernel(self, net, rows):
        return np.triu(super().kernel(net, rows))


class CosineKernel(Plain):
    mistake = "inputs are normalised in K_U, as on a sphere"

    def block_U(self, net, p, q, x, y):
        size = np.linalg.norm(x) * np.linalg.norm(y)
        return super().block_U(net, p, q, x, y) / (size or 1.0)


# --- the residual network -----------------------------------------------------------------------------------------


class OneLayerMore(Plain):
    mistake = "L + 1 layers of length T/L"
    expected_name_hint = ("layer", "depth", "l+1", "l + 1")

    def depth(self, s):
        return s.depth + 1

    def resnet_scheme(self, s):
        A, b, _ = euler(s.depth + 1)
        T = s.horizon * (s.depth + 1) / s.depth
        return T * A, T * b


class OneLayerLess(Plain):
    mistake = "L − 1 layers of length T/L: the loop ends too early"
    expected_name_hint = ("layer", "depth", "l 1", "l − 1")

    def depth(self, s):
        return s.depth - 1

    def resnet(self, net):
        if net.s.depth == 1:
            raise NotImplementedError("no layer is left")
        return super().resnet(net)

    def resnet_scheme(self, s):
        raise NotImplementedError("finite width")


class StepOne(Plain):
    mistake = "residual branches without their factor T/L"
    expected_name_hint = ("t/l", "step", "layer", "horizon")

    def layer(self, s):
        return 1.0

    def _on_resnet(self, quantity, *args):
        with np.errstate(over="ignore", invalid="ignore"):  # ten layers of z²/2 overflow
            return super()._on_resnet(quantity, *args)

    def resnet_scheme(self, s):
        A, b, _ = euler(s.depth)
        return s.depth * A, s.depth * b


class RightRiemann(Plain):
    mistake = "∂f/∂W pairs λ^l with φ(h^l): the wrong end of the layer"
    expected_name_hint = ("riemann", "left", "right", "layer", "end")

    def backprop(self, net, nodes, step):
        lam, start = super().backprop(net, nodes, step)
        return np.vstack([start[None], lam[:-1]]), start


class StateOfNextLayer(Plain):
    mistake = "∂f/∂W takes φ(h^{l+1}) for φ(h^l)"
    expected_name_hint = ("riemann", "left", "right", "layer", "end")

    def resnet(self, net):
        rows, phi = super().resnet(net), self.activation(net.s)[0]
        return [replace(r, phi=phi(np.vstack([r.h[1:], r.end[None]]))) for r in rows]


class SlopeOfNextLayer(Plain):
    mistake = "backpropagation takes φ'(h^{l+1}) for φ'(h^l)"
    expected_name_hint = ("time", "slope", "layer", "phi'", "φ'", "dphi")

    def backprop(self, net, nodes, step):
        slope = self.activation(net.s)[1](np.vstack([nodes.h[1:], nodes.end[None]]))
        return super().backprop(net, replace(nodes, dphi=slope), step)


class LayersInReverse(Plain):
    mistake = "∂f/∂W pairs λ and φ in opposite orders of the layers"

    def backprop(self, net, nodes, step):
        lam, start = super().backprop(net, nodes, step)
        return lam[::-1], start


class IndependentLayers(Plain):
    mistake = "K_θ of the residual network as if each layer had its own W"
    expected_name_hint = ("independent", "shared", "diagonal", "tied")
    ntk = None

    def block_W(self, net, p, q):
        if p.b.shape != q.b.shape:
            raise NotImplementedError
        both = (p.lam * q.lam).sum(1) * (p.phi * q.phi).sum(1)
        return net.s.sigma_w**2 / net.n * (p.b * q.b) @ both


# --- the limit ----------------------------------------------------------------------------------------------------


class NngpForNtk(Plain):
    mistake = "hands out the NNGP kernel for K_∞"
    expected_name_hint = ("nngp",)

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        return super().limit_blocks(s, b, q, S, Sigma, D, P, P0)[0], 0.0, 0.0


class NtkForNngp(Plain):
    mistake = "hands out K_∞ for the NNGP kernel"
    expected_name_hint = ("nngp", "ntk")

    def limit_nngp(self, X, settings):
        return self.limit_ntk(X, settings)


class SigmaForInput(Plain):
    mistake = "the last term of K_∞ with E[φ(h_0)φ(h_0)] for x·x̄"
    expected_name_hint = ("last term", "sigma 00", "input covariance", "σ^{0,0}")

    def inner(self, x, y, s):
        self.sizes = [np.array([s.sigma_u**2 * (z @ z)]) for z in (x, y)]
        return super().inner(x, y, s)

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, second, _ = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, second, self.expectations(s, *self.sizes, np.array([[q]]))[0][0, 0] * P0


class LastTermWithTerminalP(Plain):
    mistake = "the last term of K_∞ with P at T for P at 0"
    expected_name_hint = ("last term", "p 00", "p t", "adjoint", "terminal")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, second, _ = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, second, q * self.terminal_P(s, D)


class LimitWithoutInputBlock(Plain):
    mistake = "K_∞ without the block of U"
    expected_name_hint = ("block u", "u block", "block of u", "k u", "without u")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        return (*super().limit_blocks(s, b, q, S, Sigma, D, P, P0)[:2], 0.0)


class LimitWithoutWeightBlock(Plain):
    mistake = "K_∞ without the block of W"
    expected_name_hint = ("block w", "w block", "block of w", "k w", "without w")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, _, last = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, 0.0, last


class LimitIndependentLayers(Plain):
    mistake = "K_∞^L of a residual network whose layers have weights of their own: sums over l for sums over (l, l')"
    expected_name_hint = ("independent", "shared", "tied")
    limit_ntk = limit_nngp = None

    def covariance(self, s, A, b, q, s1, s2):
        wide, S = np.vstack([A, b]), np.full((len(b) + 1, len(b) + 1), q)
        for _ in range(len(b) + 1):
            Sigma, D = self.expectations(s, np.diag(S) if s1 is None else s1, np.diag(S) if s2 is None else s2, S)
            S = q + s.sigma_w**2 * (wide * np.diag(Sigma)[:-1]) @ wide.T
        return S, Sigma, D

    def adjoint_covariance(self, s, A, b, D):
        back, last, slopes = (b[:, None] * A).T / b[:, None], self.terminal_P(s, D), np.diag(D)[:-1]
        P = np.full((len(b), len(b)), last)
        for _ in range(len(b) + 1):
            P = last + s.sigma_w**2 * (back * slopes * np.diag(P)) @ back.T
        return P, last + s.sigma_w**2 * b**2 @ (slopes * np.diag(P))

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        first, _, last = super().limit_blocks(s, b, q, S, Sigma, D, P, P0)
        return first, s.sigma_w**2 * b**2 @ (np.diag(Sigma)[:-1] * np.diag(P)), last


class LimitWithoutSigmaV(Plain):
    mistake = "K_∞ and NNGP without σ_v²"
    expected_name_hint = ("sigma v", "σ_v")

    def limit_blocks(self, s, b, q, S, Sigma, D, P, P0):
        return tuple(z / s.sigma_v**2 for z in super().limit_blocks(s, b, q, S, Sigma, D, P, P0))


class UncorrelatedAdjoint(Plain):
    mistake = "P without its equation: P = σ_v² E[φ'φ'] at T everywhere"
    expected_name_hint = ("adjoint", "p t", "constant", "frozen", "terminal")

    def adjoint_covariance(self, s, A, b, D):
        last = self.terminal_P(s, D)
        return np.full((len(b), len(b)), last), last


class ForwardAdjointTableau(Plain):
    mistake = "the equation of P integrated from 0, with A for its adjoint tableau"
    expected_name_hint = ("adjoint", "riemann", "transpose", "time", "backward", "direction")

    def adjoint_covariance(self, s, A, b, D):
        last, D = self.terminal_P(s, D), D[:-1, :-1]
        P = np.full_like(D, last)
        for _ in range(100):
            P = last + s.sigma_w**2 * A @ (D * P) @ A.T
        return P, last + s.sigma_w**2 * b @ (D * P) @ b


class ValueForSlope(Plain):
    mistake = "E[φφ] where P wants E[φ'φ']"
    expected_name_hint = ("sigma", "slope", "phi'", "φ'", "derivative")

    def covariance(self, s, A, b, q, s1, s2):
        S, Sigma, _ = super().covariance(s, A, b, q, s1, s2)
        return S, Sigma, Sigma


class UnitVariance(Plain):
    mistake = "variances of h_0 at every time in E[φφ]: the diagonal of S is not updated"

    def covariance(self, s, A, b, q, s1, s2):
        sizes = (np.full(len(b) + 1, q),) * 2 if s1 is None else (s1, s2)
        return super().covariance(s, A, b, q, *sizes)


class FewQuadratureNodes(Plain):
    mistake = "K_∞ with three Gauss nodes in time"
    expected_name_hint = ("node", "quadrature", "accura", "toleranc", "discret")

    def limit_nodes(self, s):
        return 3


class TensorGaussAtKink(Plain):
    mistake = "tensor Gauss quadrature across the kink of E[φ'φ'] on the diagonal"
    expected_name_hint = ("kink", "quadrature")

    def scheme(self, s):
        if s.activation not in ("relu", "leaky_relu"):
            raise NotImplementedError("kinked activations only")
        A, b, _ = gauss(16)
        return s.horizon * A, s.horizon * b


class NormalisedInputs(Plain):
    mistake = "inputs are normalised to the sphere before K_∞"
    expected_name_hint = ("norm", "sphere")

    def inner(self, x, y, s):
        return s.sigma_u**2 * (x @ y) / (np.linalg.norm(x) * np.linalg.norm(y) or 1.0)


CANDIDATES = tuple(
    candidate
    for candidate in list(globals().values())
    if isinstance(candidate, type) and issubclass(candidate, Plain) and hasattr(candidate, "mistake")
)
