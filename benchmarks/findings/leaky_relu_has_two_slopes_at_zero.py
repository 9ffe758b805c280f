"""The derivative of leaky ReLU at 0 is a convention, and PyTorch and JAX have different ones: 0.01 and 1."""

import jax
import torch

z = torch.zeros(1, requires_grad=True)
torch.nn.functional.leaky_relu(z).sum().backward()
print(f"torch.nn.functional.leaky_relu: {float(z.grad):.2f}")
print(f"jax.nn.leaky_relu: {float(jax.grad(jax.nn.leaky_relu)(0.0)):.2f}")
