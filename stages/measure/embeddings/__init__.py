"""Parts that make one vector of a picture: one file each. Near vectors show alike things, as their model sees them."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels
from stages.vision import Sight


class Embedding(Protocol):
    """A model that need not be loaded to say which weights it has."""

    @property
    def identity(self) -> str:
        """What the weights are called; other weights, another name."""
        ...

    def __call__(self, pixels: Pixels) -> NDArray[np.float32]:
        """float32[D], of length 1, of ``pixels``, uint8[H, W, 3] RGB."""
        ...


class Unit:
    """An ``Embedding``: the vector that a model has of a picture, at length 1."""

    def __init__(self, sight: Sight) -> None:
        self.sight = sight
        self.identity = sight.identity

    def __call__(self, pixels: Pixels) -> NDArray[np.float32]:
        """See ``Embedding``."""
        vector = self.sight.vector(self.sight.eye.input(pixels)).float().cpu().numpy()
        return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)
