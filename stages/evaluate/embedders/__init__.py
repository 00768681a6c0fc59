"""Parts that turn pictures into features for metrics: one file each, and the metric bears its name."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol, runtime_checkable

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


class Texts(NamedTuple):
    """Features of texts."""

    features: NDArray[np.float64]  # float64[N, D]
    cut: NDArray[np.bool_]  # bool[N]: whether the text was longer than the embedder reads


@runtime_checkable
class Reading(Embedder, Protocol):
    """An embedder that reads, too: its features of a picture and of what it shows point the same way."""

    def read(self, texts: Sequence[str]) -> Texts:
        """Features of texts, as wide as those of pictures."""
        ...
