"""Mistakes of the residual network; see `mistaken.py`."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from tests.conformance.plain import Plain, euler


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
