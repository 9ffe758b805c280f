import matplotlib.pyplot as plt
import numpy as np

import refimpl

data = refimpl.data.digits(n_train=8)
X, y = data.X_train, data.y_train
net = refimpl.NeuralODE("softplus", horizon=1.0)
theta = net.init(width=128, dim=64, seed=0)
ode = refimpl.Gauss()
output, gradient = net.predict(theta, X, ode), net.gradient(theta, X, y, ode)
kernel, limit = net.ntk(theta, X, solver=ode), net.limit().ntk(X)


def distance(values, truth):
    return np.linalg.norm(values - truth) / np.linalg.norm(truth)


depths = 2 ** np.arange(9)
errors = []
for depth in depths.tolist():
    resnet = refimpl.Euler(depth)
    errors.append(
        (
            distance(net.predict(theta, X, resnet), output),
            distance(net.gradient(theta, X, y, resnet).ravel(), gradient.ravel()),
            distance(net.ntk(theta, X, solver=resnet), kernel),
            distance(net.limit(resnet).ntk(X), limit),
        )
    )
labels = ("output $f$", r"gradient $\nabla L$", r"kernel $K_\theta$", r"limit $K_\infty$")
for values, label, marker in zip(np.transpose(errors), labels, "os^D", strict=True):
    plt.loglog(depths, values, marker=marker, label=label)
guide = 2 * errors[0][1] / depths
plt.loglog(depths, guide, color="#595959", linestyle=(0, (1, 3)), label=r"slope $-1$")
plt.xticks(depths, depths)
plt.minorticks_off()
plt.xlabel("depth $L$")
plt.ylabel("relative difference from the ODE")
plt.legend()
