"""Parts that say how pleasing a picture is, by its embedding: one file each."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Taste(Protocol):
    """The mean taste of those who rated what it was fitted on, on their scale."""

    @property
    def identity(self) -> str:
        """What the weights are called; other weights, another name."""
        ...

    def __call__(self, embedding: NDArray[np.float32]) -> float:
        """The score of a picture with ``embedding``, float32[D]."""
        ...
