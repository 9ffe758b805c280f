"""Where a Gauss scheme may be trusted: neurons that cross a kink are seen wherever they do it."""

from __future__ import annotations

import numpy as np
import pytest

from refimpl import activations
from refimpl.finite.refine import _crosses_a_kink
from refimpl.finite.system import System
from refimpl.scheme import gauss

LIFT, SWING = 3.0, 1.0


def swinging(start, turns):
    """h_1 = start − SWING sin(2π turns t), driven by two neurons that turn around LIFT > SWING and by a constant one.

    All but h_1 stay positive, where ReLU is the identity: ḣ_2 = ω(h_3 − LIFT), ḣ_3 = −ω(h_2 − LIFT), ḣ_1 = −ḣ_2.
    """
    omega = 2 * np.pi * turns
    turning = omega * np.asarray([0, 0, 1.0, -LIFT])
    W = np.stack([-turning, turning, -omega * np.asarray([0, 1.0, 0, -LIFT]), np.zeros(4)])
    h0 = np.asarray([[start], [LIFT], [LIFT + SWING], [1.0]])
    return System(np, activations.relu, 1.0, W, np.ones(4), h0)


@pytest.mark.parametrize("steps", [1, 2])
@pytest.mark.parametrize(
    ("start", "turns", "crosses"),
    [
        (1.01, 1.0, False),
        (0.5, 1.0, True),  # on the way, and back again at T
        (0.71, 0.125, False),
        (0.705, 0.125, True),  # h_1(T) = −0.002 alone is beyond it
    ],
)
def test_a_crossing_is_seen_inside_and_at_the_end(start, turns, crosses, steps):
    assert _crosses_a_kink(swinging(start, turns), gauss(8, steps, 1.0)) is crosses


@pytest.mark.parametrize("steps", [1, 2])
def test_the_crossing_at_the_end_lies_behind_all_nodes(steps):
    last = gauss(8, steps, 1.0).nodes[-1]
    assert 0.705 - SWING * np.sin(np.pi / 4 * last) > 0 > 0.705 - SWING * np.sin(np.pi / 4)


def test_a_kink_of_an_input_at_rest_is_not_crossed():
    still = System(np, activations.relu, 1.0, np.zeros((2, 2)), np.ones(2), np.asarray([[-1.0, 0.0], [1.0, 2.0]]))
    assert not _crosses_a_kink(still, gauss(8, 1, 1.0))
