"""Parts that turn pictures into features for the Fréchet distance: one file each, and the metric bears its name."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stages.images import Pixels


class Embedder(Protocol):
    """Features of pictures."""

    @property
    def identity(self) -> str:
        """What its features depend on: they may be compared with those of the same identity alone."""
        ...

    def __call__(self, pictures: Sequence[Pixels]) -> NDArray[np.float64]:
        """float64[N, D] of N pictures, uint8[H, W, 3] RGB."""
        ...
