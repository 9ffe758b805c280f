"""Two classes of real handwritten digits, as unit vectors with targets ±1."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from refimpl._arguments import generator, integer
from refimpl._shapes import shapes_of


@dataclass(frozen=True)
class Digits:
    """Training and test set of a two-class problem.

    Parameters
    ----------
    X_train : array, shape (N, 64), float64
        Training images, row by row, each of Euclidean norm 1.
    y_train : array, shape (N,), float64
        Targets: +1 for the first class, −1 for the second.
    X_test : array, shape (M, 64), float64
        Test images.
    y_test : array, shape (M,), float64
        Targets of the test images.
    """

    X_train: NDArray[np.float64]
    y_train: NDArray[np.float64]
    X_test: NDArray[np.float64]
    y_test: NDArray[np.float64]

    def __repr__(self) -> str:
        return shapes_of(self)


def digits(
    classes: Sequence[int] = (3, 8),
    *,
    n_train: int | None = None,
    n_test: int | None = None,
    test_fraction: float = 0.25,
    seed: Any = 0,
) -> Digits:
    """Images of two handwritten digits on the unit sphere S^63, with targets ±1.

    The source is the test set of *Optical Recognition of Handwritten Digits*: 1,797 images of 8 × 8 pixels with
    values 0 … 16, 174 to 183 of them for each digit. An image is divided by its norm and is not centred. The images
    are pairwise distinct and, since no two of them are parallel, so are the unit vectors.

    Parameters
    ----------
    classes : pair of int
        Two different digits; the first gets the target +1, the second −1.
    n_train, n_test : int, optional
        Keep only the first so many training or test images, at least 1. The split does not depend on them: a smaller
        training set is the beginning of a larger one, and the test set stays the same. The kept images are
        in random order, so the two classes need not occur equally often.
    test_fraction : float
        Share of the images that goes to the test set, in [0, 1), rounded to a whole number of images.
    seed
        Decides the split; anything that `numpy.random.default_rng` takes. NumPy does not promise the same split
        from the same seed in every version.

    Returns
    -------
    Digits

    Raises
    ------
    TypeError, ValueError
        `classes` is not a pair of different digits, `test_fraction` is not a number in [0, 1), more images are asked
        for than the split holds, or `seed` is not accepted by `numpy.random.default_rng`.

    References
    ----------
    E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning Repository (1998),
    doi:10.24432/C50P49, licence CC BY 4.0; source and changes are stated in ``refimpl/data/digits.LICENSE.txt``.

    Examples
    --------
    >>> data = digits(classes=(3, 8), n_train=20)
    >>> data.X_train.shape, data.X_test.shape
    ((20, 64), (89, 64))
    >>> sorted(set(data.y_test.tolist()))
    [-1.0, 1.0]
    """
    positive, negative = _two_digits(classes)
    if isinstance(test_fraction, bool) or not isinstance(test_fraction, Real):
        raise TypeError(f"test_fraction must be a number in [0, 1), got {test_fraction!r}")
    if not 0.0 <= test_fraction < 1.0:
        raise ValueError(f"test_fraction must be in [0, 1), got {test_fraction!r}")
    n_train = None if n_train is None else integer("n_train", n_train, least=1)
    n_test = None if n_test is None else integer("n_test", n_test, least=1)
    random = generator(seed)

    images, labels = _images()
    chosen = np.flatnonzero((labels == positive) | (labels == negative))
    tested = round(float(test_fraction) * len(chosen))
    for name, wanted, available in (("n_train", n_train, len(chosen) - tested), ("n_test", n_test, tested)):
        if wanted is not None and wanted > available:
            raise ValueError(f"{name} must be at most {available} for this split, got {wanted}")

    chosen = random.permutation(chosen)
    train, test = chosen[tested:][:n_train], chosen[:tested][:n_test]
    X = images / np.linalg.norm(images, axis=1, keepdims=True)
    y = np.where(labels == positive, 1.0, -1.0)
    return Digits(X_train=X[train], y_train=y[train], X_test=X[test], y_test=y[test])


def _two_digits(classes: Sequence[int]) -> tuple[int, int]:
    if not isinstance(classes, Sequence | np.ndarray) or isinstance(classes, str) or len(classes) != 2:
        raise ValueError(f"classes must be a pair of digits, got {classes!r}")
    pair = (integer("classes[0]", classes[0], least=0), integer("classes[1]", classes[1], least=0))
    if max(pair) > 9 or pair[0] == pair[1]:
        raise ValueError(f"classes must be two different digits from 0 to 9, got {classes!r}")
    return pair


def _images() -> tuple[NDArray[np.float64], NDArray[np.uint8]]:
    with files("refimpl.data").joinpath("digits.npz").open("rb") as file, np.load(file, allow_pickle=False) as stored:
        return stored["images"].astype(np.float64), stored["labels"]
