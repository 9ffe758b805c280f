"""What the two PyTorch libraries share; each gives `solve(method, field, h0, horizon, rtol, atol)`: h_T (N, n)."""

import torch

from benchmarks.adapters._tolerance import tolerances
from benchmarks.adapters._torch import ACTIVATIONS, Field
from benchmarks.environment import allowed

torch.set_num_threads(allowed())


class Network:
    """θ as leaves of PyTorch's graph, and f."""

    def __init__(self, solve, method, net, theta):
        self.solve, self.method, self.net = solve, method, net
        U, W, v = (torch.from_numpy(array) for array in (theta.U.copy(), theta.W.copy(), theta.v.copy()))
        self.field = Field(W, ACTIVATIONS[net.phi.name], net.sigma_w)
        self.theta = (U.requires_grad_(), self.field.W, v.requires_grad_())

    def __call__(self, X, rtol):
        U, _, v = self.theta
        h0 = self.net.sigma_u * X @ U.T
        h = self.solve(self.method, self.field, h0, self.net.horizon, *tolerances(rtol, "float64"))
        return self.net.sigma_v / len(v) ** 0.5 * (self.field.phi(h) @ v)

    def loss(self, X, y, rtol):
        return ((self(X, rtol) - y) ** 2).sum() / 2


def gradient(solve, method, net, theta, X, y):
    network, X, y = Network(solve, method, net, theta), torch.from_numpy(X), torch.from_numpy(y)
    return lambda rtol: torch.autograd.grad(network.loss(X, y, rtol), network.theta)


def ntk(solve, method, net, theta, X):
    """J row by row, each from a solve of its own: a backward pass of the batch for each row is N times as dear."""
    network, X = Network(solve, method, net, theta), torch.from_numpy(X)

    def compute(rtol):
        J = [torch.empty(len(X), block.numel(), dtype=block.dtype) for block in network.theta]
        for i, x in enumerate(X):
            row = torch.autograd.grad(network(x[None], rtol)[0], network.theta)
            for block, part in zip(J, row, strict=True):
                block[i] = part.ravel()
        return sum(block @ block.T for block in J)

    return compute


def descent(solve, method, net, theta, X, y, lr, rtol):
    X, y = torch.from_numpy(X), torch.from_numpy(y)

    def run(steps):
        network, losses = Network(solve, method, net, theta), []
        for step in range(steps):
            loss = network.loss(X, y, rtol)
            gradient = torch.autograd.grad(loss, network.theta)
            losses.append(loss.item())
            with torch.no_grad():
                if step == steps - 1:
                    before = tuple(block.clone() for block in network.theta)
                for block, slope in zip(network.theta, gradient, strict=True):
                    block -= lr * slope
        return losses, network.theta, before

    return run
