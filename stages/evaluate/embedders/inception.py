"""Inception v3 of 2015-12-05: the Fréchet distance of its features is the FID. Heusel et al., arXiv 1706.08500.

Published FIDs are of 10,000 pictures and more; one of a few hundred is higher for that alone, whatever it is of.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages.config import settings
from stages.evaluate import features, inception, published
from stages.evaluate.inception import Network
from stages.evaluate.published import Published
from stages.images import Pixels


@settings
class Config:
    """Whose weights."""

    weights: Published


def build(config: Config) -> "Inception":
    """The embedder; the weights are read when it first sees a picture that is not in the cache folder."""
    return Inception(config)


class Inception:
    """An ``Embedder``: the 2,048 numbers before the last layer."""

    def __init__(self, config: Config) -> None:
        self._weights = config.weights
        self.identity = f"inception sha256:{config.weights.sha256} TensorFlow 1 bilinear 1"

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """See ``Embedder``."""
        return features.remembered(self.identity, pictures, self._look)

    @cached_property
    def _net(self) -> Network:
        return Network(published.read(self._weights))

    def _look(self, pixels: Pixels) -> Any:
        import torch

        with torch.inference_mode():
            return self._net(inception.model_input(pixels))[0]
