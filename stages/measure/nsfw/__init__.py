"""Parts that give the probability that a picture is not for everybody: one file each."""

from typing import Protocol

from stages.images import Pixels


class Classifier(Protocol):
    """A model that need not be loaded to say which weights it has."""

    @property
    def identity(self) -> str:
        """What the weights are called; other weights, another name."""
        ...

    def __call__(self, pixels: Pixels) -> float:
        """0 to 1, of ``pixels``, uint8[H, W, 3] RGB."""
        ...
