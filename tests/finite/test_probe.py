"""What the points of a Gauss step see of a defect."""

from __future__ import annotations

import math

import numpy as np
import pytest

from refimpl.finite.probe import probe
from refimpl.quadrature import kronrod_extension


def test_the_points_of_the_probe_see_a_layer_in_each_gap_and_at_both_ends():
    """A spike of δ at one point counts by the width of its gap, and no combination of neurons is needed to see it."""
    for nodes in (3, 8, 13):
        at = probe(nodes)
        for point in range(nodes + 3):
            spike = np.zeros((nodes + 3, 1, 1))
            spike[point] = 1.0
            width = at.weights[0, point] or abs(at.weights[-2:, point]).max()
            assert at.seen(np, spike, 0.0)[1][0, 0] >= width > 1 / (20 * nodes**2)


def test_the_probe_is_silent_where_all_points_lie_on_one_polynomial():
    nodes = 6
    at = probe(nodes)
    t = np.concatenate([[0.0], kronrod_extension(nodes)[0], [1.0]])
    smooth = np.polynomial.Legendre.basis(nodes, domain=[0, 1])(t) * (1 + t + t**2)
    assert at.seen(np, smooth[:, None, None], 0.0)[1].max() < 1e-14 * 3


@pytest.mark.parametrize("reach", [0.5, 2.0])
def test_the_last_integral_counts_as_the_flow_has_its_polynomial(reach):
    """δ = P_m alone: its product with the flow integrates to z^m m!/(2m)! ∫ P_m², to leading order."""
    for nodes in (4, 7):
        t = np.concatenate([[0.0], kronrod_extension(nodes)[0], [1.0]])
        P = np.polynomial.Legendre.basis(nodes, domain=[0, 1])
        x, w = np.polynomial.legendre.leggauss(40)
        exact = abs(w @ (np.exp(reach * (1 - x) / 2) * P((x + 1) / 2))) / 2
        integral, largest = probe(nodes).seen(np, P(t)[:, None, None], reach)
        leading = reach**nodes * math.factorial(nodes) / math.factorial(2 * nodes) / (2 * nodes + 1)
        assert abs(integral[0, 0]) < 1e-15
        assert largest[0, 0] == pytest.approx(leading, rel=1e-6)
        assert 0.3 < largest[0, 0] / exact < 1.0
