import matplotlib.pyplot as plt
import numpy as np

import refimpl

X = refimpl.data.digits(classes=(3, 8)).X_train
for name in ("identity", "softplus", "tanh", "relu", "sin"):
    eigenvalues = np.linalg.eigvalsh(refimpl.NeuralODE(name).limit().ntk(X))[::-1]
    seen = eigenvalues > 1e-13 * eigenvalues[0]  # what is below is rounding
    plt.loglog(np.flatnonzero(seen) + 1, eigenvalues[seen] / eigenvalues[0], label=name)
plt.xlabel("index $k$")
plt.ylabel(r"$\lambda_k(K_\infty) \,/\, \lambda_1(K_\infty)$")
plt.legend()
