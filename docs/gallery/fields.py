import matplotlib.pyplot as plt
import numpy as np

import refimpl

x, x2 = np.asarray([1.0, 0.0]), np.asarray([0.5, np.sqrt(0.75)])
net = refimpl.NeuralODE("tanh", horizon=3.0, sigma_w=1.5)
fields = net.limit(refimpl.Gauss(nodes=32, steps=1)).fields(x, x2)

figure, panels = plt.subplots(1, 2, figsize=(8, 3.6), sharey=True)
for axes, times, values, title in (
    (panels[0], fields.t, fields.Sigma, r"$\Sigma^{t,s}$"),
    (panels[1], fields.t_adjoint, fields.P, r"$P^{t,s}$"),
):
    image = axes.pcolormesh(times, times, values.T, shading="gouraud", rasterized=True)
    axes.contour(times, times, values.T, levels=8, colors="white", linewidths=0.6)
    axes.set(title=title, xlabel="$t$", aspect="equal")
    axes.grid(False)
    figure.colorbar(image, ax=axes)
panels[0].set_ylabel("$s$")
