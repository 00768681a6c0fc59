"""Parts that find regions in a picture: one file each. A detector that needs weights says where they come from."""

from typing import Protocol

from stages.images import Pixels
from stages.records import Region


class Detector(Protocol):
    """Finds what it is made for, in an order that does not change."""

    def __call__(self, pixels: Pixels) -> tuple[Region, ...]:
        """The regions in ``pixels``, uint8[H, W, 3] RGB, sorted by top, left and width."""
        ...
