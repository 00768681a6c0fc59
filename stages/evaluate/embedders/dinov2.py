"""DINOv2, which learned from pictures alone. Oquab et al., TMLR 2024.

Stein et al., arXiv 2306.04675, find its Fréchet distance nearer to what people see than Inception's.
"""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stages import pinned, vision
from stages.config import settings
from stages.evaluate import features
from stages.images import Pixels
from stages.vision import Eye, Weights


@settings
class Config:
    """Which DINOv2."""

    weights: Weights


def build(config: Config) -> "Dinov2":
    """The embedder; the model is loaded when it first sees a picture that is not in the cache folder."""
    return Dinov2(config)


class Dinov2:
    """An ``Embedder``: the class token after the last norm."""

    def __init__(self, config: Config) -> None:
        self._weights = config.weights

    @cached_property
    def identity(self) -> str:
        """See ``Embedder``."""
        return f"dinov2 {pinned.identity(self._weights)} {features.INPUT}"

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """See ``Embedder``."""
        return features.remembered(self.identity, pictures, self._look)

    @cached_property
    def _eye(self) -> Eye:
        return vision.load(self._weights, auto="Dinov2Model")

    def _look(self, pixels: Pixels) -> Any:
        return self._eye.net(features.model_input(pixels, self._eye)).pooler_output[0]
