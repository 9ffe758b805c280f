"""Random points on the unit sphere S^{d−1}."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from refimpl._arguments import generator, integer


def sphere(N: int, d: int, seed: Any = None) -> NDArray[np.float64]:
    """Independent points, uniformly distributed on the unit sphere S^{d−1}.

    Parameters
    ----------
    N : int
        Number of points, at least 0.
    d : int
        Dimension of the space around the sphere, at least 1. For ``d=1`` the sphere is {−1, +1}, so more than
        two points cannot be distinct; for ``d >= 2`` they are distinct with probability one.
    seed
        Anything that `numpy.random.default_rng` takes. NumPy does not promise the same points from the same
        seed in every version: what is meant to last stores the points.

    Returns
    -------
    array, shape (N, d), float64
        Rows of Euclidean norm 1 up to rounding.

    Raises
    ------
    TypeError, ValueError
        `N` or `d` is no integer or too small, or `seed` is not accepted by `numpy.random.default_rng`.

    References
    ----------
    A standard normal vector divided by its norm: M. E. Muller, A note on a method for generating points uniformly
    on n-dimensional spheres, Communications of the ACM 2 (1959).

    Examples
    --------
    >>> import numpy as np
    >>> X = sphere(5, 3, seed=0)
    >>> X.shape, bool(np.all(np.abs(np.linalg.norm(X, axis=1) - 1.0) < 1e-15))
    ((5, 3), True)
    """
    N, d = integer("N", N, least=0), integer("d", d, least=1)
    random = generator(seed)
    points = random.standard_normal((N, d))
    norms = np.linalg.norm(points, axis=1)
    # A draw of exact zeros has no direction; it happens with probability 2^−52 for d = 1, and must not give NaN.
    while not norms.all():
        points[norms == 0.0] = random.standard_normal((np.count_nonzero(norms == 0.0), d))
        norms = np.linalg.norm(points, axis=1)
    directions: NDArray[np.float64] = points / norms[:, None]
    return directions
