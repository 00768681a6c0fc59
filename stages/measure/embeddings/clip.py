"""The picture's side of CLIP: alike is what could bear the same words. Radford et al., ICML 2021."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from stages import pinned, vision
from stages.config import settings
from stages.images import Pixels
from stages.vision import Eye, Weights


@settings
class Config:
    """Which CLIP."""

    weights: Weights


def build(config: Config) -> "Clip":
    """The model, loaded when it first sees a picture."""
    return Clip(config)


class Clip:
    """An ``Embedding``."""

    def __init__(self, config: Config) -> None:
        self._weights = config.weights
        self.identity = pinned.identity(config.weights)

    @cached_property
    def _eye(self) -> Eye:
        return vision.load(self._weights, auto="CLIPVisionModelWithProjection")

    def __call__(self, pixels: Pixels) -> NDArray[np.float32]:
        """float32[D], of length 1."""
        vector = self._eye.net(self._eye.input(pixels)).image_embeds[0].float().cpu().numpy()
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
