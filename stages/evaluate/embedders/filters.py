"""54 numbers of colour and local contrast by a fixed filter bank: it needs no weights and no network.

What it is not: an Inception or any other learned feature. It sees palette, contrast and texture at three scales and
knows nothing of objects, so its distance is named ``fd_filters`` and must never be compared with an FID.
"""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from stages.config import settings
from stages.evaluate.embedders import Embedder
from stages.images import Pixels

FILTERS, TAPS, SCALES = 8, 5, 3


@settings
class Config:
    """Nothing to choose: a filter bank that could be changed would not be one measure."""


def build(_: Config) -> Embedder:
    """The embedder."""
    return Filters(_bank())


class Filters:
    """The ``Embedder`` of a filter bank."""

    identity = "filters 1"  # another number when the definition changes

    def __init__(self, bank: NDArray[np.float64]) -> None:
        self._bank = bank

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """See ``Embedder``."""
        return np.stack([_features(picture.astype(np.float64) / 127.5 - 1, self._bank) for picture in pictures])


def _bank() -> NDArray[np.float64]:
    """Eight random 5 x 5 x 3 filters of mean 0 and norm 1, always the same."""
    bank = np.random.default_rng(0).standard_normal((FILTERS, TAPS, TAPS, 3))
    bank -= bank.mean(axis=(1, 2), keepdims=True)
    return np.asarray(bank / np.sqrt((bank**2).sum(axis=(1, 2, 3), keepdims=True)))


def _features(image: NDArray[np.float64], bank: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean and deviation of the colours, and of each filter's magnitude at three scales."""
    numbers = [image.mean(axis=(0, 1)), image.std(axis=(0, 1))]
    for _ in range(SCALES):
        answers = np.stack(
            [np.abs(sum(cv2.filter2D(image[..., c], cv2.CV_64F, one[..., c]) for c in range(3))) for one in bank]
        )
        numbers += [answers.mean(axis=(1, 2)), answers.std(axis=(1, 2))]
        image = np.asarray(cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), dtype=np.float64)
    return np.concatenate(numbers)
