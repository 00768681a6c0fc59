"""DINOv2, which learned from pictures alone: alike is what looks alike in its parts. Oquab et al., TMLR 2024."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stages import pinned, vision
from stages.config import settings
from stages.images import Pixels
from stages.vision import Eye, Weights


@settings
class Config:
    """Which DINOv2."""

    weights: Weights


def build(config: Config) -> "Dinov2":
    """The model, loaded when it first sees a picture."""
    return Dinov2(config)


class Dinov2:
    """An ``Embedding``: the class token after the last norm."""

    def __init__(self, config: Config) -> None:
        self._weights = config.weights
        self.identity = pinned.identity(config.weights)

    @cached_property
    def _eye(self) -> Eye:
        return vision.load(self._weights, auto="Dinov2Model")

    def __call__(self, pixels: Pixels) -> NDArray[np.float32]:
        """float32[D], of length 1."""
        vector = self._eye.net(self._eye.input(pixels)).pooler_output[0].float().cpu().numpy()
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
