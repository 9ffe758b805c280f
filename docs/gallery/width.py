import matplotlib.pyplot as plt
import numpy as np

import refimpl

X = refimpl.data.sphere(8, 3, seed=0)
net = refimpl.NeuralODE("softplus", horizon=1.0)
truth = net.limit().ntk(X)
solver = refimpl.Gauss(nodes=6, steps=1)


def error(width, seed):
    theta = net.init(width, 3, seed=(width, seed))
    return np.linalg.norm(net.ntk(theta, X, solver=solver) - truth) / np.linalg.norm(truth)


widths = 2 ** np.arange(4, 11)
errors = np.asarray([[error(int(width), seed) for seed in range(20)] for width in widths])
mean_square = np.sqrt(np.mean(errors**2, axis=1))

plt.loglog(widths, errors, "o", color="#56B4E9", markersize=3)
plt.loglog(widths, mean_square, "s", color="#0072B2", label="root mean square")
guide = mean_square[0] * (widths / widths[0]) ** -0.5
plt.loglog(widths, guide, color="#595959", linestyle="--", label=r"slope $-1/2$")
plt.xticks(widths, widths)
plt.minorticks_off()
plt.xlabel("width $n$")
plt.ylabel(r"$\Vert K_\theta - K_\infty \Vert \,/\, \Vert K_\infty \Vert$")
plt.legend()
