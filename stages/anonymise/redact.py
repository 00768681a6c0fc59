"""Regions of a picture made unrecognisable."""

from collections.abc import Iterable
from typing import Literal

import cv2
import numpy as np

from stages.images import Pixels
from stages.records import Region

Method = Literal["pixelate", "blur", "fill"]

CELLS = 5  # of a pixelated region's longer side: fewer cells than eyes, nose and mouth need
BLUR = 3  # the standard deviation of a blur is a third of the region's side


def redact(pixels: Pixels, boxes: Iterable[Region], *, method: Method, margin: float) -> Pixels:
    """A copy of ``pixels``, uint8[H, W, 3], with each box, wider by ``margin`` of its size on every side, redacted."""
    result = pixels.copy()
    for box in boxes:
        left, top, right, bottom = _widened(box, margin, pixels.shape[1], pixels.shape[0])
        region = result[top:bottom, left:right]
        if region.size:
            result[top:bottom, left:right] = _METHODS[method](region)
    return result


def _widened(box: Region, margin: float, width: int, height: int) -> tuple[int, int, int, int]:
    aside, above = round(box.width * margin), round(box.height * margin)
    left, top = max(0, box.left - aside), max(0, box.top - above)
    return left, top, min(width, box.left + box.width + aside), min(height, box.top + box.height + above)


def _pixelate(region: Pixels) -> Pixels:
    height, width = region.shape[:2]
    scale = CELLS / max(height, width)
    cells = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(region, cells, interpolation=cv2.INTER_AREA)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def _blur(region: Pixels) -> Pixels:
    return cv2.GaussianBlur(region, (0, 0), max(region.shape[:2]) / BLUR).astype(np.uint8)


def _fill(region: Pixels) -> Pixels:
    return np.broadcast_to(region.mean(axis=(0, 1)).round().astype(np.uint8), region.shape).copy()


_METHODS = {"pixelate": _pixelate, "blur": _blur, "fill": _fill}
