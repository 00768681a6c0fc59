"""Regions of a picture made unrecognisable.

How well each method hides is measured by ``benchmarks/faces.py``: how often the redacted face is nearest to its own
original among a hundred. Filling is near chance, blurring not far from it; pixelating looks familiar and hides least, since
nine colours still tell faces apart (McPherson et al., "Defeating Image Obfuscation with Deep Learning", arXiv 1609.00408).
"""

from collections.abc import Iterable
from typing import Literal

import cv2
import numpy as np

from stages.images import Pixels
from stages.records import Region

Method = Literal["pixelate", "blur", "fill"]

CELLS = 3  # of a pixelated region's longer side; with 5, which looks alike, nearly every face was matched
BLUR = 1.0  # standard deviation of a blur, of the region's longer side; with a third, half of all faces were matched
COARSE = 32  # pixels of the side at which a region is blurred: nothing finer is left, and large faces cost no more


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
    left, top = box.left - aside, box.top - above
    right, bottom = box.left + box.width + aside, box.top + box.height + above
    return (
        max(0, left),
        max(0, top),
        max(0, min(width, right)),
        max(0, min(height, bottom)),
    )  # below 0 counts from the end


def _pixelate(region: Pixels) -> Pixels:
    small = _shrunk(region, CELLS)
    return cv2.resize(small, region.shape[1::-1], interpolation=cv2.INTER_NEAREST).astype(np.uint8)


def _shrunk(region: Pixels, side: int) -> Pixels:
    """``region`` at a longer side of ``side`` pixels."""
    height, width = region.shape[:2]
    scale = side / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(region, size, interpolation=cv2.INTER_AREA).astype(np.uint8)


def _blur(region: Pixels) -> Pixels:
    small = _shrunk(region, COARSE)
    blurred = cv2.GaussianBlur(small, (0, 0), BLUR * max(small.shape[:2]))
    return cv2.resize(blurred, region.shape[1::-1], interpolation=cv2.INTER_LINEAR).astype(np.uint8)


def _fill(region: Pixels) -> Pixels:
    return np.broadcast_to(region.mean(axis=(0, 1)).round().astype(np.uint8), region.shape).copy()


_METHODS = {"pixelate": _pixelate, "blur": _blur, "fill": _fill}
