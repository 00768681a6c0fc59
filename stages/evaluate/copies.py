"""How many generated pictures are copies of training pictures."""

from collections.abc import Hashable, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels

SIDE = 16  # pixels of the thumbnails that are compared


def thumbnails(pictures: Sequence[Pixels]) -> NDArray[np.float64]:
    """Each picture as float64[N, 768]: 16 x 16 RGB, 0 to 1."""
    small = [cv2.resize(picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA) for picture in pictures]
    return np.stack(small).reshape(len(small), -1).astype(np.float64) / 255


def copied(
    generated: NDArray[np.float64], training: NDArray[np.float64], groups: Sequence[Hashable], *, factor: float
) -> NDArray[np.bool_]:
    """bool[N]: whether the nearest training picture is no farther than ``factor`` times what is usual among those.

    Usual is the median distance of a training picture to the nearest one of another group: near-duplicates and pictures
    of one page would make it too small. Somepalli et al., arXiv 2212.03860, calibrate by the training set likewise.
    """
    among = _distances(training, training)
    among[np.array([[one == other for other in groups] for one in groups])] = np.inf
    nearest = among.min(axis=1)
    usual = float(np.median(nearest[np.isfinite(nearest)])) if np.isfinite(nearest).any() else 0.0
    return np.asarray(_distances(generated, training).min(axis=1) <= factor * usual, dtype=np.bool_)


def _distances(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    squares = (one**2).sum(1)[:, None] + (other**2).sum(1)[None, :] - 2 * one @ other.T
    return np.asarray(np.sqrt(np.maximum(squares, 0)))
