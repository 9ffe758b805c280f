import matplotlib.pyplot as plt
import numpy as np

import refimpl

rho = np.cos(np.linspace(np.pi, 0, 301))
for name in ("identity", "softplus", "tanh", "relu", "sin", "cos"):
    curve = refimpl.NeuralODE(name, horizon=1.0).limit().on_sphere()
    plt.plot(rho, curve(rho) / curve(1.0), label=name)
plt.xlabel(r"$\rho = x \cdot \bar x$")
plt.ylabel(r"$K_\infty(\rho) \,/\, K_\infty(1)$")
plt.legend()
